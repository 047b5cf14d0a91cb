"""What is remembered: banks, members, tasks, services, the lines between banks, the days of helpers."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import AccountId, Id, Public, Record, Slug, TimeMs, Total

MINUTE_MS = 60_000
MINUTES_MAX = 720
BANKS_MAX = 16
SPANS_MAX = 48
SERVICES_MAX = 32

Minutes = Annotated[int, Meta(ge=1, le=MINUTES_MAX)]
"""The minutes of one service: at most half a day."""

Limit = Annotated[int, Meta(ge=0, le=100_000_000)]
"""How far minutes may be owed or saved: 190 years at most, so that no sum leaves the ledger's range."""

Level = Annotated[int, Meta(ge=0, le=3)]
"""How carefully somebody was checked for work with people in need: 0 not at all, 3 as for a nurse."""

Slots = Annotated[int, Meta(ge=1, le=16)]
Kind = Literal["offer", "request"]
Skills = Annotated[tuple[Slug, ...], Meta(max_length=16)]
Services = Annotated[tuple[Id, ...], Meta(max_length=SERVICES_MAX)]


class Bank(Record):
    """A time bank; it counts its members, the open services its book pays for, and the lines that it offers."""

    name: Public
    coordinator: AccountId
    level: Level
    licence_until_ms: TimeMs
    min_minutes: Limit
    max_minutes: Limit
    pot_min_minutes: Limit
    state: Literal["open", "suspended", "closed"] = "open"
    members: Total = 0
    services: Total = 0
    lines: Total = 0


class Member(Record):
    """A person in her bank: what it vouches for, her limits, and what open services hold of hers or promise her."""

    bank: Slug
    min_minutes: Limit
    max_minutes: Limit
    state: Literal["applied", "verified", "excluded"] = "applied"
    level: Level = 0
    skills: Skills = ()
    reserved_minutes: Total = 0
    incoming_minutes: Total = 0
    services: Services = ()


class Task(Record):
    """Help offered or asked for by a member, or asked for her by the coordinator where the pot pays."""

    kind: Kind
    bank: Slug
    member: AccountId
    skill: Slug
    title: Public
    place: Public
    minutes_max: Minutes
    from_ms: TimeMs
    until_ms: TimeMs
    slots: Slots
    level: Level
    deadline: Id
    from_pot: bool = False
    claimed: Total = 0
    state: Literal["open", "cancelled", "expired"] = "open"


class Service(Record):
    """A claimed slot: who helps whom, what its escrow holds, when it was, and what has been said about it.

    `bank` is the payer's, whose book holds the escrow. `due_ms` is when the minutes go back, or after a first
    confirmation are paid, by themselves; 0 when they do neither. `in_ms` and `out_ms` are 0 until they are known; where
    nobody has checked out, the decision of a dispute sets `out_ms`.
    """

    task: Id
    helper: AccountId
    receiver: AccountId
    bank: Slug
    helper_bank: Slug
    minutes_max: Minutes
    claimed_ms: TimeMs
    due_ms: TimeMs
    deadline: Id
    from_pot: bool = False
    state: Literal["claimed", "begun", "done", "said", "disputed", "paid", "resolved", "dropped", "expired"] = "claimed"
    in_ms: TimeMs = 0
    out_ms: TimeMs = 0
    said_by: AccountId | None = None
    said_minutes: Total = 0
    minutes: Total = 0

    @property
    def is_open(self) -> bool:
        """Whether the escrow still holds the minutes."""
        return self.state in ("claimed", "begun", "done", "said", "disputed")

    @property
    def limit_minutes(self) -> int:
        """What can be paid at most: the whole minutes between check-in and check-out, up to what was agreed."""
        return min(self.minutes_max, max(0, self.out_ms - self.in_ms) // MINUTE_MS)


class Line(Record):
    """What two banks (in the order of their names) let each other owe, and what open services may still add.

    `first_reserved_minutes` may come to be owed by the first to the second, `second_reserved_minutes` the other way.
    """

    first_offer_minutes: Limit = 0
    second_offer_minutes: Limit = 0
    first_reserved_minutes: Total = 0
    second_reserved_minutes: Total = 0

    @property
    def limit_minutes(self) -> int:
        """What either may owe the other."""
        return min(self.first_offer_minutes, self.second_offer_minutes)


class Span(Record):
    """A time of help, without its last instant."""

    from_ms: TimeMs
    to_ms: TimeMs


Spans = Annotated[tuple[Span, ...], Meta(max_length=SPANS_MAX)]


class Day(Record):
    """When a helper was confirmed on one day (UTC); help across midnight stands in both."""

    spans: Spans
