"""The nouns of acts: bundles of calls, and who has approved them."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.envelope import CALLS_MAX
from metrobloc.kernel.types import (
    AccountId,
    Code,
    Digest,
    Document,
    Event,
    Id,
    Key,
    KeyName,
    Message,
    Record,
    TimeMs,
    Total,
    Who,
)


class Call(Record):
    """One call of an act: who does what, with which message, written as the canonical JSON that a transaction has."""

    actor: AccountId
    do: Code
    message: Document


Calls = Annotated[tuple[Call, ...], Meta(min_length=1, max_length=CALLS_MAX)]
Kept = Annotated[tuple[Call, ...], Meta(max_length=CALLS_MAX)]
Named = Annotated[tuple[KeyName, ...], Meta(max_length=16)]
Ended = Literal["executed", "declined", "cancelled", "lapsed"]
Actors = Annotated[tuple[AccountId, ...], Meta(max_length=CALLS_MAX)]


class Propose(Message):
    """Propose calls that are done together once every actor in them has approved; keys that they name sign this."""

    calls: Calls
    until_ms: TimeMs
    keys: Annotated[tuple[Key, ...], Meta(max_length=16)] = ()


class Approve(Message):
    """Approve an act, whose content is what has this hash."""

    act: Id
    bundle: Digest


class Withdraw(Message):
    """Take back one's approval of an act that others have not approved yet."""

    act: Id


class Decline(Message):
    """End an act that asks something of the sender."""

    act: Id


class Cancel(Message):
    """End an act that the sender has proposed."""

    act: Id


class Bundle(Record):
    """What is approved: the SHA-256 of this record's canonical JSON names it."""

    calls: Calls
    keys: Named
    proposer: AccountId
    rules: Total
    until_ms: TimeMs


class Consent(Record):
    """Who approved an act that was executed: an account, and who signed for it where that was a delegate."""

    account: AccountId
    delegate: Who | None = None


class Act(Record):
    """A bundle of calls and what became of it.

    What was executed is kept whole, and can be proved for ever; of what came to nothing the hash is.
    """

    proposer: AccountId
    bundle: Digest
    rules: Total
    until_ms: TimeMs
    deadline: Id
    calls: Kept = ()
    keys: Named = ()
    result: Literal["open", "executed", "declined", "cancelled", "lapsed"] = "open"
    ended_ms: TimeMs = 0
    ended_height: Total = 0
    consents: Annotated[tuple[Consent, ...], Meta(max_length=CALLS_MAX)] = ()


class Party(Record):
    """One actor of an open act; with `standing` it has approved, as whatever that is the SHA-256 of."""

    until_ms: TimeMs
    standing: Digest | None = None
    delegate: Who | None = None
    given_ms: TimeMs = 0


class Proposed(Event):
    """An act waits for its actors' approvals."""

    act: Id
    proposer: AccountId
    bundle: Digest
    until_ms: TimeMs
    actors: Actors


class Approved(Event):
    """An actor has approved an act."""

    act: Id
    account: AccountId
    delegate: Who | None = None


class Withdrawn(Event):
    """An actor has taken back an approval."""

    act: Id
    account: AccountId


class Executed(Event):
    """All have approved an act, and all its calls are done."""

    act: Id


class Declined(Event):
    """An act has ended because somebody in it does not want it."""

    act: Id
    account: AccountId


class Cancelled(Event):
    """An act has ended because its proposer takes it back."""

    act: Id


class Lapsed(Event):
    """An act's time has run out."""

    act: Id
