"""The arithmetic of matching: exact, in integers, and the same in whatever order the gifts came."""

from collections.abc import Sequence
from fractions import Fraction
from heapq import heapify, heapreplace
from math import isqrt

SCALE = 10_000
"""Square roots are kept to a ten-thousandth of the smallest unit's."""


def claim(amount: int, numerator: int, denominator: int, gift_max: int) -> int:
    """Return what one gift asks of an offer: its ratio, rounded down, at most the cap for a gift."""
    return min(amount * numerator // denominator, gift_max)


def root(amount: int) -> int:
    """Return the square root of an amount, times `SCALE`, rounded down."""
    return isqrt(amount * SCALE * SCALE)


def quadratic(given: int, roots: int) -> int:
    """Return what a quadratic round adds to what was given: the square of the roots' sum, less what was given.

    Buterin, Hitzig, Weyl, "A Flexible Design for Funding Public Goods" (2019), section 4.1.
    """
    return max(0, roots * roots // (SCALE * SCALE) - given)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights` by largest remainders, ties to the earlier; the parts sum to `total`.

    The largest-remainder method (Hamilton). `weights` must not all be zero; no part exceeds its weight if `total` does
    not exceed their sum.
    """
    whole = sum(weights)
    if whole <= 0 or total < 0:
        raise ValueError("a split needs a weight and a total that is not negative")
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


def allot(pool: int, wanted: Sequence[int]) -> list[int]:
    """Return what each campaign gets of a pool: what it wants, or its proportion where the pool runs short.

    A divisor method (Sainte-Laguë): all wanted units stand in one queue, a campaign's k-th of w at (2k - 1) / 2w, ties
    to the earlier campaign, and the pool pays that queue from its front. The queue does not depend on the pool, so a
    larger pool lowers nobody's part, which largest remainders do not promise. The parts sum to the pool.
    """
    whole, count = sum(wanted), len(wanted)
    if whole <= pool:
        return list(wanted)
    # Rounding adds at most half a unit each, so these parts, all before (pool - count) / whole, are not too many.
    sure = max(0, pool - count)
    parts = [(2 * sure * want + whole) // (2 * whole) for want in wanted]
    queue = [(Fraction(2 * parts[i] + 1, 2 * want), i) for i, want in enumerate(wanted) if want]
    heapify(queue)
    for _ in range(pool - sum(parts)):
        i = queue[0][1]
        parts[i] += 1
        heapreplace(queue, (Fraction(2 * parts[i] + 1, 2 * wanted[i]), i))
    return parts
