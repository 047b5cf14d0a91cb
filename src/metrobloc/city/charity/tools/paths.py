"""The path of a gift as a file that anybody can check: the records it follows from, each with its proof, at one height.

The format is `metrobloc-path/1`, described in docs/proofs.md; `verify.py` checks it. A gift lies on its purse's line,
so the file holds the gift, its campaign, the purse, the spans over its place, the invoices that these paid and its
campaign's shares of matching offers; the same again where a part of it has moved to another campaign. The account of
each campaign's charity is there too, and what institutions and money are called, so that a receipt which the charity
has signed can be checked against it.
"""

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Raw

from metrobloc.city.charity.rules.declared import campaigns, claims, gifts, purses, shares, spans
from metrobloc.city.charity.rules.lines import place
from metrobloc.city.charity.rules.queries import MOVES_MAX
from metrobloc.city.charity.types.records import Gift, Span
from metrobloc.commons.identity.rules import institutions
from metrobloc.commons.money.rules import assets
from metrobloc.commons.views import NotShown
from metrobloc.kernel import codec, system
from metrobloc.kernel.context import View

FORMAT = "metrobloc-path/1"
PIECES_MAX = 256
"""A file has at most 1 MiB, which is room for about so many pieces."""


class _Bundle(msgspec.Struct, frozen=True):
    """What the bundle takes of a proof file."""

    chain: str
    header: Raw
    record: Raw
    trust: Raw


def state_keys(view: View, gift: str) -> list[str]:
    """List the state keys of the records from which a gift's path follows, in their order; NotShown without a gift."""
    found = view[gifts].get(gift)
    if found is None:
        raise NotShown("There is no such gift; its id is in the receipt of the transaction that gave it.")
    keys: dict[str, None] = {}
    pieces = 0
    for key in _keys(view, gift, found, (0, found.amount), MOVES_MAX):
        keys[key] = None
        pieces += key.startswith(spans.prefix)
        if pieces > PIECES_MAX:
            raise NotShown(f"The gift went into more than {PIECES_MAX} pieces; prove their spans one by one.")
    return sorted(keys)


def spans_over(view: View, gift: Gift, part: tuple[int, int]) -> Iterator[tuple[str, Span]]:
    """Yield the spans over a part of a gift's place (counted from its start), each under its key."""
    under = f"{gift.campaign}/{gift.purse}/"
    for key, span in view[spans].items(under=under, after=f"{under}{place(gift.start + part[0])}"):
        if span.start >= gift.start + part[1]:
            return
        yield key, span


def bundle(gift: str, files: Iterable[bytes]) -> bytes:
    """Put the proof files of a path's records, all of one height, into one file under one checkpoint."""
    parts = [msgspec.json.decode(file, type=_Bundle) for file in files]
    if len({bytes(part.header) for part in parts}) != 1:
        raise ValueError("The proofs of a path are of one height.")
    whole = {
        "chain": parts[0].chain,
        "format": FORMAT,
        "gift": gift,
        "header": parts[0].header,
        "records": [part.record for part in parts],
        "trust": parts[0].trust,
    }
    return codec.encode(whole) + b"\n"


def _keys(view: View, key: str, gift: Gift, part: tuple[int, int], moves: int) -> Iterator[str]:
    yield gifts.path(key)
    yield purses.path((gift.campaign, gift.purse))
    yield campaigns.path(gift.campaign)
    campaign = view[campaigns].get(gift.campaign)
    assert campaign is not None, "a gift has a campaign"
    yield system.accounts.path(campaign.charity)
    yield assets.path(campaign.asset)
    yield from _institution(view, campaign.charity)
    numbers = {one.offer: place(one.number) for one in campaign.offers}
    for asked in gift.asked:
        yield shares.path((asked.offer, numbers[asked.offer]))
    at, last = gift.start + part[0], gift.start + part[1]
    for row, span in spans_over(view, gift, part):
        yield f"{spans.prefix}{row}"
        claim = None if span.claim is None else view[claims].get(span.claim)
        if claim is not None:
            yield claims.path(span.claim or "")
            yield from _institution(view, claim.payee)
        moved = view[gifts].get(span.gift) if span.what == "moved" and span.gift else None
        if moved is not None and moves:
            first, end = max(at, span.start), min(last, int(row.rpartition("/")[2]))
            yield from _keys(view, span.gift or "", moved, (first - span.start, end - span.start), moves - 1)


def _institution(view: View, account: str) -> Iterator[str]:
    """Yield where an institution's name stands, if it has one."""
    if view[institutions].get(account) is not None:
        yield institutions.path(account)
