"""Accounts and the persons behind them."""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    CITIZEN,
    OFFICE,
    app,
    box_keys,
    institutions,
    person_quota_per_hour,
    persons,
    vouched,
)
from metrobloc.commons.identity.types import (
    BoxKeyChanged,
    BoxKeyShown,
    Disclaim,
    Disclaimed,
    Person,
    Register,
    Registered,
    ShowBoxKey,
    Vouch,
    Vouched,
    VouchedFor,
)
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=anyone)
def register(ctx: Ctx, msg: Register) -> None:
    """Open an account for a key; the key signs too, and the sender pays for its transactions."""
    sponsor = ctx.read(system.accounts)[ctx.actor]
    app.require(sponsor.quota_per_hour > 0, "no_quota")
    account = accounts.open_account(ctx, msg.key, payer=ctx.actor)
    ctx.emit(Registered(account, ctx.actor))


@app.tx(allow=role(OFFICE))
def vouch(ctx: Ctx, msg: Vouch) -> None:
    """Confirm that an account belongs to one person, who has no other; she is a citizen with a quota of her own.

    The nullifier is a keyed hash of what identifies her, made with a key that only the office has: the same person has
    the same one, and nobody else can find out from it who she is.
    """
    quota = ctx.read(system.accounts)[msg.account].quota_per_hour
    app.require(msg.account not in ctx[institutions], "is_institution")
    app.require(msg.nullifier not in ctx[persons] and msg.account not in ctx[vouched], "person_known")
    app.require(not keeping.roles_of(ctx, msg.account), "is_institution")
    ctx[persons][msg.nullifier] = Person(msg.account, ctx.time_ms)
    ctx[vouched][msg.account] = Vouched(msg.nullifier, quota)
    accounts.grant(ctx, msg.account, CITIZEN)
    keeping.set_quota(ctx, msg.account, max(quota, ctx.param(person_quota_per_hour)))
    ctx.emit(VouchedFor(msg.account))


@app.tx(allow=role(OFFICE))
def disclaim(ctx: Ctx, msg: Disclaim) -> None:
    """Take back that an account belongs to one person; she can then be vouched for under another."""
    known = ctx[vouched][msg.account]
    del ctx[vouched][msg.account]
    del ctx[persons][known.nullifier]
    keeping.revoke(ctx, msg.account, CITIZEN)
    keeping.set_quota(ctx, msg.account, known.quota_before)
    ctx.emit(Disclaimed(msg.account))


@app.tx(allow=anyone, personal=True)
def show_box_key(ctx: Ctx, msg: ShowBoxKey) -> None:
    """Show the key for which others encrypt what only you may read; it replaces the one before."""
    ctx[box_keys][ctx.actor] = BoxKeyShown(msg.box_key, ctx.time_ms)
    ctx.emit(BoxKeyChanged(ctx.actor, msg.box_key))
