"""The lines on which money lies in purses: what is put on, what is taken from the front, and the holes in between.

Gifts lie one behind the other in the order in which they came, so that for every fen there is one place, and the spans
over that place say what became of it. Payments take a line from its front. A refund leaves a hole, which is a span too,
and payments skip it. A span's key says where it ends: the first one that ends beyond a place is the one that covers it.
"""

from collections.abc import Callable

from msgspec import Struct

from metrobloc.city.charity.rules.declared import by_line, campaigns, purses, spans
from metrobloc.city.charity.types.records import Purse, Span
from metrobloc.kernel.context import Ctx

Piece = tuple[int, int]
"""Where a piece of a line starts, and where it ends."""

Key = tuple[str, str]
"""A purse: its campaign and its name."""


class Taken(Struct, frozen=True):
    """What was taken from a line: how much, and how many steps that took."""

    amount: int
    steps: int


def put(ctx: Ctx, key: Key, amount: int) -> int:
    """Put money at the end of a purse's line; return where it starts."""
    purse = ctx[purses].get(key)
    if purse is None:
        purse = Purse()
        campaign = ctx[campaigns][key[0]]
        ctx[campaigns][key[0]] = campaign.but(purses=(*campaign.purses, key[1]))
    ctx[purses][key] = purse.but(received=purse.received + amount, gifts=purse.gifts + 1)
    return purse.received


def take(ctx: Ctx, key: Key, most: int, steps_max: int, span: Callable[[Piece], Span]) -> Taken:
    """Take up to `most` from the front of a purse's line, in at most so many pieces and holes; write what `span` says.

    The caller moves the money. What is taken counts as moved where the spans say so, and as spent otherwise.
    """
    purse = ctx[purses][key]
    found, used, steps = _pieces(ctx, key, purse, most, steps_max)
    spent = moved = 0
    for piece in found:
        written = span(piece)
        note(ctx, written, piece[1])
        spent += piece[1] - piece[0] if written.what == "paid" else 0
        moved += piece[1] - piece[0] if written.what == "moved" else 0
    ctx[purses][key] = purse.but(used=used, spent=purse.spent + spent, moved=purse.moved + moved)
    return Taken(spent + moved, steps)


def give_back(ctx: Ctx, key: Key, piece: Piece, gift: str | None = None) -> int:
    """Leave a hole where a piece of a line has not been used yet; return how much goes back, which the caller moves."""
    purse = ctx[purses][key]
    start, end = max(piece[0], purse.used), piece[1]
    if start >= end:
        return 0
    note(ctx, Span(*key, start, "returned", gift), end)
    ctx[purses][key] = purse.but(refunded=purse.refunded + end - start)
    return end - start


def note(ctx: Ctx, span: Span, end: int) -> None:
    """Write what became of a piece of a line."""
    ctx[spans][span.campaign, span.purse, place(end)] = span


def place(at: int) -> str:
    """Write a place on a line so that places sort as numbers do."""
    return f"{at:016d}"


def _pieces(ctx: Ctx, key: Key, purse: Purse, most: int, steps_max: int) -> tuple[list[Piece], int, int]:
    """Find what is free from the front on; return the pieces, up to where the line is used then, and the steps."""
    found: list[Piece] = []
    at, left, steps = purse.used, most, 0
    under = "/".join(key)
    for row in ctx.keys(by_line, under, f"{under}/{place(at)}"):
        if not left or steps >= steps_max:
            return found, at, steps
        ends = row.rpartition("/")[2]
        hole = ctx[spans][(*key, ends)]
        if at < hole.start:
            end = min(hole.start, at + left)
            found.append((at, end))
            left -= end - at
            at, steps = end, steps + 1
        if at == hole.start and steps < steps_max:
            at, steps = int(ends), steps + 1
    if left and at < purse.received and steps < steps_max:
        end = min(purse.received, at + left)
        found.append((at, end))
        at, steps = end, steps + 1
    return found, at, steps
