"""What can be decided, and how a decision takes effect.

Everything here is decided from the chain's state and from what its active modules declare under the rules in force,
never from what else a program has: nodes of different age decide alike. A decision that names what a program lacks is
taken by it like any other, and stops it at the block from which on it would have to have that.
"""

from metrobloc.commons.governance import keeping
from metrobloc.commons.governance.rules.declared import app, councils, decisions, notice_blocks, office_quota_per_hour
from metrobloc.commons.governance.types import Appointed, Cancelled, Change, Council, Decided, Decision, Proposal
from metrobloc.commons.identity.rules import COUNCIL, OFFICE, SUPERVISOR
from metrobloc.kernel import system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.tables import ParamSpec

ROLES = (COUNCIL, OFFICE, SUPERVISOR)
APART = {OFFICE: SUPERVISOR, SUPERVISOR: OFFICE}


def members_of(ctx: Ctx) -> list[str]:
    """Return the members of the council."""
    return holders_of(ctx, COUNCIL)


def holders_of(ctx: Ctx, role: str) -> list[str]:
    """Return the accounts that hold a role now."""
    return [account for account in keeping.granted(ctx, role) if ctx.has_role(account, role)]


def needed(threshold: int, members: int) -> int:
    """Return how many of some members must approve."""
    return threshold or members // 2 + 1


def threshold(ctx: Ctx) -> int:
    """Return the threshold that was decided; 0 for more than half."""
    council = ctx[councils].get(COUNCIL)
    return 0 if council is None else council.threshold


def standing(ctx: Ctx, subject: str) -> str | None:
    """Return which proposal was last decided about a subject."""
    decision = ctx[decisions].get(subject)
    return None if decision is None else decision.proposal


def require_possible(ctx: Ctx, change: Change) -> None:
    """Refuse a change that cannot be made as things stand."""
    kind, _, name = change.subject.partition(".")
    if change.cancels:
        app.require(ctx[decisions][change.subject].from_height > ctx.run.height, "in_force")
    elif kind == "value":
        least, most = _spec(ctx, name).limits
        app.require(least <= change.number <= most, "outside_limits")
    elif kind == "module":
        active = ctx.read(system.modules).get(name)
        waiting = active is None or active.from_height > ctx.run.height
        app.require(waiting and name != system.NAME, "active_already")
    elif kind == "rules":
        app.require(change.number == keeping.chain_info(ctx).rules_at(ctx.run.height) + 1, "not_next")
    else:
        _require_fit(ctx, kind, change)


def decide(ctx: Ctx, made: str, proposal: Proposal) -> None:
    """Let a proposal that enough have approved take effect, after the notice, or undo what was to."""
    change, subject = proposal.change, proposal.change.subject
    app.require(standing(ctx, subject) == proposal.over, "outdated")
    require_possible(ctx, change)
    from_height = max(proposal.from_height, ctx.run.height + ctx.param(notice_blocks))
    kind, _, name = subject.partition(".")
    if change.cancels:
        _undo(ctx, kind, name)
        del ctx[decisions][subject]
        ctx.emit(Cancelled(made, subject))
        return
    if kind == "value":
        keeping.set_value(ctx, _spec(ctx, name), change.number, from_height)
    elif kind == "module":
        keeping.activate(ctx, name, from_height)
    elif kind == "rules":
        keeping.set_rules(ctx, change.number, from_height)
    ctx[decisions][subject] = Decision(made, change, from_height)
    ctx.emit(Decided(made, subject, from_height))


def settle(ctx: Ctx) -> bool:
    """Give and take the roles that were decided about and whose block has come; tell whether there were any."""
    due = [role for role in ROLES if _waits(ctx, role, ctx.run.height)]
    for role in due:
        decision = ctx[decisions][role]
        keeping.seat(ctx, role, decision.change.holders)
        if role == COUNCIL:
            ctx[councils][COUNCIL] = Council(decision.change.number)
        ctx[decisions][role] = decision.but(carried_out=True)
        ctx.emit(Appointed(role))
    if due:
        ensure_quotas(ctx)
    return bool(due)


def ensure_quotas(ctx: Ctx) -> bool:
    """Let all who hold a role here have a quota, so that nobody who decides about quotas can silence them.

    Tells whether anybody lacked it.
    """
    least = ctx.param(office_quota_per_hour)
    holders = dict.fromkeys(account for role in ROLES for account in holders_of(ctx, role))
    return True in [keeping.ensure_quota(ctx, account, least) for account in holders]


def is_frozen(ctx: Ctx, account: str) -> bool:
    """Tell whether an account can do nothing now but defend itself."""
    return ctx.time_ms < ctx.read(system.accounts)[account].frozen_until_ms


def _waits(ctx: Ctx, role: str, height: int) -> bool:
    decision = ctx[decisions].get(role)
    return decision is not None and not decision.carried_out and decision.from_height <= height


def _undo(ctx: Ctx, kind: str, name: str) -> None:
    if kind == "value":
        keeping.keep_value(ctx, _spec(ctx, name))
    elif kind == "module":
        keeping.keep_out(ctx, name)
    elif kind == "rules":
        keeping.set_rules(ctx, 0, 0)


def _spec(ctx: Ctx, name: str) -> ParamSpec:
    """Return the declaration of a parameter of an active module under the rules in force."""
    block = ctx.run.block
    assert block is not None, "a handler runs in a block"
    module, _, param = name.partition(".")
    found = [one.params.get(param) for one in block.rules.modules if one.name == module and module in block.active]
    spec = found[0] if found else None
    if spec is None or spec.since > block.version:
        app.refuse("unknown_param")
    return spec


def _require_fit(ctx: Ctx, role: str, change: Change) -> None:
    """Refuse holders of a role who could not act in it, and a council that could not decide."""
    app.require(len(dict.fromkeys(change.holders)) == len(change.holders), "named_twice")
    for account in change.holders:
        ctx.read(system.accounts)[account]
    least = 1
    if role == COUNCIL:
        least = needed(change.number, len(change.holders))
        app.require(least <= len(change.holders), "threshold_wrong")
    else:
        taken = holders_of(ctx, APART[role])
        other = ctx[decisions].get(APART[role])
        if other is not None and not other.carried_out:
            taken += other.change.holders
        app.require(not any(account in taken for account in change.holders), "both_roles")
    app.require(sum(not is_frozen(ctx, account) for account in change.holders) >= least, "unable")
