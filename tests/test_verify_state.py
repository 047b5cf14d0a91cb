"""The verifier's ICS23 against false proofs: what the Go library refuses and, stricter, what is not canonical."""

import random
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import pytest

from metrobloc.commons.ics23 import _exist, _field, prove
from metrobloc.kernel.codec import encode
from metrobloc.kernel.tree import EMPTY
from metrobloc.verify import Verdict, check
from tests.prover import OPERATORS, City, trust_file

CITY = City(gifts=40)
TRUST = trust_file(OPERATORS[0])
IN_ORDER = sorted(CITY.by_hash)
LEFT = bytes.fromhex("0801 1201 01 1a20")
RIGHT = bytes.fromhex("0801 1221 01")


def name(place: int) -> str:
    """Name the key at a place in the order of the tree."""
    return CITY.by_hash[IN_ORDER[place]][0].decode()


def exist(place: int) -> bytes:
    """Prove the presence of the key at a place, without the frame of a CommitmentProof."""
    return _exist(CITY.state, IN_ORDER[place], CITY.by_hash.get)


def absent(key: str, left: bytes | None, right: bytes | None) -> bytes:
    """Claim with these neighbours that a key is absent."""
    sides = [_field(number, side) for number, side in ((2, left), (3, right)) if side is not None]
    return _field(2, b"".join([_field(1, key.encode()), *sides]))


def verdict(key: str, proof: bytes, *, there: bool, city: City = CITY) -> Verdict:
    """Check a proof file that holds this state proof."""
    contents = city.contents("anything")
    value = city.records.get(key) if there else None
    contents["record"] = {"key": key, "proof": b64encode(proof).decode(), "value": value}
    return check(encode(contents), TRUST)


def between(place: int) -> str:
    """Find a key that is not in the state and would lie right of a place."""
    for number in range(100_000):
        key = f"none/{number}"
        digest = sha256(key.encode()).digest()
        last = place + 1 == len(IN_ORDER)
        if (place < 0 or IN_ORDER[place] < digest) and (last or digest < IN_ORDER[place + 1]):
            return key
    raise AssertionError("no key lies there")


def test_true_proofs_are_accepted() -> None:
    for place in range(len(IN_ORDER)):
        assert verdict(name(place), _field(1, exist(place)), there=True).status == "valid"
    for place in (-1, 0, 5, len(IN_ORDER) - 2, len(IN_ORDER) - 1):
        left = exist(place) if place >= 0 else None
        right = exist(place + 1) if place + 1 < len(IN_ORDER) else None
        key = between(place)
        assert absent(key, left, right) == prove(CITY.state, key.encode(), CITY.by_hash.get)
        assert verdict(key, absent(key, left, right), there=False).status == "valid"


def test_a_record_cannot_be_hidden_between_neighbours() -> None:
    last = len(IN_ORDER) - 1
    for place in range(1, last):
        around = absent(name(place), exist(place - 1), exist(place + 1))
        assert "may be a record between" in verdict(name(place), around, there=False).reason
    for place in range(last):
        onwards = absent(name(place), None, exist(place + 1))
        assert "may be a record between" in verdict(name(place), onwards, there=False).reason
        backwards = absent(name(place + 1), exist(place), None)
        assert "may be a record between" in verdict(name(place + 1), backwards, there=False).reason


def test_neighbours_stand_on_their_sides() -> None:
    key = between(10)
    for left, right in ((10, 10), (11, 12), (9, 10), (11, 10), (12, 9)):
        assert "not for a place" in verdict(key, absent(key, exist(left), exist(right)), there=False).reason
    assert "not for a place" in verdict(key, absent(key, exist(11), None), there=False).reason
    assert "not for a place" in verdict(key, absent(key, None, exist(10)), there=False).reason
    assert "not for a place" in verdict(name(10), absent(name(10), exist(10), exist(11)), there=False).reason
    other = between(11)
    assert "not for a place" in verdict(key, absent(other, exist(11), exist(12)), there=False).reason


def test_proofs_of_another_kind_are_refused() -> None:
    key, inside = between(3), name(3)
    assert "another kind" in verdict(key, _field(1, exist(3)), there=False).reason
    assert "another kind" in verdict(inside, absent(inside, exist(2), exist(4)), there=True).reason
    assert "not the one" in verdict(inside, _field(1, exist(4)), there=True).reason
    assert "another kind" in verdict(key, absent(key, None, None), there=False).reason


def test_proofs_of_another_state_are_refused() -> None:
    other = City(gifts=39)
    key = name(3)
    assert "does not lead to the state root" in verdict(key, _field(1, exist(3)), there=True, city=other).reason
    mixed = absent(between(3), exist(3), _exist(other.state, sorted(other.by_hash)[4], other.by_hash.get))
    assert verdict(between(3), mixed, there=False).status == "invalid"


Spoil = Callable[[bytes], bytes]
LEAF_OP = bytes.fromhex("1a09 0801100118012a0100")
SPOILED: dict[str, Spoil] = {
    "nothing after all": lambda _proof: b"",
    "cut off": lambda proof: proof[:-1],
    "a byte more": lambda proof: proof + b"\0",
    "a field more": lambda proof: proof + _field(4, b""),
    "twice": lambda proof: proof + proof,
    "a length with a byte too many": lambda proof: proof[:1] + bytes([proof[1], proof[2] | 128, 0]) + proof[3:],
    "a length that is enormous": lambda proof: proof[:1] + b"\xff\xff\xff\xff\x7f" + proof[3:],
    "a batch": lambda proof: b"\x1a" + proof[1:],
    "compressed": lambda proof: b"\x22" + proof[1:],
    "a number where bytes belong": lambda proof: b"\x08" + proof[1:],
    "an unknown field": lambda proof: b"\x2a" + proof[1:],
}
SPOILED_INSIDE: dict[str, Spoil] = {
    "another leaf hash": lambda inner: inner.replace(LEAF_OP, bytes.fromhex("1a09 0802100118012a0100")),
    "no prehashed key": lambda inner: inner.replace(LEAF_OP, bytes.fromhex("1a07 080118012a0100")),
    "a longer leaf prefix": lambda inner: inner.replace(LEAF_OP, bytes.fromhex("1a0a 0801100118012a020000")),
    "a length operation": lambda inner: inner.replace(LEAF_OP, bytes.fromhex("1a0b 08011001180120012a0100")),
    "a default written out": lambda inner: inner.replace(LEAF_OP, bytes.fromhex("1a0b 08011001180120002a0100")),
    "no leaf operation": lambda inner: inner.replace(LEAF_OP, b""),
    "a step less": lambda inner: inner[: inner.rindex(b"\x22")] if inner[-41:-40] == b"\x22" else inner[:-39],
    "a step more": lambda inner: inner + _field(4, LEFT + EMPTY),
    "257 steps": lambda inner: inner + _field(4, LEFT + EMPTY) * 257,
    "an empty step": lambda inner: inner + _field(4, b""),
    "a step in another order": lambda inner: inner + _field(4, b"\x1a\x20" + EMPTY + b"\x08\x01\x12\x01\x01"),
    "a step without sibling": lambda inner: inner + _field(4, LEFT),
    "a step of both sides": lambda inner: inner + _field(4, b"\x08\x01\x12\x21\x01" + EMPTY + b"\x1a\x20" + EMPTY),
    "an inner prefix like a leaf's": lambda inner: inner.replace(b"\x12\x01\x01", b"\x12\x01\x00", 1),
    "the key after the value": lambda inner: inner[2 + inner[1] :] + inner[: 2 + inner[1]],
    "no value": lambda inner: inner.replace(inner[2 + inner[1] : 2 + inner[1] + 34], b""),
    "an empty value": lambda inner: inner.replace(inner[2 + inner[1] : 2 + inner[1] + 34], b"\x12\x00"),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_spoiled_proofs_are_refused(spoil: Spoil) -> None:
    proof = _field(1, exist(3))
    assert spoil(proof) != proof
    assert verdict(name(3), spoil(proof), there=True).status == "invalid"
    key = between(3)
    missing = absent(key, exist(3), exist(4))
    assert verdict(key, spoil(missing), there=False).status == "invalid"


@pytest.mark.parametrize("spoil", SPOILED_INSIDE.values(), ids=SPOILED_INSIDE.keys())
def test_spoiled_parts_are_refused(spoil: Spoil) -> None:
    inner = exist(3)
    assert spoil(inner) != inner
    assert verdict(name(3), _field(1, spoil(inner)), there=True).status == "invalid"
    key = between(3)
    assert verdict(key, absent(key, spoil(inner), exist(4)), there=False).status == "invalid"
    assert verdict(key, absent(key, exist(3), spoil(exist(4))), there=False).status == "invalid"


def test_a_leaf_counts_only_in_its_own_place() -> None:
    """A record planted where another key belongs would let both its presence and its absence be shown."""
    key, record = "planted", encode({"amount_cents": 1})
    value = sha256(record).digest()
    leaf = sha256(b"\0" + sha256(key.encode()).digest() + sha256(value).digest()).digest()
    first_bit = sha256(key.encode()).digest()[0] >> 7
    for on_left in (0, 1):
        step = RIGHT + leaf[::-1] if on_left else LEFT + leaf[::-1]
        root = sha256(b"\1" + (leaf[::-1] + leaf if on_left else leaf + leaf[::-1])).hexdigest()
        city = City(gifts=0, receipts=1)
        city.seal(root, later=0)
        proof = _field(1, _field(1, key.encode()) + _field(2, value) + LEAF_OP + _field(4, step))
        contents = city.contents("anything")
        contents["record"] = {"key": key, "proof": b64encode(proof).decode(), "value": {"amount_cents": 1}}
        found = check(encode(contents), TRUST)
        assert found.status == ("valid" if on_left == first_bit else "invalid")
        assert found.status == "valid" or "another place" in found.reason


def test_mutated_proofs_are_never_valid() -> None:
    rng = random.Random(23)
    key = between(3)
    for proof, of, there in ((_field(1, exist(3)), name(3), True), (absent(key, exist(3), exist(4)), key, False)):
        for at in range(len(proof)):
            wrong = proof[:at] + bytes([proof[at] ^ 1 << rng.randrange(8)]) + proof[at + 1 :]
            assert verdict(of, wrong, there=there).status == "invalid"
