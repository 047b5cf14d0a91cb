"""Following a node: every block and every event once, in order, across breaks and restarts, at the reader's pace."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from metrobloc import app
from metrobloc.commons.money.types import Issue
from metrobloc.commons.stage import Stage
from metrobloc.engine.solo import Solo
from tests.support import rounds
from tests.surface.city import Node, coins


def blocks(node: Node, after: int, through: int) -> list[dict[str, Any]]:
    """Read the feed from a height through another."""
    found: list[dict[str, Any]] = []
    with node.http.stream("GET", f"/v1/feed?after={after}") as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        for line in answer.iter_lines():
            found += [json.loads(line)] if line else []
            if found and found[-1]["height"] >= through:
                return found
    raise AssertionError("the feed ended")


def height_of(node: Node) -> int:
    return int(node.http.get("/v1/status").json()["height"])


def heard(answer: httpx.Response) -> Iterator[dict[str, str]]:
    """Yield what server-sent events say, block by block, as the HTML standard reads them."""
    said: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            yield said
            said = {}
        name, _, value = line.partition(": ")
        said[name] = value


def listen(node: Node, query: str, count: int, headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    """Hear a number of events."""
    found: list[dict[str, str]] = []
    with node.http.stream("GET", f"/v1/events?{query}", headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
        for said in heard(answer):
            found += [said] if "data" in said else []
            if len(found) == count:
                return found
    raise AssertionError("the events ended")


def told_by(node: Node) -> list[dict[str, Any]]:
    """Read all events there are in the feed's receipts, in their order."""
    return [
        {
            "id": f"{block['height']}.{index}.{number}",
            "event": event["event"],
            "fields": event["fields"],
            "tx": receipt.get("tx", ""),
        }
        for block in blocks(node, -1, height_of(node))
        for index, receipt in enumerate(block["receipts"])
        for number, event in enumerate(receipt.get("events", []))
    ]


def same(said: dict[str, str], event: dict[str, Any]) -> bool:
    data = json.loads(said["data"])
    place = f"{data['height']}.{data['index']}."
    return (said["id"], said["event"], data["fields"], data["tx"]) == tuple(
        event[name] for name in ("id", "event", "fields", "tx")
    ) and said["id"].startswith(place)


def test_the_feed_tells_every_block_with_what_it_wrote(city: Path) -> None:
    with Node(city) as node:
        head = height_of(node)
        found = blocks(node, -1, head)
        assert [block["height"] for block in found] == list(range(head + 1))
        assert blocks(node, 3, head) == found[4:]
        assert node.end() == 0
    solo = Solo.open(city, app.modules())
    records: dict[str, object] = {}
    for block in found:
        receipts = [json.loads(receipt) for receipt in solo.store.receipts(block["height"])]
        assert (block["receipts"], block["log_size"]) == (receipts, present(solo, block["height"]))
        records |= block["writes"]
    kept = {key.decode(): json.loads(record) for key, record in solo.store.leaves()}
    assert {key: record for key, record in records.items() if record is not None} == kept
    assert found[-1]["state_root"] == solo.machine.state_root
    solo.close()


def present(solo: Solo, height: int) -> int:
    found = solo.store.header(height)
    assert found is not None
    return found[1]


def test_who_follows_hears_of_new_blocks_and_hears_the_end(city: Path) -> None:
    with Node(city) as node, node.http.stream("GET", f"/v1/feed?after={height_of(node)}") as feed:
        lines = feed.iter_lines()
        for raw in coins(node.stage(), 5):
            assert node.post([raw])[0]["code"] == "ok"
            block = json.loads(next(line for line in lines if line))
            assert [receipt["code"] for receipt in block["receipts"]] == ["ok"]
        with ThreadPoolExecutor(1) as pool:
            ended = pool.submit(list, lines)
            node.process.terminate()
            assert ended.result() == []
        assert node.wait() == 0
        assert node.errors.read_text() == ""


def test_events_come_once_each_from_wherever_one_resumes(node: Node) -> None:
    node.post(coins(node.stage(), 20))
    all_events = told_by(node)
    assert all(map(same, listen(node, "after=0", len(all_events)), all_events))
    for at in range(0, len(all_events) - 1, rounds(5, 1)):
        rest = all_events[at + 1 :]
        for query, headers in (
            (f"after={all_events[at]['id']}", {}),
            ("after=0", {"Last-Event-ID": all_events[at]["id"]}),  # as a browser resumes
        ):
            found = listen(node, query, len(rest), headers)
            assert len(found) == len(rest)
            assert all(map(same, found, rest))


def test_nothing_is_lost_or_doubled_over_restarts_under_load(city: Path) -> None:
    found: list[str] = []
    count = rounds(2, 20)
    for _ in range(count):
        with Node(city) as node, ThreadPoolExecutor(1) as pool:
            raws = coins(node.stage(), 100)
            writing = [pool.submit(node.post, raws[at : at + 5]) for at in range(0, 100, 5)]
            heard_now = listen(node, f"event=money.issued&after={found[-1] if found else 0}", 60)
            found += [said["id"] for said in heard_now]
            assert {answer["code"] for batch in writing for answer in batch.result()} == {"ok"}
            issued = [event["id"] for event in told_by(node) if event["event"] == "money.issued"]
            assert node.end() == 0
    assert found == issued[: len(found)]
    assert len(issued) >= count * 100


def test_only_what_was_asked_for_is_heard(node: Node) -> None:
    stage = node.stage()
    ann = stage.account("ann")
    given = listen(node, "after=0&event=charity.given", 3)
    assert {said["event"] for said in given} == {"charity.given"}
    both = listen(node, "after=0&event=charity.given&event=identity.*", 9)
    assert {said["event"] for said in both} == {"charity.given", "identity.registered", "identity.accredited"}
    about = listen(node, f"after=0&about={ann}", 2)
    assert all(ann in said["data"] for said in about)
    with node.http.stream("GET", f"/v1/events?event=money.issued&about={ann}") as answer:
        said = heard(answer)
        first = next(said)
        assert (first["retry"], first["id"]) == ("3000", str(height_of(node)))  # from now on
        other = Stage.account(stage, "bank")
        node.post([stage.sign(("bank", Issue("cny", other, 3))), stage.sign(("bank", Issue("cny", ann, 7)))])
        fields = json.loads(next(event for event in said if "data" in event)["data"])["fields"]
    assert (fields["amount"], fields["to"]) == (7, ann)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("events?after=x", 400, "bad_request"),
        ("events?after=1.2", 400, "bad_request"),
        ("events?after=-1", 400, "bad_request"),
        ("events?after=1.2.3.4", 400, "bad_request"),
        ("events?after=" + "9" * 16, 400, "bad_request"),
        ("events?after=999999", 409, "not_reached"),
        ("events?after=999999.0.0", 409, "not_reached"),
        ("events?event=Charity.given", 400, "bad_request"),
        ("events?event=*", 400, "bad_request"),
        ("events?" + "&".join(["event=a.b"] * 33), 400, "bad_request"),
        ("events?about=ann", 400, "bad_request"),
        ("feed?after=-2", 400, "bad_request"),
        ("feed?after=x", 400, "bad_request"),
        ("feed?after=999999", 409, "not_reached"),
    ],
)
def test_what_cannot_be_followed_is_told_why(node: Node, path: str, status: int, code: str) -> None:
    answer = node.http.get(f"/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    last = node.http.get("/v1/events", headers={"Last-Event-ID": "5.x"})
    assert (last.status_code, last.json()["code"]) == (400, "bad_request")


def test_a_reader_who_stops_reading_holds_nobody_up(node: Node) -> None:
    with socket.create_connection(("127.0.0.1", node.port), 30) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /v1/feed HTTP/1.1\r\nHost: x\r\n\r\n")
        head = height_of(node)
        raws = coins(node.stage(), 500)
        for at in range(0, 500, 25):
            assert {answer["code"] for answer in node.post(raws[at : at + 25])} == {"ok"}
        assert blocks(node, head, height_of(node))[-1]["height"] == height_of(node)
