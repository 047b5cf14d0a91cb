"""The same blocks give the same roots: in another process, hash seed, time zone, locale, Python or decade."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from metrobloc import app
from metrobloc.city.timebank.tools import plan
from metrobloc.city.timebank.tools.replay import DAY_MS, TownYear
from metrobloc.commons.replay import run as run_replay
from metrobloc.kernel import codec
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import read_block
from metrobloc.testing.sandbox import START_MS, Sandbox
from tests.kernel.replayer import replay
from tests.support import ROOT, need

PYTHONS = ("3.11", "3.12", "3.13")


def lines_of(box: Sandbox) -> list[bytes]:
    """Return an export: the genesis, and a line for each block after it."""
    return [box.genesis, *(sealed.block for sealed in box.sealed[1:])]


@pytest.fixture(scope="module")
def box() -> Sandbox:
    """Let a small town live for a while, and then play every story: hundreds of signed transactions of all kinds."""
    made = Sandbox(app.modules().values())
    days = 20
    size = plan.Size(members=20, banks=2, days=days, tasks_per_member=2)
    run_replay(TownYear(made.rules, size, 1, START_MS + 1, START_MS + (days + plan.AFTER + 1) * DAY_MS), made.execute)
    made.stage.time_ms = made.machine.time_ms
    for story in app.STORIES.values():
        story(made.stage)
    return made


@pytest.fixture(scope="module")
def export(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "blocks.jsonl"
    path.write_bytes(b"\n".join(lines_of(box)))
    return path


@pytest.fixture(scope="module")
def headers(box: Sandbox) -> str:
    return "\n".join(replay(lines_of(box)))


def run(export: Path, *command: str, **env: str) -> str:
    """Execute an export in a process of its own; return what it prints."""
    folders = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    program = [*command, str(ROOT / "tests/kernel/replayer.py"), str(export)]
    whole = {**os.environ, "PYTHONPATH": folders, **env}
    return subprocess.run(program, capture_output=True, text=True, check=True, env=whole).stdout


def test_a_replay_gives_the_headers_that_were_made(box: Sandbox) -> None:
    made = [sealed.header.decode() for sealed in box.sealed]
    found = replay(lines_of(box))
    assert [header.partition(" ")[0] for header in found] == made
    assert len(made) > 200


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "4000000000", "TZ": "America/Los_Angeles", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
        {"PYTHONHASHSEED": "random", "PYTHONOPTIMIZE": "0", "LANG": "de_DE.UTF-8"},
    ],
    ids=["india", "turkish", "german"],
)
def test_a_process_with_another_seed_time_zone_and_locale(export: Path, headers: str, env: dict[str, str]) -> None:
    assert run(export, sys.executable, **env) == headers


@pytest.mark.parametrize("shift", ["+10 years", "-10 years"])
def test_a_clock_ten_years_off(export: Path, headers: str, shift: str) -> None:
    need(shutil.which("faketime"), "faketime (Debian: apt-get install faketime)")
    assert run(export, "faketime", shift, sys.executable) == headers


def interpreter(version: str) -> str | None:
    """Find a Python of this version: on the path, or where pyenv keeps it."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    builds = sorted(kept.glob(f"{version}.*/bin/python{version}"))
    candidates = [str(build) for build in builds] + [shutil.which(f"python{version}") or ""]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def environment(version: str) -> Path:
    """Return the Python of a folder with the locked libraries, made once for each version and lock."""
    base = interpreter(version)
    need(base, f"Python {version}")
    assert base is not None
    lock = ROOT / "requirements.lock"
    folder = ROOT / ".venv-tests" / version
    done = folder / "done"
    if not done.exists() or done.read_text() != lock.read_text():
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        need(uv, "uv")
        assert uv is not None
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", base, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), "--require-hashes"]
        made = subprocess.run([*install, "-r", str(lock)], check=False, capture_output=True, text=True, env=index())
        need(made.returncode == 0, f"the libraries for Python {version}: {made.stderr}")
        done.write_text(lock.read_text())
    return folder / "bin/python"


def index() -> dict[str, str]:
    """Return the environment in which uv asks the registry that pip is set up for, as the Makefile does."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = [line.partition("=")[2].strip("'") for line in listed.splitlines() if ".index-url=" in line]
    settings = {"UV_SYSTEM_CERTS": "1", **({"UV_DEFAULT_INDEX": found[0]} if found else {})}
    return {**settings, **os.environ}


@pytest.mark.parametrize("version", PYTHONS)
def test_another_version_of_python(export: Path, headers: str, version: str) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if version == here else str(environment(version))
    assert run(export, python) == headers


def test_blocks_must_follow_each_other(box: Sandbox) -> None:
    lines = lines_of(box)
    with pytest.raises(MachineFault, match="missing or doubled"):
        replay([lines[0], *lines[2:]])
    first = read_block(lines[1])
    assert (first.height, first.misbehaviour) == (1, ())
    with pytest.raises(MachineFault, match="older"):
        replay([lines[0], codec.encode(msgspec.structs.replace(first, time_ms=1))])
