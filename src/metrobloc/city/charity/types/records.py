"""What the charity remembers: cases, the purses and lines in which their money lies, gifts, offers, invoices, flags."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import (
    AccountId,
    Amount,
    Code,
    Commitment,
    Digest,
    Id,
    Public,
    Record,
    Slug,
    TimeMs,
    Total,
    Who,
)

OFFERS_MAX = 4
"""How many matching offers a campaign can be in: each is looked at by every gift."""

Ratio = Annotated[int, Meta(ge=1, le=1_000_000)]
Categories = Annotated[tuple[Slug, ...], Meta(max_length=8)]
PurseNames = Annotated[tuple[Code, ...], Meta(max_length=32)]
Sums = Annotated[tuple[Total, ...], Meta(min_length=1, max_length=64)]
Mode = Literal["ratio", "quadratic"]
AtGoal = Literal["go_on", "close"]


class Template(Record):
    """A kind of case, as the civil-affairs department allows it."""

    by: AccountId
    goal_max: Amount
    duration_ms_max: TimeMs
    categories: Categories = ()
    at_goal: AtGoal = "go_on"
    retired: bool = False


class Place(Record):
    """A campaign's place in a matching offer."""

    offer: Id
    number: Total


Places = Annotated[tuple[Place, ...], Meta(max_length=OFFERS_MAX)]


class Campaign(Record):
    """A case and its state; its money stands in its purses.

    `creator` is who signed for the charity. `frozen` counts the flags that freeze it, `claims` the invoices that are
    neither paid nor refused. From `take_back_until_ms` on what is left can move to the campaign `surplus_to`.
    """

    charity: AccountId
    creator: Who
    hospital: AccountId
    asset: Slug
    goal: Amount
    closes_ms: TimeMs
    template: Slug
    title: Public
    beneficiary: Commitment
    plan: Commitment
    deadline: Id
    at_goal: AtGoal = "go_on"
    state: Literal["submitted", "treatable", "open", "closed", "settled", "cancelled"] = "submitted"
    verifier: AccountId | None = None
    approver: AccountId | None = None
    offers: Places = ()
    purses: PurseNames = ()
    frozen: Total = 0
    claims: Total = 0
    take_back_until_ms: TimeMs = 0
    surplus_to: Id | None = None
    took_surplus: bool = False


class Purse(Record):
    """Money of one source and one purpose, on a line: each gift lies behind those before it.

    The line is `received` long. Up to `used` it has been paid out, or had gone back; what lies beyond is held, but for
    the holes that gifts have left which were taken back.
    """

    received: Total = 0
    refunded: Total = 0
    spent: Total = 0
    moved: Total = 0
    gifts: Total = 0
    used: Total = 0

    @property
    def held(self) -> int:
        """What is in the purse."""
        return self.received - self.refunded - self.spent - self.moved


class Asked(Record):
    """What a gift asks of a matching offer: an amount, or to be counted with that amount."""

    offer: Id
    amount: Amount


AskedOf = Annotated[tuple[Asked, ...], Meta(max_length=OFFERS_MAX)]


class Gift(Record):
    """One gift: it lies in its purse from `start` on; `moved_from` names the case whose surplus it was."""

    campaign: Id
    donor: AccountId
    amount: Amount
    purse: Code
    start: Total = 0
    asked: AskedOf = ()
    returned: Total = 0
    moved_from: Id | None = None


class Span(Record):
    """What became of a piece of a purse's line, from `start` to where its key says that it ends.

    It paid line `line` of invoice `claim` in a settlement, or moved on as `gift`, or went back to where it came from.
    """

    campaign: Id
    purse: Code
    start: Total
    what: Literal["paid", "returned", "moved"]
    gift: Id | None = None
    claim: Id | None = None
    line: Total = 0
    settlement: Id | None = None


class Offer(Record):
    """A matching offer for `campaigns` campaigns, each of which has a share; `done` of these have been paid out."""

    sponsor: AccountId
    asset: Slug
    pool: Amount
    mode: Mode
    numerator: Ratio
    denominator: Ratio
    gift_max: Amount
    campaign_max: Amount
    opens_ms: TimeMs
    closes_ms: TimeMs
    campaigns: Amount
    done: Total = 0
    state: Literal["open", "paying", "paid"] = "open"


class Share(Record):
    """A campaign's share of an offer.

    `asked` is what its gifts ask for, or in a quadratic round what was given; `roots` is the sum of the donors' square
    roots there. `part` is what the offer gave when it closed.
    """

    campaign: Id
    asked: Total = 0
    roots: Total = 0
    part: Total = 0


class Contribution(Record):
    """What one donor has given to one campaign while a quadratic offer was open."""

    amount: Total


class Line(Record):
    """A line of an invoice: so many units at a price, less what an insurer and the patient pay."""

    code: Slug
    category: Slug
    quantity: Amount
    unit_price: Amount
    insurer: Total = 0
    self_paid: Total = 0

    @property
    def claimed(self) -> int:
        """What is left for the campaign to pay; below zero where the others pay too much."""
        return self.quantity * self.unit_price - self.insurer - self.self_paid


Lines = Annotated[tuple[Line, ...], Meta(min_length=1, max_length=64)]


class Claim(Record):
    """An invoice that its payee has presented; `approved` and `paid` stand beside `lines` in their order."""

    campaign: Id
    payee: AccountId
    nullifier: Digest
    document: Commitment
    lines: Lines
    approved: Sums
    paid: Sums
    state: Literal["presented", "reviewed", "approved", "paid", "refused", "withdrawn"] = "presented"
    reviewer: AccountId | None = None
    approver: AccountId | None = None

    @property
    def is_live(self) -> bool:
        """Whether it may still be paid, or paid further."""
        return self.state in ("presented", "reviewed", "approved")


class Invoice(Record):
    """Under which claim an invoice stands, in the whole city."""

    claim: Id


class Hand(Record):
    """For which institution a person acts on a campaign."""

    institution: AccountId


class Flag(Record):
    """What a supervisor has found, against whom, what they answer, and what was decided."""

    campaign: Id
    by: AccountId
    against: AccountId
    reason: Slug
    evidence: Commitment
    freezes: bool
    state: Literal["open", "appealed", "upheld", "dismissed", "lifted"] = "open"
    statement: Commitment | None = None
    decided_by: AccountId | None = None

    @property
    def stands(self) -> bool:
        """Whether it still has its effect."""
        return self.state in ("open", "appealed", "upheld")
