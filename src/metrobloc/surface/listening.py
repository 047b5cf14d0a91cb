"""`metrobloc charity listen`: take what SMS gateways post, and file each message as a call for help."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import click

from metrobloc.city.charity import port
from metrobloc.city.charity.types.calling import Channel, Hear
from metrobloc.client import AsyncClient, Client, Malformed, NoNode, NotIncluded, Refused, Unknown, Void
from metrobloc.engine.files import read_bounded
from metrobloc.kernel.crypto import SigningKey
from metrobloc.surface import actions, cli, options
from metrobloc.surface.call_door import Desk, File, Filer, serve_calls
from metrobloc.surface.cli import Setting, fail
from metrobloc.surface.connections import PER_ADDRESS_MAX
from metrobloc.surface.spool import Spool

PATIENCE_S = 20.0
"""So long is a message sent again before its gateway is told to post it later."""

Text = click.Path(path_type=Path, dir_okay=False, exists=True)


def command(setting: Setting) -> click.Command:
    """Return the command."""

    def listen(  # noqa: PLR0913
        *,
        as_name: str,
        by_name: str | None,
        secret: Path,
        words: Path,
        spool: Path | None,
        channel: Channel,
        host: str,
        port_number: int,
        per_minute: int,
        per_address: int,
        node: str,
        as_json: bool,
    ) -> None:
        """Take text messages that gateways post, and file them as calls for help, until it is ended.

        What is written and by whom stays on this machine, in the spool; the ledger has keyed names and a sealed
        commitment. A message is answered for when the ledger has it. docs/sms.md shows how a gateway is set up.
        """
        desk = Desk(_table(words), _secret(secret), setting.keys.secret(as_name), channel, per_minute, per_address)
        with Client(node, setting.modules) as ledger:
            account, signers = actions.find_signer(ledger, setting.keys, as_name, by_name, unsigned=False)
        opened = Spool.open(spool or cli.home() / "calls")

        def ready(open_port: int) -> None:
            url = f"http://{f'[{host}]' if ':' in host else host}:{open_port}"
            if as_json:
                cli.show_json({"account": account, "url": url, "spool": str(opened.home)})
            else:
                click.echo(f"Gateways post to {url}, and {account} files it.\nStop it with Ctrl-C.")

        try:
            filer = _filer(node, setting, account, signers[0])
            serve_calls(desk, opened, filer, (host, port_number), ready)
        finally:
            opened.close()

    return click.Command("listen", callback=listen, params=_params(setting), help=listen.__doc__)


def _params(setting: Setting) -> list[click.Parameter]:
    names = setting.keys.names
    whole = click.IntRange(0, 65535)
    return [
        options.names_option("as", names, "File as this gateway's key.", required=True),
        options.names_option("by", names, "Sign with this key instead, which has a session of it.", required=False),
        click.Option(["--secret"], type=Text, required=True, help="A file with the secret that gateways send along."),
        click.Option(["--words"], type=Text, required=True, help="How calls are sorted by their words (TOML)."),
        click.Option(
            ["--spool"],
            type=click.Path(path_type=Path, file_okay=False),
            help="Keep messages in this folder [default: the folder `calls` in METROBLOC_HOME].",
        ),
        click.Option(
            ["--channel"], type=click.Choice(get_args(Channel)), default="sms", show_default=True, help="What it takes."
        ),
        click.Option(["--host"], default="127.0.0.1", show_default=True, help="The address to listen on."),
        click.Option(
            ["--port", "port_number"], type=whole, default=8480, show_default=True, help="0 picks a free one."
        ),
        click.Option(
            ["--per-minute"], type=click.IntRange(1, 60_000), default=600, show_default=True, help="Posts in a minute."
        ),
        click.Option(
            ["--per-address"],
            type=click.IntRange(0),
            default=PER_ADDRESS_MAX,
            show_default=True,
            help="Connections from one address; 0 for no such limit, behind a proxy.",
        ),
        click.Option(["--node"], default=cli.NODE, show_default=True, help="Use the node at this URL."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."),
    ]


def _filer(node: str, setting: Setting, account: str, key: SigningKey) -> Filer:
    """Return what opens a node, there to file calls and say why that could not be done."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[File]:
        async with AsyncClient(node, setting.modules) as ledger:

            async def file(call: Hear) -> str:
                try:
                    draft = await ledger.draft((account, call))
                    await ledger.send(draft.sign(key).seal(), PATIENCE_S)
                except (Refused, Void, Malformed) as away:
                    return f"{away.code}: {away.sentence}"
                except (NoNode, NotIncluded, Unknown) as error:
                    return str(error)
                return ""

            yield file

    return opened


def _table(path: Path) -> port.Table:
    try:
        return port.read_table(read_bounded(path, port.TABLE_BYTES_MAX))
    except (OSError, ValueError) as error:
        fail(f"{path} is no table of words: {error}.", cli.USAGE)


def _secret(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        fail(f"{path} is open to others; run `chmod 600` on it and choose another secret.", cli.USAGE)
    try:
        secret = read_bounded(path, 1024).rstrip(b"\r\n")
        port.check_secret(secret)
    except (OSError, ValueError) as error:
        fail(f"{path} holds no secret: {error}.", cli.USAGE)
    return secret
