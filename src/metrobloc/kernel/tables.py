"""What a module remembers: tables, ledgers, indexes and parameters, and the rows through which handlers touch them.

A path is `module/table/key` in ASCII; it is the key in the state tree, so it never holds anything personal. Reading and
writing are different types: a query or an invariant that writes does not type-check.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, cast

import msgspec
from msgspec import Struct

from metrobloc.kernel.errors import MachineFault, Refused
from metrobloc.kernel.state import PAGE, Reader, TxState
from metrobloc.kernel.types import INT_MAX, Record, Signed

K = TypeVar("K", bound="str | tuple[str, ...]")
V = TypeVar("V", bound=Record)


class Table(Generic[K, V]):
    """Records of one type under keys of one type."""

    def __init__(self, module: str, name: str, record: type[V]) -> None:
        """Bind names and record type; made by `Module.table`."""
        self.module = module
        self.name = name
        self.record = record
        self.prefix = f"{module}/{name}/"
        self.decoder = cast("msgspec.json.Decoder[Record]", msgspec.json.Decoder(record))
        self.indexes: list[Index[V]] = []
        self.unknown = f"{module}.{name}_unknown"
        self.taken = f"{module}.{name}_taken"

    def path(self, key: K) -> str:
        """Return the state key of a row."""
        return self.prefix + (key if isinstance(key, str) else "/".join(key))


class Index(Generic[V]):
    """An order over a table's rows; outside the proven tree, because it follows from the table."""

    def __init__(self, module: str, name: str, by: Callable[[V], str]) -> None:
        """Bind names and the function that gives a record's place in the order; made by `Module.index`."""
        self.module = module
        self.name = name
        self.by = by
        self.prefix = f"{module}/{name}/"

    def path(self, record: V, part: str) -> str:
        """Return the index row of a record."""
        return f"{self.prefix}{self.by(record)}/{part}"


class Balance(Record):
    """What a holder has; absent means zero."""

    amount: Signed


class Ledger:
    """Double-entry balances per book (asset, currency) and holder; changed only by `move`, so every book sums to zero."""

    def __init__(self, module: str, name: str) -> None:
        """Bind names; made by `Module.ledger`."""
        self.module = module
        self.name = name
        self.rows: Table[tuple[str, str], Balance] = Table(module, name, Balance)
        self.below = f"{module}.{name}_too_low"


class Param(Record):
    """A number that governance may change; made by `Module.param`."""

    value: Signed


class ParamSpec(Struct, frozen=True):
    """A parameter's declaration: default, inclusive limits and why it exists."""

    module: str
    name: str
    default: int
    why: str
    limits: tuple[int, int] = (0, INT_MAX)


class Rows(Generic[K, V]):
    """A table as a transaction may read it."""

    __slots__ = ("state", "table")

    def __init__(self, table: Table[K, V], state: TxState) -> None:
        """Bind a table to a transaction's view."""
        self.table = table
        self.state = state

    def get(self, key: K) -> V | None:
        """Return the record under `key`, or None."""
        return cast("V | None", self.state.get(self.table.path(key), self.table))

    def __getitem__(self, key: K) -> V:
        """Return the record under `key`, or refuse with `<table>_unknown`."""
        record = self.get(key)
        if record is None:
            raise Refused(self.table.unknown)
        return record

    def __contains__(self, key: K) -> bool:
        """Tell whether there is a record under `key`."""
        return self.get(key) is not None


class MutableRows(Rows[K, V]):
    """A table as its own module's handlers may change it."""

    __slots__ = ()

    def __setitem__(self, key: K, record: V) -> None:
        """Write the record under `key`."""
        if self.table.indexes:
            self._unindex(key)
        path = self.table.path(key)
        self.state.put(path, record, self.table)
        for index in self.table.indexes:
            self.state.note_index(index.path(record, path[len(self.table.prefix) :]), present=True)

    def add(self, key: K, record: V) -> None:
        """Write the record under a new `key`, or refuse with `<table>_taken`."""
        if key in self:
            raise Refused(self.table.taken)
        self[key] = record

    def __delitem__(self, key: K) -> None:
        """Remove the record under `key`, or refuse with `<table>_unknown`."""
        if self.table.indexes:
            self._unindex(key)
        elif key not in self:
            raise Refused(self.table.unknown)
        self.state.drop(self.table.path(key), self.table)

    def _unindex(self, key: K) -> None:
        record = self.get(key)
        part = self.table.path(key)[len(self.table.prefix) :]
        for index in self.table.indexes if record is not None else ():
            self.state.note_index(index.path(cast("V", record), part), present=False)


class Balances:
    """A ledger as a transaction may read it."""

    __slots__ = ("ledger", "rows")

    def __init__(self, ledger: Ledger, state: TxState) -> None:
        """Bind a ledger to a transaction's view."""
        self.ledger = ledger
        self.rows = MutableRows(ledger.rows, state)

    def of(self, holder: str, book: str) -> int:
        """Return what `holder` has in `book`."""
        balance = self.rows.get((book, holder))
        return 0 if balance is None else balance.amount


class MutableBalances(Balances):
    """A ledger as its own module's handlers may change it."""

    __slots__ = ()

    def move(self, source: str, target: str, amount: int, book: str, floor: int = 0) -> None:
        """Move `amount` > 0 from `source` to `target`; refuse if `source` would fall below `floor`."""
        if amount <= 0 or source == target:
            raise ValueError("a move has a positive amount and two different ends")
        left = self.of(source, book) - amount
        if left < floor:
            raise Refused(self.ledger.below)
        self._set(source, book, left)
        self._set(target, book, self.of(target, book) + amount)

    def _set(self, holder: str, book: str, amount: int) -> None:
        key = (book, holder)
        if amount:
            self.rows[key] = Balance(amount)
        elif key in self.rows:
            del self.rows[key]


class CommittedRows(Generic[K, V]):
    """A table as queries, invariants and auditors read it: committed rows only, in key order."""

    def __init__(self, table: Table[K, V], reader: Reader) -> None:
        """Bind a table to the committed state."""
        self.table = table
        self.reader = reader

    def get(self, key: K) -> V | None:
        """Return the record under `key`, or None."""
        raw = self.reader.get(self.table.path(key).encode())
        return None if raw is None else cast("V", self._decode(raw))

    def items(self, under: str = "", after: str = "") -> Iterator[tuple[str, V]]:
        """Yield (key, record) for keys beginning with `under` beyond `after`, in key order."""
        prefix = (self.table.prefix + under).encode()
        cursor = (self.table.prefix + after).encode() if after else None
        while True:
            page = self.reader.scan(prefix, cursor, PAGE)
            for path, raw in page:
                yield path[len(self.table.prefix) :].decode(), cast("V", self._decode(raw))
            if len(page) < PAGE:
                return
            cursor = page[-1][0]

    def _decode(self, raw: bytes) -> Record:
        try:
            return self.table.decoder.decode(raw)
        except msgspec.MsgspecError as error:
            message = f"A stored record of {self.table.prefix} is damaged ({error}); restore the node from a backup."
            raise MachineFault(message) from error
