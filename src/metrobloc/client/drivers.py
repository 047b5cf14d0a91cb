"""The two drivers of the operations: `Client` waits, `AsyncClient` uses asyncio; what they do is written elsewhere.

Both bound what comes back in size and time, follow no redirect, read no proxy or certificate from the environment, and
speak TLS when the URL says https.
"""

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import httpx

from metrobloc.client import acts, proving, reading, sending, streaming, waiting
from metrobloc.client.errors import NoNode
from metrobloc.client.steps import (
    ANSWER_S,
    Answer,
    City,
    Done,
    Given,
    More,
    Op,
    Pause,
    Reply,
    Request,
    Step,
    Stream,
    Unreachable,
    advance,
)
from metrobloc.client.streaming import Happened
from metrobloc.kernel.module import Module
from metrobloc.kernel.tables import K, Table, V

P = ParamSpec("P")
R = TypeVar("R")

ANSWER_BYTES_MAX = 64 << 20
CONNECT_S = 10.0
SILENCE = httpx.Timeout(60.0, connect=CONNECT_S)
"""A stream that says nothing for a minute, not even that it is alive, counts as broken."""

_FAULTS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
_HEADERS = {"accept-encoding": "identity", "user-agent": "metrobloc"}


class _Bounds:
    """How much of an answer has come since when; a fault once it is too much or takes too long."""

    def __init__(self) -> None:
        self._until_s = time.monotonic() + ANSWER_S
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        """Take a part of the answer."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > ANSWER_BYTES_MAX:
            raise httpx.StreamError(f"it answers with more than {ANSWER_BYTES_MAX >> 20} MiB")
        if time.monotonic() > self._until_s:
            raise httpx.StreamError(f"its answer takes longer than {ANSWER_S:.0f} s")

    def whole(self) -> bytes:
        """Return the answer."""
        return b"".join(self._parts)


class _Wire:
    """One operation's use of the network: whole answers, and at most one stream at a time."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._stream = ExitStack()
        self._parts: Iterator[bytes] = iter(())

    def do(self, step: Step | Done) -> Reply:
        """Carry a step out and return what came of it."""
        try:
            match step:
                case Request(where, body):
                    with self._http.stream("GET" if body is None else "POST", where, content=body) as answer:
                        return self._whole(answer)
                case Stream(where, headers):
                    self.close()
                    opened = self._http.stream("GET", where, headers=headers, timeout=SILENCE)
                    answer = self._stream.enter_context(opened)
                    if answer.status_code != 200:
                        return self._whole(answer)
                    self._parts = answer.iter_raw()
                    return Answer(200)
                case More():
                    return Answer(200, next(self._parts, b""))
                case Pause(seconds):
                    time.sleep(seconds)
        except _FAULTS as error:
            return Unreachable(str(error) or type(error).__name__)
        return None

    def close(self) -> None:
        """Close the stream, if one is open."""
        self._stream.close()

    def _whole(self, answer: httpx.Response) -> Answer:
        bounds = _Bounds()
        for part in answer.iter_raw():
            bounds.add(part)
        return Answer(answer.status_code, bounds.whole())


class _AsyncWire:
    """The same for asyncio."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._stream = AsyncExitStack()
        self._parts: AsyncIterator[bytes] | None = None

    async def do(self, step: Step | Done) -> Reply:
        """Carry a step out and return what came of it."""
        try:
            match step:
                case Request(where, body):
                    async with self._http.stream("GET" if body is None else "POST", where, content=body) as answer:
                        return await self._whole(answer)
                case Stream(where, headers):
                    await self.close()
                    opened = self._http.stream("GET", where, headers=headers, timeout=SILENCE)
                    answer = await self._stream.enter_async_context(opened)
                    if answer.status_code != 200:
                        return await self._whole(answer)
                    self._parts = answer.aiter_raw()
                    return Answer(200)
                case More():
                    return Answer(200, await anext(self._parts, b"") if self._parts else b"")
                case Pause(seconds):
                    await asyncio.sleep(seconds)
        except _FAULTS as error:
            return Unreachable(str(error) or type(error).__name__)
        return None

    async def close(self) -> None:
        """Close the stream, if one is open."""
        await self._stream.aclose()

    async def _whole(self, answer: httpx.Response) -> Answer:
        bounds = _Bounds()
        async for part in answer.aiter_raw():
            bounds.add(part)
        return Answer(answer.status_code, bounds.whole())


def _now(operation: Callable[Concatenate[City, P], Op[R]]) -> Callable[Concatenate["Client", P], R]:
    @functools.wraps(operation)
    def run(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> R:
        made, wire = operation(self.city, *args, **kwargs), _Wire(self.http)
        try:
            step = advance(made, None)
            while not isinstance(step, Done):
                step = advance(made, wire.do(step))
        finally:
            wire.close()
        return cast("R", step.value)

    return run


def _soon(
    operation: Callable[Concatenate[City, P], Op[R]],
) -> Callable[Concatenate["AsyncClient", P], Coroutine[None, None, R]]:
    @functools.wraps(operation)
    async def run(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        made, wire = operation(self.city, *args, **kwargs), _AsyncWire(self.http)
        try:
            step = advance(made, None)
            while not isinstance(step, Done):
                step = advance(made, await wire.do(step))
        finally:
            await wire.close()
        return cast("R", step.value)

    return run


class Client:
    """A city's node as a program uses it that waits for each answer; close it, or use it in a `with`."""

    def __init__(self, url: str, modules: Mapping[str, Module], trust: bytes | None = None) -> None:
        """Use the node at a URL; nothing is sent yet.

        `modules` are the declarations (`metrobloc.app.modules()`), `trust` is a trust file's content. Raises NoNode for
        what is no URL and ProofInvalid for what is no trust file.
        """
        self.city = City(url, modules, trust)
        with _as_url(url):
            self.http = httpx.Client(**_settings(url))

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.http.close()

    def rows(self, table: Table[K, V], after: str = "") -> Iterator[tuple[str, V]]:
        """Yield (key, record) of all rows of a table beyond a key, page by page; each page is of one height."""
        return self._each(reading.rows(self.city, table, after))

    def lines(self) -> Iterator[bytes]:
        """Yield the chain's export, line by line, without line feeds."""
        return self._each(streaming.lines(self.city))

    def events(
        self, event: Sequence[str] = (), about: str | None = None, after: str | None = None
    ) -> Iterator[Happened]:
        """Yield events as they happen; see `streaming.events`."""
        return self._each(streaming.events(self.city, event, about, after))

    def _each(self, operation: Op[None]) -> Iterator[Any]:
        wire = _Wire(self.http)
        try:
            step = advance(operation, None)
            while not isinstance(step, Done):
                if isinstance(step, Given):
                    yield step.item
                step = advance(operation, wire.do(step))
        finally:
            wire.close()

    draft = _now(sending.draft)
    missing = _now(sending.missing)
    send = _now(sending.send)
    submit = _now(sending.submit)
    promise = _now(sending.promise)
    promise_note = _now(sending.promise_note)
    time_ms = _now(sending.time_ms)
    wait = _now(waiting.wait)
    judge = _now(waiting.judge)
    genesis = _now(reading.genesis)
    status = _now(reading.status)
    checkpoint = _now(reading.checkpoint)
    consistency = _now(reading.consistency)
    log_file = _now(reading.log_file)
    record = _now(reading.record)
    table = _now(reading.table_page)
    get = _now(reading.get)
    simulate = _now(reading.simulate)
    propose = _now(acts.propose)
    act = _now(acts.act)
    try_act = _now(acts.try_act)
    may = _now(reading.may)
    params = _now(reading.params)
    who = _now(reading.who)
    query = _now(reading.query)
    mirror = _now(reading.mirror)
    search = _now(reading.search)
    receipt = _now(proving.receipt)
    record_proof = _now(proving.record_proof)
    receipt_proof = _now(proving.receipt_proof)
    prove_record = _now(proving.prove_record)
    prove_receipt = _now(proving.prove_receipt)
    trust = _now(proving.trust)


class AsyncClient:
    """The same for asyncio: every operation is awaited, every iteration is `async for`."""

    def __init__(self, url: str, modules: Mapping[str, Module], trust: bytes | None = None) -> None:
        """Use the node at a URL, as `Client` does."""
        self.city = City(url, modules, trust)
        with _as_url(url):
            self.http = httpx.AsyncClient(**_settings(url))

    async def __aenter__(self) -> Self:
        """Use it in an `async with`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close its connections."""
        await self.http.aclose()

    def rows(self, table: Table[K, V], after: str = "") -> AsyncGenerator[tuple[str, V], None]:
        """Yield (key, record) of all rows of a table beyond a key, page by page; each page is of one height."""
        return self._each(reading.rows(self.city, table, after))

    def lines(self) -> AsyncGenerator[bytes, None]:
        """Yield the chain's export, line by line, without line feeds."""
        return self._each(streaming.lines(self.city))

    def events(
        self, event: Sequence[str] = (), about: str | None = None, after: str | None = None
    ) -> AsyncGenerator[Happened, None]:
        """Yield events as they happen; see `streaming.events`."""
        return self._each(streaming.events(self.city, event, about, after))

    async def _each(self, operation: Op[None]) -> AsyncGenerator[Any, None]:
        wire = _AsyncWire(self.http)
        try:
            step = advance(operation, None)
            while not isinstance(step, Done):
                if isinstance(step, Given):
                    yield step.item
                step = advance(operation, await wire.do(step))
        finally:
            await wire.close()

    draft = _soon(sending.draft)
    missing = _soon(sending.missing)
    send = _soon(sending.send)
    submit = _soon(sending.submit)
    promise = _soon(sending.promise)
    promise_note = _soon(sending.promise_note)
    time_ms = _soon(sending.time_ms)
    wait = _soon(waiting.wait)
    judge = _soon(waiting.judge)
    genesis = _soon(reading.genesis)
    status = _soon(reading.status)
    checkpoint = _soon(reading.checkpoint)
    consistency = _soon(reading.consistency)
    log_file = _soon(reading.log_file)
    record = _soon(reading.record)
    table = _soon(reading.table_page)
    get = _soon(reading.get)
    simulate = _soon(reading.simulate)
    propose = _soon(acts.propose)
    act = _soon(acts.act)
    try_act = _soon(acts.try_act)
    may = _soon(reading.may)
    params = _soon(reading.params)
    who = _soon(reading.who)
    query = _soon(reading.query)
    mirror = _soon(reading.mirror)
    search = _soon(reading.search)
    receipt = _soon(proving.receipt)
    record_proof = _soon(proving.record_proof)
    receipt_proof = _soon(proving.receipt_proof)
    prove_record = _soon(proving.prove_record)
    prove_receipt = _soon(proving.prove_receipt)
    trust = _soon(proving.trust)


def _settings(url: str) -> dict[str, Any]:
    """Return what both drivers tell httpx; without TLS no certificates are loaded, which takes a while."""
    verify = not url.lower().startswith("http:")
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    return {"base_url": url, "timeout": timeout, "trust_env": False, "verify": verify, "headers": _HEADERS}


@contextmanager
def _as_url(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise NoNode(f"{url!r} is no URL of a node ({error}).") from error
