"""Disputing: one of the two stops an instalment, and the arbiter decides it once and for all."""

from metrobloc.commons.escrow.rules.declared import app, escrows, instalments
from metrobloc.commons.escrow.rules.paying import lapse, live, require_turn, settle, stop
from metrobloc.commons.escrow.types import DAY_MS, Decide, Dispute, Disputed
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def dispute(ctx: Ctx, msg: Dispute) -> None:
    """Stop an instalment of an escrow of yours until its arbiter has decided; once for each, and for good."""
    escrow = ctx[instalments][msg.instalment].escrow
    deal = ctx[escrows][escrow]
    app.require(ctx.actor in (deal.payer, deal.payee), "not_party")
    app.require(deal.accepted, "not_accepted")
    require_turn(ctx, deal, msg.instalment)
    part = live(ctx, msg.instalment)
    app.require(part.state == "held", "in_dispute")
    if part.deadline is not None:
        ctx.cancel(part.deadline)
    due_ms = ctx.time_ms + deal.decide_days * DAY_MS
    deadline = ctx.at(due_ms, lapse, msg.instalment)
    ctx[instalments][msg.instalment] = part.but(state="disputed", due_ms=due_ms, deadline=deadline)
    if deal.in_order:
        stop(ctx, escrow, ctx[escrows][escrow], msg.instalment)
    ctx.emit(Disputed(msg.instalment, ctx.actor, msg.reason, due_ms))


@app.tx(allow=anyone)
def decide(ctx: Ctx, msg: Decide) -> None:
    """Decide a dispute for which the terms name you: so much to the payee, the rest of what is held to the payer."""
    part = live(ctx, msg.instalment)
    app.require(part.state == "disputed", "not_disputed")
    deal = ctx[escrows][part.escrow]
    by_role = deal.arbiter_role is not None and ctx.has_role(ctx.actor, deal.arbiter_role)
    app.require(by_role or ctx.actor == deal.arbiter, "not_arbiter")
    app.require(ctx.actor not in (deal.payer, deal.payee), "party_decides")
    app.require(msg.to_payee <= part.held, "above_held")
    settle(ctx, msg.instalment, part, msg.to_payee, "decided")
