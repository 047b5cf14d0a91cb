"""Promised transactions, on disk before the promise is given, so that a crash in between does not break one.

One JSON line a transaction, appended and synced. At a start the node takes up what is neither in the store nor expired;
the file is emptied when all it holds is in.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from metrobloc.engine.keyfile import sync_folder


class Journal:
    """An append-only file of envelopes."""

    def __init__(self, path: Path) -> None:
        """Open or make the file."""
        self.path = path
        fresh = not path.exists()
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if fresh:
            sync_folder(path.parent)

    def append(self, raws: Sequence[bytes]) -> None:
        """Write envelopes (which hold no line feed) and sync them; OSError when the disk does not take them."""
        data = b"".join([raw + b"\n" for raw in raws])
        if os.write(self._handle, data) != len(data):
            raise OSError("the journal of promises could not be written whole")
        os.fdatasync(self._handle)

    def pending(self) -> list[bytes]:
        """Return the whole lines; a torn last one was never promised."""
        lines = self.path.read_bytes().split(b"\n")
        return [line for line in lines[:-1] if line]

    def clear(self) -> None:
        """Forget all: everything in it is in the store or has expired."""
        os.ftruncate(self._handle, 0)
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
