"""The nouns of identity: registrations, accreditations, changes of keys."""

from metrobloc.kernel.types import AccountId, BoxKey, Event, Key, Message, Public, Record, Slug, TimeMs, Total


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


class Revoke(Message):
    """Take a role from an account."""

    account: AccountId
    role: Slug


class Rotate(Message):
    """Replace the actor's key by a new one after the delay."""

    key: Key


class Veto(Message):
    """Stop the change of keys that is under way on the actor's account."""


class ShowBoxKey(Message):
    """Show the key for which others encrypt what only the actor may read."""

    box_key: BoxKey


class BoxKeyShown(Record):
    """The key for which an account wants private things encrypted."""

    box_key: BoxKey
    since_ms: TimeMs


class BoxKeyChanged(Event):
    """An account shows another key for private things."""

    account: AccountId
    box_key: BoxKey


class Institution(Record):
    """An institution as the city office knows it."""

    name: Public
    since_ms: TimeMs


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


class Rotating(Event):
    """A change of keys is under way."""

    account: AccountId
    from_ms: TimeMs


class Vetoed(Event):
    """A change of keys was stopped."""

    account: AccountId
