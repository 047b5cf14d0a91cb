"""The nouns of anchors: logs that are watched, their newest heads, and forks: heads that contradict each other."""

from typing import Annotated

from msgspec import Meta

from metrobloc.kernel.types import AccountId, Amount, Digest, Document, Event, Id, Key, Message, Public, Record, TimeMs

Path = Annotated[tuple[Digest, ...], Meta(max_length=64)]
"""The hashes of a proof of consistency (RFC 9162, section 2.1.4); a log of 2^53 leaves needs fewer."""

Keys = Annotated[tuple[Key, ...], Meta(min_length=1, max_length=64)]
"""All keys with which a log has signed, the present one last."""


class Watch(Message):
    """Name another log by its origin, its operator's key as did:key, and the name under which that key signs."""

    origin: Public
    key: Public
    name: Public | None = None


class Anchor(Message):
    """Carry a log's signed head here, with the path from the last one."""

    log: Id
    note: Document
    path: Path = ()


class Rekey(Message):
    """Show that a log's operator has changed the key: a note signed by both."""

    log: Id
    note: Document


class Accuse(Message):
    """Show two signed heads that cannot both be true.

    `root` is the root that the second log had at the size of the first, which `path` shows; it may be left out where
    both have the same size.
    """

    log: Id
    first: Document
    second: Document
    root: Digest | None = None
    path: Path = ()


class Clear(Message):
    """Let a log that was stopped go on from its last head."""

    log: Id


class Unwatch(Message):
    """Watch a log no more."""

    log: Id


class WatchedLog(Record):
    """A log, the name and keys with which it signs, and the fork that has stopped it, if any."""

    origin: Public
    name: Public
    keys: Keys
    since_ms: TimeMs
    stopped: Id | None = None


class Head(Record):
    """A log's newest head here, with its own signature, who carried it and when."""

    size: Amount
    root: Digest
    note: Document
    by: AccountId
    time_ms: TimeMs


class Fork(Record):
    """Two heads that a log has signed and that cannot both be true, with all that is needed to see it."""

    origin: Public
    name: Public
    keys: Keys
    first: Document
    second: Document
    root: Digest
    path: Path
    by: AccountId
    time_ms: TimeMs


class Watched(Event):
    """A log is watched from now on."""

    log: Id
    origin: Public


class Anchored(Event):
    """A log's head is recorded here."""

    log: Id
    size: Amount
    root: Digest


class Rekeyed(Event):
    """A log signs with another key."""

    log: Id
    key: Key


class Accused(Event):
    """A log was shown to have signed two histories, and is stopped."""

    log: Id
    fork: Id


class Cleared(Event):
    """A log that was stopped goes on."""

    log: Id


class Unwatched(Event):
    """A log is watched no more; its forks stay on record."""

    log: Id
