"""The newest checkpoint that witnesses have co-signed: a file in the data folder, beside the ledger.

Nothing depends on it: it is only read, and shown only if the operator has signed it and the log has that root. Lost, it
is made again by asking the witnesses again.
"""

from collections.abc import Sequence
from pathlib import Path

from metrobloc.commons import notes
from metrobloc.commons.notes import Checkpoint, Note, open_succession
from metrobloc.engine.files import read_bounded, replace_file
from metrobloc.engine.solo import Solo
from metrobloc.kernel import log

COSIGNED_FILE = "cosigned"
NOTE_BYTES_MAX = 32 << 10


def keep_cosigned(path: Path, checkpoint: bytes, lines: Sequence[notes.Signature]) -> bytes:
    """Keep a checkpoint with the lines of witnesses; those on the same head that are kept already stay, renewed.

    Returns what is kept. A smaller head than the one that is kept changes nothing.
    """
    note = notes.read(checkpoint)
    before: tuple[notes.Signature, ...] = ()
    try:
        kept = read_bounded(path, NOTE_BYTES_MAX)
        old = notes.read(kept)
        if notes.read_head(old).size > notes.read_head(note).size:
            return kept
        before = old.signatures if old.body == note.body else ()
    except (OSError, ValueError):
        pass  # none, or none that can be read: this one takes its place
    every = {(line.name, line.hint): line for line in (*before, *note.signatures, *lines)}
    whole = notes.render(Note(note.body, tuple(every.values())))
    replace_file(path, whole, 0o644)
    return whole


def published(node: Solo) -> bytes:
    """Return the checkpoint to publish: the newest one with co-signatures of witnesses, or else the newest."""
    try:
        kept = read_bounded(node.home / COSIGNED_FILE, NOTE_BYTES_MAX)
    except OSError:
        return node.checkpoint()
    head = _opened(node, kept)
    if head is None or head.size > node.machine.log.size:
        return node.checkpoint()
    return kept if log.root_at(head.size, node.store.tile) == head.root else node.checkpoint()


def _opened(node: Solo, note: bytes) -> Checkpoint | None:
    """Open a checkpoint that the operator has signed with the present key or an earlier one."""
    steps = [open_succession(step.encode(), node.chain) for step in node.succession()]
    for key in (node.key.key_id, *(step.old for step in steps)):
        try:
            return notes.open_checkpoint(note, node.chain, key)[0]
        except ValueError:
            continue
    return None
