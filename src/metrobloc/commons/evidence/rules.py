"""The verbs of evidence, and the services through which other modules record it and ask for it."""

from metrobloc.commons.evidence.types import (
    Chain,
    Countersign,
    Countersigned,
    Declared,
    DeclareKind,
    Evidence,
    Kind,
    Lodge,
    Lodged,
    Supersede,
    Superseded,
    Withdraw,
    Withdrawn,
)
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.kernel import crypto, system
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.types import Id

HISTORY_MAX = 100
"""So many of a document's newest versions are shown at once."""

app = Module(
    "evidence",
    {
        "not_entitled": "You do not hold the role that records documents of this kind.",
        "one_hash": "Give either the digest of a public document or the commitment to a private one.",
        "keep_private": "Documents of this kind may hold personal data; give a commitment instead of a digest.",
        "in_the_future": "The document's own date has not come yet.",
        "in_the_past": "The evidence would have expired already; choose a later end, or none.",
        "twice_named": "A co-signer is named once.",
        "own_cosigner": "Whoever records a document has signed it; name others as co-signers.",
        "superseded": "There is a newer version; name the current one.",
        "withdrawn": "The evidence has been withdrawn.",
        "expired": "The evidence has expired.",
        "not_signer": "Only its signer or the authority for its kind may do this.",
        "not_asked": "Only those whom the signer has named may sign too.",
        "signed_already": "You have signed this already.",
        "wrong_kind": "Evidence of another kind is asked for.",
        "wrong_subject": "This evidence is about something else.",
        "wrong_signer": "The signer does not hold the role that is asked for.",
        "not_cosigned": "Not all whom the signer has named have signed yet.",
    },
)
kinds = app.table("kinds", Kind, str, "unknown")
evidence = app.table("evidence", Evidence, str, "unknown", "taken")
chains = app.table("chains", Chain, str)


def subject(path: str) -> str:
    """Return the id under which evidence can be about a record whose key is no id: `subject("money/assets/cny")`."""
    return crypto.short_name(f"metrobloc state key v1\n{path}".encode())


@app.tx(allow=role(OFFICE))
def declare_kind(ctx: Ctx, msg: DeclareKind) -> None:
    """Declare a kind of document, or change it: which role records it, and which other may correct it."""
    ctx[kinds][msg.kind] = Kind(msg.name, msg.role, msg.authority, msg.private)
    ctx.emit(Declared(msg.kind, msg.role))


@app.tx(allow=anyone)
def lodge(ctx: Ctx, msg: Lodge) -> None:
    """Record a document's hash, with its source and date; your account stands behind it."""
    _lodge(ctx, msg)


@app.tx(allow=anyone)
def supersede(ctx: Ctx, msg: Supersede) -> None:
    """Replace a document by a newer version; you signed the current one, or are the authority for its kind."""
    now = _standing(ctx, msg.evidence)
    kind = ctx[kinds][now.kind]
    app.require(ctx.actor == now.signer or _is_authority(ctx, ctx.actor, kind), "not_signer")
    app.require(ctx.has_role(ctx.actor, kind.role) or _is_authority(ctx, ctx.actor, kind), "not_entitled")
    made = ctx.new_id()
    version = now.version + 1
    bare = Evidence(now.kind, now.about, ctx.actor, msg.source, msg.dated_ms, ctx.time_ms, now.first, version)
    ctx[evidence].add(made, _signed(ctx, msg, kind, bare).but(previous=msg.evidence))
    ctx[evidence][msg.evidence] = now.but(superseded_by=made)
    ctx[chains][now.first] = Chain(made, version)
    ctx.emit(Superseded(msg.evidence, made))


@app.tx(allow=anyone)
def countersign(ctx: Ctx, msg: Countersign) -> None:
    """Stand behind a document too, if its signer has named you."""
    now = _standing(ctx, msg.evidence)
    app.require(not _has_expired(ctx, now), "expired")
    app.require(ctx.actor in now.cosigners, "not_asked")
    app.require(ctx.actor not in now.signed, "signed_already")
    ctx[evidence][msg.evidence] = now.but(signed=(*now.signed, ctx.actor))
    ctx.emit(Countersigned(msg.evidence, ctx.actor))


@app.tx(allow=anyone)
def withdraw(ctx: Ctx, msg: Withdraw) -> None:
    """Take back a document that you signed, or for whose kind you are the authority; nothing replaces it."""
    now = _standing(ctx, msg.evidence)
    app.require(ctx.actor == now.signer or _is_authority(ctx, ctx.actor, ctx[kinds][now.kind]), "not_signer")
    ctx[evidence][msg.evidence] = now.but(withdrawn=msg.reason, withdrawn_ms=ctx.time_ms)
    ctx.emit(Withdrawn(msg.evidence, msg.reason))


@app.service
def lodge_for(ctx: Ctx, msg: Lodge) -> str:
    """Record a document as the actor does by `lodge`, within another module's action; return its id."""
    return _lodge(ctx, msg)


@app.service
def require_evidence(
    ctx: Ctx, key: str, kind: str, signer_role: str | None = None, about: str | None = None
) -> Evidence:
    """Return evidence that counts now, or refuse with what is wrong.

    It is the current version, neither withdrawn nor expired, of the kind, signed by all it names, and, where these are
    given, about the subject and signed by somebody who holds the role now. The version of the authority for a kind
    counts like one of the role: it is there to correct others.
    """
    now = _standing(ctx, key)
    app.require(not _has_expired(ctx, now), "expired")
    app.require(now.kind == kind, "wrong_kind")
    app.require(about is None or now.about == about, "wrong_subject")
    app.require(len(now.signed) == len(now.cosigners), "not_cosigned")
    holds = signer_role is None or ctx.has_role(now.signer, signer_role)
    app.require(holds or _is_authority(ctx, now.signer, ctx[kinds][kind]), "wrong_signer")
    return now


def _lodge(ctx: Ctx, msg: Lodge) -> str:
    kind = ctx[kinds][msg.kind]
    app.require(ctx.has_role(ctx.actor, kind.role), "not_entitled")
    made = ctx.new_id()
    bare = Evidence(msg.kind, msg.about, ctx.actor, msg.source, msg.dated_ms, ctx.time_ms, made, 1)
    ctx[evidence].add(made, _signed(ctx, msg, kind, bare))
    ctx[chains][made] = Chain(made, 1)
    ctx.emit(Lodged(made, msg.kind, msg.about, ctx.actor))
    return made


def _signed(ctx: Ctx, msg: Lodge | Supersede, kind: Kind, bare: Evidence) -> Evidence:
    """Return a version with what its signer says of the document, if that can be."""
    app.require((msg.digest is None) != (msg.commitment is None), "one_hash")
    app.require(msg.digest is None or not kind.private, "keep_private")
    app.require(msg.dated_ms <= ctx.time_ms, "in_the_future")
    app.require(msg.until_ms == 0 or msg.until_ms > ctx.time_ms, "in_the_past")
    app.require(len(set(msg.cosigners)) == len(msg.cosigners), "twice_named")
    app.require(ctx.actor not in msg.cosigners, "own_cosigner")
    for account in msg.cosigners:
        ctx.read(system.accounts)[account]  # refuses when there is none: it could never sign
    return bare.but(digest=msg.digest, commitment=msg.commitment, until_ms=msg.until_ms, cosigners=msg.cosigners)


def _standing(ctx: Ctx, key: str) -> Evidence:
    """Return a version that is neither superseded nor withdrawn."""
    now = ctx[evidence][key]
    app.require(now.superseded_by is None, "superseded")
    app.require(now.withdrawn is None, "withdrawn")
    return now


def _has_expired(ctx: Ctx, now: Evidence) -> bool:
    return now.until_ms != 0 and ctx.time_ms >= now.until_ms


def _is_authority(ctx: Ctx, account: str, kind: Kind) -> bool:
    return kind.authority is not None and ctx.has_role(account, kind.authority)


@app.query
def current(view: View, evidence_id: Id) -> dict[str, object]:
    """Tell the current version of a document of which any version is named; it may be withdrawn or expired."""
    named = view[evidence].get(evidence_id)
    chain = None if named is None else view[chains].get(named.first)
    return {} if chain is None else _shown(view, chain.current)


@app.query
def history(view: View, evidence_id: Id) -> list[dict[str, object]]:
    """List a document's versions, the newest first, at most 100; any version can be named."""
    found: list[dict[str, object]] = []
    named = view[evidence].get(evidence_id)
    chain = None if named is None else view[chains].get(named.first)
    key = None if chain is None else chain.current
    while key is not None and len(found) < HISTORY_MAX:
        version = view[evidence].get(key)
        found.append(_shown(view, key))
        key = None if version is None else version.previous
    return found


def _shown(view: View, key: str) -> dict[str, object]:
    version = view[evidence].get(key)
    return {} if version is None else {"evidence": key, "version": version}


@app.invariant
def every_document_has_exactly_one_current_version(view: View) -> bool:
    """See that of the versions with one beginning just one is superseded by none: the one the chain names."""
    current_of: dict[str, list[str]] = {}
    for key, version in view[evidence].items():
        current_of.setdefault(version.first, []).extend([key] if version.superseded_by is None else [])
    return current_of == {first: [chain.current] for first, chain in view[chains].items()}


@app.invariant
def every_chain_of_versions_ends_at_its_beginning_without_a_circle_or_a_fork(view: View) -> bool:
    """Walk back from each current version, one number at a time, and meet every version exactly once."""
    met = 0
    for first, chain in view[chains].items():
        key: str | None = chain.current
        newer: str | None = None
        for number in range(chain.versions, 0, -1):
            version = view[evidence].get(key or "")
            found = version and (version.version, version.first, version.superseded_by)
            if version is None or found != (number, first, newer):
                return False
            key, newer = version.previous, key
            met += 1
        if key is not None or newer != first:
            return False
    return met == sum(1 for _ in view[evidence].items())


@app.invariant
def versions_of_a_document_share_kind_and_subject_and_follow_each_other_in_time(view: View) -> bool:
    """Compare each version with the one before it."""
    for _, version in view[evidence].items():
        before = version if version.previous is None else view[evidence].get(version.previous)
        if before is None or (before.kind, before.about) != (version.kind, version.about):
            return False
        if before.lodged_ms > version.lodged_ms or version.dated_ms > version.lodged_ms:
            return False
    return True


@app.invariant
def nobody_signs_evidence_unasked_or_twice_and_it_has_one_hash(view: View) -> bool:
    """See that co-signers are among those named, none is the signer, and that one of the two hashes is there."""
    for _, one in view[evidence].items():
        if one.signer in one.cosigners or len(set(one.signed)) != len(one.signed):
            return False
        if not set(one.signed) <= set(one.cosigners) or (one.digest is None) == (one.commitment is None):
            return False
    return True


@app.invariant
def only_current_evidence_is_withdrawn(view: View) -> bool:
    """See that nothing replaces what was withdrawn, and that its time is known."""
    return all(
        (one.withdrawn is None) == (one.withdrawn_ms == 0) and (one.withdrawn is None or one.superseded_by is None)
        for _, one in view[evidence].items()
    )
