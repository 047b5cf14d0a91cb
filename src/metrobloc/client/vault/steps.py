"""What an operation of the vault asks of the outside: something of a ledger, or work that takes a while.

As with the client's own steps, an operation is a generator that is written once and driven twice.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, ParamSpec, TypeVar

import msgspec
from msgspec import Struct

from metrobloc.client.draft import Draft, new_salt
from metrobloc.client.vault.faults import Fault
from metrobloc.client.vault.sealing import Box
from metrobloc.client.vault.stores import Stores
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.tables import K, Table, V
from metrobloc.kernel.types import Message

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Ask(Struct, frozen=True):
    """Call this method of the ledger, as `Client` has it."""

    method: str
    given: tuple[Any, ...] = ()
    named: dict[str, Any] = {}


class Work(Struct, frozen=True):
    """Do this, which may take a while: it reads, writes or encrypts."""

    do: Callable[[], Any]


Op = Generator[Ask | Work, Any, R]


class Me(Struct, frozen=True):
    """Who works with the vault: her account, the key that signs, her private keys (the newest first), her stores.

    With `proved` nothing of the ledger is believed that is not proved by whom her client trusts.
    """

    account: str
    key: SigningKey
    boxes: tuple[Box, ...]
    stores: Stores
    proved: bool = False


def work(do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Op[T]:
    """Do what takes a while."""
    done: T = yield Work(partial(do, *args, **kwargs))
    return done


def chain() -> Op[str]:
    """Return the chain's id."""
    return chain_id((yield Ask("genesis")))


def now_ms() -> Op[int]:
    """Return the time against which the ledger counts."""
    time_ms: int = yield Ask("time_ms")
    return time_ms


def record(me: Me, table: Table[K, V], key: K) -> Op[V | None]:
    """Return the record under a table's key, proved if that is asked for, or None."""
    path = table.path(key)
    if me.proved:
        value = (yield Ask("prove_record", (path,))).value
    else:
        items = (yield Ask("record", (path,)))["items"]
        value = items[0]["value"] if items and items[0]["key"] == path else None
    return None if value is None else msgspec.convert(value, table.record)


def rows(table: Table[K, V]) -> Op[dict[str, V]]:
    """Return all rows of a table by key, page by page."""
    found: dict[str, V] = {}
    after = ""
    while True:
        page = yield Ask("table", (table.prefix, after, 500))
        for item in page["items"]:
            if item["key"] <= after:
                raise Fault("store_fails", "the node tells rows out of order")
            after = item["key"]
            found[after.removeprefix(table.prefix)] = msgspec.convert(item["value"], table.record)
        if page["next"] is None:
            return found
        if page["next"] != after:
            raise Fault("store_fails", "the node tells rows without an end")


def sign(me: Me, message: Message, salt: str | None = None) -> Op[bytes]:
    """Return a transaction by which the account does something, ready to be sent."""
    draft: Draft = yield Ask("draft", ((me.account, message),), {"salt": salt or new_salt()})
    return draft.sign(me.key).seal()


def post(raw: bytes) -> Op[ReadReceipt]:
    """Send a transaction; raises as `Client.send` does."""
    receipt: ReadReceipt = yield Ask("send", (raw,))
    return receipt


def send(me: Me, message: Message) -> Op[ReadReceipt]:
    """Sign what the account does, and send it."""
    return (yield from post((yield from sign(me, message))))
