"""The search for planted strings finds them however they are written, and nothing where there is nothing."""

import base64
import gzip
import json
import random
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from metrobloc.engine.rocks import open_database
from tests.planted import found_at, found_in, found_under
from tests.surface.city import Node

NAME = "Zoë Quisquilia-Öztürk 1964"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_base64_and_hex_are_seen_through(before: bytes, encoding: str) -> None:
    data = before + NAME.encode(encoding) + b"\xff\xfe"
    for written in (base64.b64encode(data), base64.urlsafe_b64encode(data), data.hex().encode()):
        assert list(found_in(b"..." + written + b"...", [NAME]))
    assert not list(found_in(base64.b64encode(before + b"Somebody else altogether"), [NAME]))


@pytest.mark.parametrize(
    "data",
    [
        NAME.encode(),
        NAME.upper().encode(),
        NAME.encode("utf-16"),
        NAME.encode("utf-32"),
        NAME.encode("latin-1"),
        NAME[::-1].encode(),
        json.dumps({"name": NAME}).encode(),
        quote(NAME).encode(),
        gzip.compress(NAME.encode(), mtime=0),
        zlib.compress(b"x" * 999 + NAME.encode()),
    ],
)
def test_other_forms_are_seen_through(data: bytes) -> None:
    assert list(found_in(data, ["nothing", NAME]))
    assert not list(found_in(data, ["nothing"]))


def test_files_names_and_rows_are_looked_through(tmp_path: Path) -> None:
    assert found_under(tmp_path, [NAME]) == []
    (tmp_path / "plain").write_bytes(b"x" * 99_999 + NAME.encode())
    (tmp_path / NAME).mkdir()
    with closing(sqlite3.connect(tmp_path / "rows.sqlite")) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (?)", ("y" * 4050 + NAME,))  # torn over two pages
        database.commit()
    said = found_under(tmp_path, [NAME])
    assert any(line.startswith("plain: ") for line in said)
    assert any("(its name)" in line for line in said)
    assert any(line.startswith("rows.sqlite (a row)") for line in said)


def test_rows_of_a_store_are_looked_through_though_it_compresses(tmp_path: Path) -> None:
    database = open_database(tmp_path / "store", create=True)
    chance = random.Random(1)
    words = [chance.randbytes(6).hex() for _ in range(50)]
    for number in range(3000):
        text = " ".join(chance.choices(words, k=20))
        database[b"%06d" % number] = f"{text} {NAME[: number % len(NAME)]} {text}".encode()
    database[b"planted"] = NAME.encode()
    database.flush()
    database.compact_range(None, None)
    database.close()
    assert any("(a row)" in line for line in found_under(tmp_path, [NAME]))
    assert found_under(tmp_path, ["Nobody-of-this-name"]) == []


def test_answers_are_looked_through(node: Node) -> None:
    assert found_at(node.url, ["Nobody-of-this-name"]) == []
    wheelchair = found_at(node.url, ["Zhao"])
    assert {line.partition(":")[0] for line in wheelchair} >= {"/v1/blocks", "/v1/tables/charity/campaigns?limit=500"}
