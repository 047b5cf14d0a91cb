"""Who may do what to a case: separate institutions, separate persons, and what a flag, a goal or time ends."""

import pytest

from metrobloc.city.charity.rules import campaigns, claims, flags
from metrobloc.city.charity.test_rules import (
    DAY_MINUTES,
    DAY_MS,
    NO_PAPER,
    PLAN,
    approved,
    bill,
    campaign_of,
    case_for,
    city,
    do,
    gave,
    has,
    match_for,
    opened,
    paper,
    presented,
    purse_of,
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
    Finish,
    Give,
    Lift,
    RaiseFlag,
    Refund,
    Refuse,
    Review,
    Settle,
    Verify,
)
from metrobloc.commons.identity.types import Accredit, Mandate, Revoke
from metrobloc.commons.money.types import Issue
from metrobloc.kernel import envelope
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

LONG_MS = 300 * DAY_MS


def by(s: Scene, person: str, institution: str, *messages: Message) -> str:
    """Let a person sign for an institution; return what became of it, and the first new id under her name."""
    payload = s.stage.payload(*((institution, message) for message in messages))
    return s.stage.send([envelope.sign(payload, [s.stage.key(person)])])[0].code


def mandated(s: Scene, person: str, *institutions: str) -> None:
    """Let institutions give a person a mandate for everything of the charity's."""
    for institution in institutions:
        s.stage.act(institution, Mandate(s[person], ("charity",), s.stage.time_ms + LONG_MS))


def test_a_person_acts_on_a_campaign_for_one_institution_only() -> None:
    s = scene()
    s.stage.join("eve")
    mandated(s, "eve", "charity", "hospital", "civil_affairs", "supervisor", "clinic", "civil2")
    assert by(s, "eve", "hospital", Verify(s["fresh"], PLAN, 500)) == "ok"
    for institution, message in (
        ("civil_affairs", Approve(s["fresh"])),
        ("supervisor", RaiseFlag(s["fresh"], s["charity"], "hat", NO_PAPER, freezes=True)),
    ):
        assert by(s, "eve", institution, message) == "charity.other_hat"
        do(s, institution, message)
    assert by(s, "eve", "hospital", Verify(s["ready"], PLAN, 500)) == "charity.not_submitted"
    assert by(s, "eve", "civil_affairs", Approve(s["ready"])) == "ok"


@pytest.mark.parametrize(
    ("institution", "message"),
    [
        ("clinic", lambda s: bill(s, "closed", "x", 1)),
        ("civil2", lambda s: Review(s["new"], paper("new"), (12, 8))),
        ("supervisor", lambda s: Countersign(s["seen"])),
        ("civil2", lambda s: Refuse(s["new"])),
        ("supervisor", lambda s: Refuse(s["ok"])),
    ],
)
def test_nor_on_its_invoices(institution: str, message: object) -> None:
    s = scene()
    s.stage.join("eve")
    mandated(s, "eve", "charity", institution)
    made = message(s)  # type: ignore[operator]
    assert by(s, "eve", "charity", Settle(s["ok"], 1, 0)) == "ok"
    assert by(s, "eve", institution, made) == "charity.other_hat"
    do(s, institution, made)


@pytest.mark.parametrize("what", ["settle", "decide", "lift", "agree"])
def test_nor_on_its_payments_and_flags(what: str) -> None:
    s = scene()
    s.stage.join("eve")
    institution = {"settle": "charity", "decide": "civil2", "lift": "supervisor", "agree": "supervisor"}[what]
    mandated(s, "eve", institution, "civil_affairs")
    s.ids["case"] = do(s, "charity", case_for(s))[0]
    do(s, "hospital", Verify(s["case"], PLAN, 500))
    assert by(s, "eve", "civil_affairs", Approve(s["case"])) == "ok"
    gave(s, "gift", "ann", "case", 9)
    s.ids["raised"] = do(s, "supervisor", RaiseFlag(s["case"], s["clinic"], "price", NO_PAPER, freezes=False))[0]
    do(s, "charity", Close(s["case"]))
    approved(s, "x", "case", 9)
    message: Message = Settle(s["x"], 9, 0)
    if what == "decide":
        do(s, "clinic", Appeal(s["raised"], NO_PAPER))
        message = Decide(s["raised"], upheld=True)
    if what == "lift":
        message = Lift(s["raised"])
    if what == "agree":
        do(s, "charity", Settle(s["x"], 8, 0))
        do(s, "supervisor", Refuse(s["x"]))
        do(s, "charity", Finish(s["case"]))
        message = AgreeSurplus(s["case"], s["open"])
    assert by(s, "eve", institution, message) == "charity.other_hat"
    do(s, institution, message)


def test_the_charity_s_second_person_approves_and_the_first_does_not() -> None:
    s = scene()
    for name in ("eve", "flo"):
        s.stage.join(name)
        mandated(s, name, "charity")
    assert by(s, "eve", "charity", case_for(s)) == "ok"
    s.ids["case"] = next(key for key, one in s.box.view[campaigns].items() if one.creator == s["eve"])
    do(s, "hospital", Verify(s["case"], PLAN, 500))
    do(s, "civil_affairs", Approve(s["case"]))
    presented(s, "x", "case", 7)
    do(s, "civil_affairs", Review(s["x"], paper("x"), (7,)))
    assert by(s, "eve", "charity", Countersign(s["x"])) == "charity.same_person"
    assert by(s, "flo", "charity", Countersign(s["x"])) == "ok"


def test_whoever_submitted_cannot_approve_for_a_supervisor_either() -> None:
    s = scene()
    s.stage.join("eve")
    mandated(s, "eve", "charity", "supervisor")
    assert by(s, "eve", "charity", case_for(s)) == "ok"
    s.ids["case"] = next(key for key, one in s.box.view[campaigns].items() if one.creator == s["eve"])
    do(s, "hospital", Verify(s["case"], PLAN, 500))
    do(s, "civil_affairs", Approve(s["case"]))
    presented(s, "x", "case", 7)
    do(s, "civil_affairs", Review(s["x"], paper("x"), (7,)))
    assert by(s, "eve", "supervisor", Countersign(s["x"])) == "charity.same_person"


def test_nobody_is_paid_whose_accreditation_has_ended() -> None:
    s = scene()
    s.stage.act("office", Revoke(s["clinic"], "hospital"), Revoke(s["vendor"], "vendor"))
    do(s, "charity", Settle(s["ok"], 1, 0), refused="no_payee")
    do(s, "charity", Settle(s["goods"], 1, 0), refused="no_payee")
    s.stage.act("office", Accredit(s["clinic"], "clinic", "vendor", 1000))
    do(s, "charity", Settle(s["ok"], 1, 0), refused="no_payee")
    do(s, "clinic", bill(s, "closed", "x", 1), refused="no_payee")


def test_who_decides_over_a_case_is_no_vendor_to_it() -> None:
    s = scene()
    for name in ("charity", "hospital", "civil_affairs"):
        s.stage.act("office", Accredit(s[name], name, "vendor", 1_000_000))
        do(s, name, bill(s, "closed", "x", 1), refused="no_payee")
    do(s, "hospital", bill(s, "fresh", "x", 1), refused="takes_no_claims")


def test_a_campaign_has_64_open_invoices_at_most() -> None:
    s = scene()
    bills = [bill(s, "took", f"x{number}", 1) for number in range(64)]
    for first in range(0, 64, 16):
        do(s, "clinic", *bills[first : first + 16])
    do(s, "vendor", bill(s, "took", "y", 1), refused="too_many_claims")
    assert campaign_of(s, "took").claims == 64
    do(s, "civil_affairs", Refuse(next(key for key, one in s.box.view[claims].items() if one.campaign == s["took"])))
    do(s, "vendor", bill(s, "took", "y", 1))


def test_a_case_that_nobody_opened_in_time_is_given_up() -> None:
    s = scene()
    assert campaign_of(s, "missed").state == "treatable"
    s.stage.time_ms = START_MS + 40 * DAY_MS - 1001
    do(s, "civil_affairs", Approve(s["fresh"]), refused="not_verified")
    s.stage.wait(1)
    do(s, "civil_affairs", Approve(s["missed"]), refused="not_verified")
    assert campaign_of(s, "missed").state == "cancelled"


def slow() -> Scene:
    """Found a city that runs one deadline a block, and let three cases and a campaign end at one time."""
    s = city(Limits(deadlines_per_block=1))
    for name in ("one", "two", "three"):
        opened(s, name, START_MS + DAY_MS)
        gave(s, f"to {name}", "ann", name, 9)
        approved(s, f"of {name}", name, 9)
    s.ids["late"] = do(s, "charity", case_for(s, START_MS + DAY_MS))[0]
    do(s, "hospital", Verify(s["late"], PLAN, 500))
    s.stage.time_ms = START_MS + DAY_MS - 1000
    return s


def test_what_is_over_by_the_clock_is_over_though_the_queue_is_behind() -> None:
    s = slow()
    signed = [s.stage.sign(("ann", Give(s[name], 1))) for name in ("one", "two", "three")] + [
        s.stage.sign(("ann", Refund(s[f"to {name}"]))) for name in ("one", "two", "three")
    ]
    assert {o.code for o in s.stage.send([*signed, s.stage.sign(("civil_affairs", Approve(s["late"])))])} <= {
        "charity.not_open",
        "charity.no_refund",
        "charity.in_the_past",
        "charity.not_verified",
    }
    states = [campaign_of(s, name).state for name in ("one", "two", "three")]
    assert "open" in states
    still = ("one", "two", "three")[states.index("open")]
    do(s, "charity", Settle(s[f"of {still}"], 9, 0))
    do(s, "clinic", bill(s, still, "x", 1))
    assert not s.box.broken()


def test_a_campaign_can_close_when_it_has_its_goal() -> None:
    s = city()
    opened(s, "one", template="goal")
    gave(s, "a", "ann", "one", 300)
    gave(s, "b", "company", "one", 150)
    do(s, "ann", Refund(s["a"]))
    gave(s, "c", "ann", "one", 349)
    assert campaign_of(s, "one").state == "open"
    gave(s, "d", "bo", "one", 1)
    assert campaign_of(s, "one").state == "closed"
    do(s, "bo", Give(s["one"], 1), refused="not_open")
    s.stage.wait(101 * DAY_MINUTES)
    do(s, "charity", Finish(s["one"]))
    assert campaign_of(s, "one").state == "settled"


def test_a_flag_stops_invoices_payments_and_gifts_and_no_refund() -> None:
    s = scene()
    for name in ("open", "closed", "gone", "done"):
        flag = RaiseFlag(s[name], s["clinic"], "price", NO_PAPER, freezes=True)
        do(s, "supervisor", flag, flag)
    do(s, "bo", Give(s["open"], 1), refused="frozen")
    do(s, "clinic", bill(s, "open", "x", 1), refused="frozen")
    do(s, "civil2", Review(s["new"], paper("new"), (1, 1)), refused="frozen")
    do(s, "supervisor", Countersign(s["seen"]), refused="frozen")
    do(s, "charity", Settle(s["ok"], 1, 0), refused="frozen")
    do(s, "ann", Refund(s["early"]), Refund(s["matched"]), Refund(s["first"]))
    do(s, "bo", Refund(s["orphan"]), Refund(s["last"]))
    for _ in range(2):
        standing = next(key for key, one in s.box.view[flags].items() if one.campaign == s["closed"] and one.stands)
        do(s, "charity", Settle(s["ok"], 1, 0), refused="frozen")
        do(s, "supervisor", Lift(standing))
    do(s, "charity", Settle(s["ok"], 1, 0))
    assert not s.box.broken()


def test_an_upheld_flag_freezes_on_and_a_dismissed_one_does_not() -> None:
    for upheld, code in ((True, "frozen"), (False, "ok")):
        s = scene()
        do(s, "clinic", Appeal(s["flag"], NO_PAPER))
        do(s, "civil2", Decide(s["flag"], upheld=upheld))
        flag = s.box.view[flags].get(s["flag"])
        assert flag is not None
        assert (flag.state, flag.decided_by) == ("upheld" if upheld else "dismissed", s["civil2"])
        do(s, "charity", Settle(s["stuck"], 1, 0), refused=code)


def test_the_office_frees_what_a_flag_holds() -> None:
    s = scene()
    do(s, "office", Finish(s["cold"]))
    do(s, "charity", Settle(s["stuck"], 1, 0), refused="not_closed")
    do(s, "ann", Refund(s["cold gift"]))
    assert purse_of(s, "cold").held == 0
    assert not s.box.broken()


def test_giving_up_returns_everything() -> None:
    s = scene()
    s.stage.wait(100 * DAY_MINUTES)
    s.stage.act("bank", Issue("cny", s["bank"], 1))
    assert campaign_of(s, "open").state == "closed"
    company, ann = has(s, "company", "ann")
    do(s, "charity", Cancel(s["open"]))
    for name in ("early", "matched"):
        do(s, "ann", Refund(s[name]))
        do(s, "ann", Refund(s[name]), refused="refunded_already")
    do(s, "charity", Cancel(s["open"]), refused="not_open")
    assert has(s, "company", "ann") == (company + 30, ann + 50)
    assert not s.box.broken()


def test_an_open_offer_forgets_a_campaign_that_was_given_up() -> None:
    s = scene()
    do(s, "charity", Cancel(s["open"]))
    do(s, "ann", Refund(s["matched"]))
    company = has(s, "company")[0]
    s.stage.wait(100 * DAY_MINUTES)
    s.stage.act("bank", Issue("cny", s["bank"], 1))
    # Of the first offer's 100 the closed campaign gets 20; the later one returns in full.
    assert has(s, "company")[0] == company + 80 + 100
    assert purse_of(s, "closed", f"match.{s['offer']}").received == 20
    assert not s.box.broken()


def test_matches_are_no_less_for_a_flag() -> None:
    s = city()
    opened(s, "one")
    s.ids["offer"] = do(s, "company", match_for(s, "one", closes_ms=START_MS + DAY_MS))[0]
    gave(s, "gift", "ann", "one", 12)
    do(s, "supervisor", RaiseFlag(s["one"], s["clinic"], "price", NO_PAPER, freezes=True))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("bank", Issue("cny", s["bank"], 1))
    assert purse_of(s, "one", f"match.{s['offer']}").held == 12
