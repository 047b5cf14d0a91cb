"""The nouns of credentials: kinds, credentials, and what an issuer is no longer believed."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import AccountId, Commitment, Event, Id, Message, Public, Record, Slug, TimeMs

BATCH_MAX = 64
CHANGES_MAX = 7
SPANS_MAX = 4

Days = Annotated[int, Meta(ge=1, le=36_525)]
Commitments = Annotated[tuple[Commitment, ...], Meta(min_length=1, max_length=BATCH_MAX)]
State = Literal["in_force", "suspended", "revoked"]
Standing = Literal["not_yet", "in_force", "suspended", "revoked", "expired", "disowned"]
"""What a credential is at a time; only `in_force` is good."""

Reason = Literal["error", "changed", "lost", "request", "inquiry", "other"]
"""Why, from a closed list: the ledger is public, and a free text would sooner or later name somebody or an illness."""


class DeclareKind(Message):
    """Declare a kind of credential, who may issue it and for how long it may be valid."""

    kind: Slug
    title: Public
    role: Slug
    valid_days: Days


class RetireKind(Message):
    """Let no more credentials of a kind be issued."""

    kind: Slug


class Issue(Message):
    """Anchor statements: one credential for each commitment, in their order."""

    kind: Slug
    commitments: Commitments
    from_ms: TimeMs
    until_ms: TimeMs


class Renew(Message):
    """Replace a credential by another of the same kind."""

    credential: Id
    commitment: Commitment
    from_ms: TimeMs
    until_ms: TimeMs


class Revoke(Message):
    """Revoke a credential for good."""

    credential: Id
    reason: Reason


class Suspend(Message):
    """Suspend a credential until it is resumed or revoked."""

    credential: Id
    reason: Reason


class Resume(Message):
    """Put a suspended credential in force again."""

    credential: Id


class Disown(Message):
    """Declare void what an issuer has issued from a time until now."""

    issuer: AccountId
    from_ms: TimeMs


class Kind(Record):
    """A kind of credential: what it is called, the role that its issuers need, how long one may be valid."""

    title: Public
    role: Slug
    valid_days: Days
    retired_ms: TimeMs | None = None


class Change(Record):
    """A credential's state from a time on."""

    at_ms: TimeMs
    state: State
    reason: Reason | None = None


class Credential(Record):
    """A statement that an issuer has signed, known here by its commitment; without changes it is in force."""

    issuer: AccountId
    kind: Slug
    commitment: Commitment
    issued_ms: TimeMs
    from_ms: TimeMs
    until_ms: TimeMs
    changes: Annotated[tuple[Change, ...], Meta(max_length=CHANGES_MAX)] = ()
    replaced_by: Id | None = None


class Anchor(Record):
    """The one credential of an issuer's commitment."""

    credential: Id


class Span(Record):
    """A span of time, both ends included."""

    from_ms: TimeMs
    to_ms: TimeMs


class Disownment(Record):
    """The spans in which an issuer has issued what is void."""

    spans: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=SPANS_MAX)]


class Declared(Event):
    """There is a new kind of credential."""

    kind: Slug
    role: Slug


class Retired(Event):
    """No more credentials of a kind are issued."""

    kind: Slug


class Issued(Event):
    """Credentials were anchored, in the order of their commitments."""

    issuer: AccountId
    kind: Slug
    credentials: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=BATCH_MAX)]


class Renewed(Event):
    """A credential was replaced by another."""

    credential: Id
    replaced_by: Id


class Revoked(Event):
    """A credential was revoked for good."""

    credential: Id


class Suspended(Event):
    """A credential was suspended."""

    credential: Id


class Resumed(Event):
    """A suspended credential is in force again."""

    credential: Id


class Disowned(Event):
    """What an issuer has issued in a span of time is void."""

    issuer: AccountId
    from_ms: TimeMs
    to_ms: TimeMs
