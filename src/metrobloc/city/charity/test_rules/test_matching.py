"""Matching: exact, within every cap, never less by a larger pool, and the same in whatever order gifts come."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations
from math import isqrt, sqrt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrobloc.city.charity import matching
from metrobloc.city.charity.rules import offering, offers, shares
from metrobloc.city.charity.rules.lines import place
from metrobloc.city.charity.test_rules import (
    DAY_MINUTES,
    DAY_MS,
    LATE_MS,
    campaign_of,
    case_for,
    city,
    do,
    gave,
    has,
    match_for,
    opened,
    purse_of,
    scene,
)
from metrobloc.city.charity.types.events import Offered
from metrobloc.city.charity.types.messages import (
    Approve,
    Cancel,
    Close,
    ExtendMatch,
    Finish,
    Give,
    Refund,
    TopUp,
    Verify,
)
from metrobloc.commons.money.types import Issue
from metrobloc.kernel import codec
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

AMOUNTS = st.integers(0, 10**6)
WEIGHTS = st.lists(AMOUNTS, min_size=1, max_size=16).filter(any)


@given(AMOUNTS, WEIGHTS)
def test_a_split_is_exact_and_fair(total: int, weights: list[int]) -> None:
    parts = matching.split(total, weights)
    whole = sum(weights)
    shares_ = [Fraction(total * weight, whole) for weight in weights]
    assert sum(parts) == total
    down = [int(share) for share in shares_]
    assert all(part - floor in (0, 1) for part, floor in zip(parts, down, strict=True))
    order = sorted(range(len(weights)), key=lambda i: (down[i] - shares_[i], i))
    raised = set(order[: total - sum(down)])
    assert parts == [floor + (i in raised) for i, floor in enumerate(down)]
    if total <= whole:
        assert all(part <= weight for part, weight in zip(parts, weights, strict=True))


@pytest.mark.parametrize(("total", "weights"), [(1, []), (1, [0, 0]), (-1, [1])])
def test_a_split_needs_a_weight(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="a split needs"):
        matching.split(total, weights)


def queued(pool: int, wanted: Sequence[int]) -> list[int]:
    """Pay a queue of single units from its front: the rule itself, slowly."""
    queue = sorted((Fraction(2 * k - 1, 2 * want), i) for i, want in enumerate(wanted) for k in range(1, want + 1))
    parts = [0] * len(wanted)
    for _, i in queue[:pool]:
        parts[i] += 1
    return parts


@given(st.integers(0, 120), st.lists(st.integers(0, 40), max_size=6))
def test_an_allotment_is_the_front_of_one_queue(pool: int, wanted: list[int]) -> None:
    assert matching.allot(pool, wanted) == queued(pool, wanted)


@given(AMOUNTS, st.lists(AMOUNTS, max_size=16), AMOUNTS)
def test_a_pool_is_spent_or_every_wish_met_and_a_larger_one_lowers_nothing(
    pool: int, wanted: list[int], more: int
) -> None:
    parts = matching.allot(pool, wanted)
    assert sum(parts) == min(pool, sum(wanted))
    assert all(0 <= part <= want for part, want in zip(parts, wanted, strict=True))
    topped = matching.allot(pool + more, wanted)
    assert all(high >= low for low, high in zip(parts, topped, strict=True))
    if 0 < pool < sum(wanted):
        exact = [Fraction(pool * want, sum(wanted)) for want in wanted]
        assert all(abs(part - share) < 1 + len(wanted) / 2 for part, share in zip(parts, exact, strict=True))


def test_no_cent_moves_when_a_pool_grows() -> None:
    """Meet the case in which largest remainders take a cent away: the Alabama paradox."""
    assert (matching.split(13, [9, 4, 9]), matching.split(14, [9, 4, 9])) == ([5, 3, 5], [6, 2, 6])
    assert (matching.allot(13, [9, 4, 9]), matching.allot(14, [9, 4, 9])) == ([6, 2, 5], [6, 2, 6])


@given(AMOUNTS, st.integers(1, 10**6), st.integers(1, 10**6), AMOUNTS)
def test_a_claim_is_the_ratio_rounded_down_and_capped(
    amount: int, numerator: int, denominator: int, gift_max: int
) -> None:
    exact = Fraction(amount * numerator, denominator).__floor__()
    assert matching.claim(amount, numerator, denominator, gift_max) == min(exact, gift_max)


@given(st.lists(st.integers(0, 10**9), max_size=30))
def test_a_quadratic_match_is_the_square_of_the_roots_less_what_was_given(given_: list[int]) -> None:
    found = matching.quadratic(sum(given_), sum(map(matching.root, given_)))
    exact = sum(map(sqrt, given_)) ** 2 - sum(given_)
    assert found == pytest.approx(exact, abs=2 + 1e-3 * sum(map(sqrt, given_)) * max(1, len(given_)))
    assert matching.root(10**6) == isqrt(10**6 * 10**8) == 10**7


def test_one_donor_gets_no_quadratic_match_however_she_splits_her_gift() -> None:
    assert matching.quadratic(90, matching.root(90)) == 0
    assert matching.quadratic(200, 2 * matching.root(100)) == 200


GIFTS = (
    ("ann", "one", 100, "give"),
    ("ann", "one", 30, "give"),
    ("bo", "one", 9, "give"),
    ("bo", "two", 64, "give"),
    ("charity2", "two", 64, "take back"),
)


def round_of(mode: str, pool: int) -> Scene:
    """Set up two campaigns and one offer for both."""
    s = city()
    s.stage.act("bank", Issue("cny", s["charity2"], 500))
    for name in ("one", "two"):
        opened(s, name)
    offer = match_for(s, "one", "two", pool=pool, mode=mode, gift_max=81, campaign_max=120, closes_ms=START_MS + DAY_MS)
    s.ids["offer"] = do(s, "company", offer)[0]
    return s


def given_in(order: Sequence[tuple[str, str, int, str]], mode: str, pool: int) -> tuple[int, ...]:
    """Play a round's gifts in an order, some of which are taken back, and return what each campaign got."""
    s = round_of(mode, pool)
    for donor, campaign, amount, what in order:
        gave(s, "it", donor, campaign, amount)
        if what != "give":
            do(s, donor, Refund(s["it"]))
    return paid(s)


def paid(s: Scene) -> tuple[int, ...]:
    """Let a round close, and return what each campaign got."""
    s.stage.wait(DAY_MINUTES)
    s.stage.act("bank", Issue("cny", s["bo"], 1))
    assert not s.box.broken()
    assert not s.box.bugs
    return tuple(purse_of(s, name, f"match.{s['offer']}").received for name in ("one", "two"))


@pytest.mark.parametrize(
    ("mode", "pool", "parts"),
    [
        # What is asked: 81 + 30 + 9 = 120 by the first campaign, and 64 by the second.
        ("ratio", 500, (120, 64)),
        ("ratio", 46, (30, 16)),
        # Ann's 130 count as 81: (9 + 3)^2 - 90 = 54; alone in the second, Bo brings nothing.
        ("quadratic", 500, (54, 0)),
        ("quadratic", 46, (46, 0)),
    ],
)
def test_the_order_of_gifts_does_not_matter(mode: str, pool: int, parts: tuple[int, int]) -> None:
    for order in list(permutations(GIFTS))[::5]:
        assert given_in(order, mode, pool) == parts


@pytest.mark.parametrize("seed", range(3))
def test_nor_does_it_in_a_large_round(seed: int) -> None:
    chance = Random(seed)
    people = ("ann", "bo", "charity2")
    gifts = [
        (chance.choice(people), chance.choice(("one", "two")), chance.randint(1, 12), "give" if i % 5 else "take")
        for i in range(60)
    ]
    mode = ("ratio", "quadratic")[seed % 2]
    first = given_in(gifts, mode, 100)
    for _ in range(2):
        chance.shuffle(gifts)
        assert given_in(gifts, mode, 100) == first


def test_a_donor_s_gifts_are_summed_first_and_a_refund_counts_them_again() -> None:
    s = round_of("quadratic", 500)
    for name, donor, amount in (("a", "ann", 16), ("b", "ann", 9), ("c", "bo", 4)):
        gave(s, name, donor, "one", amount)
    share = s.box.view[shares].get((s["offer"], place(0)))
    assert share is not None
    assert (share.asked, share.roots) == (29, matching.root(25) + matching.root(4))
    do(s, "ann", Refund(s["b"]))
    assert paid(s) == ((4 + 2) ** 2 - 20, 0)


def test_a_ratio_scales_a_quadratic_round_too() -> None:
    s = city()
    opened(s, "one")
    do(s, "company", match_for(s, "one", mode="quadratic", numerator=1, denominator=3, gift_max=100, pool=99))
    do(s, "ann", Give(s["one"], 25))
    do(s, "bo", Give(s["one"], 16))
    s.stage.wait(100 * DAY_MINUTES)
    s.stage.act("bank", Issue("cny", s["bo"], 1))
    assert has(s, "company") == (1000 - (2 * 5 * 4) // 3,)


def test_only_gifts_within_the_window_count_and_not_the_sponsor_s_own() -> None:
    s = city()
    opened(s, "one")
    opens_ms = s.stage.time_ms + 10_000
    s.ids["offer"] = do(s, "company", match_for(s, "one", opens_ms=opens_ms, closes_ms=opens_ms + 2000))[0]
    s.stage.time_ms = opens_ms - 2000
    for at in range(-1, 3):
        assert s.stage.time_ms + 1000 == opens_ms + at * 1000
        do(s, "ann", Give(s["one"], 10 + at))
    share = s.box.view[shares].get((s["offer"], place(0)))
    assert share is not None
    assert (share.asked, share.part) == (10 + 11, 21)
    s.ids["own"] = do(s, "company", match_for(s, "one"))[0]
    do(s, "company", Give(s["one"], 5))
    own = s.box.view[shares].get((s["own"], place(0)))
    assert own is not None
    assert own.asked == 0


def test_a_late_close_lets_in_no_late_gift() -> None:
    """Send a gift in the very block in which an offer and its campaign close, before whose deadlines it cannot be."""
    s = round_of("ratio", 100)
    gave(s, "early", "ann", "one", 10)
    s.stage.time_ms = START_MS + DAY_MS - 1000
    gave(s, "late", "ann", "one", 10)
    do(s, "ann", Refund(s["late"]))
    do(s, "ann", Refund(s["early"]), refused="no_refund")
    assert purse_of(s, "one", f"match.{s['offer']}").received == 10


def test_a_round_with_many_campaigns_is_paid_in_pages() -> None:
    s = city()
    count = 70
    for first in range(0, count, 10):
        named = [f"c{number}" for number in range(first, first + 10)]
        made = do(s, "charity", *(case_for(s) for _ in named))
        s.ids |= dict(zip(named, made[::2], strict=True))
        do(s, "hospital", *(Verify(s[name], "1" * 64, 500) for name in named))
        do(s, "civil_affairs", *(Approve(s[name]) for name in named))
    names = [f"c{number}" for number in range(count)]
    closes_ms = START_MS + DAY_MS
    offer = match_for(s, *names[:16], pool=50, campaign_max=5, closes_ms=closes_ms)
    s.ids["offer"] = do(s, "company", offer)[0]
    for first in range(16, count, 16):
        do(s, "company", ExtendMatch(s["offer"], tuple(s[name] for name in names[first : first + 16])))
    for number, name in enumerate(names):
        do(s, "ann", Give(s[name], 1 + number % 3))
    do(s, "charity", Cancel(s["c40"]), Close(s["c41"]))
    s.stage.wait(DAY_MINUTES)
    done = []
    for _ in range(3):
        s.stage.act("bank", Issue("cny", s["bo"], 1))
        found = s.box.view[offers].get(s["offer"])
        assert found is not None
        done.append((found.state, found.done))
        assert not s.box.broken()
    assert done == [("paying", offering.PAGE), ("paying", 2 * offering.PAGE), ("paid", count)]
    got = [purse_of(s, name, f"match.{s['offer']}").received for name in names]
    assert (got[40], got[41], sum(got)) == (0, 1, 50)
    assert got == matching.allot(50, [0 if number == 40 else 1 + number % 3 for number in range(count)])


def test_a_campaign_given_up_while_its_round_pays_gives_its_part_back() -> None:
    s = scene()
    for _ in range(2):
        s.stage.time_ms = LATE_MS - 1
        s.stage.act("bank", Issue("cny", s["bo"], 1))
    before = campaign_of(s, "open"), purse_of(s, "open", f"match.{s['offer']}")
    assert (before[0].state, before[1].received) == ("closed", 30)
    company = has(s, "company")[0]
    do(s, "charity", Cancel(s["open"]))
    assert has(s, "company") == (company + 30,)
    assert purse_of(s, "open", f"match.{s['offer']}").held == 0
    for gift in ("early", "matched"):
        do(s, "ann", Refund(s[gift]))
    assert not s.box.broken()


def test_a_finished_campaign_gives_back_what_is_left_of_a_match_and_takes_no_other() -> None:
    s = city()
    opened(s, "one")
    for closes_ms in (START_MS + DAY_MS, LATE_MS):
        do(s, "company", match_for(s, "one", closes_ms=closes_ms))
    gave(s, "gift", "ann", "one", 20)
    s.stage.wait(DAY_MINUTES)
    do(s, "charity", Close(s["one"]))
    assert has(s, "company") == (1000 - 20 - 100,)
    do(s, "charity", Finish(s["one"]))
    assert has(s, "company") == (1000 - 100,)
    s.stage.wait(100 * DAY_MINUTES)
    do(s, "ann", Refund(s["gift"]))
    assert has(s, "company", "ann") == (1000, 1000)
    assert not s.box.broken()


def test_a_larger_pool_is_told() -> None:
    s = scene()
    topped = s.stage.act("company", TopUp(s["offer"], 5))
    assert [(event.event, bytes(event.fields)) for event in topped.events] == [
        ("charity.offered", codec.encode(Offered(s["offer"], 105)))
    ]


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(1, 80), st.integers(1, 40))
def test_a_top_up_before_the_close_lowers_nobody_s_match(amounts: list[int], pool: int, more: int) -> None:
    parts = []
    for extra in (0, more):
        s = round_of("ratio", pool)
        for number, amount in enumerate(amounts):
            do(s, ("ann", "bo")[number % 2], Give(s[("one", "two")[number % 2]], amount))
        if extra:
            do(s, "company", TopUp(s["offer"], extra))
        parts.append(paid(s))
    assert all(high >= low for low, high in zip(*parts, strict=True))


def test_an_offer_has_room_for_so_many_campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene()
    monkeypatch.setattr(offering, "CAMPAIGNS_MAX", 3)
    do(s, "company", ExtendMatch(s["offer"], (s["free"], s["took"])), refused="too_many_campaigns")
    do(s, "company", ExtendMatch(s["offer"], (s["free"],)))
