"""The store: rows read back, a block is whole or not there, and a store that cannot be trusted is refused."""

import shutil
from itertools import islice
from pathlib import Path

import pytest
from rocksdict import Rdict, WriteBatch, WriteOptions

from metrobloc.engine import rocks, rows
from metrobloc.engine.store import Store, StoreError, WriteFailed
from metrobloc.kernel.errors import MachineFault
from metrobloc.testing.faults.workload import GENESIS, agrees, blocks, meta

SEED = 5


def made(path: Path, count: int) -> Store:
    store = Store.create(path, GENESIS)
    for block in islice(blocks(SEED), count):
        store.commit(block, meta(block))
    return store


def refused(path: Path, sentence: str) -> None:
    """Assert that a store is refused with a sentence, twice, and that its data stays as it was."""
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and "LO" not in file.name}
    for _ in range(2):
        with pytest.raises(StoreError, match=sentence):
            Store.open(path)
    assert before == {file: file.read_bytes() for file in before}


def test_blocks_read_back_before_and_after_a_restart(tmp_path: Path) -> None:
    store = made(tmp_path / "store", rows.UNDO_HEIGHTS + 5)
    agrees(store, SEED)
    store.close()
    store = Store.open(tmp_path / "store")
    agrees(store, SEED)
    assert store.meta("genesis") == GENESIS
    assert store.head() == rows.UNDO_HEIGHTS + 4
    store.close()


def test_a_new_store_is_before_genesis_and_only_its_owner_may_look(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 0)
    agrees(store, SEED)
    assert store.head() == -1
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "store" / "acknowledged").stat().st_mode & 0o777 == 0o600
    store.close()


def test_pages_go_both_ways(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 8)
    everything = sorted(store.leaves())
    assert store.scan(b"", None, 10**6) == everything
    assert store.scan(b"", None, 10**6, reverse=True) == everything[::-1]
    keys = [key for key, _ in everything]
    for at in (0, 1, len(keys) // 2, len(keys) - 1):
        assert store.scan(b"app/", keys[at], 3) == everything[at + 1 : at + 4]
        assert store.scan(b"app/", keys[at], 3, reverse=True) == everything[max(0, at - 3) : at][::-1]
        assert store.scan(keys[at], None, 3) == [everything[at]]
        assert store.scan(keys[at], None, 3, reverse=True) == [everything[at]]
    assert store.scan(b"app/table/", b"app/a", 1) == everything[:1]
    assert store.scan(b"app/table/", b"app/z", 1, reverse=True) == everything[-1:]
    assert store.scan(b"app/table/", keys[0] + b"\x00", 1) == everything[1:2]
    assert store.scan(b"zzz", None, 5) == store.scan(b"zzz", None, 5, reverse=True) == []
    index = store.scan_index(b"app/by/", None, 100)
    assert store.scan_index(b"app/by/", None, 100, reverse=True) == index[::-1]
    assert store.get_index(index[0][0]) == b""
    assert store.get_index(keys[0]) is None
    store.close()


def test_a_hash_leads_to_its_key(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 1)
    assert [key for _, key in store._rows(b"h")] == [store.key_of(digest[1:]) for digest, _ in store._rows(b"h")]
    assert store.key_of(bytes(32)) is None
    with pytest.raises(StoreError, match="Tile 9 of level 1 is missing"):
        store.tile(1, 9)
    store.close()


def test_misuse_is_refused(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 2)
    with pytest.raises(ValueError, match="block 0 does not follow block 1"):
        store.commit(next(blocks(SEED)))
    with pytest.raises(ValueError, match="keeps these names itself"):
        store.put_meta({"head": b""})
    with pytest.raises(StoreError, match="Name a free path"):
        Store.create(tmp_path / "store", GENESIS)
    agrees(store, SEED)
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.get(b"")
    assert issubclass(StoreError, MachineFault)


def test_meta_is_kept_between_blocks(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 3)
    store.put_meta({"checkpoint": b"renewed"})
    store.close()
    store = Store.open(tmp_path / "store")
    assert store.meta("checkpoint") == b"renewed"
    assert store.meta("nothing") is None
    store.close()


def test_a_backup_is_the_store_as_it_was(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 5)
    store.backup(tmp_path / "backup")
    inodes = {file.stat().st_ino for file in (tmp_path / "store").rglob("*")}
    assert not inodes & {file.stat().st_ino for file in (tmp_path / "backup").rglob("*")}
    with pytest.raises(StoreError, match="Name a free path"):
        store.backup(tmp_path / "backup")
    for block in islice(blocks(SEED), 5, 9):
        store.commit(block, meta(block))
    agrees(store, SEED)
    store.close()
    backup = Store.open(tmp_path / "backup")
    assert backup.head() == 4
    agrees(backup, SEED)
    backup.commit(next(islice(blocks(SEED), 5, 6)))
    backup.close()


def test_a_failed_write_ends_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = made(tmp_path / "store", 2)

    def full(_record: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store._acknowledged, "write", full)
        with pytest.raises(WriteFailed, match=r"Block 2 could not be written.*No space left.*start it again"):
            store.commit(next(islice(blocks(SEED), 2, 3)), {"checkpoint": b"after 2"})
    for call in (lambda: store.get(b"k"), lambda: store.put_meta({}), lambda: store.scan(b"", None, 1), store.read_all):
        with pytest.raises(WriteFailed):
            call()
    store.close()
    store = Store.open(tmp_path / "store")
    assert store.head() == 2
    agrees(store, SEED)
    store.close()


class Stalling:
    """A database that does not take the first writes."""

    def __init__(self, database: Rdict, times: int) -> None:
        self.database, self.times = database, times

    def __getattr__(self, name: str) -> object:
        return getattr(self.database, name)

    def write(self, batch: WriteBatch, options: WriteOptions) -> None:
        """Refuse the first writes, and use up their batches as RocksDB does."""
        self.times -= 1
        if self.times >= 0:
            self.database.write(WriteBatch(raw_mode=True), options)
            raise OSError("Result incomplete: Write stall")
        self.database.write(batch, options)


def test_a_stall_is_waited_for_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrobloc.engine.store.STALL_PAUSE_S", 0)
    monkeypatch.setattr("metrobloc.engine.store.STALLS_MAX", 9)
    store = made(tmp_path / "store", 7)
    monkeypatch.setattr(store, "_database", Stalling(store._database, 8))
    store.commit(next(islice(blocks(SEED), 7, 8)), {"checkpoint": b"after 7"})
    agrees(store, SEED)
    monkeypatch.setattr(store, "_database", Stalling(store._database, 9))
    with pytest.raises(WriteFailed, match="did not keep up"):
        store.put_meta({})
    store.close()
    store = Store.open(tmp_path / "store")
    agrees(store, SEED)
    store.close()


def test_tables_are_written_while_blocks_are_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rocks, "WRITE_BUFFER_BYTES", 1 << 16)
    store = made(tmp_path / "store", 100)
    assert len(list((tmp_path / "store" / "rocks").glob("*.sst"))) > 1
    agrees(store, SEED)
    store.close()


def live_copy(tmp_path: Path, count: int) -> Path:
    """Return a store as kill -9 leaves it: with its blocks still in the write-ahead log."""
    store = made(tmp_path / "live", count)
    copy = tmp_path / "store"
    shutil.copytree(tmp_path / "live", copy)
    store.close()
    return copy


def test_a_log_cut_short_anywhere_is_noticed(tmp_path: Path) -> None:
    copy = live_copy(tmp_path, 4)
    (log,) = (copy / "rocks").glob("*.log")
    whole = log.read_bytes()
    for cut in (1, 7, 100, len(whole) // 8, len(whole) // 3, len(whole) // 2, len(whole) - 1, len(whole)):
        log.write_bytes(whole[:-cut])
        refused(copy, r"block 3, write 4, is the last acknowledged one: something is lost\. Restore")
    log.write_bytes(whole)
    store = Store.open(copy)
    agrees(store, SEED)
    store.close()


@pytest.mark.parametrize("tail", [b"", bytes(5000), b"torn" * 11])
def test_a_torn_tail_that_nobody_was_promised_is_dropped(tmp_path: Path, tail: bytes) -> None:
    store = made(tmp_path / "live", 4)
    acknowledged = (tmp_path / "live" / "acknowledged").read_bytes()
    store.commit(next(islice(blocks(SEED), 4, 5)))
    shutil.copytree(tmp_path / "live", tmp_path / "store")
    store.close()
    (tmp_path / "store" / "acknowledged").write_bytes(acknowledged)
    (log,) = (tmp_path / "store" / "rocks").glob("*.log")
    log.write_bytes(log.read_bytes()[:-1000] + tail)
    store = Store.open(tmp_path / "store")
    assert store.head() == 3
    agrees(store, SEED)
    store.close()


def test_a_store_ahead_of_its_acknowledgement_goes_on(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 3)
    before = (tmp_path / "store" / "acknowledged").read_bytes()
    store.commit(next(islice(blocks(SEED), 3, 4)), {"checkpoint": b"after 3"})
    store.close()
    (tmp_path / "store" / "acknowledged").write_bytes(before)
    store = Store.open(tmp_path / "store")
    assert store.head() == 3
    agrees(store, SEED)
    store.close()
    assert b'"height":3' in (tmp_path / "store" / "acknowledged").read_bytes()


def test_one_damaged_half_of_the_acknowledgement_is_enough_and_two_are_refused(tmp_path: Path) -> None:
    store = made(tmp_path / "store", 3)
    store.close()
    file = tmp_path / "store" / "acknowledged"
    whole = file.read_bytes()
    for half in (0, 4096):
        file.write_bytes(whole[:half] + bytes(4096) + whole[half + 4096 :])
        store = Store.open(tmp_path / "store")
        agrees(store, SEED)
        store.close()
    for broken in (bytes(8192), b"", whole[1:4000]):
        file.write_bytes(broken)
        refused(tmp_path / "store", "Both halves")
    file.unlink()
    refused(tmp_path / "store", "no whole store")


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "store", 1).close()
    Store.create(tmp_path / "other", b"other").close()
    shutil.copy(tmp_path / "other" / "acknowledged", tmp_path / "store" / "acknowledged")
    refused(tmp_path / "store", "different chains")
    shutil.rmtree(tmp_path / "store" / "rocks")
    (tmp_path / "store" / "rocks").mkdir()
    refused(tmp_path / "store", "cannot be opened")


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("metrobloc.engine.store.FORMAT", b"metrobloc-store/9")
        made(tmp_path / "store", 1).close()
    refused(tmp_path / "store", "has the format 'metrobloc-store/9'")


def test_a_log_that_rocksdb_would_never_finish_reading_is_refused(tmp_path: Path) -> None:
    copy = live_copy(tmp_path, 20)
    (log,) = (copy / "rocks").glob("*.log")
    data = bytearray(log.read_bytes())
    data[32768 * 3 + 6] = 5
    log.write_bytes(data)
    refused(copy, r"\.log is damaged")
