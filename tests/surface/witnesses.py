"""What the tests of witnesses share: running ones, and two histories of one chain, come about as they do in life."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Self

import httpx

from metrobloc import app
from metrobloc.commons.money.types import Issue
from metrobloc.commons.stage import Stage
from metrobloc.engine.solo import Solo
from tests.surface.city import MAIN, PATIENCE_S, done


class Running:
    """A running `metrobloc witness run`."""

    def __init__(self, folder: Path) -> None:
        """Start it on a free port and wait until it is open."""
        self.errors = folder.with_name(f"{folder.name}.err")
        command = [*MAIN, "witness", "run", str(folder), "--json", "--port", "0"]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=dict(os.environ))
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"exit code {self.process.wait(PATIENCE_S)}: {self.errors.read_text()}")
        told = json.loads(line)
        self.url, self.key = str(told["url"]), str(told["key"])
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, if it still runs, and answer its exit code."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever happened."""
        self.end(signal.SIGKILL)


def made(home: Path, folder: Path, city: Path, name: str = "witness.example/w1") -> str:
    """Make a witness that watches a city's log; answer its key."""
    key = done(home, f"witness init {folder} --name {name} --json").json()["key"]
    trust = folder.with_name(f"{folder.name}.trust")
    done(home, f"trust --data {city} --out {trust}")
    done(home, f"witness watch {folder} --trust {trust}")
    return str(key)


def live(city: Path, count: int, amount: int = 1) -> int:
    """Let some blocks be made in a folder on which no node runs; answer how many leaves its log has then."""
    node = Solo.open(city, app.modules())
    stage = Stage(node.machine.rules, node.execute, node.machine.time_ms)
    for _ in range(count):
        stage.act("bank", Issue("cny", stage.account("ann"), amount))
    size = node.machine.log.size
    node.close()
    return size


def forked(home: Path, city: Path, other: Path) -> Path:
    """Bring a backup of a city back beside it: the same operator, who may now go on otherwise."""
    backup = other.with_name(f"{other.name}.backup")
    done(home, f"backup {backup} --data {city}")
    done(home, f"restore {backup} --data {other}")
    return other
