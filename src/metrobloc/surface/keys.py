"""The user's keys by name, in files of her own; on a playground also the roles' public keys."""

import re
from pathlib import Path

from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.engine import keyfile
from metrobloc.kernel import crypto
from metrobloc.kernel.genesis import is_demo

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
FILE = re.compile(r"([a-z0-9][a-z0-9_-]{0,31})(?:\.[0-9]{1,6})?\.key")
LATER = re.compile(r"([a-z0-9_-]+)\.([0-9]{1,6})\.key")
BOX = re.compile(r"([a-z0-9_-]+)(?:\.([0-9]{1,6}))?\.box")
SUFFIX = ".key"


class KeyProblem(Exception):
    """A key that a command needs is not there, or its name is taken; the message says what to do."""


class KeyRing:
    """A folder of keys, one file each, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; it is made when the first key is."""
        self.folder = folder

    def new(self, name: str) -> crypto.SigningKey:
        """Make a key under a name that is free."""
        path = self._path(name)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = keyfile.new_key()
        try:
            keyfile.write_key(path, key)
        except FileExistsError as error:
            raise KeyProblem(f"There is a key named {name} already; choose another name.") from error
        return key

    def add(self, name: str, key: crypto.SigningKey) -> None:
        """Keep one more key under a name, beside the older ones: which is in force, the ledger says."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = 2
        while (path := self.folder / f"{name}.{number}{SUFFIX}").exists():
            number += 1
        keyfile.write_key(path, key)

    def add_box(self, name: str, seed: bytes) -> None:
        """Keep a private key for what is encrypted for a name; older ones stay, for what was encrypted for them."""
        self._path(name)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max([0, *self._boxes(name)]) + 1
        keyfile.write_secret(self._box(name, number), seed)

    def boxes(self, name: str) -> list[bytes]:
        """Return the private keys of a name for what is encrypted, newest first; there may be none."""
        self._path(name)
        return [keyfile.read_secret(self._box(name, number)) for number in sorted(self._boxes(name), reverse=True)]

    def names(self) -> list[str]:
        """Return the names of the keys, in order."""
        return sorted({found[1] for path in self.folder.glob("*") if (found := FILE.fullmatch(path.name))})

    def find(self, name: str, chain: str = "") -> list[crypto.SigningKey]:
        """Return the keys of a name, newest first; on a demo chain a role's public key where no other is the first."""
        first = self._path(name)
        numbers = [int(found[2]) for path in self.folder.glob(f"{name}.*") if (found := LATER.fullmatch(path.name))]
        keys = [keyfile.read_key(self.folder / f"{name}.{n}{SUFFIX}") for n in sorted(numbers, reverse=True)]
        public = demo_key(name) if is_demo(chain) else None
        if first.exists():
            keys.append(keyfile.read_key(first))
        elif public is not None:
            keys.append(public)
        if not keys:
            roles = f", or act as one of {', '.join(ROLES)}" if is_demo(chain) else ""
            raise KeyProblem(f"There is no key named {name}; make it with `metrobloc key new {name}`{roles}.")
        return keys

    def secret(self, name: str) -> bytes:
        """Return the secret of 32 bytes that is kept beside a name's keys for nullifiers; it is made at first use."""
        path = self._path(name).with_suffix(".nullifier.key")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            keyfile.write_key(path, keyfile.new_key())
        return keyfile.read_key(path).seed

    def _boxes(self, name: str) -> list[int]:
        found = (BOX.fullmatch(path.name) for path in self.folder.glob(f"{name}.*"))
        return [int(one[2] or 1) for one in found if one and one[1] == name]

    def _box(self, name: str, number: int) -> Path:
        return self.folder / (f"{name}.box" if number == 1 else f"{name}.{number}.box")

    def _path(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise KeyProblem(f"{name!r} is no name for a key: lowercase letters, digits, - and _.")
        return self.folder / f"{name}{SUFFIX}"
