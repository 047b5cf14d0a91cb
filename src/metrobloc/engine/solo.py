"""The ledger on one machine: a store, the machine in memory over it, and the operator's key that signs its checkpoints.

One thread owns a `Solo`. A block is executed, committed in one synced write together with its checkpoint, and only then
answered for. Whatever goes wrong in between stops the node: memory never runs ahead of disk, and the next start takes
up from what is durable.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from metrobloc.engine import operator
from metrobloc.engine.store import Store
from metrobloc.kernel import codec, crypto, log
from metrobloc.kernel.block import BlockRun, Outcome
from metrobloc.kernel.errors import MACHINE_ERRORS, MachineFault
from metrobloc.kernel.genesis import is_demo
from metrobloc.kernel.log import Log
from metrobloc.kernel.machine import Machine, Sealed, make_rules
from metrobloc.kernel.module import Module
from metrobloc.kernel.notes import Checkpoint, Promise, Succession, open_succession, sign_checkpoint, sign_promise
from metrobloc.kernel.notes import sign_succession
from metrobloc.kernel.tree import StateTree, entry

AHEAD_MS_MAX = 31 * 86_400_000
KEY_FILE = "operator.key"
NEXT_KEY_FILE = "operator.key.next"


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

    @classmethod
    def create(cls, home: Path, genesis: bytes, modules: Mapping[str, Module]) -> Self:
        """Found a chain in a new folder; MachineFault when something is there already."""
        make_rules(genesis, modules)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (home / KEY_FILE).exists() or (home / "store").exists():
            raise MachineFault(f"There is a chain in {home} already; choose another folder with --data.")
        operator.write_key(home / KEY_FILE, operator.new_key())
        Store.create(home / "store", genesis).close()
        return cls.open(home, modules)

    @classmethod
    def open(cls, home: Path, modules: Mapping[str, Module]) -> Self:
        """Take up a chain from its folder; MachineFault with what to do on any mismatch."""
        crypto.self_check()
        if not (home / "store").exists():
            raise MachineFault(f"There is no chain in {home}; `metrobloc up --data {home}` founds one.")
        store = Store.open(home / "store")
        try:
            node = cls(home, store, Machine(make_rules(store.genesis, modules), store), _open_key(home, store))
            if store.head() is None:
                node._commit(node.machine.found())
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

    def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint."""
        return self.store.meta("checkpoint") or b""

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
        return read_succession(self.store)

    def rotate_key(self, clock_ms: int) -> str:
        """Change the operator's key; both keys sign. A crash in between leaves one of the two in force."""
        self._require_alive()
        new = operator.new_key()
        step = Succession(self.chain, self.key.key_id, new.key_id, self.machine.log.size)
        notes = [*self.succession(), sign_succession(step, self.key, new).decode()]
        (self.home / NEXT_KEY_FILE).unlink(missing_ok=True)
        operator.write_key(self.home / NEXT_KEY_FILE, new)
        self.key = new
        meta = {"succession": codec.encode(notes), "operator": new.key_id.encode()}
        self._guarded(lambda: self.store.put_meta({**meta, "checkpoint": self._sign(self.machine.log, clock_ms)}))
        os.replace(self.home / NEXT_KEY_FILE, self.home / KEY_FILE)  # noqa: PTH105  # the atomic one
        operator.sync_folder(self.home)
        return new.key_id

    def export(self) -> Iterator[bytes]:
        """Yield the chain as JSON lines: genesis, every block with its header, the checkpoint with its succession."""
        yield b'{"genesis":' + self.store.genesis + b"}"
        for height in range(1, self.machine.height + 1):
            yield b'{"block":' + self.store.block(height) + b',"header":' + self.store.header(height) + b"}"
        last = {"checkpoint": self.checkpoint().decode(), "succession": self.succession()}
        yield codec.encode(last)

    def close(self) -> None:
        """Close the store; nothing is pending, because every block was committed when it was made."""
        self.store.close()

    def _execute_block(self, raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        self._require_alive()

        def run_block() -> list[Outcome]:
            run = self.machine.open_block(time_ms)
            outcomes = [run.apply(raw) for raw in raws]
            self._keep_bugs(run)
            sealed = self.machine.seal(run)
            if sealed is not None:
                self._commit(sealed)
            return outcomes

        return self._guarded(run_block)

    def _guarded[T](self, step: "Callable[[], T]") -> T:
        try:
            return step()
        except BaseException as error:
            self._fault = f"{type(error).__name__}: {error}"
            raise

    def _require_alive(self) -> None:
        if self._fault:
            raise MachineFault(f"The node has stopped after a fault ({self._fault}); start it again.")

    def _keep_bugs(self, run: BlockRun) -> None:
        self.bugs.extend(run.bugs)

    def _commit(self, sealed: Sealed) -> None:
        note = self._sign(sealed.log, max(sealed.time_ms, time.time_ns() // 1_000_000))
        self.store.commit(sealed, {"checkpoint": note, "operator": self.key.key_id.encode()})

    def _sign(self, head: Log, time_ms: int) -> bytes:
        return sign_checkpoint(Checkpoint(self.chain, head.size, head.root()), self.key, time_ms // 1000)

    def _restore(self) -> None:
        head = self.store.head()
        tree = StateTree.build(entry(key, record) for key, record in self.store.leaves())
        self.machine.restore(head.header, tree, Log.load(head.log_size, self.store.tile), self.store.expiring())
        if self.machine.log.root() != head.log_root:
            raise MachineFault("The stored log does not give the root that was signed; restore the node from a backup.")
