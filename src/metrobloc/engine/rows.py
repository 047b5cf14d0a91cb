"""Lay a block out as rows of the store.

Rows, by the first byte of their key (integers big-endian; height and minute 8 bytes):

    s <state key>   record                         h <SHA-256 of a state key>   the state key
    i <index key>   index row, not proven          b <height>                   block
    r <height>      receipts (MessagePack list)    d <height>                   header, size of the log after it
    u <height>      undo (MessagePack; 128 kept)   t <level 1> <index 8>        tile of the log
    x <tx id>       height 8, receipt number 4     e <minute> <height>          ids that expire in this minute
    w <height>      write set (MessagePack): the keys of the block's records with their new bytes, or none
    m <name>        meta: format, genesis, head, writes, and what the engine keeps here
"""

from hashlib import sha256

import msgspec
from rocksdict import WriteBatch

from metrobloc.kernel.machine import Sealed

UNDO_HEIGHTS = 128


class Undo(msgspec.Struct, frozen=True, array_like=True):
    """What a block changed: the tree's undo, and every written key's record as it was before (None: absent)."""

    tree: bytes
    before: dict[bytes, bytes | None]


WriteSet = list[tuple[bytes, bytes | None]]
"""What a block made of records, in the order in which it first touched them: key and new bytes (None: removed)."""


def block_rows(batch: WriteBatch, block: Sealed) -> None:
    """Put all rows of a block into a batch, but for the meta rows and what expires."""
    _put_state(batch, block)
    _put_history(batch, block)


def header_row(block: Sealed) -> bytes:
    """Return the row of a block's header: the size of the log after it, then the header."""
    return u64(block.log.size) + block.header


def receipts_of(row: bytes) -> list[bytes]:
    """Return the receipts in a row."""
    return _receipts.decode(row)


def writes_of(row: bytes) -> WriteSet:
    """Return the write set in a row."""
    return _writes.decode(row)


def undo_of(row: bytes) -> Undo:
    """Return the undo in a row."""
    return _undo.decode(row)


def tile_key(level: int, index: int) -> bytes:
    """Return the key of a tile's row."""
    return b"t" + bytes([level]) + u64(index)


def u64(number: int) -> bytes:
    """Return a number that is not negative in 8 bytes; they sort as numbers do."""
    return number.to_bytes(8, "big")


def s64(number: int) -> bytes:
    """Return any number in 8 bytes; from 0 on, the same as `u64`."""
    return number.to_bytes(8, "big", signed=True)


def integer(data: bytes) -> int:
    """Return the number that `s64` or `u64` wrote."""
    return int.from_bytes(data, "big", signed=True)


def _put_state(batch: WriteBatch, block: Sealed) -> None:
    for key, (old, new) in block.writes.items():
        if new is None:
            batch.delete(b"s" + key)
            batch.delete(b"h" + sha256(key).digest())
            continue
        batch.put(b"s" + key, new)
        if old is None:
            batch.put(b"h" + sha256(key).digest(), key)
    for key, row in block.indexes.items():
        if row is None:
            batch.delete(b"i" + key)
        else:
            batch.put(b"i" + key, row)


def _put_history(batch: WriteBatch, block: Sealed) -> None:
    height = u64(block.height)
    undo = Undo(block.undo, {key: old for key, (old, _) in block.writes.items()})
    batch.put(b"b" + height, block.block)
    batch.put(b"r" + height, msgspec.msgpack.encode(block.receipts))
    batch.put(b"d" + height, header_row(block))
    batch.put(b"u" + height, msgspec.msgpack.encode(undo))
    batch.put(b"w" + height, msgspec.msgpack.encode([(key, new) for key, (_, new) in block.writes.items()]))
    if block.height >= UNDO_HEIGHTS:
        batch.delete(b"u" + u64(block.height - UNDO_HEIGHTS))
    for (level, index), tile in block.tiles.items():
        batch.put(tile_key(level, index), tile)
    for tx_id, receipt in block.transactions:
        batch.put(b"x" + tx_id, height + receipt.to_bytes(4, "big"))
    for minute, ids in block.expiring.items():
        batch.put(b"e" + u64(minute) + height, ids)


_receipts = msgspec.msgpack.Decoder(list[bytes])
_undo = msgspec.msgpack.Decoder(Undo)
_writes = msgspec.msgpack.Decoder(WriteSet)
