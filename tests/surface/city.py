"""What the tests of the surface share: the command line in this process, and real nodes beside it."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import httpx
from click.testing import CliRunner

from metrobloc import app
from metrobloc.commons.identity.demo import QUOTA_PER_HOUR
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.stage import Stage
from metrobloc.engine import keyfile
from metrobloc.engine.audit import Modules
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.engine.verifier import Verdict, check_all
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.block import Rules
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.machine import make_rules

T = TypeVar("T")
PATIENCE_S = 60
FOUNDER = crypto.SigningKey(crypto.sha256(b"metrobloc story actor\nfounder\n"))
MAIN = (sys.executable, "-c", "from metrobloc.app import main; main()")


class Said(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401  # whatever a command prints
        """Read what it wrote as JSON."""
        return json.loads(self.out)


def say(home: Path, command: str, *arguments: object) -> Said:
    """Run a command, written in words, in this process; one that raises fails the test."""
    runner = CliRunner(env={"METROBLOC_HOME": str(home)}, catch_exceptions=False)
    result = runner.invoke(app.commands(), [*command.split(), *[str(argument) for argument in arguments]])
    return Said(result.exit_code, result.stdout, result.stderr)


def done(home: Path, command: str, *arguments: object) -> Said:
    """Run a command that must end well."""
    said = say(home, command, *arguments)
    assert said.code == 0, said
    return said


def failed(home: Path, code: int, sentence: str, command: str, *arguments: object) -> None:
    """Run a command that must end with a code and one sentence that holds these words."""
    said = say(home, command, *arguments)
    assert (said.code, sentence in said.err) == (code, True), said
    assert said.err.count("\n") <= 2  # a refusal also names its transaction
    assert "Traceback" not in said.err


class Node:
    """A running `metrobloc up`."""

    def __init__(self, data: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        """Start it on a free port and wait until it is open or has ended."""
        self.data = data
        self.errors = data.with_name(f"{data.name}.err")
        command = [*MAIN, "up", "--json", "--port", "0", "--no-mirror", "--data", str(data), *options]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **(environment or {})}
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"exit code {self.wait()}: {self.errors.read_text()}")
        self.told = json.loads(line)
        self.url = str(self.told["url"])
        self.port = int(self.url.rpartition(":")[2])
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    def wait(self) -> int:
        """Wait for its end; answer its exit code."""
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, if it still runs, and answer its exit code."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def post(self, raws: Sequence[bytes], at_ms: int | None = None) -> list[dict[str, Any]]:
        """Send a batch; answer an answer each."""
        answer = self.http.post("/v1/txs" + ("" if at_ms is None else f"?at={at_ms}"), content=b"\n".join(raws))
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def stage(self) -> Stage:
        """Return hands that sign for this chain as of now."""
        rules = make_rules(self.http.get("/v1/genesis").content, app.modules())
        return fresh_stage(rules)

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever happened."""
        self.end(signal.SIGKILL)


def fresh_stage(rules: Rules) -> Stage:
    """Return hands that sign as of now, with salts that no other has used."""
    stage = Stage(rules, lambda *_: [], clock_ms())
    stage._sent = int.from_bytes(os.urandom(12), "big")
    return stage


def coins(stage: Stage, count: int) -> list[bytes]:
    """Return transactions that each give Ann of the story one fen."""
    return [stage.sign(("bank", Issue("cny", stage.account("ann"), 1))) for _ in range(count)]


class Clock:
    """The time by which commands on a data folder go; a test lets it pass."""

    def __init__(self) -> None:
        """Begin now."""
        self.now_ms = clock_ms()

    def __call__(self) -> int:
        """Tell the time."""
        return self.now_ms


class Inline:
    """What checks signatures, without a process of its own."""

    def __init__(self, genesis: bytes, modules: Modules) -> None:
        """Check for the chain of this genesis."""
        self.rules = make_rules(genesis, modules())

    def submit(self, raws: Sequence[bytes]) -> Future[list[Verdict]]:
        """Check at once."""
        answer: Future[list[Verdict]] = Future()
        answer.set_result(check_all(self.rules, raws))
        return answer

    def stream(
        self, batches: Iterable[tuple[T, Sequence[bytes]]]
    ) -> Iterator[tuple[T, Sequence[bytes], list[Verdict]]]:
        """Check batch after batch."""
        for label, raws in batches:
            yield label, raws, check_all(self.rules, raws)

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End nothing."""


def children(pid: int) -> list[int]:
    """List the processes that a process has started, and theirs."""
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found.setdefault(int(fields[1]), []).append(int(path.parent.name))
    below = found.get(pid, [])
    return [*below, *(deeper for child in below for deeper in children(child))]


@contextmanager
def watched(pids: Sequence[int]) -> Iterator[None]:
    """Assert that processes of now have ended soon after the block."""
    handles = [os.pidfd_open(pid) for pid in pids]
    try:
        yield
        for handle in handles:
            assert select.select([handle], [], [], PATIENCE_S)[0], "a process outlived its node"
    finally:
        for handle in handles:
            os.close(handle)


def copied(city: Path, to: Path) -> Path:
    """Copy a data folder on which no node runs."""
    shutil.copytree(city, to)
    return to


def own_chain(
    folder: Path, *, age_ms: int = 3_600_000, quota: int = QUOTA_PER_HOUR, params: dict[str, int] | None = None
) -> Stage:
    """Found a chain that is no demonstration; its bank and office is the actor `founder`, its asset `coin`."""
    founder = Founder(FOUNDER.key_id, quota, ("bank", "office"))
    page = Genesis((founder,), tuple(app.modules()), "town", clock_ms() - age_ms, params=params or {})
    node = Solo.create(folder, codec.encode(page), app.modules())
    stage = Stage(node.machine.rules, node.execute, node.machine.time_ms)
    stage.act("founder", OpenAsset("coin", "Coins", 2), RecordReserve("coin", 1_000_000, "0" * 64))
    node.close()
    return stage


def keep_founder(home: Path) -> None:
    """Put the founder's key among a user's own."""
    (home / "keys").mkdir(mode=0o700, parents=True)
    keyfile.write_key(home / "keys" / "founder.key", FOUNDER)
