"""Questions to identity that are more than one look-up."""

from metrobloc.commons.identity.rules.declared import app
from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.types import INT_MAX, AccountId, Record, Scope, TimeMs, Who


class Acting(Record):
    """Who may do what in an account's name, and until when; a session is named by its key."""

    who: Who
    scope: Scope
    until_ms: TimeMs


@app.query
def acting_for(view: View, account: AccountId) -> list[Acting]:
    """List the people and keys that may act in an account's name, with their scopes."""
    owner = view[system.accounts].get(account)
    if owner is None:
        raise Refused(system.accounts.unknown)
    # Keys to come may make void what was delegated before them; keys in doubt have no time yet.
    ends_ms = owner.next_from_ms if owner.next_resets else INT_MAX
    given = view[system.delegations].items(f"{account}/")
    return [
        Acting(key.partition("/")[2], one.scope, one.until_ms if one.made_ms >= ends_ms else min(one.until_ms, ends_ms))
        for key, one in given
        if one.made_ms >= owner.reset_ms
    ]
