"""The reference is what the declarations say, and misses nothing of them."""

import re
from collections.abc import Iterator

import click

from metrobloc import app
from metrobloc.surface.http import ROUTES
from scripts import make_reference
from tests.support import ROOT

STALE = "run python scripts/make_reference.py"


def test_every_page_is_current_and_none_is_left_over() -> None:
    pages = make_reference.pages()
    for path, text in pages.items():
        assert path.is_file(), f"{path.name} is missing: {STALE}"
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: {STALE}"
    assert set((make_reference.DOCS / "reference").iterdir()) == set(pages) - {make_reference.DOOR}
    assert make_reference.DOOR.read_text(encoding="utf-8").count(make_reference.MARK) == 1


def leaves(group: click.Group, under: str) -> Iterator[str]:
    """Yield every command by the words that one types."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{under} {name}")
        else:
            yield f"`{under} {name}`"


def test_nothing_that_is_declared_is_missing() -> None:
    everything = "".join(make_reference.pages().values())
    wanted = set(leaves(app.commands(), "metrobloc"))
    for route in ROUTES:
        wanted |= {path.replace(":str}", "}").replace(":path}", "}").replace(":int}", "}") for path in route.paths}
    for module in app.modules().values():
        wanted |= {f"`{action.do}`" for action in module.actions.values()}
        wanted |= {f"`{code}`" for code in module.refusals} | {f"`{name}`" for name in module.params}
        wanted |= {f"/v1/queries/{module.name}/{name}`" for name in module.queries}
        wanted |= {name.replace("_", " ") for name in module.invariants}
    assert {one for one in wanted if one not in everything} == set()


def test_no_answer_of_a_route_has_a_code_that_is_not_told() -> None:
    sources = [*(ROOT / "src/metrobloc/surface/http").glob("*.py"), *(ROOT / "src/metrobloc/mirror").glob("*.py")]
    code = re.compile(r'(?:TurnedAway\(\s*\d+,|MirrorProblem\()\s*"([a-z_]+)"')
    given = {found for path in sources for found in code.findall(path.read_text(encoding="utf-8"))}
    assert {"bad_request", "mirror_behind", "too_many_streams"} <= given
    told = make_reference.pages()[make_reference.DOOR]
    assert {one for one in given if f"`{one}`" not in told} == set()


def test_an_event_that_is_emitted_is_on_its_page() -> None:
    pages = make_reference.pages()
    charity = pages[make_reference.DOCS / "reference" / "charity.md"]
    for name in ("opened", "given", "offered", "matched", "closed", "settled", "cancelled", "refunded"):
        assert f"### `charity.{name}`" in charity
