"""Keep the chain on disk: one atomic, synced write per block, in one RocksDB keyspace (`rows.py`).

Beside the folder `rocks` the file `acknowledged` repeats what was last promised to be on disk. A store behind it has
lost something and is refused, untouched; a store ahead of it was killed between the two writes, which is harmless. The
write-ahead log is read up to its last whole record: a torn tail was never acknowledged. After a failed write the store
refuses every call, since memory must not run ahead of disk: the node stops and starts again.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Self

from rocksdict import Checkpoint, Rdict, RdictIter, WriteBatch, WriteOptions

from metrobloc.engine import rows
from metrobloc.engine.acknowledged import Acknowledged, AcknowledgedFile
from metrobloc.engine.keyfile import sync_path
from metrobloc.engine.rocks import damaged_journal, open_database
from metrobloc.engine.rows import Undo, block_rows, header_row, integer, receipts_of, s64, tile_key, u64, undo_of
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import Sealed

FORMAT = b"metrobloc-store/2"
NO_BLOCK = -1
STALL_PAUSE_S = 0.01
STALLS_MAX = 6000
RESERVED = frozenset({"format", "genesis", "head", "writes"})
RESTORE = "Restore the node from a backup, then run `metrobloc audit`."


class StoreError(MachineFault):
    """Say in one sentence what is wrong with the store, and what to do."""


class WriteFailed(StoreError):
    """Say that a write did not reach the disk; the store refuses every call from then on."""


class Store:
    """Guard the one open database of a data folder. Reads may come from any thread; writes take turns."""

    def __init__(self, path: Path, database: Rdict, acknowledged: AcknowledgedFile) -> None:
        """Take over what `open` has checked."""
        self.path, self._database, self._acknowledged = path, database, acknowledged
        self._turn = Lock()
        self._failure: StoreError | None = None
        self._expired_through = 0
        self._at_once = WriteOptions()
        self._at_once.no_slowdown = True
        self._genesis = sha256(self.meta("genesis") or b"").hexdigest()
        self._head, self._writes = integer(self.meta("head") or b""), integer(self.meta("writes") or b"")

    @classmethod
    def create(cls, path: Path, genesis: bytes) -> Self:
        """Make the store of a new chain at a path that is free, and open it; a kill leaves the path free."""
        fresh = path.with_name(f"{path.name}.unfinished")
        batch = WriteBatch(raw_mode=True)
        for name, value in (("format", FORMAT), ("genesis", genesis), ("head", s64(NO_BLOCK)), ("writes", s64(0))):
            batch.put(b"m" + name.encode(), value)
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700, parents=True)
            database = open_database(fresh / "rocks", create=True)
            database.write(batch)
            database.flush()
            database.close()
            _settle(fresh, path, Acknowledged(sha256(genesis).hexdigest(), 0, NO_BLOCK, b""))
        except Exception as error:
            raise StoreError(
                f"No store can be made at {path} ({error}). Name a free path on a disk with space."
            ) from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a store after checking it; StoreError, with the data left as it was, when it cannot be trusted."""
        acknowledged = _locked(path)
        try:
            newest = _check_files(path, acknowledged)
            looked_at = open_database(path / "rocks", read_only=True)
            try:
                _check(path, looked_at, newest)
            finally:
                looked_at.close()
            store = cls(path, open_database(path / "rocks"), acknowledged)
            if store._writes != newest.writes:
                acknowledged.write(store._state())
        except StoreError:
            acknowledged.close()
            raise
        except Exception as error:
            acknowledged.close()
            raise StoreError(f"The store {path} cannot be opened ({error}). {RESTORE}") from error
        return store

    def get(self, key: bytes) -> bytes | None:
        """Return the record under a state key, or None."""
        return self._row(b"s" + key)

    def scan(
        self, prefix: bytes, after: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` records under `prefix` beyond `after`, in key order or against it."""
        return self._page(b"s", prefix, after, limit, reverse=reverse)

    def get_index(self, key: bytes) -> bytes | None:
        """Return an index row, or None."""
        return self._row(b"i" + key)

    def scan_index(
        self, prefix: bytes, after: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` index rows under `prefix` beyond `after`, in key order or against it."""
        return self._page(b"i", prefix, after, limit, reverse=reverse)

    def leaves(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every state key with its record."""
        return ((key[1:], record) for key, record in self._rows(b"s"))

    def key_of(self, key_hash: bytes) -> bytes | None:
        """Return the state key with this SHA-256, or None when no record is under it."""
        return self._row(b"h" + key_hash)

    def block(self, height: int) -> bytes | None:
        """Return a block's JSON, or None."""
        return self._row(b"b" + u64(height))

    def receipts(self, height: int) -> list[bytes]:
        """Return a block's receipts in their order; none when there is no such block."""
        row = self._row(b"r" + u64(height))
        return [] if row is None else receipts_of(row)

    def header(self, height: int) -> tuple[bytes, int] | None:
        """Return a block's header and the size of the log after it, or None."""
        row = self._row(b"d" + u64(height))
        return None if row is None else (row[8:], integer(row[:8]))

    def write_set(self, height: int) -> rows.WriteSet | None:
        """Return the records that a block changed, key and new bytes or None, or None when there is no such block."""
        row = self._row(b"w" + u64(height))
        return None if row is None else rows.writes_of(row)

    def undo(self, height: int) -> Undo | None:
        """Return what a block changed, while it is one of the last 128, or None."""
        row = self._row(b"u" + u64(height))
        return None if row is None else undo_of(row)

    def tile(self, level: int, index: int) -> bytes:
        """Return a tile of the log as it stands; StoreError when it is missing."""
        row = self._row(tile_key(level, index))
        if row is None:
            raise StoreError(f"Tile {index} of level {level} is missing from {self.path}. {RESTORE}")
        return row

    def find(self, tx_id: bytes) -> tuple[int, int] | None:
        """Return the height of a transaction's block and the number of its receipt, or None."""
        row = self._row(b"x" + tx_id)
        return None if row is None else (integer(row[:8]), integer(row[8:]))

    def expiring(self, from_minute: int) -> list[tuple[int, bytes]]:
        """Return the ids that expire in or after a minute, concatenated, by minute."""
        return [(integer(key[1:9]), ids) for key, ids in self._rows(b"e", b"e" + u64(from_minute))]

    def meta(self, name: str) -> bytes | None:
        """Return what was put under this name, or None."""
        return self._row(b"m" + name.encode())

    def cursor(self) -> RdictIter:
        """Return a cursor over the rows as they are now, which sees no later write; `engine/frozen.py` reads it."""
        return self._database.iter()

    def head(self) -> int:
        """Return the height of the newest block, -1 before genesis is committed."""
        return self._head

    def read_all(self) -> int:
        """Read every row, which checks every checksum, and return their number; StoreError when one is damaged."""
        return sum(1 for _ in self._rows(b""))

    def commit(self, block: Sealed, meta: Mapping[str, bytes] | None = None) -> None:
        """Put a block and `meta` on disk in one synced write; on return they are there. WriteFailed ends the store."""
        with self._turn:
            if block.height != self._head + 1:
                raise ValueError(f"block {block.height} does not follow block {self._head}")
            expired = self._expired_rows(max(block.expired, default=-1))

            def fill(batch: WriteBatch) -> None:
                block_rows(batch, block)
                for key in expired:
                    batch.delete(key)

            self._write(fill, block.height, meta or {}, header_row(block))

    def put_meta(self, meta: Mapping[str, bytes]) -> None:
        """Put meta on disk between blocks, synced: a checkpoint that was renewed, a key that was rotated."""
        with self._turn:
            self._write(lambda _batch: None, self._head, meta, self._state().header)

    def backup(self, path: Path) -> None:
        """Copy the store as it is now to a free path, while it goes on working, and check that the copy opens."""
        fresh = path.with_name(f"{path.name}.unfinished")
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700, parents=True)
            with self._turn:
                state = self._state()
                Checkpoint(self._database).create_checkpoint(str(fresh / "rocks"))
            for file in sorted((fresh / "rocks").iterdir()):
                _copy_apart(file)
            _settle(fresh, path, state)
        except StoreError:
            raise
        except Exception as error:
            raise StoreError(
                f"No backup was made at {path} ({error}). Name a free path on a disk with space."
            ) from error
        type(self).open(path).close()

    def close(self) -> None:
        """Close the database and give up its lock."""
        failed = self._failure
        self._failure = failed or StoreError(f"The store {self.path} is closed.")
        try:
            self._database.close()
        except Exception as error:
            if failed is None:
                raise StoreError(
                    f"The store {self.path} could not be closed ({error}); nothing acknowledged is lost. "
                    "See to the disk and its free space, then start it again."
                ) from error
        finally:
            self._acknowledged.close()

    def _state(self) -> Acknowledged:
        header = self._row(b"d" + u64(self._head)) if self._head != NO_BLOCK else None
        return Acknowledged(self._genesis, self._writes, self._head, header or b"")

    def _write(self, fill: Callable[[WriteBatch], None], height: int, meta: Mapping[str, bytes], header: bytes) -> None:
        if self._failure:
            raise self._failure
        if not RESERVED.isdisjoint(meta):
            raise ValueError("the store keeps these names itself")
        names = {**meta, "head": s64(height), "writes": s64(self._writes + 1)}
        try:
            # Not one synced `write`: rocksdict keeps the interpreter to itself during it, but not during `flush_wal`.
            for _ in range(STALLS_MAX):
                if self._written(fill, names):
                    break
                sleep(STALL_PAUSE_S)
            else:
                raise TimeoutError("the disk did not keep up for a minute")  # noqa: TRY301  # ends as the others do
            self._database.flush_wal(sync=True)
            self._acknowledged.write(Acknowledged(self._genesis, self._writes + 1, height, header))
        except BaseException as error:
            self._failure = WriteFailed(
                f"Block {height} could not be written to {self.path} ({error!r}). "
                "The node stops; see to the disk and its free space, then start it again."
            )
            raise self._failure from error
        self._head, self._writes = height, self._writes + 1

    def _written(self, fill: Callable[[WriteBatch], None], names: Mapping[str, bytes]) -> bool:
        """Write at once, or return False when tables must be written first.

        Waiting for that inside RocksDB would stop every thread, and for ever when the disk was full for a moment: its
        recovery waits for the writer. A batch can be used once only, so it is made anew for each try.
        """
        batch = WriteBatch(raw_mode=True)
        fill(batch)
        for name, value in names.items():
            batch.put(b"m" + name.encode(), value)
        try:
            self._database.write(batch, self._at_once)
        except Exception as error:
            if "Write stall" not in str(error):
                raise
            return False
        return True

    def _expired_rows(self, through: int) -> list[bytes]:
        """Return the keys of what expires up to and in this minute, but for those that an earlier call returned."""
        rows = (key for key, _ in self._rows(b"e", b"e" + u64(self._expired_through)))
        expired = list(takewhile(lambda key: integer(key[1:9]) <= through, rows))
        self._expired_through = max(self._expired_through, through + 1)
        return expired

    def _row(self, key: bytes) -> bytes | None:
        if self._failure:
            raise self._failure
        try:
            row: bytes | None = self._database.get(key)
        except Exception as error:
            raise self._unreadable(error) from error
        return row

    def _page(
        self, kind: bytes, prefix: bytes, after: bytes | None, limit: int, *, reverse: bool
    ) -> list[tuple[bytes, bytes]]:
        start = None if after is None else kind + after
        rows = self._rows(kind + prefix, start, reverse=reverse)
        return list(islice(((key[1:], row) for key, row in rows if key != start), limit))

    def _rows(
        self, prefix: bytes, start: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows under a prefix from `start` (inclusive) on; their checksums are checked on the way."""
        if self._failure:
            raise self._failure
        rows = self._database.iter()
        if reverse:
            end = prefix[:-1] + bytes([prefix[-1] + 1])
            rows.seek_for_prev(end if start is None else min(start, end))
            if rows.key() == end:
                rows.prev()
        else:
            rows.seek(prefix if start is None else max(start, prefix))
        move = rows.prev if reverse else rows.next
        key = rows.key()  # None behind the last row
        while key is not None and key.startswith(prefix):
            yield key, rows.value()
            move()
            key = rows.key()
        try:
            rows.status()
        except Exception as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StoreError:
        return StoreError(f"The store {self.path} cannot be read ({error}). {RESTORE}")


def _check_files(path: Path, acknowledged: AcknowledgedFile) -> Acknowledged:
    """Return what was acknowledged last; StoreError when that or a journal is damaged."""
    newest = acknowledged.newest()
    if newest is None:
        raise StoreError(f"Both halves of {path / 'acknowledged'} are damaged. {RESTORE}")
    damaged = damaged_journal(path / "rocks")
    if damaged is not None:
        raise StoreError(f"The file {damaged} is damaged. {RESTORE}")
    return newest


def _check(path: Path, database: Rdict, newest: Acknowledged) -> None:
    """Refuse a database that is not the one, or not all of the one, that was acknowledged."""

    def row(key: bytes) -> bytes:
        found: bytes = database.get(key) or b""
        return found

    if row(b"mformat") != FORMAT:
        kept = row(b"mformat").decode(errors="replace")
        raise StoreError(f"The store {path} has the format {kept!r}, not {FORMAT.decode()!r}. Start the other version.")
    if sha256(row(b"mgenesis")).hexdigest() != newest.genesis:
        raise StoreError(f"{path / 'rocks'} and {path / 'acknowledged'} are of different chains. {RESTORE}")
    head, writes = integer(row(b"mhead")), integer(row(b"mwrites"))
    header = row(b"d" + s64(newest.height))
    if head < newest.height or writes < newest.writes or header != newest.header:
        raise StoreError(
            f"The store {path} ends at block {head}, write {writes}, but block {newest.height}, write {newest.writes}, "
            f"is the last acknowledged one: something is lost. {RESTORE}"
        )


def _locked(path: Path) -> AcknowledgedFile:
    try:
        return AcknowledgedFile(path / "acknowledged")
    except FileNotFoundError as error:
        raise StoreError(f"There is no whole store at {path}. Name the data folder of a node, or make one.") from error
    except BlockingIOError as error:
        raise StoreError(f"The store {path} is in use by another process. Stop that node first.") from error
    except OSError as error:
        raise StoreError(f"The store {path} cannot be opened ({error}). See to the folder's permissions.") from error


def _settle(fresh: Path, path: Path, state: Acknowledged) -> None:
    """Give a new folder its `acknowledged` and, all of it synced, its final name."""
    acknowledged = AcknowledgedFile(fresh / "acknowledged", create=True)
    acknowledged.write(state)
    acknowledged.close()
    for folder in (fresh / "rocks", fresh):
        sync_path(folder)
    fresh.rename(path)
    sync_path(path.parent)


def _copy_apart(file: Path) -> None:
    """Put a synced copy in the place of a file that may be a hard link into the store."""
    copy = file.with_name(f"{file.name}.copy")
    shutil.copyfile(file, copy)
    sync_path(copy)
    copy.replace(file)
