"""Signed notes: checkpoints of the log, operator successions and signed promises, as C2SP writes them.

Formats: signed-note, tlog-checkpoint and tlog-cosignature of C2SP. Every note of a chain is signed under the chain's
id as key name. What was read is not a note of this chain, or was not signed by this key: ValueError with a sentence.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from metrobloc.kernel.crypto import SigningKey, public_key, sha256, verify

ED25519 = 1  # C2SP signature types
COSIGNATURE = 4
SIGNATURES_MAX = 100
_LINE = re.compile(r"— ([^\s+]+) (\S+)")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_TX_ID = re.compile(r"[0-9a-f]{64}")


class Signature(msgspec.Struct, frozen=True):
    """Hold one signature line: who, the four bytes that tell her keys apart, and the signature's bytes."""

    name: str
    hint: bytes
    data: bytes


class Note(msgspec.Struct, frozen=True):
    """Hold a text that ends in a newline, and its signatures, none of them checked yet."""

    body: str
    signatures: tuple[Signature, ...]


class Checkpoint(msgspec.Struct, frozen=True):
    """Hold the log's head: whose log, how many leaves, under which root hash."""

    chain: str
    size: int
    root: bytes


class Succession(msgspec.Struct, frozen=True):
    """Hold an operator's change of key: from `size` leaves on, `new` signs instead of `old`."""

    chain: str
    old: str
    new: str
    size: int


class Promise(msgspec.Struct, frozen=True):
    """Hold what the operator promised: the transaction is in the log after `size` leaves and by `by_ms`."""

    chain: str
    tx_id: str
    size: int
    by_ms: int


def render(note: Note) -> bytes:
    """Write a note as its file."""
    _require(note.body.endswith("\n"), "a note's text ends in a newline")
    lines = [f"— {line.name} {b64encode(line.hint + line.data).decode()}\n" for line in note.signatures]
    return f"{note.body}\n{''.join(lines)}".encode()


def read(data: bytes) -> Note:
    """Read a note's file strictly; no signature is checked."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    body, blank, tail = text.rpartition("\n\n")
    lines = tail.split("\n")
    _require(blank and body and not lines.pop() and lines, "not a signed note")
    _require(not any(mark < " " and mark != "\n" for mark in text), "a note has no control characters")
    _require(len(lines) <= SIGNATURES_MAX, "the note has too many signatures")
    signatures = tuple(_signature(line) for line in lines)
    keys = [(line.name, line.hint) for line in signatures]
    _require(len(dict.fromkeys(keys)) == len(keys), "the note is signed twice by one key")
    return Note(body + "\n", signatures)


def sign(body: str, name: str, key: SigningKey) -> Signature:
    """Sign a note's text."""
    return Signature(name, _hint(name, ED25519, key.public_key), key.sign(body.encode()))


def cosign(body: str, name: str, key: SigningKey, time_s: int) -> Signature:
    """Sign a checkpoint's text as what the log's head was at `time_s` (seconds since 1970)."""
    signature = key.sign(_cosigned(body, time_s))
    return Signature(name, _hint(name, COSIGNATURE, key.public_key), time_s.to_bytes(8, "big") + signature)


def is_signed(note: Note, name: str, key_id: str) -> bool:
    """Say whether the note is signed by this key; a wrong signature under the key is a ValueError."""
    data = _data(note, name, ED25519, key_id)
    _require(data is None or verify(public_key(key_id), note.body.encode(), data), "a signature of the note is wrong")
    return data is not None


def cosigned_s(note: Note, name: str, key_id: str) -> int | None:
    """Answer when this key co-signed the checkpoint (seconds since 1970); a wrong co-signature is a ValueError."""
    data = _data(note, name, COSIGNATURE, key_id)
    if data is None:
        return None
    time_s = int.from_bytes(data[:8], "big")
    genuine = time_s < 1 << 63 and verify(public_key(key_id), _cosigned(note.body, time_s), data[8:])
    _require(genuine, "a co-signature of the checkpoint is wrong")
    return time_s


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey, time_s: int) -> bytes:
    """Sign the log's head and co-sign it with the time (seconds since 1970)."""
    chain = checkpoint.chain
    body = f"{chain}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"
    return render(Note(body, (sign(body, chain, key), cosign(body, chain, key, time_s))))


def open_checkpoint(data: bytes, chain: str, key_id: str) -> tuple[Checkpoint, int]:
    """Open a checkpoint that its operator signed and co-signed; answer it and when (seconds since 1970)."""
    note = read(data)
    time_s = cosigned_s(note, chain, key_id)
    _require(is_signed(note, chain, key_id), "the checkpoint is not signed by the operator's key")
    if time_s is None:
        raise ValueError("the checkpoint lacks the operator's timestamped co-signature")
    size, root = _lines(note, (chain,), 2)
    return Checkpoint(chain, _number(size), _b64(root, 32)), time_s


def read_head(note: Note) -> Checkpoint:
    """Read what a checkpoint of any C2SP log says; lines of the log's own may follow. No signature is checked."""
    lines = note.body.split("\n")[:-1]
    _require(len(lines) >= 3 and all(lines), "a checkpoint has an origin, a size and a root, and no empty line")
    return Checkpoint(lines[0], _number(lines[1]), _b64(lines[2], 32))


def signed_by(note: Note, name: str, key_ids: Iterable[str]) -> Note | None:
    """Return a note with what these keys have signed and co-signed alone, or None; a wrong one is a ValueError."""
    signers = [key for key in key_ids if is_signed(note, name, key)]
    hints = [_hint(name, ED25519, public_key(key)) for key in signers]
    hints += [_hint(name, COSIGNATURE, public_key(key)) for key in signers if cosigned_s(note, name, key) is not None]
    lines = tuple(line for line in note.signatures if line.name == name and line.hint in hints)
    return Note(note.body, lines) if lines else None


def sign_succession(succession: Succession, old: SigningKey, new: SigningKey) -> bytes:
    """Sign an operator's change of key by both keys."""
    chain = succession.chain
    _require((succession.old, succession.new) == (old.key_id, new.key_id), "both keys named sign a succession")
    body = f"{chain}\noperator succession\n{succession.old}\n{succession.new}\n{succession.size}\n"
    return render(Note(body, (sign(body, chain, old), sign(body, chain, new))))


def open_succession(data: bytes, chain: str) -> Succession:
    """Open an operator's change of key that both keys signed."""
    note = read(data)
    old, new, size = _lines(note, (chain, "operator succession"), 3)
    signed = old != new and is_signed(note, chain, old) and is_signed(note, chain, new)
    _require(signed, "a succession is signed by the old key and by the new one")
    return Succession(chain, old, new, _number(size))


def heirs(key_ids: Iterable[str], chain: str, steps: Iterable[bytes]) -> tuple[str, ...]:
    """Return these keys, and those that took over from them by the notes of a chain's successions, in their order."""
    known = list(dict.fromkeys(key_ids))
    for step in steps:
        change = open_succession(step, chain)
        if change.old in known and change.new not in known:
            known.append(change.new)
    return tuple(known)


def sign_promise(promise: Promise, key: SigningKey) -> bytes:
    """Sign the promise that a transaction will be in the log."""
    body = f"{promise.chain}\npromise\n{promise.tx_id}\n{promise.size}\n{promise.by_ms}\n"
    return render(Note(body, (sign(body, promise.chain, key),)))


def open_promise(data: bytes, chain: str, key_id: str) -> Promise:
    """Open a promise that the operator signed."""
    note = read(data)
    tx_id, size, by_ms = _lines(note, (chain, "promise"), 3)
    _require(_TX_ID.fullmatch(tx_id), "a promise names a transaction by 64 hexadecimal digits")
    _require(is_signed(note, chain, key_id), "the promise is not signed by the operator's key")
    return Promise(chain, tx_id, _number(size), _number(by_ms))


def judge(promise: Promise, leaves: Iterable[str | int]) -> Literal["kept", "broken", "open"]:
    """Say from the log's leaves from `promise.size` on whether a promise was kept.

    A leaf is given as what counts: of a receipt the id of its transaction, of a header its `time_ms`. The promise is
    broken when a header later than promised comes before the receipt or closes its block, and open while the log shows
    neither a block in time with the receipt nor a later header.
    """
    included = False
    for leaf in leaves:
        included = included or leaf == promise.tx_id
        if isinstance(leaf, int) and (included or leaf > promise.by_ms):
            return "kept" if leaf <= promise.by_ms else "broken"
    return "open"


def _hint(name: str, kind: int, key: bytes) -> bytes:
    return sha256(name.encode() + bytes((0x0A, kind)) + key)[:4]


def _cosigned(body: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{body}".encode()


def _data(note: Note, name: str, kind: int, key_id: str) -> bytes | None:
    wanted = name, _hint(name, kind, public_key(key_id))
    return next((line.data for line in note.signatures if (line.name, line.hint) == wanted), None)


def _signature(line: str) -> Signature:
    parts = _LINE.fullmatch(line)
    data = _b64(parts[2]) if parts else b""
    if not parts or len(data) <= 4:
        raise ValueError("a signature line of the note is malformed")
    return Signature(parts[1], data[:4], data[4:])


def _lines(note: Note, head: Sequence[str], count: int) -> list[str]:
    lines = note.body.split("\n")[:-1]
    found = lines[: len(head)] == list(head) and len(lines) == len(head) + count
    _require(found, f"the note does not begin as it should: {', '.join(head)}")
    return lines[len(head) :]


def _number(text: str) -> int:
    _require(_NUMBER.fullmatch(text), "a number of the note is not a plain decimal")
    return int(text)


def _b64(text: str, length: int | None = None) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    _require(b64encode(data).decode() == text and length in {None, len(data)}, "the note's base64 is malformed")
    return data


def _require(holds: object, message: str) -> None:
    if not holds:
        raise ValueError(message)
