"""What governance changes in the kernel's tables: parameters, active modules, the version of the rules, roles.

Nobody else calls these functions; what may be changed, and by whom, is decided in rules/.
"""

from collections.abc import Iterable

from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.system import Activation, ChainInfo
from metrobloc.kernel.tables import MutableRows, Param, ParamSpec


def chain_info(ctx: Ctx) -> ChainInfo:
    """Return which chain this is, and under which rules."""
    return ctx.read(system.chain)["info"]


def set_value(ctx: Ctx, spec: ParamSpec, value: int, from_height: int) -> None:
    """Let a parameter have another value from a block on, instead of one that it was to have."""
    _params(ctx)[spec.module, spec.name] = Param(ctx.param(spec), value, from_height)


def keep_value(ctx: Ctx, spec: ParamSpec) -> None:
    """Let a parameter keep the value in force."""
    _params(ctx)[spec.module, spec.name] = Param(ctx.param(spec))


def activate(ctx: Ctx, module: str, from_height: int) -> None:
    """Let a module be active from a block on."""
    MutableRows(system.modules, ctx.state)[module] = Activation(from_height)


def keep_out(ctx: Ctx, module: str) -> None:
    """Let a module that was to become active not do so."""
    del MutableRows(system.modules, ctx.state)[module]


def set_rules(ctx: Ctx, version: int, from_height: int) -> None:
    """Let a version of the rules be in force from a block on; version 0 keeps the one that is."""
    info = chain_info(ctx)
    now = info.but(rules=info.rules_at(ctx.run.height), next_rules=version, from_height=from_height)
    MutableRows(system.chain, ctx.state)["info"] = now


def seat(ctx: Ctx, role: str, holders: Iterable[str]) -> None:
    """Let some accounts and nobody else hold a role."""
    grants = MutableRows(system.roles, ctx.state)
    for account in granted(ctx, role):
        del grants[account, role]
    for account in holders:
        accounts.grant(ctx, account, role)


def granted(ctx: Ctx, role: str) -> list[str]:
    """Return the accounts to which a role was given."""
    return [key.partition("/")[0] for key in ctx.keys(system.by_role, role)]


def ensure_quota(ctx: Ctx, account: str, least: int) -> bool:
    """Let an account have at least so much quota of its own; tell whether it had less."""
    now = accounts.rows(ctx)[account]
    if now.quota_per_hour >= least:
        return False
    accounts.rows(ctx)[account] = now.but(quota_per_hour=least)
    return True


def _params(ctx: Ctx) -> MutableRows[tuple[str, str], Param]:
    return MutableRows(system.params, ctx.state)
