"""Rebuild from a record what a disk may hold after a power cut, and hold the program to it.

The model is the one of ALICE (Pillai et al., OSDI 2014) and CrashMonkey (Mohan et al., OSDI 2018) at its strictest: it
takes from POSIX, and from no file system, what a sync promises.

- What was over before a finished fsync or fdatasync of the same file began is there. Of what the program wrote to the
  file besides, any sectors of 512 bytes may be there, in any order: a write may be torn.
- A file that grew may have any size between the synced and the new one; what did not arrive reads as zeros.
- Names belong to their folder: a new, changed or removed name is certain when the folder was synced after it. Of the
  others any may be there, in any combination, also those of a file whose content was synced. A rename is atomic.
- What was said is out when its write began.

ext4, xfs and btrfs promise more, and where a program relies on it, `image` can be told for which files (`trusting`): a
sync of a new file makes its name certain too; a page of 4 KiB arrives whole or not at all; and the file does not grow
over a page that did not arrive. Those three also never show what they need not: bytes of other files in a part that did
not arrive (ext4 mounted with `data=writeback` may), damage to what had been synced, a disk that lies about a sync. The
model leaves these out; for them there are checksums and `bitflips`.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from metrobloc.testing.faults.record import ROOT, Change, Record

SECTOR_BYTES = 512
PAGE_BYTES = 4096
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How much of what was not synced arrived; drawn for each image, since all, none and nearly all break most."""


class Image(NamedTuple):
    """What may be left: files and folders by their path in the recorded folder, with mode; content, None for a folder.

    `said` is all that the program had said by then: what it must stand by.
    """

    cut: int
    entries: dict[str, tuple[int, bytes | None]]
    said: bytes


def image(record: Record, cut: int, random: Random, trusting: str = "(?!)") -> Image:
    """Draw one of the images that a power cut at an instant of the record may leave.

    For files whose name has a match of the pattern `trusting` the program may rely on the file system.
    """
    synced: dict[int, int] = {}
    for sync in record.syncs:
        if sync.done < cut:
            synced[sync.node] = max(sync.begun, synced.get(sync.node, 0))
    changes: dict[int, list[Change]] = {}
    for change in record.changes:
        if change.begun < cut:
            changes.setdefault(change.node, []).append(change)
    names = _names(record, cut, synced, re.compile(trusting), random)
    share = random.choice(SHARES)
    entries: dict[str, tuple[int, bytes | None]] = {}
    waiting = [("", ROOT)]
    while waiting:
        path, node = waiting.pop()
        mode = record.nodes[node].mode
        if node in names:
            entries[path] = mode, None
            waiting += [(f"{path}/{name}".lstrip("/"), below) for name, below in sorted(names[node].items())]
        else:
            piece = PAGE_BYTES if re.search(trusting, path) else SECTOR_BYTES
            draw = _Draw(synced.get(node, 0), share, piece, random)
            entries[path] = mode, draw.content(record.nodes[node].data, changes.get(node, []))
    return Image(cut, entries, b"".join(said.text for said in record.said if said.begun < cut))


@contextmanager
def laid_out(found: Image, scratch: Path) -> Iterator[Path]:
    """Write an image to a free path, and take it away afterwards."""
    try:
        for path, (mode, content) in found.entries.items():
            place = scratch / path
            if content is None:
                place.mkdir()
            else:
                place.write_bytes(content)
            place.chmod(mode)
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _names(
    record: Record, cut: int, synced: dict[int, int], trusting: re.Pattern[str], random: Random
) -> dict[int, dict[str, int]]:
    """Return every folder's names after the cut."""
    names = {number: dict(node.names) for number, node in enumerate(record.nodes) if node.names is not None}
    share = random.choice(SHARES)
    for naming in record.namings:
        trusted = [node for name, node in naming.names if node is not None and trusting.search(name)]
        certain = any(naming.done < synced.get(node, 0) for node in (naming.node, *trusted))
        if naming.begun < cut and (certain or random.random() < share):
            for name, node in naming.names:
                names[naming.node].pop(name, None)
                if node is not None:
                    names[naming.node][name] = node
    return names


class _Draw(NamedTuple):
    """How one file is drawn; `synced` is where its last finished sync began."""

    synced: int
    share: float
    piece: int
    random: Random

    def content(self, data: bytes, changes: list[Change]) -> bytes:
        """Return the file's content after the cut."""
        content, seen, sizes = bytearray(data), bytearray(data), {len(data)}
        for change in changes:
            certain = change.done < self.synced
            sizes.add(change.size)
            if change.data is None:
                _resize(seen, change.size)
                if certain or self.arrives():
                    _resize(content, change.size)
            else:
                _place(seen, change.offset, change.data)
                self.tear(content, seen, range(change.offset, change.offset + len(change.data)), certain=certain)
            if certain:
                sizes = {len(content)}
        if self.piece == PAGE_BYTES:
            sizes = {size for size in sizes if size <= len(content) + -len(content) % PAGE_BYTES}
        # The size may have arrived without the bytes, or not at all.
        if len(sizes) > 1 and self.random.random() < 1 / 2:
            _resize(content, self.random.choice([*sorted(sizes), self.random.randint(min(sizes), max(sizes))]))
        return bytes(content)

    def tear(self, content: bytearray, seen: bytearray, written: range, *, certain: bool) -> None:
        """Place the pieces of a write that arrived: each as the program saw it then, earlier writes to it included."""
        for begin in range(written.start - written.start % self.piece, written.stop, self.piece):
            if certain or self.arrives():
                _place(content, begin, seen[begin : begin + self.piece])

    def arrives(self) -> bool:
        """Draw whether something that was not synced is there."""
        return self.random.random() < self.share


def _place(content: bytearray, offset: int, data: bytes | bytearray) -> None:
    if len(content) < offset:
        _resize(content, offset)
    content[offset : offset + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))
