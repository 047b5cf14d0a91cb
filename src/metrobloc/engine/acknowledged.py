"""Remember, apart from the store, what was last acknowledged, so that a store that lost its tail is noticed.

One file holds two slots of 4,096 bytes; write number n goes to slot n mod 2 and is synced, so a write that is torn
leaves the one before. A slot is the SHA-256 (hex) of a JSON text, a space, that text, and blanks. The file also carries
the lock that keeps a second process out of the store (a POSIX record lock: gone with the process, not inherited).
"""

import fcntl
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

SLOT_BYTES = 4096


class Acknowledged(msgspec.Struct, frozen=True):
    """Say which store this is, how often it was written, and the height and header that were acknowledged last."""

    genesis: str
    writes: int
    height: int
    header: bytes


class AcknowledgedFile:
    """Keep the newest `Acknowledged` in two alternating synced slots, and the store's lock."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open the file and lock it; raises OSError (BlockingIOError or PermissionError when another has the lock)."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        self._fd = os.open(path, flags, 0o600)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise

    def newest(self) -> Acknowledged | None:
        """Return the newest slot whose checksum is right, or None when neither is."""
        return max(self._slots(), key=lambda slot: slot.writes, default=None)

    def write(self, record: Acknowledged) -> None:
        """Write the record over the older slot and sync it; raises OSError."""
        text = msgspec.json.encode(record)
        slot = (sha256(text).hexdigest().encode() + b" " + text).ljust(SLOT_BYTES)
        if len(slot) != SLOT_BYTES:
            message = f"the header of block {record.height} is too long for the acknowledgement"
            raise ValueError(message)
        if os.pwrite(self._fd, slot, record.writes % 2 * SLOT_BYTES) != SLOT_BYTES:
            message = "short write of the acknowledgement"
            raise OSError(message)
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file, which gives up the lock."""
        os.close(self._fd)

    def _slots(self) -> Iterator[Acknowledged]:
        for offset in (0, SLOT_BYTES):
            digest, _, text = os.pread(self._fd, SLOT_BYTES, offset).rstrip(b" ").partition(b" ")
            if digest == sha256(text).hexdigest().encode():
                yield msgspec.json.decode(text, type=Acknowledged)
