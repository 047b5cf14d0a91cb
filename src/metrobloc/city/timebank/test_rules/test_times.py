"""What time does: deadlines, windows, codes handed in later, midnight, and a clock that no queue can hold up."""

import msgspec
import pytest

from metrobloc.city.timebank import checks
from metrobloc.city.timebank.rules import POT, days, tasks
from metrobloc.city.timebank.test_rules import (
    DAY_MS,
    MINUTE_MS,
    MODULES,
    NO_PAPER,
    agreed,
    ask,
    balance,
    claimed,
    do,
    helped,
    member,
    service,
    town,
    upload,
    working,
)
from metrobloc.city.timebank.types.messages import (
    CancelTask,
    CheckIn,
    CheckOut,
    Claim,
    Confirm,
    Dispute,
    Donate,
    Drop,
    Renew,
    Resolve,
    UploadCheck,
)
from metrobloc.city.timebank.types.records import Day, Span
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.types import Rotate
from metrobloc.kernel import codec
from metrobloc.kernel.envelope import CALLS_MAX
from metrobloc.kernel.genesis import read_genesis
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

WEEK_MS = 7 * DAY_MS


def pass_time(s: Scene, until_ms: int) -> list[dict[str, object]]:
    """Let the next block be at a time, by a transaction that changes nothing of note; return its receipts."""
    s.stage.time_ms = until_ms - 1000
    s.stage.act("office", Renew("idle", until_ms * 2))
    assert not s.box.bugs
    assert not s.box.broken()
    return [msgspec.json.decode(receipt) for receipt in s.box.sealed[-1].receipts]


def told(receipts: list[dict[str, object]]) -> list[object]:
    """Return what deadlines have told."""
    return [receipt.get("events") for receipt in receipts if receipt.get("due")]


def test_what_one_side_says_is_paid_after_a_week_of_silence() -> None:
    s = working(60, "bo", "di")
    helped(s, 50, "by bo", "by di")
    do(s, "bo", Confirm(s["by bo"], 40))
    due_ms = s.stage.time_ms + WEEK_MS
    assert service(s, "by bo").due_ms == due_ms
    do(s, "ann", Confirm(s["by di"], 50))
    assert told(pass_time(s, due_ms - 1)) == [[{"event": "timebank.lapsed", "fields": {"task": s["ask"]}}]]
    assert service(s, "by bo").state == "said"
    paid = {"helper": s["bo"], "minutes": 40, "service": s["by bo"]}
    assert told(pass_time(s, due_ms)) == [[{"event": "timebank.paid", "fields": paid}]]
    assert (balance(s, "bo"), balance(s, "ann"), service(s, "by bo").minutes) == (40, -100, 40)
    pass_time(s, due_ms + 1000)
    assert (balance(s, "di", "south"), balance(s, "ann")) == (50, -90)
    assert (member(s, "bo").incoming_minutes, member(s, "ann").services) == (0, ())


def test_an_answer_in_time_stops_the_clock() -> None:
    s = working(60, "bo", "di")
    helped(s, 50, "by bo", "by di")
    do(s, "bo", Confirm(s["by bo"], 40))
    do(s, "di", Confirm(s["by di"], 40))
    due_ms = service(s, "by bo").due_ms
    s.stage.time_ms = due_ms - 1001
    do(s, "ann", Confirm(s["by bo"], 40), Dispute(s["by di"], NO_PAPER))
    assert told(pass_time(s, due_ms + 100 * DAY_MS)) == []
    assert (service(s, "by bo").state, service(s, "by di").state) == ("paid", "disputed")
    do(s, "office", Resolve(s["by di"], 50))
    assert balance(s, "di", "south") == 50


@pytest.mark.parametrize("progress", ["claimed", "begun", "done"])
def test_what_nobody_confirms_returns(progress: str) -> None:
    s = working(60, "bo")
    if progress != "claimed":
        do(s, "bo", CheckIn(s["by bo"]))
    if progress == "done":
        do(s, "bo", CheckOut(s["by bo"]))
    due_ms = START_MS + 3 * DAY_MS + 14 * DAY_MS
    assert service(s, "by bo").due_ms == due_ms
    pass_time(s, due_ms - 1)
    assert service(s, "by bo").state == progress
    expired = {"reason": "unconfirmed", "service": s["by bo"]}
    assert told(pass_time(s, due_ms)) == [[{"event": "timebank.expired", "fields": expired}]]
    assert (balance(s, "ann"), balance(s, "bo"), member(s, "bo").incoming_minutes) == (0, 0, 0)
    do(s, "bo", Confirm(s["by bo"], 1), refused="ended")


def test_a_first_confirmation_gives_the_other_its_whole_week() -> None:
    s = working(60, "bo")
    helped(s, 50, "by bo")
    last_ms = START_MS + 17 * DAY_MS - 1
    s.stage.time_ms = last_ms - 1000
    do(s, "bo", Confirm(s["by bo"], 40))
    pass_time(s, last_ms + WEEK_MS - 1)
    assert service(s, "by bo").state == "said"
    pass_time(s, last_ms + WEEK_MS)
    assert service(s, "by bo").state == "paid"


def test_a_helper_who_was_elsewhere_is_not_paid_by_silence() -> None:
    s = working(60, "bo", "gus")
    s.ids["other"] = do(s, "gus", ask(60))[0]
    claimed(s, "twice", "bo", "other")
    do(s, "gus", CheckIn(s["twice"]))
    helped(s, 50, "by bo")
    do(s, "bo", CheckOut(s["twice"]))
    do(s, "bo", Confirm(s["by bo"], 40), Confirm(s["twice"], 45))
    do(s, "gus", Confirm(s["twice"], 45))
    do(s, "ann", Confirm(s["by bo"], 40), refused="overlaps")
    expired = {"reason": "overlaps", "service": s["by bo"]}
    receipts = pass_time(s, service(s, "by bo").due_ms)
    assert [{"event": "timebank.expired", "fields": expired}] in told(receipts)
    assert (balance(s, "bo"), balance(s, "gus"), service(s, "by bo").minutes) == (45, -45, 0)


def test_a_decision_cannot_put_a_helper_in_two_places() -> None:
    s = working(60, "bo")
    claimed(s, "twice", "bo")
    helped(s, 50, "by bo", "twice")
    agreed(s, "by bo", 50, "ann", "bo")
    do(s, "ann", Dispute(s["twice"], NO_PAPER))
    do(s, "office", Resolve(s["twice"], 1), refused="overlaps")
    do(s, "office", Resolve(s["twice"], 0))
    assert (balance(s, "ann"), service(s, "twice").state) == (-50, "resolved")
    assert not s.box.broken()


def at(s: Scene, name: str, times: tuple[int, int]) -> None:
    """Let Bo hand in codes that Ann has signed for times since the first midnight after the start."""
    midnight = START_MS // DAY_MS * DAY_MS + DAY_MS
    for what, time in zip(("in", "out"), times, strict=True):
        do(s, "bo", upload(s, "ann", name, "in" if what == "in" else "out", midnight + time))


def test_help_across_midnight_stands_in_both_days() -> None:
    s = working(10)
    names = ["night", "before", "after", "over", "same"]
    for name in names:
        claimed(s, name, "bo")
    s.stage.time_ms = START_MS + 2 * DAY_MS
    half = 30 * MINUTE_MS
    at(s, "night", (-half, half))
    at(s, "before", (-2 * half, -half))
    at(s, "after", (half, 2 * half))
    at(s, "over", (half - 1, 2 * half))
    at(s, "same", (-half - MINUTE_MS, -half + 1))
    for name in names[:3]:
        agreed(s, name, 10, "bo", "ann")
    for name in names[3:]:
        do(s, "bo", Confirm(s[name], 1), refused="overlaps")
    day = START_MS // DAY_MS
    midnight = (day + 1) * DAY_MS
    night = Span(midnight - half, midnight + half)
    first, second = (s.box.view[days].get((s["bo"], str(number))) for number in (day, day + 1))
    assert first == Day((night, Span(midnight - 2 * half, midnight - half)))
    assert second == Day((night, Span(midnight + half, midnight + 2 * half)))
    assert not s.box.broken()


def test_help_until_midnight_leaves_the_next_day_free() -> None:
    s = working(10)
    claimed(s, "evening", "bo")
    s.stage.time_ms = START_MS + 2 * DAY_MS
    at(s, "evening", (-60 * MINUTE_MS, 0))
    agreed(s, "evening", 10, "bo", "ann")
    found = [s.box.view[days].get((s["bo"], str(START_MS // DAY_MS + number))) is not None for number in (0, 1)]
    assert found == [True, False]


def test_help_begins_within_the_window_and_after_the_claim() -> None:
    s = town()
    opens_ms, closes_ms = START_MS + DAY_MS, START_MS + 2 * DAY_MS
    s.ids["ask"] = do(s, "ann", ask(10, from_ms=opens_ms, until_ms=closes_ms))[0]
    for name in ("early", "first", "last"):
        claimed(s, name, "bo")
    do(s, "bo", CheckIn(s["early"]), refused="outside_window")
    s.stage.time_ms = opens_ms + 60 * MINUTE_MS
    claimed(s, "later", "gus")
    claimed_ms = s.stage.time_ms
    do(s, "bo", upload(s, "ann", "first", "in", opens_ms - 1), refused="outside_window")
    do(s, "bo", upload(s, "ann", "first", "in", opens_ms))
    do(s, "gus", upload(s, "ann", "later", "in", claimed_ms - 1), refused="outside_window")
    do(s, "gus", upload(s, "ann", "later", "in", claimed_ms))
    s.stage.time_ms = closes_ms + 5 * DAY_MS
    do(s, "bo", upload(s, "ann", "last", "in", closes_ms), refused="outside_window")
    do(s, "bo", CheckIn(s["last"]), refused="outside_window")
    do(s, "bo", upload(s, "ann", "last", "in", closes_ms - 1))
    do(s, "ann", upload(s, "bo", "last", "out", closes_ms + 9))


def test_a_window_ends_by_itself() -> None:
    s = town()
    s.ids["ask"] = do(s, "ann", ask(10, until_ms=START_MS + DAY_MS))[0]
    s.ids["gone"] = do(s, "ann", ask(10, until_ms=START_MS + DAY_MS))[0]
    do(s, "ann", CancelTask(s["gone"]))
    s.stage.time_ms = START_MS + DAY_MS - 1000
    assert told(pass_time(s, START_MS + DAY_MS)) == [[{"event": "timebank.lapsed", "fields": {"task": s["ask"]}}]]
    states = [found.state for found in (s.box.view[tasks].get(s[name]) for name in ("ask", "gone")) if found]
    assert states == ["expired", "cancelled"]
    do(s, "bo", Claim(s["ask"]), refused="no_slot")
    do(s, "ann", CancelTask(s["ask"]), refused="no_slot")


def test_a_licence_lapses_without_a_deadline() -> None:
    s = town()
    until_ms = s.stage.time_ms + DAY_MS
    do(s, "office", Renew("north", until_ms))
    s.stage.time_ms = until_ms - 1001
    do(s, "bo", Donate(1))
    s.stage.time_ms = until_ms - 1000
    do(s, "bo", Donate(1), refused="winding_down")
    do(s, "office", Renew("north", until_ms + DAY_MS))
    do(s, "bo", Donate(1))
    assert balance(s, POT) == 2


def test_a_code_counts_with_the_key_in_force() -> None:
    s = working(60, "bo")
    old = upload(s, "ann", "by bo", "in", s.stage.time_ms)
    s.stage.act("ann", Rotate((s.key("ann's new key"),)), also=("ann's new key",))
    s.stage.time_ms += DAY_MS
    do(s, "bo", old, refused="bad_code")
    do(s, "bo", upload(s, "ann's new key", "by bo", "in", old.at_ms))


def test_a_code_says_chain_service_end_and_time() -> None:
    """Pin the bytes: phones make them without this code."""
    made = checks.code("demo-city-1", "a" * 26, "out", 1_700_000_000_000)
    payload = b'{"at_ms":1700000000000,"chain":"demo-city-1","service":"aaaaaaaaaaaaaaaaaaaaaaaaaa","what":"out"}'
    kind = b"application/vnd.metrobloc.timebank.check.v1+json"
    assert made == b"DSSEv1 48 " + kind + b" 97 " + payload
    assert (len(kind), len(payload)) == (48, 97)


def test_a_code_for_another_chain_is_refused() -> None:
    s = working(60, "bo")
    signed = s.stage.key("ann").sign(checks.code("demo-other", s["by bo"], "in", s.stage.time_ms))
    do(s, "bo", UploadCheck(s["by bo"], "in", s.stage.time_ms, signed.hex()), refused="bad_code")


def test_48_services_fill_a_day() -> None:
    s = working(1)
    midnight = START_MS // DAY_MS * DAY_MS + DAY_MS
    tasks_of_the_day = [do(s, "ann", ask(1, until_ms=START_MS + 3 * DAY_MS))[0] for _ in range(4)]
    s.stage.time_ms = midnight
    for number in range(49):
        begun_ms = midnight + 10_000 + number * 2 * MINUTE_MS
        s.ids["next"] = do(s, "bo", Claim(tasks_of_the_day[number // CALLS_MAX]))[0]
        s.stage.time_ms = begun_ms - 1000
        do(s, "bo", CheckIn(s["next"]))
        s.stage.time_ms = begun_ms + MINUTE_MS - 1000
        s.stage.act("bo", CheckOut(s["next"]))
        if number < 48:
            do(s, "bo", Confirm(s["next"], 1))
            do(s, "ann", Confirm(s["next"], 1))
    do(s, "bo", Confirm(s["next"], 1), refused="overlaps")
    assert (balance(s, "bo"), balance(s, "ann")) == (48, -49)
    assert not s.box.broken()


def codes_of(s: Scene, *calls: tuple[str, Message]) -> set[str]:
    """Send each call as a transaction of its own, all in one block; return what became of them."""
    return {outcome.code for outcome in s.stage.send([s.stage.sign(call) for call in calls])}


def test_what_is_due_counts_as_due_while_it_waits() -> None:
    base = read_genesis(demo_genesis(START_MS, [module.name for module in MODULES]))
    s = town(genesis=codec.encode(msgspec.structs.replace(base, limits=Limits(deadlines_per_block=1))))
    until_ms = START_MS + DAY_MS
    names = ("one", "two", "three")
    for name in names:
        s.ids[name] = do(s, "ann", ask(10, until_ms=until_ms))[0]
    for name in ("claimed", "begun", "done", "said"):
        claimed(s, name, "bo", "one")
    helped(s, 10, "done", "said")
    do(s, "bo", CheckIn(s["begun"]))
    s.stage.time_ms = until_ms - 1000
    calls: list[tuple[str, Message]] = [("bo", Claim(s[name])) for name in names]
    assert codes_of(s, *calls, *(("ann", CancelTask(s[name])) for name in names)) == {"timebank.no_slot"}
    s.stage.time_ms = until_ms + 14 * DAY_MS - 1000
    calls = [
        ("bo", Drop(s["claimed"])),
        ("bo", CheckIn(s["claimed"])),
        ("bo", CheckOut(s["begun"])),
        ("bo", Confirm(s["done"], 5)),
        ("ann", Dispute(s["done"], NO_PAPER)),
        ("bo", upload(s, "ann", "claimed", "in", until_ms - 1)),
    ]
    assert codes_of(s, *calls) == {"timebank.too_late"}
    for _ in range(6):
        do(s, "gus", Donate(1))
    assert (balance(s, "ann"), member(s, "ann").services) == (0, ())
    assert not s.box.broken()
