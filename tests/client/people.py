"""People with vaults on a running node: a custodian of their own, an owner, readers; waiting or with asyncio."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrobloc import app
from metrobloc.client import AsyncClient, Client
from metrobloc.client.vault import AsyncVault, Box, Fault, Kept, Me, Reads, Stores, Vault
from metrobloc.client.vault.stores import Folder
from metrobloc.commons.identity.demo import demo_key
from metrobloc.commons.identity.types import Accredit, Register, ShowBoxKey
from metrobloc.commons.vault.types import OfferStore
from metrobloc.kernel.accounts import account_id
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.types import Message

LETTER = b"Erika Mustermann has the findings of 12 March."


class People:
    """Accounts by name, each with a key, a box and a vault; the custodian keeps all in one local store."""

    def __init__(self, client: Client, home: Path, *, waits: bool = True) -> None:
        """Open the accounts, show their keys, and offer the store."""
        self.client = client
        self.home = home
        self.waits = waits
        self.mine: dict[str, Me] = {}
        for name in ("ann", "bo", "cy", "custodian"):
            self.join(name)
        office = demo_key("office")
        assert office is not None
        role = Accredit(self.account("custodian"), "Keeper", "custodian", 0)
        client.send(client.draft((account_id(office.key_id), role)).sign(office).seal())
        self.name = f"keeper{self.account('custodian')[:8]}"
        self.send("custodian", OfferStore(f"local:{self.name}"))

    @property
    def store(self) -> Folder:
        """The custodian's store, as it lies there."""
        return Folder(self.home / self.name)

    def join(self, name: str) -> None:
        """Open an account, and show a key for private things."""
        key, box, bank = SigningKey(os.urandom(32)), Box(os.urandom(32)), demo_key("bank")
        assert bank is not None
        register = (account_id(bank.key_id), Register(key.key_id))
        self.client.send(self.client.draft(register).sign(bank).sign(key).seal())
        self.mine[name] = Me(account_id(key.key_id), key, (box,), Stores(self.home))
        self.send(name, ShowBoxKey(box.key_id))

    def account(self, name: str) -> str:
        """Return somebody's account."""
        return self.mine[name].account

    def send(self, name: str, message: Message) -> None:
        """Let somebody do something on the ledger alone."""
        me = self.mine[name]
        self.client.send(self.client.draft((me.account, message)).sign(me.key).seal())

    def does(self, name: str, verb: str, *args: object, **named: object) -> Any:  # noqa: ANN401  # as the verb says
        """Let somebody use her vault, waiting or with asyncio."""
        if self.waits:
            return getattr(Vault(self.client, self.mine[name]), verb)(*args, **named)

        async def run() -> object:
            async with AsyncClient(self.client.city.url, app.modules(), self.client.city.trust_file) as city:
                return await getattr(AsyncVault(city, self.mine[name]), verb)(*args, **named)

        return asyncio.run(run())

    def put(self, data: bytes = LETTER, *, to: tuple[str, ...] = ("bo",)) -> Kept:
        """Let Ann put a letter into the vault, for some to read it."""
        reads = [Reads(self.account(name), "care") for name in to]
        kept = self.does("ann", "put", data, "letter.txt", custodian=self.account("custodian"), readers=reads)
        assert isinstance(kept, Kept)
        return kept

    def reads(self, name: str, entry: str) -> bytes:
        """Let somebody open an entry."""
        return bytes(self.does(name, "get", entry).document.data)

    def alter(self, name: str, **changes: object) -> None:
        """Give somebody something else to work with."""
        self.mine[name] = msgspec.structs.replace(self.mine[name], **changes)


def refused(code: str, do: Callable[[], object]) -> Fault:
    """Assert that something ends with a fault of this code."""
    with pytest.raises(Fault) as fault:
        do()
    assert fault.value.code == code, fault.value
    return fault.value


@pytest.fixture(params=[True, False], ids=["waiting", "asyncio"])
def people(request: pytest.FixtureRequest, client: Client, tmp_path: Path) -> People:
    """Return Ann, Bo, Cy and a custodian of their own."""
    return People(client, tmp_path, waits=request.param)


@pytest.fixture
def waiting(client: Client, tmp_path: Path) -> People:
    """Return them where it does not matter how they wait."""
    return People(client, tmp_path)
