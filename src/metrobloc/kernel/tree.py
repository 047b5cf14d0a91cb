"""Hold the state's sparse Merkle tree in memory and answer for its last blocks.

The tree is the one of the ICS23 SmtSpec: leaf = H(00 | H(key) | H(value)), inner = H(01 | left | right), an empty child
is 32 zero bytes, and a subtree with one leaf is that leaf. H is SHA-256; the value of a key is H(record).
The leaves are the truth and are kept elsewhere; the tree follows from them. The first 12 bits of H(key) choose one of
4096 shards. A shard is a dense binary heap over small sorted buckets of rows (key hash | leaf hash); one more heap
joins the shards. A heap keeps the two children of a node as the 65 bytes that are hashed: 01 | left | right.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from hashlib import sha256
from itertools import pairwise
from struct import Struct
from typing import Self

EMPTY = bytes(32)
SHARD_BITS = 12
DEPTH_MAX = 12  # of a heap: at 4096 buckets a shard stops doubling and its buckets grow
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


def _rows_offset(undo: bytes) -> int:
    """Return where the rows of keys begin in an undo, after its shards."""
    return 2 + _SHARD_BEFORE.size * int.from_bytes(undo[:2], "big")


def leaf_hash(key_hash: bytes, value_hash: bytes) -> bytes:
    """Hash a leaf as the SmtSpec does."""
    return sha256(b"\0" + key_hash + value_hash).digest()


def entry(key: bytes, record: bytes) -> tuple[bytes, bytes]:
    """Return the key hash and the leaf hash of a record; its value in the tree is SHA-256(record)."""
    key_hash = sha256(key).digest()
    value = sha256(record).digest()
    return key_hash, sha256(b"\0" + key_hash + sha256(value).digest()).digest()


def _split(rows: bytes) -> tuple[int, int]:
    """Return the first bit in which sorted rows differ, and the offset of the first row that has it set."""
    difference = int.from_bytes(rows[:32], "big") ^ int.from_bytes(rows[-ROW:-32], "big")
    bit = 256 - difference.bit_length()
    byte, mask = bit >> 3, 128 >> (bit & 7)
    at = ROW
    while not rows[at + byte] & mask:
        at += ROW
    return bit, at


def _pad(node: bytes, key_hash: bytes, below: int, depth: int) -> bytes:
    """Hash a node at depth `below` up to `depth` beside empty siblings."""
    bits = int.from_bytes(key_hash, "big") >> (256 - below)
    for _ in range(below - depth):
        node = sha256(b"\1" + EMPTY + node if bits & 1 else b"\1" + node + EMPTY).digest()
        bits >>= 1
    return node


def _subtree(rows: bytes, depth: int) -> bytes:
    """Hash the subtree at `depth` that holds these sorted rows (one or more)."""
    if len(rows) == ROW:
        return rows[32:]
    bit, at = _split(rows)
    left = rows[32:ROW] if at == ROW else _subtree(rows[:at], bit + 1)
    right = rows[at + 32 :] if at + ROW == len(rows) else _subtree(rows[at:], bit + 1)
    node = sha256(b"\1" + left + right).digest()
    return node if bit == depth else _pad(node, rows[:32], bit, depth)


def _subtree_path(rows: bytes, key_hash: bytes, depth: int) -> list[bytes]:
    """List the siblings from a leaf among sorted rows up to `depth`."""
    if len(rows) == ROW:
        return []
    bit, at = _split(rows)
    left, right = rows[:at], rows[at:]
    own, other = (left, right) if key_hash < right[:32] else (right, left)
    return [*_subtree_path(own, key_hash, bit + 1), _subtree(other, bit + 1), *([EMPTY] * (bit - depth))]


def _find(rows: bytes, key_hash: bytes) -> tuple[int, bool]:
    """Return the offset where a key hash is or belongs among sorted rows, and whether it is there."""
    at = rows.find(key_hash)
    if at % ROW == 0:
        return at, True
    at = 0
    while rows[at : at + 32] < key_hash and at < len(rows):
        at += ROW
    return at, rows[at : at + 32] == key_hash


class _Heap:
    """A perfect binary tree of nodes 1 (root) to 2 ** (depth + 1) - 1; a node's kind is its leaves: 0, 1, 2 or more."""

    __slots__ = ("depth", "first", "kinds", "pairs", "root")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.first = 1 << depth  # the first slot
        self.kinds = bytearray(2 << depth)
        self.kinds[0] = 2
        self.pairs = memoryview(bytearray((b"\1" + bytes(64)) * (1 << depth)))
        self.root = (0, EMPTY)  # kind and hash

    def copy(self) -> Self:
        heap = type(self)(self.depth)
        heap.kinds[:], heap.pairs[:], heap.root = self.kinds, self.pairs, self.root
        return heap

    def settle(self, nodes: list[tuple[int, int, bytes]]) -> None:
        """Write (slot, kind, hash) in ascending order and hash every node above them once.

        Each slot is followed up to where the path of the next slot joins; the last one goes on to the root.
        """
        kinds, pairs, place, children, digest = self.kinds, self.pairs, _NODE, _CHILDREN, sha256
        kind, node = self.root
        for (i, kind, node), (following, _, _) in pairwise([*nodes, (0, 0, EMPTY)]):
            levels = (i ^ following).bit_length() - 1
            kinds[i] = kind
            pairs[place[i]] = node
            while kind < 2 and levels:
                other = kinds[i ^ 1]
                if other and not kind:
                    node = bytes(pairs[place[i ^ 1]])
                kind += other
                i >>= 1
                if kind > 1:
                    kind = 2
                    node = digest(pairs[children[i]]).digest()
                kinds[i] = kind
                pairs[place[i]] = node
                levels -= 1
            above = i >> 1
            while levels and kinds[above] < 2:
                kinds[above] = 2
                above >>= 1
            for _ in range(levels):
                i >>= 1
                pairs[place[i]] = node = digest(pairs[children[i]]).digest()
        self.root = kind, node

    def extend(self, path: list[bytes], i: int) -> None:
        """Extend a path by the siblings from node i up to the root; a lone leaf passes empty siblings."""
        while i > 1:
            if path or self.kinds[i ^ 1]:
                path.append(bytes(self.pairs[_NODE[i ^ 1]]))
            i >>= 1

    def beside(self, i: int, *, right: bool) -> int | None:
        """Return the nearest slot that is not empty on one side of slot i."""
        if right:
            tail = self.kinds[i + 1 :].lstrip(b"\0")
            return len(self.kinds) - len(tail) if tail else None
        found = len(self.kinds[self.first : i].rstrip(b"\0"))
        return self.first + found - 1 if found else None


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
        self._settle(list(ends))

    def slot(self, key_hash: bytes) -> int:
        """Choose the bucket of a key hash."""
        return int.from_bytes(key_hash[:4], "big") >> self.shift & self.heap.first - 1

    def _settle(self, touched: list[int]) -> None:
        """Hash again what stands above these buckets."""
        buckets, first, depth = self.buckets, self.heap.first, 32 - self.shift
        nodes = []
        for b in touched:
            rows = buckets[b]
            size = len(rows)
            if size == ROW:
                nodes.append((first + b, 1, rows[32:]))
            elif size:
                nodes.append((first + b, 2, _subtree(rows, depth)))
            else:
                nodes.append((first + b, 0, EMPTY))
        self.heap.settle(nodes)

    def update(self, key_hashes: list[bytes], leaves: dict[bytes, bytes | None], undo: list[bytes]) -> None:
        """Set the leaves of these sorted key hashes; append each one's row as it was to the undo."""
        buckets, touched, last = self.buckets, [], -1
        shift, mask = self.shift, self.heap.first - 1
        for key_hash in key_hashes:
            b = int.from_bytes(key_hash[:4], "big") >> shift & mask
            if b != last:
                touched.append(b)
                last = b
            rows, leaf = buckets[b], leaves[key_hash]
            at, found = (0, True) if rows[:32] == key_hash else _find(rows, key_hash)
            undo.append(rows[at : at + ROW] if found else key_hash + EMPTY)
            row = key_hash + leaf if leaf else b""
            buckets[b] = rows[:at] + row + rows[at + ROW if found else at :] if len(rows) > ROW or not found else row
            self.size += (leaf is not None) - found
        if self.size > BUCKET_ROWS * len(buckets) and len(buckets) < 1 << DEPTH_MAX:
            self._fill(b"".join(buckets))
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
        shard = self._shard(index)
        b = shard.slot(key_hash)
        rows = shard.buckets[b]
        at, found = _find(rows, key_hash)
        after = at + ROW if found else at
        left = rows[at - ROW : at - 32] if at else self._beside(index, b, right=False)
        right = rows[after : after + 32] if after < len(rows) else self._beside(index, b, right=True)
        return left, right

    def _beside(self, index: int, b: int, *, right: bool) -> bytes | None:
        """Return the nearest key hash on one side of bucket b of a shard."""
        shard = self._shard(index)
        slot = shard.heap.beside(shard.heap.first + b, right=right)
        if slot is None:
            node = self._top.beside(self._top.first + index, right=right)
            if node is None:
                return None
            shard = self._shard(node - self._top.first)
            slot = shard.heap.beside(shard.heap.first - 1 if right else 2 * shard.heap.first, right=right)
            assert slot is not None, "a shard that is not empty has a bucket that is not"
        rows = shard.buckets[slot - shard.heap.first]
        return rows[:32] if right else rows[-ROW:-32]


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
        for key_hash, leaf in entries:
            if len(key_hash) != len(EMPTY) or len(leaf) != len(EMPTY):
                raise ValueError("a key hash and a leaf hash are 32 bytes each")
            heaps[_prefix(key_hash, shard_bits)] += key_hash + leaf
        nodes = []
        for index, heap in enumerate(heaps):
            rows = sorted(bytes(heap[at : at + ROW]) for at in range(0, len(heap), ROW))
            if any(a[:32] == b[:32] for a, b in pairwise(rows)):
                raise ValueError("a key hash occurs twice")
            heap.clear()
            if rows:
                tree._shards[index] = shard = _Shard(shard_bits, b"".join(rows))
                nodes.append((tree._top.first + index, *shard.heap.root))
        tree._top.settle(nodes)
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
        shift, first = 32 - self._top.depth, self._top.first
        groups: list[tuple[int, list[bytes]]] = []
        last = -1
        for key_hash in sorted(leaves):
            index = int.from_bytes(key_hash[:4], "big") >> shift
            if index != last:
                last, group = index, []
                groups.append((index, group))
            group.append(key_hash)
        shards, rows, nodes = [len(groups).to_bytes(2, "big")], [], []
        for index, group in groups:
            shard = self._shards[index]
            shards.append(_SHARD_BEFORE.pack(index, *shard.heap.root))
            shard.update(group, leaves, rows)
            nodes.append((first + index, *shard.heap.root))
        self._top.settle(nodes)
        return b"".join(shards + rows)

    def at(self, undos: Iterable[bytes]) -> View:
        """View the tree as it was before the blocks whose undos these are, newest first.

        Reading a shard that does not come out with the hash it had raises ValueError.
        """
        oldest_first = list(undos)[::-1]
        top = self._top.copy()
        before: dict[int, tuple[int, int, bytes]] = {}
        for undo in oldest_first:
            for index, kind, node in _SHARD_BEFORE.iter_unpack(undo[2 : _rows_offset(undo)]):
                if index not in before:
                    before[index] = (top.first + index, kind, node)
            if len(before) == top.first:
                break
        top.settle([before[index] for index in sorted(before)])
        restored: dict[int, _Shard] = {}

        def shard(index: int) -> _Shard:
            if index not in before:
                return self._shards[index]
            if index not in restored:
                old = self._restore(index, oldest_first)
                if (top.first + index, *old.heap.root) != before[index]:
                    raise ValueError(f"the undo of shard {index} does not lead back to its hash")
                restored[index] = old
            return restored[index]

        return View(top, shard)

    def _restore(self, index: int, oldest_first: list[bytes]) -> _Shard:
        """Rebuild a shard as it was before the first of these undos."""
        depth = self._top.depth
        rows = b"".join(self._shards[index].buckets)
        leaves = {rows[at : at + 32]: rows[at + 32 : at + ROW] for at in range(0, len(rows), ROW)}
        for undo in reversed(oldest_first):
            offsets = range(_rows_offset(undo), len(undo), ROW)
            start = bisect_left(offsets, index, key=lambda at, undo=undo: _prefix(undo[at : at + 4], depth))
            for at in offsets[start:]:
                key_hash = undo[at : at + 32]
                if _prefix(key_hash, depth) != index:
                    break
                leaves[key_hash] = undo[at + 32 : at + ROW]
        return _Shard(depth, b"".join(k + leaves[k] for k in sorted(leaves) if leaves[k] != EMPTY))
