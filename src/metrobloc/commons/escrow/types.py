"""The nouns of escrow: what was agreed for each instalment, what has become of it, and the escrow as a whole."""

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
    Record,
    Slug,
    TimeMs,
    Total,
)

DAY_MS = 86_400_000
Several = Annotated[tuple[AccountId, ...], Meta(max_length=8)]
Roles = Annotated[tuple[Slug, ...], Meta(max_length=8)]
Needed = Annotated[int, Meta(ge=1, le=16)]
DecideDays = Annotated[int, Meta(ge=1, le=366)]
Undecided = Literal["refund", "release"]


class Terms(Record):
    """One instalment as agreed.

    It is paid when `needed` of the named accounts and roles have approved it, with evidence of its kind if one is
    named, from `not_before_ms` on and before `until_ms`. With nobody named, payer or payee ask for it once the rest is
    there. The evidence must be about `about`, or else about the instalment itself. `by_module` leaves the
    decision to the application that opened the escrow.
    """

    amount: Amount
    until_ms: TimeMs
    accounts: Several = ()
    roles: Roles = ()
    needed: Needed = 1
    not_before_ms: TimeMs = 0
    evidence_kind: Slug | None = None
    signer_role: Slug | None = None
    about: Id | None = None
    by_module: bool = False


Instalments = Annotated[tuple[Terms, ...], Meta(min_length=1, max_length=16)]
Parts = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=16)]


class Open(Message):
    """Set money aside for a payee in instalments; an account or a role decides disputes, within `decide_days`."""

    payee: AccountId
    asset: Slug
    purpose: Slug
    instalments: Instalments
    decide_days: DecideDays
    arbiter: AccountId | None = None
    arbiter_role: Slug | None = None
    undecided: Undecided = "refund"
    in_order: bool = False
    contract: Commitment | None = None


class Accept(Message):
    """Agree to the terms of an escrow for oneself; from then on its payer cannot cancel it."""

    escrow: Id


class Cancel(Message):
    """Take everything back that the payee has not accepted."""

    escrow: Id


class Release(Message):
    """Approve an instalment, by name or for a role; it is paid when nothing of its condition is missing."""

    instalment: Id
    role: Slug | None = None
    evidence: Id | None = None


class Refund(Message):
    """Give some or all of an instalment back to the payer."""

    instalment: Id
    amount: Amount


class Dispute(Message):
    """Stop an instalment until the arbiter has decided, with a commitment to the reason."""

    instalment: Id
    reason: Commitment


class Decide(Message):
    """Decide a dispute: so much to the payee, the rest of what is held to the payer."""

    instalment: Id
    to_payee: Total


class Approval(Record):
    """Who has approved an instalment: by name, or for a role."""

    account: AccountId
    role: Slug | None = None


Approvals = Annotated[tuple[Approval, ...], Meta(max_length=16)]


class Escrow(Record):
    """Money that was set aside, and what of it has been paid and returned.

    `module` opened it, where that was not a person; what returns then goes to the pot `returns`, if there is one.
    `stopped_ms` is since when the time of later instalments stands still, because one before them is disputed.
    """

    payer: AccountId
    payee: AccountId
    asset: Slug
    purpose: Slug
    amount: Amount
    instalments: Parts
    decide_days: DecideDays
    arbiter: AccountId | None = None
    arbiter_role: Slug | None = None
    undecided: Undecided = "refund"
    in_order: bool = False
    contract: Commitment | None = None
    module: Slug | None = None
    returns: Holder | None = None
    accepted: bool = False
    released: Total = 0
    refunded: Total = 0
    stopped_ms: TimeMs = 0

    @property
    def held(self) -> int:
        """Return what is neither paid nor returned."""
        return self.amount - self.released - self.refunded


class Instalment(Record):
    """One instalment: its terms, who has approved, what has gone out, and when it ends by itself.

    Without a `deadline` its time stands still, or it has ended.
    """

    escrow: Id
    terms: Terms
    due_ms: TimeMs
    deadline: Id | None
    state: Literal["held", "disputed", "ended"] = "held"
    approvals: Approvals = ()
    evidence: Id | None = None
    released: Total = 0
    refunded: Total = 0

    @property
    def held(self) -> int:
        """Return what is neither paid nor returned."""
        return self.terms.amount - self.released - self.refunded

    def is_overdue(self, time_ms: int) -> bool:
        """Tell whether its time has run out, though its deadline may still wait in the queue."""
        return self.deadline is not None and time_ms >= self.due_ms


Why = Literal["condition", "module", "payee", "cancelled", "expired", "decided", "undecided"]


class Opened(Event):
    """Money was set aside."""

    escrow: Id
    payer: AccountId
    payee: AccountId
    asset: Slug
    amount: Amount


class Accepted(Event):
    """The payee has agreed to the terms."""

    escrow: Id


class Approved(Event):
    """Somebody has approved an instalment."""

    instalment: Id
    account: AccountId
    role: Slug | None = None


class Released(Event):
    """Money of an instalment went to the payee."""

    escrow: Id
    instalment: Id
    amount: Amount
    why: Why


class Refunded(Event):
    """Money of an instalment went back to the payer."""

    escrow: Id
    instalment: Id
    amount: Amount
    why: Why


class Disputed(Event):
    """An instalment waits for the arbiter, until a time."""

    instalment: Id
    by: AccountId
    reason: Commitment
    due_ms: TimeMs
