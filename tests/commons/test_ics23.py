"""ICS23 proofs as bytes: their shape, their size, and what cannot be proved."""

import random
from hashlib import sha256

import pytest

from metrobloc.commons.ics23 import prove
from metrobloc.kernel.tree import StateTree, entry

Fields = list[tuple[int, bytes | int]]
LEAF_OP: Fields = [(1, 1), (2, 1), (3, 1), (5, b"\0")]


class Records:
    """A tree with the records behind it."""

    def __init__(self, records: dict[bytes, bytes]) -> None:
        self.by_hash = {sha256(key).digest(): (key, record) for key, record in records.items()}
        self.tree = StateTree.build(entry(key, record) for key, record in records.items())

    def prove(self, key: bytes) -> bytes:
        """Prove what the tree says of a key."""
        return prove(self.tree.latest, key, self.by_hash.get)


def city(size: int, seed: int = 1) -> Records:
    """Make a state of gifts with records of about 170 bytes."""
    rng = random.Random(seed)
    return Records({b"charity/gifts/%026x" % rng.getrandbits(100): rng.randbytes(170) for _ in range(size)})


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(data: bytes | int) -> Fields:
    """Parse a protobuf message into (number, bytes or integer)."""
    assert isinstance(data, bytes)
    found: Fields = []
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            found.append((tag >> 3, data[at : at + value]))
            at += value
            assert at <= len(data)
        else:
            assert tag & 7 == 0
            found.append((tag >> 3, value))
    return found


def proved_root(exist: bytes | int) -> tuple[bytes, bytes, bytes]:
    """Return key, value and root of an ExistenceProof."""
    (one, key), (two, value), (three, leaf), *path = fields(exist)
    assert (one, two, three, fields(leaf)) == (1, 2, 3, LEAF_OP)
    assert isinstance(key, bytes)
    assert isinstance(value, bytes)
    node = sha256(b"\0" + sha256(key).digest() + sha256(value).digest()).digest()
    for number, inner in path:
        assert number == 4
        (hash_field, operation), (prefix_field, prefix), *rest = fields(inner)
        assert (hash_field, operation, prefix_field) == (1, 1, 2)
        suffix = rest[0][1] if rest else b""
        assert isinstance(prefix, bytes)
        assert isinstance(suffix, bytes)
        assert (len(prefix), len(suffix)) in {(1, 32), (33, 0)}
        node = sha256(prefix + node + suffix).digest()
    return key, value, node


def test_every_record_is_proved() -> None:
    state = city(300)
    for key, record in state.by_hash.values():
        [(kind, exist)] = fields(state.prove(key))
        assert kind == 1
        assert proved_root(exist) == (key, sha256(record).digest(), state.tree.root)


def test_absence_is_proved_by_both_neighbours_or_the_only_one() -> None:
    state = city(40)
    known = sorted(state.by_hash)
    shapes = set()
    for number in range(400):
        key = b"charity/gifts/none%d" % number
        hashed = sha256(key).digest()
        [(kind, nonexist)] = fields(state.prove(key))
        (first, named), *sides = fields(nonexist)
        assert (kind, first, named) == (2, 1, key)
        position = sum(other < hashed for other in known)
        expected = {2: known[position - 1] if position else None, 3: (*known, None)[position]}
        expected = {side: neighbour for side, neighbour in expected.items() if neighbour is not None}
        proved = {side: proved_root(exist) for side, exist in sides}
        assert {side: sha256(found[0]).digest() for side, found in proved.items()} == expected
        assert {found[2] for found in proved.values()} == {state.tree.root}
        shapes.add(tuple(proved))
    assert shapes == {(2,), (3,), (2, 3)}


def test_a_lone_record_is_its_own_proof() -> None:
    state = Records({b"city": b"1"})
    [(_, exist)] = fields(state.prove(b"city"))
    assert proved_root(exist) == (b"city", sha256(b"1").digest(), state.tree.root)
    [(kind, nonexist)] = fields(state.prove(b"other"))
    assert kind == 2
    assert len(fields(nonexist)) == 2


def test_nothing_is_proved_about_an_empty_state_or_from_other_records() -> None:
    with pytest.raises(ValueError, match="empty state"):
        Records({}).prove(b"any")
    state = city(10)
    key, record = state.by_hash[min(state.by_hash)]
    for wrong in [None, (key, record + b"!"), (key + b"!", record)]:
        with pytest.raises(ValueError, match="do not hold the leaf"):
            prove(state.tree.latest, key, {sha256(key).digest(): wrong}.get)


def test_a_proof_at_100_000_keys_is_at_most_1500_bytes() -> None:
    state = city(100_000)
    keys = [key for key, _ in random.Random(2).sample(list(state.by_hash.values()), 300)]
    sizes = [len(state.prove(key)) for key in keys]
    assert max(sizes) <= 1500
    assert max(len(state.prove(key + b"x")) for key in keys) <= 2 * 1500
