"""`metrobloc nullifier`: name a person, or a paper, so that only whoever has the key can tell when it comes again."""

import hmac
import unicodedata

import click

from metrobloc.surface import cli, options
from metrobloc.surface.cli import Setting


def nullifier(key: bytes, kind: str, text: str) -> str:
    """Return the keyed nullifier of a text: HMAC-SHA-256 (RFC 2104) under a secret of 32 bytes, as 64 hex digits.

    The same text always has the same one, however it was typed: case, blanks, hyphens and other signs do not count. It
    can be on the ledger, since without the key nobody can try out numbers. Other kinds have other nullifiers.
    """
    plain = "".join(mark for mark in unicodedata.normalize("NFKC", text).casefold() if mark.isalnum())
    if not plain:
        raise ValueError("The text has no letters or digits.")
    return hmac.digest(key, f"metrobloc nullifier v1\n{kind}\n{plain}".encode(), "sha256").hex()


def command(setting: Setting) -> click.Command:
    """Return the command."""

    def made(*, as_name: str, kind: str, as_json: bool) -> None:
        """Print the nullifier of a number, such as an identity card's, which is asked for and not shown.

        `metrobloc identity vouch --nullifier` takes it. Keep the secret: with another one the same person would be
        another, and whoever has it can find out whom a nullifier names.
        """
        text = click.prompt("Number", hide_input=True, err=True)
        try:
            found = nullifier(setting.keys.secret(as_name), kind, text)
        except ValueError as error:
            cli.fail(str(error), cli.USAGE)
        if as_json:
            cli.show_json({"nullifier": found})
        else:
            click.echo(found)

    told = "Use the secret that is kept under this name; it is made at first use."
    params: list[click.Parameter] = [
        options.names_option("as", setting.keys.names, told, required=True),
        click.Option(["--kind"], default="person", show_default=True, help="What is named: a person, an invoice."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."),
    ]
    return click.Command("nullifier", callback=made, params=params, help=made.__doc__)
