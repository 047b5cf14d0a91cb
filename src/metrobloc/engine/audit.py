"""Re-execute a chain from genesis and hold everything that is kept to it: every root, receipt, row and signature.

The auditor trusts nobody: signatures are checked, handlers run, each header must come out as it was signed, and every
invariant of every module must hold at the end. An export needs nothing of the operator's; a data folder is compared row
by row besides (`Compared`), so that a flipped bit anywhere in it is found.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from metrobloc.commons import notes
from metrobloc.engine.journal import read
from metrobloc.engine.memory import Memory
from metrobloc.engine.rows import UNDO_HEIGHTS
from metrobloc.engine.solo import JOURNAL_FILE, find_key, genesis_of, present
from metrobloc.engine.store import Store
from metrobloc.engine.verifier import Verdict, Verifier
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.context import View
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import Block, Machine, Sealed, make_rules, read_block
from metrobloc.kernel.module import Module

PROBLEMS_MAX = 20
PAGE = 1000
Modules = Callable[[], Mapping[str, Module]]


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an export: the genesis, or a block with its header, or the log's signed head."""

    genesis: Raw = Raw()
    block: Raw = Raw()
    header: Raw = Raw()
    checkpoint: str = ""
    operator: str = ""
    succession: tuple[str, ...] = ()


class Trust(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose checkpoints an auditor accepts."""

    chain: str
    format: Literal["metrobloc-trust/1"]
    keys: tuple[str, ...]


def read_trust(data: bytes) -> Trust:
    """Read a trust file; ValueError when it is none."""
    try:
        return msgspec.json.decode(data, type=Trust)
    except msgspec.MsgspecError as error:
        message = f"This is no trust file ({error}); make one with `metrobloc trust`."
        raise ValueError(message) from error


class Report(Struct):
    """What an audit found; sound when there are no problems."""

    chain: str = ""
    height: int = -1
    state_root: str = ""
    transactions: int = 0
    operator: str = ""
    trusted: bool = False
    problems: list[str] = []

    def say(self, problem: str) -> None:
        """Note a problem; the first ones tell most."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)


class Audit:
    """A re-execution, in memory."""

    def __init__(self, genesis: bytes, modules: Modules, progress: Callable[[int], None] = lambda _: None) -> None:
        """Prepare; `progress` hears of each block how many transactions it held."""
        self.genesis = genesis
        self.modules = modules
        self.memory = Memory()
        self.machine = Machine(make_rules(genesis, modules()), self.memory)
        self.report = Report(self.machine.rules.chain, problems=[])
        self.progress = progress

    def run(self, blocks: Iterable[tuple[bytes, bytes]], keep: Callable[[Sealed], None] = lambda _: None) -> None:
        """Re-execute (block, header) pairs from height 1 on; `keep` sees the results of genesis and of each block."""
        founded = self.machine.found()
        self.memory.commit(founded)
        keep(founded)
        with Verifier(self.genesis, self.modules) as verifier:
            try:
                for (block, header), _, verdicts in verifier.stream(_read(blocks)):
                    self._replay(block, header, verdicts, keep)
            except MachineFault as fault:
                self.report.say(str(fault))
        self.report.height, self.report.state_root = self.machine.height, self.machine.state_root
        for module in self.machine.rules.modules:
            for name, invariant in module.invariants.items():
                if not invariant(View(self.memory)):
                    self.report.say(f"The invariant does not hold: {module.name}: {name.replace('_', ' ')}.")

    def sign_off(self, end: Line, trust: Trust | None) -> None:
        """Hold the signed head to the log that came out, and its signer to a trust file, if there is one."""
        chain, log = self.report.chain, self.machine.log
        try:
            signed, _ = notes.open_checkpoint(end.checkpoint.encode(), chain, end.operator)
            steps = [notes.open_succession(step.encode(), chain) for step in end.succession]
        except ValueError as error:
            self.report.say(f"The signature over the log does not hold: {error}.")
            return
        if not self.report.problems and (signed.size, signed.root) != (log.size, log.root()):
            self.report.say("The operator signed another log than the one that the blocks give.")
        known = set(trust.keys) if trust and trust.chain == chain else set()
        for step in steps:
            if step.old in known:
                known.add(step.new)
        self.report.operator, self.report.trusted = end.operator, end.operator in known

    def _replay(self, block: Block, header: bytes, verdicts: list[Verdict], keep: Callable[[Sealed], None]) -> None:
        self.machine.ahead()  # a program that is too old for this block says that, not what it fails to read
        for number, verdict in enumerate(verdicts):
            if isinstance(verdict, tuple):
                raise MachineFault(f"Block {block.height}, transaction {number}: {verdict[1]}")
        run, sealed = self.machine.replay(block)
        if sealed is None or sealed.header != header or len(run.transactions) != len(block.transactions):
            raise MachineFault(f"Block {block.height} gives another result than its header says.")
        self.memory.commit(sealed)
        keep(sealed)
        self.report.transactions += len(block.transactions)
        self.progress(len(block.transactions))


def audit_export(
    lines: Iterable[bytes], modules: Modules, trust: Trust | None, progress: Callable[[int], None]
) -> Report:
    """Audit an export's lines; MachineFault when they are no export."""
    decoder = msgspec.json.Decoder(Line)
    rest = iter(lines)
    try:
        first = decoder.decode(next(rest, b"{}"))
    except msgspec.MsgspecError as error:
        raise MachineFault("This is no export of a chain; make one with `metrobloc export blocks`.") from error
    if not bytes(first.genesis):
        raise MachineFault("The export does not begin with a genesis; make it again with `metrobloc export blocks`.")
    audit = Audit(bytes(first.genesis), modules, progress)
    end: list[Line] = []

    def blocks() -> Iterator[tuple[bytes, bytes]]:
        for number, raw in enumerate(rest, 2):
            try:
                line = decoder.decode(raw)
            except msgspec.MsgspecError as error:
                raise MachineFault(f"Line {number} of the export is damaged: {error}.") from error
            if end:
                raise MachineFault(f"Line {number} of the export stands behind its end.")
            if line.checkpoint:
                end.append(line)
            else:
                yield bytes(line.block), bytes(line.header)

    audit.run(blocks())
    if end:
        audit.sign_off(end[0], trust)
    elif not audit.report.problems:
        audit.report.say("The export has no end: its last line, with the signed head of the log, is missing.")
    return audit.report


def audit_folder(home: Path, modules: Modules, trust: Trust | None, progress: Callable[[int], None]) -> Report:
    """Audit a data folder on which no node runs: its store, the operator's key and the journal of promises."""
    store = Store.open(home / "store")
    try:
        report = audit_store(store, modules, trust, progress)
    finally:
        store.close()
    try:
        read(home / JOURNAL_FILE)
        find_key(home, report.operator)
    except MachineFault as fault:
        report.say(str(fault))
    return report


def audit_store(store: Store, modules: Modules, trust: Trust | None, progress: Callable[[int], None]) -> Report:
    """Audit a data folder's store and compare all of its rows."""
    audit = Audit(genesis_of(store), modules, progress)
    compared = Compared(store, audit.report)
    heights = range(1, store.head() + 1)
    audit.run(((present(store.block(h)), present(store.header(h))[0]) for h in heights), compared.keep)
    if not audit.report.problems:
        try:
            compared.finish(audit)
        except MachineFault as fault:
            audit.report.say(str(fault))
    operator = (store.meta("operator") or b"").decode("ascii", "replace")
    succession = tuple(msgspec.json.decode(store.meta("succession") or b"[]", type=list[str]))
    checkpoint = (store.meta("checkpoint") or b"").decode("utf-8", "replace")
    audit.sign_off(Line(checkpoint=checkpoint, operator=operator, succession=succession), trust)
    return audit.report


class Compared:
    """A store's rows beside the rows that re-execution gives."""

    def __init__(self, store: Store, report: Report) -> None:
        """Start with nothing compared."""
        self.store = store
        self.report = report
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.undo: dict[int, tuple[bytes, dict[bytes, bytes | None]]] = {}

    def keep(self, sealed: Sealed) -> None:
        """Compare what a block wrote once and for all; keep what later blocks may change."""
        height, store = sealed.height, self.store
        self._same(store.block(height), sealed.block, f"block {height}")
        self._same(store.header(height), (sealed.header, sealed.log.size), f"header {height}")
        self._same(store.receipts(height), sealed.receipts, f"the receipts of block {height}")
        writes = [(key, new) for key, (_, new) in sealed.writes.items()]
        self._same(store.write_set(height), writes, f"the write set of block {height}")
        for tx_id, number in sealed.transactions:
            self._same(store.find(tx_id), (height, number), f"the place of transaction {tx_id.hex()}")
        self.tiles.update(sealed.tiles)
        self.undo[height] = (sealed.undo, {key: old for key, (old, _) in sealed.writes.items()})
        self.undo.pop(height - UNDO_HEIGHTS, None)

    def finish(self, audit: Audit) -> None:
        """Compare what is left: records, index rows, tiles, undo, ids that have not expired."""
        store, memory = self.store, audit.memory
        self._rows(dict(memory.records.rows), store.leaves(), "record")
        self._rows(dict(memory.index.rows), _index_rows(store), "index row")
        for key in memory.records.rows:
            self._same(store.key_of(crypto.sha256(key)), key, f"the name of record {key.decode()}")
        for (level, index), tile in self.tiles.items():
            self._same(store.tile(level, index), tile, f"tile {index} of level {level}")
        for height, (tree, before) in self.undo.items():
            undo = store.undo(height)
            self._same(undo and (undo.tree, undo.before), (tree, before), f"the undo of block {height}")
        minutes: dict[int, bytes] = {}
        for minute, ids in store.expiring(0):
            minutes[minute] = minutes.get(minute, b"") + ids
        self._same(minutes, {m: b"".join(ids) for m, ids in audit.machine.minutes.items()}, "the unexpired ids")

    def _rows(self, expected: dict[bytes, bytes], found: Iterable[tuple[bytes, bytes]], what: str) -> None:
        for key, row in found:
            self._same(row, expected.pop(key, None), f"{what} {key.decode('utf-8', 'replace')}")
        for key in expected:
            self.report.say(f"The data folder lacks {what} {key.decode()}; restore it from a backup.")

    def _same(self, found: object, expected: object, what: str) -> None:
        if found != expected:
            self.report.say(f"The data folder differs from what its blocks give: {what}; restore it from a backup.")


def _read(blocks: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[tuple[Block, bytes], list[bytes]]]:
    for height, (raw, header) in enumerate(blocks, 1):
        try:
            block = read_block(raw)
        except codec.Malformed as fault:
            raise MachineFault(f"Block {height} is damaged: {fault.sentence}") from fault
        yield (block, header), [bytes(transaction) for transaction in block.transactions]


def _index_rows(store: Store) -> Iterator[tuple[bytes, bytes]]:
    after: bytes | None = None
    while page := store.scan_index(b"", after, PAGE):
        yield from page
        after = page[-1][0]
