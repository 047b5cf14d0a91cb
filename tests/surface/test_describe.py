"""One description of all that modules declare: fields with their limits, and names that do not collide."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from metrobloc import app
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.types import AccountId, Amount, Event, Id, Key, Message, Public, Record, Slug, TimeMs
from metrobloc.surface import describe
from metrobloc.surface.describe import FieldDoc, check_names, fields_of


class Leg(Record):
    """A part of a payment."""

    to: AccountId
    until_ms: Amount


class Pay(Message):
    """Pay."""

    legs: Annotated[tuple[Leg, ...], Meta(min_length=1, max_length=8)]
    pair: tuple[Slug, Slug]
    how: Literal["now", "later"] = "now"
    note: Public | None = None
    until_ms: TimeMs = 0
    minutes_max: Annotated[int, Meta(ge=-5, le=9)] = 3
    urgent: bool = False
    keys: Annotated[tuple[Key, ...], Meta(max_length=3)] = ()


class Paid(Event):
    """Something was paid."""

    legs: Annotated[tuple[Id, ...], Meta(max_length=8)]


class Shelf(Record):
    """What is kept."""

    name: Public


def toy() -> Module:
    """Declare one of everything."""
    toy = Module("toy", {"broken": "It is broken."})
    toy.table("shelves", Shelf, tuple[str, str], "unknown")
    toy.ledger("coins")
    toy.param("fee_cents", 5, "Somebody must pay.", (0, 10))

    @toy.tx(allow=role("bank") | anyone)
    def pay(ctx: Ctx, msg: Pay) -> None:
        """Pay somebody.

        It cannot be undone.
        """
        del ctx, msg

    @toy.query
    def total(view: View, of: Slug, limit: Amount = 7) -> int:
        """Count."""
        del view, of
        return limit

    @toy.invariant
    def nothing_is_lost(view: View) -> bool:
        """All is there."""
        return view is not None

    return toy


def test_fields_tell_kind_and_limits() -> None:
    legs, pair, how, note, until, minutes, urgent, keys = fields_of(Pay)
    assert (legs.kind, legs.base, legs.many, legs.required) == ("struct", Leg, True, True)
    assert (legs.fewest, legs.several, legs.limits()) == (1, 8, "1 to 8 of them")
    to, inner = legs.parts
    assert (to.kind, to.longest, to.limits()) == ("account", 26, "")
    assert (inner.kind, inner.unit, inner.limits()) == ("integer", "ms", "1 to 9,007,199,254,740,991")
    assert (pair.kind, pair.fewest, pair.limits()) == ("slug", 2, "2 of them, each at most 32 characters")
    assert (how.kind, how.choices, how.default, how.limits()) == ("choice", ("now", "later"), '"now"', "now or later")
    assert (note.kind, note.required, note.default, note.longest) == ("public", False, "null", 200)
    assert (until.unit, until.least, until.default) == ("ms", 0, "0")
    assert (minutes.unit, minutes.least, minutes.most, minutes.default) == ("minutes", -5, 9, "3")
    assert (urgent.kind, urgent.default, urgent.limits()) == ("boolean", "false", "")
    assert (keys.kind, keys.many, keys.fewest, keys.default) == ("key", True, None, "[]")


def test_a_module_is_described_whole() -> None:
    made, kernel = describe.describe({"toy": toy()})
    (pay,) = made.actions
    assert (pay.do, pay.verb, pay.summary) == ("toy.pay", "pay", "Pay somebody.")
    assert pay.text == "Pay somebody. It cannot be undone."
    assert pay.allow == "(role bank or any registered account)"
    shelves, coins = made.tables
    assert (shelves.key, shelves.record, shelves.ledger) == (("key", "second"), Shelf, False)
    assert (coins.key, coins.ledger, coins.parts) == (("book", "holder"), True, 2)
    (total,) = made.queries
    of, limit = total.fields
    assert (total.name, of.required, limit.default) == ("total", True, "7")
    (fee,) = made.params
    assert (fee.limits, fee.unit, fee.why) == ((0, 10), "cents", "Somebody must pay.")
    assert "toy.paid" in {event.name for event in made.events}
    assert made.invariants == {"nothing_is_lost": "All is there."}
    assert made.refusals["toy.shelves_unknown"].endswith(".")
    assert kernel.name == "kernel"
    assert kernel.refusals == ENGINE_REFUSALS
    assert {table.name for table in kernel.tables} >= {"accounts", "roles", "params"}


def test_every_module_of_the_city_is_described() -> None:
    for made in describe.describe(app.modules())[:-1]:
        assert made.title.lower().replace(" ", "").startswith(made.name)
        assert made.text
        assert made.actions
        assert made.events
        assert all(event.name.startswith(f"{made.name}.") and event.text for event in made.events)
    assert b'"base":"Leg"' in describe.to_json(describe.describe(app.modules()))


def bare(view: View, name: str) -> None:
    """Ask with anything."""


def endless(view: View, count: int) -> None:
    """Ask for any number."""


def either(view: View, what: Slug | Amount) -> None:
    """Ask in two ways."""


def mixed(view: View, what: tuple[Slug, bool]) -> None:
    """Ask with a pair."""


@pytest.mark.parametrize("query", [bare, endless, either, mixed])
def test_what_cannot_be_shown_or_has_no_limits_is_refused(query: object) -> None:
    with pytest.raises(TypeError, match=r"no limits|several types|different things"):
        describe.parameters_of(query)  # type: ignore[arg-type]  # as a developer might write it


def two(first: str, table: str, second: str, other: str) -> dict[str, Module]:
    """Declare two modules with a table each."""
    made = {first: Module(first, {}), second: Module(second, {})}
    made[first].table(table, Shelf, str)
    made[second].table(other, Shelf, str)
    return made


def test_names_of_one_kind_may_not_meet() -> None:
    check_names(app.modules(), ())
    check_names(two("a", "b", "a_b", "c"), ("a_c",))
    with pytest.raises(TypeError, match="two tables would both be called a_b_c"):
        check_names(two("a", "b_c", "a_b", "c"), ())
    with pytest.raises(TypeError, match="the command `metrobloc up`"):
        check_names({"up": Module("up", {})}, ("up",))
    with pytest.raises(TypeError, match="a path of the door"):
        check_names({"kernel": Module("kernel", {})}, ())
    with pytest.raises(TypeError, match="is wired as b"):
        check_names({"b": Module("a", {})}, ())


def test_a_field_is_a_plain_value() -> None:
    first, *_ = fields_of(Pay)
    assert isinstance(first, FieldDoc)
    assert hash(first) == hash(fields_of(Pay)[0])
