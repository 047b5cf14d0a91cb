"""The commands that run a chain: up, story, replay, export, audit, backup, restore, and the operator's key."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.stage import Stage
from metrobloc.engine import keyfile
from metrobloc.engine.audit import Report, audit_export, audit_folder, read_trust
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.engine.verifier import check_all
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.errors import MachineFault
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, fail, home, show_json, with_json, with_ledger
from metrobloc.surface.connections import PER_ADDRESS_MAX
from metrobloc.surface.hooks import BOOK_FILE
from metrobloc.surface.http import ahead
from metrobloc.surface.ledger import opened
from metrobloc.surface.serve import serve

Story = Callable[[Stage], None]
Folder = click.Path(path_type=Path, file_okay=False)
LACKING = "From block {} on this chain needs what this program does not have: {}. Install a newer version before."
REST_MS = 3_600_000
"""So long ago the stories end at most: a node whose clock is behind its chain takes nothing."""
TRIAL_MS = 1_700_000_000_000
"""When stories begin that are played only to see how long they take."""


def add(root: click.Group, setting: Setting, stories: Mapping[str, Story]) -> None:
    """Add the running commands to the root."""
    for command in (
        _up(setting, stories),
        _story(setting, stories),
        _export(setting),
        _audit(setting),
        _backup(setting),
        _restore(setting),
        _operator(setting),
    ):
        root.add_command(command)


def found_demo(folder: Path, setting: Setting, start_ms: int) -> Solo:
    """Found a playground whose block time begins at `start_ms`."""
    return Solo.create(folder, demo_genesis(start_ms, setting.modules), setting.modules)


def play(node: Solo, story: Story, say: Callable[[str], None]) -> None:
    """Play a story on a node, from its chain's time on."""

    def execute(raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        for verdict in check_all(node.machine.rules, raws):
            if isinstance(verdict, tuple):
                raise MachineFault(f"The story signed something malformed: {verdict[1]}")
        return node.execute(raws, time_ms)

    machine = node.machine
    story(Stage(machine.rules, execute, machine.time_ms, say, lambda: machine.ahead().version))


@contextmanager
def progress(what: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal while work is done; yields a function that takes the work done since its last call."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def _up(setting: Setting, stories: Mapping[str, Story]) -> click.Command:
    @click.command("up")
    @click.option("--data", type=Folder, help="The data folder [default: the folder `city` in METROBLOC_HOME].")
    @click.option("--port", type=click.IntRange(0, 65535), default=8460, show_default=True, help="0 picks a free one.")
    @click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
    @click.option("--genesis", type=click.File("rb"), help="Found a chain of your own from this file.")
    @click.option("--trust-clock", is_flag=True, help="Go on although the clock is far ahead of the last block.")
    @click.option("--mirror/--no-mirror", default=True, show_default=True, help="Keep the SQL mirror beside the node.")
    @click.option(
        "--per-address",
        type=click.IntRange(0),
        default=PER_ADDRESS_MAX,
        show_default=True,
        help="Connections from one address; 0 for no such limit, behind a proxy.",
    )
    @with_json
    def up(  # noqa: PLR0913
        *,
        data: Path | None,
        port: int,
        host: str,
        genesis: Any,  # noqa: ANN401  # click's file
        trust_clock: bool,
        mirror: bool,
        per_address: int,
        as_json: bool,
    ) -> None:
        """Run a node: the ledger, and its door for transactions and proofs. The first run plays the stories."""
        folder = data or home() / "city"
        if genesis is not None:
            Solo.create(folder, genesis.read().strip(), setting.modules).close()
            click.echo(f"Founded a chain in {folder}.", err=as_json)
        elif not folder.exists() or not any(folder.iterdir()):
            _found_city(folder, setting, stories, lambda line: click.echo(line, err=as_json))

        def ready(node: Solo, open_port: int) -> None:
            url = _url(host, open_port)
            for one in ahead(node):
                if not one.known:
                    click.echo(LACKING.format(one.from_height, one.what), err=True)
            if as_json:
                show_json({"chain": node.chain, "height": node.machine.height, "url": url})
            else:
                click.echo(f"{node.chain}, height {node.machine.height}, serves at {url}/v1/status")
                click.echo("Stop it with Ctrl-C.")

        serve(
            folder,
            setting.load_modules,
            host,
            port,
            ready,
            trust_clock=trust_clock,
            per_address=per_address,
            mirrored=mirror,
            commands=lambda open_port: _beside(folder, _url(host, open_port), mirror=mirror),
            views=setting.views,
        )

    return up


def _beside(folder: Path, url: str, *, mirror: bool) -> list[list[str]]:
    """Return the commands that run beside a node: its mirror, and its webhooks where some have been registered."""
    node = ["--node", url, "--data", str(folder)]
    commands = [["mirror", "follow", *node]] if mirror else []
    return [*commands, *([["webhook", "run", *node]] if (folder / BOOK_FILE).exists() else [])]


def _url(host: str, port: int) -> str:
    """Return the address of a node that listens there; one that listens everywhere is asked on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # the word for everywhere
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"


def _found_city(folder: Path, setting: Setting, stories: Mapping[str, Story], say: Callable[[str], None]) -> None:
    """Found a playground and play the stories beside its folder, which takes its name when all have been played."""
    say(f"Founding a demonstration city in {folder}.")
    fresh = folder.with_name(f"{folder.name}.founding")
    shutil.rmtree(fresh, ignore_errors=True)  # what a kill in the middle left
    node = found_demo(fresh, setting, _begin_ms(setting, stories.values()))
    try:
        for name, story in stories.items():
            say(f"The story of {name}:")
            play(node, story, lambda line: say(f"  {line}"))
    finally:
        node.close()
    fresh.rename(folder)
    keyfile.sync_path(folder.parent)


def _begin_ms(setting: Setting, stories: Iterable[Story]) -> int:
    """Return when stories must begin to end shortly before now: they are played once to see how long they take."""
    with tempfile.TemporaryDirectory(prefix="metrobloc-story-") as folder:
        node = found_demo(Path(folder), setting, TRIAL_MS)  # not 1970: stories speak of papers from before they begin
        try:
            for story in stories:
                play(node, story, lambda _: None)
            return clock_ms() - REST_MS - (node.machine.time_ms - TRIAL_MS)
        finally:
            node.close()


def _story(setting: Setting, stories: Mapping[str, Story]) -> click.Command:
    @click.command("story")
    @click.argument("app", type=click.Choice(sorted(stories)))
    @click.option("--data", type=Folder, help="Found the story's chain here and keep it [default: a passing one].")
    @with_json
    def story(app: str, data: Path | None, as_json: bool) -> None:  # noqa: FBT001
        """Play an application's scripted day on a chain of its own, through real signed transactions."""
        folder = data or Path(tempfile.mkdtemp(prefix="metrobloc-story-"))
        try:
            node = found_demo(folder, setting, _begin_ms(setting, [stories[app]]))
            try:
                play(node, stories[app], lambda line: click.echo(line, err=as_json))
                ending = {"chain": node.chain, "height": node.machine.height, "state_root": node.machine.state_root}
            finally:
                node.close()
        finally:
            if data is None:
                shutil.rmtree(folder)
        if as_json:
            show_json(ending)
        else:
            click.echo(f"The story ends at height {ending['height']} with the state root {ending['state_root']}.")

    return story


def _export(setting: Setting) -> click.Group:
    @click.group("export")
    def export() -> None:
        """Write what auditors and other systems read."""

    @export.command("blocks")
    @click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
    @with_ledger
    @with_json
    def blocks(file: Path, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Write the whole chain to FILE as JSON lines, for `metrobloc audit --from FILE`."""
        if file.exists():
            fail(f"There is a file {file} already; choose another name.", cli.USAGE)
        lines = 0
        with opened(data, node, setting.modules) as ledger:
            total = int(ledger.status()["height"]) + 2
            with file.open("xb") as out, progress("blocks", total, quiet=as_json) as done:
                for lines, line in enumerate(ledger.lines(), 1):  # noqa: B007  # their number is wanted
                    out.write(line + b"\n")
                    done(1)
        if as_json:
            show_json({"blocks": lines - 2, "file": str(file)})
        else:
            click.echo(f"{lines - 2} blocks are in {file}.")

    return export


def _audit(setting: Setting) -> click.Command:
    @click.command("audit")
    @click.option("--data", type=Folder, help="Audit this data folder, row by row; no node may be running on it.")
    @click.option("--from", "source", help="Audit an export: a FILE, or the URL of a running node.")
    @click.option(
        "--trust", type=click.File("rb"), help="Whose signature must stand under the log (`metrobloc trust`)."
    )
    @with_json
    def audit(data: Path | None, source: str | None, trust: Any, as_json: bool) -> None:  # noqa: ANN401, FBT001
        """Re-execute a chain from genesis, check every signature, root and row, and run every invariant."""
        if (data is None) == (source is None):
            fail("Name either --data DIR or --from FILE (or a node's URL).", cli.USAGE)
        try:
            trusted = read_trust(trust.read()) if trust else None
        except ValueError as error:
            fail(str(error), cli.USAGE)
        with progress("transactions", None, quiet=as_json) as done:
            if data is not None:
                report = audit_folder(data, setting.load_modules, trusted, done)
            elif source is not None and source.startswith(("http://", "https://")):
                with opened(None, source, setting.modules) as ledger:
                    report = audit_export(ledger.lines(), setting.load_modules, trusted, done)
            elif source is not None and not Path(source).is_file():
                fail(f"There is no file {source}.", cli.USAGE)
            else:
                with Path(source or "").open("rb") as file:
                    lines = (line.rstrip(b"\n") for line in file)
                    report = audit_export(lines, setting.load_modules, trusted, done)
        _tell(report, as_json=as_json, trust_given=trusted is not None)

    return audit


def _tell(report: Report, *, as_json: bool, trust_given: bool) -> None:
    if as_json:
        show_json(report)
    else:
        for problem in report.problems:
            click.echo(problem, err=True)
        click.echo(
            f"{report.chain}: {report.transactions} transactions re-executed to height {report.height}, "
            f"state root {report.state_root}."
        )
        if not report.problems:
            signer = "whom you trust" if report.trusted else "compare this key with your trust file or the operator"
            click.echo(f"Sound. The log is signed by {report.operator} ({signer}).")
    if report.problems:
        raise click.exceptions.Exit(cli.REFUSED)
    if trust_given and not report.trusted:
        fail("The signer is not one of those in the trust file.", cli.NOT_TAKEN)


def _backup(setting: Setting) -> click.Command:
    @click.command("backup")
    @click.argument("target", type=click.Path(path_type=Path))
    @click.option("--data", type=Folder, required=True, help="The data folder; no node may be running on it.")
    @with_json
    def backup(target: Path, data: Path, as_json: bool) -> None:  # noqa: FBT001
        """Copy a data folder, with the operator's key, to TARGET, and check that the copy opens."""
        node = Solo.open(data, setting.modules)
        try:
            node.backup(target)
            height = node.machine.height
            if as_json:
                show_json({"chain": node.chain, "height": height, "target": str(target)})
            else:
                click.echo(f"Height {height} of {node.chain} is in {target}; keep it secret, the key is in it.")
        finally:
            node.close()

    return backup


def _restore(setting: Setting) -> click.Command:
    @click.command("restore")
    @click.argument("source", type=Folder)
    @click.option("--data", type=click.Path(path_type=Path), required=True, help="The new data folder; must not exist.")
    @click.option("--checkpoint", type=click.File("rb"), help="The newest checkpoint that anybody has of this chain.")
    @with_json
    def restore(source: Path, data: Path, checkpoint: Any, as_json: bool) -> None:  # noqa: ANN401, FBT001
        """Bring a backup back as a new data folder; refused when it ends before a checkpoint that was given out."""
        newest = checkpoint.read() if checkpoint else None
        height = Solo.restore(source, data, setting.modules, newest)
        if as_json:
            show_json({"data": str(data), "height": height})
        else:
            click.echo(f"Restored to height {height} in {data}. Check it with `metrobloc audit --data {data}`.")

    return restore


def _operator(setting: Setting) -> click.Group:
    @click.group("operator")
    def operator() -> None:
        """Look after the key that signs the log."""

    @operator.command("rotate")
    @click.option("--data", type=Folder, required=True, help="The data folder; no node may be running on it.")
    @with_json
    def rotate(data: Path, as_json: bool) -> None:  # noqa: FBT001
        """Replace the operator's key; proofs made from now on show that the old key agreed."""
        node = Solo.open(data, setting.modules)
        try:
            made = node.rotate_key(clock_ms())
            if as_json:
                show_json({"operator": made})
            else:
                click.echo(f"The operator's key is now {made}.")
        finally:
            node.close()

    return operator
