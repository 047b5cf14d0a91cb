"""From offered bytes to answers: verification beside, execution and commit in one place, in the order of arrival.

An asyncio task owns the `Solo`. "Accepted" means checked and queued (with a promise: journaled too); "committed" means
durable. A transaction sent again is answered with what became of it the first time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Literal

from msgspec import Struct

from metrobloc.engine.journal import Journal
from metrobloc.engine.solo import JOURNAL_FILE, Solo, present
from metrobloc.engine.verifier import Verdict, Verifier
from metrobloc.kernel import envelope
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.errors import VOIDS, MachineFault
from metrobloc.kernel.genesis import is_demo

BLOCK_MAX = 1000
QUEUE_MAX = 50_000
RENEW_S = 60
PROMISE_MS = 30_000


class Answer(Struct, frozen=True, omit_defaults=True):
    """What became of one transaction that was sent."""

    status: Literal["committed", "accepted", "void", "malformed"]
    code: str
    tx: str = ""
    height: int = -1
    index: int = -1
    sentence: str = ""
    promise: str = ""


class Busy(Exception):
    """More is queued than the node can soon execute; send again later."""


class _Batch:
    """Transactions that arrived together and are answered together."""

    def __init__(self, answers: list[Answer | None]) -> None:
        self.answers = answers
        self.open = answers.count(None)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, slot: int, answer: Answer) -> None:
        self.answers[slot] = answer
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)


def clock_ms() -> int:
    """Return this machine's time."""
    return time.time_ns() // 1_000_000


class Sealer:
    """The queue in front of a `Solo`."""

    def __init__(self, node: Solo, verifier: Verifier, *, trust_clock: bool = False) -> None:
        """Take a node and its verifier over; `run` must be running for anything to be answered."""
        self.node = node
        self.fault: MachineFault | None = None
        self._verifier = verifier
        self._trust_clock = trust_clock
        self._queue: deque[tuple[bytes, _Batch, int]] = deque()
        self._wake = asyncio.Event()
        self._journal = Journal(node.home / JOURNAL_FILE)

    async def submit(self, raws: Sequence[bytes]) -> list[Answer]:
        """Check, queue and wait until all are durable or turned away; answers in the order given."""
        batch = await self._enqueue(raws)
        if batch.open:
            await batch.done
        return [answer for answer in batch.answers if answer is not None]

    async def play(self, raws: Sequence[bytes], time_ms: int) -> list[Answer]:
        """Execute transactions of a story or replay on a demo chain, at a block time not after now."""
        verdicts = await self._check(raws)
        last = self.node.machine.time_ms
        if self.fault or not is_demo(self.node.chain) or not last <= time_ms <= clock_ms():
            sentence = f"Only a demo chain plays the past, from {last} ms to now; send without a time."
            return [Answer("void", "clock", sentence=sentence)] * len(raws)
        sound = [raw for raw, verdict in zip(raws, verdicts, strict=True) if isinstance(verdict, bytes)]
        outcomes = iter(self.node.execute(sound, time_ms))
        return [_malformed(v) if isinstance(v, tuple) else self._answer(next(outcomes)) for v in verdicts]

    async def promise(self, raw: bytes) -> Answer:
        """Check and journal a transaction, queue it, and answer at once with a signed promise."""
        verdict = (await self._check([raw]))[0]
        if isinstance(verdict, tuple):
            return _malformed(verdict)
        expires = envelope.reopen(raw).payload.expires
        by_ms = min(expires - 1, clock_ms() + PROMISE_MS)
        if by_ms <= clock_ms():
            return Answer("void", "expired", verdict.hex(), sentence=VOIDS["expired"])
        self._journal.append(raw)
        batch = _Batch([None])
        self._put([(raw, batch, 0)])
        note = self.node.promise(verdict, by_ms).decode()
        return Answer("accepted", "promised", verdict.hex(), promise=note)

    async def run(self) -> None:
        """Seal blocks until cancelled; a fault of the machine ends it and everything waiting."""
        try:
            await self._take_up()
            while True:
                await self._pause()
                if self.fault:
                    raise self.fault
                if self._queue or self._is_due():
                    self._seal()
                    await asyncio.sleep(0)
                elif self._journal.pending:
                    self._journal.clear()
        except MachineFault as fault:
            self.fault = fault
            raise
        finally:
            ending = self.fault or MachineFault("The node is stopping; send again when it is back.")
            for _, batch, _ in self._queue:
                if not batch.done.done():
                    batch.done.set_exception(ending)
            self._queue.clear()

    async def _pause(self) -> None:
        """Sleep until something is queued, a deadline may be due, or the checkpoint wants renewal."""
        if self._queue:
            return
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), 1.0)
        except TimeoutError:
            _, signed_s = self.node.signed_head()
            if clock_ms() // 1000 - signed_s >= RENEW_S:
                self.node.renew(clock_ms())

    def _seal(self) -> None:
        """Execute and commit what is queued, at most one block's worth, and answer."""
        items = [self._queue.popleft() for _ in range(min(len(self._queue), BLOCK_MAX))]
        try:
            time_ms = self.node.block_time(clock_ms(), trust_clock=self._trust_clock)
        except MachineFault as fault:  # the clock: nothing was executed, and it may be right again later
            for _, batch, slot in items:
                batch.settle(slot, Answer("void", "clock", sentence=str(fault)))
            return
        try:
            outcomes = self.node.execute([raw for raw, _, _ in items], time_ms)
        except BaseException as error:
            self._queue.extendleft(reversed(items))
            raise MachineFault(f"The node stopped while executing or writing a block: {error}") from error
        for (_, batch, slot), outcome in zip(items, outcomes, strict=True):
            batch.settle(slot, self._answer(outcome))

    def _answer(self, outcome: Outcome) -> Answer:
        name = outcome.id.hex()
        if outcome.index >= 0:
            return Answer("committed", outcome.code, name, outcome.height, outcome.index)
        place = self.node.store.find(outcome.id) if outcome.code == "replayed" else None
        if place is None:
            return Answer("void", outcome.code, name, sentence=VOIDS[outcome.code])
        receipt = present(self.node.receipt(outcome.id))
        return Answer("committed", receipt.code, name, *place)

    def _is_due(self) -> bool:
        due = self.node.next_due_ms()
        return due is not None and max(self.node.machine.time_ms, due) <= clock_ms()

    async def _take_up(self) -> None:
        """Queue what was promised before a crash and is not in the store."""
        batch = _Batch([])
        raws = list(self._journal.pending)
        for raw, verdict in zip(raws, await self._check(raws), strict=True):
            if isinstance(verdict, bytes) and self.node.store.find(verdict) is None:
                batch.answers.append(None)
                self._queue.append((raw, batch, len(batch.answers) - 1))

    async def _enqueue(self, raws: Sequence[bytes]) -> _Batch:
        verdicts = await self._check(raws)
        batch = _Batch([_malformed(verdict) if isinstance(verdict, tuple) else None for verdict in verdicts])
        self._put([(raw, batch, slot) for slot, raw in enumerate(raws) if batch.answers[slot] is None])
        return batch

    def _put(self, items: Sequence[tuple[bytes, _Batch, int]]) -> None:
        if self.fault:
            raise self.fault
        if len(self._queue) + len(items) > QUEUE_MAX:
            raise Busy(f"{len(self._queue)} transactions are waiting; send again in a few seconds.")
        self._queue.extend(items)
        self._wake.set()

    async def _check(self, raws: Sequence[bytes]) -> list[Verdict]:
        if not raws:
            return []
        try:
            return await asyncio.wrap_future(self._verifier.submit(raws))
        except BrokenProcessPool as error:
            self.fault = MachineFault("The process that checks signatures has ended; start the node again.")
            self._wake.set()
            raise self.fault from error


def _malformed(verdict: tuple[str, str]) -> Answer:
    return Answer("malformed", verdict[0], sentence=verdict[1])
