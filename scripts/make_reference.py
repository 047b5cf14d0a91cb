"""Write the tables of docs/api.md from the declarations: python scripts/make_reference.py, or with - to print them."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from metrobloc import app
from metrobloc.kernel.codec import MALFORMED
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS
from metrobloc.surface.actions import fields_of
from metrobloc.surface.http import FAILURES, ROUTES

TARGET = Path(__file__).parents[1] / "docs" / "api.md"
MARK = "<!-- From here on made by scripts/make_reference.py; do not edit. -->\n"
NOT_QUERIES = {"request", "state"}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def routes() -> list[tuple[str, str, str, str]]:
    """List the door's routes: method, path, query, what it does."""
    found: list[tuple[str, str, str, str]] = []
    for route in ROUTES:
        (path,) = route.paths
        queries = [
            f"`{name}`"
            for name in inspect.signature(route.fn).parameters
            if name not in NOT_QUERIES and f"{{{name}:" not in path
        ]
        shown = path.replace(":str}", "}").replace(":path}", "}").replace("//", "/")
        (method,) = sorted(set(route.http_methods) - {"HEAD", "OPTIONS"})
        told = inspect.getdoc(route.fn) or ""
        found.append((method, f"`{shown}`", ", ".join(queries), " ".join(told.split())))
    return found


def codes(declared: Mapping[str, str]) -> str:
    """Write a table of codes and their sentences."""
    return table(("Code", "Sentence"), ((f"`{code}`", sentence) for code, sentence in declared.items()))


def reference() -> str:
    """Write everything that follows from the declarations."""
    parts = [
        "\n## Routes\n\n" + table(("Method", "Path", "Query", "What it does"), routes()),
        '\n## Codes: the request (`{"code", "sentence"}`)\n\n'
        + table(
            ("Status", "Code", "Sentence"),
            ((str(status), f"`{code}`", sentence) for status, (code, sentence) in FAILURES.items()),
        ),
        "\n## Codes: malformed, never was a transaction\n\n" + codes(MALFORMED),
        "\n## Codes: void, may not run now\n\n" + codes(VOIDS),
        "\n## Codes: refused, every module\n\n" + codes(ENGINE_REFUSALS),
    ]
    for module in app.modules().values():
        actions = (
            (
                f"`{action.do}`",
                " ".join((action.handler.__doc__ or "").split()),
                action.allow.describe(),
                ", ".join(f"`{field.name}`" for field in fields_of(action)),
            )
            for action in module.actions.values()
        )
        parts.append(
            f"\n## Module {module.name}\n\n" + table(("Action", "What it does", "Allowed for", "Fields"), actions)
        )
        parts.append("\n" + codes(module.refusals))
    return "".join(parts)


def page(old: str) -> str:
    """Put the tables in the place of a page's old ones."""
    return old.partition(MARK)[0] + MARK + reference()


def main() -> int:
    """Write the page, or print its tables when the argument is a dash."""
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(reference())
    else:
        TARGET.write_text(page(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
