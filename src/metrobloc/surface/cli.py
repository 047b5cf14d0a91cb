"""What every command shares: where the ledger is, how results are shown, and how failures end.

Exit codes: 0 done; 1 refused by a rule, invalid, or unsound; 2 wrong usage; 3 not taken (void, malformed, signer not
trusted, not found); 4 no node, or a machine that cannot go on.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never, TypeVar

import click
import msgspec

from metrobloc import client
from metrobloc.client import NoNode, NotFound, NotIncluded, ProofInvalid, Unknown
from metrobloc.commons.views import NotShown, Views
from metrobloc.engine.audit import Modules
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.errors import MachineFault
from metrobloc.surface.keys import KeyProblem, KeyRing

REFUSED, USAGE, NOT_TAKEN, NO_NODE = range(1, 5)
NODE = "http://127.0.0.1:8460"

F = TypeVar("F", bound=Callable[..., Any])


def home() -> Path:
    """Return the user's folder: keys and, unless --data says otherwise, the city's data."""
    return Path(os.environ.get("METROBLOC_HOME") or Path.home() / ".metrobloc")


class Setting:
    """What the wiring gives to the commands."""

    def __init__(self, modules: Modules, views: Views | None = None) -> None:
        """Bind the modules and the applications' views; keys are found when they are asked for."""
        self.load_modules = modules
        self.views: Views = views or {}

    @property
    def modules(self) -> Mapping[str, Any]:
        """Return the modules by name."""
        return self.load_modules()

    @property
    def keys(self) -> KeyRing:
        """Return the user's keys."""
        return KeyRing(home() / "keys")


class Group(click.Group):
    """The root command: failures end in one sentence and a code, never in a traceback."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, or a group with all its own, and let lists show each with a whole sentence."""
        super().add_command(cmd, name)
        _say_whole(cmd)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # as click declares it
        """Run, and turn what went wrong into a sentence on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except (NotFound, NotIncluded, NotShown, Malformed, client.Malformed) as error:
            fail(getattr(error, "sentence", str(error)), NOT_TAKEN)
        except ProofInvalid as error:
            fail(str(error), REFUSED)
        except KeyProblem as error:
            fail(str(error), USAGE)
        except (NoNode, Unknown, MachineFault) as error:
            fail(str(error), NO_NODE)
        except msgspec.MsgspecError as error:
            fail(f"What answered does not speak as a MetroBloc node of this version does ({error}).", NO_NODE)
        except BrokenPipeError:
            raise
        except OSError as error:
            fail(f"The machine did not let it happen: {error}.", NO_NODE)


def _say_whole(command: click.Command) -> None:
    """Show the first sentence, up to a semicolon, in lists of commands; click would cut it off anywhere."""
    line = (command.help or "").strip().partition("\n")[0]
    command.short_help = re.split(r";|\. ", line)[0].removesuffix(".") + "."
    for one in command.commands.values() if isinstance(command, click.Group) else ():
        _say_whole(one)


def fail(sentence: str, code: int) -> Never:
    """Say why on stderr and end with a code."""
    click.echo(sentence, err=True)
    raise click.exceptions.Exit(code)


def with_ledger(command: F) -> F:
    """Add the options that name a ledger."""
    command = click.option(
        "--data", type=click.Path(path_type=Path), help="Use this data folder, with no node running on it."
    )(command)
    return click.option("--node", default=NODE, show_default=True, help="Use the running node at this URL.")(command)


with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")


def show_json(value: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(msgspec.json.encode(value).decode())


def write_new(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file that is not there yet; it is wrong usage to name one that is."""
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
    except FileExistsError:
        fail(f"There is a file {path} already; choose another name.", USAGE)
