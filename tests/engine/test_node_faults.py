"""A real node under kills, failing calls and full disks: nothing acknowledged is lost, no block is there in part."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL

import pytest

from metrobloc import verify
from metrobloc.app import modules
from metrobloc.engine.proofs import prove_record
from metrobloc.engine.solo import Solo
from tests.faults import strace
from tests.faults.client import PROMISE, Client
from tests.faults.node import City, Node, audited, copy, found, running
from tests.faults.strace import Injection
from tests.support import ROOT, need, rounds

SEED = 7
TURNS = 6
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
        self.client = Client(self.city)

    @contextmanager
    def started(self, before: Sequence[str] = ()) -> Iterator[Node]:
        """Start the node after a fault, hold it to what the client remembers, and hand it over."""
        with running(self.home, before) as node:
            if node.port:
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
            with self.started() as node:
                assert node.port
            shutil.rmtree(self.home)
            self._begin()


@pytest.mark.timeout(7200)
def test_killed_at_random_instants(city: City, tmp_path: Path) -> None:
    random, case = Random(SEED), Case(city, tmp_path)
    for _ in range(rounds(12, 600)):
        with case.started() as node:
            assert node.port, node.ended()
            with case.client.sending(node.port):
                assert case.client.wait(random.randrange(1, 30))
                for _ in range(random.randrange(1, 20_000)):
                    pass
                node.process.kill()
            assert node.ended()[0] == -SIGKILL
        case.look()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("call", "nth_max"), [("write", 30), ("pwrite64", 20), ("fdatasync", 40), ("ftruncate", 3), ("fsync", 2)]
)
def test_killed_at_a_chosen_call(city: City, tmp_path: Path, call: str, nth_max: int) -> None:
    need(strace.works(), "strace with the right to trace")
    random, case = Random(call), Case(city, tmp_path)
    for _ in range(rounds(1, 60)):
        fault = Injection(call, random.randint(1, nth_max))
        folder = None if call == "fsync" else case.home
        with case.started() as node:
            assert node.port, node.ended()
            with strace.attached(node.process.pid, fault, folder), case.client.sending(node.port):
                node.process.wait(60)
            assert node.ended()[0] == -SIGKILL, fault
        case.look()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink"])
def test_killed_while_the_node_starts(city: City, tmp_path: Path, call: str) -> None:
    need(strace.works(), "strace with the right to trace")
    random, case = Random(call), Case(city, tmp_path)
    for _ in range(rounds(1, 60)):
        fault = Injection(call, random.randint(1, 3))
        with running(case.home, [*fault.arguments(), "--"]) as node:
            assert not node.port
        case.look()
    with case.started() as node:
        assert node.port


def killed(command: Sequence[str], home: Path, call: str, left: Path) -> Iterator[Path]:
    """Run a command on copies of a folder, or on a new one, killed at some of its calls; yield what is left each time."""
    times = strace.calls([*command, str(left)], left.with_name("trace"), [call])[call]
    for nth in Random(call).sample(range(1, times + 1), min(times, rounds(1, 40))):
        shutil.rmtree(left, ignore_errors=True)
        if home.exists():
            copy(home, left)
        program = strace.traced([*command, str(left)], Injection(call, nth))
        assert subprocess.run(program, cwd=ROOT, check=False).returncode == -SIGKILL
        yield left


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename", "write"])
def test_killed_while_a_chain_is_founded(tmp_path: Path, call: str) -> None:
    need(strace.works(), "strace with the right to trace")
    for home in killed([*FOUNDER, "found"], tmp_path / "none", call, tmp_path / "home"):
        subprocess.run([*FOUNDER, "found", str(home)], cwd=ROOT, check=True)
        assert not audited(home).problems


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_killed_while_the_operators_key_is_changed(city: City, tmp_path: Path, call: str) -> None:
    need(strace.works(), "strace with the right to trace")
    copy(city.home, tmp_path / "home")
    for home in killed([*FOUNDER, "rotate"], city.home, call, tmp_path / "home"):
        assert not audited(home).problems
        node = Solo.open(home, modules())
        assert len(node.succession()) in (0, 1)
        proof = prove_record(node, "kernel/log/head")
        assert verify.check(proof, Solo.trust(node)).status == "valid"
        node.close()


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("call", "nth_max", "path", "error"),
    [
        ("write", 12, "", "EIO"),
        ("pwrite64", 12, "", "ENOSPC"),
        ("fdatasync", 12, "", "EIO"),
        ("write", 1, PROMISE, "ENOSPC"),
        ("fdatasync", 1, PROMISE, "EIO"),
        ("ftruncate", 1, PROMISE, "EIO"),
    ],
)
def test_a_write_that_fails_stops_the_node_with_a_sentence(
    city: City, tmp_path: Path, call: str, nth_max: int, path: str, error: str
) -> None:
    need(strace.works(), "strace with the right to trace")
    random, case = Random(f"{call}{path}"), Case(city, tmp_path)
    for _ in range(rounds(1, 40)):
        fault = Injection(call, random.randint(1, nth_max), error, lasting=random.random() < 0.5)
        with case.started() as node:
            assert node.port, node.ended()
            sending = case.client.sending(node.port, *[path] * bool(path))
            with strace.attached(node.process.pid, fault, case.home), sending:
                node.process.wait(60)
            stopped(node, fault)
        case.look()
        error = random.choice(("EIO", "ENOSPC"))
    with case.started() as node:
        assert node.port


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


def test_a_full_disk_stops_the_node_and_space_brings_it_back(city: City, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        case = Case(city, tmp_path, disk / "home")
        filler = disk / "filler"
        with case.started() as node, case.client.sending(node.port):
            assert case.client.wait(3)
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 12))
            node.process.wait(60)
            stopped(node)
        with running(case.home) as node:
            assert not node.port
            assert node.ended()[0] == 4
        filler.unlink()
        case.look()
        with case.started() as node:
            assert node.port


def test_a_disk_that_cannot_be_written_is_left_as_it_is(city: City, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        home = copy(city.home, disk / "home")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with running(home) as node:
            assert not node.port
            code, said = node.ended()
        assert (code, said.count("\n")) == (4, 1)
        assert "See to" in said
