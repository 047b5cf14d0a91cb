"""Needs to their edges: what is received, sent, promised and verified, whatever is retried, lost or late."""

from functools import cache
from random import Random

import msgspec
import pytest

from metrobloc.city.charity.rules import aiding, needs, supplies
from metrobloc.city.charity.rules.refusing import AID
from metrobloc.city.charity.test_rules import DAY_MINUTES, DAY_MS, NOBODY, city, do, opened
from metrobloc.city.charity.test_rules.test_calling import OURS, call_of, copied
from metrobloc.city.charity.test_rules.test_edges import with_salt
from metrobloc.city.charity.types.calling import Resolve
from metrobloc.city.charity.types.messages import Cancel
from metrobloc.city.charity.types.needing import (
    CallOff,
    Commit,
    Confirm,
    Need,
    Publish,
    Receive,
    Release,
    Ship,
    Supply,
)
from metrobloc.commons.identity.types import Accredit, Mandate
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Case, Scene, play
from metrobloc.testing.sandbox import START_MS

WEEK_MS = START_MS + 7 * DAY_MS
YEAR_MS = 366 * DAY_MS
ELSEWHERE = {"needs_taken", "supplies_taken"}
TABLES = {f"{table}_{code}" for table in ("needs", "supplies", "lots") for code in ("unknown", "taken")}


def need_of(
    s: Scene, quantity: int = 100, needed_ms: int = WEEK_MS, recipient: str = "clinic", **other: str
) -> Publish:
    """Return what asks for blankets."""
    named = {key: s[value] for key, value in other.items()}
    return Publish("blanket", "piece", quantity, "north", s[recipient], needed_ms, **named)


def asked(s: Scene, name: str, verified: int = 0, quantity: int = 100, needed_ms: int = WEEK_MS) -> None:
    """Let blankets be asked for, and so many of them be verified."""
    s.ids[name] = do(s, "charity", need_of(s, quantity, needed_ms))[0]
    if verified:
        do(s, "civil_affairs", Confirm(s[name], verified))


def promised(  # noqa: PLR0913
    s: Scene, name: str, need: str, quantity: int, *, by: str = "vendor", until_ms: int = WEEK_MS
) -> None:
    """Let somebody promise a part of a need."""
    s.ids[name] = do(s, by, Commit(s[need], quantity, until_ms))[0]


def need(s: Scene, name: str) -> Need:
    """Return a need as it stands."""
    found = s.box.view[needs].get(s[name])
    assert found is not None
    return found


def supply(s: Scene, name: str) -> Supply:
    """Return a promise as it stands."""
    found = s.box.view[supplies].get(s[name])
    assert found is not None
    return found


def amounts(s: Scene, name: str) -> tuple[int, int, int, int]:
    """Return what is verified, promised, sent and received."""
    one = need(s, name)
    return one.verified, one.committed, one.shipped, one.received


def market() -> Scene:
    """Set the scene: needs in every state, with promises and lots; it plays within the first day of a week."""
    return copied(_market())


@cache
def _market() -> Scene:
    return _stocked(city())


def _stocked(s: Scene) -> Scene:
    s.stage.join("gateway")
    s.stage.act("office", Accredit(s["gateway"], "Gateway", "gateway", 1_000_000))
    for name in ("campaign", "gone"):
        opened(s, name)
    do(s, "charity", Cancel(s["gone"]))
    for name in ("cluster", "shut"):
        s.ids[name] = do(s, "gateway", call_of(name, name))[1]
    do(s, "civil_affairs", Resolve(s["shut"], "answered"))
    asked(s, "fresh")
    asked(s, "open", 80)
    asked(s, "done", 50)
    asked(s, "off", 50)
    promised(s, "all", "open", 40)
    promised(s, "rivals", "open", 10, by="rival")
    promised(s, "brief", "open", 5, until_ms=START_MS + DAY_MS)
    promised(s, "back", "open", 25)
    promised(s, "sent", "done", 50)
    promised(s, "offered", "off", 20)
    do(s, "vendor", Ship(s["all"], "box_1", 15), Ship(s["sent"], "box_2", 30), Ship(s["sent"], "box_3", 20))
    do(s, "vendor", Ship(s["offered"], "box_4", 5), Release(s["back"]))
    do(s, "clinic", Receive(s["vendor"], "box_2", 30))
    do(s, "charity", CallOff(s["off"]))
    return s


PUBLISHING = [
    Case("charity", need_of, "ok"),
    Case("clinic", need_of, "ok"),
    Case("civil_affairs", lambda s: need_of(s, recipient="charity"), "ok"),
    Case("charity", lambda s: need_of(s, campaign="campaign", cluster="cluster"), "ok"),
    Case("charity", lambda s: need_of(s, recipient="vendor"), "charity.no_recipient"),
    Case("charity", lambda s: need_of(s, recipient="civil_affairs"), "charity.no_recipient"),
    Case("charity", lambda s: need_of(s, needed_ms=s.stage.time_ms + 1000), "charity.in_the_past"),
    Case("charity", lambda s: need_of(s, needed_ms=s.stage.time_ms + 1001), "ok"),
    Case("charity", lambda s: need_of(s, needed_ms=s.stage.time_ms + 1000 + YEAR_MS), "ok"),
    Case("charity", lambda s: need_of(s, needed_ms=s.stage.time_ms + 1001 + YEAR_MS), "charity.need_too_long"),
    Case("charity", lambda s: need_of(s, campaign="gone"), "charity.no_campaign"),
    Case("charity", lambda s: need_of(s, campaign="cluster"), "charity.campaigns_unknown"),
    Case("charity", lambda s: need_of(s, cluster="shut"), "charity.cluster_ended"),
    Case("charity", lambda s: need_of(s, cluster="campaign"), "charity.clusters_unknown"),
    Case("vendor", need_of, "not_allowed"),
    Case("civil_affairs", lambda s: Confirm(s["fresh"], 100), "ok"),
    Case("civil_affairs", lambda s: Confirm(s["fresh"], 101), "charity.above_wanted"),
    Case("civil2", lambda s: Confirm(s["open"], 55), "ok"),
    Case("civil2", lambda s: Confirm(s["open"], 54), "charity.below_committed"),
    Case("civil_affairs", lambda s: Confirm(s["off"], 51), "charity.need_ended"),
    Case("civil_affairs", lambda _: Confirm(NOBODY, 1), "charity.needs_unknown"),
    Case("charity", lambda s: Confirm(s["fresh"], 1), "not_allowed"),
    Case("charity", lambda s: CallOff(s["open"]), "ok"),
    Case("charity", lambda s: CallOff(s["off"]), "charity.need_ended"),
    Case("clinic", lambda s: CallOff(s["open"]), "charity.not_publisher"),
    Case("vendor", lambda s: CallOff(s["open"]), "not_allowed"),
]
SUPPLYING = [
    Case("vendor", lambda s: Commit(s["open"], 25, WEEK_MS), "ok"),
    Case("company", lambda s: Commit(s["open"], 25, WEEK_MS), "ok"),
    Case("charity2", lambda s: Commit(s["open"], 25, WEEK_MS), "ok"),
    Case("vendor", lambda s: Commit(s["open"], 26, WEEK_MS), "charity.above_verified"),
    Case("vendor", lambda s: Commit(s["fresh"], 1, WEEK_MS), "charity.above_verified"),
    Case("vendor", lambda s: Commit(s["open"], 1, WEEK_MS + 1), "charity.after_need"),
    Case("vendor", lambda s: Commit(s["open"], 1, s.stage.time_ms + 1000), "charity.in_the_past"),
    Case("vendor", lambda s: Commit(s["open"], 1, s.stage.time_ms + 1001), "ok"),
    Case("vendor", lambda s: Commit(s["off"], 1, WEEK_MS), "charity.need_ended"),
    Case("charity", lambda s: Commit(s["open"], 1, WEEK_MS), "charity.own_need"),
    Case("ann", lambda s: Commit(s["open"], 1, WEEK_MS), "not_allowed"),
    Case("vendor", lambda s: Release(s["all"]), "ok"),
    Case("rival", lambda s: Release(s["all"]), "charity.not_supplier"),
    Case("vendor", lambda s: Release(s["back"]), "charity.supply_ended"),
    Case("vendor", lambda _: Release(NOBODY), "charity.supplies_unknown"),
    Case("clinic", lambda s: Release(s["all"]), "not_allowed"),
    Case("vendor", lambda s: Ship(s["all"], "box_9", 25), "ok"),
    Case("vendor", lambda s: Ship(s["all"], "box_9", 26), "charity.above_committed"),
    Case("vendor", lambda s: Ship(s["all"], "box_1", 15), "charity.lots_taken"),
    Case("rival", lambda s: Ship(s["rivals"], "box_1", 10), "ok"),
    Case("rival", lambda s: Ship(s["all"], "box_9", 1), "charity.not_supplier"),
    Case("vendor", lambda s: Ship(s["back"], "box_9", 1), "charity.supply_ended"),
    Case("vendor", lambda s: Ship(s["offered"], "box_9", 1), "charity.need_ended"),
    Case("clinic", lambda s: Ship(s["all"], "box_9", 1), "not_allowed"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_1", 15), "ok"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_1", 14), "ok"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_1", 0), "ok"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_1", 16), "charity.above_shipped"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_2", 30), "charity.received_already"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_4", 5), "ok"),
    Case("clinic", lambda s: Receive(s["vendor"], "box_9", 1), "charity.lots_unknown"),
    Case("clinic", lambda s: Receive(s["rival"], "box_1", 1), "charity.lots_unknown"),
    Case("charity", lambda s: Receive(s["vendor"], "box_1", 15), "charity.not_recipient"),
    Case("hospital", lambda s: Receive(s["vendor"], "box_1", 15), "charity.not_recipient"),
    Case("vendor", lambda s: Receive(s["vendor"], "box_1", 15), "not_allowed"),
]
CASES = [*PUBLISHING, *SUPPLYING]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(market(), case)


def test_every_refusal_of_needs_is_met() -> None:
    ours = {f"charity.{code}" for code in {*AID, *TABLES}} - OURS
    assert ours - {case.code for case in CASES} == {f"charity.{code}" for code in ELSEWHERE}  # met below


def test_whoever_needs_it_does_not_verify_it() -> None:
    s = market()
    own = do(s, "civil2", need_of(s, recipient="charity2"))[0]
    do(s, "civil2", Confirm(own, 1), refused="own_need")
    theirs = do(s, "charity", need_of(s, recipient="civil2"))[0]
    do(s, "civil2", Confirm(theirs, 1), refused="own_need")
    do(s, "civil_affairs", Confirm(own, 1), Confirm(theirs, 1))
    do(s, "charity2", Commit(own, 1, WEEK_MS), refused="own_need")
    assert not s.box.broken()


def test_no_person_acts_on_a_need_for_two_institutions() -> None:
    s = market()
    for house in ("civil_affairs", "vendor"):
        s.stage.act(house, Mandate(s["ann"], ("charity",), WEEK_MS))
    s.stage.act("civil_affairs", Confirm(s["fresh"], 10), by=("ann",))
    s.stage.act("vendor", Commit(s["fresh"], 1, WEEK_MS), by=("ann",), refused="charity.other_hat")
    s.stage.act("vendor", Commit(s["open"], 1, WEEK_MS), by=("ann",))


def test_an_id_is_given_out_once() -> None:
    s = market()
    for actor, made, end, code in (
        ("charity", [need_of(s), need_of(s, 7)], CallOff, "needs_taken"),
        ("company", [Commit(s["open"], n, WEEK_MS) for n in (1, 2)], Release, "supplies_taken"),
    ):
        assert with_salt(s, actor, made[0]) == "ok"
        assert with_salt(s, actor, made[1]) == "kernel.deadlines_taken"
        ids = msgspec.json.decode(s.box.sealed[-2].receipts[-1])["ids"]
        s.stage.act(actor, end(ids[0]))
        assert with_salt(s, actor, made[1]) == f"charity.{code}"


def test_what_was_retried_counts_once() -> None:
    s = market()
    before = amounts(s, "open")
    do(s, "civil_affairs", Confirm(s["open"], 80))
    do(s, "vendor", Ship(s["all"], "box_1", 15), refused="lots_taken")
    assert amounts(s, "open") == before == (80, 55, 15, 0)
    do(s, "clinic", Receive(s["vendor"], "box_1", 15))
    do(s, "clinic", Receive(s["vendor"], "box_1", 15), refused="received_already")
    assert amounts(s, "open") == (80, 55, 15, 15)


def test_what_is_lost_on_the_way_can_be_sent_again() -> None:
    s = market()
    do(s, "clinic", Receive(s["vendor"], "box_1", 11))
    assert amounts(s, "open") == (80, 55, 11, 11)
    do(s, "vendor", Ship(s["all"], "box_5", 30), refused="above_committed")
    do(s, "vendor", Ship(s["all"], "box_5", 29))
    do(s, "clinic", Receive(s["vendor"], "box_5", 29))
    assert amounts(s, "open") == (80, 55, 40, 40)
    assert (supply(s, "all").shipped, supply(s, "all").received) == (40, 40)
    assert not s.box.broken()


def test_what_is_lost_of_an_ended_promise_is_free_for_others() -> None:
    s = market()
    do(s, "vendor", Release(s["all"]))
    assert amounts(s, "open") == (80, 30, 15, 0)
    do(s, "clinic", Receive(s["vendor"], "box_1", 10))
    assert amounts(s, "open") == (80, 25, 10, 10)
    assert supply(s, "all").quantity == 10
    do(s, "company", Commit(s["open"], 55, WEEK_MS))
    assert not s.box.broken()


@pytest.mark.parametrize("lazy", [False, True])
def test_promises_lapse_and_needs_expire_also_where_the_queue_is_late(*, lazy: bool) -> None:
    s = _stocked(city(Limits(deadlines_per_block=1 if lazy else 100)))
    do(s, "vendor", Ship(s["brief"], "box_6", 2))
    s.stage.wait(DAY_MINUTES)
    do(s, "vendor", Ship(s["brief"], "box_7", 1), refused="supply_ended")
    do(s, "vendor", Release(s["brief"]), refused="supply_ended")
    assert (supply(s, "brief").quantity, supply(s, "brief").ended) == (2, True)
    assert amounts(s, "open") == (80, 52, 17, 0)
    s.stage.wait(6 * DAY_MINUTES)
    for actor, message, code in (
        ("civil_affairs", Confirm(s["open"], 90), "need_ended"),
        ("charity", CallOff(s["open"]), "need_ended"),
        ("vendor", Ship(s["all"], "box_8", 1), "supply_ended"),
        ("rival", Commit(s["open"], 1, WEEK_MS), "need_ended"),
    ):
        do(s, actor, message, refused=code)
    do(s, "clinic", Receive(s["vendor"], "box_1", 15), Receive(s["vendor"], "box_6", 1))
    assert not s.box.broken()
    for _ in range(8):
        do(s, "charity", need_of(s, needed_ms=WEEK_MS + DAY_MS))
    assert {need(s, name).state for name in ("fresh", "open", "done")} == {"expired"}
    assert need(s, "off").state == "called_off"
    assert amounts(s, "open") == (80, 16, 16, 16)
    assert not s.box.broken()


def test_what_is_short_comes_by_its_time() -> None:
    s = market()
    asked(s, "soon", 30, needed_ms=WEEK_MS - DAY_MS)
    told = aiding.shortages(s.box.view)
    assert [(row["need"], row["missing"]) for row in told] == [(s["soon"], 30), (s["open"], 25)]
    assert told[0] | {"needed_ms": 0} == {
        "need": s["soon"],
        "item": "blanket",
        "unit": "piece",
        "place": "north",
        "missing": 30,
        "verified": 30,
        "needed_ms": 0,
    }


def test_whatever_is_done_in_whatever_order_the_amounts_stay_in_order() -> None:
    """Draw what may happen to one need, allowed or not; hold it to a count of one's own."""
    chance = Random(11)
    s = market()
    asked(s, "one", 60)
    lots: dict[str, tuple[str, int]] = {}
    given: list[str] = []
    ends = []
    for step in range(250):
        amount = chance.randint(1, 20)
        what = chance.choice(("confirm", "commit", "ship", "ship", "receive", "receive", "release"))
        before = amounts(s, "one")
        message: Message
        if what == "confirm":
            message, actor = Confirm(s["one"], min(100, before[0] + amount - 10) or 1), "civil_affairs"
        elif what == "commit":
            message, actor = Commit(s["one"], amount, WEEK_MS), "vendor"
        elif what == "ship" and given:
            message, actor = Ship(chance.choice(given), f"lot_{step}", amount), "vendor"
        elif what == "release" and given:
            message, actor = Release(chance.choice(given)), "vendor"
        elif lots:
            code = chance.choice(sorted(lots))
            message, actor = Receive(s["vendor"], code, chance.randint(0, lots[code][1])), "clinic"
        else:
            continue
        outcome = s.stage.send([s.stage.sign((actor, message))])[0]
        ends.append(outcome.code)
        if outcome.code == "ok" and isinstance(message, Commit):
            given.append(msgspec.json.decode(outcome.receipt)["ids"][0])
        if outcome.code == "ok" and isinstance(message, Ship):
            lots[message.lot] = message.supply, message.quantity
        now = amounts(s, "one")
        assert list(now) == sorted(now, reverse=True)
        assert outcome.code == "ok" or now == before
        assert not s.box.broken()
    assert ends.count("ok") > 80
    assert len(set(ends)) > 5
