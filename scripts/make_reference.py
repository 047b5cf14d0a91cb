"""Write the reference from the declarations: python scripts/make_reference.py brings docs/ up to date.

The tables at the end of docs/api.md are of the door; docs/reference/ has a page for every application, one for what
every chain has, and one for the commands.
"""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from metrobloc import app
from metrobloc.kernel.codec import MALFORMED
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS
from metrobloc.surface.connections import REFUSALS
from metrobloc.surface.describe import AppDoc, FieldDoc, describe, param_rows, roles_in, rows_of
from metrobloc.surface.http import FAILURES, ROUTES
from metrobloc.surface.http.document import asks_of, method_of, path_of
from metrobloc.testing.permissions import roles_of

DOCS = Path(__file__).parents[1] / "docs"
DOOR = DOCS / "api.md"
MARK = "<!-- From here on made by scripts/make_reference.py; do not edit. -->\n"
MADE = "<!-- Made by scripts/make_reference.py; do not edit. -->\n\n"

FURTHER = (
    (409, "clock", "The time lies before the last block, or ahead of what may be simulated."),
    (409, "expires_too_late", "A draft may not stay valid for so long."),
    (409, "not_grown", "A proof leads from a size of the log to one that is not smaller."),
    (409, "not_reached", "The place lies beyond the newest block; come back when it is there."),
    (413, "too_much_work", "The question would read more than one may; ask for less."),
    (503, "mirror_behind", "The mirror has not come to `min_height` yet; ask again."),
    (503, "mirror_gap", "The mirror lacks a block; make it anew."),
    (503, "mirror_schema", "The mirror was made from other declarations; make it anew."),
    (503, "mirror_unreadable", "A record that the mirror was to take over cannot be read; see the node's audit."),
    (503, "no_mirror", "There is no mirror here; the sentence says how to make one."),
    (503, "other_chain", "The mirror is of another chain; choose another file for it."),
    (503, "other_history", "The mirror holds another history than the ledger; make it anew."),
    (503, "too_many_streams", "Too many clients follow already; come back in a minute."),
    (503, "too_much_work", "The question to the mirror would read too much; ask with a filter."),
)
"""Status, code and what it means, where a route's own answer is more exact than this."""


def pages() -> dict[Path, str]:
    """Return every page of the reference with its text."""
    apps = describe(app.modules())
    made = {DOCS / "reference" / f"{one.name}.md": MADE + app_page(one) for one in apps}
    made[DOCS / "reference" / "commands.md"] = MADE + commands_page()
    made[DOCS / "reference" / "permissions.md"] = MADE + permissions_page()
    return made | {DOOR: DOOR.read_text(encoding="utf-8").partition(MARK)[0] + MARK + door_tables(apps)}


def permissions_page() -> str:
    """Write who may do what, by action and by role; a test tries every cell."""
    every = [action for module in app.modules().values() for action in module.actions.values()]
    by_action = (
        (
            f"`{action.do}`",
            action.allow.describe().strip("()"),
            "own keys only" if action.personal else "",
            "yes" if action.defends else "",
        )
        for action in every
    )
    by_role = (
        (f"`{role}`", ", ".join(f"`{action.do}`" for action in every if role in roles_in(action.allow)))
        for role in roles_of(app.modules().values())
    )
    return (
        "# Who may do what\n\n"
        "`metrobloc may NAME` says what one account may do, `metrobloc who ACTION` who may do one thing, on a running\n"
        "city. Beyond what is asked for here an action may require more of the record that it is about.\n\n"
        "## By action\n\nA mandate or a session can be given for every action that is not marked as asking for the\n"
        "account's own keys.\n\n"
        + table(("Action", "Who", "Signed with", "While frozen"), by_action)
        + "\n## By role\n\nWhat any registered account may do is left out.\n\n"
        + table(("Role", "Actions"), by_role)
    )


def door_tables(apps: Iterable[AppDoc]) -> str:
    """Write the door's routes and codes."""
    links = "".join(f"- [{one.title}](reference/{one.name}.md)\n" for one in apps)
    of_routes = ((status, code, sentence) for status, (code, sentence) in FAILURES.items())
    of_connections = ((one.status, one.code, one.sentence) for one in REFUSALS)
    every = sorted([*of_routes, *of_connections, *FURTHER])
    failures = ((str(status), f"`{code}`", text) for status, code, text in every)
    return (
        "\n## Routes\n\n"
        + table(("Method", "Path", "Query", "What it does"), routes())
        + '\n## Codes: the request (`{"code", "sentence"}`)\n\n'
        + table(("Status", "Code", "Sentence"), failures)
        + "\n## Codes: malformed, never was a transaction\n\n"
        + codes(MALFORMED)
        + "\n## Codes: void, may not run now\n\n"
        + codes(VOIDS)
        + "\n## Codes: refused, every module\n\n"
        + codes(ENGINE_REFUSALS)
        + "\n## Applications\n\n"
        + links
        + "- [Commands](reference/commands.md)\n- [Who may do what](reference/permissions.md)\n"
    )


def routes() -> Iterator[tuple[str, ...]]:
    """Yield the door's routes: method, path, query, what it does."""
    for route in ROUTES:
        asked = ", ".join(f"`{one.name}`" for one in asks_of(route) if one.place != "path")
        told = " ".join((inspect.getdoc(route.fn) or "").split())
        yield method_of(route).upper(), f"`{path_of(route)}`", asked, told


def app_page(one: AppDoc) -> str:
    """Write an application's page."""
    parts = [f"# {one.title}\n\n{one.text}\n"]
    if one.actions:
        parts.append("\n## Actions\n")
        for action in one.actions:
            told = f"\n### `{action.do}`\n\n{action.text}\n\nAllowed for: {action.allow}.\n"
            parts.append(told + fields(action.fields))
    if one.queries:
        parts.append("\n## Queries\n")
        for query in one.queries:
            path = f"/v1/queries/{one.name}/{query.name}"
            parts.append(f"\n### `GET {path}`\n\n{query.text}\n{fields(query.fields)}")
    if one.tables:
        parts.append("\n## Tables\n")
        for kept in one.tables:
            key = ", ".join(kept.key)
            parts.append(f"\n### `{one.name}/{kept.name}`\n\n{kept.text} Key: {key}.\n{fields(kept.fields)}")
    if one.events:
        parts.append("\n## Events\n")
        parts += [f"\n### `{event.name}`\n\n{event.text}\n{fields(event.fields)}" for event in one.events]
    if one.params:
        rows = ((f"`{name}`", *rest) for name, *rest in param_rows(one.params))
        parts.append("\n## Parameters\n\n" + table(("Parameter", "Default", "Limits", "Why"), rows))
    if one.refusals:
        parts.append("\n## Refusals\n\n" + codes(one.refusals))
    if one.invariants:
        rows = ((name.replace("_", " "), text) for name, text in one.invariants.items())
        parts.append("\n## What is always true\n\n" + table(("Sentence", "What is checked"), rows))
    return "".join(parts)


def commands_page() -> str:
    """Write the page of all commands."""
    parts = ["# Commands\n\n`metrobloc COMMAND --help` tells the options of each.\n"]
    top = app.commands()
    single = {name: one for name, one in top.commands.items() if not isinstance(one, click.Group)}
    parts.append("\n" + table(("Command", "What it does"), command_rows("metrobloc", single)))
    for name, group in sorted(top.commands.items()):
        if isinstance(group, click.Group):
            told = " ".join((group.help or "").split())
            parts.append(f"\n## `metrobloc {name}`\n\n{told}\n\n")
            parts.append(table(("Command", "What it does"), command_rows(f"metrobloc {name}", group.commands)))
    return "".join(parts)


def command_rows(under: str, commands: Mapping[str, click.Command]) -> Iterator[tuple[str, str]]:
    """Yield commands and those below them, with the first sentence of their help."""
    for name, command in sorted(commands.items()):
        if isinstance(command, click.Group):
            yield from command_rows(f"{under} {name}", command.commands)
        else:
            yield f"`{under} {name}`", " ".join((command.help or "").partition("\n\n")[0].split())


def fields(listed: tuple[FieldDoc, ...]) -> str:
    """Write a table of fields, if there are any."""
    rows = [(f"`{name}`", kind, limits, default) for name, kind, limits, default in rows_of(listed)]
    return "\n" + table(("Field", "Kind", "Limits", "If left out"), rows) if rows else ""


def codes(declared: Mapping[str, str]) -> str:
    """Write a table of codes and their sentences."""
    return table(("Code", "Sentence"), ((f"`{code}`", sentence) for code, sentence in declared.items()))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def main() -> int:
    """Write the pages."""
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
