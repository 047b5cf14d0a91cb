"""The story ends where it says, and the questions to the time bank are answered."""

from metrobloc.city.timebank import story
from metrobloc.city.timebank.clearing import Cycle
from metrobloc.city.timebank.rules import banks, hours, line_to, services
from metrobloc.city.timebank.rules.queries import clearing, statement
from metrobloc.city.timebank.test_rules import MAX, MIN, MODULES, do, scene, town
from metrobloc.city.timebank.types.messages import ClearCycle, Transfer
from metrobloc.testing.sandbox import Sandbox


def test_the_story() -> None:
    box = Sandbox(MODULES)
    story.play(box.stage)
    assert not box.broken()
    assert not box.bugs
    names = {box.stage.account(name): name for name in story.PEOPLE} | {line_to(name): name for name in story.BANKS}
    left = {}
    for key, row in box.view[hours].items():
        book, holder = key.split("/")
        left[f"{book}/{names[holder]}"] = row.amount
    assert left == {
        "harbour/li": 40,
        "harbour/old_town": -40,
        "old_town/ana": 20,
        "old_town/harbour": 40,
        "old_town/mei": -60,
    }
    assert sorted(service.state for _, service in box.view[services].items()) == [*["paid"] * 4, "resolved"]
    states = {name: bank.state for name, bank in box.view[banks].items()}
    assert states == {"harbour": "open", "hills": "closed", "old_town": "open"}


def test_a_statement_tells_what_is_under_way() -> None:
    s = scene()
    assert statement(s.box.view, s["gus"]) == {
        "bank": "north",
        "state": "verified",
        "balance_minutes": 20,
        "min_minutes": MIN,
        "max_minutes": MAX,
        "reserved_minutes": 0,
        "incoming_minutes": 30,
        "services": (s["clash"],),
    }
    assert statement(s.box.view, s["ann"])["reserved_minutes"] == 280
    assert statement(s.box.view, s["new"]) == {}


def test_what_is_proposed_can_be_cleared() -> None:
    s = town()
    assert clearing(s.box.view) == []
    for source, target, minutes in (("ann", "di", 30), ("di", "ed", 20), ("ed", "ann", 50)):
        do(s, source, Transfer(s[target], minutes))
    assert clearing(s.box.view) == [Cycle(("north", "south", "west"), 20)]
    for cycle in clearing(s.box.view):
        do(s, "south", ClearCycle(cycle.banks, cycle.minutes))
    assert clearing(s.box.view) == []
