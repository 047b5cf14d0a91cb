"""The state tree against its definition: roots, undo, views, paths, neighbours."""

import random
from hashlib import sha256

import pytest

from metrobloc.kernel.tree import EMPTY, StateTree, View, entry
from tests.support import rounds

Leaves = dict[bytes, bytes]
Changes = dict[bytes, bytes | None]


def bit(key_hash: bytes, depth: int) -> int:
    return key_hash[depth >> 3] >> (7 - (depth & 7)) & 1


def defined_root(leaves: Leaves, depth: int = 0) -> bytes:
    """Hash a tree as the SmtSpec defines it, without any cleverness."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return next(iter(leaves.values()))
    left = {key: leaf for key, leaf in leaves.items() if not bit(key, depth)}
    right = {key: leaf for key, leaf in leaves.items() if bit(key, depth)}
    return sha256(b"\1" + defined_root(left, depth + 1) + defined_root(right, depth + 1)).digest()


def climb(key_hash: bytes, node: bytes, path: list[bytes]) -> bytes:
    """Hash a leaf up its path."""
    for depth, sibling in zip(reversed(range(len(path))), path, strict=True):
        node = sha256(b"\1" + (sibling + node if bit(key_hash, depth) else node + sibling)).digest()
    return node


def some_key(rng: random.Random) -> bytes:
    """Draw a key hash; most of them crowd together, some down to the last bits."""
    return (rng.choice([b"", b"\0", b"\xff" * 31, b"\x80" + bytes(29)]) + rng.randbytes(32))[:32]


def some_changes(rng: random.Random, leaves: Leaves, most: int) -> Changes:
    """Draw inserts, updates and deletes, some of keys that are not there."""
    known = sorted(leaves)
    changes: Changes = {}
    for _ in range(rng.randint(0, most)):
        key = rng.choice(known) if known and rng.random() < 0.6 else some_key(rng)
        changes[key] = None if rng.random() < 0.4 else rng.randbytes(32)
    return changes


def apply(leaves: Leaves, changes: Changes) -> None:
    for key, leaf in changes.items():
        if leaf is None:
            leaves.pop(key, None)
        else:
            leaves[key] = leaf


def check_view(view: View, leaves: Leaves, rng: random.Random) -> None:
    """Compare what a view says with the leaves it should hold."""
    assert view.root == defined_root(leaves)
    known = sorted(leaves)
    for key in rng.sample(known, min(4, len(known))):
        at = known.index(key)
        assert view.get(key) == leaves[key]
        assert climb(key, leaves[key], view.path(key)) == view.root
        assert view.neighbours(key) == (known[at - 1] if at else None, (*known, None)[at + 1])
    absent = some_key(rng)
    if absent not in leaves:
        assert view.get(absent) is None
        below, above = [key for key in known if key < absent], [key for key in known if key > absent]
        assert view.neighbours(absent) == (below[-1] if below else None, above[0] if above else None)
        with pytest.raises(KeyError):
            view.path(absent)


@pytest.mark.parametrize("shard_bits", [0, 1, 4, 10, 12])
def test_every_block_gives_the_root_of_the_definition(shard_bits: int) -> None:
    for seed in range(rounds(10, 300)):
        rng = random.Random(seed)
        tree, leaves = StateTree(shard_bits), Leaves()
        for _ in range(25):
            changes = some_changes(rng, leaves, rng.choice([1, 5, 60]))
            tree.update(changes.items())
            apply(leaves, changes)
            assert len(tree) == len(leaves)
            check_view(tree.latest, leaves, rng)


def test_roots_do_not_depend_on_order_or_history() -> None:
    rng = random.Random(7)
    rows = [(rng.randbytes(32), rng.randbytes(32)) for _ in range(5000)]
    built = StateTree.build(iter(rows))
    grown = StateTree()
    extra = [(rng.randbytes(32), rng.randbytes(32)) for _ in range(3000)]
    rng.shuffle(rows)
    for start in range(0, 5000, 500):
        grown.update(rows[start : start + 500] + extra[start : start + 300])
    grown.update((key, None) for key, _ in extra)
    assert built.root == grown.root == StateTree.build(rows, shard_bits=3).root == defined_root(dict(rows))
    assert len(built) == len(grown) == 5000


@pytest.mark.parametrize(("shard_bits", "most"), [(10, 3), (10, 40), (0, 3), (2, 40)])
def test_a_view_of_each_of_the_last_128_blocks_is_the_tree_as_it_was(shard_bits: int, most: int) -> None:
    rng = random.Random(most)
    tree, leaves = StateTree(shard_bits), Leaves()
    undos: list[bytes] = []
    history: list[Leaves] = []
    for _ in range(140):
        history.insert(0, dict(leaves))
        changes = some_changes(rng, leaves, most) if rng.random() < 0.95 else dict.fromkeys(leaves, None)
        undos.insert(0, tree.update(changes.items()))
        apply(leaves, changes)
    for back in range(1, 129):
        check_view(tree.at(undos[:back]), history[back - 1], rng)
    check_view(tree.at([]), leaves, rng)
    check_view(tree.latest, leaves, rng)


def test_a_view_survives_shards_that_grew_in_between() -> None:
    rng = random.Random(3)
    leaves = {rng.randbytes(32): rng.randbytes(32) for _ in range(300)}
    tree = StateTree.build(leaves.items(), shard_bits=2)
    undos = [tree.update((rng.randbytes(32), rng.randbytes(32)) for _ in range(2000)) for _ in range(3)]
    check_view(tree.at(reversed(undos)), leaves, rng)


def test_an_undo_that_was_tampered_with_is_noticed() -> None:
    rng = random.Random(4)
    rows = [(rng.randbytes(32), rng.randbytes(32)) for _ in range(100)]
    tree = StateTree.build(rows)
    undo = tree.update([(rows[0][0], rng.randbytes(32))])
    assert tree.at([undo]).get(rows[0][0]) == rows[0][1]
    forged = undo[:-1] + bytes([undo[-1] ^ 1])
    with pytest.raises(ValueError, match="does not lead back"):
        tree.at([forged]).get(rows[0][0])


def test_an_empty_tree_and_a_lone_leaf() -> None:
    tree = StateTree()
    key, leaf = entry(b"city/name", b'"Metropolis"')
    assert tree.root == StateTree.build([]).root == EMPTY
    assert tree.latest.get(key) is None
    assert tree.latest.neighbours(key) == (None, None)
    undo = tree.update([(key, leaf)])
    assert tree.root == tree.latest.get(key) == leaf
    assert tree.latest.path(key) == []
    assert tree.at([undo]).root == EMPTY
    tree.update([(key, None)])
    assert tree.root == EMPTY
    assert len(tree) == 0


def test_a_leaf_commits_to_the_hash_of_its_record() -> None:
    key_hash, leaf = entry(b"key", b"record")
    value = sha256(b"record").digest()
    assert key_hash == sha256(b"key").digest()
    assert leaf == sha256(b"\0" + key_hash + sha256(value).digest()).digest()


@pytest.mark.parametrize("shared_bits", [1, 12, 31, 32, 33, 200, 255])
def test_ground_keys_cost_one_hash_for_each_shared_bit(shared_bits: int) -> None:
    rng = random.Random(shared_bits)
    number = rng.getrandbits(256)
    twins = [(number ^ x << (255 - shared_bits)).to_bytes(32, "big") for x in (0, 1)]
    leaves = {key: rng.randbytes(32) for key in twins}
    tree = StateTree.build(leaves.items())
    assert tree.root == defined_root(leaves)
    assert [len(tree.latest.path(key)) for key in twins] == [shared_bits + 1] * 2
    for key in twins:
        assert climb(key, leaves[key], tree.latest.path(key)) == tree.root
    crowd = {twins[0][:20] + rng.randbytes(12): rng.randbytes(32) for _ in range(500)}
    tree.update(crowd.items())
    assert tree.root == defined_root(leaves | crowd)


def test_a_bad_argument_changes_nothing() -> None:
    rng = random.Random(5)
    rows = [(rng.randbytes(32), rng.randbytes(32)) for _ in range(50)]
    tree = StateTree.build(rows)
    root = tree.root
    good = (rng.randbytes(32), rng.randbytes(32))
    bad_changes: list[list[tuple[bytes, bytes | None]]] = [
        [good, good],
        [good, (b"short", good[1])],
        [good, (rows[0][0], b"")],
        [(b"", None), good],
    ]
    for bad in bad_changes:
        with pytest.raises(ValueError, match="a key hash"):
            tree.update(bad)
        assert tree.root == root
        assert tree.latest.get(good[0]) is None
    for bad_rows in [[good, good], [good, (b"short", good[1])], [good, (rows[0][0], b"")]]:
        with pytest.raises(ValueError, match="a key hash"):
            StateTree.build(bad_rows)


def test_a_key_hash_that_appears_across_two_rows_is_not_taken_for_one() -> None:
    low, leaf = bytes(31) + b"\1", bytes(16) + b"\2" * 16
    across = low[16:] + leaf[:16]
    tree = StateTree.build([(low, leaf)])
    assert tree.latest.get(across) is None
    tree.update([(across, leaf)])
    assert tree.root == defined_root({low: leaf, across: leaf})
