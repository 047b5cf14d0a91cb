"""The only way in which money leaves an escrow, and what follows for the instalments behind."""

from metrobloc.commons.escrow.rules.declared import app, escrows, instalments, pot
from metrobloc.commons.escrow.types import Escrow, Instalment, Refunded, Released, Why
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx


def settle(ctx: Ctx, key: str, part: Instalment, to_payee: int, why: Why) -> None:
    """Pay so much of an instalment and return the rest; that ends it."""
    to_payer = part.held - to_payee
    if to_payee:
        _release(ctx, key, part, to_payee, why)
    if to_payer:
        _refund(ctx, key, part, to_payer, why)
    _end(ctx, key, part.but(released=part.released + to_payee, refunded=part.refunded + to_payer))


def give_back(ctx: Ctx, key: str, part: Instalment, amount: int, why: Why) -> None:
    """Return some of an instalment; that ends it once nothing is left."""
    _refund(ctx, key, part, amount, why)
    left = part.but(refunded=part.refunded + amount)
    if left.held == 0:
        _end(ctx, key, left)
        return
    ctx[instalments][key] = left


@app.deadline
def lapse(ctx: Ctx, key: str) -> None:
    """End an instalment whose time has run out: return it, or do what was agreed for when the arbiter is silent."""
    part = ctx[instalments][key]
    disputed = part.state == "disputed"
    to_payee = part.held if disputed and ctx[escrows][part.escrow].undecided == "release" else 0
    settle(ctx, key, part, to_payee, "undecided" if disputed else "expired")


def require_turn(ctx: Ctx, deal: Escrow, key: str) -> None:
    """Refuse what comes before its turn; what is overdue before it, and only waits in the queue, is ended first."""
    for earlier in deal.instalments[: deal.instalments.index(key)] if deal.in_order else ():
        if ctx[instalments][earlier].is_overdue(ctx.time_ms):
            lapse(ctx, earlier)
        app.require(ctx[instalments][earlier].state == "ended", "not_its_turn")


def live(ctx: Ctx, key: str) -> Instalment:
    """Return an instalment that is neither ended nor overdue."""
    part = ctx[instalments][key]
    app.require(part.state != "ended", "ended")
    app.require(not part.is_overdue(ctx.time_ms), "too_late")
    return part


def stop(ctx: Ctx, escrow: str, deal: Escrow, key: str) -> None:
    """Let the time of the instalments after a disputed one stand still, where they have to wait for it."""
    for later in deal.instalments[deal.instalments.index(key) + 1 :]:
        part = ctx[instalments][later]
        if part.deadline is not None:
            ctx.cancel(part.deadline)
            ctx[instalments][later] = part.but(deadline=None)
    ctx[escrows][escrow] = deal.but(stopped_ms=ctx.time_ms)


def _go_on(ctx: Ctx, escrow: str, deal: Escrow) -> None:
    """Give the instalments whose time stood still that time back."""
    for later in deal.instalments:
        part = ctx[instalments][later]
        if part.state != "ended":
            due_ms = part.due_ms + ctx.time_ms - deal.stopped_ms
            ctx[instalments][later] = part.but(due_ms=due_ms, deadline=ctx.at(due_ms, lapse, later))
    ctx[escrows][escrow] = deal.but(stopped_ms=0)


def _release(ctx: Ctx, key: str, part: Instalment, amount: int, why: Why) -> None:
    deal = ctx[escrows][part.escrow]
    money.pay_out(ctx, pot(part.escrow), deal.asset, deal.payee, amount)
    ctx[escrows][part.escrow] = deal.but(released=deal.released + amount)
    ctx.emit(Released(part.escrow, key, amount, why))


def _refund(ctx: Ctx, key: str, part: Instalment, amount: int, why: Why) -> None:
    deal = ctx[escrows][part.escrow]
    if deal.returns is None:
        money.pay_out(ctx, pot(part.escrow), deal.asset, deal.payer, amount)
    else:
        money.hand_over(ctx, pot(part.escrow), deal.asset, deal.returns, amount)
    ctx[escrows][part.escrow] = deal.but(refunded=deal.refunded + amount)
    ctx.emit(Refunded(part.escrow, key, amount, why))


def _end(ctx: Ctx, key: str, part: Instalment) -> None:
    if part.deadline is not None:
        ctx.cancel(part.deadline)
    ctx[instalments][key] = part.but(state="ended", deadline=None)
    deal = ctx[escrows][part.escrow]
    if part.state == "disputed" and deal.stopped_ms:
        _go_on(ctx, part.escrow, deal)
