"""The ledger on one machine: a store, the machine in memory over it, and the operator's key that signs its checkpoints.

One thread owns a `Solo`. A block is executed, committed in one synced write together with its checkpoint, and only then
answered for. Whatever goes wrong in between stops the node: memory never runs ahead of disk, and the next start takes
up from what is durable.

The operator's key signs checkpoints and promises, never transactions. After a change of it, a trust file that names an
old key still leads to the new one through the succession notes, which every proof file carries.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, pairwise, starmap
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from metrobloc.commons.notes import (
    Checkpoint,
    Promise,
    Succession,
    open_checkpoint,
    open_succession,
    sign_checkpoint,
    sign_promise,
    sign_succession,
)
from metrobloc.engine import keyfile
from metrobloc.engine.journal import Journal
from metrobloc.engine.journal import read as read_journal
from metrobloc.engine.rows import UNDO_HEIGHTS
from metrobloc.engine.store import Store
from metrobloc.kernel import codec, crypto, log, system
from metrobloc.kernel.block import Calls, Outcome
from metrobloc.kernel.errors import MachineFault, Void
from metrobloc.kernel.genesis import is_demo
from metrobloc.kernel.log import Log
from metrobloc.kernel.machine import Machine, Sealed, make_rules
from metrobloc.kernel.module import Module
from metrobloc.kernel.receipts import Header, ReadEvent, ReadReceipt
from metrobloc.kernel.state import unmetered
from metrobloc.kernel.tables import Rows
from metrobloc.kernel.tree import StateTree, entry

T = TypeVar("T")
_receipts = msgspec.json.Decoder(ReadReceipt)

AHEAD_MS_MAX = 31 * 86_400_000
KEY_FILE = "operator.key"
NEXT_KEY_FILE = "operator.key.next"
JOURNAL_FILE = "journal"
RESTORE = "Restore the node from a backup, or run `metrobloc audit` to see what differs."


class Simulated(msgspec.Struct, frozen=True):
    """What calls would do: `code` and `call` as in a receipt, work of at most so much, keys with their new records."""

    height: int
    time_ms: int
    code: str
    call: int
    events: tuple[ReadEvent, ...]
    ids: tuple[str, ...]
    work: int
    work_max: int
    writes: dict[str, msgspec.Raw | None]


class Solo:
    """A running node of one machine."""

    def __init__(self, home: Path, store: Store, machine: Machine, key: crypto.SigningKey) -> None:
        """Bind the parts; use `create` or `open`."""
        self.home = home
        self.store = store
        self.machine = machine
        self.key = key
        self.bugs: list[str] = []
        self._fault = ""
        self.spent_us = {"execute": 0, "tree_and_log": 0, "store": 0}
        self._undos: dict[int, bytes] = {}

    @classmethod
    def create(cls, home: Path, genesis: bytes, modules: Mapping[str, Module]) -> Self:
        """Found a chain in a new folder; MachineFault when something is there already.

        The operator's key is made when the chain is first opened, so a kill in between leaves nothing half made.
        """
        make_rules(genesis, modules)
        keyfile.make_folder(home)
        if (home / "store").exists():
            raise MachineFault(f"There is a chain in {home} already; choose another folder with --data.")
        _require_no_key(home)
        Store.create(home / "store", genesis).close()
        return cls.open(home, modules)

    @classmethod
    def open(cls, home: Path, modules: Mapping[str, Module]) -> Self:
        """Take up a chain from its folder; MachineFault with what to do on any mismatch."""
        crypto.self_check()
        if not (home / "store").exists():
            _require_no_key(home)
            raise MachineFault(f"There is no chain in {home}; `metrobloc up --data {home}` founds one.")
        store = Store.open(home / "store")
        try:
            machine = Machine(make_rules(genesis_of(store), modules), store)
            node = cls(home, store, machine, _open_key(home, store))
            if store.head() < 0:
                node._commit(machine.found())
            else:
                node._restore()
        except BaseException:
            store.close()
            raise
        return node

    @property
    def chain(self) -> str:
        """The chain's id."""
        return self.machine.rules.chain

    def execute(self, raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        """Execute checked transactions at a block time, in as many blocks as their work needs; durable on return."""
        outcomes: list[Outcome] = []
        rest = list(raws)
        while True:
            done = self._execute_block(rest, time_ms)
            full = next((i for i, outcome in enumerate(done) if outcome.code == "block_full"), len(done))
            outcomes += done[:full]
            rest = rest[full:]
            if not rest:
                return outcomes

    def next_due_ms(self) -> int | None:
        """Return when the next deadline is due, if any is."""
        prefix = b"kernel/deadlines_by_time/"
        rows = self.store.scan_index(prefix, None, 1)
        return int(rows[0][0][len(prefix) :].split(b"/")[0]) if rows else None

    def block_time(self, clock_ms: int, *, trust_clock: bool = False) -> int:
        """Return the time for the next block, or raise MachineFault when the machine's clock cannot be right."""
        last = self.machine.time_ms
        if clock_ms < last:
            raise MachineFault(
                f"This machine's clock is {(last - clock_ms) / 1000:.0f} s behind the last block; set it right "
                "and send again."
            )
        if clock_ms > last + AHEAD_MS_MAX and self.machine.height > 0 and not (trust_clock or is_demo(self.chain)):
            raise MachineFault(
                f"This machine's clock is {(clock_ms - last) // 86_400_000} days ahead of the last block; if it is "
                "right, start the node with --trust-clock."
            )
        return clock_ms

    def try_out(self, raws: Sequence[bytes], time_ms: int) -> Outcome:
        """Execute checked transactions in a block that is then dropped; return what became of the last one."""
        self._require_alive()
        run = self.machine.open_block(max(time_ms, self.machine.time_ms))
        return [run.apply(raw) for raw in raws][-1]

    def simulate(self, salt: str, calls: Calls, time_ms: int) -> Simulated:
        """Run calls, unsigned, in a block that is then dropped; deadlines that are due by that time run before them.

        Void with the engine's code when an actor has no account. Quota, expiry and signatures are not looked at.
        """
        self._require_alive()
        run = self.machine.open_block(time_ms)
        accounts = Rows(system.accounts, unmetered(run.state))
        if any(actor not in accounts for _, actor, _ in calls):
            raise Void("unknown_account")
        before, spent = dict(run.state.changed), run.work
        code, receipt = run.execute(salt, calls)
        told = _receipts.decode(receipt)
        changed = ((path, kept) for path, kept in run.state.changed.items() if before.get(path, ()) is not kept)
        writes = {path: kept and msgspec.Raw(kept[0]) for path, kept in sorted(changed)}
        most = run.rules.genesis.limits.work_per_tx
        return Simulated(run.height, time_ms, code, told.call, told.events, told.ids, run.work - spent, most, writes)

    def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint."""
        return self.store.meta("checkpoint") or b""

    def undo(self, height: int) -> bytes:
        """Return the tree's undo of one of the last 128 blocks; kept in memory, because proofs ask for many."""
        if height not in self._undos:
            self._undos[height] = present(self.store.undo(height)).tree
        return self._undos[height]

    def signed_head(self) -> tuple[Checkpoint, int]:
        """Return the newest checkpoint's content and when it was signed (seconds since 1970)."""
        return open_checkpoint(self.checkpoint(), self.chain, self.key.key_id)

    def receipt(self, tx_id: bytes) -> ReadReceipt | None:
        """Return a transaction's receipt, or None."""
        place = self.store.find(tx_id)
        return None if place is None else _receipts.decode(self.store.receipts(place[0])[place[1]])

    def renew(self, clock_ms: int) -> bytes:
        """Sign the head again with a newer time, so that an idle chain can still show what is not revoked."""
        self._require_alive()
        note = self._sign(self.machine.log, clock_ms)
        self._guarded(lambda: self.store.put_meta({"checkpoint": note}))
        return note

    def promise(self, tx_id: bytes, by_ms: int) -> bytes:
        """Sign that a transaction will be in the log by a time; the caller has journaled its bytes first."""
        return sign_promise(Promise(self.chain, tx_id.hex(), self.machine.log.size, by_ms), self.key)

    def trust(self) -> bytes:
        """Return a trust file for this chain and its operator's present key."""
        return codec.encode({"chain": self.chain, "format": "metrobloc-trust/1", "keys": [self.key.key_id]}) + b"\n"

    def succession(self) -> list[str]:
        """Return the notes of all changes of the operator's key, oldest first."""
        return msgspec.json.decode(self.store.meta("succession") or b"[]", type=list[str])

    def rotate_key(self, clock_ms: int) -> str:
        """Change the operator's key; both keys sign. A crash in between leaves one of the two in force."""
        self._require_alive()
        new = keyfile.new_key()
        step = Succession(self.chain, self.key.key_id, new.key_id, self.machine.log.size)
        notes = [*self.succession(), sign_succession(step, self.key, new).decode()]
        (self.home / NEXT_KEY_FILE).unlink(missing_ok=True)
        keyfile.write_key(self.home / NEXT_KEY_FILE, new)
        self.key = new
        meta = {"succession": codec.encode(notes), "operator": new.key_id.encode()}
        self._guarded(lambda: self.store.put_meta({**meta, "checkpoint": self._sign(self.machine.log, clock_ms)}))
        os.replace(self.home / NEXT_KEY_FILE, self.home / KEY_FILE)  # noqa: PTH105  # the atomic one
        keyfile.sync_path(self.home)
        return new.key_id

    def export(self) -> Iterator[bytes]:
        """Yield the chain as JSON lines: genesis, every block with its header, the checkpoint with its succession.

        It may run in another thread than the node's: it ends where the checkpoint of its beginning ends.
        """
        checkpoint, operator, succession = self.checkpoint(), self.key.key_id, self.succession()
        size = open_checkpoint(checkpoint, self.chain, operator)[0].size
        yield b'{"genesis":' + genesis_of(self.store) + b"}"
        for height in count(1):
            found = self.store.header(height)
            if found is None or found[1] > size:
                break
            yield b'{"block":' + present(self.store.block(height)) + b',"header":' + found[0] + b"}"
        yield codec.encode({"checkpoint": checkpoint.decode(), "operator": operator, "succession": succession})

    def backup(self, target: Path) -> None:
        """Copy the chain, what is promised and the operator's key to a folder that does not exist yet."""
        if target.exists():
            raise MachineFault(f"There is something at {target} already; choose another folder.")
        keyfile.make_folder(target)
        self.store.backup(target / "store")
        journal = Journal(target / JOURNAL_FILE)
        for raw in read_journal(self.home / JOURNAL_FILE):
            journal.append(raw)
        journal.close()
        keyfile.write_key(target / KEY_FILE, self.key)

    @classmethod
    def restore(cls, source: Path, home: Path, modules: Mapping[str, Module], newest: bytes | None) -> int:
        """Bring a backup back as a new folder; return its height.

        `newest` is the newest checkpoint that anybody holds: a backup that ends before it would let the operator sign a
        second history, so it is refused.
        """
        backup = cls.open(source, modules)
        try:
            if newest is not None:
                signed, _ = _opened_by_any(newest, backup)
                ours = backup.machine.log
                if signed.size > ours.size:
                    raise MachineFault(
                        f"The backup ends at log size {ours.size}, and the operator has signed {signed.size}: what "
                        "came after is not in it. Look for a newer backup."
                    )
                if log.root_at(signed.size, backup.store.tile) != signed.root:
                    raise MachineFault("The checkpoint signs another history than the backup holds; use neither.")
            backup.backup(home)
            return backup.machine.height
        finally:
            backup.close()

    def close(self) -> None:
        """Close the store; nothing is pending, because every block was committed when it was made."""
        self.store.close()

    def _execute_block(self, raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        self._require_alive()

        def run_block() -> list[Outcome]:
            clock = [time.thread_time_ns()]
            run = self.machine.open_block(time_ms)
            outcomes = [run.apply(raw) for raw in raws]
            self.bugs.extend(run.bugs)
            clock.append(time.thread_time_ns())
            sealed = self.machine.seal(run)
            clock.append(time.thread_time_ns())
            if sealed is not None:
                self._commit(sealed)
            clock.append(time.thread_time_ns())
            for stage, (begin, end) in zip(self.spent_us, pairwise(clock), strict=True):
                self.spent_us[stage] += (end - begin) // 1000
            return outcomes

        return self._guarded(run_block)

    def _guarded(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except BaseException as error:
            self._fault = f"{type(error).__name__}: {error}"
            raise

    def _require_alive(self) -> None:
        if self._fault:
            raise MachineFault(f"The node has stopped after a fault ({self._fault}); start it again.")

    def _commit(self, sealed: Sealed) -> None:
        note = self._sign(sealed.log, max(sealed.time_ms, time.time_ns() // 1_000_000))
        self._undos[sealed.height] = sealed.undo
        self._undos.pop(sealed.height - UNDO_HEIGHTS, None)
        self.store.commit(sealed, {"checkpoint": note, "operator": self.key.key_id.encode()})

    def _sign(self, head: Log, time_ms: int) -> bytes:
        return sign_checkpoint(Checkpoint(self.chain, head.size, head.root()), self.key, time_ms // 1000)

    def _restore(self) -> None:
        head, size = present(self.store.header(self.store.head()))
        tree = StateTree.build(starmap(entry, self.store.leaves()))
        stored_log = Log.load(size, self.store.tile)
        header = codec.decode(head, msgspec.json.Decoder(Header))
        self.machine.restore(header, tree, stored_log, self.store.expiring(0))
        signed, _ = self.signed_head()
        if (signed.size, signed.root) != (size, stored_log.root()):
            raise MachineFault(f"The stored log is not the one that the newest checkpoint signs. {RESTORE}")


def _require_no_key(home: Path) -> None:
    """Refuse a folder whose ledger is gone: founding another there would let its operator sign a second history."""
    if (home / KEY_FILE).exists():
        raise MachineFault(
            f"There is an operator's key in {home} but no ledger: restore the ledger from a backup, or choose another "
            "folder with --data."
        )


def genesis_of(store: Store) -> bytes:
    """Return the genesis of a store."""
    return present(store.meta("genesis"))


def present(row: T | None) -> T:
    """Return a row that a sound store has, or raise MachineFault."""
    if row is None:
        raise MachineFault(f"The store lacks a row that it must have. {RESTORE}")
    return row


def _opened_by_any(note: bytes, node: Solo) -> tuple[Checkpoint, int]:
    """Open a checkpoint that the operator's present key or an earlier one signed; MachineFault when none did."""
    steps = [open_succession(step.encode(), node.chain) for step in node.succession()]
    for key in (node.key.key_id, *(step.old for step in steps)):
        try:
            return open_checkpoint(note, node.chain, key)
        except ValueError:
            continue
    raise MachineFault("The checkpoint is not signed by this chain's operator; get one from somebody who holds it.")


def find_key(home: Path, operator: str) -> tuple[Path, crypto.SigningKey]:
    """Find the key of the operator who signed last: in its file, or in that of a change which a crash interrupted."""
    for path in (home / KEY_FILE, home / NEXT_KEY_FILE):
        if path.name == KEY_FILE or path.exists():
            key = keyfile.read_key(path)
            if key.key_id == operator:
                return path, key
    raise MachineFault(f"The key file {KEY_FILE} is not of the operator who signed last; bring the right one back.")


def _open_key(home: Path, store: Store) -> crypto.SigningKey:
    """Read the operator's key, or make a new chain's; end a change of keys that a crash interrupted."""
    operator, path = store.meta("operator"), home / KEY_FILE
    if operator is None:
        if not path.exists():
            keyfile.write_key(path, keyfile.new_key())
        return keyfile.read_key(path)
    found, key = find_key(home, operator.decode())
    if found != path:
        os.replace(found, path)  # noqa: PTH105  # the atomic one
        keyfile.sync_path(home)
    return key
