"""The arithmetic of matching: exact, in integers, and the same in whatever order the gifts came."""

from collections.abc import Sequence


def claim(amount: int, numerator: int, denominator: int, gift_max: int) -> int:
    """Return what one gift asks of an offer: its ratio, rounded down, at most the cap for a gift."""
    return min(amount * numerator // denominator, gift_max)


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


def settle_pool(pool: int, claimed: Sequence[int], campaign_max: int) -> list[int]:
    """Return what each campaign gets of a pool: its claims up to the cap, pro rata where the pool runs short."""
    wanted = [min(claims, campaign_max) for claims in claimed]
    return wanted if sum(wanted) <= pool else split(pool, wanted)
