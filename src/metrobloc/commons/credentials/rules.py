"""The verbs of credentials, and what a credential is at a time.

One principle decides who may do what: whatever lends trust (issue, renew, resume) asks for accreditation now; whatever
takes it away (suspend, revoke) never does. Where an issuer is no longer accredited, the office acts in its place.
"""

from itertools import pairwise

from metrobloc.commons.credentials.types import (
    SPANS_MAX,
    Anchor,
    Change,
    Credential,
    Declared,
    DeclareKind,
    Disown,
    Disowned,
    Disownment,
    Issue,
    Issued,
    Kind,
    Renew,
    Renewed,
    Resume,
    Resumed,
    Retired,
    RetireKind,
    Revoke,
    Revoked,
    Span,
    Standing,
    State,
    Suspend,
    Suspended,
)
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.kernel import system
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.types import Id, TimeMs

ISSUER = "issuer"
"""The role that every issuer holds, besides the one that a kind asks for."""

DAY_MS = 86_400_000
SUSPENSIONS_MAX = 3

app = Module(
    "credentials",
    {
        "not_accredited": "You do not hold the role that this kind asks for; the city office accredits issuers.",
        "retired": "No more credentials of this kind are issued; choose a kind that is not retired.",
        "backwards": "The credential would end before it begins; choose a later end.",
        "in_the_past": "The end must lie ahead of the block's time.",
        "too_long": "The credential would be valid longer than its kind allows; choose an earlier end.",
        "not_yours": "Only its issuer may do this, or the city office when the issuer is no longer accredited.",
        "revoked": "The credential is revoked, and that is final; issue another.",
        "not_in_force": "The credential is suspended already.",
        "not_suspended": "The credential is not suspended.",
        "suspended_too_often": "The credential has been suspended three times; revoke it and issue another.",
        "ahead": "Only what has been issued can be disowned; choose a time that has come.",
        "too_many": "This issuer was disowned for four spans of time; choose an earlier one that covers others.",
    },
)
kinds = app.table("kinds", Kind, str, "unknown", "taken")
credentials = app.table("credentials", Credential, str, "unknown", "taken")
commitments = app.table("commitments", Anchor, tuple[str, str], "taken")
disowned = app.table("disowned", Disownment, str)


def status_at(credential: Credential, time_ms: int, doubt: Disownment | None = None) -> Standing:
    """Return what a credential is at a time; `doubt` is what the office has disowned of its issuer.

    Before it was issued it is `not_yet`, whatever it says of itself. Disowned means void from the beginning, because
    then it is its issuing that nobody can believe.
    """
    if doubt is not None and any(span.from_ms <= credential.issued_ms <= span.to_ms for span in doubt.spans):
        return "disowned"
    state = _state(credential, time_ms)
    if state == "revoked":
        return "revoked"
    if time_ms < max(credential.issued_ms, credential.from_ms):
        return "not_yet"
    return "expired" if time_ms >= credential.until_ms else state


@app.tx(allow=role(OFFICE))
def declare_kind(ctx: Ctx, msg: DeclareKind) -> None:
    """Declare a kind of credential: the role that its issuers need and the days that one may be valid."""
    ctx[kinds].add(msg.kind, Kind(msg.title, msg.role, msg.valid_days))
    ctx.emit(Declared(msg.kind, msg.role))


@app.tx(allow=role(OFFICE))
def retire_kind(ctx: Ctx, msg: RetireKind) -> None:
    """Let no more credentials of a kind be issued; those that are there stand."""
    kind = ctx[kinds][msg.kind]
    app.require(kind.retired_ms is None, "retired")
    ctx[kinds][msg.kind] = kind.but(retired_ms=ctx.time_ms)
    ctx.emit(Retired(msg.kind))


@app.tx(allow=role(ISSUER))
def issue(ctx: Ctx, msg: Issue) -> None:
    """Anchor statements that you have signed, by their commitments alone; each becomes a credential."""
    _require_issuable(ctx, msg.kind, msg.from_ms, msg.until_ms)
    made = tuple([_anchor(ctx, msg.kind, one, msg.from_ms, msg.until_ms) for one in msg.commitments])
    ctx.emit(Issued(ctx.actor, msg.kind, made))


@app.tx(allow=role(ISSUER))
def renew(ctx: Ctx, msg: Renew) -> None:
    """Replace a credential that you have issued by another; the old one is revoked."""
    old = ctx[credentials][msg.credential]
    app.require(old.issuer == ctx.actor, "not_yours")
    app.require(_state(old, ctx.time_ms) != "revoked", "revoked")
    _require_issuable(ctx, old.kind, msg.from_ms, msg.until_ms)
    made = _anchor(ctx, old.kind, msg.commitment, msg.from_ms, msg.until_ms)
    _note(ctx, msg.credential, old.but(replaced_by=made), Change(ctx.time_ms, "revoked"))
    ctx.emit(Renewed(msg.credential, made))


@app.tx(allow=anyone)
def revoke(ctx: Ctx, msg: Revoke) -> None:
    """Revoke a credential that you have issued, for good; the office can for an issuer without accreditation."""
    old = _of_actor(ctx, msg.credential)
    _note(ctx, msg.credential, old, Change(ctx.time_ms, "revoked", msg.reason))
    ctx.emit(Revoked(msg.credential))


@app.tx(allow=anyone)
def suspend(ctx: Ctx, msg: Suspend) -> None:
    """Suspend a credential that you have issued until you resume or revoke it."""
    old = _of_actor(ctx, msg.credential)
    app.require(_state(old, ctx.time_ms) == "in_force", "not_in_force")
    app.require(len(old.changes) < 2 * SUSPENSIONS_MAX, "suspended_too_often")
    _note(ctx, msg.credential, old, Change(ctx.time_ms, "suspended", msg.reason))
    ctx.emit(Suspended(msg.credential))


@app.tx(allow=anyone)
def resume(ctx: Ctx, msg: Resume) -> None:
    """Put a suspended credential in force again; an issuer must still be accredited for that."""
    old = _of_actor(ctx, msg.credential)
    app.require(_state(old, ctx.time_ms) == "suspended", "not_suspended")
    app.require(old.issuer != ctx.actor or _is_accredited(ctx, ctx.actor, old.kind), "not_accredited")
    _note(ctx, msg.credential, old, Change(ctx.time_ms, "in_force"))
    ctx.emit(Resumed(msg.credential))


@app.tx(allow=role(OFFICE))
def disown(ctx: Ctx, msg: Disown) -> None:
    """Declare void all that an issuer has issued from a time until now, as when its key was stolen."""
    ctx.read(system.accounts)[msg.issuer]  # refuses when there is none
    app.require(msg.from_ms <= ctx.time_ms, "ahead")
    before = ctx[disowned].get(msg.issuer)
    apart = () if before is None else tuple([span for span in before.spans if span.from_ms < msg.from_ms])
    app.require(len(apart) < SPANS_MAX, "too_many")
    ctx[disowned][msg.issuer] = Disownment((*apart, Span(msg.from_ms, ctx.time_ms)))
    ctx.emit(Disowned(msg.issuer, msg.from_ms, ctx.time_ms))


@app.query
def standing(view: View, credential: Id, at_ms: TimeMs) -> dict[str, object]:
    """Tell what a credential is at a time, as far as the ledger knows now; nothing for one that is not there."""
    record = view[credentials].get(credential)
    if record is None:
        return {}
    return {
        "issuer": record.issuer,
        "kind": record.kind,
        "standing": status_at(record, at_ms, view[disowned].get(record.issuer)),
        "replaced_by": record.replaced_by,
    }


@app.query
def open_kinds(view: View) -> dict[str, Kind]:
    """List the kinds of which credentials are issued, with the role that each asks for."""
    return {name: kind for name, kind in view[kinds].items() if kind.retired_ms is None}


def _state(credential: Credential, time_ms: int) -> State:
    """Return what has been made of a credential by a time, whatever its dates say."""
    states: list[State] = [change.state for change in credential.changes if change.at_ms <= time_ms]
    return states[-1] if states else "in_force"


def _is_accredited(ctx: Ctx, account: str, kind: str) -> bool:
    return ctx.has_role(account, ISSUER) and ctx.has_role(account, ctx[kinds][kind].role)


def _of_actor(ctx: Ctx, credential: str) -> Credential:
    """Return a credential that the actor may change: its own, or of an issuer in whose place the office acts."""
    old = ctx[credentials][credential]
    in_place = ctx.has_role(ctx.actor, OFFICE) and not _is_accredited(ctx, old.issuer, old.kind)
    app.require(old.issuer == ctx.actor or in_place, "not_yours")
    app.require(_state(old, ctx.time_ms) != "revoked", "revoked")
    return old


def _require_issuable(ctx: Ctx, name: str, from_ms: int, until_ms: int) -> None:
    kind = ctx[kinds][name]
    app.require(kind.retired_ms is None, "retired")
    app.require(_is_accredited(ctx, ctx.actor, name), "not_accredited")
    app.require(from_ms < until_ms, "backwards")
    app.require(ctx.time_ms < until_ms, "in_the_past")
    app.require(until_ms - from_ms <= kind.valid_days * DAY_MS, "too_long")


def _anchor(ctx: Ctx, kind: str, commitment: str, from_ms: int, until_ms: int) -> str:
    """Write a credential and return its id.

    An issuer's commitment has one only, so that revoking it leaves no other in force. It is one for each issuer: or who
    sees a commitment on its way could take it first.
    """
    made = ctx.new_id()
    ctx[commitments].add((ctx.actor, commitment), Anchor(made))
    ctx[credentials].add(made, Credential(ctx.actor, kind, commitment, ctx.time_ms, from_ms, until_ms))
    return made


def _note(ctx: Ctx, key: str, credential: Credential, change: Change) -> None:
    ctx[credentials][key] = credential.but(changes=(*credential.changes, change))


@app.invariant
def every_commitment_has_one_credential_and_every_credential_its_own(view: View) -> bool:
    """Credentials and their issuers' commitments name each other."""
    anchored = sorted((key, anchor.credential) for key, anchor in view[commitments].items())
    return anchored == sorted(
        (f"{record.issuer}/{record.commitment}", key) for key, record in view[credentials].items()
    )


@app.invariant
def what_is_revoked_stays_revoked(view: View) -> bool:
    """Nothing follows a revocation."""
    return not any(
        change.state == "revoked" for _, record in view[credentials].items() for change in record.changes[:-1]
    )


@app.invariant
def changes_follow_each_other_in_time(view: View) -> bool:
    """No change is before the one it follows or before the issuing, and each makes the credential something else."""
    for _, record in view[credentials].items():
        times = [record.issued_ms, *(change.at_ms for change in record.changes)]
        states = ["in_force", *(change.state for change in record.changes)]
        if times != sorted(times) or any(one == two for one, two in pairwise(states)):
            return False
    return True


@app.invariant
def nothing_is_valid_longer_than_its_kind_allows(view: View) -> bool:
    """Every credential begins before it ends, ends after it was issued, and keeps to the days of its kind."""
    for _, record in view[credentials].items():
        kind = view[kinds].get(record.kind)
        longest_ms = 0 if kind is None else kind.valid_days * DAY_MS
        if not max(record.issued_ms, record.from_ms) < record.until_ms <= record.from_ms + longest_ms:
            return False
    return True


@app.invariant
def what_replaces_a_credential_is_of_the_same_issuer_and_kind(view: View) -> bool:
    """Whatever was replaced is revoked since its replacement was issued."""
    for _, old in view[credentials].items():
        if old.replaced_by is None:
            continue
        new = view[credentials].get(old.replaced_by)
        if new is None or (new.issuer, new.kind) != (old.issuer, old.kind):
            return False
        if old.changes[-1:] != (Change(new.issued_ms, "revoked"),):
            return False
    return True


@app.invariant
def disowned_spans_are_in_order(view: View) -> bool:
    """No span of an issuer ends before it begins, and each begins and ends later than the one before."""
    for _, doubt in view[disowned].items():
        if any(span.from_ms > span.to_ms for span in doubt.spans):
            return False
        if any(one.from_ms >= two.from_ms or one.to_ms > two.to_ms for one, two in pairwise(doubt.spans)):
            return False
    return True
