"""A real node under kills, failing calls and full disks: nothing acknowledged is lost, no block is there in part."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL

import msgspec
import pytest

from metrobloc import verify
from metrobloc.app import modules
from metrobloc.engine.proofs import prove_record
from metrobloc.engine.solo import JOURNAL_FILE, Solo
from metrobloc.testing.faults import inject
from metrobloc.testing.faults.inject import Injection
from tests.faults.client import PROMISE, Client, call
from tests.faults.node import PATIENCE_S, City, Node, audited, copy, found, reexecuted, running
from tests.support import ROOT, need, rounds

SEED = 7
TURNS = 12
FOUNDER = [sys.executable, "-m", "tests.faults.founder"]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return found(tmp_path_factory.mktemp("city") / "home")


class Case:
    """A copy of the city that goes through one fault after another, with the client who remembers."""

    def __init__(self, city: City, folder: Path, home: Path | None = None) -> None:
        """Begin with a copy in an empty folder, or elsewhere."""
        self.city, self.folder = city, folder
        self.home = home or folder / "home"
        self.turn = 0
        self._begin()

    def _begin(self) -> None:
        copy(self.city.home, self.home)
        (self.home / JOURNAL_FILE).unlink()  # what it promises may have expired by now
        self.client = Client(self.city)

    @contextmanager
    def started(self) -> Iterator[Node]:
        """Start the node after a fault, hold it to what the client remembers, and hand it over."""
        with running(self.home) as node:
            assert node.port, node.ended()
            self.client.settle(node.port)
            yield node

    def look(self) -> None:
        """Audit a copy of what a fault left, before any node has repaired it; now and then begin anew."""
        left = copy(self.home, self.folder / "left")
        report = audited(left)
        assert not report.problems
        self.client.remembered(left)
        shutil.rmtree(left)
        self.turn += 1
        if self.turn % TURNS == 0:
            self.goes_on()
            shutil.rmtree(self.home)
            self._begin()

    def goes_on(self) -> None:
        """Assert that the node starts again as it is, with all that the client remembers, where its blocks lead."""
        with self.started() as node:
            report = reexecuted(call(node.port, "GET", "/v1/blocks")[1].splitlines())
            status = msgspec.json.decode(call(node.port, "GET", "/v1/status")[1])
            assert not report.problems
            assert (report.height, report.state_root) == (status["height"], status["state_root"])


@pytest.mark.timeout(7200)
def test_killed_at_random_instants(city: City, tmp_path: Path) -> None:
    random, case = Random(SEED), Case(city, tmp_path)
    for _ in range(rounds(12, 600)):
        with case.started() as node:
            with case.client.sending(node.port):
                assert case.client.wait(random.randrange(1, 30))
                for _ in range(random.randrange(1, 20_000)):
                    pass
                node.process.kill()
            assert node.ended()[0] == -SIGKILL
        case.look()


@pytest.mark.timeout(7200)
def test_killed_at_chosen_calls(city: City, tmp_path: Path) -> None:
    need(inject.works(), "strace with the right to trace")
    random, case = Random(SEED), Case(city, tmp_path)
    for turn in range(rounds(5, 200)):
        call, nth_max = (("write", 30), ("pwrite64", 20), ("fdatasync", 40), ("ftruncate", 3), ("fsync", 2))[turn % 5]
        fault = Injection(call, random.randint(1, nth_max))
        folder = None if call == "fsync" else case.home  # the tables and folders that a flush syncs are new
        with case.started() as node:
            with inject.attached(node.process.pid, fault, folder), case.client.sending(node.port):
                node.process.wait(PATIENCE_S)
            assert node.ended()[0] == -SIGKILL, fault
        case.look()
    case.goes_on()


@pytest.mark.timeout(7200)
def test_killed_while_the_node_starts(city: City, tmp_path: Path) -> None:
    need(inject.works(), "strace with the right to trace")
    random, case = Random(SEED), Case(city, tmp_path)
    for turn in range(rounds(4, 160)):
        fault = Injection(("fsync", "fdatasync", "rename", "unlink")[turn % 4], random.randint(1, 3))
        with running(case.home, [*fault.arguments(), "--"]) as node:
            assert not node.port
        case.look()
    case.goes_on()


def killed(verb: str, home: Path, fault: Injection, left: Path) -> Iterator[Path]:
    """Run the founder on copies of a folder, or on a new one, and kill it at some of its calls; yield what is left."""
    random = Random(verb + fault.call)
    for _ in range(rounds(1, 40)):
        shutil.rmtree(left, ignore_errors=True)
        if home.exists():
            copy(home, left)
        program = inject.traced([*FOUNDER, verb, str(left)], fault._replace(nth=random.randint(1, fault.nth)))
        subprocess.run(program, cwd=ROOT, check=False, capture_output=True)
        yield left


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", [Injection("fsync", 20), Injection("rename", 8)])
def test_killed_while_a_chain_is_founded(tmp_path: Path, fault: Injection) -> None:
    need(inject.works(), "strace with the right to trace")
    for home in killed("found", tmp_path / "none", fault, tmp_path / "home"):
        subprocess.run([*FOUNDER, "found", str(home)], cwd=ROOT, check=True)
        assert not audited(home).problems


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", [Injection("fsync", 12), Injection("rename", 5)])
def test_killed_while_the_operators_key_is_changed(city: City, tmp_path: Path, fault: Injection) -> None:
    need(inject.works(), "strace with the right to trace")
    node = Solo.open(copy(city.home, tmp_path / "home"), modules())
    trust, key = node.trust(), node.key
    node.close()
    for home in killed("rotate", city.home, fault, tmp_path / "home"):
        assert not audited(home).problems
        node = Solo.open(home, modules())
        assert len(node.succession()) == (node.key.key_id != key.key_id)
        assert verify.check(prove_record(node, "kernel/log/head"), trust).status == "valid"
        node.close()


WRITES = [
    (Injection("write", 12, "EIO"), ""),
    (Injection("pwrite64", 12, "ENOSPC"), ""),
    (Injection("fdatasync", 12, "EIO"), ""),
    (Injection("write", 1, "ENOSPC"), PROMISE),
    (Injection("fdatasync", 1, "EIO"), PROMISE),
    (Injection("ftruncate", 1, "EIO"), PROMISE),
]
"""The writes of a block, and with promises only also those of their journal, with the first error each meets."""


@pytest.mark.timeout(7200)
def test_a_write_that_fails_stops_the_node(city: City, tmp_path: Path) -> None:
    need(inject.works(), "strace with the right to trace")
    random, case = Random(SEED), Case(city, tmp_path)
    for turn in range(rounds(len(WRITES), 200)):
        (call, nth_max, error, _), path = WRITES[turn % len(WRITES)]
        error = error if turn < len(WRITES) else random.choice(("EIO", "ENOSPC"))
        fault = Injection(call, random.randint(1, nth_max), error, lasting=turn % 2 == 0)
        with case.started() as node:
            sending = case.client.sending(node.port, *[path] * bool(path))
            with inject.attached(node.process.pid, fault, case.home), sending:
                node.process.wait(PATIENCE_S)
            stopped(node, fault)
        case.look()
    case.goes_on()


def stopped(node: Node, why: object = "") -> None:
    """Assert that a node has ended by itself, with one sentence that says what to do."""
    code, said = node.ended()
    assert (code, said.count("\n")) == (4, 1), (why, said)
    assert "start it again" in said, why


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """Mount a disk of a few megabytes, for root on Linux."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "none", str(path)]
    mounted = shutil.which("mount") and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    need(mounted, "the right to mount a small disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(file: Path) -> None:
    """Take the last byte of a disk."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as all_there_is:
        while True:
            all_there_is.write(bytes(1 << 12))


def test_a_full_disk_stops_the_node_and_space_brings_it_back(city: City, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        case = Case(city, tmp_path, disk / "home")
        filler = disk / "filler"
        with case.started() as node, case.client.sending(node.port):
            assert case.client.wait(3)
            fill(filler)
            node.process.wait(PATIENCE_S)
            stopped(node)
        fill(filler)
        with running(case.home) as node:
            assert not node.port
            assert node.ended()[0] == 4
        filler.unlink()
        case.look()
        case.goes_on()


def test_a_disk_that_cannot_be_written_is_left_as_it_is(city: City, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = copy(city.home, disk / "home")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with running(home) as node:
            assert not node.port
            code, said = node.ended()
        assert (code, said.count("\n")) == (4, 1)
        assert "See to" in said
