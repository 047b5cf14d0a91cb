"""Find circles of debts that can be struck out: everybody's position stays, and nobody owes anybody more than before.

Pure integers over a graph of debts. The shortest circle goes first, so that few have to agree on each, ties by name;
each is struck out by its smallest debt, until no circle is left. What remains depends on that order: the least gross
that any choice of circles can leave is a minimum-cost flow, and its circles are longer and harder to agree on.
"""

from collections.abc import Mapping

from msgspec import Struct

Debts = dict[str, dict[str, int]]


class Cycle(Struct, frozen=True):
    """A circle of debts: each owes the next, the last the first, at least `minutes`; it begins with its least name."""

    banks: tuple[str, ...]
    minutes: int


def cycles(debts: Mapping[tuple[str, str], int]) -> list[Cycle]:
    """Return circles to strike out one after the other; afterwards no circle is left.

    `debts` is (debtor, creditor) -> minutes; debts of nothing are passed over, a negative debt or one to oneself is a
    ValueError. Each circle ends a debt, so there are at most as many as debts (m). Each takes a breadth-first search,
    and so does each bank (n) for each length of a circle: O((m + n * n) * (n + m)) in all.
    """
    if any(minutes < 0 or debtor == creditor for (debtor, creditor), minutes in debts.items()):
        raise ValueError("a debt is a number of minutes that is not negative, to somebody else")
    left: Debts = {}
    for (debtor, creditor), minutes in sorted(debts.items()):
        if minutes:
            left.setdefault(debtor, {})[creditor] = minutes
    found = []
    while shortest := _shortest(left):
        # What is struck out makes no circle shorter: a bank that has none of this length will have none.
        for start in left:
            while ring := _shortest_through(left, start, len(shortest) + 1):
                minutes = min(left[debtor][creditor] for debtor, creditor in _edges(ring))
                for debtor, creditor in _edges(ring):
                    left[debtor][creditor] -= minutes
                    if not left[debtor][creditor]:
                        del left[debtor][creditor]
                found.append(Cycle(ring, minutes))
    return found


def _edges(ring: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(zip(ring, (*ring[1:], ring[0]), strict=True))


def _shortest(left: Debts) -> tuple[str, ...]:
    """Return the shortest circle, the first by name where several are as short; nothing when there is none."""
    best: tuple[str, ...] = ()
    for start in left:  # in the order of names, as `cycles` has put them
        ring = _shortest_through(left, start, len(best))
        best = ring or best
    return best


def _shortest_through(left: Debts, start: str, shorter_than: int) -> tuple[str, ...]:
    """Return the shortest circle through a bank if it is shorter than that (0: than anything), else nothing."""
    paths: dict[str, tuple[str, ...]] = {start: (start,)}
    queue = [start]
    for debtor in queue:
        if shorter_than and len(paths[debtor]) >= shorter_than:
            return ()
        for creditor in left.get(debtor, ()):
            if creditor == start:
                return paths[debtor]
            if creditor not in paths:
                paths[creditor] = (*paths[debtor], creditor)
                queue.append(creditor)
    return ()
