"""Approvals: given and taken back in any order, and counted each time by who is on the council then."""

from metrobloc.commons.governance.rules.deciding import (
    decide,
    ensure_quotas,
    is_frozen,
    members_of,
    needed,
    settle,
    threshold,
)
from metrobloc.commons.governance.rules.declared import app, proposals
from metrobloc.commons.governance.types import (
    Approval,
    Approve,
    Approved,
    CarryOut,
    Dropped,
    Proposal,
    Withdraw,
    Withdrawn,
)
from metrobloc.commons.identity.rules import COUNCIL
from metrobloc.kernel import system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=role(COUNCIL))
def approve(ctx: Ctx, msg: Approve) -> None:
    """Approve a proposal; it is decided when enough members do. Doing so again counts once, and counts anew."""
    require_member(ctx)
    proposal = ctx[proposals][msg.proposal]
    app.require(ctx.time_ms < proposal.until_ms, "voting_over")
    others = tuple(one for one in proposal.approvals if one.by != ctx.actor)
    ctx.emit(Approved(msg.proposal, ctx.actor))
    consider(ctx, msg.proposal, proposal.but(approvals=(*others, Approval(ctx.actor, ctx.time_ms))))


@app.tx(allow=role(COUNCIL))
def withdraw(ctx: Ctx, msg: Withdraw) -> None:
    """Take back your approval of a proposal; one that nobody approves any more is dropped."""
    require_member(ctx)
    proposal = ctx[proposals][msg.proposal]
    others = tuple(one for one in proposal.approvals if one.by != ctx.actor)
    app.require(others != proposal.approvals, "not_approved")
    ctx.emit(Withdrawn(msg.proposal, ctx.actor))
    if others:
        ctx[proposals][msg.proposal] = proposal.but(approvals=others)
        return
    _end(ctx, msg.proposal, proposal)
    ctx.emit(Dropped(msg.proposal))


@app.tx(allow=anyone)
def carry_out(ctx: Ctx, msg: CarryOut) -> None:
    """Give and take the roles that the council has decided about and whose block has come.

    All who have them then have a quota too: no office that decides about quotas can keep the council from deciding.
    """
    del msg
    settled, lacked = settle(ctx), ensure_quotas(ctx)
    app.require(settled or lacked, "nothing_due")


@app.deadline
def forget_proposal(ctx: Ctx, key: str) -> None:
    """Drop a proposal that too few have approved in time."""
    del ctx[proposals][key]
    ctx.emit(Dropped(key))


def require_member(ctx: Ctx) -> None:
    """Carry out what is due, and refuse whom that has taken from the council."""
    settle(ctx)
    app.require(ctx.has_role(ctx.actor, COUNCIL), "not_member")


def consider(ctx: Ctx, made: str, proposal: Proposal) -> None:
    """Decide a proposal when enough members approve, or else keep it with the approvals of those who are members."""
    members = frozenset(members_of(ctx))
    kept = tuple(one for one in proposal.approvals if one.by in members)
    if sum(_counts(ctx, one) for one in kept) < needed(threshold(ctx), len(members)):
        ctx[proposals][made] = proposal.but(approvals=kept)
        return
    if made in ctx[proposals]:
        _end(ctx, made, proposal)
    else:
        ctx.cancel(proposal.deadline)
    decide(ctx, made, proposal)


def _counts(ctx: Ctx, approval: Approval) -> bool:
    """Tell whether an approval counts now.

    It does not while its giver is frozen, nor ever again when the keys of then have been found lost or stolen since.
    """
    account = ctx.read(system.accounts)[approval.by].at(ctx.time_ms)
    return not is_frozen(ctx, approval.by) and account.reset_ms <= approval.given_ms


def _end(ctx: Ctx, made: str, proposal: Proposal) -> None:
    del ctx[proposals][made]
    ctx.cancel(proposal.deadline)
