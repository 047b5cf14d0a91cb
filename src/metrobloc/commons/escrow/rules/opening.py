"""Opening: terms are checked, the money is set aside, and the payee accepts or the payer cancels."""

from itertools import pairwise

from metrobloc.commons.escrow.rules.declared import app, duration_ms_max, escrows, instalments, pot
from metrobloc.commons.escrow.rules.paying import lapse, settle
from metrobloc.commons.escrow.types import Accept, Accepted, Cancel, Escrow, Instalment, Open, Opened, Terms
from metrobloc.commons.evidence import rules as evidence
from metrobloc.commons.money import rules as money
from metrobloc.kernel import system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def open(ctx: Ctx, msg: Open) -> None:  # noqa: A001  # the verb; nothing here opens a file
    """Set money aside for somebody, in instalments that are paid when their conditions are met, or else return."""
    made, deal = agree(ctx, msg, ctx.actor)
    money.collect(ctx, pot(made), msg.asset, deal.amount)
    begin(ctx, msg, made, deal)


@app.tx(allow=anyone)
def accept(ctx: Ctx, msg: Accept) -> None:
    """Agree to the terms under which money is set aside for you; its payer can no longer cancel."""
    deal = ctx[escrows][msg.escrow]
    app.require(deal.payee == ctx.actor, "not_payee")
    app.require(not deal.accepted, "accepted_already")
    app.require(deal.held > 0, "ended")
    ctx[escrows][msg.escrow] = deal.but(accepted=True)
    ctx.emit(Accepted(msg.escrow))


@app.tx(allow=anyone)
def cancel(ctx: Ctx, msg: Cancel) -> None:
    """Take everything back that you have set aside and the payee has not accepted."""
    deal = ctx[escrows][msg.escrow]
    app.require(deal.payer == ctx.actor, "not_payer")
    app.require(not deal.accepted, "accepted_already")
    app.require(deal.held > 0, "ended")
    for key in deal.instalments:
        part = ctx[instalments][key]
        if part.state != "ended":
            settle(ctx, key, part, 0, "cancelled")


def agree(ctx: Ctx, msg: Open, payer: str, module: str | None = None, returns: str | None = None) -> tuple[str, Escrow]:
    """Check terms; return an escrow's id and what it will be. One that a module opens is accepted at once."""
    app.require(msg.payee != payer, "to_self")
    _require_account(ctx, msg.payee)
    app.require((msg.arbiter is None) != (msg.arbiter_role is None), "one_arbiter")
    if msg.arbiter is not None:
        app.require(msg.arbiter not in (payer, msg.payee), "party_decides")
        _require_account(ctx, msg.arbiter)
    for terms in msg.instalments:
        _require_times(ctx, terms)
        _require_approvers(ctx, terms, msg.payee)
        _require_conditions(ctx, terms, module)
    ends = [terms.until_ms for terms in msg.instalments]
    app.require(not msg.in_order or all(one <= other for one, other in pairwise(ends)), "not_in_order")
    made = ctx.new_id()
    deal = Escrow(
        payer=payer,
        payee=msg.payee,
        asset=msg.asset,
        purpose=msg.purpose,
        amount=sum([terms.amount for terms in msg.instalments]),
        instalments=tuple(ctx.new_id() for _ in msg.instalments),
        decide_days=msg.decide_days,
        arbiter=msg.arbiter,
        arbiter_role=msg.arbiter_role,
        undecided=msg.undecided,
        in_order=msg.in_order,
        contract=msg.contract,
        module=module,
        returns=returns,
        accepted=module is not None,
    )
    return made, deal


def begin(ctx: Ctx, msg: Open, made: str, deal: Escrow) -> None:
    """Write down an escrow whose money is in its pot, and let the time of its instalments run."""
    ctx[escrows].add(made, deal)
    for key, terms in zip(deal.instalments, msg.instalments, strict=True):
        deadline = ctx.at(terms.until_ms, lapse, key)
        ctx[instalments][key] = Instalment(made, terms, terms.until_ms, deadline)  # new, because its escrow is
    ctx.emit(Opened(made, deal.payer, deal.payee, deal.asset, deal.amount))


def _require_times(ctx: Ctx, terms: Terms) -> None:
    app.require(terms.until_ms > ctx.time_ms, "in_the_past")
    app.require(terms.until_ms <= ctx.time_ms + ctx.param(duration_ms_max), "too_long")
    app.require(terms.not_before_ms < terms.until_ms, "bad_window")


def _require_approvers(ctx: Ctx, terms: Terms, payee: str) -> None:
    named = (*terms.accounts, *terms.roles)
    app.require(len(set(named)) == len(named), "twice_named")
    app.require(payee not in terms.accounts, "payee_releases")
    app.require(terms.needed <= max(1, len(named)), "too_many_needed")
    for account in terms.accounts:
        _require_account(ctx, account)  # one that is not there could never approve


def _require_conditions(ctx: Ctx, terms: Terms, module: str | None) -> None:
    asks = terms.evidence_kind is not None
    app.require(asks or (terms.signer_role, terms.about) == (None, None), "kind_missing")
    app.require(not asks or (terms.evidence_kind or "") in ctx.read(evidence.kinds), "no_kind")
    app.require(not terms.by_module or module is not None, "no_module")
    app.require(not terms.by_module or not (terms.accounts or terms.roles), "mixed")
    named = terms.accounts or terms.roles or terms.by_module
    app.require(named or asks or terms.not_before_ms > 0, "no_condition")


def _require_account(ctx: Ctx, account: str) -> None:
    ctx.read(system.accounts)[account]  # refuses when there is none
