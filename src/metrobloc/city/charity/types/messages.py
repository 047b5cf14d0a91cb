"""What people and institutions sign."""

from typing import Annotated

from msgspec import Meta

from metrobloc.city.charity.types.records import AtGoal, Categories, Lines, Mode, Ratio, Sums
from metrobloc.kernel.types import AccountId, Amount, Commitment, Digest, Id, Message, Public, Slug, TimeMs, Total

CampaignIds = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=16)]


class DeclareTemplate(Message):
    """Say what a kind of case may ask for, how long, and for which purposes its gifts can be reserved."""

    template: Slug
    goal_max: Amount
    duration_ms_max: Amount
    categories: Categories = ()
    at_goal: AtGoal = "go_on"


class RetireTemplate(Message):
    """Take no more cases of a kind."""

    template: Slug


class SetUp(Message):
    """Submit a case: whose it is, which hospital treats it, its plan and its goal."""

    title: Public
    template: Slug
    hospital: AccountId
    asset: Slug
    goal: Amount
    closes_ms: TimeMs
    beneficiary: Commitment
    plan: Commitment


class Verify(Message):
    """Confirm that a case can be treated by its plan and for its goal."""

    campaign: Id
    plan: Commitment
    goal: Amount


class Approve(Message):
    """Open a verified case for gifts."""

    campaign: Id


class Give(Message):
    """Give to a campaign, if wanted for one purpose only."""

    campaign: Id
    amount: Amount
    category: Slug | None = None


class OfferMatch(Message):
    """Promise to add to the gifts of a window of time, by a ratio or by how many give, up to caps and a pool."""

    campaigns: CampaignIds
    pool: Amount
    numerator: Ratio
    denominator: Ratio
    gift_max: Amount
    campaign_max: Amount
    closes_ms: TimeMs
    opens_ms: TimeMs = 0
    mode: Mode = "ratio"


class ExtendMatch(Message):
    """Let more campaigns into a matching offer; their gifts count from then on."""

    offer: Id
    campaigns: CampaignIds


class TopUp(Message):
    """Add to the pool of one's matching offer."""

    offer: Id
    amount: Amount


class Close(Message):
    """Stop taking gifts for a campaign before its time."""

    campaign: Id


class Cancel(Message):
    """Give a campaign up; nothing has been paid out and everything goes back."""

    campaign: Id


class Refund(Message):
    """Take a gift back, or what is left of it."""

    gift: Id


class Present(Message):
    """Present an invoice by its lines."""

    campaign: Id
    nullifier: Digest
    document: Commitment
    lines: Lines


class Review(Message):
    """Say, line by line, how much of an invoice shall be paid; the reviewer names its nullifier from the paper."""

    claim: Id
    nullifier: Digest
    approved: Sums


class Countersign(Message):
    """Approve what another institution has reviewed."""

    claim: Id


class Settle(Message):
    """Pay an instalment of an approved invoice; `paid_before` says what has been paid of it until now."""

    claim: Id
    amount: Amount
    paid_before: Total


class Refuse(Message):
    """Refuse an invoice, or what is still open of it."""

    claim: Id


class Withdraw(Message):
    """Take one's own invoice back, or what is still open of it."""

    claim: Id


class RaiseFlag(Message):
    """Flag an institution's part in a campaign, or in an invoice for it, and freeze the campaign if need be."""

    campaign: Id
    against: AccountId
    reason: Slug
    evidence: Commitment
    freezes: bool
    claim: Id | None = None


class Appeal(Message):
    """Answer a flag against oneself, and ask for a decision."""

    flag: Id
    statement: Commitment


class Decide(Message):
    """Uphold or dismiss a flag that was appealed."""

    flag: Id
    upheld: bool


class Lift(Message):
    """Lift a flag: it was answered, or put right."""

    flag: Id


class Finish(Message):
    """End a closed campaign's payments; what is left can be taken back, or move on later."""

    campaign: Id


class AgreeSurplus(Message):
    """Agree that what donors leave of a finished campaign moves to another."""

    campaign: Id
    to: Id


class MoveSurplus(Message):
    """Move what donors have left of a finished campaign to the other one."""

    campaign: Id
