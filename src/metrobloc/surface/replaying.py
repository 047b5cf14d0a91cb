"""`metrobloc replay`: a real data set as signed transactions, compared with its source when all have run."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from metrobloc.city.charity.tools.replay import Batch, Replay
from metrobloc.city.charity.tools.sources import gitcoin, pilot
from metrobloc.engine.sealer import Answer, clock_ms
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import Verifier
from metrobloc.kernel.block import Rules
from metrobloc.kernel.machine import make_rules
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, fail, show_json, with_json
from metrobloc.surface.ledger import Ledger, Local, Remote
from metrobloc.surface.running import DAY_MS, found_demo, progress

GITCOIN_START_MS = int(datetime(2019, 1, 31, tzinfo=UTC).timestamp() * 1000)
PILOT_MS = 33 * DAY_MS
LINES_AT_ONCE = 500  # the largest transactions of a replay have 4 kB; the door takes 4 MiB

Send = Callable[[Iterator[Batch]], Iterator[tuple[Batch, list[str]]]]
"""Executes batches in order; yields each with the codes of its transactions that did not end in `ok`."""


def group(setting: Setting) -> click.Group:
    """Return the replays' commands."""

    @click.group("replay")
    def replay() -> None:
        """Play a real data set through real signed transactions, and compare the totals with their source."""

    @replay.command("charity")
    @click.argument("file", required=False, type=click.Path(path_type=Path, exists=True))
    @click.option("--pilot", "is_pilot", is_flag=True, help="Instead of a file: a month of the Red Cross pilot.")
    @click.option("--factor", type=click.IntRange(1), default=1, show_default=True, help="The pilot so many times.")
    @click.option("--limit", type=click.IntRange(1), help="Only campaigns with this many gifts together.")
    @click.option("--round", "round_number", type=click.IntRange(1), help="Only this round of the file.")
    @click.option("--seed", type=int, default=1, show_default=True, help="Draw other gifts with the same totals.")
    @click.option(
        "--data", type=click.Path(path_type=Path), help="Use, or found, this data folder [default: a passing one]."
    )
    @click.option("--node", help="Play on the running demo node at this URL.")
    @with_json
    def charity(  # noqa: PLR0913
        *,
        file: Path | None,
        is_pilot: bool,
        factor: int,
        limit: int | None,
        round_number: int | None,
        seed: int,
        data: Path | None,
        node: str | None,
        as_json: bool,
    ) -> None:
        """Replay grants: FILE is a Gitcoin grants_data.csv, or the folder that holds it."""
        if (file is None) != is_pilot:
            fail("Name either a file or --pilot.", cli.USAGE)
        if is_pilot and (limit or round_number):
            fail("--limit and --round choose from a file; the pilot has --factor.", cli.USAGE)

        def plan(rules: Rules, start_ms: int) -> Replay:
            if file is None:
                return pilot(rules, start_ms, clock_ms(), factor=factor, seed=seed)
            source = file / "grants_data.csv" if file.is_dir() else file
            return gitcoin(source, rules, start_ms, clock_ms(), limit=limit, round_number=round_number, seed=seed)

        start_ms = clock_ms() - PILOT_MS if is_pilot else GITCOIN_START_MS
        with _opened(setting, data, node, start_ms) as (ledger, send):
            try:
                made = plan(make_rules(ledger.genesis(), setting.modules), int(ledger.status()["time_ms"]) + 1)
            except ValueError as error:
                fail(str(error), cli.USAGE)
            _run(made, ledger, send, as_json=as_json)

    return replay


def _run(made: Replay, ledger: Ledger, send: Send, *, as_json: bool) -> None:
    """Play a replay, compare it with its source, and say how it went; exit code 1 on any difference."""
    transactions = 0
    with progress("gifts", made.gifts_total, quiet=as_json) as done:
        for batch, codes in send(made.batches()):
            if codes:
                fail(f"A transaction of the replay ended in {codes[0]}; the replay stops.", cli.REFUSED)
            transactions += len(batch.raws)
            done(batch.gifts)

    def read(path: str) -> dict[str, Any] | None:
        items = ledger.record(path)["items"]
        return items[0]["value"] if items else None

    differences = made.differences(read)
    wanted = made.expected.values()
    told = {
        "campaigns": len(made.expected),
        "gifts": made.gifts_total,
        "transactions": transactions,
        "crowd": sum(campaign.crowd for campaign in wanted),
        "matched": sum(campaign.matched for campaign in wanted),
        "settled": sum(campaign.settled for campaign in wanted),
        "skipped": made.skipped,
        "differences": differences,
        "height": ledger.status()["height"],
        "state_root": ledger.status()["state_root"],
    }
    if as_json:
        show_json(told)
    else:
        for line in (*made.skipped, *differences):
            click.echo(line)
        for name in ("campaigns", "gifts", "transactions", "height", "state_root"):
            click.echo(f"{name}: {told[name]}")
        for name in ("crowd", "matched", "settled"):
            click.echo(f"{name}: {int(str(told[name])) / 100:,.2f}")
        click.echo("Every total on the ledger equals its source." if not differences else "The totals differ.")
    if differences:
        raise click.exceptions.Exit(cli.REFUSED)


@contextmanager
def _opened(setting: Setting, data: Path | None, node: str | None, start_ms: int) -> Iterator[tuple[Ledger, Send]]:
    """Open, or found, the ledger that a replay is to run on."""
    if node is not None:
        remote = Remote(node)
        yield remote, lambda batches: _send_remote(remote, batches)
        return
    folder = data or Path(tempfile.mkdtemp(prefix="metrobloc-replay-"))
    try:
        solo = (
            Solo.open(folder, setting.modules) if (folder / "store").exists() else found_demo(folder, setting, start_ms)
        )
        try:
            with Verifier(genesis_of(solo.store), setting.load_modules) as verifier:
                yield Local(solo), lambda batches: _send_local(solo, verifier, batches)
        finally:
            solo.close()
    finally:
        if data is None:
            shutil.rmtree(folder)


def _send_local(node: Solo, verifier: Verifier, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[str]]]:
    for batch, raws, verdicts in verifier.stream((batch, batch.raws) for batch in batches):
        codes = [verdict[0] for verdict in verdicts if isinstance(verdict, tuple)]
        if not codes:
            codes = [outcome.code for outcome in node.execute(raws, batch.time_ms) if outcome.code != "ok"]
        yield batch, codes


def _send_remote(remote: Remote, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[str]]]:
    for batch in batches:
        answers: list[Answer] = []
        for first in range(0, max(len(batch.raws), 1), LINES_AT_ONCE):
            answers += remote.submit(batch.raws[first : first + LINES_AT_ONCE], batch.time_ms)
        yield batch, [answer.code for answer in answers if (answer.status, answer.code) != ("committed", "ok")]
