"""One block's execution, transaction by transaction: admission, permission, handler, receipt.

The order of checks is part of the protocol: chain, rules, expiry, replay, signers, room, quota, then permission and the
handler's own requires for each call in turn. Bytes and cryptographic signatures were checked before (`envelope.check`).
"""

import traceback
from collections.abc import Callable, Container
from typing import cast

import msgspec
from msgspec import Struct

from metrobloc.kernel import codec, crypto, envelope, system
from metrobloc.kernel.context import Ctx, Run
from metrobloc.kernel.errors import MACHINE_ERRORS, Refused, Void
from metrobloc.kernel.genesis import Genesis
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.receipts import Receipt
from metrobloc.kernel.state import BlockState, Meter, Reader, TxState
from metrobloc.kernel.system import Account, Deadline, ReplayMinute, Usage
from metrobloc.kernel.types import Message

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
FIRST_HEAD = "0" * 64


class Rules(Struct, frozen=True):
    """What a chain executes: its id, its genesis and that one's SHA-256, and the modules that are active."""

    chain: str
    digest: str
    genesis: Genesis
    actions: dict[str, Action]
    due: dict[str, Callable[[Ctx, str], None]]
    modules: tuple[Module, ...]
    names: dict[type[Message], str]

    def check(self, raw: bytes) -> bytes:
        """Check bytes from outside and their signatures; return the transaction's id or raise `Malformed`.

        Needs no state, so it can run beside the executor in another process.
        """
        made = envelope.check(raw)
        for call in envelope.reopen(raw).payload.calls:
            action = self.actions.get(call.do)
            if action is None:
                raise codec.Malformed("unknown_action", call.do)
            codec.decode(bytes(call.with_), action.decoder)
        return made


class Outcome(Struct, frozen=True):
    """What became of a transaction: a receipt, or an engine code and nothing else."""

    id: bytes
    code: str
    receipt: bytes = b""
    index: int = -1


class BlockRun:
    """A block being executed; nothing of it lasts until `Machine.seal` has been given it."""

    def __init__(self, rules: Rules, reader: Reader, seen: Container[bytes], height: int, time_ms: int) -> None:  # noqa: PLR0913
        """Open a block; `seen` holds the ids of unexpired transactions of earlier blocks."""
        self.rules = rules
        self.state = BlockState(reader)
        self.seen = seen
        self.height = height
        self.time_ms = time_ms
        self.receipts: list[bytes] = []
        self.included: list[tuple[bytes, int]] = []
        self.transactions: list[bytes] = []
        self.expiring: dict[int, list[bytes]] = {}
        self.bugs: list[str] = []
        self.work = 0
        self._ids: set[bytes] = set()
        self._usage: dict[str, int] = {}
        self._hour = time_ms // HOUR_MS

    def run_due(self) -> None:
        """Run the deadlines that have come, in order of (time, id); at most a fixed number a block."""
        ids = []
        for path in self.state.scan_index(system.by_time.prefix, ""):
            due, made = path[len(system.by_time.prefix) :].split("/")
            if int(due) > self.time_ms or len(ids) == self.rules.genesis.limits.deadlines_per_block:
                break
            ids.append(made)
        for made in ids:
            self._run_deadline(made)

    def apply(self, raw: bytes) -> Outcome:
        """Execute one transaction whose bytes and signatures have been checked."""
        transaction = envelope.reopen(raw)
        try:
            calls = self._admit(transaction)
        except Void as void:
            return Outcome(transaction.id, void.code)
        run = self._new_run(transaction.payload.salt)
        code, call = self._attempt(run, lambda: self._execute(run, calls))
        self._ids.add(transaction.id)
        self.expiring.setdefault(transaction.payload.expires // MINUTE_MS, []).append(transaction.id)
        self.included.append((transaction.id, len(self.receipts)))
        self.transactions.append(raw)
        receipt = self._receipt(run, code, call, tx=transaction.id.hex())
        return Outcome(transaction.id, code, receipt, len(self.receipts) - 1)

    def close(self) -> None:
        """Write what the block as a whole leaves: usage and the chains of unexpired ids."""
        state = TxState(self.state, Meter(1 << 60))
        for payer in sorted(self._usage):
            state.put(system.usage.path(payer), Usage(self._hour, self._usage[payer]), system.usage)
        for minute in sorted(self.expiring):
            path = system.replay.path(str(minute))
            before = state.get(path, system.replay)
            count, head = (before.count, before.head) if isinstance(before, ReplayMinute) else (0, FIRST_HEAD)
            ids = b"".join(self.expiring[minute])
            chained = crypto.sha256(bytes.fromhex(head) + ids).hex()
            state.put(path, ReplayMinute(count + len(self.expiring[minute]), chained), system.replay)
        state.fold()

    def forget(self, minute: int) -> None:
        """Drop the chain of ids that expired in a minute gone by."""
        state = TxState(self.state, Meter(1 << 60))
        state.drop(system.replay.path(str(minute)), system.replay)
        state.fold()

    def _admit(self, transaction: envelope.Transaction) -> list[tuple[Action, str, Message]]:
        payload, limits = transaction.payload, self.rules.genesis.limits
        if payload.chain != self.rules.chain:
            raise Void("wrong_chain")
        if payload.rules != self.rules.genesis.rules:
            raise Void("wrong_rules")
        if payload.expires <= self.time_ms:
            raise Void("expired")
        if payload.expires > self.time_ms + limits.expiry_ms_offline:
            raise Void("expires_too_late")
        if transaction.id in self._ids or transaction.id in self.seen:
            raise Void("replayed")
        offline = payload.expires > self.time_ms + limits.expiry_ms_max
        calls: list[tuple[Action, str, Message]] = []
        for call in payload.calls:
            action = self.rules.actions.get(call.do)
            if action is None:
                raise Void("unknown_action")
            try:
                calls.append((action, call.as_, action.decoder.decode(call.with_)))
            except msgspec.MsgspecError as error:
                raise Void("malformed") from error
        accounts = self._signers(transaction.key_ids, calls)
        if self.work >= limits.work_per_block:
            raise Void("block_full")
        self._charge(calls, accounts, limits.offline_units if offline else 1)
        return calls

    def _signers(self, key_ids: tuple[str, ...], calls: list[tuple[Action, str, Message]]) -> dict[str, Account]:
        """Require exactly the signatures that the actors and the keys named in messages call for."""
        needed: set[str] = set()
        accounts: dict[str, Account] = {}
        for action, actor, message in calls:
            for field in action.key_fields:
                named = getattr(message, field)
                needed.update(named if isinstance(named, tuple) else (named,))
            if actor in accounts:
                continue
            account = accounts[actor] = self._account(actor)
            signed = [key for key in account.keys_at(self.time_ms) if key in key_ids]
            if len(signed) < account.threshold:
                raise Void("not_signed")
            needed.update(signed[: account.threshold])
        if not needed.issubset(key_ids):
            raise Void("not_signed")
        if len(needed) != len(key_ids):
            raise Void("extra_signature")
        return accounts

    def _account(self, account: str) -> Account:
        entry = self.state.load(system.accounts.path(account), system.accounts)
        if entry is None:
            raise Void("unknown_account")
        return cast("Account", entry[1])

    def _charge(self, calls: list[tuple[Action, str, Message]], accounts: dict[str, Account], units: int) -> None:
        """Charge each call to the hour of its actor's payer; nothing is charged unless all can pay."""
        charges: dict[str, int] = {}
        for _, actor, _ in calls:
            payer = accounts[actor].payer or actor
            charges[payer] = charges.get(payer, 0) + units
        for payer, amount in charges.items():
            charges[payer] = amount + self._used(payer)
            if charges[payer] > self._account(payer).quota_per_hour:
                raise Void("over_quota")
        self._usage.update(charges)

    def _used(self, payer: str) -> int:
        if payer in self._usage:
            return self._usage[payer]
        entry = self.state.load(system.usage.path(payer), system.usage)
        usage = entry[1] if entry is not None else None
        return usage.units if isinstance(usage, Usage) and usage.hour == self._hour else 0

    def _execute(self, run: Run, calls: list[tuple[Action, str, Message]]) -> None:
        for number, (action, actor, message) in enumerate(calls):
            ctx = Ctx(run, action.do.partition(".")[0], actor, number)
            run.call = number
            run.counter = 0
            if action.allow is not anyone and not action.allow.holds(lambda name: ctx.has_role(actor, name)):  # noqa: B023
                raise Refused("not_allowed")
            action.handler(ctx, message)

    def _run_deadline(self, made: str) -> None:
        path = system.deadlines.path(made)
        entry = self.state.load(path, system.deadlines)
        deadline = entry[1] if entry is not None else None
        if not isinstance(deadline, Deadline):
            raise TypeError(f"the order of deadlines names {made}, which is not there")
        run = self._new_run(made)
        ctx = Ctx(run, deadline.do.partition(".")[0], "", 0)
        code, _ = self._attempt(run, lambda: self.rules.due[deadline.do](ctx, deadline.key))
        done = TxState(self.state, Meter(1 << 60))
        done.drop(path, system.deadlines)
        done.note_index(system.by_time.path(deadline, made), present=False)
        done.fold()
        self._receipt(run, code, 0, due=made)

    def _new_run(self, salt: str) -> Run:
        state = TxState(self.state, Meter(self.rules.genesis.limits.work_per_tx))
        return Run(self.rules.chain, self.height, self.time_ms, salt, state)

    def _attempt(self, run: Run, body: Callable[[], None]) -> tuple[str, int]:
        """Run handlers; on any refusal or bug nothing of theirs is kept. Returns the code and the call it came from."""
        try:
            body()
        except Refused as refused:
            code = refused.code
        except MACHINE_ERRORS:
            raise
        except Exception:  # noqa: BLE001  # a handler's bug is the same on every node: it must not stop the chain
            self.bugs.append(traceback.format_exc())
            code = "internal"
        else:
            run.state.fold()
            code = "ok"
        self.work += run.state.meter.used
        if code != "ok":
            run.events.clear()
            run.ids.clear()
        return code, (run.call if code != "ok" else 0)

    def _receipt(self, run: Run, code: str, call: int, tx: str = "", due: str = "") -> bytes:  # noqa: PLR0913
        receipt = Receipt(
            code,
            self.height,
            len(self.receipts),
            events=tuple(run.events),
            ids=tuple(run.ids),
            call=call,
            tx=tx,
            due=due,
        )
        raw = codec.encode(receipt)
        self.receipts.append(raw)
        return raw
