"""Commit numbered synthetic blocks and say of each one that it is acknowledged: the program that faults are put into.

Arguments: the store's path, the seed, the height to end at, the bytes that are kept in memory before a table is
written. It makes the store when there is none, prints `ready`, waits for a line, and goes on from the store's head.
"""

import sys
from itertools import islice
from pathlib import Path

from metrobloc.engine import rocks
from metrobloc.engine.store import Store, StoreError
from metrobloc.testing.faults.workload import GENESIS, blocks, meta


def main(path: Path, seed: int, last: int, buffer_bytes: int) -> None:
    """Commit up to a height; on a fault of the store exit with 1 and its sentence."""
    rocks.WRITE_BUFFER_BYTES = buffer_bytes
    try:
        store = Store.open(path) if path.exists() else Store.create(path, GENESIS)
        _say("ready")
        sys.stdin.readline()
        for block in islice(blocks(seed), store.head() + 1, last + 1):
            store.commit(block, meta(block))
            _say(f"acknowledged {block.height}")
        store.close()
    except StoreError as error:
        sys.exit(str(error))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
