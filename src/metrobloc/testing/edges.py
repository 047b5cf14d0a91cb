"""Edges as a table: one line for each way in which an action can end, played on a scene that stands ready.

A case names who acts, what she sends and the code that comes back; `play` also requires that no handler had a fault
and that every invariant holds afterwards.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from metrobloc.kernel.module import Module
from metrobloc.kernel.types import Message
from metrobloc.testing.sandbox import Sandbox


class Scene:
    """A chain in memory, and what messages may name on it."""

    def __init__(self, modules: Iterable[Module], genesis: bytes | None = None) -> None:
        """Found the chain."""
        self.box = Sandbox(modules, genesis)
        self.stage = self.box.stage
        self.ids: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return the id that stands under a name, or else the account of whoever has that name."""
        return self.ids.get(name) or self.stage.account(name)

    def key(self, name: str) -> str:
        """Return somebody's key."""
        return self.stage.key(name).key_id


class Case(Struct, frozen=True):
    """Who sends what, the code that comes back, who signs too, and who signs instead of the actor's first key."""

    actor: str
    message: Callable[[Scene], Message]
    code: str
    also: tuple[str, ...] = ()
    by: tuple[str, ...] | None = None


def play(scene: Scene, case: Case) -> None:
    """Play a case; AssertionError when it ends otherwise, or when an invariant no longer holds."""
    scene.stage.act(case.actor, case.message(scene), also=case.also, by=case.by, refused=case.code)
    assert not scene.box.bugs
    assert not scene.box.broken()


def unmet(module: Module, cases: Iterable[Case]) -> set[str]:
    """Return the declared refusals that no case meets."""
    return set(module.refusals) - {case.code for case in cases}


def readme_refusals(folder: Path, module: Module) -> dict[str, str]:
    """Return the table of refusals in a module's README: code -> sentence."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \|$", text, re.MULTILINE)
    return {f"{module.name}.{code}": sentence for code, sentence in rows}
