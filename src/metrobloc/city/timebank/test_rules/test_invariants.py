"""Every invariant can fail: a damaged record breaks exactly what it should."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from metrobloc.city.timebank.rules import POT, app, banks, days, escrow, hours, line_to, lines, members, services, tasks
from metrobloc.city.timebank.test_rules import MAX, MIN, NOBODY, POT_MIN, scene
from metrobloc.city.timebank.types.records import Span
from metrobloc.kernel import codec
from metrobloc.kernel.tables import Balance, Table
from metrobloc.kernel.types import Record
from metrobloc.testing.edges import Scene

Damage = Callable[[Scene], None]
AnyTable = Table[Any, Any]
LINE = ("north", "south")


def write(s: Scene, table: AnyTable, key: object, record: Record) -> None:
    """Write a record behind the ledger's back."""
    s.box.memory.records.set(table.path(key).encode(), codec.encode(record))


def damaged(table: AnyTable, key: str | tuple[str, str], **fields: object) -> Damage:
    """Return what puts other values into a record; in texts a name in braces stands for its id."""

    def damage(s: Scene) -> None:
        place = s[key] if table in (members, services, tasks) and isinstance(key, str) else key
        made = {name: s[v[1:-1]] if isinstance(v, str) and v.startswith("{") else v for name, v in fields.items()}
        record = s.box.view[table].get(place)
        assert record is not None
        write(s, table, place, record.but(**made))

    return damage


def changed(table: AnyTable, key: str | tuple[str, str], field: str, by: int) -> Damage:
    """Return what adds to a number in a record."""

    def damage(s: Scene) -> None:
        place = s[key] if table in (members, services) and isinstance(key, str) else key
        record = s.box.view[table].get(place)
        assert record is not None
        write(s, table, place, record.but(**{field: getattr(record, field) + by}))

    return damage


def shifted(minutes: int, source: str, target: str = "") -> Damage:
    """Return what moves minutes in North's book, or makes them vanish."""

    def damage(s: Scene) -> None:
        for name, change in ((source, -minutes), (target, minutes)):
            holder = escrow(s["claimed"]) if name == "claimed" else name if "." in name else s[name or source]
            before = s.box.view.balance(hours, holder, "north")
            if name:
                write(s, hours.rows, ("north", holder), Balance(before + change))

    return damage


def day_of_gus(*spans: tuple[int, int]) -> Damage:
    """Return what gives Gus' one day of help other times, in minutes from the true beginning and end."""

    def damage(s: Scene) -> None:
        key, day = next(s.box.view[days].items())
        true = day.spans[0]
        write(
            s,
            days,
            tuple(key.split("/")),
            day.but(spans=tuple(Span(true.from_ms + a, true.to_ms + b) for a, b in spans)),
        )

    return damage


def paid_twice(s: Scene) -> None:
    """Pay for what Gus did at the same time, and note it in his day."""
    damaged(services, "clash", state="paid", minutes=1)(s)
    day_of_gus((0, 0), (0, 0))(s)


DAMAGES: dict[str, tuple[Damage, ...]] = {
    "every_book_sums_to_nothing": (shifted(1, "bo"),),
    "only_those_who_belong_to_a_bank_have_minutes_there": (
        shifted(1, "bo", "di"),
        shifted(1, "bo", line_to("gone")),
        damaged(members, "ex", bank="south"),
        damaged(services, "claimed", state="dropped"),
    ),
    "members_neither_owe_nor_save_more_than_their_limits": (
        shifted(MIN, "bo", "gus"),
        damaged(members, "gus", max_minutes=49),
        damaged(members, "ann", min_minutes=299),
        damaged(members, "ann", min_minutes=1000, reserved_minutes=MAX + 301),
    ),
    "members_and_pots_stay_within_what_their_bank_allows": (
        damaged(members, "di", level=3),
        damaged(members, "di", min_minutes=MIN + 1),
        damaged(members, "di", max_minutes=MAX + 1),
        damaged(members, "cy", bank="nowhere"),
        shifted(POT_MIN + 6, POT, "bo"),
    ),
    "the_two_ends_of_a_line_mirror_each_other_within_its_limit": (
        shifted(1, "bo", line_to("south")),
        damaged(lines, LINE, first_offer_minutes=59),
        damaged(lines, LINE, second_offer_minutes=59),
        damaged(lines, LINE, second_reserved_minutes=101),
    ),
    "an_escrow_holds_what_its_open_service_has_agreed": (
        damaged(services, "claimed", minutes_max=29),
        damaged(services, "done", state="dropped"),
        shifted(1, "bo", "claimed"),
    ),
    "no_more_is_paid_than_was_agreed_and_worked": (
        damaged(services, "paid", minutes=26),
        damaged(services, "paid", minutes_max=19),
        damaged(services, "done", minutes=1),
        damaged(services, "said", said_minutes=26),
        damaged(tasks, "single", claimed=0),
        damaged(tasks, "ask", slots=2),
    ),
    "a_helper_is_never_in_two_places": (
        day_of_gus(),
        day_of_gus((0, 1)),
        changed(services, "paid", "out_ms", 1),
        damaged(services, "paid", helper="{bo}"),
        paid_twice,
    ),
    "nobody_serves_himself_or_coordinates_his_own_bank": (
        damaged(services, "paid", receiver="{gus}"),
        damaged(banks, "north", coordinator="{bo}"),
    ),
    "what_is_reserved_follows_from_the_open_services": (
        changed(members, "bo", "incoming_minutes", 1),
        changed(members, "ann", "reserved_minutes", -1),
        damaged(members, "bo", services=()),
        damaged(members, "cy", services=(NOBODY,)),
        damaged(services, "claimed", helper="{new}"),
        damaged(services, "claimed", receiver="{new}"),
        changed(lines, LINE, "first_reserved_minutes", -1),
        changed(lines, LINE, "second_reserved_minutes", 1),
        damaged(services, "afar", helper_bank="idle"),
        damaged(services, "claimed", helper_bank="idle"),
    ),
    "banks_count_their_members_services_and_lines": (
        changed(banks, "north", "members", 1),
        changed(banks, "north", "services", -1),
        changed(banks, "south", "lines", -1),
        damaged(lines, LINE, first_offer_minutes=0),
        damaged(lines, LINE, second_offer_minutes=0),
    ),
    "a_closed_bank_has_nothing_left": (damaged(banks, "north", state="closed"),),
}
CASES = [(name, damage) for name, damages in DAMAGES.items() for damage in damages]


@cache
def standing() -> tuple[Scene, dict[bytes, bytes]]:
    """Return one scene for all, and its records."""
    s = scene()
    return s, dict(s.box.memory.records.rows)


@pytest.mark.parametrize(("name", "damage"), CASES, ids=[name for name, _ in CASES])
def test_an_invariant_can_fail(name: str, damage: Damage) -> None:
    s, rows = standing()
    s.box.memory.records.rows = dict(rows)
    assert not s.box.broken()
    damage(s)
    assert f"timebank.{name}" in s.box.broken()


def test_each_invariant_is_among_them() -> None:
    assert set(DAMAGES) == set(app.invariants)
