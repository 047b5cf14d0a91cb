"""One block's execution, transaction by transaction: admission, permission, handler, receipt.

The order of checks is part of the protocol: chain, rules, expiry, replay, signers, room, quota, then permission and the
handler's own requires for each call in turn. Bytes and cryptographic signatures were checked before (`envelope.check`).
"""

import traceback
from collections.abc import Callable, Container, Iterable
from functools import partial
from itertools import islice

import msgspec
from msgspec import Struct

from metrobloc.kernel import codec, crypto, envelope, system
from metrobloc.kernel.context import Ctx, Run
from metrobloc.kernel.errors import MACHINE_ERRORS, MachineFault, Refused, Void
from metrobloc.kernel.genesis import Genesis
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import Receipt
from metrobloc.kernel.state import BlockState, Meter, Reader, TxState, unmetered
from metrobloc.kernel.system import Account, Delegation, ReplayMinute, Usage
from metrobloc.kernel.tables import CommittedRows, MutableRows, Rows
from metrobloc.kernel.types import Message

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
FIRST_HEAD = "0" * 64
RECEIPT_BYTES_MAX = 65_535
"""As long as an entry of a published log may be (C2SP tlog-tiles)."""
Calls = list[tuple[Action, str, Message]]
"""What is to run, in order: action, actor, message."""


class Rules(Struct, frozen=True):
    """What a chain executes: its id, its genesis and that one's SHA-256, and the modules that this code has.

    Which of them are active, and under which version of the rules up to `newest`, the chain's state says. `version` is
    the one under which stories and replays write transactions.
    """

    chain: str
    digest: str
    genesis: Genesis
    actions: dict[str, Action]
    due: dict[str, Callable[[Ctx, str], None]]
    modules: tuple[Module, ...]
    names: dict[type[Message], str]
    newest: int
    version: int

    def check(self, raw: bytes) -> bytes:
        """Check bytes from outside and their signatures; return the transaction's id or raise `Malformed`.

        Needs no state, so it can run beside the executor in another process.
        """
        made = envelope.check(raw)
        payload = envelope.reopen(raw).payload
        for call in payload.calls:
            newest = self.actions.get(call.do)
            action = newest and newest.at(payload.rules)
            if action is None:
                raise codec.Malformed("unknown_action", call.do)
            codec.decode(bytes(call.with_), action.decoder)
        return made


def delegated(state: TxState, actor: str, account: Account, name: str, time_ms: int) -> Delegation | None:
    """Return what an account has delegated to a name, if that holds at a time."""
    given = Rows(system.delegations, state).get((actor, name))
    return given if given is not None and given.holds_at(account, time_ms) else None


class Outcome(Struct, frozen=True):
    """What became of a transaction: a receipt, or an engine code and nothing else."""

    id: bytes
    code: str
    receipt: bytes = b""
    height: int = -1
    index: int = -1


class BlockRun:
    """A block being executed; nothing of it lasts until `Machine.seal` has been given it."""

    def __init__(self, rules: Rules, reader: Reader, seen: Container[bytes], height: int, time_ms: int) -> None:
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
        state = unmetered(self.state)
        self._accounts = Rows(system.accounts, state)
        self._recorded_usage = Rows(system.usage, state)
        info = Rows(system.chain, state).get("info")
        self.version = info.rules_at(height) if info else rules.genesis.rules
        self.active = frozenset(
            k for k, one in CommittedRows(system.modules, reader).items() if one.from_height <= height
        )
        lacking = sorted(self.active.difference(module.name for module in rules.modules))
        lacking += [f"version {self.version} of the rules"] if self.version > rules.newest else []
        if lacking:
            raise MachineFault(
                f"From block {height} on this chain needs what this program does not have: {', '.join(lacking)}. "
                "Install a newer version and start again."
            )

    def run_due(self) -> None:
        """Run the deadlines that have come, in order of (time, id); at most a fixed number a block."""
        most = self.rules.genesis.limits.deadlines_per_block
        for path in list(islice(self.state.scan_index(system.by_time.prefix, ""), most)):
            due, made = path.removeprefix(system.by_time.prefix).split("/")
            if int(due) > self.time_ms:
                break
            self._run_deadline(made)

    def apply(self, raw: bytes) -> Outcome:
        """Execute one transaction whose bytes and signatures have been checked."""
        transaction = envelope.reopen(raw)
        try:
            calls, delegates = self._admit(transaction)
        except Void as void:
            return Outcome(transaction.id, void.code)
        self._ids.add(transaction.id)
        self.expiring.setdefault(transaction.payload.expires // MINUTE_MS, []).append(transaction.id)
        self.included.append((transaction.id, len(self.receipts)))
        self.transactions.append(raw)
        run = self._new_run(transaction.payload.salt)
        code, receipt = self._attempt(run, partial(self._execute, run, calls, delegates), tx=transaction.id.hex())
        return Outcome(transaction.id, code, receipt, self.height, len(self.receipts) - 1)

    def execute(self, salt: str, calls: Calls) -> tuple[str, bytes]:
        """Run calls of accounts that exist as if they had signed; return code and receipt. A simulation starts here."""
        return self._attempt(run := self._new_run(salt), partial(self._execute, run, calls, {}))

    def find(self, do: str) -> Action | None:
        """Return an action's declaration under the rules in force; Void when its module is not active.

        The chain's state decides and not what else this program has, or programs of different age would disagree.
        """
        if do.partition(".")[0] not in self.active:
            raise Void("not_active")
        return (newest := self.rules.actions.get(do)) and newest.at(self.version)

    def perform(self, run: Run, action: Action, actor: str, message: Message, delegate: str = "") -> None:
        """Run one action as an actor, whose delegate may have signed; refuses what the actor, or delegate, may not."""
        ctx = Ctx(run, action.do.partition(".")[0], actor, run.call, delegate=delegate)
        account = Rows(system.accounts, run.state).get(actor)
        if account is not None and run.time_ms < account.frozen_until_ms and not action.defends:
            raise Refused("frozen")
        if not action.allow.holds(partial(ctx.has_role, actor)):
            raise Refused("not_allowed")
        state, rows = run.state, MutableRows(system.delegations, run.state)
        outer, state.spender, state.purse = (state.spender, state.purse), "", {}
        given = rows[actor, delegate] if delegate else None
        if given is not None and given.scope:
            state.spender, state.purse = actor, {f"{one.ledger}/{one.book}": one.most for one in given.ceilings}
        action.handler(ctx, message)
        if given is not None and state.spender and rows.get((actor, delegate)) == given:
            left = tuple(one.but(most=state.purse[f"{one.ledger}/{one.book}"]) for one in given.ceilings)
            rows[actor, delegate] = given.but(ceilings=left)
        state.spender, state.purse = outer

    def close(self, expired: Iterable[int]) -> None:
        """Write what the block as a whole leaves: usage and the chains of ids, without those of minutes gone by."""
        state = unmetered(self.state)
        usage, replay = MutableRows(system.usage, state), MutableRows(system.replay, state)
        for payer in sorted(self._usage):
            usage[payer] = Usage(self._hour, self._usage[payer])
        for minute in sorted(self.expiring):
            ids = self.expiring[minute]
            before = replay.get(str(minute)) or ReplayMinute(0, FIRST_HEAD)
            chained = crypto.sha256(bytes.fromhex(before.head) + b"".join(ids)).hex()
            replay[str(minute)] = ReplayMinute(before.count + len(ids), chained)
        for minute in expired:
            del replay[str(minute)]
        state.fold()

    def _admit(self, transaction: envelope.Transaction) -> tuple[Calls, dict[str, str]]:
        payload, limits = transaction.payload, self.rules.genesis.limits
        if payload.chain != self.rules.chain:
            raise Void("wrong_chain")
        if payload.rules != self.version:
            raise Void("wrong_rules")
        if payload.expires <= self.time_ms:
            raise Void("expired")
        if payload.expires > self.time_ms + limits.expiry_ms_offline:
            raise Void("expires_too_late")
        if transaction.id in self._ids or transaction.id in self.seen:
            raise Void("replayed")
        offline = payload.expires > self.time_ms + limits.expiry_ms_max
        calls: Calls = []
        for call in payload.calls:
            action = self.find(call.do)
            if action is None:
                raise Void("unknown_action")
            try:
                calls.append((action, call.as_, action.decoder.decode(call.with_)))
            except msgspec.MsgspecError as error:
                raise Void("malformed") from error
        accounts, delegates = self._signers(transaction.key_ids, calls)
        if self.work >= limits.work_per_block:
            raise Void("block_full")
        self._charge(calls, accounts, limits.offline_units if offline else 1)
        return calls, delegates

    def _signers(self, key_ids: tuple[str, ...], calls: Calls) -> tuple[dict[str, Account], dict[str, str]]:
        """Require exactly the signatures that the actors and the keys named in messages call for.

        Returns the actors' accounts, and by actor who signed for it where that was a delegate.
        """
        needed: set[str] = set()
        accounts: dict[str, Account] = {}
        delegates: dict[str, str] = {}
        for action, actor, message in calls:
            for field in action.key_fields:
                named = getattr(message, field) or ()
                needed.update((named,) if isinstance(named, str) else named)
            if actor in accounts:
                continue
            account = accounts[actor] = self._account(actor)
            signed = account.at(self.time_ms).signers(key_ids)
            if signed is None:
                asked = [one for one, who, _ in calls if who == actor]
                delegates[actor], signed = self._delegate(actor, account, key_ids, asked)
            needed.update(signed)
        if not needed.issubset(key_ids):
            raise Void("not_signed")
        if len(needed) != len(key_ids):
            raise Void("extra_signature")
        return accounts, delegates

    def _delegate(
        self, actor: str, account: Account, key_ids: tuple[str, ...], asked: list[Action]
    ) -> tuple[str, list[str]]:
        """Return who, of those whose keys signed, may do all that is asked in an account's name, and those keys."""
        state = unmetered(self.state)
        for key in key_ids:
            owner = Rows(system.keys, state).get(key)
            if owner is None:
                continue
            name, signed = key, [key]
            if owner.account != actor:
                person = self._account(owner.account)
                found = person.at(self.time_ms).signers(key_ids)
                if found is None or self.time_ms < person.frozen_until_ms:
                    continue
                name, signed = owner.account, found
            given = delegated(state, actor, account, name, self.time_ms)
            if given is not None and all(given.covers(action.do, personal=action.personal) for action in asked):
                return name, signed
        raise Void("not_signed")

    def _account(self, account: str) -> Account:
        found = self._accounts.get(account)
        if found is None:
            raise Void("unknown_account")
        return found

    def _charge(self, calls: Calls, accounts: dict[str, Account], units: int) -> None:
        """Charge each call to the hour of its actor or else of the sponsor; nothing is charged unless all can pay."""
        charges: dict[str, int] = {}
        for _, actor, _ in calls:
            account = accounts[actor]
            payer = actor if account.quota_per_hour else account.payer or actor
            charges[payer] = charges.get(payer, self._used(payer)) + units
        if any(used > self._account(payer).quota_per_hour for payer, used in charges.items()):
            raise Void("over_quota")
        self._usage.update(charges)

    def _used(self, payer: str) -> int:
        if payer in self._usage:
            return self._usage[payer]
        usage = self._recorded_usage.get(payer)
        return usage.units if usage is not None and usage.hour == self._hour else 0

    def _execute(self, run: Run, calls: Calls, delegates: dict[str, str]) -> None:
        for number, (action, actor, message) in enumerate(calls):
            run.call = number
            run.counter = 0
            self.perform(run, action, actor, message, delegates.get(actor, ""))

    def _run_deadline(self, made: str) -> None:
        state = unmetered(self.state)
        rows = MutableRows(system.deadlines, state)
        deadline = rows.get(made)
        if deadline is None:
            if system.deadlines.path(made) in self.state.changed:
                return  # one that ran before it has cancelled it
            raise MachineFault(f"The order of deadlines names {made}, which is missing; restore from a backup.")
        del rows[made]
        state.fold()
        run = self._new_run(made)
        ctx = Ctx(run, deadline.do.partition(".")[0], "", 0)
        self._attempt(run, lambda: self.rules.due[deadline.do](ctx, deadline.key), due=made)

    def _new_run(self, salt: str) -> Run:
        state = TxState(self.state, Meter(self.rules.genesis.limits.work_per_tx))
        return Run(self.rules.chain, self.height, self.time_ms, salt, state, self)

    def _attempt(self, run: Run, body: Callable[[], None], tx: str = "", due: str = "") -> tuple[str, bytes]:
        """Run handlers and return their code and receipt; of a refusal or a bug nothing else is kept."""
        code = "ok"
        try:
            body()
        except Refused as refused:
            code = refused.code
        except MACHINE_ERRORS:
            raise
        except Exception:  # noqa: BLE001  # a handler's bug is the same on every node: it must not stop the chain
            self.bugs.append(traceback.format_exc())
            code = "internal"
        receipt = self._receipt(code, run, tx, due)
        if len(receipt) > RECEIPT_BYTES_MAX:
            code, receipt = "too_much_work", self._receipt("too_much_work", run, tx, due)
        if code == "ok":
            run.state.fold()
        self.work += run.state.meter.used
        self.receipts.append(receipt)
        return code, receipt

    def _receipt(self, code: str, run: Run, tx: str, due: str) -> bytes:
        events, ids, call = (tuple(run.events), tuple(run.ids), 0) if code == "ok" else ((), (), run.call)
        return codec.encode(Receipt(code, self.height, len(self.receipts), events, ids, call, tx, due))
