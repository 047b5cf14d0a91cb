"""Ask a mirror: pages of a table, a record's past, events, words. Every answer is of one moment and says its height.

A page is continued from the last record's place in the order, not by counting: what arrives or goes in between neither
doubles nor hides a record that was there all along and stayed where it was.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Raw, Struct

from metrobloc.kernel import codec
from metrobloc.kernel.types import INT_MAX
from metrobloc.mirror import fulltext, schema
from metrobloc.mirror.asking import KEY, Ask, BadQuestion, Value, Whole, orders, read_cursor, shown, write_cursor
from metrobloc.mirror.database import file_of, height_of, open_reader, read_meta, require_file
from metrobloc.mirror.fold import REMOVED
from metrobloc.mirror.schema import Field, Mirrored, Schema

T = TypeVar("T")
Condition = sa.ColumnElement[bool]
SPOT = ("height", "index", "number")
"""Where an event stands: its block, its receipt, its number there."""


class Page(Struct, Generic[T], frozen=True):
    """Some items as they were at a height of the ledger, and what continues them as `after`, if anything does."""

    height: int
    items: list[T]
    next: str | None


class Kept(Struct, frozen=True):
    """A record as the ledger has it, under its key, and the height of the block that wrote it."""

    key: str
    value: Raw
    height: int


class Past(Struct, frozen=True):
    """A record as a block left it; its value is `null` where the block removed it."""

    value: Raw
    height: int
    time_ms: int


class Happened(Struct, frozen=True):
    """An event, where it stands in the log, and what caused it: a transaction or a deadline."""

    event: str
    fields: Raw
    height: int
    index: int
    number: int
    time_ms: int
    tx: str
    due: str


class Hit(Struct, frozen=True):
    """A record whose public texts hold the words that were looked for."""

    table: str
    key: str
    value: Raw
    height: int


class EventAsk(Struct, frozen=True):
    """A question to the events: of this name, speaking of this account or record, in these heights (both included)."""

    name: str = ""
    about: str = ""
    least: int = 0
    most: int | None = None
    reverse: bool = False
    after: str = ""
    limit: int = 50


class Mirror:
    """A mirror's file for reading, from any thread. It need not be there yet, and may be replaced at any time."""

    def __init__(self, path: Path, made: Schema) -> None:
        """Name the file and the declarations from which it must have been made."""
        self.path = path
        self.schema = made
        self._turn = Lock()
        self._file: tuple[int, int] | None = None
        self._engine = open_reader(path)

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def height(self) -> int:
        """Return up to which block the mirror is; MirrorProblem when there is none."""
        with self._moment() as (_, height):
            return height

    @contextmanager
    def rows(self) -> Iterator[tuple["MirrorRows", int]]:
        """Open the ledger's records as the mirror has them at one moment, and tell its height."""
        with self._moment() as (connection, height):
            yield MirrorRows(connection, self.schema), height

    def page(self, made: Mirrored, ask: Ask) -> Page[Kept]:
        """Return the records of a table that a question asks for, in its order."""
        table = made.current
        chosen = [
            *(table.c[name].is_not_distinct_from(value) for name, value in ask.where.items()),
            *(table.c[name] >= value for name, value in ask.least.items()),
            *(table.c[name] <= value for name, value in ask.most.items()),
        ]
        rows: list[sa.RowMapping] = []
        with self._moment() as (connection, height):
            for stretch, order in _stretches(made, ask):
                asked = sa.select(table).where(*chosen, *stretch).order_by(*order).limit(ask.limit + 1 - len(rows))
                rows += connection.execute(asked).mappings()
        items = [Kept(row[KEY], _record(made, row), row["_height"]) for row in rows]
        return _page(height, items, ask.limit, lambda at: (ask.order, ask.reverse, rows[at][ask.order], rows[at][KEY]))

    def history(self, made: Mirrored, key: str, after: str, limit: int) -> Page[Past]:
        """Return what blocks made of a record, oldest first."""
        table = made.history
        behind = table.c["_height"] > (read_cursor(after, tuple[Whole])[0] if after else -1)
        return self._past(made, sa.and_(table.c[KEY] == key, behind), table.c["_height"].asc(), limit)

    def as_of(self, made: Mirrored, key: str, height: int) -> Page[Past]:
        """Return what a record was at a height: one item, or none when there had been no such record yet."""
        table = made.history
        before = sa.and_(table.c[KEY] == key, table.c["_height"] <= height)
        page = self._past(made, before, table.c["_height"].desc(), 1)
        return Page(page.height, page.items, None)

    def events(self, ask: EventAsk) -> Page[Happened]:
        """Return events in the order of the log, or against it."""
        events, mentions = schema.events, schema.mentions
        place = mentions if ask.about else events
        spot = [place.c[name] for name in SPOT]
        chosen = [place.c.height >= ask.least, place.c.height <= (INT_MAX if ask.most is None else ask.most)]
        if ask.about:
            chosen += [mentions.c.value == ask.about, *(mentions.c[name] == events.c[name] for name in SPOT)]
        if ask.name:
            chosen.append(events.c.name == ask.name)
        if ask.after:
            last = sa.tuple_(*map(sa.literal, read_cursor(ask.after, tuple[Whole, Whole, Whole])))
            chosen.append(sa.tuple_(*spot) < last if ask.reverse else sa.tuple_(*spot) > last)
        receipts, blocks = schema.receipts, schema.blocks
        chosen += [receipts.c.height == events.c.height, receipts.c.index == events.c.index]
        chosen += [blocks.c.height == events.c.height]
        asked = sa.select(events, blocks.c.time_ms, receipts.c.tx, receipts.c.due).where(*chosen)
        ordered = asked.order_by(*(column.desc() if ask.reverse else column.asc() for column in spot))
        with self._moment() as (connection, height):
            rows = connection.execute(ordered.limit(ask.limit + 1)).mappings().all()
        items = [
            Happened(row["name"], Raw(row["fields"].encode()), *(row[name] for name in (*SPOT, "time_ms", "tx", "due")))
            for row in rows
        ]
        return _page(height, items, ask.limit, lambda at: (items[at].height, items[at].index, items[at].number))

    def search(self, text: str, after: str, limit: int) -> Page[Hit]:
        """Return records whose public texts hold all of some words, of which the last may be begun only."""
        with self._moment() as (connection, height):
            hits = fulltext.find(connection, text, read_cursor(after, tuple[Whole])[0] if after else 0, limit + 1)
            items = [self._found(connection, place, key) for _, place, key in hits]
        return _page(height, items, limit, lambda at: (hits[at][0],))

    def _past(
        self, made: Mirrored, which: sa.ColumnElement[bool], order: sa.ColumnElement[int], limit: int
    ) -> Page[Past]:
        at = schema.blocks.c.height == made.history.c["_height"]
        asked = sa.select(made.history, schema.blocks.c.time_ms).where(which, at).order_by(order).limit(limit + 1)
        with self._moment() as (connection, height):
            rows = connection.execute(asked).mappings().all()
        items = [
            Past(REMOVED if row["_removed"] else _record(made, row), row["_height"], row["time_ms"]) for row in rows
        ]
        return _page(height, items, limit, lambda place: (items[place].height,))

    def _found(self, connection: sa.Connection, place: str, key: str) -> Hit:
        made = self.schema.tables[place]
        row = connection.execute(sa.select(made.current).where(made.current.c[KEY] == key)).mappings().one()
        return Hit(place, key, _record(made, row), row["_height"])

    @contextmanager
    def _moment(self) -> Iterator[tuple[sa.Connection, int]]:
        """Open the mirror as it is at one moment, and tell its height."""
        with file_of(self.path), self._opened().begin() as connection:
            yield connection, height_of(read_meta(connection), self.schema)

    def _opened(self) -> sa.Engine:
        """Return the engine; forget its connections when the file is another one than theirs."""
        found = require_file(self.path)
        with self._turn:
            if self._file != (found.st_dev, found.st_ino):
                self._file = (found.st_dev, found.st_ino)
                self._engine.dispose()
        return self._engine


class MirrorRows:
    """The ledger's records out of a mirror, as the kernel's queries read them from a store: the same answers."""

    def __init__(self, connection: sa.Connection, made: Schema) -> None:
        """Bind to a moment of the mirror."""
        self.connection = connection
        self.schema = made

    def get(self, key: bytes) -> bytes | None:
        """Return a record's bytes, or None."""
        found = self._table(key)
        if found is None:
            return None
        made, part = found
        row = self.connection.execute(sa.select(made.current).where(made.current.c[KEY] == part)).mappings().first()
        return None if row is None else bytes(_record(made, row))

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` records under a prefix, beyond `after` if that is given, in key order."""
        found = self._table(prefix)
        if found is None:
            return []
        (made, under), key = found, found[0].current.c[KEY]
        # Keys are printable ASCII, so that nothing of the prefix lies behind its last byte and one that is higher.
        chosen = [key >= under, key < under[:-1] + chr(ord(under[-1]) + 1)] if under else []
        if after is not None:
            chosen.append(key > after.decode()[len(made.place) + 1 :])
        asked = sa.select(made.current).where(*chosen).order_by(key).limit(limit)
        rows = self.connection.execute(asked).mappings().all()
        return [(f"{made.place}/{row[KEY]}".encode(), bytes(_record(made, row))) for row in rows]

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Refuse: handlers walk indexes, and a mirror runs none."""
        raise NotImplementedError(f"{prefix!r} {after!r} {limit}: a mirror has no indexes of the ledger's.")

    def _table(self, path: bytes) -> tuple[Mirrored, str] | None:
        app, _, rest = path.decode().partition("/")
        table, _, part = rest.partition("/")
        made = self.schema.tables.get(f"{app}/{table}")
        return None if made is None else (made, part)


def _stretches(made: Mirrored, ask: Ask) -> list[tuple[list[Condition], list[sa.ColumnElement[Any]]]]:
    """Return the parts of an order, each with what belongs to it and is beyond the cursor; each goes by one index.

    Records that lack the field are a part of their own, since nothing is less or greater than what is not there.
    """
    key = made.current.c[KEY]
    place = read_cursor(ask.after, tuple[str, bool, str | bool | Whole | None, str]) if ask.after else None
    field = next((field for field in made.fields if field.name == ask.order), None)
    if ask.order not in orders(made):
        raise BadQuestion(f"There is no order {shown(ask.order)} here. There are: {', '.join(orders(made))}.")
    if place is not None and (place[:2] != (ask.order, ask.reverse) or not _fits(field, place)):
        raise BadQuestion("`after` is of another order; begin again without it.")
    if field is None:
        return [([] if place is None else [_beyond(ask, (key,), place[3:])], _ordered(ask, key))]
    column = made.current.c[field.name]
    lacking: list[Condition] = [column.is_(None)]
    filled: list[Condition] = [column.is_not(None)]
    parts = [(lacking, _ordered(ask, key)), (filled, _ordered(ask, column, key))][0 if field.optional else 1 :]
    if ask.reverse:
        parts.reverse()
    if place is None:
        return parts
    if place[2] is None:
        lacking.append(_beyond(ask, (key,), place[3:]))
    else:
        filled.append(_beyond(ask, (column, key), place[2:]))
    done = field.optional and (place[2] is None) == ask.reverse
    return parts[1:] if done else parts


def _fits(field: Field | None, place: tuple[str, bool, Value, str]) -> bool:
    """Tell whether a cursor's value is one that the field can have."""
    if field is None or place[2] is None:
        return field is None or field.optional
    return type(place[2]) is {"integer": int, "boolean": bool, "text": str, "json": str}[field.kind]


def _beyond(ask: Ask, columns: Sequence[sa.ColumnElement[Any]], values: Sequence[Value]) -> Condition:
    pair, last = sa.tuple_(*columns), sa.tuple_(*map(sa.literal, values))
    return pair < last if ask.reverse else pair > last


def _ordered(ask: Ask, *columns: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    return [column.desc() if ask.reverse else column.asc() for column in columns]


def _record(made: Mirrored, row: sa.RowMapping) -> Raw:
    """Return a record's bytes as the ledger has them."""
    cells = {field.name: row[field.name] for field in made.fields}
    for field in made.fields:
        if field.kind == "json" and cells[field.name] is not None:
            cells[field.name] = msgspec.json.decode(cells[field.name])
    # What has its default is left out on the ledger; msgspec tells so by the text itself, not by one that is equal.
    for name, default in made.defaults:
        if cells[name] == default:
            del cells[name]
    return Raw(codec.encode(msgspec.convert(cells, made.table.record)))


def _page(height: int, items: list[T], limit: int, place: Callable[[int], Iterable[Value]]) -> Page[T]:
    """Return a page of what was asked for with one item more than it may have."""
    return Page(height, items[:limit], write_cursor(place(limit - 1)) if len(items) > limit else None)
