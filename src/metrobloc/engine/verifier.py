"""Signature checks beside the executor: a process that turns bytes into ids, or into the code that says why not.

Checking needs no state (`Rules.check`), so it runs ahead of execution on another core. Order is kept: answer i is for
bytes i.
"""

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Self, TypeVar

from metrobloc.kernel.block import Rules
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.machine import make_rules
from metrobloc.kernel.module import Module

B = TypeVar("B")
Verdict = bytes | tuple[str, str]
"""A transaction's id, or a code with its sentence."""

AHEAD = 4
"""Batches checked ahead of the executor."""

_rules: list[Rules] = []  # of the worker process: set once when it starts


def collect_rarely() -> None:
    """Let this process look for garbage in cycles a hundred times less often.

    What executing and checking make has no cycles and goes by itself; looking for them cost a sixth of the speed.
    """
    gc.set_threshold(70_000, 20, 100)


def check_all(rules: Rules, raws: Sequence[bytes]) -> list[Verdict]:
    """Check each of some bytes; nothing they hold can raise."""
    verdicts: list[Verdict] = []
    for raw in raws:
        try:
            verdicts.append(rules.check(raw))
        except Malformed as malformed:
            verdicts.append((malformed.code, malformed.sentence))
    return verdicts


def _start(genesis: bytes, modules: Callable[[], Mapping[str, Module]]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # both may be sent to the whole group
        signal.signal(number, signal.SIG_IGN)  # the node decides when its worker ends
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collect_rarely()
    _rules.append(make_rules(genesis, modules()))


def _end_with_parent() -> None:
    """End this process when the node is gone, even by kill -9."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(raws: Sequence[bytes]) -> list[Verdict]:
    return check_all(_rules[0], raws)


class Verifier:
    """A worker process; `modules` is a function of an importable module, because the worker calls it too."""

    def __init__(self, genesis: bytes, modules: Callable[[], Mapping[str, Module]]) -> None:
        """Start the worker."""
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, _start, (genesis, modules))
        self.submit(())  # the worker's start is not for the first transaction to wait for

    def submit(self, raws: Sequence[bytes]) -> Future[list[Verdict]]:
        """Check a batch in the background; BrokenProcessPool, here or from the future, when the worker has died."""
        return self._pool.submit(_work, raws)

    def stream(
        self, batches: Iterable[tuple[B, Sequence[bytes]]]
    ) -> Iterator[tuple[B, Sequence[bytes], list[Verdict]]]:
        """Yield each batch with its verdicts, in order, while later ones are being checked."""
        waiting: deque[tuple[B, Sequence[bytes], Future[list[Verdict]]]] = deque()
        for label, raws in batches:
            waiting.append((label, raws, self.submit(raws)))
            if len(waiting) > AHEAD:
                first, sent, future = waiting.popleft()
                yield first, sent, future.result()
        for first, sent, future in waiting:
            yield first, sent, future.result()

    def close(self) -> None:
        """End the worker; what it was doing is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the worker."""
        self.close()
