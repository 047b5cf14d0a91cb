"""Giving: a gift goes into the purse of its source and purpose, and comes back as far as nothing was paid with it.

A purse's source follows from the donor's role; its name is the source, with the purpose behind it where the gift is for
one only: `crowd`, `company.medicine`. What an offer pays stands in a purse of its own.
"""

from metrobloc.city.charity.rules import lines, offering
from metrobloc.city.charity.rules.declared import (
    CHARITY,
    SPONSOR,
    app,
    campaigns,
    gifts,
    offers,
    pot,
    purses,
    takes_gifts,
    templates,
)
from metrobloc.city.charity.types.events import Closed, Given, Refunded
from metrobloc.city.charity.types.messages import Give, Refund
from metrobloc.city.charity.types.records import Campaign, Gift
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def give(ctx: Ctx, msg: Give) -> None:
    """Give to a campaign; the money can only pay its invoices or come back to you."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(takes_gifts(ctx, campaign), "not_open")
    app.require(not campaign.frozen, "frozen")
    name = source_of(ctx)
    if msg.category is not None:
        app.require(msg.category in ctx[templates][campaign.template].categories, "no_category")
        name = f"{name}.{msg.category}"
    money.collect(ctx, pot(msg.campaign), campaign.asset, msg.amount)
    made = ctx.new_id()
    asked = offering.ask(ctx, msg.campaign, campaign, msg.amount) if campaign.offers else ()
    start = lines.put(ctx, (msg.campaign, name), msg.amount)
    ctx[gifts].add(made, Gift(msg.campaign, ctx.actor, msg.amount, name, start, asked))
    ctx.emit(Given(made, msg.campaign, name, msg.amount))
    if campaign.at_goal == "close":
        _close_at_goal(ctx, msg.campaign)


@app.tx(allow=anyone)
def refund(ctx: Ctx, msg: Refund) -> None:
    """Take your gift back: while nothing has been done with it, once the campaign is given up, or what is left of it.

    A gift whose match is being paid or whose campaign is closed stays, until the campaign is finished.
    """
    gift = ctx[gifts][msg.gift]
    campaign = ctx[campaigns][gift.campaign]
    app.require(gift.moved_from is None, "not_a_gift")
    app.require(gift.donor == ctx.actor, "not_donor")
    app.require(not gift.returned, "refunded_already")
    ended = campaign.state in ("cancelled", "settled")
    app.require(ended or _may_withdraw(ctx, campaign, gift), "no_refund")
    if not ended:
        offering.take_back(ctx, gift)
    left = lines.give_back(ctx, (gift.campaign, gift.purse), (gift.start, gift.start + gift.amount), msg.gift)
    app.require(left, "nothing_left")
    money.pay_out(ctx, pot(gift.campaign), campaign.asset, gift.donor, left)
    ctx[gifts][msg.gift] = gift.but(returned=left)
    ctx.emit(Refunded(msg.gift, gift.campaign, gift.purse, left))


def source_of(ctx: Ctx) -> str:
    """Return the source that a gift of the actor's has, by role."""
    if ctx.has_role(ctx.actor, SPONSOR):
        return "company"
    return "charity" if ctx.has_role(ctx.actor, CHARITY) else "crowd"


def _may_withdraw(ctx: Ctx, campaign: Campaign, gift: Gift) -> bool:
    waiting = [offering.is_open(ctx, ctx[offers][asked.offer]) for asked in gift.asked]
    return takes_gifts(ctx, campaign) and all(waiting)


def _close_at_goal(ctx: Ctx, campaign_id: str) -> None:
    """Close a campaign that has what it asked for, as its template says."""
    campaign = ctx[campaigns][campaign_id]
    found = [ctx[purses].get((campaign_id, name)) for name in campaign.purses]
    if sum(purse.held for purse in found if purse is not None) >= campaign.goal:
        ctx.cancel(campaign.deadline)
        ctx[campaigns][campaign_id] = campaign.but(state="closed")
        ctx.emit(Closed(campaign_id))
