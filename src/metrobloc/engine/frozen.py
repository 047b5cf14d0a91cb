"""Committed state as it was at one moment, for questions that are answered in a thread of their own.

A question may read many rows, so it must not hold up the block that is being made: it reads the rows through one
cursor, which sees no later block, and stops after so many. (rocksdict 0.3.29 has snapshots too, but their cursors do
see later writes.)
"""

from metrobloc.engine.store import RESTORE, Store
from metrobloc.kernel.errors import MachineFault


class TooManyRows(Exception):
    """A question would read more rows than one may."""


class Frozen:
    """A reader (kernel/state.py) of one moment, for one thread at a time; it counts what it reads."""

    def __init__(self, store: Store, rows_max: int) -> None:
        """Hold the store's rows as they are now; call it where blocks are made, so that it falls between two."""
        self.height = store.head()
        self.left = rows_max
        self._rows = store.cursor()

    def get(self, key: bytes) -> bytes | None:
        """Return the record under a state key, or None; TooManyRows, and MachineFault for a damaged store."""
        found = self._page(b"s", key, None, 1)
        return found[0][1] if found and found[0][0] == key else None

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` records under `prefix` beyond `after`, in key order; raises as `get`."""
        return self._page(b"s", prefix, after, limit)

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return index rows as `scan` does records."""
        return self._page(b"i", prefix, after, limit)

    def _page(self, kind: bytes, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        self._charge()
        start = kind + (prefix if after is None else after)
        rows = self._rows
        rows.seek(start)
        found: list[tuple[bytes, bytes]] = []
        while len(found) < limit and (key := rows.key()) is not None and key.startswith(kind + prefix):
            if after is None or key != start:
                self._charge()
                found.append((key[1:], rows.value()))
            rows.next()
        try:
            rows.status()
        except Exception as error:
            raise MachineFault(f"The store cannot be read ({error}). {RESTORE}") from error
        return found

    def _charge(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooManyRows
