"""Hold the state's sparse Merkle tree in memory and answer for its last blocks.

The tree is the one of the ICS23 SmtSpec: leaf = H(00 | H(key) | H(value)), inner = H(01 | left | right), an empty child
is 32 zero bytes, and a subtree with one leaf is that leaf. H is SHA-256; the value of a key is H(record).
The leaves are the truth and are kept elsewhere; the tree follows from them. The first bits of H(key) choose one of 1024
shards. A shard is a dense binary heap over small sorted buckets of rows (key hash | leaf hash); one more heap joins the
shards. A heap keeps the two children of a node as the 65 bytes that are hashed: 01 | left | right.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from itertools import pairwise
from struct import Struct
from typing import Self

EMPTY = bytes(32)
SHARD_BITS = 10  # more make updates slower, fewer make older heights slower
DEPTH_MAX = 12  # of a heap: with 4096 buckets a shard stops doubling and its buckets grow
BUCKET_ROWS = 2  # a shard doubles above this many rows for each bucket
ROW = 64
PAIR = 65

# Where node i stands in its heap, and where the pair of its children stands. Slices made beforehand save a sixth of
# an update. Node 1, the root, stands in the pair of node 0, which is never hashed.
_NODE = [slice(PAIR * (i >> 1) + 1 + 32 * (i & 1), PAIR * (i >> 1) + 33 + 32 * (i & 1)) for i in range(2 << DEPTH_MAX)]
_CHILDREN = [slice(PAIR * i, PAIR * i + PAIR) for i in range(1 << DEPTH_MAX)]
_SHARD_BEFORE = Struct(">HB32s")


def _prefix(key_hash: bytes, bits: int) -> int:
    """Return the first bits of a key hash."""
    return int.from_bytes(key_hash[:4], "big") >> 32 - bits


def _index_at(undo: bytes, bits: int, at: int) -> int:
    """Return the shard of the key hash at an offset of an undo."""
    return _prefix(undo[at : at + 4], bits)


def _rows_offset(undo: bytes) -> int:
    """Return where the rows of keys begin in an undo, after its shards."""
    return 2 + _SHARD_BEFORE.size * int.from_bytes(undo[:2], "big")


def touches(undo: bytes, key_hash: bytes) -> bool:
    """Tell whether an undo holds a key hash: whether its block wrote that key."""
    rows = range(_rows_offset(undo), len(undo), ROW)
    place = bisect_left(rows, key_hash, key=lambda at: undo[at : at + 32])
    return place < len(rows) and undo[rows[place] : rows[place] + 32] == key_hash


def entry(key: bytes, record: bytes) -> tuple[bytes, bytes]:
    """Return the key hash and the leaf hash of a record; its value in the tree is SHA-256(record)."""
    key_hash = sha256(key).digest()
    value = sha256(record).digest()
    return key_hash, sha256(b"\0" + key_hash + sha256(value).digest()).digest()


def _find(rows: bytes, key_hash: bytes) -> tuple[int, bool]:
    """Return the offset where a key hash is or belongs among sorted rows, and whether it is there."""
    for at in range(0, len(rows), ROW):
        if rows[at : at + 32] >= key_hash:
            return at, rows[at : at + 32] == key_hash
    return len(rows), False


def _middle(rows: bytes, depth: int) -> int:
    """Return the offset of the first of these sorted rows whose bit at `depth` is set."""
    byte, mask = depth >> 3, 128 >> (depth & 7)
    at = 0
    while at < len(rows) and not rows[at + byte] & mask:
        at += ROW
    return at


def _subtree(rows: bytes, depth: int) -> bytes:
    """Hash the subtree at `depth` that holds these sorted rows."""
    if len(rows) <= ROW:
        return rows[32:] or EMPTY
    at = _middle(rows, depth)
    return sha256(b"\1" + _subtree(rows[:at], depth + 1) + _subtree(rows[at:], depth + 1)).digest()


def _subtree_path(rows: bytes, key_hash: bytes, depth: int) -> list[bytes]:
    """List the siblings of a leaf among sorted rows, up to `depth`."""
    if len(rows) == ROW:
        return []
    at = _middle(rows, depth)
    own, other = (rows[:at], rows[at:]) if _find(rows, key_hash)[0] < at else (rows[at:], rows[:at])
    return [*_subtree_path(own, key_hash, depth + 1), _subtree(other, depth + 1)]


class _Heap:
    """A perfect binary tree of nodes 1 (root) to 2 ** (depth + 1) - 1; a node's kind is its leaves: 0, 1, 2 or more."""

    __slots__ = ("depth", "first", "kinds", "pairs", "root")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.first = 1 << depth  # the first slot
        self.kinds = bytearray(2 << depth)
        self.pairs = memoryview(bytearray((b"\1" + bytes(64)) * (1 << depth)))
        self.root = (0, EMPTY)  # kind and hash

    def copy(self) -> Self:
        heap = type(self)(self.depth)
        heap.kinds[:], heap.pairs[:], heap.root = self.kinds, self.pairs, self.root
        return heap

    def climb(self, i: int, kind: int, node: bytes, following: int) -> None:
        """Write node i and hash what stands above it, up to where the path of the node written next joins (0: none).

        Called for ascending nodes of one level, this hashes every node above them once.
        """
        kinds, pairs, place, children, digest = self.kinds, self.pairs, _NODE, _CHILDREN, sha256
        levels = (i ^ following).bit_length() - 1
        kinds[i] = kind
        pairs[place[i]] = node
        while kind < 2 and levels:
            other = kinds[i ^ 1]
            if other and not kind:
                node = pairs[place[i ^ 1]].tobytes()
            kind += other
            i >>= 1
            if kind > 1:
                kind = 2
                node = digest(pairs[children[i]]).digest()
            kinds[i] = kind
            pairs[place[i]] = node
            levels -= 1
        for _ in range(levels):
            i >>= 1
            kinds[i] = 2
            pairs[place[i]] = node = digest(pairs[children[i]]).digest()
        if not following:
            self.root = kind, node

    def extend(self, path: list[bytes], i: int) -> None:
        """Extend a path by the siblings from node i up to the root; a lone leaf passes empty siblings."""
        while i > 1:
            if path or self.kinds[i ^ 1]:
                path.append(bytes(self.pairs[_NODE[i ^ 1]]))
            i >>= 1


class _Shard:
    """The leaves that share the first `base` bits of their key hash."""

    __slots__ = ("base", "buckets", "heap", "shift", "size")

    def __init__(self, base: int, rows: bytes) -> None:
        self.base = base
        self._fill(rows)

    def _fill(self, rows: bytes) -> None:
        """Spread sorted rows over as many buckets as their number asks for."""
        self.size = len(rows) // ROW
        depth = min(DEPTH_MAX, max(0, (self.size - 1) // BUCKET_ROWS).bit_length())
        self.heap = _Heap(depth)
        self.shift = 32 - self.base - depth
        self.buckets = [b""] * (1 << depth)
        ends: dict[int, int] = {}
        for at in range(0, len(rows), ROW):
            ends[self.slot(rows[at : at + 4])] = at + ROW
        start = 0
        for b, end in ends.items():
            self.buckets[b] = rows[start:end]
            start = end
        self._settle([self.heap.first + b for b in ends])

    def rows(self) -> bytes:
        """Return all rows, sorted."""
        return b"".join(self.buckets)

    def slot(self, key_hash: bytes) -> int:
        """Choose the bucket of a key hash."""
        return int.from_bytes(key_hash[:4], "big") >> self.shift & self.heap.first - 1

    def _settle(self, touched: list[int]) -> None:
        """Hash again what stands above these slots, which ascend."""
        buckets, climb, first, depth = self.buckets, self.heap.climb, self.heap.first, 32 - self.shift
        for i, following in pairwise([*touched, 0]):
            rows = buckets[i - first]
            size = len(rows)
            if size == ROW:
                climb(i, 1, rows[32:], following)
            elif size:
                climb(i, 2, _subtree(rows, depth), following)
            else:
                climb(i, 0, EMPTY, following)

    def update(self, key_hashes: list[bytes], leaves: dict[bytes, bytes | None], undo: list[bytes]) -> None:
        """Set the leaves of these sorted key hashes; append each one's row as it was to the undo."""
        buckets, shift, first = self.buckets, self.shift, self.heap.first
        touched: list[int] = []
        last, size = -1, self.size
        for key_hash in key_hashes:
            b = int.from_bytes(key_hash[:4], "big") >> shift & first - 1
            if b != last:
                touched.append(first + b)
                last = b
            rows, leaf = buckets[b], leaves[key_hash]
            row = key_hash + leaf if leaf else b""
            at, found = (0, True) if rows[:32] == key_hash else _find(rows, key_hash)
            if found:
                undo.append(rows[at : at + ROW])
                buckets[b] = row if len(rows) == ROW else rows[:at] + row + rows[at + ROW :]
            else:
                undo.append(key_hash + EMPTY)
                buckets[b] = rows[:at] + row + rows[at:] if rows else row
            size += (leaf is not None) - found
        self.size = size
        if size > BUCKET_ROWS * len(buckets) and self.heap.depth < DEPTH_MAX:
            self._fill(self.rows())
        else:
            self._settle(touched)


class View:
    """Read the tree at one height; a view of an older height holds until the next update of the tree."""

    __slots__ = ("_shard", "_top")

    def __init__(self, top: _Heap, shard: Callable[[int], _Shard]) -> None:
        """Take the heap above the shards and a way to reach one shard."""
        self._top = top
        self._shard = shard

    @property
    def root(self) -> bytes:
        """Return the 32 bytes that commit to the whole state; 32 zero bytes when it is empty."""
        return self._top.root[1]

    def get(self, key_hash: bytes) -> bytes | None:
        """Return the leaf hash of a key hash, or None when it is absent."""
        shard = self._shard(_prefix(key_hash, self._top.depth))
        rows = shard.buckets[shard.slot(key_hash)]
        at, found = _find(rows, key_hash)
        return rows[at + 32 : at + ROW] if found else None

    def path(self, key_hash: bytes) -> list[bytes]:
        """List the siblings from a leaf up to the root; the last one hangs from the first bit of the key hash."""
        index = _prefix(key_hash, self._top.depth)
        shard = self._shard(index)
        b = shard.slot(key_hash)
        rows = shard.buckets[b]
        if not _find(rows, key_hash)[1]:
            raise KeyError(key_hash)
        path = _subtree_path(rows, key_hash, 32 - shard.shift)
        shard.heap.extend(path, shard.heap.first + b)
        self._top.extend(path, self._top.first + index)
        return path

    def neighbours(self, key_hash: bytes) -> tuple[bytes | None, bytes | None]:
        """Return the nearest key hashes below and above one, whether or not it is there itself."""
        index = _prefix(key_hash, self._top.depth)
        rows = self._shard(index).rows()
        below = bisect_left(range(0, len(rows), ROW), key_hash, key=lambda at: rows[at : at + 32]) * ROW
        above = below + ROW if rows[below : below + 32] == key_hash else below
        left = rows[below - ROW : below - 32] if below else self._edge(range(index - 1, -1, -1))[-ROW:-32]
        right = rows[above : above + 32] or self._edge(range(index + 1, self._top.first))[:32]
        return left or None, right or None

    def _edge(self, indexes: range) -> bytes:
        """Return the rows of the first of these shards that has any."""
        for index in indexes:
            if self._top.kinds[self._top.first + index]:
                return self._shard(index).rows()
        return b""


class StateTree:
    """The state's tree at the latest height; `latest` reads it, `at` reads it as it was some blocks before."""

    __slots__ = ("_shards", "_top", "latest")

    def __init__(self, shard_bits: int = SHARD_BITS) -> None:
        """Make an empty tree; only tests choose another number of shards."""
        self._top = _Heap(shard_bits)
        self._shards = [_Shard(shard_bits, b"") for _ in range(1 << shard_bits)]
        self.latest = View(self._top, self._shards.__getitem__)

    @classmethod
    def build(cls, entries: Iterable[tuple[bytes, bytes]], shard_bits: int = SHARD_BITS) -> Self:
        """Build the tree from (key hash, leaf hash) in any order, each key hash once."""
        tree = cls(shard_bits)
        heaps = [bytearray() for _ in tree._shards]
        size, shift = len(EMPTY), 32 - shard_bits
        for key_hash, leaf in entries:  # a restart goes through every record here, so nothing is called twice
            if len(key_hash) != size or len(leaf) != size:
                raise ValueError("a key hash and a leaf hash are 32 bytes each")
            heaps[int.from_bytes(key_hash[:4], "big") >> shift] += key_hash + leaf
        for index, heap in enumerate(heaps):
            data = bytes(heap)
            heap.clear()
            rows = sorted([data[at : at + ROW] for at in range(0, len(data), ROW)])
            if len({row[:size] for row in rows}) != len(rows):
                raise ValueError("a key hash occurs twice")
            if rows:
                tree._shards[index] = _Shard(shard_bits, b"".join(rows))
        tree._settle([index for index, shard in enumerate(tree._shards) if shard.size])
        return tree

    @property
    def root(self) -> bytes:
        """Return the root at the latest height."""
        return self.latest.root

    def __len__(self) -> int:
        """Count the leaves."""
        return sum(shard.size for shard in self._shards)

    def update(self, changes: Iterable[tuple[bytes, bytes | None]]) -> bytes:
        """Set or remove (None) leaves by key hash, each at most once; return the undo, which `at` reads.

        The undo holds the number of shards touched (2 bytes); index, kind and hash of each one as it was (35 bytes);
        then, sorted, each key hash with the leaf hash that it had, or EMPTY (64 bytes). A bad argument raises
        ValueError and changes nothing.
        """
        given = list(changes)
        leaves = dict(given)
        if len(leaves) != len(given):
            raise ValueError("a key hash is changed twice")
        if {*map(len, leaves), *(len(leaf) for leaf in leaves.values() if leaf is not None)} - {len(EMPTY)}:
            raise ValueError("a key hash and a leaf hash are 32 bytes each")
        shift = 32 - self._top.depth
        groups: dict[int, list[bytes]] = {}
        group: list[bytes] = []
        last = -1
        for key_hash in sorted(leaves):
            index = int.from_bytes(key_hash[:4], "big") >> shift
            if index != last:
                last, group = index, []
                groups[index] = group
            group.append(key_hash)
        before = [len(groups).to_bytes(2, "big")]
        rows: list[bytes] = []
        for index, group in groups.items():
            shard = self._shards[index]
            before.append(_SHARD_BEFORE.pack(index, *shard.heap.root))
            shard.update(group, leaves, rows)
        self._settle(list(groups))
        return b"".join(before + rows)

    def _settle(self, touched: list[int]) -> None:
        """Hash again what stands above these shards, which ascend."""
        first = self._top.first
        for i, following in pairwise([*(first + index for index in touched), 0]):
            self._top.climb(i, *self._shards[i - first].heap.root, following)

    def at(self, undos: Iterable[bytes]) -> View:
        """View the tree as it was before the blocks whose undos these are, newest first.

        Reading a shard that does not come out with the hash it had raises ValueError.
        """
        oldest_first = list(undos)[::-1]
        top = self._top.copy()
        before: dict[int, tuple[int, bytes]] = {}
        for undo in oldest_first:
            for index, kind, node in _SHARD_BEFORE.iter_unpack(undo[2 : _rows_offset(undo)]):
                if top.first + index not in before:
                    before[top.first + index] = (kind, node)
            if len(before) == top.first:
                break
        for i, following in pairwise([*sorted(before), 0]):
            top.climb(i, *before[i], following)
        restored: dict[int, _Shard] = {}

        def shard(index: int) -> _Shard:
            if top.first + index not in before:
                return self._shards[index]
            if index not in restored:
                old = self._restore(index, oldest_first)
                if old.heap.root != before[top.first + index]:
                    raise ValueError(f"the undo of shard {index} does not lead back to its hash")
                restored[index] = old
            return restored[index]

        return View(top, shard)

    def _restore(self, index: int, oldest_first: list[bytes]) -> _Shard:
        """Rebuild a shard as it was before the first of these undos."""
        depth = self._top.depth
        rows = self._shards[index].rows()
        leaves = {rows[at : at + 32]: rows[at + 32 : at + ROW] for at in range(0, len(rows), ROW)}
        for undo in reversed(oldest_first):
            offsets = range(_rows_offset(undo), len(undo), ROW)
            for at in offsets[bisect_left(offsets, index, key=partial(_index_at, undo, depth)) :]:
                if _index_at(undo, depth, at) != index:
                    break
                leaves[undo[at : at + 32]] = undo[at + 32 : at + ROW]
        return _Shard(depth, b"".join(k + leaves[k] for k in sorted(leaves) if leaves[k] != EMPTY))
