"""Institutions: what suspension takes from them, and what becomes of one that another takes the place of."""

from typing import Literal

import pytest

from metrobloc.commons.identity.rules import changes, guardianships, institutions
from metrobloc.commons.identity.rules.queries import acting_for
from metrobloc.commons.identity.rules.settling import PLACES_MAX
from metrobloc.commons.identity.test_rules import (
    DAY_MS,
    GUARDS,
    MODULES,
    account,
    at,
    ceiling,
    change,
    guarded,
    guardians,
    guards,
    has,
    holding,
    keys,
    pay,
    rich,
    rotates,
)
from metrobloc.commons.identity.types import (
    Accredit,
    Arbitrate,
    EndMandate,
    Freeze,
    Mandate,
    Name,
    OpenSession,
    Recover,
    Reissue,
    Resume,
    Revoke,
    Rotate,
    Succeed,
    Support,
    Suspend,
    Veto,
)
from metrobloc.commons.money.types import OpenAsset
from metrobloc.kernel import system
from metrobloc.kernel.types import INT_MAX
from metrobloc.testing.edges import Scene

HEIR = ("heir",)
DAY_MINUTES = 24 * 60


def town() -> Scene:
    """Set up an old institution with money, guardians, a clerk and a session, and others that could succeed it."""
    s = Scene(MODULES)
    guarded(s, "old", *GUARDS)
    for name in ("heir", "next", "bo"):
        s.stage.join(name)
    rich(s, "old", "heir")
    s.stage.act("office", Accredit(s["old"], "Old", "bank", 100), Name(s["heir"], "Heir"), Name(s["next"], "Next"))
    until_ms = s.stage.time_ms + 30 * DAY_MS
    s.stage.act("old", Mandate(s["bo"], ("money",), until_ms, ceiling(50)))
    s.stage.act("old", OpenSession(s.key("desk"), ("money",), until_ms, ceiling(50)), also=("desk",))
    return s


def succeeded() -> Scene:
    """Set up the town a day after the old institution has named its heir."""
    s = town()
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    return s


def successor(s: Scene, name: str) -> str | None:
    """Return the account that acts in an institution's place."""
    known = s.box.view[institutions].get(s[name])
    assert known is not None
    return known.successor


def opens(asset: str) -> OpenAsset:
    """Return what only a bank can do."""
    return OpenAsset(asset, asset, 2)


def test_an_institution_is_known_since_it_was_first_named() -> None:
    s = town()
    before = s.box.view[institutions].get(s["old"])
    s.stage.act("office", Accredit(s["old"], "Older", "school", 10), Name(s["old"], "Oldest"))
    after = s.box.view[institutions].get(s["old"])
    assert before is not None
    assert after == before.but(name="Oldest")


def test_a_quota_of_one_is_enough_to_sponsor() -> None:
    s = town()
    s.stage.act("office", Accredit(s["bo"], "School", "school", 1))
    s.stage.join("kid", sponsor="bo")


def test_a_role_that_is_taken_is_gone_and_others_stay() -> None:
    s = town()
    s.stage.act("office", Accredit(s["old"], "Old", "school", 10))
    s.stage.act("office", Revoke(s["old"], "bank"))
    s.stage.act("old", opens("usd"), refused="not_allowed")
    assert s.box.view[system.roles].get((s["old"], "school")) is not None
    assert account(s, "old").quota_per_hour == 10


def test_suspension_reaches_roles_from_the_genesis_and_later_ones_but_not_a_seat_on_the_council() -> None:
    s = town()
    s.stage.act("office", Name(s["bank"], "Bank"))
    s.stage.act("office", Suspend(s["bank"], s.stage.time_ms + DAY_MS))
    s.stage.act("bank", opens("usd"), refused="not_allowed")
    grants = {role: s.box.view[system.roles].get((s["bank"], role)) for role in ("bank", "council")}
    assert [one is not None and one.holds_at(s.stage.time_ms) for one in grants.values()] == [False, True]
    s.stage.act("office", Suspend(s["old"], s.stage.time_ms + DAY_MS))
    s.stage.act("office", Accredit(s["old"], "Old", "bank", 10), Accredit(s["heir"], "Heir", "bank", 10))
    s.stage.act("old", opens("usd"), refused="not_allowed")
    s.stage.act("heir", opens("usd"))
    s.stage.act("office", Resume(s["old"]), Resume(s["bank"]))
    s.stage.act("old", opens("gbp"))
    s.stage.act("bank", opens("chf"))
    assert not s.box.broken()


def test_a_role_given_after_a_suspension_has_lapsed_counts_at_once() -> None:
    s = town()
    s.stage.act("office", Suspend(s["old"], s.stage.time_ms + DAY_MS))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("office", Accredit(s["old"], "Old", "bank", 10))
    assert not s.box.broken()
    s.stage.act("old", opens("usd"))
    s.stage.act("office", Suspend(s["old"], s.stage.time_ms + DAY_MS))
    known = s.box.view[institutions].get(s["old"])
    assert known is not None
    assert known.suspended_ms == s.stage.time_ms  # counted anew


def test_a_suspension_that_is_made_longer_counts_from_its_beginning() -> None:
    s = town()
    s.stage.act("office", Suspend(s["old"], s.stage.time_ms + 5 * DAY_MS))
    since_ms = s.stage.time_ms
    s.stage.wait(4 * DAY_MINUTES)
    s.stage.act("office", Suspend(s["old"], s.stage.time_ms + 5 * DAY_MS))
    at(s, since_ms + 7 * DAY_MS - 1)
    s.stage.act("office", Succeed(s["old"], s["heir"]), refused="identity.not_suspended")
    at(s, since_ms + 7 * DAY_MS)
    s.stage.act("office", Succeed(s["old"], s["heir"]))


def test_a_successor_acts_in_the_name_of_the_other_and_nobody_else_does() -> None:
    s = succeeded()
    s.stage.act("old", pay(s, "bo", 5000), by=HEIR)
    assert (has(s, "old"), has(s, "bo")) == (5000, 5000)
    for by in ("old", "bo", "desk"):
        s.stage.act("old", pay(s, "bo", 1), by=(by,), refused="not_signed")
    s.stage.act("old", opens("usd"), by=HEIR)  # its role too
    s.stage.act("heir", opens("gbp"), refused="not_allowed")
    s.stage.act("old", Freeze(), by=HEIR)  # what is personal too
    s.stage.act("old", pay(s, "bo", 1), by=HEIR, refused="frozen")
    assert [(one.who, one.until_ms) for one in acting_for(s.box.view, s["old"])] == [(s["heir"], INT_MAX)]
    assert s.box.view[guardianships].get(s["old"]) is None
    assert not s.box.broken()


def test_a_successor_gives_and_ends_mandates_of_the_other() -> None:
    s = succeeded()
    until_ms = s.stage.time_ms + DAY_MS
    s.stage.act("old", Mandate(s["bo"], ("money",), until_ms, ceiling(7)), by=HEIR)
    s.stage.act("old", pay(s, "heir", 7), by=("bo",))
    s.stage.act("old", EndMandate(s["old"], s["bo"]), by=HEIR)
    s.stage.act("old", pay(s, "heir", 1), by=("bo",), refused="not_signed")


def test_a_successor_with_several_keys_signs_with_as_many() -> None:
    s = town()
    holding(s, "heir", 2, "one", "two", "three")
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("old", pay(s, "bo", 1), by=("two",), refused="not_signed")
    s.stage.act("old", pay(s, "bo", 1), by=("two", "three"))


def test_old_keys_leave_nothing_behind_in_the_transaction_of_the_succession() -> None:
    s = town()
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    from_ms = s.stage.time_ms + DAY_MS
    at(s, from_ms - 1)
    s.stage.act("old", Mandate(s["bo"], ("money",), from_ms + DAY_MS, ceiling(50)))
    s.stage.act("old", Rotate(keys(s, "new")), also=("new",), refused="not_signed")
    s.stage.act("old", pay(s, "heir", 1), by=("bo",), refused="not_signed")


def test_no_keys_come_back_to_an_institution_that_was_succeeded() -> None:
    s = town()
    s.stage.act("gil", Recover(s["old"], keys(s, "lost")), also=("lost",))
    recovery = s.stage.act("hal", Recover(s["old"], keys(s, "found")), also=("found",)).ids[0]
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("ida", Support(recovery), refused="identity.not_guardian")
    rotates(s, "old", "new", by=HEIR, refused="identity.succeeded")
    s.stage.act("old", guardians(s, "gil"), by=HEIR, refused="identity.succeeded")
    s.stage.act("office", Reissue(s["old"], keys(s, "new")), also=("new",), refused="identity.succeeded")
    assert not s.box.broken()


def test_a_succession_can_be_vetoed_and_others_decide() -> None:
    outcomes: tuple[tuple[Literal["granted", "dismissed"], bool], ...] = (("granted", True), ("dismissed", False))
    for verdict, heir in outcomes:
        s = town()
        s.stage.act("old", Succeed(s["old"], s["heir"]))
        s.stage.act("gil", Veto(s["old"]))
        s.stage.wait(2 * DAY_MINUTES)
        s.stage.act("old", pay(s, "bo", 1), refused="frozen")
        assert successor(s, "old") is None
        s.stage.act("office", Arbitrate(s["old"], verdict))
        assert (successor(s, "old") is not None) == heir
        s.stage.act("old", pay(s, "bo", 1), by=HEIR if heir else ("old",))
        assert guards(s, "old") is None if heir else guards(s, "old") is not None
        assert not s.box.broken()


def test_guardians_stop_a_thief_who_gives_the_place_away() -> None:
    s = town()
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    s.stage.act("hal", Support(s.stage.act("gil", Recover(s["old"], keys(s, "new")), also=("new",)).ids[0]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("old", pay(s, "bo", 1), by=("new",))
    assert successor(s, "old") is None
    assert not s.box.broken()


def waiting() -> Scene:
    """Set up the town after the old institution has been suspended for a week."""
    s = town()
    s.stage.act("office", Suspend(s["old"], s.stage.time_ms + 30 * DAY_MS))
    s.stage.wait(7 * DAY_MINUTES)
    return s


def test_the_office_gives_the_place_of_one_that_is_no_more_to_another() -> None:
    s = waiting()
    s.stage.act("office", Succeed(s["old"], s["heir"]))
    from_ms = s.stage.time_ms + 7 * DAY_MS
    s.stage.act("old", pay(s, "bo", 1), refused="frozen")
    at(s, from_ms - 1)
    s.stage.act("old", pay(s, "bo", 1), refused="frozen")
    at(s, from_ms)
    s.stage.act("old", pay(s, "bo", 1), by=HEIR)
    s.stage.act("old", opens("usd"), by=HEIR, refused="not_allowed")  # it is still suspended
    s.stage.act("office", Resume(s["old"]))
    s.stage.act("old", opens("usd"), by=HEIR)
    assert not s.box.broken()


def test_an_institution_that_is_still_there_vetoes_the_office_and_the_supervisor_decides() -> None:
    s = waiting()
    s.stage.act("office", Succeed(s["old"], s["heir"]))
    s.stage.act("old", Veto())
    s.stage.act("office", Arbitrate(s["old"], "granted"), refused="identity.other_arbiter")
    s.stage.act("supervisor", Arbitrate(s["old"], "dismissed"))
    s.stage.act("old", pay(s, "bo", 1))
    assert guards(s, "old") is not None
    assert not s.box.broken()


def test_the_office_does_not_disturb_a_rescue() -> None:
    s = waiting()
    s.stage.act("hal", Support(s.stage.act("gil", Recover(s["old"], keys(s, "new")), also=("new",)).ids[0]))
    s.stage.act("office", Succeed(s["old"], s["heir"]), refused="identity.change_pending")
    s.stage.act("office", Reissue(s["old"], keys(s, "x")), also=("x",), refused="identity.change_pending")


def test_the_office_supersedes_what_an_owner_has_begun() -> None:
    s = waiting()
    rotates(s, "old", "new")
    s.stage.act("office", Succeed(s["old"], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("old", Veto(), by=("new",), refused="not_signed")
    s.stage.wait(6 * DAY_MINUTES)
    s.stage.act("old", pay(s, "bo", 1), by=HEIR)
    assert not s.box.broken()


@pytest.mark.parametrize("role", ["office", "supervisor", "council"])
def test_who_watches_the_office_is_out_of_its_reach_but_can_give_its_own_place_away(role: str) -> None:
    s = town()
    name = {"council": "charity"}.get(role, role)
    s.stage.act("office", Name(s[name], name))
    s.stage.act("office", Suspend(s[name], s.stage.time_ms + 30 * DAY_MS))
    s.stage.wait(8 * DAY_MINUTES)
    if role != "office":
        s.stage.act("office", Succeed(s[name], s["heir"]), refused="identity.not_by_office")
    s.stage.act("office", Reissue(s[name], keys(s, "new")), also=("new",), refused="identity.not_by_office")
    s.stage.act(name, Succeed(s[name], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act(name, Freeze(), by=HEIR)


def test_places_are_handed_on_so_that_somebody_can_always_act() -> None:
    s = succeeded()
    s.stage.act("heir", Succeed(s["heir"], s["next"]))
    s.stage.wait(DAY_MINUTES)
    for name in ("old", "heir"):
        s.stage.act(name, pay(s, "bo", 1), by=("next",))
        s.stage.act(name, pay(s, "bo", 1), by=HEIR, refused="not_signed")
        assert successor(s, name) == s["next"]
    assert s.box.view[system.delegations].get((s["old"], s["heir"])) is None
    assert not s.box.broken()


def test_a_successor_that_is_succeeded_meanwhile_is_followed() -> None:
    s = town()
    s.stage.act("heir", Succeed(s["heir"], s["next"]))
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("old", pay(s, "bo", 1), by=("next",))
    assert not s.box.broken()


def test_two_that_name_each_other_end_with_one_of_them() -> None:
    s = town()
    s.stage.act("heir", Succeed(s["heir"], s["old"]))
    s.stage.act("old", Succeed(s["old"], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("heir", pay(s, "bo", 1), by=("old",))
    s.stage.act("old", pay(s, "bo", 1))
    assert change(s, "old") is None
    assert not s.box.broken()


def test_one_stands_for_no_more_than_can_be_handed_on_at_once() -> None:
    s = town()
    names = [f"house {number}" for number in range(PLACES_MAX + 1)]
    for name in names:
        s.stage.join(name)
        s.stage.act("office", Name(s[name], name))
    for name in names[:-1]:
        s.stage.act(name, Succeed(s[name], s["heir"]))
    s.stage.act(names[-1], Succeed(s[names[-1]], s["heir"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("bo", Freeze())
    assert [successor(s, name) is not None for name in names] == [True] * PLACES_MAX + [False]
    s.stage.act(names[-1], Succeed(s[names[-1]], s["heir"]), refused="identity.too_many")
    s.stage.act("heir", Succeed(s["heir"], s["next"]), refused="identity.too_many")
    s.stage.act("old", Succeed(s["old"], s["next"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("old", pay(s, "bo", 1), by=("next",))
    assert not s.box.broken()
    assert not list(s.box.view[changes].items())
