"""The log as C2SP tlog-tiles lays it out: tiles of hashes, bundles of entries, and the paths at which they are served.

    tile/<level>/<number>[.p/<width>]     up to 256 hashes of a level
    tile/entries/<number>[.p/<width>]     up to 256 entries, each behind its length (two bytes, big-endian)

A number is written in groups of three digits, all but the last behind an x: 1234067 is x001/x234/067.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

from metrobloc.engine.proofs import NotProvable
from metrobloc.engine.solo import Solo, present
from metrobloc.engine.store import Store
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.log import HASH_BYTES

WIDTH = 256
LEVELS_MAX = 7
"""Above this level a log of 2^63 leaves has no tile."""

ENTRY_BYTES_MAX = 65_535
_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class Place(Struct, frozen=True):
    """Which tile, or (level -1) which bundle of entries, and how many hashes or entries it has."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Return where it is served."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        *upper, last = (digits[cut : cut + 3] for cut in range(0, len(digits), 3))
        level = "entries" if self.level < 0 else str(self.level)
        part = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{level}/{''.join(f'x{group}/' for group in upper)}{last}{part}"

    @property
    def hashes(self) -> int:
        """Return the size of its level's count: how many hashes or entries there must be for it to be there."""
        return self.index * WIDTH + self.width


def read_place(path: str) -> Place | None:
    """Read a path in its one spelling, or return None."""
    found = _PATH.fullmatch(path)
    if found is None or len(found[2]) > 4 * 5:
        return None
    level = -1 if found[1] == "entries" else int(found[1])
    place = Place(level, int(found[2].replace("x", "").replace("/", "") + found[3]), int(found[4] or WIDTH))
    return place if place.path == path and level <= LEVELS_MAX else None


def count_at(level: int, size: int) -> int:
    """Return how many hashes a level has in a log of this size; of entries, all."""
    return size >> 8 * max(level, 0)


def read_tile(node: Solo, place: Place) -> bytes | None:
    """Return a tile or a bundle of entries, or None when the log does not have it."""
    if place.hashes > count_at(place.level, node.machine.log.size):
        return None
    if place.level < 0:
        first = place.index * WIDTH
        return write_bundle(first, leaves(node.store, first, first + place.width))
    return node.store.tile(place.level, place.index)[: place.width * HASH_BYTES]


def leaves(store: Store, first: int, end: int) -> Iterator[bytes]:
    """Yield the log's leaves (receipts and headers) from a number up to another."""

    def size_after(height: int) -> int:
        return present(store.header(height))[1]

    height = bisect_right(range(store.head() + 1), first, key=size_after)
    number = size_after(height - 1) if height else 0
    while number < end:
        header, after = present(store.header(height))
        for leaf in (*store.receipts(height), header):
            if first <= number < end:
                yield leaf
            number += 1
        if number != after:
            raise MachineFault(f"Block {height} has another number of receipts than the log; run `metrobloc audit`.")
        height += 1


def write_bundle(first: int, entries: Iterator[bytes]) -> bytes:
    """Write a bundle of entries; NotProvable for one that is too long for the format."""
    parts = []
    for number, entry in enumerate(entries, first):
        if len(entry) > ENTRY_BYTES_MAX:
            raise NotProvable(
                f"Entry {number} of the log has {len(entry)} bytes, and tlog-tiles carries at most {ENTRY_BYTES_MAX}: "
                "this log cannot be published so. Export its blocks with `metrobloc export blocks`."
            )
        parts.append(len(entry).to_bytes(2, "big") + entry)
    return b"".join(parts)


def read_bundle(data: bytes, width: int) -> list[bytes]:
    """Read a bundle of exactly so many entries; ValueError when it is none."""
    entries, place = [], 0
    while place < len(data):
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        if end > len(data) or place + 2 > len(data):
            raise ValueError("the bundle ends within an entry")
        entries.append(data[place + 2 : end])
        place = end
    if len(entries) != width:
        raise ValueError(f"the bundle has {len(entries)} entries and should have {width}")
    return entries
