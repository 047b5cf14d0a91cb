"""Which custodians' stores a user has allowed, by chain: a ledger's word alone opens no address."""

import os
from pathlib import Path

import msgspec

from metrobloc.engine import keyfile
from metrobloc.kernel.errors import MachineFault

Allowed = dict[str, dict[str, str]]
"""Addresses by custodian's account, by chain."""


def read(home: Path, chain: str) -> dict[str, str]:
    """Return the addresses allowed on a chain, by custodian's account."""
    return _read(home).get(chain, {})


def write(home: Path, chain: str, custodian: str, url: str) -> None:
    """Allow one more address, durably."""
    allowed = _read(home)
    allowed.setdefault(chain, {})[custodian] = url
    keyfile.make_folder(home)
    fresh = home / "stores.json.new"
    fresh.write_bytes(msgspec.json.encode(allowed))
    fresh.chmod(0o600)
    keyfile.sync_path(fresh)
    os.replace(fresh, home / "stores.json")  # noqa: PTH105  # the atomic one
    keyfile.sync_path(home)


def _read(home: Path) -> Allowed:
    try:
        return msgspec.json.decode((home / "stores.json").read_bytes(), type=Allowed)
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise MachineFault(
            f"The file {home / 'stores.json'} is damaged ({error}); delete it, and allow anew."
        ) from error
