"""Read and write transactions: a DSSE envelope whose payload is canonical JSON.

Source: DSSE protocol v1 (github.com/secure-systems-lab/dsse), with one form only: the envelope too is canonical, its
base64 padded, its signatures sorted by keyid. A transaction's name is the SHA-256 of what its signers signed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from metrobloc.kernel import codec, crypto
from metrobloc.kernel.codec import Malformed

PAYLOAD_TYPE = "application/vnd.metrobloc.tx.v1+json"
ENVELOPE_BYTES_MAX = 128 * 1024
SIGNATURES_MAX = 16
CALLS_MAX = 16

_ACTOR: Final = re.compile(r"[a-z2-7]{26}").fullmatch
_VERB: Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*").fullmatch
_CHAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]*").fullmatch
_SALT: Final = re.compile(r"[0-9a-f]{32}").fullmatch
_PAE_HEAD: Final = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE}".encode()


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """One action: who does what, with which message (the canonical JSON of an object, decoded by its module)."""

    as_: Annotated[str, Meta(min_length=26, max_length=26)] = msgspec.field(name="as")
    do: Annotated[str, Meta(max_length=64)]
    with_: msgspec.Raw = msgspec.field(name="with")


class Payload(Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed: calls that run together or not at all, for one chain, until a time, under known rules."""

    calls: Annotated[tuple[Call, ...], Meta(min_length=1, max_length=CALLS_MAX)]
    chain: Annotated[str, Meta(max_length=50)]
    expires: Annotated[int, Meta(ge=0, le=codec.INTEGER_MAX)]
    rules: Annotated[int, Meta(ge=1, le=codec.INTEGER_MAX)]
    salt: Annotated[str, Meta(min_length=32, max_length=32)]


class Transaction(Struct, frozen=True):
    """A well-formed transaction: its bytes, its name, what was signed and by which keys (sorted)."""

    raw: bytes
    id: bytes
    payload: Payload
    key_ids: tuple[str, ...]


class _Signature(Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: Annotated[bytes, Meta(min_length=crypto.SIGNATURE_BYTES, max_length=crypto.SIGNATURE_BYTES)]


class _Envelope(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: Annotated[tuple[_Signature, ...], Meta(min_length=1, max_length=SIGNATURES_MAX)]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_PAYLOAD = msgspec.json.Decoder(Payload)


def pae(payload: bytes) -> bytes:
    """Encode what a signer signs: DSSE's pre-authentication encoding of type and payload."""
    return b"%b %d %b" % (_PAE_HEAD, len(payload), payload)


def check(raw: bytes) -> bytes:
    """Check everything that bytes alone can show, signatures included; return the transaction's id.

    Raises Malformed. Whether a key may sign for an account is decided when the transaction runs.
    """
    envelope, keys = _strict(raw)
    message = pae(envelope.payload)
    for signature, key in zip(envelope.signatures, keys, strict=True):
        if not crypto.verify(key, message, signature.sig):
            raise Malformed("bad_signature", signature.keyid)
    return crypto.sha256(message)


def read(raw: bytes) -> Transaction:
    """Read a transaction strictly, in the protocol's order: size, then encoding. Signatures are left to `check`."""
    _strict(raw)
    return reopen(raw)


def reopen(raw: bytes) -> Transaction:
    """Read bytes that `check` or `read` has accepted, without paying for the checks again; never give it others."""
    envelope = _ENVELOPE.decode(raw)
    payload = _PAYLOAD.decode(envelope.payload)
    key_ids = tuple([signature.keyid for signature in envelope.signatures])
    return Transaction(raw, crypto.sha256(pae(envelope.payload)), payload, key_ids)


def sign(payload: Payload, keys: Sequence[crypto.SigningKey]) -> bytes:
    """Write the envelope of a payload signed by these keys; Malformed when it would not be accepted."""
    body = codec.encode(payload)
    message = pae(body)
    raw = _write(body, {key.key_id: key.sign(message) for key in keys})
    _strict(raw)
    return raw


def seal(payload: bytes, signatures: Mapping[str, bytes]) -> bytes:
    """Write the envelope of a payload's bytes and signatures by keyid, gathered from several signers; Malformed too."""
    raw = _write(payload, signatures)
    check(raw)
    return raw


def _write(payload: bytes, signatures: Mapping[str, bytes]) -> bytes:
    ordered = tuple(_Signature(key_id, signatures[key_id]) for key_id in sorted(signatures))
    return codec.encode(_Envelope(payload, PAYLOAD_TYPE, ordered))


def _strict(raw: bytes) -> tuple[_Envelope, list[bytes]]:
    """Decode the envelope and hold it and its payload to the one form; return it with the signers' public keys."""
    if len(raw) > ENVELOPE_BYTES_MAX:
        raise Malformed("too_large", f"{len(raw)} of {ENVELOPE_BYTES_MAX} bytes")
    envelope = codec.decode(raw, _ENVELOPE)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise Malformed("wrong_payload_type")
    keys = []
    before = ""
    for signature in envelope.signatures:
        try:
            keys.append(crypto.public_key(signature.keyid))
        except ValueError:
            raise Malformed("bad_key", signature.keyid[:64]) from None
        if signature.keyid <= before:
            raise Malformed("signature_order")
        before = signature.keyid
    _strict_payload(envelope.payload)
    return envelope, keys


def _strict_payload(body: bytes) -> None:
    codec.decode(body, codec.ANY)  # the messages in it keep their bytes, so the whole is compared untyped
    payload = codec.decode(body, _PAYLOAD)
    for name, value, shape in (("chain", payload.chain, _CHAIN), ("salt", payload.salt, _SALT)):
        if not shape(value):
            raise Malformed("out_of_bounds", name)
    for call in payload.calls:
        if not _ACTOR(call.as_) or not _VERB(call.do):
            raise Malformed("out_of_bounds", "as" if not _ACTOR(call.as_) else "do")
        if memoryview(call.with_)[0] != ord("{"):
            raise Malformed("wrong_type", "with")
