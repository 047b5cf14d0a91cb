"""The nouns of money: assets, legs, holds."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import (
    AccountId,
    Amount,
    Commitment,
    Event,
    Holder,
    Id,
    Message,
    Public,
    Record,
    Slug,
    TimeMs,
    Total,
)

Decimals = Annotated[int, Meta(ge=0, le=8)]


class Leg(Record):
    """One movement: so much of an asset to somebody."""

    asset: Slug
    to: AccountId
    amount: Amount


Legs = Annotated[tuple[Leg, ...], Meta(min_length=1, max_length=16)]


class OpenAsset(Message):
    """Found an asset that the sender issues."""

    asset: Slug
    name: Public
    decimals: Decimals


class RecordReserve(Message):
    """State the reserve that stands behind an asset, with evidence."""

    asset: Slug
    reserve: Total
    evidence: Commitment


class Issue(Message):
    """Give out new units against the reserve."""

    asset: Slug
    to: AccountId
    amount: Amount


class Redeem(Message):
    """Give units back to their issuer."""

    asset: Slug
    amount: Amount


class SetLimit(Message):
    """Let a holder of an asset owe up to a limit."""

    asset: Slug
    account: AccountId
    overdraft: Total


class Move(Message):
    """Pay: all legs or none."""

    legs: Legs


class Hold(Message):
    """Set money aside until it is released or the time runs out."""

    legs: Legs
    until_ms: TimeMs


class Release(Message):
    """Pay out a hold."""

    hold: Id


class Void(Message):
    """Give a hold back."""

    hold: Id


class Asset(Record):
    """An asset, its issuer and its reserve."""

    issuer: AccountId
    name: Public
    decimals: Decimals
    reserve: Total = 0
    evidence: Commitment | None = None


class Limit(Record):
    """How far below zero a holder may go."""

    overdraft: Total


class Held(Record):
    """Money set aside by one account for others."""

    source: AccountId
    legs: Legs
    until_ms: TimeMs
    deadline: Id


class Issued(Event):
    """New units were given out."""

    asset: Slug
    to: AccountId
    amount: Amount


class Redeemed(Event):
    """Units went back to their issuer."""

    asset: Slug
    source: AccountId
    amount: Amount


class Moved(Event):
    """Money moved from one holder to another."""

    asset: Slug
    source: Holder
    to: Holder
    amount: Amount


class HoldMade(Event):
    """Money was set aside."""

    hold: Id


class HoldEnded(Event):
    """A hold was released, or given back."""

    hold: Id
    result: Literal["released", "voided", "expired"]
