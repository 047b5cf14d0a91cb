"""Membership: one bank at a time, which vouches for what a member can do and how far she may owe and save."""

from metrobloc.city.timebank.rules import interbank
from metrobloc.city.timebank.rules.declared import (
    COORDINATOR,
    app,
    banks,
    coordinates,
    hours,
    members,
    require_running,
)
from metrobloc.city.timebank.types.events import Excluded, Joined, Left, Moved, Verified
from metrobloc.city.timebank.types.messages import Exclude, Join, Leave, Move, Verify
from metrobloc.city.timebank.types.records import Bank, Member
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=anyone)
def join(ctx: Ctx, msg: Join) -> None:
    """Apply to a time bank; its coordinator verifies you in person."""
    bank = ctx[banks][msg.bank]
    require_running(ctx, bank)
    app.require(bank.coordinator != ctx.actor, "own_bank")
    ctx[members].add(ctx.actor, Member(msg.bank, bank.min_minutes, bank.max_minutes))
    ctx[banks][msg.bank] = bank.but(members=bank.members + 1)
    ctx.emit(Joined(msg.bank, ctx.actor))


@app.tx(allow=role(COORDINATOR))
def verify(ctx: Ctx, msg: Verify) -> None:
    """Vouch for a member of your bank: level, skills and limits; say it again to change them."""
    member = ctx[members][msg.member]
    bank = ctx[banks][member.bank]
    app.require(coordinates(ctx, bank), "not_coordinator")
    require_running(ctx, bank)
    within = msg.level <= bank.level and msg.min_minutes <= bank.min_minutes and msg.max_minutes <= bank.max_minutes
    app.require(within, "above_bank")
    verified = member.but(
        state="verified",
        level=msg.level,
        skills=tuple(sorted(msg.skills)),
        min_minutes=msg.min_minutes,
        max_minutes=msg.max_minutes,
    )
    balance = ctx[hours].of(msg.member, member.bank)
    most = balance + member.reserved_minutes + member.incoming_minutes
    app.require(-msg.min_minutes <= balance and most <= msg.max_minutes, "outside_limits")
    ctx[members][msg.member] = verified
    ctx.emit(Verified(member.bank, msg.member, msg.level))


@app.tx(allow=anyone)
def leave(ctx: Ctx, msg: Leave) -> None:
    """Leave your bank, with nothing owed, nothing saved and nothing under way."""
    del msg
    member = ctx[members][ctx.actor]
    app.require(not member.services, "under_way")
    app.require(ctx[hours].of(ctx.actor, member.bank) == 0, "has_balance")
    del ctx[members][ctx.actor]
    _count(ctx, member.bank, ctx[banks][member.bank], -1)
    ctx.emit(Left(member.bank, ctx.actor))


@app.tx(allow=anyone)
def move(ctx: Ctx, msg: Move) -> None:
    """Move to another bank; your minutes or your debt go with you over the line, and you are verified anew."""
    member = ctx[members][ctx.actor]
    bank = ctx[banks][msg.bank]
    app.require(msg.bank != member.bank, "same_bank")
    require_running(ctx, bank)
    app.require(bank.coordinator != ctx.actor, "own_bank")
    app.require(not member.services, "under_way")
    balance = ctx[hours].of(ctx.actor, member.bank)
    app.require(-bank.min_minutes <= balance <= bank.max_minutes, "outside_limits")
    here, there = (member.bank, ctx.actor), (msg.bank, ctx.actor)
    if balance > 0:
        interbank.pay(ctx, here, there, balance)
    if balance < 0:
        interbank.pay(ctx, there, here, -balance, floor=-bank.min_minutes)
    ctx[members][ctx.actor] = Member(msg.bank, bank.min_minutes, bank.max_minutes)
    _count(ctx, member.bank, ctx[banks][member.bank], -1)
    _count(ctx, msg.bank, bank, +1)
    ctx.emit(Moved(ctx.actor, member.bank, msg.bank, balance))


@app.tx(allow=role(COORDINATOR))
def exclude(ctx: Ctx, msg: Exclude) -> None:
    """Withdraw your bank's word for a member; what she has saved she can still give away or take along."""
    member = ctx[members][msg.member]
    app.require(coordinates(ctx, ctx[banks][member.bank]), "not_coordinator")
    app.require(not member.services, "under_way")
    app.require(ctx[hours].of(msg.member, member.bank) >= 0, "owes")
    ctx[members][msg.member] = member.but(state="excluded")
    ctx.emit(Excluded(member.bank, msg.member))


def _count(ctx: Ctx, name: str, bank: Bank, change: int) -> None:
    ctx[banks][name] = bank.but(members=bank.members + change)
