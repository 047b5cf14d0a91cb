"""A chain in memory for tests: the real machine, real signatures, no disk."""

from collections.abc import Callable, Iterable, Sequence

from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.stage import Stage
from metrobloc.engine.memory import Memory
from metrobloc.kernel.block import BlockRun, Outcome
from metrobloc.kernel.context import View
from metrobloc.kernel.machine import Block, Machine, Sealed, make_rules
from metrobloc.kernel.module import Module

START_MS = 1_700_000_000_000


class Sandbox:
    """A demo chain in memory and the stage on which tests play."""

    def __init__(self, modules: Iterable[Module], genesis: bytes | None = None, start_ms: int = START_MS) -> None:
        """Found the chain."""
        by_name = {module.name: module for module in modules}
        self.genesis = genesis or demo_genesis(start_ms, by_name)
        self.rules = make_rules(self.genesis, by_name)
        self.memory = Memory()
        self.machine = Machine(self.rules, self.memory)
        self.sealed: list[Sealed] = []
        self.bugs: list[str] = []
        self._keep(self.machine.found())
        self.stage = Stage(self.rules, self.execute, self.rules.genesis.time_ms, version=self.version)

    @property
    def view(self) -> View:
        """Return the committed state."""
        return View(self.memory)

    def version(self) -> int:
        """Return the version of the rules in the next block."""
        return self.machine.ahead().version

    def execute(self, raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        """Check and execute transactions as one block; `Malformed` is raised."""
        for raw in raws:
            self.rules.check(raw)
        run = self.machine.open_block(time_ms)
        outcomes = [run.apply(raw) for raw in raws]
        self.seal(run)
        return outcomes

    def broken(self) -> list[str]:
        """Return the names of the invariants that do not hold."""
        checks: list[tuple[str, Callable[[View], bool]]] = [
            (f"{module.name}.{name}", invariant)
            for module in self.rules.modules
            for name, invariant in module.invariants.items()
        ]
        return [name for name, invariant in checks if not invariant(self.view)]

    def replay(self, block: Block) -> None:
        """Execute another chain's block of the same genesis, whose bytes and signatures were checked there."""
        run, sealed = self.machine.replay(block)
        self.bugs += run.bugs
        if sealed is not None:
            self._keep(sealed)

    def seal(self, run: BlockRun) -> None:
        """Close a block that was opened on the machine, and keep it."""
        self.bugs += run.bugs
        sealed = self.machine.seal(run)
        if sealed is not None:
            self._keep(sealed)

    def _keep(self, sealed: Sealed) -> None:
        self.memory.commit(sealed)
        self.sealed.append(sealed)
