"""Proof files made the way a node makes them, from a city small enough to build in a test."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from metrobloc.commons.ics23 import prove
from metrobloc.commons.notes import Checkpoint, Succession, sign_checkpoint, sign_succession
from metrobloc.kernel.codec import encode
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.log import Log, inclusion_proof, leaf_hash
from metrobloc.kernel.tree import StateTree, entry

CHAIN = "demo-city-0123456789abcdef"
LOG_KEY = "kernel/log/head"
OPERATORS = [SigningKey(bytes([number]) * 32) for number in range(1, 6)]
TIME_S = 1_700_000_100


def texts(path: list[bytes]) -> list[str]:
    """Write hashes as a proof file does."""
    return [b64encode(node).decode() for node in path]


def trust_file(*keys: SigningKey, chain: str = CHAIN) -> bytes:
    """Trust these operators."""
    return encode({"chain": chain, "format": "metrobloc-trust/1", "keys": [key.key_id for key in keys]})


def succession(old: SigningKey, new: SigningKey, size: int) -> str:
    """Let one operator's key succeed another."""
    return sign_succession(Succession(CHAIN, old.key_id, new.key_id, size), old, new).decode()


class City:
    """A state of some records, a log of some receipts, one header that binds both, and leaves that came later."""

    def __init__(
        self,
        gifts: int = 20,
        receipts: int = 13,
        later: int = 9,
        *,
        named: int = 0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        """Build the state and the log; `named` is how many receipts the state says there are, if not all."""
        self.receipts: list[dict[str, Any]] = [
            {"code": "ok", "height": 7, "index": number, "tx": f"{number:064x}"} for number in range(receipts)
        ]
        log = Log().extended([leaf_hash(encode(receipt)) for receipt in self.receipts[: named or receipts]])[0]
        self.records: dict[str, Any] = {
            f"charity/gifts/{number}": {"amount_cents": number * 100, "note": "für 医院"} for number in range(gifts)
        }
        self.records |= {LOG_KEY: {"root": log.root().hex(), "size": log.size}} | (extra or {})
        rows = [(key.encode(), encode(value)) for key, value in self.records.items()]
        self.state = StateTree.build(entry(*row) for row in rows).latest
        self.by_hash = {sha256(key).digest(): (key, record) for key, record in rows}
        self.seal(self.state.root.hex(), later)

    def seal(self, state_root: str, later: int) -> None:
        """Put a header with this state root behind the receipts, and leaves that came later behind it."""
        self.header = {"height": 7, "state_root": state_root, "time_ms": 1_700_000_000_123}
        leaves = [*self.receipts, self.header, *({"later": number} for number in range(later))]
        self.log, self.tiles = Log().extended([leaf_hash(encode(leaf)) for leaf in leaves])

    def contents(self, key: str, *, receipt: int | None = None, operator: SigningKey = OPERATORS[0]) -> dict[str, Any]:
        """Say what a proof file holds about a key, and about a receipt where one is asked for."""
        checkpoint = Checkpoint(CHAIN, self.log.size, self.log.root())
        index = len(self.receipts)
        file = {
            "chain": CHAIN,
            "format": "metrobloc-proof/1",
            "header": self.header,
            "record": {
                "key": key,
                "proof": b64encode(prove(self.state, key.encode(), self.by_hash.get)).decode(),
                "value": self.records.get(key),
            },
            "trust": {
                "checkpoint": sign_checkpoint(checkpoint, operator, TIME_S).decode(),
                "index": index,
                "path": texts(inclusion_proof(index, self.log.size, self._tile)),
            },
        }
        if receipt is not None:
            path = inclusion_proof(receipt, len(self.receipts), self._tile)
            file["receipt"] = {"index": receipt, "leaf": self.receipts[receipt], "path": texts(path)}
        return file

    def _tile(self, level: int, index: int) -> bytes:
        return self.tiles[level, index]
