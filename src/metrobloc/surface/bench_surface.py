"""`metrobloc bench surface`: what the faces add to the ledger's own cost, each figure beside its reference."""

import selectors
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from metrobloc.engine.sealer import BLOCK_MAX, clock_ms
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import Verifier
from metrobloc.surface import bench, bench_load, bench_mirror
from metrobloc.surface.cli import Setting
from metrobloc.surface.running import found_demo, progress

CONNECTIONS = 50


class Size(msgspec.Struct, frozen=True):
    """How much the benchmark does."""

    accounts: int = 20_000
    runs: int = 3
    gifts: int = 20_000
    singles: int = 10_000
    paced: int = 10_000
    records: int = 1_000_000
    simulated_s: float = 20.0


QUICK = Size(accounts=1_000, runs=1, gifts=2_000, singles=1_000, paced=1_000, records=20_000, simulated_s=2.0)


def command(setting: Setting, steps_per_second: Callable[[float], float]) -> click.Command:
    """Return the command; `steps_per_second(seconds)` runs the simulation of all applications for so long."""

    @click.command("surface")
    @click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures to this file too.")
    @click.option("--quick", is_flag=True, help="Small sizes, under a minute: shows that it works, not how fast.")
    def surface(*, out: Path | None, quick: bool) -> None:
        """Measure the doors, the mirror and the simulation."""
        size = QUICK if quick else Size()
        found = {"machine": bench.machine(), "verify_tps_one_core": round(bench.verify_rate())}
        folder = Path(tempfile.mkdtemp(prefix="metrobloc-bench-"))
        try:
            found |= measure_doors(setting, folder / "city", size)
            with progress("mirrored records", size.records) as done:
                path = folder / "mirror.sqlite"
                found |= bench_mirror.measure_pages(setting.modules, path, size.records, done)
        finally:
            shutil.rmtree(folder)
        found["simulation_steps_per_s"] = round(steps_per_second(size.simulated_s))
        text = msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
        click.echo(text)
        if out is not None:
            out.write_text(text + "\n")

    return surface


def measure_doors(setting: Setting, folder: Path, size: Size) -> dict[str, Any]:
    """Measure both doors, and beside them the same kind of transactions without a door, turn by turn."""
    node = found_demo(folder, setting, clock_ms())
    try:
        signer = bench_load.Signer(node.machine.rules)
        with progress(f"preparing {size.accounts:,} accounts", size.accounts) as done:
            campaign = bench_load.prepare(node, signer, size.accounts, done)
    finally:
        node.close()

    def gifts(count: int) -> list[bytes]:
        return bench_load.gifts(signer, campaign, [number % size.accounts for number in range(count)])

    direct, batches, singles, took = [], [], [], list[float]()
    for _ in range(size.runs):
        direct.append(size.gifts / _direct(setting, folder, gifts(size.gifts)))
        with bench.running(folder) as (_, port, _):
            batches.append(size.gifts / bench_load.flood(port, gifts(size.gifts)))
            seconds, each_ms = storm(port, gifts(size.singles))
            singles.append(size.singles / seconds)
            took += each_ms
    with bench.running(folder) as (_, port, _):
        mirrored = bench_mirror.measure_lag(setting.modules, folder, port, gifts, (size.paced, size.gifts))
    took.sort()
    return {
        "direct_tps": round(statistics.median(direct)),
        "txs_tps": round(statistics.median(batches)),
        "txs_to_direct": round(statistics.median([b / d for b, d in zip(batches, direct, strict=True)]), 3),
        "tx_connections": CONNECTIONS,
        "tx_tps": round(statistics.median(singles)),
        "tx_p50_ms": round(took[len(took) // 2], 1),
        "tx_p95_ms": round(took[len(took) * 95 // 100], 1),
        **mirrored,
    }


def _direct(setting: Setting, folder: Path, raws: Sequence[bytes]) -> float:
    """Check, execute and commit transactions as the node does, without a door; return the seconds it took."""
    node = Solo.open(folder, setting.modules)
    try:
        with Verifier(genesis_of(node.store), setting.load_modules) as verifier:
            verifier.submit(()).result()  # the worker has started
            start = time.perf_counter()
            parts = [raws[at : at + BLOCK_MAX] for at in range(0, len(raws), BLOCK_MAX)]
            for _, checked, _ in verifier.stream((None, part) for part in parts):
                outcomes = node.execute(checked, clock_ms())
                assert all(outcome.code == "ok" for outcome in outcomes), outcomes[0]
            return time.perf_counter() - start
    finally:
        node.close()


def storm(port: int, raws: Sequence[bytes]) -> tuple[float, list[float]]:
    """Send transactions one at a time over many connections, each sending again when it has its answer.

    Returns the seconds in all and each one's milliseconds. One thread serves all connections, so that the load takes
    as little as it can from the node beside it.
    """
    waiting = iter(raws)
    took: list[float] = []
    with selectors.DefaultSelector() as ready:
        start = time.perf_counter()
        for raw in islice(waiting, CONNECTIONS):
            connection = _Connection(port)
            ready.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(raw)
        while len(took) < len(raws):
            for key, _ in ready.select():
                connection = key.data
                if connection.read():
                    took.append((time.perf_counter() - connection.sent) * 1000)
                    following = next(waiting, None)
                    if following is not None:
                        connection.send(following)
        seconds = time.perf_counter() - start
        for key in list(ready.get_map().values()):
            key.data.socket.close()
    return seconds, took


class _Connection:
    """A connection that has one transaction under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self.got = b""

    def send(self, raw: bytes) -> None:
        head = b"POST /v1/tx HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(raw)
        self.sent = time.perf_counter()
        self.socket.sendall(head + raw)

    def read(self) -> bool:
        """Take what has come; tell whether it is the whole answer."""
        part = self.socket.recv(65536)
        self.got += part
        head, ended, body = self.got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        if part and not (ended and len(body) >= int(length)):
            return False
        if bench_load.COMMITTED not in body:
            raise RuntimeError(f"a gift was not committed: {self.got[:200]!r}")
        self.got = b""
        return True
