"""Auditing: a supervisor flags an institution's part in a campaign, and it may appeal; others decide.

A flag that freezes stops invoices, payments and new gifts as long as it stands. It never stops a refund.
"""

from metrobloc.city.charity.rules.declared import CIVIL_AFFAIRS, app, campaigns, claims, flags, note_hand
from metrobloc.city.charity.types.events import Appealed, Decided, Flagged, Lifted
from metrobloc.city.charity.types.messages import Appeal, Decide, Lift, RaiseFlag
from metrobloc.city.charity.types.records import Flag
from metrobloc.commons.identity.rules import COUNCIL, SUPERVISOR
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=role(SUPERVISOR))
def raise_flag(ctx: Ctx, msg: RaiseFlag) -> None:
    """Flag what an institution has done in a campaign, and freeze the campaign if need be."""
    campaign = ctx[campaigns][msg.campaign]
    claim = ctx[claims][msg.claim] if msg.claim is not None else None
    payee = claim.payee if claim is not None and claim.campaign == msg.campaign else None
    parties = (campaign.charity, campaign.hospital, campaign.verifier, campaign.approver, payee)
    app.require(msg.against in parties, "no_part")
    note_hand(ctx, msg.campaign)
    made = ctx.new_id()
    flag = Flag(msg.campaign, ctx.actor, msg.against, msg.reason, msg.evidence, msg.freezes)
    ctx[flags].add(made, flag)
    if msg.freezes:
        ctx[campaigns][msg.campaign] = campaign.but(frozen=campaign.frozen + 1)
    ctx.emit(Flagged(made, msg.campaign, msg.against, msg.reason, msg.freezes))


@app.tx(allow=anyone)
def appeal(ctx: Ctx, msg: Appeal) -> None:
    """Answer a flag against you; the civil-affairs department or the city council decides."""
    flag = ctx[flags][msg.flag]
    app.require(flag.against == ctx.actor, "not_flagged")
    app.require(flag.state == "open", "not_flag_open")
    ctx[flags][msg.flag] = flag.but(state="appealed", statement=msg.statement)
    ctx.emit(Appealed(msg.flag))


@app.tx(allow=role(CIVIL_AFFAIRS) | role(COUNCIL))
def decide(ctx: Ctx, msg: Decide) -> None:
    """Uphold or dismiss a flag that was appealed, as neither who raised it, who is flagged, nor who runs the case."""
    flag = ctx[flags][msg.flag]
    app.require(flag.state == "appealed", "not_appealed")
    campaign = ctx[campaigns][flag.campaign]
    parties = (flag.by, flag.against, campaign.charity, campaign.hospital, campaign.verifier)
    app.require(ctx.actor not in parties, "not_decider")
    note_hand(ctx, flag.campaign)
    if not msg.upheld:
        _thaw(ctx, flag)
    ctx[flags][msg.flag] = flag.but(state="upheld" if msg.upheld else "dismissed", decided_by=ctx.actor)
    ctx.emit(Decided(msg.flag, msg.upheld))


@app.tx(allow=role(SUPERVISOR))
def lift(ctx: Ctx, msg: Lift) -> None:
    """Lift a flag, as a supervisor: what it was about is explained or put right."""
    flag = ctx[flags][msg.flag]
    app.require(flag.stands, "not_standing")
    app.require(ctx.actor != flag.against, "not_decider")
    note_hand(ctx, flag.campaign)
    _thaw(ctx, flag)
    ctx[flags][msg.flag] = flag.but(state="lifted")
    ctx.emit(Lifted(msg.flag))


def _thaw(ctx: Ctx, flag: Flag) -> None:
    if flag.freezes:
        campaign = ctx[campaigns][flag.campaign]
        ctx[campaigns][flag.campaign] = campaign.but(frozen=campaign.frozen - 1)
