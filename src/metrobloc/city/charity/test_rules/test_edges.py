"""Every action of the charity to its edges, and every refusal that it declares."""

from functools import cache
from pathlib import Path

import msgspec
import pytest

from metrobloc.city.charity.rules import app
from metrobloc.city.charity.rules.refusing import AID
from metrobloc.city.charity.test_rules import (
    DAY_MS,
    LATE_MS,
    NO_PAPER,
    NOBODY,
    PLAN,
    YEAR_MS,
    bill,
    case_for,
    match_for,
    paper,
    scene,
)
from metrobloc.city.charity.types.messages import (
    AgreeSurplus,
    Appeal,
    Approve,
    Cancel,
    Close,
    Countersign,
    Decide,
    DeclareTemplate,
    ExtendMatch,
    Finish,
    Give,
    Lift,
    MoveSurplus,
    OfferMatch,
    Present,
    RaiseFlag,
    Refund,
    Refuse,
    RetireTemplate,
    Review,
    Settle,
    TopUp,
    Verify,
    Withdraw,
)
from metrobloc.city.charity.types.records import Line
from metrobloc.kernel import envelope
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet


@cache
def where_nothing_changes() -> Scene:
    """Return a scene that all refusals share, since they leave it as it was."""
    return scene()


def priced(s: Scene, campaign: str, *lines: Line) -> Present:
    """Return what presents an invoice of such lines."""
    return Present(s[campaign], paper("priced"), NO_PAPER, lines)


def flag(s: Scene, campaign: str, against: str, claim: str | None = None) -> RaiseFlag:
    """Return what flags somebody without freezing anything."""
    return RaiseFlag(s[campaign], s[against], "price", NO_PAPER, freezes=False, claim=claim and s[claim])


CASEWORK = [
    Case("civil_affairs", lambda _: DeclareTemplate("new", 1, 1), "ok"),
    Case("civil2", lambda _: DeclareTemplate("need", 1, 1), "charity.templates_taken"),
    Case("charity", lambda _: DeclareTemplate("new", 1, 1), "not_allowed"),
    Case("civil2", lambda _: RetireTemplate("need"), "ok"),
    Case("civil2", lambda _: RetireTemplate("old"), "charity.template_retired"),
    Case("civil2", lambda _: RetireTemplate("none"), "charity.templates_unknown"),
    Case("charity", case_for, "ok"),
    Case("charity", lambda s: case_for(s, template="old"), "charity.template_retired"),
    Case("charity", lambda s: case_for(s, template="none"), "charity.templates_unknown"),
    Case("charity", lambda s: case_for(s, goal=501), "charity.above_template"),
    Case("charity", lambda s: case_for(s, hospital="bank"), "charity.no_hospital"),
    Case("charity2", lambda s: case_for(s, hospital="charity2"), "charity.same_party"),
    Case("charity", lambda s: case_for(s, asset="eur"), "charity.no_asset"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1000), "charity.in_the_past"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1001), "ok"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1000 + YEAR_MS), "ok"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1001 + YEAR_MS), "charity.too_long"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1000 + 120 * DAY_MS, template="goal"), "ok"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1001 + 120 * DAY_MS, template="goal"), "charity.too_long"),
    Case("hospital", case_for, "not_allowed"),
    Case("hospital", lambda s: Verify(s["fresh"], PLAN, 500), "ok"),
    Case("clinic", lambda s: Verify(s["fresh"], PLAN, 500), "charity.same_party"),
    Case("charity2", lambda s: Verify(s["fresh"], PLAN, 500), "ok"),
    Case("hospital", lambda s: Verify(s["ready"], PLAN, 500), "charity.not_submitted"),
    Case("hospital", lambda s: Verify(s["fresh"], NO_PAPER, 500), "charity.other_plan"),
    Case("hospital", lambda s: Verify(s["fresh"], PLAN, 499), "charity.other_plan"),
    Case("hospital", lambda _: Verify(NOBODY, PLAN, 500), "charity.campaigns_unknown"),
    Case("charity", lambda s: Verify(s["fresh"], PLAN, 500), "not_allowed"),
    Case("civil_affairs", lambda s: Approve(s["ready"]), "ok"),
    Case("civil_affairs", lambda s: Approve(s["hers"]), "ok"),
    Case("civil2", lambda s: Approve(s["hers"]), "charity.same_party"),
    Case("civil_affairs", lambda s: Approve(s["fresh"]), "charity.not_verified"),
    Case("civil_affairs", lambda s: Approve(s["open"]), "charity.not_verified"),
    Case("hospital", lambda s: Approve(s["ready"]), "not_allowed"),
    Case("charity", lambda s: Close(s["open"]), "ok"),
    Case("charity", lambda s: Close(s["closed"]), "charity.not_open"),
    Case("charity", lambda s: Close(s["ready"]), "charity.not_open"),
    Case("charity2", lambda s: Close(s["open"]), "charity.not_yours"),
    Case("charity", lambda s: Cancel(s["open"]), "ok"),
    Case("charity", lambda s: Cancel(s["cold"]), "ok"),
    Case("charity", lambda s: Cancel(s["fresh"]), "ok"),
    Case("office", lambda s: Cancel(s["free"]), "ok"),
    Case("charity2", lambda s: Cancel(s["open"]), "charity.not_yours"),
    Case("charity", lambda s: Cancel(s["gone"]), "charity.not_open"),
    Case("charity", lambda s: Cancel(s["bare"]), "charity.not_open"),
    Case("charity", lambda s: Cancel(s["paid"]), "charity.paid_out"),
    Case("charity", lambda s: Cancel(s["took"]), "charity.took_surplus"),
]
GIVING = [
    Case("bo", lambda s: Give(s["open"], 935), "ok"),
    Case("bo", lambda s: Give(s["open"], 936), "money.balances_too_low"),
    Case("bo", lambda s: Give(s["open"], 1, "medicine"), "ok"),
    Case("bo", lambda s: Give(s["open"], 1, "sweets"), "charity.no_category"),
    Case("bo", lambda s: Give(s["closed"], 1), "charity.not_open"),
    Case("bo", lambda s: Give(s["gone"], 1), "charity.not_open"),
    Case("bo", lambda s: Give(s["ready"], 1), "charity.not_open"),
    Case("bo", lambda _: Give(NOBODY, 1), "charity.campaigns_unknown"),
    Case("ann", lambda s: Refund(s["early"]), "ok"),
    Case("ann", lambda s: Refund(s["matched"]), "ok"),
    Case("ann", lambda s: Refund(s["paid out"]), "charity.no_refund"),
    Case("bo", lambda s: Refund(s["late"]), "charity.no_refund"),
    Case("bo", lambda s: Refund(s["orphan"]), "ok"),
    Case("bo", lambda s: Refund(s["back"]), "charity.refunded_already"),
    Case("bo", lambda s: Refund(s["early"]), "charity.not_donor"),
    Case("ann", lambda s: Refund(s["cold gift"]), "charity.no_refund"),
    Case("ann", lambda s: Refund(s["first"]), "ok"),
    Case("bo", lambda s: Refund(s["last"]), "ok"),
    Case("bo", lambda s: Refund(s["spent"]), "charity.nothing_left"),
    Case("ann", lambda s: Refund(s["moved gift"]), "charity.nothing_left"),
    Case("charity", lambda s: Refund(s["gift of another"]), "charity.not_a_gift"),
    Case("bo", lambda _: Refund(NOBODY), "charity.gifts_unknown"),
]
OFFERING = [
    Case("rival", lambda s: match_for(s, "open", "free"), "ok"),
    Case("rival", lambda s: match_for(s, "open", closes_ms=s.stage.time_ms + 1000), "charity.in_the_past"),
    Case("rival", lambda s: match_for(s, "open", closes_ms=s.stage.time_ms + 1001), "ok"),
    Case("rival", lambda s: match_for(s, "open", closes_ms=LATE_MS + 1), "charity.closes_later"),
    Case("rival", lambda s: match_for(s, "open", opens_ms=LATE_MS), "charity.closes_later"),
    Case("rival", lambda s: match_for(s, "open", "open"), "charity.twice_named"),
    Case("rival", lambda s: match_for(s, "open", "closed"), "charity.not_open"),
    Case("rival", lambda s: match_for(s, "open", "huge"), "charity.other_asset"),
    Case("rival", lambda s: match_for(s, "full"), "charity.too_many_offers"),
    Case("rival", lambda s: match_for(s, "open", pool=997), "money.balances_too_low"),
    Case("rival", lambda _: OfferMatch((NOBODY,), 1, 1, 1, 1, 1, LATE_MS), "charity.campaigns_unknown"),
    Case("ann", lambda s: match_for(s, "open"), "not_allowed"),
    Case("company", lambda s: ExtendMatch(s["offer"], (s["free"],)), "ok"),
    Case("company", lambda s: ExtendMatch(s["offer"], (s["open"],)), "charity.twice_named"),
    Case("company", lambda s: ExtendMatch(s["offer"], (s["huge"],)), "charity.other_asset"),
    Case("company", lambda s: ExtendMatch(s["brief"], (s["open"],)), "charity.offer_closed"),
    Case("rival", lambda s: ExtendMatch(s["offer"], (s["free"],)), "charity.not_sponsor"),
    Case("company", lambda s: TopUp(s["offer"], 5), "ok"),
    Case("company", lambda s: TopUp(s["brief"], 5), "charity.offer_closed"),
    Case("company", lambda _: TopUp(NOBODY, 5), "charity.offers_unknown"),
    Case("rival", lambda s: TopUp(s["offer"], 5), "charity.not_sponsor"),
]
CLAIMING = [
    Case("clinic", lambda s: bill(s, "open", "x", 1), "ok"),
    Case("clinic", lambda s: bill(s, "closed", "x", 1), "ok"),
    Case("vendor", lambda s: bill(s, "closed", "x", 1), "ok"),
    Case("hospital", lambda s: bill(s, "closed", "x", 1), "charity.no_payee"),
    Case("charity2", lambda s: bill(s, "closed", "x", 1), "charity.no_payee"),
    Case("ann", lambda s: bill(s, "closed", "x", 1), "not_allowed"),
    Case("clinic", lambda s: bill(s, "fresh", "x", 1), "charity.takes_no_claims"),
    Case("clinic", lambda s: bill(s, "gone", "x", 1), "charity.takes_no_claims"),
    Case("clinic", lambda s: bill(s, "done", "x", 1), "charity.takes_no_claims"),
    Case("clinic", lambda s: bill(s, "cold", "x", 1), "charity.frozen"),
    Case("clinic", lambda s: priced(s, "open", Line("a", "b", 2, 5, 6, 3)), "ok"),
    Case("clinic", lambda s: priced(s, "open", Line("a", "b", 2, 5, 7, 3)), "charity.nothing_claimed"),
    Case("clinic", lambda s: priced(s, "open", Line("a", "b", 2, 5, 7, 3), Line("a", "b", 1, 1)), "ok"),
    Case(
        "clinic",
        lambda s: priced(s, "open", Line("a", "b", 2, 5, 7, 4), Line("a", "b", 1, 2)),
        "charity.nothing_claimed",
    ),
    Case("clinic", lambda s: bill(s, "open", "new", 1), "charity.presented_already"),
    Case("vendor", lambda s: bill(s, "open", "part", 1), "charity.presented_already"),
    Case("clinic", lambda s: bill(s, "open", "given up", 1), "ok"),
    Case("clinic", lambda s: bill(s, "open", "turned down", 1), "ok"),
    Case("clinic", lambda _: Present(NOBODY, NO_PAPER, NO_PAPER, (Line("a", "b", 1, 1),)), "charity.campaigns_unknown"),
    Case("civil_affairs", lambda s: Review(s["new"], paper("new"), (12, 8)), "ok"),
    Case("charity", lambda s: Review(s["new"], paper("new"), (0, 1)), "ok"),
    Case("charity2", lambda s: Review(s["new"], paper("new"), (12, 8)), "charity.not_reviewer"),
    Case("super2", lambda s: Review(s["theirs too"], paper("theirs too"), (12, 8)), "charity.not_reviewer"),
    Case("super2", lambda s: Review(s["new"], paper("new"), (12, 8)), "ok"),
    Case("civil2", lambda s: Review(s["seen"], paper("seen"), (12, 8)), "charity.not_presented"),
    Case("civil2", lambda s: Review(s["given up"], paper("given up"), (12, 8)), "charity.not_presented"),
    Case("civil2", lambda s: Review(s["new"], paper("seen"), (12, 8)), "charity.other_invoice"),
    Case("civil2", lambda s: Review(s["new"], paper("new"), (20,)), "charity.not_by_line"),
    Case("civil2", lambda s: Review(s["new"], paper("new"), (13, 7)), "charity.not_by_line"),
    Case("civil2", lambda s: Review(s["new"], paper("new"), (0, 0)), "charity.not_by_line"),
    Case("civil2", lambda s: Review(s["unseen"], paper("unseen"), (5,)), "charity.frozen"),
    Case("clinic", lambda s: Review(s["new"], paper("new"), (12, 8)), "not_allowed"),
    Case("civil2", lambda _: Review(NOBODY, NO_PAPER, (1,)), "charity.claims_unknown"),
    Case("supervisor", lambda s: Countersign(s["seen"]), "ok"),
    Case("supervisor", lambda s: Countersign(s["own"]), "ok"),
    Case("super2", lambda s: Countersign(s["seen"]), "ok"),
    Case("super2", lambda s: Countersign(s["theirs"]), "charity.not_approver"),
    Case("charity", lambda s: Countersign(s["own"]), "charity.not_approver"),
    Case("charity2", lambda s: Countersign(s["seen"]), "charity.not_approver"),
    Case("charity", lambda s: Countersign(s["seen"]), "charity.same_person"),
    Case("supervisor", lambda s: Countersign(s["new"]), "charity.not_reviewed"),
    Case("supervisor", lambda s: Countersign(s["ok"]), "charity.not_reviewed"),
    Case("supervisor", lambda s: Countersign(s["waiting"]), "charity.frozen"),
    Case("clinic", lambda s: Countersign(s["seen"]), "not_allowed"),
    Case("charity", lambda s: Refuse(s["new"]), "ok"),
    Case("civil2", lambda s: Refuse(s["seen"]), "ok"),
    Case("civil2", lambda s: Refuse(s["ok"]), "charity.not_refuser"),
    Case("charity2", lambda s: Refuse(s["new"]), "charity.not_refuser"),
    Case("supervisor", lambda s: Refuse(s["new"]), "ok"),
    Case("supervisor", lambda s: Refuse(s["part"]), "ok"),
    Case("supervisor", lambda s: Refuse(s["final"]), "charity.ended"),
    Case("supervisor", lambda s: Refuse(s["given up"]), "charity.ended"),
    Case("clinic", lambda s: Refuse(s["new"]), "not_allowed"),
    Case("clinic", lambda s: Withdraw(s["part"]), "ok"),
    Case("clinic", lambda s: Withdraw(s["stuck"]), "ok"),
    Case("clinic", lambda s: Withdraw(s["turned down"]), "charity.ended"),
    Case("vendor", lambda s: Withdraw(s["part"]), "charity.not_payee"),
]
SETTLING = [
    Case("charity", lambda s: Settle(s["ok"], 20, 0), "ok"),
    Case("charity", lambda s: Settle(s["ok"], 19, 0), "ok"),
    Case("charity", lambda s: Settle(s["ok"], 21, 0), "charity.above_approved"),
    Case("charity", lambda s: Settle(s["more"], 20, 0), "ok"),
    Case("charity", lambda s: Settle(s["more"], 21, 0), "charity.above_held"),
    Case("charity", lambda s: Settle(s["goods"], 5, 0), "ok"),
    Case("charity", lambda s: Settle(s["part"], 20, 40), "ok"),
    Case("charity", lambda s: Settle(s["part"], 21, 40), "charity.above_approved"),
    Case("charity", lambda s: Settle(s["part"], 20, 0), "charity.paid_already"),
    Case("charity", lambda s: Settle(s["part"], 20, 41), "charity.paid_already"),
    Case("charity", lambda s: Settle(s["final"], 1, 25), "charity.not_closed"),
    Case("charity", lambda s: Settle(s["early bill"], 1, 0), "charity.not_closed"),
    Case("charity", lambda s: Settle(s["seen"], 1, 0), "charity.not_approved"),
    Case("charity", lambda s: Settle(s["stuck"], 1, 0), "charity.frozen"),
    Case("charity2", lambda s: Settle(s["ok"], 1, 0), "charity.not_yours"),
    Case("clinic", lambda s: Settle(s["ok"], 1, 0), "not_allowed"),
    Case("charity", lambda _: Settle(NOBODY, 1, 0), "charity.claims_unknown"),
]
FINISHING = [
    Case("charity", lambda s: Finish(s["closed"]), "charity.claims_open"),
    Case("charity2", lambda s: Finish(s["closed"]), "charity.not_yours"),
    Case("office", lambda s: Finish(s["closed"]), "charity.not_yours"),
    Case("charity", lambda s: Finish(s["open"]), "charity.not_closed"),
    Case("charity", lambda s: Finish(s["done"]), "charity.not_closed"),
    Case("charity", lambda s: Finish(s["cold"]), "charity.frozen"),
    Case("office", lambda s: Finish(s["cold"]), "ok"),
    Case("charity2", lambda s: Finish(s["cold"]), "charity.not_yours"),
    Case("supervisor", lambda s: AgreeSurplus(s["bare"], s["free"]), "ok"),
    Case("supervisor", lambda s: AgreeSurplus(s["closed"], s["free"]), "charity.not_finished"),
    Case("supervisor", lambda s: AgreeSurplus(s["bare"], s["closed"]), "charity.other_kind"),
    Case("supervisor", lambda s: AgreeSurplus(s["bare"], s["hers"]), "charity.other_kind"),
    Case("supervisor", lambda s: AgreeSurplus(s["bare"], s["huge"]), "charity.other_asset"),
    Case("supervisor", lambda s: AgreeSurplus(s["bare"], NOBODY), "charity.campaigns_unknown"),
    Case("charity", lambda s: AgreeSurplus(s["bare"], s["free"]), "not_allowed"),
    Case("charity", lambda s: MoveSurplus(s["done"]), "ok"),
    Case("charity", lambda s: MoveSurplus(s["bare"]), "charity.not_agreed"),
    Case("charity", lambda s: MoveSurplus(s["fin"]), "charity.too_early"),
    Case("charity", lambda s: MoveSurplus(s["moved"]), "charity.nothing_left"),
    Case("charity", lambda s: MoveSurplus(s["closed"]), "charity.not_finished"),
    Case("charity2", lambda s: MoveSurplus(s["done"]), "charity.not_yours"),
]
AUDITING = [
    Case("supervisor", lambda s: flag(s, "open", "clinic"), "ok"),
    Case("supervisor", lambda s: flag(s, "open", "charity"), "ok"),
    Case("supervisor", lambda s: flag(s, "open", "hospital"), "ok"),
    Case("supervisor", lambda s: flag(s, "open", "civil_affairs"), "ok"),
    Case("supervisor", lambda s: flag(s, "open", "ann"), "charity.no_part"),
    Case("supervisor", lambda s: flag(s, "closed", "vendor", "goods"), "ok"),
    Case("supervisor", lambda s: flag(s, "closed", "vendor"), "charity.no_part"),
    Case("supervisor", lambda s: flag(s, "open", "vendor", "goods"), "charity.no_part"),
    Case("supervisor", lambda s: flag(s, "closed", "vendor", "ok"), "charity.no_part"),
    Case("charity", lambda s: flag(s, "open", "clinic"), "not_allowed"),
    Case("clinic", lambda s: Appeal(s["flag"], NO_PAPER), "ok"),
    Case("charity", lambda s: Appeal(s["flag"], NO_PAPER), "charity.not_flagged"),
    Case("clinic", lambda s: Appeal(s["appealed"], NO_PAPER), "charity.not_flag_open"),
    Case("clinic", lambda _: Appeal(NOBODY, NO_PAPER), "charity.flags_unknown"),
    Case("civil2", lambda s: Decide(s["appealed"], upheld=True), "ok"),
    Case("bank", lambda s: Decide(s["appealed"], upheld=False), "ok"),
    Case("civil2", lambda s: Decide(s["flag"], upheld=True), "charity.not_appealed"),
    Case("civil2", lambda s: Decide(s["upheld"], upheld=True), "charity.not_appealed"),
    Case("supervisor", lambda s: Decide(s["appealed"], upheld=False), "charity.not_decider"),
    Case("charity", lambda s: Decide(s["appealed"], upheld=False), "charity.not_decider"),
    Case("hospital", lambda s: Decide(s["appealed"], upheld=False), "charity.not_decider"),
    Case("ann", lambda s: Decide(s["appealed"], upheld=False), "not_allowed"),
    Case("super2", lambda s: Lift(s["flag"]), "ok"),
    Case("supervisor", lambda s: Lift(s["upheld"]), "ok"),
    Case("supervisor", lambda s: Lift(s["appealed"]), "ok"),
    Case("supervisor", lambda s: Lift(s["dismissed"]), "charity.not_standing"),
    Case("supervisor", lambda s: Lift(s["lifted"]), "charity.not_standing"),
    Case("clinic", lambda s: Lift(s["flag"]), "not_allowed"),
]
CASES: list[Case] = [*CASEWORK, *GIVING, *OFFERING, *CLAIMING, *SETTLING, *FINISHING, *AUDITING]
TAKEN = {f"charity.{table}_taken" for table in ("campaigns", "gifts", "offers", "claims", "flags")}
ELSEWHERE = {"charity.other_hat", "charity.too_many_claims", "charity.too_many_campaigns"}
AID_TABLES = {"calls_taken", "clusters_unknown"} | {
    f"{table}_{code}" for table in ("needs", "supplies", "lots") for code in ("unknown", "taken")
}
OF_AID = {f"charity.{code}" for code in {*AID, *AID_TABLES}}
"""Refusals of calls and needs, which have tests of their own."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene() if case.code == "ok" else where_nothing_changes(), case)


def test_every_refusal_is_told() -> None:
    assert unmet(app, CASES) == TAKEN | ELSEWHERE | OF_AID  # met below and in the other files
    assert readme_refusals(Path(__file__).parent.parent, app) == app.refusals


def with_salt(s: Scene, actor: str, message: Message) -> str:
    """Send a message with a salt that has been used; return what became of it."""
    payload = msgspec.structs.replace(s.stage.payload((actor, message)), salt="5a" * 16)
    return s.stage.send([envelope.sign(payload, [s.stage.key(actor)])])[0].code


def test_an_id_is_given_out_once() -> None:
    s = scene()
    assert with_salt(s, "charity", case_for(s)) == "ok"
    assert with_salt(s, "charity", case_for(s, LATE_MS + 1)) == "kernel.deadlines_taken"
    made = s.box.sealed[-2].receipts[-1]
    s.stage.act("charity", Cancel(msgspec.json.decode(made)["ids"][0]))
    assert with_salt(s, "charity", case_for(s, LATE_MS + 1)) == "charity.campaigns_taken"
    for actor, messages, code in (
        ("ann", [Give(s["open"], 1), Give(s["open"], 2)], "gifts"),
        ("rival", [match_for(s, "open", pool=1), match_for(s, "free", pool=2)], "offers"),
        ("clinic", [bill(s, "open", "x", 1), bill(s, "open", "y", 1)], "claims"),
        ("supervisor", [flag(s, "open", "clinic"), flag(s, "free", "clinic")], "flags"),
    ):
        assert [with_salt(s, actor, one) for one in messages] == ["ok", f"charity.{code}_taken"]
