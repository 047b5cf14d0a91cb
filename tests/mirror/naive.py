"""What a mirror must hold, folded from sealed blocks in the plainest way, and the comparison with a mirror's file."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from metrobloc.app import modules
from metrobloc.engine.audit import Audit, Modules
from metrobloc.engine.solo import genesis_of, present
from metrobloc.engine.store import Store
from metrobloc.kernel import codec
from metrobloc.kernel.machine import Sealed
from metrobloc.kernel.receipts import Header
from metrobloc.mirror.fold import REMOVED, News
from metrobloc.mirror.schema import Mirrored, Schema

Cells = dict[str, object]


def told(sealed: Sealed) -> News:
    """Return a sealed block as a feed tells it."""
    header = msgspec.json.decode(sealed.header, type=Header)
    writes = {key.decode(): REMOVED if new is None else Raw(new) for key, (_, new) in sealed.writes.items()}
    return News(sealed.height, sealed.time_ms, header.state_root, writes, tuple(map(Raw, sealed.receipts)))


def audited(store: Store, program: Modules = modules) -> list[Sealed]:
    """Return what re-execution gives of a store's blocks."""
    audit, seen = Audit(genesis_of(store), program), list[Sealed]()
    heights = range(1, store.head() + 1)
    audit.run(((present(store.block(h)), present(store.header(h))[0]) for h in heights), seen.append)
    assert audit.report.problems == []
    return seen


def same(path: Path, schema: Schema, blocks: Sequence[Sealed]) -> None:
    """Assert that a mirror holds what these blocks left, in every table, row by row, and nothing else."""
    with closing(sqlite3.connect(path)) as database:
        for place, made in schema.tables.items():
            assert _rows(database, made.current.name) == _current(place, made, blocks)
            assert _rows(database, made.history.name) == _history(place, made, blocks)
        receipts = [msgspec.json.decode(raw) for block in blocks for raw in block.receipts]
        assert _rows(database, "receipts") == _sorted(
            {name: receipt.get(name, "") for name in ("height", "index", "tx", "code", "due")}
            | {"call": receipt.get("call", 0)}
            for receipt in receipts
        )
        events = [
            {"height": receipt["height"], "index": receipt["index"], "number": number, **event}
            for receipt in receipts
            for number, event in enumerate(receipt.get("events", []))
        ]
        found = database.execute("SELECT height, [index], number, name, fields FROM events ORDER BY 1, 2, 3").fetchall()
        assert [(*row[:4], msgspec.json.decode(row[4])) for row in found] == [
            (e["height"], e["index"], e["number"], e["event"], e["fields"]) for e in events
        ]
        assert _rows(database, "mentions") == _sorted(
            {"value": value, "height": e["height"], "index": e["index"], "number": e["number"]}
            for e in events
            for value in set(_ids(e["fields"]))
        )
        headers = [msgspec.json.decode(block.header) for block in blocks]
        assert _rows(database, "blocks") == _sorted(
            {"height": h["height"], "time_ms": h["time_ms"], "state_root": h["state_root"]} for h in headers
        )
        meta = dict(database.execute("SELECT name, value FROM meta"))
        assert int(meta["height"]) == (blocks[-1].height if blocks else -1)


def _current(place: str, made: Mirrored, blocks: Sequence[Sealed]) -> list[Cells]:
    rows: dict[str, Cells] = {}
    for block in blocks:
        for key, new in _writes(place, block):
            rows.pop(key, None)
            if new is not None:
                parts = {f"_key_{n}": part for n, part in enumerate(key.split("/"), 1)} if "/" in key else {}
                rows[key] = {"_key": key, **parts, "_height": block.height, **_cells(made, new)}
    return _sorted(rows.values())


def _history(place: str, made: Mirrored, blocks: Sequence[Sealed]) -> list[Cells]:
    rows = []
    for block in blocks:
        numbers = {path: number for number, path in enumerate(block.writes)}
        for key, new in _writes(place, block):
            number = numbers[f"{place}/{key}".encode()]
            head = {"_key": key, "_height": block.height, "_number": number, "_removed": int(new is None)}
            rows.append(head | _cells(made, new))
    return _sorted(rows)


def _writes(place: str, block: Sealed) -> list[tuple[str, bytes | None]]:
    prefix = f"{place}/"
    named = [(key.decode(), new) for key, (_, new) in block.writes.items()]
    return [(key.removeprefix(prefix), new) for key, new in named if key.startswith(prefix)]


def _cells(made: Mirrored, raw: bytes | None) -> Cells:
    """Return a record's fields as columns hold them, from what the type says and nothing of the mirror's own."""
    names = made.table.record.__struct_fields__
    if raw is None:
        return dict.fromkeys(names)
    record = msgspec.json.decode(raw, type=made.table.record)
    return {name: _cell(getattr(record, name)) for name in names}


def _cell(value: Any) -> object:  # noqa: ANN401  # whatever a field holds
    if value is None or isinstance(value, str | int):
        return value
    return codec.encode(value).decode()


def _rows(database: sqlite3.Connection, table: str) -> list[Cells]:
    cursor = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # names from the schema
    names = [column[0] for column in cursor.description]
    return _sorted(dict(zip(names, row, strict=True)) for row in cursor)


def _sorted(rows: Any) -> list[Cells]:  # noqa: ANN401  # any iterable of rows
    return sorted(rows, key=lambda row: [str(value).rjust(20) for value in row.values()])


def _ids(value: Any) -> list[str]:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return [one for part in value.values() for one in _ids(part)]
    if isinstance(value, list):
        return [one for part in value for one in _ids(part)]
    return [value] if isinstance(value, str) and re.fullmatch("[a-z2-7]{26}", value) else []
