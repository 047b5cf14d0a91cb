"""Take data folders up as a node does, and audit them: a program of its own, since damage might crash or hold it up.

For each path on a line of the input it prints one line: `whole` and a digest of all that a node answers from, or
`refused` and the sentence of the node or of the audit.
"""

import sys
from pathlib import Path

from metrobloc.engine.journal import Journal
from metrobloc.engine.solo import JOURNAL_FILE
from metrobloc.kernel.errors import MachineFault
from tests.faults.node import audited, digest


def read(home: Path) -> str:
    """Return what is to be printed of a data folder."""
    try:
        found = digest(home)
        Journal(home / JOURNAL_FILE).close()
        problems = audited(home).problems
    except MachineFault as fault:
        problems = [str(fault)]
    return f"refused {problems[0]}" if problems else f"whole {found}"


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(" ".join(read(Path(line.rstrip("\n"))).split()) + "\n")
        sys.stdout.flush()
