"""Committed state in memory: what auditors, tests and simulations execute on. Nothing survives the process."""

from bisect import bisect_right, insort

from metrobloc.kernel.machine import Sealed


class Rows:
    """Rows by key with an order over the keys."""

    def __init__(self) -> None:
        """Start empty."""
        self.rows: dict[bytes, bytes] = {}
        self._order: list[bytes] = []
        self._fresh: set[bytes] = set()

    def set(self, key: bytes, value: bytes | None) -> None:
        """Write a row, or drop it with None."""
        if value is None:
            self.rows.pop(key, None)
        else:
            if key not in self.rows:
                self._fresh.add(key)
            self.rows[key] = value

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` rows under `prefix` beyond `after`, in key order."""
        self._sort()
        start = bisect_right(self._order, max(prefix, after or b"") if after else prefix)
        if not after and start and self._order[start - 1] == prefix:
            start -= 1
        found: list[tuple[bytes, bytes]] = []
        for place in range(start, len(self._order)):
            key = self._order[place]
            if not key.startswith(prefix) or len(found) == limit:
                break
            if key in self.rows:
                found.append((key, self.rows[key]))
        return found

    def _sort(self) -> None:
        """Bring new keys into the order, and forget dropped ones when they are many."""
        if len(self._fresh) > len(self._order) // 16 or len(self._order) > 2 * len(self.rows) + 64:
            self._order = sorted(self.rows)
        else:
            for key in sorted(self._fresh):
                place = bisect_right(self._order, key)
                if not place or self._order[place - 1] != key:
                    insort(self._order, key)
        self._fresh.clear()


class Memory:
    """The kernel's reader over two dictionaries."""

    def __init__(self) -> None:
        """Start empty."""
        self.records = Rows()
        self.index = Rows()

    def get(self, key: bytes) -> bytes | None:
        """Return a record's bytes, or None."""
        return self.records.rows.get(key)

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return records in key order."""
        return self.records.scan(prefix, after, limit)

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return index rows in key order."""
        return self.index.scan(prefix, after, limit)

    def commit(self, block: Sealed) -> None:
        """Take a block's changes over."""
        for key, (_, new) in block.writes.items():
            self.records.set(key, new)
        for key, row in block.indexes.items():
            self.index.set(key, row)
