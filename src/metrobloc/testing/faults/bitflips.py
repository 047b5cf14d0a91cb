"""Flip single bits of a data folder, on copies."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple


class Flip(NamedTuple):
    """One bit of one file, by its path inside the folder."""

    file: str
    offset: int
    bit: int


def draw(folder: Path, seed: int, count: int) -> list[Flip]:
    """Draw bits: every other one from all bytes alike, the rest from all files alike, so that small ones are hit."""
    random = Random(seed)  # noqa: S311  # chance that can be repeated is wanted
    sizes = {str(file.relative_to(folder)): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}
    files, weights = zip(*((file, size) for file, size in sizes.items() if size), strict=True)
    chosen = [random.choices(files, weights if turn % 2 else None)[0] for turn in range(count)]
    return [Flip(file, random.randrange(sizes[file]), random.randrange(8)) for file in chosen]


@contextmanager
def flipped(folder: Path, flip: Flip, scratch: Path) -> Iterator[Path]:
    """Copy a folder to a free path, flip the bit there, and take the copy away afterwards."""
    shutil.copytree(folder, scratch)
    try:
        with (scratch / flip.file).open("r+b") as file:
            file.seek(flip.offset)
            byte = file.read(1)[0]
            file.seek(flip.offset)
            file.write(bytes([byte ^ 1 << flip.bit]))
        yield scratch
    finally:
        shutil.rmtree(scratch)
