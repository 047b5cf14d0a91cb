"""Text messages through a real door to a real node: each counts once, whatever crashes, and none is public."""

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any, Self

import httpx
import pytest

from metrobloc.city.charity import port
from metrobloc.city.charity.port import Posted
from metrobloc.city.charity.rules import app
from metrobloc.city.charity.types.calling import Hear
from metrobloc.kernel.errors import MachineFault
from metrobloc.surface import call_door
from metrobloc.surface.call_door import REPEATED, Desk, Taker
from metrobloc.surface.spool import Item, Spool, new_salt
from tests.planted import found_at, found_under
from tests.support import rounds
from tests.surface.city import MAIN, PATIENCE_S, Node, copied, done, failed

KNOWN = "a secret that only gateways know"
WORDS = """
place = "city"
category = "other"
severity = 2
[places]
harbour = ["harbour"]
[categories.water]
severity = 4
words = ["water"]
"""
TABLE = port.read_table(WORDS.encode())
NUMBER, WRITTEN = "+86 138 4711 0815", "Quisquilia Zhu Mingming has no water, harbour road 7"


class Door:
    """A running `metrobloc charity listen`."""

    def __init__(self, home: Path, node: str, *options: str) -> None:
        """Start it on a free port and wait until it is open."""
        self.home = home
        self.errors = home / "door.err"
        where = ["--secret", str(home / "secret"), "--words", str(home / "words.toml"), "--node", node]
        command = [*MAIN, "charity", "listen", "--as", "gateway", "--json", "--port", "0", *where, *options]
        with self.errors.open("ab") as errors:
            env = {**os.environ, "METROBLOC_HOME": str(home)}
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=env)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"exit code {self.process.wait(PATIENCE_S)}: {self.errors.read_text()}")
        self.told = json.loads(line)
        self.http = httpx.Client(base_url=self.told["url"], timeout=PATIENCE_S, trust_env=False)

    def post(self, **changed: object) -> httpx.Response:
        """Post a message as a form."""
        fields = {"from": NUMBER, "message": WRITTEN, "message_id": "1", "sent_timestamp": "17", "secret": KNOWN}
        return self.http.post("/", data={**fields, **changed})

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, if it still runs, and answer its exit code."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        """Use it in a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever happened."""
        self.end(signal.SIGKILL)


@pytest.fixture
def city_node(template: Path, tmp_path: Path) -> Iterator[Node]:
    """Run a node of one's own."""
    with Node(copied(template, tmp_path / "city")) as running:
        yield running


@pytest.fixture
def gateway(home: Path, city_node: Node) -> Path:
    """Give a gateway a key, a role, a secret and words; answer its home."""
    done(home, "key new gateway")
    done(home, "identity register --key gateway --as bank --node", city_node.url)
    accredit = "identity accredit --account gateway --name Gateway --role gateway --quota-per-hour 1000000 --as office"
    done(home, accredit, "--node", city_node.url)
    (home / "secret").write_text(f"{KNOWN}\n")
    (home / "secret").chmod(0o600)
    (home / "words.toml").write_text(WORDS)
    return home


def rows(node: Node, table: str) -> list[Any]:
    """Return a table's rows, without those that the story has left, which are about the north."""
    found: list[Any] = node.http.get(f"/v1/tables/charity/{table}?limit=500").json()["items"]
    return [row for row in found if row["value"]["place"] != "north"]


def files(home: Path, folder: str) -> list[Path]:
    """List a spool's messages."""
    return sorted((home / "calls" / folder).rglob("*.json"))


def test_a_message_becomes_a_call_and_what_it_says_stays_here(gateway: Path, city_node: Node) -> None:
    with Door(gateway, city_node.url) as door:
        answer = door.post()
        assert (answer.status_code, answer.json()) == (200, {"payload": {"success": True, "error": None}})
        (call,) = rows(city_node, "calls")
        (file,) = files(gateway, "kept")
        kept = json.loads(file.read_bytes())
        assert (kept["sender"], kept["text"]) == (NUMBER, WRITTEN)
        assert {"place": "harbour", "category": "water", "severity": 4, "channel": "sms"}.items() <= call[
            "value"
        ].items()
        assert call["value"]["text"] == port.commitment(kept["salt"], WRITTEN)
        assert door.http.get("/").json() == {"waiting": 0}
        for path in [file, *file.parents][: file.parts[::-1].index("calls") + 1]:
            assert path.stat().st_mode & 0o077 == 0, path
        with ThreadPoolExecutor(8) as pool:  # retried, at once and again, under new ids
            codes = list(pool.map(lambda number: door.post(message_id=f"again {number}").status_code, range(60)))
        assert codes == [200] * 60
        assert len(rows(city_node, "calls")) == 1
        assert door.post(sent_timestamp="18", message="Water!").status_code == 200
        assert [row["value"]["calls"] for row in rows(city_node, "clusters")] == [2]
        assert door.end() == 0
        assert door.errors.read_text() == ""
    planted = [NUMBER, NUMBER.replace(" ", ""), "Quisquilia", "Zhu Mingming", "harbour road"]
    assert found_at(city_node.url, planted) == []
    assert city_node.end() == 0
    assert found_under(city_node.data, planted) == []
    assert found_under(gateway / "calls", planted)


def test_who_does_not_know_the_secret_or_posts_too_much_is_turned_away(gateway: Path, city_node: Node) -> None:
    with Door(gateway, city_node.url, "--per-minute", "3") as door:
        for answer, status, word in (
            (door.post(secret=KNOWN[:-1]), 403, "secret"),
            (door.post(secret=""), 403, "secret"),
            (door.post(message_id="", sent_timestamp=""), 400, "sent_timestamp"),
            (door.http.post("/", content=b"x", headers={"content-type": "text/plain"}), 415, "application/json"),
            (door.post(message="x" * 17_000), 413, "long"),
            (door.http.post("/else"), 404, "Post messages to /."),
            (door.http.put("/"), 405, "Post messages to /."),
        ):
            assert (answer.status_code, answer.json()["payload"]["success"]) == (status, False)
            assert word in answer.json()["payload"]["error"]
        assert rows(city_node, "calls") == []
        bearer = {"authorization": f"Bearer {KNOWN}"}
        said = {"from": NUMBER, "message": WRITTEN, "message_id": 1}
        assert door.http.post("/", json=said, headers=bearer).status_code == 200
        codes = [door.post(message_id=str(number), sent_timestamp="").status_code for number in range(4)]
        assert codes == [200, 200, 429, 429]
        assert len(rows(city_node, "calls")) == 3 - 1  # message 1 came twice


def test_without_a_ledger_a_message_waits_and_its_gateway_is_told_so(home: Path) -> None:
    told: list[str] = []

    async def file(call: Hear) -> str:
        told.append(call.message)
        return "" if len(told) > 5 else "The node does not answer."

    async def play() -> None:
        spool = Spool.open(home / "calls")
        taker = Taker(desk(), spool, file)
        for number in range(4):
            assert await taker.take(Posted(NUMBER, WRITTEN, number + 1)) == "The node does not answer."
        assert len(files(home, "waiting")) == 4
        await taker.send_waiting()  # two fail, and then the ledger is there again
        assert len(files(home, "waiting")) == 1
        await taker.send_waiting()
        assert (len(files(home, "waiting")), len(files(home, "kept"))) == (0, 4)
        for number in range(4):
            assert await taker.take(Posted(NUMBER, WRITTEN, number + 1)) == ""
        assert len(told) == 9
        spool.close()

    asyncio.run(play())


def desk() -> Desk:
    """Return what a door works with."""
    return Desk(TABLE, KNOWN.encode(), bytes(32), "sms", 600)


def test_a_ledger_that_stays_away_is_not_asked_for_every_message(tmp_path: Path) -> None:
    asked: list[str] = []

    async def file(call: Hear) -> str:
        asked.append(call.message)
        return "The node does not answer."

    async def play() -> None:
        spool = Spool.open(tmp_path / "calls")
        taker = Taker(desk(), spool, file)
        for number in range(20):
            await taker.take(Posted(NUMBER, WRITTEN, number + 1))
        asked.clear()
        await taker.send_waiting()
        assert len(asked) == call_door.FAILURES_MAX
        spool.close()

    asyncio.run(play())


def test_a_message_that_comes_many_times_at_once_is_filed_once_and_outlives_who_hangs_up(tmp_path: Path) -> None:
    asked: list[str] = []
    gate = asyncio.Event()

    async def file(call: Hear) -> str:
        asked.append(call.message)
        await gate.wait()
        return ""

    async def play() -> None:
        spool = Spool.open(tmp_path / "calls")
        taker = Taker(desk(), spool, file)
        takes = [asyncio.create_task(taker.take(Posted(NUMBER, WRITTEN, "1"))) for _ in range(50)]
        await asyncio.sleep(0)
        takes[0].cancel()
        await asyncio.sleep(0)
        gate.set()
        ends = await asyncio.gather(*takes, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError)
        assert ends[1:] == [""] * 49
        assert len(asked) == 1
        assert not spool.waiting
        spool.close()

    asyncio.run(play())


def test_a_crash_between_the_ledger_and_the_answer_costs_nothing(gateway: Path, city_node: Node) -> None:
    """The ledger has the call, the answer never left: the gateway posts again, also where the spool was lost since."""
    with Door(gateway, city_node.url) as door:
        assert door.post().status_code == 200
        assert door.end(signal.SIGKILL) == -signal.SIGKILL
    (file,) = files(gateway, "kept")
    waiting = gateway / "calls" / "waiting" / file.name
    file.rename(waiting)  # as a crash before the answer leaves it
    with Door(gateway, city_node.url) as door:
        assert door.post(message_id="2").status_code == 200
        assert files(gateway, "waiting") == []
        assert door.end() == 0
    files(gateway, "kept")[0].unlink()  # as a lost disk leaves it
    with Door(gateway, city_node.url) as door:
        assert door.post(message_id="3").status_code == 200
        assert door.end() == 0
        assert door.errors.read_text() == ""
    assert len(rows(city_node, "calls")) == 1


def test_killed_at_any_moment_every_message_is_one_call(gateway: Path, city_node: Node) -> None:
    """A gateway posts each message until it is answered, while the door is killed and started again and again."""
    chance = Random(3)
    left = list(range(rounds(24, 600)))
    answered = 0
    while left:
        with Door(gateway, city_node.url) as door:
            killer = threading.Timer(0.1 + chance.random(), door.process.send_signal, [signal.SIGKILL])
            killer.start()
            try:
                while left:
                    number = left[-1]
                    if door.post(sent_timestamp=str(number + 1)).status_code == 200:
                        left.pop()
                        answered += 1
            except httpx.HTTPError:
                pass
            killer.cancel()
    with Door(gateway, city_node.url) as door:
        assert door.end() == 0
    assert len(rows(city_node, "calls")) == answered == rounds(24, 600)
    assert sum(row["value"]["calls"] for row in rows(city_node, "clusters")) == answered
    assert files(gateway, "waiting") == []


def test_a_session_of_the_gateway_is_enough_until_it_ends(gateway: Path, city_node: Node) -> None:
    node = ("--node", city_node.url)
    done(gateway, "key new phone")
    session = "identity open-session --key phone --scope charity.hear --until +1d --as gateway"
    done(gateway, session, *node)
    keys = {row["name"]: row for row in map(json.loads, done(gateway, "key list --json").out.splitlines())}
    (gateway / "keys" / "gateway.key").rename(gateway / "gateway.key")
    failed(
        gateway, 2, "no key named gateway", f"charity listen --as gateway --secret {gateway}/secret",
        "--words", gateway / "words.toml", *node,
    )  # fmt: skip
    (gateway / "gateway.key").rename(gateway / "keys" / "gateway.key")
    with Door(gateway, city_node.url, "--by", "phone") as door:
        assert door.told["account"] == keys["gateway"]["account"]
        assert door.post().status_code == 200
        done(gateway, "identity close-session --as gateway --session", keys["phone"]["key"], *node)
        answer = door.post(sent_timestamp="18")
        assert (answer.status_code, answer.json()["payload"]["success"]) == (503, False)
        assert door.http.get("/").json() == {"waiting": 1}
    assert len(rows(city_node, "calls")) == 1


def test_a_door_that_cannot_open_says_why(gateway: Path, city_node: Node) -> None:
    listen = f"charity listen --as gateway --port 0 --node {city_node.url} --words {gateway}/words.toml --secret"
    (gateway / "short").write_text("short")
    (gateway / "short").chmod(0o600)
    (gateway / "open").write_text(KNOWN)
    (gateway / "open").chmod(0o644)
    (gateway / "empty.toml").write_text("")
    failed(gateway, 2, "16 to 128", listen, gateway / "short")
    failed(gateway, 2, "open to others", listen, gateway / "open")
    failed(gateway, 2, "no table of words", listen.replace("words.toml", "empty.toml"), gateway / "secret")
    failed(gateway, 4, "cannot be", listen.replace("--port 0", f"--port {city_node.port}"), gateway / "secret")
    with Door(gateway, city_node.url):
        failed(gateway, 4, "Another process uses the spool", listen, gateway / "secret")


def test_a_spool_is_bounded_and_notices_what_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrobloc.surface.spool.WAITING_MAX", 2)
    spool = Spool.open(tmp_path / "calls")
    for name in ("aa", "bb"):
        spool.put(name * 32, Item(NUMBER, WRITTEN, new_salt()))
    with pytest.raises(MachineFault, match="2 messages wait"):
        spool.put("cc" * 32, Item(NUMBER, WRITTEN, new_salt()))
    spool.settle("aa" * 32)
    spool.settle("aa" * 32)
    spool.put("cc" * 32, Item(NUMBER, WRITTEN, new_salt()))
    (tmp_path / "calls" / "waiting" / f"{'bb' * 32}.json").write_bytes(b"{")
    (tmp_path / "calls" / "waiting" / f"{'dd' * 32}.json.unfinished").write_bytes(b"{")
    spool.close()
    again = Spool.open(tmp_path / "calls")
    assert again.waiting == {"bb" * 32, "cc" * 32}
    assert not list((tmp_path / "calls").rglob("*.unfinished"))
    assert again.find("ee" * 32) is None
    with pytest.raises(MachineFault, match="damaged"):
        again.find("bb" * 32)
    again.close()


def test_how_the_ledger_says_that_it_has_a_message_under_another_salt() -> None:
    assert REPEATED in app.refusals
