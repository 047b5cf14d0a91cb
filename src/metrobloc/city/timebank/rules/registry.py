"""The verbs of the city office: admit a bank, suspend it, renew its licence, change its coordinator, close it."""

from metrobloc.city.timebank.rules.declared import COORDINATOR, POT, app, banks, hours, members
from metrobloc.city.timebank.types.events import Admitted, Appointed, Closed, Renewed, Resumed, Suspended
from metrobloc.city.timebank.types.messages import CloseBank, RegisterBank, Renew, Resume, SetCoordinator, Suspend
from metrobloc.city.timebank.types.records import Bank
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role


@app.tx(allow=role(OFFICE))
def register_bank(ctx: Ctx, msg: RegisterBank) -> None:
    """Admit a time bank under a licence, in the hands of an accredited coordinator."""
    app.require(ctx.has_role(msg.coordinator, COORDINATOR), "no_coordinator")
    app.require(msg.licence_until_ms > ctx.time_ms, "in_the_past")
    bank = Bank(
        msg.name,
        msg.coordinator,
        msg.level,
        msg.licence_until_ms,
        msg.min_minutes,
        msg.max_minutes,
        msg.pot_min_minutes,
    )
    ctx[banks].add(msg.bank, bank)
    ctx.emit(Admitted(msg.bank, msg.coordinator))


@app.tx(allow=role(OFFICE))
def suspend(ctx: Ctx, msg: Suspend) -> None:
    """Let a bank only wind down: what is under way ends, nothing new begins."""
    bank = ctx[banks][msg.bank]
    app.require(bank.state == "open", "not_open")
    ctx[banks][msg.bank] = bank.but(state="suspended")
    ctx.emit(Suspended(msg.bank))


@app.tx(allow=role(OFFICE))
def resume(ctx: Ctx, msg: Resume) -> None:
    """Let a suspended bank work again, as long as its licence holds."""
    bank = ctx[banks][msg.bank]
    app.require(bank.state == "suspended", "not_suspended")
    ctx[banks][msg.bank] = bank.but(state="open")
    ctx.emit(Resumed(msg.bank))


@app.tx(allow=role(OFFICE))
def renew(ctx: Ctx, msg: Renew) -> None:
    """Give a bank's licence another end."""
    bank = ctx[banks][msg.bank]
    app.require(bank.state != "closed", "closed")
    app.require(msg.licence_until_ms > ctx.time_ms, "in_the_past")
    ctx[banks][msg.bank] = bank.but(licence_until_ms=msg.licence_until_ms)
    ctx.emit(Renewed(msg.bank, msg.licence_until_ms))


@app.tx(allow=role(OFFICE))
def set_coordinator(ctx: Ctx, msg: SetCoordinator) -> None:
    """Put a bank into the hands of another accredited coordinator, who is not its member."""
    bank = ctx[banks][msg.bank]
    app.require(bank.state != "closed", "closed")
    app.require(ctx.has_role(msg.coordinator, COORDINATOR), "no_coordinator")
    member = ctx[members].get(msg.coordinator)
    app.require(member is None or member.bank != msg.bank, "own_bank")
    ctx[banks][msg.bank] = bank.but(coordinator=msg.coordinator)
    ctx.emit(Appointed(msg.bank, msg.coordinator))


@app.tx(allow=role(OFFICE))
def close_bank(ctx: Ctx, msg: CloseBank) -> None:
    """Close a bank for ever, once it has no members, no open services, no offered lines and an even pot."""
    bank = ctx[banks][msg.bank]
    app.require(bank.state != "closed", "closed")
    # Members leave with a balance of nothing, and a line that is not offered holds nothing, so no balance is left.
    app.require(bank.members == bank.services == bank.lines == ctx[hours].of(POT, msg.bank) == 0, "not_empty")
    ctx[banks][msg.bank] = bank.but(state="closed")
    ctx.emit(Closed(msg.bank))
