"""Webhooks: genuine by the standard's own verifier, in order, none lost whatever is killed, and given up in the end."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from metrobloc.surface import delivering
from metrobloc.surface.hooks import BOOK_FILE, Book, Hook
from metrobloc.surface.webhooks import HOOKS_MAX, check_url
from tests.support import rounds
from tests.surface.city import MAIN, PATIENCE_S, Node, coins, done, failed

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" * 2


class Receiver:
    """A receiver of webhooks: it remembers what it was sent, and answers as it is told to."""

    def __init__(self) -> None:
        """Listen on a free port."""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[int], int] = lambda _: 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((dict(self.headers.items()), body))
                status = receiver.answer(len(receiver.got))
                self.send_response(status)
                if status == 302:
                    self.send_header("location", receiver.url)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def bodies(self, secret: str) -> list[dict[str, Any]]:
        """Verify all that has come, and return it without what came again."""
        found: dict[str, dict[str, Any]] = {}
        for headers, body in list(self.got):
            told = Webhook(secret).verify(body, headers)
            assert found.setdefault(headers["webhook-id"], told) == told
        return list(found.values())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as made:
        yield made


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.05)


@contextlib.contextmanager
def deliverer(node: Node, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `metrobloc webhook run`."""
    command = [*MAIN, "webhook", "run", "--node", node.url, "--data", str(folder)]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def added(home: Path, folder: Path, url: str, *options: str) -> dict[str, str]:
    made: dict[str, str] = done(home, "webhook add", url, "--data", folder, "--json", *options).json()
    return made


def more_than(receiver: Receiver, count: int) -> bool:
    return len(receiver.got) > count


def listed(home: Path, folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = done(home, "webhook list --json --data", folder).json()
    return found


def test_killed_at_any_moment_it_loses_no_delivery(node: Node, tmp_path: Path, home: Path, receiver: Receiver) -> None:
    before = int(node.http.get("/v1/status").json()["height"])
    hook = added(home, tmp_path, receiver.url, "--event", "money.issued", "--after", str(before))
    raws = coins(node.stage(), 100)
    kills = rounds(2, 30)
    for at in range(kills):
        known = len(receiver.got)
        with deliverer(node, tmp_path) as process:
            node.post(raws[at * (100 // kills) : (at + 1) * (100 // kills)])
            until(partial(more_than, receiver, known + 3))
            os.kill(process.pid, signal.SIGKILL)
    wanted = sum(len(b["receipts"]) for b in feed(node, before))
    with deliverer(node, tmp_path):
        until(lambda: len(receiver.bodies(hook["secret"])) >= wanted)
        until(lambda: listed(home, tmp_path)[0]["place"].startswith(str(feed(node, before)[-1]["height"])))
    told = [(body["data"]["height"], body["data"]["index"]) for body in receiver.bodies(hook["secret"])]
    assert told == sorted(told)
    assert len(told) == wanted
    body = receiver.bodies(hook["secret"])[0]
    assert (body["type"], body["data"]["chain"]) == ("money.issued", node.told["chain"])
    assert body["timestamp"].endswith("Z")
    assert body["data"]["fields"]["asset"] == "cny"


def feed(node: Node, after: int) -> list[dict[str, Any]]:
    """Read the blocks there are beyond a height."""
    height = int(node.http.get("/v1/status").json()["height"])
    found: list[dict[str, Any]] = []
    with node.http.stream("GET", f"/v1/feed?after={after}") as answer:
        for line in answer.iter_lines():
            found.append(json.loads(line))
            if found[-1]["height"] == height:
                break
    return found


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three days pass in a moment."""
    monkeypatch.setattr(delivering, "RETRY_S", 0.02)
    monkeypatch.setattr(delivering, "RETRY_S_MAX", 0.04)
    monkeypatch.setattr(delivering, "GIVE_UP_MS", 500)
    monkeypatch.setattr(delivering, "NODE_PAUSE_S", 0.01)
    monkeypatch.setattr(delivering, "LOOK_S", 0.05)


def run_until(book: Book, node: str, condition: Callable[[], object]) -> list[str]:
    """Deliver in this process until something is so; return what an operator was told."""
    said: list[str] = []

    async def main() -> None:
        running = asyncio.create_task(delivering.run(book, node, said.append))
        while not condition():
            await asyncio.wait([running], timeout=0.02)
            assert not running.done(), running.exception()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
    return said


@pytest.mark.usefixtures("hurried")
def test_what_is_not_taken_comes_again_and_in_order(node: Node, tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda count: (500, 302, 204)[count % 3]
    with closing(Book(tmp_path)) as book:
        book.add(Hook("a", receiver.url, ["charity.*"], "", SECRET, "0"))
        run_until(book, node.url, lambda: len(receiver.bodies(SECRET)) > 5)
        assert not present(book, "a").disabled
        names = [headers["webhook-id"] for headers, _ in receiver.got]
    assert names == sorted(names, key=names.index)
    assert max(names.count(name) for name in names) == 3
    assert {body["type"].partition(".")[0] for body in receiver.bodies(SECRET)} == {"charity"}


@pytest.mark.usefixtures("hurried")
def test_a_hook_that_takes_nothing_for_long_or_is_gone_is_disabled(
    node: Node, tmp_path: Path, receiver: Receiver
) -> None:
    with closing(Receiver()) as gone, closing(Book(tmp_path)) as book:
        receiver.answer, gone.answer = (lambda _: 503), (lambda _: 410)
        book.add(Hook("failing", receiver.url, [], "", SECRET, "0"))
        book.add(Hook("gone", gone.url, [], "", SECRET, "0"))
        book.add(Hook("closed", "http://127.0.0.1:1/", [], "", SECRET, "0"))
        book.add(Hook("other", receiver.url, [], "", SECRET, "999999"))
        run_until(book, node.url, lambda: all(hook.disabled for hook in book.hooks()))
        assert len(gone.got) == 1
        assert "410" in present(book, "gone").disabled
        assert "status 503" in present(book, "failing").disabled
        assert "ConnectError" in present(book, "closed").disabled
        assert "another chain" in present(book, "other").disabled
        assert present(book, "failing").place == "0"


def present(book: Book, name: str) -> Hook:
    hook = book.find(name)
    assert hook is not None
    return hook


@pytest.mark.usefixtures("hurried")
def test_hooks_come_and_go_while_it_runs(node: Node, tmp_path: Path, receiver: Receiver) -> None:
    with closing(Book(tmp_path)) as book, closing(Book(tmp_path)) as other:
        steps: list[tuple[Callable[[], object], Callable[[], object]]] = [
            (lambda: True, lambda: other.add(Hook("a", receiver.url, ["money.issued"], "", SECRET))),
            (lambda: present(book, "a").place, lambda: node.post(coins(node.stage(), 1))),
            (lambda: receiver.got, lambda: other.remove("a")),
        ]

        def stepped() -> bool:
            if steps and steps[0][0]():
                steps.pop(0)[1]()
            return not steps

        assert run_until(book, node.url, stepped) == []
    assert len(receiver.bodies(SECRET)) == 1  # from now on


def test_answers_without_end_and_slow_ones_do_not_hold_it(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, tmp_path: Path
) -> None:
    monkeypatch.setattr(delivering, "ANSWER_S", 0.2)
    stop = threading.Event()
    receiver.answer = lambda _: 204 if stop.wait(PATIENCE_S) else 500
    assert asyncio.run(delivering.send_test(Hook("a", receiver.url, [], "", SECRET))) == "no answer within 0 s"
    stop.set()
    assert asyncio.run(delivering.send_test(Hook("a", receiver.url, [], "", SECRET))) == ""


@pytest.mark.usefixtures("hurried")
def test_the_node_may_be_away(tmp_path: Path) -> None:
    looks = iter(range(20))
    with closing(Book(tmp_path)) as book:
        book.add(Hook("a", "https://example.org/", [], "", SECRET, "0"))
        said = run_until(book, "http://127.0.0.1:1", lambda: next(looks, None) is None)
    assert len(said) == 1
    assert "trying again" in said[0]


def test_the_commands_keep_the_book(tmp_path: Path, home: Path, receiver: Receiver) -> None:
    hook = added(home, tmp_path, receiver.url, "--event", "charity.*", "--event", "money.issued")
    assert stat.S_IMODE((tmp_path / BOOK_FILE).stat().st_mode) == 0o600
    (kept,) = listed(home, tmp_path)
    assert (kept["id"], kept["events"], "secret" in kept) == (hook["id"], ["charity.*", "money.issued"], False)
    assert hook["secret"] not in done(home, "webhook list --data", tmp_path).out
    done(home, "webhook test", hook["id"], "--data", tmp_path)
    assert receiver.bodies(hook["secret"])[0]["type"] == "metrobloc.test"
    receiver.answer = lambda _: 500
    failed(home, 3, "did not take it: status 500", "webhook test", hook["id"], "--data", tmp_path)
    done(home, "webhook remove", hook["id"], "--data", tmp_path)
    assert listed(home, tmp_path) == []
    for command in ("remove", "test"):
        failed(home, 3, "There is no webhook", f"webhook {command}", hook["id"], "--data", tmp_path)
    for options in (["--event", "Charity"], ["--about", "ann"], ["--after", "x"]):
        failed(home, 2, "has the wrong form", "webhook add", receiver.url, "--data", tmp_path, *options)
    failed(home, 2, "say --allow-http", "webhook add http://10.0.0.1/ --data", tmp_path)
    for number in range(HOOKS_MAX):
        done(home, "webhook add", f"https://example.org/{number}", "--data", tmp_path)
    failed(home, 2, "remove one first", "webhook add https://example.org/ --data", tmp_path)
    failed(home, 4, "cannot be opened", "webhook list --data", tmp_path / "none")


def test_only_one_delivers(tmp_path: Path, home: Path) -> None:
    with closing(Book(tmp_path)), delivering.alone(tmp_path):
        failed(home, 4, "Another process delivers", "webhook run --data", tmp_path)


@pytest.mark.parametrize(
    ("url", "allow_http", "fine"),
    [
        ("https://example.org/a?b", False, True),
        ("http://127.0.0.5:80/", False, True),
        ("http://[::1]/", False, True),
        ("http://localhost:1/", False, True),
        ("http://example.org/", False, False),
        ("http://example.org/", True, True),
        ("http://127.0.0.1.example.org/", False, False),
        ("ftp://example.org/", True, False),
        ("https://ann:word@example.org/", False, False),
        ("https://", False, False),
        ("example.org", True, False),
        ("https://example.org/" + "x" * 2000, False, False),
        ("https://example.org:port/", False, False),
    ],
)
def test_an_address_is_https_or_this_machine(url: str, allow_http: bool, fine: bool) -> None:  # noqa: FBT001
    assert (check_url(url, allow_http=allow_http) == "") == fine


def test_signatures_are_the_standards_own_example() -> None:
    # Standard Webhooks, specification, "Signing Webhooks": the example's secret, id, time and body.
    signature = delivering.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
