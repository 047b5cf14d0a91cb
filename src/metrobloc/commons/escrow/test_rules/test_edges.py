"""Each way in which an action can end, on a fresh scene."""

import msgspec
import pytest

from metrobloc.commons.escrow import story
from metrobloc.commons.escrow.rules import app
from metrobloc.commons.escrow.test_rules import (
    FROM_MS,
    MODULES,
    NO_PAPER,
    NOBODY,
    THING,
    UNTIL_MS,
    by,
    deal,
    pay,
    scene,
)
from metrobloc.commons.escrow.types import DAY_MS, Accept, Cancel, Decide, Dispute, Open, Refund, Terms
from metrobloc.testing.edges import Case, Scene, play, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

test_generated = generated(MODULES, app, story.play)


def one(s: Scene, **changes: object) -> Open:
    """Return what opens an escrow with one instalment that Cy approves, but for some changes."""
    return deal(s, msgspec.structs.replace(by(s, "cy"), **changes))


def in_order(s: Scene, until_ms: int) -> Open:
    """Return what opens an escrow of two instalments that follow each other, the second until a time."""
    return deal(s, by(s, "cy"), by(s, "cy", until_ms=until_ms), in_order=True)


LONG_MS = 3660 * DAY_MS
OPENING = [
    Case("ann", deal, "ok"),
    Case("ann", lambda s: deal(s, arbiter=None, arbiter_role="civil_affairs"), "ok"),
    Case("bo", deal, "escrow.to_self"),
    Case("cy", deal, "money.balances_too_low"),
    Case("ann", lambda s: deal(s, asset="eur"), "money.balances_too_low"),
    Case("ann", lambda s: one(s, amount=704), "ok"),
    Case("ann", lambda s: one(s, amount=705), "money.balances_too_low"),
    Case("ann", lambda s: deal(s, payee=NOBODY), "kernel.accounts_unknown"),
    Case("ann", lambda s: deal(s, arbiter=NOBODY), "kernel.accounts_unknown"),
    Case("ann", lambda s: deal(s, by(s, "cy", accounts=(s["cy"], NOBODY))), "kernel.accounts_unknown"),
    Case("ann", lambda s: deal(s, arbiter=None), "escrow.one_arbiter"),
    Case("ann", lambda s: deal(s, arbiter_role="civil_affairs"), "escrow.one_arbiter"),
    Case("ann", lambda s: deal(s, arbiter=s["ann"]), "escrow.party_decides"),
    Case("ann", lambda s: deal(s, arbiter=s["bo"]), "escrow.party_decides"),
    Case("ann", lambda s: one(s, until_ms=s.stage.time_ms + 1000), "escrow.in_the_past"),
    Case("ann", lambda s: one(s, until_ms=s.stage.time_ms + 1001), "ok"),
    Case("ann", lambda s: one(s, until_ms=s.stage.time_ms + 1000 + LONG_MS), "ok"),
    Case("ann", lambda s: one(s, until_ms=s.stage.time_ms + 1001 + LONG_MS), "escrow.too_long"),
    Case("ann", lambda s: one(s, not_before_ms=UNTIL_MS), "escrow.bad_window"),
    Case("ann", lambda s: one(s, not_before_ms=UNTIL_MS - 1), "ok"),
    Case("ann", lambda s: deal(s, by(s, "cy"), by(s, "cy", until_ms=UNTIL_MS - 1)), "ok"),
    Case(
        "ann", lambda s: deal(s, by(s, "cy"), by(s, "cy", until_ms=UNTIL_MS - 1), in_order=True), "escrow.not_in_order"
    ),
    Case("ann", lambda s: deal(s, by(s, "cy"), by(s, "cy"), in_order=True), "ok"),
    Case("ann", lambda s: deal(s, by(s, "cy"), by(s, "cy", until_ms=UNTIL_MS + 1), in_order=True), "ok"),
    Case("ann", lambda s: deal(s, by(s, "cy", "cy")), "escrow.twice_named"),
    Case("ann", lambda s: one(s, roles=("notary", "notary")), "escrow.twice_named"),
    Case("ann", lambda s: one(s, roles=("notary", "hospital"), needed=3), "ok"),
    Case("ann", lambda s: one(s, roles=("notary", "hospital"), needed=4), "escrow.too_many_needed"),
    Case("ann", lambda s: one(s, needed=2), "escrow.too_many_needed"),
    Case("ann", lambda s: deal(s, by(s, not_before_ms=FROM_MS, needed=2)), "escrow.too_many_needed"),
    Case("ann", lambda s: deal(s, by(s, "cy", "bo", needed=2)), "escrow.payee_releases"),
    Case("ann", lambda s: deal(s, by(s)), "escrow.no_condition"),
    Case("ann", lambda s: deal(s, by(s, not_before_ms=1)), "ok"),
    Case("ann", lambda s: deal(s, by(s, roles=("hospital",))), "ok"),
    Case("ann", lambda s: deal(s, by(s, evidence_kind="deed")), "ok"),
    Case("ann", lambda s: deal(s, by(s, evidence_kind="poem")), "escrow.no_kind"),
    Case("ann", lambda s: one(s, signer_role="notary"), "escrow.kind_missing"),
    Case("ann", lambda s: one(s, about=THING), "escrow.kind_missing"),
    Case("ann", lambda s: deal(s, by(s, by_module=True)), "escrow.no_module"),
    Case("ann", lambda s: one(s, by_module=True), "escrow.no_module"),
]
BEFORE = [
    Case("bo", lambda s: Accept(s["new"]), "ok"),
    Case("ann", lambda s: Accept(s["new"]), "escrow.not_payee"),
    Case("bo", lambda s: Accept(s["many"]), "escrow.accepted_already"),
    Case("bo", lambda _: Accept(NOBODY), "escrow.escrows_unknown"),
    Case("ann", lambda s: Cancel(s["new"]), "ok"),
    Case("bo", lambda s: Cancel(s["new"]), "escrow.not_payer"),
    Case("ann", lambda s: Cancel(s["many"]), "escrow.accepted_already"),
    Case("ann", lambda _: Cancel(NOBODY), "escrow.escrows_unknown"),
    Case("cy", lambda s: pay(s, "new1"), "escrow.not_accepted"),
    Case("bo", lambda s: Dispute(s["new1"], NO_PAPER), "escrow.not_accepted"),
    Case("bo", lambda s: Refund(s["new1"], 10), "ok"),
    Case("bo", lambda s: Refund(s["new1"], 11), "escrow.above_held"),
]
RELEASING = [
    Case("ann", lambda s: pay(s, "many1"), "ok"),
    Case("cy", lambda s: pay(s, "many1"), "escrow.not_releaser"),
    Case("bo", lambda s: pay(s, "many1"), "escrow.payee_releases"),
    Case("ann", lambda s: pay(s, "many1", role="hospital"), "escrow.not_releaser"),
    Case("hospital", lambda s: pay(s, "many1", role="hospital"), "escrow.not_releaser"),
    Case("ann", lambda s: pay(s, "many1", evidence=s["deed"]), "escrow.evidence_not_asked"),
    Case("ann", lambda s: pay(s, "many1", instalment=NOBODY), "escrow.instalments_unknown"),
    Case("hospital", lambda s: pay(s, "many2", role="hospital"), "ok"),
    Case("hospital", lambda s: pay(s, "many2"), "escrow.not_releaser"),
    Case("ann", lambda s: pay(s, "many2", role="hospital"), "escrow.not_releaser"),
    Case("notary", lambda s: pay(s, "many2", role="notary"), "escrow.not_releaser"),
    Case("cy", lambda s: pay(s, "many3"), "ok"),
    Case("notary", lambda s: pay(s, "many3", role="notary"), "ok"),
    Case("bo", lambda s: pay(s, "many4"), "escrow.too_early"),
    Case("bo", lambda s: pay(s, "many5", evidence=s["deed"]), "ok"),
    Case("ann", lambda s: pay(s, "many5", evidence=s["deed"]), "ok"),
    Case("cy", lambda s: pay(s, "many5", evidence=s["deed"]), "escrow.not_releaser"),
    Case("notary", lambda s: pay(s, "many5", evidence=s["deed"], role="notary"), "escrow.not_releaser"),
    Case("ann", lambda s: pay(s, "many5", evidence=s["deed"], role="notary"), "escrow.not_releaser"),
    Case("bo", lambda s: pay(s, "many5"), "escrow.evidence_missing"),
    Case("bo", lambda s: pay(s, "many5", evidence=s["survey"]), "evidence.wrong_subject"),
    Case("bo", lambda s: pay(s, "many5", evidence=s["plan"]), "evidence.wrong_kind"),
    Case("bo", lambda s: pay(s, "many5", evidence=NOBODY), "evidence.evidence_unknown"),
    Case("cy", lambda s: pay(s, "many6", evidence=s["survey"]), "ok"),
    Case("cy", lambda s: pay(s, "many6", evidence=s["deed"]), "evidence.wrong_subject"),
    Case("cy", lambda s: pay(s, "many6"), "escrow.evidence_missing"),
    Case("ann", lambda s: pay(s, "many6", evidence=s["survey"]), "escrow.not_releaser"),
    Case("bo", lambda s: pay(s, "many6", evidence=s["survey"]), "escrow.payee_releases"),
    Case("ann", lambda s: pay(s, "line1"), "ok"),
    Case("ann", lambda s: pay(s, "line2"), "escrow.not_its_turn"),
    Case("ann", lambda s: pay(s, "line3"), "escrow.not_its_turn"),
    Case("cy", lambda s: pay(s, "fight1"), "escrow.in_dispute"),
    Case("bo", lambda s: Refund(s["many1"], 10), "ok"),
    Case("bo", lambda s: Refund(s["many1"], 11), "escrow.above_held"),
    Case("ann", lambda s: Refund(s["many1"], 1), "escrow.not_payee"),
    Case("bo", lambda s: Refund(s["line3"], 1), "ok"),
    Case("bo", lambda s: Refund(s["fight1"], 70), "ok"),
    Case("bo", lambda s: Refund(s["fight1"], 71), "escrow.above_held"),
    Case("bo", lambda _: Refund(NOBODY, 1), "escrow.instalments_unknown"),
]
DISPUTING = [
    Case("ann", lambda s: Dispute(s["many1"], NO_PAPER), "ok"),
    Case("bo", lambda s: Dispute(s["many1"], NO_PAPER), "ok"),
    Case("cy", lambda s: Dispute(s["many1"], NO_PAPER), "escrow.not_party"),
    Case("dan", lambda s: Dispute(s["many1"], NO_PAPER), "escrow.not_party"),
    Case("ann", lambda s: Dispute(s["fight1"], NO_PAPER), "escrow.in_dispute"),
    Case("ann", lambda s: Dispute(s["line2"], NO_PAPER), "escrow.not_its_turn"),
    Case("ann", lambda s: Dispute(s["line1"], NO_PAPER), "ok"),
    Case("ann", lambda _: Dispute(NOBODY, NO_PAPER), "escrow.instalments_unknown"),
    Case("dan", lambda s: Decide(s["fight1"], 0), "ok"),
    Case("dan", lambda s: Decide(s["fight1"], 70), "ok"),
    Case("dan", lambda s: Decide(s["fight1"], 71), "escrow.above_held"),
    Case("dan", lambda s: Decide(s["many1"], 1), "escrow.not_disputed"),
    Case("cy", lambda s: Decide(s["fight1"], 1), "escrow.not_arbiter"),
    Case("ann", lambda s: Decide(s["fight1"], 1), "escrow.not_arbiter"),
    Case("civil_affairs", lambda s: Decide(s["fight1"], 1), "escrow.not_arbiter"),
    Case("dan", lambda _: Decide(NOBODY, 0), "escrow.instalments_unknown"),
]
CASES = [*OPENING, *BEFORE, *RELEASING, *DISPUTING]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    elsewhere = {"ended", "too_late", "approved_already", "own_evidence", "mixed", "not_opener", "escrows_taken"}
    assert unmet(app, CASES) == {f"escrow.{code}" for code in elsewhere}


def test_an_escrow_has_up_to_sixteen_instalments_of_eight_and_eight_approvers() -> None:
    s = scene()
    people = [f"approver {number}" for number in range(8)]
    for name in people:
        s.stage.join(name)
    roles = tuple(f"role{number}" for number in range(8))
    terms = Terms(1, START_MS + LONG_MS, tuple(s[name] for name in people), roles, 16)
    s.stage.act("ann", deal(s, *[terms] * 16))
    assert not s.box.broken()
