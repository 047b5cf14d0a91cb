"""Calling: calls for help are filed from any channel, linked into clusters, and triaged; none is ever dropped.

A call goes where the same caller's last one went, or else where those of its place and category go, within a window of
time; otherwise it opens a cluster. Clusters that were linked form a tree: a call stands at the root above its own.
"""

from metrobloc.city.charity.rules.declared import CIVIL_AFFAIRS, DAY_MS, app, campaigns
from metrobloc.city.charity.types.calling import (
    Call,
    Cluster,
    Filed,
    HandedOver,
    HandOver,
    Hear,
    Heard,
    Link,
    LinkClusters,
    Linked,
    RaiseSeverity,
    Reopen,
    Reopened,
    Repeated,
    Resolve,
    Resolved,
    Trail,
    Worsened,
)
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role

GATEWAY = "gateway"
OWN = "own"
"""What stands for the caller where an account calls for itself."""

calls = app.table("calls", Call, str, "taken")
filed = app.table("filed", Filed, tuple[str, str])
clusters = app.table("clusters", Cluster, str, "unknown")
callers = app.table("callers", Trail, tuple[str, str])
spots = app.table("spots", Trail, tuple[str, str])

link_ms = app.param(
    "link_ms",
    3 * DAY_MS,
    "So long calls are linked: a caller's from the last one on, a place's from the first one on.",
    limits=(3_600_000, 31 * DAY_MS),
)


@app.tx(allow=role(GATEWAY) | anyone)
def hear(ctx: Ctx, msg: Hear) -> None:
    """File a call for help, your own or, as a gateway, somebody's who called; the same message again changes nothing.

    Its receipt names the cluster that the call came into.
    """
    app.require(msg.caller is None or ctx.has_role(ctx.actor, GATEWAY), "not_gateway")
    before = ctx[filed].get((ctx.actor, msg.message))
    if before is not None:
        app.require(ctx[calls][before.call].text == msg.text, "other_message")
        ctx.emit(Repeated(before.call))
        return
    made = ctx.new_id()
    cluster_id, link = _place(ctx, msg)
    call = Call(
        ctx.actor,
        msg.channel,
        msg.place,
        msg.category,
        msg.severity,
        msg.text,
        ctx.time_ms,
        cluster_id,
        msg.caller,
    )
    ctx[calls].add(made, call)
    ctx[filed][ctx.actor, msg.message] = Filed(made)
    cluster = ctx[clusters][cluster_id]
    ctx.emit(Heard(made, cluster_id, cluster.severity, link))


@app.tx(allow=role(CIVIL_AFFAIRS))
def link_clusters(ctx: Ctx, msg: LinkClusters) -> None:
    """Link two clusters that are about the same; the receipt says which of them has all the calls from then on."""
    one, other = _live(ctx, msg.cluster), _live(ctx, msg.other)
    app.require(msg.cluster != msg.other, "same_cluster")
    app.require(None in (one.campaign, other.campaign) or one.campaign == other.campaign, "two_campaigns")
    kept, gone = (msg.cluster, msg.other) if one.rank >= other.rank else (msg.other, msg.cluster)
    target, source = (one, other) if one.rank >= other.rank else (other, one)
    campaign = target.campaign or source.campaign
    ctx[clusters][kept] = target.but(
        severity=max(target.severity, source.severity),
        floor=max(target.floor, source.floor),
        calls=target.calls + source.calls,
        rank=max(target.rank, source.rank + 1),
        campaign=campaign,
        state="open" if campaign is None else "handed_over",
    )
    ctx[clusters][gone] = source.but(state="linked", into=kept, calls=0)
    ctx.emit(Linked(gone, kept))


@app.tx(allow=role(CIVIL_AFFAIRS))
def raise_severity(ctx: Ctx, msg: RaiseSeverity) -> None:
    """Say that a cluster is worse than its calls say; it never becomes less."""
    cluster = _live(ctx, msg.cluster)
    app.require(msg.severity > cluster.severity, "not_higher")
    ctx[clusters][msg.cluster] = cluster.but(severity=msg.severity, floor=msg.severity)
    ctx.emit(Worsened(msg.cluster, msg.severity))


@app.tx(allow=role(CIVIL_AFFAIRS))
def resolve(ctx: Ctx, msg: Resolve) -> None:
    """Close a cluster and say why; who calls again opens another, which names this one."""
    cluster = _live(ctx, msg.cluster)
    ctx[clusters][msg.cluster] = cluster.but(state="closed", reason=msg.reason)
    ctx.emit(Resolved(msg.cluster, msg.reason))


@app.tx(allow=role(CIVIL_AFFAIRS))
def reopen(ctx: Ctx, msg: Reopen) -> None:
    """Open a cluster again that was closed too early."""
    cluster = ctx[clusters][msg.cluster]
    app.require(cluster.state == "closed", "not_resolved")
    state = "open" if cluster.campaign is None else "handed_over"
    ctx[clusters][msg.cluster] = cluster.but(state=state, reason=None)
    ctx.emit(Reopened(msg.cluster))


@app.tx(allow=role(CIVIL_AFFAIRS))
def hand_over(ctx: Ctx, msg: HandOver) -> None:
    """Name the campaign that answers a cluster; calls still come into it."""
    cluster = _live(ctx, msg.cluster)
    app.require(ctx[campaigns][msg.campaign].state not in ("settled", "cancelled"), "no_campaign")
    ctx[clusters][msg.cluster] = cluster.but(state="handed_over", campaign=msg.campaign)
    ctx.emit(HandedOver(msg.cluster, msg.campaign))


def _place(ctx: Ctx, msg: Hear) -> tuple[str, Link]:
    """Count a new call into its cluster and set the trails; return the cluster and why it is that."""
    caller, spot = (ctx.actor, msg.caller or OWN), (msg.place, msg.category)
    of_caller, of_spot = _follow(ctx, ctx[callers].get(caller)), _follow(ctx, ctx[spots].get(spot))
    same_caller, same_spot = _if_live(ctx, of_caller), _if_live(ctx, of_spot)
    found = same_caller or same_spot
    if found:
        cluster = ctx[clusters][found]
        severity = max(cluster.severity, msg.severity)
        ctx[clusters][found] = cluster.but(severity=severity, calls=cluster.calls + 1)
    else:
        found = ctx.new_id()
        before = of_caller or of_spot or None
        ctx[clusters][found] = Cluster(msg.place, msg.category, msg.severity, 1, ctx.time_ms, follows=before)
    ctx[callers][caller] = Trail(found, ctx.time_ms)
    if not same_spot:
        ctx[spots][spot] = Trail(found, ctx.time_ms)
    return found, "caller" if same_caller else "place" if same_spot else "new"


def _follow(ctx: Ctx, trail: Trail | None) -> str:
    """Return the cluster where a trail ends now, or nothing when the trail is too old."""
    if trail is None or ctx.time_ms >= trail.since_ms + ctx.param(link_ms):
        return ""
    key = trail.cluster
    while (into := ctx[clusters][key].into) is not None:
        key = into
    return key


def _if_live(ctx: Ctx, key: str) -> str:
    """Return a cluster that calls come into, or nothing."""
    return key if key and ctx[clusters][key].is_live else ""


def _live(ctx: Ctx, key: str) -> Cluster:
    """Return a cluster that calls come into, or refuse."""
    cluster = ctx[clusters][key]
    app.require(cluster.is_live, "cluster_ended")
    return cluster
