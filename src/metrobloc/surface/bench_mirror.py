"""The mirror's part of `metrobloc bench surface`: how far it lags, what it costs the node, how fast it answers."""

import http.client
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from metrobloc.city.charity.types.records import Gift
from metrobloc.client import Client
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.module import Module
from metrobloc.mirror import follow
from metrobloc.mirror.asking import Ask
from metrobloc.mirror.database import MirrorProblem, open_writer, prepare
from metrobloc.mirror.fold import News, fold
from metrobloc.mirror.read import Mirror
from metrobloc.surface import bench_load

FOLLOWER = (
    "import sys, pathlib; from metrobloc.app import modules; from metrobloc.mirror.follow import follow;"
    "follow(pathlib.Path(sys.argv[1]), sys.argv[2], modules(), print)"
)
SENT_AT_ONCE = 25
WAIT_S = 120.0
WRITES_A_BLOCK = 10_000
CAMPAIGNS, DONORS = 40, 100_000
PAGES = 200

Heights = list[tuple[float, int]]
"""When (seconds) which height was seen."""


def measure_lag(
    modules: Mapping[str, Module], folder: Path, port: int, gifts: Callable[[int], list[bytes]], counts: tuple[int, int]
) -> dict[str, Any]:
    """Follow a node: measure the lag under a steady load of 500 transactions a second, and the speed of a flood.

    `counts` are how many transactions each of the two has.
    """
    paced, flood = counts
    url, path = f"http://127.0.0.1:{port}", folder / "bench-mirror.sqlite"
    with (
        Client(url, modules) as node,
        closing(Mirror(path, follow.schema_of(node.genesis(), modules))) as mirror,
        _following(path, url),
    ):
        start = time.perf_counter()
        _await_height(mirror, int(node.status()["height"]))
        caught_up_s = time.perf_counter() - start
        with _watching(mirror) as seen:
            sent = _pace(port, gifts(paced), per_second=500)
            _await_height(mirror, sent[-1][1])
        lags = sorted(max(0.0, _first(seen, height) - when) for when, height in sent)
        seconds = bench_load.flood(port, gifts(flood))
        start = time.perf_counter()
        _await_height(mirror, int(node.status()["height"]))
        return {
            "mirror_first_s": round(caught_up_s, 2),
            "mirror_lag_p50_s": round(lags[len(lags) // 2], 3),
            "mirror_lag_max_s": round(lags[-1], 3),
            "mirror_behind_flood_s": round(time.perf_counter() - start, 2),
            "txs_tps_with_mirror": round(flood / seconds),
        }


def measure_pages(
    modules: Mapping[str, Module], path: Path, records: int, done: Callable[[int], None]
) -> dict[str, Any]:
    """Fill a mirror with made-up gifts, and measure pages of 50 by several filters: the p95 in milliseconds."""
    genesis = demo_genesis(0, modules)
    schema = follow.schema_of(genesis, modules)
    engine = open_writer(path, fast=True)
    start = time.perf_counter()
    prepare(engine, schema, genesis)
    for height, first in enumerate(range(0, records, WRITES_A_BLOCK)):
        numbers = range(first, min(first + WRITES_A_BLOCK, records))
        fold(engine, schema, [News(height, height, "0" * 64, dict(map(_gift, numbers)), ())])
        done(len(numbers))
    engine.dispose()
    filled_s = time.perf_counter() - start
    chance, made = Random(1), schema.tables["charity/gifts"]  # noqa: S311  # a load, not a secret

    def campaign() -> str:
        return _id("campaign", chance.randrange(CAMPAIGNS))

    asks: dict[str, Callable[[], Ask]] = {
        "by_key": Ask,
        "of_a_donor": lambda: Ask({"donor": _id("donor", chance.randrange(DONORS))}),
        "of_a_campaign": lambda: Ask({"campaign": campaign()}),
        "largest": lambda: Ask(order="amount", reverse=True),
        "between_amounts": lambda: Ask(least={"amount": 5_000}, most={"amount": 6_000}, order="amount"),
        "of_a_campaign_by_amount": lambda: Ask({"campaign": campaign()}, order="amount"),
    }
    with closing(Mirror(path, schema)) as mirror:
        p95_ms = {name: _page_p95_ms(lambda ask: mirror.page(made, ask), ask) for name, ask in asks.items()}
    return {"mirror_records": records, "mirror_fold_per_s": round(records / filled_s), "page_p95_ms": p95_ms}


def _page_p95_ms(page: Callable[[Ask], Any], ask: Callable[[], Ask]) -> float:
    """Ask for pages as JSON, each question's first five in turn; return what all but a twentieth stay below."""
    took: list[float] = []
    while len(took) < PAGES:
        asked = ask()
        for _ in range(5):
            start = time.perf_counter()
            found = page(asked)
            msgspec.json.encode(found)
            took.append((time.perf_counter() - start) * 1000)
            if found.next is None:
                break
            asked = msgspec.structs.replace(asked, after=found.next)
    return round(sorted(took)[len(took) * 95 // 100], 2)


def _gift(number: int) -> tuple[str, msgspec.Raw]:
    campaign, donor = _id("campaign", number % CAMPAIGNS), _id("donor", number * 7919 % DONORS)
    record = Gift(campaign, donor, 1 + number * 104_729 % 20_000, "crowd")
    return f"charity/gifts/{_id('gift', number)}", msgspec.Raw(codec.encode(record))


def _id(kind: str, number: int) -> str:
    return crypto.short_name(f"metrobloc bench {kind} {number}".encode())


@contextmanager
def _following(path: Path, url: str) -> Iterator[None]:
    """Keep a mirror up with a node in a process of its own."""
    command = [sys.executable, "-c", FOLLOWER, str(path), url]
    with subprocess.Popen(command) as follower:  # noqa: S603  # our own command
        try:
            yield
        finally:
            follower.terminate()


def _await_height(mirror: Mirror, height: int) -> None:
    end = time.perf_counter() + WAIT_S
    while _height(mirror) < height:
        if time.perf_counter() > end:
            raise RuntimeError(f"the mirror has not come to height {height} in {WAIT_S:.0f} s")
        time.sleep(0.01)


def _height(mirror: Mirror) -> int:
    """Return the mirror's height; -1 while there is none yet."""
    try:
        return mirror.height()
    except MirrorProblem:
        return -1


@contextmanager
def _watching(mirror: Mirror) -> Iterator[Heights]:
    """Note a mirror's height every few milliseconds in another thread."""
    seen: Heights = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.append((time.perf_counter(), _height(mirror)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        seen.append((time.perf_counter(), _height(mirror)))


def _first(seen: Heights, height: int) -> float:
    """Return when a height was first seen."""
    return seen[bisect_left(seen, height, key=lambda one: one[1])][0]


def _pace(port: int, raws: Sequence[bytes], per_second: int) -> Heights:
    """Send transactions at a steady pace, some at a time; return when which height was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    answered: Heights = []
    start = time.perf_counter()
    for first in range(0, len(raws), SENT_AT_ONCE):
        time.sleep(max(0.0, start + first / per_second - time.perf_counter()))
        connection.request("POST", "/v1/txs", b"\n".join(raws[first : first + SENT_AT_ONCE]))
        last = connection.getresponse().read().split(b"\n")[-2]
        answered.append((time.perf_counter(), int(msgspec.json.decode(last)["height"])))
    connection.close()
    return answered
