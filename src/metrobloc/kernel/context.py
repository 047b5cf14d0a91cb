"""What a handler is given: `Ctx` (may write its own module's tables) and `View` (committed state, read only).

A `Ctx` belongs to one module. Another module's tables can be read but not written; a module that lets others change
something offers a `service` (see `module.py`), which runs under a Ctx of its own and knows its caller.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, overload

from metrobloc.kernel import crypto, system, tables
from metrobloc.kernel.receipts import EventEntry
from metrobloc.kernel.state import Reader, TxState
from metrobloc.kernel.system import Deadline
from metrobloc.kernel.tables import Index, K, Ledger, ParamSpec, Table, V
from metrobloc.kernel.types import Event

if TYPE_CHECKING:
    from metrobloc.kernel.block import BlockRun


class Run:
    """What the calls of one transaction share."""

    __slots__ = ("block", "call", "chain", "counter", "events", "height", "ids", "salt", "state", "time_ms")

    def __init__(  # noqa: PLR0913, PLR0917  # everything that a handler can come to know
        self, chain: str, height: int, time_ms: int, salt: str, state: TxState, block: "BlockRun | None" = None
    ) -> None:
        """Start with no events and no ids."""
        self.block = block
        self.chain = chain
        self.height = height
        self.time_ms = time_ms
        self.salt = salt
        self.state = state
        self.events: list[EventEntry] = []
        self.ids: list[str] = []
        self.counter = 0
        self.call = 0


class Ctx:
    """A handler's hands: its module's rows, the actor, the block's time, events and new ids.

    `delegate` is the account or session key that signed for the actor, empty where its own keys did.
    """

    __slots__ = ("actor", "call", "caller", "chain", "delegate", "module", "run", "state", "time_ms")

    def __init__(  # noqa: PLR0913, PLR0917
        self, run: Run, module: str, actor: str, call: int, caller: str = "", delegate: str = ""
    ) -> None:
        """Bind a run to one module and one call."""
        self.run = run
        self.state = run.state
        self.chain = run.chain
        self.time_ms = run.time_ms
        self.module = module
        self.actor = actor
        self.call = call
        self.caller = caller
        self.delegate = delegate

    @overload
    def __getitem__(self, what: Table[K, V]) -> tables.MutableRows[K, V]: ...
    @overload
    def __getitem__(self, what: Ledger) -> tables.MutableBalances: ...
    def __getitem__(self, what: Table[Any, Any] | Ledger) -> tables.MutableRows[Any, Any] | tables.MutableBalances:
        """Open one of the module's own tables or ledgers for writing."""
        if what.module != self.module:
            raise TypeError(f"{self.module} may not write {what.module}/{what.name}; call a service of its module")
        if isinstance(what, Ledger):
            return tables.MutableBalances(what, self.state)
        return tables.MutableRows(what, self.state)

    @overload
    def read(self, what: Table[K, V]) -> tables.Rows[K, V]: ...
    @overload
    def read(self, what: Ledger) -> tables.Balances: ...
    def read(self, what: Table[Any, Any] | Ledger) -> tables.Rows[Any, Any] | tables.Balances:
        """Open any module's table or ledger for reading."""
        return tables.Rows(what, self.state) if isinstance(what, Table) else tables.Balances(what, self.state)

    def param(self, spec: ParamSpec) -> int:
        """Return a parameter's value in force."""
        stored = tables.Rows(system.params, self.state).get((spec.module, spec.name))
        return spec.default if stored is None else stored.at(self.run.height)

    def has_role(self, account: str, name: str) -> bool:
        """Tell whether an account holds a role now."""
        grant = tables.Rows(system.roles, self.state).get((account, name))
        return grant is not None and grant.holds_at(self.time_ms)

    def keys(self, index: Index[Any], under: str, after: str = "") -> Iterator[str]:
        """Yield the keys of rows whose place in the index is `under`, in key order, beyond key `after`."""
        prefix = f"{index.prefix}{under}/"
        for path in self.state.scan_index(prefix, prefix + after if after else ""):
            yield path[len(prefix) :]

    def emit(self, event: Event) -> None:
        """Tell the world, in the receipt."""
        self.run.events.append(EventEntry(f"{self.module}.{type(event).__name__.lower()}", event))

    def new_id(self) -> str:
        """Return the next id of this call; a client can compute it beforehand (`derive_id`)."""
        made = derive_id(self.chain, self.actor, self.run.salt, self.call, self.run.counter)
        self.run.counter += 1
        self.run.ids.append(made)
        return made

    def at(self, time_ms: int, handler: Callable[["Ctx", str], None], key: str) -> str:
        """Have a declared deadline handler run at the first block at or after `time_ms`; return the deadline's id."""
        made = self.new_id()
        name = f"{self.module}.{handler.__name__}"
        tables.MutableRows(system.deadlines, self.state).add(made, Deadline(do=name, key=key, time_ms=time_ms))
        return made

    def cancel(self, deadline: str) -> None:
        """Forget a deadline that has not run yet; one that has run is forgotten already."""
        rows = tables.MutableRows(system.deadlines, self.state)
        if deadline in rows:
            del rows[deadline]

    def work(self, units: int) -> None:
        """Charge computation; one unit is about one read."""
        self.state.meter.charge(units)

    def enter(self, module: str) -> "Ctx":
        """Return the context in which another module serves this one."""
        return Ctx(self.run, module, self.actor, self.call, self.module, self.delegate)


class View:
    """Committed state at one height, for queries, invariants and auditors."""

    def __init__(self, reader: Reader) -> None:
        """Bind to a reader that does not change meanwhile."""
        self.reader = reader

    @overload
    def __getitem__(self, what: Table[K, V]) -> tables.CommittedRows[K, V]: ...
    @overload
    def __getitem__(self, what: Ledger) -> tables.CommittedRows[tuple[str, str], tables.Balance]: ...
    def __getitem__(self, what: Table[Any, Any] | Ledger) -> tables.CommittedRows[Any, Any]:
        """Open any table, or a ledger as its rows of (book, holder)."""
        return tables.CommittedRows(what if isinstance(what, Table) else what.rows, self.reader)

    def balance(self, ledger: Ledger, holder: str, book: str) -> int:
        """Return what a holder has in a book."""
        row = self[ledger].get((book, holder))
        return 0 if row is None else row.amount


def derive_id(chain: str, actor: str, salt: str, call: int, counter: int) -> str:
    """Return an id over what only one call of one actor can be."""
    seed = f"metrobloc id v1\n{chain}\n{actor}\n{salt}\n{call}\n{counter}\n"
    return crypto.short_name(seed.encode())
