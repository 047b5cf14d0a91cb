"""The file in which a mirror is kept: how it is opened for one writer and many readers, and how it is replaced.

SQLite in WAL mode: readers see the state of one moment and wait for nobody. A mirror is replaced inside its file, by
one transaction, so that whoever has it open sees the old one or the new one and never a mixture.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from metrobloc.kernel.errors import MachineFault
from metrobloc.mirror import fulltext
from metrobloc.mirror.schema import Schema, meta, own

MIRROR_FILE = "mirror.sqlite"
"""What a node's mirror is called in its data folder."""

NO_BLOCK = -1
REBUILD = "Make one with `metrobloc mirror rebuild`; `metrobloc mirror follow` keeps it up."
WAIT_S = 30
"""So long does a writer wait for another one."""

WORK_STEP = 100_000
WORK_STEPS_MAX = 500
"""A question may cost so many steps of so many of SQLite's instructions: a second or two."""

CACHE_KIB = 128 << 10
WAL_PAGES = 16_000
"""Ids are random, so each record touches pages all over the file; a page that changes again soon is written once."""

READERS = 8
READERS_MORE = 56


class MirrorProblem(MachineFault):
    """Say with a code and a sentence why the mirror cannot answer or go on, and what to do."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@contextmanager
def file_of(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a mirror's file into a problem with what to do."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        said = str(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
        if said == "interrupted":
            sentence = "This question would read too much; ask with a filter, or in that filter's own order."
            raise MirrorProblem("too_much_work", sentence) from error
        raise MirrorProblem("no_mirror", f"{path} is no mirror that can be used ({said}). {REBUILD}") from error


def open_writer(path: Path, *, fast: bool = False) -> sa.Engine:
    """Open a mirror's file for its one writer, and make it when there is none.

    `fast` is for a file that is thrown away after a crash: nothing is synced then.
    """

    def connect() -> sqlite3.Connection:
        connection = _connect(path, "rwc")
        connection.execute("PRAGMA journal_mode = OFF" if fast else "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF" if fast else "PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        return connection

    return _engine(connect, lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))


def open_reader(path: Path) -> sa.Engine:
    """Open a mirror's file for many readers, each transaction with an allowance of work; nothing can be written."""

    def begin(begun: sa.Connection) -> None:
        steps = count(1)
        driver = begun.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_progress_handler(lambda: next(steps) > WORK_STEPS_MAX, WORK_STEP)
        begun.exec_driver_sql("BEGIN")

    return _engine(lambda: _connect(path, "ro"), begin)


def prepare(engine: sa.Engine, schema: Schema, genesis: bytes) -> int:
    """Make the tables where there are none, and return the mirror's height (-1: it has not even the genesis).

    MirrorProblem when the file holds the mirror of another chain, or was made from other declarations.
    """
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table(meta.name):
            own.create_all(connection)
            fulltext.create(connection)
            schema.metadata.create_all(connection)
            facts = {"genesis": genesis.decode(), "schema": schema.digest, "height": str(NO_BLOCK)}
            connection.execute(sa.insert(meta), [{"name": name, "value": value} for name, value in facts.items()])
            return NO_BLOCK
        facts = read_meta(connection)
    if facts["genesis"] != genesis.decode():
        raise MirrorProblem("other_chain", "This mirror is of another chain; choose another file for it.")
    return height_of(facts, schema)


def read_meta(connection: sa.Connection) -> dict[str, str]:
    """Return what a mirror says about itself: `genesis`, `schema`, `height`."""
    return {row.name: row.value for row in connection.execute(sa.select(meta))}


def height_of(facts: dict[str, str], schema: Schema) -> int:
    """Return a mirror's height; MirrorProblem when it was made from other declarations."""
    if facts["schema"] != schema.digest:
        sentence = f"This mirror was made from other declarations than the modules have now. {REBUILD}"
        raise MirrorProblem("mirror_schema", sentence)
    return int(facts["height"])


def read_facts(path: Path) -> dict[str, str]:
    """Return what the mirror in a file says about itself; MirrorProblem when there is none."""
    require_file(path)
    engine = open_reader(path)
    try:
        with file_of(path), engine.begin() as connection:
            return read_meta(connection)
    finally:
        engine.dispose()


def require_file(path: Path) -> os.stat_result:
    """Return what the system says of a mirror's file; MirrorProblem when there is none."""
    try:
        return path.stat()
    except OSError as error:
        raise MirrorProblem("no_mirror", f"There is no mirror at {path}. {REBUILD}") from error


def replace(fresh: Path, path: Path) -> None:
    """Put a finished mirror in the place of another's content, in one transaction of that file, and remove it."""
    try:
        _copy(fresh, path)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        _copy(fresh, path)
    fresh.unlink()


def _copy(fresh: Path, path: Path) -> None:
    source, target = _connect(fresh, "ro"), _connect(path, "rwc")
    try:
        target.execute("PRAGMA journal_mode = WAL")
        source.backup(target)
    finally:
        source.close()
        target.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # Without an isolation level the driver begins and ends no transaction by itself.
    name = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(name, uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False)


def _engine(connect: Callable[[], sqlite3.Connection], begin: Callable[[sa.Connection], object]) -> sa.Engine:
    engine = sa.create_engine(
        "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=READERS, max_overflow=READERS_MORE
    )
    sa.event.listen(engine, "begin", begin)
    return engine
