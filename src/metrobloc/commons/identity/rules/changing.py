"""Keys and guardians that an owner changes: a change waits, can be vetoed once, and then others decide."""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    COUNCIL,
    OFFICE,
    SUPERVISOR,
    app,
    changes,
    freeze_ms,
    guardianships,
    rotation_delay_ms,
)
from metrobloc.commons.identity.rules.settling import (
    NOBODY,
    begin,
    guard,
    is_arbiter,
    require_guardian,
    require_quiet,
    settle,
    take_effect,
)
from metrobloc.commons.identity.types import (
    Arbitrate,
    Arbitrated,
    Change,
    Freeze,
    Frozen,
    Guardianship,
    NameGuardians,
    Rotate,
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

    With several keys, `threshold` says how many of them must sign. Your sessions and mandates end when the new keys
    begin to hold, or a thief's would go on; keep them only if nobody else has had your keys.
    """
    require_quiet(ctx)
    from_ms = ctx.time_ms + ctx.param(rotation_delay_ms)
    accounts.bind(ctx, ctx.actor, msg.keys)
    keeping.propose_keys(ctx, ctx.actor, msg.keys, msg.threshold, from_ms, resets=not msg.keeps_delegated)
    begin(ctx, ctx.actor, Change("owner", from_ms, msg.keys))


@app.tx(allow=anyone, personal=True, defends=True)
def name_guardians(ctx: Ctx, msg: NameGuardians) -> None:
    """Name who can together give your account new keys if yours are lost; it holds after a delay.

    More than half of them must agree, so that no two groups can both have their way. A guardian of now can veto.
    """
    require_quiet(ctx)
    once = tuple(dict.fromkeys(msg.guardians))
    fits = len(once) < 2 * msg.needed <= 2 * len(once) if once else msg.needed == 0
    app.require(once == msg.guardians and ctx.actor not in once and fits, "needed_wrong")
    for guardian in once:
        ctx.read(system.accounts)[guardian]
        app.require(not is_arbiter(ctx, guardian), "arbiter_guards")
    from_ms = ctx.time_ms + ctx.param(rotation_delay_ms)
    begin(ctx, ctx.actor, Change("owner", from_ms, guardianship=Guardianship(once, msg.needed)))


@app.tx(allow=anyone, personal=True, defends=True)
def veto(ctx: Ctx, msg: Veto) -> None:
    """Object to a change before it takes effect: on your own account, or on one that you guard.

    The account is then frozen until the city office has decided, or the supervisor where the office is a party.
    """
    account = msg.account or ctx.actor
    settle(ctx, account)
    change = ctx[changes][account]
    app.require(change.objector is None, "in_doubt")
    guards = ctx[guardianships].get(account) or NOBODY
    app.require(ctx.actor == account or ctx.actor in guards.guardians, "not_party")
    keeping.shift_keys(ctx, account, INT_MAX)
    keeping.freeze(ctx, account, INT_MAX)
    ctx[changes][account] = change.but(from_ms=INT_MAX, objector=ctx.actor)
    ctx.emit(Vetoed(account, ctx.actor))


@app.tx(allow=role(OFFICE) | role(SUPERVISOR))
def arbitrate(ctx: Ctx, msg: Arbitrate) -> None:
    """Decide about a change that was objected to; guardians whom the decision goes against are guardians no more."""
    change = ctx[changes][msg.account]
    app.require(change.objector is not None, "not_in_doubt")
    app.require(
        ctx.has_role(ctx.actor, _arbiter(ctx, msg.account, change)) and ctx.actor != msg.account, "other_arbiter"
    )
    keeping.freeze(ctx, msg.account, 0)
    if msg.verdict == "granted":
        keeping.shift_keys(ctx, msg.account, ctx.time_ms)
        take_effect(ctx, msg.account, change)
    else:
        keeping.drop_keys(ctx, msg.account)
        del ctx[changes][msg.account]
    _strike(ctx, msg.account, change.supporters if msg.verdict == "dismissed" else (change.objector or "",))
    ctx.emit(Arbitrated(msg.account, msg.verdict))


@app.tx(allow=anyone, personal=True)
def freeze(ctx: Ctx, msg: Freeze) -> None:
    """Stop all that your account, or one that you guard, can do for some days but defend itself: a theft is stopped.

    A guardian can do so again only after a pause of as many days, in which the owner can name others.
    """
    account = msg.account or ctx.actor
    if account != ctx.actor:
        settle(ctx, account)
        require_guardian(ctx, account)
        before_ms = ctx.read(system.accounts)[account].frozen_until_ms
        app.require(before_ms == 0 or before_ms + ctx.param(freeze_ms) <= ctx.time_ms, "frozen_lately")
    until_ms = ctx.time_ms + ctx.param(freeze_ms)
    keeping.freeze(ctx, account, until_ms)
    ctx.emit(Frozen(account, until_ms))


def _arbiter(ctx: Ctx, account: str, change: Change) -> str:
    """Return the role of who decides: not who is a party, and not the office over those who watch it."""
    watched = change.by == "office" or ctx.has_role(account, OFFICE) or ctx.has_role(account, COUNCIL)
    return SUPERVISOR if watched and not ctx.has_role(account, SUPERVISOR) else OFFICE


def _strike(ctx: Ctx, account: str, wrong: tuple[str, ...]) -> None:
    """Take guardians whom a decision went against from their office.

    No fewer must agree than before; where too few are left nobody guards the account until its owner names others.
    """
    guards = ctx[guardianships].get(account) or NOBODY
    stay = tuple(one for one in guards.guardians if one not in wrong)
    guard(ctx, account, Guardianship(stay, guards.needed) if len(stay) >= guards.needed else NOBODY)
