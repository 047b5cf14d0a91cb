"""The kernel's own tables: what every chain has whatever its applications are."""

from collections.abc import Container
from typing import Annotated

from msgspec import Meta, Struct

from metrobloc.kernel.receipts import LogHead
from metrobloc.kernel.tables import Index, Param, Table
from metrobloc.kernel.types import (
    INT_MAX,
    AccountId,
    Amount,
    Code,
    Digest,
    Holder,
    Key,
    Public,
    Record,
    Scope,
    Slug,
    TimeMs,
    Total,
    Who,
)

NAME = "kernel"
Keys = Annotated[tuple[Key, ...], Meta(max_length=16)]


class Account(Record):
    """Who can sign: its keys now, its keys to come, and who pays its quota.

    `reset_ms` is when keys took effect that made void all that was delegated before; `next_resets` says that those to
    come will. Until `frozen_until_ms` the account can do nothing but defend itself.
    """

    keys: Keys
    payer: AccountId | None = None
    quota_per_hour: Total = 0
    threshold: Total = 1
    next_keys: Keys = ()
    next_threshold: Total = 1
    next_from_ms: TimeMs = 0
    next_resets: bool = False
    reset_ms: TimeMs = 0
    frozen_until_ms: TimeMs = 0

    def keys_at(self, time_ms: int) -> tuple[str, ...]:
        """Return the keys in force at a time: a rotation takes effect by the clock, not by a transaction."""
        return self.next_keys if self.next_keys and time_ms >= self.next_from_ms else self.keys

    def at(self, time_ms: int) -> "Account":
        """Return the account as it is at a time, a change that has taken effect by then written out."""
        if not self.next_keys or time_ms < self.next_from_ms:
            return self
        reset_ms = self.next_from_ms if self.next_resets else self.reset_ms
        return self.but(
            keys=self.next_keys,
            threshold=self.next_threshold,
            reset_ms=reset_ms,
            next_keys=(),
            next_threshold=1,
            next_from_ms=0,
            next_resets=False,
        )

    def signers(self, key_ids: Container[str]) -> list[str] | None:
        """Return as many of the account's keys among these as it asks for, or None when there are too few."""
        signed = [key for key in self.keys if key in key_ids]
        return signed[: self.threshold] if len(signed) >= self.threshold else None


class KeyOwner(Record):
    """The one account to which a key belongs for ever."""

    account: AccountId


class Grant(Record):
    """A role held by an account; `until_ms` 0 means without end. While it is suspended it counts for nothing."""

    role: Slug
    by: AccountId | None = None
    until_ms: TimeMs = 0
    suspended_until_ms: TimeMs = 0

    def holds_at(self, time_ms: int) -> bool:
        """Tell whether the role counts at a time."""
        return self.suspended_until_ms <= time_ms < (self.until_ms or INT_MAX)


class Ceiling(Record):
    """How much of a book of a ledger may still be spent."""

    ledger: Code
    book: Holder
    most: Total


Ceilings = Annotated[tuple[Ceiling, ...], Meta(max_length=8)]


class Delegation(Record):
    """What a key of a session, or another account, may do in an account's name.

    An empty scope is everything; otherwise nothing may be spent from the account but what the ceilings leave.
    """

    scope: Scope
    until_ms: TimeMs
    made_ms: TimeMs
    ceilings: Ceilings = ()
    to: Who | None = None

    def holds_at(self, owner: Account, time_ms: int) -> bool:
        """Tell whether it holds at a time, for all that its owner has done since."""
        return owner.at(time_ms).reset_ms <= self.made_ms and time_ms < self.until_ms

    def covers(self, do: str, *, personal: bool) -> bool:
        """Tell whether an action is within the scope; what is personal is only where that is everything."""
        return not self.scope or (not personal and (do in self.scope or do.partition(".")[0] in self.scope))


class Usage(Record):
    """Units a payer has used in one hour since 1970."""

    hour: Total
    units: Total


class ReplayMinute(Record):
    """A hash chain over the ids of transactions that expire in one minute; the ids stand outside the proven tree."""

    count: Total
    head: Digest


class Deadline(Record):
    """A handler to run at a time."""

    do: Code
    key: Public
    time_ms: TimeMs


class ChainInfo(Record):
    """Which chain this is; there from genesis on, so the tree is never empty."""

    genesis: Digest
    rules: Total
    next_rules: Total = 0
    from_height: Total = 0

    def rules_at(self, height: int) -> int:
        """Return the version of the rules that holds at a height."""
        return self.next_rules if self.next_rules and height >= self.from_height else self.rules


class Activation(Record):
    """From which height on a module's actions can be called."""

    from_height: Total


accounts: Table[str, Account] = Table(NAME, "accounts", Account)
keys: Table[str, KeyOwner] = Table(NAME, "keys", KeyOwner)
roles: Table[tuple[str, str], Grant] = Table(NAME, "roles", Grant, tuple[str, str])
params: Table[tuple[str, str], Param] = Table(NAME, "params", Param, tuple[str, str])
usage: Table[str, Usage] = Table(NAME, "usage", Usage)
replay: Table[str, ReplayMinute] = Table(NAME, "replay", ReplayMinute)
deadlines: Table[str, Deadline] = Table(NAME, "deadlines", Deadline)
log: Table[str, LogHead] = Table(NAME, "log", LogHead)
chain: Table[str, ChainInfo] = Table(NAME, "chain", ChainInfo)
delegations: Table[tuple[str, str], Delegation] = Table(NAME, "delegations", Delegation, tuple[str, str])
modules: Table[str, Activation] = Table(NAME, "modules", Activation)

by_time: Index[Deadline] = Index(NAME, "deadlines_by_time", lambda deadline: f"{deadline.time_ms:016d}")
deadlines.indexes.append(by_time)
by_role: Index[Grant] = Index(NAME, "roles_by_role", lambda grant: grant.role)
roles_of: Index[Grant] = Index(NAME, "roles_of_account", lambda _: "of")  # one place: in the order of accounts
roles.indexes += (by_role, roles_of)
by_delegate: Index[Delegation] = Index(NAME, "delegations_by_delegate", lambda given: given.to or "")
delegations.indexes.append(by_delegate)


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Genesis numbers of the engine's own rules."""

    deadlines_per_block: Amount = 100
    expiry_ms_max: Amount = 600_000
    expiry_ms_offline: Amount = 86_400_000
    offline_units: Amount = 10
    work_per_block: Amount = 2_000_000
    work_per_tx: Amount = 20_000
