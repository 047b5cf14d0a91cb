"""Credential files: what an issuer has signed about somebody, and as much of it as the holder shows.

The format is `metrobloc-credential/1`, described in docs/credentials.md. Each claim is hashed with a salt of its own,
and only the hashes are signed, so that a holder shows some claims and keeps the others to herself, as with SD-JWT
(RFC 9901). Making, reading and presenting one needs no node; `checking` decides whether it is valid.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from metrobloc.client.errors import PROBLEMS, NotValid
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.types import END, AccountId, Digest, Id, Key, Slug, TimeMs

STATEMENT_TYPE = "application/vnd.metrobloc.credential.v1+json"
PRESENTATION_TYPE = "application/vnd.metrobloc.presentation.v1+json"
FILE_BYTES_MAX = 1 << 20
CLAIMS_MAX = 64
PROOFS_MAX = 16
SALT_BYTES = 32
STEP = 8
"""Random hashes are signed with those of the claims, to a multiple of this, so that nobody counts what is withheld."""

Name = Annotated[str, Meta(pattern=f"^[A-Za-z][A-Za-z0-9_]{{0,63}}{END}", max_length=64)]
Salt = Annotated[str, Meta(pattern=f"^[0-9a-f]{{64}}{END}", max_length=64)]
Line = Annotated[str, Meta(pattern=rf"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+{END}", max_length=200)]
Signature = Annotated[bytes, Meta(min_length=crypto.SIGNATURE_BYTES, max_length=crypto.SIGNATURE_BYTES)]

T = TypeVar("T")


class _Part(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the parts of a file share."""


class Statement(_Part, frozen=True):
    """What an issuer signs: on which chain, of which kind, for how long, for whose key, and the hashes of claims."""

    chain: Annotated[str, Meta(pattern=f"^[a-z0-9][a-z0-9-]*{END}", max_length=50)]
    claims: Annotated[tuple[Digest, ...], Meta(min_length=1, max_length=CLAIMS_MAX)]
    from_ms: TimeMs
    issuer: AccountId
    kind: Slug
    until_ms: TimeMs
    holder: Key | None = None


class Claim(_Part, frozen=True):
    """A claim that is shown: its value is any canonical JSON."""

    name: Name
    salt: Salt
    value: Raw


class Signed(_Part, frozen=True):
    """Whose key signed, and its signature."""

    keyid: Key
    sig: Signature


class Envelope(_Part, frozen=True, rename="camel"):
    """A DSSE envelope of a statement, with the one signature of its issuer."""

    payload: bytes
    payload_type: str
    signatures: Annotated[tuple[Signed, ...], Meta(min_length=1, max_length=1)]


class Presented(_Part, frozen=True):
    """The holder's signature for one occasion: over a nonce that the desk chose, for whom, and what is shown."""

    nonce: Line
    sig: Signature
    audience: Line | None = None


class Credential(_Part, frozen=True):
    """A credential's file; without an id it is not anchored yet."""

    claims: Annotated[tuple[Claim, ...], Meta(max_length=CLAIMS_MAX)]
    format: Literal["metrobloc-credential/1"]
    salt: Salt
    statement: Envelope
    id: Id | None = None
    presented: Presented | None = None
    proofs: Annotated[tuple[Raw, ...], Meta(max_length=PROOFS_MAX)] = ()


class Opened(Struct, frozen=True):
    """A file whose form, hashes and signatures hold, with the statement in it."""

    file: Credential
    statement: Statement

    @property
    def commitment(self) -> str:
        """What the ledger holds of the statement."""
        return commitment(self.file)

    @property
    def key_id(self) -> str:
        """The key that signed the statement."""
        return self.file.statement.signatures[0].keyid

    @property
    def shown(self) -> dict[str, object]:
        """The claims that the file shows."""
        return {claim.name: msgspec.json.decode(claim.value) for claim in self.file.claims}


class Terms(Struct, frozen=True):
    """What an issuer says besides the claims; `holder` is the key that can present the credential, if any is to."""

    chain: str
    issuer: str
    kind: str
    from_ms: int
    until_ms: int
    holder: str | None = None


_files = msgspec.json.Decoder(Credential)
_statements = msgspec.json.Decoder(Statement)
_claims = msgspec.json.Decoder(tuple[Claim, ...])


def pae(kind: str, payload: bytes) -> bytes:
    """Encode what is signed: DSSE's pre-authentication encoding of a payload of some type."""
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def commitment(file: Credential) -> str:
    """Return what the ledger holds of a statement: SHA-256 of the salt and the statement's bytes."""
    return crypto.sha256(bytes.fromhex(file.salt) + file.statement.payload).hex()


def write(
    terms: Terms,
    claims: Mapping[str, object],
    key: crypto.SigningKey,
    chance: Callable[[int], bytes] = secrets.token_bytes,
) -> Credential:
    """Sign claims about somebody and return the file that shows all of them, for the holder alone.

    `chance` makes random bytes. NotValid when a claim's name or value has no place in the format.
    """
    written = [{"name": name, "salt": chance(SALT_BYTES).hex(), "value": value} for name, value in claims.items()]
    made = _decoded(_encoded(written), _claims)
    hashes = [digest(claim) for claim in made]
    hashes += [chance(SALT_BYTES).hex() for _ in range(-len(hashes) % STEP)]
    fields = msgspec.structs.asdict(terms)
    payload = _encoded(Statement(claims=tuple(sorted(hashes)), **fields))
    _decoded(payload, _statements)
    signature = Signed(key.key_id, key.sign(pae(STATEMENT_TYPE, payload)))
    envelope = Envelope(payload, STATEMENT_TYPE, (signature,))
    file = Credential(made, "metrobloc-credential/1", chance(SALT_BYTES).hex(), envelope)
    return read(to_bytes(file)).file


def digest(claim: Claim) -> str:
    """Return the hash of a claim: SHA-256 of the canonical JSON of its salt, name and value in a list."""
    return crypto.sha256(codec.encode([claim.salt, claim.name, claim.value])).hex()


def read(data: bytes) -> Opened:
    """Read a file strictly and check all that it shows by itself; NotValid with a code where it does not hold."""
    if len(data) > FILE_BYTES_MAX:
        raise NotValid("too_large", "A credential's file has at most 1 MiB.")
    data = data.removesuffix(b"\n")
    _decoded(data, codec.ANY)  # values and proofs keep their bytes, so the whole is compared untyped
    file = _decoded(data, _files)
    envelope = file.statement
    if envelope.payload_type != STATEMENT_TYPE:
        raise NotValid("wrong_payload_type")
    statement = _decoded(envelope.payload, _statements)
    if list(statement.claims) != sorted(dict.fromkeys(statement.claims)):
        raise NotValid("claims_order")
    signature = envelope.signatures[0]
    if not _holds(signature.keyid, pae(STATEMENT_TYPE, envelope.payload), signature.sig):
        raise NotValid("bad_signature")
    names = [claim.name for claim in file.claims]
    if len(dict.fromkeys(names)) < len(names):
        raise NotValid("claim_twice")
    for claim in file.claims:
        if digest(claim) not in statement.claims:
            raise NotValid("claim_not_signed", f"{PROBLEMS['claim_not_signed']} ({claim.name})")
    if file.presented is not None:
        message = _presentation(file, file.presented.nonce, file.presented.audience)
        if statement.holder is None or not _holds(statement.holder, message, file.presented.sig):
            raise NotValid("bad_presentation")
    return Opened(file, statement)


def to_bytes(file: Credential) -> bytes:
    """Write a file; `read` says whether it is one."""
    return codec.encode(file) + b"\n"


def show_only(file: Credential, names: Collection[str]) -> Credential:
    """Return the file with only some of its claims; ValueError when it has no such claim."""
    missing = [name for name in names if name not in [claim.name for claim in file.claims]]
    if missing:
        held = ", ".join(claim.name for claim in file.claims)
        raise ValueError(f"The file shows no claim {missing[0]}; it shows: {held}.")
    kept = tuple([claim for claim in file.claims if claim.name in names])
    return msgspec.structs.replace(file, claims=kept, presented=None)


def present(file: Credential, key: crypto.SigningKey, nonce: str, audience: str | None = None) -> Credential:
    """Return the file signed by its holder for one occasion; NotValid when the key is not the holder's."""
    sig = key.sign(_presentation(file, nonce, audience))
    shown = msgspec.structs.replace(file, presented=Presented(nonce, sig, audience))
    return read(to_bytes(shown)).file


def _presentation(file: Credential, nonce: str, audience: str | None) -> bytes:
    """Return what a holder signs: the occasion, and the hash of all that is shown; proofs may be made fresh later."""
    bare = codec.encode(msgspec.structs.replace(file, presented=None, proofs=()))
    told = {"nonce": nonce, "shown": crypto.sha256(bare).hex()} | ({} if audience is None else {"audience": audience})
    return pae(PRESENTATION_TYPE, codec.encode(told))


def _holds(key_id: str, message: bytes, signature: bytes) -> bool:
    try:
        return crypto.verify(crypto.public_key(key_id), message, signature)
    except ValueError:
        return False


def _encoded(value: object) -> bytes:
    try:
        return codec.encode_checked(value)
    except (ValueError, TypeError, RecursionError) as fault:
        raise NotValid("not_canonical", f"A value has no place in canonical JSON: {fault}") from fault


def _decoded(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return codec.decode(data, decoder)
    except codec.Malformed as fault:
        raise NotValid(fault.code, fault.sentence) from fault
