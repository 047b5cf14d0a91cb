"""What is under way on an account: begun, superseded, and written out once its time has come.

A change takes effect by the clock. What it leaves in this module's tables is written by a deadline, or before that by
whoever touches the account (`settle`), so nothing depends on a deadline that might run late.
"""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import (
    OFFICE,
    SUPERVISOR,
    app,
    box_keys,
    by_successor,
    changes,
    guardianships,
    institutions,
)
from metrobloc.commons.identity.types import Change, Changing, Guardianship, Succeeded
from metrobloc.kernel.context import Ctx

NOBODY = Guardianship((), 0)
PLACES_MAX = 16
"""For so many institutions can one stand at most: when it is succeeded itself, all of them move on in one step."""


def settle(ctx: Ctx, account: str) -> Change | None:
    """Write out a change whose time has come, and return one that is still under way."""
    change = ctx[changes].get(account)
    if change is None or ctx.time_ms < change.from_ms:
        return change
    take_effect(ctx, account, change)
    return None


def take_effect(ctx: Ctx, account: str, change: Change) -> None:
    """Write out a change, and forget it; the keys have changed by the clock."""
    del ctx[changes][account]
    if change.guardianship is not None:
        guard(ctx, account, change.guardianship)
    if change.by == "office":
        guard(ctx, account, NOBODY)  # whoever had the keys before may have named them
    if change.successor is not None:
        _give_place(ctx, account, change.successor)


def begin(ctx: Ctx, account: str, change: Change) -> None:
    """Have something change on an account from a time on."""
    ctx[changes][account] = change
    ctx.at(change.from_ms, complete, account)
    ctx.emit(Changing(account, change.by, change.from_ms))


@app.deadline
def complete(ctx: Ctx, key: str) -> None:
    """Write down a change whose time has come, if nobody has objected."""
    settle(ctx, key)


def require_quiet(ctx: Ctx) -> None:
    """Refuse what the actor cannot begin: another change is under way, or a successor acts and there are no keys."""
    app.require(settle(ctx, ctx.actor) is None, "change_pending")
    require_in_place(ctx, ctx.actor)


def require_in_place(ctx: Ctx, account: str) -> None:
    """Refuse where another institution has taken the account's place: no keys may come to it again."""
    known = ctx[institutions].get(account)
    app.require(known is None or known.successor is None, "succeeded")


def make_way(ctx: Ctx, account: str) -> None:
    """Drop a change that the owner, or a thief, has asked for; what guardians or the office began goes on."""
    change = settle(ctx, account)
    app.require(change is None or change.by == "owner", "change_pending")
    require_in_place(ctx, account)
    if change is not None:
        del ctx[changes][account]
    keeping.drop_keys(ctx, account)


def replace_keys(ctx: Ctx, account: str, change: Change, threshold: int) -> None:
    """Have others than its owner give an account new keys: it is frozen until then, and all it delegated ends then.

    Nobody shall encrypt for a key any more that whoever had the old ones has shown.
    """
    make_way(ctx, account)
    keeping.propose_keys(ctx, account, change.keys, threshold, change.from_ms, resets=True)
    keeping.freeze(ctx, account, change.from_ms)
    if account in ctx[box_keys]:
        del ctx[box_keys][account]
    begin(ctx, account, change)


def require_guardian(ctx: Ctx, account: str) -> None:
    """Refuse to whoever is no guardian of the account now."""
    guards = ctx[guardianships].get(account)
    app.require(guards is not None and ctx.actor in guards.guardians, "not_guardian")


def guard(ctx: Ctx, account: str, guards: Guardianship) -> None:
    """Let these guard the account from now on, or nobody."""
    if guards.guardians:
        ctx[guardianships][account] = guards
    elif account in ctx[guardianships]:
        del ctx[guardianships][account]


def is_arbiter(ctx: Ctx, account: str) -> bool:
    """Tell whether an account decides about others."""
    return ctx.has_role(account, OFFICE) or ctx.has_role(account, SUPERVISOR)


def fits(ctx: Ctx, account: str, successor: str) -> bool:
    """Tell whether a successor can stand for an account and all those for which that one stands."""
    places = [*ctx.keys(by_successor, successor), account, *ctx.keys(by_successor, account)]
    return successor not in places and len(places) <= PLACES_MAX


def _give_place(ctx: Ctx, account: str, successor: str) -> None:
    """Let a successor, or whoever has taken its place meanwhile, act for an account and for those that it stood for."""
    heir = ctx[institutions][successor].successor or successor
    if not fits(ctx, account, heir):
        return
    guard(ctx, account, NOBODY)
    for one in (account, *list(ctx.keys(by_successor, account))):
        if one != account:
            keeping.end_delegation(ctx, one, account)
        keeping.hand_over(ctx, one, heir)
        ctx[institutions][one] = ctx[institutions][one].but(successor=heir)
        ctx.emit(Succeeded(one, heir))
