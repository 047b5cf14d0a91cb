"""`metrobloc bench paths`: how fast the path of a gift is found and proved in one case of very many gifts."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import click
import msgspec

from metrobloc import verify
from metrobloc.city.charity import story, views
from metrobloc.city.charity.rules import gifts, path
from metrobloc.city.charity.types.messages import Close, Countersign, Give, Present, Review, Settle
from metrobloc.city.charity.types.records import Line
from metrobloc.commons.money.types import Issue, RecordReserve
from metrobloc.commons.stage import Stage
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.kernel import crypto
from metrobloc.kernel.context import View
from metrobloc.mirror import follow
from metrobloc.mirror.read import Mirror
from metrobloc.surface.bench import machine
from metrobloc.surface.cli import Setting, show_json
from metrobloc.surface.http.views import prove
from metrobloc.surface.running import found_demo, play, progress

GIFTS, QUICK = 100_000, 2_000
GIFT_FEN = 4_100
DONORS, A_BLOCK, ASKED = 50, 1_000, 200
LINES = 64
SHOWN = views.VIEWS["path"]


def command(setting: Setting) -> click.Command:
    """Return the command."""

    @click.command("paths")
    @click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures to this file too.")
    @click.option("--quick", is_flag=True, help="A small case: shows that it works, not how fast.")
    def paths(out: Path | None, quick: bool) -> None:  # noqa: FBT001
        """Measure the path of a gift in a case of 100,000: the query and picture from the mirror, and with proof."""
        found = {"machine": machine(), **measure(setting, QUICK if quick else GIFTS)}
        show_json(found)
        if out is not None:
            out.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")

    return paths


def measure(setting: Setting, count: int) -> dict[str, Any]:
    """Play a case of so many gifts, of which two thirds are paid out, and ask for gifts all over its lines."""
    with tempfile.TemporaryDirectory(prefix="metrobloc-bench-") as name:
        folder = Path(name)
        with closing(found_demo(folder / "city", setting, 0)) as node, progress("gifts", count) as done:
            play(node, lambda stage: _case(stage, count, done), lambda _: None)
            genesis = genesis_of(node.store)
            made = follow.schema_of(genesis, setting.modules)
            follow.rebuild(folder / "mirror.sqlite", made, genesis, follow.from_store(node.store), lambda _: None)
            chance = Random(41)  # noqa: S311  # a load, not a secret
            asked = chance.sample([key for key, _ in View(node.store)[gifts].items()], min(count, ASKED))
            with closing(Mirror(folder / "mirror.sqlite", made)) as mirror:
                return {"gifts": count, **_times(node, mirror, asked)}


def _times(node: Solo, mirror: Mirror, asked: Sequence[str]) -> dict[str, Any]:
    def answer(gift: str) -> bytes:
        with mirror.rows() as (rows, _):
            return msgspec.json.encode(path(View(rows), gift))

    def draw(gift: str) -> bytes:
        with mirror.rows() as (rows, _):
            return SHOWN.draw(View(rows), gift).encode()

    trust, files = node.trust(), [prove(node, SHOWN, gift) for gift in asked]
    verdicts = iter(files)
    return {
        "path_from_mirror_ms": _p50_and_p95(answer, asked),
        "picture_from_mirror_ms": _p50_and_p95(draw, asked),
        "proof_ms": _p50_and_p95(lambda gift: prove(node, SHOWN, gift), asked),
        "verify_ms": _p50_and_p95(lambda _: _valid(next(verdicts), trust), asked),
        "proof_bytes_max": max(map(len, files)),
        "spent": round(sum(b"paid" in file for file in map(answer, asked)) / len(asked), 2),
    }


def _valid(file: bytes, trust: bytes) -> None:
    if verify.check(file, trust).status != "valid":
        raise AssertionError("a path was proved, and is not valid")


def _p50_and_p95(ask: Callable[[str], object], asked: Sequence[str]) -> list[float]:
    took = []
    for gift in asked:
        start = time.perf_counter()
        ask(gift)
        took.append((time.perf_counter() - start) * 1000)
    took.sort()
    return [round(took[len(took) // 2], 2), round(took[len(took) * 95 // 100], 2)]


def _case(stage: Stage, count: int, done: Callable[[int], None]) -> None:
    """Let many give to one case, and two thirds of it be paid in instalments, line by line of several invoices."""
    story.found(stage)
    stage.act("bank", RecordReserve("cny", 2 * count * GIFT_FEN + 1_000_000, story.NO_DOCUMENT))
    names = [f"donor {number}" for number in range(DONORS)]
    for name in names:
        account = stage.join(name)
        stage.act("bank", Issue("cny", account, -(-count // DONORS) * GIFT_FEN))
    campaign = story.opened(stage, "A case of very many gifts", 1_000_000, stage.time_ms + 300 * story.DAY_MS)
    raws = (stage.sign((names[number % DONORS], Give(campaign, GIFT_FEN))) for number in range(count))
    for block in _blocks(raws):
        outcomes = stage.send(block)
        if any(outcome.code != "ok" for outcome in outcomes):
            raise AssertionError({outcome.code for outcome in outcomes})
        done(len(block))
        stage.wait(60)
    stage.act("charity", Close(campaign))
    each = count * GIFT_FEN * 2 // 3 // 4 // LINES
    for number in range(4):
        _invoice(stage, campaign, number, each)


def _invoice(stage: Stage, campaign: str, number: int, each: int) -> None:
    """Let an invoice of many lines be presented, approved and paid."""
    nullifier = crypto.sha256(f"a stand-in for a nullifier {number}".encode()).hex()
    lines = tuple(Line(f"item_{place}", "treatment", 1, each) for place in range(LINES))
    claim = stage.act("clinic", Present(campaign, nullifier, story.NO_DOCUMENT, lines)).ids[0]
    stage.act("civil_affairs", Review(claim, nullifier, (each,) * LINES))
    stage.act("supervisor", Countersign(claim))
    for part in range(4):
        paid, whole = part * each * LINES // 4, (part + 1) * each * LINES // 4
        stage.act("charity", Settle(claim, whole - paid, paid))


def _blocks(raws: Iterator[bytes]) -> Iterator[list[bytes]]:
    while block := list(islice(raws, A_BLOCK)):
        yield block
