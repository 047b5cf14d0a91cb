"""Find out whether something private lies about: planted strings in files, archives of them, and answers.

A string is looked for as it is, in other encodings, as hex, base64 (at each of its three offsets), reversed, in JSON
and in URLs; also within gzip and zlib files, and in the rows of SQLite and RocksDB, which keep them torn or compressed.
"""

import gzip
import json
import shutil
import sqlite3
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx

from metrobloc import app
from metrobloc.engine.rocks import open_database

INFLATED_BYTES_MAX = 64 << 20
SEVERAL_BYTES = 1 << 20
"""Rows are looked through together, up to so many bytes."""


@cache
def forms(planted: str) -> dict[str, bytes]:
    """Return how a string may be written, by what that is called."""
    texts = {
        "utf-8": planted.encode(),
        "utf-16-le": planted.encode("utf-16-le"),
        "utf-16-be": planted.encode("utf-16-be"),
        "utf-32-le": planted.encode("utf-32-le"),
    }
    with suppress(UnicodeEncodeError):
        texts["latin-1"] = planted.encode("latin-1")
    found = dict(texts)
    for name in ("utf-8", "utf-16-le"):
        data = texts[name]
        found[f"hex of {name}"] = data.hex().encode()
        found[f"HEX of {name}"] = data.hex().upper().encode()
        for offset in range(3):
            found[f"base64 of {name}, offset {offset}"] = _base64(data, offset)
            found[f"base64url of {name}, offset {offset}"] = (
                _base64(data, offset).replace(b"+", b"-").replace(b"/", b"_")
            )
    found["reversed"] = planted[::-1].encode()
    found["JSON"] = json.dumps(planted)[1:-1].encode()
    found["URL"] = quote(planted).encode()
    return found


def _base64(data: bytes, offset: int) -> bytes:
    """Return what base64 always shows of some bytes that begin at an offset in a group of three."""
    whole = b64encode(bytes(offset) + data)
    first, last = -(-offset * 8 // 6), (offset + len(data)) * 8 // 6
    return whole[first:last]


def found_in(data: bytes, planted: Iterable[str]) -> Iterator[str]:
    """Yield what of the planted strings bytes hold, and in which form; also in capitals or in small letters only."""
    views = {"": data, "inflated ": _inflated(data)}
    for text in planted:
        for written in dict.fromkeys((text, text.lower(), text.upper())):
            for name, form in forms(written).items():
                for view, bytes_ in views.items():
                    if form in bytes_:
                        yield f"{written!r} as {view}{name}"


def found_under(folder: Path, planted: Iterable[str]) -> list[str]:
    """List where files under a folder, their names, or the rows of databases among them hold planted strings."""
    some = list(planted)
    said = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        said += [f"{name} (its name): {what}" for what in found_in(name.encode(), some)]
        if path.is_file():
            data = path.read_bytes()
            said += [f"{name}: {what}" for what in found_in(data, some)]
            if data.startswith(b"SQLite format 3"):
                said += [f"{name} (a row): {what}" for row in _sql_rows(path) for what in found_in(row, some)]
        elif (path / "CURRENT").is_file():
            said += [f"{name} (a row): {what}" for row in _rocks_rows(path) for what in found_in(row, some)]
    return said


def found_at(url: str, planted: Iterable[str]) -> list[str]:
    """List where a node's answers hold planted strings; every answer must be given."""
    some = list(planted)
    said = []
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        mirrored = http.get("/v1/mirror/status").status_code == 200
        for path in paths(mirrored=mirrored):
            for answer in _pages(http, path):
                said += [f"{path}: {what}" for what in found_in(answer.content, some)]
                said += [f"{path} (headers): {what}" for what in found_in(repr(answer.headers.raw).encode(), some)]
        for text in some if mirrored else ():
            hits = http.get("/v1/search", params={"q": text}).json()
            said += [f"search: {hit}" for hit in hits["items"]]
    return said


def paths(*, mirrored: bool) -> list[str]:
    """List what can be asked of a node: how it stands, its pages, its whole chain, every row of every table."""
    apps = [*app.modules(), "kernel"]
    tables = [f"{module.name}/{table}" for module in app.modules().values() for table in module.tables]
    tables += ["kernel/accounts", "kernel/keys", "kernel/deadlines", "kernel/roles"]
    found = ["/", "/docs", "/v1/status", "/v1/genesis", "/v1/checkpoint", "/v1/trust", "/v1/apps", "/v1/params"]
    found += ["/v1/openapi.json", "/v1/blocks"]
    found += [f"/docs/{name}" for name in apps] + [f"/v1/apps/{name}" for name in apps]
    found += [f"/v1/tables/{table}?limit=500" for table in tables]
    if mirrored:
        found += ["/v1/mirror/events?limit=500", *(f"/v1/mirror/{table}?limit=500" for table in tables)]
    return found


def _pages(http: httpx.Client, path: str) -> Iterator[httpx.Response]:
    """Yield a path's answer, and those that continue it."""
    after = ""
    while True:
        answer = http.get(f"{path}&after={quote(after, safe='')}" if after else path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:200])
        yield answer
        told = answer.json() if "limit=" in path else {}
        if not told.get("next"):
            return
        after = told["next"]


def _sql_rows(path: Path) -> Iterator[bytes]:
    """Yield a SQLite file's rows as text; in the file a long one is torn apart."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            try:
                several = bytearray()
                for row in database.execute(f'SELECT * FROM "{name}"'):  # noqa: S608  # the file's own name
                    several += b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
                    several += b"\n"
                    if len(several) > SEVERAL_BYTES:
                        yield bytes(several)
                        several.clear()
                yield bytes(several)
            except sqlite3.Error as error:
                raise AssertionError(f"{path.name}: {name} cannot be read: {error}") from error


def _rocks_rows(path: Path) -> Iterator[bytes]:
    """Yield a database's rows, from a copy; in the files they are compressed."""
    with TemporaryDirectory() as folder:
        database = open_database(Path(shutil.copytree(path, Path(folder) / "store")))
        several = bytearray()
        for key, value in database.items():
            assert isinstance(key, bytes)
            assert isinstance(value, bytes)
            if value[:2] == b"\x1f\x8b" or _inflated(value):
                yield value
            several += key + b"\n" + value + b"\n"
            if len(several) > SEVERAL_BYTES:
                yield bytes(several)
                several.clear()
        yield bytes(several)
        database.close()


def _inflated(data: bytes) -> bytes:
    """Return what bytes hold when they are a gzip or zlib file, or nothing."""
    with suppress(OSError, EOFError, zlib.error):
        if data[:2] == b"\x1f\x8b":
            return gzip.decompress(data)[:INFLATED_BYTES_MAX]
        return zlib.decompressobj().decompress(data, INFLATED_BYTES_MAX)
    return b""
