"""The mirror's routes: what they answer, what they wait for, what they refuse and how."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.testing import TestClient

from metrobloc.mirror.database import open_writer, prepare
from metrobloc.mirror.fold import fold
from metrobloc.mirror.read import Mirror
from metrobloc.surface.http import indexed
from metrobloc.surface.http.answers import TurnedAway, say, say_internal, say_turned_away
from tests.mirror.toys import GENESIS, Pair, name, news, schema, thing

Client = TestClient[Litestar]
LENT = {"event": "toy.lent", "fields": {"by": name(1)}}
THINGS = "/v1/mirror/toy/things"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_writer(tmp_path / "mirror.sqlite")
    prepare(engine, schema, GENESIS)
    writes = {f"things/{name(number)}": thing(count=number, lent=number % 2 == 0) for number in range(10)}
    fold(
        engine,
        schema,
        [
            news(0, writes),
            news(1, {"pairs/a/b": Pair(7)}, ({"code": "ok", "height": 1, "index": 0, "events": [LENT]},)),
        ],
    )
    yield engine
    engine.dispose()


@pytest.fixture
def state(writer: sa.Engine, tmp_path: Path) -> Iterator[dict[str, object]]:
    mirror = Mirror(tmp_path / "mirror.sqlite", schema)
    node = SimpleNamespace(machine=SimpleNamespace(height=5))
    yield {"mirror": mirror, "mirroring": asyncio.Semaphore(1), "sealer": SimpleNamespace(node=node)}
    mirror.close()


@pytest.fixture
def client(state: dict[str, object]) -> Iterator[Client]:
    answers: dict[Any, Any] = {HTTPException: say, TurnedAway: say_turned_away, Exception: say_internal}
    app = Litestar(
        indexed.ROUTES, state=State(state), exception_handlers=answers, openapi_config=None, logging_config=None
    )
    with TestClient(app) as made:
        yield made


def asked(client: Client, path: str) -> Any:  # noqa: ANN401  # JSON
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_table_goes_page_by_page(client: Client) -> None:
    first = asked(client, f"{THINGS}?lent=true&state=book&order=count&reverse=true&limit=3")
    rest = asked(client, f"{THINGS}?lent=true&state=book&order=count&reverse=true&limit=3&after={first['next']}")
    assert [item["value"]["count"] for item in first["items"] + rest["items"]] == [8, 6, 4, 2, 0]
    assert (first["height"], rest["next"]) == (1, None)
    assert asked(client, "/v1/mirror/toy/pairs?_key_2=b&count__from=7&count__to=7") == {
        "height": 1,
        "items": [{"key": "a/b", "value": {"count": 7}, "height": 1}],
        "next": None,
    }


def test_the_past_the_events_and_the_words(client: Client) -> None:
    past = {"value": {"count": 7}, "height": 1, "time_ms": 1000}
    assert asked(client, "/v1/mirror/toy/pairs/history?key=a/b")["items"] == [past]
    assert asked(client, "/v1/mirror/toy/pairs/history?key=a/b&at=0")["items"] == []
    assert asked(client, "/v1/mirror/toy/pairs/history?key=a/b&at=1")["items"] == [past]
    (event,) = asked(client, f"/v1/mirror/events?event=toy.lent&about={name(1)}&from_height=1&to_height=1")["items"]
    assert event == {**LENT, "height": 1, "index": 0, "number": 0, "time_ms": 1000, "tx": "", "due": ""}
    assert asked(client, "/v1/mirror/events?to_height=0")["items"] == []
    found = asked(client, "/v1/search?q=book&limit=4")
    assert [hit["table"] for hit in found["items"]] == ["toy/things"] * 4


def test_the_status_says_how_each_table_can_be_asked(client: Client) -> None:
    told = asked(client, "/v1/mirror/status")
    assert (told["height"], told["ledger_height"]) == (1, 5)
    assert told["tables"]["toy/pairs"] == {
        "filters": ["_key", "_key_1", "_key_2", "count", "count__from", "count__to"],
        "orders": ["_key", "count"],
    }
    for place, ways in told["tables"].items():
        assert all(asked(client, f"/v1/mirror/{place}?order={order}")["height"] == 1 for order in ways["orders"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{THINGS}?nobody=1", 400, "bad_request"),
        (f"{THINGS}?lent=true&lent=false", 400, "bad_request"),
        (f"{THINGS}?lent=%00", 400, "bad_request"),
        (f"{THINGS}?owner=%ff%fe", 400, "bad_request"),
        (f"{THINGS}?count={'9' * 4000}", 400, "bad_request"),
        (f"{THINGS}?order=title", 400, "bad_request"),
        (f"{THINGS}?order={'x' * 100}", 400, "bad_request"),
        (f"{THINGS}?after=%F0%9F%98%80", 400, "bad_request"),
        (f"{THINGS}?limit=501", 400, "bad_request"),
        (f"{THINGS}?limit=0", 400, "bad_request"),
        (f"{THINGS}?reverse=perhaps", 400, "bad_request"),
        (f"{THINGS}?min_height=-1", 400, "bad_request"),
        ("/v1/mirror/toy/nothing", 404, "not_found"),
        ("/v1/mirror/kernel/%2e%2e", 404, "not_found"),
        ("/v1/mirror/toy/nothing/history?key=a", 404, "not_found"),
        (f"{THINGS}/history", 400, "bad_request"),
        (f"{THINGS}/history?key=%0a", 400, "bad_request"),
        (f"{THINGS}/history?key=a&after=x", 400, "bad_request"),
        (f"{THINGS}/history?key=a&unknown=1", 400, "bad_request"),
        ("/v1/mirror/events?after=WzFd", 400, "bad_request"),
        ("/v1/mirror/events?about=x&about=y", 400, "bad_request"),
        (f"/v1/mirror/events?from_height={2**53}", 400, "bad_request"),
        ("/v1/search", 400, "bad_request"),
        ("/v1/mirror/status?x=1", 400, "bad_request"),
        (f"/v1/search?q={'a' * 201}", 400, "bad_request"),
    ],
)
def test_a_bad_question_has_a_code_and_a_sentence(client: Client, path: str, status: int, code: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["sentence"].endswith(".")


def test_who_needs_a_block_waits_for_it(client: Client, writer: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexed, "WAIT_S", 0.0)
    late = client.get(f"{THINGS}?min_height=2")
    assert (late.status_code, late.json()["code"], late.headers["Retry-After"]) == (503, "mirror_behind", "1")
    assert client.get(f"{THINGS}/history?key=a&at=2").json()["code"] == "mirror_behind"
    monkeypatch.setattr(indexed, "WAIT_S", 60.0)
    comes = threading.Timer(0.1, lambda: fold(writer, schema, [news(2, {})]))
    comes.start()
    assert asked(client, f"{THINGS}?min_height=2")["height"] == 2
    comes.join()


def test_without_a_mirror_the_answer_says_what_to_do(client: Client, state: dict[str, object], tmp_path: Path) -> None:
    for file in tmp_path.glob("mirror.sqlite*"):
        file.unlink()
    gone = client.get(THINGS)
    assert (gone.status_code, gone.json()["code"]) == (503, "no_mirror")
    assert "metrobloc mirror rebuild" in gone.json()["sentence"]
    client.app.state["mirror"] = None
    for path in (THINGS, "/v1/mirror/events", "/v1/mirror/status", "/v1/search?q=a"):
        assert client.get(path).json()["code"] == "no_mirror"
