"""Seal a document under a key of its own, and that key for each reader (HPKE, RFC 9180); open both again.

The format is metrobloc-vault/1, described in docs/vault.md. Nothing here asks a ledger or a store: what is opened is
held to what the caller says that the ledger records.
"""

import secrets
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from msgspec import Struct

from metrobloc.client.vault.faults import Fault
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.types import AccountId, BoxKey, Digest, Id

FORMAT = "metrobloc-vault/1"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
DOCUMENT_BYTES_MAX = 64 << 20
ENVELOPE_BYTES_MAX = 1024
PADDED_BYTES_MIN = 1024
NAME_LONGEST = 200
KEY_BYTES = 32
NONCE_BYTES = 12


class Box:
    """A private X25519 key: opens what is sealed for its public name."""

    __slots__ = ("key", "key_id")

    def __init__(self, seed: bytes) -> None:
        """Make the pair from 32 secret bytes (RFC 7748)."""
        self.key = X25519PrivateKey.from_private_bytes(seed)
        self.key_id = crypto.key_id(self.key.public_key().public_bytes_raw(), crypto.X25519)

    def __repr__(self) -> str:
        """Show the public name only."""
        return f"Box({self.key_id})"


class Place(Struct, frozen=True):
    """Where a document belongs; every byte is bound to it, so that it opens nowhere else."""

    chain: str
    entry: Id
    owner: AccountId
    custodian: AccountId
    subject: Digest
    """The commitment to whom it is about."""


class Envelope(Struct, frozen=True, forbid_unknown_fields=True):
    """The file of a document's key, sealed for one reader: canonical JSON."""

    box_key: BoxKey
    chain: str
    ciphertext: Digest
    entry: Id
    recipient: AccountId
    sealed: bytes
    v: str = FORMAT


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """What is encrypted before the document itself: what it is called, how long it is, and the salts."""

    content_salt: Digest
    name: str
    size_bytes: int
    subject: AccountId
    subject_salt: Digest


class Document(Struct, frozen=True):
    """A document that was opened: its bytes, what its owner calls it, and whom it is about."""

    data: bytes
    name: str
    subject: AccountId


class Sealed(Struct, frozen=True):
    """A sealed document: the bytes for the store, and its key, which nobody but readers may have."""

    key: bytes
    ciphertext: bytes
    content: Digest
    """The commitment to the document."""

    @property
    def digest(self) -> str:
        """The digest of the bytes for the store."""
        return crypto.sha256(self.ciphertext).hex()


_envelopes = msgspec.json.Decoder(Envelope)
_headers = msgspec.json.Decoder(Header)


def commit(salt: str, document: bytes) -> str:
    """Return the commitment to bytes under a salt (hex): what `metrobloc commit` writes."""
    return crypto.sha256(bytes.fromhex(salt) + document).hex()


def seal(place: Place, document: Document, subject_salt: str) -> Sealed:
    """Encrypt a document under a fresh key for its place; `subject_salt` is that of the place's commitment."""
    if len(document.data) > DOCUMENT_BYTES_MAX:
        raise Fault("too_large")
    salt, key, nonce = secrets.token_hex(32), secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    header = Header(salt, document.name, len(document.data), document.subject, subject_salt)
    try:
        head = codec.encode_checked(header)
    except ValueError as error:
        raise Fault("bad_name") from error
    if not 0 < len(document.name) <= NAME_LONGEST or not document.name.isprintable():
        raise Fault("bad_name")
    length = 4 + len(head) + len(document.data)
    plain = b"".join((len(head).to_bytes(4, "big"), head, document.data, bytes(padded(length) - length)))
    front = _front(place.entry) + nonce
    return Sealed(key, front + ChaCha20Poly1305(key).encrypt(nonce, plain, _bound(place)), commit(salt, document.data))


def open_document(place: Place, key: bytes, ciphertext: bytes, content: str) -> Document:
    """Decrypt a document and hold it to the commitments of its place; the ciphertext's digest was checked before."""
    front = _front(place.entry)
    nonce, body = ciphertext[len(front) : len(front) + NONCE_BYTES], ciphertext[len(front) + NONCE_BYTES :]
    if not ciphertext.startswith(front) or len(nonce) != NONCE_BYTES:
        raise Fault("not_opened")
    try:
        plain = ChaCha20Poly1305(key).decrypt(nonce, body, _bound(place))
    except InvalidTag as error:
        raise Fault("not_opened") from error
    length = int.from_bytes(plain[:4], "big")
    try:
        header = codec.decode(plain[4 : 4 + length], _headers)
    except codec.Malformed as error:
        raise Fault("not_opened", error.code) from error
    data, rest = plain[4 + length :][: header.size_bytes], plain[4 + length + header.size_bytes :]
    sound = len(data) == header.size_bytes and not any(rest) and header.name.isprintable()
    committed = commit(header.content_salt, data) == content
    about = commit(header.subject_salt, header.subject.encode()) == place.subject
    if not (sound and committed and about):
        raise Fault("not_as_committed")
    return Document(data, header.name, header.subject)


def seal_key(place: Place, ciphertext: str, key: bytes, recipient: str, box_key: str) -> bytes:
    """Seal a document's key for a reader; return the envelope's file."""
    made = Envelope(box_key, place.chain, ciphertext, place.entry, recipient, b"")
    public = X25519PublicKey.from_public_bytes(crypto.public_key(box_key, crypto.X25519))
    try:
        sealed = SUITE.encrypt(key, public, info=codec.encode(made))
    except ValueError as error:  # a key of small order, with which anybody could open
        raise Fault("no_box_key", "what she shows is no usable key") from error
    return codec.encode(msgspec.structs.replace(made, sealed=sealed))


def open_key(place: Place, ciphertext: str, file: bytes, recipient: str, boxes: Iterable[Box]) -> bytes:
    """Open an envelope whose digest was checked, and that must be for this place, ciphertext and reader."""
    envelope = read_envelope(file)
    if envelope is None or (envelope.chain, envelope.v) != (place.chain, FORMAT):
        raise Fault("tampered")
    if (envelope.entry, envelope.ciphertext, envelope.recipient) != (place.entry, ciphertext, recipient):
        raise Fault("swapped")
    box = next((one for one in boxes if one.key_id == envelope.box_key), None)
    if box is None:
        raise Fault("wrong_recipient")
    try:
        key = SUITE.decrypt(envelope.sealed, box.key, info=codec.encode(msgspec.structs.replace(envelope, sealed=b"")))
    except (InvalidTag, ValueError) as error:
        raise Fault("not_opened") from error
    if len(key) != KEY_BYTES:
        raise Fault("not_opened")
    return key


def read_envelope(file: bytes) -> Envelope | None:
    """Return what an envelope's file says, or None when it is none."""
    if len(file) > ENVELOPE_BYTES_MAX:
        return None
    try:
        return codec.decode(file, _envelopes)
    except codec.Malformed:
        return None


def hold_to(digest: str, file: bytes, place: Place, recipient: str) -> None:
    """Hold an envelope's file to the digest on the ledger, and say what it is instead."""
    if crypto.sha256(file).hex() == digest:
        return
    envelope = read_envelope(file)
    if envelope is None or envelope.chain != place.chain:
        raise Fault("tampered", "envelope")
    raise Fault("replayed" if (envelope.entry, envelope.recipient) == (place.entry, recipient) else "swapped")


def hold_bytes_to(digest: str, size_bytes: int, ciphertext: bytes, entry: str) -> None:
    """Hold a document's bytes to what the ledger records, and say what they are instead."""
    if len(ciphertext) == size_bytes and crypto.sha256(ciphertext).hex() == digest:
        return
    start = FORMAT.encode() + b" "
    if ciphertext.startswith(start) and not ciphertext.startswith(_front(entry)) and len(ciphertext) > len(start) + 27:
        raise Fault("swapped")
    raise Fault("truncated" if len(ciphertext) < size_bytes else "tampered")


def padded(length: int) -> int:
    """Return the length to which so many bytes are padded, so that a size tells little (Padmé, PURBs 2019)."""
    if length <= PADDED_BYTES_MIN:
        return PADDED_BYTES_MIN
    exponent = length.bit_length() - 1
    unit = 1 << (exponent - exponent.bit_length())
    return -(-length // unit) * unit


def _front(entry: str) -> bytes:
    return f"{FORMAT} {entry}\n".encode()


def _bound(place: Place) -> bytes:
    return codec.encode({**msgspec.structs.asdict(place), "v": FORMAT})
