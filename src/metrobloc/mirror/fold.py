"""Fold blocks into a mirror: what each one wrote, its receipts and their events, all in one transaction of SQL.

A block is folded once: one that is there already is passed over, one whose predecessor is missing is refused. Several
blocks that are at hand go into one transaction; of a record that they write more than once only the last state goes
into the table of what is, while its history has them all.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from msgspec import Raw, Struct, field
from sqlalchemy.dialects import postgresql, sqlite

from metrobloc.kernel import codec
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.mirror import fulltext, schema
from metrobloc.mirror.database import REBUILD, MirrorProblem, height_of, read_meta
from metrobloc.mirror.schema import Mirrored, Schema

Row = dict[str, object]
MENTION = re.compile(rb'"([a-z2-7]{26})"(?!:)')
"""A text of JSON, and no name of a field, that reads like the id of an account or a record."""

REMOVED = Raw(b"null")
"""What stands for a record that is no more."""

_receipt = msgspec.json.Decoder(ReadReceipt)


class News(Struct, frozen=True):
    """A block as a reader hears of it: its header, the records it wrote (`null`: removed), and its receipts."""

    height: int
    time_ms: int
    state_root: str
    writes: dict[str, Raw]
    receipts: tuple[Raw, ...]


class _Rows(Struct):
    """What some blocks give: rows to add, by table; how records and their words end (None: removed)."""

    added: dict[sa.Table, list[Row]] = field(default_factory=dict)
    records: dict[str, dict[str, Row | None]] = field(default_factory=dict)
    words: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, table: sa.Table, row: Row) -> None:
        self.added.setdefault(table, []).append(row)


def fold(engine: sa.Engine, made: Schema, news: Sequence[News]) -> int:
    """Fold blocks that follow each other and return the mirror's height; MirrorProblem leaves it as it was."""
    with engine.begin() as connection:
        height = height_of(read_meta(connection), made)
        _require_same_history(connection, height, news)
        fresh = [block for block in news if block.height > height]
        rows = _Rows()
        for expected, block in enumerate(fresh, height + 1):
            if block.height != expected:
                sentence = f"Block {block.height} came after block {expected - 1}: blocks between them are missing."
                raise MirrorProblem("mirror_gap", sentence)
            _gather(rows, made, block)
        if fresh:
            _write(connection, made, rows)
            height = fresh[-1].height
            named = schema.meta.c.name == "height"
            connection.execute(sa.update(schema.meta).where(named).values(value=str(height)))
        return height


def _require_same_history(connection: sa.Connection, height: int, news: Sequence[News]) -> None:
    """Refuse a block that the mirror has with another result: the ledger was restored and went another way."""
    blocks = schema.blocks.c
    for block in news:
        if block.height == height:
            known = connection.execute(sa.select(blocks.state_root).where(blocks.height == height)).scalar_one()
            if known != block.state_root:
                sentence = f"The ledger has another block {height} than this mirror: it was restored. {REBUILD}"
                raise MirrorProblem("other_history", sentence)


def _gather(rows: _Rows, made: Schema, block: News) -> None:
    rows.add(schema.blocks, {"height": block.height, "time_ms": block.time_ms, "state_root": block.state_root})
    try:
        for number, (path, raw) in enumerate(block.writes.items()):
            what = path
            module, table, key = path.split("/", 2)
            _gather_record(rows, made.tables[f"{module}/{table}"], key, raw, (block.height, number))
        for index, receipt in enumerate(block.receipts):
            what = f"receipt {index}"
            _gather_receipt(rows, _receipt.decode(receipt), (block.height, index))
    except (KeyError, ValueError) as error:
        raise MirrorProblem(
            "mirror_unreadable",
            f"Block {block.height} cannot be mirrored: {what} is not as this version's modules declare it ({error}). "
            "Run the version that the node runs, and audit the node with `metrobloc audit`.",
        ) from error


def _gather_record(rows: _Rows, made: Mirrored, key: str, raw: Raw, at: tuple[int, int]) -> None:
    values: Row | None = None
    if raw != REMOVED:
        record = made.table.decoder.decode(raw)
        values = {one.name: _column(getattr(record, one.name), one.kind) for one in made.fields}
    past: Row = {"_key": key, "_height": at[0], "_number": at[1], "_removed": values is None}
    rows.add(made.history, past | (values or dict.fromkeys([one.name for one in made.fields])))
    parts = key.split("/", made.table.parts - 1)
    named: Row = dict(zip(schema.key_columns(made.table), parts, strict=True)) if made.table.parts > 1 else {}
    whole = None if values is None else {"_key": key, "_height": at[0]} | named | values
    rows.records.setdefault(made.place, {})[key] = whole
    if made.words is not None:
        rows.words[made.place, key] = "" if values is None else "\n".join(made.words(record))


def _column(value: object, kind: schema.Kind) -> object:
    return codec.encode(value).decode() if kind == "json" and value is not None else value


def _gather_receipt(rows: _Rows, receipt: ReadReceipt, at: tuple[int, int]) -> None:
    place: Row = {"height": at[0], "index": at[1]}
    said: Row = {"tx": receipt.tx, "code": receipt.code, "due": receipt.due, "call": receipt.call}
    rows.add(schema.receipts, place | said)
    for number, event in enumerate(receipt.events):
        told: Row = place | {"number": number}
        rows.add(schema.events, told | {"name": event.event, "fields": bytes(event.fields).decode()})
        for value in dict.fromkeys(MENTION.findall(event.fields)):
            rows.add(schema.mentions, told | {"value": value.decode()})


def _write(connection: sa.Connection, made: Schema, rows: _Rows) -> None:
    for table, added in rows.added.items():
        connection.execute(sa.insert(table), added)
    for place, records in rows.records.items():
        table = made.tables[place].current
        _remove(connection, table, [{"_key": key} for key, row in records.items() if row is None])
        _put(connection, table, ("_key",), [row for row in records.values() if row is not None])
    named = [({"place": place, "key": key}, text) for (place, key), text in rows.words.items()]
    _remove(connection, fulltext.texts, [name for name, text in named if not text])
    _put(connection, fulltext.texts, ("place", "key"), [{**name, "words": text} for name, text in named if text])


def _remove(connection: sa.Connection, table: sa.Table, keys: Sequence[Mapping[str, object]]) -> None:
    if keys:
        found = [table.c[name] == sa.bindparam(f"gone_{name}") for name in keys[0]]
        gone = [{f"gone_{name}": value for name, value in key.items()} for key in keys]
        connection.execute(sa.delete(table).where(*found), gone)


def _put(connection: sa.Connection, table: sa.Table, key: Sequence[str], rows: Sequence[Row]) -> None:
    """Add rows, or replace those that have the same key."""
    if rows:
        insert = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
        changed = {name: insert.excluded[name] for name in rows[0] if name not in key}
        connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changed), rows)
