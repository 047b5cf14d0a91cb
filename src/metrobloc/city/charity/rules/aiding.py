"""What can be asked about calls and needs, and what is always true of them."""

from collections import Counter

from metrobloc.city.charity.rules.calling import callers, calls, clusters, filed, spots
from metrobloc.city.charity.rules.declared import app, campaigns
from metrobloc.city.charity.rules.needing import lots, needs, supplies
from metrobloc.kernel.context import View
from metrobloc.kernel.types import Id

SHOWN_MAX = 100
"""How many clusters or needs one answer lists."""

Row = dict[str, str | int]


@app.query
def cluster_of(view: View, call: Id) -> str:
    """Name the cluster in which a call stands now, wherever its own was linked to; nothing for an unknown call."""
    found = view[calls].get(call)
    return "" if found is None else _root(view, found.cluster)


@app.query
def urgent(view: View) -> list[Row]:
    """List clusters that no campaign answers yet: the worst first, then those with most calls, then the oldest."""
    waiting = [(key, one) for key, one in view[clusters].items() if one.state == "open"]
    waiting.sort(key=lambda row: (-row[1].severity, -row[1].calls, row[1].opened_ms, row[0]))
    return [
        {
            "cluster": key,
            "severity": one.severity,
            "calls": one.calls,
            "place": one.place,
            "category": one.category,
            "opened_ms": one.opened_ms,
        }
        for key, one in waiting[:SHOWN_MAX]
    ]


@app.query
def shortages(view: View) -> list[Row]:
    """List open needs of which more is verified than promised: the soonest first."""
    short = [(key, one) for key, one in view[needs].items() if one.state == "open" and one.committed < one.verified]
    short.sort(key=lambda row: (row[1].needed_ms, row[0]))
    return [
        {
            "need": key,
            "item": one.item,
            "unit": one.unit,
            "place": one.place,
            "missing": one.verified - one.committed,
            "verified": one.verified,
            "needed_ms": one.needed_ms,
        }
        for key, one in short[:SHOWN_MAX]
    ]


@app.invariant
def every_call_stands_in_exactly_one_cluster(view: View) -> bool:
    """Fold the calls, and find in each cluster that was not linked to another exactly its number of calls."""
    counts = Counter[str]()
    for _, call in view[calls].items():
        own = view[clusters].get(call.cluster)
        if own is None or call.heard_ms < own.opened_ms:
            return False
        counts[_root(view, call.cluster)] += 1
    return (
        all(
            cluster.calls == counts.pop(key, 0) and (cluster.calls > 0) == (cluster.state != "linked")
            for key, cluster in view[clusters].items()
        )
        and not +counts
    )


@app.invariant
def a_cluster_is_as_bad_as_the_worst_of_its_calls_or_as_triage_says(view: View) -> bool:
    """Fold the calls' severities and what triage has raised, through all links, and find every cluster's own."""
    worst: dict[str, int] = {}
    for _, call in view[calls].items():
        key = _root(view, call.cluster)
        worst[key] = max(worst.get(key, 0), call.severity)
    for key, cluster in view[clusters].items():
        into = view[clusters].get(cluster.into or "")
        if into is not None and (into.severity < cluster.severity or into.floor < cluster.floor):
            return False
        if cluster.into is None and cluster.severity != max(worst.get(key, 0), cluster.floor):
            return False
    return True


@app.invariant
def linked_clusters_form_trees_with_a_short_way_up(view: View) -> bool:
    """See that what a cluster is linked into is there and of higher rank, and that a rank has its size."""
    below = Counter[str]()
    for key, cluster in view[clusters].items():
        below[_root(view, key)] += 1
        into = view[clusters].get(cluster.into or "")
        if (cluster.state == "linked") != (into is not None) or (into is not None and into.rank <= cluster.rank):
            return False
        if (cluster.state == "closed") != (cluster.reason is not None):
            return False
    return all(below[key] >= 2**cluster.rank for key, cluster in view[clusters].items() if cluster.into is None)


@app.invariant
def every_message_is_filed_as_one_call(view: View) -> bool:
    """See that messages and calls stand for each other, one for one, and that a trail ends at a cluster."""
    named = [(key, view[calls].get(one.call), one.call) for key, one in view[filed].items()]
    if any(call is None or call.by != key.partition("/")[0] for key, call, _ in named):
        return False
    if len({call for _, _, call in named}) != len(named) or len(named) != sum(1 for _ in view[calls].items()):
        return False
    trails = [trail.cluster for table in (callers, spots) for _, trail in view[table].items()]
    return all(view[clusters].get(cluster) is not None for cluster in trails)


@app.invariant
def a_cluster_that_is_handed_over_names_its_campaign(view: View) -> bool:
    """See that exactly the clusters which a campaign answers name one, but for those that have ended since."""
    for _, cluster in view[clusters].items():
        known = cluster.campaign is not None and view[campaigns].get(cluster.campaign) is not None
        if cluster.is_live and (cluster.state == "handed_over") != known:
            return False
    return True


@app.invariant
def no_more_is_received_than_shipped_than_promised_than_verified_than_wanted(view: View) -> bool:
    """See the five amounts of every need, and of every promise its three."""
    chains = [(one.received, one.shipped, one.committed, one.verified, one.wanted) for _, one in view[needs].items()]
    parts = [(one.received, one.shipped, one.quantity) for _, one in view[supplies].items()]
    return all(list(one) == sorted(one) for one in (*chains, *parts))


@app.invariant
def promises_and_lots_add_up(view: View) -> bool:
    """Fold lots into promises, and promises into needs, and find what they say."""
    shipped, received = Counter[str](), Counter[str]()
    sums: dict[str, Counter[str]] = {}
    for _, lot in view[lots].items():
        shipped[lot.supply] += lot.quantity if lot.arrived is None else lot.arrived
        received[lot.supply] += lot.arrived or 0
    for key, supply in view[supplies].items():
        if (supply.shipped, supply.received) != (shipped[key], received[key]):
            return False
        if supply.ended and supply.quantity != supply.shipped:
            return False
        row = sums.setdefault(supply.need, Counter())
        row.update(committed=supply.quantity, shipped=supply.shipped, received=supply.received)
    empty = Counter[str]()
    return all(
        (one.committed, one.shipped, one.received) == (row["committed"], row["shipped"], row["received"])
        for one, row in ((one, sums.get(key, empty)) for key, one in view[needs].items())
    )


@app.invariant
def who_needs_does_not_verify_or_promise(view: View) -> bool:
    """See that publisher and recipient of a need are neither its verifier nor promise anything of it."""
    for _, need in view[needs].items():
        if need.verifier in (need.publisher, need.recipient) or (need.verifier is None and need.verified):
            return False
    for _, supply in view[supplies].items():
        found = view[needs].get(supply.need)
        if found is None or supply.by in (found.publisher, found.recipient) or supply.until_ms > found.needed_ms:
            return False
    return True


def _root(view: View, key: str) -> str:
    """Return the cluster where the links from one end."""
    cluster = view[clusters].get(key)
    while cluster is not None and cluster.into is not None:
        key = cluster.into
        cluster = view[clusters].get(key)
    return key
