"""The door: what it takes, what it turns away and with which words, and that nobody can hold it shut."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from metrobloc import app
from metrobloc.commons.identity.types import Veto
from metrobloc.commons.money.types import Issue
from metrobloc.commons.stage import Stage
from metrobloc.engine import audit
from metrobloc.engine.sealer import clock_ms
from metrobloc.kernel.envelope import ENVELOPE_BYTES_MAX
from metrobloc.surface.http import BODY_BYTES_MAX, LINES_MAX
from tests.surface.city import Inline, Node, coins

Kinds = dict[str, tuple[bytes, tuple[str, str]]]


@pytest.fixture
def stage(node: Node) -> Stage:
    return node.stage()


def kinds(stage: Stage) -> Kinds:
    """One transaction of each fate, with status and code."""
    good = coins(stage, 1)[0]
    late = Stage(stage.rules, lambda *_: [], clock_ms() - 3_600_000)
    far = Stage(stage.rules, lambda *_: [], clock_ms() + 90_000_000)
    return {
        "ok": (good, ("committed", "ok")),
        "refused": (stage.sign(("ann", Issue("cny", stage.account("ann"), 1))), ("committed", "not_allowed")),
        "expired": (late.sign(("bank", Veto())), ("void", "expired")),
        "too far": (far.sign(("bank", Veto())), ("void", "expires_too_late")),
        "unsigned": (stage.sign(("bank", Veto()), also=("ann",)), ("void", "extra_signature")),
        "stranger": (stage.sign(("nobody", Veto())), ("void", "unknown_account")),
        "nonsense": (b"hello", ("malformed", "not_json")),
        "cut": (good[:-1], ("malformed", "not_json")),
        "forged": (
            good.replace(b'"sig":"', b'"sig":"AAAA', 1).replace(b"AAAA", b"AAAA", 1),
            ("malformed", "out_of_bounds"),
        ),
        "blank": (good + b" ", ("malformed", "not_canonical")),
    }


def test_a_batch_of_all_kinds_is_answered_line_by_line(node: Node, stage: Stage) -> None:
    made = kinds(stage)
    for order in (list(made), list(made)[::-1]):
        answers = node.post([made[name][0] for name in order])
        assert [(a["status"], a["code"]) for a in answers] == [made[name][1] for name in order]
        assert all(a["sentence"].strip().endswith((".", ")")) for a in answers if a["status"] != "committed")


def test_one_transaction_is_answered_with_its_status_and_receipt(node: Node, stage: Stage) -> None:
    statuses = {"committed": 200, "void": 409, "malformed": 400}
    for raw, (status, code) in kinds(stage).values():
        answer = node.http.post("/v1/tx", content=raw)
        told = answer.json()
        assert (answer.status_code, told["status"], told["code"]) == (statuses[status], status, code)
        if status == "committed":
            assert node.http.get(f"/v1/receipts/{told['tx']}").json() == told["receipt"]


def balance(node: Node, stage: Stage) -> int:
    page = node.http.get(f"/v1/records/money/balances/cny/{stage.account('ann')}").json()
    return int(page["items"][0]["value"]["amount"])


def test_what_is_sent_twice_counts_once(node: Node, stage: Stage) -> None:
    before = balance(node, stage)
    raw = coins(stage, 1)[0]
    answers = node.post([raw, raw, raw])
    with ThreadPoolExecutor(4) as pool:
        answers += [answer for batch in pool.map(lambda _: node.post([raw] * 50), range(4)) for answer in batch]
    assert len({json.dumps(answer, sort_keys=True) for answer in answers}) == 1
    assert answers[0]["code"] == "ok"
    assert balance(node, stage) == before + 1


def test_what_was_sent_before_a_restart_is_answered_as_then(city: Path) -> None:
    with Node(city) as node:
        raws = coins(node.stage(), 3)
        before = node.post(raws)
        assert node.end() == 0
    with Node(city) as node:
        assert node.post(raws) == before
        assert node.end() == 0


def test_expired_but_included_is_answered_with_its_receipt(city: Path) -> None:
    with Node(city) as node:
        status = node.http.get("/v1/status").json()
        stage = Stage(node.stage().rules, lambda *_: [], status["time_ms"])
        raws = coins(stage, 2)
        past = node.post(raws, at_ms=status["time_ms"])
        assert [answer["code"] for answer in past] == ["ok", "ok"]
        assert node.post(raws) == past


def test_a_demonstration_can_play_its_past(city: Path) -> None:
    with Node(city) as node:
        start = node.http.get("/v1/status").json()["time_ms"]
        stage = Stage(node.stage().rules, lambda *_: [], start)
        for at_ms, code in (
            (start - 1, "clock"),
            (start + 1000, "ok"),
            (start, "clock"),
            (clock_ms() + 60_000, "clock"),
        ):
            assert [answer["code"] for answer in node.post(coins(stage, 2), at_ms)] == [code, code]
        assert node.http.get("/v1/status").json()["time_ms"] == start + 1000
        assert node.post([b"x", *coins(stage, 1)], start + 1000)[0]["status"] == "malformed"
        assert node.http.post("/v1/txs?at=-5", content=b"").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "There is no such path"),
        ("GET", "/v1/nothing", 404, "There is no such path"),
        ("GET", "/v1/../../etc/passwd", 404, "There is no such path"),
        ("GET", "/v1/tx", 405, "another method"),
        ("DELETE", "/v1/status", 405, "another method"),
        ("BREW", "/v1/status", 400, "no HTTP/1.1 request"),
        ("POST", "/v1/status", 405, "another method"),
        ("GET", "/v1/receipts/zz", 400, "Look at: tx"),
        ("GET", "/v1/receipts/" + "A" * 64, 400, "Look at: tx"),
        ("GET", "/v1/receipts/" + "0" * 64, 404, "No block has this transaction"),
        ("GET", "/v1/proofs/receipts/" + "0" * 64, 404, "No block has this transaction"),
        ("GET", "/v1/proofs/records/", 404, "There is no such path"),
        ("GET", "/v1/proofs/records/%C3%A4", 404, "printable ASCII"),
        ("GET", "/v1/proofs/records/a%0Ab", 404, "printable ASCII"),
        ("GET", "/v1/proofs/records/a%FFb", 404, "printable ASCII"),
        ("GET", "/v1/proofs/records/a?height=-1", 400, "Look at: height"),
        ("GET", "/v1/proofs/records/a?height=x", 400, "Look at: height"),
        ("GET", "/v1/proofs/records/a?height=9007199254740991", 404, "can be proved from height"),
        ("GET", "/v1/tables/money/balances?limit=0", 400, "Look at: limit"),
        ("GET", "/v1/tables/money/balances?limit=501", 400, "Look at: limit"),
        ("GET", "/v1/tables/money/balances?limit=1e3", 400, "Look at: limit"),
        ("GET", "/v1/tables/money", 404, "There is no such path"),
        ("POST", "/v1/tx?promise=perhaps", 400, "Look at: promise"),
        ("POST", "/v1/txs?at=soon", 400, "Look at: at"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told_why(
    node: Node, method: str, path: str, status: int, words: str
) -> None:
    with socket.create_connection(("127.0.0.1", node.port), 10) as raw:
        raw.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    told = json.loads(body)
    assert set(told) == {"code", "sentence"}
    assert words in told["sentence"]


def test_odd_but_harmless_requests_are_answered(node: Node) -> None:
    assert node.http.get("/v1/records/ä/?").json()["items"] == []
    assert node.http.get("/v1/tables/money/balances?after=ä&unknown=1").status_code == 200
    assert node.http.get("/v1/status", headers={"X-Long": "x" * 10_000}).status_code == 200
    assert node.http.get("/v1/status?" + "q" * 10_000).status_code == 200
    assert node.http.options("/v1/tx").status_code == 204
    assert node.http.head("/v1/status").status_code == 405
    assert node.post([]) == []
    assert node.post([b"", b"", b"{}", b""])[0]["status"] == "malformed"
    assert node.http.post("/v1/tx", content=b"").json()["code"] == "not_json"
    assert node.http.post("/v1/tx", content=b"\xff\xfe\x00").json()["code"] == "not_utf8"
    assert node.http.post("/v1/tx", content=b"[" * 100_000).json()["code"] == "too_deep"
    assert node.http.get("/v1/trust").json()["chain"] == node.told["chain"]


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_what_is_too_large_is_turned_away_without_being_kept(node: Node) -> None:
    before = resident_kb(node.process.pid)

    def endless() -> Iterator[bytes]:
        for _ in range(512):
            yield b"x" * (1 << 20)

    for path, size in (("/v1/tx", ENVELOPE_BYTES_MAX + 2000), ("/v1/txs", BODY_BYTES_MAX + 1)):
        told = node.http.post(path, content=b"x" * size)
        assert (told.status_code, told.json()["code"]) == (413, "too_large")
        try:
            told = node.http.post(path, content=endless())
        except httpx.TransportError:
            continue  # the door closed while we were still talking
        assert told.status_code == 413
    told = node.http.post("/v1/txs", content=b"{}\n" * (LINES_MAX + 1))
    assert (told.status_code, told.json()["sentence"]) == (413, f"Send at most {LINES_MAX} transactions at once.")
    assert resident_kb(node.process.pid) < before + 100_000


def test_clients_that_do_not_finish_hold_nobody_up(node: Node, stage: Stage) -> None:
    halves = [
        b"",
        b"GET /v1/st",
        b"POST /v1/txs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
        b"\x16\x03\x01nonsense",
    ]
    held = []
    for number in range(40):
        client = socket.create_connection(("127.0.0.1", node.port), 10)
        client.sendall(halves[number % len(halves)])
        held.append(client)
    assert node.post(coins(stage, 1))[0]["code"] == "ok"
    for client in held:
        client.close()
    assert node.http.get("/v1/status").status_code == 200
    assert "Traceback" not in node.errors.read_text()
    node.errors.write_text("")  # the server notes in a line each that it was sent nonsense


def test_readers_are_answered_while_blocks_are_made(node: Node, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    raws = coins(stage, 1500)
    tx = node.http.post("/v1/tx", content=raws[0]).json()["tx"]
    reads = ("status", "checkpoint", "tables/money/balances", f"receipts/{tx}", f"proofs/receipts/{tx}")
    paths = [f"/v1/{path}" for path in (*reads, "proofs/records/kernel/chain/info", "proofs/records/none", "blocks")]
    exports = []
    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(node.post, raws[at : at + 100]) for at in range(0, len(raws), 100)]
        for path in cycle(paths):
            answer = node.http.get(path)
            assert answer.status_code == 200
            if path == "/v1/blocks":
                exports.append(answer.content.splitlines())
                if all(batch.done() for batch in writing):
                    break
        assert {answer["code"] for batch in writing for answer in batch.result()} == {"ok"}
    monkeypatch.setattr(audit, "Verifier", Inline)
    for export in (exports[0], exports[-1]):
        assert audit.audit_export(export, app.modules, None, lambda _: None).problems == []
