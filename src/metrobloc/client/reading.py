"""Ask what the node knows: how the chain stands, records and tables, what would happen, who may do what."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from metrobloc.client import steps
from metrobloc.client.draft import Call, write_call
from metrobloc.client.errors import NoNode
from metrobloc.client.steps import City, Given, Op
from metrobloc.kernel.tables import K, Table, V
from metrobloc.kernel.types import Digest

Page = dict[str, Any]
PAGE_ROWS = 500


class Consistency(Struct, frozen=True):
    """A proof that a log of `new` leaves begins with one of `old` leaves, and their roots; hashes in hex."""

    old: int
    new: int
    old_root: Digest
    new_root: Digest
    path: tuple[Digest, ...]


class _Item(Struct, frozen=True):
    key: str
    value: Raw


class _Items(Struct, frozen=True):
    items: tuple[_Item, ...]
    next: str | None


def genesis(city: City) -> Op[bytes]:
    """Return the genesis as it was hashed."""
    return (yield from steps.genesis(city))


def status(city: City) -> Op[Page]:
    """Return how the chain stands: `chain`, `height`, `time_ms`, `state_root`, `log_size`, `operator`, ..."""
    return (yield from steps.fetch_as(city, Page, steps.path("status")))


def checkpoint(city: City) -> Op[bytes]:
    """Return the newest signed checkpoint (C2SP signed note), unchecked."""
    return (yield from steps.fetch(city, steps.path("checkpoint")))


def consistency(city: City, old: int, new: int) -> Op[Consistency]:
    """Return what the node says to prove that its log of `new` leaves begins with that of `old` leaves, unchecked."""
    return (yield from steps.fetch_as(city, Consistency, steps.path("log", "consistency", old=old, new=new)))


def log_file(city: City, path: str) -> Op[bytes]:
    """Return a file of the log as C2SP tlog-tiles lays it out (`checkpoint`, `tile/0/000`), unchecked."""
    return (yield from steps.fetch(city, steps.path("log", *path.split("/"))))


def record(city: City, key: str) -> Op[Page]:
    """Return `{"height","items":[{"key","value"}],"next"}` with the record under a state key, or with no item."""
    return (yield from steps.fetch_as(city, Page, steps.path("records", key)))


def table_page(city: City, prefix: str, after: str, limit: int) -> Op[Page]:
    """Return a page of a table (`app/table/`) in key order, beyond the key `after`; `next` continues it."""
    return (yield from steps.fetch_as(city, Page, _page_path(prefix, after, limit)))


def get(city: City, table: Table[K, V], key: K) -> Op[V | None]:
    """Return the record under a table's key, of the table's own type, or None."""
    found = yield from steps.fetch_as(city, _Items, steps.path("records", table.path(key)))
    if not found.items:
        return None
    if found.items[0].key != table.path(key):
        raise NoNode(f"The node at {city.url} answered with another record than was asked for.")
    return steps.decode(city, bytes(found.items[0].value), table.record)


def rows(city: City, table: Table[K, V], after: str = "") -> Op[None]:
    """Yield (key, record) of all rows of a table beyond a key, page by page; each page is of one height.

    NoNode when the pages do not go on: a node cannot keep its reader for ever, nor tell a row twice.
    """
    while True:
        page = yield from steps.fetch_as(city, _Items, _page_path(table.prefix, after, PAGE_ROWS))
        for item in page.items:
            if item.key <= after:
                raise NoNode(f"The node at {city.url} tells the rows of {table.prefix} out of order.")
            yield Given((item.key, steps.decode(city, bytes(item.value), table.record)))
            after = item.key
        if page.next is None:
            return
        if not page.items or page.next != after:
            raise NoNode(f"The node at {city.url} tells the rows of {table.prefix} without an end.")


def simulate(city: City, *calls: Call, at_ms: int | None = None, salt: str | None = None) -> Op[Page]:
    """Return what calls would lead to now, or at a later block time: `code`, `events`, ...; nothing is sent.

    The ids that they would give out follow from the salt: a transaction's own, or the id of an act.
    """
    written = [write_call(call, city.actions) for call in calls]
    said = {"at_ms": at_ms, "salt": salt}
    body = {"calls": written} | {name: value for name, value in said.items() if value is not None}
    return (yield from steps.fetch_as(city, Page, steps.path("simulate"), msgspec.json.encode(body)))


def may(city: City, account: str, record: str | None = None) -> Op[Page]:
    """Return what an account may do, or what it may do with one record (`app/table/key`)."""
    return (yield from steps.fetch_as(city, Page, steps.path("may", account, record=record)))


def who(city: City, do: str, after: str = "", limit: int = 50) -> Op[Page]:
    """Return who may do an action, such as `charity.settle`: accounts by their roles, and people with mandates."""
    return (yield from steps.fetch_as(city, Page, steps.path("who", do, after=after or None, limit=limit)))


def params(city: City) -> Op[Page]:
    """Return all parameters in force, with their limits and why they exist."""
    return (yield from steps.fetch_as(city, Page, steps.path("params")))


def query(city: City, app: str, name: str, asked: Mapping[str, object] | None = None) -> Op[Page]:
    """Ask one of an app's queries, with its parameters by name."""
    return (yield from steps.fetch_as(city, Page, steps.path("queries", app, name, **(asked or {}))))


def mirror(city: City, *where: str, asked: Mapping[str, object] | None = None) -> Op[Page]:
    """Return a page of the mirror: `mirror("charity", "gifts", asked={"campaign": ...})`; `next` continues it."""
    return (yield from steps.fetch_as(city, Page, steps.path("mirror", *where, **(asked or {}))))


def search(city: City, text: str, asked: Mapping[str, object] | None = None) -> Op[Page]:
    """Return records whose public texts hold the words."""
    return (yield from steps.fetch_as(city, Page, steps.path("search", q=text, **(asked or {}))))


def _page_path(prefix: str, after: str, limit: int) -> str:
    return steps.path("tables", prefix.rstrip("/"), after=after, limit=limit)
