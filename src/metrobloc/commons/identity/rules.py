"""The verbs of identity: register, accredit, revoke, rotate, veto."""

from metrobloc.commons.identity.types import (
    Accredit,
    Accredited,
    BoxKeyChanged,
    BoxKeyShown,
    Institution,
    Register,
    Registered,
    Revoke,
    Revoked,
    Rotate,
    Rotating,
    ShowBoxKey,
    Veto,
    Vetoed,
)
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role

OFFICE = "office"
"""The role of the city office, which accredits institutions."""

app = Module(
    "identity",
    {
        "no_quota": "Only an account with a quota of its own can sponsor others; ask an institution to do it.",
        "office_stays": "The city office changes neither its own standing nor who is the office; genesis says that.",
        "in_the_past": "The end of the role must lie ahead of the block's time.",
    },
)
institutions = app.table("institutions", Institution, str)
box_keys = app.table("box_keys", BoxKeyShown, str)
rotation_delay_ms = app.param(
    "rotation_delay_ms", 86_400_000, "Time to notice and veto a change of keys that a thief has asked for."
)


@app.tx(allow=anyone)
def register(ctx: Ctx, msg: Register) -> None:
    """Open an account for a key; the key signs too, and the sender pays for its transactions."""
    sponsor = ctx.read(system.accounts)[ctx.actor]
    app.require(sponsor.quota_per_hour > 0, "no_quota")
    account = accounts.open_account(ctx, msg.key, payer=ctx.actor)
    ctx.emit(Registered(account, ctx.actor))


@app.tx(allow=role(OFFICE))
def accredit(ctx: Ctx, msg: Accredit) -> None:
    """Name an institution and give it a role and a quota for itself and those it sponsors."""
    app.require(msg.role != OFFICE and msg.account != ctx.actor, "office_stays")
    app.require(msg.until_ms == 0 or msg.until_ms > ctx.time_ms, "in_the_past")
    accounts.grant(ctx, msg.account, msg.role, msg.until_ms)
    accounts.set_quota(ctx, msg.account, msg.quota_per_hour)
    known = ctx[institutions].get(msg.account)
    ctx[institutions][msg.account] = Institution(msg.name, ctx.time_ms if known is None else known.since_ms)
    ctx.emit(Accredited(msg.account, msg.role))


@app.tx(allow=role(OFFICE))
def revoke(ctx: Ctx, msg: Revoke) -> None:
    """Take a role from an account."""
    app.require(msg.role != OFFICE, "office_stays")
    accounts.revoke(ctx, msg.account, msg.role)
    ctx.emit(Revoked(msg.account, msg.role))


@app.tx(allow=anyone)
def rotate(ctx: Ctx, msg: Rotate) -> None:
    """Replace your key by a new one, which signs too; it holds after a delay in which you can veto it."""
    from_ms = accounts.propose_keys(ctx, ctx.actor, (msg.key,), ctx.param(rotation_delay_ms))
    ctx.emit(Rotating(ctx.actor, from_ms))


@app.tx(allow=anyone)
def veto(ctx: Ctx, msg: Veto) -> None:
    """Stop a change of your keys that has not taken effect yet."""
    del msg
    accounts.veto_keys(ctx, ctx.actor)
    ctx.emit(Vetoed(ctx.actor))


@app.tx(allow=anyone)
def show_box_key(ctx: Ctx, msg: ShowBoxKey) -> None:
    """Show the key for which others encrypt what only you may read; it replaces the one before."""
    ctx[box_keys][ctx.actor] = BoxKeyShown(msg.box_key, ctx.time_ms)
    ctx.emit(BoxKeyChanged(ctx.actor, msg.box_key))


@app.invariant
def every_key_of_an_account_belongs_to_it(view: View) -> bool:
    """Keys in force or to come are bound to their account and no other."""
    for account, record in view[system.accounts].items():
        for key in (*record.keys, *record.next_keys):
            owner = view[system.keys].get(key)
            if owner is None or owner.account != account:
                return False
    return True
