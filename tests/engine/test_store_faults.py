"""The store under kills, failing calls and flipped bits: nothing acknowledged is lost, no block is there in part."""

import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest

from metrobloc.engine.store import Store
from metrobloc.testing.faults import committer, inject, reader
from metrobloc.testing.faults.bitflips import draw, flipped
from metrobloc.testing.faults.inject import Injection
from metrobloc.testing.faults.workload import GENESIS, agrees
from tests.support import ROOT, need, rounds

SEED = 11
ENDLESS = 10**6
LONG_STORE = 200
FEW_BLOCKS = 1 << 18
ALL_BLOCKS = 1 << 25


def command(path: Path, last: int = ENDLESS, buffer_bytes: int = FEW_BLOCKS) -> list[str]:
    return [sys.executable, "-m", committer.__name__, *map(str, (path, SEED, last, buffer_bytes))]


@contextmanager
def committing(path: Path, last: int = ENDLESS, buffer_bytes: int = FEW_BLOCKS) -> Iterator[subprocess.Popen[str]]:
    """Start the committer, and hand it over when it is ready, before its next block."""
    with subprocess.Popen(
        command(path, last, buffer_bytes), cwd=ROOT, text=True, stdin=-1, stdout=-1, stderr=-1
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def acknowledged(printed: str) -> int:
    """Return the last height that was said to be acknowledged, or -1."""
    whole = [line for line in printed.splitlines(keepends=True) if line.endswith("\n")]
    return int(whole[-1].split()[1]) if whole else -1


def holds(path: Path, height: int) -> int:
    """Assert that a store opens, holds what was acknowledged and at most one block more; return its head.

    A store that has become long is taken away, and -1 returned.
    """
    store = Store.open(path)
    agrees(store, SEED)
    head = store.head()
    assert height <= head <= height + 1
    store.close()
    if head < LONG_STORE:
        return head
    shutil.rmtree(path)
    return -1


@pytest.mark.timeout(3600)
def test_killed_at_random_instants(tmp_path: Path) -> None:
    random, path, head = Random(SEED), tmp_path / "store", -1
    for _ in range(rounds(25, 1000)):
        with committing(path) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            printed = "".join(islice(child.stdout, random.randrange(1, 8)))
            deque(range(random.randrange(1, 20_000)), 0)  # passes the time until an instant that nothing else chooses
            child.kill()
            printed += child.stdout.read()
        head = holds(path, max(head, acknowledged(printed)))


@pytest.mark.parametrize(
    ("call", "nth_max"),
    [("write", 60), ("pwrite64", 30), ("fdatasync", 60), ("fsync", 2), ("openat", 4), ("ftruncate", 3), ("unlink", 2)],
)
def test_killed_at_a_chosen_call(tmp_path: Path, call: str, nth_max: int) -> None:
    need(inject.works(), "strace with the right to trace")
    random, path, head = Random(call), tmp_path / "store", -1
    for _ in range(rounds(2, 100)):
        fault = Injection(call, random.randint(1, nth_max))
        with committing(path, head + 90) as child, inject.attached(child.pid, fault):
            printed, _ = child.communicate("\n")
        assert child.returncode == -SIGKILL, fault
        head = holds(path, max(head, acknowledged(printed)))


@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync", "openat", "ftruncate", "rename", "mkdir"])
def test_killed_while_the_store_is_made_opened_or_closed(tmp_path: Path, call: str) -> None:
    need(inject.works(), "strace with the right to trace")
    times = inject.calls(command(tmp_path / "whole", 1), tmp_path / "trace", [call])[call]
    late = range(max(1, times - 60), times + 1)
    for nth in Random(call).sample(late, min(len(late), rounds(2, 60))):
        path = tmp_path / f"store-{nth}"
        program = inject.traced(command(path, 1), Injection(call, nth))
        printed = subprocess.run(program, cwd=ROOT, input="\n", text=True, stdout=-1, check=False).stdout
        if not path.exists():
            Store.create(path, GENESIS).close()
        holds(path, acknowledged(printed.removeprefix("ready\n")))


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["write", "pwrite64", "fdatasync"])
def test_a_write_that_fails_stops_the_program_with_a_sentence(tmp_path: Path, call: str, error: str) -> None:
    need(inject.works(), "strace with the right to trace")
    path = tmp_path / "store"
    with committing(path, 2) as child:
        child.communicate("\n")
    head = holds(path, 2)
    for nth in range(1, rounds(5, 40)):
        fault = Injection(call, nth, error, lasting=nth % 2 == 0)
        with committing(path, head + 60, ALL_BLOCKS) as child, inject.attached(child.pid, fault, path):
            printed, said = child.communicate("\n")
        assert child.returncode == 1, (fault, printed, said)
        assert "could not be written" in said
        assert "start it again" in said
        head = holds(path, max(head, acknowledged(printed)))


@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync", "openat", "ftruncate", "unlink"])
def test_a_fault_beside_a_block_loses_nothing(tmp_path: Path, call: str) -> None:
    need(inject.works(), "strace with the right to trace")
    path, head = tmp_path / "store", -1
    with committing(path, 2) as child:
        child.communicate("\n")
    for nth in range(6, rounds(8, 40)):
        fault = Injection(call, nth if call in {"write", "fdatasync"} else nth % 6 + 1, "ENOSPC", lasting=True)
        with committing(path, head + 30) as child, inject.attached(child.pid, fault, path):
            printed, said = child.communicate("\n")
        assert child.returncode == 0 or "start it again" in said, (fault, said)
        assert "Traceback" not in said
        head = holds(path, max(head, acknowledged(printed)))


@pytest.mark.timeout(3600)
def test_a_flipped_bit_is_noticed_or_does_no_harm(tmp_path: Path) -> None:
    with committing(tmp_path / "store", buffer_bytes=1 << 17) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        assert "acknowledged 29\n" in child.stdout  # killed then: some rows are in tables, some in the log only
    with reader.asking([sys.executable, "-m", reader.__name__]) as ask:
        shutil.copytree(tmp_path / "store", tmp_path / "whole")
        whole = ask(tmp_path / "whole")
        assert whole.startswith("rows ")
        noticed = 0
        for flip in draw(tmp_path / "store", SEED, rounds(100, 5000)):
            with flipped(tmp_path / "store", flip, tmp_path / "flipped") as path:
                said = ask(path)
            assert said == whole or said.startswith("refused "), (flip, said)
            noticed += said != whole
        assert noticed
