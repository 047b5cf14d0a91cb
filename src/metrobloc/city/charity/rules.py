"""The verbs of the charity. Money leaves a campaign's pot only to its hospital, or back to where it came from."""

from metrobloc.city.charity import matching
from metrobloc.city.charity.types import (
    Campaign,
    Cancel,
    Cancelled,
    Claim,
    Close,
    Closed,
    Gift,
    Give,
    Given,
    Matched,
    Offer,
    Offered,
    OfferMatch,
    OpenCampaign,
    Opened,
    Refund,
    Refunded,
    Settle,
    Settled,
    TopUp,
)
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role

CHARITY = "charity"
HOSPITAL = "hospital"
SPONSOR = "company"

app = Module(
    "charity",
    {
        "no_hospital": "The account named as hospital is not accredited as one.",
        "no_asset": "There is no such asset; ask a bank to open it first.",
        "in_the_past": "The closing time must lie ahead of the block's time.",
        "too_long": "The campaign would run longer than allowed; choose an earlier closing time.",
        "not_yours": "Only the charity that opened the campaign may do this.",
        "not_open": "The campaign takes no more gifts.",
        "not_closed": "The campaign still takes gifts; close it before paying the hospital.",
        "above_held": "The campaign holds less than this.",
        "paid_out": "Money of this campaign has been paid to the hospital; it can no longer be given up.",
        "other_asset": "All campaigns of an offer must collect the same asset.",
        "twice_named": "An offer names each campaign once.",
        "too_many_offers": "The campaign has four matching offers already.",
        "closes_later": "A matching offer must close before the campaigns it is for.",
        "offer_closed": "The matching offer has closed.",
        "not_sponsor": "Only the sponsor of the offer may add to its pool.",
        "not_donor": "Only its donor may take a gift back.",
        "refunded_already": "The gift has been taken back already.",
        "no_refund": "The gift has been matched or the campaign is closed; it can no longer be taken back.",
    },
)
campaigns = app.table("campaigns", Campaign, str, "unknown", "taken")
gifts = app.table("gifts", Gift, str, "unknown", "taken")
offers = app.table("offers", Offer, str, "unknown", "taken")
duration_ms_max = app.param(
    "duration_ms_max", 366 * 86_400_000, "A campaign runs no longer, so that no money is stuck."
)


@app.tx(allow=role(CHARITY))
def open_campaign(ctx: Ctx, msg: OpenCampaign) -> None:
    """Ask for gifts for one case, treated by one hospital."""
    app.require(ctx.has_role(msg.hospital, HOSPITAL), "no_hospital")
    app.require(msg.asset in ctx.read(money.assets), "no_asset")
    app.require(msg.closes_ms > ctx.time_ms, "in_the_past")
    app.require(msg.closes_ms <= ctx.time_ms + ctx.param(duration_ms_max), "too_long")
    made = ctx.new_id()
    deadline = ctx.at(msg.closes_ms, close_in_time, made)
    campaign = Campaign(ctx.actor, msg.hospital, msg.asset, msg.goal, msg.closes_ms, msg.title, msg.purpose, deadline)
    ctx[campaigns].add(made, campaign)
    ctx.emit(Opened(made, ctx.actor, msg.hospital, msg.title))


@app.tx(allow=anyone)
def give(ctx: Ctx, msg: Give) -> None:
    """Give to a campaign; the money can only reach its hospital or come back to you."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(_takes_gifts(ctx, campaign), "not_open")
    money.collect(ctx, pot(msg.campaign), campaign.asset, msg.amount)
    made = ctx.new_id()
    claims = _claim_matches(ctx, msg.campaign, campaign, msg.amount) if campaign.offers else ()
    ctx[gifts].add(made, Gift(msg.campaign, ctx.actor, msg.amount, claims))
    ctx[campaigns][msg.campaign] = campaign.but(gifts=campaign.gifts + 1, crowd=campaign.crowd + msg.amount)
    ctx.emit(Given(made, msg.campaign, msg.amount))


@app.tx(allow=role(SPONSOR))
def offer_match(ctx: Ctx, msg: OfferMatch) -> None:
    """Promise to add to every gift by a ratio, up to caps; the pool is set aside at once."""
    app.require(msg.closes_ms > ctx.time_ms, "in_the_past")
    named = tuple(sorted(msg.campaigns))
    app.require(len(set(named)) == len(named), "twice_named")
    asset = ctx[campaigns][named[0]].asset
    made = ctx.new_id()
    for campaign_id in named:
        campaign = ctx[campaigns][campaign_id]
        app.require(_takes_gifts(ctx, campaign), "not_open")
        app.require(campaign.asset == asset, "other_asset")
        app.require(len(campaign.offers) < 4, "too_many_offers")  # as OfferIds says
        app.require(msg.closes_ms <= campaign.closes_ms, "closes_later")
        ctx[campaigns][campaign_id] = campaign.but(offers=(*campaign.offers, made))
    money.collect(ctx, offer_pot(made), asset, msg.pool)
    offer = Offer(
        ctx.actor,
        named,
        asset,
        msg.pool,
        msg.numerator,
        msg.denominator,
        msg.gift_max,
        msg.campaign_max,
        msg.closes_ms,
        claimed=(0,) * len(named),
    )
    ctx[offers].add(made, offer)
    ctx.at(msg.closes_ms, pay_match, made)
    ctx.emit(Offered(made, msg.pool))


@app.tx(allow=role(SPONSOR))
def top_up(ctx: Ctx, msg: TopUp) -> None:
    """Add to the pool of your matching offer while it is open."""
    offer = ctx[offers][msg.offer]
    app.require(offer.sponsor == ctx.actor, "not_sponsor")
    app.require(_is_open(ctx, offer), "offer_closed")
    money.collect(ctx, offer_pot(msg.offer), offer.asset, msg.amount)
    ctx[offers][msg.offer] = offer.but(pool=offer.pool + msg.amount)
    ctx.emit(Offered(msg.offer, offer.pool + msg.amount))


@app.tx(allow=role(CHARITY))
def close(ctx: Ctx, msg: Close) -> None:
    """Stop taking gifts for your campaign before its time."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.charity == ctx.actor, "not_yours")
    app.require(campaign.state == "open", "not_open")
    ctx.cancel(campaign.deadline)
    close_in_time(ctx, msg.campaign)


@app.tx(allow=role(CHARITY))
def settle(ctx: Ctx, msg: Settle) -> None:
    """Pay the hospital out of a closed campaign, against an invoice."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.charity == ctx.actor, "not_yours")
    app.require(campaign.state == "closed" or _overdue(ctx, campaign), "not_closed")
    app.require(msg.amount <= campaign.held, "above_held")
    money.pay_out(ctx, pot(msg.campaign), campaign.asset, campaign.hospital, msg.amount)
    ctx[campaigns][msg.campaign] = campaign.but(settled=campaign.settled + msg.amount)
    ctx.emit(Settled(msg.campaign, campaign.hospital, msg.amount, msg.invoice))


@app.tx(allow=role(CHARITY) | role(OFFICE))
def cancel(ctx: Ctx, msg: Cancel) -> None:
    """Give a campaign up before anything was paid out; matches return at once, donors take their gifts back."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.charity == ctx.actor or ctx.has_role(ctx.actor, OFFICE), "not_yours")
    app.require(campaign.state != "cancelled", "not_open")
    app.require(campaign.settled == 0, "paid_out")
    returned = sum([_return_match(ctx, msg.campaign, offer_id) for offer_id in campaign.offers])
    ctx.cancel(campaign.deadline)
    ctx[campaigns][msg.campaign] = campaign.but(state="cancelled", returned=campaign.returned + returned)
    ctx.emit(Cancelled(msg.campaign))


@app.tx(allow=anyone)
def refund(ctx: Ctx, msg: Refund) -> None:
    """Take your gift back, while its campaign is open and it has not been matched, or once the campaign is given up."""
    gift = ctx[gifts][msg.gift]
    campaign = ctx[campaigns][gift.campaign]
    app.require(gift.donor == ctx.actor, "not_donor")
    app.require(not gift.refunded, "refunded_already")
    app.require(campaign.state == "cancelled" or _may_withdraw(ctx, campaign, gift), "no_refund")
    for claim in gift.claims if campaign.state != "cancelled" else ():
        _change_claim(ctx, claim.offer, gift.campaign, -claim.amount)
    money.pay_out(ctx, pot(gift.campaign), campaign.asset, gift.donor, gift.amount)
    ctx[gifts][msg.gift] = gift.but(refunded=True)
    ctx[campaigns][gift.campaign] = campaign.but(refunded=campaign.refunded + gift.amount)
    ctx.emit(Refunded(msg.gift, gift.campaign, gift.amount))


@app.deadline
def close_in_time(ctx: Ctx, key: str) -> None:
    """Stop taking gifts when the campaign's time has come."""
    ctx[campaigns][key] = ctx[campaigns][key].but(state="closed")
    ctx.emit(Closed(key))


@app.deadline
def pay_match(ctx: Ctx, key: str) -> None:
    """Pay a matching offer out when it closes: claims up to the caps, pro rata where the pool runs short."""
    offer = ctx[offers][key]
    ctx.work(len(offer.campaigns))
    paid = matching.settle_pool(offer.pool, offer.claimed, offer.campaign_max)
    for campaign_id, amount in zip(offer.campaigns, paid, strict=True):
        if amount:
            campaign = ctx[campaigns][campaign_id]
            money.shift(ctx, offer_pot(key), offer.asset, pot(campaign_id), amount)
            ctx[campaigns][campaign_id] = campaign.but(matched=campaign.matched + amount)
        ctx.emit(Matched(key, campaign_id, amount))
    if sum(paid) < offer.pool:
        money.pay_out(ctx, offer_pot(key), offer.asset, offer.sponsor, offer.pool - sum(paid))
    ctx[offers][key] = offer.but(paid=tuple(paid))


def pot(campaign: str) -> str:
    """Return the name of a campaign's pot."""
    return f"campaign.{campaign}"


def offer_pot(offer: str) -> str:
    """Return the name of a matching offer's pot."""
    return f"offer.{offer}"


def _overdue(ctx: Ctx, campaign: Campaign) -> bool:
    return campaign.state == "open" and ctx.time_ms >= campaign.closes_ms


def _takes_gifts(ctx: Ctx, campaign: Campaign) -> bool:
    return campaign.state == "open" and ctx.time_ms < campaign.closes_ms


def _is_open(ctx: Ctx, offer: Offer) -> bool:
    return not offer.paid and ctx.time_ms < offer.closes_ms


def _claim_matches(ctx: Ctx, campaign_id: str, campaign: Campaign, amount: int) -> tuple[Claim, ...]:
    claims = []
    for offer_id in campaign.offers:
        offer = ctx[offers][offer_id]
        asked = matching.claim(amount, offer.numerator, offer.denominator, offer.gift_max)
        if asked and _is_open(ctx, offer):
            _change_claim(ctx, offer_id, campaign_id, asked)
            claims.append(Claim(offer_id, asked))
    return tuple(claims)


def _change_claim(ctx: Ctx, offer_id: str, campaign_id: str, change: int) -> None:
    offer = ctx[offers][offer_id]
    place = offer.campaigns.index(campaign_id)
    claimed = (*offer.claimed[:place], offer.claimed[place] + change, *offer.claimed[place + 1 :])
    ctx[offers][offer_id] = offer.but(claimed=claimed)


def _may_withdraw(ctx: Ctx, campaign: Campaign, gift: Gift) -> bool:
    return _takes_gifts(ctx, campaign) and all(_is_open(ctx, ctx[offers][claim.offer]) for claim in gift.claims)


def _return_match(ctx: Ctx, campaign_id: str, offer_id: str) -> int:
    """Take a campaign out of an offer; return what the offer had paid it and now has back."""
    offer = ctx[offers][offer_id]
    place = offer.campaigns.index(campaign_id)
    if not offer.paid:
        _change_claim(ctx, offer_id, campaign_id, -offer.claimed[place])
        return 0
    paid = offer.paid[place]
    if paid:
        money.pay_out(ctx, pot(campaign_id), offer.asset, offer.sponsor, paid)
    return paid


@app.query
def totals(view: View) -> dict[str, dict[str, int]]:
    """Sum what all campaigns received, hold and paid, by asset."""
    sums: dict[str, dict[str, int]] = {}
    for _, campaign in view[campaigns].items():
        row = sums.setdefault(campaign.asset, dict.fromkeys(("campaigns", *SUMMED), 0))
        row["campaigns"] += 1
        for name in SUMMED:
            row[name] += getattr(campaign, name)
    return sums


SUMMED = ("gifts", "crowd", "matched", "returned", "refunded", "settled", "held")


@app.invariant
def what_a_campaign_received_it_holds_or_has_paid(view: View) -> bool:
    """Received + matched - returned - refunded - settled is what is in the pot, and never negative."""
    return all(
        campaign.held >= 0 and campaign.held == view.balance(money.balances, f"charity.{pot(key)}", campaign.asset)
        for key, campaign in view[campaigns].items()
    )


@app.invariant
def campaigns_count_their_gifts(view: View) -> bool:
    """Fold the gifts and find every campaign's totals."""
    sums: dict[str, list[int]] = {}
    for _, gift in view[gifts].items():
        row = sums.setdefault(gift.campaign, [0, 0, 0])
        row[0] += 1
        row[1] += gift.amount
        row[2] += gift.amount if gift.refunded else 0
    return all(
        sums.get(key, [0, 0, 0]) == [campaign.gifts, campaign.crowd, campaign.refunded]
        for key, campaign in view[campaigns].items()
    )


@app.invariant
def an_offer_keeps_its_pool_until_it_pays(view: View) -> bool:
    """See that an open offer's pot is its pool, and that a paid one's is empty and it paid no more than its pool."""
    for key, offer in view[offers].items():
        kept = view.balance(money.balances, f"charity.{offer_pot(key)}", offer.asset)
        if kept != (0 if offer.paid else offer.pool) or sum(offer.paid) > offer.pool:
            return False
    return True
