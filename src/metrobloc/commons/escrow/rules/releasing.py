"""Releasing: approvals and evidence come together, and the payee is paid; or the payee gives money back."""

from metrobloc.commons.escrow.rules.declared import app, escrows, instalments
from metrobloc.commons.escrow.rules.paying import give_back, live, require_turn, settle
from metrobloc.commons.escrow.types import Approval, Approvals, Approved, Escrow, Instalment, Refund, Release, Terms
from metrobloc.commons.evidence import rules as evidence
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def release(ctx: Ctx, msg: Release) -> None:
    """Approve an instalment, by name or for your role; it is paid when nothing of its condition is missing."""
    deal = ctx[escrows][ctx[instalments][msg.instalment].escrow]
    part = releasable(ctx, deal, msg.instalment, msg.evidence)
    app.require(not part.terms.by_module, "not_releaser")
    approvals = _approve(ctx, deal, part, msg)
    if len(approvals) >= part.terms.needed or not (part.terms.accounts or part.terms.roles):
        settle(ctx, msg.instalment, part.but(approvals=approvals, evidence=msg.evidence), part.held, "condition")
        return
    ctx[instalments][msg.instalment] = part.but(approvals=approvals)


@app.tx(allow=anyone)
def refund(ctx: Ctx, msg: Refund) -> None:
    """Give some or all of an instalment back to its payer; you can do so until it has ended."""
    part = live(ctx, msg.instalment)
    app.require(ctx[escrows][part.escrow].payee == ctx.actor, "not_payee")
    app.require(msg.amount <= part.held, "above_held")
    give_back(ctx, msg.instalment, part, msg.amount, "payee")


def releasable(ctx: Ctx, deal: Escrow, key: str, evidence_id: str | None) -> Instalment:
    """Return an instalment that can be paid now, if those approve it who must."""
    app.require(deal.accepted, "not_accepted")
    require_turn(ctx, deal, key)
    part = live(ctx, key)
    app.require(part.state == "held", "in_dispute")
    app.require(ctx.time_ms >= part.terms.not_before_ms, "too_early")
    _require_evidence(ctx, deal, key, part.terms, evidence_id)
    return part


def _require_evidence(ctx: Ctx, deal: Escrow, key: str, terms: Terms, evidence_id: str | None) -> None:
    if terms.evidence_kind is None:
        app.require(evidence_id is None, "evidence_not_asked")
        return
    app.require(evidence_id is not None, "evidence_missing")
    about = terms.about or key
    found = evidence.require_evidence(ctx, evidence_id or "", terms.evidence_kind, terms.signer_role, about)
    app.require(found.signer != deal.payee, "own_evidence")


def _approve(ctx: Ctx, deal: Escrow, part: Instalment, msg: Release) -> Approvals:
    """Return an instalment's approvals with the actor's: one for each account, and one for each role."""
    terms = part.terms
    if not (terms.accounts or terms.roles):
        app.require(msg.role is None and ctx.actor in (deal.payer, deal.payee), "not_releaser")
        return ()
    app.require(ctx.actor != deal.payee, "payee_releases")
    if msg.role is None:
        app.require(ctx.actor in terms.accounts, "not_releaser")
    else:
        app.require(msg.role in terms.roles and ctx.has_role(ctx.actor, msg.role), "not_releaser")
    for one in part.approvals:
        app.require(one.account != ctx.actor, "approved_already")
        app.require(msg.role is None or one.role != msg.role, "approved_already")
    ctx.emit(Approved(msg.instalment, ctx.actor, msg.role))
    return (*part.approvals, Approval(ctx.actor, msg.role))
