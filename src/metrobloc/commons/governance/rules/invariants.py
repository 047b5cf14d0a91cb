"""Sentences about the council and its decisions that are always true."""

from metrobloc.commons.governance.rules.deciding import ROLES
from metrobloc.commons.governance.rules.declared import app, decisions, proposals
from metrobloc.commons.governance.rules.queries import council, holders
from metrobloc.commons.identity.rules import OFFICE, SUPERVISOR
from metrobloc.kernel import system
from metrobloc.kernel.context import View


@app.invariant
def the_council_is_large_enough_to_decide(view: View) -> bool:
    """See that at least one and at most all members must approve, wherever there is a council."""
    seats = council(view)
    return not seats.members or 1 <= seats.needed <= len(seats.members)


@app.invariant
def every_proposal_ends(view: View) -> bool:
    """See that each has its deadline, and members who approve it, each once."""
    for made, proposal in view[proposals].items():
        deadline = view[system.deadlines].get(proposal.deadline)
        givers = [one.by for one in proposal.approvals]
        if deadline is None or (deadline.key, deadline.time_ms) != (made, proposal.until_ms):
            return False
        if not givers or len(dict.fromkeys(givers)) != len(givers):
            return False
    return True


@app.invariant
def what_was_decided_last_is_what_holds(view: View) -> bool:
    """Find each decision in the kernel's tables: what nobody decided nobody changed."""
    for subject, decision in view[decisions].items():
        kind, _, name = subject.partition(".")
        number, from_height = decision.change.number, decision.from_height
        found: object = (number, from_height)
        if kind == "value":
            module, _, param = name.partition(".")
            row = view[system.params].get((module, param))
            found = row and (row.next, row.from_height)
        elif kind == "module":
            active = view[system.modules].get(name)
            found = (number, active and active.from_height)
        elif kind == "rules":
            info = view[system.chain].get("info")
            found = info and (info.next_rules, info.from_height)
        elif decision.carried_out and holders(view, kind) != tuple(sorted(decision.change.holders)):
            return False
        if found != (number, from_height):
            return False
    return True


@app.invariant
def the_office_does_not_watch_over_itself(view: View) -> bool:
    """See that nobody whom the council has appointed is both city office and supervisor."""
    decided = [view[decisions].get(role) for role in ROLES]
    if not any(one is not None and one.carried_out and one.change.subject in (OFFICE, SUPERVISOR) for one in decided):
        return True
    office = holders(view, OFFICE)
    return not any(account in office for account in holders(view, SUPERVISOR))
