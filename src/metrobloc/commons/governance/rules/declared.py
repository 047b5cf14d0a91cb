"""What governance declares: its refusals, tables and parameters."""

from metrobloc.commons.governance.types import Council, Decision, Proposal
from metrobloc.kernel.module import Module

DAY_MS = 86_400_000
HEIGHT_AHEAD_MAX = 10_000_000
"""No proposal names a block that is further away: years, where a block is made every few seconds."""

app = Module(
    "governance",
    {
        "active_already": "This part of the rules is active on this chain already.",
        "both_roles": "Whoever is the supervisor cannot be the city office, which it watches over; name another.",
        "in_force": "The decision has taken effect; propose another change instead.",
        "named_twice": "Name each account once.",
        "not_approved": "You have not approved this proposal.",
        "not_member": "You are on the council no more: what it decided about its members has taken effect.",
        "not_next": "The rules change one version at a time; name the one after the version in force.",
        "nothing_due": "No decision about a role waits to be carried out, and nobody lacks the quota of the office.",
        "outdated": "Something else has been decided about this since; look at that, and propose anew.",
        "outside_limits": "The value lies outside the limits that the parameter declares.",
        "threshold_wrong": "At most all members can be asked to approve; name a lower threshold.",
        "too_far": "The block is too far ahead; name an earlier one.",
        "unable": "Too many of those named are frozen now, so that the others could not act; wait, or name others.",
        "unknown_param": "No active part of the rules has such a parameter; the list of parameters names all.",
        "voting_over": "The time for approving this is over; propose it again.",
    },
)
proposals = app.table("proposals", Proposal, str, "unknown")
decisions = app.table("decisions", Decision, str, "unknown")
councils = app.table("councils", Council, str)

notice_blocks = app.param(
    "notice_blocks",
    10,
    "So many blocks lie between a decision and its effect, in which operators install what it needs.",
    (1, 10_000),
)
office_quota_per_hour = app.param(
    "office_quota_per_hour",
    100,
    "So much can each member of the council, the city office and the supervisor do in an hour, whoever pays.",
    (10, 1_000_000),
)
voting_ms = app.param("voting_ms", 14 * DAY_MS, "So long can a proposal be approved.", (DAY_MS, 366 * DAY_MS))
