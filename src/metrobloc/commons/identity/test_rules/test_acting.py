"""Sessions and mandates: what a delegate may do and spend, and when that ends."""

from collections.abc import Callable

import pytest

from metrobloc.commons.identity.rules.queries import acting_for
from metrobloc.commons.identity.test_rules import (
    DAY_MS,
    GUARDS,
    MODULES,
    NULL,
    ceiling,
    guarded,
    has,
    holding,
    keys,
    pay,
    rich,
    rotates,
)
from metrobloc.commons.identity.types import (
    Accredit,
    CloseSession,
    EndMandate,
    Freeze,
    Mandate,
    OpenSession,
    Recover,
    Register,
    Resume,
    Support,
    Suspend,
    Veto,
    Vouch,
)
from metrobloc.commons.money.types import Hold, Issue, Leg, Move, OpenAsset, RecordReserve, Release, Void
from metrobloc.kernel import system
from metrobloc.kernel.errors import Refused
from metrobloc.testing.edges import Scene

PHONE = ("phone",)
CLERK = ("clerk",)


def town() -> Scene:
    """Set up Ann, who is a citizen with money, a clinic that is a bank too, and a clerk."""
    s = Scene(MODULES)
    guarded(s, "ann", *GUARDS)
    for name in ("bo", "clerk", "clinic", "school"):
        s.stage.join(name)
    rich(s, "ann", "clinic")
    s.stage.act("office", Accredit(s["clinic"], "Clinic", "bank", 1000), Accredit(s["school"], "School", "school", 9))
    s.stage.act("office", Vouch(s["ann"], NULL))
    return s


def session(s: Scene, *scope: str, cents: int = 0, key: str = "phone") -> None:
    """Let Ann open a session of ten days."""
    until_ms = s.stage.time_ms + 10 * DAY_MS
    s.stage.act("ann", OpenSession(s.key(key), scope, until_ms, ceiling(cents) if cents else ()), also=(key,))


def mandate(s: Scene, *scope: str, cents: int = 0, person: str = "clerk", of: str = "clinic") -> None:
    """Let an institution give somebody a mandate of ten days."""
    s.stage.act(of, Mandate(s[person], scope, s.stage.time_ms + 10 * DAY_MS, ceiling(cents) if cents else ()))


def rotated(s: Scene, owner: str) -> None:
    """Let somebody have another key, a day later."""
    rotates(s, owner, "new")
    s.stage.wait(24 * 60)


def recovering(s: Scene, days: int = 0) -> None:
    """Let two guardians give Ann another key, some days ago."""
    s.stage.act("hal", Support(s.stage.act("gil", Recover(s["ann"], keys(s, "new")), also=("new",)).ids[0]))
    s.stage.wait(days * 24 * 60)


def left(s: Scene, owner: str, name: str) -> int:
    """Return what a delegate may still spend."""
    given = s.box.view[system.delegations].get((s[owner], name))
    assert given is not None
    return given.ceilings[0].most


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (("money",), "ok"),
        (("money.move",), "ok"),
        (("identity", "money.move"), "ok"),
        (("money.hold",), "not_signed"),
        (("identity",), "not_signed"),
        (("mon",), "not_signed"),
        (("money.mov",), "not_signed"),
        (("move",), "not_signed"),
    ],
)
def test_a_scope_names_actions_or_whole_modules(scope: tuple[str, ...], code: str) -> None:
    s = town()
    session(s, *scope, cents=5)
    s.stage.act("ann", pay(s, "bo", 1), by=PHONE, refused=code)
    mandate(s, *scope, cents=5)
    s.stage.act("clinic", pay(s, "bo", 1), by=CLERK, refused=code)


@pytest.mark.parametrize("who", ["phone", "clerk"])
def test_a_ceiling_is_exact_to_the_cent_and_never_fills_up_again(who: str) -> None:
    s = town()
    owner = "ann" if who == "phone" else "clinic"
    (session if who == "phone" else mandate)(s, "money", cents=100)
    name = s.key("phone") if who == "phone" else s["clerk"]
    until_ms = s.stage.time_ms + DAY_MS
    s.stage.act(owner, pay(s, "bo", 101), by=(who,), refused="above_ceiling")
    s.stage.act(owner, pay(s, "bo", 30), pay(s, "bo", 30), by=(who,))
    assert left(s, owner, name) == 40
    s.stage.act(owner, pay(s, "bo", 20), pay(s, "bo", 21), by=(who,), refused="above_ceiling")
    assert (left(s, owner, name), has(s, owner)) == (40, 10_000 - 60)
    held = s.stage.act(owner, Hold((Leg("eur", s["bo"], 25),), until_ms), by=(who,)).ids[0]
    assert left(s, owner, name) == 15
    s.stage.act(owner, Hold((Leg("eur", s["bo"], 16),), until_ms), by=(who,), refused="above_ceiling")
    s.stage.act(owner, Void(held), by=(who,))
    s.stage.act(owner, pay(s, "bo", 16), by=(who,), refused="above_ceiling")
    held = s.stage.act(owner, Hold((Leg("eur", s["bo"], 15),), until_ms), by=(who,)).ids[0]
    s.stage.act(owner, Release(held), by=(who,))
    s.stage.act(owner, pay(s, "bo", 1), by=(who,), refused="above_ceiling")
    s.stage.act(owner, pay(s, "bo", 500))  # her own keys know no ceiling
    assert (left(s, owner, name), has(s, owner), has(s, "bo")) == (0, 10_000 - 575, 575)
    assert not s.box.broken()


def test_what_no_ceiling_names_is_not_spent_and_each_book_has_its_own() -> None:
    s = town()
    s.stage.act("bank", OpenAsset("usd", "Dollar", 2), RecordReserve("usd", 100, NULL), Issue("usd", s["ann"], 50))
    session(s, "money")
    s.stage.act("ann", pay(s, "bo", 1), by=PHONE, refused="above_ceiling")
    both = ceiling(10) + ceiling(5, "usd")
    s.stage.act("ann", OpenSession(s.key("tablet"), ("money",), s.stage.time_ms + DAY_MS, both), also=("tablet",))
    legs = (Leg("eur", s["bo"], 10), Leg("usd", s["bo"], 5))
    s.stage.act("ann", Move((*legs, Leg("usd", s["bo"], 1))), by=("tablet",), refused="above_ceiling")
    s.stage.act("ann", Move(legs), by=("tablet",))
    s.stage.act("ann", Move(legs[:1]), by=("tablet",), refused="above_ceiling")
    assert not s.box.broken()


def test_a_delegate_spends_from_one_account_and_receives_for_it_freely() -> None:
    s = town()
    mandate(s, "money", cents=10)
    s.stage.act("bank", Issue("eur", s["clerk"], 100))
    both = s.stage.sign(("clinic", pay(s, "bo", 10)), ("clerk", pay(s, "clinic", 90)), by=CLERK)
    assert [one.code for one in s.stage.send([both])] == ["ok"]
    assert left(s, "clinic", s["clerk"]) == 0


def test_one_signature_too_many_or_of_the_wrong_delegate_is_no_signature() -> None:
    s = town()
    session(s, "money", cents=10)
    session(s, "identity", key="tablet")
    for by, code in (
        (("phone", "ann"), "extra_signature"),
        (("phone", "tablet"), "extra_signature"),
        (("tablet",), "not_signed"),
        (("clerk",), "not_signed"),
    ):
        s.stage.act("ann", pay(s, "bo", 1), by=by, refused=code)
    two = s.stage.sign(("ann", pay(s, "bo", 1)), ("ann", Register(s.key("kid"))), by=("phone", "tablet", "kid"))
    assert [one.code for one in s.stage.send([two])] == ["not_signed"]  # one delegate must be allowed all of it


def test_a_session_does_nothing_personal_and_opens_no_way_to_the_keys() -> None:
    s = town()
    session(s, "identity", "money")
    until_ms = s.stage.time_ms + DAY_MS
    for message, also in (
        (Mandate(s["bo"], ("money",), until_ms), ()),
        (OpenSession(s.key("other"), ("money",), until_ms), ("other",)),
        (CloseSession(s.key("phone")), ()),
        (Freeze(), ()),
        (Veto(), ()),
    ):
        s.stage.act("ann", message, by=PHONE, also=also, refused="not_signed")
    rotates(s, "ann", "new", by=PHONE, refused="not_signed")
    s.stage.act("ann", Register(s.key("kid")), by=PHONE, also=("kid",))


ENDS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "closed by the owner": (lambda s: s.stage.act("ann", CloseSession(s.key("phone"))), "not_signed"),
    "frozen": (lambda s: s.stage.act("ann", Freeze()), "frozen"),
    "time is up": (lambda s: s.stage.wait(10 * 24 * 60), "not_signed"),
    "the owner's keys are others": (lambda s: rotated(s, "ann"), "not_signed"),
    "a recovery is under way": (recovering, "frozen"),
    "she was recovered": (lambda s: recovering(s, 1), "not_signed"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_session_ends(how: str) -> None:
    s = town()
    session(s, "money", cents=100)
    s.stage.act("ann", pay(s, "bo", 1), by=PHONE)
    end, code = ENDS[how]
    end(s)
    s.stage.act("ann", pay(s, "bo", 1), by=PHONE, refused=code)
    assert not s.box.broken()


def test_a_frozen_owner_closes_a_thiefs_session() -> None:
    s = town()
    session(s, "money", cents=100)
    s.stage.act("ann", Freeze())
    s.stage.act("ann", CloseSession(s.key("phone")))
    s.stage.wait(3 * 24 * 60)
    s.stage.act("ann", pay(s, "bo", 1), by=PHONE, refused="not_signed")


def test_a_clerk_acts_with_her_own_keys_whichever_they_are() -> None:
    s = town()
    mandate(s, "money", cents=100)
    holding(s, "clerk", 2, "one", "two", "three")
    s.stage.act("clinic", pay(s, "bo", 1), by=("clerk",), refused="not_signed")
    s.stage.act("clinic", pay(s, "bo", 1), by=("two",), refused="not_signed")
    s.stage.act("clinic", pay(s, "bo", 1), by=("one", "two", "three"), refused="extra_signature")
    s.stage.act("clinic", pay(s, "bo", 1), by=("one", "three"))


MANDATE_ENDS: dict[str, tuple[Callable[[Scene], object], str]] = {
    "by the institution": (lambda s: s.stage.act("clinic", EndMandate(s["clinic"], s["clerk"])), "not_signed"),
    "by the clerk": (lambda s: s.stage.act("clerk", EndMandate(s["clinic"], s["clerk"])), "not_signed"),
    "by its time": (lambda s: s.stage.wait(10 * 24 * 60), "not_signed"),
    "by another one": (lambda s: mandate(s, "identity"), "not_signed"),
    "while the clerk is frozen": (lambda s: s.stage.act("clerk", Freeze()), "not_signed"),
    "while the clinic is frozen": (lambda s: s.stage.act("clinic", Freeze()), "frozen"),
    "with the clinic's keys": (lambda s: rotated(s, "clinic"), "not_signed"),
    "while the clinic is suspended": (
        lambda s: s.stage.act("office", Suspend(s["clinic"], s.stage.time_ms + DAY_MS)),
        "not_allowed",
    ),
}


@pytest.mark.parametrize("how", MANDATE_ENDS)
def test_a_mandate_ends(how: str) -> None:
    s = town()
    mandate(s, "money")
    s.stage.act("clinic", OpenAsset("usd", "Dollar", 2), by=CLERK)
    end, code = MANDATE_ENDS[how]
    end(s)
    s.stage.act("clinic", OpenAsset("gbp", "Pound", 2), by=CLERK, refused=code)
    assert not s.box.broken()


def test_a_suspended_institution_lets_its_clerk_do_only_what_needs_no_role() -> None:
    s = town()
    mandate(s, "money", cents=5)
    s.stage.act("office", Suspend(s["clinic"], s.stage.time_ms + DAY_MS))
    s.stage.act("clinic", OpenAsset("usd", "Dollar", 2), by=CLERK, refused="not_allowed")
    s.stage.act("clinic", pay(s, "bo", 5), by=CLERK)
    s.stage.act("office", Resume(s["clinic"]))
    s.stage.act("clinic", OpenAsset("usd", "Dollar", 2), by=CLERK)


def test_a_mandate_is_not_passed_on() -> None:
    s = town()
    mandate(s, "money", "identity", cents=10)
    until_ms = s.stage.time_ms + DAY_MS
    s.stage.act("clinic", Mandate(s["bo"], ("money",), until_ms), by=CLERK, refused="not_signed")
    s.stage.act("clerk", Mandate(s["bo"], ("money", "identity"), until_ms, ceiling(10)))
    s.stage.act("clinic", pay(s, "ann", 1), by=("bo",), refused="not_signed")
    s.stage.act("clerk", OpenSession(s.key("phone"), ("money",), until_ms, ceiling(10)), also=PHONE)
    s.stage.act("clinic", pay(s, "ann", 1), by=PHONE, refused="not_signed")
    s.stage.act("clinic", pay(s, "ann", 1), by=CLERK)


def test_a_mandate_that_ends_within_a_transaction_ends_there() -> None:
    s = town()
    mandate(s, "money", cents=10)
    both = s.stage.sign(("clerk", EndMandate(s["clinic"], s["clerk"])), ("clinic", pay(s, "bo", 1)), by=CLERK)
    assert [one.code for one in s.stage.send([both])] == ["kernel.delegations_unknown"]
    last = s.stage.sign(("clinic", pay(s, "bo", 1)), ("clerk", EndMandate(s["clinic"], s["clerk"])), by=CLERK)
    assert [one.code for one in s.stage.send([last])] == ["ok"]
    s.stage.act("clinic", pay(s, "bo", 1), by=CLERK, refused="not_signed")


def test_one_clerk_acts_for_two_institutions_in_one_transaction() -> None:
    s = town()
    mandate(s, "money", cents=10)
    mandate(s, "money", of="school")
    calls = (("clinic", pay(s, "school", 4)), ("school", pay(s, "bo", 4)))
    assert [one.code for one in s.stage.send([s.stage.sign(*calls, by=CLERK)])] == ["above_ceiling"]
    mandate(s, "money", cents=3, of="school")
    assert [one.code for one in s.stage.send([s.stage.sign(*calls, by=CLERK)])] == ["above_ceiling"]
    mandate(s, "money", cents=4, of="school")
    assert [one.code for one in s.stage.send([s.stage.sign(*calls, by=CLERK)])] == ["ok"]
    assert (left(s, "clinic", s["clerk"]), left(s, "school", s["clerk"]), has(s, "bo")) == (6, 0, 4)


def test_the_institution_pays_for_what_is_done_in_its_name() -> None:
    s = town()
    mandate(s, "money")
    before = s.box.view[system.usage].get(s["clinic"])
    s.stage.act("clinic", OpenAsset("usd", "Dollar", 2), by=CLERK)
    after = s.box.view[system.usage].get(s["clinic"])
    assert after is not None
    assert after.units == (before.units if before and before.hour == after.hour else 0) + 1


def test_who_acts_for_whom_is_told() -> None:
    s = town()
    session(s, "money", cents=100)
    mandate(s, "identity.register", person="bo", of="ann")
    told = {one.who: one.scope for one in acting_for(s.box.view, s["ann"])}
    assert told == {s.key("phone"): ("money",), s["bo"]: ("identity.register",)}
    s.stage.act("ann", EndMandate(s["ann"], s["bo"]))
    assert [one.who for one in acting_for(s.box.view, s["ann"])] == [s.key("phone")]
    recovery = s.stage.act("gil", Recover(s["ann"], keys(s, "new")), also=("new",)).ids[0]
    until_ms = s.stage.time_ms + 1000 + DAY_MS
    s.stage.act("hal", Support(recovery))
    assert [one.until_ms for one in acting_for(s.box.view, s["ann"])] == [until_ms]
    s.stage.wait(24 * 60)
    rotates(s, "ann", "newer", by=("new",))
    assert acting_for(s.box.view, s["ann"]) == []
    with pytest.raises(Refused, match=r"kernel\.accounts_unknown"):
        acting_for(s.box.view, "a" * 26)
