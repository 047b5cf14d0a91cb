"""Accounts: opened by a key that signs too, which belongs to them for ever; roles granted by whoever may.

These functions write the kernel's tables; commons/identity decides who may call them, and has those that change keys.
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
    _claim(ctx, account, key)
    rows(ctx).add(account, Account((key,), payer=payer, quota_per_hour=quota_per_hour))
    return account


def bind(ctx: Ctx, account: str, keys: tuple[str, ...]) -> None:
    """Make keys belong to an account for ever; those of its keys in force belong to it already."""
    in_force = rows(ctx)[account].keys_at(ctx.time_ms)
    for key in keys:
        if key not in in_force:
            _claim(ctx, account, key)


def grant(ctx: Ctx, account: str, role: str, until_ms: int = 0) -> None:
    """Give an account a role, until a time or (0) without end; refuses `kernel.accounts_unknown`."""
    if account not in rows(ctx):
        raise Refused("kernel.accounts_unknown")
    MutableRows(system.roles, ctx.state)[account, role] = Grant(role, ctx.actor or None, until_ms)


def rows(ctx: Ctx) -> MutableRows[str, Account]:
    """Open the accounts for writing."""
    return MutableRows(system.accounts, ctx.state)


def _claim(ctx: Ctx, account: str, key: str) -> None:
    if key in _DEMO_KEY_IDS and not is_demo(ctx.chain):
        raise Refused("kernel.demo_key")
    MutableRows(system.keys, ctx.state).add(key, KeyOwner(account))
