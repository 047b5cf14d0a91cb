"""The nouns of evidence: kinds of documents, their versions, who signed them.

A document is known by its SHA-256. Give the plain `Digest` when everybody may recognise the document: it is published,
or long and random enough that nobody can guess it. Give a `Commitment` (the hash of a 32-byte salt and the document)
when the document holds personal data or could be guessed, as a form with a few blanks can: the hash alone then tells
nothing, and whoever is shown salt and document can check it.
"""

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
)

Cosigners = Annotated[tuple[AccountId, ...], Meta(max_length=8)]


class DeclareKind(Message):
    """Say which role may record a kind of document, which may correct it, and whether its hash must be a commitment."""

    kind: Slug
    name: Public
    role: Slug
    authority: Slug | None = None
    private: bool = False


class Lodge(Message):
    """Record a document about something: one hash, its source, its own date; `until_ms` 0 means without end."""

    kind: Slug
    about: Id
    source: Slug
    dated_ms: TimeMs
    digest: Digest | None = None
    commitment: Commitment | None = None
    until_ms: TimeMs = 0
    cosigners: Cosigners = ()


class Supersede(Message):
    """Replace the current version of a document by a newer one, of the same kind and about the same."""

    evidence: Id
    source: Slug
    dated_ms: TimeMs
    digest: Digest | None = None
    commitment: Commitment | None = None
    until_ms: TimeMs = 0
    cosigners: Cosigners = ()


class Countersign(Message):
    """Stand behind evidence as one of those whom its signer has named."""

    evidence: Id


class Withdraw(Message):
    """Take evidence back for a reason, such as `forged`, `mistaken` or `court_order`."""

    evidence: Id
    reason: Slug


class Kind(Record):
    """A kind of document: the role that records it and the role that may correct it."""

    name: Public
    role: Slug
    authority: Slug | None = None
    private: bool = False


class Evidence(Record):
    """One version of a document. It counts once all `cosigners` are among `signed`, and until it expires."""

    kind: Slug
    about: Id
    signer: AccountId
    source: Slug
    dated_ms: TimeMs
    lodged_ms: TimeMs
    first: Id
    version: Amount
    digest: Digest | None = None
    commitment: Commitment | None = None
    until_ms: TimeMs = 0
    cosigners: Cosigners = ()
    signed: Cosigners = ()
    previous: Id | None = None
    superseded_by: Id | None = None
    withdrawn: Slug | None = None
    withdrawn_ms: TimeMs = 0


class Chain(Record):
    """A document's versions, under the id of the first: how many there are and which is current."""

    current: Id
    versions: Amount


class Declared(Event):
    """A kind of document was declared, or changed."""

    kind: Slug
    role: Slug


class Lodged(Event):
    """A document was recorded."""

    evidence: Id
    kind: Slug
    about: Id
    signer: AccountId


class Superseded(Event):
    """A document has a newer version."""

    evidence: Id
    by: Id


class Countersigned(Event):
    """Somebody else stands behind a document too."""

    evidence: Id
    account: AccountId


class Withdrawn(Event):
    """A document was taken back."""

    evidence: Id
    reason: Slug
