"""Other modules open escrows by the services, and touch none but their own."""

from typing import Literal

import msgspec
import pytest

from metrobloc.commons.escrow.rules import inbox, open_for, open_from_pot, refund_for, release_for
from metrobloc.commons.escrow.test_rules import (
    MODULES,
    MOST,
    NO_PAPER,
    NOBODY,
    UNTIL_MS,
    at,
    escrow_of,
    has,
    part_of,
    pay,
    scene,
    slow,
)
from metrobloc.commons.escrow.types import Cancel, Decide, Dispute, Open, Refund, Terms
from metrobloc.commons.evidence.types import Lodge
from metrobloc.commons.money.rules import balances, collect, hand_over
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.types import AccountId, Amount, Id, Message, Slug
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS


class Begin(Message):
    """Let the toy open an escrow of two instalments: the first left to it, the second to an account."""

    how: Literal["actor", "pot", "unpaid"]
    payee: AccountId
    approver: AccountId
    amount: Amount
    also: bool = False
    evidence_kind: Slug | None = None
    not_before_ms: Amount = 1
    in_order: bool = False


class End(Message):
    """Let the toy release or refund an instalment."""

    how: Literal["release", "refund"]
    instalment: Id
    amount: Amount = 1
    evidence: Id | None = None


class Pry(Message):
    """Let another toy release or refund an instalment."""

    how: Literal["release", "refund"]
    instalment: Id


toy = Module("toy", {})
other = Module("other", {})


@toy.tx(allow=anyone)
def begin(ctx: Ctx, msg: Begin) -> None:
    """Open an escrow with the actor's money, or with what the toy has in its chest."""
    approvers = (msg.approver,) if msg.also else ()
    first = Terms(
        msg.amount,
        UNTIL_MS,
        approvers,
        not_before_ms=msg.not_before_ms,
        evidence_kind=msg.evidence_kind,
        by_module=True,
    )
    terms = (first, Terms(5, UNTIL_MS, (msg.approver,)))
    message = Open(msg.payee, "cny", "work", terms, 1, arbiter_role="civil_affairs", in_order=msg.in_order)
    if msg.how == "actor":
        open_for(ctx, message)
        return
    if msg.how == "pot":
        collect(ctx, "chest", "cny", msg.amount + 7)
        hand_over(ctx, "chest", "cny", f"escrow.{inbox('toy')}", msg.amount + 5)
    open_from_pot(ctx, message, ctx.actor, "chest")


@toy.tx(allow=anyone)
def end(ctx: Ctx, msg: End) -> None:
    """Release or refund an instalment."""
    if msg.how == "release":
        release_for(ctx, msg.instalment, msg.evidence)
    else:
        refund_for(ctx, msg.instalment, msg.amount)


@other.tx(allow=anyone)
def pry(ctx: Ctx, msg: Pry) -> None:
    """Try what only the toy may."""
    if msg.how == "release":
        release_for(ctx, msg.instalment)
    else:
        refund_for(ctx, msg.instalment, 1)


ALL = (*MODULES, toy, other)


def begun(how: Literal["actor", "pot"] = "actor", **changes: object) -> Scene:
    """Set the scene: Ann's job for Bo, of which 20 are left to the toy and 5 to Cy."""
    s = scene(modules=ALL)
    ids = s.stage.act("ann", Begin(how, s["bo"], s["cy"], 20, **changes)).ids  # type: ignore[arg-type]
    s.ids |= {"job": ids[0], "job1": ids[1], "job2": ids[2]}
    return s


def chest(s: Scene) -> int:
    """Return what the toy has in its chest."""
    return s.box.view.balance(balances, "toy.chest", "cny")


def test_a_module_opens_with_the_actors_money_and_releases_what_is_left_to_it() -> None:
    s = begun()
    job = escrow_of(s, "job")
    assert (job.payer, job.payee, job.module, job.returns, job.accepted) == (s["ann"], s["bo"], "toy", None, True)
    before = has(s, "ann", "bo")
    assert before[0] == MOST - 10 - 210 - 6 - 70 - 25
    s.stage.act("ann", Cancel(s["job"]), refused="escrow.accepted_already")
    for who in ("ann", "bo", "cy"):
        s.stage.act(who, pay(s, "job1"), refused="escrow.not_releaser")
    s.stage.act("eve", End("refund", s["job1"], 6))
    s.stage.act("eve", End("refund", s["job1"], 15), refused="escrow.above_held")
    receipt = s.stage.act("eve", End("release", s["job1"]))
    assert [event.event for event in receipt.events] == ["escrow.released"]
    assert has(s, "ann", "bo") == [before[0] + 6, before[1] + 14]
    for message in (End("release", s["job1"]), End("refund", s["job1"])):
        s.stage.act("eve", message, refused="escrow.ended")
        s.stage.act("eve", msgspec.structs.replace(message, instalment=s["job2"]), refused="escrow.not_releaser")
    s.stage.act("cy", pay(s, "job2"))
    assert not s.box.broken()


def test_what_a_module_opened_from_its_pot_returns_there() -> None:
    s = begun("pot")
    job = escrow_of(s, "job")
    assert (job.payer, job.module, job.returns, job.held) == (s["ann"], "toy", "toy.chest", 25)
    assert chest(s) == 2
    before = has(s, "ann", "bo")
    s.stage.act("eve", End("refund", s["job1"], 4))
    assert chest(s) == 6
    s.stage.act("bo", Refund(s["job1"], 1))
    assert chest(s) == 7
    s.stage.act("eve", End("release", s["job1"]))
    assert has(s, "ann", "bo") == [before[0], before[1] + 15]
    at(s, UNTIL_MS)
    s.stage.act("cy", pay(s, "job2"), refused="escrow.ended")
    assert chest(s) == 12
    assert not s.box.broken()


def test_a_module_sets_aside_no_more_than_it_has_handed_over() -> None:
    s = scene(modules=ALL)
    s.stage.act("ann", Begin("unpaid", s["bo"], s["cy"], 20), refused="money.balances_too_low")
    s.stage.act("bo", Begin("pot", s["bo"], s["cy"], 20), refused="money.balances_too_low")
    s.stage.act("ann", Begin("pot", s["ann"], s["cy"], 20), refused="escrow.to_self")
    s.stage.act("ann", Begin("actor", s["ann"], s["cy"], 20), refused="escrow.to_self")
    s.stage.act("ann", Begin("actor", s["bo"], s["cy"], 20, also=True), refused="escrow.mixed")
    s.stage.act("ann", Begin("actor", s["bo"], s["cy"], 20, evidence_kind="poem"), refused="escrow.no_kind")
    assert chest(s) == 0


@pytest.mark.parametrize("how", ["release", "refund"])
def test_no_module_touches_what_another_or_a_person_has_opened(how: Literal["release", "refund"]) -> None:
    s = begun()
    s.stage.act("ann", Pry(how, s["job1"]), refused="escrow.not_opener")
    s.stage.act("ann", Pry(how, s["many1"]), refused="escrow.not_opener")
    s.stage.act("ann", End(how, s["many1"]), refused="escrow.not_opener")
    s.stage.act("ann", End(how, NOBODY), refused="escrow.instalments_unknown")
    assert part_of(s, "job1").held == 20


def test_a_module_neither_releases_nor_refunds_what_is_disputed_or_overdue() -> None:
    s = begun("pot")
    s.stage.act("ann", Dispute(s["job1"], NO_PAPER))
    for message in (End("release", s["job1"]), End("refund", s["job1"])):
        s.stage.act("eve", message, refused="escrow.in_dispute")
    s.stage.act("civil_affairs", Decide(s["job1"], 12))
    assert chest(s) == 2 + 8
    s = begun(not_before_ms=START_MS + 100_000)
    at(s, START_MS + 99_999)
    s.stage.act("eve", End("release", s["job1"]), refused="escrow.too_early")
    s.stage.act("eve", End("release", s["job1"]))
    s = begun()
    at(s, UNTIL_MS)
    for message in (End("release", s["job1"]), End("refund", s["job1"])):
        s.stage.act("eve", message, refused="escrow.ended")
    assert not s.box.broken()


def test_what_is_left_to_a_module_can_need_evidence() -> None:
    s = begun(evidence_kind="deed")
    s.stage.act("eve", End("release", s["job1"]), refused="escrow.evidence_missing")
    s.stage.act("eve", End("release", s["job1"], 1, s["deed"]), refused="evidence.wrong_subject")
    paper = s.stage.act("notary", Lodge("deed", s["job1"], "archive", 5, "2d" * 32)).ids[0]
    s.stage.act("eve", End("release", s["job1"], 1, paper))
    assert part_of(s, "job1").evidence == paper
    s = begun()
    s.stage.act("eve", End("release", s["job1"], 1, s["deed"]), refused="escrow.evidence_not_asked")


def test_a_modules_instalments_follow_each_other_too() -> None:
    s = begun(in_order=True)
    s.stage.act("cy", pay(s, "job2"), refused="escrow.not_its_turn")
    s.stage.act("eve", End("release", s["job1"]))
    s.stage.act("cy", pay(s, "job2"))
    assert slow().box.broken() == []
