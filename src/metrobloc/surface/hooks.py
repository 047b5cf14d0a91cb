"""Who is told of events at an address of her own: the book of webhooks.

It is a SQLite file in the data folder. It holds secrets, so its mode is 0600; and how far each hook has come, so that
whatever ends the deliverer (`delivering.py`), the next one goes on there.
"""

import os
import sqlite3
from pathlib import Path

import msgspec
from msgspec import Struct

from metrobloc.kernel.errors import MachineFault

BOOK_FILE = "webhooks.sqlite"


class Hook(Struct, frozen=True):
    """Where to tell which events, how far it has come, and why it is disabled, if it is."""

    id: str
    url: str
    events: list[str]
    about: str
    secret: str
    place: str = ""
    failures: int = 0
    failing_since_ms: int = 0
    retry_ms: int = 0
    disabled: str = ""


class Book:
    """The hooks of a data folder, on disk; every change is durable when its method returns."""

    def __init__(self, folder: Path) -> None:
        """Open the book, or make an empty one; MachineFault when the folder is not there."""
        path = folder / BOOK_FILE
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
            self._rows = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._rows.execute("PRAGMA synchronous = FULL")
            self._rows.execute("CREATE TABLE IF NOT EXISTS hooks (id TEXT PRIMARY KEY, hook BLOB NOT NULL) STRICT")
        except (OSError, sqlite3.Error) as error:
            raise MachineFault(f"The webhooks in {path} cannot be opened ({error}); see to the folder.") from error

    def hooks(self) -> list[Hook]:
        """Return all hooks, in the order of their ids."""
        return [_hook.decode(raw) for (raw,) in self._do("SELECT hook FROM hooks ORDER BY id")]

    def find(self, name: str) -> Hook | None:
        """Return a hook by its id, or None."""
        row = self._do("SELECT hook FROM hooks WHERE id = ?", name).fetchone()
        return None if row is None else _hook.decode(row[0])

    def add(self, hook: Hook) -> None:
        """Put a new hook into the book."""
        self._do("INSERT INTO hooks VALUES (?, ?)", hook.id, msgspec.json.encode(hook))

    def change(self, name: str, **changes: str | int) -> None:
        """Change some fields of a hook, unless it has been removed. Only the one deliverer changes hooks."""
        hook = self.find(name)
        if hook is not None:
            changed = msgspec.json.encode(msgspec.structs.replace(hook, **changes))
            self._do("UPDATE hooks SET hook = ? WHERE id = ?", changed, name)

    def remove(self, name: str) -> bool:
        """Take a hook out of the book; tell whether it was there."""
        return self._do("DELETE FROM hooks WHERE id = ?", name).rowcount == 1

    def _do(self, statement: str, *values: str | bytes) -> sqlite3.Cursor:
        try:
            return self._rows.execute(statement, values)
        except sqlite3.Error as error:
            raise MachineFault(f"The file {BOOK_FILE} cannot be used ({error}); see to the disk.") from error

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


_hook = msgspec.json.Decoder(Hook)
