"""The path of a gift as a picture: from its donor through the case, with the matches it brought, to the invoice lines.

SVG without scripts or anything loaded from elsewhere. Its title and description say all that it shows, for those who
cannot see it. It holds no name of a person: a donor is an account.
"""

from html import escape

from metrobloc.city.charity.rules.declared import campaigns, gifts
from metrobloc.city.charity.rules.queries import matches, path
from metrobloc.city.charity.tools import paths
from metrobloc.commons.money.rules import assets
from metrobloc.commons.views import NotShown, Shown
from metrobloc.kernel.context import View

WIDTH, ROW, TOP = 960, 64, 96
BOX_WIDTH, BOX_HEIGHT = 264, 48
LEFT, MIDDLE, RIGHT = 16, 348, 680
ROWS_MAX = 24
"""So many kinds of piece are drawn; the others are one row together."""
THICK_MAX = 36
FILLS = {"paid": "#cfe8d5", "held": "#fff3c4", "returned": "#f6d5d5", "moved": "#d9e2f5"}
STYLE = "text{font:14px sans-serif;fill:#1a1a1a}.small{font-size:12px}rect{stroke:#444}path{fill:none;stroke:#8aa0b8}"

Row = tuple[str, str, str, int]
"""What became of it, in two lines of words, and how much."""


def picture(view: View, gift: str) -> str:
    """Draw the path of a gift; NotShown when there is no such gift."""
    found = view[gifts].get(gift)
    campaign = None if found is None else view[campaigns].get(found.campaign)
    if found is None or campaign is None:
        raise NotShown("There is no such gift; its id is in the receipt of the transaction that gave it.")
    asset = view[assets].get(campaign.asset)
    decimals = 0 if asset is None else asset.decimals
    unit = f" {campaign.asset}"
    rows = _rows(path(view, gift))
    brought = [
        f"{written(one['asked'], decimals)}{unit} asked of a match; it gave the case "
        f"{written(one['part'], decimals)} of {written(one['all_asked'], decimals)} asked in all"
        for one in matches(view, gift)
    ]
    told = [f"{written(amount, decimals)}{unit} {line}, {more}".rstrip(", ") for _, line, more, amount in rows]
    title = f"Where the gift {gift} of {written(found.amount, decimals)}{unit} went"
    text = f"Given by account {found.donor} to the case “{campaign.title}”. " + ". ".join([*told, *brought]) + "."
    height = TOP + ROW * max(len(rows), len(brought) + 1) + 16
    parts = [_box(LEFT, TOP, "#e4e4e4", f"{written(found.amount, decimals)}{unit}", f"gift {gift}")]
    parts += [_box(MIDDLE, TOP, "#e4e4e4", _cut(campaign.title), f"case {found.campaign}")]
    parts.insert(0, _flow((LEFT, TOP), (MIDDLE, TOP), THICK_MAX))
    for number, line in enumerate(brought, 1):
        parts += [_note(LEFT, TOP + number * ROW, line)]
    for number, (what, line, more, amount) in enumerate(rows):
        at = TOP + number * ROW
        parts.insert(0, _flow((MIDDLE, TOP), (RIGHT, at), max(2, amount * THICK_MAX // found.amount)))
        parts.append(_box(RIGHT, at, FILLS[what], f"{written(amount, decimals)}{unit} {_cut(line)}", more))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" lang="en" '
        f'aria-labelledby="title text"><title id="title">{escape(title)}</title><desc id="text">{escape(text)}</desc>'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff" stroke="none"/>'
        f'<g aria-hidden="true"><text x="{LEFT}" y="40">{escape(title)}</text>{"".join(parts)}</g></svg>\n'
    )


def written(amount: int | str, decimals: int) -> str:
    """Write an amount of the smallest unit as people do: 4100 with two decimals is 41.00."""
    digits = f"{int(amount):0{decimals + 1}d}"
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


VIEWS = {"path": Shown(picture, paths.state_keys, paths.bundle)}


def _rows(pieces: list[dict[str, str | int]]) -> list[Row]:
    """Put together the pieces that paid the same line, or met the same fate in the same case."""
    sums: dict[tuple[str, str, str], int] = {}
    for piece in pieces:
        what = str(piece["what"])
        if what == "paid":
            key = what, f"paid for {piece['code']}", f"line {piece['line']} of invoice {piece['claim']}"
        else:
            line = {"held": "not spent yet", "returned": "taken back", "moved": "moved on"}[what]
            key = what, line, f"case {piece['campaign']}"
        sums[key] = sums.get(key, 0) + int(piece["amount"])
    rows = [(*key, amount) for key, amount in sums.items()]
    rest = rows[ROWS_MAX:]
    if rest:
        rows = [*rows[:ROWS_MAX], ("paid", f"in {len(rest)} more ways", "see the list", sum(row[3] for row in rest))]
    return rows


def _box(left: int, top: int, fill: str, line: str, more: str) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}"/>'
        f'<text x="{left + 10}" y="{top + 20}">{escape(line)}</text>'
        f'<text class="small" x="{left + 10}" y="{top + 38}">{escape(more)}</text>'
    )


def _note(left: int, top: int, line: str) -> str:
    head, _, more = line.partition("; ")
    return (
        f'<text class="small" x="{left}" y="{top + 16}">{escape(head)}</text>'
        f'<text class="small" x="{left}" y="{top + 34}">{escape(more)}</text>'
    )


def _flow(begin: tuple[int, int], end: tuple[int, int], thick: int) -> str:
    left, top = begin[0] + BOX_WIDTH, begin[1] + BOX_HEIGHT // 2
    to, at = end[0], end[1] + BOX_HEIGHT // 2
    bend = (left + to) // 2
    return f'<path d="M{left} {top}C{bend} {top} {bend} {at} {to} {at}" stroke-width="{thick}"/>'


def _cut(text: str) -> str:
    return text if len(text) <= 32 else f"{text[:31]}…"
