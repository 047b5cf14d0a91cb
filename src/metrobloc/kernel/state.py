"""State as overlays: a transaction's changes over the block's changes over what is committed.

Read chain: `TxState` -> `BlockState.changed` -> `BlockState.base` -> the reader (the engine's store). A record is decoded
once per block and encoded once per write; `base` keeps the committed value of every key that was read or written, which
is the block's undo. Dropping a TxState leaves no trace but the work it used.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
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
        """Return up to `limit` records whose keys begin with `prefix` and lie beyond `after`, in key order."""

    def get_index(self, key: bytes) -> bytes | None:
        """Return an index row's bytes, or None."""

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return index rows as `scan` does records."""


class Schema(Protocol):
    """What the overlays need of a table: how its records are read."""

    @property
    def decoder(self) -> msgspec.json.Decoder[Record]:
        """Return the decoder of the table's record type."""


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
        if raw is None:
            entry = None
        else:
            try:
                entry = (raw, schema.decoder.decode(raw))
            except msgspec.MsgspecError as error:
                message = f"The stored record {path} is damaged ({error}); restore the node from a backup."
                raise MachineFault(message) from error
        self.base[path] = entry
        return entry

    def note_index(self, path: str, *, present: bool) -> None:
        """Add or drop an index row."""
        if path not in self.index_changed:
            insort(self.index_sorted, path)
        self.index_changed[path] = present

    def scan_index(self, prefix: str, after: str) -> Iterator[str]:
        """Yield the index rows under `prefix` beyond `after`, in order, as the block sees them."""
        pending = self.index_sorted[bisect_left(self.index_sorted, max(prefix, after + "\0")) :]
        pending = [path for path in pending if path.startswith(prefix)]
        cursor: bytes | None = after.encode() or None
        while True:
            rows = [key.decode() for key, _ in self.reader.scan_index(prefix.encode(), cursor, PAGE)]
            last_page = len(rows) < PAGE
            bound = rows[-1] if rows else ""
            here = [path for path in pending if last_page or path <= bound]
            pending = pending[len(here) :]
            for path in sorted({*rows, *here}):
                if self.index_changed.get(path, True):
                    yield path
            if last_page:
                return
            cursor = bound.encode()


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

    __slots__ = ("block", "changed", "index_changed", "meter")

    def __init__(self, block: BlockState, meter: Meter) -> None:
        """Start with no changes."""
        self.block = block
        self.meter = meter
        self.changed: dict[str, Entry | None] = {}
        self.index_changed: dict[str, bool] = {}

    def get(self, path: str, schema: Schema) -> Record | None:
        """Return the record at `path`, or None."""
        self.meter.charge(READ_WORK)
        entry = self.changed[path] if path in self.changed else self.block.load(path, schema)
        return None if entry is None else entry[1]

    def put(self, path: str, record: Record, schema: Schema) -> None:
        """Write a record; what is kept is what its bytes decode to, so that limits hold for results too."""
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
        added = sorted(p for p, there in self.index_changed.items() if there and p.startswith(prefix) and p > after)
        for path in self.block.scan_index(prefix, after):
            self.meter.charge(READ_WORK)
            while added and added[0] < path:
                yield added.pop(0)
            if added and added[0] == path:
                added.pop(0)
            if self.index_changed.get(path, True):
                yield path
        yield from added

    def fold(self) -> None:
        """Hand the changes down to the block."""
        self.block.changed.update(self.changed)
        for path, present in self.index_changed.items():
            self.block.note_index(path, present=present)
