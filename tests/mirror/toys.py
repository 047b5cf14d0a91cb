"""A small module for the mirror: every kind of column, something to search, and keys of two parts."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from metrobloc.kernel import codec
from metrobloc.kernel.module import Module
from metrobloc.kernel.types import AccountId, Commitment, Public, Record, Signed, TimeMs
from metrobloc.mirror.fold import REMOVED, News
from metrobloc.mirror.schema import make_schema


class Note(Record):
    """A line by somebody."""

    by: AccountId
    text: Public


class Thing(Record):
    """A thing with a field of every kind."""

    owner: AccountId
    state: Literal["book", "tool"]
    count: Signed
    title: Public
    lent: bool = False
    taker: AccountId | None = None
    due_ms: TimeMs | None = None
    paper: Commitment | None = None
    tags: Annotated[tuple[Public, ...], Meta(max_length=4)] = ()
    last: Note | None = None
    notes: Annotated[tuple[Note, ...], Meta(max_length=4)] = ()


class Pair(Record):
    """A number under two names."""

    count: Signed = 0


app = Module("toy", {})
things = app.table("things", Thing, str)
pairs = app.table("pairs", Pair, tuple[str, str])
ledger = app.ledger("hours")
schema = make_schema([app])
GENESIS = b'{"toy":1}'


def name(number: int) -> str:
    """Return an id by number; ids do not sort as their numbers do."""
    text = ""
    number = number * 2_654_435_761 % 2**32
    for _ in range(26):
        text += "abcdefghijklmnopqrstuvwxyz234567"[number % 32]
        number = number // 32 or 7
    return text


def thing(**changes: object) -> Thing:
    """Return a thing that differs in some fields."""
    return Thing(name(1), "book", 1, "A book").but(**changes)


def news(height: int, writes: Mapping[str, Record | None], receipts: tuple[object, ...] = ()) -> News:
    """Return a block that writes things by their keys, `things/...` or `pairs/...`."""
    rows = {f"toy/{key}": REMOVED if new is None else Raw(codec.encode(new)) for key, new in writes.items()}
    return News(height, height * 1000, "0" * 64, rows, tuple(Raw(msgspec.json.encode(one)) for one in receipts))
