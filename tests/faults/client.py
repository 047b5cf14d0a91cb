"""A client that sends gifts to a node, remembers what it was told, and holds the node to it after a fault."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Semaphore, Thread

import msgspec

from metrobloc.engine import journal
from metrobloc.engine.sealer import Answer
from metrobloc.engine.solo import JOURNAL_FILE
from metrobloc.engine.store import Store
from metrobloc.kernel import envelope
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.surface import bench_load
from tests.faults.node import DONORS, PATIENCE_S, City

BATCH = 12
PROMISE = "/v1/tx?promise=true"
_answer = msgspec.json.Decoder(Answer)
_receipt = msgspec.json.Decoder(ReadReceipt)


def call(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Ask a node once; return the status and the body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        return _ask(connection, method, path, body)
    finally:
        connection.close()


class Client:
    """Donors of one city."""

    def __init__(self, city: City) -> None:
        """Start with nothing sent."""
        self.city = city
        self.sent: list[bytes] = []
        self.committed: dict[bytes, Answer] = {}
        self.promised: list[bytes] = []
        self.wrong: list[object] = []
        self._answered = Semaphore(0)
        self._open = True

    @contextmanager
    def sending(self, port: int, *paths: str) -> Iterator[None]:
        """Send batches, single gifts and gifts for a promise, until told to end or the node no longer takes them."""
        self._open = True
        paths = paths or ("/v1/txs", PROMISE, "/v1/tx")
        threads = [Thread(target=self._send, args=(port, path)) for path in paths]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._open = False
            for thread in threads:
                thread.join(PATIENCE_S)
        assert not self.wrong, self.wrong

    def wait(self, answers: int) -> bool:
        """Wait until the node has answered so often since the last wait; tell whether it did."""
        return all(self._answered.acquire(timeout=PATIENCE_S) for _ in range(answers))

    def remembered(self, home: Path) -> None:
        """Assert that a folder, on which no node runs, has the acknowledged and has or queues the promised."""
        store = Store.open(home / "store")
        held = set(journal.read(home / JOURNAL_FILE))
        for answer in self.committed.values():
            self._same(answer, store)
        assert all(raw in held or store.find(_id(raw)) for raw in self.promised)
        store.close()

    def settle(self, port: int) -> None:
        """Assert that a node started again has all of it; send again what was not answered, so that all is in."""
        answers = self._again(port, self._gifts(1))
        assert [(answer.status, answer.code) for answer in answers] == [("committed", "ok")], answers
        for raw in self.promised:
            status, body = call(port, "GET", f"/v1/receipts/{_id(raw).hex()}")
            assert status == 200, body
        known = list(self.committed)[-BATCH:]
        assert self._again(port, known) == [self.committed[raw] for raw in known]
        unsure = [raw for raw in self.sent if raw not in self.committed]
        for raw, answer in zip(unsure, self._again(port, unsure), strict=True):
            assert (answer.status, answer.code) == ("committed", "ok"), answer
            self.committed[raw] = answer
        self.promised.clear()
        status, body = call(port, "GET", f"/v1/records/charity/purses/{self.city.campaign}/crowd")
        assert status == 200
        gifts = msgspec.json.decode(body)["items"][0]["value"]["gifts"]
        assert gifts == self.city.gifts + len(self.sent), gifts

    def _same(self, answer: Answer, store: Store) -> None:
        assert store.find(bytes.fromhex(answer.tx)) == (answer.height, answer.index)
        receipt = _receipt.decode(store.receipts(answer.height)[answer.index])
        assert (receipt.tx, receipt.code, receipt.height) == (answer.tx, answer.code, answer.height)

    def _gifts(self, count: int, signer: bench_load.Signer | None = None) -> list[bytes]:
        donors = [number % DONORS for number in range(count)]
        raws = bench_load.gifts(signer or bench_load.Signer(self.city.rules), self.city.campaign, donors)
        self.sent += raws
        return raws

    def _again(self, port: int, raws: Sequence[bytes]) -> list[Answer]:
        status, body = call(port, "POST", "/v1/txs", b"\n".join(raws))
        assert status == 200, body
        return [_answer.decode(line) for line in body.splitlines()]

    def _send(self, port: int, path: str) -> None:
        signer = bench_load.Signer(self.city.rules)
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        while self._open:
            raws = self._gifts(BATCH if path == "/v1/txs" else 1, signer)
            try:
                status, body = _ask(connection, "POST", path, b"\n".join(raws))
            except TimeoutError as error:
                self.wrong.append(error)
            except (OSError, HTTPException):
                break
            if status == 503 and b'"stopping"' in body:
                break
            self._note(raws, status, body)
            self._answered.release()
        connection.close()

    def _note(self, raws: Sequence[bytes], status: int, body: bytes) -> None:
        if status not in (200, 202):
            self.wrong.append((status, body))
            return
        for raw, line in zip(raws, body.splitlines(), strict=True):
            answer = _answer.decode(line)
            if answer.status == "committed":
                self.committed[raw] = answer
            elif answer.status == "accepted":
                self.promised.append(raw)
            else:
                self.wrong.append(answer)


def _ask(connection: HTTPConnection, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _id(raw: bytes) -> bytes:
    return envelope.reopen(raw).id
