"""Approvals, evidence and deadlines: what is paid when, to the millisecond, and what comes back."""

from collections.abc import Sequence

import msgspec
import pytest

from metrobloc.commons.escrow.rules import duration_ms_max
from metrobloc.commons.escrow.rules.queries import statement, totals
from metrobloc.commons.escrow.test_rules import (
    FROM_MS,
    HOUR_MS,
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
from metrobloc.commons.escrow.types import DAY_MS, Accept, Approval, Cancel, Refund, Release
from metrobloc.commons.evidence.types import Countersign, DeclareKind, Lodge, Withdraw
from metrobloc.commons.identity.types import Accredit, Revoke
from metrobloc.kernel import envelope, system
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS


def events(s: Scene, actor: str, *messages: Message) -> list[str]:
    """Act, and return the events of escrow that a receipt tells."""
    told = [event.event for event in s.stage.act(actor, *messages).events]
    return [name.partition(".")[2] for name in told if name.startswith("escrow.")]


def test_what_was_agreed_is_remembered() -> None:
    s = scene()
    terms = by(s, "ann", amount=5, roles=("notary",), needed=2, not_before_ms=FROM_MS, evidence_kind="deed")
    message = deal(s, terms, by(s, "cy", amount=6), contract="7c" * 32, undecided="release", in_order=True)
    receipt = s.stage.act("ann", message)
    made, first, second, *deadlines = receipt.ids
    assert [event.event for event in receipt.events] == ["escrow.opened"]
    s.ids |= {"it": made, "it1": first, "it2": second}
    deal_ = escrow_of(s, "it")
    assert (deal_.payer, deal_.payee, deal_.asset, deal_.purpose) == (s["ann"], s["bo"], "cny", "chair")
    assert (deal_.amount, deal_.instalments, deal_.decide_days) == (11, (first, second), 2)
    assert (deal_.arbiter, deal_.arbiter_role, deal_.undecided, deal_.in_order) == (s["dan"], None, "release", True)
    assert (deal_.contract, deal_.module, deal_.returns, deal_.accepted) == ("7c" * 32, None, None, False)
    assert (deal_.released, deal_.refunded, deal_.held, deal_.stopped_ms) == (0, 0, 11, 0)
    part = part_of(s, "it1")
    assert (part.escrow, part.terms, part.due_ms, part.state) == (made, terms, UNTIL_MS, "held")
    assert [part.deadline, part_of(s, "it2").deadline] == deadlines
    assert (part.approvals, part.evidence, part.released, part.refunded) == ((), None, 0, 0)


def test_the_payee_accepts_or_the_payer_takes_all_back() -> None:
    s = scene()
    before = has(s, "ann", "bo")
    assert events(s, "ann", Cancel(s["new"])) == ["refunded"]
    assert has(s, "ann", "bo") == [before[0] + 10, before[1]]
    s.stage.act("ann", Cancel(s["new"]), refused="escrow.ended")
    s.stage.act("bo", Accept(s["new"]), refused="escrow.ended")
    for message in (Accept, Cancel):
        opened(s, "one", deal(s, by(s, "cy", amount=1)), accepted=False)
        s.stage.act("bo" if message is Accept else "ann", message(s["one"]))
    opened(s, "two", deal(s, by(s, "cy"), by(s, "cy", amount=7)), accepted=False)
    s.stage.act("bo", Refund(s["two1"], 10))
    assert events(s, "bo", Accept(s["two"])) == ["accepted"]
    s.stage.act("ann", Cancel(s["two"]), refused="escrow.accepted_already")
    opened(s, "three", deal(s, by(s, "cy"), by(s, "cy", amount=7)), accepted=False)
    s.stage.act("bo", Refund(s["three1"], 10))
    assert events(s, "ann", Cancel(s["three"])) == ["refunded"]
    assert escrow_of(s, "three").refunded == 17
    assert not s.box.broken()


def test_money_leaves_once() -> None:
    s = scene()
    before = has(s, "ann", "bo")
    deadline = part_of(s, "many1").deadline or ""
    assert s.box.view[system.deadlines].get(deadline) is not None
    assert events(s, "ann", pay(s, "many1")) == ["approved", "released"]
    assert s.box.view[system.deadlines].get(deadline) is None
    assert has(s, "ann", "bo") == [before[0], before[1] + 10]
    s.stage.act("ann", pay(s, "many1"), refused="escrow.ended")
    s.stage.act("bo", Refund(s["many1"], 1), refused="escrow.ended")
    part = part_of(s, "many1")
    assert (part.state, part.released, part.refunded, part.deadline) == ("ended", 10, 0, None)
    assert part.approvals == (Approval(s["ann"]),)
    assert events(s, "bo", Refund(s["many2"], 20)) == ["refunded"]
    assert has(s, "ann", "bo") == [before[0] + 20, before[1] + 10]
    s.stage.act("hospital", pay(s, "many2", role="hospital"), refused="escrow.ended")
    s.stage.act("bo", Refund(s["many2"], 1), refused="escrow.ended")
    assert (escrow_of(s, "many").released, escrow_of(s, "many").refunded) == (10, 20)


def test_the_payee_gives_a_part_back_and_the_rest_is_paid() -> None:
    s = scene()
    before = has(s, "ann", "bo")
    s.stage.act("bo", Refund(s["many1"], 3), Refund(s["many1"], 1))
    assert (part_of(s, "many1").state, part_of(s, "many1").held) == ("held", 6)
    s.stage.act("bo", Refund(s["many1"], 7), refused="escrow.above_held")
    s.stage.act("ann", pay(s, "many1"))
    assert has(s, "ann", "bo") == [before[0] + 4, before[1] + 6]
    assert (escrow_of(s, "many").released, escrow_of(s, "many").refunded) == (6, 4)
    assert not s.box.broken()


NAMES: list[tuple[Sequence[tuple[str, str | None, str]], bool]] = [
    ([("ann", None, "ok"), ("cy", None, "ok")], True),
    ([("cy", None, "ok"), ("notary", "notary", "ok")], True),
    ([("notary", "notary", "ok"), ("ann", None, "ok")], True),
    ([("ann", None, "ok"), ("ann", None, "escrow.approved_already")], False),
    ([("notary", "notary", "ok"), ("flo", "notary", "escrow.approved_already")], False),
    ([("flo", "notary", "ok"), ("flo", "notary", "escrow.approved_already"), ("cy", None, "ok")], True),
    ([("cy", "notary", "ok"), ("cy", None, "escrow.approved_already"), ("ann", None, "ok")], True),
    ([("cy", None, "ok"), ("cy", "notary", "escrow.approved_already"), ("flo", "notary", "ok")], True),
    ([("bo", "notary", "escrow.payee_releases"), ("dan", None, "escrow.not_releaser"), ("ann", None, "ok")], False),
]


@pytest.mark.parametrize(("steps", "paid"), NAMES)
def test_each_account_and_each_role_counts_once(steps: Sequence[tuple[str, str | None, str]], *, paid: bool) -> None:
    s = scene()
    s.stage.join("flo")
    for name in ("flo", "cy", "bo"):
        s.stage.act("office", Accredit(s[name], "A chamber", "notary", 0))
    before = has(s, "bo")[0]
    for name, role, code in steps:
        s.stage.act(name, Release(s["many3"], role), refused=code)
    assert has(s, "bo")[0] == before + (30 if paid else 0)
    approved = part_of(s, "many3").approvals
    assert list(approved) == [Approval(s[name], role) for name, role, code in steps if code == "ok"]
    assert not s.box.broken()


def test_an_approval_stays_when_its_role_ends_and_another_needs_the_role_now() -> None:
    s = scene()
    assert events(s, "notary", pay(s, "many3", role="notary")) == ["approved"]
    s.stage.act("office", Revoke(s["notary"], "notary"), Revoke(s["hospital"], "hospital"))
    s.stage.act("hospital", pay(s, "many2", role="hospital"), refused="escrow.not_releaser")
    assert events(s, "cy", pay(s, "many3")) == ["approved", "released"]


def test_evidence_must_count_now_and_not_be_the_payees_own() -> None:
    s = scene()
    s.stage.act("office", Revoke(s["notary"], "notary"))
    s.stage.act("bo", pay(s, "many5", evidence=s["deed"]), refused="evidence.wrong_signer")
    s.stage.act("cy", pay(s, "many6", evidence=s["survey"]))  # whoever signed it
    assert part_of(s, "many6").evidence == s["survey"]
    s = scene()
    s.stage.act("notary", Withdraw(s["deed"], "forged"))
    s.stage.act("bo", pay(s, "many5", evidence=s["deed"]), refused="evidence.withdrawn")
    s.stage.act("office", Accredit(s["bo"], "Bo's chamber", "notary", 0))
    paper = Lodge("deed", s["many5"], "archive", START_MS, "2d" * 32, cosigners=(s["notary"],))
    own = s.stage.act("bo", paper).ids[0]
    s.stage.act("notary", Countersign(own))
    s.stage.act("bo", pay(s, "many5", evidence=own), refused="escrow.own_evidence")


def test_about_one_instalment_pays_no_other() -> None:
    s = scene()
    opened(s, "twin", deal(s, by(s, amount=5, evidence_kind="deed"), by(s, amount=6, evidence_kind="deed")))
    first = s.stage.act("notary", Lodge("deed", s["twin1"], "archive", START_MS, "2d" * 32)).ids[0]
    s.stage.act("bo", pay(s, "twin2", evidence=first), refused="evidence.wrong_subject")
    before = has(s, "bo")[0]
    assert events(s, "bo", pay(s, "twin1", evidence=first)) == ["released"]
    assert has(s, "bo")[0] == before + 5
    s.stage.act("office", DeclareKind("deed", "A deed", "hospital"))
    assert part_of(s, "twin1").evidence == first


@pytest.mark.parametrize(("time_ms", "code"), [(-1, "escrow.too_early"), (0, "ok"), (1, "ok")])
def test_an_instalment_is_released_from_its_time_on(time_ms: int, code: str) -> None:
    for actor in ("ann", "bo"):
        s = scene()
        at(s, FROM_MS + time_ms)
        s.stage.act(actor, pay(s, "many4"), refused=code)
        s.stage.act("cy", pay(s, "many4"), refused="escrow.ended" if code == "ok" else "escrow.not_releaser")


@pytest.mark.parametrize(("time_ms", "code"), [(-1, "ok"), (0, "escrow.ended"), (1, "escrow.ended")])
def test_an_instalment_is_released_before_its_deadline(time_ms: int, code: str) -> None:
    s = scene()
    before = has(s, "ann", "bo")
    at(s, UNTIL_MS + time_ms)
    s.stage.act("ann", pay(s, "many1"), refused=code)
    at(s, UNTIL_MS + HOUR_MS)
    s.stage.act("bo", pay(s, "many4"), refused="escrow.ended")
    paid = 10 if code == "ok" else 0
    of_many, of_new, of_line = 210, 10, 6
    assert has(s, "ann", "bo") == [before[0] + of_many + of_new + of_line - paid, before[1] + paid]
    assert (escrow_of(s, "many").released, escrow_of(s, "many").refunded) == (paid, of_many - paid)
    assert not s.box.broken()


LATE = ("many1", "many3", "line1", "new1")


@pytest.mark.parametrize(("time_ms", "code"), [(-1, "ok"), (0, "escrow.too_late"), (1, "escrow.too_late")])
def test_what_is_overdue_is_not_released_though_the_queue_is_behind(time_ms: int, code: str) -> None:
    s = slow()
    at(s, UNTIL_MS + time_ms)
    raws = [s.stage.sign(("ann", pay(s, name))) for name in LATE[:3]]
    raws.append(s.stage.sign(("bo", Refund(s["new1"], 1))))
    assert [outcome.code for outcome in s.stage.send(raws)] == [code] * 4
    assert [part_of(s, name).state == "ended" for name in LATE] == [code == "ok", False, code == "ok", False]
    at(s, UNTIL_MS + HOUR_MS)
    for _ in range(40):
        s.stage.act("bank", Release(NOBODY), refused="escrow.instalments_unknown")
    assert [part_of(s, name).state for name in LATE] == ["ended"] * 4
    assert not s.box.broken()


def test_what_is_overdue_before_it_lets_the_next_instalment_come_though_the_queue_is_behind() -> None:
    s = slow()
    parts = [by(s, "ann", amount=amount) for amount in (4, 5)]
    parts[1] = msgspec.structs.replace(parts[1], until_ms=UNTIL_MS + HOUR_MS)
    opened(s, "row", deal(s, *parts, in_order=True))
    before = has(s, "ann", "bo")
    at(s, UNTIL_MS - 1)
    s.stage.act("ann", pay(s, "row2"), refused="escrow.not_its_turn")
    at(s, UNTIL_MS)
    receipt = s.stage.act("ann", pay(s, "row2"))
    assert [event.event for event in receipt.events] == ["escrow.refunded", "escrow.approved", "escrow.released"]
    assert has(s, "ann", "bo") == [before[0] + 4, before[1] + 5]
    assert not s.box.broken()


def test_instalments_that_follow_each_other_are_paid_in_that_order() -> None:
    s = scene()
    s.stage.act("bo", Refund(s["line2"], 2))
    s.stage.act("ann", pay(s, "line3"), refused="escrow.not_its_turn")
    s.stage.act("ann", pay(s, "line1"))
    s.stage.act("ann", pay(s, "line3"))
    assert (escrow_of(s, "line").released, escrow_of(s, "line").refunded) == (4, 2)
    assert not s.box.broken()


def test_an_id_is_given_out_once() -> None:
    """Sign two escrows with one salt: the second would have the first one's id."""
    s = scene()
    codes = []
    for message in (deal(s), deal(s, by(s, "cy"), by(s, "cy"))):
        payload = s.stage.payload(("ann", message))
        raw = envelope.sign(msgspec.structs.replace(payload, salt="5a" * 16), [s.stage.key("ann")])
        codes += [outcome.code for outcome in s.stage.send([raw])]
    assert codes == ["ok", "escrow.escrows_taken"]


def test_both_agree_in_one_transaction() -> None:
    s = scene()
    made = s.stage.act("ann", deal(s)).ids[0]
    raw = s.stage.sign(("bo", Accept(made)), ("cy", Release(s["many6"], None, s["survey"])))
    assert s.stage.send([raw])[0].code == "ok"
    assert (duration_ms_max.default, duration_ms_max.limits) == (3660 * DAY_MS, (DAY_MS, 36600 * DAY_MS))


def test_a_statement_says_what_is_left() -> None:
    s = scene()
    assert statement(s.box.view, NOBODY) == {}
    s.stage.act("ann", pay(s, "many1"))
    s.stage.act("ann", pay(s, "many3"))
    s.stage.act("bo", Refund(s["many2"], 5))
    told = statement(s.box.view, s["many"])
    assert {name: value for name, value in told.items() if name != "instalments"} == {
        "amount": 210,
        "released": 10,
        "refunded": 5,
        "held": 195,
        "accepted": True,
    }
    parts = told["instalments"]
    assert isinstance(parts, list)
    assert [list(part.values()) for part in parts] == [
        [s["many1"], "ended", 0, 0, 0],
        [s["many2"], "held", 15, UNTIL_MS, 1],
        [s["many3"], "held", 30, UNTIL_MS, 1],
        [s["many4"], "held", 40, UNTIL_MS, 0],
        [s["many5"], "held", 50, UNTIL_MS, 0],
        [s["many6"], "held", 60, UNTIL_MS, 1],
    ]
    assert totals(s.box.view) == {"cny": {"amount": 296, "released": 10, "refunded": 5, "held": 281}}
