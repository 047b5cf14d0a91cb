"""The store and the node after a power cut at any instant: nothing acknowledged is lost, nothing is there in part."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from metrobloc.app import modules
from metrobloc.commons.notes import open_succession
from metrobloc.engine import journal
from metrobloc.engine.solo import JOURNAL_FILE, Solo
from metrobloc.engine.store import NO_BLOCK, Store
from metrobloc.kernel import envelope
from metrobloc.testing.faults import committer, inject, reader
from metrobloc.testing.faults.power import Image, image, laid_out
from metrobloc.testing.faults.record import Record, Unrecorded, record
from metrobloc.testing.faults.workload import GENESIS, blocks, meta
from tests.faults import day
from tests.faults.node import audited
from tests.support import ROOT, need, rounds

SEED = 17
BLOCKS = 20
SESSIONS = rounds(3, 20)
SMALL_BUFFER = 1 << 16
TRUSTING = r"MANIFEST-|\.sst$"
"""RocksDB relies on more than POSIX for these files (docs/adr/0011); nothing else does."""
Ask = Callable[[Path], str]


@pytest.fixture(scope="module")
def heights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Return the height of a store by what its reader says, as it is without any fault."""
    store = Store.create(tmp_path_factory.mktemp("whole") / "store", GENESIS)
    found = {f"rows {reader.digest(store)}": NO_BLOCK}
    for block in islice(blocks(SEED), BLOCKS * SESSIONS):
        store.commit(block, meta(block))
        found[f"rows {reader.digest(store)}"] = block.height
    store.close()
    return found


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Run a reader of stores."""
    with reader.asking([sys.executable, "-m", reader.__name__]) as ask:
        yield ask


def committing(folder: Path, last: int) -> Record:
    """Record a committer, which makes its store in a folder or goes on with the one that is there."""
    need(inject.works(), "strace with the right to trace")
    arguments = (folder / "store", SEED, last, SMALL_BUFFER)
    return record([sys.executable, "-m", committer.__name__, *map(str, arguments)], folder, "\n")


def held(found: Image, least: int, read: Callable[[Path], int | None], scratch: Path) -> int | None:
    """Assert that a power cut left all that was acknowledged, and at most one block more; return its height."""
    said = found.said.decode().splitlines()
    least = int(said[-1].split()[1]) if len(said) > 1 else least
    with laid_out(found, scratch) as folder:
        height = read(folder / "store")
    if height is None:
        assert not said, found.cut
        assert least == NO_BLOCK, found.cut
    else:
        assert least <= height <= least + 1, found.cut
    return height


@pytest.mark.timeout(7200)
def test_a_power_cut_takes_nothing_acknowledged(tmp_path: Path, heights: dict[str, int], ask: Ask) -> None:
    def read(path: Path) -> int | None:
        said = ask(path) if path.exists() else ""
        assert not said or said in heights, said
        return heights.get(said)

    random, least = Random(SEED), NO_BLOCK
    folder = tmp_path / "empty"
    folder.mkdir()
    with ExitStack() as kept:
        for session in range(SESSIONS):
            noted = committing(folder, BLOCKS * (session + 1) - 1)
            cuts = noted.cuts()
            for _ in range(rounds(70, 500)):
                found = image(noted, random.choice(cuts), random, TRUSTING)
                height = held(found, least, read, tmp_path / "cut")
            while height is None:
                found = image(noted, cuts[-1], random, TRUSTING)
                height = held(found, least, read, tmp_path / "cut")
            folder = kept.enter_context(laid_out(found, tmp_path / f"{session}"))
            least = height


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Record a committer that makes a store."""
    return committing(tmp_path_factory.mktemp("made"), BLOCKS - 1)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d\.log$",
        r"\d\.sst$",
        "MANIFEST-",
        "CURRENT|dbtmp",
        "store/rocks$",
        "unfinished/rocks$",
        "unfinished$",
        r"made\d+$",
    ],
)
def test_each_sync_is_missed(pattern: str, made: Record, tmp_path: Path, heights: dict[str, int], ask: Ask) -> None:
    """Without any one kind of sync the images show it: so they can show what is wrong."""
    careless, random, cuts = made.without(pattern), Random(SEED), made.cuts()
    assert careless != made

    def read(path: Path) -> int | None:
        said = ask(path) if path.exists() else ""
        return heights.get(said) if said in heights or not said else NO_BLOCK - 1

    def look_at_many() -> None:
        for _ in range(2000):
            held(image(careless, random.choice(cuts), random, TRUSTING), NO_BLOCK, read, tmp_path / "cut")

    with pytest.raises(AssertionError):
        look_at_many()


REPLACING = """
import os, sys
for text in ("one", "two", "three"):
    with open("fresh", "w") as file:
        file.write(text)
        {sync}
    os.rename("fresh", "kept")
    {sync_names}
    print(text, flush=True)
"""
"""The usual way to replace a file, with and without what makes it safe."""


@pytest.mark.parametrize(
    ("sync", "sync_names", "expected"),
    [
        ("file.flush(); os.fsync(file.fileno())", "os.fsync(os.open('.', os.O_RDONLY))", set[str]()),
        ("pass", "os.fsync(os.open('.', os.O_RDONLY))", {"", "\0"}),
        ("file.flush(); os.fsync(file.fileno())", "pass", {"old"}),
    ],
)
def test_a_file_that_is_replaced_carelessly_is_lost(
    sync: str, sync_names: str, expected: set[str], tmp_path: Path
) -> None:
    need(inject.works(), "strace with the right to trace")
    (tmp_path / "kept").write_text("zero")
    program = [sys.executable, "-c", REPLACING.format(sync=sync, sync_names=sync_names)]
    noted, random, wrong = record(program, tmp_path, cwd=tmp_path), Random(SEED), set[str]()
    for cut in noted.cuts() * 40:
        found = image(noted, cut, random)
        text = (found.entries["kept"][1] or b"").decode()
        said = ["zero", *found.said.decode().split()]
        if text in said[:-1]:
            wrong.add("old")
        elif text not in said and text not in {"one", "two", "three"}:
            wrong.add(text[:1].strip("onetwhr"))
    assert wrong == expected


def test_what_is_not_modelled_is_not_left_out(tmp_path: Path) -> None:
    need(inject.works(), "strace with the right to trace")
    program = "import os; os.writev(os.open('file', os.O_CREAT | os.O_WRONLY), [b'a', b'b'])"
    with pytest.raises(Unrecorded, match=r"writev changes .*file"):
        record([sys.executable, "-c", program], tmp_path, cwd=tmp_path)


def stands_by(home: Path, said: bytes) -> None:
    """Assert that a data folder, on which a node was running, has all that it stands by."""
    lines = [line.split() for line in said.decode().splitlines()]
    if not (home / "store").exists():
        assert not lines
        return
    waiting = set(journal.read(home / JOURNAL_FILE))
    node = Solo.open(home, modules())
    for word, *rest in lines:
        if word == "committed":
            assert node.store.find(bytes.fromhex(rest[0])) == (int(rest[1]), int(rest[2]))
        elif word == "promised":
            raw = bytes.fromhex(rest[0])
            assert raw in waiting or node.store.find(envelope.reopen(raw).id)
    operators = [rest[0] for word, *rest in lines if word == "operator"]
    changes = [open_succession(step.encode(), node.chain).new for step in node.succession()]
    assert changes[: len(operators)] == operators
    assert not changes or changes[-1] == node.key.key_id
    assert len(changes) <= len(operators) + 1
    node.close()
    assert not audited(home).problems


@pytest.mark.timeout(7200)
def test_a_power_cut_leaves_a_node_all_that_it_stands_by(tmp_path: Path) -> None:
    need(inject.works(), "strace with the right to trace")
    (tmp_path / "city").mkdir()
    noted = record([sys.executable, "-m", day.__name__, str(tmp_path / "city" / "home")], tmp_path / "city", cwd=ROOT)
    random, cuts = Random(SEED), noted.cuts()
    for _ in range(rounds(60, 2000)):
        found = image(noted, random.choice(cuts), random, TRUSTING)
        with laid_out(found, tmp_path / "cut") as folder:
            stands_by(folder / "home", found.said)
