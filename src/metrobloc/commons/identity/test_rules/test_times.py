"""What holds until when, to the millisecond: each row once just before its time and once at it."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec import Struct

from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.rules import recoveries
from metrobloc.commons.identity.test_rules import DAY_MS, GUARDS, MODULES, at, guarded, guardians, keys, pay, rich
from metrobloc.commons.identity.types import (
    Accredit,
    Freeze,
    Mandate,
    Name,
    OpenSession,
    Recover,
    Register,
    Reissue,
    Resume,
    Rotate,
    Succeed,
    Support,
    Suspend,
    Veto,
)
from metrobloc.commons.money.types import OpenAsset
from metrobloc.kernel import codec
from metrobloc.kernel.genesis import read_genesis
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

NEW = ("new",)


class Edge(Struct, frozen=True):
    """What is begun, when it ends or begins to hold, and what an act just before and just then gives."""

    begin: Callable[[Scene], object]
    after_ms: int
    actor: str
    message: Callable[[Scene], Message]
    before: str
    then: str
    by: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()


def town() -> Scene:
    """Set up people with money, of whom Ann has guardians, and two institutions."""
    s = Scene(MODULES)
    guarded(s, "ann", *GUARDS)
    for name in ("bo", "clinic", "heir"):
        s.stage.join(name)
    rich(s, "ann", "clinic")
    s.stage.act("office", Accredit(s["clinic"], "Clinic", "bank", 100), Name(s["heir"], "Heir"))
    return s


def rotate(s: Scene) -> None:
    """Let Ann ask for a new key."""
    s.stage.act("ann", Rotate(keys(s, "new")), also=NEW)


def recover(s: Scene) -> None:
    """Let one guardian ask for a new key."""
    s.ids["recovery"] = s.stage.act("gil", Recover(s["ann"], keys(s, "new")), also=NEW).ids[0]


def recovering(s: Scene) -> None:
    """Let two guardians agree."""
    recover(s)
    s.stage.act("hal", Support(s["recovery"]))


def reissue(s: Scene) -> None:
    """Let the office give Ann a new key."""
    s.stage.act("office", Reissue(s["ann"], keys(s, "new")), also=NEW)


def succeed(s: Scene) -> None:
    """Let the clinic name its successor."""
    s.stage.act("clinic", Succeed(s["clinic"], s["heir"]))


def suspend(days: int) -> Callable[[Scene], object]:
    """Return what suspends the clinic for some days."""
    return lambda s: s.stage.act("office", Suspend(s["clinic"], s.stage.time_ms + 1000 + days * DAY_MS))


def session(s: Scene) -> None:
    """Let Ann open a session of a day."""
    s.stage.act("ann", OpenSession(s.key("new"), ("identity.register",), s.stage.time_ms + 1000 + DAY_MS), also=NEW)


def mandate(s: Scene) -> None:
    """Let the clinic give Bo a mandate of a day."""
    s.stage.act("clinic", Mandate(s["bo"], ("money.open_asset",), s.stage.time_ms + 1000 + DAY_MS))


def opens(s: Scene) -> Message:
    """Return what only a bank can do."""
    del s
    return OpenAsset("usd", "Dollar", 2)


EDGES = {
    "an old key signs": Edge(rotate, DAY_MS, "ann", lambda s: pay(s, "bo", 1), "ok", "not_signed"),
    "a new key signs": Edge(rotate, DAY_MS, "ann", lambda s: pay(s, "bo", 1), "not_signed", "ok", NEW),
    "an owner vetoes": Edge(rotate, DAY_MS, "ann", lambda _: Veto(), "ok", "not_signed"),
    "a guardian vetoes": Edge(rotate, DAY_MS, "gil", lambda s: Veto(s["ann"]), "ok", "identity.changes_unknown"),
    "the next change": Edge(
        lambda s: s.stage.act("ann", guardians(s, "gil")),
        DAY_MS,
        "ann",
        lambda s: guardians(s, "hal"),
        "identity.change_pending",
        "ok",
    ),
    "a guardian guards": Edge(
        lambda s: s.stage.act("bo", guardians(s, "gil")),
        DAY_MS,
        "gil",
        lambda s: Freeze(s["bo"]),
        "identity.not_guardian",
        "ok",
    ),
    "a guardian of before": Edge(
        lambda s: s.stage.act("ann", guardians(s, "bo")),
        DAY_MS,
        "gil",
        lambda s: Freeze(s["ann"]),
        "ok",
        "identity.not_guardian",
    ),
    "a guardian agrees": Edge(
        recover, 14 * DAY_MS, "hal", lambda s: Support(s["recovery"]), "ok", "identity.recoveries_unknown"
    ),
    "a rescued account": Edge(recovering, DAY_MS, "ann", lambda s: pay(s, "bo", 1), "not_signed", "ok", NEW),
    "an account under rescue": Edge(recovering, DAY_MS, "ann", lambda s: pay(s, "bo", 1), "frozen", "not_signed"),
    "a reissued account": Edge(reissue, 7 * DAY_MS, "ann", lambda s: pay(s, "bo", 1), "not_signed", "ok", NEW),
    "an account under reissue": Edge(reissue, 7 * DAY_MS, "ann", lambda s: pay(s, "bo", 1), "frozen", "not_signed"),
    "guardians after a reissue": Edge(
        reissue,
        7 * DAY_MS,
        "gil",
        lambda s: Recover(s["ann"], keys(s, "other")),
        "ok",
        "identity.not_guardian",
        also=("other",),
    ),
    "an owner's freeze": Edge(
        lambda s: s.stage.act("ann", Freeze()), 3 * DAY_MS, "ann", lambda s: pay(s, "bo", 1), "frozen", "ok"
    ),
    "a guardian's next freeze": Edge(
        lambda s: s.stage.act("gil", Freeze(s["ann"])),
        6 * DAY_MS,
        "hal",
        lambda s: Freeze(s["ann"]),
        "identity.frozen_lately",
        "ok",
    ),
    "a session": Edge(
        session, DAY_MS, "ann", lambda s: Register(s.key("kid")), "identity.no_quota", "not_signed", NEW, ("kid",)
    ),
    "a mandate": Edge(mandate, DAY_MS, "clinic", opens, "ok", "not_signed", ("bo",)),
    "a suspension": Edge(suspend(1), DAY_MS, "clinic", opens, "not_allowed", "ok"),
    "a role": Edge(
        lambda s: s.stage.act("office", Accredit(s["clinic"], "Clinic", "bank", 9, s.stage.time_ms + 1000 + DAY_MS)),
        DAY_MS,
        "clinic",
        opens,
        "ok",
        "not_allowed",
    ),
    "an institution's own keys": Edge(succeed, DAY_MS, "clinic", lambda s: pay(s, "bo", 1), "ok", "not_signed"),
    "a successor": Edge(succeed, DAY_MS, "clinic", lambda s: pay(s, "bo", 1), "not_signed", "ok", ("heir",)),
    "an office that waits": Edge(
        suspend(30), 7 * DAY_MS, "office", lambda s: Succeed(s["clinic"], s["heir"]), "identity.not_suspended", "ok"
    ),
    "an office too late": Edge(
        suspend(30), 30 * DAY_MS, "office", lambda s: Succeed(s["clinic"], s["heir"]), "ok", "identity.not_suspended"
    ),
    "an end of suspension": Edge(
        suspend(1), DAY_MS, "office", lambda s: Resume(s["clinic"]), "ok", "identity.not_suspended"
    ),
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "then"])
@pytest.mark.parametrize("name", EDGES)
def test_to_the_millisecond(name: str, *, late: bool) -> None:
    edge = EDGES[name]
    s = town()
    edge.begin(s)
    at(s, s.stage.time_ms + edge.after_ms - (not late))
    s.stage.act(edge.actor, edge.message(s), by=edge.by, also=edge.also, refused=edge.then if late else edge.before)
    assert not s.box.broken()


def test_a_recovery_whose_time_has_passed_is_over_though_its_deadline_is_late() -> None:
    names = {module.name: module for module in MODULES}
    page = read_genesis(demo_genesis(START_MS, names))
    s = Scene(MODULES, codec.encode(msgspec.structs.replace(page, limits=Limits(deadlines_per_block=1))))
    guarded(s, "ann", *GUARDS)
    asked = []
    for number, name in enumerate(GUARDS):
        s.stage.time_ms -= 1000  # all at one time
        key = f"new {number}"
        asked.append(s.stage.act(name, Recover(s["ann"], keys(s, key)), also=(key,)).ids[0])
    at(s, s.stage.time_ms + 14 * DAY_MS)
    raw = [s.stage.sign(("ida" if one != asked[2] else "gil", Support(one))) for one in asked]
    assert {one.code for one in s.stage.send(raw)} == {"identity.recoveries_unknown"}
    assert len(list(s.box.view[recoveries].items())) == 2
    for left in (1, 0):
        s.stage.send([])
        assert len(list(s.box.view[recoveries].items())) == left
