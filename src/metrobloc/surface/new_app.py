"""`metrobloc new-app NAME`: write a small application whole, wire it, and bring what follows from it up to date.

The application is a board for notes, with one of everything; its author changes it into what is wanted.
"""

import ast
import keyword
import re
import subprocess
import sys
from collections.abc import Container
from importlib import resources
from pathlib import Path

import click

import metrobloc
from metrobloc.kernel.module import Module
from metrobloc.surface import cli
from metrobloc.surface.cli import Setting, fail, show_json, with_json
from metrobloc.surface.describe import check_names

PACKAGE = Path(metrobloc.__file__).parent
CHECKOUT = PACKAGE.parents[1]
NAME = re.compile(r"[a-z][a-z_]{1,29}[a-z]")
IMPORTS = """\
from metrobloc.city.{name} import rules as {name}
from metrobloc.city.{name} import story as {name}_story
"""
MARKS = {
    "    # new-app: stories\n": '    "{name}": {name}_story.play,\n',
    "        # new-app: modules\n": "        {name}.app,\n",
}
"""Lines of the wiring before which it names an application, and how."""

FOLLOWING = (("scripts/make_reference.py",), ("-m", "metrobloc.app", "lab", "vectors", "--write", "{name}"))
"""The programs that write anew what follows from an application's declarations."""


def command(setting: Setting) -> click.Command:
    """Return the command."""

    @click.command("new-app")
    @click.argument("name")
    @click.pass_context
    @with_json
    def new_app(context: click.Context, name: str, as_json: bool) -> None:  # noqa: FBT001
        """Write a new application NAME into this checkout, with tests that pass, ready to be changed."""
        wiring = PACKAGE / "app.py"
        if not (CHECKOUT / "scripts").exists():
            fail("This is no checkout of the project, where applications are made; clone it first.", cli.USAGE)
        root = context.find_root().command
        before = wiring.read_text(encoding="utf-8")
        _check(setting, name, root.commands if isinstance(root, click.Group) else (), before)
        after = _wired(before, name)
        folder = PACKAGE / "city" / name
        folder.mkdir()
        for file, text in _files(name):
            (folder / file).write_text(text, encoding="utf-8")
        wiring.write_text(after, encoding="utf-8")
        for program in FOLLOWING:
            _run([part.format(name=name) for part in program])
        place = folder.relative_to(CHECKOUT)
        if as_json:
            show_json({"app": name, "folder": str(place)})
        else:
            click.echo(_told(name, place))

    return new_app


def _check(setting: Setting, name: str, commands: Container[str], wiring: str) -> None:
    """End with a sentence unless an application may have this name."""
    if NAME.fullmatch(name) is None or keyword.iskeyword(name):
        fail(f"{name!r} is no name for an application: 3 to 31 lowercase letters and underscores.", cli.USAGE)
    if name in setting.modules or (PACKAGE / "city" / name).exists():
        fail(f"There is an application {name} already; choose another name.", cli.USAGE)
    try:
        check_names({name: Module(name, {})}, commands)
    except TypeError as error:
        fail(f"{error}.", cli.USAGE)
    if {name, f"{name}_story"} & _bound(wiring):
        fail(f"The name {name} means something else in app.py; choose another name.", cli.USAGE)


def _bound(source: str) -> set[str]:
    """Return the names that a file of Python gives to something, or uses."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


def _wired(source: str, name: str) -> str:
    """Return the wiring with one application more."""
    lines = source.splitlines(keepends=True)
    imports = [line for line in lines if line.startswith("from metrobloc.city.")]
    place = lines.index(imports[0])
    lines[place : place + len(imports)] = sorted([*imports, *IMPORTS.format(name=name).splitlines(keepends=True)])
    for mark, line in MARKS.items():
        if mark not in lines:
            fail(f"app.py has no line `{mark.strip()}`; put it back where applications are named.", cli.USAGE)
        lines.insert(lines.index(mark), line.format(name=name))
    return "".join(lines)


def _files(name: str) -> list[tuple[str, str]]:
    """Return the application's files with their text."""
    title = name.replace("_", " ").capitalize()
    templates = resources.files(__package__ or "").joinpath("templates", "new_app")
    return [
        (file.name.removesuffix(".txt"), file.read_text("utf-8").replace("{name}", name).replace("{title}", title))
        for file in templates.iterdir()
        if file.name.endswith(".txt")
    ]


def _run(program: list[str]) -> None:
    """Run a program of the checkout; end with what to do when it fails."""
    run = [sys.executable, *program]
    done = subprocess.run(run, cwd=CHECKOUT, check=False, capture_output=True, text=True)  # noqa: S603  # our own
    if done.returncode:
        fail(f"The application is there, but `python {' '.join(program)}` failed; run it again.\n{done.stderr}", 1)


def _told(name: str, place: Path) -> str:
    return f"""\
Wrote {place}, wired it in app.py, and brought the reference and the vectors up to date. Now:

  pytest {place}           its tests; they pass as it is
  metrobloc story {name}   its story
  metrobloc {name} --help  its commands

Change types.py, rules.py, story.py and test_rules.py, then write anew what follows from them:

  python scripts/make_reference.py
  metrobloc lab vectors --write {name}

docs/guide.md shows the way from here to a lending library."""
