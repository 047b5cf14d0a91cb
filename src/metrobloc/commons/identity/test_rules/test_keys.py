"""Accounts with several keys, and keys that are replaced."""

import itertools

import pytest

from metrobloc.commons.identity.rules.queries import acting_for
from metrobloc.commons.identity.test_rules import (
    DAY_MS,
    MODULES,
    account,
    at,
    ceiling,
    holding,
    keys,
    pay,
    rich,
    rotates,
)
from metrobloc.commons.identity.types import Arbitrate, Mandate, OpenSession, Rotate, Veto
from metrobloc.testing.edges import Scene

THREE = ("one", "two", "three")


def shared() -> Scene:
    """Set up a house whose account asks for two of three keys."""
    s = Scene(MODULES)
    for name in ("house", "bo", "ann"):
        s.stage.join(name)
    rich(s, "house")
    holding(s, "house", 2, *THREE)
    return s


@pytest.mark.parametrize("signing", [one for count in range(4) for one in itertools.combinations(THREE, count)])
def test_as_many_keys_sign_as_the_account_asks_for(signing: tuple[str, ...]) -> None:
    s = shared()
    expected = {0: "not_signed", 1: "not_signed", 2: "ok", 3: "extra_signature"}[len(signing)]
    if signing:
        s.stage.act("house", pay(s, "bo", 1), by=signing, refused=expected)
        s.stage.act(
            "house",
            pay(s, "bo", 1),
            by=(*signing, "house"),
            refused="not_signed" if len(signing) < 2 else "extra_signature",
        )
    s.stage.act("house", pay(s, "bo", 1), by=("one", "bo"), refused="not_signed")


@pytest.mark.parametrize("lost", THREE)
def test_a_lost_key_is_replaced_with_those_that_are_left_and_they_are_kept(lost: str) -> None:
    s = shared()
    left = tuple(one for one in THREE if one != lost)
    rotates(s, "house", *left, "four", threshold=2, by=())
    assert not s.box.broken()
    s.stage.act("house", pay(s, "bo", 1), by=THREE[:2])
    s.stage.act("house", pay(s, "bo", 1), by=(left[0], "four"), refused="not_signed")
    s.stage.time_ms += DAY_MS
    s.stage.act("house", pay(s, "bo", 1), by=(left[0], lost), refused="not_signed")
    for signing in itertools.combinations((*left, "four"), 2):
        s.stage.act("house", pay(s, "bo", 1), by=signing)
    assert account(s, "house").keys == keys(s, *left, "four")


def test_kept_keys_sign_too_and_one_key_alone_changes_nothing() -> None:
    s = shared()
    s.stage.act("house", Rotate(keys(s, "one", "four")), by=("one", "four"), refused="not_signed")
    s.stage.act("house", Rotate(keys(s, "three", "four")), by=("one", "two", "four"), refused="not_signed")
    s.stage.act("house", Rotate(keys(s, "three", "four")), by=("one", "three", "four"))
    s.stage.act("house", Veto(), by=("two",), refused="not_signed")
    s.stage.act("house", Veto(), by=("two", "three"))


def test_fewer_keys_are_asked_for_only_by_as_many_as_now_and_only_later() -> None:
    s = shared()
    rotates(s, "house", *THREE, by=())
    s.stage.act("house", pay(s, "bo", 1), by=("one",), refused="not_signed")
    s.stage.time_ms += DAY_MS
    s.stage.act("house", pay(s, "bo", 1), by=("three",))
    s.stage.act("house", pay(s, "bo", 1), by=("one", "two"), refused="extra_signature")


def test_a_key_that_was_replaced_or_proposed_in_vain_opens_and_joins_nothing_again() -> None:
    s = shared()
    rotates(s, "house", "house", refused="kernel.keys_taken", by=("one", "two"))
    rotates(s, "house", "four", by=("one", "two"))
    s.stage.act("house", Veto(), by=("one", "two"))
    s.stage.act("office", Arbitrate(s["house"], "dismissed"))
    rotates(s, "house", "four", refused="kernel.keys_taken", by=("one", "two"))
    s.stage.act("house", pay(s, "bo", 1), by=("two", "three"))


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_delegated_ends_with_the_keys_that_did_so_unless_it_is_kept(*, kept: bool) -> None:
    s = shared()
    until_ms = s.stage.time_ms + 10 * DAY_MS
    two = THREE[:2]
    s.stage.act("house", OpenSession(s.key("tablet"), ("money",), until_ms, ceiling(9)), by=two, also=("tablet",))
    s.stage.act("house", Mandate(s["bo"], ("money",), until_ms, ceiling(9)), by=two)
    s.stage.act("house", Rotate(keys(s, "four"), 1, kept), by=(*two, "four"))
    from_ms = s.stage.time_ms + DAY_MS
    told = {one.who: one.until_ms for one in acting_for(s.box.view, s["house"])}
    assert set(told.values()) == {until_ms if kept else s.stage.time_ms + DAY_MS}
    for by in ("tablet", "bo"):
        s.stage.act("house", pay(s, "bo", 1), by=(by,))
    at(s, from_ms)
    s.stage.act("house", Mandate(s["ann"], ("money",), until_ms, ceiling(9)), by=("four",))
    ends = {one.who: one.until_ms for one in acting_for(s.box.view, s["house"])}
    assert ends == told | {s["ann"]: until_ms}
    for by in ("tablet", "bo"):
        s.stage.act("house", pay(s, "bo", 1), by=(by,), refused="ok" if kept else "not_signed")
    s.stage.act("house", pay(s, "bo", 1), by=("ann",))
