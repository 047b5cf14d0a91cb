"""Fold a file of blocks into a mirror, one after the other, and say each height that is in: the program that is killed.

Arguments: the file (JSON lines as a feed sends them), the mirror. For each line on standard input a copy of this
process does the work; it says its process id and how high the mirror was. `ended` says that it is gone.
"""

import os
import sys
from pathlib import Path

import msgspec

from metrobloc.app import modules
from metrobloc.mirror.database import open_writer, prepare
from metrobloc.mirror.fold import News, fold
from metrobloc.mirror.schema import make_schema
from tests.mirror.toys import GENESIS


def main(feed: Path, mirror: Path) -> None:
    """Serve one copy after the other."""
    schema = make_schema(modules().values())
    news = [msgspec.json.decode(line, type=News) for line in feed.read_bytes().splitlines()]
    for _ in sys.stdin:
        copy = os.fork()
        if copy:
            os.waitpid(copy, 0)
            _say("ended")
            continue
        engine = open_writer(mirror)
        height = prepare(engine, schema, GENESIS)
        _say(f"{os.getpid()} {height}")
        for block in news[height + 1 :]:
            _say(str(fold(engine, schema, [block])))
        os._exit(0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
