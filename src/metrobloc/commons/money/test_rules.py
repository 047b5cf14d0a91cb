"""Money: what moves, what is refused, and that no cent is made or lost."""

from pathlib import Path
from typing import Literal

import msgspec
import pytest

from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.money.rules import app, balances, collect, hand_over, pay_out, shift
from metrobloc.commons.money.types import (
    Hold,
    Issue,
    Leg,
    Move,
    OpenAsset,
    RecordReserve,
    Redeem,
    Release,
    SetLimit,
    Void,
)
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import AccountId, Amount, Message
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

NOBODY = "a" * 26
NO_PAPER = "0" * 64
MOST = 2**53 - 1
HOUR_MS = 3_600_000

test_generated = generated([identity, app], app)


def scene(genesis: bytes | None = None) -> Scene:
    """Set the scene.

    Ann has 100 and holds 40 for Bo and 10 for Cy; Bo has 50 and may owe 30; Eve owes 20. Dan is a bank without assets.
    """
    made = Scene([identity, app], genesis)
    stage = made.stage
    for name in ("ann", "bo", "cy", "dan", "eve"):
        stage.join(name)
    stage.act("office", Accredit(made["dan"], "Dan's bank", "bank", 100))
    stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 200, NO_PAPER))
    stage.act("bank", Issue("cny", made["ann"], 130), Issue("cny", made["bo"], 50))
    stage.act("bank", Issue("cny", made["cy"], 20), SetLimit("cny", made["bo"], 30), SetLimit("cny", made["eve"], 30))
    stage.act("eve", Move((Leg("cny", made["ann"], 20),)))
    stage.act("cy", Redeem("cny", 20))
    stage.act("bank", Issue("cny", made["cy"], 20))
    stage.act("bank", OpenAsset("big", "Big", 0), RecordReserve("big", MOST, NO_PAPER))
    stage.act("bank", SetLimit("big", made["bo"], MOST), Issue("big", made["ann"], MOST))
    legs = (Leg("cny", made["bo"], 40), Leg("cny", made["cy"], 10))
    made.ids["hold"] = stage.act("ann", Hold(legs, START_MS + HOUR_MS)).ids[0]
    return made


CASES: list[Case] = [
    Case("dan", lambda _: OpenAsset("eur", "Cents", 2), "ok"),
    Case("dan", lambda _: OpenAsset("cny", "Fen", 2), "money.assets_taken"),
    Case("ann", lambda _: OpenAsset("eur", "Cents", 2), "not_allowed"),
    Case("bank", lambda _: RecordReserve("cny", 200, NO_PAPER), "ok"),
    Case("bank", lambda _: RecordReserve("cny", 199, NO_PAPER), "money.below_issued"),
    Case("dan", lambda _: RecordReserve("cny", 300, NO_PAPER), "money.not_issuer"),
    Case("bank", lambda _: RecordReserve("eur", 300, NO_PAPER), "money.assets_unknown"),
    Case("bank", lambda s: Issue("cny", s["ann"], 1), "money.above_reserve"),
    Case("bank", lambda s: Issue("eur", s["ann"], 1), "money.assets_unknown"),
    Case("bank", lambda _: Issue("cny", NOBODY, 1), "kernel.accounts_unknown"),
    Case("dan", lambda s: Issue("cny", s["ann"], 1), "money.not_issuer"),
    Case("ann", lambda _: Redeem("cny", 100), "ok"),
    Case("ann", lambda _: Redeem("cny", 101), "money.balances_too_low"),
    Case("bo", lambda _: Redeem("cny", 51), "money.balances_too_low"),
    Case("ann", lambda _: Redeem("eur", 1), "money.balances_too_low"),
    Case("bank", lambda s: SetLimit("cny", s["ann"], 0), "ok"),
    Case("dan", lambda s: SetLimit("cny", s["ann"], 5), "money.not_issuer"),
    Case("bank", lambda _: SetLimit("cny", NOBODY, 5), "kernel.accounts_unknown"),
    Case("bank", lambda s: SetLimit("cny", s["eve"], 20), "ok"),
    Case("bank", lambda s: SetLimit("cny", s["eve"], 19), "money.owes_more"),
    Case("ann", lambda s: Move((Leg("cny", s["bo"], 60), Leg("cny", s["cy"], 40))), "ok"),
    Case("ann", lambda s: Move((Leg("cny", s["bo"], 60), Leg("cny", s["cy"], 41))), "money.balances_too_low"),
    Case("ann", lambda s: Move((Leg("eur", s["bo"], 1),)), "money.balances_too_low"),
    Case("bo", lambda s: Move((Leg("cny", s["ann"], 80),)), "ok"),
    Case("bo", lambda s: Move((Leg("cny", s["ann"], 81),)), "money.balances_too_low"),
    Case("ann", lambda s: Move((Leg("cny", s["ann"], 1),)), "money.to_self"),
    Case("ann", lambda _: Move((Leg("cny", NOBODY, 1),)), "kernel.accounts_unknown"),
    Case("bo", lambda s: Move((Leg("big", s["ann"], 1),)), "out_of_range"),
    Case("ann", lambda s: Hold((Leg("cny", s["bo"], 100),), START_MS + HOUR_MS), "ok"),
    Case("ann", lambda s: Hold((Leg("cny", s["bo"], 101),), START_MS + HOUR_MS), "money.balances_too_low"),
    Case("ann", lambda s: Hold((Leg("cny", s["bo"], 1),), START_MS), "money.in_the_past"),
    Case("ann", lambda s: Hold((Leg("cny", s["ann"], 1),), START_MS + HOUR_MS), "money.to_self"),
    Case("ann", lambda _: Hold((Leg("cny", NOBODY, 1),), START_MS + HOUR_MS), "kernel.accounts_unknown"),
    Case("ann", lambda s: Release(s["hold"]), "ok"),
    Case("bo", lambda s: Release(s["hold"]), "money.not_source"),
    Case("ann", lambda _: Release(NOBODY), "money.holds_unknown"),
    Case("ann", lambda s: Void(s["hold"]), "ok"),
    Case("cy", lambda s: Void(s["hold"]), "ok"),
    Case("dan", lambda s: Void(s["hold"]), "money.not_party"),
    Case("ann", lambda _: Void(NOBODY), "money.holds_unknown"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    assert unmet(app, CASES) == {"money.too_late"}  # met below
    assert readme_refusals(Path(__file__).parent, app) == app.refusals


def of(s: Scene, *names: str) -> list[int]:
    """Return what people have."""
    return [s.box.view.balance(balances, s[name], "cny") for name in names]


def test_a_hold_reaches_whom_it_is_for_or_comes_back() -> None:
    for actor, message, expected in (
        ("ann", Release, [100, 90, 30]),
        ("ann", Void, [150, 50, 20]),
        ("bo", Void, [150, 50, 20]),
    ):
        s = scene()
        assert of(s, "ann", "bo", "cy") == [100, 50, 20]
        s.stage.act(actor, message(s["hold"]))
        assert of(s, "ann", "bo", "cy") == expected
        s.stage.act(actor, message(s["hold"]), refused="money.holds_unknown")


def test_a_hold_comes_back_when_its_time_has_run_out() -> None:
    s = scene()
    s.stage.wait(60)
    s.stage.act("bank", SetLimit("cny", s["cy"], 0))
    assert of(s, "ann", "bo", "cy") == [150, 50, 20]
    assert not s.box.broken()


def test_a_hold_out_of_time_is_not_released_though_the_queue_is_behind() -> None:
    keys = [(role, demo_key(role)) for role in ROLES]
    founders = tuple(Founder(key.key_id, 1_000_000, (role,)) for role, key in keys if key is not None)
    limits = Limits(deadlines_per_block=1)
    s = scene(codec.encode(Genesis(founders, ("identity", "money"), "demo-slow", START_MS, limits)))
    soon = tuple(Hold((Leg("cny", s["bo"], 1),), START_MS + HOUR_MS) for _ in range(3))
    s.ids |= {f"hold{number}": made for number, made in enumerate(s.stage.act("ann", *soon).ids)}
    s.stage.wait(60)
    held = [s[f"hold{number}"] for number in (0, 2, 4)] + [s["hold"]]
    raws = [s.stage.sign(("ann", Release(made))) for made in held]
    codes = [outcome.code for outcome in s.stage.send(raws)]
    assert sorted(codes) == ["money.holds_unknown", *["money.too_late"] * 3]


def test_an_id_is_given_out_once() -> None:
    """Sign two holds with one salt: the second would have the first one's id."""
    s = scene()
    key = s.stage.key("ann")
    codes = []
    for amount in (1, 2):
        payload = s.stage.payload(("ann", Hold((Leg("cny", s["bo"], amount),), START_MS + HOUR_MS)))
        raw = envelope.sign(msgspec.structs.replace(payload, salt="5a" * 16), [key])
        codes += [outcome.code for outcome in s.stage.send([raw])]
    assert codes == ["ok", "kernel.deadlines_taken"]


class Play(Message):
    """Let a pot of the toy take, give or hand on an amount."""

    how: Literal["take", "give", "hand_on", "hand_over", "lose"]
    to: AccountId
    amount: Amount


toy = Module("toy", {})


@toy.tx(allow=anyone)
def play_with(ctx: Ctx, msg: Play) -> None:
    """Call the service that the message names."""
    if msg.how == "take":
        collect(ctx, "one", "cny", msg.amount)
    if msg.how == "give":
        pay_out(ctx, "one", "cny", msg.to, msg.amount)
    if msg.how == "hand_on":
        shift(ctx, "one", "cny", "other", msg.amount)
    if msg.how == "hand_over":
        hand_over(ctx, "one", "cny", "game.inbox", msg.amount)
    if msg.how == "lose":
        hand_over(ctx, "one", "cny", msg.to, msg.amount)


def test_another_module_moves_money_by_the_services_and_only_its_own() -> None:
    s = Scene([identity, app, toy])
    s.stage.join("ann")
    s.stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 200, NO_PAPER), Issue("cny", s["ann"], 100))

    def held() -> list[int]:
        return [s.box.view.balance(balances, holder, "cny") for holder in (s["ann"], "toy.one", "toy.other")]

    s.stage.act("ann", Play("take", s["ann"], 101), refused="money.balances_too_low")
    s.stage.act("ann", Play("take", s["ann"], 60))
    assert held() == [40, 60, 0]
    s.stage.act("ann", Play("hand_on", s["ann"], 25))
    assert held() == [40, 35, 25]
    s.stage.act("ann", Play("give", NOBODY, 1), refused="kernel.accounts_unknown")
    s.stage.act("ann", Play("give", s["ann"], 36), refused="money.balances_too_low")
    s.stage.act("ann", Play("give", s["ann"], 5))
    assert held() == [45, 30, 25]
    s.stage.act("ann", Play("hand_over", s["ann"], 31), refused="money.balances_too_low")
    s.stage.act("ann", Play("hand_over", s["ann"], 7))
    assert [*held(), s.box.view.balance(balances, "game.inbox", "cny")] == [45, 23, 25, 7]
    assert not s.box.broken()
    assert not s.box.bugs
    s.stage.act(
        "ann", Play("lose", s["ann"], 1), refused="internal"
    )  # a pot, or nothing: who has an account is paid out
    assert held() == [45, 23, 25]
