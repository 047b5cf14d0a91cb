"""Persons: one account each, a quota of their own, and the key for what is private."""

import msgspec
import pytest

from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.rules import box_keys, persons, vouched
from metrobloc.commons.identity.test_rules import GUARDS, HOUR_MS, MODULES, NULL, account, guarded, keys
from metrobloc.commons.identity.types import Disclaim, Recover, Register, Reissue, ShowBoxKey, Support, Veto, Vouch
from metrobloc.kernel import codec, system
from metrobloc.kernel.crypto import X25519, SigningKey, key_id
from metrobloc.kernel.genesis import Founder, read_genesis
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

BOX_KEY = key_id(b"9" * 32, X25519)


def town() -> Scene:
    """Set up Ann and Bo, of whom Ann has guardians."""
    s = Scene(MODULES)
    guarded(s, "ann", *GUARDS)
    s.stage.join("bo")
    return s


def citizen(s: Scene, name: str) -> bool:
    """Tell whether somebody is a citizen."""
    return s.box.view[system.roles].get((s[name], "citizen")) is not None


def test_one_person_has_one_account_and_can_change_to_another() -> None:
    s = town()
    s.stage.act("office", Vouch(s["ann"], NULL))
    s.stage.act("office", Vouch(s["bo"], NULL), refused="identity.person_known")
    s.stage.act("office", Disclaim(s["ann"]))
    assert (citizen(s, "ann"), account(s, "ann").quota_per_hour) == (False, 0)
    s.stage.act("office", Vouch(s["bo"], NULL))
    assert citizen(s, "bo")
    person, known = s.box.view[persons].get(NULL), s.box.view[vouched].get(s["bo"])
    assert person is not None
    assert known is not None
    assert (person.account, person.since_ms, known.nullifier) == (s["bo"], s.stage.time_ms, NULL)
    s.stage.act("office", Vouch(s["ann"], "1" * 64))
    assert not s.box.broken()


def test_a_citizen_pays_for_herself_and_for_those_she_sponsors() -> None:
    s = town()
    s.stage.act("ann", Register(s.key("kid")), also=("kid",), refused="identity.no_quota")
    s.stage.act("office", Vouch(s["ann"], NULL))
    s.stage.time_ms += HOUR_MS - s.stage.time_ms % HOUR_MS
    for number in range(59):
        s.stage.act("ann", Register(s.key(f"kid {number}")), also=(f"kid {number}",))
    s.stage.act("kid 1", ShowBoxKey(BOX_KEY))
    s.stage.act("kid 1", ShowBoxKey(BOX_KEY), refused="over_quota")
    s.stage.act("ann", ShowBoxKey(BOX_KEY), refused="over_quota")
    s.stage.act("office", Disclaim(s["ann"]))
    s.stage.act("ann", ShowBoxKey(BOX_KEY))  # who registered her pays again
    s.stage.act("kid 1", ShowBoxKey(BOX_KEY), refused="over_quota")


@pytest.mark.parametrize("quota", [59, 60, 61])
def test_nobody_has_less_for_being_a_citizen(quota: int) -> None:
    rich = SigningKey(b"7" * 32)
    page = read_genesis(demo_genesis(START_MS, [module.name for module in MODULES]))
    founders = (*page.founders, Founder(rich.key_id, quota))
    s = Scene(MODULES, codec.encode(msgspec.structs.replace(page, founders=founders)))
    s.stage.keys["rich"] = rich
    s.stage.act("office", Vouch(s["rich"], NULL))
    assert account(s, "rich").quota_per_hour == max(quota, 60)
    s.stage.act("office", Disclaim(s["rich"]))
    assert account(s, "rich").quota_per_hour == quota


@pytest.mark.parametrize("how", ["guardians", "office"])
def test_nobody_encrypts_for_a_lost_phone(how: str) -> None:
    s = town()
    s.stage.act("ann", ShowBoxKey(BOX_KEY))
    shown = s.box.view[box_keys].get(s["ann"])
    assert shown is not None
    assert (shown.box_key, shown.since_ms) == (BOX_KEY, s.stage.time_ms)
    if how == "office":
        s.stage.act("office", Reissue(s["ann"], keys(s, "new")), also=("new",))
    else:
        s.stage.act("hal", Support(s.stage.act("gil", Recover(s["ann"], keys(s, "new")), also=("new",)).ids[0]))
    assert s.box.view[box_keys].get(s["ann"]) is None
    s.stage.act("ann", ShowBoxKey(BOX_KEY), refused="frozen")
    s.stage.wait(7 * 24 * 60)
    s.stage.act("ann", ShowBoxKey(BOX_KEY), by=("new",))
    s.stage.act("ann", Veto(), by=("new",), refused="identity.changes_unknown")
