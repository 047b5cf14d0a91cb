"""Set RocksDB up for a ledger: synced, checked, bounded in memory; and keep it from journals that it cannot read."""

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
    """Return a write-ahead log or manifest in which RocksDB meets a frame of a kind that is never written, or None.

    RocksDB may loop for ever over such a file (facebook/rocksdb issue 13333), so it must not see it. A file consists of
    blocks of 32 KiB; a frame is a checksum of 4 bytes, a length of 2 (little-endian), its kind (0 padding, 1 whole,
    2 first, 3 middle, 4 last; above that, kinds of settings not used here) and its bytes.
    """
    for file in sorted([*path.glob("*.log"), *path.glob("MANIFEST-*")]):
        data = file.read_bytes()
        if any(_strange(data[at : at + _FRAME_BLOCK]) for at in range(0, len(data), _FRAME_BLOCK)):
            return file
    return None


def _strange(block: bytes) -> bool:
    """Tell whether RocksDB meets a frame of a strange kind in a block.

    It does not look behind a frame that is empty, too long or wrong, such as one torn by a power cut: what follows
    there may look like anything.
    """
    frames: list[bytes] = []
    at = 0
    while at + _FRAME_HEADER <= len(block):
        length, kind = int.from_bytes(block[at + 4 : at + 6], "little"), block[at + 6]
        if kind >= _FRAME_KINDS:
            return all(map(_whole, frames))
        end = at + _FRAME_HEADER + length
        if end > len(block) or (kind, length) == (0, 0):
            break
        frames.append(block[at:end])
        at = end
    return False


def _whole(frame: bytes) -> bool:
    """Tell whether a frame has its checksum as RocksDB writes it: CRC-32C of kind and bytes, turned and added to."""
    checksum = 0xFFFFFFFF
    for byte in frame[6:]:
        checksum = _CRC32C[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    checksum ^= 0xFFFFFFFF
    masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked == int.from_bytes(frame[:4], "little")


def _crc32c_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC32C = [_crc32c_of(byte) for byte in range(256)]


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
