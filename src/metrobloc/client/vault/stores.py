"""Where encrypted bytes lie: a folder, or a bucket that speaks S3. A store is trusted with nothing but to keep them.

Keys are made from an entry's id and a digest, never from what a store or a ledger says; what comes back is bounded in
size and time. A custodian's address is opened only when it is a folder of the user's own, or when she has allowed it.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from metrobloc.client.vault.faults import Fault

if TYPE_CHECKING:
    from obstore.store import S3Config  # a type that is not there at run time

KEY = re.compile(r"[a-z2-7]{26}/(?:content|envelope)\.[0-9a-f]{64}")
ENTRY = re.compile(r"[a-z2-7]{26}")
LOCAL = re.compile(r"local:([a-z][a-z0-9_-]{0,31})")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}/?){0,8}")
ANSWER = timedelta(seconds=60)
LISTED_MAX = 1_000_000


class Store(Protocol):
    """What is asked of a store. A `Fault` says what went wrong: `missing`, `overlong`, `store_fails`."""

    def get(self, key: str, most_bytes: int) -> bytes:
        """Return what lies under a key, if it is not more than this."""

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key, durably and whole or not at all."""

    def delete(self, key: str) -> None:
        """Keep nothing under a key any more; it is no fault when there was nothing."""

    def keys(self, entry: str = "") -> Iterator[str]:
        """Yield the keys of one entry, or all; what is no key of the vault is left out."""


def content_key(entry: str, digest: str) -> str:
    """Return the key of a document's bytes."""
    return _sound(f"{entry}/content.{digest}")


def envelope_key(entry: str, digest: str) -> str:
    """Return the key of an envelope."""
    return _sound(f"{entry}/envelope.{digest}")


class Stores:
    """Which store is whose, as far as the user trusts what the ledger says of it."""

    def __init__(self, home: Path, allowed: Mapping[str, str] | None = None, only: str = "") -> None:
        """Keep local stores under `home`; `allowed` are addresses by custodian; `only` is used whatever is said."""
        self.home = home
        self.allowed = allowed or {}
        self.only = only

    def of(self, custodian: str, url: str) -> Store:
        """Open a custodian's store at the address that the ledger has, or refuse to."""
        if self.only:
            return open_url(self.only, self.home)
        if LOCAL.fullmatch(url) is None and self.allowed.get(custodian) != url:
            raise Fault("not_allowed", url)
        return open_url(url, self.home)


def open_url(url: str, home: Path) -> Store:
    """Open a store at an address that the user has chosen."""
    local = LOCAL.fullmatch(url)
    if local is not None:
        return Folder(home / local[1])
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query, strict_parsing=bool(parts.query), max_num_fields=2)
    except ValueError as error:
        raise Fault("bad_store", url) from error
    if parts.scheme == "file" and not parts.netloc and not asked and parts.path.startswith("/"):
        return Folder(Path(unquote(parts.path)))
    prefix = parts.path.removeprefix("/")
    sound = BUCKET.fullmatch(parts.netloc) and PREFIX.fullmatch(prefix) and asked.keys() <= {"endpoint", "region"}
    if parts.scheme != "s3" or not sound or any(len(values) > 1 for values in asked.values()):
        raise Fault("bad_store", url)
    config: S3Config = {}
    if "endpoint" in asked:
        config["endpoint"] = asked["endpoint"][0]
    if "region" in asked:
        config["region"] = asked["region"][0]
    return Bucket(parts.netloc, prefix.rstrip("/"), config)


class Folder:
    """A store in a folder; files have mode 0600, and no symbolic link in it is followed."""

    def __init__(self, root: Path) -> None:
        """Use a folder; it is made when something is put there."""
        self.root = root

    def get(self, key: str, most_bytes: int) -> bytes:
        """Return what lies under a key."""
        entry, _, name = _sound(key).partition("/")
        with _machine(key), self._opened(entry) as folder:
            # Not blocking, or a pipe in a file's place would hold us for ever.
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(handle, "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise Fault("store_fails", f"{name} is no file")
                if about.st_size > most_bytes:
                    raise Fault("overlong", key)
                data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise Fault("overlong", key)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key."""
        entry, _, name = _sound(key).partition("/")
        with _machine(key):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                (self.root / entry).mkdir(mode=0o700)
                _sync(self.root)
                _sync(self.root.parent)
            with self._opened(entry) as folder:
                fresh = f".{name}.{secrets.token_hex(8)}"
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    with os.fdopen(os.open(fresh, flags, 0o600, dir_fd=folder), "wb") as file:
                        file.write(data)
                        file.flush()
                        os.fsync(file.fileno())
                    os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with suppress(FileNotFoundError):
                        os.unlink(fresh, dir_fd=folder)
                    raise
                os.fsync(folder)

    def delete(self, key: str) -> None:
        """Keep nothing under a key, durably; an entry's folder goes with its last file."""
        entry, _, name = _sound(key).partition("/")
        with suppress(FileNotFoundError), _machine(key, absent=""):
            with self._opened(entry) as folder:
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
            with suppress(OSError):  # something of it is left
                (self.root / entry).rmdir()
                _sync(self.root)

    def keys(self, entry: str = "") -> Iterator[str]:
        """Yield the keys of one entry, or all, in order."""
        with _machine(entry or "all"):
            names = (
                [entry] if entry else sorted(path.name for path in self.root.iterdir()) if self.root.is_dir() else []
            )
            for one in names:
                if ENTRY.fullmatch(one) is None:
                    continue
                with suppress(FileNotFoundError, NotADirectoryError), self._opened(one) as folder:
                    inside = os.listdir(folder)  # noqa: PTH208  # it is open, and has no path that can be trusted
                    found = [f"{one}/{name}" for name in sorted(inside)]
                    yield from (key for key in found if KEY.fullmatch(key))

    @contextmanager
    def _opened(self, entry: str) -> Iterator[int]:
        """Open an entry's own folder, and no other to which a link leads."""
        folder = os.open(self.root / entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(folder)


class Bucket:
    """A store in a bucket that speaks S3; credentials come from the environment, as for the tools of AWS."""

    def __init__(self, bucket: str, prefix: str, config: "S3Config") -> None:
        """Use a bucket; nothing is asked yet."""
        plain = config.get("endpoint", "").startswith("http://")
        try:
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                config=config,
                client_options={"timeout": ANSWER, "connect_timeout": ANSWER, "allow_http": plain},
                retry_config={"max_retries": 3, "retry_timeout": ANSWER},
            )
        except (BaseError, ValueError) as error:
            raise Fault("bad_store", bucket) from error

    def get(self, key: str, most_bytes: int) -> bytes:
        """Return what lies under a key; more than was announced is not read."""
        with _remote(key):
            found = obstore.get(self._store, _sound(key))
            size, parts = 0, []
            for part in found.stream():
                size += len(part)
                if size > most_bytes:
                    raise Fault("overlong", key)
                parts.append(bytes(part))
        return b"".join(parts)

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key."""
        with _remote(key, absent="store_fails"):
            obstore.put(self._store, _sound(key), data, use_multipart=False)

    def delete(self, key: str) -> None:
        """Keep nothing under a key."""
        with suppress(FileNotFoundError), _remote(key, absent=""):
            obstore.delete(self._store, _sound(key))

    def keys(self, entry: str = "") -> Iterator[str]:
        """Yield the keys of one entry, or all."""
        seen = 0
        with _remote(entry or "all", absent="store_fails"):
            for page in obstore.list(self._store, prefix=entry or None):
                for about in page:
                    seen += 1
                    if seen > LISTED_MAX:
                        raise Fault("store_fails", "more keys than can be looked through")
                    if KEY.fullmatch(about["path"]):
                        yield about["path"]


def _sound(key: str) -> str:
    if KEY.fullmatch(key) is None:
        raise Fault("bad_store", f"{key[:120]!a} is no key of a store")
    return key


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _machine(key: str, absent: str = "missing") -> Iterator[None]:
    """Turn what the machine says into faults; what is not there is `absent`, or raised as it is."""
    try:
        yield
    except FileNotFoundError as error:
        if not absent:
            raise
        raise Fault(absent, key) from error
    except OSError as error:
        raise Fault("store_fails", f"{key}: {error.strerror or error}") from error


@contextmanager
def _remote(key: str, absent: str = "missing") -> Iterator[None]:
    """Turn what the library says into faults, in the same way."""
    with _machine(key, absent):
        try:
            yield
        except (BaseError, ValueError) as error:
            raise Fault("store_fails", f"{key}: {str(error).partition(chr(10))[0][:200]}") from error
