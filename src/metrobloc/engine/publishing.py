"""A folder that any static file server can serve as a log (C2SP tlog-tiles): written on from where it was, and checked.

Tiles are made from the entries and held against the checkpoint before that takes its place, last of all: whoever reads
meanwhile finds all that the checkpoint before needs.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from metrobloc.commons import notes
from metrobloc.commons.notes import Checkpoint
from metrobloc.engine.audit import Trust
from metrobloc.engine.cosigned import NOTE_BYTES_MAX
from metrobloc.engine.files import read_bounded, replace_file
from metrobloc.engine.tiles import ENTRY_BYTES_MAX, WIDTH, Place, read_bundle
from metrobloc.kernel.log import HASH_BYTES, TILE_BYTES, Log, leaf_hash

CHECKPOINT_FILE = "checkpoint"
SUCCESSION_FILE = "succession.json"
"""Not of tlog-tiles: the changes of the operator's key, for who trusts an earlier one."""

BUNDLE_BYTES_MAX = WIDTH * (ENTRY_BYTES_MAX + 2)
SUCCESSION_BYTES_MAX = 1 << 20


class Unsound(Exception):
    """A folder, or what is to be written to it, is not one log; the message says where."""


class Source(Protocol):
    """Where a log comes from."""

    def log_file(self, path: str) -> bytes:
        """Return the checkpoint, a tile or a bundle by its path."""


class Published(Struct, frozen=True):
    """What a folder holds now, and how many entries are new."""

    head: Checkpoint
    entries: int


class Checked(Struct, frozen=True):
    """What a folder was found to hold, by whose trusted key it is signed (empty: by none), as of when."""

    head: Checkpoint
    signer: str
    time_s: int
    note: notes.Note


def publish(folder: Path, source: Source, succession: list[str], done: Callable[[int], None]) -> Published:
    """Write what is new of a log; Unsound when the folder holds another history or log, or a longer one."""
    raw = source.log_file(CHECKPOINT_FILE)
    new, log = _head(raw, "the source"), Log()
    folder.mkdir(parents=True, exist_ok=True)
    old = Checkpoint(new.chain, 0, log.root())
    if (folder / CHECKPOINT_FILE).exists():
        old = _head(read_bounded(folder / CHECKPOINT_FILE, NOTE_BYTES_MAX), "the folder")
        if old.chain != new.chain:
            raise Unsound(f"The folder holds the log {old.chain}, and this is {new.chain}: choose another folder.")
        if old.size > new.size:
            raise Unsound(f"The folder holds {old.size} entries, and this log has {new.size}: it was cut back.")
        log = _load(folder, old)
    full: list[Place] = []
    for place, data in _bundles(source, old.size, new.size):
        log = _append(folder, log, place, data, full)
        done(1)
    if log.root() != new.root:
        raise Unsound("The entries are not those of the checkpoint: the log has another history than the folder.")
    for level, tail in enumerate(log.tails):
        if tail and log.size > old.size:
            _write(folder, Place(level, log.size >> 8 * (level + 1), len(tail) // HASH_BYTES), tail)
    if succession:
        replace_file(folder / SUCCESSION_FILE, msgspec.json.encode(succession), 0o644)
    if not (folder / CHECKPOINT_FILE).exists() or (folder / CHECKPOINT_FILE).read_bytes() != raw:
        replace_file(folder / CHECKPOINT_FILE, raw, 0o644)
    for place in full:  # its parts have had their time: whoever still asks for one takes the whole
        path = folder / place.path
        shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)
    return Published(new, new.size - old.size)


def check(folder: Path, trust: Trust, done: Callable[[int], None]) -> Checked:
    """Compute a folder's log anew from its entries, and hold every tile and the root against it; else Unsound."""
    try:
        note = notes.read(read_bounded(folder / CHECKPOINT_FILE, NOTE_BYTES_MAX))
        head, log = notes.read_head(note), Log()
        for place, data in _bundles(_Folder(folder), 0, head.size):
            hashes = [leaf_hash(entry) for entry in read_bundle(data, place.width)]
            log, tiles = log.extended(hashes)
            for (level, index), tile in tiles.items():
                if len(tile) == TILE_BYTES:
                    _hold(folder, Place(level, index), tile)
            done(1)
        for level, tail in enumerate(log.tails):
            if tail:
                _hold(folder, Place(level, log.size >> 8 * (level + 1), len(tail) // HASH_BYTES), tail)
        if log.root() != head.root:
            raise Unsound("The entries do not give the root that the checkpoint signs.")
        signer, time_s = _signer(folder, note, head.chain, trust)
    except OSError as error:
        raise Unsound(f"A file is missing or cannot be read: {error}.") from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise Unsound(f"The folder is damaged: {error}.") from error
    return Checked(head, signer, time_s, note)


class _Folder:
    """A published folder as a source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log_file(self, path: str) -> bytes:
        """Return a file."""
        return read_bounded(self.folder / path, BUNDLE_BYTES_MAX)


def _head(raw: bytes, whose: str) -> Checkpoint:
    try:
        return notes.read_head(notes.read(raw))
    except ValueError as error:
        raise Unsound(f"The checkpoint of {whose} cannot be read: {error}.") from error


def _load(folder: Path, head: Checkpoint) -> Log:
    """Take up the log of a folder from its tiles."""

    def tile(level: int, index: int) -> bytes:
        width = min(WIDTH, (head.size >> 8 * level) - index * WIDTH)
        return read_bounded(folder / Place(level, index, width).path, TILE_BYTES)

    try:
        log = Log.load(head.size, tile)
    except (OSError, ValueError) as error:
        raise Unsound(f"The folder lacks a tile ({error}); write the log to a new one.") from error
    if log.root() != head.root:
        raise Unsound("The folder's tiles are not those of its checkpoint; write the log to a new one.")
    return log


def _bundles(source: Source, old: int, new: int) -> Iterator[tuple[Place, bytes]]:
    """Yield the bundles of entries that a log of one size has and a shorter one has not, or not in full."""
    for index in range(old // WIDTH, -(-new // WIDTH)) if new > old else ():
        place = Place(-1, index, min(WIDTH, new - index * WIDTH))
        yield place, source.log_file(place.path)


def _append(folder: Path, log: Log, place: Place, data: bytes, full: list[Place]) -> Log:
    """Append a bundle's new entries; write it and the tiles that are full now, and note which those are."""
    try:
        hashes = [leaf_hash(entry) for entry in read_bundle(data, place.width)]
    except ValueError as error:
        raise Unsound(f"What came as {place.path} cannot be read: {error}.") from error
    known = max(0, log.size - place.index * WIDTH)
    if known and b"".join(hashes[:known]) != log.tails[0]:
        raise Unsound("The log has another history than the folder: entries that were published have changed.")
    longer, tiles = log.extended(hashes[known:])
    _write(folder, place, data)
    whole = [Place(level, index) for (level, index), tile in tiles.items() if len(tile) == TILE_BYTES]
    for one in whole:
        _write(folder, one, tiles[one.level, one.index])
    full += [*whole, *([place] if place.width == WIDTH else [])]
    return longer


def _write(folder: Path, place: Place, data: bytes) -> None:
    path = folder / place.path
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data, 0o644)


def _hold(folder: Path, place: Place, tile: bytes) -> None:
    if read_bounded(folder / place.path, TILE_BYTES) != tile:
        raise Unsound(f"{place.path} is not what the entries give.")


def _signer(folder: Path, note: notes.Note, chain: str, trust: Trust) -> tuple[str, int]:
    """Return the trusted key that has signed, or that signs for a trusted one by the folder's successions, and when."""
    path = folder / SUCCESSION_FILE
    steps = []
    if path.exists():
        steps = msgspec.json.decode(read_bounded(path, SUCCESSION_BYTES_MAX), type=list[str])
    keys = notes.heirs(trust.keys, chain, (step.encode() for step in steps)) if chain == trust.chain else ()
    for key in keys:
        if notes.is_signed(note, chain, key):
            return key, notes.cosigned_s(note, chain, key) or 0
    return "", 0
