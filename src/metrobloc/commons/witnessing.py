"""What a witness is asked and how it decides (C2SP tlog-witness): bytes in, a verdict out; no key, file or network.

A request holds the size at which the witness is thought to be, a proof of consistency from there, and a checkpoint.
Checks run in the order in which the specification states them.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from metrobloc.commons import notes
from metrobloc.commons.notes import Checkpoint, Note
from metrobloc.kernel.crypto import KEY_BYTES, key_id, public_key, sha256
from metrobloc.kernel.log import HASH_BYTES, verify_consistency

PATH_LINES_MAX = 63
BODY_BYTES_MAX = 32 << 10
SIZE_TYPE = "text/x.tlog.size"
NAME = re.compile(r"[^\s+\x00-\x1f\x7f]{1,100}")
"""What can be the name of a key in a note."""

_OLD = re.compile(rb"old (0|[1-9][0-9]{0,15})")


class Asked(Struct, frozen=True):
    """A request: the size from which the path leads, the path, and the note of the checkpoint."""

    old: int
    path: tuple[bytes, ...]
    note: bytes


class Log(Struct, frozen=True):
    """A log that a witness knows: its origin, and the name and keys with which it signs."""

    origin: str
    name: str
    keys: tuple[str, ...]


class Turned(Exception):
    """The request is turned away: the HTTP status, a sentence, and for a stale size the right one."""

    def __init__(self, status: int, sentence: str, size: int | None = None) -> None:
        """Keep them."""
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.size = size


class Contradiction(Turned):
    """The log's key has signed what does not go on from the head that the witness has co-signed."""

    def __init__(self, status: int, sentence: str, note: Note) -> None:
        """Keep the note, with the log's own signatures alone."""
        super().__init__(status, sentence)
        self.note = note


class Known(Protocol):
    """What a witness remembers of a log."""

    @property
    def log(self) -> Log:
        """Return the log."""

    @property
    def head(self) -> Checkpoint | None:
        """Return the newest head that the witness has co-signed."""


def write_asked(asked: Asked) -> bytes:
    """Write a request."""
    lines = [f"old {asked.old}", *(b64encode(part).decode() for part in asked.path), "", ""]
    return "\n".join(lines).encode() + asked.note


def read_asked(body: bytes) -> Asked:
    """Read a request strictly, or turn it away with 400."""
    head, blank, note = body.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    old = _OLD.fullmatch(first)
    if old is None or not blank or len(body) > BODY_BYTES_MAX:
        raise Turned(400, "A request begins with a line `old SIZE`, and has an empty line before the checkpoint.")
    if len(lines) > PATH_LINES_MAX:
        raise Turned(400, f"A proof of consistency has at most {PATH_LINES_MAX} lines.")
    return Asked(int(old[1]), tuple(_hash(line) for line in lines), note)


def decide(asked: Asked, logs: Mapping[str, Known]) -> tuple[Checkpoint, Note]:
    """Return the checkpoint that may be co-signed, and its note with the log's own signatures; else raise Turned."""
    try:
        note = notes.read(asked.note)
        new = notes.read_head(note)
    except ValueError as error:
        raise Turned(400, f"This is no checkpoint: {error}.") from error
    known = logs.get(new.chain)
    if known is None:
        raise Turned(404, "This witness does not watch this log; its operator can add it.")
    own = _signed(known.log, note)
    if asked.old > new.size:
        raise Turned(400, "The old size is larger than the checkpoint's.")
    last = known.head or Checkpoint(new.chain, 0, sha256(b""))
    if asked.old != last.size:
        raise Turned(409, "This witness is at another size.", last.size)
    if known.head is not None and new.size == last.size and new.root != last.root:
        raise Contradiction(409, "This witness has co-signed another root of this size.", own)
    if not verify_consistency(last.size, last.root, new.size, new.root, asked.path):
        raise Contradiction(422, "The proof does not lead from the head that this witness has co-signed.", own)
    return new, own


def log_page(origin: str) -> str:
    """Return under which name a witness shows a log's newest co-signed checkpoint."""
    return sha256(origin.encode()).hex()


def write_vkey(name: str, key: str, kind: int) -> str:
    """Write a key as C2SP's tools are told it: name, the four bytes that tell keys apart, kind and key."""
    raw = bytes([kind]) + public_key(key)
    return f"{name}+{sha256(name.encode() + bytes([0x0A]) + raw)[:4].hex()}+{b64encode(raw).decode()}"


def read_vkey(text: str) -> tuple[str, str]:
    """Return the name and key (did:key) of a log that signs with Ed25519; ValueError when it is none."""
    name, _, rest = text.partition("+")
    raw = b64decode(rest.partition("+")[2], validate=True)
    if len(raw) != 1 + KEY_BYTES or raw[0] != notes.ED25519 or NAME.fullmatch(name) is None:
        raise ValueError("not the key of a log that signs with Ed25519")
    key = key_id(raw[1:])
    if write_vkey(name, key, notes.ED25519) != text:
        raise ValueError("the parts of the key do not belong together")
    return name, key


def _signed(log: Log, note: Note) -> Note:
    try:
        own = notes.signed_by(note, log.name, log.keys)
    except ValueError:
        own = None
    if own is None:
        raise Turned(403, "The checkpoint is not signed by a key of the log that this witness trusts.")
    return own


def _hash(line: bytes) -> bytes:
    try:
        data = b64decode(line, validate=True)
    except ValueError:
        data = b""
    if len(data) != HASH_BYTES or b64encode(data) != line:
        raise Turned(400, "A line of the proof is the base64 of 32 bytes.")
    return data


def cosignature_of(note: Note, lines: Sequence[notes.Signature], key: str) -> notes.Signature | None:
    """Return the line with which a witness's key, under whatever name, has co-signed the note; None if none has."""
    for line in lines:
        try:
            if notes.cosigned_s(Note(note.body, (line,)), line.name, key) is not None:
                return line
        except ValueError:
            continue
    return None


def read_lines(note: Note, answer: bytes) -> tuple[notes.Signature, ...]:
    """Read the lines of signatures that a witness has answered about a note; ValueError when they are none."""
    return notes.read(f"{note.body}\n".encode() + answer).signatures
