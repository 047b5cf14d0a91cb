"""The log against RFC 9162: published vectors, a naive recursive tree, the edges of tiles, false proofs."""

import json
import random
from hashlib import sha256
from typing import Any

import pytest

from metrobloc.kernel.log import (
    Log,
    Tiles,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from tests.support import ROOT, rounds

VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/rfc6962.json").read_text())
LEAVES = [leaf_hash(b"leaf %d" % number) for number in range(300)]
EDGES = [255, 256, 257, 65535, 65536, 65537]


def naive_root(leaves: list[bytes]) -> bytes:
    """Hash a tree as RFC 9162, section 2.1.1, defines it."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + naive_root(leaves[:middle]) + naive_root(leaves[middle:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Make an inclusion proof as section 2.1.3.1 defines it."""
    if len(leaves) == 1:
        return []
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if index < middle:
        return [*naive_path(index, leaves[:middle]), naive_root(leaves[middle:])]
    return [*naive_path(index - middle, leaves[middle:]), naive_root(leaves[:middle])]


def naive_consistency(old: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """Make a consistency proof as section 2.1.4.1 defines it."""
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= middle:
        return [*naive_consistency(old, leaves[:middle], whole=whole), naive_root(leaves[middle:])]
    return [*naive_consistency(old - middle, leaves[middle:], whole=False), naive_root(leaves[:middle])]


def logged(leaves: list[bytes], *steps: int) -> tuple[Log, Tiles]:
    """Append leaves in blocks of the given sizes, then the rest; keep the tiles as a store would."""
    log, stored = Log(), {}
    for step in (*steps, len(leaves)):
        log, changed = log.extended(leaves[log.size : log.size + step])
        stored.update(changed)
    return log, lambda level, index: stored[level, index]


def test_published_tree() -> None:
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
    for size, root in enumerate(VECTORS["roots"]):
        assert logged(leaves[:size])[0].root().hex() == root


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda vector: f"{vector['leaf']} in {vector['size']}")
def test_published_inclusion(vector: dict[str, Any]) -> None:
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
    index, size, path = vector["leaf"], vector["size"], [bytes.fromhex(node) for node in vector["path"]]
    assert inclusion_proof(index, size, logged(leaves)[1]) == path
    assert verify_inclusion(leaves[index], index, size, path, bytes.fromhex(VECTORS["roots"][size]))


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda vector: f"{vector['old']} to {vector['new']}")
def test_published_consistency(vector: dict[str, Any]) -> None:
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
    old, new, path = vector["old"], vector["new"], [bytes.fromhex(node) for node in vector["path"]]
    before, after = (bytes.fromhex(VECTORS["roots"][size]) for size in (old, new))
    assert consistency_proof(old, new, logged(leaves)[1]) == path
    assert verify_consistency(old, before, new, after, path)


def test_every_size_to_300_as_defined() -> None:
    _, tiles = logged(LEAVES, 1, 2, 250, 3, 1)
    for size in range(len(LEAVES) + 1):
        root = naive_root(LEAVES[:size])
        assert root_at(size, tiles) == root
        assert Log.load(size, tiles).root() == root


def test_every_inclusion_to_300_as_defined() -> None:
    _, tiles = logged(LEAVES)
    for size in range(1, len(LEAVES) + 1, rounds(7, 1)):
        root = naive_root(LEAVES[:size])
        for index in range(size):
            path = inclusion_proof(index, size, tiles)
            assert verify_inclusion(LEAVES[index], index, size, path, root)
            assert index % 10 or path == naive_path(index, LEAVES[:size])


def test_every_consistency_to_300_as_defined() -> None:
    _, tiles = logged(LEAVES)
    roots = [naive_root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
    for new in range(1, len(LEAVES) + 1, rounds(7, 1)):
        for old in range(new + 1):
            path = consistency_proof(old, new, tiles)
            assert verify_consistency(old, roots[old], new, roots[new], path)
            assert old % 10 or not old or path == naive_consistency(old, LEAVES[:new])


def test_edges_of_tiles() -> None:
    leaves = [sha256(number.to_bytes(4, "big")).digest() for number in range(EDGES[-1])]
    _, tiles = logged(leaves, 254, 1, 1, 1, 65535 - 257, 1, 1)
    for size in EDGES:
        root = naive_root(leaves[:size])
        log = Log.load(size, tiles)
        assert log.root() == root
        for index in (0, 255, 256, 65279, 65280, size - 1):
            if index < size:
                path = inclusion_proof(index, size, tiles)
                assert path == naive_path(index, leaves[:size])
                assert verify_inclusion(leaves[index], index, size, path, root)
        for old in (edge for edge in EDGES if edge <= size):
            path = consistency_proof(old, size, tiles)
            assert verify_consistency(old, root_at(old, tiles), size, root, path)


@pytest.mark.parametrize("size", EDGES)
def test_what_a_block_changes(size: int) -> None:
    """One leaf more writes the last tile of its level, and the tile above only when one became full."""
    leaves = [sha256(number.to_bytes(4, "big")).digest() for number in range(size)]
    log, tiles = logged(leaves, size - 1)
    before = Log.load(size - 1, tiles)
    again, changed = before.extended(leaves[-1:])
    assert again == log
    full = [level for level in range(3) if not size % 256**level]
    assert sorted(changed) == [(level, (size - 1) >> 8 * (level + 1)) for level in full]
    assert {len(tile) for tile in changed.values()} == {32 * (((size >> 8 * level) - 1) % 256 + 1) for level in full}


def test_blocks_of_any_size_give_the_same_tiles() -> None:
    rng = random.Random(9162)
    leaves = [rng.randbytes(32) for _ in range(2000)]
    whole, tiles = logged(leaves)
    parts, same = logged(leaves, *(rng.choice([0, 1, 2, 255, 256, 300]) for _ in range(10)))
    assert parts == whole
    assert all(tiles(0, index) == same(0, index) for index in range(8))
    assert tiles(1, 0) == same(1, 0)


def test_a_failed_block_leaves_the_log_as_it_was() -> None:
    log, _ = logged(LEAVES[:100])
    root = log.root()
    log.extended(LEAVES[100:])
    with pytest.raises(ValueError, match="32 bytes"):
        log.extended([b"short"])
    assert (log.size, log.root()) == (100, root)


def test_no_leaves_change_nothing() -> None:
    log, _ = logged(LEAVES[:257])
    assert log.extended([]) == (log, {})


def test_a_short_tile_is_noticed() -> None:
    _, tiles = logged(LEAVES)
    for broken in (lambda level, index: tiles(level, index)[:-1], lambda *_tile: b""):
        with pytest.raises(ValueError, match="too short"):
            Log.load(len(LEAVES), broken)
        with pytest.raises(ValueError, match="too short"):
            inclusion_proof(0, len(LEAVES), broken)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_no_inclusion_proof_beyond_the_log(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="index below the size"):
        inclusion_proof(index, size, logged(LEAVES)[1])
    assert not verify_inclusion(LEAVES[0], index, size, [], naive_root(LEAVES[:size]))


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_no_consistency_proof_backwards(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="not below it"):
        consistency_proof(old, new, logged(LEAVES)[1])
    assert not verify_consistency(old, LEAVES[0], new, naive_root(LEAVES[:5]), [])


def test_empty_and_equal_logs() -> None:
    nothing, root = sha256().digest(), naive_root(LEAVES)
    assert Log().root() == nothing
    assert verify_consistency(0, nothing, 0, nothing, [])
    assert verify_consistency(0, nothing, 300, root, [])
    assert verify_consistency(300, root, 300, root, [])
    assert not verify_consistency(0, root, 300, root, [])
    assert not verify_consistency(300, root, 300, nothing, [])
    assert not verify_consistency(300, root, 300, root, [root])
    assert not verify_consistency(3, root, 300, root, [])


def test_false_proofs_are_refused() -> None:
    rng = random.Random(6962)
    _, tiles = logged(LEAVES)
    for _ in range(rounds(200, 5000)):
        size = rng.randint(2, len(LEAVES))
        index, old = rng.randrange(size), rng.randint(1, size - 1)
        root, before = root_at(size, tiles), root_at(old, tiles)
        path, link = inclusion_proof(index, size, tiles), consistency_proof(old, size, tiles)
        for wrong in falsified(rng, path):
            assert not verify_inclusion(LEAVES[index], index, size, wrong, root)
        for wrong in falsified(rng, link):
            assert not verify_consistency(old, before, size, root, wrong)
        assert not verify_inclusion(LEAVES[index - 1], index, size, path, root)
        assert not verify_inclusion(LEAVES[index], index ^ 1, size, path, root)
        assert not verify_consistency(old, LEAVES[0] if old > 1 else root, size, root, link)
        assert not verify_consistency(old, before, size, before, link)


def falsified(rng: random.Random, path: list[bytes]) -> list[list[bytes]]:
    """Shorten, lengthen, reorder and alter a proof."""
    at = rng.randrange(len(path))
    flipped = bytes((path[at][0] ^ 1, *path[at][1:]))
    found = [path[:-1], path[1:], [*path, path[0]], [*path[:at], flipped, *path[at + 1 :]]]
    return found if len(path) == 1 else [*found, path[::-1]]
