"""What is sent is done once, and nothing is reported that is not so, whatever happens between client and node."""

import asyncio
import random

import msgspec
import pytest

from metrobloc import app
from metrobloc.city.charity.rules import gifts
from metrobloc.city.charity.types.messages import Give
from metrobloc.client import AsyncClient, Client, Draft, Malformed, NotIncluded, Refused, Unknown, Void, sending, steps
from metrobloc.client.draft import write
from metrobloc.client.steps import Answer, City, Done, Pause, Reply, Request, Unreachable
from metrobloc.commons.money.rules import balances
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.receipts import ReadReceipt
from tests.client.unreliable import BUSY, FAULTS, Member, between
from tests.support import rounds
from tests.surface.city import Node

NO_SUCH = Answer(404, b'{"code":"not_found","sentence":"No block has this transaction."}')
GONE = Unreachable("connection refused")


def give(client: Client, mei: Member, campaign: str, fen: int = 1) -> Draft:
    return client.draft((mei.account, Give(campaign, fen))).sign(mei.key)


def test_nothing_is_done_twice_however_often_it_is_sent(node: Node, client: Client, mei: Member, campaign: str) -> None:
    chance, sent = random.Random(7), 0
    scripts = [[fault] for fault in FAULTS] + [chance.choices(FAULTS, k=3) for _ in range(rounds(12, 1000))]
    with between(node.url) as (url, plan), Client(url, app.modules()) as unsure:
        for number, script in enumerate(scripts):
            raw = give(client, mei, campaign).seal()
            plan.faults = list(script)
            receipt = asyncio.run(sent_soon(url, raw)) if number % 2 else unsure.send(raw)
            sent += 1
            assert receipt == client.send(raw) == client.receipt(receipt.tx)
            assert not plan.faults
    mine = [gift for _, gift in client.rows(gifts) if gift.donor == mei.account]
    balance = client.get(balances.rows, ("cny", mei.account))
    assert balance is not None
    assert (len(mine), balance.amount, len(scripts) < plan.reached) == (sent, 10_000 - sent, True)


async def sent_soon(url: str, raw: bytes) -> ReadReceipt:
    async with AsyncClient(url, app.modules()) as unsure:
        return await unsure.send(raw)


def test_what_a_rule_or_the_engine_turns_away_says_so(client: Client, mei: Member, campaign: str) -> None:
    with pytest.raises(Refused, match=r"money\.balances_too_low: There is not enough") as refused:
        client.send(give(client, mei, campaign, 1_000_000).seal())
    assert client.receipt(refused.value.receipt.tx) == refused.value.receipt
    expired = client.draft((mei.account, Give(campaign, 1)), expires_ms=1).sign(mei.key)
    with pytest.raises(NotIncluded, match="has expired and is not on the ledger"):
        client.send(expired.seal())
    stranger = Member(mei.key, "a" * 26)
    with pytest.raises(Void, match="unknown_account") as void:
        client.send(give(client, stranger, campaign).seal())
    assert len(void.value.tx) == 64
    for raw, code in (
        (b"", "not_json"),
        (give(client, mei, campaign).seal()[:-1], "not_json"),
        (b"x" * 200_000, "too_large"),
    ):
        with pytest.raises(Malformed) as malformed:
            client.send(raw)
        assert malformed.value.code == code


def test_messages_are_checked_before_anybody_signs_them(client: Client, mei: Member, campaign: str) -> None:
    wrong: list[tuple[tuple[object, ...], str]] = [
        ((mei.account, Give("x", 1)), "out_of_bounds"),
        ((mei.account, "charity.give", {"campaign": campaign}), "missing_field"),
        ((mei.account, "charity.give", {"campaign": campaign, "amount": 1, "why": ""}), "unknown_field"),
        ((mei.account, "charity.take", {}), "unknown_action"),
        (("x", Give(campaign, 1)), "out_of_bounds"),
    ]
    for call, code in wrong:
        with pytest.raises(Malformed) as malformed:
            client.draft(call)  # type: ignore[arg-type]  # that is what is tested
        assert malformed.value.code == code
    same = (mei.account, "charity.give", {"campaign": campaign, "amount": 5})
    assert (
        client.draft(same, salt="0" * 32, expires_ms=9).id
        == client.draft((mei.account, Give(campaign, 5)), salt="0" * 32, expires_ms=9).id
    )


def test_ids_are_known_before_a_transaction_is_sent(client: Client, mei: Member, campaign: str) -> None:
    draft = client.draft((mei.account, Give(campaign, 1)), (mei.account, Give(campaign, 2))).sign(mei.key)
    assert client.send(draft.seal()).ids == (draft.new_id(0, 0), draft.new_id(1, 0))


def signed(expires_ms: int) -> bytes:
    """Return a transaction for no node in particular."""
    actions = City("", app.modules()).actions
    call = ("a" * 26, Give("b" * 26, 1))
    return (
        write("town-0", 1, [call], expires_ms=expires_ms, actions=actions, salt=None).sign(SigningKey(bytes(32))).seal()
    )


class Script:
    """A `send` carried out by hand: what it asks for, what it is told, and what time it is."""

    def __init__(self, expires_ms: int = 60_000, chain_ms: int = 0) -> None:
        self.city = City("http://node", app.modules())
        self.now_ms, self.chain_ms = 0, chain_ms
        self.city.clock_ms = lambda: self.now_ms
        self.raw = signed(expires_ms)
        self.tx = Draft.read(self.raw).id
        self.asked: list[str] = []

    def run(self, *sent: Reply, found: Reply = NO_SUCH, patience_s: float | None = None) -> object:
        """Run it to its end; `sent` answers what is sent, the last for ever; `found` whoever looks for a receipt."""
        operation, replies = sending.send(self.city, self.raw, patience_s), list(sent)
        step = steps.advance(operation, None)
        while not isinstance(step, Done):
            reply: Reply = None
            if isinstance(step, Pause):
                assert step.seconds >= 0
                self.now_ms += round(step.seconds * 1000) + 1
            else:
                assert isinstance(step, Request)
                self.asked.append(step.path.split("/")[2])
                standing = Answer(200, b'{"time_ms":%d}' % self.chain_ms)
                asked = {"status": standing, "receipts": found}
                reply = asked.get(self.asked[-1]) or (replies.pop(0) if len(replies) > 1 else replies[0])
            step = steps.advance(operation, reply)
        return step.value

    def answer(self, http: int, /, **told: object) -> Answer:
        """Return what a node would answer about this transaction."""
        return Answer(http, msgspec.json.encode({"tx": self.tx, **told}))

    def receipt(self) -> Answer:
        """Return its receipt."""
        return self.answer(200, code="ok", height=1, index=0)

    def void(self, code: str) -> Answer:
        """Return that it was turned away."""
        return self.answer(409, status="void", code=code, sentence="No.")


def test_a_transaction_is_lost_for_sure_only_when_the_chains_time_is_beyond_its_expiry() -> None:
    for chain_ms, ending in ((0, Unknown), (60_000, Unknown), (60_001, NotIncluded)):
        for told in ("nothing", "busy", "expired"):
            script = Script(chain_ms=chain_ms)
            replies: dict[str, Reply] = {"nothing": GONE, "busy": Answer(503, BUSY), "expired": script.void("expired")}
            with pytest.raises(ending):
                script.run(GONE, replies[told])
            assert script.asked[-2:] == ["status", "receipts"]
            assert script.now_ms >= 60_000 or told == "expired"


def test_who_finds_the_receipt_at_last_is_told_of_it() -> None:
    for chain_ms in (0, 60_001):
        script = Script(chain_ms=chain_ms)
        assert script.run(GONE, found=script.receipt()) == ReadReceipt("ok", 1, 0, tx=script.tx)
        refused = script.answer(200, code="charity.not_open", height=1, index=0)
        script.now_ms = 0
        with pytest.raises(Refused, match="takes no more gifts"):
            script.run(GONE, found=refused)


def test_patience_that_ends_before_the_expiry_leaves_it_unknown() -> None:
    script = Script()
    with pytest.raises(Unknown, match="send the same bytes again, which is safe"):
        script.run(GONE, patience_s=2)
    assert 1_000 < script.now_ms <= 2_500
    assert set(script.asked) == {"tx"}


def test_a_transaction_turned_away_after_a_doubtful_attempt_is_looked_for() -> None:
    script = Script()
    with pytest.raises(Void):
        script.run(script.void("over_quota"))
    assert script.asked == ["tx"]
    with pytest.raises(Void, match="expired"):
        script.run(script.void("expired"))
    with pytest.raises(Void):
        script.run(GONE, script.void("over_quota"))
    assert script.asked[-1] == "receipts"
    assert script.run(GONE, script.void("over_quota"), found=script.receipt()) == ReadReceipt("ok", 1, 0, tx=script.tx)
    with pytest.raises(Unknown, match="send the same bytes again"):
        script.run(GONE, script.void("over_quota"), found=GONE)
    with pytest.raises(Void, match="clock"):
        script.run(Answer(409, b'{"status":"void","code":"clock","sentence":"No."}'))
    with pytest.raises(Unknown, match="promised, where it was asked for a receipt"):
        script.run(script.answer(202, status="accepted", code="promised"))
    with pytest.raises(Malformed, match="unknown_action"):
        script.run(Answer(400, b'{"status":"malformed","code":"unknown_action","sentence":"No."}'))
    with pytest.raises(Malformed, match="too_large"):
        script.run(Answer(413, b'{"code":"too_large","sentence":"No."}'))


def test_an_answer_for_something_else_is_none() -> None:
    script = Script(expires_ms=2_000)
    others = [
        script.answer(200, status="committed", code="ok"),
        script.answer(200, status="committed", code="ok", receipt={"code": "ok", "height": 1, "index": 0}),
        script.answer(
            200, status="committed", code="ok", receipt={"code": "x", "height": 1, "index": 0, "tx": script.tx}
        ),
        Answer(200, b'{"status":"void","code":"over_quota","tx":"00"}'),
        Answer(200, b"[" * 100_000),
        Answer(302, b""),
        Answer(404, b""),
    ]
    for other in others:
        with pytest.raises(Unknown):
            script.run(other, patience_s=1)
        script.now_ms = 0
