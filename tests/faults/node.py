"""A real node as a process, a small city for it, and what must hold of its data folder after a fault."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from metrobloc.app import modules
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.engine import audit, journal, proofs, verifier
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import JOURNAL_FILE, Solo
from metrobloc.kernel.block import Rules
from metrobloc.kernel.crypto import sha256
from metrobloc.kernel.machine import make_rules
from metrobloc.surface import bench_load
from tests.support import ROOT

DONORS = 15
PATIENCE_S = 60


class City(NamedTuple):
    """A founded chain: its folder, its open campaign with its number of gifts, its rules."""

    home: Path
    campaign: str
    gifts: int
    rules: Rules


def found(home: Path, name: str = "city") -> City:
    """Found a demonstration chain with funded donors, an open campaign, some gifts and a promised one.

    Its rows are in tables and in the write-ahead log, as after a kill.
    """
    Solo.create(home.with_name("live"), demo_genesis(clock_ms() - 1000, modules(), name), modules()).close()
    node = Solo.open(home.with_name("live"), modules())
    signer = bench_load.Signer(node.machine.rules)
    campaign = bench_load.prepare(node, signer, DONORS, lambda _: None)
    for turn in range(12):
        if turn == 6:
            node.close()
            node = Solo.open(node.home, modules())
        node.execute(bench_load.gifts(signer, campaign, range(3)), clock_ms())
    promised = journal.Journal(node.home / JOURNAL_FILE)
    promised.append(bench_load.gifts(signer, campaign, [0])[0])
    promised.close()
    copy(node.home, home)
    node.close()
    return City(home, campaign, 12 * 3, node.machine.rules)


def copy(source: Path, target: Path) -> Path:
    """Copy a data folder; the files keep their modes."""
    subprocess.run(["cp", "-a", "--", source, target], check=True)
    return target


class Node:
    """A running node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Wait until it serves, or has ended: then the port is 0."""
        assert process.stdout is not None
        lines = (line.split("/v1/status")[0] for line in process.stdout if "serves at" in line)
        self.process, self.port = process, int(next(lines, ":0").rpartition(":")[2])

    def ended(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it said on stderr."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said


@contextmanager
def running(home: Path, before: Sequence[str] = ()) -> Iterator[Node]:
    """Run a node on a folder, behind another command if asked."""
    options = ["--data", str(home), "--port", "0", "--no-mirror"]
    command = [*before, sys.executable, "-m", "tests.faults.small_node", "up", *options]
    bytecode = {"PYTHONPYCACHEPREFIX": str(ROOT / ".pytest_cache" / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | bytecode, text=True, stdout=-1, stderr=-1) as process:
        try:
            yield Node(process)
        finally:
            process.kill()


class _Inline(nullcontext[Any]):
    """Check signatures in this process: an audit's own one takes a second to start."""

    def __init__(self, genesis: bytes, load: audit.Modules) -> None:
        super().__init__(self)
        self.rules = make_rules(genesis, load())

    def stream(self, batches: Iterable[tuple[Any, Sequence[bytes]]]) -> Iterator[tuple[Any, object, object]]:
        for label, raws in batches:
            yield label, raws, verifier.check_all(self.rules, raws)


def audited(home: Path) -> audit.Report:
    """Audit a data folder, all in this process."""
    with patch.object(audit, "Verifier", _Inline):
        return audit.audit_folder(home, modules, None, lambda _: None)


def reexecuted(lines: Iterable[bytes]) -> audit.Report:
    """Re-execute an export's blocks in memory."""
    with patch.object(audit, "Verifier", _Inline):
        return audit.audit_export(lines, modules, None, lambda _: None)


def proved(node: Solo) -> list[bytes]:
    """Return proof files of records and an absence, at several heights, and of receipts."""
    newest = node.machine.height
    keys = [key.decode() for key, _ in node.store.leaves()]
    some = [*keys[:: len(keys) // 4], "charity/gifts/none"]
    last = [tx.hex() for tx in _transactions(node, newest)]
    return [
        *(proofs.prove_record(node, key, height) for height in (newest, newest - 2, newest - 9) for key in some),
        *(proofs.prove_receipt(node, bytes.fromhex(tx)) for tx in last[:2]),
    ]


def digest(home: Path) -> str:
    """Open a data folder as a node does, and return a digest of all that it answers from."""
    node = Solo.open(home, modules())
    try:
        heights = range(node.machine.height + 1)
        parts = [
            node.machine.state_root.encode(),
            *(part for row in node.store.leaves() for part in row),
            *(msgspec.json.encode((h, node.store.header(h))) for h in heights),
            *(receipt for h in heights for receipt in node.store.receipts(h)),
            *node.export(),
            *(msgspec.json.encode(node.store.find(tx)) for h in heights for tx in _transactions(node, h)),
            *proved(node),
            *journal.read(home / JOURNAL_FILE),
        ]
    finally:
        node.close()
    return sha256(msgspec.msgpack.encode(parts)).hex()


def _transactions(node: Solo, height: int) -> list[bytes]:
    """Return the ids of a block's transactions."""
    found = [msgspec.json.decode(receipt) for receipt in node.store.receipts(height)]
    return [bytes.fromhex(receipt["tx"]) for receipt in found if receipt.get("tx")]
