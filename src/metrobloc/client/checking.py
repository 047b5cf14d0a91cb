"""Decide whether a credential is valid, and was not revoked as of a time, from its file and proofs alone.

Five records decide: the credential, whose the signing key is, what the office has disowned of the issuer and, for
people, how the issuer and the kind are called. Each is shown by a proof file as `verify` checks it.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from metrobloc import verify
from metrobloc.client.credentials import Credential, Opened, read
from metrobloc.client.errors import PROBLEMS, NotValid
from metrobloc.commons import notes
from metrobloc.commons.credentials import rules
from metrobloc.commons.credentials.rules import status_at
from metrobloc.commons.identity.rules import institutions
from metrobloc.kernel import system
from metrobloc.kernel.tables import Table
from metrobloc.kernel.types import Record

V = TypeVar("V", bound=Record)
DAY_MS = 86_400_000
Status = Literal["valid", "invalid", "unusable", "untrusted", "stale"]


class Question(Struct, frozen=True):
    """What a desk wants to know; times in ms since 1970. Without `at_ms` it asks about now.

    `fresh_ms` is how much older than that the proofs may be. `nonce` is what it gave the holder to sign.
    """

    now_ms: int
    at_ms: int | None = None
    fresh_ms: int = DAY_MS
    nonce: str | None = None
    audience: str | None = None


class Verdict(Struct, frozen=True):
    """What a check found; `code` is `ok` or why not, `facts` what holds as far as it was looked at."""

    status: Status
    code: str
    sentence: str
    facts: dict[str, object]


class _Proof(Struct, frozen=True):
    """A proof that holds: of what, on which chain, and until when it speaks."""

    chain: str
    value: dict[str, object] | None
    as_of_ms: int
    trusted: bool


def needed(opened: Opened) -> tuple[str, ...]:
    """Return the state keys whose proofs decide about a credential; NotValid while it is not anchored."""
    if opened.file.id is None:
        raise NotValid("not_anchored")
    statement = opened.statement
    return (
        rules.credentials.path(opened.file.id),
        system.keys.path(opened.key_id),
        rules.disowned.path(statement.issuer),
        institutions.path(statement.issuer),
        rules.kinds.path(statement.kind),
    )


def prove(opened: Opened, fetch: Callable[[str], bytes]) -> Credential:
    """Return the file with fresh proofs in place of those it has; `fetch` returns the proof file of a state key."""
    proofs = tuple([Raw(fetch(key).removesuffix(b"\n")) for key in needed(opened)])
    return msgspec.structs.replace(opened.file, proofs=proofs)


def check(data: bytes, proofs: Iterable[bytes], trust: bytes | None, question: Question) -> Verdict:
    """Check a file, with the proofs in it and those given; never raises, whatever the bytes are."""
    facts: dict[str, object] = {}
    try:
        opened = read(data)
        _present_facts(opened, question, facts)
        held = _hold([*(bytes(proof) for proof in opened.file.proofs), *proofs], trust)
        return _judge(opened, held, question, facts)
    except NotValid as fault:
        status: Status = "unusable" if fault.code == "unusable" else "invalid"
        return Verdict(status, fault.code, fault.sentence, facts)


def _present_facts(opened: Opened, question: Question, facts: dict[str, object]) -> None:
    """Note what the file says, and require the holder's signature where the desk asks for it."""
    statement, presented = opened.statement, opened.file.presented
    facts |= {"chain": statement.chain, "credential": opened.file.id, "claims": opened.shown}
    facts |= {"from_ms": statement.from_ms, "until_ms": statement.until_ms}
    if question.nonce is None and question.audience is None:
        return
    if statement.holder is None:
        raise NotValid("no_holder")
    if presented is None:
        raise NotValid("not_presented")
    if presented.nonce != question.nonce:
        raise NotValid("other_nonce")
    if question.audience is not None and presented.audience != question.audience:
        raise NotValid("other_audience")
    facts["holder"] = statement.holder


def _judge(opened: Opened, held: dict[str, _Proof], question: Question, facts: dict[str, object]) -> Verdict:
    statement = opened.statement
    keys = needed(opened)
    missing = next((key for key in keys if key not in held), None)
    if missing is not None:
        raise NotValid("unproved", f"{PROBLEMS['unproved']} ({missing})")
    credential, owner, disowned, institution, kind = (held[key] for key in keys)
    used = (credential, owner, disowned, institution, kind)
    if any(proof.chain != statement.chain for proof in used):
        raise NotValid("wrong_chain")
    record = _record(rules.credentials, credential)
    if record is None:
        raise NotValid("not_anchored")
    if record.commitment != opened.commitment:
        raise NotValid("other_statement")
    terms = (statement.issuer, statement.kind, statement.from_ms, statement.until_ms)
    if (record.issuer, record.kind, record.from_ms, record.until_ms) != terms:
        raise NotValid("other_terms")
    key_owner = _record(system.keys, owner)
    if key_owner is None or key_owner.account != record.issuer:
        raise NotValid("foreign_key")
    doubt = _record(rules.disowned, disowned)
    named, of_kind = _record(institutions, institution), _record(rules.kinds, kind)
    facts |= {"issuer": record.issuer, "issuer_name": None if named is None else named.name, "kind": record.kind}
    if of_kind is not None:
        facts |= {"kind_title": of_kind.title, "accredited_as": of_kind.role}
    as_of_ms = min(credential.as_of_ms, disowned.as_of_ms)
    at_ms = max(question.now_ms, as_of_ms) if question.at_ms is None else question.at_ms
    standing = status_at(record, at_ms, doubt)
    facts |= {"issued_ms": record.issued_ms, "as_of_ms": as_of_ms, "at_ms": at_ms, "standing": standing}
    facts["standing_as_of"] = status_at(record, as_of_ms, doubt)
    if standing != "in_force":
        raise NotValid(standing)
    if not all(proof.trusted for proof in used):
        return Verdict("untrusted", "untrusted", PROBLEMS["untrusted"], facts)
    if at_ms - as_of_ms > question.fresh_ms:
        return Verdict("stale", "stale", PROBLEMS["stale"], facts)
    if at_ms >= as_of_ms:
        return Verdict("valid", "ok", f"It is valid, and was not revoked as of {utc(as_of_ms)}.", facts)
    since = "" if facts["standing_as_of"] == standing else f" Since then it has become: {facts['standing_as_of']}."
    return Verdict("valid", "ok", f"It was valid, and not revoked, at {utc(at_ms)}.{since}", facts)


def utc(time_ms: int) -> str:
    """Write a time for people, to the second; one beyond the year 9999 stays a number."""
    try:
        return datetime.fromtimestamp(time_ms // 1000, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms since 1970"


def _record(table: Table[Any, V], proof: _Proof) -> V | None:
    """Return the record that a proof shows; whoever signed it may be anybody, so its form is checked."""
    try:
        return None if proof.value is None else msgspec.convert(proof.value, table.record)
    except msgspec.ValidationError as error:
        raise NotValid("bad_proof", f"{PROBLEMS['bad_proof']} ({error})") from error


def _hold(files: Iterable[bytes], trust: bytes | None) -> dict[str, _Proof]:
    """Return proofs by state key, of several the trusted one that speaks until the latest; NotValid for a bad one."""
    held: dict[str, _Proof] = {}
    for data in files:
        verdict = verify.check(data, trust)
        if verdict.status == "unusable":
            raise NotValid("unusable", f"{PROBLEMS['unusable']} ({verdict.reason})")
        if verdict.status == "invalid":
            raise NotValid("bad_proof", f"{PROBLEMS['bad_proof']} ({verdict.reason})")
        file = msgspec.json.decode(data, type=dict[str, Any])
        key = file["record"]["key"]
        signer = verdict.facts.get("signer")
        trusted = verdict.status == "valid"
        proof = _Proof(file["chain"], file["record"]["value"], _speaks_until_ms(file, signer), trusted)
        if key not in held or _weight(held[key]) < _weight(proof):
            held[key] = proof
    return held


def _weight(proof: _Proof) -> tuple[bool, int]:
    return proof.trusted, proof.as_of_ms


def _speaks_until_ms(file: dict[str, Any], signer: str | None) -> int:
    """Return until when a proof shows how a record was: its header's time, or the co-signature's if none came after it.

    A header with leaves behind it in the signed log is of the past: how its records were later, the proof does not say.
    """
    header_ms, trust = int(file["header"]["time_ms"]), file["trust"]
    checkpoint = notes.read(trust["checkpoint"].encode())
    size = int(checkpoint.body.split("\n")[1])
    if signer is None or trust["index"] != size - 1:
        return header_ms
    cosigned_s = notes.cosigned_s(checkpoint, file["chain"], signer)
    return max(header_ms, 0 if cosigned_s is None else 1000 * cosigned_s)
