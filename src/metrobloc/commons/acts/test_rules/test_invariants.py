"""Every invariant can fail: a damaged record breaks exactly what it should."""

from collections.abc import Callable
from functools import cache

import pytest

from metrobloc.commons.acts.rules import acts, app, parties
from metrobloc.commons.acts.test_rules import NO_PAPER, NOBODY, act_of, scene, three
from metrobloc.commons.acts.types import Consent, Decline, Party
from metrobloc.kernel import codec, system
from metrobloc.kernel.tables import Table
from metrobloc.kernel.types import Record
from metrobloc.testing.edges import Scene

WAITS = "an_open_act_waits_for_its_actors_until_its_time"
HOLDS = "an_act_holds_what_its_actors_approve"
APPROVED = "what_was_executed_each_of_its_actors_had_approved"
Damage = Callable[[Scene], None]


@cache
def ended() -> Scene:
    """Set the scene: one act is open, one was executed, one declined."""
    s = scene()
    for name in ("open", "executed", "declined"):
        approve = three(s)
        s.ids[name] = approve.act
        for actor in ("ann", "bo", "dora") if name == "executed" else ():
            s.stage.act(actor, approve)
    s.stage.act("bo", Decline(s["declined"]))
    return s


def write(s: Scene, table: Table[tuple[str, str], Party], key: tuple[str, str], record: Party | None) -> None:
    """Write a row behind the ledger's back."""
    s.box.memory.records.set(table.path(key).encode(), None if record is None else codec.encode(record))


def act(name: str, **fields: object) -> Damage:
    """Return what puts other values into an act."""

    def damage(s: Scene) -> None:
        record: Record = act_of(s, s[name]).but(**fields)
        s.box.memory.records.set(acts.path(s[name]).encode(), codec.encode(record))

    return damage


def party(name: str, account: str, record: Party | None) -> Damage:
    """Return what lets an act wait for somebody, or no longer."""
    return lambda s: write(s, parties, (s[account], s[name]), record)


def late(s: Scene) -> None:
    """Let the open act lapse later than it says."""
    key = act_of(s, s["open"]).deadline
    due = s.box.view[system.deadlines].get(key)
    assert due is not None
    record = due.but(time_ms=due.time_ms + 1)
    s.box.memory.records.set(system.deadlines.path(key).encode(), codec.encode(record))


DAMAGES: list[tuple[Damage, set[str]]] = [
    (lambda _: None, set()),
    (party("open", "ann", None), {WAITS}),
    (party("open", "cy", Party(1)), {WAITS}),
    (party("executed", "ann", Party(1)), {WAITS}),
    (party("declined", "bo", Party(1)), {WAITS}),
    (party("open", "bo", Party(1)), set()),
    (act("open", deadline=NOBODY), {WAITS}),
    (late, {WAITS}),
    (act("open", until_ms=1), {WAITS, HOLDS}),
    (act("open", calls=()), {WAITS, HOLDS}),
    (act("open", proposer=NOBODY), {HOLDS}),
    (act("open", rules=2), {HOLDS}),
    (act("open", bundle=NO_PAPER), {HOLDS}),
    (act("executed", bundle=NO_PAPER), {HOLDS}),
    (act("executed", calls=()), {HOLDS, APPROVED}),
    (act("declined", bundle=NO_PAPER), set()),
    (act("open", ended_ms=1), {APPROVED}),
    (act("executed", ended_ms=0), {APPROVED}),
    (act("executed", ended_ms=2**52), {APPROVED}),
    (act("declined", ended_ms=2**52), set()),
    (act("executed", consents=()), {APPROVED}),
    (act("executed", consents=(Consent(NOBODY),)), {APPROVED}),
    (act("declined", consents=(Consent(NOBODY),)), {APPROVED}),
    (act("open", consents=(Consent(NOBODY),)), {APPROVED}),
    (act("declined", result="open"), {WAITS, HOLDS, APPROVED}),
    (act("open", result="cancelled"), {WAITS, HOLDS, APPROVED}),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGES, ids=range(len(DAMAGES)))
def test_an_invariant_notices(damage: Damage, expected: set[str]) -> None:
    s = ended()
    kept = dict(s.box.memory.records.rows)
    try:
        damage(s)
        assert set(s.box.broken()) == {f"acts.{name}" for name in expected}
    finally:
        for key in {*s.box.memory.records.rows, *kept}:
            s.box.memory.records.set(key, kept.get(key))


def test_every_invariant_can_fail() -> None:
    assert {name for _, found in DAMAGES for name in found} == set(app.invariants)
