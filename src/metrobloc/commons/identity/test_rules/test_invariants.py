"""Every invariant can fail: a damaged record breaks exactly what it should."""

from collections.abc import Callable
from typing import Any

import pytest

from metrobloc.commons.identity.rules import app, changes, guardianships, institutions, persons, vouched
from metrobloc.commons.identity.rules.settling import PLACES_MAX
from metrobloc.commons.identity.test_rules import NOBODY, scene
from metrobloc.commons.identity.types import Guardianship, Institution, Person, Vouched
from metrobloc.kernel import codec, system
from metrobloc.kernel.system import Grant, KeyOwner
from metrobloc.kernel.tables import Table
from metrobloc.kernel.types import Record
from metrobloc.testing.edges import Scene

AnyTable = Table[Any, Any]
Damage = Callable[[Scene], None]


def write(s: Scene, table: AnyTable, key: object, record: Record | None) -> None:
    """Write a record behind the ledger's back, or take it away."""
    s.box.memory.records.set(table.path(key).encode(), None if record is None else codec.encode(record))


def damaged(table: AnyTable, name: str, part: str = "", **fields: object) -> Damage:
    """Return what puts other values into somebody's record; in texts a name in braces stands for an account."""

    def damage(s: Scene) -> None:
        key = (s[name], s[part] if part in {"heir", "hal"} else part) if part else s[name]
        record = s.box.view[table].get(key)
        assert record is not None
        made = {one: s[v[1:-1]] if isinstance(v, str) and v.startswith("{") else v for one, v in fields.items()}
        write(s, table, key, record.but(**made))

    return damage


def dora(s: Scene, **fields: object) -> None:
    """Damage the account that is in doubt."""
    record = s.box.view[system.accounts].get(s["dora"])
    assert record is not None
    write(s, system.accounts, s["dora"], record.but(**fields))


def too_many(s: Scene) -> None:
    """Let one stand for more than can be handed on, each of them in order by itself."""
    for number in range(PLACES_MAX):
        account = f"{number:02d}".translate(str.maketrans("0123456789", "abcdefghij")) + "a" * 24
        write(s, institutions, account, Institution("x", 0, successor=s["heir"]))


KEYS = "every_key_of_an_account_belongs_to_it"
SIGN = "somebody_can_sign_for_every_account"
ONE = "a_person_has_one_account"
HALF = "more_than_half_of_the_guardians_are_needed"
DOUBT = "an_account_in_doubt_is_frozen_until_somebody_decides"
SUSPENDED = "suspension_holds_for_every_role_of_an_institution"
PLACE = "whoever_takes_a_place_can_act"

DAMAGES: dict[str, tuple[Damage, set[str]]] = {
    "nothing": (lambda _: None, set()),
    "a key that is nobody's": (lambda s: write(s, system.keys, s.key("ann"), None), {KEYS}),
    "another's key": (lambda s: write(s, system.keys, s.key("ann"), KeyOwner(s["gil"])), {KEYS}),
    "a new key that is nobody's": (lambda s: write(s, system.keys, s.key("bo's new key"), None), {KEYS}),
    "no keys": (damaged(system.accounts, "ann", keys=()), {SIGN}),
    "too few keys": (damaged(system.accounts, "ann", threshold=2), {SIGN}),
    "no key is asked for": (damaged(system.accounts, "ann", threshold=0), {SIGN}),
    "too few new keys": (damaged(system.accounts, "bo", next_threshold=2), {SIGN}),
    "no new key is asked for": (damaged(system.accounts, "bo", next_threshold=0), {SIGN}),
    "keys beside a successor": (
        lambda s: damaged(system.accounts, "former", keys=(s.key("former"),))(s),
        {SIGN},
    ),
    "a successor that cannot act": (
        lambda s: write(s, system.delegations, (s["former"], s["heir"]), None),
        {SIGN},
    ),
    "a successor with a scope": (damaged(system.delegations, "former", "heir", scope=("money",)), {SIGN}),
    "a successor for a while": (damaged(system.delegations, "former", "heir", until_ms=7), {SIGN}),
    "an account twice": (lambda s: write(s, persons, "1" * 64, Person(s["ann"], 0)), {ONE}),
    "a person without an account": (lambda s: write(s, persons, "1" * 64, Person(NOBODY, 0)), {ONE}),
    "an account of no person": (lambda s: write(s, vouched, s["gil"], Vouched("1" * 64)), {ONE}),
    "another person": (lambda s: write(s, vouched, s["ann"], Vouched("1" * 64)), {ONE}),
    "a citizen whom nobody knows": (lambda s: write(s, system.roles, (s["gil"], "citizen"), Grant("citizen")), {ONE}),
    "no citizen": (lambda s: write(s, system.roles, (s["ann"], "citizen"), None), {ONE}),
    "half of the guardians": (
        lambda s: write(s, guardianships, s["ann"], Guardianship((s["gil"], s["hal"]), 1)),
        {HALF},
    ),
    "more than all guardians": (lambda s: write(s, guardianships, s["ann"], Guardianship((s["gil"],), 2)), {HALF}),
    "no guardian needed": (lambda s: write(s, guardianships, s["ann"], Guardianship((s["gil"],), 0)), {HALF}),
    "half of the next guardians": (
        lambda s: damaged(changes, "bo", guardianship=Guardianship((s["gil"], s["hal"]), 1))(s),
        {HALF},
    ),
    "doubt with a time": (damaged(changes, "dora", from_ms=7), {DOUBT}),
    "doubt of nobody": (damaged(changes, "dora", objector=None), {DOUBT}),
    "doubt where nobody objected": (damaged(changes, "bo", objector="{gil}"), {DOUBT}),
    "doubt and not frozen": (lambda s: dora(s, frozen_until_ms=7), {DOUBT}),
    "a change to other keys": (lambda s: damaged(changes, "bo", keys=(s.key("bo"),))(s), {DOUBT}),
    "a change at another time": (damaged(changes, "bo", from_ms=7), {DOUBT}),
    "a change of no account": (lambda s: write(s, system.accounts, s["bo"], None), {DOUBT}),
    "a role that is not suspended": (damaged(system.roles, "school", "school", suspended_until_ms=0), {SUSPENDED}),
    "a role suspended alone": (damaged(system.roles, "clinic", "hospital", suspended_until_ms=7), {SUSPENDED}),
    "a seat that is suspended": (damaged(system.roles, "bank", "council", suspended_until_ms=7), set()),
    "a successor of nowhere": (damaged(institutions, "former", successor=NOBODY), {PLACE, SIGN}),
    "a successor with a successor": (damaged(institutions, "heir", successor="{clinic}"), {PLACE, SIGN}),
    "a successor of too many": (too_many, {PLACE}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_found_by_its_invariant(damage: str) -> None:
    s = scene()
    make, broken = DAMAGES[damage]
    make(s)
    assert set(s.box.broken()) == {f"identity.{one}" for one in broken}


def test_every_invariant_can_fail() -> None:
    assert set().union(*(broken for _, broken in DAMAGES.values())) == set(app.invariants)
