"""A chain that is upgraded: its genesis, what is played on it before and after, and hands on a node."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from metrobloc.commons.governance.types import Approve, ProposeModule, ProposeRules, ProposeValue
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.stage import Stage
from metrobloc.engine.solo import Solo
from metrobloc.engine.verifier import Verifier
from metrobloc.kernel.types import Message
from metrobloc.testing.sandbox import START_MS
from tests.surface.city import Inline
from tests.upgrade.museum import rules as museum
from tests.upgrade.new import rules as new
from tests.upgrade.old import rules as old

GENESIS = demo_genesis(START_MS, old.modules(), "shelf")
LACKS_RULES = "this chain needs what this program does not have: version 2 of the rules. Install a newer version"


def decide(stage: Stage, message: Message) -> None:
    """Have the council decide something."""
    proposal = stage.act("bank", message).ids[0]
    for name in ("hospital", "charity"):
        stage.act(name, Approve(proposal))


def before(stage: Stage, put: Callable[[str, str], Message] = new.PutBefore) -> int:
    """Play what happens under the old rules, up to the last block under them; return the height of the upgrade."""
    stage.join("ann")
    stage.act("ann", put("red1", "red"))
    stage.act("ann", put("red2", "red"))
    height = 18
    decide(stage, ProposeRules(2, height))
    for number in range(11):
        stage.act("ann", put(f"blue{number}", "blue"))
    return height


def after(stage: Stage) -> None:
    """Play what happens under the new rules."""
    stage.act("ann", new.Put("big", "green", 10))
    stage.act("ann", new.Put("huge", "green", 11), refused="shelf.too_large")
    stage.act("ann", new.Paint("red1", "white"))
    stage.act("ann", new.Weigh("red1"), new.Weigh("red2"))
    decide(stage, ProposeValue("shelf", "size_max", 50))
    decide(stage, ProposeModule("museum"))
    stage.act("ann", museum.Show("mona"), refused="not_active")
    for number in range(9):
        stage.act("ann", new.Put(f"small{number}", "green"))
    stage.act("ann", new.Put("huge", "green", 50))
    stage.act("ann", museum.Show("mona"))


def staged(node: Solo) -> Stage:
    """Return hands on a node, whose salts are its height's."""
    machine = node.machine
    made = Stage(machine.rules, node.execute, machine.time_ms, version=lambda: machine.ahead().version)
    made._sent = 1000 * machine.height
    return made


def folder_of(place: Path) -> Path:
    """Make a data folder whose old program has come to the last block under the old rules."""
    node = Solo.create(place, GENESIS, old.modules())
    before(staged(node), old.Put)
    node.close()
    return place


def verifier(program: Any) -> Verifier:  # noqa: ANN401  # `old` or `new`
    """Return what checks signatures for a program."""
    return cast("Verifier", Inline(GENESIS, program.modules))
