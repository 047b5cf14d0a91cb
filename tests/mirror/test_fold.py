"""A mirror equals a naive fold of what re-execution gives: stories and chance, in any batches, after kills."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import Raw

from metrobloc.app import STORIES, modules
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.engine.solo import Solo
from metrobloc.kernel.machine import Sealed
from metrobloc.mirror.database import MirrorProblem, open_writer, prepare
from metrobloc.mirror.fold import News, fold
from metrobloc.mirror.follow import batches, from_store, rebuild, schema_of
from metrobloc.mirror.schema import make_schema
from metrobloc.surface.running import play
from metrobloc.testing.sandbox import START_MS
from metrobloc.testing.simulate import simulate
from tests.mirror import toys
from tests.mirror.naive import audited, same, told
from tests.support import ROOT, rounds

STEPS = 300
schema = make_schema(modules().values())


@pytest.fixture(scope="module")
def chain() -> list[Sealed]:
    """Return a random chain of all applications."""
    return simulate(modules().values(), 4, STEPS).sandbox.sealed


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_writer(tmp_path / "mirror.sqlite")
    prepare(engine, toys.schema, toys.GENESIS)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("story", sorted(STORIES))
def test_a_rebuilt_mirror_is_what_the_audit_saw(story: str, tmp_path: Path) -> None:
    genesis = demo_genesis(START_MS, modules())
    node = Solo.create(tmp_path / "city", genesis, modules())
    play(node, STORIES[story], lambda _: None)
    store, seen = node.store, audited(node.store)
    for _ in range(2):  # the second one replaces the first
        path, done = tmp_path / "mirror.sqlite", list[int]()
        assert rebuild(path, schema_of(genesis, modules()), genesis, from_store(store), done.append) == store.head()
        same(path, schema, seen)
        assert sum(done) == len(seen)
    assert [file.name for file in tmp_path.glob("mirror.sqlite.unf*")] == []
    node.close()


def test_batches_of_any_size_give_the_same_mirror(chain: list[Sealed], tmp_path: Path) -> None:
    for seed in range(rounds(2, 20)):
        draw, path = random.Random(seed), tmp_path / f"{seed}.sqlite"
        engine, at = open_writer(path), 0
        prepare(engine, schema, toys.GENESIS)
        while at < len(chain):
            first, at = max(0, at - draw.randrange(3)), at + draw.choice((1, 1, 2, 10, 100))
            assert fold(engine, schema, [told(block) for block in chain[first:at]]) == chain[:at][-1].height
        assert fold(engine, schema, [told(chain[0])]) == chain[-1].height
        engine.dispose()
        same(path, schema, chain)


def test_a_follower_killed_at_any_moment_takes_up_again(chain: list[Sealed], tmp_path: Path) -> None:
    feed, path, draw = tmp_path / "feed", tmp_path / "mirror.sqlite", random.Random(11)
    feed.write_bytes(b"".join(msgspec.json.encode(told(block)) + b"\n" for block in chain))
    command = [sys.executable, "-m", "tests.mirror.folder", str(feed), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as folder:
        for _ in range(rounds(20, 500)):
            start, acknowledged = killed(folder, draw.randrange(len(chain) // 5))
            engine = open_writer(path)
            height = prepare(engine, schema, toys.GENESIS)
            engine.dispose()
            assert start <= acknowledged <= height <= chain[-1].height
            same(path, schema, chain[: height + 1])
            if height == chain[-1].height:
                path.unlink()
        folder.communicate()


def killed(folder: "subprocess.Popen[str]", after: int) -> tuple[int, int]:
    """Kill a follower after it has said some heights; return at which it began, and the last that it said."""
    assert folder.stdin is not None
    assert folder.stdout is not None
    folder.stdin.write("again\n")
    folder.stdin.flush()
    process, start = map(int, folder.stdout.readline().split())
    said = [start]
    while len(said) <= after and (line := folder.stdout.readline()) != "ended\n":
        said.append(int(line))
    if len(said) > after:
        with suppress(ProcessLookupError):  # it may just have come to its end
            os.kill(process, signal.SIGKILL)
        said += map(int, iter(folder.stdout.readline, "ended\n"))
    return start, said[-1]


def test_an_unfinished_rebuild_leaves_the_old_mirror(writer: sa.Engine, tmp_path: Path) -> None:
    fold(writer, toys.schema, [toys.news(0, {"things/a": toys.thing()})])

    def broken() -> Iterator[list[News]]:
        yield [toys.news(0, {})]
        raise RuntimeError("the disk is gone")

    path = tmp_path / "mirror.sqlite"
    with pytest.raises(RuntimeError, match="gone"):
        rebuild(path, toys.schema, toys.GENESIS, broken(), lambda _: None)
    assert prepare(writer, toys.schema, toys.GENESIS) == 0
    good = batches(toys.news(height, {}) for height in range(3))
    assert rebuild(path, toys.schema, toys.GENESIS, good, lambda _: None) == 2
    assert prepare(writer, toys.schema, toys.GENESIS) == 2  # whoever has the file open sees the new one


def test_a_rebuild_replaces_what_is_no_mirror(tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    path.write_bytes(b"This is no database. " * 1000)
    (tmp_path / "mirror.sqlite.unfinished").write_bytes(b"left by a kill")
    assert rebuild(path, toys.schema, toys.GENESIS, [[toys.news(0, {})]], lambda _: None) == 0


def test_a_gap_is_refused_and_what_was_folded_is_passed_over(writer: sa.Engine) -> None:
    assert fold(writer, toys.schema, [toys.news(0, {}), toys.news(1, {})]) == 1
    assert fold(writer, toys.schema, [toys.news(0, {"things/a": toys.thing()})]) == 1
    for wrong in ([3], [2, 4], [2, 2]):
        with pytest.raises(MirrorProblem, match="blocks between them are missing") as caught:
            fold(writer, toys.schema, [toys.news(height, {}) for height in wrong])
        assert caught.value.code == "mirror_gap"
    assert prepare(writer, toys.schema, toys.GENESIS) == 1


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("other/table/a", b"{}"),
        ("toy/things", b"{}"),
        ("toy/pairs/one", b"{}"),
        ("toy/things/a", b"{}"),
        ("toy/things/a", b'{"count":1.5}'),
        ("toy/hours/a/b", b'{"amount":9999999999999999999}'),
        ("toy/things/a", b"[" * 5000),
    ],
)
def test_what_no_module_declares_stops_the_mirror(writer: sa.Engine, path: str, raw: bytes) -> None:
    fold(writer, toys.schema, [toys.news(0, {})])
    block = msgspec.structs.replace(toys.news(1, {}), writes={path: Raw(raw)})
    with pytest.raises(MirrorProblem, match=f"Block 1 cannot be mirrored: {path} is not as") as caught:
        fold(writer, toys.schema, [block])
    assert caught.value.code == "mirror_unreadable"
    with pytest.raises(MirrorProblem, match="receipt 0 is not as"):
        fold(writer, toys.schema, [toys.news(1, {}, ({"code": 7},))])
    assert prepare(writer, toys.schema, toys.GENESIS) == 0


def test_changed_declarations_and_other_chains_are_refused(writer: sa.Engine) -> None:
    changed = make_schema([])
    with pytest.raises(MirrorProblem, match="other declarations") as caught:
        prepare(writer, changed, toys.GENESIS)
    assert caught.value.code == "mirror_schema"
    with pytest.raises(MirrorProblem, match="other declarations"):
        fold(writer, changed, [])
    with pytest.raises(MirrorProblem, match="another chain"):
        prepare(writer, toys.schema, b'{"toy":2}')
