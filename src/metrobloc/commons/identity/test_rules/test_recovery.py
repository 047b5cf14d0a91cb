"""Guardians, the office and arbiters: what counts, what supersedes what, and what a decision leaves."""

from typing import Literal

import msgspec
import pytest

from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.rules import recoveries
from metrobloc.commons.identity.test_rules import (
    DAY_MS,
    GUARDS,
    MODULES,
    NULL,
    account,
    at,
    change,
    guarded,
    guardians,
    guards,
    keys,
    pay,
    rich,
    rotates,
)
from metrobloc.commons.identity.types import (
    Arbitrate,
    Freeze,
    Guardianship,
    NameGuardians,
    Recover,
    Reissue,
    Support,
    Veto,
    Vouch,
)
from metrobloc.kernel import codec, system
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.genesis import Founder, read_genesis
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

FIVE = ("gil", "hal", "ida", "jon", "kim")
DAY = 24 * 60
Verdict = Literal["granted", "dismissed"]


def town(*guarding: str) -> Scene:
    """Set up Ann, her money and her guardians."""
    s = Scene(MODULES)
    for name in ("bo", *FIVE):
        s.stage.join(name)
    guarded(s, "ann", *(guarding or GUARDS))
    rich(s, "ann")
    return s


def ask(s: Scene, by: str, key: str = "new", threshold: int = 1) -> str:
    """Let a guardian ask for a new key; return the recovery's id."""
    return s.stage.act(by, Recover(s["ann"], keys(s, key), threshold), also=(key,)).ids[0]


def agreed(s: Scene, *names: str, key: str = "new") -> None:
    """Let guardians ask and agree."""
    made = ask(s, names[0], key)
    for name in names[1:]:
        s.stage.act(name, Support(made))


def test_more_than_half_must_agree_and_all_who_did_are_remembered() -> None:
    s = town(*FIVE)
    made = ask(s, "kim")
    s.stage.act("gil", Support(made))
    assert change(s, "ann") is None
    s.stage.act("ann", pay(s, "bo", 1))
    s.stage.act("jon", Support(made))
    under_way = change(s, "ann")
    assert under_way is not None
    assert (under_way.by, under_way.supporters) == ("guardians", (s["kim"], s["gil"], s["jon"]))
    s.stage.act("hal", Support(made), refused="identity.recoveries_unknown")
    s.stage.act("ann", pay(s, "bo", 1), refused="frozen")


def test_all_of_two_guardians_must_agree_and_one_alone_can() -> None:
    s = town("gil", "hal")
    ask(s, "gil")
    assert change(s, "ann") is None
    s = town("gil")
    ask(s, "gil")
    assert change(s, "ann") is not None


def test_only_who_is_a_guardian_at_the_end_counts() -> None:
    s = town()
    made = ask(s, "gil")
    s.stage.act("ann", guardians(s, "hal", "ida", "jon"))
    s.stage.wait(DAY)
    s.stage.act("hal", Support(made))
    assert change(s, "ann") is None
    held = s.box.view[recoveries].get(made)
    assert held is not None
    assert held.supporters == (s["hal"],)
    s.stage.act("gil", Support(made), refused="identity.not_guardian")
    s.stage.act("jon", Support(made))
    assert change(s, "ann") is not None


def test_an_account_can_come_back_with_several_keys() -> None:
    s = town()
    new = ("one", "two")
    made = s.stage.act("gil", Recover(s["ann"], keys(s, *new), 2), also=new).ids[0]
    s.stage.act("hal", Support(made))
    s.stage.wait(DAY)
    s.stage.act("ann", pay(s, "bo", 1), by=("one",), refused="not_signed")
    s.stage.act("ann", pay(s, "bo", 1), by=new)
    assert account(s, "ann").threshold == 2


def test_of_several_requests_the_first_with_enough_agreement_goes_on() -> None:
    s = town()
    first, second = ask(s, "gil", "first"), ask(s, "ida", "second")
    s.stage.act("hal", Support(second))
    s.stage.act("hal", Support(first), refused="identity.change_pending")
    s.stage.wait(DAY)
    s.stage.act("ann", pay(s, "bo", 1), by=("second",))
    s.stage.act("hal", Support(first))  # the next one; its owner can veto it
    s.stage.act("ann", Veto(), by=("second",))
    assert not s.box.broken()


def test_a_request_lapses() -> None:
    s = town()
    made = ask(s, "gil")
    s.stage.wait(14 * DAY)
    s.stage.send([])
    assert s.box.view[recoveries].get(made) is None
    s.stage.act("hal", Support(made), refused="identity.recoveries_unknown")
    assert not list(s.box.view[system.deadlines].items())


def test_a_request_that_succeeds_leaves_no_deadline_of_its_own() -> None:
    s = town()
    agreed(s, "gil", "hal")
    assert [one.do for _, one in s.box.view[system.deadlines].items()] == ["identity.complete"]
    assert not list(s.box.view[recoveries].items())


@pytest.mark.parametrize("doubt", [False, True])
@pytest.mark.parametrize("what", ["keys", "guardians"])
def test_guardians_supersede_what_was_begun_with_the_owners_keys(what: str, *, doubt: bool) -> None:
    s = town()
    if what == "keys":
        rotates(s, "ann", "his")
    else:
        s.stage.act("ann", guardians(s, "bo"))
    if doubt:
        s.stage.act("ann", Veto())
    agreed(s, "gil", "hal")
    s.stage.act("ann", pay(s, "bo", 1), refused="frozen")
    s.stage.wait(DAY)
    s.stage.act("ann", pay(s, "bo", 1), by=("new",))
    s.stage.act("gil", Freeze(s["ann"]), refused="identity.frozen_lately")
    assert guards(s, "ann") == Guardianship(tuple(s[name] for name in GUARDS), 2)
    s.stage.act("ann", Veto(), by=("new",), refused="identity.changes_unknown")
    assert not s.box.broken()


def test_neither_guardians_nor_office_supersede_each_other() -> None:
    s = town()
    made = ask(s, "gil")
    s.stage.act("office", Reissue(s["ann"], keys(s, "office's")), also=("office's",))
    s.stage.act("hal", Support(made), refused="identity.change_pending")
    s.stage.act("hal", Veto(s["ann"]))
    s.stage.act("hal", Support(made), refused="identity.change_pending")
    s.stage.act("supervisor", Arbitrate(s["ann"], "dismissed"))
    s.stage.act("hal", Support(made))
    s.stage.act("office", Reissue(s["ann"], keys(s, "next")), also=("next",), refused="identity.change_pending")


def test_the_office_supersedes_what_is_in_doubt_of_the_owners() -> None:
    s = town()
    rotates(s, "ann", "his")
    s.stage.act("ann", Veto())
    until_ms = s.stage.time_ms + 1000 + 7 * DAY_MS
    s.stage.act("office", Reissue(s["ann"], keys(s, "new")), also=("new",))
    assert account(s, "ann").frozen_until_ms == until_ms
    at(s, until_ms)
    s.stage.act("ann", pay(s, "bo", 1), by=("new",))
    assert guards(s, "ann") is None
    assert not s.box.broken()


@pytest.mark.parametrize("verdict", ["granted", "dismissed"])
def test_a_decision_about_an_owners_change(verdict: Verdict) -> None:
    s = town()
    rotates(s, "ann", "new")
    s.stage.act("gil", Veto(s["ann"]))
    s.stage.wait(30 * DAY)
    s.stage.act("ann", pay(s, "bo", 1), refused="frozen")
    s.stage.act("office", Arbitrate(s["ann"], verdict))
    s.stage.act("ann", pay(s, "bo", 1), by=("new" if verdict == "granted" else "ann",))
    stay = ("hal", "ida") if verdict == "granted" else GUARDS
    assert guards(s, "ann") == Guardianship(tuple(s[name] for name in stay), 2)
    s.stage.act("office", Arbitrate(s["ann"], verdict), refused="identity.changes_unknown")
    assert not s.box.broken()


def test_a_decision_counts_from_its_moment_on() -> None:
    s = town()
    rotates(s, "ann", "new")
    s.stage.act("ann", Veto())
    block = [
        s.stage.sign(("ann", pay(s, "bo", 1)), by=("new",)),
        s.stage.sign(("office", Arbitrate(s["ann"], "granted"))),
        s.stage.sign(("ann", pay(s, "bo", 2)), by=("new",)),
        s.stage.sign(("ann", pay(s, "bo", 3))),
    ]
    assert [one.code for one in s.stage.send(block)] == ["not_signed", "ok", "ok", "not_signed"]


def test_a_granted_change_of_guardians_holds_at_once() -> None:
    s = town()
    s.stage.act("ann", guardians(s, "gil", "bo", needed=2))
    s.stage.act("gil", Veto(s["ann"]))
    s.stage.act("office", Arbitrate(s["ann"], "granted"))
    assert guards(s, "ann") is None  # of two that must both agree one is struck
    s = town()
    s.stage.act("ann", guardians(s, "bo"))
    s.stage.act("gil", Veto(s["ann"]))
    s.stage.act("office", Arbitrate(s["ann"], "granted"))
    assert guards(s, "ann") == Guardianship((s["bo"],), 1)


def test_who_asked_for_what_was_dismissed_guards_no_more_and_too_few_are_left() -> None:
    s = town(*FIVE)
    agreed(s, "gil", "hal", "ida")
    s.stage.act("ann", Veto())
    s.stage.act("office", Arbitrate(s["ann"], "dismissed"))
    assert guards(s, "ann") is None
    s.stage.act("kim", Recover(s["ann"], keys(s, "x")), also=("x",), refused="identity.not_guardian")


def test_one_who_objects_wrongly_is_struck_and_the_others_must_be_as_many_as_before() -> None:
    s = town(*FIVE)
    agreed(s, "gil", "hal", "ida")
    s.stage.act("kim", Veto(s["ann"]))
    s.stage.act("office", Arbitrate(s["ann"], "granted"))
    assert guards(s, "ann") == Guardianship(tuple(s[name] for name in FIVE[:4]), 3)
    assert not s.box.broken()


def test_an_owner_removes_a_guardian_who_only_freezes() -> None:
    s = town()
    s.stage.act("gil", Freeze(s["ann"]))
    s.stage.act("ann", guardians(s, "hal", "ida", "jon"))
    s.stage.wait(DAY)
    s.stage.act("gil", Freeze(s["ann"]), refused="identity.not_guardian")
    s.stage.act("ann", pay(s, "bo", 1), refused="frozen")
    s.stage.wait(2 * DAY)
    s.stage.act("ann", pay(s, "bo", 1))


def test_an_owner_without_guardians_again() -> None:
    s = town()
    s.stage.act("ann", NameGuardians((), 0))
    s.stage.wait(DAY)
    s.stage.act("gil", Freeze(s["ann"]), refused="identity.not_guardian")
    assert guards(s, "ann") is None
    assert not s.box.broken()


def test_her_own_freeze_does_not_end_because_her_keys_change() -> None:
    s = town()
    s.stage.act("ann", Freeze())
    until_ms = s.stage.time_ms + 3 * DAY_MS
    rotates(s, "ann", "new")
    at(s, until_ms - 1)
    s.stage.act("ann", pay(s, "bo", 1), by=("new",), refused="frozen")
    at(s, until_ms)
    s.stage.act("ann", pay(s, "bo", 1), by=("new",))


ARBITERS = {
    "a citizen's rotation": ("ann", "office"),
    "the office's": ("office", "supervisor"),
    "the supervisor's": ("supervisor", "office"),
    "a council member's": ("bank", "supervisor"),
    "an institution's": ("company", "office"),
}


@pytest.mark.parametrize("case", ARBITERS)
@pytest.mark.parametrize("verdict", ["granted", "dismissed"])
def test_nobody_decides_about_himself_nor_the_office_about_those_who_watch_it(case: str, verdict: Verdict) -> None:
    name, arbiter = ARBITERS[case]
    s = town()
    rotates(s, name, "new")
    s.stage.act(name, Veto())
    for other in {"office", "supervisor"} - {arbiter}:
        refused = "frozen" if other == name else "identity.other_arbiter"
        s.stage.act(other, Arbitrate(s[name], verdict), refused=refused)
    s.stage.act(arbiter, Arbitrate(s[name], verdict))
    s.stage.act(name, Freeze(), by=("new" if verdict == "granted" else name,))
    assert not s.box.broken()


def test_an_office_that_is_not_on_the_council_does_not_decide_about_another_office() -> None:
    page = read_genesis(demo_genesis(START_MS, [module.name for module in MODULES]))
    lone = SigningKey(b"7" * 32)
    founders = (*page.founders, Founder(lone.key_id, 100, ("office",)))
    s = Scene(MODULES, codec.encode(msgspec.structs.replace(page, founders=founders)))
    s.stage.keys["lone"] = lone
    rotates(s, "lone", "new")
    s.stage.act("lone", Veto())
    s.stage.act("office", Arbitrate(s["lone"], "granted"), refused="identity.other_arbiter")
    s.stage.act("supervisor", Arbitrate(s["lone"], "granted"))


def test_a_citizen_stays_who_she_is() -> None:
    s = town()
    s.stage.act("office", Vouch(s["ann"], NULL))
    before = account(s, "ann").quota_per_hour
    agreed(s, "gil", "hal")
    s.stage.wait(DAY)
    s.stage.act("ann", pay(s, "bo", 10_000), by=("new",))
    assert account(s, "ann").quota_per_hour == before
    assert s.box.view[system.roles].get((s["ann"], "citizen")) is not None
