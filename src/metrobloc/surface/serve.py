"""Run a node: its sealer and its door in one process, until it is told to end or can no longer go on."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import uvicorn

from metrobloc.engine.sealer import Sealer
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import Verifier
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.module import Module
from metrobloc.surface import http

ENDING_S = 5
"""So long may clients take to finish their requests when the node is told to end."""


class _Server(uvicorn.Server):
    """uvicorn that says when it is open, and leaves signals alone: a signal ends the sealer first."""

    on_started: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door, and tell once it is open."""
        await super().startup(sockets)
        if self.started:
            self.on_started()

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
) -> None:
    """Serve the chain in `home` until SIGINT or SIGTERM; MachineFault when the node had to stop by itself.

    `ready` is called with the node and the port, once the door is open. Port 0 picks a free one.
    """
    with _listen(host, port) as door:
        node = Solo.open(home, modules())
        try:
            with Verifier(genesis_of(node.store), modules) as verifier:
                sealer = Sealer(node, verifier, trust_clock=trust_clock)
                asyncio.run(_serve(sealer, door, lambda: ready(node, door.getsockname()[1])))
        finally:
            node.close()


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else, so that a taken one is known at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        message = f"Port {port} on {host} cannot be used ({error.strerror}); choose another with --port."
        raise MachineFault(message) from error


async def _serve(sealer: Sealer, door: socket.socket, ready: Callable[[], None]) -> None:
    config = uvicorn.Config(
        http.build(sealer),
        log_level="warning",
        access_log=False,
        lifespan="off",
        http="h11",
        timeout_graceful_shutdown=ENDING_S,
        h11_max_incomplete_event_size=64 << 10,
        limit_concurrency=256,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    sealing = asyncio.create_task(sealer.run())
    server.on_started = ready
    serving = asyncio.create_task(server.serve([door]))
    await asyncio.wait({sealing, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    sealer.end()
    await sealing
