"""Proof files: a record, its absence, or a receipt, up to a header in the operator's signed log.

The format is `metrobloc-proof/1`, described in `verify.py`, which checks it with nothing but Python. A record can be
proved at the last 128 heights; a receipt at any time, because the newest state holds the log's head.
"""

import base64

import msgspec
from msgspec import Raw

from metrobloc.commons import ics23
from metrobloc.engine.solo import Solo, present
from metrobloc.kernel import codec, crypto, log, tree
from metrobloc.kernel.machine import LOG_KEY
from metrobloc.kernel.receipts import LogHead

HEIGHTS = 128
FORMAT = "metrobloc-proof/1"
_log_head = msgspec.json.Decoder(LogHead)


class NotProvable(LookupError):
    """What was asked for is not here, or no longer; the message says which and what to do."""


def prove_record(node: Solo, key: str, height: int | None = None) -> bytes:
    """Return a proof file of the record under a state key, or of its absence, at a height (the latest by default)."""
    if not (key.isascii() and key.isprintable() and key):
        raise NotProvable("A state key is printable ASCII text; check it.")
    at = node.machine.height if height is None else height
    return _file(node, at, _record(node, key.encode(), at), None)


def prove_receipt(node: Solo, tx_id: bytes) -> bytes:
    """Return a proof file of a transaction's receipt."""
    place = node.store.find(tx_id)
    if place is None:
        raise NotProvable("No block has this transaction; check its id, or send it again.")
    height, number = place
    at = node.machine.height
    record = _record(node, LOG_KEY.encode(), at)
    head = _log_head.decode(present(node.store.get(LOG_KEY.encode())))
    _, before = present(node.store.header(height - 1))
    index = before + number
    leaf = node.store.receipts(height)[number]
    path = log.inclusion_proof(index, head.size, node.store.tile)
    return _file(node, at, record, {"index": index, "leaf": Raw(leaf), "path": _texts(path)})


def _file(node: Solo, height: int, record: dict[str, object], receipt: dict[str, object] | None) -> bytes:
    header, size = present(node.store.header(height))
    path = log.inclusion_proof(size - 1, node.machine.log.size, node.store.tile)
    trust: dict[str, object] = {"checkpoint": node.checkpoint().decode(), "index": size - 1, "path": _texts(path)}
    if node.succession():
        trust["succession"] = node.succession()
    whole: dict[str, object] = {
        "chain": node.chain,
        "format": FORMAT,
        "header": Raw(header),
        "record": record,
        "trust": trust,
    }
    if receipt is not None:
        whole["receipt"] = receipt
    return codec.encode(whole) + b"\n"


def _record(node: Solo, key: bytes, height: int) -> dict[str, object]:
    newest = node.machine.height
    if not max(0, newest - HEIGHTS) <= height <= newest:
        raise NotProvable(f"A record can be proved from height {max(0, newest - HEIGHTS)} to {newest}; choose one.")
    undos = {undone: node.undo(undone) for undone in range(newest, height, -1)}

    def value_of(key_hash: bytes) -> tuple[bytes, bytes] | None:
        name = node.store.key_of(key_hash)
        for undone in range(height + 1, newest + 1):
            if tree.touches(undos[undone], key_hash):
                before = present(node.store.undo(undone)).before
                name = name or next(k for k in before if crypto.sha256(k) == key_hash)  # a record that is gone now
                old = before[name]
                return None if old is None else (name, old)
        return None if name is None else (name, present(node.store.get(name)))

    state = node.machine.tree
    view = state.at(undos.values()) if undos else state.latest
    found = value_of(crypto.sha256(key))
    proof = ics23.prove(view, key, value_of)
    return {
        "key": key.decode(),
        "proof": base64.b64encode(proof).decode(),
        "value": None if found is None else Raw(found[1]),
    }


def _texts(path: list[bytes]) -> list[str]:
    return [base64.b64encode(part).decode() for part in path]
