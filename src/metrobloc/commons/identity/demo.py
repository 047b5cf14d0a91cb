"""A playground's genesis and its public role keys: anybody may act as its bank or hospital; no other chain has them."""

from collections.abc import Iterable

from metrobloc.kernel import accounts, codec, crypto
from metrobloc.kernel.genesis import DEMO_PREFIX, Founder, Genesis

ROLES = (
    "office",
    "bank",
    "hospital",
    "charity",
    "company",
    "supervisor",
    "timebank",
    "civil_affairs",
    "custodian",
    "notary",
)
"""The roles that a playground starts with; each has one account with that role."""

MORE = {
    "office": ("council",),
    "bank": ("council",),
    "hospital": ("council", "issuer"),
    "charity": ("council",),
    "supervisor": ("council",),
    "civil_affairs": ("issuer",),
}
"""What some of them are besides: who governs the city together, and who may issue credentials."""

QUOTA_PER_HOUR = 1_000_000_000


def demo_key(name: str) -> crypto.SigningKey | None:
    """Return the public key of a playground's role, or None."""
    return accounts.DEMO_KEYS[ROLES.index(name)] if name in ROLES else None


def demo_genesis(time_ms: int, modules: Iterable[str], name: str = "city") -> bytes:
    """Return the genesis of a playground whose role keys are public."""
    founders = tuple(
        Founder(key.key_id, QUOTA_PER_HOUR, (role, *MORE.get(role, ())))
        for role, key in zip(ROLES, accounts.DEMO_KEYS, strict=False)
    )
    return codec.encode(Genesis(founders, tuple(modules), f"{DEMO_PREFIX}{name}", time_ms))
