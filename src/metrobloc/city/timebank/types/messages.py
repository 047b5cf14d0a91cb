"""What is signed: each message is one deed of a member, a coordinator or the city office."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.city.timebank.types.records import (
    BANKS_MAX,
    MINUTES_MAX,
    Kind,
    Level,
    Limit,
    Minutes,
    Skills,
    Slots,
)
from metrobloc.kernel.types import AccountId, Amount, Commitment, Id, Message, Public, Signature, Slug, TimeMs

Ring = Annotated[tuple[Slug, ...], Meta(min_length=3, max_length=BANKS_MAX)]
Judged = Annotated[int, Meta(ge=0, le=MINUTES_MAX)]


class RegisterBank(Message):
    """Admit a time bank: its coordinator, its licence, and how far its members and its pot may owe."""

    bank: Slug
    name: Public
    coordinator: AccountId
    level: Level
    licence_until_ms: TimeMs
    min_minutes: Limit
    max_minutes: Limit
    pot_min_minutes: Limit


class Suspend(Message):
    """Let a bank only wind down from now on."""

    bank: Slug


class Resume(Message):
    """Let a suspended bank work again."""

    bank: Slug


class Renew(Message):
    """Give a bank's licence another end."""

    bank: Slug
    licence_until_ms: TimeMs


class SetCoordinator(Message):
    """Put a bank into the hands of another coordinator."""

    bank: Slug
    coordinator: AccountId


class CloseBank(Message):
    """Close a bank in which nothing is left."""

    bank: Slug


class Join(Message):
    """Apply for membership of a bank."""

    bank: Slug


class Verify(Message):
    """Vouch for a member: what she can do, whom she may help, how far she may owe and save."""

    member: AccountId
    level: Level
    min_minutes: Limit
    max_minutes: Limit
    skills: Skills = ()


class Leave(Message):
    """Leave one's bank with nothing owed and nothing saved."""


class Move(Message):
    """Move to another bank and take one's minutes, or one's debt, along."""

    bank: Slug


class Exclude(Message):
    """Withdraw the bank's word for a member who owes nothing and has nothing under way."""

    member: AccountId


class Release(Message):
    """Offer help or ask for it: what, where, when, how long, how often."""

    kind: Kind
    skill: Slug
    title: Public
    place: Public
    minutes_max: Minutes
    from_ms: TimeMs
    until_ms: TimeMs
    slots: Slots = 1
    level: Level = 0


class ReleaseFor(Message):
    """Ask for help for a member that the bank's pot pays."""

    member: AccountId
    skill: Slug
    title: Public
    place: Public
    minutes_max: Minutes
    from_ms: TimeMs
    until_ms: TimeMs
    slots: Slots = 1
    level: Level = 0


class CancelTask(Message):
    """Take a task back; what is claimed already stays agreed."""

    task: Id


class Claim(Message):
    """Take one slot of a task."""

    task: Id


class Drop(Message):
    """Give a claimed slot back before it has begun."""

    service: Id


class CheckIn(Message):
    """Say that the help begins now."""

    service: Id


class CheckOut(Message):
    """Say, as the helper, that the help ends now."""

    service: Id


class UploadCheck(Message):
    """Hand in when help began or ended, by a code that the other side signed without a network (`checks.code`)."""

    service: Id
    what: Literal["in", "out"]
    at_ms: TimeMs
    signature: Signature


class Confirm(Message):
    """Say how many minutes the help took."""

    service: Id
    minutes: Minutes


class Dispute(Message):
    """Call the coordinator to decide, with a commitment to the reason."""

    service: Id
    reason: Commitment


class Resolve(Message):
    """Decide a dispute: how many minutes are paid."""

    service: Id
    minutes: Judged


class Transfer(Message):
    """Give minutes to another member, of whatever bank."""

    to: AccountId
    minutes: Amount
    note: Commitment | None = None


class Donate(Message):
    """Give minutes to the pot of one's bank."""

    minutes: Amount
    note: Commitment | None = None


class SetLine(Message):
    """Say how much a bank and another may owe each other; the smaller of the two offers holds."""

    bank: Slug
    other: Slug
    minutes: Limit


class ClearCycle(Message):
    """Strike out debts that run in a circle: each bank owes the next, the last the first."""

    banks: Ring
    minutes: Amount
