"""Accounts: opened by a key that signs too, changed after a delay with one veto; roles granted by whoever may.

These functions write the kernel's tables; commons/identity decides who may call them.
"""

from metrobloc.kernel import crypto, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.genesis import is_demo
from metrobloc.kernel.system import Account, Grant, KeyOwner
from metrobloc.kernel.tables import MutableRows

DEMO_KEYS = tuple(crypto.SigningKey(crypto.sha256(b"metrobloc demonstration key %d" % n)) for n in range(16))
"""Keys that everybody knows, for playgrounds; no chain but a `demo-` one accepts them."""

_DEMO_KEY_IDS = frozenset(key.key_id for key in DEMO_KEYS)


def account_id(key: str) -> str:
    """Return the id of the account that a key opens."""
    return crypto.short_name(b"metrobloc account v1\n" + crypto.public_key(key))


def open_account(ctx: Ctx, key: str, payer: str | None = None, quota_per_hour: int = 0) -> str:
    """Open the account of a key and return its id; refuses `kernel.keys_taken`."""
    account = account_id(key)
    _bind(ctx, key, account)
    MutableRows(system.accounts, ctx.state).add(account, Account((key,), payer=payer, quota_per_hour=quota_per_hour))
    return account


def propose_keys(ctx: Ctx, account: str, keys: tuple[str, ...], delay_ms: int) -> int:
    """Replace an account's keys after a delay; return the time from which the new ones hold."""
    rows = MutableRows(system.accounts, ctx.state)
    now = rows[account]
    if ctx.time_ms < now.next_from_ms:
        raise Refused("kernel.rotation_pending")
    for key in keys:
        _bind(ctx, key, account)
    from_ms = ctx.time_ms + delay_ms
    rows[account] = now.but(keys=now.keys_at(ctx.time_ms), next_keys=keys, next_from_ms=from_ms)
    return from_ms


def veto_keys(ctx: Ctx, account: str) -> None:
    """Stop a change of keys that has not taken effect."""
    rows = MutableRows(system.accounts, ctx.state)
    now = rows[account]
    if ctx.time_ms >= now.next_from_ms:
        raise Refused("kernel.rotation_unknown")
    rows[account] = now.but(next_keys=(), next_from_ms=0)


def set_quota(ctx: Ctx, account: str, quota_per_hour: int) -> None:
    """Give an account a quota of its own, from which it also pays for those it sponsors."""
    rows = MutableRows(system.accounts, ctx.state)
    rows[account] = rows[account].but(quota_per_hour=quota_per_hour)


def grant(ctx: Ctx, account: str, role: str, until_ms: int = 0) -> None:
    """Give an account a role, until a time or (0) without end; refuses `kernel.accounts_unknown`."""
    if account not in MutableRows(system.accounts, ctx.state):
        raise Refused("kernel.accounts_unknown")
    MutableRows(system.roles, ctx.state)[(account, role)] = Grant(by=ctx.actor or None, until_ms=until_ms)


def revoke(ctx: Ctx, account: str, role: str) -> None:
    """Take a role from an account; refuses `kernel.roles_unknown`."""
    del MutableRows(system.roles, ctx.state)[(account, role)]


def _bind(ctx: Ctx, key: str, account: str) -> None:
    if key in _DEMO_KEY_IDS and not is_demo(ctx.chain):
        raise Refused("kernel.demo_key")
    MutableRows(system.keys, ctx.state).add(key, KeyOwner(account))
