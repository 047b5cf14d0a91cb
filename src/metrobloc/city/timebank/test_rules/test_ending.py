"""How help ends: by the helper's word or signed code, and without either by a coordinator's decision."""

from metrobloc.city.timebank.rules import escrow
from metrobloc.city.timebank.test_rules import (
    DAY_MS,
    MINUTE_MS,
    NO_PAPER,
    agreed,
    balance,
    claimed,
    do,
    helped,
    service,
    upload,
    working,
)
from metrobloc.city.timebank.types.messages import CheckIn, CheckOut, Confirm, Dispute, Resolve


def test_help_lasts_a_day_at_most() -> None:
    s = working(60, "bo", "gus")
    do(s, "ann", CheckIn(s["by bo"]), CheckIn(s["by gus"]))
    begun_ms = s.stage.time_ms
    s.stage.time_ms = begun_ms + DAY_MS - 999
    do(s, "gus", CheckOut(s["by gus"]), refused="too_long_a_day")
    do(s, "ann", upload(s, "bo", "by bo", "out", begun_ms + DAY_MS + 1), refused="too_long_a_day")
    do(s, "ann", upload(s, "bo", "by bo", "out", begun_ms + DAY_MS))
    assert service(s, "by bo").out_ms == begun_ms + DAY_MS
    do(s, "gus", Dispute(s["by gus"], NO_PAPER))  # the way out when a check-out was forgotten
    assert service(s, "by gus").out_ms == 0
    do(s, "timebank", Resolve(s["by gus"], 61), refused="above_ceiling")
    do(s, "timebank", Resolve(s["by gus"], 60))
    assert service(s, "by gus").out_ms == begun_ms + 60 * MINUTE_MS
    assert not s.box.broken()


def test_a_receiver_alone_does_not_end_the_help() -> None:
    s = working(60, "bo", "gus")
    do(s, "ann", CheckIn(s["by bo"]), CheckIn(s["by gus"]))
    s.stage.time_ms += MINUTE_MS
    early = upload(s, "gus", "by gus", "out", s.stage.time_ms)
    do(s, "ann", CheckOut(s["by bo"]), refused="helper_ends")
    do(s, "ann", upload(s, "ann", "by bo", "out", s.stage.time_ms), refused="bad_code")
    s.stage.time_ms = service(s, "by bo").in_ms + 60 * MINUTE_MS - 1000
    do(s, "bo", CheckOut(s["by bo"]))
    do(s, "ann", early)  # here the helper has signed that it was short
    agreed(s, "by bo", 60, "bo", "ann")
    assert (balance(s, "bo"), service(s, "by gus").limit_minutes) == (60, 1)


def test_a_dispute_at_the_very_beginning_leaves_all_to_the_coordinator() -> None:
    s = working(60, "bo")
    do(s, "bo", CheckIn(s["by bo"]), CheckOut(s["by bo"]), refused="out_before_in")
    do(s, "ann", CheckIn(s["by bo"]), Dispute(s["by bo"], NO_PAPER))
    begun_ms = service(s, "by bo").in_ms
    assert service(s, "by bo").out_ms == 0
    do(s, "bo", CheckOut(s["by bo"]), refused="in_dispute")
    do(s, "timebank", Resolve(s["by bo"], 1), refused="above_wall")
    s.stage.time_ms = begun_ms + 5 * 60 * MINUTE_MS
    do(s, "timebank", Resolve(s["by bo"], 61), refused="above_ceiling")
    do(s, "timebank", Resolve(s["by bo"], 60))
    assert service(s, "by bo").out_ms == begun_ms + 60 * MINUTE_MS
    assert (balance(s, "bo"), balance(s, "ann"), balance(s, escrow(s["by bo"]))) == (60, -60, 0)
    assert not s.box.broken()


def test_without_a_check_out_no_decision_pays_for_what_is_yet_to_come() -> None:
    s = working(60, "bo", "gus")
    do(s, "ann", *(call for name in ("by bo", "by gus") for call in (CheckIn(s[name]), Dispute(s[name], NO_PAPER))))
    begun_ms = service(s, "by bo").in_ms
    do(s, "office", Resolve(s["by gus"], 0))
    s.stage.time_ms = begun_ms + 31 * MINUTE_MS - 1001 - 1000
    do(s, "timebank", Resolve(s["by bo"], 31), refused="above_wall")
    do(s, "timebank", Resolve(s["by bo"], 30))
    assert service(s, "by bo").out_ms == begun_ms + 30 * MINUTE_MS
    assert (balance(s, "bo"), balance(s, "gus"), balance(s, "ann")) == (30, 0, -30)
    assert not s.box.broken()


def test_a_decision_without_a_check_out_cannot_put_a_helper_in_two_places() -> None:
    s = working(60, "bo")
    claimed(s, "next", "bo")
    do(s, "ann", CheckIn(s["by bo"]), Dispute(s["by bo"], NO_PAPER))
    s.stage.time_ms += 30 * MINUTE_MS
    helped(s, 10, "next")
    agreed(s, "next", 10, "bo", "ann")
    s.stage.time_ms += DAY_MS
    do(s, "timebank", Resolve(s["by bo"], 60), refused="overlaps")
    do(s, "timebank", Resolve(s["by bo"], 1))
    assert not s.box.broken()


def test_what_nobody_answers_is_returned_where_the_helper_was_elsewhere() -> None:
    s = working(60, "bo")
    claimed(s, "next", "bo")
    do(s, "ann", CheckIn(s["by bo"]), CheckIn(s["next"]))
    s.stage.time_ms += 20 * MINUTE_MS
    do(s, "bo", CheckOut(s["by bo"]), CheckOut(s["next"]), Confirm(s["by bo"], 10))
    agreed(s, "next", 20, "bo", "ann")
    s.stage.time_ms += 8 * DAY_MS
    do(s, "timebank", Resolve(s["by bo"], 1), refused="not_disputed")
    assert (service(s, "by bo").state, service(s, "by bo").minutes) == ("expired", 0)
    assert (balance(s, "bo"), balance(s, "ann"), balance(s, escrow(s["by bo"]))) == (20, -20, 0)
    assert not s.box.broken()


def test_a_minute_counts_when_it_is_whole() -> None:
    s = working(60, "bo")
    do(s, "bo", CheckIn(s["by bo"]))
    s.stage.time_ms += 2 * MINUTE_MS - 1001
    do(s, "bo", CheckOut(s["by bo"]))
    do(s, "bo", Confirm(s["by bo"], 2), refused="above_wall")
    do(s, "bo", Confirm(s["by bo"], 1))
