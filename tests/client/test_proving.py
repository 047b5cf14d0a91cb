"""What a node shows is returned only when the trusted operator signed it; promises are checked, awaited and judged."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrobloc import app
from metrobloc.city.charity.rules import campaigns
from metrobloc.city.charity.types.messages import Give
from metrobloc.client import (
    Client,
    NoNode,
    NotFound,
    ProofInvalid,
    Unknown,
    steps,
    streaming,
    waiting,
)
from metrobloc.client.steps import Answer, City, Done, More, Request, Stream
from metrobloc.commons import notes
from metrobloc.commons.money.types import RecordReserve
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.kernel import codec
from metrobloc.kernel.crypto import SigningKey
from tests.client.unreliable import Member, between
from tests.surface.city import Node, fresh_stage, own_chain

OTHER = SigningKey(bytes(32))


def test_what_is_proved_is_what_is_returned(client: Client, mei: Member, campaign: str) -> None:
    receipt = client.send(client.draft((mei.account, Give(campaign, 1))).sign(mei.key).seal())
    proved = client.prove_receipt(receipt.tx)
    assert proved.value == receipt
    there = client.prove_record(campaigns.path(campaign))
    assert there.value is not None
    assert msgspec.convert(there.value, campaigns.record) == client.get(campaigns, campaign)
    assert client.prove_record(campaigns.path("a" * 26)).value is None
    earlier = client.prove_record(campaigns.path(campaign), there.height - 1)
    assert (earlier.height, earlier.time_ms <= there.time_ms) == (there.height - 1, True)
    with pytest.raises(NotFound, match="No block has this transaction"):
        client.prove_receipt("0" * 64)


def test_a_node_that_shows_something_else_is_found_out(
    node: Node, client: Client, trust: bytes, mei: Member, campaign: str
) -> None:
    receipts = [client.send(client.draft((mei.account, Give(campaign, n))).sign(mei.key).seal()) for n in (11, 12)]
    first, other = (client.receipt_proof(receipt.tx) for receipt in receipts)
    record = client.record_proof(campaigns.path(campaign))
    ours = receipts[0].tx
    forgeries: list[tuple[str, Callable[[bytes], bytes]]] = [
        ("proofs", lambda proof: proof.replace(b'"amount":11', b'"amount":12')),
        ("proofs", lambda _: other),
        ("proofs", lambda _: record),
        ("proofs", lambda proof: proof[: len(proof) // 2]),
        ("proofs", lambda _: b"{}"),
        ("proofs", lambda _: b""),
        ("genesis", lambda genesis: genesis.replace(b'"demo-city"', b'"demo-cite"')),
    ]
    with between(node.url) as (url, plan):
        for path, forge in forgeries:
            plan.forged = {path: forge}
            with Client(url, app.modules(), trust) as fooled, pytest.raises(ProofInvalid):
                fooled.prove_receipt(ours) if path == "proofs" else fooled.draft((mei.account, Give(campaign, 1)))
        with Client(url, app.modules(), trust) as fooled:
            plan.forged = {"proofs": lambda _: first}
            with pytest.raises(ProofInvalid, match="another record"):
                fooled.prove_record(campaigns.path(campaign))
            lost = fooled.draft((mei.account, Give(campaign, 13)), expires_ms=1).sign(mei.key).seal()
            plan.faults = ["gone"]
            with pytest.raises(Unknown, match="The proof is of another record"):
                fooled.send(lost)
            plan.forged = {"receipts": lambda receipt: receipt.replace(ours.encode(), b"0" * 64)}
            with pytest.raises(NoNode, match="another transaction"):
                fooled.receipt(ours)
        plan.forged = {}
        strangers = codec.encode({"chain": node.told["chain"], "format": "metrobloc-trust/1", "keys": [OTHER.key_id]})
        for distrust in (None, strangers):
            with Client(url, app.modules(), distrust) as careful, pytest.raises(ProofInvalid):
                careful.prove_receipt(ours)
    with pytest.raises(ProofInvalid, match="no trust file"):
        Client(node.url, app.modules(), b"{}")


def test_a_promise_is_checked_and_its_receipt_awaited(
    node: Node, client: Client, trust: bytes, mei: Member, campaign: str
) -> None:
    def raw(fen: int) -> bytes:
        return client.draft((mei.account, Give(campaign, fen))).sign(mei.key).seal()

    first = raw(21)
    promised = client.promise(first)
    assert isinstance(promised, notes.Promise)
    receipt = client.wait(promised)
    assert receipt == client.wait(receipt.tx) == client.promise(first)
    assert client.judge(promised).verdict == "kept"
    late = msgspec.structs.replace(promised, tx_id="0" * 64)
    assert client.judge(late).verdict == "open"
    earlier = client.promise_note(raw(22)).promise
    forgeries = (
        (notes.sign_promise(promised, OTHER).decode(), "No trusted operator has signed this"),
        (earlier, "for another transaction"),
        ("", "not a signed note"),
    )
    with between(node.url) as (url, plan), Client(url, app.modules(), trust) as fooled:
        for note, sentence in forgeries:
            plan.forged = {"promise=true": instead(note)}
            with pytest.raises(ProofInvalid, match=sentence):
                fooled.promise(raw(23))


def instead(note: str) -> Callable[[bytes], bytes]:
    """Return what puts another note in the place of a promise."""
    return lambda answer: msgspec.json.encode({**msgspec.json.decode(answer), "promise": note})


def test_waiting_ends_and_says_that_nothing_is_known(client: Client) -> None:
    with pytest.raises(Unknown, match="look again"):
        client.wait("0" * 64, until_ms=1)


class Operator:
    """An operator in this process who breaks her word, and the answers of her node."""

    def __init__(self, town: Path) -> None:
        self.stage = own_chain(town)
        self.node = Solo.open(town, app.modules())
        self.stage = fresh_stage(self.node.machine.rules)

    def answers(self, path: str) -> bytes:
        """Answer a GET."""
        answers: dict[str, Callable[[], bytes]] = {
            "genesis": lambda: genesis_of(self.node.store),
            "checkpoint": self.node.checkpoint,
            "feed": self.feed,
        }
        return answers[path.split("/")[2].partition("?")[0]]()

    def feed(self) -> bytes:
        """Return all blocks, as the feed tells them."""
        lines = []
        for height in range(self.node.machine.height + 1):
            found = self.node.store.header(height)
            assert found is not None
            header = msgspec.json.decode(found[0])
            receipts = [msgspec.Raw(receipt) for receipt in self.node.store.receipts(height)]
            lines.append(codec.encode({**header, "log_size": found[1], "receipts": receipts, "writes": {}}))
        return b"\n".join(lines) + b"\n\n"

    def judge(self, promise: notes.Promise, feed: Callable[[bytes], bytes] = bytes) -> Any:  # noqa: ANN401
        """Judge a promise by what the node tells."""
        operation = waiting.judge(City("http://node", app.modules(), self.node.trust()), promise)
        step = steps.advance(operation, None)
        parts: Iterator[bytes] = iter(())
        while not isinstance(step, Done):
            if isinstance(step, Stream):
                told = feed(self.answers(step.path))
                parts = iter([told[cut : cut + 700] for cut in range(0, len(told), 700)])
            reply = Answer(200, next(parts, b"")) if isinstance(step, More) else Answer(200)
            if isinstance(step, Request):
                reply = Answer(200, self.answers(step.path))
            step = steps.advance(operation, reply)
        return step.value


def test_a_broken_promise_is_shown_by_the_log_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Operator(tmp_path / "town")
    try:
        node, now_ms = desk.node, desk.node.machine.time_ms
        promise = notes.open_promise(node.promise(bytes(32), now_ms + 1_000), node.chain, node.key.key_id)
        assert desk.judge(promise).verdict == "open"
        for step in (500, 900, 2_000, 4_000):
            raw = desk.stage.sign(("founder", RecordReserve("coin", 1_000_000 + step, "0" * 64)))
            assert node.execute([raw], now_ms + step)[0].code == "ok"
        judged = desk.judge(promise)
        assert judged.verdict == "broken"
        read = [msgspec.json.decode(leaf, type=dict[str, object]) for leaf in judged.leaves]
        told = [leaf.get("time_ms") or leaf.get("tx") for leaf in read]
        assert notes.judge(promise, [one for one in told if isinstance(one, str | int)]) == "broken"
        assert judged.from_leaf + len(judged.leaves) == node.machine.log.size
        for forge in (
            lambda feed: feed.replace(b'"code":"ok"', b'"code":"no"', 1),
            lambda feed: feed.replace(b'"height":2', b'"height":3', 1),
        ):
            with pytest.raises(ProofInvalid, match="not those of the log"):
                desk.judge(promise, forge)
        with pytest.raises(NoNode):
            desk.judge(promise, lambda feed: feed[: len(feed) // 2])
        with pytest.raises(NoNode):
            desk.judge(promise, lambda feed: feed.replace(b'"height":2', b'"height":9007199254740993', 1))
        monkeypatch.setattr(waiting, "STALL_MS", -1)
        with pytest.raises(NoNode, match="does not tell the blocks"):
            desk.judge(promise, lambda _: b"\n" * 2_000)
        monkeypatch.undo()
        monkeypatch.setattr(streaming, "LINE_BYTES_MAX", 1_000)
        with pytest.raises(NoNode, match="does not tell the blocks"):
            desk.judge(promise, lambda _: b"x" * 2_000)
    finally:
        desk.node.close()
