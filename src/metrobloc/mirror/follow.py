"""Keep a mirror up with a chain: from a running node's feed, or from a data folder on which no node runs.

What a feed gives is committed, so a mirror is never ahead of the ledger. It may lag; nobody waits for it. It can be
killed at any moment: the next one takes up at the height that the mirror's file says.
"""

import select
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import httpx
import msgspec
from msgspec import Raw, Struct

from metrobloc.engine.solo import present
from metrobloc.engine.store import Store
from metrobloc.kernel.machine import make_rules
from metrobloc.kernel.module import Module
from metrobloc.kernel.receipts import Header
from metrobloc.mirror.database import NO_BLOCK, REBUILD, MirrorProblem, file_of, open_writer, prepare, replace
from metrobloc.mirror.fold import REMOVED, News, fold
from metrobloc.mirror.schema import Schema, make_schema

BATCH_WRITES = 20_000
"""So many records and receipts go into one transaction of SQL when the mirror is behind."""

LINE_BYTES_MAX = 256 << 20
HEARTBEAT_S = 10
"""A feed that has nothing to tell sends an empty line as often."""

PAUSE_S = 0.2
PAUSE_S_MAX = 10.0
_PATIENCE = httpx.Timeout(5.0, read=3.0 * HEARTBEAT_S)
_news = msgspec.json.Decoder(News)
_header = msgspec.json.Decoder(Header)

Batch = list[News]


class _Standing(Struct, frozen=True):
    height: int


def schema_of(genesis: bytes, modules: Mapping[str, Module]) -> Schema:
    """Return the schema of a chain from its genesis."""
    return make_schema(make_rules(genesis, modules).modules)


def from_store(store: Store, after: int = NO_BLOCK) -> Iterator[Batch]:
    """Yield what a data folder has beyond a height."""
    return batches(_stored(store, height) for height in range(after + 1, store.head() + 1))


def batches(news: Iterable[News]) -> Iterator[Batch]:
    """Yield blocks by as many as go into one transaction."""
    batch, weight = Batch(), 0
    for block in news:
        batch.append(block)
        weight += _weight(block)
        if weight >= BATCH_WRITES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


@contextmanager
def calling(url: str) -> Iterator[httpx.Client]:
    """Open a line to a node; httpx.HTTPError when it breaks."""
    with httpx.Client(base_url=url, timeout=_PATIENCE, headers={"Accept-Encoding": "identity"}) as line:
        yield line


def from_node(line: httpx.Client, through: int) -> Iterator[Batch]:
    """Yield what a running node has, up to and with a height that it has."""
    for batch in _heard(line, NO_BLOCK):
        yield [block for block in batch if block.height <= through]
        if batch[-1].height >= through:
            return


def ask_node(line: httpx.Client) -> tuple[bytes, int]:
    """Return a node's genesis and the height of its newest block."""
    genesis = line.get("/v1/genesis").raise_for_status().content
    standing = line.get("/v1/status").raise_for_status().content
    return genesis, msgspec.json.decode(standing, type=_Standing).height


def rebuild(path: Path, schema: Schema, genesis: bytes, source: Iterable[Batch], done: Callable[[int], None]) -> int:
    """Make a mirror anew beside the old one, put it in its place, and return its height; `done` hears of blocks."""
    fresh = path.with_name(f"{path.name}.unfinished")
    fresh.unlink(missing_ok=True)  # what a kill in the middle left
    engine = open_writer(fresh, fast=True)
    with file_of(fresh):
        try:
            height = prepare(engine, schema, genesis)
            for batch in source:
                height = fold(engine, schema, batch)
                done(len(batch))
        finally:
            engine.dispose()
    with file_of(path):
        replace(fresh, path)
    return height


def follow(path: Path, url: str, modules: Mapping[str, Module], say: Callable[[str], None]) -> None:
    """Fold what a node commits, for ever; MirrorProblem when it cannot go on. `say` hears that the node is away."""
    pause, away = PAUSE_S, False
    while True:
        try:
            for _ in following(path, url, modules):
                pause, away = PAUSE_S, False
        except httpx.HTTPError as error:
            if not away:
                say(f"No feed from {url} ({type(error).__name__}: {error}); trying again until there is one.")
            away = True
        except MirrorProblem as problem:
            if problem.code != "mirror_gap":  # somebody has put another mirror in the file's place
                raise
        sleep(pause)
        pause = min(2 * pause, PAUSE_S_MAX)


def following(path: Path, url: str, modules: Mapping[str, Module]) -> Iterator[int]:
    """Fold what a node commits and yield the mirror's heights, until the feed ends; httpx.HTTPError when it breaks.

    MirrorProblem when the mirror is of another chain, or of another history of this one.
    """
    with calling(url) as line:
        genesis, _ = ask_node(line)
        schema = schema_of(genesis, modules)
        engine = open_writer(path)
        with file_of(path):
            try:
                height = prepare(engine, schema, genesis)
                for batch in _heard(line, max(height - 1, NO_BLOCK)):  # its newest block too: is it the same?
                    yield fold(engine, schema, batch)
            finally:
                engine.dispose()


def _heard(line: httpx.Client, after: int) -> Iterator[Batch]:
    """Yield the blocks of a node's feed: all that have arrived, or as many as go into one transaction."""
    with line.stream("GET", "/v1/feed", params={"after": after}) as answer:
        if answer.status_code == httpx.codes.CONFLICT:
            sentence = f"The node's chain ends before the mirror's height {after + 1}: it was restored. {REBUILD}"
            raise MirrorProblem("other_history", sentence)
        answer.raise_for_status()
        wire = answer.extensions["network_stream"].get_extra_info("socket")
        heard, weight = Batch(), 0
        for text, last in _lines(answer.iter_raw()):
            if text:
                heard.append(_read(text))
                weight += _weight(heard[-1])
            if heard and (weight >= BATCH_WRITES or (last and not select.select([wire], [], [], 0)[0])):
                yield heard
                heard, weight = [], 0
        if heard:
            yield heard


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it is the last whole one that has arrived."""
    rest = bytearray()
    for chunk in chunks:
        *whole, tail = chunk.split(b"\n")
        if whole:
            whole[0] = bytes(rest) + whole[0]
            rest.clear()
        rest += tail
        if len(rest) > LINE_BYTES_MAX:
            raise MirrorProblem("mirror_unreadable", "The node's feed sends a line without end; is it a node's?")
        for number, line in enumerate(whole, 1):
            yield line, number == len(whole)


def _read(line: bytes) -> News:
    try:
        return _news.decode(line)
    except msgspec.MsgspecError as error:
        sentence = f"What answered is no feed of this version ({error}); run the mirror of the node's own version."
        raise MirrorProblem("mirror_unreadable", sentence) from error


def _stored(store: Store, height: int) -> News:
    header = _header.decode(present(store.header(height))[0])
    writes = {key.decode(): REMOVED if new is None else Raw(new) for key, new in present(store.write_set(height))}
    return News(height, header.time_ms, header.state_root, writes, tuple(map(Raw, store.receipts(height))))


def _weight(block: News) -> int:
    return len(block.writes) + len(block.receipts)
