"""Keys that are lost or stolen: given anew by guardians together, or by the city office where no guardians can."""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    OFFICE,
    OUT_OF_REACH,
    app,
    guardianships,
    office_delay_ms,
    recoveries,
    recovery_ms,
    rotation_delay_ms,
)
from metrobloc.commons.identity.rules.settling import replace_keys, require_guardian, settle
from metrobloc.commons.identity.types import Change, Recover, Recovery, RecoveryAsked, Reissue, Support, Supported
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=anyone, personal=True)
def recover(ctx: Ctx, msg: Recover) -> None:
    """Ask, as a guardian, that an account whose keys are lost or stolen gets new ones, which sign too.

    When enough guardians agree the account is frozen, and the new keys hold after a delay in which its owner, or
    another guardian, can veto.
    """
    settle(ctx, msg.account)
    require_guardian(ctx, msg.account)
    keeping.require_keys(msg.keys, msg.threshold)
    accounts.bind(ctx, msg.account, msg.keys)
    made = ctx.new_id()
    until_ms = ctx.time_ms + ctx.param(recovery_ms)
    deadline = ctx.at(until_ms, forget_recovery, made)
    ctx.emit(RecoveryAsked(msg.account, made))
    _proceed(ctx, made, Recovery(msg.account, msg.keys, msg.threshold, (ctx.actor,), until_ms, deadline))


@app.tx(allow=anyone, personal=True)
def support(ctx: Ctx, msg: Support) -> None:
    """Agree, as another guardian, to a recovery."""
    recovery = ctx[recoveries][msg.recovery]
    app.require(ctx.time_ms < recovery.until_ms, "recoveries_unknown")  # its deadline may run late
    settle(ctx, recovery.account)
    require_guardian(ctx, recovery.account)
    app.require(ctx.actor not in recovery.supporters, "supported")
    ctx.emit(Supported(msg.recovery, ctx.actor))
    _proceed(ctx, msg.recovery, recovery.but(supporters=(*recovery.supporters, ctx.actor)))


@app.tx(allow=role(OFFICE))
def reissue(ctx: Ctx, msg: Reissue) -> None:
    """Give an account new keys, which sign too, where no guardians can; its owner or a guardian can veto that for long.

    Its guardians are none afterwards: whoever had the old keys may have named them.
    """
    ctx.read(system.accounts)[msg.account]
    app.require(not any(ctx.has_role(msg.account, one) for one in OUT_OF_REACH), "not_by_office")
    accounts.bind(ctx, msg.account, msg.keys)
    from_ms = ctx.time_ms + ctx.param(office_delay_ms)
    replace_keys(ctx, msg.account, Change("office", from_ms, msg.keys), msg.threshold)


@app.deadline
def forget_recovery(ctx: Ctx, key: str) -> None:
    """Forget a recovery to which too few guardians have agreed in time."""
    del ctx[recoveries][key]


def _proceed(ctx: Ctx, made: str, recovery: Recovery) -> None:
    """Keep a recovery, or begin the change when enough of those who are guardians now have agreed."""
    guards = ctx[guardianships][recovery.account]
    agreed = tuple(one for one in recovery.supporters if one in guards.guardians)
    if len(agreed) < guards.needed:
        ctx[recoveries][made] = recovery.but(supporters=agreed)
        return
    from_ms = ctx.time_ms + ctx.param(rotation_delay_ms)
    change = Change("guardians", from_ms, recovery.keys, supporters=agreed)
    replace_keys(ctx, recovery.account, change, recovery.threshold)
    if made in ctx[recoveries]:
        del ctx[recoveries][made]
    ctx.cancel(recovery.deadline)
