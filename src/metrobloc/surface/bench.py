"""`metrobloc bench`: what the ledger does on this machine, beside a yardstick measured in the same run."""

import base64
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec
import nacl.bindings

from metrobloc import verify
from metrobloc.client import Client
from metrobloc.engine import proofs
from metrobloc.engine.audit import audit_store
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.engine.store import Store
from metrobloc.kernel.accounts import account_id
from metrobloc.surface import bench_load, bench_tree
from metrobloc.surface.cli import Setting
from metrobloc.surface.running import found_demo, progress

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
PER_SECOND = 100


class Size(msgspec.Struct, frozen=True):
    """How much a benchmark does."""

    accounts: int = 100_000
    runs: int = 5
    gifts: int = 20_000
    paced: int = 1_000
    small: int = 10_000
    large: int = 1_000_000


QUICK = Size(accounts=2_000, runs=3, gifts=4_000, paced=200, small=500, large=5_000)


def group(setting: Setting) -> click.Group:
    """Return the benchmarks' commands."""

    @click.group("bench")
    def bench() -> None:
        """Measure this machine, with a yardstick beside each figure."""

    @bench.command("solo")
    @click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures to this file too.")
    @click.option("--quick", is_flag=True, help="Small sizes, under a minute: shows that it works, not how fast.")
    def solo(out: Path | None, quick: bool) -> None:  # noqa: FBT001
        """Measure gifts through the HTTP door: speed, latency, stages, growth, restart, audit."""
        _print(measure_solo(setting, QUICK if quick else Size()), out)

    @bench.command("tree")
    @click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures to this file too.")
    @click.option("--quick", is_flag=True, help="Small sizes only.")
    def tree(out: Path | None, quick: bool) -> None:  # noqa: FBT001
        """Measure the state tree: updates, proofs, history, memory."""
        _print({"machine": machine(), **bench_tree.measure((10_000,) if quick else (10_000, 100_000, 1_000_000))}, out)

    return bench


def machine() -> dict[str, Any]:
    """Say what this machine is."""
    return {"cores": os.cpu_count(), "processor": _processor(), "python": platform.python_version()}


def verify_rate(seconds: float = 1.0) -> float:
    """Return the PyNaCl verifications a second of one thread on a 200-byte message: the yardstick V."""
    public, secret = nacl.bindings.crypto_sign_seed_keypair(bytes(32))
    signed = nacl.bindings.crypto_sign(b"m" * 200, secret)
    rates = []
    for _ in range(5):
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds / 5:
            for _ in range(50):
                nacl.bindings.crypto_sign_open(signed, public)
            count += 50
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def measure_solo(setting: Setting, size: Size) -> dict[str, Any]:
    """Run the benchmark of the one-machine engine and return its figures."""
    found: dict[str, Any] = {"machine": machine(), "accounts": size.accounts, "gifts_a_run": size.gifts}
    folder = Path(tempfile.mkdtemp(prefix="metrobloc-bench-"))
    try:
        found |= _measure_speed(setting, folder / "main", size)
        small = _one_speed(setting, folder / "small", size.small, size)
        large = _one_speed(setting, folder / "large", size.large, size)
    finally:
        shutil.rmtree(folder)
    found["growth"] = round(large["committed_tps"] / small["committed_tps"], 3)
    found["growth_sizes"] = [size.small, size.large]
    found["large"] = {name: value for name, value in large.items() if name != "committed_tps"}
    return found


def _measure_speed(setting: Setting, folder: Path, size: Size) -> dict[str, Any]:
    """Measure at the main size: median of several runs, latency, stages, bytes, audit."""
    campaign, signer = _found(setting, folder, size.accounts)
    before = _bytes(folder)
    rates, verify_rates, ratios = [], [], []
    with running(folder) as (node, port, started_s):
        stages: dict[str, float] = {}
        for run in range(size.runs):
            raws = bench_load.gifts(signer, campaign, _donors(size, run))
            verify_rates.append(verify_rate())
            spent = _spent(node, port)
            rates.append(size.gifts / bench_load.flood(port, raws))
            stages = {name: (value - spent[name]) / size.gifts for name, value in _spent(node, port).items()}
            ratios.append(rates[-1] / verify_rates[-1])
        took = bench_load.pace(port, bench_load.gifts(signer, campaign, range(size.paced)), PER_SECOND)
        rss = _rss_mb(node)
    sent = size.gifts * size.runs + size.paced
    tps = statistics.median(rates)
    return {
        "committed_tps": round(tps),
        "committed_tps_runs": [round(rate) for rate in rates],
        "verify_tps_one_core": round(statistics.median(verify_rates)),
        "ratio": round(statistics.median(ratios), 3),
        "p50_ms": round(took[len(took) // 2], 1),
        "p95_ms": round(took[len(took) * 95 // 100], 1),
        "cpu_us_per_tx": {name: round(value, 1) for name, value in stages.items()},
        "bytes_per_tx": round((_bytes(folder) - before) / sent),
        "rss_mb": rss,
        "restart_s": round(started_s, 2),
        "audit_ratio": round(_audit_rate(setting, folder, size) / tps, 2),
    }


def _one_speed(setting: Setting, folder: Path, accounts: int, size: Size) -> dict[str, Any]:
    """Measure the speed at another number of accounts."""
    campaign, signer = _found(setting, folder, accounts)
    with running(folder) as (node, port, started_s):
        rates = []
        for run in range(3):
            drawn = random.Random(run).choices(range(accounts), k=size.gifts)  # noqa: S311  # a load, not a secret
            raws = bench_load.gifts(signer, campaign, drawn)
            rates.append(size.gifts / bench_load.flood(port, raws))
        rss = _rss_mb(node)
    found = {"committed_tps": statistics.median(rates), "rss_mb": rss, "restart_s": round(started_s, 2)}
    found |= _measure_proofs(setting, folder, accounts)
    shutil.rmtree(folder)
    return found


def _measure_proofs(setting: Setting, folder: Path, accounts: int) -> dict[str, Any]:
    """Measure whole proof files of accounts' records: made now and at the oldest height, and checked."""
    took: dict[str, list[float]] = {
        "proof_file_ms": [],
        "proof_file_oldest_ms": [],
        "state_check_ms": [],
        "check_ms": [],
    }
    node = Solo.open(folder, setting.modules)
    try:
        trust, newest = node.trust(), node.machine.height
        oldest = max(0, newest - proofs.HEIGHTS)
        proofs.prove_record(node, "kernel/chain/info", oldest)  # reads the undos of the last blocks once
        made = b""
        for number in range(0, accounts, max(1, accounts // 50)):
            key = f"kernel/accounts/{account_id(bench_load.donor(number).key_id)}"
            clock = [time.perf_counter()]
            made = proofs.prove_record(node, key)
            clock.append(time.perf_counter())
            proofs.prove_record(node, key, oldest)
            clock.append(time.perf_counter())
            consistent = verify.check(made).status
            clock.append(time.perf_counter())
            assert (consistent, verify.check(made, trust).status) == ("untrusted", "valid")
            clock.append(time.perf_counter())
            for times, (begin, end) in zip(took.values(), pairwise(clock), strict=True):
                times.append((end - begin) * 1000)
    finally:
        node.close()
    medians = {name: round(statistics.median(times), 2) for name, times in took.items()}
    ics23 = len(base64.b64decode(msgspec.json.decode(made)["record"]["proof"]))
    return {**medians, "heights_back": newest - oldest, "proof_file_bytes": len(made), "ics23_bytes": ics23}


def _found(setting: Setting, folder: Path, accounts: int) -> tuple[str, bench_load.Signer]:
    node = found_demo(folder, setting, clock_ms())
    try:
        signer = bench_load.Signer(node.machine.rules)
        with progress(f"preparing {accounts:,} accounts", accounts) as done:
            return bench_load.prepare(node, signer, accounts, done), signer
    finally:
        node.close()


def _audit_rate(setting: Setting, folder: Path, size: Size) -> float:
    """Return the transactions a second at which an audit re-executes the gifts of a folder."""
    marks: list[tuple[float, int]] = []
    store = Store.open(folder / "store")
    try:
        with progress("auditing", None) as done:

            def note(count: int) -> None:
                marks.append((time.perf_counter(), count))
                done(count)

            report = audit_store(store, setting.load_modules, None, note)
    finally:
        store.close()
    assert not report.problems, report.problems
    gifts, behind = size.gifts * size.runs, size.paced
    counted, end, start = 0, marks[-1][0], marks[0][0]
    for at, count in reversed(marks):
        counted += count
        if counted <= behind:
            end = at
        if counted >= behind + gifts:
            start = at
            break
    return gifts / (end - start)


def _donors(size: Size, run: int) -> list[int]:
    first = run * size.gifts
    return [(first + number) % size.accounts for number in range(size.gifts)]


@contextmanager
def running(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, float]]:
    """Run a node as a process of its own; yields it, its port, and the seconds until it served."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "metrobloc.app", "up", "--data", str(folder), "--port", "0", "--no-mirror"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:  # noqa: S603  # our own command
        try:
            line = node.stdout.readline() if node.stdout else ""
            if "serves at" not in line:
                raise RuntimeError(f"the node did not start: {line}")
            yield node, int(line.split(":")[-1].split("/")[0]), time.perf_counter() - start
        finally:
            node.terminate()


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def _spent(node: subprocess.Popen[str], port: int) -> dict[str, float]:
    """Return microseconds of CPU so far: the checking process, and the node's by stage."""
    with Client(f"http://127.0.0.1:{port}", {}) as client:
        inside = {name: float(value) for name, value in client.status()["spent_us"].items()}
    whole = _cpu_us(node.pid)
    return {"check": sum(map(_cpu_us, _children(node.pid))), **inside, "door": whole - sum(inside.values())}


def _cpu_us(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / TICKS


def _rss_mb(node: subprocess.Popen[str]) -> float:
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (node.pid, *_children(node.pid)))
    return round(pages * PAGE_BYTES / 1e6)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _print(found: dict[str, Any], out: Path | None) -> None:
    text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n")
