"""Sentences about accounts, persons and institutions that are always true."""

from metrobloc.commons.identity.rules.declared import (
    CITIZEN,
    KEPT,
    app,
    changes,
    guardianships,
    institutions,
    persons,
    vouched,
)
from metrobloc.commons.identity.rules.settling import NOBODY, PLACES_MAX
from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.types import INT_MAX


@app.invariant
def every_key_of_an_account_belongs_to_it(view: View) -> bool:
    """Keys in force or to come are bound to their account and no other."""
    for account, record in view[system.accounts].items():
        for key in (*record.keys, *record.next_keys):
            owner = view[system.keys].get(key)
            if owner is None or owner.account != account:
                return False
    return True


@app.invariant
def somebody_can_sign_for_every_account(view: View) -> bool:
    """Find as many keys as must sign on every account, now and after a change, or a successor who acts for it."""
    for account, record in view[system.accounts].items():
        known = view[institutions].get(account)
        successor = known.successor if known is not None else None
        if successor is not None:
            given = view[system.delegations].get((account, successor))
            if record.keys or given is None or given.scope or given.until_ms != INT_MAX:
                return False
        elif not 1 <= record.threshold <= len(record.keys):
            return False
        if record.next_keys and not 1 <= record.next_threshold <= len(record.next_keys):
            return False
    return True


@app.invariant
def a_person_has_one_account(view: View) -> bool:
    """Persons and the accounts vouched for belong to each other, and they alone are citizens."""
    by_person = {known.account: nullifier for nullifier, known in view[persons].items()}
    by_account = {account: known.nullifier for account, known in view[vouched].items()}
    citizens = [key.partition("/")[0] for key, one in view[system.roles].items() if one.role == CITIZEN]
    return by_person == by_account and citizens == sorted(by_account)


@app.invariant
def more_than_half_of_the_guardians_are_needed(view: View) -> bool:
    """So no two groups of guardians can ask for different things and both have their way."""
    every = [guards for _, guards in view[guardianships].items()]
    every += [change.guardianship for _, change in view[changes].items() if change.guardianship is not None]
    return all(len(one.guardians) < 2 * one.needed <= 2 * len(one.guardians) or one == NOBODY for one in every)


@app.invariant
def an_account_in_doubt_is_frozen_until_somebody_decides(view: View) -> bool:
    """See that no change in doubt takes effect by the clock, and that its account can do nothing meanwhile."""
    for account, change in view[changes].items():
        record = view[system.accounts].get(account)
        if record is None or (change.objector is not None) != (change.from_ms == INT_MAX):
            return False
        if change.objector is not None and record.frozen_until_ms != INT_MAX:
            return False
        if change.keys and (record.next_keys, record.next_from_ms) != (change.keys, change.from_ms):
            return False
    return True


@app.invariant
def suspension_holds_for_every_role_of_an_institution(view: View) -> bool:
    """See that all roles of an institution that the office could take are suspended when it is, until the same time."""
    for key, grant in view[system.roles].items():
        known = view[institutions].get(key.partition("/")[0])
        if known is not None and grant.role not in KEPT and grant.suspended_until_ms != known.suspended_until_ms:
            return False
    return True


@app.invariant
def whoever_takes_a_place_can_act(view: View) -> bool:
    """See that successors have a place of their own, and stand for no more than they can hand on."""
    heirs = [one.successor for _, one in view[institutions].items() if one.successor is not None]
    for heir in sorted(heirs):
        known = view[institutions].get(heir)
        if known is None or known.successor is not None or heirs.count(heir) > PLACES_MAX:
            return False
    return True
