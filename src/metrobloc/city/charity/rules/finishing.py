"""Finishing: when a campaign pays no more, matches return and donors take back what is left; what they leave moves on.

What is left of a gift is the part of its place on the line that nothing was paid with. It goes to another case of the
same charity and kind only when a supervisor agrees and donors have had their time.
"""

from functools import partial

from metrobloc.city.charity.rules import lines, offering
from metrobloc.city.charity.rules.declared import (
    CHARITY,
    app,
    campaigns,
    gifts,
    is_closed,
    note_hand,
    pot,
    purses,
    take_back_ms,
    takes_gifts,
)
from metrobloc.city.charity.types.events import Agreed, Finished, Moved
from metrobloc.city.charity.types.messages import AgreeSurplus, Finish, MoveSurplus
from metrobloc.city.charity.types.records import Campaign, Gift, Span
from metrobloc.commons.identity.rules import OFFICE, SUPERVISOR
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role

STEPS_MAX = 32
"""How many pieces of lines and holes in them one message moves; the next one goes on from there."""


@app.tx(allow=role(CHARITY) | role(OFFICE))
def finish(ctx: Ctx, msg: Finish) -> None:
    """End your closed campaign's payments: what is left of matches returns, donors take back what is left of gifts.

    The city office can do so with a frozen campaign, so that no money is stuck under a flag.
    """
    campaign = ctx[campaigns][msg.campaign]
    rescues = campaign.frozen and ctx.has_role(ctx.actor, OFFICE)
    app.require(campaign.charity == ctx.actor or rescues, "not_yours")
    app.require(is_closed(ctx, campaign), "not_closed")
    app.require(not campaign.frozen or rescues, "frozen")
    app.require(not campaign.claims or rescues, "claims_open")
    for place in campaign.offers:
        offering.return_match(ctx, msg.campaign, place)
    ctx.cancel(campaign.deadline)
    until_ms = ctx.time_ms + ctx.param(take_back_ms)
    ctx[campaigns][msg.campaign] = campaign.but(state="settled", take_back_until_ms=until_ms)
    ctx.emit(Finished(msg.campaign, until_ms))


@app.tx(allow=role(SUPERVISOR))
def agree_surplus(ctx: Ctx, msg: AgreeSurplus) -> None:
    """Agree that what donors leave of a finished campaign moves to another of the same charity and kind."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.state == "settled", "not_finished")
    _require_alike(ctx, campaign, msg.to)
    app.require(ctx.actor != campaign.charity, "same_party")
    note_hand(ctx, msg.campaign)
    ctx[campaigns][msg.campaign] = campaign.but(surplus_to=msg.to)
    ctx.emit(Agreed(msg.campaign, msg.to))


@app.tx(allow=role(CHARITY))
def move_surplus(ctx: Ctx, msg: MoveSurplus) -> None:
    """Move what donors have left of your finished campaign to the one that the supervisor has agreed on.

    Each piece becomes a gift there that nobody can take back, and its path goes on. Many pieces take several messages.
    """
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.charity == ctx.actor, "not_yours")
    app.require(campaign.state == "settled", "not_finished")
    app.require(not campaign.frozen, "frozen")
    app.require(campaign.surplus_to is not None, "not_agreed")
    to = campaign.surplus_to or ""
    app.require(ctx.time_ms >= campaign.take_back_until_ms, "too_early")
    _require_alike(ctx, campaign, to)
    amount = left = steps = 0
    for name in campaign.purses:
        held = ctx[purses][msg.campaign, name].held
        if held and steps < STEPS_MAX:
            move = partial(_move, ctx, (msg.campaign, name), to)
            taken = lines.take(ctx, (msg.campaign, name), held, STEPS_MAX - steps, move)
            amount, steps, held = amount + taken.amount, steps + taken.steps, held - taken.amount
        left += held
    app.require(steps, "nothing_left")
    if amount:
        money.shift(ctx, pot(msg.campaign), campaign.asset, pot(to), amount)
        ctx[campaigns][to] = ctx[campaigns][to].but(took_surplus=True)
    ctx.emit(Moved(msg.campaign, to, amount, left))


def _move(ctx: Ctx, key: lines.Key, to: str, piece: lines.Piece) -> Span:
    """Make a piece of one campaign's line a gift to another, in a purse of the same name."""
    made = ctx.new_id()
    start = lines.put(ctx, (to, key[1]), piece[1] - piece[0])
    gift = Gift(to, ctx.actor, piece[1] - piece[0], key[1], start, moved_from=key[0])
    ctx[gifts].add(made, gift)
    return Span(*key, piece[0], "moved", gift=made)


def _require_alike(ctx: Ctx, campaign: Campaign, to: str) -> None:
    """Refuse a target of another charity, kind or asset, or one that takes no gifts."""
    target = ctx[campaigns][to]
    alike = (target.charity, target.template) == (campaign.charity, campaign.template)
    app.require(alike and takes_gifts(ctx, target) and not target.frozen, "other_kind")
    app.require(target.asset == campaign.asset, "other_asset")
