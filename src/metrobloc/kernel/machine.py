"""The replicated machine: rules, state tree, log and replay memory, advanced block by block.

An engine opens a block, applies transactions and seals it; `seal` returns everything that must become durable in one
write and moves the memory on. An engine that cannot make it durable must stop: memory never runs ahead of disk.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from metrobloc.kernel import accounts, codec, crypto, log, system
from metrobloc.kernel.block import MINUTE_MS, BlockRun, Rules
from metrobloc.kernel.context import Ctx, Run
from metrobloc.kernel.errors import ENGINE_REFUSALS, MachineFault, Refused
from metrobloc.kernel.genesis import RULES, chain_id, read_genesis
from metrobloc.kernel.log import Log
from metrobloc.kernel.module import Module
from metrobloc.kernel.receipts import Header, LogHead
from metrobloc.kernel.state import Reader, unmetered
from metrobloc.kernel.system import Activation, ChainInfo
from metrobloc.kernel.tables import MutableRows, Param
from metrobloc.kernel.tree import StateTree, entry
from metrobloc.kernel.types import TimeMs, Total

LOG_KEY = system.log.path("head")


class Block(Struct, frozen=True, forbid_unknown_fields=True):
    """All that enters execution; its JCS bytes are one line of an export."""

    height: Total
    misbehaviour: tuple[str, ...]
    time_ms: TimeMs
    transactions: tuple[Raw, ...]


class Sealed(Struct, frozen=True):
    """What a block makes durable, in one write: see engine/store.py for where each part goes."""

    height: int
    time_ms: int
    block: bytes
    header: bytes
    log: Log
    receipts: list[bytes]
    transactions: list[tuple[bytes, int]]
    writes: dict[bytes, tuple[bytes | None, bytes | None]]
    indexes: dict[bytes, bytes | None]
    undo: bytes
    tiles: dict[tuple[int, int], bytes]
    expiring: dict[int, bytes]
    expired: list[int]


def read_block(raw: bytes) -> Block:
    """Read a block's JCS bytes strictly; raises `codec.Malformed`."""
    return codec.decode(raw, _block_decoder)


def make_rules(genesis: bytes, modules: Mapping[str, Module]) -> Rules:
    """Return the rules of a genesis over the modules that this code has; MachineFault when one is missing."""
    page = read_genesis(genesis)
    missing = [name for name in page.modules if name not in modules]
    if missing:
        raise MachineFault(f"This chain needs the modules {', '.join(missing)}; install a version that has them.")
    first = tuple(modules[name] for name in page.modules)
    every = (*first, *(module for module in modules.values() if module not in first))
    actions = {action.do: action for module in every for action in module.actions.values()}
    due = {name: handler for module in every for name, handler in module.due.items()}
    names = {message: do for module in every for message, do in module.messages.items()}
    newest = max([RULES, *(last.since for last in actions.values())])
    digest = crypto.sha256(genesis).hex()
    return Rules(chain_id(genesis), digest, page, actions, due, every, names, newest, page.rules)


class Machine:
    """Rules plus memory: the tree over all records, the log's right edge, the ids that have not expired."""

    def __init__(self, rules: Rules, reader: Reader) -> None:
        """Start before genesis."""
        self.rules = rules
        self.reader = reader
        self.tree = StateTree()
        self.log = Log()
        self.height = -1
        self.time_ms = 0
        self.state_root = ""
        self.seen: set[bytes] = set()
        self.minutes: dict[int, list[bytes]] = {}

    def restore(self, header: Header, tree: StateTree, stored_log: Log, expiring: Iterable[tuple[int, bytes]]) -> None:
        """Take up from what a store holds; MachineFault when the records do not give the header's state root."""
        if tree.root.hex() != header.state_root:
            raise MachineFault(
                f"The stored records give another state root than block {header.height} committed to: "
                "a record is damaged. Restore the node from a backup, then run `metrobloc audit`."
            )
        self.tree, self.log = tree, stored_log
        self.height, self.time_ms, self.state_root = header.height, header.time_ms, header.state_root
        for minute, ids in expiring:
            self._remember(minute, [ids[cut : cut + 32] for cut in range(0, len(ids), 32)])

    def open_block(self, time_ms: int) -> BlockRun:
        """Open the next block and run what is due; block time never runs backwards."""
        if time_ms < self.time_ms:
            raise ValueError("block time is behind the last block's")
        run = self.ahead(time_ms)
        run.run_due()
        return run

    def ahead(self, time_ms: int = 0) -> BlockRun:
        """Return the next block before anything runs in it: it knows which rules and modules are in force there."""
        return BlockRun(self.rules, self.reader, self.seen, self.height + 1, time_ms)

    def seal(self, run: BlockRun) -> Sealed | None:
        """Close a block and move on; None when nothing happened in it, and then nothing is left of it."""
        if not run.receipts:
            return None
        expired = sorted(minute for minute in self.minutes if (minute + 1) * MINUTE_MS <= run.time_ms)
        run.close(expired)
        return self._finish(run, expired)

    def found(self) -> Sealed:
        """Execute genesis and return its block, number 0."""
        page = self.rules.genesis
        run = BlockRun(self.rules, self.reader, self.seen, 0, page.time_ms)
        state = unmetered(run.state)
        MutableRows(system.chain, state)["info"] = ChainInfo(self.rules.digest, page.rules)
        first = [module for module in self.rules.modules if module.name in page.modules]
        for module in first:
            MutableRows(system.modules, state)[module.name] = Activation(0)
        every = (spec for module in first for spec in module.params.values())
        specs = {f"{spec.module}.{spec.name}": spec for spec in every if spec.since <= page.rules}
        for name, value in ({name: spec.default for name, spec in specs.items()} | page.params).items():
            spec = specs.get(name)
            if spec is None or not spec.limits[0] <= value <= spec.limits[1]:
                why = f"it must lie within {spec.limits}" if spec else "no module has it"
                raise MachineFault(f"The genesis sets {name} to {value}, but {why}; correct the genesis.")
            MutableRows(system.params, state)[(spec.module, spec.name)] = Param(value)
        ctx = Ctx(Run(self.rules.chain, 0, page.time_ms, "genesis", state), system.NAME, "", 0)
        for founder in page.founders:
            try:
                made = accounts.open_account(ctx, founder.key, quota_per_hour=founder.quota_per_hour)
            except (Refused, ValueError) as error:
                why = ENGINE_REFUSALS.get(str(error), "It is no Ed25519 key.")
                raise MachineFault(f"The genesis founds an account with {founder.key}. {why}") from error
            for role in founder.roles:
                accounts.grant(ctx, made, role)
        state.fold()
        return self._finish(run, [])

    def replay(self, block: Block) -> tuple[BlockRun, Sealed | None]:
        """Execute a block whose transactions' bytes and signatures have been checked."""
        if block.height != self.height + 1:
            raise MachineFault(f"Block {block.height} follows block {self.height}: blocks are missing or doubled.")
        if block.time_ms < self.time_ms:
            raise MachineFault(f"Block {block.height} is older than the block before it.")
        run = self.open_block(block.time_ms)
        for transaction in block.transactions:
            run.apply(bytes(transaction))
        return run, self.seal(run)

    def _finish(self, run: BlockRun, expired: list[int]) -> Sealed:
        with_receipts, tiles = self.log.extended([log.leaf_hash(receipt) for receipt in run.receipts])
        state = unmetered(run.state)
        state.put(LOG_KEY, LogHead(with_receipts.root().hex(), with_receipts.size), system.log)
        state.fold()
        writes = _writes(run)
        leaves = [entry(key, new) if new else (crypto.sha256(key), None) for key, (_, new) in writes.items()]
        undo = self.tree.update(leaves)
        header = codec.encode(Header(run.height, self.tree.root.hex(), run.time_ms))
        whole, more = with_receipts.extended([log.leaf_hash(header)])
        block = Block(run.height, (), run.time_ms, tuple(Raw(raw) for raw in run.transactions))
        self.log, self.height, self.time_ms = whole, run.height, run.time_ms
        self.state_root = self.tree.root.hex()
        for minute, ids in run.expiring.items():
            self._remember(minute, ids)
        for minute in expired:
            self.seen.difference_update(self.minutes.pop(minute))
        return Sealed(
            height=run.height,
            time_ms=run.time_ms,
            block=codec.encode(block),
            header=header,
            log=whole,
            receipts=run.receipts,
            transactions=run.included,
            writes=writes,
            indexes={path.encode(): b"" if there else None for path, there in run.state.index_changed.items()},
            undo=undo,
            tiles={**tiles, **more},
            expiring={minute: b"".join(ids) for minute, ids in run.expiring.items()},
            expired=expired,
        )

    def _remember(self, minute: int, ids: Sequence[bytes]) -> None:
        self.minutes.setdefault(minute, []).extend(ids)
        self.seen.update(ids)


def _writes(run: BlockRun) -> dict[bytes, tuple[bytes | None, bytes | None]]:
    """Return the records that the block has changed: their bytes before and after."""
    pairs = ((path, run.state.base[path], after) for path, after in run.state.changed.items())
    found = ((path.encode(), (old and old[0], new and new[0])) for path, old, new in pairs)
    return {key: (old, new) for key, (old, new) in found if old != new}


_block_decoder = msgspec.json.Decoder(Block)
