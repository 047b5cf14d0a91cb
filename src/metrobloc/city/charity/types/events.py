"""What receipts tell the world."""

from metrobloc.kernel.types import AccountId, Amount, Code, Event, Id, Public, Slug, TimeMs, Total


class Declared(Event):
    """There is a new kind of case, or one takes no more cases."""

    template: Slug
    retired: bool


class Submitted(Event):
    """A case was submitted."""

    campaign: Id
    charity: AccountId
    hospital: AccountId
    title: Public


class Verified(Event):
    """A hospital has confirmed a case's plan and goal."""

    campaign: Id
    verifier: AccountId


class Opened(Event):
    """A campaign was approved and takes gifts."""

    campaign: Id
    approver: AccountId


class Given(Event):
    """A gift was given."""

    gift: Id
    campaign: Id
    purse: Code
    amount: Amount


class Offered(Event):
    """A matching offer was made, or grew."""

    offer: Id
    pool: Amount


class Matched(Event):
    """A campaign received its part of a matching offer."""

    offer: Id
    campaign: Id
    amount: Total


class Closed(Event):
    """A campaign takes no more gifts."""

    campaign: Id


class Cancelled(Event):
    """A campaign was given up."""

    campaign: Id


class Refunded(Event):
    """A gift, or what was left of it, went back to its donor."""

    gift: Id
    campaign: Id
    purse: Code
    amount: Amount


class Returned(Event):
    """What a campaign had of a matching offer, or what was left of that, went back to the sponsor."""

    offer: Id
    campaign: Id
    amount: Amount


class Presented(Event):
    """An invoice was presented."""

    claim: Id
    campaign: Id
    payee: AccountId
    claimed: Amount


class Reviewed(Event):
    """An invoice was reviewed line by line."""

    claim: Id
    reviewer: AccountId
    approved: Amount


class Countersigned(Event):
    """An invoice was approved."""

    claim: Id
    approver: AccountId


class Settled(Event):
    """An instalment of an invoice was paid; `left` is what is still to be paid."""

    settlement: Id
    claim: Id
    campaign: Id
    payee: AccountId
    amount: Total
    left: Total


class Ended(Event):
    """An invoice was refused or withdrawn; it is free to be presented again if nothing of it was paid."""

    claim: Id
    free: bool


class Flagged(Event):
    """A supervisor has flagged an institution's part in a campaign."""

    flag: Id
    campaign: Id
    against: AccountId
    reason: Slug
    freezes: bool


class Appealed(Event):
    """A flag was answered, and a decision asked for."""

    flag: Id


class Decided(Event):
    """A flag was upheld or dismissed."""

    flag: Id
    upheld: bool


class Lifted(Event):
    """A flag was lifted."""

    flag: Id


class Finished(Event):
    """A campaign pays no more; donors can take back what is left of their gifts."""

    campaign: Id
    take_back_until_ms: TimeMs


class Agreed(Event):
    """A supervisor agrees that a surplus moves."""

    campaign: Id
    to: Id


class Moved(Event):
    """A part of a surplus has moved to another campaign."""

    campaign: Id
    to: Id
    amount: Total
    left: Total
