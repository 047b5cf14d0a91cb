"""Who tries to get more out of an act than its actors want, and what an act may name, hold and cost."""

from collections.abc import Callable

import msgspec
import pytest

from metrobloc.commons.acts.story import write
from metrobloc.commons.acts.test_rules import (
    DAY_MS,
    Crown,
    Guard,
    Toil,
    Vow,
    act_of,
    bundle,
    mandate,
    missing,
    new_id,
    of,
    pay,
    propose,
    rows,
    scene,
    three,
)
from metrobloc.commons.acts.types import Approve, Call, Decline, Propose, Withdraw
from metrobloc.commons.identity.rules import changes
from metrobloc.commons.identity.types import (
    Accredit,
    EndMandate,
    Freeze,
    Mandate,
    Register,
    Rotate,
)
from metrobloc.commons.money.rules import holds
from metrobloc.commons.money.types import Hold, Leg, Move, Release
from metrobloc.kernel import accounts, envelope, system
from metrobloc.kernel.context import derive_id
from metrobloc.kernel.system import Ceiling
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene

DORAS: list[tuple[tuple[str, ...], Callable[[Scene], Message], str]] = [
    (("acts.approve", "money.move"), lambda s: pay(s, "cy", 1), "ok"),
    (("acts", "money"), lambda s: pay(s, "cy", 1), "ok"),
    (("acts.approve", "money.hold"), lambda s: pay(s, "cy", 1), "acts.beyond_scope"),
    (("acts",), lambda s: pay(s, "cy", 1), "acts.beyond_scope"),
    (("acts.withdraw", "money.move"), lambda s: pay(s, "cy", 1), "not_signed"),
    (("acts", "identity"), lambda _: Freeze(), "acts.beyond_scope"),
    (("acts", "identity.end_mandate"), lambda s: EndMandate(s["dora"], s["cleo"]), "acts.beyond_scope"),
]


@pytest.mark.parametrize(("scope", "message", "code"), DORAS)
def test_a_delegate_approves_what_she_could_do_herself(
    scope: tuple[str, ...], message: Callable[[Scene], Message], code: str
) -> None:
    s = scene()
    approve = propose(s, ("bo", pay(s, "cy", 1)), ("dora", pay(s, "cy", 1)), ("dora", message(s)))
    mandate(s, scope)
    s.stage.act("dora", approve, by=["cleo"], refused=code)
    assert missing(s, approve.act) == (["bo"] if code == "ok" else ["bo", "dora"])


def test_what_others_do_in_an_act_is_not_asked_of_a_delegate() -> None:
    s = scene()
    approve = propose(s, ("ann", Freeze()), ("dora", pay(s, "cy", 1)))
    s.stage.act("dora", approve, by=["cleo"])
    s.stage.act("ann", approve)
    assert act_of(s, approve.act).result == "executed"


@pytest.mark.parametrize("last", ["ann", "dora"])
def test_what_an_act_spends_is_taken_from_the_delegates_ceiling(last: str) -> None:
    s = scene()
    approve = propose(s, ("ann", pay(s, "bo", 90)), ("dora", pay(s, "cy", 9)), ("dora", pay(s, "cy", 4)))
    order = ["dora", "ann"] if last == "ann" else ["ann", "dora"]
    for name in order:
        s.stage.act(name, approve, by=["cleo"] if name == "dora" else None)
    assert of(s, "ann", "dora") == [10, 17]
    given = s.box.view[system.delegations].get((s["dora"], s["cleo"]))
    assert given is not None
    assert [one.most for one in given.ceilings] == [20 - 13]
    s.stage.act("dora", pay(s, "cy", 8), by=["cleo"], refused="above_ceiling")
    s.stage.act("dora", pay(s, "cy", 7), by=["cleo"])


def test_own_keys_are_bound_to_no_ceiling_though_a_delegate_approves_last() -> None:
    s = scene()
    approve = propose(s, ("ann", pay(s, "bo", 90)), ("dora", pay(s, "cy", 1)))
    s.stage.act("ann", approve)
    s.stage.act("dora", approve, by=["cleo"])
    s.stage.act("dora", pay(s, "cy", 20), by=["cleo"], refused="above_ceiling")
    assert of(s, "ann", "dora") == [10, 29]


def test_a_right_that_the_act_itself_ends_is_not_used_behind_it() -> None:
    s = scene()
    approve = propose(s, ("cleo", EndMandate(s["dora"], s["cleo"])), ("dora", pay(s, "cy", 1)))
    s.stage.act("cleo", approve)
    s.stage.act("dora", approve, by=["cleo"], refused="kernel.delegations_unknown")
    s.stage.act("dora", approve)
    assert act_of(s, approve.act).result == "executed"


def test_a_mandate_that_an_act_replaces_is_not_written_back_by_who_approved_last() -> None:
    s = scene()
    approve = propose(s, ("dora", pay(s, "cy", 1)), ("bo", Crown(s["dora"], s["cleo"])))
    s.stage.act("bo", approve)
    s.stage.act("dora", approve, by=["cleo"])
    given = s.box.view[system.delegations].get((s["dora"], s["cleo"]))
    assert given is not None
    assert (given.scope, given.ceilings) == ((), ())


def test_a_mandate_that_is_narrowed_in_the_same_block_does_not_approve() -> None:
    s = scene()
    approve = propose(s, ("dora", pay(s, "cy", 1)), ("bo", pay(s, "cy", 1)))
    until_ms = s.stage.time_ms + DAY_MS

    def given(*scope: str) -> Mandate:
        return Mandate(s["cleo"], scope, until_ms, (Ceiling("money.balances", "cny", 1),))

    raws = [
        s.stage.sign(("dora", given("acts.approve", "money.move"))),
        s.stage.sign(("dora", approve), by=["cleo"]),
        s.stage.sign(("dora", given("acts.approve", "money.hold"))),
        s.stage.sign(("bo", approve)),
    ]
    assert [outcome.code for outcome in s.stage.send(raws)] == ["ok"] * 4
    assert missing(s, approve.act) == ["dora"]


def test_a_frozen_account_can_take_back_and_decline_but_not_approve() -> None:
    s = scene()
    approve, other = three(s), three(s)
    s.stage.act("ann", approve)
    s.stage.act("ann", Freeze())
    s.stage.act("ann", other, refused="frozen")
    s.stage.act("ann", Withdraw(approve.act))
    s.stage.act("ann", Decline(other.act))
    assert act_of(s, other.act).result == "declined"


def test_a_thief_who_has_approved_has_not_once_the_owner_has_new_keys() -> None:
    """Follow an owner who freezes her account, in time, and changes her keys meanwhile."""
    s = scene()
    approve = propose(s, ("ann", pay(s, "cy", 100)), ("cy", Vow()))
    s.stage.act("ann", approve)
    s.stage.act("ann", Freeze())
    s.stage.act("ann", Rotate((s.key("ann new"),)), also=["ann new"])
    s.stage.act("cy", approve, refused="acts.somebody_frozen")
    s.stage.wait(4 * 24 * 60)
    s.stage.act("cy", approve)
    assert missing(s, approve.act) == ["ann"]
    assert of(s, "ann") == [100]


def test_a_new_account_signs_the_act_that_opens_it() -> None:
    s = scene()
    calls = write(s.stage, ("bank", Register(s.key("new"))), ("ann", pay(s, "bo", 1)))
    proposed = Propose(calls, s.stage.time_ms + DAY_MS, (s.key("new"),))
    s.stage.act("notary", proposed, refused="not_signed")
    made = s.stage.act("notary", proposed, also=["new"]).ids[0]
    approve = Approve(made, act_of(s, made).bundle)
    s.stage.act("bank", approve)
    assert s.box.view[system.accounts].get(s["new"]) is None
    s.stage.act("ann", approve)
    assert s.box.view[system.accounts].get(s["new"]) is not None


def test_keys_that_an_act_gives_an_account_are_its_owners_will() -> None:
    s = scene()
    approve = propose(s, ("ann", Rotate((s.key("ann new"),))), ("bo", pay(s, "cy", 1)), keys=["ann new"])
    for name in ("ann", "bo"):
        s.stage.act(name, approve)
    change = s.box.view[changes].get(s["ann"])
    assert change is not None
    assert change.keys == (s.key("ann new"),)


def test_an_act_is_no_larger_than_allowed() -> None:
    s = scene()
    legs = tuple(Leg("cny", s["bo"], 1) for _ in range(16))
    (call,) = write(s.stage, ("ann", Move(legs)))
    each = len(call.message)
    padded = tuple(Leg("c" * 32, s["bo"], 1) for _ in range(16))
    (long,) = write(s.stage, ("ann", Move(padded)))
    assert each < len(long.message) < 16_384
    until_ms = s.stage.time_ms + DAY_MS
    s.stage.act("cy", Propose((long,) * 16, until_ms))
    filler = Call(s["ann"], "toy.toil", '{"units":1}')
    for extra, code in ((0, "acts.malformed"), (1, "acts.too_large")):
        wide = Call(s["ann"], "toy.toil", "x" * 16_384)
        rest = Call(s["ann"], "toy.toil", "x" * (16_384 - len(filler.message) + extra))
        s.stage.act("cy", Propose((wide, rest, filler), until_ms), refused=code)
    two_bytes = Call(s["ann"], "toy.toil", "é" * 16_384)
    s.stage.act("cy", Propose((two_bytes, filler), until_ms), refused="acts.too_large")


def test_an_act_that_needs_too_much_work_does_nothing() -> None:
    s = scene()
    most = s.box.rules.genesis.limits.work_per_tx
    for units, code in ((most // 2 - 200, "ok"), (most // 2, "too_much_work")):
        approve = propose(s, ("ann", pay(s, "bo", 1)), ("ann", Toil(units)), ("bo", Toil(units)))
        s.stage.act("ann", approve)
        before = rows(s)
        s.stage.act("bo", approve, refused=code)
        assert (rows(s) == before) == (code != "ok")


def test_reading_and_keeping_calls_is_work() -> None:
    s = scene()
    padded = Move(tuple(Leg("c" * 32, s["bo"], 1) for _ in range(16)))
    calls = write(s.stage, *[("ann", padded)] * 16)
    run = s.box.machine.open_block(s.stage.time_ms)
    action = s.box.rules.actions["acts.propose"]
    run.execute("0" * 32, [(action, s["cy"], Propose(calls, s.stage.time_ms + DAY_MS))])
    size = sum(len(call.message) for call in calls)
    assert run.work > 2 * size // 256 + 16


def test_a_fault_in_a_call_leaves_the_act_open_and_nothing_done() -> None:
    s = scene()
    approve = propose(s, ("ann", pay(s, "bo", 1)), ("bo", Toil(13)))
    s.stage.act("ann", approve)
    before = rows(s)
    s.stage.act("bo", approve, refused="internal")
    assert rows(s) == before
    assert len(s.box.bugs) == 1
    assert "ZeroDivisionError" in s.box.bugs[0]


def test_a_role_is_asked_for_when_the_act_is_done() -> None:
    s = scene()
    approve = propose(s, ("cy", Guard()))
    s.stage.act("cy", approve, refused="acts.no_role")
    s.stage.act("office", Accredit(s["cy"], "Cy's house", "bank", 10))
    s.stage.act("cy", approve)


def test_calls_name_what_others_of_the_act_make() -> None:
    s = scene()
    payload = s.stage.payload()
    made = derive_id(s.box.rules.chain, s["notary"], payload.salt, 0, 0)
    first, second = (new_id(s, "ann", made, call) for call in (0, 1))
    legs = (Leg("cny", s["bo"], 5),)
    until_ms = s.stage.time_ms + DAY_MS
    calls = write(s.stage, ("ann", Hold(legs, until_ms)), ("ann", Hold(legs, until_ms)), ("ann", Release(first)))
    sent = msgspec.structs.replace(payload, calls=s.stage.payload(("notary", Propose(calls, until_ms))).calls)
    assert s.stage.send([envelope.sign(sent, [s.stage.key("notary")])])[0].code == "ok"
    told = s.stage.act("ann", Approve(made, act_of(s, made).bundle))
    assert (first in told.ids, second in told.ids) == (True, True)
    assert [key for key, _ in s.box.view[holds].items()] == [second]
    assert of(s, "ann", "bo") == [90, 55]


def test_calls_behind_an_approval_are_as_if_there_had_been_none() -> None:
    s = scene()
    approve = propose(s, ("ann", pay(s, "bo", 1)), ("ann", Hold((Leg("cny", s["bo"], 1),), s.stage.time_ms + DAY_MS)))
    hold = Hold((Leg("cny", s["bo"], 2),), s.stage.time_ms + DAY_MS)
    payload = s.stage.payload(("ann", hold), ("ann", approve), ("ann", hold))
    outcome = s.stage.send([envelope.sign(payload, [s.stage.key("ann")])])[0]
    ids = msgspec.json.decode(outcome.receipt)["ids"]
    chain = s.box.rules.chain
    assert (ids[0], ids[-2]) == tuple(derive_id(chain, s["ann"], payload.salt, call, 0) for call in (0, 2))
    poor = propose(s, ("ann", pay(s, "bo", 1)), ("ann", pay(s, "bo", 1)), ("ann", pay(s, "bo", 999)))
    receipt = s.stage.act("ann", hold, poor, refused="money.balances_too_low")
    assert receipt.call == 1


def test_an_approval_and_its_proposal_may_come_at_once() -> None:
    s = scene()
    payload = s.stage.payload()
    made = derive_id(s.box.rules.chain, s["ann"], payload.salt, 0, 0)
    proposed = Propose(write(s.stage, ("ann", pay(s, "bo", 1)), ("bo", pay(s, "cy", 1))), s.stage.time_ms + DAY_MS)
    approve = Approve(made, bundle(s, "ann", proposed))
    both = s.stage.payload(("ann", proposed), ("ann", approve)).calls
    raw = envelope.sign(msgspec.structs.replace(payload, calls=both), [s.stage.key("ann")])
    assert s.stage.send([raw])[0].code == "ok"
    assert missing(s, made) == ["bo"]


def test_an_id_is_given_out_once() -> None:
    s = scene()
    codes = []
    for fen in (1, 2):
        proposed = Propose(write(s.stage, ("ann", pay(s, "bo", fen))), s.stage.time_ms + DAY_MS)
        payload = msgspec.structs.replace(s.stage.payload(("ann", proposed)), salt="5a" * 16)
        codes.append(s.stage.send([envelope.sign(payload, [s.stage.key("ann")])])[0].code)
    assert codes == ["ok", "kernel.deadlines_taken"]


def test_quota_is_charged_to_who_approves() -> None:
    s = scene()
    approve = propose(s, *[("ann", pay(s, "bo", 1))] * 16)

    def used() -> dict[str, int]:
        return {key: one.units for key, one in s.box.view[system.usage].items()}

    before = used()
    s.stage.act("ann", approve)
    payer = s.box.view[system.accounts].get(s["ann"])
    assert payer is not None
    assert payer.payer == accounts.account_id(s.key("bank"))
    after = used()
    assert {key: units - before.get(key, 0) for key, units in after.items() if units != before.get(key)} == {
        s["bank"]: 1
    }
