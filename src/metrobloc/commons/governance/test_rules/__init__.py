"""The tests of governance, and what they share: a city with a council, and how it decides."""

from collections.abc import Iterable

from metrobloc.commons.governance.rules import app
from metrobloc.commons.governance.types import Approve
from metrobloc.commons.identity.rules import app as identity
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx, Run
from metrobloc.kernel.module import Module
from metrobloc.kernel.state import unmetered
from metrobloc.kernel.tables import ParamSpec
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene

MODULES: tuple[Module, ...] = (identity, app)
DAY_MS = 86_400_000
DAY_MINUTES = 24 * 60
COUNCIL = ("office", "bank", "hospital", "charity", "supervisor")
NOBODY = "a" * 26


def blocks(scene: Scene, count: int) -> None:
    """Let blocks go by in which something happens that is not about governance."""
    for _ in range(count):
        scene.ids["passed"] = str(int(scene.ids.get("passed", "0")) + 1)
        scene.stage.join(f"passer-by {scene.ids['passed']}")


def proposed(scene: Scene, by: str, message: Message) -> str:
    """Have a member propose something; return the proposal."""
    return scene.stage.act(by, message).ids[0]


def decided(scene: Scene, message: Message, by: Iterable[str] = ("bank", "hospital", "charity")) -> str:
    """Have members decide something; return the proposal."""
    first, *others = by
    made = proposed(scene, first, message)
    for name in others:
        scene.stage.act(name, Approve(made))
    return made


def at_height(scene: Scene, height: int) -> None:
    """Let blocks go by until the next one is at a height."""
    blocks(scene, height - scene.box.machine.height - 1)


def in_force(scene: Scene, spec: ParamSpec, height: int | None = None) -> int:
    """Return a parameter's value in the next block, as handlers see it, or at a height."""
    run = scene.box.machine.open_block(scene.stage.time_ms)
    at = run.height if height is None else height
    state = unmetered(run.state)
    return Ctx(Run("", at, run.time_ms, "", state), app.name, "", 0).param(spec)


def accounts_of(scene: Scene, *names: str) -> tuple[str, ...]:
    """Return accounts by names."""
    return tuple(scene[name] for name in names)


def held_by(scene: Scene, role: str) -> set[str]:
    """Return the names of those who hold a role, as far as they are known."""
    named = {accounts.account_id(key.key_id): name for name, key in scene.stage.keys.items()}
    rows = scene.box.view[system.roles].items()
    return {named[key.partition("/")[0]] for key, grant in rows if grant.role == role}
