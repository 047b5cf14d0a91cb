"""Lines between banks: how far they trust each other, what is set aside on them, and circles of debts struck out."""

from metrobloc.city.timebank.rules.declared import (
    COORDINATOR,
    app,
    banks,
    coordinates,
    hours,
    line_to,
    lines,
    require_running,
)
from metrobloc.city.timebank.types.events import Cleared, Offered
from metrobloc.city.timebank.types.messages import ClearCycle, SetLine
from metrobloc.city.timebank.types.records import Line
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role

Account = tuple[str, str]
"""A bank, and who holds minutes in its book."""


@app.tx(allow=role(COORDINATOR))
def set_line(ctx: Ctx, msg: SetLine) -> None:
    """Say how much your bank and another may owe each other; the smaller of your two offers holds."""
    bank, other = ctx[banks][msg.bank], ctx[banks][msg.other]
    app.require(coordinates(ctx, bank), "not_coordinator")
    app.require(msg.bank != msg.other, "same_bank")
    line = ctx[lines].get(_pair(msg.bank, msg.other)) or Line()
    field = "first_offer_minutes" if msg.bank < msg.other else "second_offer_minutes"
    before = getattr(line, field)
    if msg.minutes > before:
        require_running(ctx, bank)
        require_running(ctx, other)
    line = line.but(**{field: msg.minutes})
    for debtor, creditor in ((msg.bank, msg.other), (msg.other, msg.bank)):
        app.require(_used(ctx, line, debtor, creditor) <= line.limit_minutes, "line_used")
    ctx[lines][_pair(msg.bank, msg.other)] = line
    ctx[banks][msg.bank] = bank.but(lines=bank.lines + (msg.minutes > 0) - (before > 0))
    ctx.emit(Offered(msg.bank, msg.other, msg.minutes))


@app.tx(allow=role(COORDINATOR))
def clear_cycle(ctx: Ctx, msg: ClearCycle) -> None:
    """Strike out debts that run in a circle through your bank; no bank's position towards all others changes."""
    ring = msg.banks
    app.require(len(set(ring)) == len(ring), "twice_named")
    app.require(True in [coordinates(ctx, ctx[banks][name]) for name in ring], "not_coordinator")
    after, before = (*ring[1:], ring[0]), (ring[-1], *ring[:-1])
    for bank, creditor in zip(ring, after, strict=True):
        app.require(owed(ctx, bank, creditor) >= msg.minutes, "no_such_debt")
    for bank, creditor, debtor in zip(ring, after, before, strict=True):
        ctx[hours].move(line_to(creditor), line_to(debtor), msg.minutes, bank)
    ctx.emit(Cleared(ring, msg.minutes))


def owed(ctx: Ctx, debtor: str, creditor: str) -> int:
    """Return what one bank owes another; negative where it is the other way round."""
    return ctx[hours].of(line_to(creditor), debtor)


def pay(ctx: Ctx, source: Account, target: Account, minutes: int, floor: int = 0) -> None:
    """Move minutes between holders in two books, or one, over the line between the banks; refuse what it does not bear.

    `source` falls to `floor` at most.
    """
    (from_bank, payer), (to_bank, payee) = source, target
    if from_bank == to_bank:
        ctx[hours].move(payer, payee, minutes, from_bank, floor)
        return
    line = ctx[lines].get(_pair(from_bank, to_bank)) or Line()
    left = line.limit_minutes - _reserved(line, from_bank, to_bank)
    app.require(max(0, owed(ctx, from_bank, to_bank) + minutes) <= left, "line_full")
    ctx[hours].move(payer, line_to(to_bank), minutes, from_bank, floor)
    ctx[hours].move(line_to(from_bank), payee, minutes, to_bank, floor=-line.limit_minutes)


def reserve(ctx: Ctx, debtor: str, creditor: str, minutes: int) -> None:
    """Set capacity of a line aside, or with negative minutes free it, for a service between members of two banks."""
    if debtor == creditor:
        return
    line = ctx[lines].get(_pair(debtor, creditor)) or Line()
    app.require(_used(ctx, line, debtor, creditor) + minutes <= line.limit_minutes, "line_full")
    field = "first_reserved_minutes" if debtor < creditor else "second_reserved_minutes"
    ctx[lines][_pair(debtor, creditor)] = line.but(**{field: _reserved(line, debtor, creditor) + minutes})


def _pair(bank: str, other: str) -> tuple[str, str]:
    return (bank, other) if bank < other else (other, bank)


def _reserved(line: Line, debtor: str, creditor: str) -> int:
    return line.first_reserved_minutes if debtor < creditor else line.second_reserved_minutes


def _used(ctx: Ctx, line: Line, debtor: str, creditor: str) -> int:
    """Return what of a line is taken in one direction; what is reserved never counts on a debt in the other one."""
    return max(0, owed(ctx, debtor, creditor)) + _reserved(line, debtor, creditor)
