"""`metrobloc sign` and `metrobloc send`: several people sign one file after another, offline, and somebody sends it."""

import os
from pathlib import Path

import click

from metrobloc.client import Draft
from metrobloc.engine import keyfile
from metrobloc.kernel import accounts
from metrobloc.kernel.crypto import SigningKey
from metrobloc.surface import actions, cli, options
from metrobloc.surface.cli import Setting, fail, with_json, with_ledger
from metrobloc.surface.ledger import opened

DraftFile = click.Path(path_type=Path, dir_okay=False, exists=True)


def add(root: click.Group, setting: Setting) -> None:
    """Add the commands to the root."""
    root.add_command(_sign(setting))
    root.add_command(_send(setting))


def _sign(setting: Setting) -> click.Command:
    def sign(*, file: Path, as_name: str, yes: bool, as_json: bool) -> None:
        """Sign the draft in FILE as one of your keys, offline, after it has been shown to you; FILE is written anew."""
        draft = Draft.read(file.read_bytes())
        signers = _signers(draft, setting.keys.find(as_name, draft.content.chain))
        if not yes:
            click.echo(draft.show(), err=True)
            if not click.confirm(f"Sign this as {as_name}?", err=True):
                fail("Not signed.", cli.NOT_TAKEN)
        signed = actions.sign(draft, signers)
        fresh = file.with_name(f"{file.name}.new")
        fresh.write_bytes(signed.to_bytes())
        keyfile.sync_path(fresh)
        os.replace(fresh, file)  # noqa: PTH105  # the atomic one
        keyfile.sync_path(file.parent)
        actions.show_draft(signed, None, f"Signed as {as_name}; send it with `metrobloc send {file}`.", as_json=as_json)

    names = setting.keys.names
    params = [
        click.Argument(["file"], type=DraftFile),
        options.names_option("as", names, "Sign as this key (see `metrobloc key list`).", required=True),
        click.Option(["--yes"], is_flag=True, help="Sign without asking."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."),
    ]
    return click.Command("sign", callback=sign, params=params, help=sign.__doc__)


def _signers(draft: Draft, found: list[SigningKey]) -> list[SigningKey]:
    """Return which of a name's keys (the newest first) a draft calls for, as far as can be told without the ledger.

    Those that it names, and for the account that acts the newest of the others: which is in force, the ledger knows.
    """
    named = [key for key in found if f'"{key.key_id}"' in draft.payload.decode()]
    acts = accounts.account_id(found[-1].key_id) in [call.as_ for call in draft.content.calls]
    others = [key for key in found if key not in named]
    return [*named, *(others[:1] if acts or not named else [])]


def _send(setting: Setting) -> click.Command:
    @click.command("send")
    @click.argument("file", type=DraftFile)
    @click.option("--promise", type=click.Path(path_type=Path), help="Do not wait; write the signed promise to a file.")
    @with_ledger
    @with_json
    def send(file: Path, promise: Path | None, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Send the draft in FILE once all have signed; to send it again is safe, because it counts once."""
        draft = Draft.read(file.read_bytes())
        with opened(data, node, setting.modules) as ledger:
            missing = ledger.missing(draft)
            if missing:
                fail(f"Still to sign: {', '.join(missing)}; `metrobloc sign {file}` adds a signature.", cli.NOT_TAKEN)
            actions.send(draft, ledger, promise, as_json=as_json)

    return send
