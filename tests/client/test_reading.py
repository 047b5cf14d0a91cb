"""Both drivers read the same, follow events without losing one, and are not drowned by what answers."""

import asyncio
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import islice
from typing import Any

import msgspec
import pytest

from metrobloc import app
from metrobloc.city.charity.rules import campaigns, gifts
from metrobloc.city.charity.types.messages import Give
from metrobloc.client import AsyncClient, Client, Happened, NoNode, NotFound, drivers, reading, streaming
from metrobloc.client.steps import Answer, City, Done, Given, Op, Request, advance
from metrobloc.commons.money.rules import assets
from metrobloc.commons.money.types import Asset
from metrobloc.kernel import system
from tests.client.unreliable import Member
from tests.surface.city import Node

CITY = City("http://node", app.modules())
ASKED: list[tuple[str, tuple[Any, ...]]] = [
    ("genesis", ()),
    ("checkpoint", ()),
    ("trust", ()),
    ("table", ("charity/campaigns/", "", 50)),
    ("record", ("kernel/chain/info",)),
    ("get", (campaigns, "a" * 26)),
    ("params", ()),
    ("query", ("charity", "totals")),
]


def test_both_drivers_read_the_same(node: Node, client: Client, trust: bytes, mei: Member) -> None:
    asked = [*ASKED, ("may", (mei.account,)), ("prove_record", (system.accounts.path(mei.account),))]

    async def ask_all() -> list[object]:
        async with AsyncClient(node.url, app.modules(), trust) as soon:
            lines = [line async for line in soon.lines()]
            rows = [row async for row in soon.rows(campaigns)]
            return [lines, rows, *[await getattr(soon, name)(*arguments) for name, arguments in asked]]

    now = [list(client.lines()), list(client.rows(campaigns))]
    now += [getattr(client, name)(*arguments) for name, arguments in asked]
    for one, other in zip(now, asyncio.run(ask_all()), strict=True):
        assert timeless(one) == timeless(other)


def timeless(value: Any) -> Any:  # noqa: ANN401  # whatever a client returns
    """Leave out what the clock changes."""
    return {**value, "time_ms": 0} if isinstance(value, dict) else value


def test_a_table_is_read_to_its_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(client.rows(system.accounts))
    monkeypatch.setattr(reading, "PAGE_ROWS", 2)
    assert list(client.rows(system.accounts)) == whole
    assert [key for key, _ in client.rows(system.accounts, after=whole[1][0])] == [key for key, _ in whole[2:]]
    assert len(whole) > 5


def test_what_would_happen_is_told_and_does_not(client: Client, mei: Member, campaign: str) -> None:
    before = client.status()["state_root"]
    done = client.simulate(
        (mei.account, Give(campaign, 5)), (mei.account, "charity.give", {"campaign": campaign, "amount": 6})
    )
    assert (done["code"], len(done["ids"])) == ("ok", 2)
    assert client.simulate((mei.account, Give(campaign, 10_001)))["code"] == "money.balances_too_low"
    assert client.status()["state_root"] == before
    with pytest.raises(NotFound, match="does not exist"):
        client.simulate(("a" * 26, Give(campaign, 5)))
    with pytest.raises(NotFound, match="no such query"):
        client.query("charity", "nothing")
    assert {action["do"]: action["allowed"] for action in client.may(mei.account)["actions"]}["charity.give"]


def test_events_are_followed_through_every_interruption(node: Node, client: Client, mei: Member, campaign: str) -> None:
    before = f"{client.status()['height']}"
    sent = [client.send(client.draft((mei.account, Give(campaign, n))).sign(mei.key).seal()) for n in range(1, 6)]
    lengths = itertools.cycle(range(500, 1100, 37))

    def cut_short(line: socket.socket, request: bytes) -> None:
        with socket.create_connection(("127.0.0.1", node.port), 0.5) as door:
            door.sendall(request)
            left = next(lengths)
            while left > 0 and (part := door.recv(left)):
                line.sendall(part)
                left -= len(part)

    with speaking(cut_short) as url, Client(url, app.modules()) as unsure:
        followed = list(islice(unsure.events(["charity.*"], campaign, before), 5))
    assert [msgspec.json.decode(event.data)["tx"] for event in followed] == [receipt.tx for receipt in sent]
    assert next(client.events(["charity.given"], after=followed[2].id)) == followed[3]

    async def one() -> Happened:
        async with AsyncClient(node.url, app.modules()) as soon:
            stream = soon.events(about=campaign, after=followed[3].id)
            async with aclosing(stream):
                return await anext(stream)

    assert asyncio.run(one()) == followed[4]
    with pytest.raises(NotFound):
        next(client.events(["not a name"]))


def test_an_event_that_is_cut_comes_whole_the_next_time() -> None:
    told = (
        b': hello\r\nretry: 3000\nid: 7\n\nid: 8.0.0\nevent: a.b\ndata: {"x":1}\n\n:\nid: 9.0.0\ndata: 1\ndata: 2\n\n'
    )
    for cut in range(len(told)):
        reader = streaming._Reader()
        found = list(reader.take(told[:cut]))
        assert reader.last == (
            "9.0.0" if cut == len(told) else {0: "", 1: "8.0.0"}[len(found)] if found else reader.last
        )
        found += list(reader.take(told[cut:]))
        assert found == [Happened("8.0.0", "a.b", msgspec.Raw(b'{"x":1}')), Happened("9.0.0", "", msgspec.Raw(b"1\n2"))]


Say = Callable[[socket.socket, bytes], None]
"""Answers a request on an open connection."""


@contextmanager
def speaking(say: Say) -> Iterator[str]:
    """Run a server that answers anybody by `say`."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        open_ = threading.Event()

        def serve() -> None:
            while not open_.is_set():
                try:
                    line, _ = door.accept()
                except OSError:
                    return
                with line:
                    request = line.recv(65536)
                    try:
                        say(line, request)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            open_.set()
            door.shutdown(socket.SHUT_RDWR)
            thread.join(10)


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


def pour(line: socket.socket, _: bytes) -> None:
    line.sendall(HEAD + b"\r\n")
    while True:
        line.sendall(b"x" * 65536)


def drip(line: socket.socket, _: bytes) -> None:
    line.sendall(HEAD + b"\r\n")
    while True:
        line.sendall(b" ")
        threading.Event().wait(0.02)


def bomb(line: socket.socket, _: bytes) -> None:
    line.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")


def test_the_mirror_is_asked_as_its_routes_are_documented() -> None:
    city = City("http://node", app.modules())
    asked = {"campaign": "x y", "reverse": True, "after": None}
    assert next(reading.mirror(city, "charity", "gifts", asked=asked)) == Request(
        "/v1/mirror/charity/gifts?campaign=x+y&reverse=true"
    )
    assert next(reading.search(city, "zhào")) == Request("/v1/search?q=zh%C3%A0o")


@pytest.mark.parametrize("say", [pour, drip, bomb])
def test_an_answer_without_end_is_given_up(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "ANSWER_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(drivers, "ANSWER_S", 0.3)

    async def soon(url: str) -> None:
        async with AsyncClient(url, app.modules()) as client:
            await client.status()

    with speaking(say) as url:
        with Client(url, app.modules()) as client, pytest.raises(NoNode):
            client.status()
        with pytest.raises(NoNode):
            asyncio.run(soon(url))


def lied(operation: Op[object], answer: bytes) -> object:
    """Run an operation with a node that always answers the same."""
    step = advance(operation, None)
    for _ in range(20):
        if isinstance(step, Done):
            return step.value
        step = advance(operation, None if isinstance(step, Given) else Answer(200, answer))
    return "it never ends"


def test_a_node_that_tells_rows_in_another_form_or_for_ever_is_no_node() -> None:
    row = b'{"key":"a","value":{"state":5}}'
    for answer in (
        b"{}",
        b'{"items":5,"next":null}',
        b'{"items":[{"key":"a"}],"next":null}',
        b'{"items":[%b],"next":null}' % row,
    ):
        for operation in (reading.rows(CITY, campaigns), reading.get(CITY, campaigns, "a")):
            with pytest.raises(NoNode):
                lied(operation, answer)
    sound = msgspec.json.encode(Asset("a" * 26, "Coins", 2))
    whole = b'{"items":[{"key":"coin","value":%b}],"next":%b}'
    assert lied(reading.rows(CITY, assets), whole % (sound, b"null")) is None
    for stuck in (whole % (sound, b'"coin"'), whole % (sound, b'"b"'), b'{"items":[],"next":"coin"}'):
        with pytest.raises(NoNode, match=r"out of order|without an end"):
            lied(reading.rows(CITY, assets), stuck)


def test_a_node_that_tells_what_is_no_event_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    for told in ("id: \u6f22\n", "id: 1.2\n", "id: 1.2.3 \n", "id: \n"):
        with pytest.raises(NoNode, match="no place in a chain"):
            list(streaming._Reader().take(told.encode()))
    monkeypatch.setattr(streaming, "LINE_BYTES_MAX", 100)
    with pytest.raises(NoNode, match="does not end"):
        list(streaming._Reader().take(b"data: x\n" * 20))


def test_who_is_no_node_is_said_plainly() -> None:
    for url in ("nonsense", "http://a:b", "ftp://x", "http://127.0.0.1:1"):
        with pytest.raises(NoNode), Client(url, app.modules()) as client:
            client.status()
    for answer in (b"404 Not Found\r\n", b"302 Found\r\nLocation: http://127.0.0.1:1/\r\n", b"200 OK\r\n"):
        told = b"HTTP/1.1 " + answer + b"Content-Length: 2\r\nConnection: close\r\n\r\n[]"
        with speaking(partial(tell, told)) as url, pytest.raises(NoNode):
            Client(url, app.modules()).status()


def tell(told: bytes, line: socket.socket, _: bytes) -> None:
    line.sendall(told)


def test_certificates_are_checked_wherever_there_is_tls() -> None:
    assert not drivers._settings("HTTP://city")["verify"]
    for url in ("https://city", "HTTPS://city", "httpx://city"):
        assert drivers._settings(url)["verify"]
    assert City("", app.modules()).trust is None
    assert gifts.prefix == "charity/gifts/"
