"""`metrobloc replay timebank`: its options."""

from typing import Annotated

from msgspec import Meta

from metrobloc.commons.replay import Replay, Source
from metrobloc.kernel.block import Rules

DAY_MS = 86_400_000


def replay(  # noqa: PLR0913
    now_ms: int,
    *,
    town: bool = False,
    members: Annotated[int, Meta(ge=20, le=100_000)] = 5000,
    banks: Annotated[int, Meta(ge=2, le=100)] = 20,
    days: Annotated[int, Meta(ge=20, le=3660)] = 365,
    tasks_per_member: Annotated[int, Meta(ge=1, le=100)] = 6,
    seed: int = 1,
) -> Source:
    """Play a year in a drawn town: help asked for, given and confirmed, each step signed by its own member.

    town: Draw a town; there is no other source yet.
    members: People, each with a key of her own.
    banks: Time banks, one for each neighbourhood.
    days: How long the town asks for help.
    tasks_per_member: How often each asks for help or offers it in this time.
    seed: Draw another town of the same size.
    """
    from metrobloc.city.timebank.tools import plan, replay  # noqa: PLC0415  # networkx is slow to import: only here

    if not town:
        raise ValueError("Say --town: there is no public record of a time bank's work to replay.")
    if members < banks * 10:
        raise ValueError("A bank has 10 members at least: name fewer --banks or more --members.")
    size = plan.Size(members, banks, days, tasks_per_member)

    def make(rules: Rules, start_ms: int, end_ms: int) -> Replay:
        return replay.TownYear(rules, size, seed, start_ms, end_ms)

    return Source(now_ms - (days + plan.AFTER + 2) * DAY_MS, make)
