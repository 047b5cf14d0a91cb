"""The commands that keep a mirror: rebuild, follow, status."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import click
import httpx

from metrobloc.engine.solo import genesis_of
from metrobloc.engine.store import Store
from metrobloc.kernel.genesis import chain_id
from metrobloc.mirror import follow
from metrobloc.mirror.database import MIRROR_FILE, read_facts
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, fail, show_json, with_json
from metrobloc.surface.running import progress

Folder = click.Path(path_type=Path, file_okay=False)
with_data = click.option("--data", type=Folder, help="The data folder; the mirror is its file mirror.sqlite.")
with_file = click.option(
    "--mirror", "file", type=click.Path(path_type=Path, dir_okay=False), help="The mirror's file, if it is elsewhere."
)


def group(setting: Setting) -> click.Group:
    """Return the mirror's commands."""

    @click.group("mirror")
    def mirror() -> None:
        """Keep the mirror: tables, their past and events in SQL, for reading. It can be dropped and made anew."""

    for command in (_rebuild(setting), _follow(setting), _status(setting)):
        mirror.add_command(command)
    return mirror


def _rebuild(setting: Setting) -> click.Command:
    @click.command("rebuild")
    @with_data
    @with_file
    @click.option("--node", help="Read from the running node at this URL, not from the data folder.")
    @with_json
    def rebuild(data: Path | None, file: Path | None, node: str | None, as_json: bool) -> None:  # noqa: FBT001
        """Make the mirror anew from the ledger, and put it in the old one's place when it is whole."""
        path = _file(data, file)

        def make(genesis: bytes, head: int, source: Iterable[follow.Batch]) -> int:
            schema = follow.schema_of(genesis, setting.modules)
            with progress("blocks", head + 1, quiet=as_json) as done:
                return follow.rebuild(path, schema, genesis, source, done)

        if node is not None:
            try:
                with follow.calling(node) as line:
                    genesis, head = follow.ask_node(line)
                    height = make(genesis, head, follow.from_node(line, head))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                said = f"{type(error).__name__}: {error}"
                fail(f"No node answers at {node} ({said}); start one with `metrobloc up`, or name --data.", cli.NO_NODE)
        elif data is not None:
            with closing(Store.open(data / "store")) as store:
                height = make(genesis_of(store), store.head(), follow.from_store(store))
        else:
            fail("Name the data folder with --data, or a running node with --node.", cli.USAGE)
        if as_json:
            show_json({"height": height, "mirror": str(path)})
        else:
            click.echo(f"The mirror {path} is at height {height}.")

    return rebuild


def _follow(setting: Setting) -> click.Command:
    @click.command("follow")
    @with_data
    @with_file
    @click.option("--node", default=cli.NODE, show_default=True, help="Follow the running node at this URL.")
    def follow_(data: Path | None, file: Path | None, node: str) -> None:
        """Keep the mirror up with a running node, until it is ended; it can be ended at any moment."""
        path = _file(data, file)
        if not node.startswith(("http://", "https://")):
            fail(f"{node} is no URL of a node, such as {cli.NODE}.", cli.USAGE)
        try:
            follow.follow(path, node, setting.modules, lambda line: click.echo(line, err=True))
        except KeyboardInterrupt:
            click.echo("The mirror is left as it is.", err=True)

    return follow_


def _status(setting: Setting) -> click.Command:
    @click.command("status")
    @with_data
    @with_file
    @with_json
    def status(data: Path | None, file: Path | None, as_json: bool) -> None:  # noqa: FBT001
        """Tell of which chain the mirror is, up to which block, and whether it must be rebuilt."""
        path = _file(data, file)
        facts = read_facts(path)
        genesis = facts["genesis"].encode()
        current = facts["schema"] == follow.schema_of(genesis, setting.modules).digest
        told = {"chain": chain_id(genesis), "height": int(facts["height"]), "mirror": str(path), "current": current}
        if as_json:
            show_json(told)
        else:
            click.echo(f"The mirror {path} of {told['chain']} is at height {told['height']}.")
            if not current:
                click.echo(
                    "The modules' declarations have changed since: make it anew with `metrobloc mirror rebuild`."
                )

    return status


def _file(data: Path | None, file: Path | None) -> Path:
    if file is not None:
        return file
    if data is None:
        fail("Name the data folder with --data, or the mirror's file with --mirror.", cli.USAGE)
    return data / MIRROR_FILE
