"""What is told: one event for each thing that has happened."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.city.timebank.types.records import BANKS_MAX, Kind, Level, Limit
from metrobloc.kernel.types import AccountId, Amount, Commitment, Event, Id, Public, Signed, Slug, TimeMs, Total

Banks = Annotated[tuple[Slug, ...], Meta(max_length=BANKS_MAX)]


class Admitted(Event):
    """A bank was admitted."""

    bank: Slug
    coordinator: AccountId


class Suspended(Event):
    """A bank only winds down."""

    bank: Slug


class Resumed(Event):
    """A bank works again."""

    bank: Slug


class Renewed(Event):
    """A bank's licence has another end."""

    bank: Slug
    licence_until_ms: TimeMs


class Appointed(Event):
    """A bank has another coordinator."""

    bank: Slug
    coordinator: AccountId


class Closed(Event):
    """A bank was closed."""

    bank: Slug


class Joined(Event):
    """Somebody has applied to a bank."""

    bank: Slug
    member: AccountId


class Verified(Event):
    """A bank vouches for a member."""

    bank: Slug
    member: AccountId
    level: Level


class Left(Event):
    """A member has left."""

    bank: Slug
    member: AccountId


class Moved(Event):
    """A member has moved to another bank, with her minutes or her debt."""

    member: AccountId
    bank: Slug
    to_bank: Slug
    minutes: Signed


class Excluded(Event):
    """A bank no longer vouches for a member."""

    bank: Slug
    member: AccountId


class Released(Event):
    """Help is offered or asked for."""

    task: Id
    bank: Slug
    kind: Kind
    skill: Slug
    title: Public


class Cancelled(Event):
    """A task was taken back."""

    task: Id


class Lapsed(Event):
    """A task's window is over."""

    task: Id


class Claimed(Event):
    """A slot was claimed; its minutes are set aside."""

    service: Id
    task: Id
    helper: AccountId
    receiver: AccountId
    minutes: Amount


class Dropped(Event):
    """A claimed slot was given back, and its minutes."""

    service: Id


class Begun(Event):
    """Help has begun."""

    service: Id
    at_ms: TimeMs


class Done(Event):
    """Help has ended."""

    service: Id
    at_ms: TimeMs


class Confirmed(Event):
    """One side has said how long it took; the other has until `due_ms` to answer."""

    service: Id
    by: AccountId
    minutes: Amount
    due_ms: TimeMs


class Paid(Event):
    """The helper has the minutes; both sides said so, or the second said nothing in time."""

    service: Id
    helper: AccountId
    minutes: Amount


class Expired(Event):
    """The minutes went back: nobody confirmed, or the helper was somewhere else at that time."""

    service: Id
    reason: Literal["unconfirmed", "overlaps"]


class Disputed(Event):
    """The coordinator is called."""

    service: Id
    reason: Commitment


class Resolved(Event):
    """A dispute was decided: the helper has so many minutes, the rest went back."""

    service: Id
    helper: AccountId
    minutes: Total


class Transferred(Event):
    """Minutes were given to a member."""

    source: AccountId
    target: AccountId
    minutes: Amount
    note: Commitment | None = None


class Donated(Event):
    """Minutes were given to a pot."""

    bank: Slug
    minutes: Amount
    note: Commitment | None = None


class Offered(Event):
    """A bank has said how much it and another may owe each other."""

    bank: Slug
    other: Slug
    minutes: Limit


class Cleared(Event):
    """Debts in a circle were struck out."""

    banks: Banks
    minutes: Amount
