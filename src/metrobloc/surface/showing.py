"""A query that has a view of its own name: its command also writes the picture, and the file that proves the answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from metrobloc import verify
from metrobloc.commons.views import NotShown, Shown
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, write_new
from metrobloc.surface.ledger import Ledger, opened, view_of

TRIES = 5
NewFile = click.Path(path_type=Path, dir_okay=False)


def add(group: click.Group, app: str, setting: Setting) -> None:
    """Let the commands of an application's queries write what the views of the same names show."""
    for name, shown in setting.views.get(app, {}).items():
        command = group.commands[name]
        asked, *_ = command.params
        assert asked.name, "a query that has a view asks for one key"
        assert command.callback, "a command that does something"
        command.callback = _with_files(setting, shown, asked.name, command.callback)
        asked.required = False
        command.params = [
            click.Argument(["named"], required=False, metavar=asked.name.upper()),
            *command.params,
            click.Option(["--proof"], type=NewFile, help="Write a file that proves the answer (`metrobloc verify`)."),
            click.Option(["--svg"], type=NewFile, help="Draw the answer into this file."),
        ]


def prove(ledger: Ledger, shown: Shown, key: str) -> bytes:
    """Return the file that proves what a view shows, checked but for whose signature it has; NotFound without a key.

    The ledger may go on meanwhile: then the proofs do not go together, and are asked for again.
    """
    reason = ""
    for _ in range(TRIES):
        height = int(ledger.status()["height"])
        keys = shown.keys(view_of(ledger), key)
        file = shown.bundle(key, [ledger.record_proof(one, height) for one in keys])
        verdict = verify.check(file)
        if verdict.status != "invalid":
            return file
        reason = verdict.reason
    raise NotShown(f"The answer could not be proved ({reason}); try again.")


def _with_files(setting: Setting, shown: Shown, name: str, ask: Callable[..., Any]) -> Callable[..., None]:
    def run(*, named: str | None, proof: Path | None, svg: Path | None, **given: Any) -> None:  # noqa: ANN401
        if (named is None) == (given[name] is None):
            cli.fail(f"Name one {name}.", cli.USAGE)
        key = named or given[name]
        if proof is not None or svg is not None:
            with opened(given["data"], given["node"], setting.modules) as ledger:
                if proof is not None:
                    write_new(proof, prove(ledger, shown, key))
                if svg is not None:
                    write_new(svg, shown.draw(view_of(ledger), key).encode())
        ask(**{**given, name: key})

    return run
