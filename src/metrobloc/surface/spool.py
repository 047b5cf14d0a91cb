"""A spool of text messages: the only place where what was written and by whom is kept, for as long as its owner wants.

    waiting/<nullifier>.json   posted, and perhaps not on the ledger yet    kept/<ab>/<nullifier>.json   on the ledger
    lock                       one process at a time

A message is on disk, with the salt of its commitment, before anything of it leaves; so the same message posted again,
or sent again after a crash, has the same commitment. Files have mode 0600, folders 0700.
"""

import fcntl
import secrets
from pathlib import Path
from typing import IO, Self

import msgspec
from msgspec import Struct

from metrobloc.engine import keyfile
from metrobloc.engine.files import read_bounded, replace_file
from metrobloc.kernel.errors import MachineFault

WAITING_MAX = 10_000
FILE_BYTES_MAX = 256 << 10
UNFINISHED = ".unfinished"


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    """A message as it was posted, and the salt (64 hex digits) under which the ledger has a commitment to its text."""

    sender: str
    text: str
    salt: str
    sent_timestamp: str = ""
    message_id: str = ""
    device_id: str = ""


_items = msgspec.json.Decoder(Item)


class Spool:
    """An open spool: nobody else has its folder meanwhile."""

    def __init__(self, home: Path, lock: IO[bytes]) -> None:
        """Bind the parts; use `open`."""
        self.home = home
        self._lock = lock
        self.waiting = {path.stem for path in (home / "waiting").glob("*.json")}

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open a spool's folder, or make it; MachineFault when another process has it."""
        for folder in (home, home / "waiting", home / "kept"):
            keyfile.make_folder(folder)
        lock = (home / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise MachineFault(f"Another process uses the spool {home}; end it first.") from error
        for path in (home / "waiting").glob(f"*{UNFINISHED}"):  # of a crash: nobody was told that it is here
            path.unlink()
        return cls(home, lock)

    def close(self) -> None:
        """Give the folder up."""
        self._lock.close()

    def find(self, name: str) -> Item | None:
        """Return the message of a nullifier, if it is here; MachineFault for a damaged file."""
        for path in (self._waiting(name), self._kept(name)):
            if path.exists():
                try:
                    return _items.decode(read_bounded(path, FILE_BYTES_MAX))
                except (OSError, msgspec.MsgspecError) as error:
                    raise MachineFault(f"The file {path} of the spool is damaged ({error}).") from error
        return None

    def put(self, name: str, item: Item) -> None:
        """Keep a new message until it is on the ledger; durable on return. MachineFault when too many wait."""
        if len(self.waiting) >= WAITING_MAX:
            raise MachineFault(
                f"{WAITING_MAX} messages wait for the ledger; nothing more is taken until some are there."
            )
        replace_file(self._waiting(name), msgspec.json.encode(item))
        self.waiting.add(name)

    def settle(self, name: str) -> None:
        """Note that a message is on the ledger; one that is noted already stays so."""
        if name in self.waiting:
            folder = self._kept(name).parent
            keyfile.make_folder(folder)
            self._waiting(name).replace(self._kept(name))
            keyfile.sync_path(folder)
            self.waiting.discard(name)

    def _waiting(self, name: str) -> Path:
        return self.home / "waiting" / f"{name}.json"

    def _kept(self, name: str) -> Path:
        return self.home / "kept" / name[:2] / f"{name}.json"


def new_salt() -> str:
    """Return the salt of a new commitment: 64 hex digits."""
    return secrets.token_hex(32)
