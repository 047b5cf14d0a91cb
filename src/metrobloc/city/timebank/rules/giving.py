"""Minutes given without a service: to another member, of whatever bank, or to one's own bank's pot."""

from metrobloc.city.timebank.rules import interbank
from metrobloc.city.timebank.rules.declared import POT, app, banks, hours, members, require_running
from metrobloc.city.timebank.types.events import Donated, Transferred
from metrobloc.city.timebank.types.messages import Donate, Transfer
from metrobloc.city.timebank.types.records import Member
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def transfer(ctx: Ctx, msg: Transfer) -> None:
    """Give minutes to another member; between banks they go over the line."""
    source, target = ctx[members][ctx.actor], ctx[members][msg.to]
    app.require(msg.to != ctx.actor, "to_self")
    app.require(target.state == "verified", "not_verified")
    require_running(ctx, ctx[banks][target.bank])
    app.require(may_save(ctx, msg.to, target, msg.minutes), "above_max")
    interbank.pay(ctx, (source.bank, ctx.actor), (target.bank, msg.to), msg.minutes, floor_of(source))
    ctx.emit(Transferred(ctx.actor, msg.to, msg.minutes, msg.note))


@app.tx(allow=anyone)
def donate(ctx: Ctx, msg: Donate) -> None:
    """Give minutes to your bank's pot, which pays for help that the coordinator asks for."""
    member = ctx[members][ctx.actor]
    require_running(ctx, ctx[banks][member.bank])
    ctx[hours].move(ctx.actor, POT, msg.minutes, member.bank, floor_of(member))
    ctx.emit(Donated(member.bank, msg.minutes, msg.note))


def floor_of(member: Member) -> int:
    """Return how low a member's own payments may bring her: only whom the bank vouches for may owe."""
    return -member.min_minutes if member.state == "verified" else 0


def may_save(ctx: Ctx, account: str, member: Member, minutes: int) -> bool:
    """Tell whether a member has room for more minutes, even if all that is under way should reach her."""
    balance = ctx[hours].of(account, member.bank)
    return balance + member.reserved_minutes + member.incoming_minutes + minutes <= member.max_minutes
