"""Commands beside a node: they run, come back when they die, and never outlive it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metrobloc.surface import children
from tests.surface.city import PATIENCE_S, watched

MAIN = "import os, sys, time; from pathlib import Path; from metrobloc.surface.children import leash; leash(); {}"
SAY = "Path(sys.argv[1], str(os.getpid())).touch(); "


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(children, "PAUSE_S", 0.01)
    monkeypatch.setattr(children, "MAIN", MAIN.format(SAY + "time.sleep(600)"))
    return monkeypatch


def pids(folder: Path, count: int) -> list[int]:
    """Wait until so many children have named themselves."""
    end = time.monotonic() + PATIENCE_S
    while len(found := [int(path.name) for path in folder.iterdir()]) < count:
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.mark.usefixtures("main")
def test_what_runs_beside_ends_with_the_block(tmp_path: Path) -> None:
    with children.beside([[str(tmp_path)], [str(tmp_path)]]):
        running = pids(tmp_path, 2)
        for pid in running:
            os.kill(pid, 0)
    for pid in running:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with children.beside([]):
        pass


@pytest.mark.usefixtures("main")
def test_what_dies_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with children.beside([[str(tmp_path)]]):
        (first,) = pids(tmp_path, 1)
        os.kill(first, signal.SIGKILL)
        pids(tmp_path, 2)
    assert [record.getMessage().partition(" ended with ")[2][:2] for record in caplog.records] == ["-9"]


def test_what_does_not_listen_is_killed(tmp_path: Path, main: pytest.MonkeyPatch) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    main.setattr(children, "MAIN", MAIN.format(deaf + SAY + "time.sleep(600)"))
    main.setattr(children, "ENDING_S", 0.3)
    with children.beside([[str(tmp_path)]]):
        (pid,) = pids(tmp_path, 1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_killed_a_node_takes_them_with_it(tmp_path: Path) -> None:
    node = (
        "import sys, time; from metrobloc.surface import children\n"
        f"children.MAIN = {MAIN.format(SAY + 'time.sleep(600)')!r}\n"
        "with children.beside([[sys.argv[1]]]): time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", node, str(tmp_path)]) as process:
        running = pids(tmp_path, 1)
        with watched(running):
            process.kill()
