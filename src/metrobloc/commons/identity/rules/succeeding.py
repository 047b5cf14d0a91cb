"""One institution takes the place of another, and acts in its name for good."""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    OFFICE,
    OUT_OF_REACH,
    app,
    institutions,
    office_delay_ms,
    rotation_delay_ms,
    succession_wait_ms,
)
from metrobloc.commons.identity.rules.settling import begin, fits, make_way, require_in_place, require_quiet
from metrobloc.commons.identity.types import Change, Succeed
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone, personal=True)
def succeed(ctx: Ctx, msg: Succeed) -> None:
    """Let one institution take the place of another for good: it acts in the other's name, whose own keys end.

    The institution signs that itself; for one that has been suspended for some days the city office can. Either way it
    holds after a delay in which the institution, or a guardian of its account, can veto.
    """
    known = ctx[institutions][msg.institution]
    ctx[institutions][msg.successor]
    app.require(msg.institution != msg.successor, "to_self")
    change = Change("owner", ctx.time_ms + ctx.param(rotation_delay_ms), successor=msg.successor)
    if ctx.actor == msg.institution:
        require_quiet(ctx)
    else:
        app.require(ctx.has_role(ctx.actor, OFFICE), "not_party")
        reach = any(ctx.has_role(msg.institution, one) for one in OUT_OF_REACH)
        app.require(not reach and msg.successor != ctx.actor, "not_by_office")
        waited = known.suspended_ms + ctx.param(succession_wait_ms) <= ctx.time_ms < known.suspended_until_ms
        app.require(waited, "not_suspended")
        make_way(ctx, msg.institution)
        change = change.but(by="office", from_ms=ctx.time_ms + ctx.param(office_delay_ms))
        keeping.freeze(ctx, msg.institution, change.from_ms)
    require_in_place(ctx, msg.successor)
    app.require(fits(ctx, msg.institution, msg.successor), "too_many")
    begin(ctx, msg.institution, change)
