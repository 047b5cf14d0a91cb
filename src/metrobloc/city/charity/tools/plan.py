"""What a source says, made ready for a replay: cases, rounds, and where their time lies on the chain."""

from collections.abc import Callable, Sequence

from msgspec import Struct

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DONORS_MAX = 50_000
"""Keys are kept in memory: beyond this many donors, the same ones give more often."""
ROUND_MS_MIN = 1000


class Case(Struct, frozen=True):
    """What a source says of one campaign; `donors` are distinct, money is in the smallest unit."""

    title: str
    gifts: int
    donors: int
    crowd: int
    match: int = 0


class Round(Struct, frozen=True):
    """Campaigns that run together for whole days, in the source's time; number 0 where the source counts no rounds."""

    number: int
    starts_ms: int
    closes_ms: int
    cases: tuple[Case, ...]


class Plan(Struct, frozen=True):
    """A source made ready: rounds in order of time, and how chance fills what the source does not tell."""

    asset: str
    money: str
    rounds: tuple[Round, ...]
    skipped: list[str]
    sigma: float
    cases_per_donor: int
    step_ms: int
    """Gifts further apart than this, in the source's time, are not in one block."""


def match_ratio(case: Case) -> int:
    """Return the whole number of cents to add to a given cent so that the claims reach the match."""
    return -(-case.match // case.crowd)


def pool_size(round_: Round, cases_per_donor: int) -> int:
    """Return how many donors a round has when each supports about so many of its cases."""
    together = sum(case.donors for case in round_.cases) // cases_per_donor
    return max(min(together, DONORS_MAX), *(case.donors for case in round_.cases), 1)


def fit(rounds: Sequence[Round], start_ms: int, end_ms: int) -> Callable[[int], int]:
    """Return the map from the source's time into the window: none where it lies in it, else linear, never stretched."""
    first, last = rounds[0].starts_ms, rounds[-1].closes_ms
    if start_ms <= first and last <= end_ms:
        return lambda time_ms: time_ms
    span = min(end_ms - start_ms, last - first)

    def clock(time_ms: int) -> int:
        return start_ms + (time_ms - first) * span // (last - first)

    if any(clock(round_.closes_ms) - clock(round_.starts_ms) < ROUND_MS_MIN for round_ in rounds):
        raise ValueError(f"There are only {span} ms for {len(rounds)} rounds; let the replay start earlier.")
    return clock
