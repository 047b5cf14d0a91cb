"""What can happen between an approval and the last one, and what then becomes of the act: each case is defined here.

Ann and, for Dora's house, Cleo have approved; something happens; then Bo approves as the last one.
"""

from collections.abc import Callable

import msgspec
import pytest
from msgspec import Struct

from metrobloc.commons.acts.story import write
from metrobloc.commons.acts.test_rules import (
    DAY_MINUTES,
    DAY_MS,
    Bow,
    Wave,
    WaveTwice,
    act_of,
    mandate,
    missing,
    of,
    pay,
    propose,
    rows,
    scene,
    three,
)
from metrobloc.commons.acts.types import Approve, Propose, Withdraw
from metrobloc.commons.identity.types import (
    Accredit,
    Arbitrate,
    CloseSession,
    EndMandate,
    Freeze,
    NameGuardians,
    OpenSession,
    Recover,
    Resume,
    Revoke,
    Rotate,
    Succeed,
    Support,
    Suspend,
    Veto,
)
from metrobloc.commons.money.types import Issue
from metrobloc.kernel import envelope, system
from metrobloc.kernel.state import unmetered
from metrobloc.kernel.system import Ceiling
from metrobloc.kernel.tables import MutableRows
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene

Change = Callable[[Scene, Approve], None]


def nothing(s: Scene, _: Approve) -> None:
    """Let nothing happen."""


def rotated(s: Scene, _: Approve, threshold: int = 1) -> None:
    """Let Ann's new keys come into force."""
    keys = tuple(s.key(f"ann {number}") for number in range(threshold))
    s.stage.act("ann", Rotate(keys, threshold), also=[f"ann {number}" for number in range(threshold)])
    s.stage.wait(DAY_MINUTES)


def rotating(s: Scene, _: Approve) -> None:
    """Let Ann ask for new keys, which are not in force yet."""
    s.stage.act("ann", Rotate((s.key("ann 0"),)), also=["ann 0"])
    s.stage.wait(DAY_MINUTES - 1)


def in_doubt(s: Scene, approve: Approve) -> None:
    """Let Ann veto a change of her keys, about which nobody has decided."""
    rotating(s, approve)
    s.stage.act("ann", Veto())


def dismissed(s: Scene, approve: Approve) -> None:
    """Let the office decide that Ann's keys stay."""
    in_doubt(s, approve)
    s.stage.act("office", Arbitrate(s["ann"], "dismissed"))


def recovered(s: Scene, _: Approve, key: str = "ann 0") -> None:
    """Let Ann's guardians give her account a new key."""
    s.stage.act("ann", NameGuardians((s["cy"], s["cleo"], s["bo"]), 2))
    s.stage.wait(DAY_MINUTES)
    made = s.stage.act("cy", Recover(s["ann"], (s.key(key),)), also=[key]).ids[0]
    s.stage.act("cleo", Support(made))
    s.stage.wait(DAY_MINUTES)


def recovered_with_the_same_key(s: Scene, approve: Approve) -> None:
    """Let Ann's guardians confirm the key that she has, which ends what was done with it before."""
    recovered(s, approve, "ann")


def frozen(s: Scene, _: Approve, who: str = "ann") -> None:
    """Let somebody freeze her account."""
    s.stage.act(who, Freeze())


def thawed(s: Scene, approve: Approve) -> None:
    """Let Ann freeze her account, and that end."""
    frozen(s, approve)
    s.stage.wait(3 * DAY_MINUTES)


def delegate_frozen(s: Scene, approve: Approve) -> None:
    """Let Cleo freeze her account."""
    frozen(s, approve, "cleo")


def delegate_rotated(s: Scene, _: Approve) -> None:
    """Let Cleo have a new key."""
    s.stage.act("cleo", Rotate((s.key("cleo 0"),)), also=["cleo 0"])
    s.stage.wait(DAY_MINUTES)


def role_expired(s: Scene, _: Approve) -> None:
    """Let the house's licence run out."""
    s.stage.act("office", Accredit(s["dora"], "Dora's house", "bank", 100, s.stage.time_ms + DAY_MS))
    s.stage.wait(DAY_MINUTES)


def role_revoked(s: Scene, _: Approve) -> None:
    """Take the house's licence."""
    s.stage.act("office", Revoke(s["dora"], "bank"))


def suspended(s: Scene, _: Approve) -> None:
    """Suspend the house for some days."""
    s.stage.act("office", Suspend(s["dora"], s.stage.time_ms + 20 * DAY_MS))


def resumed(s: Scene, approve: Approve) -> None:
    """Suspend the house and end that."""
    suspended(s, approve)
    s.stage.act("office", Resume(s["dora"]))


def succeeded(s: Scene, _: Approve) -> None:
    """Let the company take the place of the house."""
    s.stage.act("office", Accredit(s["company"], "Company", "company", 100))
    s.stage.act("dora", Succeed(s["dora"], s["company"]))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("bank", Issue("cny", s["company"], 1))


def mandate_ended(s: Scene, _: Approve) -> None:
    """Let the house end Cleo's mandate."""
    s.stage.act("dora", EndMandate(s["dora"], s["cleo"]))


def mandate_expired(s: Scene, _: Approve) -> None:
    """Let Cleo's mandate run out."""
    s.stage.wait(31 * DAY_MINUTES)


def mandate_given_anew(s: Scene, _: Approve) -> None:
    """Let the house give Cleo the same mandate again."""
    mandate(s, days=30)


def ceiling_used_up(s: Scene, _: Approve) -> None:
    """Let Cleo spend so much of the house's that she may spend 14 more, of the 15 in the act."""
    s.stage.act("dora", pay(s, "cy", 6), by=["cleo"])


def ceiling_just_enough(s: Scene, _: Approve) -> None:
    """Let Cleo spend so much of the house's that she may spend just the 15 in the act."""
    s.stage.act("dora", pay(s, "cy", 5), by=["cleo"])


def poor(s: Scene, _: Approve) -> None:
    """Let Ann have less than the act takes from her."""
    s.stage.act("ann", pay(s, "cy", 41))


def upgraded(s: Scene, _: Approve) -> None:
    """Let the second version of the rules come into force."""
    upgrade(s)


class Between(Struct, frozen=True):
    """What happens, how the last approval ends, and whose approval is missing then, if the act is still open."""

    change: Change
    code: str = "ok"
    missing: tuple[str, ...] = ()


BETWEEN = [
    Between(nothing),
    Between(rotating),
    Between(rotated, missing=("ann",)),
    Between(in_doubt, "acts.somebody_frozen", ("bo",)),
    Between(dismissed),
    Between(recovered, missing=("ann",)),
    Between(recovered_with_the_same_key, missing=("ann",)),
    Between(frozen, "acts.somebody_frozen", ("bo",)),
    Between(thawed),
    Between(delegate_frozen, "acts.somebody_frozen", ("bo",)),
    Between(delegate_rotated, missing=("dora",)),
    Between(role_expired, "acts.no_role", ("bo",)),
    Between(role_revoked, "acts.no_role", ("bo",)),
    Between(suspended, "acts.no_role", ("bo",)),
    Between(resumed),
    Between(succeeded, missing=("dora",)),
    Between(mandate_ended, missing=("dora",)),
    Between(mandate_expired, missing=("dora",)),
    Between(mandate_given_anew, missing=("dora",)),
    Between(ceiling_used_up, "above_ceiling", ("bo",)),
    Between(ceiling_just_enough),
    Between(poor, "money.balances_too_low", ("bo",)),
    Between(upgraded, "acts.other_rules", ("bo",)),
]


def upgrade(s: Scene) -> None:
    """Let the second version of the rules come into force, as the council would."""
    run = s.box.machine.open_block(s.stage.time_ms)
    state = unmetered(run.state)
    chain = MutableRows(system.chain, state)
    chain["info"] = chain["info"].but(next_rules=2, from_height=run.height + 1)
    state.fold()
    run.apply(s.stage.sign(("bank", Issue("cny", s["company"], 1))))
    s.box.seal(run)


def send(s: Scene, actor: str, *messages: Message, rules: int = 2) -> tuple[str, tuple[str, ...]]:
    """Send what somebody signs under a version of the rules; return the code and the ids given out."""
    payload = s.stage.payload(*((actor, message) for message in messages))
    raw = envelope.sign(msgspec.structs.replace(payload, rules=rules), [s.stage.key(actor)])
    outcome = s.stage.send([raw])[0]
    ids = msgspec.json.decode(outcome.receipt).get("ids", ()) if outcome.receipt else ()
    return outcome.code, tuple(ids)


@pytest.mark.parametrize("between", BETWEEN, ids=lambda between: between.change.__name__)
def test_between_an_approval_and_the_last_one(between: Between) -> None:
    s = scene()
    mandate(s, days=30)
    approve = three(s)
    s.stage.act("ann", approve)
    s.stage.act("dora", approve, by=["cleo"])
    between.change(s, approve)
    before = rows(s)
    version = 2 if between.change is upgraded else 1
    assert send(s, "bo", approve, rules=version)[0] == between.code
    assert act_of(s, approve.act).result == ("open" if between.code != "ok" or between.missing else "executed")
    if between.code != "ok":
        assert rows(s) == before
    if act_of(s, approve.act).result == "open":
        assert missing(s, approve.act) == list(between.missing)
        assert of(s, "ann", asset="dee") == [0]
    else:
        assert of(s, "ann", asset="dee") == [7]
    assert not s.box.bugs


def test_who_has_new_keys_approves_again_with_them() -> None:
    for change in (rotated, recovered):
        s = scene()
        approve = three(s)
        for name in ("ann", "bo"):
            s.stage.act(name, approve)
        change(s, approve)
        s.stage.act("dora", approve)
        s.stage.act("ann", approve, refused="not_signed")
        s.stage.act("ann", approve, by=["ann 0"])
        assert act_of(s, approve.act).result == "executed"


def test_an_account_of_several_keys_approves_with_as_many() -> None:
    s = scene()
    approve = three(s)
    rotated(s, approve, threshold=2)
    for name in ("bo", "dora"):
        s.stage.act(name, approve)
    s.stage.act("ann", approve, by=["ann 0"], refused="not_signed")
    s.stage.act("ann", approve, by=["ann 0", "ann 1"])
    assert act_of(s, approve.act).result == "executed"


def test_what_was_in_the_way_once_need_not_be_for_ever() -> None:
    s = scene()
    approve = three(s)
    for name in ("ann", "dora"):
        s.stage.act(name, approve)
    s.stage.act("ann", pay(s, "cy", 41))
    s.stage.act("office", Suspend(s["dora"], s.stage.time_ms + DAY_MS))
    s.stage.act("bo", approve, refused="money.balances_too_low")
    s.stage.act("bank", Issue("cny", s["ann"], 1))
    s.stage.act("bo", approve, refused="acts.no_role")
    s.stage.wait(DAY_MINUTES)
    s.stage.act("bo", approve)
    assert act_of(s, approve.act).result == "executed"


def test_a_successor_approves_in_the_name_of_who_is_no_more() -> None:
    s = scene()
    approve = three(s)
    for name in ("ann", "bo", "dora"):
        if name == "dora":
            succeeded(s, approve)
            s.stage.act("dora", approve, refused="not_signed")
        s.stage.act(name, approve, by=["company"] if name == "dora" else None)
    act = act_of(s, approve.act)
    assert [one.delegate for one in act.consents] == [None, s["company"], None]
    assert act.result == "executed"


@pytest.mark.parametrize("end", ["nothing", "closed", "expired", "one millisecond"])
def test_a_session_that_has_ended_has_not_approved(end: str) -> None:
    s = scene()
    approve = three(s)
    until_ms, ceilings = s.stage.time_ms + DAY_MS, (Ceiling("money.balances", "cny", 60),)
    opened = OpenSession(s.key("phone"), ("acts", "money.move"), until_ms, ceilings)
    s.stage.act("ann", opened, also=["phone"])
    s.stage.act("ann", approve, by=["phone"])
    s.stage.act("dora", approve)
    if end == "closed":
        s.stage.act("ann", CloseSession(s.key("phone")))
    if end in ("expired", "one millisecond"):
        s.stage.time_ms = until_ms - 1000 - (end == "one millisecond")
    s.stage.act("bo", approve)
    assert act_of(s, approve.act).result == ("open" if end in ("closed", "expired") else "executed")


def test_of_two_acts_over_the_same_money_the_first_is_done() -> None:
    s = scene()
    first, second = three(s), three(s)
    for approve in (first, second):
        for name in ("dora", "bo"):
            s.stage.act(name, approve)
    codes = [outcome.code for outcome in s.stage.send([s.stage.sign(("ann", one)) for one in (second, first)])]
    assert codes == ["ok", "money.balances_too_low"]
    assert (act_of(s, first.act).result, act_of(s, second.act).result) == ("open", "executed")
    assert of(s, "ann") == [40]


def test_an_approval_that_is_sent_twice_counts_once() -> None:
    s = scene()
    approve = three(s)
    raw = s.stage.sign(("ann", approve))
    assert [outcome.code for outcome in s.stage.send([raw, raw])] == ["ok", "replayed"]
    s.stage.act("ann", Withdraw(approve.act))
    assert s.stage.send([raw])[0].code == "replayed"
    assert missing(s, approve.act) == ["ann", "dora", "bo"]


def test_an_act_is_done_under_the_rules_that_it_was_written_for() -> None:
    s = scene()
    old = propose(s, ("ann", Wave()), ("bo", pay(s, "cy", 1)))
    s.stage.act("ann", old)
    upgrade(s)
    for message in (old, Approve(old.act, "0" * 64)):
        code, _ = send(s, "bo", message)
        assert code == ("acts.other_rules" if message is old else "acts.other_bundle")
    assert missing(s, old.act) == ["bo"]
    assert send(s, "ann", Withdraw(old.act))[0] == "ok"
    until_ms = s.stage.time_ms + 30 * DAY_MS
    new = Propose(write(s.stage, ("ann", WaveTwice(2)), ("ann", Bow())), until_ms)
    code, ids = send(s, "ann", new)
    assert code == "ok"
    act = act_of(s, ids[0])
    assert act.rules == 2
    assert send(s, "ann", Approve(ids[0], act.bundle))[0] == "ok"
    assert act_of(s, ids[0]).result == "executed"
    assert send(s, "ann", Propose(write(s.stage, ("ann", Wave())), until_ms))[0] == "acts.malformed"
    s.stage.time_ms = act_of(s, old.act).until_ms
    send(s, "bo", pay(s, "cy", 1))
    assert act_of(s, old.act).result == "lapsed"
    assert not s.box.bugs
