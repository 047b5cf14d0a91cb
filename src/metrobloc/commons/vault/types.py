"""The nouns of the vault: stores, entries, readers, openings, reports. Nothing here says what a document holds."""

from typing import Annotated

from msgspec import Meta

from metrobloc.kernel.types import (
    AccountId,
    Amount,
    Commitment,
    Digest,
    Event,
    Id,
    Message,
    Public,
    Record,
    Slug,
    TimeMs,
    Total,
)

ENVELOPES_MAX = 32
"""So many envelopes may an entry have, those included that wait for their deletion."""

Readers = Annotated[tuple[AccountId, ...], Meta(max_length=ENVELOPES_MAX)]
Envelopes = Annotated[tuple[Digest, ...], Meta(max_length=ENVELOPES_MAX)]
SomeEnvelopes = Annotated[tuple[Digest, ...], Meta(min_length=1, max_length=ENVELOPES_MAX)]


class Share(Record):
    """Who may read, by which envelope, what for, and until when; 0 is without end."""

    recipient: AccountId
    envelope: Digest
    purpose: Slug
    until_ms: TimeMs = 0


Shares = Annotated[tuple[Share, ...], Meta(min_length=1, max_length=16)]


class OfferStore(Message):
    """Say where the actor keeps encrypted documents for others."""

    url: Public


class CloseStore(Message):
    """Take no more documents."""


class Store(Message):
    """Record an encrypted document: the digest of its bytes, and commitments to what and whom it is about."""

    custodian: AccountId
    digest: Digest
    size_bytes: Amount
    content: Commitment
    subject: Commitment
    shares: Shares
    keep_until_ms: TimeMs = 0


class Acknowledge(Message):
    """Say that the bytes of an entry are there."""

    entry: Id


class Grant(Message):
    """Let somebody read, by an envelope sealed for her."""

    entry: Id
    recipient: AccountId
    envelope: Digest
    purpose: Slug
    until_ms: TimeMs = 0


class Revoke(Message):
    """Let somebody read no longer."""

    entry: Id
    recipient: AccountId


class Keep(Message):
    """Change the day on which an entry is erased; 0 is never by itself."""

    entry: Id
    until_ms: TimeMs = 0


class Erase(Message):
    """Ask that an entry be destroyed."""

    entry: Id


class ConfirmDeletion(Message):
    """Say that envelopes which nobody may use any more are deleted."""

    entry: Id
    envelopes: SomeEnvelopes


class ConfirmErasure(Message):
    """Say that an erased entry's bytes and all its envelopes are destroyed."""

    entry: Id


class Receive(Message):
    """Say that the actor opens an entry, and what for."""

    entry: Id
    purpose: Slug


class HandOut(Message):
    """Say that an entry was handed to one of its readers."""

    entry: Id
    recipient: AccountId


class ReportMissing(Message):
    """Say that an entry's bytes are not at its custodian, or are not the ones recorded."""

    entry: Id


class Answer(Message):
    """Answer a report: the bytes are there (again), or they are lost."""

    entry: Id
    found: bool


class Custodian(Record):
    """A store: its address, whether it takes more, what it holds, and how often it left a report unanswered."""

    url: Public
    since_ms: TimeMs
    closed: bool = False
    entries: Total = 0
    held_bytes: Total = 0
    unanswered: Total = 0


class Entry(Record):
    """An encrypted document, and for ever the proof that there was one. Times are 0 until something has happened.

    `undeleted` are envelopes that nobody may use any more and whose deletion the custodian has not confirmed.
    """

    owner: AccountId
    custodian: AccountId
    digest: Digest
    size_bytes: Amount
    content: Commitment
    subject: Commitment
    created_ms: TimeMs
    readers: Readers = ()
    undeleted: Envelopes = ()
    opened: Total = 0
    keep_until_ms: TimeMs = 0
    deadline: Id | None = None
    acknowledged_ms: TimeMs = 0
    lost_ms: TimeMs = 0
    erased_ms: TimeMs = 0
    destroyed_ms: TimeMs = 0


class Reader(Record):
    """One account's right to read one entry."""

    envelope: Digest
    purpose: Slug
    since_ms: TimeMs
    until_ms: TimeMs = 0
    deadline: Id | None = None


class Opening(Record):
    """An entry was opened: by whom, who says so, when, what for, and whether that is what it was granted for."""

    reader: AccountId
    by: AccountId
    opened_ms: TimeMs
    purpose: Slug
    as_granted: bool


class Report(Record):
    """Somebody misses an entry's bytes, and the custodian has to answer in time."""

    by: AccountId
    since_ms: TimeMs
    due_ms: TimeMs
    deadline: Id


class StoreOffered(Event):
    """A custodian has said where its store is."""

    custodian: AccountId
    url: Public


class StoreClosed(Event):
    """A custodian takes no more documents."""

    custodian: AccountId


class Stored(Event):
    """An encrypted document is recorded."""

    entry: Id
    custodian: AccountId
    size_bytes: Amount


class Acknowledged(Event):
    """The custodian has the bytes."""

    entry: Id


class Granted(Event):
    """Somebody may read an entry."""

    entry: Id
    recipient: AccountId
    purpose: Slug


class Revoked(Event):
    """Somebody may read an entry no longer; the envelope has to be deleted."""

    entry: Id
    recipient: AccountId
    envelope: Digest


class Kept(Event):
    """An entry is kept until another day."""

    entry: Id
    until_ms: TimeMs


class Erased(Event):
    """Nobody may read an entry any more; the custodian has to destroy it."""

    entry: Id


class Deleted(Event):
    """The custodian has deleted envelopes."""

    entry: Id
    envelopes: SomeEnvelopes


class Destroyed(Event):
    """The custodian has destroyed an entry's bytes and envelopes."""

    entry: Id


class Opened(Event):
    """An entry was opened, as its reader or its custodian says."""

    entry: Id
    reader: AccountId
    by: AccountId
    purpose: Slug


class Missed(Event):
    """Somebody misses an entry's bytes."""

    entry: Id
    due_ms: TimeMs


class Answered(Event):
    """The custodian has answered a report."""

    entry: Id
    found: bool


class Unanswered(Event):
    """The custodian has left a report without an answer."""

    entry: Id
    custodian: AccountId
