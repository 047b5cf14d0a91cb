"""Every way in which an action of the time bank can end, as a table."""

from pathlib import Path

import msgspec
import pytest

from metrobloc.city.timebank.rules import app
from metrobloc.city.timebank.test_rules import (
    BANKS,
    DAY_MS,
    MAX,
    MIN,
    MINUTE_MS,
    NO_PAPER,
    NOBODY,
    SOON_MS,
    ask,
    ask_for,
    bank,
    codes,
    scene,
    upload,
    vouch,
)
from metrobloc.city.timebank.types.messages import (
    CancelTask,
    CheckIn,
    CheckOut,
    Claim,
    ClearCycle,
    CloseBank,
    Confirm,
    Dispute,
    Donate,
    Drop,
    Exclude,
    Join,
    Leave,
    Move,
    Renew,
    Resolve,
    Resume,
    SetCoordinator,
    SetLine,
    Suspend,
    Transfer,
)
from metrobloc.kernel import envelope
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet
from metrobloc.testing.sandbox import START_MS

RING = ("north", "south", "west")
BANK_CASES = [
    Case("office", lambda s: bank(s, "new"), "ok"),
    Case("office", lambda s: bank(s, "north"), "banks_taken"),
    Case("office", lambda s: bank(s, "gone"), "banks_taken"),
    Case("office", lambda s: bank(s, "new", "ann"), "no_coordinator"),
    Case("office", lambda s: bank(s, "new", until_ms=s.stage.time_ms + 1000), "in_the_past"),
    Case("office", lambda s: bank(s, "new", until_ms=s.stage.time_ms + 1001), "ok"),
    Case("timebank", lambda s: bank(s, "new"), "not_allowed"),
    Case("office", lambda _: Suspend("north"), "ok"),
    Case("office", lambda _: Suspend("down"), "not_open"),
    Case("office", lambda _: Suspend("gone"), "not_open"),
    Case("office", lambda _: Suspend("nowhere"), "banks_unknown"),
    Case("timebank", lambda _: Suspend("north"), "not_allowed"),
    Case("office", lambda _: Resume("down"), "ok"),
    Case("office", lambda _: Resume("north"), "not_suspended"),
    Case("office", lambda _: Resume("gone"), "not_suspended"),
    Case("west", lambda _: Resume("down"), "not_allowed"),
    Case("office", lambda _: Renew("lapsed", SOON_MS), "ok"),
    Case("office", lambda s: Renew("lapsed", s.stage.time_ms + 1000), "in_the_past"),
    Case("office", lambda s: Renew("lapsed", s.stage.time_ms + 1001), "ok"),
    Case("office", lambda _: Renew("gone", SOON_MS), "closed"),
    Case("west", lambda _: Renew("lapsed", SOON_MS), "not_allowed"),
    Case("office", lambda s: SetCoordinator("north", s["spare"]), "ok"),
    Case("office", lambda s: SetCoordinator("north", s["ann"]), "no_coordinator"),
    Case("office", lambda s: SetCoordinator("south", s["timebank"]), "own_bank"),
    Case("office", lambda s: SetCoordinator("idle", s["timebank"]), "ok"),
    Case("office", lambda s: SetCoordinator("gone", s["spare"]), "closed"),
    Case("spare", lambda s: SetCoordinator("north", s["spare"]), "not_allowed"),
    Case("office", lambda _: CloseBank("idle"), "ok"),
    Case("office", lambda _: CloseBank("lapsed"), "ok"),
    Case("office", lambda _: CloseBank("gone"), "closed"),
    Case("office", lambda _: CloseBank("down"), "not_empty"),
    Case("office", lambda _: CloseBank("north"), "not_empty"),
    Case("west", lambda _: CloseBank("idle"), "not_allowed"),
]
MEMBER_CASES = [
    Case("new", lambda _: Join("north"), "ok"),
    Case("timebank", lambda _: Join("north"), "own_bank"),
    Case("spare", lambda _: Join("north"), "ok"),
    Case("new", lambda _: Join("down"), "winding_down"),
    Case("new", lambda _: Join("lapsed"), "winding_down"),
    Case("new", lambda _: Join("gone"), "winding_down"),
    Case("new", lambda _: Join("nowhere"), "banks_unknown"),
    Case("ann", lambda _: Join("south"), "members_taken"),
    Case("cy", lambda _: Join("north"), "members_taken"),
    Case("timebank", lambda s: vouch(s, "cy"), "ok"),
    Case("timebank", lambda s: vouch(s, "ex", 0, 10, 0), "ok"),
    Case("timebank", lambda s: vouch(s, "ex", 0, 9, 0), "outside_limits"),
    Case("timebank", lambda s: vouch(s, "cy", MIN + 1), "above_bank"),
    Case("timebank", lambda s: vouch(s, "cy", MIN, MAX + 1), "above_bank"),
    Case("timebank", lambda s: vouch(s, "cy", MIN, MAX, 3), "above_bank"),
    # Ann has paid 20, and 280 are set aside for what is under way.
    Case("timebank", lambda s: vouch(s, "ann", 300, 0), "ok"),
    Case("timebank", lambda s: vouch(s, "ann", 299, 0), "outside_limits"),
    # Gus has 20, and 30 may come.
    Case("timebank", lambda s: vouch(s, "gus", 0, 50), "ok"),
    Case("timebank", lambda s: vouch(s, "gus", 0, 49), "outside_limits"),
    Case("timebank", lambda s: vouch(s, "di"), "not_coordinator"),
    Case("timebank", lambda s: vouch(s, "new"), "members_unknown"),
    Case("west", lambda s: vouch(s, "fay"), "winding_down"),
    Case("ann", lambda s: vouch(s, "cy"), "not_allowed"),
    Case("cy", lambda _: Leave(), "ok"),
    Case("ed", lambda _: Leave(), "ok"),
    Case("fay", lambda _: Leave(), "ok"),
    Case("new", lambda _: Leave(), "members_unknown"),
    Case("bo", lambda _: Leave(), "under_way"),
    Case("ex", lambda _: Leave(), "has_balance"),
    Case("ex", lambda _: Move("south"), "ok"),
    Case("fay", lambda _: Move("north"), "ok"),
    Case("ed", lambda _: Move("west"), "same_bank"),
    Case("ed", lambda _: Move("down"), "winding_down"),
    Case("ed", lambda _: Move("nowhere"), "banks_unknown"),
    Case("new", lambda _: Move("north"), "members_unknown"),
    Case("ex", lambda _: Move("idle"), "line_full"),
    Case("ann", lambda _: Move("south"), "under_way"),
    Case("timebank", lambda _: Move("north"), "own_bank"),
    Case("timebank", lambda s: Exclude(s["cy"]), "ok"),
    Case("west", lambda s: Exclude(s["fay"]), "ok"),
    Case("timebank", lambda s: Exclude(s["bo"]), "under_way"),
    Case("timebank", lambda s: Exclude(s["new"]), "members_unknown"),
    Case("south", lambda s: Exclude(s["cy"]), "not_coordinator"),
    Case("bo", lambda s: Exclude(s["cy"]), "not_allowed"),
]
TASK_CASES = [
    Case("ann", lambda _: ask(skill="anything"), "ok"),
    Case("bo", lambda _: ask(kind="offer"), "ok"),
    Case("bo", lambda _: ask(kind="offer", skill="sew"), "no_skill"),
    Case("cy", lambda _: ask(), "not_verified"),
    Case("ex", lambda _: ask(), "not_verified"),
    Case("new", lambda _: ask(), "members_unknown"),
    Case("fay", lambda _: ask(), "winding_down"),
    Case("ann", lambda _: ask(level=2), "ok"),
    Case("ann", lambda _: ask(level=3), "above_bank"),
    Case("ann", lambda s: ask(until_ms=s.stage.time_ms + 1000), "in_the_past"),
    Case("ann", lambda s: ask(until_ms=s.stage.time_ms + 1001), "ok"),
    Case("ann", lambda _: ask(from_ms=SOON_MS), "bad_window"),
    Case("ann", lambda _: ask(from_ms=SOON_MS - 1), "ok"),
    Case("ann", lambda s: ask(until_ms=s.stage.time_ms + 1000 + 90 * DAY_MS), "ok"),
    Case("ann", lambda s: ask(until_ms=s.stage.time_ms + 1001 + 90 * DAY_MS), "too_long"),
    Case("timebank", lambda s: ask_for(s, "ann"), "ok"),
    Case("timebank", lambda s: ask_for(s, "cy"), "not_verified"),
    Case("timebank", lambda s: ask_for(s, "ed"), "not_coordinator"),
    Case("timebank", lambda s: ask_for(s, "new"), "members_unknown"),
    Case("west", lambda s: ask_for(s, "fay"), "winding_down"),
    Case("ann", lambda s: ask_for(s, "ann"), "not_allowed"),
    Case("ann", lambda s: CancelTask(s["ask"]), "ok"),
    Case("ann", lambda s: CancelTask(s["single"]), "ok"),
    Case("ann", lambda s: CancelTask(s["relief"]), "ok"),
    Case("timebank", lambda s: CancelTask(s["ask"]), "ok"),
    Case("south", lambda s: CancelTask(s["ask"]), "not_author"),
    Case("bo", lambda s: CancelTask(s["ask"]), "not_author"),
    Case("ann", lambda s: CancelTask(s["back"]), "no_slot"),
    Case("ann", lambda _: CancelTask(NOBODY), "tasks_unknown"),
]
CLAIM_CASES = [
    Case("bo", lambda s: Claim(s["ask"]), "ok"),
    Case("di", lambda s: Claim(s["ask"]), "ok"),
    Case("ann", lambda s: Claim(s["offer"]), "ok"),
    Case("di", lambda s: Claim(s["offer"]), "ok"),
    Case("bo", lambda s: Claim(s["relief"]), "ok"),
    Case("di", lambda s: Claim(s["relief"]), "ok"),
    Case("gus", lambda s: Claim(s["hard"]), "ok"),
    Case("bo", lambda s: Claim(s["hard"]), "level_too_low"),
    Case("bo", lambda s: Claim(s["sewing"]), "no_skill"),
    Case("ann", lambda s: Claim(s["ask"]), "own_task"),
    Case("bo", lambda s: Claim(s["offer"]), "own_task"),
    Case("ann", lambda s: Claim(s["relief"]), "own_task"),
    Case("timebank", lambda s: Claim(s["relief"]), "own_task"),
    Case("timebank", lambda s: Claim(s["ask"]), "ok"),
    Case("bo", lambda s: Claim(s["back"]), "no_slot"),
    Case("gus", lambda s: Claim(s["single"]), "no_slot"),
    Case("bo", lambda _: Claim(NOBODY), "tasks_unknown"),
    Case("new", lambda s: Claim(s["ask"]), "members_unknown"),
    Case("cy", lambda s: Claim(s["ask"]), "not_verified"),
    Case("ex", lambda s: Claim(s["ask"]), "not_verified"),
    Case("fay", lambda s: Claim(s["ask"]), "winding_down"),
    Case("bo", lambda s: Drop(s["claimed"]), "ok"),
    Case("ann", lambda s: Drop(s["claimed"]), "ok"),
    Case("timebank", lambda s: Drop(s["claimed"]), "ok"),
    Case("south", lambda s: Drop(s["afar"]), "ok"),
    Case("timebank", lambda s: Drop(s["afar"]), "ok"),
    Case("south", lambda s: Drop(s["claimed"]), "not_dropper"),
    Case("gus", lambda s: Drop(s["claimed"]), "not_dropper"),
    Case("bo", lambda s: Drop(s["begun"]), "checked_in"),
    Case("bo", lambda s: Drop(s["said"]), "checked_in"),
    Case("bo", lambda s: Drop(s["disputed"]), "in_dispute"),
    Case("bo", lambda s: Drop(s["dropped"]), "ended"),
    Case("bo", lambda _: Drop(NOBODY), "services_unknown"),
]


def now(s: Scene) -> int:
    """Return the time of the block in which the case will be."""
    return s.stage.time_ms + 1000


CHECK_CASES = [
    Case("bo", lambda s: CheckIn(s["claimed"]), "ok"),
    Case("ann", lambda s: CheckIn(s["claimed"]), "ok"),
    Case("timebank", lambda s: CheckIn(s["claimed"]), "not_party"),
    Case("bo", lambda s: CheckIn(s["begun"]), "checked_in"),
    Case("bo", lambda s: CheckIn(s["said"]), "checked_in"),
    Case("bo", lambda s: CheckIn(s["dropped"]), "ended"),
    Case("bo", lambda s: CheckIn(s["disputed"]), "in_dispute"),
    Case("bo", lambda _: CheckIn(NOBODY), "services_unknown"),
    Case("bo", lambda s: CheckOut(s["begun"]), "ok"),
    Case("ann", lambda s: CheckOut(s["begun"]), "helper_ends"),
    Case("ann", lambda s: CheckOut(s["claimed"]), "helper_ends"),
    Case("gus", lambda s: CheckOut(s["begun"]), "not_party"),
    Case("bo", lambda s: CheckOut(s["claimed"]), "not_checked_in"),
    Case("bo", lambda s: CheckOut(s["done"]), "checked_out"),
    Case("bo", lambda s: CheckOut(s["said"]), "checked_out"),
    Case("gus", lambda s: CheckOut(s["paid"]), "ended"),
    Case("bo", lambda s: upload(s, "ann", "claimed", "in", now(s)), "ok"),
    Case("ann", lambda s: upload(s, "bo", "claimed", "in", s.stage.time_ms - 20 * MINUTE_MS), "ok"),
    Case("ann", lambda s: upload(s, "bo", "begun", "out", now(s)), "ok"),
    Case("bo", lambda s: upload(s, "ann", "begun", "out", now(s)), "ok"),
    Case("ann", lambda s: upload(s, "ann", "begun", "out", now(s)), "bad_code"),
    Case("bo", lambda s: upload(s, "ann", "claimed", "in", now(s) + 1), "in_the_future"),
    Case("bo", lambda s: upload(s, "bo", "claimed", "in", now(s)), "bad_code"),
    Case("bo", lambda s: upload(s, "gus", "claimed", "in", now(s)), "bad_code"),
    Case("bo", lambda s: msgspec.structs.replace(upload(s, "ann", "claimed", "out", now(s)), what="in"), "bad_code"),
    Case("bo", lambda s: msgspec.structs.replace(upload(s, "ann", "claimed", "in", 9), at_ms=now(s)), "bad_code"),
    Case("bo", lambda s: msgspec.structs.replace(upload(s, "ann", "done", "in", 9), service=s["claimed"]), "bad_code"),
    Case("timebank", lambda s: upload(s, "ann", "claimed", "in", now(s)), "not_party"),
    Case("bo", lambda s: upload(s, "ann", "claimed", "in", START_MS), "outside_window"),
    Case("bo", lambda s: upload(s, "ann", "begun", "out", s.stage.time_ms - 6 * MINUTE_MS), "out_before_in"),
    Case("bo", lambda s: upload(s, "ann", "claimed", "out", now(s)), "not_checked_in"),
    Case("bo", lambda s: upload(s, "ann", "begun", "in", now(s)), "checked_in"),
]
SETTLE_CASES = [
    Case("bo", lambda s: Confirm(s["done"], 25), "ok"),
    Case("ann", lambda s: Confirm(s["done"], 1), "ok"),
    Case("ann", lambda s: Confirm(s["said"], 20), "ok"),
    Case("bo", lambda s: Confirm(s["done"], 26), "above_wall"),
    Case("bo", lambda s: Confirm(s["brief"], 10), "ok"),
    Case("bo", lambda s: Confirm(s["brief"], 11), "above_ceiling"),
    Case("ann", lambda s: Confirm(s["said"], 21), "differs"),
    Case("bo", lambda s: Confirm(s["said"], 20), "confirmed_already"),
    Case("timebank", lambda s: Confirm(s["done"], 20), "not_party"),
    Case("bo", lambda s: Confirm(s["claimed"], 20), "not_checked_out"),
    Case("bo", lambda s: Confirm(s["begun"], 20), "not_checked_out"),
    Case("gus", lambda s: Confirm(s["clash"], 20), "overlaps"),
    Case("ann", lambda s: Confirm(s["paid"], 20), "ended"),
    Case("bo", lambda s: Confirm(s["disputed"], 20), "in_dispute"),
    Case("bo", lambda _: Confirm(NOBODY, 20), "services_unknown"),
    Case("bo", lambda s: Dispute(s["begun"], NO_PAPER), "ok"),
    Case("ann", lambda s: Dispute(s["done"], NO_PAPER), "ok"),
    Case("ann", lambda s: Dispute(s["said"], NO_PAPER), "ok"),
    Case("bo", lambda s: Dispute(s["said"], NO_PAPER), "ok"),
    Case("bo", lambda s: Dispute(s["claimed"], NO_PAPER), "not_checked_in"),
    Case("bo", lambda s: Dispute(s["disputed"], NO_PAPER), "in_dispute"),
    Case("gus", lambda s: Dispute(s["paid"], NO_PAPER), "ended"),
    Case("gus", lambda s: Dispute(s["done"], NO_PAPER), "not_party"),
    Case("timebank", lambda s: Resolve(s["disputed"], 25), "ok"),
    Case("office", lambda s: Resolve(s["disputed"], 0), "ok"),
    Case("timebank", lambda s: Resolve(s["disputed"], 26), "above_wall"),
    Case("timebank", lambda s: Resolve(s["disputed"], 31), "above_ceiling"),
    Case("south", lambda s: Resolve(s["disputed"], 20), "not_coordinator"),
    Case("timebank", lambda s: Resolve(s["done"], 20), "not_disputed"),
    Case("timebank", lambda s: Resolve(s["his own"], 20), "is_party"),
    Case("office", lambda s: Resolve(s["his own"], 20), "ok"),
    Case("bo", lambda s: Resolve(s["disputed"], 20), "not_allowed"),
    Case("office", lambda _: Resolve(NOBODY, 0), "services_unknown"),
]
HOURS_CASES = [
    Case("bo", lambda s: Transfer(s["ann"], 1), "ok"),
    Case("ex", lambda s: Transfer(s["ann"], 10), "ok"),
    Case("ex", lambda s: Transfer(s["ann"], 11), "hours_too_low"),
    Case("cy", lambda s: Transfer(s["ann"], 1), "hours_too_low"),
    Case("bo", lambda s: Transfer(s["ann"], MIN - 15), "ok"),
    Case("bo", lambda s: Transfer(s["ann"], MIN - 14), "hours_too_low"),
    Case("bo", lambda s: Transfer(s["bo"], 1), "to_self"),
    Case("bo", lambda s: Transfer(s["cy"], 1), "not_verified"),
    Case("bo", lambda s: Transfer(s["ex"], 1), "not_verified"),
    Case("bo", lambda s: Transfer(s["new"], 1), "members_unknown"),
    Case("new", lambda s: Transfer(s["bo"], 1), "members_unknown"),
    Case("bo", lambda s: Transfer(s["fay"], 1), "winding_down"),
    Case("fay", lambda s: Transfer(s["bo"], 1), "line_full"),
    Case("ed", lambda s: Transfer(s["di"], 100), "ok"),
    Case("ed", lambda s: Transfer(s["di"], 101), "line_full"),
    Case("bo", lambda _: Donate(MIN - 15), "ok"),
    Case("bo", lambda _: Donate(MIN - 14), "hours_too_low"),
    Case("ex", lambda _: Donate(10), "ok"),
    Case("ex", lambda _: Donate(11), "hours_too_low"),
    Case("new", lambda _: Donate(1), "members_unknown"),
    Case("fay", lambda _: Donate(1), "winding_down"),
    Case("timebank", lambda _: SetLine("north", "idle", 10), "ok"),
    Case("timebank", lambda _: SetLine("north", "north", 10), "same_bank"),
    Case("timebank", lambda _: SetLine("south", "north", 10), "not_coordinator"),
    Case("timebank", lambda _: SetLine("north", "down", 1), "winding_down"),
    Case("west", lambda _: SetLine("lapsed", "north", 1), "winding_down"),
    Case("west", lambda _: SetLine("lapsed", "north", 0), "ok"),
    Case("timebank", lambda _: SetLine("nowhere", "north", 1), "banks_unknown"),
    # For Di's service 30 are set aside, and for the one that North's own coordinator gives as a member of South.
    Case("timebank", lambda _: SetLine("north", "south", 60), "ok"),
    Case("timebank", lambda _: SetLine("north", "south", 59), "line_used"),
    Case("south", lambda _: SetLine("south", "north", 59), "line_used"),
    Case("ann", lambda _: SetLine("north", "south", 0), "not_allowed"),
    Case("timebank", lambda _: ClearCycle(("north", "south", "north"), 1), "twice_named"),
    Case("spare", lambda _: ClearCycle(RING, 1), "not_coordinator"),
    Case("south", lambda _: ClearCycle(RING, 1), "no_such_debt"),
    Case("south", lambda _: ClearCycle(("north", "south", "nowhere"), 1), "banks_unknown"),
    Case("ann", lambda _: ClearCycle(RING, 1), "not_allowed"),
]
PLAIN = {"ok", "not_allowed"}
CASES = [
    case if case.code in PLAIN else msgspec.structs.replace(case, code=f"timebank.{case.code}")
    for case in (
        *BANK_CASES,
        *MEMBER_CASES,
        *TASK_CASES,
        *CLAIM_CASES,
        *CHECK_CASES,
        *SETTLE_CASES,
        *HOURS_CASES,
    )
]
ELSEWHERE = codes(["tasks_taken", "services_taken", "too_late", "too_long_a_day", "too_many", "above_max", "owes"])
"""Met below, in test_limits.py and in test_times.py."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    assert unmet(app, CASES) == ELSEWHERE
    assert readme_refusals(Path(__file__).parents[1], app) == app.refusals


def test_every_coordinator_of_the_scene_has_a_bank() -> None:
    assert set(BANKS.values()) == {"timebank", "south", "west"}


def with_salt(s: Scene, actor: str, message: Message) -> str:
    """Send a message with a salt that has been used; return what became of it."""
    payload = msgspec.structs.replace(s.stage.payload((actor, message)), salt="5a" * 16)
    return s.stage.send([envelope.sign(payload, [s.stage.key(actor)])])[0].code


def test_an_id_is_given_out_once() -> None:
    s = scene()
    assert with_salt(s, "ann", ask()) == "ok"
    assert with_salt(s, "ann", ask(61)) == "kernel.deadlines_taken"
    made = msgspec.json.decode(s.box.sealed[-2].receipts[-1])["ids"][0]
    s.stage.act("ann", CancelTask(made))
    assert with_salt(s, "ann", ask(61)) == "timebank.tasks_taken"
    assert with_salt(s, "bo", Claim(s["ask"])) == "ok"
    made = msgspec.json.decode(s.box.sealed[-1].receipts[-1])["ids"][0]
    s.stage.act("bo", Drop(made))
    assert with_salt(s, "bo", Claim(s["hard"])) == "timebank.level_too_low"
    assert with_salt(s, "bo", Claim(s["short"])) == "timebank.services_taken"
