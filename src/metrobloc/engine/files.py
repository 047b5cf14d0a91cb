"""Files that are there whole or not at all: written beside, synced, then given their name."""

import os
from pathlib import Path

from metrobloc.engine.keyfile import sync_path


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put data in the place of a file, if there is one; durable on return. A kill leaves the old one or the new."""
    fresh = path.with_name(f"{path.name}.unfinished")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_path(path.parent)


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Read a file of at most so many bytes; OSError when it is larger or cannot be read."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise OSError(f"{path} has more than {most_bytes} bytes")
    return data
