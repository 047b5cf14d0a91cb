"""Keys in files that only their owner may read: the operator's, and those of people who use the command line.

A file holds 32 secret bytes: the seed of a key that signs, or an X25519 key that opens what is private.
"""

import os
import secrets
from pathlib import Path

from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import MachineFault

SEED_BYTES = 32


def write_key(path: Path, key: SigningKey) -> None:
    """Write a signing key to a new file; see `write_secret`."""
    write_secret(path, key.seed)


def write_secret(path: Path, secret: bytes) -> None:
    """Write 32 secret bytes as hex to a new file with mode 0600, durably and whole or not at all; FileExistsError."""
    if path.exists():
        raise FileExistsError(path)
    fresh = path.with_name(f"{path.name}.unfinished")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret.hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_path(path.parent)


def read_key(path: Path) -> SigningKey:
    """Read the file of a signing key; see `read_secret`."""
    return SigningKey(read_secret(path))


def read_secret(path: Path) -> bytes:
    """Read a key file's 32 bytes; MachineFault with what to do when it is missing, open to others, or damaged."""
    try:
        mode, text = path.stat().st_mode, path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        message = f"The key file {path.name} cannot be read ({error}); bring it back from its backup."
        raise MachineFault(message) from error
    if mode & 0o077:
        raise MachineFault(f"The key file {path.name} is open to others; run `chmod 600` on it and consider a new key.")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != SEED_BYTES or text != secret.hex() + "\n":
        raise MachineFault(f"The key file {path.name} is damaged; bring it back from its backup.")
    return secret


def new_key() -> SigningKey:
    """Make a key from the machine's randomness."""
    return SigningKey(secrets.token_bytes(SEED_BYTES))


def sync_path(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder with mode 0700, and those that it lies in, if they are not there; make their names durable."""
    for folder in reversed([path, *(above for above in path.absolute().parents if not above.exists())]):
        folder.mkdir(mode=0o700 if folder == path else 0o777, exist_ok=True)
        sync_path(folder.parent)
