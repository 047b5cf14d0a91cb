"""Signed promises: given only for what can be kept, kept across a kill, and judged from an export alone."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrobloc import app
from metrobloc.commons import notes
from metrobloc.commons.identity.types import Rotate, Veto
from metrobloc.commons.money.types import RecordReserve
from metrobloc.commons.stage import Stage
from metrobloc.engine import sealer as sealing
from metrobloc.engine.memory import Memory
from metrobloc.engine.sealer import Answer, Sealer, clock_ms
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import Verdict
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import Machine, make_rules, read_block
from tests.surface.city import Inline, Node, coins, done, failed, fresh_stage, own_chain


def leaves(export: list[bytes], size: int) -> Iterator[str | int]:
    """Re-execute an export and yield the log's leaves from a size on, as `judge` reads them."""
    genesis = bytes(msgspec.json.decode(export[0], type=dict[str, msgspec.Raw])["genesis"])
    memory = Memory()
    machine = Machine(make_rules(genesis, app.modules()), memory)
    memory.commit(machine.found())
    for line in export[1:-1]:
        block = read_block(bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["block"]))
        before = machine.log.size
        _, sealed = machine.replay(block)
        assert sealed is not None
        memory.commit(sealed)
        receipts = [msgspec.json.decode(receipt, type=dict[str, Any]).get("tx", "") for receipt in sealed.receipts]
        yield from [*receipts, sealed.time_ms][max(0, size - before) :]


def test_a_promise_is_kept_although_the_node_is_killed(city: Path, home: Path, tmp_path: Path) -> None:
    with Node(city) as node:
        raw = coins(node.stage(), 1)[0]
        answer = node.http.post("/v1/tx?promise=true", content=raw)
        node.process.kill()
        node.wait()
    told = answer.json()
    assert (answer.status_code, told["status"], told["code"]) == (202, "accepted", "promised")
    with Node(city) as node:
        assert node.post([raw])[0]["code"] == "ok"
        assert node.end() == 0
    assert (city / "journal").read_bytes() == b""
    done(home, "export blocks", tmp_path / "blocks", "--data", city)
    promise = notes.open_promise(told["promise"].encode(), node.told["chain"], operator(city))
    assert promise.tx_id == told["tx"]
    export = (tmp_path / "blocks").read_bytes().splitlines()
    assert notes.judge(promise, leaves(export, promise.size)) == "kept"
    broken = msgspec.structs.replace(promise, tx_id="0" * 64)
    assert notes.judge(broken, leaves(export, promise.size)) == "open"
    assert notes.judge(broken, [*leaves(export, promise.size), promise.by_ms + 1]) == "broken"


def operator(city: Path) -> str:
    node = Solo.open(city, app.modules())
    node.close()
    return node.key.key_id


def test_the_command_line_asks_for_a_promise(home: Path, node: Node, city: Path, tmp_path: Path) -> None:
    ask = "money record-reserve --asset cny --reserve 999999999 --as bank --evidence " + "0" * 64
    said = done(home, ask, "--promise", tmp_path / "one", "--node", node.url)
    assert "Promised, not yet committed" in said.out
    assert (tmp_path / "one").read_text().startswith(f"{node.told['chain']}\npromise\n")
    assert done(home, ask, "--promise", tmp_path / "two", "--json", "--node", node.url).json()["code"] == "promised"
    failed(home, 4, "Only a running node gives promises", ask, "--promise", tmp_path / "three", "--data", city)


class Desk:
    """A sealer in this process, with a clock that the test sets."""

    def __init__(self, town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = Solo.open(town, app.modules())
        self.now_ms = clock_ms()
        self.stage = fresh_stage(self.node.machine.rules)
        monkeypatch.setattr(sealing, "clock_ms", lambda: self.now_ms)

    def play(self, scene: Callable[[Sealer], Any]) -> Any:  # noqa: ANN401  # what the scene returns
        """Run a scene beside a running sealer, then let it end."""

        async def run() -> Any:  # noqa: ANN401
            desk = Sealer(self.node, Inline(genesis_of(self.node.store), app.modules))  # type: ignore[arg-type]
            running = asyncio.create_task(desk.run())
            answer = await scene(desk)
            desk.end()
            await running
            return answer

        return asyncio.run(run())

    def there(self, answer: Answer) -> bool:
        """Tell whether the store has what was answered for."""
        return self.node.store.find(bytes.fromhex(answer.tx)) is not None


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    own_chain(tmp_path / "town", quota=20, params={"identity.rotation_delay_ms": 60_000})
    made = Desk(tmp_path / "town", monkeypatch)
    yield made
    made.node.close()


def test_nobody_talks_the_node_into_a_promise_that_the_rules_break(desk: Desk) -> None:
    foreign = Stage(msgspec.structs.replace(desk.stage.rules, chain="town-0"), lambda *_: [], clock_ms())
    late = Stage(desk.stage.rules, lambda *_: [], clock_ms() - 3_600_000)

    async def ask(sealer: Sealer) -> list[str]:
        raws = [
            b"x",
            foreign.sign(("founder", Veto())),
            late.sign(("founder", Veto())),
            desk.stage.sign(("no", Veto())),
        ]
        return [(await sealer.promise(raw)).code for raw in raws]

    assert desk.play(ask) == ["not_json", "wrong_chain", "expired", "unknown_account"]


class Slow(Inline):
    """A checker that has finished with nothing until it is told to, and notes how many it was given each time."""

    def __init__(self, genesis: bytes) -> None:
        super().__init__(genesis, app.modules)
        self.calls: list[tuple[list[bytes], Future[list[Verdict]]]] = []

    def submit(self, raws: Sequence[bytes]) -> Future[list[Verdict]]:
        """Keep some bytes."""
        self.calls.append((list(raws), Future()))
        return self.calls[-1][1]


def test_who_sends_one_does_not_wait_for_all_of_who_sends_thousands(desk: Desk) -> None:
    slow = Slow(genesis_of(desk.node.store))

    async def crowd() -> None:
        sealer = Sealer(desk.node, slow)  # type: ignore[arg-type]
        sent = [[b"%d of %d" % (number, of) for number in range(of)] for of in (1200, 700, 1, 3, 0)]
        asked = [asyncio.create_task(sealer.submit(raws)) for raws in sent]
        for answered in itertools.count():
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if answered == len(slow.calls):
                break
            raws, future = slow.calls[answered]
            future.set_result([("not_json", raw.decode()) for raw in raws])
        answers = await asyncio.gather(*asked)
        assert [[answer.sentence.encode() for answer in batch] for batch in answers] == sent

    asyncio.run(crowd())
    sizes = [len(raws) for raws, _ in slow.calls]
    assert (sum(sizes), max(sizes) < 2 * sealing.CHECKED_AT_ONCE) == (1904, True)
    assert slow.calls[2][0][0] == b"0 of 1"  # two calls were under way when it came


def test_promises_together_never_exceed_the_quota(desk: Desk) -> None:
    async def ask(sealer: Sealer) -> list[Answer]:
        raws = [desk.stage.sign(("founder", Veto())) for _ in range(60)]
        queued = asyncio.create_task(sealer.submit(raws[:30]))
        promised = await asyncio.gather(*(sealer.promise(raw) for raw in raws[30:]))
        await queued
        return list(promised)

    answers = desk.play(ask)
    assert {answer.code for answer in answers} == {"promised", "over_quota"}
    assert all(desk.there(answer) == (answer.status == "accepted") for answer in answers)


def test_a_key_that_is_about_to_change_gets_no_promise(desk: Desk) -> None:
    async def ask(sealer: Sealer) -> str:
        await sealer.submit([desk.stage.sign(("founder", Rotate((desk.stage.key("next").key_id,))), also=("next",))])
        desk.now_ms += 40_000
        return (await sealer.promise(desk.stage.sign(("founder", Veto())))).code

    assert desk.play(ask) == "not_signed"


def test_a_promise_outlives_a_clock_that_runs_back(desk: Desk) -> None:
    async def ask(sealer: Sealer) -> list[Answer]:
        first = await sealer.submit([desk.stage.sign(("founder", RecordReserve("coin", 5, "0" * 64)))])
        promised = await sealer.promise(desk.stage.sign(("founder", RecordReserve("coin", 6, "0" * 64))))
        desk.now_ms -= 5_000
        other = await sealer.submit([desk.stage.sign(("founder", RecordReserve("coin", 7, "0" * 64)))])
        assert not desk.there(promised)
        assert (await sealer.promise(desk.stage.sign(("founder", Veto())))).code == "clock"
        desk.now_ms += 6_000
        again = await sealer.submit([desk.stage.sign(("founder", RecordReserve("coin", 8, "0" * 64)))])
        assert desk.there(promised)
        return [*first, promised, *other, *again]

    assert [answer.code for answer in desk.play(ask)] == ["ok", "promised", "clock", "ok"]


def test_a_promise_asked_for_twice_is_one(desk: Desk) -> None:
    raw = desk.stage.sign(("founder", Veto()))

    async def ask(sealer: Sealer) -> list[Answer]:
        answers = await asyncio.gather(sealer.promise(raw), sealer.promise(raw))
        await sealer.submit([desk.stage.sign(("founder", Veto()))])
        return [*answers, await sealer.promise(raw)]

    answers = desk.play(ask)
    assert [answer.status for answer in answers] == ["accepted", "accepted", "committed"]
    assert len({answer.tx for answer in answers}) == 1


def test_a_journal_that_cannot_be_written_stops_the_node(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(sealer: Sealer) -> None:
        def full(_: bytes) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(sealer._journal, "append", full)
        await sealer.promise(desk.stage.sign(("founder", Veto())))

    with pytest.raises(MachineFault, match="no space left"):
        desk.play(ask)
