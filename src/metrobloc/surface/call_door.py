"""The door at which SMS gateways post text messages: each is on the ledger, as a call for help, before it is answered.

    POST /   a message, as city/charity/port.py reads it: {"payload": {"success": true}}, or why to post it again
    GET  /   how many messages wait for the ledger

A gateway posts until it is answered, so a message may come many times, also at once: those wait for the same answer.
What is in the spool and not on the ledger is sent again from time to time, whether the gateway comes back or not.
"""

import asyncio
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import cast

from litestar import Litestar, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from msgspec import Struct

from metrobloc.city.charity import port
from metrobloc.city.charity.port import Posted, Unfit
from metrobloc.city.charity.types.calling import Channel, Hear
from metrobloc.kernel.errors import MachineFault
from metrobloc.surface.connections import PER_ADDRESS_MAX, Crowd
from metrobloc.surface.http.answers import INTERNAL, JSON, Plain, as_json, log
from metrobloc.surface.nullifying import nullifier
from metrobloc.surface.serve import listen, server_of
from metrobloc.surface.spool import Item, Spool, new_salt

AGAIN_S = 30.0
AT_ONCE = 16
"""So many messages are on their way to the ledger at the same time."""

FAILURES_MAX = 3
"""After so many failures in a row the rest waits for the next round."""

REPEATED = "charity.other_message"
"""How the ledger refuses a message that it has under another salt: the spool was lost, the message was not."""

File = Callable[[Hear], Awaitable[str]]
"""Files a call and returns nothing when the ledger has it, else a code and sentence why not."""


Filer = Callable[[], AbstractAsyncContextManager[File]]

_chance = random.SystemRandom()


class Desk(Struct, frozen=True):
    """What the door works with: how calls are sorted and named, who may post, and how much."""

    table: port.Table
    secret: bytes
    key: bytes
    channel: Channel
    per_minute: int
    per_address: int = PER_ADDRESS_MAX


class Taker:
    """Takes messages: into the spool, to the ledger, and only then says so."""

    def __init__(self, desk: Desk, spool: Spool, file: File) -> None:
        """Bind the parts."""
        self.desk, self.spool = desk, spool
        self._file = file
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._going: dict[str, asyncio.Task[str]] = {}
        self._left = float(desk.per_minute)
        self._at_s = 0.0

    def may(self, now_s: float) -> bool:
        """Count a post against what may come in a minute, at a time of the loop's clock."""
        rate = self.desk.per_minute
        self._left = min(rate, self._left + (now_s - self._at_s) * rate / 60) - 1
        self._at_s = now_s
        if self._left < 0:
            self._left += 1
            return False
        return True

    async def take(self, posted: Posted) -> str:
        """Return nothing once the ledger has the message, else why it has not."""
        name = port.message_nullifier(self.desk.key, posted)
        if self.spool.find(name) is None:
            told = (str(posted.sent_timestamp), str(posted.message_id), posted.device_id)
            self.spool.put(name, Item(posted.sender, posted.text, new_salt(), *told))
        elif name not in self.spool.waiting:
            return ""
        return await self._send(name)

    async def send_waiting(self) -> None:
        """Send all that is in the spool and perhaps not on the ledger."""
        names, failed = sorted(self.spool.waiting), 0
        _chance.shuffle(names)  # so that none that is never taken stands before the others for ever
        for name in names:
            wrong = await self._send(name)
            failed = failed + 1 if wrong else 0
            if wrong:
                log.warning("A message waits in the spool: %s", wrong)
            if failed == FAILURES_MAX:
                return

    async def _send(self, name: str) -> str:
        task = self._going.get(name)
        if task is None:
            task = self._going[name] = asyncio.create_task(self._send_one(name))
            task.add_done_callback(lambda _: self._going.pop(name))
        return await asyncio.shield(task)  # a gateway that hangs up stops nothing

    async def _send_one(self, name: str) -> str:
        item = self.spool.find(name)
        if item is None:
            raise MachineFault(f"The message {name} has vanished from the spool.")
        desk, posted = self.desk, Posted(item.sender, item.text)
        caller = nullifier(desk.key, "caller", item.sender)
        call = port.write_call(posted, desk.table, channel=desk.channel, message=name, caller=caller, salt=item.salt)
        async with self._turns:
            wrong = await self._file(call)
        if wrong and not wrong.startswith(REPEATED):
            return wrong
        self.spool.settle(name)
        return ""


@post("/", status_code=200, request_max_body_size=port.BODY_BYTES_MAX)
async def take(request: Plain, state: State) -> Response[bytes]:
    """Take a message from a gateway."""
    taker = _taker(state)
    posted = port.read(await request.body(), request.headers.get("content-type", ""))
    if not port.knows(posted, request.headers.get("authorization", ""), taker.desk.secret):
        return _answer(403, "The secret is not that of this gateway.")
    if not taker.may(asyncio.get_running_loop().time()):
        return _answer(429, "Too many messages in a minute; post it again later.")
    wrong = await taker.take(posted)
    if wrong:
        log.warning("A message is not on the ledger yet: %s", wrong)
        return _answer(503, "The ledger does not have it yet; post it again later.")
    return _answer(200)


@get("/")
async def about(state: State) -> Response[bytes]:
    """Tell how many messages wait."""
    return as_json({"waiting": len(_taker(state).spool.waiting)})


def serve_calls(desk: Desk, spool: Spool, filer: Filer, at: tuple[str, int], ready: Callable[[int], None]) -> None:
    """Serve at a host and port until SIGINT or SIGTERM; MachineFault when the spool's disk fails.

    `ready` is called with the port when it is open; port 0 picks a free one.
    """
    faults: list[MachineFault] = []

    async def run(door: socket.socket) -> None:
        leaving = asyncio.Event()

        def fail(fault: MachineFault) -> None:
            faults.append(fault)
            leaving.set()

        open_port = int(door.getsockname()[1])
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, leaving.set)
        async with filer() as file:
            taker = Taker(desk, spool, file)
            server = server_of(build(taker, fail), lambda: ready(open_port), Crowd(desk.per_address))
            serving = asyncio.create_task(server.serve([door]))
            sending = asyncio.create_task(_send_again(taker, fail))
            waiting = asyncio.create_task(leaving.wait())
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await serving
            for task in (waiting, sending):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    with listen(*at) as door:
        asyncio.run(run(door))
    if faults:
        raise faults[0]


def build(taker: Taker, fail: Callable[[MachineFault], None]) -> Litestar:
    """Return the application; `fail` hears what ends it."""

    def say_fault(_: Plain, error: MachineFault) -> Response[bytes]:
        fail(error)
        return _answer(503, "The door is closing; post it again later.")

    return Litestar(
        (take, about),
        state=State({"taker": taker}),
        exception_handlers={
            Unfit: _say_unfit,
            MachineFault: say_fault,
            OSError: lambda request, error: say_fault(request, MachineFault(f"The spool's disk has failed: {error}.")),
            HTTPException: _say,
            Exception: _say_internal,
        },
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


async def _send_again(taker: Taker, fail: Callable[[MachineFault], None]) -> None:
    while True:
        try:
            await taker.send_waiting()
        except (MachineFault, OSError) as error:
            fail(error if isinstance(error, MachineFault) else MachineFault(f"The spool's disk has failed: {error}."))
        await asyncio.sleep(AGAIN_S)


def _say_unfit(_: Plain, error: Unfit) -> Response[bytes]:
    return _answer(error.status, str(error))


def _say(_: Plain, error: HTTPException) -> Response[bytes]:
    sentence = {404: "Post messages to /.", 405: "Post messages to /.", 413: "The message is too long."}
    return _answer(error.status_code, sentence.get(error.status_code, "This is no request that the door can answer."))


def _say_internal(request: Plain, error: Exception) -> Response[bytes]:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _answer(500, INTERNAL[1])


def _answer(status: int, wrong: str = "") -> Response[bytes]:
    return Response(port.answer(wrong), media_type=JSON, status_code=status)


def _taker(state: State) -> Taker:
    return cast("Taker", state["taker"])
