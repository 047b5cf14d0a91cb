"""What strangers may do to a node's door: each is cut or told why, memory stays, and the node goes on.

All of them run at once, each from a loopback address of its own, because most of the time they wait to be cut.
"""

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from metrobloc.surface.connections import CONNECTIONS_MAX, HEADERS_MAX, PER_ADDRESS_MAX, Connection, Crowd
from metrobloc.surface.http.streams import STREAMS_MAX
from tests.surface.city import PATIENCE_S, Node, coins

GROWTH_KB = 50_000
STATUS = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
Open = Callable[[], socket.socket]


@contextlib.contextmanager
def opened(port: int, number: int) -> Iterator[Open]:
    """Yield a function that connects from the loopback address of this number; close all behind it."""
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            client = socket.create_connection(("127.0.0.1", port), PATIENCE_S, (f"127.0.1.{number}", 0))
            return stack.enter_context(client)

        yield connect


def rest(client: socket.socket) -> bytes:
    """Read until the door closes; what a reset destroys is lost."""
    read, end = bytearray(), time.monotonic() + PATIENCE_S
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 16):
            read += part
            assert time.monotonic() < end, f"the door does not close: {bytes(read[:200])!r}"
    return bytes(read)


def sent(client: socket.socket, *parts: bytes) -> bytes:
    """Send as long as the door listens, and answer what it has said until it closed."""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            client.sendall(part)
    return rest(client)


def head_of(client: socket.socket) -> bytes:
    """Read the first line of an answer."""
    read = bytearray()
    while b"\r\n" not in read:
        part = client.recv(1 << 12)
        if not part:
            break
        read += part
    return bytes(read.partition(b"\r\n")[0])


def told(answer: bytes, status: int, code: str) -> None:
    """Assert that an answer has a status, a code and a sentence."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    said = json.loads(body)
    assert (said["code"], said["sentence"][-1]) == (code, "."), said


def post(length: int, path: bytes = b"/v1/txs") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, length)


def chunked(*chunks: bytes) -> bytes:
    return b"POST /v1/txs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


def ten_thousand_headers(connect: Open) -> None:
    lines = b"".join(b"X-%d: y\r\n" % number for number in range(10_000))
    told(sent(connect(), b"GET /v1/status HTTP/1.1\r\n", lines, b"\r\n"), 431, "head_too_large")
    few = b"".join(b"X-%d: y\r\n" % number for number in range(HEADERS_MAX))
    assert head_of_sent(connect(), b"GET /v1/status HTTP/1.1\r\n" + few + b"\r\n") == b"HTTP/1.1 200 OK"


def head_of_sent(client: socket.socket, request: bytes) -> bytes:
    client.sendall(request)
    return head_of(client)


def heads_without_end(connect: Open) -> None:
    for start in (b"GET /v1/status HTTP/1.1\r\nX: ", b"GET /v1/status?", b"GET /v1/status HTTP/1.1\r\nX"):
        told(sent(connect(), start, *[b"y" * 30_000] * 40), 431, "head_too_large")


def slow_heads(connect: Open) -> None:
    client = connect()
    client.settimeout(0.25)
    answer = bytearray()
    for byte in STATUS[:-2] + b"X: " + b"y" * 100:
        with contextlib.suppress(ConnectionError):
            client.sendall(bytes([byte]))
        try:
            part = client.recv(4096)
        except TimeoutError:
            continue
        if not part:
            break
        answer += part
    told(bytes(answer), 408, "too_slow")


def slow_bodies(connect: Open) -> None:
    clients = [connect(), connect()]
    starts = (post(100_000) + b"{", chunked(b"5\r\n{}"))
    for client, start in zip(clients, starts, strict=True):
        client.sendall(start)
    for client in clients:
        told(rest(client), 408, "too_slow")


def silence(connect: Open) -> None:
    silent, idle = connect(), connect()
    assert head_of_sent(idle, STATUS) == b"HTTP/1.1 200 OK"
    assert rest(silent) == b""
    rest(idle)


def answers_never_fetched(connect: Open) -> None:
    clients = [connect() for _ in range(4)]
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 15)
    for client in clients:
        until(partial(is_cut, client))


def is_cut(client: socket.socket) -> bool:
    """Tell whether the door's end of a connection is gone; our own end cannot know while its window is shut."""
    try:
        (host, port), (_, door) = client.getsockname(), client.getpeername()
    except OSError:  # our own end knows it after all
        return True
    remote = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return not any(row[1].endswith(f":{door:04X}") and row[2] == remote for row in rows)


def too_many_from_one_address(connect: Open) -> None:
    clients = [connect() for _ in range(PER_ADDRESS_MAX)]
    assert [head_of_sent(client, STATUS) for client in clients] == [b"HTTP/1.1 200 OK"] * PER_ADDRESS_MAX
    told(rest(connect()), 503, "too_many_connections")
    clients[0].close()
    until(lambda: head_of_sent(connect(), STATUS).startswith(b"HTTP/1.1 200"))


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; fail when it does not become so."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError("it did not become so")


def streams_that_vanish(connect: Open) -> None:
    request = b"GET /v1/feed?after=-1 HTTP/1.1\r\nHost: x\r\n\r\n"
    followers: list[socket.socket] = []

    def follows() -> bool:
        client = connect()
        if head_of_sent(client, request).startswith(b"HTTP/1.1 200"):
            followers.append(client)
            return True
        client.close()
        return False

    for _ in range(2):
        for _ in range(STREAMS_MAX["feed"]):
            until(follows)
        more = connect()
        more.sendall(request.replace(b"Host: x", b"Connection: close"))
        told(rest(more), 503, "too_many_streams")
        while followers:  # gone without a word
            client = followers.pop()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()


def large_bodies(connect: Open) -> None:
    announced = connect()
    assert head_of_sent(announced, post(100 << 20)).startswith(b"HTTP/1.1 413 ")
    part = b"x" * (1 << 20)
    told(sent(connect(), post(100 << 20), *[part] * 100), 413, "too_large")
    told(sent(connect(), chunked(), *[b"%x\r\n%b\r\n" % (len(part), part)] * 100), 413, "too_large")


def bad_http(connect: Open) -> None:
    for request in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nX: a\x00b\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nX : a\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        chunked(b"zz\r\nhello\r\n"),
        chunked(b"5\r\nhelloworld\r\n"),
        chunked(b"fffffffffffffffff\r\n"),
        b"POST /v1/tx HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/tx HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/tx HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ):
        told(sent(connect(), request), 400, "bad_http")
    upgrade = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert sent(connect(), upgrade, STATUS).count(b"HTTP/1.1 ") == 1


def pipelined_floods(connect: Open) -> None:
    ordered = connect()
    ordered.sendall(STATUS * 15 + STATUS.replace(b"Host: x", b"Connection: close"))
    assert rest(ordered).count(b"HTTP/1.1 200 OK") == 16
    for flood in (STATUS * 2000, (post(2) + b"{}") * 2000):
        assert sent(connect(), *[flood] * 100).count(b"HTTP/1.1 ") < 2000


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@contextlib.contextmanager
def memory_watched(pid: int) -> Iterator[None]:
    """Assert that a process does not grow much during the block, not even for a moment."""
    before = resident_kb(pid)
    seen = [before]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            seen.append(resident_kb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert max(seen) - before < GROWTH_KB, (before, max(seen))


STRANGERS = (
    ten_thousand_headers,
    heads_without_end,
    slow_heads,
    slow_bodies,
    silence,
    answers_never_fetched,
    too_many_from_one_address,
    streams_that_vanish,
    large_bodies,
    bad_http,
    pipelined_floods,
)


def test_strangers_are_cut_or_told_why_and_the_node_goes_on(city: Path) -> None:
    with Node(city) as node, ThreadPoolExecutor(len(STRANGERS)) as pool:

        def meet(number: int) -> None:
            with opened(node.port, number) as connect:
                STRANGERS[number](connect)

        node.post(coins(node.stage(), 100))
        node.http.get("/v1/openapi.json")
        with memory_watched(node.process.pid):
            for met in [pool.submit(meet, number) for number in range(len(STRANGERS))]:
                met.result()
        assert node.http.post("/v1/tx", content=coins(node.stage(), 1)[0]).json()["code"] == "ok"
        assert node.end() == 0
        assert node.errors.read_text() == ""


def test_all_connections_together_are_limited(node: Node) -> None:
    with contextlib.ExitStack() as stack:
        connects = [stack.enter_context(opened(node.port, number)) for number in range(20, 29)]
        held = [connect() for connect in connects[:8] for _ in range(CONNECTIONS_MAX // 8)]
        told(rest(connects[8]()), 503, "too_many_connections")
        for client in held[:16]:
            client.close()
        until(lambda: head_of_sent(connects[8](), STATUS).startswith(b"HTTP/1.1 200"))


def test_behind_a_proxy_an_address_may_have_them_all() -> None:
    crowd = Crowd(per_address=0)
    clients = [Connection.__new__(Connection) for _ in range(CONNECTIONS_MAX + 1)]
    for client in clients:
        client.origin = "127.0.0.1"
    assert [crowd.admit(client) for client in clients] == [True] * CONNECTIONS_MAX + [False]
    for client in clients:
        crowd.remove(client)
    assert crowd.admit(clients[0])
