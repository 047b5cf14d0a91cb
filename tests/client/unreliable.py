"""A server between the client and a node that loses, delays and forges, and the members who send through it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx

from metrobloc.client import Client
from metrobloc.commons.identity.demo import demo_key
from metrobloc.commons.identity.types import Register
from metrobloc.commons.money.types import Issue
from metrobloc.kernel.accounts import account_id
from metrobloc.kernel.crypto import SigningKey

BUSY = b'{"code":"busy","sentence":"Too much is waiting; send again in a few seconds."}'
Forge = Callable[[bytes], bytes]
"""Changes the body of an answer."""


class Member(NamedTuple):
    """Somebody with a key and an account."""

    key: SigningKey
    account: str


def bank() -> Member:
    """Return the playground's bank."""
    key = demo_key("bank")
    assert key is not None
    return Member(key, account_id(key.key_id))


def join(client: Client, fen: int = 10_000) -> Member:
    """Register a new member with money."""
    key = SigningKey(os.urandom(32))
    made, issuer = Member(key, account_id(key.key_id)), bank()
    calls = ((issuer.account, Register(key.key_id)), (issuer.account, Issue("cny", made.account, fen)))
    client.send(client.draft(*calls).sign(issuer.key).sign(key).seal())
    return made


class Unreliable:
    """What the server is to do with the next requests to send, or with answers of a path."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.forged: dict[str, Forge] = {}
        self.reached = 0

    def meet(self, handler: BaseHTTPRequestHandler, target: str) -> None:
        """Answer one request, well or badly."""
        sends = handler.command == "POST" and handler.path.startswith("/v1/tx")
        fault = self.faults.pop(0) if sends and self.faults else ""
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        if fault in {"gone", "busy", "nonsense"}:
            answers = {"busy": (503, BUSY), "nonsense": (200, b"<html>It works!</html>"), "gone": None}
            reply(handler, answers[fault])
            return
        answer = httpx.request(handler.command, target + handler.path, content=body, trust_env=False, timeout=60)
        self.reached += sends
        content = next((forge(answer.content) for path, forge in self.forged.items() if path in handler.path), None)
        content = answer.content if content is None else content
        if fault == "lost":
            reply(handler, None)
        elif fault == "busy after all":
            reply(handler, (503, BUSY))
        elif fault == "cut":
            reply(handler, (answer.status_code, content[: len(content) // 2]), claims=len(content))
        elif fault == "cut without a word":
            reply(handler, (answer.status_code, content[: len(content) // 2]), claims=None)
        elif fault == "of another":
            reply(handler, (200, b'{"code":"ok","height":1,"index":0,"status":"committed","tx":"%064d"}' % 1))
        else:
            reply(handler, (answer.status_code, content))


FAULTS = ("gone", "busy", "nonsense", "lost", "busy after all", "cut", "cut without a word", "of another")


def reply(handler: BaseHTTPRequestHandler, answer: tuple[int, bytes] | None, claims: int | None = -1) -> None:
    """Answer, claiming this length (by default the true one), and hang up; None hangs up at once."""
    handler.close_connection = True
    if answer is None:
        return
    status, body = answer
    handler.send_response(status)
    if claims is not None:
        handler.send_header("content-length", str(len(body) if claims < 0 else claims))
    handler.send_header("connection", "close")
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def between(target: str) -> Iterator[tuple[str, Unreliable]]:
    """Run the server before a node; yields its URL and what it is to do."""
    plan = Unreliable()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # as the library calls it
            plan.meet(self, target)

        def do_POST(self) -> None:
            plan.meet(self, target)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", plan
        finally:
            server.shutdown()
            thread.join()
