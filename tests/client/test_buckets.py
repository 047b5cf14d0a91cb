"""A store that speaks S3 badly on purpose: endless, garbled, refusing or leading elsewhere, it is found out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from metrobloc.client.vault import Fault
from metrobloc.client.vault.stores import Store, content_key, open_url

KEY = content_key("e" * 26, "0" * 64)
LIST = (
    b'<?xml version="1.0"?><ListBucketResult><Name>b</Name><Contents><Key>x/%s</Key><Size>1</Size><ETag>"e"</ETag>'
    b"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
)


@contextmanager
def answering(tmp_path: Path, how: str) -> Iterator[tuple[Store, list[str], str]]:
    """Run a server that answers everything in one way; yield a store at it, what it was asked, and its URL."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # as the library calls it
            asked.append(f"{self.command} {self.path}\n{self.headers}".lower())
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, _, body = how.partition(" ")
            if status == "endless":
                self.send_response(200)
                self.send_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.send_header("etag", '"e"')
                self.send_header("content-length", str(1 << 40))
                self.end_headers()
                try:
                    while True:
                        self.wfile.write(b"x" * 65536)
                except OSError:
                    self.close_connection = True
                return
            self.send_response(int(status))
            if status == "307":
                self.send_header("location", body)
                body = ""
            self.send_header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.send_header("etag", '"e"')
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.do_GET
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            yield open_url(f"s3://bucket/x?endpoint={url}&region=us-east-1", tmp_path), asked, url
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the library credentials, or it would look for some."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-long-secret-of-the-test")


def test_an_endless_answer_is_not_read(tmp_path: Path) -> None:
    with answering(tmp_path, "endless") as (store, *_), pytest.raises(Fault) as error:
        store.get(KEY, 100_000)
    assert error.value.code == "overlong"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("404 <Error><Code>NoSuchKey</Code></Error>", "missing"),
        ("403 <Error/>", "store_fails"),
        ("400 no", "store_fails"),
    ],
)
def test_what_is_refused_is_told(tmp_path: Path, how: str, code: str) -> None:
    with answering(tmp_path, how) as (store, *_):
        with pytest.raises(Fault) as error:
            store.get(KEY, 100)
        assert error.value.code == code
        assert "a-long-secret" not in str(error.value)
        with pytest.raises(Fault) as error:
            store.put(KEY, b"x")
        assert error.value.code in {code, "store_fails"}


@pytest.mark.parametrize("how", ["200 garbage", "200 <ListBucketResult>", "200 \0\0\0"])
def test_a_garbled_list_is_told(tmp_path: Path, how: str) -> None:
    with answering(tmp_path, how) as (store, *_), pytest.raises(Fault) as error:
        list(store.keys())
    assert error.value.code == "store_fails"


@pytest.mark.parametrize("name", ["notes.txt", KEY.upper(), f"{KEY}.new", f"deeper/{KEY}"])
def test_strange_names_in_a_list_are_left_out(tmp_path: Path, name: str) -> None:
    for listed, wanted in ((name, []), (KEY, [KEY])):
        with answering(tmp_path, "200 " + (LIST % listed.encode()).decode()) as (store, *_):
            assert list(store.keys()) == wanted


def test_a_name_that_would_lead_out_is_refused(tmp_path: Path) -> None:
    with (
        answering(tmp_path, "200 " + (LIST % b"../../etc/passwd").decode()) as (store, *_),
        pytest.raises(Fault) as error,
    ):
        list(store.keys())
    assert error.value.code == "store_fails"


def test_credentials_do_not_follow_a_redirection(tmp_path: Path) -> None:
    """The library follows one; what comes is held to the ledger's digest by whoever asked, like all bytes."""
    with ExitStack() as both:
        _, elsewhere, url = both.enter_context(answering(tmp_path, "200 from elsewhere"))
        store, asked, _ = both.enter_context(answering(tmp_path, f"307 {url}/x"))
        assert store.get(KEY, 100) == b"from elsewhere"
    assert "authorization: aws4-hmac-sha256" in asked[0]
    assert elsewhere
    assert not [one for one in elsewhere if "authorization" in one]
