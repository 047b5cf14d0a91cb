"""One client's connection: what it may cost in bytes, time and number, and how it is told that it went too far.

uvicorn's connection over httptools, with limits on the size of a request's head and the number of its headers, on the
time in which head and body must arrive, on requests sent ahead, on answers that are not fetched, and on connections in
all and from one address. Who is overdue is found by a sweep once a second, so that no request pays for a timer.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections import Counter
from typing import Any, Literal

import msgspec
from msgspec import Struct
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_BYTES_MAX = 64 << 10
HEADERS_MAX = 100
AHEAD_MAX = 16
CONNECTIONS_MAX = 512
PER_ADDRESS_MAX = 64
SEND_BUFFER_BYTES = 256 << 10

HEAD_S = 10
BODY_S = 30
BODY_BYTES_PER_S = 10_000
IDLE_S = 15
FETCH_S = 30
GOODBYE_S = 5


class Refusal(Struct, frozen=True):
    """What a client is told before its connection ends."""

    status: int
    code: str
    sentence: str


BAD_HTTP = Refusal(400, "bad_http", "This is no HTTP/1.1 request; send one as RFC 9112 says.")
HEAD_TOO_LARGE = Refusal(
    431, "head_too_large", f"Send at most {HEADERS_MAX} headers and {HEAD_BYTES_MAX >> 10} KiB before the body."
)
TOO_SLOW = Refusal(
    408, "too_slow", f"Send a head within {HEAD_S} s, a body within {BODY_S} s and 1 s for every {BODY_BYTES_PER_S} B."
)
TOO_MANY = Refusal(503, "too_many_connections", "Too many connections are open; close some, or come back in a minute.")
STOPPING = Refusal(503, "stopping", "The node is stopping; send again when it is back.")
REFUSALS = (BAD_HTTP, HEAD_TOO_LARGE, TOO_SLOW, TOO_MANY, STOPPING)
"""Everything that a connection can be told before a route has seen its request."""

_encode = msgspec.json.Encoder().encode


class Crowd:
    """All connections of a node: how many there are, and from where."""

    def __init__(self, per_address: int = PER_ADDRESS_MAX) -> None:
        """Allow so many from one address; 0 for no such limit, as behind a proxy."""
        self.members: set[Connection] = set()
        self._per_address = per_address or CONNECTIONS_MAX
        self._counts: Counter[str] = Counter()

    def admit(self, connection: "Connection") -> bool:
        """Count a connection in, and tell whether there is room for it."""
        self.members.add(connection)
        self._counts[connection.origin] += 1
        return self._counts[connection.origin] <= self._per_address and len(self.members) <= CONNECTIONS_MAX

    def remove(self, connection: "Connection") -> None:
        """Count a connection out."""
        self.members.discard(connection)
        self._counts[connection.origin] -= 1
        if not self._counts[connection.origin]:
            del self._counts[connection.origin]

    def sweep(self, now_s: float) -> None:
        """Cut who is overdue at a time of the loop's clock."""
        for connection in tuple(self.members):
            connection.cut_if_overdue(now_s)


_Awaited = Literal["idle", "head", "body", "nothing", "goodbye"]


class Connection(HttpToolsProtocol):
    """A client's connection, guarded.

    It awaits a head or a body; nothing, while a request is answered; another request, when it is idle. Refused, or
    answered before all was sent, it reads on for a moment and forgets ("goodbye"): to close with bytes unread would
    destroy the answer on its way.
    """

    def __init__(
        self,
        crowd: Crowd,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make it as uvicorn asks for it."""
        super().__init__(config, server_state, app_state, _loop)
        self.origin = ""
        self._crowd = crowd
        self._awaits: _Awaited = "idle"
        self._due_s = 0.0
        self._fetch_due_s: float | None = None
        self._head_bytes = 0  # of url and headers, as they are told apart
        self._fed_bytes = 0  # since the head began, as they came
        self._body_bytes = 0
        self._refusal = BAD_HTTP
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Take a client in, or tell it that there are too many."""
        super().connection_made(transport)
        _settle(transport.get_extra_info("socket"))
        self.origin = _origin(self.client[0] if self.client else "")
        self._await("idle", HEAD_S)
        if not self._crowd.admit(self):
            self._refuse(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._crowd.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, within the limits."""
        if self._refused:
            return
        if self._awaits in ("idle", "nothing"):  # the first bytes of another request
            self._await("head", HEAD_S)
        if self._awaits == "head":
            if self._fed_bytes > HEAD_BYTES_MAX:  # one header that does not end
                self._refuse(HEAD_TOO_LARGE)
                return
            self._fed_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._await("head", HEAD_S)
        self._head_bytes = self._fed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._weigh(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._weigh(len(name) + len(value) + 4)
        if len(self.headers) == HEADERS_MAX:
            raise self._too_much(HEAD_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request on; its body follows."""
        if len(self.pipeline) == AHEAD_MAX:
            raise self._too_much(BAD_HTTP)
        super().on_headers_complete()
        if self.parser.should_upgrade():  # there is nothing else that we speak
            self.cycle.keep_alive = False
        self._body_bytes = 0
        self._await("body", BODY_S)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        super().on_message_complete()
        self._await_next()

    def on_response_complete(self) -> None:
        """Go on with the next request; of a body that was not waited for, forget what still comes."""
        super().on_response_complete()
        if self._awaits == "body" and self.cycle.response_complete:
            self._await("goodbye", GOODBYE_S)
        elif self._awaits == "nothing":
            self._await_next()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words
        """Refuse what the parser, or a limit within it, has stopped at."""
        self._refuse(self._refusal)

    def pause_writing(self) -> None:
        """Stop writing to a client who does not fetch, and do not wait for ever."""
        super().pause_writing()
        self._fetch_due_s = self.loop.time() + FETCH_S

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._fetch_due_s = None

    def shutdown(self) -> None:
        """End when what was asked is answered; a request that is not here yet is not waited for."""
        if self._awaits == "body" and not self.cycle.response_started and not self.pipeline:
            self._refuse(STOPPING)
            self.transport.close()
        super().shutdown()

    def cut_if_overdue(self, now_s: float) -> None:
        """End the connection if its client is late with what is awaited."""
        if self._fetch_due_s is not None and now_s >= self._fetch_due_s:
            self._drop()
        elif self._awaits == "nothing" or now_s < self._due_s:
            return
        elif self._awaits == "goodbye" or self.transport.is_closing():
            self._drop()
        elif self._awaits == "body" and self.flow.read_paused:  # we are the late ones
            self._await("body", BODY_S)
        elif self._awaits == "body" and now_s < self._due_s + self._body_bytes / BODY_BYTES_PER_S:
            return
        elif self._awaits == "idle":
            self.transport.close()
            self._await("goodbye", GOODBYE_S)  # something may not have been fetched yet
        else:
            self._refuse(TOO_SLOW)

    def _drop(self) -> None:
        """Close at once, and let the kernel forget what it has not sent."""
        client: socket.socket = self.transport.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _await_next(self) -> None:
        if self.cycle.response_complete:
            self._await("idle", IDLE_S)
        else:
            self._await("nothing")

    def _await(self, what: _Awaited, within_s: float = 0) -> None:
        self._awaits = what
        self._due_s = self.loop.time() + within_s

    def _weigh(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            raise self._too_much(HEAD_TOO_LARGE)

    def _too_much(self, refusal: Refusal) -> ValueError:
        """Note what to say when the parser has stopped at the error that this returns."""
        self._refusal = refusal
        return ValueError(refusal.code)

    def _refuse(self, refusal: Refusal) -> None:
        """Say why and end. While another request is being answered there is no place for it: only end then."""
        if self._awaits == "goodbye":
            self.transport.close()
            return
        asked = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]
        if asked:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if asked and (self._awaits != "body" or self.cycle.response_started or self.pipeline):
            self._drop()
            return
        self._refused = True
        self._unset_keepalive_if_required()
        answer = _encode({"code": refusal.code, "sentence": refusal.sentence})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(answer)
        self.transport.write(STATUS_LINE[refusal.status] + head + answer)
        self.transport.write_eof()
        self._await("goodbye", GOODBYE_S)


def _settle(client: socket.socket) -> None:
    """Let nothing wait in the kernel: not a small answer, not much of a large one, not for a client who vanished."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, FETCH_S * 1000)


def _origin(address: str) -> str:
    """Return what counts as one address: for IPv6 the network of 64 bits that one subscriber has."""
    with contextlib.suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        if parsed.version == 6:
            return str(parsed.ipv4_mapped or int(parsed) >> 64)
    return address
