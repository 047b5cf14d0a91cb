"""Set RocksDB up for a ledger: synced, checked, bounded in memory; and keep it from journals that it cannot read."""

from collections.abc import Iterator
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DataBlockIndexType,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
)

CACHE_BYTES = 128 << 20
WRITE_BUFFER_BYTES = 32 << 20
INFO_LOG_BYTES = 1 << 20
INFO_LOGS = 3

_FRAME_BLOCK = 32768
_FRAME_HEADER = 7
_FRAME_KINDS = 5


def open_database(path: Path, *, create: bool = False, read_only: bool = False) -> Rdict:
    """Open the database in this folder; Exception in RocksDB's words when it cannot be opened."""
    access = AccessType.read_only(error_if_log_file_exist=False) if read_only else AccessType.read_write()
    options = _options(create=create)
    # Named twice: for a column family that is not named, rocksdict takes the options stored in the folder.
    return Rdict(str(path), options, {"default": options}, access)


def damaged_journal(path: Path) -> Path | None:
    """Return a write-ahead log or manifest in this folder with a frame of a kind that is never written, or None.

    RocksDB may loop for ever over such a file (facebook/rocksdb issue 13333), so it must not see it. A file consists of
    blocks of 32 KiB; a frame is a checksum of 4 bytes, a length of 2 (little-endian), its kind (0 padding, 1 whole,
    2 first, 3 middle, 4 last; above that, kinds of settings not used here) and its bytes.
    """
    for file in sorted([*path.glob("*.log"), *path.glob("MANIFEST-*")]):
        if any(kind >= _FRAME_KINDS for kind in _frame_kinds(file.read_bytes())):
            return file
    return None


def _frame_kinds(data: bytes) -> Iterator[int]:
    at = 0
    while at + _FRAME_HEADER <= len(data):
        left = _FRAME_BLOCK - at % _FRAME_BLOCK
        if left < _FRAME_HEADER:
            at += left
        else:
            yield data[at + 6]
            at += _FRAME_HEADER + int.from_bytes(data[at + 4 : at + 6], "little")


def _options(*, create: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_error_if_exists(create)
    options.set_paranoid_checks(enabled=True)
    # The other modes refuse some or all tails torn by a power cut; what this one drops, `acknowledged` tells from loss.
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_background_jobs(2)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(INFO_LOGS)
    options.set_max_log_file_size(INFO_LOG_BYTES)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(CACHE_BYTES))
    table.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
    table.set_data_block_hash_ratio(0.75)
    table.set_bloom_filter(10, block_based=False)
    table.set_format_version(5)
    options.set_block_based_table_factory(table)
    return options
