"""Services: other modules open escrows and decide those instalments of them that the terms leave to the module.

A module opens an escrow for terms to which its own rules have the payee's agreement, so it is accepted at once. It can
touch no escrow but those that it opened itself.
"""

from metrobloc.commons.escrow.rules.declared import app, escrows, inbox, instalments, pot
from metrobloc.commons.escrow.rules.opening import agree, begin
from metrobloc.commons.escrow.rules.paying import give_back, live, settle
from metrobloc.commons.escrow.rules.releasing import releasable
from metrobloc.commons.escrow.types import Instalment, Open
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx


@app.service
def open_for(ctx: Ctx, msg: Open) -> str:
    """Set the actor's money aside for the calling module; return the escrow's id."""
    made, deal = agree(ctx, msg, ctx.actor, ctx.caller)
    money.collect(ctx, pot(made), msg.asset, deal.amount)
    begin(ctx, msg, made, deal)
    return made


@app.service
def open_from_pot(ctx: Ctx, msg: Open, payer: str, returns: str) -> str:
    """Set aside what the calling module has handed over to its inbox; return the escrow's id.

    `payer` is the account that acts for the payer's side; what returns goes to the module's own pot `returns`.
    """
    made, deal = agree(ctx, msg, payer, ctx.caller, f"{ctx.caller}.{returns}")
    money.shift(ctx, inbox(ctx.caller), msg.asset, pot(made), deal.amount)
    begin(ctx, msg, made, deal)
    return made


@app.service
def release_for(ctx: Ctx, key: str, evidence_id: str | None = None) -> None:
    """Pay an instalment that its terms leave to the calling module."""
    _of_caller(ctx, key)
    part = releasable(ctx, ctx[escrows][ctx[instalments][key].escrow], key, evidence_id)
    settle(ctx, key, part.but(evidence=evidence_id), part.held, "module")


@app.service
def refund_for(ctx: Ctx, key: str, amount: int) -> None:
    """Return some or all of an instalment that its terms leave to the calling module."""
    _of_caller(ctx, key)
    part = live(ctx, key)
    app.require(part.state == "held", "in_dispute")
    app.require(amount <= part.held, "above_held")
    give_back(ctx, key, part, amount, "module")


def _of_caller(ctx: Ctx, key: str) -> Instalment:
    """Return an instalment whose escrow the calling module has opened and which is left to it."""
    part = ctx[instalments][key]
    app.require(ctx[escrows][part.escrow].module == ctx.caller, "not_opener")
    app.require(part.terms.by_module, "not_releaser")
    return part
