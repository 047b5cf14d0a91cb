"""Following a node: one that breaks off anywhere, one that tells nonsense, one that was restored, and a real one."""

import http.server
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from metrobloc.app import modules
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.engine.solo import Solo
from metrobloc.kernel.machine import Sealed
from metrobloc.mirror import follow
from metrobloc.mirror.database import MirrorProblem, read_facts
from metrobloc.mirror.schema import make_schema
from metrobloc.surface import bench_load
from metrobloc.testing.sandbox import START_MS
from metrobloc.testing.simulate import simulate
from tests.faults import node as nodes
from tests.mirror.naive import audited, same, told
from tests.support import rounds

GENESIS = demo_genesis(START_MS, modules())
schema = make_schema(modules().values())


class Feed(http.server.BaseHTTPRequestHandler):
    """A node as a follower sees it: what it tells is set by the test."""

    lines: list[bytes]
    cuts: Iterator[int]
    status = 200

    def do_GET(self) -> None:
        """Answer the genesis, the height, or the feed, cut off after some bytes."""
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/v1/feed":
            after = int(query["after"][0])
            whole = b"\n".join([b"", *self.lines[after + 1 :], b"", b""])
            body = whole[: next(self.cuts, len(whole))]
        else:
            body = GENESIS if path == "/v1/genesis" else b'{"height":%d}' % (len(self.lines) - 1)
        self.send_response(self.status if path == "/v1/feed" else 200)
        self.end_headers()
        with suppress(ConnectionError):  # the follower has heard enough
            for at in range(0, len(body), 5000):
                self.wfile.write(body[at : at + 5000])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def feeding(lines: list[bytes], cuts: Iterator[int] | None = None, status: int = 200) -> Iterator[str]:
    """Serve a feed and yield its URL."""
    handler = type("Handler", (Feed,), {"lines": lines, "cuts": cuts or iter(()), "status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def chain() -> list[Sealed]:
    """Return a random chain."""
    return simulate(modules().values(), 5, 100).sandbox.sealed


@pytest.fixture(scope="module")
def lines(chain: list[Sealed]) -> list[bytes]:
    """Return the chain's feed."""
    return [msgspec.json.encode(told(block)) for block in chain]


def test_a_feed_that_breaks_off_anywhere_is_taken_up_again(
    chain: list[Sealed], lines: list[bytes], tmp_path: Path
) -> None:
    path, draw = tmp_path / "mirror.sqlite", random.Random(2)
    average = sum(map(len, lines)) // len(lines)
    cuts = (draw.randrange(15 * average) for _ in range(10**6))
    with feeding(lines, cuts) as url:
        heights = [-1]
        for _ in range(500):
            if heights[-1] == chain[-1].height:
                break
            heights += follow.following(path, url, modules())
    assert heights == sorted(heights)
    assert heights[-1] == chain[-1].height
    same(path, schema, chain)


def test_a_mirror_is_rebuilt_from_a_node(chain: list[Sealed], lines: list[bytes], tmp_path: Path) -> None:
    with feeding(lines) as url, follow.calling(url) as line:
        genesis, head = follow.ask_node(line)
        assert (genesis, head) == (GENESIS, chain[-1].height)
        path = tmp_path / "mirror.sqlite"
        assert follow.rebuild(path, schema, genesis, follow.from_node(line, 40), lambda _: None) == 40
    same(path, schema, chain[:41])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"{}", "no feed of this version"),
        (b"\xff", "no feed of this version"),
        (b"[" * 10_000, "no feed of this version"),
        (
            b'{"height":1,"time_ms":1,"state_root":"","writes":{"a":1},"receipts":[]}',
            "Block 1 cannot be mirrored: a is not",
        ),
        (b'{"height":7,"time_ms":1,"state_root":"","writes":{},"receipts":[]}', "Block 7 came after block 0"),
    ],
)
def test_nonsense_in_a_feed_stops_the_mirror(lines: list[bytes], line: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    with feeding([lines[0]]) as url:
        assert list(follow.following(path, url, modules())) == [0]
    with feeding([lines[0], line]) as url, pytest.raises(MirrorProblem, match=sentence):
        list(follow.following(path, url, modules()))
    assert read_facts(path)["height"] == "0"


def test_a_line_without_end_is_not_kept_in_memory(
    lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "LINE_BYTES_MAX", 1 << 20)
    with feeding([b"a" * (3 << 20)]) as url, pytest.raises(MirrorProblem, match="a line without end"):
        list(follow.following(tmp_path / "mirror.sqlite", url, modules()))


def test_a_ledger_that_went_another_way_is_noticed(chain: list[Sealed], lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite"
    with feeding(lines[:10]) as url:
        list(follow.following(path, url, modules()))
    other = lines[9].replace(b'"state_root":"', b'"state_root":"0')
    with feeding([*lines[:9], other]) as url, pytest.raises(MirrorProblem, match="another block 9"):
        list(follow.following(path, url, modules()))
    with feeding(lines[:5], status=409) as url, pytest.raises(MirrorProblem, match="ends before the mirror's height 9"):
        list(follow.following(path, url, modules()))
    same(path, schema, chain[:10])


def test_whoever_is_no_node_is_tried_again(lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(follow, "sleep", pause)
    with feeding(lines, status=503) as url, pytest.raises(KeyboardInterrupt):
        follow.follow(tmp_path / "mirror.sqlite", url, modules(), said.append)
    assert len(said) == 1
    assert "503" in said[0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == follow.PAUSE_S_MAX


def test_a_real_node_killed_while_it_is_followed(tmp_path: Path) -> None:
    city, path, draw = nodes.found(tmp_path / "city"), tmp_path / "mirror.sqlite", random.Random(3)
    signer = bench_load.Signer(city.rules)
    for _ in range(rounds(2, 50)):
        raws = bench_load.gifts(signer, city.campaign, [draw.randrange(nodes.DONORS) for _ in range(60)])
        with nodes.running(city.home) as node:
            url, reached = f"http://127.0.0.1:{node.port}", list[int]()
            thread = threading.Thread(target=_follow, args=(path, url, reached))
            thread.start()
            for raw in raws[: draw.randrange(20, 60)]:
                httpx.post(f"{url}/v1/tx", content=raw).raise_for_status()
            node.process.kill()
            thread.join()
        assert reached == sorted(reached)
    ledger = Solo.open(city.home, modules())
    seen = audited(ledger.store)
    ledger.close()
    assert 12 < reached[-1] <= seen[-1].height
    same(path, schema, seen[: reached[-1] + 1])


def _follow(path: Path, url: str, reached: list[int]) -> None:
    with suppress(httpx.HTTPError):
        reached += follow.following(path, url, modules())
