"""Needing: what is needed is published, verified, promised, sent in lots and received, item by item.

Of every need received <= shipped <= committed <= verified <= wanted. What is promised and not sent in time lapses,
and what does not arrive can be sent again. No money moves here.
"""

from metrobloc.city.charity.rules.calling import clusters
from metrobloc.city.charity.rules.declared import (
    CHARITY,
    CIVIL_AFFAIRS,
    DAY_MS,
    HOSPITAL,
    SPONSOR,
    VENDOR,
    app,
    campaigns,
    note_hand,
)
from metrobloc.city.charity.types.needing import (
    CalledOff,
    CallOff,
    Commit,
    Committed,
    Confirm,
    Confirmed,
    Expired,
    Lot,
    Need,
    Publish,
    Published,
    Receive,
    Received,
    Release,
    Released,
    Ship,
    Shipped,
    Supply,
)
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role

needs = app.table("needs", Need, str, "unknown", "taken")
supplies = app.table("supplies", Supply, str, "unknown", "taken")
lots = app.table("lots", Lot, tuple[str, str], "unknown", "taken")

need_ms_max = app.param(
    "need_ms_max",
    366 * DAY_MS,
    "A need stays open no longer, so that nobody answers an old one.",
    (DAY_MS, 366 * DAY_MS),
)


@app.tx(allow=role(CHARITY) | role(HOSPITAL) | role(CIVIL_AFFAIRS))
def publish(ctx: Ctx, msg: Publish) -> None:
    """Say what is needed, how much, until when, and which hospital or charity receives it."""
    receives = ctx.has_role(msg.recipient, HOSPITAL) or ctx.has_role(msg.recipient, CHARITY)
    app.require(receives, "no_recipient")
    app.require(msg.needed_ms > ctx.time_ms, "in_the_past")
    app.require(msg.needed_ms <= ctx.time_ms + ctx.param(need_ms_max), "need_too_long")
    if msg.campaign is not None:
        app.require(ctx[campaigns][msg.campaign].state not in ("settled", "cancelled"), "no_campaign")
    if msg.cluster is not None:
        app.require(ctx[clusters][msg.cluster].is_live, "cluster_ended")
    made = ctx.new_id()
    need = Need(
        ctx.actor,
        msg.recipient,
        msg.item,
        msg.unit,
        msg.quantity,
        msg.place,
        msg.needed_ms,
        ctx.at(msg.needed_ms, expire, made),
        campaign=msg.campaign,
        cluster=msg.cluster,
    )
    ctx[needs].add(made, need)
    note_hand(ctx, made)
    ctx.emit(Published(made, msg.item, msg.quantity))


@app.tx(allow=role(CIVIL_AFFAIRS))
def confirm(ctx: Ctx, msg: Confirm) -> None:
    """Say how much of a need is real, after somebody has looked; it can be more or less later."""
    need = _open(ctx, msg.need)
    _require_apart(ctx, need)
    app.require(msg.verified <= need.wanted, "above_wanted")
    app.require(msg.verified >= need.committed, "below_committed")
    note_hand(ctx, msg.need)
    ctx[needs][msg.need] = need.but(verified=msg.verified, verifier=ctx.actor)
    ctx.emit(Confirmed(msg.need, msg.verified))


@app.tx(allow=role(CHARITY) | role(HOSPITAL) | role(CIVIL_AFFAIRS))
def call_off(ctx: Ctx, msg: CallOff) -> None:
    """Say that nothing more is needed of what you have published; what is on its way is still received."""
    need = _open(ctx, msg.need)
    app.require(need.publisher == ctx.actor, "not_publisher")
    ctx.cancel(need.deadline)
    ctx[needs][msg.need] = need.but(state="called_off")
    ctx.emit(CalledOff(msg.need))


@app.tx(allow=role(CHARITY) | role(SPONSOR) | role(VENDOR))
def commit(ctx: Ctx, msg: Commit) -> None:
    """Promise a part of what is verified; what is not on its way by the time you name lapses."""
    need = _open(ctx, msg.need)
    _require_apart(ctx, need)
    app.require(msg.until_ms > ctx.time_ms, "in_the_past")
    app.require(msg.until_ms <= need.needed_ms, "after_need")
    app.require(msg.quantity <= need.verified - need.committed, "above_verified")
    note_hand(ctx, msg.need)
    made = ctx.new_id()
    deadline = ctx.at(msg.until_ms, lapse, made)
    ctx[supplies].add(made, Supply(msg.need, ctx.actor, msg.quantity, msg.until_ms, deadline))
    ctx[needs][msg.need] = need.but(committed=need.committed + msg.quantity)
    ctx.emit(Committed(made, msg.need, msg.quantity))


@app.tx(allow=role(CHARITY) | role(SPONSOR) | role(VENDOR))
def release(ctx: Ctx, msg: Release) -> None:
    """Take back what you have promised and not sent, so that others can promise it."""
    supply = _supplied(ctx, msg.supply)
    ctx.cancel(supply.deadline)
    lapse(ctx, msg.supply)


@app.tx(allow=role(CHARITY) | role(SPONSOR) | role(VENDOR))
def ship(ctx: Ctx, msg: Ship) -> None:
    """Send a lot of what you have promised; its code stands on the box, and no code of yours is used twice."""
    supply = _supplied(ctx, msg.supply)
    need = _open(ctx, supply.need)
    app.require(msg.quantity <= supply.quantity - supply.shipped, "above_committed")
    ctx[lots].add((ctx.actor, msg.lot), Lot(msg.supply, supply.need, msg.quantity))
    ctx[supplies][msg.supply] = supply.but(shipped=supply.shipped + msg.quantity)
    ctx[needs][supply.need] = need.but(shipped=need.shipped + msg.quantity)
    ctx.emit(Shipped(supply.need, ctx.actor, msg.lot, msg.quantity))


@app.tx(allow=role(HOSPITAL) | role(CHARITY))
def receive(ctx: Ctx, msg: Receive) -> None:
    """Say how much of a lot has arrived, also when the need is over; what is missing counts as never sent."""
    lot = ctx[lots][msg.shipper, msg.lot]
    need, supply = ctx[needs][lot.need], ctx[supplies][lot.supply]
    app.require(need.recipient == ctx.actor, "not_recipient")
    app.require(lot.arrived is None, "received_already")
    app.require(msg.arrived <= lot.quantity, "above_shipped")
    note_hand(ctx, lot.need)
    missing = lot.quantity - msg.arrived
    ended = missing if supply.ended else 0
    ctx[lots][msg.shipper, msg.lot] = lot.but(arrived=msg.arrived)
    ctx[supplies][lot.supply] = supply.but(
        shipped=supply.shipped - missing, received=supply.received + msg.arrived, quantity=supply.quantity - ended
    )
    ctx[needs][lot.need] = need.but(
        shipped=need.shipped - missing, received=need.received + msg.arrived, committed=need.committed - ended
    )
    ctx.emit(Received(lot.need, msg.shipper, msg.lot, msg.arrived, missing))


@app.deadline
def expire(ctx: Ctx, key: str) -> None:
    """End a need whose time is over."""
    ctx[needs][key] = ctx[needs][key].but(state="expired")
    ctx.emit(Expired(key))


@app.deadline
def lapse(ctx: Ctx, key: str) -> None:
    """End a promise: what is not on its way by now others can promise."""
    supply = ctx[supplies][key]
    need = ctx[needs][supply.need]
    left = supply.quantity - supply.shipped
    ctx[supplies][key] = supply.but(quantity=supply.shipped, ended=True)
    ctx[needs][supply.need] = need.but(committed=need.committed - left)
    ctx.emit(Released(key, supply.need, left))


def _open(ctx: Ctx, key: str) -> Need:
    """Return a need that is open, also by the clock, or refuse."""
    need = ctx[needs][key]
    app.require(need.state == "open" and ctx.time_ms < need.needed_ms, "need_ended")
    return need


def _supplied(ctx: Ctx, key: str) -> Supply:
    """Return the actor's own promise that has not ended, also by the clock, or refuse."""
    supply = ctx[supplies][key]
    app.require(supply.by == ctx.actor, "not_supplier")
    app.require(not supply.ended and ctx.time_ms < supply.until_ms, "supply_ended")
    return supply


def _require_apart(ctx: Ctx, need: Need) -> None:
    """Refuse whoever has published the need or receives what comes."""
    app.require(ctx.actor not in (need.publisher, need.recipient), "own_need")
