"""Whatever is done in whatever order, no unit is made, lost or paid twice; and every invariant can fail."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from metrobloc.commons.escrow.rules import escrows, instalments, pot
from metrobloc.commons.escrow.rules.queries import totals
from metrobloc.commons.escrow.test_rules import (
    FROM_MS,
    MOST,
    NO_PAPER,
    NOBODY,
    THING,
    UNTIL_MS,
    by,
    deal,
    escrow_of,
    has,
    opened,
    pay,
    scene,
)
from metrobloc.commons.escrow.types import Accept, Approval, Cancel, Decide, Dispute, Refund, Release
from metrobloc.commons.evidence.types import Lodge
from metrobloc.commons.money.rules import balances
from metrobloc.kernel import codec, system
from metrobloc.kernel.tables import Balance, Table
from metrobloc.kernel.types import Message, Record
from metrobloc.testing.edges import Scene

ACTORS = ("ann", "bo", "cy", "dan", "hospital", "notary", "civil_affairs")
STEPS_MS = (*[1000] * 6, *[600_000] * 6, *[3_600_000] * 2)
"""How far apart steps are, as often as they stand here: a hundred and twenty of them take a good day."""


def anything(s: Scene, chance: random.Random) -> Message:
    """Return an action about some escrow of the scene, with numbers that may or may not fit."""
    name = chance.choice(("new", "many", "line", "fight", "extra"))
    part = f"{name}{chance.randint(1, len(escrow_of(s, name).instalments))}"
    evidence = chance.choice((None, s["deed"], s["survey"]))
    role = chance.choice((None, None, "hospital", "notary"))
    amount = chance.randint(1, 30)
    return chance.choice(
        (
            Release(s[part], role, evidence),
            Release(s[part]),
            Refund(s[part], amount),
            Dispute(s[part], NO_PAPER),
            Decide(s[part], amount - 1),
            Accept(s[name]),
            Cancel(s[name]),
            Lodge("deed", chance.choice((s[part], THING)), "archive", s.stage.time_ms, "3d" * 32),
        )
    )


@pytest.mark.parametrize("seed", range(12))
def test_money_in_is_money_out_and_held_after_every_step(seed: int) -> None:
    """Act at random for a day and more: what people have follows from the escrows, and in the end nothing is held."""
    chance = random.Random(seed)  # chance that can be repeated is wanted
    s = scene()
    extra = [by(s, "ann", amount=amount, until_ms=UNTIL_MS + amount * 1000) for amount in (5, 50, 60)]
    opened(s, "extra", deal(s, *extra, in_order=seed % 2 == 0), accepted=False)
    ended: dict[str, tuple[int, int]] = {}
    done = 0
    for _ in range(120):
        s.stage.time_ms += chance.choice(STEPS_MS)
        for _ in range(5):  # what is refused changes nothing, so that most steps would be none
            if s.stage.send([s.stage.sign((chance.choice(ACTORS), anything(s, chance)))])[0].code == "ok":
                done += 1
                break
        sums = totals(s.box.view)["cny"]
        pots = sum(s.box.view.balance(balances, f"escrow.{pot(key)}", "cny") for key, _ in s.box.view[escrows].items())
        assert sums["amount"] == sums["released"] + sums["refunded"] + sums["held"]
        assert has(s, "ann", "bo") == [MOST - sums["held"] - sums["released"], sums["released"]]
        assert pots == sums["held"]
        for key, part in s.box.view[instalments].items():
            if part.state == "ended":
                assert ended.setdefault(key, (part.released, part.refunded)) == (part.released, part.refunded)
    assert not s.box.bugs
    assert not s.box.broken()
    assert done >= 12
    for _ in range(2):  # what was stopped by a dispute runs on when that has ended
        s.stage.time_ms += 40 * 86_400_000
        s.stage.act("bank", Release(NOBODY), refused="escrow.instalments_unknown")
    assert totals(s.box.view)["cny"]["held"] == 0
    assert not [due for _, due in s.box.view[system.deadlines].items() if due.do.startswith("escrow.")]
    assert not s.box.broken()


def write(s: Scene, table: Table[Any, Any], key: object, record: Record) -> None:
    """Write a record behind the ledger's back."""
    s.box.memory.records.set(table.path(key).encode(), codec.encode(record))


Change = Callable[[Scene], dict[str, object]]
POTS = "each_pot_holds_what_came_in_and_has_neither_been_paid_nor_returned"
ALL_IN = "all_that_came_in_is_paid_returned_or_held"
SUMS = "instalments_add_up_to_their_escrow"
ENDED = "an_instalment_has_ended_exactly_when_nothing_is_held"
ENDS = "what_is_held_ends_by_itself"
ACCEPTED = "nothing_is_paid_or_disputed_before_the_payee_has_accepted"
ORDER = "instalments_in_order_are_paid_in_order"
HANDS = "approvals_are_of_those_whom_the_terms_name_once_each_and_never_of_the_payee"
DAMAGES: list[tuple[str, Change, set[str]]] = [
    ("many", lambda _: {"released": 1}, {POTS, ALL_IN, SUMS}),
    ("many", lambda _: {"amount": 211}, {POTS, ALL_IN, SUMS}),
    ("many", lambda _: {"accepted": False}, set()),
    ("fight", lambda _: {"accepted": False}, {ACCEPTED}),
    ("fight", lambda _: {"in_order": True}, {ENDS}),
    ("line", lambda _: {"stopped_ms": 5}, {ENDS}),
    ("many", lambda s: {"instalments": (s["many1"],)}, {SUMS}),
    ("many1", lambda _: {"refunded": 1}, {SUMS}),
    ("many1", lambda s: {"escrow": s["line"]}, {SUMS}),
    ("many1", lambda _: {"released": 10}, {SUMS, ENDED}),
    ("many1", lambda _: {"state": "ended"}, {ENDED, ENDS}),
    ("many1", lambda _: {"state": "ended", "deadline": None}, {ENDED}),
    ("many1", lambda _: {"deadline": None}, {ENDS}),
    ("many1", lambda _: {"deadline": NOBODY}, {ENDS}),
    ("many1", lambda _: {"due_ms": FROM_MS}, {ENDS}),
    ("line2", lambda s: {"approvals": (Approval(s["ann"]),)}, {ORDER, HANDS}),
    ("line3", lambda _: {"released": 1}, {SUMS, ORDER}),
    ("many1", lambda s: {"approvals": (Approval(s["ann"]),)}, {HANDS}),
    ("many3", lambda s: {"approvals": (Approval(s["ann"]),)}, set()),
    ("many3", lambda s: {"approvals": (Approval(s["dan"]),)}, {HANDS}),
    ("many3", lambda s: {"approvals": (Approval(s["bo"], "notary"),)}, {HANDS}),
    ("many3", lambda s: {"approvals": (Approval(s["dan"], "hospital"),)}, {HANDS}),
    ("many3", lambda s: {"approvals": (Approval(s["cy"]), Approval(s["cy"])), "state": "disputed"}, {HANDS}),
    ("new1", lambda s: {"approvals": (Approval(s["cy"]),), "state": "disputed"}, {ACCEPTED}),
]


@pytest.mark.parametrize(("name", "change", "broken"), DAMAGES)
def test_a_damaged_record_breaks_what_it_should(name: str, change: Change, broken: set[str]) -> None:
    s = scene()
    assert not s.box.broken()
    table: Table[Any, Any] = instalments if name[-1].isdigit() else escrows
    record = s.box.view[table].get(s[name])
    assert record is not None
    write(s, table, s[name], record.but(**change(s)))
    assert set(s.box.broken()) == {f"escrow.{sentence}" for sentence in broken}


def test_a_unit_that_appears_in_a_pot_is_noticed() -> None:
    for holder in (f"escrow.{pot(scene()['many'])}", "escrow.inbox.toy"):
        s = scene()
        before = s.box.view.balance(balances, holder, "cny")
        write(s, balances.rows, ("cny", holder), Balance(before + 1))
        broken = {"escrow." + sentence for sentence in ([POTS] if "held" in holder else []) + [ALL_IN]}
        assert set(s.box.broken()) == broken | {"money.every_book_sums_to_zero"}
    s.stage.act("ann", pay(s, "many1"))
