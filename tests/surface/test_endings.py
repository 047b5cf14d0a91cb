"""How a node ends: told to, killed, or left by its worker. Nothing acknowledged is lost, nothing is left running."""

import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from metrobloc import app
from metrobloc.engine.solo import Solo
from tests.support import rounds
from tests.surface.city import Node, children, coins, watched


def acknowledged_until(node: Node, ending: Callable[[], object]) -> list[str]:
    """Load a node from two sides; once answers come, end it; return the ids of all that were answered for."""
    raws = coins(node.stage(), 3000)
    known: list[str] = []

    def load(first: int) -> None:
        for at in range(first, len(raws), 100):
            try:
                known.extend(answer["tx"] for answer in node.post(raws[at : at + 50]) if answer["code"] == "ok")
            except (httpx.TransportError, AssertionError):  # gone, or a 503 while it ends
                return
            if len(known) >= 400 and not ended:
                ended.append(True)
                ending()

    ended: list[bool] = []
    with ThreadPoolExecutor(2) as pool:
        for side in [pool.submit(load, 0), pool.submit(load, 50)]:
            side.result()
    assert ended
    return known


def all_there(city: Path, known: list[str]) -> None:
    node = Solo.open(city, app.modules())
    try:
        assert [tx for tx in known if node.store.find(bytes.fromhex(tx)) is None] == []
    finally:
        node.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_under_load_it_ends_well(city: Path, number: int) -> None:
    with Node(city) as node, watched(children(node.process.pid)):

        def tell_all() -> None:  # as a terminal and an init system do
            for pid in (worker_of(node), node.process.pid):
                os.kill(pid, number)

        known = acknowledged_until(node, tell_all)
        assert node.wait() == 0
    all_there(city, known)


def test_killed_under_load_it_loses_nothing_and_leaves_nothing_running(city: Path) -> None:
    for _ in range(rounds(1, 20)):
        with Node(city) as node:
            workers = children(node.process.pid)
            assert workers
            with watched(workers):
                known = acknowledged_until(node, node.process.kill)
                assert node.wait() == -signal.SIGKILL
        all_there(city, known)


def worker_of(node: Node) -> int:
    """Find the process that checks signatures."""
    named = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(node.process.pid)}
    return next(pid for pid, line in named.items() if b"spawn_main" in line)


def test_without_its_worker_it_stops_and_says_so(city: Path) -> None:
    with Node(city) as node, watched(children(node.process.pid)):
        known = acknowledged_until(node, lambda: os.kill(worker_of(node), signal.SIGKILL))
        assert node.wait() == 4
        said = node.errors.read_text()
    assert "The process that checks signatures has ended; start the node again." in said
    assert "Traceback" not in said
    all_there(city, known)


def test_a_client_that_never_finishes_does_not_keep_it_from_ending(city: Path) -> None:
    with Node(city) as node, socket.create_connection(("127.0.0.1", node.port), 10) as half:
        half.sendall(b"POST /v1/txs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert node.http.get("/v1/status").status_code == 200
        assert node.end() == 0
