"""What signed heads show: whose they are, whether one goes on from another, and when two contradict each other."""

from collections.abc import Sequence

from metrobloc.commons import notes
from metrobloc.commons.notes import Checkpoint, Note
from metrobloc.kernel import crypto
from metrobloc.kernel.log import verify_consistency
from metrobloc.kernel.types import INT_MAX

NOTHING = Checkpoint("", 0, crypto.sha256(b""))
"""The head of a log before its first leaf."""


def log_id(origin: str) -> str:
    """Return the identifier of the log with this origin, which is the same on every ledger."""
    return crypto.short_name(f"metrobloc watched log v1\n{origin}\n".encode())


def fork_id(first: Checkpoint, second: Checkpoint) -> str:
    """Return the identifier of two heads that contradict each other; signatures do not count."""
    seed = f"metrobloc fork v1\n{first.size} {first.root.hex()}\n{second.size} {second.root.hex()}\n"
    return crypto.short_name(seed.encode())


def read_checkpoint(note: str, origin: str) -> tuple[Checkpoint, Note]:
    """Read a checkpoint of the log with this origin, unchecked; ValueError when it is none, or too large for us."""
    read = notes.read(note.encode())
    head = notes.read_head(read)
    if head.chain != origin:
        raise ValueError("the checkpoint is of another log")
    if head.size > INT_MAX:
        raise ValueError("the log is larger than a number can be here")
    return head, read


def goes_on(last: Checkpoint, new: Checkpoint, path: Sequence[str]) -> bool:
    """Tell whether a path of hashes (hex) shows that the log of the new head begins with the log of the last."""
    return verify_consistency(last.size, last.root, new.size, new.root, [bytes.fromhex(part) for part in path])


def contradict(first: Checkpoint, second: Checkpoint, root: bytes, path: Sequence[str]) -> bool:
    """Tell whether two heads cannot both be true.

    The path shows that the log of the second head had `root` at the size of the first: if the first head says
    otherwise, whoever signed both has signed two histories. Only one root can be shown so, or SHA-256 is broken.
    """
    began = Checkpoint(first.chain, first.size, root)
    return root != first.root and goes_on(began, second, path)
