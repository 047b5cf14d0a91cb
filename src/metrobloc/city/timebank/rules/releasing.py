"""Tasks: help offered or asked for, until it is taken back or its window is over."""

from metrobloc.city.timebank.rules.declared import (
    COORDINATOR,
    app,
    banks,
    coordinates,
    members,
    require_running,
    tasks,
    window_ms_max,
)
from metrobloc.city.timebank.types.events import Cancelled, Lapsed, Released
from metrobloc.city.timebank.types.messages import CancelTask, Release, ReleaseFor
from metrobloc.city.timebank.types.records import Kind, Task
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=anyone)
def release(ctx: Ctx, msg: Release) -> None:
    """Offer help or ask for it; whoever claims a slot agrees to your terms."""
    _release(ctx, msg, msg.kind, ctx.actor)


@app.tx(allow=role(COORDINATOR))
def release_for(ctx: Ctx, msg: ReleaseFor) -> None:
    """Ask for help for a member of your bank, paid out of donated minutes: in an emergency, or where she owes much."""
    app.require(coordinates(ctx, ctx[banks][ctx[members][msg.member].bank]), "not_coordinator")
    _release(ctx, msg, "request", msg.member, from_pot=True)


@app.tx(allow=anyone)
def cancel_task(ctx: Ctx, msg: CancelTask) -> None:
    """Take a task back; slots that are claimed already stay agreed."""
    task = ctx[tasks][msg.task]
    app.require(ctx.actor == task.member or coordinates(ctx, ctx[banks][task.bank]), "not_author")
    app.require(task.state == "open" and ctx.time_ms < task.until_ms, "no_slot")
    ctx.cancel(task.deadline)
    ctx[tasks][msg.task] = task.but(state="cancelled")
    ctx.emit(Cancelled(msg.task))


@app.deadline
def expire_task(ctx: Ctx, key: str) -> None:
    """Take no more claims when the task's window is over."""
    ctx[tasks][key] = ctx[tasks][key].but(state="expired")
    ctx.emit(Lapsed(key))


def takes_claims(ctx: Ctx, task: Task) -> bool:
    """Tell whether a slot is free, in time, and the task's member still verified in the task's bank."""
    member = ctx[members].get(task.member)
    stands = member is not None and member.bank == task.bank and member.state == "verified"
    return stands and task.state == "open" and task.claimed < task.slots and ctx.time_ms < task.until_ms


def _release(ctx: Ctx, msg: Release | ReleaseFor, kind: Kind, account: str, *, from_pot: bool = False) -> None:
    member = ctx[members][account]
    app.require(member.state == "verified", "not_verified")
    bank = ctx[banks][member.bank]
    require_running(ctx, bank)
    app.require(msg.level <= bank.level, "above_bank")
    app.require(kind == "request" or msg.skill in member.skills, "no_skill")
    app.require(msg.until_ms > ctx.time_ms, "in_the_past")
    app.require(msg.from_ms < msg.until_ms, "bad_window")
    app.require(msg.until_ms <= ctx.time_ms + ctx.param(window_ms_max), "too_long")
    made = ctx.new_id()
    task = Task(
        kind,
        member.bank,
        account,
        msg.skill,
        msg.title,
        msg.place,
        msg.minutes_max,
        msg.from_ms,
        msg.until_ms,
        msg.slots,
        msg.level,
        ctx.at(msg.until_ms, expire_task, made),
        from_pot,
    )
    ctx[tasks].add(made, task)
    ctx.emit(Released(made, member.bank, kind, msg.skill, msg.title))
