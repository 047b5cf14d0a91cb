"""What the ledger says of all campaigns at one height, as the formats of the field publish it: by purse and instalment.

Gifts are added up. A donor is an account, and no format needs to say which account gave what to whose case.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from msgspec import Struct

from metrobloc.city.charity.rules.declared import campaigns, claims, offers, purses, spans
from metrobloc.city.charity.types.records import Campaign, Purse
from metrobloc.commons.identity.rules import institutions
from metrobloc.commons.money.rules import assets
from metrobloc.kernel.context import View


class NotWritten(ValueError):
    """Say in a sentence why there is nothing that a format could say, and what to do."""


class Publisher(Struct, frozen=True):
    """Who publishes: the identifier that goes before all others, the country of the cases, and a currency's code.

    `identifier` is what the format's registry has given to the publisher, such as `CN-MCA-53100000500021676G`.
    """

    identifier: str
    country: str | None = None
    currency: str | None = None


class Paid(Struct, frozen=True):
    """An instalment as far as one purse paid it."""

    settlement: str
    claim: str
    payee: str
    amount: int


class Source(Struct, frozen=True):
    """A purse: where its money came from, and what became of it."""

    name: str
    giver: str | None
    purse: Purse
    paid: tuple[Paid, ...]


class Case(Struct, frozen=True):
    """A campaign with its purses."""

    id: str
    campaign: Campaign
    currency: str
    decimals: int
    sources: tuple[Source, ...]


class Statement(Struct, frozen=True):
    """All campaigns as of a block."""

    height: int
    time_ms: int
    publisher: Publisher
    cases: tuple[Case, ...]
    names: dict[str, str]
    """What institutions are called, by account."""

    def organisation(self, account: str) -> str:
        """Return an institution's identifier in the published file."""
        return f"{self.publisher.identifier}-{account}"

    def name(self, account: str) -> str:
        """Return what an institution is called."""
        return self.names.get(account, account)


class Sums(Struct, frozen=True):
    """What a published file says in all, in a currency's smallest unit."""

    awarded: int = 0
    """What was given and matched, less what went back."""
    paid: int = 0


def state(view: View, height: int, time_ms: int, publisher: Publisher) -> Statement:
    """Read the statement from committed records; NotWritten where a currency has no code."""
    found = [_case(view, key, campaign, publisher) for key, campaign in view[campaigns].items()]
    if not found:
        raise NotWritten("There are no campaigns to publish yet.")
    names = {account: institution.name for account, institution in view[institutions].items()}
    return Statement(height, time_ms, publisher, tuple(found), names)


def sums(statement: Statement) -> dict[str, Sums]:
    """Add up what a statement says, by currency; a currency has as many decimals everywhere."""
    awarded, paid = Counter[str](), Counter[str]()
    for case in statement.cases:
        for source in case.sources:
            awarded[case.currency] += source.purse.received - source.purse.refunded
            paid[case.currency] += source.purse.spent
    return {currency: Sums(awarded[currency], paid[currency]) for currency in awarded}


def decimal(amount: int, decimals: int) -> str:
    """Write an amount of the smallest unit exactly, as both formats do: 4100 with two decimals is 41.00."""
    return f"{Decimal(amount).scaleb(-decimals):f}"


def smallest(text: str, decimals: int) -> int:
    """Read an amount back into the smallest unit; ValueError where it is not a whole number of it."""
    amount = Decimal(text).scaleb(decimals)
    if amount != int(amount):
        raise ValueError(f"{text} is not a whole number of the smallest unit.")
    return int(amount)


def day(time_ms: int) -> str:
    """Write the day of a time: 2026-12-31."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}"


def moment(time_ms: int) -> str:
    """Write a time to the second: 2026-12-31T18:00:00Z."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def counted_to(statement: Statement, case: Case) -> str:
    """Return the day up to which a case's sums are counted: the block's, or the day on which it took its last gift."""
    return day(min(statement.time_ms, case.campaign.closes_ms))


def _case(view: View, key: str, campaign: Campaign, publisher: Publisher) -> Case:
    asset = view[assets].get(campaign.asset)
    assert asset is not None, "a campaign collects an asset that there is"
    code = publisher.currency or campaign.asset.partition("_")[0].upper()
    if len(code) != 3 or not code.isalpha():
        raise NotWritten(f"The asset {campaign.asset} is not called as a currency is; name its code with --currency.")
    sources = [_source(view, key, name) for name in campaign.purses]
    return Case(key, campaign, code, asset.decimals, tuple(sources))


def _source(view: View, key: str, name: str) -> Source:
    purse = view[purses].get((key, name)) or Purse()
    offer = view[offers].get(name.removeprefix("match.")) if name.startswith("match.") else None
    paid: Counter[tuple[str, str]] = Counter()
    for settlement, claim, amount in _paid(view, f"{key}/{name}/"):
        paid[settlement, claim] += amount
    known = {claim: found.payee for _, claim in paid if (found := view[claims].get(claim)) is not None}
    listed = tuple([Paid(settlement, claim, known[claim], amount) for (settlement, claim), amount in paid.items()])
    return Source(name, None if offer is None else offer.sponsor, purse, listed)


def _paid(view: View, under: str) -> Iterator[tuple[str, str, int]]:
    for row, span in view[spans].items(under=under):
        if span.what == "paid":
            yield span.settlement or "", span.claim or "", int(row.rpartition("/")[2]) - span.start
