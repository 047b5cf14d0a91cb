"""A witness over HTTP, as C2SP tlog-witness has it: a log posts its checkpoint and is answered with a co-signature.

    POST /add-checkpoint                     the line that co-signs; or 400, 403, 404, 409, 422 with a sentence
    GET  /<SHA-256 of the origin>/checkpoint the newest checkpoint of a log that was co-signed
    GET  /                                   the witness's name and key, and what it watches

There is no log-in: a checkpoint counts by its signature.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import cast

from litestar import Litestar, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from metrobloc.commons.notes import COSIGNATURE
from metrobloc.commons.witnessing import BODY_BYTES_MAX, SIZE_TYPE, Turned, log_page, write_vkey
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.witness import Witness
from metrobloc.kernel.errors import MachineFault
from metrobloc.surface.connections import Crowd
from metrobloc.surface.http.answers import FAILURES, INTERNAL, Plain, as_json, log
from metrobloc.surface.serve import listen, server_of

TEXT = "text/plain; charset=utf-8"


@post("/add-checkpoint", status_code=200, request_max_body_size=BODY_BYTES_MAX)
async def add_checkpoint(request: Plain, state: State) -> Response[bytes]:
    """Co-sign a checkpoint that goes on from the one before."""
    body = await request.body()
    # From here to the answer nothing else runs: what is checked is what is replaced.
    return _text(_witness(state).take(body, clock_ms() // 1000))


@get("/{page:str}/checkpoint")
async def newest(state: State, page: str) -> Response[bytes]:
    """Return the newest checkpoint of a log that was co-signed."""
    for kept in _witness(state).logs.values():
        if kept.note and log_page(kept.log.origin) == page:
            return _text(kept.note.encode())
    raise HTTPException(status_code=404, detail="This witness has co-signed no checkpoint of such a log.")


@get("/")
async def about(state: State) -> Response[bytes]:
    """Tell who the witness is and what it watches."""
    witness = _witness(state)
    logs = [
        {"origin": kept.log.origin, "size": kept.head.size if kept.head else 0, "page": log_page(kept.log.origin)}
        for kept in witness.logs.values()
    ]
    key = witness.key.key_id
    return as_json({"name": witness.name, "key": key, "vkey": write_vkey(witness.name, key, COSIGNATURE), "logs": logs})


def serve_witness(witness: Witness, host: str, port: int, ready: Callable[[int], None], *, per_address: int) -> None:
    """Serve a witness until SIGINT or SIGTERM; MachineFault when its disk fails.

    `ready` is called with the port when it is open; port 0 picks a free one.
    """
    faults: list[MachineFault] = []

    async def run(door: socket.socket) -> None:
        leaving = asyncio.Event()

        def fail(fault: MachineFault) -> None:
            faults.append(fault)
            leaving.set()

        open_port = int(door.getsockname()[1])
        server = server_of(_build(witness, fail), lambda: ready(open_port), Crowd(per_address))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, leaving.set)
        serving = asyncio.create_task(server.serve([door]))
        waiting = asyncio.create_task(leaving.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        waiting.cancel()

    with listen(host, port) as door:
        asyncio.run(run(door))
    if faults:
        raise faults[0]


def _build(witness: Witness, fail: Callable[[MachineFault], None]) -> Litestar:
    def say_fault(_: Plain, error: MachineFault) -> Response[bytes]:
        fail(error)
        return _text(b"The witness is stopping: its disk has failed.\n", 503)

    return Litestar(
        (add_checkpoint, newest, about),
        state=State({"witness": witness}),
        exception_handlers={
            Turned: _say_turned,
            MachineFault: say_fault,
            HTTPException: _say,
            Exception: _say_internal,
        },
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _say_turned(_: Plain, error: Turned) -> Response[bytes]:
    if error.size is not None:
        return Response(f"{error.size}\n".encode(), media_type=SIZE_TYPE, status_code=error.status)
    return _text(f"{error.sentence}\n".encode(), error.status)


def _say(_: Plain, error: HTTPException) -> Response[bytes]:
    sentence = error.detail if type(error) is HTTPException else FAILURES.get(error.status_code, INTERNAL)[1]
    return _text(f"{sentence}\n".encode(), error.status_code)


def _say_internal(request: Plain, error: Exception) -> Response[bytes]:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _text(b"The witness has a fault; its operator finds it in its output.\n", 500)


def _text(body: bytes, status: int = 200) -> Response[bytes]:
    return Response(body, media_type=TEXT, status_code=status)


def _witness(state: State) -> Witness:
    return cast("Witness", state["witness"])
