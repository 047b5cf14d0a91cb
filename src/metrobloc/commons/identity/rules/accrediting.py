"""Institutions: named, accredited, suspended."""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    KEPT,
    OFFICE,
    app,
    institutions,
    vouched,
)
from metrobloc.commons.identity.types import (
    Accredit,
    Accredited,
    Institution,
    Name,
    Named,
    Resume,
    Resumed,
    Revoke,
    Revoked,
    Suspend,
    Suspended,
)
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import role


@app.tx(allow=role(OFFICE))
def name(ctx: Ctx, msg: Name) -> None:
    """Give an institution its public name, without a role."""
    ctx.read(system.accounts)[msg.institution]
    app.require(msg.institution not in ctx[vouched], "is_institution")
    ctx[institutions][msg.institution] = _known(ctx, msg.institution, msg.name)
    ctx.emit(Named(msg.institution, msg.name))


@app.tx(allow=role(OFFICE))
def accredit(ctx: Ctx, msg: Accredit) -> None:
    """Name an institution and give it a role and a quota for itself and those it sponsors."""
    app.require(msg.role not in KEPT and msg.account != ctx.actor, "not_by_office")
    app.require(msg.until_ms == 0 or msg.until_ms > ctx.time_ms, "in_the_past")
    account = ctx.read(system.accounts)[msg.account]
    app.require(msg.quota_per_hour > 0 or account.payer is not None, "unpaid")
    app.require(msg.account not in ctx[vouched], "is_institution")
    known = _known(ctx, msg.account, msg.name)
    app.require(known.successor is None, "succeeded")
    accounts.grant(ctx, msg.account, msg.role, msg.until_ms)
    keeping.set_quota(ctx, msg.account, msg.quota_per_hour)
    keeping.suspend(ctx, msg.account, msg.role, known.suspended_until_ms)
    ctx[institutions][msg.account] = known
    ctx.emit(Accredited(msg.account, msg.role))


@app.tx(allow=role(OFFICE))
def revoke(ctx: Ctx, msg: Revoke) -> None:
    """Take a role from an account."""
    app.require(msg.role not in KEPT, "not_by_office")
    keeping.revoke(ctx, msg.account, msg.role)
    ctx.emit(Revoked(msg.account, msg.role))


@app.tx(allow=role(OFFICE))
def suspend(ctx: Ctx, msg: Suspend) -> None:
    """Let an institution's roles count for nothing until a time, while its case is looked at."""
    app.require(msg.until_ms > ctx.time_ms, "in_the_past")
    known = ctx[institutions][msg.institution]
    since_ms = known.suspended_ms if ctx.time_ms < known.suspended_until_ms else ctx.time_ms
    _suspend_all(ctx, msg.institution, msg.until_ms)
    ctx[institutions][msg.institution] = known.but(suspended_ms=since_ms, suspended_until_ms=msg.until_ms)
    ctx.emit(Suspended(msg.institution, msg.until_ms))


@app.tx(allow=role(OFFICE))
def resume(ctx: Ctx, msg: Resume) -> None:
    """End an institution's suspension; its roles count again."""
    known = ctx[institutions][msg.institution]
    app.require(ctx.time_ms < known.suspended_until_ms, "not_suspended")
    _suspend_all(ctx, msg.institution, 0)
    ctx[institutions][msg.institution] = known.but(suspended_ms=0, suspended_until_ms=0)
    ctx.emit(Resumed(msg.institution))


def _suspend_all(ctx: Ctx, institution: str, until_ms: int) -> None:
    """Let every role that the office could take count for nothing until a time."""
    for one in keeping.roles_of(ctx, institution):
        if one not in KEPT:
            keeping.suspend(ctx, institution, one, until_ms)


def _known(ctx: Ctx, account: str, called: str) -> Institution:
    """Return an institution under a name, known since it was first named."""
    known = ctx[institutions].get(account)
    return Institution(called, ctx.time_ms) if known is None else known.but(name=called)
