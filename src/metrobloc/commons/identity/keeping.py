"""What identity changes in the kernel's tables: keys to come, frozen accounts, delegations, suspended roles.

Nobody else calls these functions; who may, and when, is decided in rules/.
"""

from metrobloc.kernel import system
from metrobloc.kernel.accounts import rows
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.system import Delegation
from metrobloc.kernel.tables import MutableRows
from metrobloc.kernel.types import INT_MAX


def require_keys(keys: tuple[str, ...], threshold: int) -> None:
    """Refuse `kernel.keys_short` unless there are as many different keys as must sign."""
    if not threshold <= len(dict.fromkeys(keys)) == len(keys):
        raise Refused("kernel.keys_short")


def propose_keys(  # noqa: PLR0913
    ctx: Ctx, account: str, keys: tuple[str, ...], threshold: int, from_ms: int, *, resets: bool
) -> None:
    """Have bound keys replace an account's from a time on, instead of others that were to do so.

    With `resets` what the account delegated before ends then. Refuses `kernel.keys_short`.
    """
    require_keys(keys, threshold)
    rows(ctx)[account] = (
        rows(ctx)[account]
        .at(ctx.time_ms)
        .but(next_keys=keys, next_threshold=threshold, next_from_ms=from_ms, next_resets=resets)
    )


def shift_keys(ctx: Ctx, account: str, from_ms: int) -> None:
    """Have the keys to come, if there are any, take effect at another time."""
    now = rows(ctx)[account].at(ctx.time_ms)
    if now.next_keys:
        rows(ctx)[account] = now.but(next_from_ms=from_ms)


def drop_keys(ctx: Ctx, account: str) -> None:
    """Forget the keys to come."""
    now = rows(ctx)[account].at(ctx.time_ms)
    rows(ctx)[account] = now.but(next_keys=(), next_threshold=1, next_from_ms=0, next_resets=False)


def hand_over(ctx: Ctx, account: str, successor: str) -> None:
    """Take from an account its keys and all that it delegated, and let its successor do everything in its name."""
    drop_keys(ctx, account)
    now = rows(ctx)[account]
    rows(ctx)[account] = now.but(keys=(), threshold=1, reset_ms=ctx.time_ms + 1, frozen_until_ms=0)
    delegate(ctx, account, successor, Delegation((), INT_MAX, ctx.time_ms + 1))


def freeze(ctx: Ctx, account: str, until_ms: int) -> None:
    """Let an account do nothing but defend itself until a time; a time gone by ends that."""
    rows(ctx)[account] = rows(ctx)[account].but(frozen_until_ms=until_ms)


def set_quota(ctx: Ctx, account: str, quota_per_hour: int) -> None:
    """Give an account a quota of its own, from which it also pays for those it sponsors."""
    rows(ctx)[account] = rows(ctx)[account].but(quota_per_hour=quota_per_hour)


def delegate(ctx: Ctx, account: str, name: str, given: Delegation) -> None:
    """Let another account, or a bound key, act in an account's name."""
    MutableRows(system.delegations, ctx.state)[account, name] = given.but(to=name)


def end_delegation(ctx: Ctx, account: str, name: str) -> None:
    """Take back what was delegated; refuses `kernel.delegations_unknown`."""
    del MutableRows(system.delegations, ctx.state)[account, name]


def roles_of(ctx: Ctx, account: str) -> list[str]:
    """List the roles that an account has been given, also those that have ended or are suspended."""
    return list(ctx.keys(system.roles_of, f"of/{account}"))


def suspend(ctx: Ctx, account: str, role: str, until_ms: int) -> None:
    """Let a role of an account count for nothing until a time; refuses `kernel.roles_unknown`."""
    grants = MutableRows(system.roles, ctx.state)
    grants[account, role] = grants[account, role].but(suspended_until_ms=until_ms)


def revoke(ctx: Ctx, account: str, role: str) -> None:
    """Take a role from an account; refuses `kernel.roles_unknown`."""
    del MutableRows(system.roles, ctx.state)[account, role]
