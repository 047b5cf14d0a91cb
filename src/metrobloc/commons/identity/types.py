"""The nouns of identity: accounts, institutions, people who act for them, sessions, guardians, persons."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.system import Ceilings
from metrobloc.kernel.types import (
    AccountId,
    BoxKey,
    Code,
    Digest,
    Event,
    Id,
    Key,
    KeyName,
    Message,
    Public,
    Record,
    Slug,
    TimeMs,
    Total,
)

NewKeys = Annotated[tuple[Key, ...], Meta(min_length=1, max_length=8)]
"""Keys that an account will have; each signs the transaction that names it."""

Threshold = Annotated[int, Meta(ge=1, le=8)]
"""How many must sign or agree."""

Guardians = Annotated[tuple[AccountId, ...], Meta(max_length=8)]
Needed = Annotated[int, Meta(ge=0, le=8)]
Granted = Annotated[tuple[Code, ...], Meta(min_length=1, max_length=32)]
"""What may be done: names of actions (`charity.give`) or of whole modules (`charity`)."""


class Register(Message):
    """Open an account for a key."""

    key: Key


class Accredit(Message):
    """Name an institution and give it a role and a quota."""

    account: AccountId
    name: Public
    role: Slug
    quota_per_hour: Total
    until_ms: TimeMs = 0


class Name(Message):
    """Give an institution its public name, without a role."""

    institution: AccountId
    name: Public


class Revoke(Message):
    """Take a role from an account."""

    account: AccountId
    role: Slug


class Suspend(Message):
    """Let an institution's roles count for nothing until a time."""

    institution: AccountId
    until_ms: TimeMs


class Resume(Message):
    """End an institution's suspension."""

    institution: AccountId


class Succeed(Message):
    """Let one institution take the place of another for good."""

    institution: AccountId
    successor: AccountId


class Rotate(Message):
    """Replace the actor's keys after the delay; sessions and mandates then end, unless they are kept."""

    keys: NewKeys
    threshold: Threshold = 1
    keeps_delegated: bool = False


class NameGuardians(Message):
    """Name who can together give the actor's account new keys, after the delay."""

    guardians: Guardians
    needed: Needed


class Recover(Message):
    """Ask, as a guardian, that an account whose keys are lost or stolen gets new ones."""

    account: AccountId
    keys: NewKeys
    threshold: Threshold = 1


class Support(Message):
    """Agree, as another guardian, to a recovery."""

    recovery: Id


class Reissue(Message):
    """Give an account new keys that no guardians can give it, after a longer delay."""

    account: AccountId
    keys: NewKeys
    threshold: Threshold = 1


class Veto(Message):
    """Object to the change that is under way on an account: the actor's own, or one that she guards."""

    account: AccountId | None = None


class Arbitrate(Message):
    """Decide about a change that was objected to."""

    account: AccountId
    verdict: Literal["granted", "dismissed"]


class Freeze(Message):
    """Stop all that an account can do for some days, to gain time: the actor's own, or one that she guards."""

    account: AccountId | None = None


class Mandate(Message):
    """Let a person act for the actor, within a scope and until a time."""

    person: AccountId
    scope: Granted
    until_ms: TimeMs
    ceilings: Ceilings = ()


class EndMandate(Message):
    """End a person's mandate, as either side of it."""

    institution: AccountId
    person: AccountId


class OpenSession(Message):
    """Let a key that lies less safely do some things in the actor's name."""

    key: Key
    scope: Granted
    until_ms: TimeMs
    ceilings: Ceilings = ()


class CloseSession(Message):
    """End a session before its time; its key need not sign."""

    session: KeyName


class Vouch(Message):
    """Confirm that an account belongs to one person, who has no other."""

    account: AccountId
    nullifier: Digest


class Disclaim(Message):
    """Take back that an account belongs to one person."""

    account: AccountId


class ShowBoxKey(Message):
    """Show the key for which others encrypt what only the actor may read."""

    box_key: BoxKey


class Institution(Record):
    """An institution as the city office knows it."""

    name: Public
    since_ms: TimeMs
    suspended_ms: TimeMs = 0
    suspended_until_ms: TimeMs = 0
    successor: AccountId | None = None


class Guardianship(Record):
    """Who can give an account new keys, and how many of them must agree."""

    guardians: Guardians
    needed: Needed


class Recovery(Record):
    """What guardians ask for an account, until enough of them agree."""

    account: AccountId
    keys: NewKeys
    threshold: Threshold
    supporters: Guardians
    until_ms: TimeMs
    deadline: Id


class Change(Record):
    """What is about to change on an account: its keys, its guardians, or who acts in its place.

    It takes effect at `from_ms`, unless somebody vetoes it before: then whoever arbitrates decides.
    """

    by: Literal["owner", "guardians", "office"]
    from_ms: TimeMs
    keys: Annotated[tuple[Key, ...], Meta(max_length=8)] = ()
    guardianship: Guardianship | None = None
    successor: AccountId | None = None
    supporters: Guardians = ()
    objector: AccountId | None = None


class Person(Record):
    """The one account of a person whom the city office has seen."""

    account: AccountId
    since_ms: TimeMs


class Vouched(Record):
    """Which person an account belongs to, under the name that only the city office can give."""

    nullifier: Digest
    quota_before: Total = 0


class BoxKeyShown(Record):
    """The key for which an account wants private things encrypted."""

    box_key: BoxKey
    since_ms: TimeMs


class Named(Event):
    """An institution has a public name."""

    institution: AccountId
    name: Public


class Registered(Event):
    """An account was opened."""

    account: AccountId
    payer: AccountId


class Accredited(Event):
    """An institution received a role."""

    account: AccountId
    role: Slug


class Revoked(Event):
    """An account lost a role."""

    account: AccountId
    role: Slug


class Suspended(Event):
    """An institution's roles count for nothing for a while."""

    institution: AccountId
    until_ms: TimeMs


class Resumed(Event):
    """An institution's roles count again."""

    institution: AccountId


class Succeeded(Event):
    """An institution has taken the place of another."""

    institution: AccountId
    successor: AccountId


class Changing(Event):
    """Keys or guardians of an account will change, or who acts in its place."""

    account: AccountId
    by: Literal["owner", "guardians", "office"]
    from_ms: TimeMs


class RecoveryAsked(Event):
    """A guardian has asked that an account gets new keys."""

    account: AccountId
    recovery: Id


class Supported(Event):
    """A guardian agrees to a recovery."""

    recovery: Id
    guardian: AccountId


class Vetoed(Event):
    """Somebody objected to a change, and the account is frozen until it is decided."""

    account: AccountId
    by: AccountId


class Arbitrated(Event):
    """A change that was objected to has been decided."""

    account: AccountId
    verdict: Literal["granted", "dismissed"]


class Frozen(Event):
    """An account can do nothing but defend itself until a time."""

    account: AccountId
    until_ms: TimeMs


class Mandated(Event):
    """A person may act for an institution."""

    institution: AccountId
    person: AccountId
    until_ms: TimeMs


class MandateEnded(Event):
    """A person may no longer act for an institution."""

    institution: AccountId
    person: AccountId


class SessionOpened(Event):
    """A key may do some things in an account's name."""

    account: AccountId
    session: KeyName
    until_ms: TimeMs


class SessionClosed(Event):
    """A session has ended before its time."""

    account: AccountId
    session: KeyName


class VouchedFor(Event):
    """The city office has confirmed that an account belongs to one person."""

    account: AccountId


class Disclaimed(Event):
    """The city office no longer confirms that an account belongs to one person."""

    account: AccountId


class BoxKeyChanged(Event):
    """An account shows another key for private things."""

    account: AccountId
    box_key: BoxKey
