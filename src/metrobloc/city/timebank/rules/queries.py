"""Questions that are more than one look-up: a member's statement, and which circles of debts could be struck out."""

from metrobloc.city.timebank import clearing as circles
from metrobloc.city.timebank.rules.declared import app, hours, line_to, lines, members
from metrobloc.kernel.context import View
from metrobloc.kernel.types import AccountId


@app.query
def statement(view: View, account: AccountId) -> dict[str, object]:
    """Tell a member's bank, balance, limits, what is under way; nothing for somebody who is in no bank.

    Minutes throughout: `reserved` are her own, set aside for services; `incoming` may come from services she gives.
    """
    member = view[members].get(account)
    if member is None:
        return {}
    return {
        "bank": member.bank,
        "state": member.state,
        "balance_minutes": view.balance(hours, account, member.bank),
        "min_minutes": member.min_minutes,
        "max_minutes": member.max_minutes,
        "reserved_minutes": member.reserved_minutes,
        "incoming_minutes": member.incoming_minutes,
        "services": member.services,
    }


@app.query
def clearing(view: View) -> list[circles.Cycle]:
    """Propose circles of debts between banks to strike out, in order; any coordinator in one can clear it."""
    debts = {}
    for key, _ in view[lines].items():
        bank, other = key.split("/")
        owed = view.balance(hours, line_to(other), bank)
        debts[(bank, other) if owed > 0 else (other, bank)] = abs(owed)
    return circles.cycles(debts)
