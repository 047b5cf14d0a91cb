"""Promised transactions, on disk before the promise is given, so that a crash in between does not break one.

A line holds the SHA-256 (hex) of an envelope, a blank, and the envelope; it is appended and synced. At a start the node
takes up what is not in the store; the file is emptied when all it holds is in. A last line that is torn, at its end or
with zeros where a sector never arrived, was never promised and is dropped; any other line that does not match its hash
is damage, and is refused.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from metrobloc.engine.keyfile import sync_path
from metrobloc.kernel.errors import MachineFault


class Journal:
    """An append-only file of envelopes."""

    def __init__(self, path: Path) -> None:
        """Open or make the file, and mend its torn end; MachineFault when it is damaged, or cannot be written."""
        self.path = path
        self.pending = read(path)
        fresh = path.with_name(f"{path.name}.unfinished")
        with self._writing():
            self._handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._write(b"".join(map(_line, self.pending)))
            fresh.replace(path)
            sync_path(path.parent)

    def append(self, raw: bytes) -> None:
        """Write an envelope (which holds no line feed) and sync it; MachineFault when the disk does not take it."""
        with self._writing():
            self._write(_line(raw))
        self.pending.append(raw)

    def clear(self) -> None:
        """Forget all: everything in it is in the store or was turned away."""
        with self._writing():
            os.ftruncate(self._handle, 0)
            os.fdatasync(self._handle)
        self.pending.clear()

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _write(self, data: bytes) -> None:
        if os.write(self._handle, data) != len(data):
            raise OSError("no room for all of it")
        os.fdatasync(self._handle)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MachineFault(
                f"The journal of promises, {self.path}, could not be written ({error}). See to the disk, its free "
                "space and the folder's permissions, then start it again."
            ) from error


def read(path: Path) -> list[bytes]:
    """Return the envelopes of a journal; MachineFault when one is damaged."""
    try:
        *lines, end = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        message = f"The journal of promises cannot be read ({error}). See to the file's permissions, then start again."
        raise MachineFault(message) from error
    if end and _whole(end[:-1]):
        lines.append(end[:-1])  # only its line feed is damaged
    elif lines and not end and _lacks_sectors(lines[-1]):
        lines.pop()
    if not all(map(_whole, lines)):
        raise MachineFault(
            f"The journal of promises, {path}, is damaged: a promised transaction may be lost. Keep a copy of it for "
            "those who hold a promise, remove the file, and start again."
        )
    return [line[65:] for line in lines]


def _line(raw: bytes) -> bytes:
    return sha256(raw).hexdigest().encode() + b" " + raw + b"\n"


def _whole(line: bytes) -> bool:
    return line[:65] == sha256(line[65:]).hexdigest().encode() + b" "


def _lacks_sectors(line: bytes) -> bool:
    """Tell whether a line has zeros, which nothing that is written has, other than a flipped bit in its blank."""
    return b"\0" in line and not _whole(line.replace(b"\0", b" "))
