"""The supervisor watches a neighbouring city's log; its operator changes the key, and later signs two histories."""

from base64 import b64encode

from metrobloc.commons import notes
from metrobloc.commons.anchors.heads import log_id
from metrobloc.commons.anchors.types import Accuse, Anchor, Clear, Rekey, Unwatch, Watch
from metrobloc.commons.notes import Checkpoint, Note, Succession
from metrobloc.commons.stage import Stage
from metrobloc.kernel import crypto, log
from metrobloc.kernel.log import Log


class Neighbour:
    """Another log, with the key that signs it: what its leaves are does not matter to whoever anchors it."""

    def __init__(self, origin: str, name: str = "") -> None:
        """Begin with no leaf."""
        self.origin = origin
        self.name = name or origin
        self.key = crypto.SigningKey(crypto.sha256(f"metrobloc story log\n{origin}\n".encode()))
        self.log = Log()
        self.tiles: dict[tuple[int, int], bytes] = {}

    def grow(self, *leaves: str) -> None:
        """Append leaves."""
        self.log, changed = self.log.extended([log.leaf_hash(leaf.encode()) for leaf in leaves])
        self.tiles |= changed

    def again(self, size: int) -> "Neighbour":
        """Return the log as it was at a size: what a backup brings back."""
        older = Neighbour(self.origin, self.name)
        older.key, older.tiles = self.key, dict(self.tiles)
        older.log = Log.load(size, self.tile)
        return older

    def tile(self, level: int, index: int) -> bytes:
        """Return a tile as it stands."""
        return self.tiles[level, index]

    def root(self, size: int) -> str:
        """Return the root at a size."""
        return log.root_at(size, self.tile).hex()

    def note(self, *more: str) -> str:
        """Sign the head, with lines of the log's own behind the root."""
        root = b64encode(self.log.root()).decode()
        body = "".join(f"{line}\n" for line in (self.origin, str(self.log.size), root, *more))
        return notes.render(Note(body, (notes.sign(body, self.name, self.key),))).decode()

    def path(self, old: int) -> tuple[str, ...]:
        """Show that the log goes on from what it was at a size."""
        return tuple(part.hex() for part in log.consistency_proof(old, self.log.size, self.tile))

    def change_key(self) -> str:
        """Change the key; return the note that both keys have signed."""
        new = crypto.SigningKey(crypto.sha256(self.key.seed))
        step = Succession(self.origin, self.key.key_id, new.key_id, self.log.size)
        note, self.key = notes.sign_succession(step, self.key, new).decode(), new
        return note

    def checkpoint(self) -> Checkpoint:
        """Return the head, unsigned."""
        return Checkpoint(self.origin, self.log.size, self.log.root())


def play(stage: Stage) -> None:
    """Play some days."""
    stage.join("bo")
    stage.say("The supervisor watches the log of the harbour city, and a log of software that is no ledger at all.")
    harbour = Neighbour("harbour-5f0c2a9d41b7e863")
    software = Neighbour("software.example releases", "software.example")
    stage.act("supervisor", Watch(harbour.origin, harbour.key.key_id))
    stage.act("office", Watch(software.origin, software.key.key_id, software.name))
    stage.act("supervisor", Watch(harbour.origin, harbour.key.key_id), refused="anchors.logs_taken")
    name, other = log_id(harbour.origin), log_id(software.origin)

    stage.say("Bo, who lives there, carries its head here; so does a program, day after day, with the path in between.")
    harbour.grow("a deed", "a permit", "a vote")
    stage.act("bo", Anchor(name, harbour.note()))
    software.grow("version 1")
    stage.act("bo", Anchor(other, software.note("built on Monday")))
    stage.wait(24 * 60)
    backup = harbour.again(3)
    harbour.grow("a sale", "a lease")
    stage.act("bo", Anchor(name, harbour.note(), harbour.path(3)))
    stage.act("bo", Anchor(name, harbour.note(), harbour.path(3)), refused="anchors.anchored_already")
    stage.act("bo", Anchor(name, backup.note()), refused="anchors.older")

    stage.say("The harbour's operator changes its key; the old key has signed that.")
    stage.act("bo", Rekey(name, harbour.change_key()))
    harbour.grow("a marriage")
    stage.act("company", Anchor(name, harbour.note(), harbour.path(5)))

    stage.say("The harbour's machine burns down, and an old backup goes on as if nothing had been: another history.")
    stage.wait(24 * 60)
    backup.key = harbour.key
    backup.grow("a sale to somebody else", "a lease", "a birth")
    stage.act("bo", Anchor(name, backup.note()), refused="anchors.contradicts")
    stage.act("bo", Accuse(name, harbour.note(), backup.note()))
    harbour.grow("a divorce")
    stage.act("bo", Anchor(name, harbour.note(), harbour.path(6)), refused="anchors.stopped")

    stage.say(
        "The operator explains and goes on with the history that was anchored; the office lets it, the fork stays."
    )
    stage.act("office", Clear(name))
    stage.act("bo", Anchor(name, harbour.note(), harbour.path(6)))

    stage.say("The software's log signs a longer log with another beginning; it is stopped and watched no more.")
    forged = Neighbour(software.origin, software.name)
    forged.grow("version 1, with a back door", "version 2")
    stage.act("bo", Anchor(other, forged.note(), forged.path(1)), refused="anchors.not_consistent")
    stage.act("bo", Accuse(other, software.note(), forged.note(), forged.root(1), forged.path(1)))
    stage.act("supervisor", Unwatch(other))
    software.change_key()
    stage.act("supervisor", Watch(software.origin, software.key.key_id, software.name))
    stage.act("bo", Anchor(other, software.note()))
