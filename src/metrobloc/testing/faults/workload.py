"""Numbered synthetic blocks for the store, and the check that a store holds exactly the first of them.

The blocks follow from a seed alone, so that a process that is killed and the test that looks at what it left agree on
what should be there.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from random import Random

from metrobloc.engine.rows import UNDO_HEIGHTS, Undo
from metrobloc.engine.store import Store
from metrobloc.kernel.log import Log, leaf_hash
from metrobloc.kernel.machine import Sealed

GENESIS = b'{"chain":"demo-store"}'
Rows = dict[bytes, bytes]


def blocks(seed: int) -> Iterator[Sealed]:
    """Yield block after block."""
    random = Random(seed)  # noqa: S311  # chance that can be repeated is wanted
    log, height = Log(), 0
    records: Rows = {}
    index: Rows = {}
    while True:
        sealed = _block(random, log, height, records, index)
        _fold(sealed, records, index)
        yield sealed
        log, height = sealed.log, height + 1


def meta(sealed: Sealed) -> dict[str, bytes]:
    """Return the meta rows that go with a block."""
    return {"checkpoint": b"after %d" % sealed.height}


def agrees(store: Store, seed: int) -> None:
    """Assert that a store holds all of the blocks up to its head and nothing of the next one."""
    source = blocks(seed)
    records: Rows = {}
    index: Rows = {}
    tiles: dict[tuple[int, int], bytes] = {}
    expiring: dict[int, bytes] = {}
    for sealed in islice(source, store.head() + 1):
        _same_block(store, sealed)
        _fold(sealed, records, index)
        tiles |= sealed.tiles
        for minute, ids in sealed.expiring.items():
            expiring[minute] = expiring.get(minute, b"") + ids
        expiring = {minute: ids for minute, ids in expiring.items() if minute > max(sealed.expired, default=-1)}
    assert dict(store.leaves()) == records
    assert dict(store.scan_index(b"", None, len(index) + 1)) == index
    names = dict(store._rows(b"h"))  # noqa: SLF001  # as they lie, below what the store is asked for
    assert {row[1:]: key for row, key in names.items()} == {sha256(key).digest(): key for key in records}
    assert all(store.get(key) == record for key, record in records.items())
    assert all(store.tile(*place) == tile for place, tile in tiles.items())
    found: dict[int, bytes] = {}
    for minute, ids in store.expiring(0):
        found[minute] = found.get(minute, b"") + ids
    assert found == expiring
    _nothing_of(store, next(source))


def _same_block(store: Store, sealed: Sealed) -> None:
    assert store.block(sealed.height) == sealed.block
    assert store.header(sealed.height) == (sealed.header, sealed.log.size)
    assert store.receipts(sealed.height) == sealed.receipts
    assert store.write_set(sealed.height) == [(key, new) for key, (_, new) in sealed.writes.items()]
    assert all(store.find(tx) == (sealed.height, number) for tx, number in sealed.transactions)
    undo = Undo(sealed.undo, {key: old for key, (old, _) in sealed.writes.items()})
    assert store.undo(sealed.height) == (undo if sealed.height > store.head() - UNDO_HEIGHTS else None)
    if sealed.height == store.head():
        assert {name: store.meta(name) for name in meta(sealed)} == meta(sealed)


def _nothing_of(store: Store, sealed: Sealed) -> None:
    assert (store.block(sealed.height), store.header(sealed.height)) == (None, None)
    assert (store.undo(sealed.height), store.write_set(sealed.height)) == (None, None)
    assert store.receipts(sealed.height) == []
    assert not any(store.find(tx) for tx, _ in sealed.transactions)


def _block(random: Random, log: Log, height: int, records: Rows, index: Rows) -> Sealed:
    receipts = [b'{"code":"ok","n":%d,"seed":"%s"}' % (n, random.randbytes(60).hex().encode()) for n in range(10)]
    known = random.sample(sorted(records), min(len(records), 25))
    after = {key: None if n < 5 else random.randbytes(random.randrange(100, 400)) for n, key in enumerate(known)}
    after |= {b"app/table/%s" % random.randbytes(13).hex().encode(): random.randbytes(300) for _ in range(30)}
    gone = dict.fromkeys(random.sample(sorted(index), min(len(index), 2)))
    log, tiles = log.extended([leaf_hash(receipt) for receipt in receipts])
    ids = [random.randbytes(32) for _ in receipts]
    minute = height // 3
    return Sealed(
        height=height,
        time_ms=height * 20_000,
        block=b'{"height":%d,"transactions":"%s"}' % (height, random.randbytes(5000).hex().encode()),
        header=b'{"height":%d,"state_root":"%s"}' % (height, random.randbytes(32).hex().encode()),
        log=log,
        receipts=receipts,
        transactions=[(tx, number) for number, tx in enumerate(ids)],
        writes={key: (records.get(key), new) for key, new in after.items()},
        indexes={**gone, **{b"app/by/%s" % random.randbytes(9).hex().encode(): b"" for _ in range(5)}},
        undo=random.randbytes(1000),
        tiles=tiles,
        expiring={minute + 4: b"".join(ids)},
        expired=[minute - 1] if minute and height % 3 == 0 else [],
    )


def _fold(sealed: Sealed, records: Rows, index: Rows) -> None:
    for rows, changes in ((records, {key: new for key, (_, new) in sealed.writes.items()}), (index, sealed.indexes)):
        for key, new in changes.items():
            if new is None:
                del rows[key]
            else:
                rows[key] = new
