"""Stores: whole or not at all, for their owner's eyes, and nothing that lies in one can lead or hold us elsewhere."""

import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest

from metrobloc.client.vault import Fault, Stores
from metrobloc.client.vault.stores import Bucket, Folder, content_key, envelope_key, open_url

ENTRY, OTHER = "e" * 26, "f" * 26
DIGEST = "0" * 64
KEY = content_key(ENTRY, DIGEST)
CUSTODIAN = "k" * 26


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    """Return a store in a folder that is not there yet."""
    return Folder(tmp_path / "some" / "store")


def code_of(error: pytest.ExceptionInfo[Fault]) -> str:
    """Return a fault's code."""
    return error.value.code


def test_what_is_put_is_there_and_nobody_else_can_read_it(store: Folder) -> None:
    store.put(KEY, b"abc")
    store.put(KEY, b"abcd")
    store.put(envelope_key(ENTRY, DIGEST), b"e")
    store.put(content_key(OTHER, DIGEST), b"o")
    assert store.get(KEY, 4) == b"abcd"
    assert list(store.keys(ENTRY)) == [KEY, envelope_key(ENTRY, DIGEST)]
    assert list(store.keys()) == [*store.keys(ENTRY), content_key(OTHER, DIGEST)]
    for path in store.root.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_what_is_deleted_is_gone_and_its_folder_with_the_last_file(store: Folder) -> None:
    store.put(KEY, b"abc")
    store.put(envelope_key(ENTRY, DIGEST), b"e")
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(Fault, match="missing"):
        store.get(KEY, 4)
    assert (store.root / ENTRY).exists()
    store.delete(envelope_key(ENTRY, DIGEST))
    assert not (store.root / ENTRY).exists()
    assert list(store.keys()) == list(store.keys(OTHER)) == []


def test_a_store_that_is_not_there_has_nothing(store: Folder) -> None:
    assert list(store.keys()) == []
    store.delete(KEY)
    with pytest.raises(Fault, match="missing"):
        store.get(KEY, 4)


@pytest.mark.parametrize("failing", ["fsync", "rename", "write"])
def test_a_failing_disk_leaves_the_old_bytes_and_no_rest(
    store: Folder, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(KEY, b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if failing == "write":
        monkeypatch.setattr(os, "fdopen", fail)
    else:
        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(Fault, match="No space left") as error:
        store.put(KEY, b"new")
    monkeypatch.undo()
    assert code_of(error) == "store_fails"
    assert store.get(KEY, 3) == b"old"
    assert [path.name for path in (store.root / ENTRY).iterdir()] == [KEY.partition("/")[2]]


def test_bytes_are_synced_before_they_have_their_name(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "rename")}

    def noting(name: str) -> None:
        def do(*args: object, **named: object) -> object:
            done.append(name)
            return real[name](*args, **named)

        monkeypatch.setattr(os, name, do)

    store.put(envelope_key(ENTRY, DIGEST), b"e")
    for name in real:
        noting(name)
    store.put(KEY, b"abc")
    assert done == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    "key",
    [
        f"../{ENTRY}/content.{DIGEST}",
        f"{ENTRY}/../../etc/passwd",
        f"{ENTRY}/content.{DIGEST}/..",
        f"/{ENTRY}/content.{DIGEST}",
        f"{ENTRY}/content.{DIGEST}\n",
        f"{ENTRY}/content.{'g' * 64}",
        f"{ENTRY.upper()}/content.{DIGEST}",
        f"{ENTRY}/secret.{DIGEST}",
        "",
    ],
)
def test_no_key_leads_out_of_a_store(store: Folder, key: str) -> None:
    for do in (partial(store.get, key, 9), partial(store.put, key, b""), partial(store.delete, key)):
        with pytest.raises(Fault) as error:
            do()
        assert code_of(error) == "bad_store"
    for made in (partial(content_key, "../../x", DIGEST), partial(envelope_key, ENTRY, "../x")):
        with pytest.raises(Fault, match="bad_store"):
            made()


def test_no_link_is_followed(store: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not yours")
    (store.root / ENTRY).mkdir(parents=True)
    (store.root / KEY).symlink_to(secret)
    (store.root / OTHER).symlink_to(tmp_path)
    (tmp_path / content_key(OTHER, DIGEST).partition("/")[2]).write_bytes(b"not yours either")
    for key in (KEY, content_key(OTHER, DIGEST)):
        with pytest.raises(Fault) as error:
            store.get(key, 99)
        assert code_of(error) == "store_fails"
    with pytest.raises(Fault):
        store.put(content_key(OTHER, "1" * 64), b"x")
    assert not (tmp_path / f"content.{'1' * 64}").exists()
    with pytest.raises(Fault):
        store.delete(content_key(OTHER, DIGEST))
    assert (tmp_path / f"content.{DIGEST}").exists()
    assert list(store.keys()) == [KEY]
    store.put(KEY, b"mine")  # the name now stands for a file
    assert (secret.read_bytes(), store.get(KEY, 9)) == (b"not yours", b"mine")


def test_a_pipe_a_folder_and_a_huge_file_hold_nobody_up(store: Folder) -> None:
    (store.root / ENTRY).mkdir(parents=True)
    os.mkfifo(store.root / KEY)
    (store.root / content_key(ENTRY, "1" * 64)).mkdir()
    huge = store.root / content_key(ENTRY, "2" * 64)
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    for digest, code in ((DIGEST, "store_fails"), ("1" * 64, "store_fails"), ("2" * 64, "overlong")):
        with pytest.raises(Fault) as error:
            store.get(content_key(ENTRY, digest), 4096)
        assert code_of(error) == code


def test_a_file_that_grows_while_it_is_read_is_not_read_on(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(KEY, b"x" * 100)
    real = os.fstat

    def small(handle: int) -> os.stat_result:
        told = list(real(handle))
        told[stat.ST_SIZE] = 1
        return os.stat_result(told)

    monkeypatch.setattr(os, "fstat", small)
    with pytest.raises(Fault, match="overlong"):
        store.get(KEY, 10)


def test_strange_names_in_a_store_are_left_out(store: Folder) -> None:
    store.put(KEY, b"x")
    (store.root / "lost+found").mkdir()
    (store.root / OTHER).write_bytes(b"a file")
    (store.root / ENTRY / "notes.txt").write_bytes(b"x")
    assert list(store.keys()) == [KEY]


def test_many_may_put_the_same(store: Folder) -> None:
    def put() -> None:
        for _ in range(20):
            store.put(KEY, b"x" * 5000)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(KEY, 5000) == b"x" * 5000
    assert list(store.keys()) == [KEY]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "local:",
        "local:../etc",
        "local:a/b",
        "local:a\n",
        "http://example.org/",
        "file://host/etc",
        "file:etc",
        "file:///etc?x=1",
        "s3://",
        "s3://a",
        "s3://Bucket",
        "s3://bucket/../x",
        "s3://bucket/a b",
        "s3://name:word@bucket/x",
        "s3://bucket/x?endpoint=http://a&endpoint=http://b",
        "s3://bucket/x?access_key_id=a",
        "s3://bucket/x?endpoint",
        "s3://[bucket/x",
    ],
)
def test_addresses_that_are_none_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as error:
        open_url(url, tmp_path)
    assert code_of(error) == "bad_store"


def test_addresses_open_what_they_say(tmp_path: Path) -> None:
    local, folder = open_url("local:office_2", tmp_path), open_url("file:///srv/a%20b", tmp_path)
    assert isinstance(local, Folder)
    assert isinstance(folder, Folder)
    assert (local.root, folder.root) == (tmp_path / "office_2", Path("/srv/a b"))
    assert isinstance(open_url("s3://bucket/a/b?endpoint=http://127.0.0.1:9&region=us-east-1", tmp_path), Bucket)


@pytest.mark.parametrize("url", ["file:///etc", "s3://bucket/x?endpoint=http://169.254.169.254", "https://a.example/"])
def test_an_address_on_the_ledger_alone_opens_nothing(url: str, tmp_path: Path) -> None:
    """A custodian could name a folder of ours, or a place that should not hear of our credentials."""
    for stores in (Stores(tmp_path), Stores(tmp_path, {CUSTODIAN: f"{url}/other", "m" * 26: url})):
        with pytest.raises(Fault, match="vault allow") as error:
            stores.of(CUSTODIAN, url)
        assert (code_of(error), url in error.value.sentence) == ("not_allowed", True)


def test_what_is_local_or_allowed_or_named_is_opened(tmp_path: Path) -> None:
    for stores, url, root in (
        (Stores(tmp_path), "local:a", tmp_path / "a"),
        (Stores(tmp_path, {CUSTODIAN: "file:///srv/b"}), "file:///srv/b", Path("/srv/b")),
        (Stores(tmp_path, only="file:///srv/c"), "https://elsewhere.example/", Path("/srv/c")),
    ):
        store = stores.of(CUSTODIAN, url)
        assert isinstance(store, Folder)
        assert store.root == root


def test_a_bucket_at_which_nobody_answers_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "someone")
    store = open_url("s3://bucket/x?endpoint=http://127.0.0.1:9&region=us-east-1", tmp_path)
    for do in (lambda: store.get(KEY, 9), lambda: store.put(KEY, b""), lambda: list(store.keys())):
        with pytest.raises(Fault) as error:
            do()
        assert code_of(error) == "store_fails"
