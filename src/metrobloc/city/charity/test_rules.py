"""The charity: what may happen to a gift, what is refused, and that every cent reaches the hospital or comes back."""

from fractions import Fraction
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrobloc.city.charity import matching, story
from metrobloc.city.charity.rules import app, campaigns, totals
from metrobloc.city.charity.types import (
    Cancel,
    Close,
    Give,
    Offered,
    OfferMatch,
    OpenCampaign,
    Refund,
    Settle,
    TopUp,
)
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.rules import balances
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS, Sandbox

MODULES = (identity, money, app)
NOBODY = "a" * 26
NO_PAPER = "0" * 64
MOST = 2**53 - 1
DAY_MS = 86_400_000
SOON_MS = START_MS + DAY_MS
YEAR_MS = 366 * DAY_MS

test_generated = generated(MODULES, app, story.play)


def case_for(s: Scene, closes_ms: int = SOON_MS, *, hospital: str = "hospital", asset: str = "cny") -> OpenCampaign:
    """Return what opens a campaign."""
    return OpenCampaign("A heart", s[hospital], asset, 500, closes_ms, NO_PAPER)


def match_for(s: Scene, *names: str, closes_ms: int = SOON_MS, pool: int = 100) -> OfferMatch:
    """Return what offers to match one to one, at most 30 a gift and 50 a campaign."""
    return OfferMatch(tuple(s[name] for name in names), pool, 1, 1, 30, 50, closes_ms)


def scene() -> Scene:
    """Set the scene.

    Ann and Bo have 1,000 and have given: Ann 40 to the open campaign (matched with 30) and 10 before there was a match,
    Bo 20 to the closed one. `full` has four offers, `gone` was given up, `paid` has paid its hospital a part. Of `big`
    Ann has as much as the ledger can count.
    """
    s = Scene(MODULES)
    stage = s.stage
    for name in ("ann", "bo"):
        stage.join(name)
    for name, role in (("rival", "company"), ("charity2", "charity")):
        stage.join(name)
        stage.act("office", Accredit(s[name], name, role, 1000))
    stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 100_000, NO_PAPER))
    stage.act("bank", OpenAsset("big", "Big", 0), RecordReserve("big", MOST, NO_PAPER), Issue("big", s["ann"], MOST))
    stage.act("bank", *(Issue("cny", s[name], 1000) for name in ("ann", "bo", "company", "rival")))
    for name in ("open", "closed", "full", "gone", "paid", "free"):
        s.ids[name] = stage.act("charity", case_for(s)).ids[0]
    s.ids["huge"] = stage.act("charity", case_for(s, asset="big")).ids[0]
    s.ids["early"] = stage.act("ann", Give(s["open"], 10)).ids[0]
    s.ids["offer"] = stage.act("company", match_for(s, "open", "closed")).ids[0]
    s.ids["brief"] = stage.act("company", match_for(s, "free", closes_ms=START_MS + 3_600_000)).ids[0]
    s.ids["matched"] = stage.act("ann", Give(s["open"], 40)).ids[0]
    s.ids["paid out"] = stage.act("ann", Give(s["free"], 7)).ids[0]
    s.ids["late"] = stage.act("bo", Give(s["closed"], 20)).ids[0]
    s.ids["back"] = stage.act("bo", Give(s["open"], 5)).ids[0]
    stage.act("bo", Refund(s["back"]))
    s.ids["orphan"] = stage.act("bo", Give(s["gone"], 25)).ids[0]
    for _ in range(4):
        stage.act("rival", match_for(s, "full", pool=1))
    stage.act("ann", Give(s["paid"], 60))
    for name in ("closed", "paid"):
        stage.act("charity", Close(s[name]))
    stage.act("charity", Settle(s["paid"], 59, NO_PAPER))
    stage.act("charity", Cancel(s["gone"]))
    stage.act("ann", Give(s["huge"], MOST))
    stage.act("charity", Close(s["huge"]), Settle(s["huge"], MOST, NO_PAPER))
    s.ids["huge2"] = stage.act("charity", case_for(s, asset="big")).ids[0]
    stage.act("hospital", Give(s["huge2"], MOST))
    stage.wait(61)
    return s


CASES: list[Case] = [
    Case("charity", case_for, "ok"),
    Case("charity", lambda s: case_for(s, hospital="bank"), "charity.no_hospital"),
    Case("charity", lambda s: case_for(s, asset="eur"), "charity.no_asset"),
    Case("charity", lambda s: case_for(s, START_MS), "charity.in_the_past"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1000 + YEAR_MS), "ok"),
    Case("charity", lambda s: case_for(s, s.stage.time_ms + 1001 + YEAR_MS), "charity.too_long"),
    Case("hospital", case_for, "not_allowed"),
    Case("bo", lambda s: Give(s["open"], 955), "ok"),
    Case("bo", lambda s: Give(s["open"], 956), "money.balances_too_low"),
    Case("bo", lambda s: Give(s["closed"], 1), "charity.not_open"),
    Case("bo", lambda s: Give(s["gone"], 1), "charity.not_open"),
    Case("bo", lambda _: Give(NOBODY, 1), "charity.campaigns_unknown"),
    Case("rival", lambda s: match_for(s, "open", "free"), "ok"),
    Case("rival", lambda s: match_for(s, "open", closes_ms=START_MS), "charity.in_the_past"),
    Case("rival", lambda s: match_for(s, "open", closes_ms=SOON_MS + 1), "charity.closes_later"),
    Case("rival", lambda s: match_for(s, "open", "open"), "charity.twice_named"),
    Case("rival", lambda s: match_for(s, "open", "closed"), "charity.not_open"),
    Case("rival", lambda s: match_for(s, "open", "huge2"), "charity.other_asset"),
    Case("rival", lambda s: match_for(s, "full"), "charity.too_many_offers"),
    Case("rival", lambda s: match_for(s, "open", pool=997), "money.balances_too_low"),
    Case("rival", lambda _: OfferMatch((NOBODY,), 1, 1, 1, 1, 1, SOON_MS), "charity.campaigns_unknown"),
    Case("ann", lambda s: match_for(s, "open"), "not_allowed"),
    Case("company", lambda s: TopUp(s["offer"], 5), "ok"),
    Case("company", lambda s: TopUp(s["brief"], 5), "charity.offer_closed"),
    Case("company", lambda _: TopUp(NOBODY, 5), "charity.offers_unknown"),
    Case("rival", lambda s: TopUp(s["offer"], 5), "charity.not_sponsor"),
    Case("charity", lambda s: Close(s["open"]), "ok"),
    Case("charity", lambda s: Close(s["closed"]), "charity.not_open"),
    Case("charity2", lambda s: Close(s["open"]), "charity.not_yours"),
    Case("charity", lambda s: Settle(s["closed"], 20, NO_PAPER), "ok"),
    Case("charity", lambda s: Settle(s["closed"], 21, NO_PAPER), "charity.above_held"),
    Case("charity", lambda s: Settle(s["open"], 1, NO_PAPER), "charity.not_closed"),
    Case("charity", lambda s: Settle(s["gone"], 1, NO_PAPER), "charity.not_closed"),
    Case("charity2", lambda s: Settle(s["closed"], 1, NO_PAPER), "charity.not_yours"),
    Case("hospital", lambda s: Settle(s["closed"], 1, NO_PAPER), "not_allowed"),
    Case("charity", lambda s: Cancel(s["open"]), "ok"),
    Case("office", lambda s: Cancel(s["free"]), "ok"),
    Case("charity2", lambda s: Cancel(s["open"]), "charity.not_yours"),
    Case("charity", lambda s: Cancel(s["gone"]), "charity.not_open"),
    Case("charity", lambda s: Cancel(s["paid"]), "charity.paid_out"),
    Case("ann", lambda s: Refund(s["early"]), "ok"),
    Case("ann", lambda s: Refund(s["matched"]), "ok"),
    Case("ann", lambda s: Refund(s["paid out"]), "charity.no_refund"),
    Case("bo", lambda s: Refund(s["late"]), "charity.no_refund"),
    Case("bo", lambda s: Refund(s["orphan"]), "ok"),
    Case("bo", lambda s: Refund(s["back"]), "charity.refunded_already"),
    Case("bo", lambda s: Refund(s["early"]), "charity.not_donor"),
    Case("bo", lambda _: Refund(NOBODY), "charity.gifts_unknown"),
]
TAKEN = {"charity.campaigns_taken", "charity.gifts_taken", "charity.offers_taken"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    assert unmet(app, CASES) == TAKEN  # met below
    assert readme_refusals(Path(__file__).parent, app) == app.refusals


def with_salt(s: Scene, actor: str, message: Message) -> str:
    """Send a message with a salt that has been used; return what became of it."""
    payload = msgspec.structs.replace(s.stage.payload((actor, message)), salt="5a" * 16)
    return s.stage.send([envelope.sign(payload, [s.stage.key(actor)])])[0].code


def test_an_id_is_given_out_once() -> None:
    s = scene()
    assert with_salt(s, "charity", case_for(s)) == "ok"
    assert with_salt(s, "charity", case_for(s, SOON_MS + 1)) == "kernel.deadlines_taken"
    made = s.box.sealed[-2].receipts[-1]
    s.stage.act("charity", Close(msgspec.json.decode(made)["ids"][0]))
    assert with_salt(s, "charity", case_for(s, SOON_MS + 1)) == "charity.campaigns_taken"
    assert [with_salt(s, "ann", Give(s["open"], 1 + n)) for n in range(2)] == ["ok", "charity.gifts_taken"]
    offers = [match_for(s, "open", pool=1 + n) for n in range(2)]
    assert [with_salt(s, "company", offer) for offer in offers] == ["ok", "charity.offers_taken"]


def test_the_story() -> None:
    box = Sandbox(MODULES)
    story.play(box.stage)
    assert not box.broken()
    assert not box.bugs
    assert totals(box.view)["cny"] == {
        "campaigns": 2,
        "gifts": 3,
        "crowd": 25_100,
        "matched": 9_100,
        "returned": 0,
        "refunded": 1_000,
        "settled": 33_200,
        "held": 0,
    }


def test_a_match_is_paid_in_proportion_when_the_pool_runs_short() -> None:
    s = scene()
    s.stage.act("rival", match_for(s, "free", "open", pool=31))
    s.stage.act("bo", Give(s["open"], 100), Give(s["free"], 10), Give(s["free"], 10), Give(s["free"], 2))
    s.stage.wait(24 * 60)
    s.stage.act("bank", Issue("cny", s["ann"], 1))
    rows = [s.box.view[campaigns].get(s[name]) for name in ("open", "free")]
    # Of the rival's 31: 30 and 22 were asked for. Of the company's 100: 30 + 30 by `open`, where 50 is the most.
    assert [row.matched for row in rows if row is not None] == [18 + 50, 13 + 7]
    assert s.box.view.balance(balances, s["rival"], "cny") == 1000 - 31
    assert not s.box.broken()


def test_a_larger_pool_is_told() -> None:
    s = scene()
    topped = s.stage.act("company", TopUp(s["offer"], 5))
    assert [(event.event, bytes(event.fields)) for event in topped.events] == [
        ("charity.offered", codec.encode(Offered(s["offer"], 105)))
    ]


def test_giving_up_returns_everything() -> None:
    s = scene()
    s.stage.wait(24 * 60)
    s.stage.act("bank", Issue("cny", s["bank"], 1))
    before = s.box.view[campaigns].get(s["open"])
    assert before is not None
    assert (before.state, before.matched) == ("closed", 30)
    s.stage.act("charity", Cancel(s["open"]))
    for name in ("early", "matched"):
        s.stage.act("ann", Refund(s[name]))
    after = s.box.view[campaigns].get(s["open"])
    assert after is not None
    assert (after.state, after.held, after.returned) == ("cancelled", 0, 30)
    s.stage.act("company", match_for(s, "full", closes_ms=s.stage.time_ms + DAY_MS), refused="charity.not_open")
    assert s.box.view.balance(balances, s["company"], "cny") == 1000 - 7 - 20
    assert not s.box.broken()


def test_an_overdue_campaign_is_closed_though_nothing_has_closed_it_yet() -> None:
    s = scene()
    raw = s.stage.sign(("charity", Settle(s["open"], 50, NO_PAPER)))
    s.stage.wait(24 * 60)
    assert s.stage.send([raw])[0].code == "expired"
    s.stage.act("charity", Settle(s["open"], 80, NO_PAPER))
    s.stage.act("ann", Refund(s["early"]), refused="charity.no_refund")


AMOUNTS = st.integers(0, 10**6)
WEIGHTS = st.lists(AMOUNTS, min_size=1, max_size=16).filter(any)


@given(AMOUNTS, WEIGHTS)
def test_a_split_is_exact_and_fair(total: int, weights: list[int]) -> None:
    parts = matching.split(total, weights)
    whole = sum(weights)
    shares = [Fraction(total * weight, whole) for weight in weights]
    assert sum(parts) == total
    down = [int(share) for share in shares]
    assert all(part - floor in (0, 1) for part, floor in zip(parts, down, strict=True))
    order = sorted(range(len(weights)), key=lambda i: (down[i] - shares[i], i))
    raised = set(order[: total - sum(down)])
    assert parts == [floor + (i in raised) for i, floor in enumerate(down)]
    if total <= whole:
        assert all(part <= weight for part, weight in zip(parts, weights, strict=True))


@pytest.mark.parametrize(("total", "weights"), [(1, []), (1, [0, 0]), (-1, [1])])
def test_a_split_needs_a_weight(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="a split needs"):
        matching.split(total, weights)


@given(AMOUNTS, WEIGHTS, AMOUNTS, AMOUNTS)
def test_a_pool_pays_no_more_than_it_has_and_than_was_asked(
    pool: int, claims: list[int], campaign_max: int, more: int
) -> None:
    paid = matching.settle_pool(pool, claims, campaign_max)
    wanted = [min(claim, campaign_max) for claim in claims]
    assert sum(paid) == min(pool, sum(wanted))
    assert all(part <= want for part, want in zip(paid, wanted, strict=True))
    topped = matching.settle_pool(pool + more, claims, campaign_max)
    # More money lowers nobody's share; rounding to whole cents by largest remainders can move one cent.
    assert sum(topped) >= sum(paid)
    assert all(high >= low - 1 for low, high in zip(paid, topped, strict=True))


def test_a_cent_can_move_when_a_pool_grows() -> None:
    """Pin the Alabama paradox, which largest remainders have."""
    assert matching.settle_pool(13, [9, 4, 9], 9) == [5, 3, 5]
    assert matching.settle_pool(14, [9, 4, 9], 9) == [6, 2, 6]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 1000)), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_gifts_does_not_matter(gifts: list[tuple[int, int]], chance: Random) -> None:
    def asked(order: list[tuple[int, int]]) -> list[int]:
        claims = [0, 0, 0]
        for campaign, amount in order:
            claims[campaign] += matching.claim(amount, 3, 7, 100)
        return matching.settle_pool(500, claims, 300)

    shuffled = gifts[:]
    chance.shuffle(shuffled)
    assert asked(shuffled) == asked(gifts)


@given(AMOUNTS, st.integers(1, 10**6), st.integers(1, 10**6), AMOUNTS)
def test_a_claim_is_the_ratio_rounded_down_and_capped(
    amount: int, numerator: int, denominator: int, gift_max: int
) -> None:
    assert matching.claim(amount, numerator, denominator, gift_max) == min(
        Fraction(amount * numerator, denominator).__floor__(), gift_max
    )
