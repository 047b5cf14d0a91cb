"""Limits hold to the minute, for members, pots and lines, with everything under way counted in."""

from metrobloc.city.timebank.rules import POT, escrow, line_to, lines
from metrobloc.city.timebank.test_rules import (
    BANKS,
    MAX,
    MIN,
    POT_MIN,
    agreed,
    ask,
    ask_for,
    balance,
    claimed,
    do,
    helped,
    member,
    service,
    town,
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
    RegisterBank,
    Release,
    Renew,
    Resolve,
    Resume,
    SetCoordinator,
    SetLine,
    Suspend,
    Transfer,
)
from metrobloc.city.timebank.types.records import Line
from metrobloc.commons.identity.types import Revoke
from metrobloc.testing.edges import Scene

RING = ("north", "south", "west")


def released(s: Scene, name: str, actor: str, message: Release) -> None:
    """Release a task under a name."""
    s.ids[name] = do(s, actor, message)[0]


def line(s: Scene, first: str, second: str) -> Line:
    """Return a line as it stands."""
    found = s.box.view[lines].get((first, second))
    assert found is not None
    return found


def test_a_payer_promises_no_more_than_she_may_owe() -> None:
    s = town()
    do(s, "timebank", vouch(s, "ann", 59), vouch(s, "bo", 0, 60))
    released(s, "ask", "ann", ask(60))
    do(s, "bo", Claim(s["ask"]), refused="hours_too_low")
    do(s, "timebank", vouch(s, "ann", 60))
    claimed(s, "one", "bo")
    assert (balance(s, "ann"), balance(s, escrow(s["one"])), member(s, "ann").reserved_minutes) == (-60, 60, 60)
    do(s, "ann", Transfer(s["gus"], 1), refused="hours_too_low")
    do(s, "ann", Drop(s["one"]))
    assert (balance(s, "ann"), balance(s, escrow(s["one"])), member(s, "ann").reserved_minutes) == (0, 0, 0)
    do(s, "ann", Transfer(s["gus"], 1))
    do(s, "bo", Claim(s["ask"]), refused="hours_too_low")
    assert not s.box.broken()


def test_a_helper_is_promised_no_more_than_she_may_save() -> None:
    s = town()
    do(s, "timebank", vouch(s, "bo", 0, 119))
    released(s, "ask", "ann", ask(60))
    claimed(s, "one", "bo")
    assert member(s, "bo").incoming_minutes == 60
    do(s, "bo", Claim(s["ask"]), refused="above_max")
    do(s, "ann", Transfer(s["bo"], 60), refused="above_max")
    do(s, "ann", Transfer(s["bo"], 59))
    do(s, "bo", Drop(s["one"]))
    assert member(s, "bo").incoming_minutes == 0
    claimed(s, "two", "bo")
    assert not s.box.broken()


def test_what_may_come_back_counts_as_saved() -> None:
    s = town()
    do(s, "timebank", vouch(s, "bo", 0, 60))
    do(s, "ann", Transfer(s["bo"], 60))
    released(s, "ask", "bo", ask(40))
    claimed(s, "one", "gus")
    assert (balance(s, "bo"), member(s, "bo").reserved_minutes) == (20, 40)
    do(s, "ann", Transfer(s["bo"], 1), refused="above_max")
    do(s, "gus", Drop(s["one"]))
    do(s, "bo", Donate(1))
    do(s, "ann", Transfer(s["bo"], 2), refused="above_max")
    do(s, "ann", Transfer(s["bo"], 1))


def test_a_pot_pays_what_was_donated_and_what_it_may_owe() -> None:
    s = town()
    do(s, "bo", Donate(5))
    s.ids["relief"] = do(s, "timebank", ask_for(s, "ann", 28))[0]
    claimed(s, "one", "gus", "relief")
    do(s, "gus", Claim(s["relief"]), refused="hours_too_low")
    do(s, "bo", Donate(1))
    claimed(s, "two", "gus", "relief")
    assert balance(s, POT) == -POT_MIN
    assert (balance(s, "ann"), member(s, "ann").reserved_minutes) == (0, 0)
    helped(s, 30, "one")
    agreed(s, "one", 20, "gus", "ann")
    do(s, "gus", Drop(s["two"]))
    assert (balance(s, "gus"), balance(s, POT), balance(s, "ann")) == (20, -14, 0)
    do(s, "bo", Donate(14))
    assert not s.box.broken()


def test_nobody_has_more_than_32_services_open() -> None:
    s = town()
    for name in ("a", "b", "c"):
        released(s, name, "ann", ask(1))
    for name in ("a", "b"):
        do(s, "bo", *[Claim(s[name])] * 16)
    do(s, "bo", Claim(s["a"]), refused="no_slot")
    do(s, "bo", Claim(s["c"]), refused="too_many")
    do(s, "gus", Claim(s["c"]), refused="too_many")  # because Ann has
    do(s, "ann", Drop(member(s, "bo").services[0]))
    do(s, "gus", Claim(s["c"]))
    assert not s.box.broken()


def test_a_line_bears_what_both_have_offered() -> None:
    s = town()
    do(s, "timebank", SetLine("north", "south", 60))
    do(s, "ann", Transfer(s["di"], 61), refused="line_full")
    do(s, "ann", Transfer(s["di"], 40))
    assert (balance(s, line_to("south")), balance(s, line_to("north"), "south")) == (40, -40)
    released(s, "ask", "ann", ask(10))
    claimed(s, "one", "di")
    claimed(s, "two", "di")
    assert line(s, "north", "south") == Line(60, 100, 20, 0)
    do(s, "di", Claim(s["ask"]), refused="line_full")
    do(s, "ann", Transfer(s["di"], 1), refused="line_full")
    do(s, "south", SetLine("south", "north", 59), refused="line_used")
    do(s, "south", SetLine("south", "north", 60))
    do(s, "di", Transfer(s["ann"], 101), refused="line_full")
    do(s, "di", Transfer(s["ann"], 100))  # from 40 that are owed to 60 that are due
    assert balance(s, line_to("south")) == -60
    do(s, "di", Claim(s["ask"]))  # what is reserved counts on no debt the other way, but that way there is room
    assert line(s, "north", "south").first_reserved_minutes == 30
    do(s, "timebank", SetLine("north", "south", 59), refused="line_used")
    helped(s, 30, "one", "two")
    agreed(s, "one", 10, "di", "ann")
    assert line(s, "north", "south").first_reserved_minutes == 20
    assert balance(s, line_to("south")) == -50
    assert not s.box.broken()


def test_reserved_capacity_stands_when_a_debt_the_other_way_is_cleared() -> None:
    s = town(50)
    for source, target in (("ann", "di"), ("di", "ed"), ("ed", "ann")):
        do(s, source, Transfer(s[target], 50))
    released(s, "ask", "di", ask(50))
    claimed(s, "one", "bo")  # South may come to owe North 50, whatever North owes South
    do(s, "bo", Claim(s["ask"]), refused="line_full")
    do(s, "south", ClearCycle(RING, 50))
    helped(s, 60, "one", by="di")
    agreed(s, "one", 50, "bo", "di")
    assert balance(s, line_to("south")) == -50
    assert not s.box.broken()


def test_a_circle_is_struck_out_and_positions_stay() -> None:
    s = town()
    for source, target, minutes in (("ann", "di", 30), ("di", "ed", 20), ("ed", "ann", 50)):
        do(s, source, Transfer(s[target], minutes))
    do(s, "timebank", ClearCycle(RING, 21), refused="no_such_debt")
    do(s, "timebank", ClearCycle(("north", "west", "south"), 1), refused="no_such_debt")
    do(s, "timebank", ClearCycle(("west", "north", "south"), 15))
    do(s, "west", ClearCycle(RING, 5))
    owed = {(bank, other): balance(s, line_to(other), bank) for bank in RING for other in RING if bank != other}
    assert owed == {
        ("north", "south"): 10,
        ("south", "north"): -10,
        ("south", "west"): 0,
        ("west", "south"): 0,
        ("west", "north"): 30,
        ("north", "west"): -30,
    }
    assert [balance(s, who, book) for who, book in (("ann", "north"), ("di", "south"), ("ed", "west"))] == [20, 10, -30]
    assert not s.box.broken()


def test_offers_are_counted_once() -> None:
    s = town()
    for minutes in (7, 1, 0, 0, 1, 3):
        do(s, "west", SetLine("idle", "north", minutes))
        assert not s.box.broken()
    do(s, "office", CloseBank("idle"), refused="not_empty")
    do(s, "west", SetLine("idle", "north", 0))
    do(s, "office", CloseBank("idle"))
    do(s, "timebank", SetLine("north", "idle", 1), refused="winding_down")


def test_a_bank_is_closed_when_its_pot_is_even() -> None:
    s = town()
    do(s, "new", Join("idle"))
    do(s, "west", vouch(s, "new"), SetLine("idle", "west", 100), SetLine("west", "idle", 100))
    do(s, "new", Donate(10))
    do(s, "new", Move("west"))
    do(s, "west", vouch(s, "new"))
    do(s, "office", CloseBank("idle"), refused="not_empty")
    do(s, "ed", Join("idle"), refused="members_taken")
    do(s, "new", Move("idle"))
    do(s, "west", vouch(s, "new"), ask_for(s, "new", 10))
    task = do(s, "west", ask_for(s, "new", 10))[0]
    s.ids["one"] = do(s, "ed", Claim(task))[0]
    do(s, "office", Suspend("idle"))
    helped(s, 10, "one", by="ed")
    agreed(s, "one", 10, "ed", "new")
    assert balance(s, POT, "idle") == 0
    do(s, "new", Move("west"))
    do(s, "west", SetLine("idle", "west", 0))
    do(s, "office", CloseBank("idle"))
    do(s, "office", Resume("idle"), refused="not_suspended")
    do(s, "office", Renew("idle", s.stage.time_ms * 2), refused="closed")
    assert not s.box.broken()


def test_members_take_their_minutes_or_their_debt_along() -> None:
    s = town()
    do(s, "ann", Transfer(s["bo"], 30))
    do(s, "timebank", Exclude(s["ann"]), refused="owes")
    do(s, "ann", Leave(), refused="has_balance")
    do(s, "ann", Move("south"))
    do(s, "bo", Move("west"))
    assert [balance(s, who, book) for who, book in (("ann", "south"), ("bo", "west"), ("ann", "north"))] == [-30, 30, 0]
    assert balance(s, line_to("south")) == -30
    assert balance(s, line_to("west")) == 30
    assert (member(s, "ann").state, member(s, "ann").skills, member(s, "ann").level) == ("applied", (), 0)
    do(s, "ann", Transfer(s["di"], 1), refused="hours_too_low")  # only who is verified may owe more
    do(s, "bo", Transfer(s["ed"], 31), refused="hours_too_low")
    do(s, "bo", Transfer(s["ed"], 30))
    do(s, "bo", Leave())
    do(s, "bo", Join("north"))
    do(s, "south", vouch(s, "ann", 30), SetLine("south", "north", 29), refused="line_used")
    do(s, "south", SetLine("south", "north", 30))
    assert not s.box.broken()


def test_even_a_single_minute_is_taken_along() -> None:
    s = town()
    do(s, "ann", Transfer(s["bo"], 1))
    do(s, "ann", Move("south"))
    do(s, "bo", Move("south"))
    assert [balance(s, who, "south") for who in ("ann", "bo")] == [-1, 1]
    assert balance(s, line_to("south")) == 0
    assert not s.box.broken()


def test_a_bank_takes_whom_its_limits_allow() -> None:
    s = town(100_000)
    do(s, "ann", Transfer(s["bo"], MIN))
    do(s, "gus", Transfer(s["bo"], MIN))
    do(s, "di", Transfer(s["bo"], MAX - 2 * MIN))
    for name, least, most in (("tight", MIN - 1, MAX - 1), ("exact", MIN, MAX)):
        founded = do(s, "office", register(s, name, least, most))
        assert founded == ()
        for home in ("north", name):
            coordinator, other = ("timebank", name) if home == "north" else ("west", "north")
            do(s, coordinator, SetLine(home, other, 100_000))
    do(s, "bo", Move("tight"), refused="outside_limits")
    do(s, "ann", Move("tight"), refused="outside_limits")
    do(s, "bo", Move("exact"))
    do(s, "ann", Move("exact"))
    assert [balance(s, who, "exact") for who in ("ann", "bo")] == [-MIN, MAX]
    assert not s.box.broken()


def register(s: Scene, name: str, least: int, most: int) -> RegisterBank:
    """Return what admits a bank with limits of its own."""
    return RegisterBank(name, name, s["west"], 2, s.stage.time_ms * 2, least, most, 0)


def test_a_suspended_bank_ends_what_is_under_way_and_begins_nothing() -> None:
    s = town()
    released(s, "ask", "ann", ask(30))
    released(s, "far", "di", ask(30))
    for name in ("paid", "decided", "dropped"):
        claimed(s, name, "bo")
    claimed(s, "afar", "bo", "far")
    helped(s, 20, "paid")
    helped(s, 20, "decided")
    helped(s, 20, "afar", by="di")
    do(s, "office", Suspend("north"))
    do(s, "bo", Claim(s["ask"]), refused="winding_down")
    do(s, "bo", Claim(s["far"]), refused="winding_down")
    do(s, "di", Claim(s["ask"]), refused="winding_down")
    do(s, "bo", Donate(1), refused="winding_down")
    do(s, "di", Transfer(s["bo"], 1), refused="winding_down")
    do(s, "di", Move("north"), refused="winding_down")
    do(s, "timebank", SetLine("north", "south", 101), refused="winding_down")
    do(s, "south", SetLine("south", "north", 101), refused="winding_down")
    do(s, "timebank", SetLine("north", "south", 99))
    agreed(s, "paid", 20, "bo", "ann")
    agreed(s, "afar", 20, "bo", "di")
    do(s, "ann", Dispute(s["decided"], "0" * 64))
    do(s, "timebank", Resolve(s["decided"], 5))
    do(s, "ann", CheckIn(s["dropped"]), CancelTask(s["ask"]))
    s.stage.wait(1)
    do(s, "bo", CheckOut(s["dropped"]), Confirm(s["dropped"], 1))
    do(s, "ann", Confirm(s["dropped"], 1))
    do(s, "bo", Transfer(s["di"], 46))
    do(s, "bo", Leave())
    do(s, "office", Resume("north"))
    do(s, "gus", ask(10))
    assert not s.box.broken()


def test_who_is_no_longer_accredited_coordinates_nothing() -> None:
    s = town()
    released(s, "ask", "ann", ask(30))
    claimed(s, "one", "bo")
    do(s, "office", SetCoordinator("north", s["spare"]))
    do(s, "timebank", vouch(s, "bo"), refused="not_coordinator")
    do(s, "timebank", Drop(s["one"]), refused="not_dropper")
    s.stage.act("office", Revoke(s["spare"], "timebank"))
    do(s, "spare", Drop(s["one"]), refused="not_dropper")
    do(s, "spare", CancelTask(s["ask"]), refused="not_author")
    s.stage.act("spare", vouch(s, "bo"), refused="not_allowed")
    assert set(BANKS) == {"north", "south", "west", "down", "lapsed", "idle"}
    do(s, "bo", Drop(s["one"]))
    assert (service(s, "one").state, service(s, "one").due_ms) == ("dropped", 0)


def test_a_task_waits_for_its_member_only_where_she_was_verified() -> None:
    s = town()
    released(s, "ask", "ann", ask(30))
    do(s, "ann", Move("south"))
    do(s, "bo", Claim(s["ask"]), refused="no_slot")
    do(s, "south", vouch(s, "ann"))
    do(s, "bo", Claim(s["ask"]), refused="no_slot")
    released(s, "again", "gus", ask(30))
    do(s, "timebank", Exclude(s["gus"]))
    do(s, "bo", Claim(s["again"]), refused="no_slot")
    do(s, "gus", Leave())
    do(s, "bo", Claim(s["again"]), refused="no_slot")


def test_a_dropped_slot_is_free_again() -> None:
    s = town()
    released(s, "ask", "ann", ask(30, 1))
    claimed(s, "one", "bo")
    do(s, "gus", Claim(s["ask"]), refused="no_slot")
    do(s, "bo", Drop(s["one"]))
    claimed(s, "two", "gus")
    assert not s.box.broken()


def test_an_offer_is_paid_by_who_claims_it() -> None:
    s = town()
    released(s, "offer", "bo", ask(30, kind="offer"))
    claimed(s, "one", "di", "offer")
    one = service(s, "one")
    assert (one.helper, one.receiver, one.bank, one.helper_bank) == (s["bo"], s["di"], "south", "north")
    do(s, "timebank", vouch(s, "bo", MIN, MAX, 2, "sew"))
    do(s, "gus", Claim(s["offer"]), refused="no_skill")
    helped(s, 40, "one", by="di")
    agreed(s, "one", 25, "di", "bo")
    assert [balance(s, "bo"), balance(s, "di", "south"), balance(s, line_to("south"))] == [25, -25, -25]
    assert not s.box.broken()
