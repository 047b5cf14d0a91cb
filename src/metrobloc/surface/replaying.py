"""`metrobloc replay`: a source's events as signed transactions, compared with it when all have run."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from metrobloc.client import Client, Outcome
from metrobloc.commons.replay import Batch, Replay, ReplayMaker
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import Verifier
from metrobloc.kernel.machine import make_rules
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, fail, show_json
from metrobloc.surface.ledger import Ledger, Local
from metrobloc.surface.options import options_of
from metrobloc.surface.running import found_demo, progress

LINES_AT_ONCE = 500  # the largest transactions of a replay have 4 kB; the door takes 4 MiB
MONEY = "_cents"

Send = Callable[[Iterator[Batch]], Iterator[tuple[Batch, list[str]]]]
"""Executes batches in order; yields each with the codes of its transactions that did not end in `ok`."""


def group(setting: Setting, replays: Mapping[str, ReplayMaker]) -> click.Group:
    """Return the replays' commands."""

    @click.group("replay")
    def replay() -> None:
        """Play real or drawn events through real signed transactions, and compare the totals with their source."""

    for name, make in replays.items():
        replay.add_command(_command(setting, name, make))
    return replay


def _command(setting: Setting, name: str, make: ReplayMaker) -> click.Command:
    def play(*, data: Path | None, node: str | None, as_json: bool, **options: object) -> None:
        now_ms = clock_ms()
        with _usage():
            source = make(now_ms, **options)
        with _opened(setting, data, node, source.start_ms) as (ledger, send):
            status = ledger.status()
            rules = msgspec.structs.replace(make_rules(ledger.genesis(), setting.modules), version=status["rules"])
            with _usage():
                planned = source.plan(rules, int(status["time_ms"]) + 1, now_ms)
            _run(planned, ledger, send, as_json=as_json)

    text, params = options_of(make)
    folder = click.Path(path_type=Path)
    params.append(click.Option(["--data"], type=folder, help="Use, or found, this data folder; else a passing one."))
    params.append(click.Option(["--node"], help="Play on the running demo node at this URL."))
    params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."))
    return click.Command(name, callback=play, params=params, help=text)


@contextmanager
def _usage() -> Iterator[None]:
    """End with what a ValueError says: it is what the user can put right."""
    try:
        yield
    except ValueError as error:
        fail(str(error), cli.USAGE)


def _run(made: Replay, ledger: Ledger, send: Send, *, as_json: bool) -> None:
    """Play a replay, compare it with its source, and say how it went; exit code 1 on any difference."""
    transactions = 0
    with progress(made.unit, made.total, quiet=as_json) as done:
        for batch, codes in send(made.batches()):
            if codes:
                fail(f"A transaction of the replay ended in {codes[0]}; the replay stops.", cli.REFUSED)
            transactions += len(batch.raws)
            done(batch.done)

    def read(path: str) -> dict[str, Any] | None:
        items = ledger.record(path)["items"]
        return items[0]["value"] if items else None

    differences, status = made.differences(read), ledger.status()
    told = made.told() | {"transactions": transactions}
    ending = {name: status[name] for name in ("height", "state_root")}
    if as_json:
        totals = {name.removesuffix(MONEY): value for name, value in told.items()}
        show_json({**totals, "skipped": made.skipped, "differences": differences, **ending})
    else:
        for line in (*made.skipped, *differences):
            click.echo(line)
        for name, value in {**told, **ending}.items():
            click.echo(f"{name.removesuffix(MONEY)}: {f'{value / 100:,.2f}' if name.endswith(MONEY) else value}")
        click.echo("Every total on the ledger equals its source." if not differences else "The totals differ.")
    if differences:
        raise click.exceptions.Exit(cli.REFUSED)


@contextmanager
def _opened(setting: Setting, data: Path | None, node: str | None, start_ms: int) -> Iterator[tuple[Ledger, Send]]:
    """Open, or found, the ledger that a replay is to run on."""
    if node is not None:
        with Client(node, setting.modules) as client:
            yield client, lambda batches: _send_remote(client, batches)
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


def _send_remote(client: Client, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[str]]]:
    for batch in batches:
        answers: list[Outcome] = []
        for first in range(0, max(len(batch.raws), 1), LINES_AT_ONCE):
            answers += client.submit(batch.raws[first : first + LINES_AT_ONCE], batch.time_ms)
        yield batch, [answer.code for answer in answers if (answer.status, answer.code) != ("committed", "ok")]
