"""The nouns of governance: proposals, approvals, decisions and the council that makes them."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import AccountId, Code, Event, Id, Message, Record, Signed, Slug, TimeMs, Total

Holders = Annotated[tuple[AccountId, ...], Meta(min_length=1, max_length=64)]
"""All who will hold a role, and nobody else."""


class ProposeValue(Message):
    """Propose another value for a parameter, from a block on; 0 is the first that may be."""

    module: Slug
    name: Slug
    value: Signed
    from_height: Total = 0


class ProposeModule(Message):
    """Propose that a part of the rules which the chain began without becomes active."""

    module: Slug
    from_height: Total = 0


class ProposeRules(Message):
    """Propose the next version of the rules."""

    version: Total
    from_height: Total = 0


class ProposeCouncil(Message):
    """Propose who will be on the council, and how many of them must approve: 0 for more than half."""

    members: Holders
    threshold: Total = 0
    from_height: Total = 0


class ProposeOffice(Message):
    """Propose who will be the city office, or the supervisor."""

    role: Literal["office", "supervisor"]
    holders: Holders
    from_height: Total = 0


class ProposeCancel(Message):
    """Propose that a decision which has not taken effect does not."""

    subject: Code


class Approve(Message):
    """Approve a proposal."""

    proposal: Id


class Withdraw(Message):
    """Take back one's approval of a proposal."""

    proposal: Id


class CarryOut(Message):
    """Give and take the roles that the council has decided about and whose block has come."""


class Change(Record):
    """What will be different: `number` is a value, a version or a threshold, `holders` are all who hold a role.

    The subject is `value.MODULE.NAME`, `module.NAME`, `rules`, `council`, `office` or `supervisor`.
    """

    subject: Code
    number: Signed = 0
    holders: Annotated[tuple[AccountId, ...], Meta(max_length=64)] = ()
    cancels: bool = False


class Approval(Record):
    """A member's approval, and when it was given."""

    by: AccountId
    given_ms: TimeMs


Approvals = Annotated[tuple[Approval, ...], Meta(max_length=1024)]


class Proposal(Record):
    """What a member has proposed, and who approves; `over` is what was decided about the same before."""

    by: AccountId
    change: Change
    from_height: Total
    until_ms: TimeMs
    deadline: Id
    approvals: Approvals
    over: Id | None = None


class Decision(Record):
    """What was last decided about a subject, and from which block on it holds.

    Who holds a role changes when somebody carries that out; all else by itself.
    """

    proposal: Id
    change: Change
    from_height: Total
    carried_out: bool = False


class Council(Record):
    """How many members must approve; 0 for more than half."""

    threshold: Total


class Proposed(Event):
    """Something has been proposed to the council."""

    proposal: Id
    subject: Code
    until_ms: TimeMs


class Approved(Event):
    """A member approves of a proposal."""

    proposal: Id
    member: AccountId


class Withdrawn(Event):
    """A member no longer approves of a proposal."""

    proposal: Id
    member: AccountId


class Dropped(Event):
    """A proposal is no longer one: too few have approved in time, or nobody does any more."""

    proposal: Id


class Decided(Event):
    """The council has decided something, which takes effect from a block on."""

    proposal: Id
    subject: Code
    from_height: Total


class Cancelled(Event):
    """The council has taken back a decision before it took effect."""

    proposal: Id
    subject: Code


class Appointed(Event):
    """A role has changed hands."""

    role: Slug
