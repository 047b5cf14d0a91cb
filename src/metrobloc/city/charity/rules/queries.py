"""Questions that are more than one look-up: what all campaigns have received and paid, and where a gift has gone."""

from metrobloc.city.charity.rules.declared import app, campaigns, claims, gifts, purses, shares, spans
from metrobloc.city.charity.rules.lines import place
from metrobloc.city.charity.types.records import Gift, Purse
from metrobloc.kernel.context import View
from metrobloc.kernel.types import Id

SUMMED = (
    "campaigns", "gifts", "crowd", "charity", "company", "matched", "refunded", "returned", "settled", "moved", "held",
)  # fmt: skip
MOVES_MAX = 8
"""How often a gift is followed to another campaign; beyond that its path names the gift that goes on."""

Piece = dict[str, str | int]


@app.query
def totals(view: View) -> dict[str, dict[str, int]]:
    """Sum what all campaigns received, hold and paid, by asset.

    What has moved to another campaign counts as received there too.
    """
    sums: dict[str, dict[str, int]] = {}
    for key, campaign in view[campaigns].items():
        row = sums.setdefault(campaign.asset, dict.fromkeys(SUMMED, 0))
        row["campaigns"] += 1
        for path, purse in view[purses].items(under=f"{key}/"):
            _add(row, path.partition("/")[2], purse)
    return sums


@app.query
def statement(view: View, campaign: Id) -> dict[str, dict[str, int]]:
    """List a campaign's purses: what each received, gave back, paid, passed on and holds."""
    return {
        path.partition("/")[2]: {
            "received": purse.received,
            "refunded": purse.refunded,
            "spent": purse.spent,
            "moved": purse.moved,
            "held": purse.held,
        }
        for path, purse in view[purses].items(under=f"{campaign}/")
    }


@app.query
def path(view: View, gift: Id) -> list[Piece]:
    """Follow a gift: which lines of which invoices it has paid, what went back, and what is still held, to the fen."""
    found = view[gifts].get(gift)
    return [] if found is None else _follow(view, gift, found, (0, found.amount), MOVES_MAX)


@app.query
def matches(view: View, gift: Id) -> list[dict[str, str | int]]:
    """List the matching offers that a gift has asked, and what these gave its campaign."""
    found = view[gifts].get(gift)
    campaign = None if found is None else view[campaigns].get(found.campaign)
    if found is None or campaign is None:
        return []
    numbers = {one.offer: place(one.number) for one in campaign.offers}
    told: list[dict[str, str | int]] = []
    for asked in found.asked:
        share = view[shares].get((asked.offer, numbers[asked.offer]))
        if share is not None:
            told.append({"offer": asked.offer, "asked": asked.amount, "all_asked": share.asked, "part": share.part})
    return told


def _add(row: dict[str, int], name: str, purse: Purse) -> None:
    source = name.partition(".")[0]
    matched = source == "match"
    row["matched" if matched else source] += purse.received
    row["returned" if matched else "refunded"] += purse.refunded
    row["gifts"] += 0 if matched else purse.gifts
    row["settled"] += purse.spent
    row["moved"] += purse.moved
    row["held"] += purse.held


def _follow(view: View, key: str, gift: Gift, part: tuple[int, int], moves: int) -> list[Piece]:
    """Cut a part of a gift, counted from its own start, into what became of it."""
    at, end = gift.start + part[0], gift.start + part[1]
    about: Piece = {"gift": key, "campaign": gift.campaign, "purse": gift.purse}
    told: list[Piece] = []
    under = f"{gift.campaign}/{gift.purse}/"
    for row, span in view[spans].items(under=under, after=f"{under}{place(at)}"):
        if at >= end or span.start >= end:
            break
        if at < span.start:
            told.append({**about, "amount": span.start - at, "what": "held"})
            at = span.start
        to = min(end, int(row.rpartition("/")[2]))
        moved = view[gifts].get(span.gift) if span.what == "moved" and span.gift else None
        if moved is not None and moves:
            told += _follow(view, span.gift or "", moved, (at - span.start, to - span.start), moves - 1)
        elif span.what == "paid":
            paid = {"settlement": span.settlement or "", **_line(view, span.claim or "", span.line)}
            told.append({**about, "amount": to - at, "what": "paid", **paid})
        else:
            told.append({**about, "amount": to - at, "what": span.what})
        at = to
    if at < end:
        told.append({**about, "amount": end - at, "what": "held"})
    return told


def _line(view: View, claim_id: str, number: int) -> Piece:
    claim = view[claims].get(claim_id)
    if claim is None:
        return {}
    line = claim.lines[number]
    return {"claim": claim_id, "line": number, "code": line.code, "category": line.category, "payee": claim.payee}
