"""A witness's folder: its key, the logs it watches, the newest head of each that it has co-signed, and what it refused.

A head is on disk before its co-signature leaves, so that no crash lets the witness sign two histories of one log. For
the same reason a folder is never brought back from a backup: make a new witness instead.

    witness.key   the key          logs/<SHA-256 of the origin>.json   a log, with the note that was co-signed last
    witness.json  the name         refused/<log>.<fork>.json           two notes of one log that do not go together
    lock          one process at a time
"""

import fcntl
from pathlib import Path
from typing import IO, Self

import msgspec
from msgspec import Struct

from metrobloc.commons import notes, witnessing
from metrobloc.commons.anchors.heads import contradict, fork_id, log_id
from metrobloc.commons.anchors.types import Accuse
from metrobloc.commons.notes import Checkpoint, Note
from metrobloc.commons.witnessing import Asked, Contradiction, Log, Turned, log_page
from metrobloc.engine import keyfile
from metrobloc.engine.files import read_bounded, replace_file
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import MachineFault

FORMAT = "metrobloc-witness/1"
KEY_FILE = "witness.key"
NAME_FILE = "witness.json"
LOGS, REFUSED = "logs", "refused"
LOGS_MAX = 1000
REFUSED_MAX = 64
"""So many contradictions are kept of one log: its key's holder could go on for ever."""

FILE_BYTES_MAX = 128 << 10
NO_BACKUP = "A witness is never brought back from a backup: make a new one with `metrobloc witness init`."


class Kept(Struct, frozen=True):
    """A log and the note that the witness has co-signed last, empty before the first."""

    log: Log
    note: str = ""

    @property
    def head(self) -> Checkpoint | None:
        """Return the newest head that was co-signed."""
        return notes.read_head(notes.read(self.note.encode())) if self.note else None


class _Named(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    name: str


class Witness:
    """An open witness: nobody else has its folder meanwhile."""

    def __init__(self, home: Path, name: str, key: SigningKey, lock: IO[bytes]) -> None:
        """Bind the parts; use `create` or `open`."""
        self.home = home
        self.name = name
        self.key = key
        self.logs: dict[str, Kept] = {}
        self._lock = lock
        self._fault = ""

    @classmethod
    def create(cls, home: Path, name: str) -> Self:
        """Make a witness in a new folder; MachineFault when one is there."""
        if (home / KEY_FILE).exists():
            raise MachineFault(f"There is a witness in {home} already; choose another folder.")
        for folder in (home, home / LOGS, home / REFUSED):
            keyfile.make_folder(folder)
        replace_file(home / NAME_FILE, msgspec.json.encode(_Named(FORMAT, name)))
        keyfile.write_key(home / KEY_FILE, keyfile.new_key())  # last: with it the witness is whole
        return cls.open(home)

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open a witness's folder; MachineFault when it cannot be trusted, or another process has it."""
        if not (home / KEY_FILE).exists():
            raise MachineFault(f"There is no witness in {home}; make one with `metrobloc witness init {home}`.")
        lock = _locked(home / "lock")
        try:
            named = msgspec.json.decode(read_bounded(home / NAME_FILE, FILE_BYTES_MAX), type=_Named)
            witness = cls(home, named.name, keyfile.read_key(home / KEY_FILE), lock)
            for path in sorted((home / LOGS).glob("*.json")):
                kept = witness._read(path)
                witness.logs[kept.log.origin] = kept
        except (msgspec.MsgspecError, ValueError, OSError) as error:
            lock.close()
            raise MachineFault(f"The witness in {home} is damaged ({error}). {NO_BACKUP}") from error
        except BaseException:
            lock.close()
            raise
        return witness

    def close(self) -> None:
        """Give the folder up."""
        self._lock.close()

    def watch(self, log: Log) -> None:
        """Watch a log from now on, or trust further keys of one that is watched."""
        known = self.logs.get(log.origin)
        if known is None and len(self.logs) >= LOGS_MAX:
            raise MachineFault(f"This witness watches {LOGS_MAX} logs already; make another.")
        if known is not None and known.log.name != log.name:
            raise MachineFault(f"The log signs as {known.log.name} here; make another witness for another name.")
        keys = log.keys if known is None else tuple(dict.fromkeys((*known.log.keys, *log.keys)))
        note = "" if known is None else known.note
        self._keep(Kept(msgspec.structs.replace(log, keys=keys), note))

    def take(self, body: bytes, time_s: int) -> bytes:
        """Take a request as it came: return the line that co-signs its checkpoint, or raise Turned."""
        return self.cosign(witnessing.read_asked(body), time_s)

    def cosign(self, asked: Asked, time_s: int) -> bytes:
        """Return the line that co-signs a checkpoint (time in seconds since 1970) once its head is on disk.

        Raises Turned, and writes down what contradicts the head that was co-signed before.
        """
        try:
            new, own = witnessing.decide(asked, self.logs)
        except Contradiction as found:
            self.refuse(found.note, asked.path)
            raise
        kept = self.logs[new.chain]
        if kept.note and time_s < (self._time_s(kept) or 0):
            raise Turned(503, "This witness's clock is behind its last co-signature; its operator sets it right.")
        line = notes.cosign(own.body, self.name, self.key, time_s)
        self._keep(Kept(kept.log, notes.render(Note(own.body, (*own.signatures, line))).decode()))
        return notes.render(Note(own.body, (line,))).removeprefix(f"{own.body}\n".encode())

    def refuse(self, note: Note, path: tuple[bytes, ...], root: bytes | None = None) -> Path | None:
        """Write down a signed head that does not go with the co-signed one; return the file if it shows two histories.

        With the path and the root that its log had at the size of the co-signed head, anybody can see that both cannot
        be true, and the file holds what `anchors.accuse` takes. Without, its two notes are kept, the newest only.
        """
        new = notes.read_head(note)
        kept = self.logs[new.chain]
        last = kept.head
        signed = notes.signed_by(notes.read(kept.note.encode()), kept.log.name, kept.log.keys) if kept.note else None
        if last is None or signed is None:
            return None
        texts = notes.render(signed).decode(), notes.render(note).decode()
        steps = tuple(part.hex() for part in path) if new.size != last.size else ()
        began = new.root if root is None or new.size == last.size else root
        shown = contradict(last, new, began, steps)
        shown_file = Accuse(log_id(new.chain), *texts, began.hex() if shown else None, steps if shown else ())
        folder = self.home / REFUSED
        fork = fork_id(last, new) if shown else "unproved"
        file = folder / f"{log_id(new.chain)}.{fork}.json"
        if not shown or file.exists() or len(list(folder.glob(f"{log_id(new.chain)}.*"))) <= REFUSED_MAX:
            self._write(file, msgspec.json.encode(shown_file, order="sorted") + b"\n", 0o644)
        return file if shown else None

    def _keep(self, kept: Kept) -> None:
        """Put a log's file in the place of the old one; only then is it so."""
        self._write(self.home / LOGS / f"{log_page(kept.log.origin)}.json", msgspec.json.encode(kept), 0o600)
        self.logs[kept.log.origin] = kept

    def _write(self, path: Path, data: bytes, mode: int) -> None:
        """Write a file; after a failure nothing more, since memory must not run ahead of disk."""
        if self._fault:
            raise MachineFault(f"The witness has stopped after a fault ({self._fault}); start it again.")
        try:
            replace_file(path, data, mode)
        except OSError as error:
            self._fault = str(error)
            sentence = f"The witness cannot write to its disk ({error}); see to it, then start again."
            raise MachineFault(sentence) from error

    def _read(self, path: Path) -> Kept:
        kept = msgspec.json.decode(read_bounded(path, FILE_BYTES_MAX), type=Kept)
        if path.stem != log_page(kept.log.origin):
            raise ValueError(f"{path.name} is of another log")
        if kept.note:
            head = notes.read_head(notes.read(kept.note.encode()))
            if head.chain != kept.log.origin or self._time_s(kept) is None:
                raise ValueError(f"{path.name} holds no checkpoint that this witness has co-signed")
        return kept

    def _time_s(self, kept: Kept) -> int | None:
        return notes.cosigned_s(notes.read(kept.note.encode()), self.name, self.key.key_id)


def _locked(path: Path) -> IO[bytes]:
    """Lock the folder (a POSIX record lock: gone with the process, not inherited)."""
    lock = path.open("ab")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise MachineFault(f"Another process uses the witness in {path.parent}; end it first.") from error
    return lock
