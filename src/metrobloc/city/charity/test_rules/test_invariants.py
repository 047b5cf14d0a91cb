"""Every invariant can fail: a damaged record breaks exactly what it should."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from metrobloc.city.charity.rules import (
    app,
    campaigns,
    claims,
    flags,
    gifts,
    invoices,
    offers,
    purses,
    shares,
    spans,
)
from metrobloc.city.charity.rules.declared import KIND, contributions
from metrobloc.city.charity.rules.lines import place
from metrobloc.city.charity.test_rules import NO_PAPER, NOBODY, paper, scene
from metrobloc.city.charity.test_rules.test_aiding import FOUND
from metrobloc.city.charity.types.records import Claim, Contribution, Invoice, Line
from metrobloc.commons.money.rules import balances
from metrobloc.kernel import codec
from metrobloc.kernel.tables import Balance, Table
from metrobloc.kernel.types import Record
from metrobloc.testing.edges import Scene

Damage = Callable[[Scene], None]
AnyTable = Table[Any, Any]
HOLDS = "a_campaign_holds_exactly_what_its_purses_hold"
LIE = "gifts_lie_one_behind_the_other_on_their_purses_line"
FEN = "every_fen_that_left_a_purse_has_one_place_and_one_destination"
BACK = "a_refunded_gift_went_back_from_its_own_place"
PAID = "no_invoice_is_paid_beyond_what_was_claimed_and_approved"
ONCE = "an_invoice_stands_under_one_claim_in_the_whole_city"
RESERVED = "reserved_money_pays_only_for_its_purpose"
APART = "whoever_decides_over_a_case_is_not_paid_from_it"
COUNTED = "campaigns_count_their_open_invoices_and_the_flags_that_freeze_them"
MOVES = "money_moves_on_only_from_finished_campaigns"
KEPT = "an_offer_keeps_its_pool_until_it_pays"
WITHIN = "matches_stay_within_pool_and_caps_and_spend_the_pool_or_meet_every_wish"
ASKED = "shares_are_what_their_gifts_ask"


def write(s: Scene, table: AnyTable, key: object, record: Record | None) -> None:
    """Write a record behind the ledger's back, or drop it."""
    s.box.memory.records.set(table.path(key).encode(), None if record is None else codec.encode(record))


def damaged(table: AnyTable, *names: str, **fields: object) -> Damage:
    """Return what puts other values into a record; a function gets the old one."""

    def damage(s: Scene) -> None:
        key = tuple(s.ids.get(name, name) for name in names)
        at = key if len(key) > 1 else key[0]
        record = s.box.view[table].get(at)
        assert record is not None
        made = {name: _new(s, getattr(record, name), value) for name, value in fields.items()}
        write(s, table, at, record.but(**made))

    return damage


def _new(s: Scene, old: object, value: object) -> object:
    if callable(value):
        return value(old)
    return s[value[1:]] if isinstance(value, str) and value.startswith("@") else value


def money(amount: int, pot: str) -> Damage:
    """Return what puts so much more into a pot."""

    def damage(s: Scene) -> None:
        kind, _, name = pot.partition(".")
        holder = f"charity.{kind}.{s[name]}"
        before = s.box.view.balance(balances, holder, "cny")
        write(s, balances.rows, ("cny", holder), Balance(before + amount))

    return damage


def row(table: AnyTable, key: Callable[[Scene], object], record: Callable[[Scene], Record | None]) -> Damage:
    """Return what writes a row, or drops one."""
    return lambda s: write(s, table, key(s), record(s))


def span(name: str, **fields: object) -> Damage:
    """Return what damages the span over a gift's end."""

    def damage(s: Scene) -> None:
        gift = s.box.view[gifts].get(s[name])
        assert gift is not None
        for key, _ in s.box.view[spans].items(under=f"{gift.campaign}/{gift.purse}/"):
            if int(key[-16:]) >= gift.start + gift.amount:
                damaged(spans, *key.split("/"), **fields)(s)
                return

    return damage


def up(value: object) -> object:
    """Return one more."""
    return value + 1 if isinstance(value, int) else value


def down(value: object) -> object:
    """Return one less."""
    return value - 1 if isinstance(value, int) else value


def another(s: Scene) -> Claim:
    """Return a claim of an invoice that stands under another one."""
    found = s.box.view[claims].get(s["new"])
    assert found is not None
    return found


CASES: list[tuple[Damage, set[str]]] = [
    (money(1, "campaign.open"), {HOLDS}),
    (damaged(purses, "open", "crowd", received=up), {HOLDS, LIE}),
    (damaged(purses, "open", "crowd", gifts=up), {LIE}),
    (damaged(purses, "open", "crowd", used=1_000), {HOLDS, FEN}),
    (damaged(campaigns, "open", purses=()), {HOLDS}),
    (damaged(purses, "paid", "crowd", spent=down, refunded=up), {FEN}),
    (damaged(gifts, "early", amount=up), {LIE}),
    (damaged(gifts, "early", start=up), {LIE}),
    (damaged(gifts, "back", returned=4), {BACK}),
    (damaged(gifts, "early", returned=1), {BACK}),
    (span("back", gift="@early"), {BACK}),
    (span("back", start=down), {FEN, BACK}),
    (span("back", what="moved"), {FEN, BACK, MOVES}),
    (damaged(claims, "part", paid=(39,)), {PAID}),
    (damaged(claims, "part", approved=(61,)), {PAID}),
    (damaged(claims, "part", approved=(39,)), {PAID}),
    (damaged(claims, "part", state="paid"), {PAID, COUNTED}),
    (damaged(claims, "final", state="refused"), {PAID}),
    (span("spent", claim="@part"), {PAID}),
    (row(invoices, lambda _: (KIND, paper("part")), lambda _: None), {ONCE}),
    (row(invoices, lambda _: (KIND, NO_PAPER), lambda s: Invoice(s["part"])), {ONCE}),
    (row(invoices, lambda _: (KIND, paper("part")), lambda s: Invoice(s["ok"])), {ONCE}),
    (row(claims, lambda _: NOBODY, another), {ONCE, COUNTED}),
    (damaged(claims, "part", lines=(Line("item", "treatment", 1, 59),)), {PAID}),
    (damaged(campaigns, "open", verifier="@charity"), {APART}),
    (damaged(campaigns, "open", approver=None), {APART}),
    (damaged(claims, "ok", payee="@charity"), {APART}),
    (damaged(claims, "ok", approver="@civil_affairs"), {APART}),
    (damaged(claims, "ok", payee="@supervisor"), {APART}),
    (damaged(campaigns, "closed", claims=up), {COUNTED}),
    (damaged(campaigns, "cold", frozen=0), {COUNTED}),
    (damaged(flags, "flag", state="lifted"), {COUNTED}),
    (damaged(campaigns, "moved", state="closed"), {MOVES}),
    (damaged(campaigns, "took", took_surplus=False), {MOVES}),
    (damaged(campaigns, "took", template="other"), {MOVES}),
    (damaged(gifts, "gift of another", moved_from="@done"), {MOVES}),
    (money(1, "offer.offer"), {KEPT}),
    (damaged(offers, "offer", pool=99), {KEPT}),
    (damaged(offers, "offer", campaigns=3), {KEPT}),
    (damaged(offers, "brief", state="paying"), {KEPT}),
    (damaged(shares, "offer", place(0), part=1), {WITHIN}),
    (damaged(shares, "brief", place(0), part=6), {WITHIN}),
    (damaged(offers, "brief", campaign_max=6), {WITHIN}),
    (damaged(shares, "offer", place(0), asked=up), {ASKED}),
    (damaged(shares, "offer", place(0), roots=up), {ASKED}),
    (damaged(gifts, "matched", asked=()), {ASKED}),
]


@cache
def broken_by_nothing() -> list[str]:
    """Return what is broken on the scene as it is."""
    return scene().box.broken()


@pytest.mark.parametrize(("damage", "broken"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_a_damaged_record_is_found(damage: Damage, broken: set[str]) -> None:
    assert not broken_by_nothing()
    s = scene()
    damage(s)
    found = {name.removeprefix("charity.") for name in s.box.broken() if name.startswith("charity.")}
    assert found == broken


def test_every_invariant_is_damaged_here() -> None:
    met = set.union(*(broken for _, broken in CASES)) | {RESERVED} | FOUND
    assert met == set(app.invariants)


def test_what_was_reserved_and_paid_for_something_else_is_found() -> None:
    s = scene()
    key = next(key for key, one in s.box.view[spans].items() if one.what == "paid" and one.campaign == s["done"])
    moved = s.box.view[spans].get(tuple(key.split("/")))  # type: ignore[arg-type]
    assert moved is not None
    write(s, spans, (s["done"], "crowd.medicine", place(4)), moved.but(purse="crowd.medicine", start=0))
    assert f"charity.{RESERVED}" in s.box.broken()


def test_a_contribution_that_nobody_gave_is_found() -> None:
    s = scene()
    write(s, contributions, (s["offer"], s["open"], s["ann"]), Contribution(5))
    assert not s.box.broken()  # the offer is by ratio, so nobody reads it
    damaged(offers, "offer", mode="quadratic")(s)
    assert f"charity.{ASKED}" in s.box.broken()
