"""The kernel's own tables: what every chain has whatever its applications are."""

from typing import Annotated

from msgspec import Meta, Struct

from metrobloc.kernel.receipts import LogHead
from metrobloc.kernel.tables import Index, Param, Table
from metrobloc.kernel.types import AccountId, Amount, Code, Digest, Key, Public, Record, TimeMs, Total

NAME = "kernel"
Keys = Annotated[tuple[Key, ...], Meta(max_length=16)]


class Account(Record):
    """Who can sign: its keys now, its keys to come, and who pays its quota."""

    keys: Keys
    payer: AccountId | None = None
    quota_per_hour: Total = 0
    threshold: Total = 1
    next_keys: Keys = ()
    next_from_ms: TimeMs = 0
    guardians: Annotated[tuple[AccountId, ...], Meta(max_length=16)] = ()

    def keys_at(self, time_ms: int) -> tuple[str, ...]:
        """Return the keys in force at a time: a rotation takes effect by the clock, not by a transaction."""
        return self.next_keys if self.next_keys and time_ms >= self.next_from_ms else self.keys


class KeyOwner(Record):
    """The one account to which a key belongs for ever."""

    account: AccountId


class Grant(Record):
    """A role held by an account; `until_ms` 0 means without end."""

    by: AccountId | None = None
    until_ms: TimeMs = 0


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


accounts: Table[str, Account] = Table(NAME, "accounts", Account)
keys: Table[str, KeyOwner] = Table(NAME, "keys", KeyOwner)
roles: Table[tuple[str, str], Grant] = Table(NAME, "roles", Grant, tuple[str, str])
params: Table[tuple[str, str], Param] = Table(NAME, "params", Param, tuple[str, str])
usage: Table[str, Usage] = Table(NAME, "usage", Usage)
replay: Table[str, ReplayMinute] = Table(NAME, "replay", ReplayMinute)
deadlines: Table[str, Deadline] = Table(NAME, "deadlines", Deadline)
log: Table[str, LogHead] = Table(NAME, "log", LogHead)
chain: Table[str, ChainInfo] = Table(NAME, "chain", ChainInfo)

by_time: Index[Deadline] = Index(NAME, "deadlines_by_time", lambda deadline: f"{deadline.time_ms:016d}")
deadlines.indexes.append(by_time)


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Genesis numbers of the engine's own rules."""

    deadlines_per_block: Amount = 100
    expiry_ms_max: Amount = 600_000
    expiry_ms_offline: Amount = 86_400_000
    offline_units: Amount = 10
    work_per_block: Amount = 2_000_000
    work_per_tx: Amount = 20_000
