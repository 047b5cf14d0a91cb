"""A ledger as the commands use it: a node's data folder, or a running node by its URL. Both answer alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import msgspec

from metrobloc.engine import proofs
from metrobloc.engine.sealer import Answer, clock_ms
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.verifier import check_all
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.errors import VOIDS
from metrobloc.kernel.module import Module
from metrobloc.surface.http import describe, read_record, read_table

TIMEOUT_S = 120.0
_answers = msgspec.json.Decoder(Answer)
Page = dict[str, Any]


class NoNode(Exception):
    """No node answers, or it answers that it cannot; the message says what to do."""


class NotFound(Exception):
    """What was asked for is not on the ledger; the message says which."""


class Ledger(Protocol):
    """What commands ask of a ledger."""

    def genesis(self) -> bytes:
        """Return the genesis."""

    def status(self) -> Page:
        """Return how the chain stands."""

    def time_ms(self) -> int:
        """Return the time against which expiries are written."""

    def submit(self, raws: Sequence[bytes], at_ms: int | None = None) -> list[Answer]:
        """Send transactions and wait until all are durable or turned away; `at_ms` plays the past of a demo chain."""

    def promise(self, raw: bytes) -> Answer:
        """Send a transaction for a signed promise instead of its receipt."""

    def record(self, key: str) -> Page:
        """Return the record under a state key."""

    def table(self, prefix: str, after: str, limit: int) -> Page:
        """Return a page of a table."""

    def receipt(self, tx_id: str) -> bytes:
        """Return a receipt's JSON."""

    def prove_receipt(self, tx_id: str) -> bytes:
        """Return a proof file of a receipt."""

    def prove_record(self, key: str, height: int | None) -> bytes:
        """Return a proof file of a record or of its absence."""

    def trust(self) -> bytes:
        """Return a trust file for the operator's present key."""

    def lines(self) -> Iterator[bytes]:
        """Yield the chain's export, line by line, without line feeds."""


class Local:
    """A data folder without a running node."""

    def __init__(self, node: Solo) -> None:
        """Use an open node."""
        self.node = node

    def genesis(self) -> bytes:
        """Return the genesis."""
        return genesis_of(self.node.store)

    def status(self) -> Page:
        """Return how the chain stands."""
        return _page(msgspec.json.encode(describe(self.node)))

    def time_ms(self) -> int:
        """Return the time of the next block."""
        return self.node.block_time(clock_ms())

    def submit(self, raws: Sequence[bytes], at_ms: int | None = None) -> list[Answer]:
        """Check, execute and commit."""
        verdicts = check_all(self.node.machine.rules, raws)
        sound = [raw for raw, verdict in zip(raws, verdicts, strict=True) if isinstance(verdict, bytes)]
        outcomes = iter(self.node.execute(sound, self.time_ms() if at_ms is None else at_ms))
        return [
            Answer("malformed", v[0], sentence=v[1]) if isinstance(v, tuple) else _told(next(outcomes))
            for v in verdicts
        ]

    def promise(self, raw: bytes) -> Answer:
        """Refuse: only a running node promises."""
        del raw
        raise NoNode("Only a running node gives promises; start it with `metrobloc up`.")

    def record(self, key: str) -> Page:
        """Return the record under a state key."""
        return _page(msgspec.json.encode(read_record(self.node, key)))

    def table(self, prefix: str, after: str, limit: int) -> Page:
        """Return a page of a table."""
        return _page(msgspec.json.encode(read_table(self.node, prefix, after, limit)))

    def receipt(self, tx_id: str) -> bytes:
        """Return a receipt's JSON."""
        place = self.node.store.find(bytes.fromhex(tx_id))
        if place is None:
            raise NotFound("No block has this transaction; check its id, or send it again.")
        return self.node.store.receipts(place[0])[place[1]]

    def prove_receipt(self, tx_id: str) -> bytes:
        """Return a proof file of a receipt."""
        return _provable(lambda: proofs.prove_receipt(self.node, bytes.fromhex(tx_id)))

    def prove_record(self, key: str, height: int | None) -> bytes:
        """Return a proof file of a record or of its absence."""
        return _provable(lambda: proofs.prove_record(self.node, key, height))

    def trust(self) -> bytes:
        """Return a trust file."""
        return self.node.trust()

    def lines(self) -> Iterator[bytes]:
        """Yield the chain's export."""
        return self.node.export()


class Remote:
    """A running node behind its door."""

    def __init__(self, url: str) -> None:
        """Remember the URL; nothing is sent yet."""
        try:
            self.http = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)
        except httpx.InvalidURL as error:
            raise NoNode(f"{url!r} is no URL of a node ({error}).") from error
        self.url = url

    def genesis(self) -> bytes:
        """Return the genesis."""
        return self._get("/v1/genesis")

    def status(self) -> Page:
        """Return how the chain stands."""
        return _page(self._get("/v1/status"))

    def time_ms(self) -> int:
        """Return this machine's time, or the chain's if that is ahead."""
        return max(clock_ms(), int(self.status()["time_ms"]))

    def submit(self, raws: Sequence[bytes], at_ms: int | None = None) -> list[Answer]:
        """Send through the batch door."""
        query = "" if at_ms is None else f"?at={at_ms}"
        body = self._call("POST", f"/v1/txs{query}", b"\n".join(raws)).content
        return [_answers.decode(line) for line in body.split(b"\n") if line]

    def promise(self, raw: bytes) -> Answer:
        """Send for a promise."""
        return _answers.decode(self._call("POST", "/v1/tx?promise=true", raw, allow=(400, 409)).content)

    def record(self, key: str) -> Page:
        """Return the record under a state key."""
        return _page(self._get(f"/v1/records/{quote(key)}"))

    def table(self, prefix: str, after: str, limit: int) -> Page:
        """Return a page of a table."""
        return _page(self._get(f"/v1/tables/{prefix.rstrip('/')}?after={quote(after)}&limit={limit}"))

    def receipt(self, tx_id: str) -> bytes:
        """Return a receipt's JSON."""
        return self._get(f"/v1/receipts/{tx_id}")

    def prove_receipt(self, tx_id: str) -> bytes:
        """Return a proof file of a receipt."""
        return self._get(f"/v1/proofs/receipts/{tx_id}")

    def prove_record(self, key: str, height: int | None) -> bytes:
        """Return a proof file of a record or of its absence."""
        return self._get(f"/v1/proofs/records/{quote(key)}" + ("" if height is None else f"?height={height}"))

    def trust(self) -> bytes:
        """Return a trust file."""
        return self._get("/v1/trust")

    def lines(self) -> Iterator[bytes]:
        """Yield the chain's export."""
        try:
            with self.http.stream("GET", "/v1/blocks") as answer:
                rest = b""
                for part in answer.iter_bytes():
                    *whole, rest = (rest + part).split(b"\n")
                    yield from whole
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._absent(error) from error

    def _get(self, path: str) -> bytes:
        return self._call("GET", path).content

    def _call(self, method: str, path: str, body: bytes = b"", allow: tuple[int, ...] = ()) -> httpx.Response:
        try:
            answer = self.http.request(method, path, content=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._absent(error) from error
        if answer.is_success or answer.status_code in allow:
            return answer
        try:
            sentence = str(_page(answer.content)["sentence"])
        except (msgspec.MsgspecError, KeyError, TypeError):
            sentence = f"The node answered {answer.status_code}."
        raise (NotFound if answer.status_code in (400, 404) else NoNode)(sentence)

    def _absent(self, error: Exception) -> NoNode:
        return NoNode(f"No node answers at {self.url} ({error}); start one with `metrobloc up`, or name --data.")


@contextmanager
def opened(data: Path | None, url: str, modules: Mapping[str, Module]) -> Iterator[Ledger]:
    """Open the ledger that a command names: its data folder if given, else the node at the URL."""
    if data is None:
        remote = Remote(url)
        try:
            yield remote
        finally:
            remote.http.close()
        return
    node = Solo.open(data, modules)
    try:
        yield Local(node)
    finally:
        node.close()


def _told(outcome: Outcome) -> Answer:
    if outcome.index < 0:
        return Answer("void", outcome.code, outcome.id.hex(), sentence=VOIDS[outcome.code])
    return Answer("committed", outcome.code, outcome.id.hex(), outcome.height, outcome.index)


def _provable(make: Callable[[], bytes]) -> bytes:
    try:
        return make()
    except proofs.NotProvable as missing:
        raise NotFound(str(missing)) from missing


def _page(raw: bytes) -> Page:
    return msgspec.json.decode(raw, type=dict[str, Any])
