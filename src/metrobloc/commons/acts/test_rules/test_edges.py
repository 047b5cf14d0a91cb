"""Acts: what each step can end with, and what follows from the declarations."""

from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from metrobloc.commons.acts import story
from metrobloc.commons.acts.rules import acts, app, approvals, waiting
from metrobloc.commons.acts.story import write
from metrobloc.commons.acts.test_rules import (
    DAY_MS,
    NOBODY,
    Vow,
    act_of,
    bundle,
    missing,
    of,
    pay,
    propose,
    rows,
    scene,
    three,
)
from metrobloc.commons.acts.types import (
    Act,
    Approve,
    Approved,
    Call,
    Cancel,
    Cancelled,
    Decline,
    Declined,
    Lapsed,
    Propose,
    Proposed,
    Withdraw,
    Withdrawn,
)
from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.types import OpenAsset
from metrobloc.kernel import codec, system
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Event, Message
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

SOON_MS = START_MS + 30 * DAY_MS
test_generated = generated((identity, money, app), app, story.play)


def set_scene() -> Scene:
    """Set the scene: one act is open, one Ann has approved, one names Ann's key, and one is over."""
    s = scene()
    for name in ("open", "half", "over"):
        yes = propose(s, ("ann", pay(s, "bo", 60)), ("bo", pay(s, "cy", 1)))
        s.ids |= {name: yes.act, f"{name} bundle": yes.bundle}
    s.ids["vow"] = propose(s, ("bo", Vow(key=s.key("ann"))), keys=["ann"]).act
    s.stage.act("ann", Approve(s["half"], s["half bundle"]))
    s.stage.act("notary", Cancel(s["over"]))
    return s


def ask(s: Scene, *calls: Call, until_ms: int = SOON_MS, keys: tuple[str, ...] = ()) -> Propose:
    """Return a proposal."""
    return Propose(calls or write(s.stage, ("ann", pay(s, "bo", 1))), until_ms, tuple(s.key(one) for one in keys))


def call(s: Scene, do: str, message: str, actor: str = "ann") -> Call:
    """Return a call as somebody may have written it."""
    return Call(s[actor], do, message)


def yes(s: Scene, name: str) -> Approve:
    """Return an approval."""
    return Approve(s[name], s[f"{name} bundle"])


CASES: list[Case] = [
    Case("cy", ask, "ok"),
    Case("cy", lambda s: ask(s, until_ms=s.stage.time_ms + 1001), "ok"),
    Case("cy", lambda s: ask(s, until_ms=s.stage.time_ms + 1000), "acts.in_the_past"),
    Case("cy", lambda s: ask(s, until_ms=s.stage.time_ms + 1000 + 90 * DAY_MS), "ok"),
    Case("cy", lambda s: ask(s, until_ms=s.stage.time_ms + 1001 + 90 * DAY_MS), "acts.too_long"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":1,"asset":"cny"}')), "ok"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"asset":"cny","amount":1}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":1, "asset":"cny"}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":0,"asset":"cny"}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":1,"asset":"\\u0063ny"}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":1}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":1.0,"asset":"cny"}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", "[" * 16_000)), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", "not JSON")), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.redeem", '{"amount":1,"asset":"cny","x":1}')), "acts.malformed"),
    Case("cy", lambda s: ask(s, call(s, "money.mint", "{}")), "acts.unknown_action"),
    Case("cy", lambda s: ask(s, call(s, "money", "{}")), "acts.unknown_action"),
    Case("cy", lambda s: ask(s, call(s, "toy.bow", "{}")), "acts.unknown_action"),
    Case("cy", lambda s: ask(s, call(s, "acts.cancel", f'{{"act":"{s["open"]}"}}')), "acts.nested"),
    Case("cy", lambda s: ask(s, call(s, "acts", "{}")), "acts.nested"),
    Case("cy", lambda s: ask(s, Call(NOBODY, "toy.guard", "{}")), "kernel.accounts_unknown"),
    Case("cy", lambda s: ask(s, *write(s.stage, ("bo", Vow(key=s.key("ann"))))), "acts.keys_wrong"),
    Case("cy", lambda s: ask(s, *write(s.stage, ("bo", Vow(key=s.key("ann")))), keys=("ann",)), "ok", also=("ann",)),
    Case("cy", lambda s: ask(s, *write(s.stage, ("bo", Vow(key=s.key("ann")))), keys=("ann",)), "not_signed"),
    Case(
        "cy",
        lambda s: ask(s, *write(s.stage, ("bo", Vow(key=s.key("ann")))), keys=("ann", "ann")),
        "acts.keys_wrong",
        also=("ann",),
    ),
    Case("cy", lambda s: ask(s, keys=("ann",)), "acts.keys_wrong", also=("ann",)),
    Case(
        "cy",
        lambda s: ask(s, *write(s.stage, ("bo", Vow((s.key("ann"), s.key("bo")), s.key("ann")))), keys=("bo", "ann")),
        "ok",
        also=("ann", "bo"),
    ),
    Case("ann", lambda s: yes(s, "open"), "ok"),
    Case("bo", lambda s: yes(s, "half"), "ok"),
    Case("ann", lambda s: yes(s, "half"), "ok"),
    Case("cy", lambda s: yes(s, "open"), "acts.not_actor"),
    Case("notary", lambda s: yes(s, "open"), "acts.not_actor"),
    Case("ann", lambda s: yes(s, "over"), "acts.over"),
    Case("ann", lambda s: Approve(s["open"], "0" * 64), "acts.other_bundle"),
    Case("ann", lambda s: Approve(s["half"], s["open bundle"]), "acts.other_bundle"),
    Case("ann", lambda s: Approve(NOBODY, s["open bundle"]), "acts.acts_unknown"),
    Case("ann", lambda s: Withdraw(s["half"]), "ok"),
    Case("ann", lambda s: Withdraw(s["open"]), "acts.not_approved"),
    Case("bo", lambda s: Withdraw(s["half"]), "acts.not_approved"),
    Case("cy", lambda s: Withdraw(s["half"]), "acts.not_actor"),
    Case("ann", lambda s: Withdraw(s["over"]), "acts.over"),
    Case("ann", lambda _: Withdraw(NOBODY), "acts.acts_unknown"),
    Case("ann", lambda s: Decline(s["open"]), "ok"),
    Case("ann", lambda s: Decline(s["half"]), "ok"),
    Case("bo", lambda s: Decline(s["half"]), "ok"),
    Case("ann", lambda s: Decline(s["vow"]), "ok"),
    Case("cy", lambda s: Decline(s["vow"]), "acts.not_actor"),
    Case("notary", lambda s: Decline(s["open"]), "acts.not_actor"),
    Case("ann", lambda s: Decline(s["over"]), "acts.over"),
    Case("ann", lambda _: Decline(NOBODY), "acts.acts_unknown"),
    Case("notary", lambda s: Cancel(s["half"]), "ok"),
    Case("ann", lambda s: Cancel(s["half"]), "acts.not_proposer"),
    Case("notary", lambda s: Cancel(s["over"]), "acts.over"),
    Case("notary", lambda _: Cancel(NOBODY), "acts.acts_unknown"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.actor}-{case.code}")
def test_edges(case: Case) -> None:
    play(set_scene(), case)


def test_every_refusal_is_told() -> None:
    elsewhere = {"beyond_scope", "no_role", "other_rules", "somebody_frozen", "too_large"}
    assert unmet(app, CASES) == {f"acts.{code}" for code in elsewhere}
    assert readme_refusals(Path(__file__).parents[1], app) == app.refusals


def test_nothing_happens_before_all_have_approved_and_then_everything_once() -> None:
    s = scene()
    approve = three(s)
    s.stage.act("ann", approve)
    s.stage.act("dora", approve)
    assert (of(s, "ann", "bo", "cy", "dora"), of(s, "ann", asset="dee")) == ([100, 50, 0, 30], [0])
    assert missing(s, approve.act) == ["bo"]
    told = s.stage.act("bo", approve)
    assert (of(s, "ann", "bo", "cy", "dora"), of(s, "ann", asset="dee")) == ([40, 109, 16, 15], [7])
    names = [event.event for event in told.events]
    assert names == ["acts.approved", "money.moved", "money.issued", "money.moved", "money.moved", "acts.executed"]
    for name in ("ann", "bo", "dora"):
        s.stage.act(name, approve, refused="acts.over")
    assert of(s, "ann", "bo", "cy", "dora") == [40, 109, 16, 15]
    assert not s.box.broken()


def test_whatever_the_order_the_same_comes_out() -> None:
    found = []
    for order in permutations(("ann", "bo", "dora")):
        s = scene()
        approve = three(s)
        for name in order:
            assert act_of(s, approve.act).result == "open"
            s.stage.act(name, approve)
        assert act_of(s, approve.act).result == "executed"
        found.append(rows(s))
    assert len(found) == 6
    assert all(one == found[0] for one in found)


def test_an_approval_that_was_taken_back_is_missing() -> None:
    s = scene()
    approve = three(s)
    for name in ("ann", "dora"):
        s.stage.act(name, approve)
    s.stage.act("ann", Withdraw(approve.act))
    s.stage.act("bo", approve)
    assert missing(s, approve.act) == ["ann"]
    s.stage.act("ann", Withdraw(approve.act), refused="acts.not_approved")
    s.stage.act("ann", approve)
    assert act_of(s, approve.act).result == "executed"


def test_what_has_become_of_an_act_stays() -> None:
    s = scene()
    ended: dict[str, Act] = {}
    for name in ("executed", "declined", "cancelled", "lapsed"):
        approve = propose(s, ("ann", pay(s, "bo", 1)), ("bo", Vow(key=s.key("ann"))), days=1, keys=["ann"])
        s.stage.act("bo", approve)
        if name == "lapsed":
            s.stage.wait(24 * 60)
        doing = {"executed": approve, "declined": Decline(approve.act), "cancelled": Cancel(approve.act)}
        s.stage.act("notary" if name == "cancelled" else "ann", doing.get(name, pay(s, "bo", 1)))
        ended[name] = act_of(s, approve.act)
        assert (ended[name].result, ended[name].bundle) == (name, approve.bundle)
        assert (ended[name].ended_ms, ended[name].ended_height) == (s.stage.time_ms, s.box.machine.height)
        assert [one.account for one in approvals(s.box.view, approve.act, 0)] == (
            [s["ann"], s["bo"]] if name == "executed" else []
        )
    assert {name for name, act in ended.items() if act.calls and act.keys} == {"executed"}
    assert [one.account for one in ended["executed"].consents] == [s["ann"], s["bo"]]
    assert not any(waiting(s.box.view, s[name], s.stage.time_ms) for name in ("ann", "bo", "notary"))
    due = [row.do for _, row in s.box.view[system.deadlines].items()]
    assert "acts.lapse" not in due
    last = [receipt for sealed in s.box.sealed for receipt in sealed.receipts if b'"acts.lapsed"' in receipt]
    assert len(last) == 1
    lapsed = next(key for key, act in s.box.view[acts].items() if act.result == "lapsed")
    assert codec.encode(Lapsed(lapsed)) in last[0]


def test_a_client_knows_an_acts_hash_before_it_is_sent() -> None:
    s = scene()
    proposed = ask(s, *write(s.stage, ("bo", Vow(key=s.key("ann")))), keys=("ann",))
    made = s.stage.act("cy", proposed, also=("ann",)).ids[0]
    assert act_of(s, made).bundle == bundle(s, "cy", proposed)
    others = (
        ask(s),
        msgspec.structs.replace(proposed, until_ms=SOON_MS + 1),
        msgspec.structs.replace(proposed, keys=()),
    )
    hashes = {bundle(s, "cy", one) for one in (proposed, *others)} | {bundle(s, "ann", proposed)}
    assert len(hashes | {bundle(s, "cy", proposed, rules=2)}) == 6


def test_everybody_sees_what_waits() -> None:
    s = scene()
    first = propose(s, ("ann", pay(s, "bo", 1)), ("bo", pay(s, "ann", 1)), days=1)
    more = [propose(s, ("ann", pay(s, "bo", 1)), days=2).act for _ in range(101)]
    s.stage.act("ann", first)
    every = sorted([first.act, *more])
    now_ms = s.stage.time_ms
    page = waiting(s.box.view, s["ann"], now_ms)
    rest = waiting(s.box.view, s["ann"], now_ms, page[-1].act)
    assert ([one.act for one in page], [one.act for one in rest]) == (every[:100], every[100:])
    assert [one.act for one in (*page, *rest) if one.approved] == [first.act]
    assert {one.proposer for one in page} == {s["notary"]}
    (bos,) = waiting(s.box.view, s["bo"], now_ms)
    until_ms = act_of(s, first.act).until_ms
    assert (bos.act, bos.until_ms, bos.approved) == (first.act, until_ms, False)
    assert waiting(s.box.view, s["bo"], until_ms - 1)
    assert not waiting(s.box.view, s["bo"], until_ms)
    assert not waiting(s.box.view, s["cy"], now_ms)
    seen = approvals(s.box.view, first.act, now_ms)
    assert [(one.account, one.holds, one.given_ms) for one in seen] == [(s["ann"], True, now_ms), (s["bo"], False, 0)]
    with pytest.raises(Refused, match=r"acts\.acts_unknown"):
        approvals(s.box.view, NOBODY, now_ms)


def test_each_step_is_told() -> None:
    s = scene()
    proposed = ask(s, *write(s.stage, ("dora", pay(s, "bo", 1)), ("ann", pay(s, "bo", 1)), ("dora", pay(s, "bo", 1))))
    told = s.stage.act("notary", proposed)
    made = told.ids[0]
    approve = Approve(made, bundle(s, "notary", proposed))
    expected = Proposed(made, s["notary"], approve.bundle, SOON_MS, (s["dora"], s["ann"]))
    assert [(one.event, bytes(one.fields)) for one in told.events] == [("acts.proposed", codec.encode(expected))]
    s.ids["more"] = propose(s, ("bo", pay(s, "cy", 1)), ("dora", pay(s, "cy", 1))).act
    more = Approve(s["more"], act_of(s, s["more"]).bundle)
    steps: list[tuple[str, Message, Event, list[str] | None]] = [
        ("ann", approve, Approved(made, s["ann"]), None),
        ("ann", Withdraw(made), Withdrawn(made, s["ann"]), None),
        ("dora", Decline(made), Declined(made, s["dora"]), None),
        ("dora", more, Approved(more.act, s["dora"], s["cleo"]), ["cleo"]),
        ("notary", Cancel(more.act), Cancelled(more.act), None),
    ]
    for actor, message, event, by in steps:
        told = s.stage.act(actor, message, by=by)
        assert [bytes(one.fields) for one in told.events] == [codec.encode(event)]


def test_an_act_ends_at_its_millisecond() -> None:
    for late_ms, code in ((-1, "ok"), (0, "acts.over"), (1, "acts.over")):
        s = scene()
        approve = propose(s, ("ann", pay(s, "bo", 1)), days=1)
        s.stage.time_ms = act_of(s, approve.act).until_ms + late_ms - 1000
        s.stage.act("ann", approve, refused=code)
        assert act_of(s, approve.act).result == ("executed" if code == "ok" else "lapsed")


def test_an_act_out_of_time_is_over_though_the_queue_is_behind() -> None:
    keys = [(role, demo_key(role)) for role in ROLES]
    founders = tuple(Founder(key.key_id, 1_000_000, (role,)) for role, key in keys if key is not None)
    modules = ("identity", "money", "acts", "toy")
    s = scene(codec.encode(Genesis(founders, modules, "demo-slow", START_MS, Limits(deadlines_per_block=1))))
    until_ms = s.stage.time_ms + DAY_MS
    made = []
    for _ in range(4):
        proposed = ask(s, until_ms=until_ms)
        made.append(Approve(s.stage.act("notary", proposed).ids[0], bundle(s, "notary", proposed)))
    s.stage.time_ms = until_ms - 1000
    raws = [
        s.stage.sign(("ann", made[1])),
        s.stage.sign(("ann", Withdraw(made[2].act))),
        s.stage.sign(("ann", Decline(made[3].act))),
        s.stage.sign(("notary", Cancel(made[3].act))),
        s.stage.sign(("ann", made[0])),
    ]
    assert [outcome.code for outcome in s.stage.send(raws)] == ["acts.over"] * 5
    assert sum(act_of(s, one.act).result == "open" for one in made) == 3


def test_a_call_of_a_module_that_is_not_in_force_is_refused() -> None:
    key = demo_key("bank")
    assert key is not None
    founders = (Founder(key.key_id, 100, ("bank",)),)
    few = Scene((identity, money, app), codec.encode(Genesis(founders, ("identity", "acts"), "demo-few", START_MS)))
    message = codec.encode(OpenAsset("cny", "Fen", 2)).decode()
    proposed = Propose((Call(few["bank"], "money.open_asset", message),), SOON_MS)
    few.stage.act("bank", proposed, refused="acts.unknown_action")
