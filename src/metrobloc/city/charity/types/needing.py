"""Nouns of needs: what is missing somewhere, who has promised how much of it, and the lots on their way."""

from typing import Literal

from metrobloc.kernel.types import AccountId, Amount, Event, Id, Message, Record, Slug, TimeMs, Total


class Publish(Message):
    """Say what is needed until when, and who will receive it.

    `item` is a catalogue's code, such as the Red Cross's or `gtin_` and the number; `unit` says in what it is counted.
    """

    item: Slug
    unit: Slug
    quantity: Amount
    place: Slug
    recipient: AccountId
    needed_ms: TimeMs
    campaign: Id | None = None
    cluster: Id | None = None


class Confirm(Message):
    """Say how much of a need is real, in all; never less than others have promised already."""

    need: Id
    verified: Amount


class CallOff(Message):
    """Say that nothing more is needed."""

    need: Id


class Commit(Message):
    """Promise a part of what is needed, to be on its way by a time."""

    need: Id
    quantity: Amount
    until_ms: TimeMs


class Release(Message):
    """Take back what is promised and not on its way."""

    supply: Id


class Ship(Message):
    """Send a lot of what is promised, under a code that stands on it; a code is used once."""

    supply: Id
    lot: Slug
    quantity: Amount


class Receive(Message):
    """Say how much of a lot has arrived; what has not can be sent again."""

    shipper: AccountId
    lot: Slug
    arrived: Total


class Need(Record):
    """What is needed of one item: wanted, and of that verified, promised, on its way or there, and there."""

    publisher: AccountId
    recipient: AccountId
    item: Slug
    unit: Slug
    wanted: Amount
    place: Slug
    needed_ms: TimeMs
    deadline: Id
    verified: Total = 0
    committed: Total = 0
    shipped: Total = 0
    received: Total = 0
    state: Literal["open", "expired", "called_off"] = "open"
    verifier: AccountId | None = None
    campaign: Id | None = None
    cluster: Id | None = None


class Supply(Record):
    """What somebody has promised of a need, and how much of it is on its way or there; less what has lapsed."""

    need: Id
    by: AccountId
    quantity: Total
    until_ms: TimeMs
    deadline: Id
    shipped: Total = 0
    received: Total = 0
    ended: bool = False


class Lot(Record):
    """A lot under its sender's code: how much was sent, and once it was looked at, how much of it has arrived."""

    supply: Id
    need: Id
    quantity: Amount
    arrived: Total | None = None


class Published(Event):
    """Something is needed."""

    need: Id
    item: Slug
    quantity: Amount


class Confirmed(Event):
    """A need was verified."""

    need: Id
    verified: Amount


class CalledOff(Event):
    """Nothing more is needed."""

    need: Id


class Expired(Event):
    """A need's time is over."""

    need: Id


class Committed(Event):
    """A part of what is needed was promised."""

    supply: Id
    need: Id
    quantity: Amount


class Released(Event):
    """A promise has ended, by its giver or its time; so much of it was not on its way."""

    supply: Id
    need: Id
    quantity: Total


class Shipped(Event):
    """A lot is on its way."""

    need: Id
    shipper: AccountId
    lot: Slug
    quantity: Amount


class Received(Event):
    """A lot has arrived, or as much of it as there was."""

    need: Id
    shipper: AccountId
    lot: Slug
    arrived: Total
    missing: Total
