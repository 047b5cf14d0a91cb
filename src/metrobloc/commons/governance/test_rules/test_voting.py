"""How approvals are counted, when a decision holds, and how roles change hands."""

import msgspec
import pytest

from metrobloc.commons.governance.rules import decisions, notice_blocks, proposals, voting_ms
from metrobloc.commons.governance.rules.queries import council
from metrobloc.commons.governance.test_rules import (
    COUNCIL,
    DAY_MINUTES,
    DAY_MS,
    MODULES,
    accounts_of,
    at_height,
    blocks,
    decided,
    held_by,
    in_force,
    proposed,
)
from metrobloc.commons.governance.types import (
    Approve,
    CarryOut,
    ProposeCancel,
    ProposeCouncil,
    ProposeModule,
    ProposeOffice,
    ProposeRules,
    ProposeValue,
    Withdraw,
)
from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.commons.identity.rules.declared import freeze_ms, rotation_delay_ms
from metrobloc.commons.identity.types import (
    Accredit,
    Freeze,
    Mandate,
    NameGuardians,
    Recover,
    Support,
)
from metrobloc.kernel import codec, envelope, system
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

VALUE = "value.governance.voting_ms"


def city(limits: Limits | None = None, members: tuple[str, ...] = COUNCIL, silent: str = "") -> Scene:
    """Found a city, by default with five on its council; who is `silent` has no quota."""
    keys = [(name, demo_key(name)) for name in ROLES]
    founders = tuple(
        Founder(key.key_id, 0 if name == silent else 1_000_000, (name, *(["council"] if name in members else [])))
        for name, key in keys
        if key
    )
    names = tuple(module.name for module in MODULES)
    page = Genesis(founders, names, "demo-council", START_MS, limits or Limits())
    return Scene(MODULES, codec.encode(page))


def signed_by(s: Scene, key: str, actor: str, message: Message) -> str:
    """Send what an actor does, signed by another key than its first; return the code."""
    raw = envelope.sign(s.stage.payload((actor, message)), [s.stage.key(key)])
    return s.stage.send([raw])[0].code


def is_open(s: Scene, proposal: str) -> bool:
    """Tell whether a proposal waits for approvals."""
    return s.box.view[proposals].get(proposal) is not None


@pytest.mark.parametrize(("members", "least"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (8, 5), (9, 5)])
def test_more_than_half_decide(members: int, least: int) -> None:
    names = ROLES[:members]
    s = city(members=names)
    assert council(s.box.view).needed == least
    made = proposed(s, names[0], ProposeValue("governance", "voting_ms", DAY_MS))
    for number in range(1, least):
        assert is_open(s, made)
        s.stage.act(names[number], Approve(made))
    assert not is_open(s, made)
    assert s.box.view[decisions].get(VALUE) is not None
    assert not s.box.broken()


def test_nobody_counts_twice_and_what_is_decided_is_no_proposal_any_more() -> None:
    s = city()
    made = proposed(s, "bank", ProposeValue("governance", "voting_ms", DAY_MS))
    for _ in range(4):
        s.stage.act("bank", Approve(made))
    s.stage.act("hospital", Approve(made))
    s.stage.act("hospital", Approve(made))
    assert is_open(s, made)
    s.stage.act("charity", Approve(made))
    s.stage.act("office", Approve(made), refused="governance.proposals_unknown")
    assert not list(s.box.view[system.deadlines].items()), "nothing is left of a proposal that was decided"


def test_who_withdraws_does_not_count_and_may_approve_again() -> None:
    s = city()
    made = proposed(s, "bank", ProposeValue("governance", "voting_ms", DAY_MS))
    s.stage.act("hospital", Approve(made))
    s.stage.act("bank", Withdraw(made))
    s.stage.act("charity", Approve(made))
    assert is_open(s, made)
    s.stage.act("bank", Withdraw(made), refused="governance.not_approved")
    s.stage.act("bank", Approve(made))
    assert not is_open(s, made)


def test_a_proposal_that_nobody_approves_is_dropped() -> None:
    s = city()
    made = proposed(s, "bank", ProposeValue("governance", "voting_ms", DAY_MS))
    told = s.stage.act("bank", Withdraw(made))
    assert [event.event for event in told.events] == ["governance.withdrawn", "governance.dropped"]
    assert not list(s.box.view[system.deadlines].items())
    s.stage.act("hospital", Approve(made), refused="governance.proposals_unknown")


def test_the_time_for_approving_ends_at_its_millisecond() -> None:
    for spare_ms, code in ((1, "ok"), (0, "governance.proposals_unknown")):
        s = city()
        made = proposed(s, "bank", ProposeValue("governance", "voting_ms", DAY_MS))
        s.stage.time_ms += voting_ms.default - 1000 - spare_ms
        s.stage.act("hospital", Approve(made), refused=code)


def test_the_time_is_over_though_the_queue_of_deadlines_is_behind() -> None:
    s = city(Limits(deadlines_per_block=1))
    made = [proposed(s, "bank", ProposeModule(f"part{number}")) for number in range(3)]
    s.stage.time_ms += voting_ms.default
    raws = [s.stage.sign(("hospital", Approve(one))) for one in made]
    codes = [outcome.code for outcome in s.stage.send(raws)]
    assert sorted(codes) == ["governance.proposals_unknown", *["governance.voting_over"] * 2]


@pytest.mark.parametrize(("asked", "waits"), [(0, 10), (3, 10), (10, 10), (25, 25)])
def test_a_decision_holds_from_its_block_on_and_not_before_the_notice(asked: int, waits: int) -> None:
    s = city()
    height = s.box.machine.height + 3  # at which the third approval comes
    decided(s, ProposeValue("governance", "voting_ms", DAY_MS, height + asked if asked else 0))
    assert s.box.machine.height == height
    found = s.box.view[decisions].get(VALUE)
    assert found is not None
    assert found.from_height == height + waits
    assert [in_force(s, voting_ms, height + n) for n in (0, waits - 1, waits, waits + 1)] == [
        *[voting_ms.default] * 2,
        *[DAY_MS] * 2,
    ]
    at_height(s, height + waits)
    assert in_force(s, voting_ms) == DAY_MS
    until_ms = s.stage.act("bank", ProposeValue("governance", "voting_ms", DAY_MS)).events[0].fields
    assert msgspec.json.decode(until_ms)["until_ms"] == s.stage.time_ms + DAY_MS


def test_the_notice_itself_can_be_changed_and_holds_for_what_is_decided_after_it() -> None:
    s = city()
    decided(s, ProposeValue("governance", "notice_blocks", 1))
    blocks(s, 10)
    assert in_force(s, notice_blocks) == 1
    decided(s, ProposeValue("governance", "voting_ms", DAY_MS))
    assert in_force(s, voting_ms) == DAY_MS


def test_a_later_decision_takes_the_place_of_one_that_waits() -> None:
    s = city()
    decided(s, ProposeValue("governance", "voting_ms", 2 * DAY_MS, 40))
    decided(s, ProposeValue("governance", "voting_ms", 3 * DAY_MS, 50))
    at_height(s, 45)
    assert in_force(s, voting_ms) == voting_ms.default
    at_height(s, 50)
    assert in_force(s, voting_ms) == 3 * DAY_MS
    decided(s, ProposeValue("governance", "voting_ms", 4 * DAY_MS))
    assert in_force(s, voting_ms) == 3 * DAY_MS, "what held until then does, until the new value"


def test_what_was_proposed_before_another_decision_is_outdated() -> None:
    s = city()
    old = proposed(s, "bank", ProposeValue("governance", "voting_ms", 2 * DAY_MS))
    s.stage.act("hospital", Approve(old))
    decided(s, ProposeValue("governance", "voting_ms", 3 * DAY_MS))
    s.stage.act("charity", Approve(old), refused="governance.outdated")
    other = decided(s, ProposeValue("identity", "freeze_ms", DAY_MS))
    assert not is_open(s, other), "only about the same subject"


def test_a_decision_is_taken_back_before_its_block_and_not_after() -> None:
    s = city()
    decided(s, ProposeValue("governance", "voting_ms", 2 * DAY_MS))
    decided(s, ProposeCancel(VALUE))
    assert s.box.view[decisions].get(VALUE) is None
    blocks(s, 20)
    assert in_force(s, voting_ms) == voting_ms.default
    decided(s, ProposeValue("governance", "voting_ms", 2 * DAY_MS))
    late = proposed(s, "bank", ProposeCancel(VALUE))
    s.stage.act("hospital", Approve(late))
    at_height(s, s.box.view[decisions].get(VALUE).from_height)  # type: ignore[union-attr]  # decided above
    s.stage.act("charity", Approve(late), refused="governance.in_force")
    assert not s.box.broken()


def test_modules_and_versions_are_taken_back_too() -> None:
    s = city()
    before = s.box.view[system.chain].get("info")
    for message, subject in ((ProposeModule("museum"), "module.museum"), (ProposeRules(2), "rules")):
        decided(s, message)
        assert s.box.view[decisions].get(subject) is not None
        decided(s, ProposeCancel(subject))
    blocks(s, 20)
    assert s.box.view[system.chain].get("info") == before
    assert [name for name, _ in s.box.view[system.modules].items()] == ["governance", "identity"]
    decided(s, ProposeCouncil(accounts_of(s, "bank")))
    decided(s, ProposeCancel("council"))
    blocks(s, 20)
    s.stage.act("company", CarryOut(), refused="governance.nothing_due")


def test_an_approval_of_a_frozen_member_does_not_count_until_it_thaws() -> None:
    s = city()
    made = proposed(s, "bank", ProposeValue("governance", "voting_ms", DAY_MS))
    s.stage.act("bank", Freeze())
    s.stage.act("hospital", Approve(made))
    s.stage.act("charity", Approve(made))
    assert is_open(s, made)
    s.stage.time_ms += freeze_ms.default
    s.stage.act("charity", Approve(made))
    assert not is_open(s, made)


@pytest.mark.parametrize("again", [False, True])
def test_an_approval_from_before_a_recovery_does_not_count(again: bool) -> None:  # noqa: FBT001  # the two cases
    s = city()
    s.stage.act("bank", NameGuardians(accounts_of(s, "notary", "company"), 2))
    s.stage.wait(2 * DAY_MINUTES)
    made = proposed(s, "bank", ProposeValue("governance", "voting_ms", DAY_MS))
    recovery = s.stage.act("notary", Recover(s["bank"], (s.key("bank's new key"),)), also=("bank's new key",)).ids[0]
    s.stage.act("company", Support(recovery))
    s.stage.time_ms += rotation_delay_ms.default
    if again:
        assert signed_by(s, "bank's new key", "bank", Approve(made)) == "ok"
    s.stage.act("hospital", Approve(made))
    s.stage.act("charity", Approve(made))
    assert is_open(s, made) != again


def test_a_person_votes_for_an_institution_by_its_mandate() -> None:
    s = city()
    s.stage.join("ann")
    made = proposed(s, "hospital", ProposeValue("governance", "voting_ms", DAY_MS))
    for scope, code in (("identity", "not_signed"), ("governance.approve", "ok")):
        s.stage.act("bank", Mandate(s["ann"], (scope,), s.stage.time_ms + DAY_MS))
        assert signed_by(s, "ann", "bank", Approve(made)) == code


def test_the_council_changes_hands_at_its_block_and_votes_are_counted_by_who_is_on_it_then() -> None:
    s = city()
    s.stage.join("ann")
    waiting = proposed(s, "office", ProposeValue("governance", "voting_ms", DAY_MS))
    s.stage.act("supervisor", Approve(waiting))
    decided(s, ProposeCouncil(accounts_of(s, "bank", "hospital", "ann"), 2))
    found = s.box.view[decisions].get("council")
    assert found is not None
    s.stage.act("ann", Approve(waiting), refused="not_allowed")
    at_height(s, found.from_height - 1)
    s.stage.act("ann", CarryOut(), refused="governance.nothing_due")
    assert held_by(s, "council") == set(COUNCIL)
    s.stage.act("office", Approve(waiting), refused="governance.not_member")
    s.stage.act("office", Withdraw(waiting), refused="governance.not_member")
    s.stage.act("office", ProposeRules(2), refused="governance.not_member")
    told = s.stage.act("ann", CarryOut())
    assert [event.event for event in told.events] == ["governance.appointed"]
    assert held_by(s, "council") == {"bank", "hospital", "ann"}
    assert council(s.box.view).needed == 2
    s.stage.act("office", Approve(waiting), refused="not_allowed")
    s.stage.act("ann", CarryOut(), refused="governance.nothing_due")
    s.stage.act("ann", Approve(waiting))
    assert is_open(s, waiting), "two of three who approve are not on the council any more"
    assert [one.by for one in s.box.view[proposals].get(waiting).approvals] == [s["ann"]]  # type: ignore[union-attr]
    s.stage.act("bank", Approve(waiting))
    assert not is_open(s, waiting)
    assert not s.box.broken()


def test_a_vote_that_finds_a_role_due_carries_that_out_first() -> None:
    s = city()
    decided(s, ProposeCouncil(accounts_of(s, "bank", "hospital"), 1))
    blocks(s, 9)
    told = s.stage.act("bank", ProposeValue("governance", "voting_ms", DAY_MS))
    assert [event.event.partition(".")[2] for event in told.events] == ["appointed", "proposed", "decided"]
    assert held_by(s, "council") == {"bank", "hospital"}


def test_the_office_and_the_supervisor_change_hands() -> None:
    s = city()
    decided(s, ProposeOffice("supervisor", accounts_of(s, "notary", "company")))
    taken = ProposeOffice("office", accounts_of(s, "notary"))
    s.stage.act("bank", taken, refused="governance.both_roles")
    blocks(s, 9)
    s.stage.act("company", CarryOut())
    assert held_by(s, "supervisor") == {"notary", "company"}
    decided(s, ProposeOffice("office", accounts_of(s, "supervisor")))
    blocks(s, 10)
    s.stage.act("company", CarryOut())
    assert held_by(s, "office") == {"supervisor"}
    s.stage.act("office", Accredit(s["bank"], "Bank", "school", 10), refused="not_allowed")
    s.stage.act("supervisor", Accredit(s["bank"], "Bank", "school", 10))
    assert not s.box.broken()


def test_nobody_who_decides_about_quotas_can_silence_the_council() -> None:
    s = city(silent="bank")
    s.stage.join("ann", sponsor="company")
    s.stage.act("bank", ProposeValue("governance", "voting_ms", DAY_MS), refused="over_quota")
    s.stage.act("ann", CarryOut())
    s.stage.act("ann", CarryOut(), refused="governance.nothing_due")
    s.stage.act("bank", ProposeValue("governance", "voting_ms", DAY_MS))
    account = s.box.view[system.accounts].get(s["bank"])
    assert account is not None
    assert account.quota_per_hour == 100
    decided(s, ProposeCouncil(accounts_of(s, "ann", "bank", "hospital")))
    blocks(s, 10)
    s.stage.act("company", CarryOut())
    joined = s.box.view[system.accounts].get(s["ann"])
    assert joined is not None
    assert joined.quota_per_hour == 100
