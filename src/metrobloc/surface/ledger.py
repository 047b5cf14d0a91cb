"""A ledger as the commands use it: a running node through the client, or a node's data folder. Both answer alike."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from metrobloc.client import Client, Draft, Malformed, NoNode, NotFound, Refused, Void
from metrobloc.client.draft import Call, write, write_call
from metrobloc.client.reading import Consistency
from metrobloc.client.sending import EXPIRY_MS, Outcome
from metrobloc.engine import proofs
from metrobloc.engine.cosigned import published
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.engine.tiles import read_place, read_tile
from metrobloc.engine.verifier import check_all
from metrobloc.kernel import codec, errors, system
from metrobloc.kernel.block import Outcome as Executed
from metrobloc.kernel.context import View
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS
from metrobloc.kernel.module import Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.surface.http import prove_consistency, read_record, read_table, standing
from metrobloc.surface.http.asking import arguments_of

Page = dict[str, Any]
T = TypeVar("T")


class Ledger(Protocol):
    """What commands ask of a ledger; `Client` and `Local` answer it."""

    def genesis(self) -> bytes:
        """Return the genesis."""

    def status(self) -> Page:
        """Return how the chain stands."""

    def time_ms(self) -> int:
        """Return the time against which expiries are written."""

    def draft(self, *calls: Call, expires_ms: int | None = None, salt: str | None = None) -> Draft:
        """Return what is to be signed."""

    def missing(self, draft: Draft) -> tuple[str, ...]:
        """Return who has still to sign."""

    def send(self, raw: bytes, patience_s: float | None = None) -> ReadReceipt:
        """Send a transaction and return its receipt; raises Refused, Void or Malformed."""

    def submit(self, raws: Sequence[bytes], at_ms: int | None = None) -> list[Outcome]:
        """Send transactions and wait until all are durable or turned away; `at_ms` plays the past of a demo chain."""

    def promise_note(self, raw: bytes, patience_s: float | None = None) -> Outcome:
        """Send a transaction for a signed promise, unchecked, instead of its receipt."""

    def simulate(self, *calls: Call, salt: str | None = None) -> Page:
        """Return what calls would lead to; the ids that they would give out follow from the salt."""

    def record(self, key: str) -> Page:
        """Return the record under a state key."""

    def table(self, prefix: str, after: str, limit: int) -> Page:
        """Return a page of a table."""

    def query(self, app: str, name: str, asked: Mapping[str, object]) -> Page:
        """Return the answer to an app's query."""

    def params(self) -> Page:
        """Return all parameters in force."""

    def may(self, account: str, record: str | None) -> Page:
        """Return what an account may do."""

    def who(self, do: str, after: str, limit: int) -> Page:
        """Return who may do an action."""

    def receipt(self, tx: str) -> ReadReceipt:
        """Return a receipt."""

    def receipt_proof(self, tx: str) -> bytes:
        """Return a proof file of a receipt."""

    def record_proof(self, key: str, height: int | None) -> bytes:
        """Return a proof file of a record or of its absence."""

    def trust(self) -> bytes:
        """Return a trust file for the operator's present key."""

    def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint."""

    def consistency(self, old: int, new: int) -> Consistency:
        """Return a proof that the log of `new` leaves begins with that of `old` leaves."""

    def log_file(self, path: str) -> bytes:
        """Return a file of the log as tlog-tiles lays it out."""

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
        return _page(standing(self.node))

    def time_ms(self) -> int:
        """Return the time of the next block."""
        return self.node.block_time(clock_ms())

    def draft(self, *calls: Call, expires_ms: int | None = None, salt: str | None = None) -> Draft:
        """Return what is to be signed."""
        rules = self.node.machine.rules
        until = self.time_ms() + EXPIRY_MS if expires_ms is None else expires_ms
        version = self.node.machine.ahead().version
        return write(rules.chain, version, calls, expires_ms=until, actions=rules.actions, salt=salt)

    def missing(self, draft: Draft) -> tuple[str, ...]:
        """Return who has still to sign."""
        rows = View(self.node.store)[system.accounts]
        found = {call.as_: account for call in draft.content.calls if (account := rows.get(call.as_)) is not None}
        return draft.missing(found, self.node.machine.rules.actions, self.time_ms())

    def send(self, raw: bytes, patience_s: float | None = None) -> ReadReceipt:
        """Check, execute and commit one."""
        del patience_s
        outcome = self.submit([raw])[0]
        if outcome.status == "malformed":
            raise Malformed(outcome.code, outcome.sentence)
        receipt = self.node.receipt(bytes.fromhex(outcome.tx))
        if receipt is None:
            raise Void(outcome.code, outcome.sentence, outcome.tx)
        if receipt.code != "ok":
            raise Refused(receipt.code, self._sentence(receipt.code), receipt)
        return receipt

    def submit(self, raws: Sequence[bytes], at_ms: int | None = None) -> list[Outcome]:
        """Check, execute and commit."""
        verdicts = check_all(self.node.machine.rules, raws)
        sound = [raw for raw, verdict in zip(raws, verdicts, strict=True) if isinstance(verdict, bytes)]
        outcomes = iter(self.node.execute(sound, self.time_ms() if at_ms is None else at_ms))
        return [
            Outcome("malformed", v[0], sentence=v[1]) if isinstance(v, tuple) else _told(next(outcomes))
            for v in verdicts
        ]

    def promise_note(self, raw: bytes, patience_s: float | None = None) -> Outcome:
        """Refuse: only a running node promises."""
        del raw, patience_s
        raise NoNode("Only a running node gives promises; start it with `metrobloc up`.")

    def simulate(self, *calls: Call, salt: str | None = None) -> Page:
        """Return what calls would lead to; the ids that they would give out follow from the salt."""
        ahead = self.node.machine.ahead()
        written = [write_call(call, ahead.rules.actions, ahead.version) for call in calls]
        try:
            found = [(ahead.find(call.do), call) for call in written]
            run = [(action, call.as_, action.decoder.decode(call.with_)) for action, call in found if action]
            done = _page(self.node.simulate(salt or secrets.token_hex(16), run, self.time_ms()))
        except errors.Void as void:
            raise NotFound(VOIDS[void.code]) from void
        return {**done, "sentence": self._sentence(done["code"])}

    def record(self, key: str) -> Page:
        """Return the record under a state key."""
        return _page(read_record(self.node, key))

    def table(self, prefix: str, after: str, limit: int) -> Page:
        """Return a page of a table."""
        return _page(read_table(self.node, prefix, after, limit))

    def query(self, app: str, name: str, asked: Mapping[str, object]) -> Page:
        """Return the answer to an app's query."""
        question = next(module for module in self.node.machine.rules.modules if module.name == app).queries[name]
        try:
            given = msgspec.structs.asdict(msgspec.convert(asked, arguments_of(question)))
        except msgspec.ValidationError as error:
            raise NotFound(f"{error}.") from error
        try:
            value = question(View(self.node.store), **given)
        except errors.Refused as refused:
            raise NotFound(self._sentence(refused.code)) from refused
        return _page({"height": self.node.machine.height, "value": value})

    def params(self) -> Page:
        """Refuse: only a running node lists them with their limits."""
        raise NoNode("Only a running node answers this; `metrobloc show kernel/params` shows the values.")

    def may(self, account: str, record: str | None) -> Page:
        """Refuse: only a running node tries actions out."""
        del account, record
        raise NoNode("Only a running node answers this; start it with `metrobloc up`.")

    def who(self, do: str, after: str, limit: int) -> Page:
        """Refuse: only a running node answers who may do what."""
        del do, after, limit
        raise NoNode("Only a running node answers this; start it with `metrobloc up`.")

    def receipt(self, tx: str) -> ReadReceipt:
        """Return a receipt."""
        found = self.node.receipt(bytes.fromhex(tx))
        if found is None:
            raise NotFound("No block has this transaction; check its id, or send it again.")
        return found

    def receipt_proof(self, tx: str) -> bytes:
        """Return a proof file of a receipt."""
        return _provable(lambda: proofs.prove_receipt(self.node, bytes.fromhex(tx)))

    def record_proof(self, key: str, height: int | None) -> bytes:
        """Return a proof file of a record or of its absence."""
        return _provable(lambda: proofs.prove_record(self.node, key, height))

    def trust(self) -> bytes:
        """Return a trust file."""
        return self.node.trust()

    def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint."""
        return self.node.checkpoint()

    def consistency(self, old: int, new: int) -> Consistency:
        """Return a proof that the log only grew; NotFound when it is not so long."""
        if not 0 <= old <= new <= self.node.machine.log.size:
            raise NotFound("The log is not so long.")
        return prove_consistency(self.node, old, new)

    def log_file(self, path: str) -> bytes:
        """Return a file of the log; NotFound when there is none."""
        if path == "checkpoint":
            return published(self.node)
        place = read_place(path)
        found = None if place is None else _provable(lambda: read_tile(self.node, place))
        if found is None:
            raise NotFound("The log has no such tile.")
        return found

    def lines(self) -> Iterator[bytes]:
        """Yield the chain's export."""
        return self.node.export()

    def _sentence(self, code: str) -> str:
        sentences = {code: text for module in self.node.machine.rules.modules for code, text in module.refusals.items()}
        return {**sentences, **ENGINE_REFUSALS}.get(code, "")


class LedgerRows:
    """A running node's committed records, as the kernel's queries read them from a store; not of one moment."""

    def __init__(self, ledger: Ledger) -> None:
        """Bind a ledger."""
        self.ledger = ledger

    def get(self, key: bytes) -> bytes | None:
        """Return a record's bytes, or None."""
        items = self.ledger.record(key.decode())["items"]
        return codec.encode(items[0]["value"]) if items else None

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` records under a prefix, beyond `after` if that is given, in key order."""
        app, name, under = prefix.decode().split("/", 2)
        table, at = f"{app}/{name}/", "" if after is None else after.decode().split("/", 2)[2]
        if after is None and under:  # just before all that begins so, in printable ASCII
            at = under[:-1] + chr(ord(under[-1]) - 1) + "~"
        found: list[tuple[bytes, bytes]] = []
        while len(found) < limit:
            page = self.ledger.table(table, at, min(limit, 500))
            items = [item for item in page["items"] if item["key"].startswith(under)]
            found += [(f"{table}{item['key']}".encode(), codec.encode(item["value"])) for item in items]
            if not page["next"] or page["items"][-1]["key"] > under + "~":
                break
            at = page["next"]
        return found[:limit]

    def scan_index(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Refuse: indexes are the node's own."""
        raise NotImplementedError(f"{prefix!r} {after!r} {limit}: a node shows no indexes.")


def view_of(ledger: Ledger) -> View:
    """Return the committed state behind a ledger, as queries read it."""
    return View(ledger.node.store if isinstance(ledger, Local) else LedgerRows(ledger))


@contextmanager
def opened(data: Path | None, url: str, modules: Mapping[str, Module]) -> Iterator[Ledger]:
    """Open the ledger that a command names: its data folder if given, else the node at the URL."""
    if data is None:
        with Client(url, modules) as client:
            yield client
        return
    node = Solo.open(data, modules)
    try:
        yield Local(node)
    finally:
        node.close()


def _told(outcome: Executed) -> Outcome:
    if outcome.index < 0:
        return Outcome("void", outcome.code, outcome.id.hex(), sentence=VOIDS[outcome.code])
    return Outcome("committed", outcome.code, outcome.id.hex(), outcome.height, outcome.index)


def _provable(make: Callable[[], T]) -> T:
    try:
        return make()
    except proofs.NotProvable as missing:
        raise NotFound(str(missing)) from missing


def _page(value: object) -> Page:
    """Return a value as it would come over the wire."""
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])
