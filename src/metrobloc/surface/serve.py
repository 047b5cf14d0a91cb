"""Run a node: its sealer and its door in one process, until it is told to end or can no longer go on."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn
from litestar import Litestar

from metrobloc.commons.views import Views
from metrobloc.engine.sealer import Sealer
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import Verifier
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.module import Module
from metrobloc.mirror.database import MIRROR_FILE
from metrobloc.mirror.follow import schema_of
from metrobloc.mirror.read import Mirror
from metrobloc.surface import http
from metrobloc.surface.children import beside
from metrobloc.surface.connections import IDLE_S, PER_ADDRESS_MAX, Connection, Crowd

ENDING_S = 5
"""So long may clients take to finish their requests when the node is told to end."""


class _Server(uvicorn.Server):
    """uvicorn that says when it is open, cuts slow clients, and leaves signals alone: `serve` has more to end."""

    on_started: Callable[[], None]
    crowd: Crowd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, and tell once it is open."""
        await super().startup(sockets)
        if self.started:
            self.on_started()

    async def on_tick(self, counter: int) -> bool:
        """Sweep once in the ten times a second that uvicorn asks whether to go on."""
        if counter % 10 == 0:
            self.crowd.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


def serve(  # noqa: PLR0913
    home: Path,
    modules: Callable[[], Mapping[str, Module]],
    host: str,
    port: int,
    ready: Callable[[Solo, int], None],
    *,
    trust_clock: bool = False,
    per_address: int = PER_ADDRESS_MAX,
    mirrored: bool = True,
    commands: Callable[[int], Sequence[Sequence[str]]] = lambda _: (),
    views: Views | None = None,
) -> None:
    """Serve the chain in `home` until SIGINT or SIGTERM; MachineFault when the node had to stop by itself.

    `ready` is called with the node and the port, once the door is open. Port 0 picks a free one. `per_address` limits
    the connections from one address (0: no such limit, for a node behind a proxy). `mirrored` says whether the door
    answers from the mirror in `home`. `commands` returns, for the port, what `metrobloc` commands run beside the node.
    `views` are the pictures that the door shows.
    """
    with listen(host, port) as door:
        open_port = int(door.getsockname()[1])
        node = Solo.open(home, modules())
        try:
            with Verifier(genesis_of(node.store), modules) as verifier, contextlib.ExitStack() as stack:

                def started() -> None:
                    ready(node, open_port)
                    stack.enter_context(beside(commands(open_port)))

                sealer = Sealer(node, verifier, trust_clock=trust_clock)
                mirror = None
                if mirrored:
                    mirror = Mirror(home / MIRROR_FILE, schema_of(genesis_of(node.store), modules()))
                    stack.callback(mirror.close)
                asyncio.run(_serve(http.build(sealer, mirror, views or {}), sealer, door, started, Crowd(per_address)))
        finally:
            node.close()


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else, so that a taken one is known at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        message = f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port."
        raise MachineFault(message) from error


def server_of(app: Litestar, started: Callable[[], None], crowd: Crowd) -> _Server:
    """Return what serves an application within the limits of its connections; `started` is called when it is open."""
    config = uvicorn.Config(
        app,
        log_level="error",  # not a line for every client who sends nonsense
        access_log=False,
        lifespan="off",
        http=cast("type[Connection]", partial(Connection, crowd)),
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=ENDING_S,
    )
    server = _Server(config)
    server.on_started, server.crowd = started, crowd
    return server


async def _serve(app: Litestar, sealer: Sealer, door: socket.socket, started: Callable[[], None], crowd: Crowd) -> None:
    server = server_of(app, started, crowd)

    def leave() -> None:
        server.should_exit = True
        sealer.leave()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, leave)
    sealing = asyncio.create_task(sealer.run())
    serving = asyncio.create_task(server.serve([door]))
    await asyncio.wait({sealing, serving}, return_when=asyncio.FIRST_COMPLETED)
    leave()
    await serving
    sealer.end()
    await sealing
