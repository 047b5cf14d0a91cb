"""Read stores through and through: a program of its own, since a damaged store might crash or hold up its reader.

For each path on a line of the input it prints one line: `rows` and a digest of them all, or `refused` and the store's
sentence.
"""

import sys
from hashlib import sha256
from pathlib import Path

from metrobloc.engine.store import Store, StoreError


def read(path: Path) -> str:
    """Open a store, read every row in order and again by its key, and return what is to be printed."""
    try:
        store = Store.open(path)
        try:
            digest = sha256()
            for key, row in store._rows(b""):
                digest.update(b"%d %d %s%s" % (len(key), len(row), key, row))
                if store._row(key) != row:
                    return f"differs {key!r}"
            return f"rows {digest.hexdigest()}"
        finally:
            store.close()
    except StoreError as error:
        return f"refused {error}"


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(read(Path(line.rstrip())) + "\n")
        sys.stdout.flush()
