"""The append-only log: an RFC 9162 Merkle tree of receipts and headers, kept in tiles.

A tile (level, index) holds up to 256 hashes of 32 bytes, as in C2SP tlog-tiles: level 0 the leaf hashes, each level
above it the roots of the full tiles below. Tiles only grow, so today's tiles also answer for every smaller size.
Hashing and proofs follow RFC 9162, section 2.1, with SHA-256.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Self

import msgspec

HASH_BYTES = 32
TILE_BYTES = 256 * HASH_BYTES

# Answers the tile (level, index) as it stands now: at least as many hashes as the size asked about has in it.
Tiles = Callable[[int, int], bytes]


class Log(msgspec.Struct, frozen=True):
    """Hold what appending needs: the size and, of every level, the last tile while it is not full.

    A log is a value: `extended` makes a new one, so a block that fails leaves the old one as it was.
    """

    size: int = 0
    tails: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, size: int, tiles: Tiles) -> Self:
        """Open the log of `size` leaves from its stored tiles; ValueError when a tile is too short."""
        tails: list[bytes] = []
        while size >> 8 * len(tails):
            index, count = divmod(size >> 8 * len(tails), 256)
            tails.append(_read(tiles, len(tails), index << 8, count) if count else b"")
        return cls(size, tuple(tails))

    def root(self) -> bytes:
        """Answer the root hash (32 bytes) of the whole log."""
        return root_at(self.size, lambda level, _index: self.tails[level])

    def extended(self, leaf_hashes: Sequence[bytes]) -> tuple[Self, dict[tuple[int, int], bytes]]:
        """Append leaf hashes; answer the longer log and every tile that is new or has grown, each in full."""
        size, fresh = self.size + len(leaf_hashes), b"".join(leaf_hashes)
        _require(len(fresh) == HASH_BYTES * len(leaf_hashes), "a leaf hash has 32 bytes")
        tails: list[bytes] = []
        changed: dict[tuple[int, int], bytes] = {}
        while size >> 8 * len(tails):
            level = len(tails)
            data = self.tails[level] + fresh if level < len(self.tails) else fresh
            tiles = [data[cut : cut + TILE_BYTES] for cut in range(0, len(data), TILE_BYTES)] if fresh else []
            first = self.size >> 8 * (level + 1)
            changed.update(((level, index), tile) for index, tile in enumerate(tiles, first))
            fresh = b"".join([_fold(tile) for tile in tiles if len(tile) == TILE_BYTES])
            tails.append(data[len(fresh) // HASH_BYTES * TILE_BYTES :])
        return type(self)(size, tuple(tails)), changed


def leaf_hash(leaf: bytes) -> bytes:
    """Hash a leaf; the prefix 0x00 keeps it apart from a node."""
    return sha256(b"\0" + leaf).digest()


def root_at(size: int, tiles: Tiles) -> bytes:
    """Answer the root hash that the log had at `size` leaves."""
    return _subtree(0, size, tiles) if size else sha256().digest()


def inclusion_proof(index: int, size: int, tiles: Tiles) -> list[bytes]:
    """Prove that a leaf is at `index` in the log of `size` leaves (RFC 9162, section 2.1.3.1)."""
    _require(0 <= index < size, "a proof of inclusion needs an index below the size")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = _middle(low, high)
        if index < middle:
            path.append(_subtree(middle, high, tiles))
            high = middle
        else:
            path.append(_subtree(low, middle, tiles))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, tiles: Tiles) -> list[bytes]:
    """Prove that the log of `new` leaves begins with the log of `old` leaves (RFC 9162, section 2.1.4.1)."""
    _require(0 <= old <= new, "a proof of consistency leads from a size to one not below it")
    path: list[bytes] = []
    low, high = 0, new
    while 0 < old < high:
        middle = _middle(low, high)
        if old <= middle:
            path.append(_subtree(middle, high, tiles))
            high = middle
        else:
            path.append(_subtree(low, middle, tiles))
            low = middle
    if low:
        path.append(_subtree(low, high, tiles))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Check that the leaf with the hash `leaf` is at `index` under `root` (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    sides = _sides(index, size - 1)
    if len(path) != len(sides):
        return False
    node = leaf
    for on_left, sibling in zip(sides, path, strict=True):
        node = _node(sibling, node) if on_left else _node(node, sibling)
    return node == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Check that the log of `new` leaves begins with the log of `old` leaves (RFC 9162, section 2.1.4.2)."""
    if old == new:
        return not path and old_root == new_root
    if not 0 < old < new:
        return old == 0 < new and not path and old_root == sha256().digest()
    full = (old & -old).bit_length() - 1  # the last whole subtree of the old log has 2^full leaves
    nodes = [old_root, *path] if old == 1 << full else path
    sides = _sides((old - 1) >> full, (new - 1) >> full)
    if len(nodes) != len(sides) + 1:
        return False
    before = after = nodes[0]
    for on_left, sibling in zip(sides, nodes[1:], strict=True):
        before = _node(sibling, before) if on_left else before
        after = _node(sibling, after) if on_left else _node(after, sibling)
    return before == old_root and after == new_root


def _sides(index: int, last: int) -> list[bool]:
    """Say of each sibling on the way up from `index`, in a tree whose last leaf is `last`, whether it is on the left.

    Below the height where the two ways meet, the bits of the index say it; above, only left siblings are left.
    """
    meet = (index ^ last).bit_length()
    return [bool(index >> height & 1) for height in range(meet)] + [True] * (index >> meet).bit_count()


def _middle(low: int, high: int) -> int:
    """Split at the largest power of two below the number of leaves."""
    return low + (1 << (high - low - 1).bit_length() - 1)


def _subtree(low: int, high: int, tiles: Tiles) -> bytes:
    """Hash the leaves from `low` up to `high`; `low` is where a whole subtree of that length may begin."""
    nodes: list[bytes] = []
    while low < high:
        height = (high - low).bit_length() - 1
        level, inside = divmod(height, 8)
        nodes.append(_fold(_read(tiles, level, low >> height << inside, 1 << inside)))
        low += 1 << height
    while len(nodes) > 1:
        right = nodes.pop()
        nodes[-1] = _node(nodes[-1], right)
    return nodes[0]


def _read(tiles: Tiles, level: int, position: int, count: int) -> bytes:
    """Read `count` hashes of a level from `position`; they lie in one tile."""
    index, first = divmod(position, 256)
    data = tiles(level, index)[first * HASH_BYTES : (first + count) * HASH_BYTES]
    _require(len(data) == count * HASH_BYTES, f"the log's tile {level}/{index} is too short")
    return data


def _fold(data: bytes) -> bytes:
    """Hash 2^n concatenated hashes up to their root."""
    while len(data) > HASH_BYTES:
        cuts = range(0, len(data), 2 * HASH_BYTES)
        data = b"".join([sha256(b"\1" + data[cut : cut + 2 * HASH_BYTES]).digest() for cut in cuts])
    return data


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def _require(holds: object, message: str) -> None:
    if not holds:
        raise ValueError(message)
