"""Draw by seeded chance what a source does not tell: who gave how much and when. Counts and sums are the source's."""

from array import array
from collections.abc import Sequence
from random import Random

from msgspec import Struct

from metrobloc.city.charity import matching
from metrobloc.city.charity.tools.plan import DAY_MS, HOUR_MS, Round

HOUR_WEIGHTS = (3, 2, 1, 1, 1, 2, 4, 6, 8, 9, 10, 10, 11, 10, 9, 9, 9, 10, 11, 13, 14, 13, 9, 5)
"""How busy each hour of a day is: quiet at night, busiest in the evening."""
SHARED = 0.3
"""The part of the gifts that follow another one, because somebody shared the campaign."""
ECHO_MS = 20 * 60_000
"""How long after the gift that it follows such a gift comes, on average."""

_WEIGHT_ONE = 1 << 20


class Gifts(Struct, frozen=True):
    """The gifts of a round in four columns, and the order of their moments (milliseconds since the round's start)."""

    cases: Sequence[int]
    donors: Sequence[int]
    amounts: Sequence[int]
    moments: Sequence[int]
    order: Sequence[int]


def draw(round_: Round, chance: Random, sigma: float, pool: int) -> Gifts:
    """Draw a round's gifts, each case's donors from the same pool; `sigma` is the spread of the amounts' logarithm."""
    cases, donors, amounts, moments = (array("q") for _ in range(4))
    span_ms = round_.closes_ms - round_.starts_ms
    for place, case in enumerate(round_.cases):
        cases.extend([place] * case.gifts)
        donors.extend(draw_donors(chance, case.gifts, case.donors, pool))
        amounts.extend(draw_amounts(chance, case.gifts, case.crowd, sigma))
        moments.extend(draw_moments(chance, case.gifts, span_ms))
    order = array("q", sorted(range(len(moments)), key=moments.__getitem__))
    return Gifts(cases, donors, amounts, moments, order)


def draw_amounts(chance: Random, gifts: int, total: int, sigma: float) -> list[int]:
    """Split `total` into log-normal gifts of at least 1 by largest remainders; they sum to it exactly."""
    weights = [int(chance.lognormvariate(0, sigma) * _WEIGHT_ONE) + 1 for _ in range(gifts)]
    return [1 + part for part in matching.split(total - gifts, weights)]


def draw_donors(chance: Random, gifts: int, distinct: int, pool: int) -> list[int]:
    """Name each gift's donor by a number below `pool`; exactly `distinct` ones give, some of them again."""
    chosen = chance.sample(range(pool), distinct)
    return chosen + chance.choices(chosen, k=gifts - distinct)


def draw_moments(chance: Random, gifts: int, span_ms: int) -> list[int]:
    """Place gifts in whole days: by the hour's weight, or soon after another gift, so that they come in bursts.

    The second kind makes it a Hawkes process (in its branching form) that is held to a number of gifts.
    """
    hours = chance.choices(range(len(HOUR_WEIGHTS)), HOUR_WEIGHTS, k=gifts)
    moments: list[int] = []
    for hour in hours:
        moment = span_ms
        if moments and chance.random() < SHARED:
            moment = chance.choice(moments) + int(chance.expovariate(1 / ECHO_MS))
        if moment >= span_ms:
            moment = chance.randrange(span_ms // DAY_MS) * DAY_MS + hour * HOUR_MS + chance.randrange(HOUR_MS)
        moments.append(moment)
    return moments
