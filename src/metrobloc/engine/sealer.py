"""From offered bytes to answers: verification beside, execution and commit in one place, in the order of arrival.

An asyncio task owns the `Solo`. "Accepted" means checked and queued (with a promise: journaled too); "committed" means
durable. A transaction sent again is answered with what became of it the first time.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import accumulate, chain, islice
from typing import Literal, TypeVar

from msgspec import Struct

from metrobloc.engine.journal import Journal
from metrobloc.engine.solo import JOURNAL_FILE, Solo, present
from metrobloc.engine.verifier import Verdict, Verifier
from metrobloc.kernel import envelope
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.errors import VOIDS, MachineFault
from metrobloc.kernel.genesis import is_demo

T = TypeVar("T")
log = logging.getLogger("metrobloc")

BLOCK_MAX = 1000
QUEUE_MAX = 50_000
RENEW_S = 60
PLAYING_MS = 30_000
"""So long after a block of a replay nothing falls due by itself: it would put the chain's time at the clock's."""
PROMISE_MS = 30_000
CHECKS_AT_ONCE = 2
"""Calls to the verifier under way: one that it works on, and one so that it need not wait for the next."""
CHECKED_AT_ONCE = 500
"""A call to the verifier has about so many transactions: who sends one does not wait for all of who sends thousands."""


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


GATHERED = 64
GATHER_S = 0.005
"""A block that would hold fewer transactions waits so long for those that are just being checked."""

_Parcel = tuple[Sequence[bytes], asyncio.Future[list[Verdict]]]
"""Bytes to be checked, and where their verdicts are awaited."""


def clock_ms() -> int:
    """Return this machine's time."""
    return time.time_ns() // 1_000_000


class Sealer:
    """The queue in front of a `Solo`."""

    def __init__(self, node: Solo, verifier: Verifier, *, trust_clock: bool = False) -> None:
        """Take a node and its verifier over; `run` must be running for anything to be answered."""
        self.node = node
        self.fault: MachineFault | None = None
        self.leaving = False
        self._verifier = verifier
        self._trust_clock = trust_clock
        self._promised: deque[bytes] = deque()  # goes before all others: nothing may come between it and its promise
        self._queue: deque[tuple[bytes, _Batch, int]] = deque()
        self._ending = False
        self._played_ms = 0
        self._wake = asyncio.Event()
        self._news = asyncio.Event()  # of the next block: one for all who wait, and another after it
        self._unchecked: list[_Parcel] = []
        self._checks = 0
        self._quiet = asyncio.Event()  # nothing is being checked
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
        if self.fault:
            raise self.fault
        if not is_demo(self.node.chain) or not last <= time_ms <= clock_ms():
            sentence = f"Only a demo chain plays the past, from {last} ms to now; send without a time."
            return [Answer("void", "clock", sentence=sentence)] * len(raws)
        sound = [raw for raw, verdict in zip(raws, verdicts, strict=True) if isinstance(verdict, bytes)]
        outcomes = iter(self._execute(sound, time_ms))
        self._played_ms = clock_ms()
        return [_malformed(v) if isinstance(v, tuple) else self._answer(next(outcomes)) for v in verdicts]

    async def promise(self, raw: bytes) -> Answer:
        """Check and journal a transaction, queue it, and answer at once with a signed promise.

        Promised is only what would get a receipt now and at the promise's end: nobody can talk the node into a promise
        that the ledger's rules then keep it from keeping.
        """
        verdict = (await self._check([raw]))[0]
        if isinstance(verdict, tuple):
            return _malformed(verdict)
        if self.fault:
            raise self.fault
        known = raw in self._promised
        now_ms = clock_ms()
        by_ms = min(envelope.reopen(raw).payload.expires - 1, now_ms + PROMISE_MS)
        for time_ms in (now_ms, by_ms):
            outcome = self.node.try_out([raw] if known else [*self._promised, raw], time_ms)
            if outcome.index < 0:
                return self._answer(outcome)
        fault = self._clock_fault(now_ms)
        if fault is not None:
            return Answer("void", "clock", verdict.hex(), sentence=str(fault))
        if not known:
            self._guarded(lambda: self._journal.append(raw))
            self._promised.append(raw)
            self._wake.set()
        note = self.node.promise(verdict, by_ms).decode()
        return Answer("accepted", "promised", verdict.hex(), promise=note)

    async def beyond(self, height: int, timeout_s: float) -> int:
        """Wait until a block above a height is durable, the time is over or the node leaves; return the head's height.

        Nothing waits for those who wait here.
        """
        news = self._news
        if self.node.store.head() <= height and not self.leaving:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await news.wait()
        return self.node.store.head()

    def leave(self) -> None:
        """Tell all who follow the chain that the node ends; what has been sent is still answered."""
        self.leaving = True
        self._news.set()

    def end(self) -> None:
        """Let `run` return once nothing is waiting."""
        self._ending = True
        self._wake.set()

    async def run(self) -> None:
        """Seal blocks until `end`; a fault of the machine ends it and everything waiting."""
        try:
            await self._take_up()
            while True:
                await self._pause()
                if self.fault:
                    raise self.fault
                sealed = True
                if self._promised or self._queue or self._is_due():
                    await self._gather()
                    sealed = self._seal()
                    await asyncio.sleep(0)
                if not self._promised and self._journal.pending:
                    self._guarded(self._journal.clear)
                if self._ending and not self._queue and not (self._promised and sealed):
                    return
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
        if self._queue or self._ending or (self._promised and self._clock_fault(clock_ms()) is None):
            return
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), 1.0)
        except TimeoutError:
            _, signed_s = self.node.signed_head()
            now_ms = clock_ms()
            if now_ms // 1000 - signed_s >= RENEW_S and self._clock_fault(now_ms) is None:
                self.node.renew(now_ms)

    async def _gather(self) -> None:
        """Let what is just being checked come into the block too: writing a block costs more than its transactions.

        With 50 clients that send one transaction at a time it made 2,800 a second of 2,000.
        """
        if self._checks and len(self._queue) < GATHERED:
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._quiet.wait()

    def _seal(self) -> bool:
        """Execute and commit what is queued, at most one block's worth, and answer; tell whether the clock allowed it.

        While it does not, what is promised stays and all else is turned away: the clock may be right again later.
        """
        items = [self._queue.popleft() for _ in range(min(len(self._queue), BLOCK_MAX))]
        now_ms = clock_ms()
        fault = self._clock_fault(now_ms)
        if fault is not None:
            for _, batch, slot in items:
                batch.settle(slot, Answer("void", "clock", sentence=str(fault)))
            return False
        promised = list(self._promised)
        try:
            outcomes = self._execute([*promised, *[raw for raw, _, _ in items]], now_ms)
        except BaseException:
            self._queue.extendleft(reversed(items))
            raise
        self._promised.clear()
        for (_, batch, slot), outcome in zip(items, outcomes[len(promised) :], strict=True):
            batch.settle(slot, self._answer(outcome))
        return True

    def _execute(self, raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        outcomes = self._guarded(lambda: self.node.execute(raws, time_ms))
        news, self._news = self._news, asyncio.Event()
        news.set()
        for bug in self.node.bugs:
            log.error("An application has a fault; its transaction was refused as `internal`.\n%s", bug)
        self.node.bugs.clear()
        return outcomes

    def _guarded(self, step: Callable[[], T]) -> T:
        """Do what must not fail: if it does, nothing more is taken and `run` ends."""
        try:
            return step()
        except BaseException as error:
            self.fault = MachineFault(f"The node stopped while executing or writing a block: {error}")
            self._wake.set()
            raise self.fault from error

    def _clock_fault(self, now_ms: int) -> MachineFault | None:
        try:
            self.node.block_time(now_ms, trust_clock=self._trust_clock)
        except MachineFault as fault:
            return fault
        return None

    def _answer(self, outcome: Outcome) -> Answer:
        name = outcome.id.hex()
        if outcome.index >= 0:
            return Answer("committed", outcome.code, name, outcome.height, outcome.index)
        place = self.node.store.find(outcome.id)
        if place is None:
            return Answer("void", outcome.code, name, sentence=VOIDS[outcome.code])
        receipt = present(self.node.receipt(outcome.id))
        return Answer("committed", receipt.code, name, *place)

    def _is_due(self) -> bool:
        due, now_ms = self.node.next_due_ms(), clock_ms()
        playing = now_ms < self._played_ms + PLAYING_MS
        return due is not None and not playing and max(self.node.machine.time_ms, due) <= now_ms

    async def _take_up(self) -> None:
        """Queue what was promised before a crash and is not in the store."""
        raws = list(self._journal.pending)
        for raw, verdict in zip(raws, await self._check(raws), strict=True):
            if isinstance(verdict, bytes) and self.node.store.find(verdict) is None:
                self._promised.append(raw)

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
        """Check in the verifier's process; what arrives while it is busy goes there together.

        A call costs more than a signature: with 50 clients that send one transaction at a time it made 2,000 a second
        of 1,400. Who sends few goes first, and many are checked part by part: with 16 clients that sent 3,000 at a time
        another one's transaction waited 8 s.
        """
        new_future = asyncio.get_running_loop().create_future
        parts = [raws[at : at + CHECKED_AT_ONCE] for at in range(0, len(raws), CHECKED_AT_ONCE)]
        parcels: list[_Parcel] = [(part, new_future()) for part in parts]
        self._unchecked += parcels
        while self._unchecked and self._checks < CHECKS_AT_ONCE:
            self._check_waiting()
        try:
            return list(chain.from_iterable(await asyncio.gather(*(verdicts for _, verdicts in parcels))))
        except BrokenProcessPool as error:
            self.fault = MachineFault("The process that checks signatures has ended; start the node again.")
            self._wake.set()
            raise self.fault from error

    def _check_waiting(self) -> None:
        waiting = sorted(self._unchecked, key=lambda parcel: len(parcel[0]))
        weights = accumulate((len(raws) for raws, _ in waiting), initial=0)
        taken = sum(before < CHECKED_AT_ONCE for before in islice(weights, len(waiting)))
        parcels, self._unchecked = waiting[:taken], waiting[taken:]
        try:
            call = self._verifier.submit([raw for raws, _ in parcels for raw in raws])
        except BrokenProcessPool as error:
            call = Future()
            call.set_exception(error)
        self._checks += 1
        self._quiet.clear()
        asyncio.wrap_future(call).add_done_callback(lambda done: self._hand_out(parcels, done))

    def _hand_out(self, parcels: Sequence[_Parcel], call: asyncio.Future[list[Verdict]]) -> None:
        self._checks -= 1
        if self._unchecked:
            self._check_waiting()
        elif not self._checks:
            self._quiet.set()
        error = call.exception()
        checked = iter([] if error else call.result())
        for raws, verdicts in parcels:
            found = list(islice(checked, len(raws)))
            if verdicts.done():  # its caller has gone
                continue
            if error:
                verdicts.set_exception(error)
            else:
                verdicts.set_result(found)


def _malformed(verdict: tuple[str, str]) -> Answer:
    return Answer("malformed", verdict[0], sentence=verdict[1])
