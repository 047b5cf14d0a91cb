"""The vault before an S3-compatible server that is not ours: Versity's gateway, with signatures that it checks."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from metrobloc.client import Client
from metrobloc.client.vault import Fault, Stores
from metrobloc.client.vault.stores import Store, content_key, envelope_key, open_url
from metrobloc.commons.vault.types import OfferStore
from tests.client.conftest import client, trust
from tests.client.people import LETTER, People, refused
from tests.support import need
from tests.surface.conftest import node, template

__all__ = ["client", "node", "template", "trust"]

SERVER = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
USER, SECRET = "vault-user", "a secret that only tests know"
KEY, ENVELOPE = content_key("e" * 26, "0" * 64), envelope_key("e" * 26, "1" * 64)
OTHER = content_key("f" * 26, "0" * 64)


class Gateway(NamedTuple):
    """A running server: where it is, and where its bytes lie."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Build the server, and run it on this machine with a bucket."""
    need(shutil.which("go"), "Go")
    place = tmp_path_factory.mktemp("s3")
    built = subprocess.run(
        ["go", "install", SERVER],
        env={**os.environ, "GOBIN": str(place), "GOFLAGS": ""},
        capture_output=True,
        check=False,
    )
    need(built.returncode == 0, f"the Go module of {SERVER}")
    (place / "data" / "bucket").mkdir(parents=True)
    (place / "sidecar").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(place / "versitygw"), "--port", f"127.0.0.1:{port}", "--access", USER, "--secret", SECRET, "--quiet"]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "posix", "--sidecar", str(place / "sidecar"), str(place / "data")], stdout=log, stderr=log
        )
    try:
        wait_for(port, process)
        yield Gateway(f"s3://bucket/some/prefix?endpoint=http://127.0.0.1:{port}&region=us-east-1", place / "data")
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens."""
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server does not listen")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign in as the tools of AWS do: by the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def store(gateway: Gateway, tmp_path: Path) -> Iterator[Store]:
    """Return a store in the bucket, and leave nothing in it."""
    opened = open_url(gateway.url, tmp_path)
    yield opened
    for key in list(opened.keys()):
        opened.delete(key)


def test_what_is_put_is_there_until_it_is_deleted(store: Store, gateway: Gateway) -> None:
    assert list(store.keys()) == []
    store.put(KEY, b"abc")
    store.put(KEY, b"abcd")
    store.put(ENVELOPE, b"e")
    store.put(OTHER, b"")
    assert (store.get(KEY, 4), store.get(OTHER, 0)) == (b"abcd", b"")
    assert sorted(store.keys()) == sorted([KEY, ENVELOPE, OTHER])
    assert sorted(store.keys("e" * 26)) == sorted([KEY, ENVELOPE])
    assert (gateway.folder / "bucket/some/prefix" / KEY).read_bytes() == b"abcd"
    with pytest.raises(Fault, match="overlong"):
        store.get(KEY, 3)
    store.delete(KEY)
    store.delete(KEY)
    with pytest.raises(Fault, match="missing"):
        store.get(KEY, 4)


def test_large_and_many_files_are_kept(store: Store) -> None:
    data = os.urandom(8 << 20)
    store.put(KEY, data)
    assert store.get(KEY, len(data)) == data
    keys = [content_key("g" * 26, f"{number:064x}") for number in range(1100)]  # more than one page of a list
    for key in keys:
        store.put(key, b"x")
    assert sorted(store.keys("g" * 26)) == keys


def test_other_credentials_and_no_bucket_are_refused(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused("store_fails", lambda: open_url(gateway.url.replace("bucket", "elsewhere"), tmp_path).put(KEY, b"x"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    stranger = open_url(gateway.url, tmp_path)
    for do in (lambda: stranger.put(KEY, b"x"), lambda: stranger.get(KEY, 1), lambda: list(stranger.keys())):
        fault = refused("store_fails", do)
        assert "another secret" not in fault.sentence


@pytest.mark.parametrize("waits", [True, False], ids=["waiting", "asyncio"])
def test_a_letter_is_kept_read_damaged_noticed_and_destroyed(
    client: Client, gateway: Gateway, store: Store, tmp_path: Path, *, waits: bool
) -> None:
    people = People(client, tmp_path, waits=waits)
    people.send("custodian", OfferStore(gateway.url))
    refused("not_allowed", people.put)
    for name in list(people.mine):
        people.alter(name, stores=Stores(tmp_path, {people.account("custodian"): gateway.url}))
    kept = people.put()
    assert people.reads("bo", kept.entry) == LETTER
    assert sorted(people.does("custodian", "tidy").acknowledged) == [kept.entry]
    key = content_key(kept.entry, kept.digest)
    data = store.get(key, 1 << 20)
    store.put(key, data[:-1])
    refused("truncated", lambda: people.reads("bo", kept.entry))
    assert [one.code for one in people.does("custodian", "check").findings] == ["truncated"]
    store.put(key, data)
    people.does("ann", "forget", kept.entry)
    assert people.does("custodian", "tidy").destroyed == (kept.entry,)
    assert list(store.keys()) == []
