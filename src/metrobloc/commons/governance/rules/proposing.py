"""What members of the council can propose. Whoever proposes also approves."""

from metrobloc.commons.governance.rules.approving import consider, forget_proposal, require_member
from metrobloc.commons.governance.rules.deciding import require_possible, standing
from metrobloc.commons.governance.rules.declared import HEIGHT_AHEAD_MAX, app, voting_ms
from metrobloc.commons.governance.types import (
    Approval,
    Change,
    Proposal,
    ProposeCancel,
    ProposeCouncil,
    Proposed,
    ProposeModule,
    ProposeOffice,
    ProposeRules,
    ProposeValue,
)
from metrobloc.commons.identity.rules import COUNCIL
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role


@app.tx(allow=role(COUNCIL))
def propose_value(ctx: Ctx, msg: ProposeValue) -> None:
    """Propose another value for a parameter, within its limits, from a block on."""
    _propose(ctx, Change(f"value.{msg.module}.{msg.name}", msg.value), msg.from_height)


@app.tx(allow=role(COUNCIL))
def propose_module(ctx: Ctx, msg: ProposeModule) -> None:
    """Propose that a part of the rules which the chain began without becomes active from a block on.

    Every node must have it by then: one that does not stops there until its operator has installed it.
    """
    _propose(ctx, Change(f"module.{msg.module}"), msg.from_height)


@app.tx(allow=role(COUNCIL))
def propose_rules(ctx: Ctx, msg: ProposeRules) -> None:
    """Propose the next version of the rules from a block on.

    Every node must have it by then: one that does not stops there until its operator has installed it.
    """
    _propose(ctx, Change("rules", msg.version), msg.from_height)


@app.tx(allow=role(COUNCIL))
def propose_council(ctx: Ctx, msg: ProposeCouncil) -> None:
    """Propose who will be on the council, all of them, and how many must approve."""
    _propose(ctx, Change(COUNCIL, msg.threshold, msg.members), msg.from_height)


@app.tx(allow=role(COUNCIL))
def propose_office(ctx: Ctx, msg: ProposeOffice) -> None:
    """Propose who will be the city office, or the supervisor: all who will be, and nobody else."""
    _propose(ctx, Change(msg.role, 0, msg.holders), msg.from_height)


@app.tx(allow=role(COUNCIL))
def propose_cancel(ctx: Ctx, msg: ProposeCancel) -> None:
    """Propose that the council takes back a decision before it takes effect."""
    _propose(ctx, Change(msg.subject, cancels=True), 0)


def _propose(ctx: Ctx, change: Change, from_height: int) -> None:
    require_member(ctx)
    app.require(from_height <= ctx.run.height + HEIGHT_AHEAD_MAX, "too_far")
    require_possible(ctx, change)
    made = ctx.new_id()
    until_ms = ctx.time_ms + ctx.param(voting_ms)
    deadline = ctx.at(until_ms, forget_proposal, made)
    ctx.emit(Proposed(made, change.subject, until_ms))
    own = (Approval(ctx.actor, ctx.time_ms),)
    over = standing(ctx, change.subject)
    consider(ctx, made, Proposal(ctx.actor, change, from_height, until_ms, deadline, own, over))
