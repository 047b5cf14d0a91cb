"""Disputes: what stops, who decides until when, and what happens when nobody does."""

import msgspec
import pytest

from metrobloc.commons.escrow.test_rules import (
    HOUR_MS,
    NO_PAPER,
    NOBODY,
    UNTIL_MS,
    at,
    by,
    deal,
    escrow_of,
    has,
    opened,
    part_of,
    pay,
    scene,
    slow,
)
from metrobloc.commons.escrow.types import DAY_MS, Accept, Decide, Dispute, Refund, Release
from metrobloc.commons.identity.types import Accredit
from metrobloc.kernel import system
from metrobloc.testing.edges import Scene

DECIDE_MS = 2 * DAY_MS


def disputed(s: Scene, name: str, actor: str = "ann") -> int:
    """Dispute an instalment; return the time by which it is decided."""
    receipt = s.stage.act(actor, Dispute(s[name], NO_PAPER))
    assert [event.event for event in receipt.events] == ["escrow.disputed"]
    part = part_of(s, name)
    assert (part.state, part.due_ms) == ("disputed", s.stage.time_ms + DECIDE_MS)
    return part.due_ms


@pytest.mark.parametrize("to_payee", [0, 1, 69, 70])
def test_the_arbiter_splits_what_is_held_to_the_last_unit_and_once(to_payee: int) -> None:
    s = scene()
    before = has(s, "ann", "bo")
    receipt = s.stage.act("dan", Decide(s["fight1"], to_payee))
    told = [event.event for event in receipt.events]
    assert told == ["escrow.released"] * (to_payee > 0) + ["escrow.refunded"] * (to_payee < 70)
    assert has(s, "ann", "bo") == [before[0] + 70 - to_payee, before[1] + to_payee]
    part = part_of(s, "fight1")
    assert (part.state, part.released, part.refunded, part.held) == ("ended", to_payee, 70 - to_payee, 0)
    s.stage.act("dan", Decide(s["fight1"], 0), refused="escrow.ended")
    s.stage.act("ann", Dispute(s["fight1"], NO_PAPER), refused="escrow.ended")
    assert not s.box.broken()


def test_the_payee_gives_in_wholly_or_in_part() -> None:
    s = scene()
    before = has(s, "ann", "bo")
    s.stage.act("bo", Refund(s["fight1"], 30))
    assert part_of(s, "fight1").state == "disputed"
    s.stage.act("dan", Decide(s["fight1"], 41), refused="escrow.above_held")
    s.stage.act("dan", Decide(s["fight1"], 40))
    assert has(s, "ann", "bo") == [before[0] + 30, before[1] + 40]
    s = scene()
    s.stage.act("bo", Refund(s["fight1"], 70))
    assert has(s, "ann", "bo") == [before[0] + 70, before[1]]
    s.stage.act("dan", Decide(s["fight1"], 0), refused="escrow.ended")
    assert not s.box.broken()


def test_a_party_does_not_decide_even_where_its_role_could() -> None:
    s = scene()
    disputed(s, "line1", "bo")
    for name in ("ann", "bo"):
        s.stage.act("office", Accredit(s[name], "Civil affairs", "civil_affairs", 0))
        s.stage.act(name, Decide(s["line1"], 1), refused="escrow.party_decides")
    s.stage.act("dan", Decide(s["line1"], 1), refused="escrow.not_arbiter")
    s.stage.act("civil_affairs", Decide(s["line1"], 1))


@pytest.mark.parametrize(("before_ms", "code"), [(1, "ok"), (0, "escrow.ended"), (-1, "escrow.ended")])
def test_the_arbiter_decides_in_time_or_what_was_agreed_holds(before_ms: int, code: str) -> None:
    for undecided, to_bo in (("refund", 0), ("release", 10)):
        s = scene()
        opened(s, "it", deal(s, by(s, "cy"), undecided=undecided))
        due_ms = disputed(s, "it1")
        before = has(s, "ann", "bo")
        at(s, due_ms - before_ms)
        s.stage.act("dan", Decide(s["it1"], 4), refused=code)
        paid = 4 if code == "ok" else to_bo
        assert escrow_of(s, "it").released == paid
        assert escrow_of(s, "it").refunded == 10 - paid
        assert has(s, "bo")[0] == before[1] + paid
        assert not s.box.broken()


@pytest.mark.parametrize(("before_ms", "code"), [(1, "ok"), (0, "escrow.too_late")])
def test_the_arbiter_is_too_late_though_the_queue_is_behind(before_ms: int, code: str) -> None:
    s = slow()
    opened(s, "it", deal(s, by(s, "cy"), decide_days=1, undecided="release"))
    at(s, UNTIL_MS - DAY_MS + HOUR_MS)
    s.stage.act("bo", Dispute(s["it1"], NO_PAPER))
    at(s, s.stage.time_ms + DAY_MS - before_ms)
    s.stage.act("dan", Decide(s["it1"], 4), refused=code)
    assert part_of(s, "it1").state == ("ended" if code == "ok" else "disputed")


def test_a_dispute_stops_the_deadline_of_its_instalment_alone() -> None:
    s = scene()
    at(s, UNTIL_MS - 1000)
    due_ms = disputed(s, "many1")
    s.stage.act("ann", pay(s, "many1"), refused="escrow.in_dispute")
    s.stage.act("hospital", Release(s["many2"], "hospital"), refused="escrow.ended")  # its day is over meanwhile
    assert part_of(s, "many1").state == "disputed"
    at(s, due_ms - 1)
    s.stage.act("dan", Decide(s["many1"], 10))
    assert escrow_of(s, "many").released == 10
    assert escrow_of(s, "many").stopped_ms == 0
    assert not s.box.broken()


def due_of(s: Scene, *names: str) -> list[int]:
    """Return when instalments end by themselves, as the queue of deadlines has it; 0 where their time stands still."""
    found = []
    for name in names:
        row = s.box.view[system.deadlines].get(part_of(s, name).deadline or "")
        found.append(row.time_ms if row is not None else 0)
    return found


@pytest.mark.parametrize("how", ["decided", "given", "silent"])
def test_what_waits_behind_a_dispute_has_its_time_back(how: str) -> None:
    s = scene()
    at(s, UNTIL_MS - HOUR_MS)
    due_ms = disputed(s, "line1")
    stopped_ms = s.stage.time_ms
    assert escrow_of(s, "line").stopped_ms == stopped_ms
    assert due_of(s, "line1", "line2", "line3") == [due_ms, 0, 0]
    s.stage.act("ann", pay(s, "line2"), refused="escrow.not_its_turn")
    s.stage.act("bo", Dispute(s["line2"], NO_PAPER), refused="escrow.not_its_turn")
    at(s, UNTIL_MS + HOUR_MS)  # beyond the second one's own end
    s.stage.act("bo", Refund(s["line3"], 1))
    if how == "decided":
        s.stage.act("civil_affairs", Decide(s["line1"], 1))
    elif how == "given":
        s.stage.act("bo", Refund(s["line1"], 1))
    else:
        at(s, due_ms)
        s.stage.act("bank", Release(NOBODY), refused="escrow.instalments_unknown")
    until_ms = UNTIL_MS + s.stage.time_ms - stopped_ms
    assert part_of(s, "line1").released == (0 if how == "given" else 1)
    assert escrow_of(s, "line").stopped_ms == 0
    assert due_of(s, "line1", "line2", "line3") == [0, until_ms, until_ms]
    assert part_of(s, "line2").due_ms == until_ms
    assert not s.box.broken()
    at(s, until_ms - 1)
    s.stage.act("ann", pay(s, "line2"))
    at(s, until_ms)
    s.stage.act("ann", pay(s, "line3"), refused="escrow.ended")
    assert escrow_of(s, "line").refunded == (4 if how == "given" else 3)
    assert not s.box.broken()


def test_a_second_dispute_waits_its_turn_and_stops_what_is_left() -> None:
    s = scene()
    s.stage.act("ann", pay(s, "line1"))
    disputed(s, "line2", "bo")
    assert due_of(s, "line1", "line3") == [0, 0]
    s.stage.act("civil_affairs", Decide(s["line2"], 1))
    due_ms = disputed(s, "line3")
    assert due_of(s, "line1", "line2", "line3") == [0, 0, due_ms]
    assert escrow_of(s, "line").stopped_ms == s.stage.time_ms
    s.stage.act("civil_affairs", Decide(s["line3"], 3))
    assert (escrow_of(s, "line").released, escrow_of(s, "line").refunded) == (5, 1)
    assert escrow_of(s, "line").stopped_ms == 0
    assert not s.box.broken()


def test_an_overdue_dispute_ends_before_the_next_instalment_comes_though_the_queue_is_behind() -> None:
    s = slow()
    line = [by(s, "ann", amount=amount) for amount in (4, 5)]
    opened(s, "row", deal(s, *line, in_order=True, decide_days=1))
    at(s, UNTIL_MS - DAY_MS + HOUR_MS)
    s.stage.act("bo", Dispute(s["row1"], NO_PAPER))
    at(s, s.stage.time_ms + DAY_MS)
    before = has(s, "ann", "bo")
    receipt = s.stage.act("ann", pay(s, "row2"))
    assert [event.event for event in receipt.events] == ["escrow.refunded", "escrow.approved", "escrow.released"]
    assert has(s, "ann", "bo") == [before[0] + 4, before[1] + 5]
    assert escrow_of(s, "row").stopped_ms == 0
    assert not s.box.broken()


@pytest.mark.parametrize(("time_ms", "code"), [(-1, "ok"), (0, "escrow.ended")])
def test_a_dispute_comes_before_the_deadline(time_ms: int, code: str) -> None:
    s = scene()
    at(s, UNTIL_MS + time_ms)
    s.stage.act("ann", Dispute(s["many1"], NO_PAPER), refused=code)
    s = slow()
    at(s, UNTIL_MS + time_ms)
    s.stage.act("ann", Dispute(s["many1"], NO_PAPER), refused="ok" if code == "ok" else "escrow.too_late")


def test_receipts_tell_what_happened() -> None:
    s = scene()
    opening = s.stage.act("ann", deal(s, by(s, "cy"), by(s, roles=("notary",), amount=7)))
    made, first, second, *_ = opening.ids
    receipts = [
        opening,
        s.stage.act("bo", Accept(made)),
        s.stage.act("bo", Refund(first, 2)),
        s.stage.act("notary", Release(second, "notary")),
        s.stage.act("bo", Dispute(first, "7c" * 32)),
    ]
    due_ms = s.stage.time_ms + DECIDE_MS
    receipts.append(s.stage.act("dan", Decide(first, 5)))
    parties = {"escrow": made, "payer": s["ann"], "payee": s["bo"], "asset": "cny", "amount": 17}
    assert [(event.event, msgspec.json.decode(event.fields)) for one in receipts for event in one.events] == [
        ("escrow.opened", parties),
        ("escrow.accepted", {"escrow": made}),
        ("escrow.refunded", {"escrow": made, "instalment": first, "amount": 2, "why": "payee"}),
        ("escrow.approved", {"instalment": second, "account": s["notary"], "role": "notary"}),
        ("escrow.released", {"escrow": made, "instalment": second, "amount": 7, "why": "condition"}),
        ("escrow.disputed", {"instalment": first, "by": s["bo"], "reason": "7c" * 32, "due_ms": due_ms}),
        ("escrow.released", {"escrow": made, "instalment": first, "amount": 5, "why": "decided"}),
        ("escrow.refunded", {"escrow": made, "instalment": first, "amount": 3, "why": "decided"}),
    ]
