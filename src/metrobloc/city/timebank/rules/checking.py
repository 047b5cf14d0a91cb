"""Check in and out at the block's time, or by a code that the other side signed without a network.

Either side says that the help begins, the helper alone that it ends: an end said too early would cap what can be paid.
"""

from metrobloc.city.timebank import checks
from metrobloc.city.timebank.rules.declared import DAY_MS, app, live_service, services, tasks
from metrobloc.city.timebank.types.events import Begun, Done
from metrobloc.city.timebank.types.messages import CheckIn, CheckOut, UploadCheck
from metrobloc.city.timebank.types.records import Service
from metrobloc.kernel import crypto, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone

VERIFY_WORK = 64
"""What checking one signature costs, in reads."""


@app.tx(allow=anyone)
def check_in(ctx: Ctx, msg: CheckIn) -> None:
    """Say that the help begins now."""
    service = _of_a_party(ctx, msg.service)
    _begin(ctx, msg.service, service, ctx.time_ms)


@app.tx(allow=anyone)
def check_out(ctx: Ctx, msg: CheckOut) -> None:
    """Say that your help ends now."""
    service = _of_a_party(ctx, msg.service)
    app.require(ctx.actor == service.helper, "helper_ends")
    _end(ctx, msg.service, service, ctx.time_ms)


@app.tx(allow=anyone)
def upload_check(ctx: Ctx, msg: UploadCheck) -> None:
    """Hand in when help began or ended, by the code that the other side signed there and then without a network."""
    service = _of_a_party(ctx, msg.service)
    app.require(msg.at_ms <= ctx.time_ms, "in_the_future")
    other = service.receiver if ctx.actor == service.helper else service.helper
    keys = ctx.read(system.accounts)[other].keys_at(ctx.time_ms)
    ctx.work(VERIFY_WORK * len(keys))
    signed, signature = checks.code(ctx.chain, msg.service, msg.what, msg.at_ms), bytes.fromhex(msg.signature)
    app.require(True in [crypto.verify(crypto.public_key(key), signed, signature) for key in keys], "bad_code")
    if msg.what == "in":
        _begin(ctx, msg.service, service, msg.at_ms)
    else:
        _end(ctx, msg.service, service, msg.at_ms)


def _of_a_party(ctx: Ctx, key: str) -> Service:
    service = live_service(ctx, key)
    app.require(ctx.actor in (service.helper, service.receiver), "not_party")
    return service


def _begin(ctx: Ctx, key: str, service: Service, at_ms: int) -> None:
    app.require(service.state == "claimed", "checked_in")
    task = ctx[tasks][service.task]
    app.require(max(task.from_ms, service.claimed_ms) <= at_ms < task.until_ms, "outside_window")
    ctx[services][key] = service.but(state="begun", in_ms=at_ms)
    ctx.emit(Begun(key, at_ms))


def _end(ctx: Ctx, key: str, service: Service, at_ms: int) -> None:
    app.require(service.state != "claimed", "not_checked_in")
    app.require(service.state == "begun", "checked_out")
    app.require(at_ms > service.in_ms, "out_before_in")
    app.require(at_ms - service.in_ms <= DAY_MS, "too_long_a_day")
    ctx[services][key] = service.but(state="done", out_ms=at_ms)
    ctx.emit(Done(key, at_ms))
