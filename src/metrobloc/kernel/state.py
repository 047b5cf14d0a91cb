"""State as overlays: a transaction's changes over the block's changes over what is committed.

Read chain: `TxState` -> `BlockState.changed` -> `BlockState.base` -> the reader (the engine's store). A record is
decoded once per block and encoded once per write; `base` keeps the committed value of every key that was read or
written, which is the block's undo. Dropping a TxState leaves no trace but the work it used.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import takewhile
from typing import Protocol

import msgspec

from metrobloc.kernel import codec
from metrobloc.kernel.errors import MachineFault, Refused
from metrobloc.kernel.types import Record

Entry = tuple[bytes, Record]
"""A record's canonical bytes and the record they decode to."""

READ_WORK = 1
WRITE_WORK = 4
BYTES_PER_WORK = 256
PAGE = 256


class Reader(Protocol):
    """What the kernel asks of a store: committed rows, by key and in key order."""

    def get(self, key: bytes) -> bytes | None:
        """Return the record's bytes, or None."""

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` records under `prefix`, beyond `after` if that is given, in key order.

        `after` begins with `prefix` too.
        """

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return index rows as `scan` does records."""


class Schema(Protocol):
    """What the overlays need of a table: how its records are read."""

    @property
    def decoder(self) -> msgspec.json.Decoder[Record]:
        """Return the decoder of the table's record type."""


def read_stored(path: str, raw: bytes, schema: Schema) -> Record:
    """Decode a stored record; MachineFault when it is damaged."""
    try:
        return schema.decoder.decode(raw)
    except msgspec.MsgspecError as error:
        message = f"The stored record {path} is damaged ({error}); restore the node from a backup."
        raise MachineFault(message) from error


def pages(
    scan: Callable[[bytes, bytes | None, int], list[tuple[bytes, bytes]]], prefix: str, after: str
) -> Iterator[tuple[str, bytes]]:
    """Yield a reader's rows under `prefix` beyond `after`, page by page."""
    cursor = after.encode() or None
    while True:
        page = scan(prefix.encode(), cursor, PAGE)
        for key, row in page:
            yield key.decode(), row
        if len(page) < PAGE:
            return
        cursor = page[-1][0]


def _overlaid(below: Iterable[str], here: Iterable[str], present: Mapping[str, bool]) -> Iterator[str]:
    """Yield the paths below and those changed here, both in order, without those that are no longer present."""
    last = ""
    for path in merge(below, here):
        if path != last and present.get(path, True):
            yield path
        last = path


class BlockState:
    """A block's changes over the committed state; owns the undo."""

    def __init__(self, reader: Reader) -> None:
        """Start with no changes."""
        self.reader = reader
        self.base: dict[str, Entry | None] = {}
        self.changed: dict[str, Entry | None] = {}
        self.index_changed: dict[str, bool] = {}
        self.index_sorted: list[str] = []

    def load(self, path: str, schema: Schema) -> Entry | None:
        """Return the entry at `path` as the block sees it."""
        if path in self.changed:
            return self.changed[path]
        if path in self.base:
            return self.base[path]
        raw = self.reader.get(path.encode())
        entry = self.base[path] = None if raw is None else (raw, read_stored(path, raw, schema))
        return entry

    def note_index(self, path: str, *, present: bool) -> None:
        """Add or drop an index row."""
        if path not in self.index_changed:
            insort(self.index_sorted, path)
        self.index_changed[path] = present

    def scan_index(self, prefix: str, after: str) -> Iterator[str]:
        """Yield the index rows under `prefix` beyond `after`, in order, as the block sees them."""
        first = bisect_left(self.index_sorted, max(prefix, after + "\0"))
        here = takewhile(lambda path: path.startswith(prefix), self.index_sorted[first:])
        committed = (path for path, _ in pages(self.reader.scan_index, prefix, after))
        return _overlaid(committed, here, self.index_changed)


class Meter:
    """Work counted against a cap; the unit is about one read."""

    __slots__ = ("cap", "used")

    def __init__(self, cap: int) -> None:
        """Start at zero."""
        self.used = 0
        self.cap = cap

    def charge(self, units: int) -> None:
        """Add work; refuse beyond the cap."""
        self.used += units
        if self.used > self.cap:
            raise Refused("too_much_work")


class TxState:
    """One transaction's changes over the block's."""

    __slots__ = ("block", "changed", "index_changed", "meter", "purse", "spender")

    def __init__(self, block: BlockState, meter: Meter) -> None:
        """Start with no changes."""
        self.block = block
        self.meter = meter
        self.changed: dict[str, Entry | None] = {}
        self.index_changed: dict[str, bool] = {}
        self.spender = ""
        self.purse: dict[str, int] = {}

    def spend(self, book: str, amount: int) -> None:
        """Take from what may still be spent in the spender's name; refuse when that is not enough."""
        left = self.purse.get(book, 0) - amount
        if left < 0:
            raise Refused("above_ceiling")
        self.purse[book] = left

    def get(self, path: str, schema: Schema) -> Record | None:
        """Return the record at `path`, or None."""
        self.meter.charge(READ_WORK)
        entry = self.changed[path] if path in self.changed else self.block.load(path, schema)
        return None if entry is None else entry[1]

    def put(self, path: str, record: Record, schema: Schema) -> None:
        """Write a record; what is kept is what its bytes decode to, so that limits hold for results too.

        Raises Refused: `out_of_range`, `too_much_work`.
        """
        raw = codec.encode(record)
        self.meter.charge(WRITE_WORK + len(raw) // BYTES_PER_WORK)
        try:
            kept = schema.decoder.decode(raw)
        except msgspec.ValidationError as error:
            raise Refused("out_of_range") from error
        self.block.load(path, schema)  # the undo needs the committed value of every written key
        self.changed[path] = (raw, kept)

    def drop(self, path: str, schema: Schema) -> None:
        """Remove a record."""
        self.meter.charge(WRITE_WORK)
        self.block.load(path, schema)
        self.changed[path] = None

    def note_index(self, path: str, *, present: bool) -> None:
        """Add or drop an index row."""
        self.meter.charge(WRITE_WORK)
        self.index_changed[path] = present

    def scan_index(self, prefix: str, after: str) -> Iterator[str]:
        """Yield the index rows under `prefix` beyond `after`, in order, as this transaction sees them."""
        here = sorted(path for path in self.index_changed if path.startswith(prefix) and path > after)
        for path in _overlaid(self.block.scan_index(prefix, after), here, self.index_changed):
            self.meter.charge(READ_WORK)
            yield path

    def fold(self) -> None:
        """Hand the changes down to the block."""
        self.block.changed.update(self.changed)
        for path, present in self.index_changed.items():
            self.block.note_index(path, present=present)


def unmetered(block: BlockState) -> TxState:
    """Return changes over a block for the kernel's own book-keeping, whose work nobody has to pay."""
    return TxState(block, Meter(1 << 60))
