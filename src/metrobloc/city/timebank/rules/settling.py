"""Settling: both sides confirm the same minutes, or one does and time passes, or a coordinator decides."""

from metrobloc.city.timebank.rules import interbank
from metrobloc.city.timebank.rules.declared import (
    COORDINATOR,
    DAY_MS,
    POT,
    app,
    banks,
    confirm_ms,
    coordinates,
    days,
    escrow,
    hours,
    live_service,
    members,
    services,
)
from metrobloc.city.timebank.types.events import Confirmed, Disputed, Expired, Paid, Resolved
from metrobloc.city.timebank.types.messages import Confirm, Dispute, Resolve
from metrobloc.city.timebank.types.records import MINUTE_MS, SPANS_MAX, Day, Service, Span
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=anyone)
def confirm(ctx: Ctx, msg: Confirm) -> None:
    """Say how many minutes the help took; once both sides say the same, the helper has them."""
    service = live_service(ctx, msg.service)
    app.require(ctx.actor in (service.helper, service.receiver), "not_party")
    app.require(service.state in ("done", "said"), "not_checked_out")
    app.require(service.said_by != ctx.actor, "confirmed_already")
    app.require(service.said_by is None or msg.minutes == service.said_minutes, "differs")
    app.require(msg.minutes <= service.minutes_max, "above_ceiling")
    app.require(msg.minutes <= service.limit_minutes, "above_wall")
    app.require(_is_free(ctx, service), "overlaps")
    ctx.cancel(service.deadline)
    if service.said_by is None:
        due_ms = ctx.time_ms + ctx.param(confirm_ms)
        deadline = ctx.at(due_ms, pay_unanswered, msg.service)
        said = service.but(state="said", said_by=ctx.actor, said_minutes=msg.minutes, due_ms=due_ms, deadline=deadline)
        ctx[services][msg.service] = said
        ctx.emit(Confirmed(msg.service, ctx.actor, msg.minutes, due_ms))
        return
    finish(ctx, msg.service, service.but(state="paid", minutes=msg.minutes))
    ctx.emit(Paid(msg.service, service.helper, msg.minutes))


@app.tx(allow=anyone)
def dispute(ctx: Ctx, msg: Dispute) -> None:
    """Call the coordinator to decide, with a commitment to your reason; nothing is paid or returned meanwhile."""
    service = live_service(ctx, msg.service)
    app.require(ctx.actor in (service.helper, service.receiver), "not_party")
    app.require(service.state != "claimed", "not_checked_in")
    ctx.cancel(service.deadline)
    ctx[services][msg.service] = service.but(state="disputed", due_ms=0)
    ctx.emit(Disputed(msg.service, msg.reason))


@app.tx(allow=role(COORDINATOR) | role(OFFICE))
def resolve(ctx: Ctx, msg: Resolve) -> None:
    """Decide a dispute: so many minutes for the helper, the rest returns."""
    service = ctx[services][msg.service]
    decides = coordinates(ctx, ctx[banks][service.bank]) or ctx.has_role(ctx.actor, OFFICE)
    app.require(decides, "not_coordinator")
    app.require(ctx.actor not in (service.helper, service.receiver), "is_party")
    app.require(service.state == "disputed", "not_disputed")
    app.require(msg.minutes <= service.minutes_max, "above_ceiling")
    if not service.out_ms:  # nobody has checked out: the decision says how long it was, and no longer than until now
        service = service.but(out_ms=min(ctx.time_ms, service.in_ms + msg.minutes * MINUTE_MS))
    app.require(msg.minutes <= service.limit_minutes, "above_wall")
    app.require(msg.minutes == 0 or _is_free(ctx, service), "overlaps")
    finish(ctx, msg.service, service.but(state="resolved", minutes=msg.minutes))
    ctx.emit(Resolved(msg.service, service.helper, msg.minutes))


@app.deadline
def pay_unanswered(ctx: Ctx, key: str) -> None:
    """Pay what one side has said and the other has not answered in time, unless the helper was elsewhere."""
    service = ctx[services][key]
    if not _is_free(ctx, service):
        finish(ctx, key, service.but(state="expired"))
        ctx.emit(Expired(key, "overlaps"))
        return
    finish(ctx, key, service.but(state="paid", minutes=service.said_minutes))
    ctx.emit(Paid(key, service.helper, service.said_minutes))


@app.deadline
def return_unsettled(ctx: Ctx, key: str) -> None:
    """Return the minutes of a service that nobody has confirmed in time."""
    finish(ctx, key, ctx[services][key].but(state="expired"))
    ctx.emit(Expired(key, "unconfirmed"))


def finish(ctx: Ctx, key: str, service: Service) -> None:
    """End a service: pay its minutes out of the escrow, return the rest, and free all that was set aside for it."""
    agreed, paid = service.minutes_max, service.minutes
    interbank.reserve(ctx, service.bank, service.helper_bank, -agreed)
    if paid:
        interbank.pay(ctx, (service.bank, escrow(key)), (service.helper_bank, service.helper), paid)
        _note_days(ctx, service)
    if paid < agreed:
        ctx[hours].move(escrow(key), POT if service.from_pot else service.receiver, agreed - paid, service.bank)
    helper, receiver = ctx[members][service.helper], ctx[members][service.receiver]
    ctx[members][service.helper] = helper.but(
        incoming_minutes=helper.incoming_minutes - agreed,
        services=tuple(each for each in helper.services if each != key),
    )
    ctx[members][service.receiver] = receiver.but(
        reserved_minutes=receiver.reserved_minutes - (0 if service.from_pot else agreed),
        services=tuple(each for each in receiver.services if each != key),
    )
    bank = ctx[banks][service.bank]
    ctx[banks][service.bank] = bank.but(services=bank.services - 1)
    ctx[services][key] = service.but(due_ms=0)


def days_of(service: Service) -> range:
    """Return the numbers of the days (UTC, since 1970) on which the help was; its last instant does not count."""
    return range(service.in_ms // DAY_MS, (service.out_ms - 1) // DAY_MS + 1)


def _is_free(ctx: Ctx, service: Service) -> bool:
    """Tell whether the helper was confirmed for nothing else at the time, and her days have room."""
    for day in days_of(service):
        kept = ctx[days].get((service.helper, str(day)))
        spans = () if kept is None else kept.spans
        if len(spans) == SPANS_MAX:
            return False
        if True in [span.from_ms < service.out_ms and service.in_ms < span.to_ms for span in spans]:
            return False
    return True


def _note_days(ctx: Ctx, service: Service) -> None:
    for day in days_of(service):
        key = (service.helper, str(day))
        kept = ctx[days].get(key)
        spans = () if kept is None else kept.spans
        ctx[days][key] = Day((*spans, Span(service.in_ms, service.out_ms)))
