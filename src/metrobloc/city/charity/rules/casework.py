"""Casework: a case is set up from a template, verified by a hospital, opened by civil affairs, closed or given up."""

from metrobloc.city.charity.rules.declared import (
    CHARITY,
    CIVIL_AFFAIRS,
    HOSPITAL,
    app,
    campaigns,
    duration_ms_max,
    note_hand,
    purses,
    templates,
)
from metrobloc.city.charity.rules.offering import return_match
from metrobloc.city.charity.types.events import Cancelled, Closed, Declared, Opened, Submitted, Verified
from metrobloc.city.charity.types.messages import (
    Approve,
    Cancel,
    Close,
    DeclareTemplate,
    RetireTemplate,
    SetUp,
    Verify,
)
from metrobloc.city.charity.types.records import Campaign, Template
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role


@app.tx(allow=role(CIVIL_AFFAIRS))
def declare_template(ctx: Ctx, msg: DeclareTemplate) -> None:
    """Allow a kind of case: how much it may ask for, how long, and for which purposes gifts can be reserved."""
    made = Template(ctx.actor, msg.goal_max, msg.duration_ms_max, msg.categories, msg.at_goal)
    ctx[templates].add(msg.template, made)
    ctx.emit(Declared(msg.template, retired=False))


@app.tx(allow=role(CIVIL_AFFAIRS))
def retire_template(ctx: Ctx, msg: RetireTemplate) -> None:
    """Take no more cases of a kind; those that there are go on."""
    template = ctx[templates][msg.template]
    app.require(not template.retired, "template_retired")
    ctx[templates][msg.template] = template.but(retired=True)
    ctx.emit(Declared(msg.template, retired=True))


@app.tx(allow=role(CHARITY))
def set_up(ctx: Ctx, msg: SetUp) -> None:
    """Submit a case in one message; it takes gifts once a hospital has verified and civil affairs has approved it."""
    template = ctx[templates][msg.template]
    app.require(not template.retired, "template_retired")
    app.require(msg.goal <= template.goal_max, "above_template")
    app.require(ctx.has_role(msg.hospital, HOSPITAL), "no_hospital")
    app.require(msg.hospital != ctx.actor, "same_party")
    app.require(msg.asset in ctx.read(money.assets), "no_asset")
    app.require(msg.closes_ms > ctx.time_ms, "in_the_past")
    longest_ms = min(template.duration_ms_max, ctx.param(duration_ms_max))
    app.require(msg.closes_ms <= ctx.time_ms + longest_ms, "too_long")
    made = ctx.new_id()
    deadline = ctx.at(msg.closes_ms, close_in_time, made)
    campaign = Campaign(
        ctx.actor,
        ctx.delegate or ctx.actor,
        msg.hospital,
        msg.asset,
        msg.goal,
        msg.closes_ms,
        msg.template,
        msg.title,
        msg.beneficiary,
        msg.plan,
        deadline,
        template.at_goal,
    )
    ctx[campaigns].add(made, campaign)
    note_hand(ctx, made)
    ctx.emit(Submitted(made, ctx.actor, msg.hospital, msg.title))


@app.tx(allow=role(HOSPITAL))
def verify(ctx: Ctx, msg: Verify) -> None:
    """Confirm, as a hospital that will not be paid for it, that a case can be treated by its plan and for its goal."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.state == "submitted", "not_submitted")
    app.require(ctx.actor not in (campaign.charity, campaign.hospital), "same_party")
    app.require((msg.plan, msg.goal) == (campaign.plan, campaign.goal), "other_plan")
    note_hand(ctx, msg.campaign)
    ctx[campaigns][msg.campaign] = campaign.but(state="treatable", verifier=ctx.actor)
    ctx.emit(Verified(msg.campaign, ctx.actor))


@app.tx(allow=role(CIVIL_AFFAIRS))
def approve(ctx: Ctx, msg: Approve) -> None:
    """Open a case that a hospital has verified; from then on it takes gifts."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.state == "treatable", "not_verified")
    app.require(ctx.actor not in (campaign.charity, campaign.hospital, campaign.verifier), "same_party")
    app.require(ctx.time_ms < campaign.closes_ms, "in_the_past")
    note_hand(ctx, msg.campaign)
    ctx[campaigns][msg.campaign] = campaign.but(state="open", approver=ctx.actor)
    ctx.emit(Opened(msg.campaign, ctx.actor))


@app.tx(allow=role(CHARITY))
def close(ctx: Ctx, msg: Close) -> None:
    """Stop taking gifts for your campaign before its time."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.charity == ctx.actor, "not_yours")
    app.require(campaign.state == "open", "not_open")
    ctx.cancel(campaign.deadline)
    close_in_time(ctx, msg.campaign)


@app.tx(allow=role(CHARITY) | role(OFFICE))
def cancel(ctx: Ctx, msg: Cancel) -> None:
    """Give a campaign up before anything was paid out; matches return at once, donors take their gifts back."""
    campaign = ctx[campaigns][msg.campaign]
    app.require(campaign.charity == ctx.actor or ctx.has_role(ctx.actor, OFFICE), "not_yours")
    app.require(campaign.state not in ("settled", "cancelled"), "not_open")
    app.require(not campaign.took_surplus, "took_surplus")
    found = [ctx[purses].get((msg.campaign, name)) for name in campaign.purses]
    app.require(not any(purse.spent for purse in found if purse is not None), "paid_out")
    for place in campaign.offers:
        return_match(ctx, msg.campaign, place)
    ctx.cancel(campaign.deadline)
    ctx[campaigns][msg.campaign] = campaign.but(state="cancelled")
    ctx.emit(Cancelled(msg.campaign))


@app.deadline
def close_in_time(ctx: Ctx, key: str) -> None:
    """Stop taking gifts when the campaign's time has come; a case that was never opened is given up."""
    campaign = ctx[campaigns][key]
    opened = campaign.state == "open"
    ctx[campaigns][key] = campaign.but(state="closed" if opened else "cancelled")
    ctx.emit(Closed(key) if opened else Cancelled(key))
