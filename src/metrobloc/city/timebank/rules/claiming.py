"""Services: a slot is claimed and its minutes are set aside at once, so that confirmed help is always paid."""

from metrobloc.city.timebank.rules import interbank
from metrobloc.city.timebank.rules.declared import (
    POT,
    app,
    banks,
    coordinates,
    escrow,
    hours,
    live_service,
    members,
    require_running,
    services,
    settle_ms,
    tasks,
)
from metrobloc.city.timebank.rules.giving import floor_of, may_save
from metrobloc.city.timebank.rules.releasing import takes_claims
from metrobloc.city.timebank.rules.settling import finish, return_unsettled
from metrobloc.city.timebank.types.events import Claimed, Dropped
from metrobloc.city.timebank.types.messages import Claim, Drop
from metrobloc.city.timebank.types.records import SERVICES_MAX, Service, Task
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def claim(ctx: Ctx, msg: Claim) -> None:
    """Take a slot of a task: its minutes are set aside at once, so that confirmed help is always paid."""
    task = ctx[tasks][msg.task]
    actor = ctx[members][ctx.actor]
    app.require(takes_claims(ctx, task), "no_slot")
    app.require(actor.state == "verified", "not_verified")
    require_running(ctx, ctx[banks][task.bank])
    require_running(ctx, ctx[banks][actor.bank])
    app.require(ctx.actor != task.member, "own_task")
    app.require(not (task.from_pot and ctx.actor == ctx[banks][task.bank].coordinator), "own_task")
    app.require(actor.level >= task.level, "level_too_low")
    made = ctx.new_id()
    due_ms = task.until_ms + ctx.param(settle_ms)
    deadline = ctx.at(due_ms, return_unsettled, made)
    service = _agree(ctx, task, msg.task, due_ms, deadline)
    _set_aside(ctx, made, service, task)
    ctx[services].add(made, service)
    ctx[tasks][msg.task] = task.but(claimed=task.claimed + 1)
    ctx.emit(Claimed(made, msg.task, service.helper, service.receiver, service.minutes_max))


@app.tx(allow=anyone)
def drop(ctx: Ctx, msg: Drop) -> None:
    """Give a claimed slot back before the help has begun; its minutes return and the slot is free again."""
    service = live_service(ctx, msg.service)
    its_banks = [ctx[banks][name] for name in (service.bank, service.helper_bank)]
    by_coordinator = True in [coordinates(ctx, bank) for bank in its_banks]
    app.require(by_coordinator or ctx.actor in (service.helper, service.receiver), "not_dropper")
    app.require(service.state == "claimed", "checked_in")
    ctx.cancel(service.deadline)
    finish(ctx, msg.service, service.but(state="dropped"))
    task = ctx[tasks][service.task]
    ctx[tasks][service.task] = task.but(claimed=task.claimed - 1)
    ctx.emit(Dropped(msg.service))


def _agree(ctx: Ctx, task: Task, task_id: str, due_ms: int, deadline: str) -> Service:
    """Return the service on which the claimant and the task's member agree: who helps, and whose book pays."""
    claimant = ctx[members][ctx.actor].bank
    helper, receiver = (ctx.actor, task.member) if task.kind == "request" else (task.member, ctx.actor)
    helper_bank, bank = (claimant, task.bank) if task.kind == "request" else (task.bank, claimant)
    return Service(
        task_id,
        helper,
        receiver,
        bank,
        helper_bank,
        task.minutes_max,
        ctx.time_ms,
        due_ms,
        deadline,
        task.from_pot,
    )


def _set_aside(ctx: Ctx, made: str, service: Service, task: Task) -> None:
    """Hold every limit now, as if all minutes were paid or all returned, so that later nothing can fail for one."""
    helper, receiver, minutes = ctx[members][service.helper], ctx[members][service.receiver], service.minutes_max
    app.require(task.skill in helper.skills, "no_skill")
    app.require(max(len(helper.services), len(receiver.services)) < SERVICES_MAX, "too_many")
    app.require(may_save(ctx, service.helper, helper, minutes), "above_max")
    payer = POT if service.from_pot else service.receiver
    floor = -ctx[banks][service.bank].pot_min_minutes if service.from_pot else floor_of(receiver)
    ctx[hours].move(payer, escrow(made), minutes, service.bank, floor)
    interbank.reserve(ctx, service.bank, service.helper_bank, minutes)
    ctx[members][service.helper] = helper.but(
        incoming_minutes=helper.incoming_minutes + minutes, services=(*helper.services, made)
    )
    ctx[members][service.receiver] = receiver.but(
        reserved_minutes=receiver.reserved_minutes + (0 if service.from_pot else minutes),
        services=(*receiver.services, made),
    )
    bank = ctx[banks][service.bank]
    ctx[banks][service.bank] = bank.but(services=bank.services + 1)
