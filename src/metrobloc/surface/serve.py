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
    node = Solo.open(home, modules())
    try:
        with Verifier(genesis_of(node.store), modules) as verifier:
            asyncio.run(_serve(node, verifier, host, port, ready, trust_clock=trust_clock))
    finally:
        node.close()


async def _serve(  # noqa: PLR0913
    node: Solo,
    verifier: Verifier,
    host: str,
    port: int,
    ready: Callable[[Solo, int], None],
    *,
    trust_clock: bool,
) -> None:
    sealer = Sealer(node, verifier, trust_clock=trust_clock)
    config = uvicorn.Config(
        http.build(sealer),
        host,
        port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        h11_max_incomplete_event_size=64 << 10,
        limit_concurrency=1000,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    sealing = asyncio.create_task(sealer.run())
    serving = asyncio.create_task(server.serve())
    server.on_started = lambda: ready(node, server.servers[0].sockets[0].getsockname()[1])
    await asyncio.wait({sealing, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    with contextlib.suppress(SystemExit):
        await serving
    if not sealing.done():
        sealing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sealing
    if not server.started:
        raise MachineFault(f"Port {port} on {host} is taken or not allowed; choose another with --port.")
