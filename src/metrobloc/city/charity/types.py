"""The nouns of the charity: campaigns, gifts, matching offers, settlements."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import (
    AccountId,
    Amount,
    Commitment,
    Event,
    Id,
    Message,
    Public,
    Record,
    Slug,
    TimeMs,
    Total,
)

Ratio = Annotated[int, Meta(ge=1, le=1_000_000)]
CampaignIds = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=16)]
Totals = Annotated[tuple[Total, ...], Meta(max_length=16)]
OfferIds = Annotated[tuple[Id, ...], Meta(max_length=4)]


class OpenCampaign(Message):
    """Ask for gifts for one case, treated by one hospital."""

    title: Public
    hospital: AccountId
    asset: Slug
    goal: Amount
    closes_ms: TimeMs
    purpose: Commitment


class Give(Message):
    """Give to a campaign."""

    campaign: Id
    amount: Amount


class OfferMatch(Message):
    """Promise to add `numerator/denominator` to every gift, up to caps and as long as the pool lasts."""

    campaigns: CampaignIds
    pool: Amount
    numerator: Ratio
    denominator: Ratio
    gift_max: Amount
    campaign_max: Amount
    closes_ms: TimeMs


class TopUp(Message):
    """Add to the pool of one's matching offer."""

    offer: Id
    amount: Amount


class Close(Message):
    """Stop taking gifts for a campaign before its time."""

    campaign: Id


class Settle(Message):
    """Pay the hospital, against an invoice."""

    campaign: Id
    amount: Amount
    invoice: Commitment


class Cancel(Message):
    """Give a campaign up; nothing has been paid out and everything goes back."""

    campaign: Id


class Refund(Message):
    """Take a gift back."""

    gift: Id


class Campaign(Record):
    """A case, its totals and its state; what it holds is crowd + matched - returned - refunded - settled."""

    charity: AccountId
    hospital: AccountId
    asset: Slug
    goal: Amount
    closes_ms: TimeMs
    title: Public
    purpose: Commitment
    deadline: Id
    state: Literal["open", "closed", "cancelled"] = "open"
    gifts: Total = 0
    crowd: Total = 0
    matched: Total = 0
    returned: Total = 0
    refunded: Total = 0
    settled: Total = 0
    offers: OfferIds = ()

    @property
    def held(self) -> int:
        """What is in the campaign's pot."""
        return self.crowd + self.matched - self.returned - self.refunded - self.settled


class Claim(Record):
    """What a gift asks of a matching offer."""

    offer: Id
    amount: Amount


Claims = Annotated[tuple[Claim, ...], Meta(max_length=4)]


class Gift(Record):
    """One gift and its donor's account."""

    campaign: Id
    donor: AccountId
    amount: Amount
    claims: Claims = ()
    refunded: bool = False


class Offer(Record):
    """A matching offer; `claimed` and `paid` stand beside `campaigns` in its order."""

    sponsor: AccountId
    campaigns: CampaignIds
    asset: Slug
    pool: Amount
    numerator: Ratio
    denominator: Ratio
    gift_max: Amount
    campaign_max: Amount
    closes_ms: TimeMs
    claimed: Totals
    paid: Totals = ()


class Opened(Event):
    """A campaign was opened."""

    campaign: Id
    charity: AccountId
    hospital: AccountId
    title: Public


class Given(Event):
    """A gift was given."""

    gift: Id
    campaign: Id
    amount: Amount


class Offered(Event):
    """A matching offer was made, or grew."""

    offer: Id
    pool: Amount


class Matched(Event):
    """A campaign received its share of a matching offer."""

    offer: Id
    campaign: Id
    amount: Total


class Closed(Event):
    """A campaign takes no more gifts."""

    campaign: Id


class Settled(Event):
    """The hospital was paid."""

    campaign: Id
    hospital: AccountId
    amount: Amount
    invoice: Commitment


class Cancelled(Event):
    """A campaign was given up."""

    campaign: Id


class Refunded(Event):
    """A gift went back to its donor."""

    gift: Id
    campaign: Id
    amount: Amount
