"""Claiming: an invoice is presented by its lines, reviewed line by line, and countersigned by another institution.

An invoice is named by a keyed nullifier, which stands in one table for the whole city: whoever presents it a second
time, for whichever campaign of whichever charity, is refused. It is free again only if nothing of it was paid.
"""

from metrobloc.city.charity.rules.declared import (
    CHARITY,
    CIVIL_AFFAIRS,
    HOSPITAL,
    KIND,
    VENDOR,
    app,
    campaigns,
    claims,
    invoices,
    is_closed,
    note_hand,
    takes_gifts,
)
from metrobloc.city.charity.types.events import Countersigned, Ended, Presented, Reviewed
from metrobloc.city.charity.types.messages import Countersign, Present, Refuse, Review, Withdraw
from metrobloc.city.charity.types.records import Campaign, Claim, Invoice
from metrobloc.commons.identity.rules import SUPERVISOR
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role

CLAIMS_MAX = 64
"""How many invoices of a campaign may be open at once."""


@app.tx(allow=role(HOSPITAL) | role(VENDOR))
def present(ctx: Ctx, msg: Present) -> None:
    """Present an invoice by its lines, less what insurers and the patient pay; each invoice once in the whole city."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(takes_gifts(ctx, campaign) or is_closed(ctx, campaign), "takes_no_claims")
    app.require(not campaign.frozen, "frozen")
    app.require(may_be_paid(ctx, campaign, ctx.actor), "no_payee")
    app.require(all(line.claimed >= 0 for line in msg.lines), "nothing_claimed")
    claimed = sum(line.claimed for line in msg.lines)
    app.require(claimed > 0, "nothing_claimed")
    app.require(campaign.claims < CLAIMS_MAX, "too_many_claims")
    app.require((KIND, msg.nullifier) not in ctx[invoices], "presented_already")
    note_hand(ctx, msg.campaign)
    made = ctx.new_id()
    none = (0,) * len(msg.lines)
    claim = Claim(msg.campaign, ctx.actor, msg.nullifier, msg.document, msg.lines, approved=none, paid=none)
    ctx[claims].add(made, claim)
    ctx[invoices][KIND, msg.nullifier] = Invoice(made)
    ctx[campaigns][msg.campaign] = campaign.but(claims=campaign.claims + 1)
    ctx.emit(Presented(made, msg.campaign, ctx.actor, claimed))


@app.tx(allow=role(CIVIL_AFFAIRS) | role(CHARITY))
def review(ctx: Ctx, msg: Review) -> None:
    """Say line by line how much of an invoice shall be paid, after you have seen the paper and named its nullifier."""
    claim, campaign = _live(ctx, msg.claim)
    app.require(claim.state == "presented", "not_presented")
    app.require(_may_review(ctx, campaign, claim), "not_reviewer")
    app.require(msg.nullifier == claim.nullifier, "other_invoice")
    app.require(len(msg.approved) == len(claim.lines), "not_by_line")
    fits = [part <= line.claimed for part, line in zip(msg.approved, claim.lines, strict=True)]
    app.require(all(fits) and any(msg.approved), "not_by_line")
    note_hand(ctx, claim.campaign)
    ctx[claims][msg.claim] = claim.but(state="reviewed", approved=msg.approved, reviewer=ctx.actor)
    ctx.emit(Reviewed(msg.claim, ctx.actor, sum(msg.approved)))


@app.tx(allow=role(SUPERVISOR) | role(CHARITY))
def countersign(ctx: Ctx, msg: Countersign) -> None:
    """Approve a reviewed invoice, as another institution and another person than the reviewer's and the payee's.

    For the charity somebody else signs than who submitted the case.
    """
    claim, campaign = _live(ctx, msg.claim)
    app.require(claim.state == "reviewed", "not_reviewed")
    entitled = ctx.actor == campaign.charity or ctx.has_role(ctx.actor, SUPERVISOR)
    app.require(entitled and ctx.actor not in (claim.reviewer, claim.payee), "not_approver")
    app.require((ctx.delegate or ctx.actor) != campaign.creator, "same_person")
    note_hand(ctx, claim.campaign)
    ctx[claims][msg.claim] = claim.but(state="approved", approver=ctx.actor)
    ctx.emit(Countersigned(msg.claim, ctx.actor))


@app.tx(allow=role(CIVIL_AFFAIRS) | role(CHARITY) | role(SUPERVISOR))
def refuse(ctx: Ctx, msg: Refuse) -> None:
    """Refuse an invoice before it is approved; a supervisor also refuses what is still open of an approved one."""
    claim = ctx[claims][msg.claim]
    campaign = ctx[campaigns][claim.campaign]
    app.require(claim.is_live, "ended")
    early = claim.state != "approved" and _may_review(ctx, campaign, claim)
    app.require(early or ctx.has_role(ctx.actor, SUPERVISOR), "not_refuser")
    note_hand(ctx, claim.campaign)
    _end(ctx, msg.claim, claim.but(state="refused"))


@app.tx(allow=role(HOSPITAL) | role(VENDOR))
def withdraw(ctx: Ctx, msg: Withdraw) -> None:
    """Take your invoice back, or give up what is still open of it."""
    claim = ctx[claims][msg.claim]
    app.require(claim.payee == ctx.actor, "not_payee")
    app.require(claim.is_live, "ended")
    _end(ctx, msg.claim, claim.but(state="withdrawn"))


def may_be_paid(ctx: Ctx, campaign: Campaign, account: str) -> bool:
    """Tell whether an account may be paid from a campaign: its hospital, or a vendor who has no other part in it."""
    if account == campaign.hospital:
        return ctx.has_role(account, HOSPITAL)
    apart = account not in (campaign.charity, campaign.verifier, campaign.approver)
    return apart and ctx.has_role(account, VENDOR)


def _live(ctx: Ctx, key: str) -> tuple[Claim, Campaign]:
    claim = ctx[claims][key]
    campaign = ctx[campaigns][claim.campaign]
    app.require(not campaign.frozen, "frozen")
    return claim, campaign


def _may_review(ctx: Ctx, campaign: Campaign, claim: Claim) -> bool:
    entitled = ctx.actor == campaign.charity or ctx.has_role(ctx.actor, CIVIL_AFFAIRS)
    return entitled and ctx.actor != claim.payee


def _end(ctx: Ctx, key: str, claim: Claim) -> None:
    """End a claim that is not paid in full; its invoice may come again if nothing was paid."""
    free = not any(claim.paid)
    if free:
        del ctx[invoices][KIND, claim.nullifier]
    campaign = ctx[campaigns][claim.campaign]
    ctx[campaigns][claim.campaign] = campaign.but(claims=campaign.claims - 1)
    ctx[claims][key] = claim
    ctx.emit(Ended(key, free))
