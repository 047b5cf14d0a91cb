"""Found a chain in a folder, or take up the one that is there; then change the operator's key if told to.

The program that faults are put into. Arguments: `found` or `rotate`, and the folder.
"""

import sys
from pathlib import Path

from metrobloc.app import modules
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.engine.solo import Solo

START_MS = 1_700_000_000_000


def main(home: Path, *, rotate: bool) -> None:
    """Do it."""
    if (home / "store").exists():
        node = Solo.open(home, modules())
    else:
        node = Solo.create(home, demo_genesis(START_MS, modules()), modules())
    if rotate:
        node.rotate_key(START_MS)
    node.close()


if __name__ == "__main__":
    main(Path(sys.argv[2]), rotate=sys.argv[1] == "rotate")
