"""Keys that are replaced, lost or stolen: a change waits, can be vetoed once, and then others decide.

A change takes effect by the clock. What it leaves in this module's tables is written by whoever touches the account
next (`settle`), so nothing depends on a deadline that might run late.
"""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    OFFICE,
    OUT_OF_REACH,
    SUPERVISOR,
    app,
    changes,
    freeze_ms,
    guardianships,
    office_delay_ms,
    recoveries,
    recovery_ms,
    rotation_delay_ms,
)
from metrobloc.commons.identity.types import (
    Arbitrate,
    Arbitrated,
    Change,
    Changing,
    Freeze,
    Frozen,
    Guardianship,
    NameGuardians,
    Recover,
    Recovery,
    RecoveryAsked,
    Reissue,
    Rotate,
    Support,
    Supported,
    Veto,
    Vetoed,
)
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.types import INT_MAX


@app.tx(allow=anyone, personal=True, defends=True)
def rotate(ctx: Ctx, msg: Rotate) -> None:
    """Replace your keys by new ones, which sign too; they hold after a delay in which you or a guardian can veto.

    With several keys, `threshold` says how many of them must sign.
    """
    app.require(settle(ctx, ctx.actor) is None, "change_pending")
    from_ms = ctx.time_ms + ctx.param(rotation_delay_ms)
    accounts.bind(ctx, ctx.actor, msg.keys)
    keeping.propose_keys(ctx, ctx.actor, msg.keys, msg.threshold, from_ms, resets=False)
    _begin(ctx, ctx.actor, Change("owner", from_ms, msg.keys))


@app.tx(allow=anyone, personal=True)
def name_guardians(ctx: Ctx, msg: NameGuardians) -> None:
    """Name who can together give your account new keys if yours are lost; it holds after a delay."""
    app.require(settle(ctx, ctx.actor) is None, "change_pending")
    once = tuple(dict.fromkeys(msg.guardians))
    fits = len(once) < 2 * msg.needed <= 2 * len(once) if once else msg.needed == 0
    app.require(once == msg.guardians and ctx.actor not in once and fits, "needed_wrong")
    for guardian in once:
        ctx.read(system.accounts)[guardian]
    from_ms = ctx.time_ms + ctx.param(rotation_delay_ms)
    _begin(ctx, ctx.actor, Change("owner", from_ms, guardianship=Guardianship(once, msg.needed)))


@app.tx(allow=anyone, personal=True)
def recover(ctx: Ctx, msg: Recover) -> None:
    """Ask, as a guardian, that an account whose keys are lost or stolen gets new ones, which sign too.

    When enough guardians agree the account is frozen, and the new keys hold after a delay in which its owner can veto.
    """
    settle(ctx, msg.account)
    _require_guardian(ctx, msg.account)
    accounts.bind(ctx, msg.account, msg.keys)
    made = ctx.new_id()
    deadline = ctx.at(ctx.time_ms + ctx.param(recovery_ms), forget_recovery, made)
    ctx.emit(RecoveryAsked(msg.account, made))
    _proceed(ctx, made, Recovery(msg.account, msg.keys, msg.threshold, (ctx.actor,), deadline))


@app.tx(allow=anyone, personal=True)
def support(ctx: Ctx, msg: Support) -> None:
    """Agree, as another guardian, to a recovery."""
    recovery = ctx[recoveries][msg.recovery]
    settle(ctx, recovery.account)
    _require_guardian(ctx, recovery.account)
    app.require(ctx.actor not in recovery.supporters, "supported")
    ctx.emit(Supported(msg.recovery, ctx.actor))
    _proceed(ctx, msg.recovery, recovery.but(supporters=(*recovery.supporters, ctx.actor)))


@app.tx(allow=role(OFFICE))
def reissue(ctx: Ctx, msg: Reissue) -> None:
    """Give an account new keys, which sign too, where no guardians can; its owner can veto that for long."""
    ctx.read(system.accounts)[msg.account]
    app.require(not any(ctx.has_role(msg.account, one) for one in OUT_OF_REACH), "not_by_office")
    _make_way(ctx, msg.account)
    from_ms = ctx.time_ms + ctx.param(office_delay_ms)
    accounts.bind(ctx, msg.account, msg.keys)
    keeping.propose_keys(ctx, msg.account, msg.keys, msg.threshold, from_ms, resets=True)
    keeping.freeze(ctx, msg.account, from_ms)
    _begin(ctx, msg.account, Change("office", from_ms, msg.keys))


@app.tx(allow=anyone, personal=True, defends=True)
def veto(ctx: Ctx, msg: Veto) -> None:
    """Object to a change before it takes effect: your own account's, or what was asked with the keys that you guard.

    The account is then frozen until the city office has decided, or the supervisor where the office is a party.
    """
    account = msg.account or ctx.actor
    settle(ctx, account)
    change = ctx[changes][account]
    app.require(change.objector is None, "in_doubt")
    guards = ctx[guardianships].get(account)
    guardian = change.by == "owner" and guards is not None and ctx.actor in guards.guardians
    app.require(ctx.actor == account or guardian, "not_party")
    keeping.shift_keys(ctx, account, INT_MAX)
    keeping.freeze(ctx, account, INT_MAX)
    ctx[changes][account] = change.but(from_ms=INT_MAX, objector=ctx.actor)
    ctx.emit(Vetoed(account, ctx.actor))


@app.tx(allow=role(OFFICE) | role(SUPERVISOR))
def arbitrate(ctx: Ctx, msg: Arbitrate) -> None:
    """Decide about a change that was objected to; guardians whom the decision goes against are guardians no more."""
    change = ctx[changes][msg.account]
    app.require(change.objector is not None, "not_in_doubt")
    arbiter = SUPERVISOR if change.by == "office" or ctx.has_role(msg.account, OFFICE) else OFFICE
    app.require(ctx.has_role(ctx.actor, arbiter) and ctx.actor != msg.account, "other_arbiter")
    if msg.verdict == "granted":
        keeping.shift_keys(ctx, msg.account, ctx.time_ms)
        _take_effect(ctx, msg.account, change)
    else:
        keeping.drop_keys(ctx, msg.account)
        del ctx[changes][msg.account]
    keeping.freeze(ctx, msg.account, 0)
    wrong = change.supporters if msg.verdict == "dismissed" else (change.objector or "",)
    _strike(ctx, msg.account, wrong)
    ctx.emit(Arbitrated(msg.account, msg.verdict))


@app.tx(allow=anyone, personal=True)
def freeze(ctx: Ctx, msg: Freeze) -> None:
    """Stop all that your account can do for some days, but for changing its keys: it gains time after a theft."""
    del msg
    until_ms = ctx.time_ms + ctx.param(freeze_ms)
    keeping.freeze(ctx, ctx.actor, until_ms)
    ctx.emit(Frozen(ctx.actor, until_ms))


@app.deadline
def forget_recovery(ctx: Ctx, key: str) -> None:
    """Forget a recovery to which too few guardians have agreed in time."""
    del ctx[recoveries][key]


def settle(ctx: Ctx, account: str) -> Change | None:
    """Write out a change whose time has come, and return one that is still under way."""
    change = ctx[changes].get(account)
    if change is None or ctx.time_ms < change.from_ms:
        return change
    _take_effect(ctx, account, change)
    return None


def _take_effect(ctx: Ctx, account: str, change: Change) -> None:
    if change.guardianship is not None:
        _guard(ctx, account, change.guardianship)
    del ctx[changes][account]


def _begin(ctx: Ctx, account: str, change: Change) -> None:
    ctx[changes][account] = change
    ctx.emit(Changing(account, change.by, change.from_ms))


def _make_way(ctx: Ctx, account: str) -> None:
    """Drop a change that the owner, or a thief, has asked for; what guardians or the office began goes on."""
    change = settle(ctx, account)
    app.require(change is None or change.by == "owner", "change_pending")
    keeping.drop_keys(ctx, account)


def _proceed(ctx: Ctx, made: str, recovery: Recovery) -> None:
    """Keep a recovery, or begin the change when enough of those who are guardians now have agreed."""
    guards = ctx[guardianships].get(recovery.account)
    agreed = tuple(one for one in recovery.supporters if guards is not None and one in guards.guardians)
    if guards is None or len(agreed) < guards.needed:
        ctx[recoveries][made] = recovery.but(supporters=agreed)
        return
    _make_way(ctx, recovery.account)
    from_ms = ctx.time_ms + ctx.param(rotation_delay_ms)
    keeping.propose_keys(ctx, recovery.account, recovery.keys, recovery.threshold, from_ms, resets=True)
    keeping.freeze(ctx, recovery.account, from_ms)
    _begin(ctx, recovery.account, Change("guardians", from_ms, recovery.keys, supporters=agreed))
    if made in ctx[recoveries]:
        del ctx[recoveries][made]
    ctx.cancel(recovery.deadline)


def _require_guardian(ctx: Ctx, account: str) -> None:
    guards = ctx[guardianships].get(account)
    app.require(guards is not None and ctx.actor in guards.guardians, "not_guardian")


def _strike(ctx: Ctx, account: str, wrong: tuple[str, ...]) -> None:
    """Take guardians whom a decision went against from their office; of those who stay more than half are needed."""
    guards = ctx[guardianships].get(account)
    if guards is not None:
        stay = tuple(one for one in guards.guardians if one not in wrong)
        _guard(ctx, account, Guardianship(stay, min(guards.needed, len(stay))))


def _guard(ctx: Ctx, account: str, guards: Guardianship) -> None:
    if guards.guardians:
        ctx[guardianships][account] = guards
    elif account in ctx[guardianships]:
        del ctx[guardianships][account]
