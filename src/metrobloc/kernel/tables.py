"""What a module remembers: tables, ledgers, indexes and parameters, and the rows through which handlers touch them.

A path is `module/table/key` in ASCII; it is the key in the state tree, so it never holds anything personal. Reading and
writing are different types: a query or an invariant that writes does not type-check.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Struct

from metrobloc.kernel.errors import Refused
from metrobloc.kernel.state import Reader, TxState, pages, read_stored
from metrobloc.kernel.types import INT_MAX, Record, Signed, Total

K = TypeVar("K", bound="str | tuple[str, ...]")
V = TypeVar("V", bound=Record)


class Table(Generic[K, V]):
    """Records of one type under keys of one type."""

    def __init__(self, module: str, name: str, record: type[V], key: object = str) -> None:
        """Bind names and the types of record and key; made by `Module.table`."""
        self.module = module
        self.name = name
        self.record = record
        self.parts = len(get_args(key)) if get_origin(key) is tuple else 1
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
    """Double-entry balances per book (asset, currency) and holder; only `move` changes them, so a book sums to zero."""

    def __init__(self, module: str, name: str) -> None:
        """Bind names; made by `Module.ledger`."""
        self.module = module
        self.name = name
        self.rows: Table[tuple[str, str], Balance] = Table(module, name, Balance, tuple[str, str])
        self.below = f"{module}.{name}_too_low"


class Param(Record):
    """A number that governance may change; made by `Module.param`. From `from_height` on, if set, it is `next`."""

    value: Signed
    next: Signed = 0
    from_height: Total = 0

    def at(self, height: int) -> int:
        """Return the value in force at a height."""
        return self.next if self.from_height and height >= self.from_height else self.value


class ParamSpec(Struct, frozen=True):
    """A parameter's declaration: default, inclusive limits, why it exists, and the rules from which on it does.

    Limits never change: nodes of different age would disagree. Other limits are another parameter's.
    """

    module: str
    name: str
    default: int
    why: str
    limits: tuple[int, int] = (0, INT_MAX)
    since: int = 1


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
        if not self.table.indexes:
            self.state.put(self.table.path(key), record, self.table)
            return
        before = self.get(key)
        self.state.put(self.table.path(key), record, self.table)
        if before is not None:
            self._place(key, before, present=False)
        self._place(key, record, present=True)

    def add(self, key: K, record: V) -> None:
        """Write the record under a new `key`, or refuse with `<table>_taken`."""
        if key in self:
            raise Refused(self.table.taken)
        self[key] = record

    def __delitem__(self, key: K) -> None:
        """Remove the record under `key`, or refuse with `<table>_unknown`."""
        record = self[key]
        self.state.drop(self.table.path(key), self.table)
        self._place(key, record, present=False)

    def _place(self, key: K, record: V, *, present: bool) -> None:
        part = self.table.path(key).removeprefix(self.table.prefix)
        for index in self.table.indexes:
            self.state.note_index(index.path(record, part), present=present)


class Balances:
    """A ledger as a transaction may read it."""

    __slots__ = ("_rows", "ledger")

    def __init__(self, ledger: Ledger, state: TxState) -> None:
        """Bind a ledger to a transaction's view."""
        self.ledger = ledger
        self._rows = MutableRows(ledger.rows, state)

    def of(self, holder: str, book: str) -> int:
        """Return what `holder` has in `book`."""
        balance = self._rows.get((book, holder))
        return 0 if balance is None else balance.amount


class MutableBalances(Balances):
    """A ledger as its own module's handlers may change it."""

    __slots__ = ()

    def move(self, source: str, target: str, amount: int, book: str, floor: int = 0) -> None:
        """Move `amount` > 0 from `source` to `target`; refuse if `source` would fall below `floor`."""
        if amount <= 0 or source == target:
            raise ValueError("a move has a positive amount and two different ends")
        if self._rows.state.spender == source:
            self._rows.state.spend(f"{self.ledger.module}.{self.ledger.name}/{book}", amount)
        left = self.of(source, book) - amount
        if left < floor:
            raise Refused(self.ledger.below)
        self._set(source, book, left)
        self._set(target, book, self.of(target, book) + amount)

    def _set(self, holder: str, book: str, amount: int) -> None:
        key = (book, holder)
        if amount:
            self._rows[key] = Balance(amount)
        elif key in self._rows:
            del self._rows[key]


class CommittedRows(Generic[K, V]):
    """A table as queries, invariants and auditors read it: committed rows only, in key order."""

    def __init__(self, table: Table[K, V], reader: Reader) -> None:
        """Bind a table to the committed state."""
        self.table = table
        self.reader = reader

    def get(self, key: K) -> V | None:
        """Return the record under `key`, or None."""
        path = self.table.path(key)
        raw = self.reader.get(path.encode())
        return None if raw is None else cast("V", read_stored(path, raw, self.table))

    def items(self, under: str = "", after: str = "") -> Iterator[tuple[str, V]]:
        """Yield (key, record) for keys beginning with `under` beyond `after`, in key order."""
        prefix = self.table.prefix
        for path, raw in pages(self.reader.scan, prefix + under, prefix + after if after else ""):
            yield path.removeprefix(prefix), cast("V", read_stored(path, raw, self.table))
