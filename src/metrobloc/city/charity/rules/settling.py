"""Settling: an approved invoice is paid in instalments, each fen from a place on a purse's line.

Each line of an invoice is paid first from money that was given for its purpose, then from what may pay anything:
companies' gifts, matches, charities' gifts, and the crowd's last, so that what is left is mostly the crowd's.
"""

from functools import partial

from metrobloc.city.charity.rules import claiming, lines, offering
from metrobloc.city.charity.rules.declared import (
    CHARITY,
    app,
    campaigns,
    claims,
    is_closed,
    note_hand,
    pot,
    purses,
)
from metrobloc.city.charity.types.events import Settled
from metrobloc.city.charity.types.messages import Settle
from metrobloc.city.charity.types.records import Campaign, Claim, Span
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role

SOURCES = ("company", "charity", "crowd")
"""Whose money there is; that of matching offers comes after the companies' own."""

STEPS_MAX = 64
"""How many pieces of lines and holes in them one settlement looks at; the next one goes on from there."""


@app.tx(allow=role(CHARITY))
def settle(ctx: Ctx, msg: Settle) -> None:
    """Pay an instalment of an approved invoice; its receipt says how much was paid, and what is left.

    Name what has been paid before, so that the same instalment is never paid twice. Where money lies in very many
    pieces less is paid than is asked for, and the next instalment goes on.
    """
    claim = ctx[claims][msg.claim]
    campaign = ctx[campaigns][claim.campaign]
    app.require(campaign.charity == ctx.actor, "not_yours")
    app.require(is_closed(ctx, campaign), "not_closed")
    app.require(not campaign.frozen, "frozen")
    app.require(claim.state == "approved", "not_approved")
    before = sum(claim.paid)
    app.require(msg.paid_before == before, "paid_already")
    app.require(msg.amount <= sum(claim.approved) - before, "above_approved")
    app.require(claiming.may_be_paid(ctx, campaign, claim.payee), "no_payee")
    note_hand(ctx, claim.campaign)
    made = ctx.new_id()
    paid, steps = _pay_lines(ctx, made, msg, claim, campaign)
    now = sum(paid) - before
    app.require(now == msg.amount or steps >= STEPS_MAX, "above_held")
    if now:
        money.pay_out(ctx, pot(claim.campaign), campaign.asset, claim.payee, now)
    left = sum(claim.approved) - sum(paid)
    ctx[claims][msg.claim] = claim.but(paid=tuple(paid), state="approved" if left else "paid")
    if not left:
        campaign = ctx[campaigns][claim.campaign]
        ctx[campaigns][claim.campaign] = campaign.but(claims=campaign.claims - 1)
    ctx.emit(Settled(made, msg.claim, claim.campaign, claim.payee, now, left))


def purses_for(campaign: Campaign, category: str) -> list[str]:
    """Return the names of the purses that may pay for a purpose, in the order in which they do."""
    reserved = [f"{source}.{category}" for source in SOURCES]
    matches = [offering.purse_of(place.offer) for place in campaign.offers]
    return [name for name in (*reserved, "company", *matches, "charity", "crowd") if name in campaign.purses]


def _pay_lines(ctx: Ctx, made: str, msg: Settle, claim: Claim, campaign: Campaign) -> tuple[list[int], int]:
    """Pay the open lines one after the other; return what is paid of each now, and the steps that it took."""
    paid, left, steps = list(claim.paid), msg.amount, 0
    for number, line in enumerate(claim.lines):
        for name in purses_for(campaign, line.category):
            most = min(claim.approved[number] - paid[number], left)
            if not most or steps >= STEPS_MAX or not ctx[purses][claim.campaign, name].held:
                continue
            key = claim.campaign, name
            paying = Span(*key, 0, "paid", claim=msg.claim, line=number, settlement=made)
            taken = lines.take(ctx, key, most, STEPS_MAX - steps, partial(_place, paying))
            paid[number] += taken.amount
            left -= taken.amount
            steps += taken.steps
    return paid, steps


def _place(span: Span, piece: lines.Piece) -> Span:
    return span.but(start=piece[0])
