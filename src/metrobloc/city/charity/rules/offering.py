"""Offering: a company promises to add to gifts, by a ratio or in a quadratic round; when its window ends, it pays.

What gifts ask for is summed as they come, so that closing reads one share a campaign, however many gifts there were,
and the order in which they came does not matter. Shares are paid out in pages, each by a deadline of its own.
"""

from metrobloc.city.charity import matching
from metrobloc.city.charity.rules import lines
from metrobloc.city.charity.rules.declared import (
    SPONSOR,
    app,
    campaigns,
    contributions,
    offer_pot,
    offers,
    pot,
    purses,
    shares,
    takes_gifts,
)
from metrobloc.city.charity.types.events import Matched, Offered, Returned
from metrobloc.city.charity.types.messages import ExtendMatch, OfferMatch, TopUp
from metrobloc.city.charity.types.records import (
    OFFERS_MAX,
    Asked,
    Campaign,
    Contribution,
    Gift,
    Offer,
    Place,
    Share,
)
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role

CAMPAIGNS_MAX = 512
PAGE = 32
"""How many shares one deadline pays out."""


@app.tx(allow=role(SPONSOR))
def offer_match(ctx: Ctx, msg: OfferMatch) -> None:
    """Promise to add to the gifts of a window of time, up to caps; the pool is set aside at once.

    `ratio` adds so much to each gift; `quadratic` adds more the more people give. `gift_max` caps what is added to a
    gift, or what of a donor's gifts to a campaign counts.
    """
    app.require(msg.closes_ms > ctx.time_ms, "in_the_past")
    app.require(msg.opens_ms < msg.closes_ms, "closes_later")
    asset = ctx[campaigns][msg.campaigns[0]].asset
    made = ctx.new_id()
    offer = Offer(
        ctx.actor,
        asset,
        msg.pool,
        msg.mode,
        msg.numerator,
        msg.denominator,
        msg.gift_max,
        msg.campaign_max,
        msg.opens_ms,
        msg.closes_ms,
        len(msg.campaigns),
    )
    _let_in(ctx, made, offer, msg.campaigns, 0)
    money.collect(ctx, offer_pot(made), asset, msg.pool)
    ctx[offers].add(made, offer)
    ctx.at(msg.closes_ms, close_match, made)
    ctx.emit(Offered(made, msg.pool))


@app.tx(allow=role(SPONSOR))
def extend_match(ctx: Ctx, msg: ExtendMatch) -> None:
    """Let more campaigns into your matching offer; their gifts count from then on."""
    offer = _own(ctx, msg.offer)
    app.require(offer.campaigns + len(msg.campaigns) <= CAMPAIGNS_MAX, "too_many_campaigns")
    _let_in(ctx, msg.offer, offer, msg.campaigns, offer.campaigns)
    ctx[offers][msg.offer] = offer.but(campaigns=offer.campaigns + len(msg.campaigns))
    ctx.emit(Offered(msg.offer, offer.pool))


@app.tx(allow=role(SPONSOR))
def top_up(ctx: Ctx, msg: TopUp) -> None:
    """Add to the pool of your matching offer while it is open; nobody's match becomes less by it."""
    offer = _own(ctx, msg.offer)
    money.collect(ctx, offer_pot(msg.offer), offer.asset, msg.amount)
    ctx[offers][msg.offer] = offer.but(pool=offer.pool + msg.amount)
    ctx.emit(Offered(msg.offer, offer.pool + msg.amount))


@app.deadline
def close_match(ctx: Ctx, key: str) -> None:
    """End an offer's window: work out every campaign's part, and begin to pay."""
    offer = ctx[offers][key]
    ctx.work(offer.campaigns)
    found = [ctx[shares][key, lines.place(number)] for number in range(offer.campaigns)]
    parts = matching.allot(offer.pool, [_wanted(offer, share) for share in found])
    for number, (share, part) in enumerate(zip(found, parts, strict=True)):
        if part:
            ctx[shares][key, lines.place(number)] = share.but(part=part)
    left = offer.pool - sum(parts)
    if left:
        money.pay_out(ctx, offer_pot(key), offer.asset, offer.sponsor, left)
    ctx[offers][key] = offer.but(state="paying")
    pay_match(ctx, key)


@app.deadline
def pay_match(ctx: Ctx, key: str) -> None:
    """Pay a page of an offer's parts; the part of a campaign that was given up or finished returns to the sponsor."""
    offer = ctx[offers][key]
    done = min(offer.done + PAGE, offer.campaigns)
    for number in range(offer.done, done):
        share = ctx[shares][key, lines.place(number)]
        campaign = ctx[campaigns][share.campaign]
        if share.part and campaign.state in ("open", "closed"):
            money.shift(ctx, offer_pot(key), offer.asset, pot(share.campaign), share.part)
            lines.put(ctx, (share.campaign, purse_of(key)), share.part)
            ctx.emit(Matched(key, share.campaign, share.part))
        elif share.part:
            money.pay_out(ctx, offer_pot(key), offer.asset, offer.sponsor, share.part)
            ctx.emit(Returned(key, share.campaign, share.part))
    ctx[offers][key] = offer.but(done=done, state="paid" if done == offer.campaigns else "paying")
    if done < offer.campaigns:
        ctx.at(ctx.time_ms, pay_match, key)


def ask(ctx: Ctx, campaign_id: str, campaign: Campaign, amount: int) -> tuple[Asked, ...]:
    """Ask the offers that are open for their share of a gift, and return what was asked of each."""
    found = []
    for place in campaign.offers:
        offer = ctx[offers][place.offer]
        if not is_open(ctx, offer) or ctx.time_ms < offer.opens_ms or offer.sponsor == ctx.actor:
            continue
        asked = amount
        if offer.mode == "ratio":
            asked = matching.claim(amount, offer.numerator, offer.denominator, offer.gift_max)
        if asked:
            _change_share(ctx, place, offer, campaign_id, ctx.actor, asked)
            found.append(Asked(place.offer, asked))
    return tuple(found)


def take_back(ctx: Ctx, gift: Gift) -> None:
    """Take back what a gift has asked of offers that are open."""
    places = {place.offer: place for place in ctx[campaigns][gift.campaign].offers}
    for asked in gift.asked:
        offer = ctx[offers][asked.offer]
        _change_share(ctx, places[asked.offer], offer, gift.campaign, gift.donor, -asked.amount)


def return_match(ctx: Ctx, campaign_id: str, place: Place) -> None:
    """Take a campaign out of an offer; what it has of it, or what is left of that, goes back to the sponsor."""
    offer = ctx[offers][place.offer]
    if offer.state == "open":
        share = ctx[shares][place.offer, lines.place(place.number)]
        ctx[shares][place.offer, lines.place(place.number)] = share.but(asked=0, roots=0)
    key = campaign_id, purse_of(place.offer)
    purse = ctx[purses].get(key)
    left = 0 if purse is None else lines.give_back(ctx, key, (0, purse.received))
    if left:
        money.pay_out(ctx, pot(campaign_id), offer.asset, offer.sponsor, left)
        ctx.emit(Returned(place.offer, campaign_id, left))


def is_open(ctx: Ctx, offer: Offer) -> bool:
    """Tell whether an offer still takes part, also by the clock."""
    return offer.state == "open" and ctx.time_ms < offer.closes_ms


def purse_of(offer: str) -> str:
    """Return the name of the purse in which a campaign has an offer's money."""
    return f"match.{offer}"


def _own(ctx: Ctx, key: str) -> Offer:
    offer = ctx[offers][key]
    app.require(offer.sponsor == ctx.actor, "not_sponsor")
    app.require(is_open(ctx, offer), "offer_closed")
    return offer


def _let_in(ctx: Ctx, made: str, offer: Offer, named: tuple[str, ...], first: int) -> None:
    for number, campaign_id in enumerate(named, first):
        campaign = ctx[campaigns][campaign_id]
        app.require(takes_gifts(ctx, campaign), "not_open")
        app.require(campaign.asset == offer.asset, "other_asset")
        app.require(made not in [place.offer for place in campaign.offers], "twice_named")
        app.require(len(campaign.offers) < OFFERS_MAX, "too_many_offers")
        app.require(offer.closes_ms <= campaign.closes_ms, "closes_later")
        ctx[campaigns][campaign_id] = campaign.but(offers=(*campaign.offers, Place(made, number)))
        ctx[shares][made, lines.place(number)] = Share(campaign_id)


def _change_share(  # noqa: PLR0913, PLR0917
    ctx: Ctx, place: Place, offer: Offer, campaign_id: str, donor: str, change: int
) -> None:
    """Add to what a campaign's gifts ask of an offer; in a quadratic round a donor's gifts are summed first."""
    key = place.offer, lines.place(place.number)
    share = ctx[shares][key]
    if offer.mode == "ratio":
        ctx[shares][key] = share.but(asked=share.asked + change)
        return
    given = ctx[contributions].get((place.offer, campaign_id, donor))
    before = 0 if given is None else given.amount
    ctx[contributions][place.offer, campaign_id, donor] = Contribution(before + change)
    was, now = min(before, offer.gift_max), min(before + change, offer.gift_max)
    roots = share.roots + matching.root(now) - matching.root(was)
    ctx[shares][key] = share.but(asked=share.asked + now - was, roots=roots)


def _wanted(offer: Offer, share: Share) -> int:
    asked = share.asked
    if offer.mode == "quadratic":
        asked = matching.quadratic(share.asked, share.roots) * offer.numerator // offer.denominator
    return min(asked, offer.campaign_max)
