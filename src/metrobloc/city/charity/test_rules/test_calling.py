"""Calls for help to their edges: once for every message, in one cluster, never dropped and never less severe."""

from functools import cache
from random import Random

import pytest

from metrobloc.city.charity.rules import aiding, app, calls, clusters
from metrobloc.city.charity.rules.refusing import AID
from metrobloc.city.charity.test_rules import DAY_MINUTES, MODULES, NO_PAPER, NOBODY, city, do, opened, paper
from metrobloc.city.charity.test_rules.test_edges import with_salt
from metrobloc.city.charity.types.calling import (
    Cluster,
    HandOver,
    Hear,
    LinkClusters,
    RaiseSeverity,
    Reopen,
    Resolve,
)
from metrobloc.city.charity.types.messages import Cancel
from metrobloc.commons.identity.types import Accredit
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.testing.edges import Case, Scene, play

PARTS = ("calls_taken", "clusters_unknown", "not_gateway", "other_message", "cluster_ended", "same_cluster")
OURS = {f"charity.{code}" for code in (*PARTS, "two_campaigns", "not_higher", "not_resolved", "no_campaign")}


def call_of(  # noqa: PLR0913
    name: str, place: str = "north", category: str = "water", severity: int = 2, *, by: str | None = "", text: str = ""
) -> Hear:
    """Return what files a message; unless it is said who calls, everybody calls once."""
    caller = None if by is None else paper(f"caller {by or name}")
    return Hear("sms", paper(f"message {name}"), place, category, severity, paper(text or name), caller)


def heard(s: Scene, name: str, message: Hear, by: str = "gateway") -> ReadReceipt:
    """File a message; its call and the cluster that it came into stand under its name from then on."""
    receipt = s.stage.act(by, message)
    s.ids[f"call {name}"] = receipt.ids[0]
    found = s.box.view[calls].get(receipt.ids[0])
    assert found is not None
    s.ids[name] = found.cluster
    return receipt


def cluster(s: Scene, name: str) -> Cluster:
    """Return the cluster in which a call stands now."""
    found = s.box.view[clusters].get(aiding.cluster_of(s.box.view, s[f"call {name}"]))
    assert found is not None
    return found


def event(receipt: ReadReceipt) -> str:
    """Return the name of the last event that a receipt tells."""
    return receipt.events[-1].event


def hotline() -> Scene:
    """Set the scene: two gateways, clusters in every state, and a campaign that is open beside one given up."""
    return copied(_hotline())


def copied(made: Scene) -> Scene:
    """Return a scene of one's own that is like another."""
    s = Scene(MODULES, made.box.genesis)
    for sealed in made.box.sealed[1:]:
        s.box.replay(read_block(sealed.block))
        s.stage.payload()  # each has a salt of its own, so that none is used twice
    s.ids = dict(made.ids)
    s.stage.time_ms = made.stage.time_ms
    return s


@cache
def _hotline() -> Scene:
    s = city()
    for name in ("gateway", "gateway2"):
        s.stage.join(name)
        s.stage.act("office", Accredit(s[name], name, "gateway", 1_000_000))
    for name in ("campaign", "another", "gone"):
        opened(s, name)
    do(s, "charity", Cancel(s["gone"]))
    for name in ("open", "shut", "sent", "sent too", "sent elsewhere", "old", "older"):
        heard(s, name, call_of(name, name.replace(" ", "_")))
    heard(s, "hers", call_of("hers", "south", by=None), by="ann")
    triage(s, Resolve(s["shut"], "answered"), HandOver(s["sent"], s["campaign"]))
    triage(s, HandOver(s["sent too"], s["campaign"]), HandOver(s["sent elsewhere"], s["another"]))
    triage(s, LinkClusters(s["older"], s["old"]))
    return s


def triage(s: Scene, *messages: LinkClusters | RaiseSeverity | Resolve | Reopen | HandOver) -> None:
    """Let civil affairs act on clusters."""
    s.stage.act("civil_affairs", *messages)


CASES = [
    Case("gateway", lambda _: call_of("new"), "ok"),
    Case("gateway", lambda _: call_of("open", "open"), "ok"),
    Case("gateway", lambda _: call_of("open", "open", text="other"), "charity.other_message"),
    Case("gateway2", lambda _: call_of("open", "open", text="other"), "ok"),
    Case("bo", lambda _: call_of("open", by=None), "ok"),
    Case("bo", lambda _: call_of("open"), "charity.not_gateway"),
    Case("hospital", lambda _: call_of("open"), "charity.not_gateway"),
    Case("civil_affairs", lambda s: LinkClusters(s["open"], s["sent"]), "ok"),
    Case("civil_affairs", lambda s: LinkClusters(s["sent"], s["sent too"]), "ok"),
    Case("civil2", lambda s: LinkClusters(s["open"], s["hers"]), "ok"),
    Case("civil_affairs", lambda s: LinkClusters(s["open"], s["open"]), "charity.same_cluster"),
    Case("civil_affairs", lambda s: LinkClusters(s["sent"], s["sent elsewhere"]), "charity.two_campaigns"),
    Case("civil_affairs", lambda s: LinkClusters(s["open"], s["shut"]), "charity.cluster_ended"),
    Case("civil_affairs", lambda s: LinkClusters(s["shut"], s["open"]), "charity.cluster_ended"),
    Case("civil_affairs", lambda s: LinkClusters(s["open"], s["old"]), "charity.cluster_ended"),
    Case("civil_affairs", lambda s: LinkClusters(s["open"], NOBODY), "charity.clusters_unknown"),
    Case("gateway", lambda s: LinkClusters(s["open"], s["hers"]), "not_allowed"),
    Case("civil_affairs", lambda s: RaiseSeverity(s["open"], 3), "ok"),
    Case("civil_affairs", lambda s: RaiseSeverity(s["sent"], 5), "ok"),
    Case("civil_affairs", lambda s: RaiseSeverity(s["open"], 2), "charity.not_higher"),
    Case("civil_affairs", lambda s: RaiseSeverity(s["open"], 1), "charity.not_higher"),
    Case("civil_affairs", lambda s: RaiseSeverity(s["shut"], 3), "charity.cluster_ended"),
    Case("ann", lambda s: RaiseSeverity(s["hers"], 3), "not_allowed"),
    Case("civil2", lambda s: Resolve(s["open"], "answered"), "ok"),
    Case("civil_affairs", lambda s: Resolve(s["sent"], "treated"), "ok"),
    Case("civil_affairs", lambda s: Resolve(s["shut"], "answered"), "charity.cluster_ended"),
    Case("civil_affairs", lambda s: Resolve(s["old"], "answered"), "charity.cluster_ended"),
    Case("charity", lambda s: Resolve(s["open"], "answered"), "not_allowed"),
    Case("civil_affairs", lambda s: Reopen(s["shut"]), "ok"),
    Case("civil_affairs", lambda s: Reopen(s["open"]), "charity.not_resolved"),
    Case("civil_affairs", lambda s: Reopen(s["old"]), "charity.not_resolved"),
    Case("gateway", lambda s: Reopen(s["shut"]), "not_allowed"),
    Case("civil_affairs", lambda s: HandOver(s["open"], s["campaign"]), "ok"),
    Case("civil_affairs", lambda s: HandOver(s["sent"], s["another"]), "ok"),
    Case("civil_affairs", lambda s: HandOver(s["open"], s["gone"]), "charity.no_campaign"),
    Case("civil_affairs", lambda s: HandOver(s["open"], NOBODY), "charity.campaigns_unknown"),
    Case("civil_affairs", lambda s: HandOver(s["old"], s["campaign"]), "charity.cluster_ended"),
    Case("charity", lambda s: HandOver(s["open"], s["campaign"]), "not_allowed"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(hotline(), case)


def test_every_refusal_of_calls_is_met() -> None:
    assert OURS - {case.code for case in CASES} == {"charity.calls_taken"}  # met below
    assert {f"charity.{code}" for code in AID} <= set(app.refusals)


def test_an_id_is_given_out_once() -> None:
    s = hotline()
    codes = [with_salt(s, "ann", call_of(name, by=None)) for name in ("one", "two")]
    assert codes == ["ok", "charity.calls_taken"]


def test_a_message_that_is_filed_600_times_counts_once() -> None:
    s = hotline()
    first = heard(s, "loud", call_of("loud", "flood"))
    before = dict(s.box.memory.scan(b"charity/", None, 10_000))
    events = [event(s.stage.act("gateway", call_of("loud", "flood"))) for _ in range(599)]
    assert events == ["charity.repeated"] * 599
    assert event(first) == "charity.heard"
    assert dict(s.box.memory.scan(b"charity/", None, 10_000)) == before
    assert cluster(s, "loud").calls == 1


def test_a_repeated_message_changes_nothing_even_if_it_is_sorted_otherwise_now() -> None:
    s = hotline()
    again = call_of("open", "south", "food", 5)
    assert event(s.stage.act("gateway", again)) == "charity.repeated"
    assert (cluster(s, "open").severity, cluster(s, "hers").calls) == (2, 1)


def test_the_same_message_through_two_gateways_is_two_calls_in_one_cluster() -> None:
    s = hotline()
    for gateway in ("gateway", "gateway2"):
        heard(s, gateway, call_of("twice", "flood"), by=gateway)
    assert s["gateway"] == s["gateway2"]
    assert cluster(s, "gateway").calls == 2


@pytest.mark.parametrize(
    ("later", "caller", "place", "category", "link"),
    [
        (0, "ann", "north", "water", "caller"),
        (3 * DAY_MINUTES - 1, "ann", "east", "food", "caller"),
        (3 * DAY_MINUTES, "ann", "east", "food", "new"),
        (3 * DAY_MINUTES - 1, "bo", "north", "water", "place"),
        (3 * DAY_MINUTES, "bo", "north", "water", "new"),
        (0, "bo", "north", "food", "new"),
        (0, "bo", "east", "water", "new"),
    ],
)
def test_how_a_call_is_linked(later: int, caller: str, place: str, category: str, link: str) -> None:
    s = hotline()
    heard(s, "first", call_of("first", by="ann"))
    s.stage.time_ms += max(0, later * 60_000 - 1000)  # the next block comes a second later: on the minute
    receipt = heard(s, "second", call_of("second", place, category, 4, by=caller))
    assert f'"link":"{link}"' in bytes(receipt.events[-1].fields).decode()
    assert (s["second"] == s["first"]) == (link != "new")
    assert cluster(s, "first").severity == (2 if link == "new" else 4)
    assert not s.box.broken()


def test_a_callers_trail_goes_on_with_every_call_and_a_places_does_not() -> None:
    s = hotline()
    heard(s, "0", call_of("0", by="ann"))
    for day in range(1, 8):
        s.stage.wait(2 * DAY_MINUTES)
        heard(s, str(day), call_of(str(day), by="ann"))
        assert s[str(day)] == s["0"]
    heard(s, "near", call_of("near"))
    assert s["near"] == s["0"]  # Ann's last call but one laid the place's trail again
    s.stage.wait(DAY_MINUTES)
    for day in range(4):
        heard(s, f"bo {day}", call_of(f"bo {day}", "east"))
        s.stage.wait(DAY_MINUTES)
    assert [s[f"bo {day}"] == s["bo 0"] for day in range(4)] == [True, True, True, False]


def test_callers_of_different_gateways_are_not_taken_for_one() -> None:
    s = hotline()
    heard(s, "one", call_of("one", "west", by="ann"))
    heard(s, "two", call_of("two", "east", by="ann"), by="gateway2")
    heard(s, "three", call_of("three", "south_east", by=None), by="bo")
    assert len({s[name] for name in ("one", "two", "three")}) == 3


def test_who_calls_again_after_the_cluster_was_closed_opens_another_that_names_it() -> None:
    s = hotline()
    heard(s, "again", call_of("again", "shut", severity=4, by="shut"))
    assert s["again"] != s["shut"]
    assert (cluster(s, "again").follows, cluster(s, "again").severity) == (s["shut"], 4)
    heard(s, "neighbour", call_of("neighbour", "shut"))
    assert s["neighbour"] == s["again"]
    triage(s, Reopen(s["shut"]))
    heard(s, "once more", call_of("once more", "shut", by="shut"))
    assert s["once more"] == s["again"]  # where she called last
    assert not s.box.broken()


def test_calls_still_come_into_what_was_handed_over_or_linked() -> None:
    s = hotline()
    heard(s, "more", call_of("more", "sent"))
    assert (s["more"], cluster(s, "more").state) == (s["sent"], "handed_over")
    heard(s, "late", call_of("late", "old", severity=5))
    assert s["late"] == s["older"]
    assert (cluster(s, "old").calls, cluster(s, "old").severity) == (3, 5)
    triage(s, Resolve(s["sent"], "treated"), Reopen(s["sent"]))
    assert (cluster(s, "sent").state, cluster(s, "sent").campaign) == ("handed_over", s["campaign"])


def test_linking_keeps_the_worst_of_both_and_the_campaign() -> None:
    s = hotline()
    triage(s, RaiseSeverity(s["sent"], 5), LinkClusters(s["open"], s["sent"]))
    one = cluster(s, "sent")
    assert (one.severity, one.floor, one.calls, one.state, one.campaign) == (5, 5, 2, "handed_over", s["campaign"])
    assert s.box.view[clusters].get(s["sent"]) == cluster(s, "sent").but(
        place="sent", severity=5, floor=5, calls=0, rank=0, state="linked", into=s["open"], opened_ms=_opened(s, "sent")
    )


def _opened(s: Scene, name: str) -> int:
    found = s.box.view[clusters].get(s[name])
    assert found is not None
    return found.opened_ms


def test_many_clusters_can_be_linked_in_any_order_and_the_way_up_stays_short() -> None:
    s, chance = hotline(), Random(5)
    names = [f"c{number}" for number in range(64)]
    for name in names:
        heard(s, name, call_of(name, name, severity=chance.randint(1, 4)))
    worst = max(cluster(s, name).severity for name in names)
    left = list(names)
    while len(left) > 1:
        chance.shuffle(left)
        one, other = left.pop(), left[-1]
        triage(s, LinkClusters(*(aiding.cluster_of(s.box.view, s[f"call {name}"]) for name in (one, other))))
    last = cluster(s, "c0")
    assert (last.calls, last.severity) == (64, worst)
    assert 1 <= last.rank <= 6
    assert not s.box.broken()


def test_what_is_urgent_comes_first() -> None:
    s = hotline()
    heard(s, "fire", call_of("fire", "fire", severity=5))
    heard(s, "crowd", call_of("crowd", "crowd"))
    heard(s, "crowd too", call_of("crowd too", "crowd"))
    told = aiding.urgent(s.box.view)
    assert [row["cluster"] for row in told][:2] == [s["fire"], s["older"]]
    assert [row["calls"] for row in told] == [1, 2, 2, 1, 1]
    assert s["sent"] not in {row["cluster"] for row in told}
    assert told[0] == {
        "cluster": s["fire"],
        "severity": 5,
        "calls": 1,
        "place": "fire",
        "category": "water",
        "opened_ms": _opened(s, "fire"),
    }
    assert aiding.cluster_of(s.box.view, NOBODY) == ""


def test_what_is_on_the_ledger_is_sealed() -> None:
    s = hotline()
    found = s.box.view[calls].get(s["call open"])
    assert found is not None
    assert (found.text, found.caller) == (paper("open"), paper("caller open"))
    assert NO_PAPER not in (found.text, found.caller)
