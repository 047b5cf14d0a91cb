"""Hold transactions to their pinned bytes, in and out, for one signer and for several."""

import json
from typing import Any

import msgspec
import pytest

from metrobloc.kernel import codec, envelope
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.crypto import SigningKey, sha256
from metrobloc.kernel.envelope import Call, Payload
from tests.kernel.raw_transactions import good
from tests.support import ROOT

VECTORS: list[dict[str, Any]] = json.loads((ROOT / "tests/vectors/envelope.json").read_text())
PAYLOAD = Payload(
    calls=(Call(as_="a" * 26, do="house.give", with_=msgspec.Raw(b'{"amount":1}')),),
    chain="demo-city-0123456789abcdef",
    expires=1_700_000_600_000,
    rules=1,
    salt="0f" * 16,
)
KEYS = [SigningKey(bytes([number]) * 32) for number in range(1, 18)]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_pinned_transactions(vector: dict[str, Any]) -> None:
    keys = [SigningKey(bytes.fromhex(seed)) for seed in vector["seeds"]]
    payload = msgspec.json.decode(vector["payload"], type=Payload)
    raw = envelope.sign(payload, keys)
    assert raw.decode() == vector["envelope"]
    assert envelope.check(raw).hex() == vector["id"]
    transaction = envelope.read(raw)
    assert transaction.id.hex() == vector["id"]
    assert transaction.key_ids == tuple(vector["keyids"])
    assert codec.encode(transaction.payload).decode() == vector["payload"]


def test_the_signed_bytes_are_those_of_dsse() -> None:
    """Follow the form of the published example: DSSEv1 29 http://example.com/HelloWorld 11 hello world."""
    assert envelope.pae(b"hello world") == b"DSSEv1 36 application/vnd.metrobloc.tx.v1+json 11 hello world"
    assert len(envelope.PAYLOAD_TYPE) == 36


@pytest.mark.parametrize("raw", good())
def test_three_ways_of_reading_agree(raw: bytes) -> None:
    assert envelope.check(raw) == envelope.read(raw).id
    again = envelope.reopen(raw)
    assert (again.raw, again.id, again.key_ids) == (raw, envelope.read(raw).id, envelope.read(raw).key_ids)
    assert codec.encode(again.payload) == codec.encode(envelope.read(raw).payload)


def test_the_id_is_of_the_payload_and_never_of_a_signature() -> None:
    one, two = envelope.sign(PAYLOAD, KEYS[:1]), envelope.sign(PAYLOAD, KEYS[:2])
    assert one != two
    assert envelope.check(one) == envelope.check(two) == sha256(envelope.pae(codec.encode(PAYLOAD)))


def test_the_order_of_keys_does_not_matter() -> None:
    assert envelope.sign(PAYLOAD, KEYS[:16]) == envelope.sign(PAYLOAD, KEYS[15::-1])


def test_signers_who_never_meet_make_the_same_envelope() -> None:
    body = codec.encode(PAYLOAD)
    gathered = {key.key_id: key.sign(envelope.pae(body)) for key in KEYS[:3]}
    assert envelope.seal(body, gathered) == envelope.sign(PAYLOAD, KEYS[:3])
    with pytest.raises(Malformed, match="bad_signature"):
        envelope.seal(body, gathered | {KEYS[3].key_id: bytes(64)})


def test_what_would_be_refused_is_not_written() -> None:
    for keys, code in (([], "out_of_bounds"), (KEYS, "out_of_bounds")):
        with pytest.raises(Malformed, match=code):
            envelope.sign(PAYLOAD, keys)
    loose = msgspec.structs.replace(PAYLOAD.calls[0], with_=msgspec.Raw(b'{ "amount":1}'))
    with pytest.raises(Malformed, match="not_canonical"):
        envelope.sign(msgspec.structs.replace(PAYLOAD, calls=(loose,)), KEYS[:1])


def test_the_largest_transaction_is_exactly_128_kib() -> None:
    overhead = len(envelope.sign(with_note(0), KEYS[:1]))
    sizes = set()
    for size in range(98_304 - overhead, 98_304):
        try:
            sizes.add(len(envelope.sign(with_note(size), KEYS[:1])))
        except Malformed as fault:
            code = fault.code
            break
    assert code == "too_large"
    assert envelope.ENVELOPE_BYTES_MAX - 4 < max(sizes) <= envelope.ENVELOPE_BYTES_MAX


def with_note(size: int) -> Payload:
    """Write a payload whose message has a note of this size."""
    call = msgspec.structs.replace(PAYLOAD.calls[0], with_=msgspec.Raw(codec.encode({"note": "x" * size})))
    return msgspec.structs.replace(PAYLOAD, calls=(call,))
