"""Ask for what can be proved, and return it only when whom you trust has signed for it (`verify.py`)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from msgspec import Struct

from metrobloc import verify
from metrobloc.client import steps
from metrobloc.client.errors import NoNode, ProofInvalid
from metrobloc.client.steps import City, Op
from metrobloc.kernel import system
from metrobloc.kernel.receipts import Header, ReadReceipt

T = TypeVar("T")


class Proved(Struct, Generic[T], frozen=True):
    """What a proof shows: the value, at which height and block time, by whose signature as of when, and the file."""

    value: T
    height: int
    time_ms: int
    signer: str
    as_of: str
    file: bytes


class _Record(Struct, frozen=True):
    key: str
    value: dict[str, object] | None


class _Leaf(Struct, frozen=True):
    leaf: ReadReceipt


class _File(Struct, frozen=True):
    header: Header
    record: _Record
    receipt: _Leaf | None = None


def receipt(city: City, tx: str) -> Op[ReadReceipt]:
    """Return the receipt of a transaction (64 hex digits) as the node tells it; NotFound when no block has it."""
    found = yield from steps.fetch_as(city, ReadReceipt, steps.path("receipts", tx))
    if found.tx != tx:
        raise NoNode(f"The node at {city.url} answered with the receipt of another transaction.")
    return found


def record_proof(city: City, key: str, height: int | None = None) -> Op[bytes]:
    """Return a proof file of the record under a state key, or of its absence, unchecked, for whoever checks it."""
    return (yield from steps.fetch(city, steps.path("proofs", "records", key, height=height)))


def receipt_proof(city: City, tx: str) -> Op[bytes]:
    """Return a proof file of a receipt, unchecked, for whoever checks it."""
    return (yield from steps.fetch(city, steps.path("proofs", "receipts", tx)))


def trust(city: City) -> Op[bytes]:
    """Return a trust file for the key that the node calls its operator's; compare the key by another way."""
    return (yield from steps.fetch(city, steps.path("trust")))


def prove_record(city: City, key: str, height: int | None = None) -> Op[Proved[dict[str, object] | None]]:
    """Return the record under a state key with its proof, or None for one proved to be absent; else ProofInvalid."""
    file = yield from record_proof(city, key, height)
    read, facts = _check(city, file)
    if read.record.key != key or read.receipt is not None or height not in (None, read.header.height):
        raise ProofInvalid("The proof is of another record or height than was asked for.")
    return _proved(read.record.value, read, facts, file)


def prove_receipt(city: City, tx: str) -> Op[Proved[ReadReceipt]]:
    """Return a transaction's receipt with its proof, or raise ProofInvalid."""
    file = yield from receipt_proof(city, tx)
    read, facts = _check(city, file)
    if read.receipt is None or read.receipt.leaf.tx != tx:
        raise ProofInvalid("The proof is of another receipt than was asked for.")
    return _proved(read.receipt.leaf, read, facts, file)


def vouched(city: City, read: Callable[[str, str], T]) -> Op[T]:
    """Return what `read(chain, key)` makes of a signed note for a trusted key, or for the one that took over from it.

    ProofInvalid when it raises ValueError for all of them.
    """
    if city.trust is None:
        raise ProofInvalid(NO_TRUST)
    for key in city.trust.keys:
        with suppress(ValueError):
            return read(city.trust.chain, key)
    proved = yield from prove_record(city, system.chain.path("info"))
    try:
        return read(city.trust.chain, proved.signer)
    except ValueError as error:
        raise ProofInvalid(f"No trusted operator has signed this: {error}.") from error


NO_TRUST = "Nothing is proved without trust: give the client a trust file (`metrobloc trust`)."


def _check(city: City, file: bytes) -> tuple[_File, dict[str, object]]:
    if city.trust_file is None:
        raise ProofInvalid(NO_TRUST)
    verdict = verify.check(file, city.trust_file)
    if verdict.status != "valid":
        raise ProofInvalid(f"{verdict.reason} ({verdict.status})")
    return steps.decode(city, file, _File), verdict.facts


def _proved(value: T, read: _File, facts: dict[str, object], file: bytes) -> Proved[T]:
    header = read.header
    return Proved(value, header.height, header.time_ms, str(facts["signer"]), str(facts["as_of"]), file)
