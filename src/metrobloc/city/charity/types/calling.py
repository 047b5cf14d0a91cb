"""Nouns of calls for help: what is heard, and the clusters in which calls about one thing lie together."""

from typing import Annotated, Literal

from msgspec import Meta

from metrobloc.kernel.types import AccountId, Commitment, Digest, Event, Id, Message, Record, Slug, TimeMs, Total

Channel = Literal["sms", "ussd", "web", "app", "voice"]
Severity = Annotated[int, Meta(ge=1, le=5)]
"""How bad it is: 1 can wait, 5 is a danger to life."""

Floor = Annotated[int, Meta(ge=0, le=5)]
Link = Literal["new", "caller", "place"]
"""Why a call came into its cluster: it opened it, the same caller had called, or others of its place and category."""


class Hear(Message):
    """File a call for help; the same message again counts once.

    `message` names the message and `caller` who called, by keyed nullifiers; whoever calls for herself leaves `caller`
    out. `place` is coarse, a district and never an address. Of the text there is a commitment only.
    """

    channel: Channel
    message: Digest
    place: Slug
    category: Slug
    severity: Severity
    text: Commitment
    caller: Digest | None = None


class LinkClusters(Message):
    """Say that two clusters are about the same."""

    cluster: Id
    other: Id


class RaiseSeverity(Message):
    """Say that a cluster is worse than its calls say."""

    cluster: Id
    severity: Severity


class Resolve(Message):
    """Close a cluster, and say why."""

    cluster: Id
    reason: Slug


class Reopen(Message):
    """Open a cluster again that was closed too early."""

    cluster: Id


class HandOver(Message):
    """Name the campaign that answers a cluster."""

    cluster: Id
    campaign: Id


class Call(Record):
    """A call for help, by whom it was filed and in which cluster; that may have been linked to another since."""

    by: AccountId
    channel: Channel
    place: Slug
    category: Slug
    severity: Severity
    text: Commitment
    heard_ms: TimeMs
    cluster: Id
    caller: Digest | None = None


class Filed(Record):
    """Under which call a message stands, by the account that filed it and the message's nullifier."""

    call: Id


class Trail(Record):
    """To which cluster a caller's, or a place's, next call belongs, counted from a time."""

    cluster: Id
    since_ms: TimeMs


class Cluster(Record):
    """Calls about one thing: how many, and how bad, which is the worst of its calls and of what triage says (`floor`).

    One that was linked to another names it in `into` and has no calls any more. `rank` grows only when two of the same
    rank are linked, so that the way to where a call stands now is short. `follows` is the closed cluster that the first
    call would have belonged to.
    """

    place: Slug
    category: Slug
    severity: Severity
    calls: Total
    opened_ms: TimeMs
    state: Literal["open", "handed_over", "closed", "linked"] = "open"
    floor: Floor = 0
    rank: Total = 0
    into: Id | None = None
    follows: Id | None = None
    campaign: Id | None = None
    reason: Slug | None = None

    @property
    def is_live(self) -> bool:
        """Whether calls come into it."""
        return self.state in ("open", "handed_over")


class Heard(Event):
    """A call was filed."""

    call: Id
    cluster: Id
    severity: Severity
    link: Link


class Repeated(Event):
    """A message was filed already; nothing has changed."""

    call: Id


class Linked(Event):
    """A cluster's calls belong to another one from now on."""

    cluster: Id
    into: Id


class Worsened(Event):
    """A cluster is worse than it was."""

    cluster: Id
    severity: Severity


class Resolved(Event):
    """A cluster was closed."""

    cluster: Id
    reason: Slug


class Reopened(Event):
    """A cluster was opened again."""

    cluster: Id


class HandedOver(Event):
    """A campaign answers a cluster."""

    cluster: Id
    campaign: Id
