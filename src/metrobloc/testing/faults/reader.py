"""Read stores through and through: a program of its own, since a damaged store might crash or hold up its reader.

For each path on a line of the input it prints one line: `rows` and a digest of them all, or `refused` and the store's
sentence. `asking` runs this program, or another that answers in the same way.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Timer

from metrobloc.engine.store import Store, StoreError

PATIENCE_S = 120


def read(path: Path) -> str:
    """Open a store, read every row in order and again by its key, and return what is to be printed."""
    try:
        store = Store.open(path)
        try:
            return f"rows {digest(store)}"
        finally:
            store.close()
    except StoreError as error:
        return f"refused {error}"


def digest(store: Store) -> str:
    """Return the SHA-256 of every row of a store; AssertionError when a row differs by its key."""
    found = sha256()
    for key, row in store._rows(b""):  # noqa: SLF001  # the rows as they lie, below what the store is asked for
        found.update(b"%d %d %s%s" % (len(key), len(row), key, row))
        assert store._row(key) == row, key  # noqa: SLF001
    return found.hexdigest()


@contextmanager
def asking(command: Sequence[str], cwd: Path | None = None) -> Iterator[Callable[[Path], str]]:
    """Run a reader, and yield what asks it about a path; the answer is empty when it crashed or did not end."""
    with subprocess.Popen(command, cwd=cwd, text=True, stdin=-1, stdout=-1) as reader:  # noqa: S603  # the caller's

        def ask(path: Path) -> str:
            assert reader.stdin is not None
            assert reader.stdout is not None
            limit = Timer(PATIENCE_S, reader.kill)
            limit.start()
            try:
                reader.stdin.write(f"{path}\n")
                reader.stdin.flush()
                return reader.stdout.readline().rstrip("\n")
            finally:
                limit.cancel()

        try:
            yield ask
        finally:
            reader.kill()


def main() -> None:
    """Answer line for line."""
    for line in sys.stdin:
        sys.stdout.write(" ".join(read(Path(line.rstrip("\n"))).split()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
