"""Questions that are more than one look-up: what has become of an escrow, and what is set aside in all."""

from metrobloc.commons.escrow.rules.declared import app, escrows, instalments
from metrobloc.kernel.context import View
from metrobloc.kernel.types import Id


@app.query
def statement(view: View, escrow: Id) -> dict[str, object]:
    """Tell what of an escrow is paid, returned and held, and of each instalment what is left and when it ends."""
    deal = view[escrows].get(escrow)
    if deal is None:
        return {}
    parts = [(key, view[instalments].get(key)) for key in deal.instalments]
    return {
        "amount": deal.amount,
        "released": deal.released,
        "refunded": deal.refunded,
        "held": deal.held,
        "accepted": deal.accepted,
        "instalments": [
            {
                "instalment": key,
                "state": part.state,
                "held": part.held,
                "due_ms": part.due_ms if part.deadline else 0,
                "approvals_missing": _missing(
                    part.terms.needed, len(part.approvals), part.terms.accounts, part.terms.roles
                ),
            }
            for key, part in parts
            if part is not None
        ],
    }


def _missing(needed: int, there: int, accounts: tuple[str, ...], roles: tuple[str, ...]) -> int:
    """Return how many approvals are still asked for."""
    return max(0, needed - there) if accounts or roles else 0


@app.query
def totals(view: View) -> dict[str, dict[str, int]]:
    """Tell for each asset how much has ever been set aside, paid, returned, and is held."""
    found: dict[str, dict[str, int]] = {}
    for _, deal in view[escrows].items():
        sums = found.setdefault(deal.asset, {"amount": 0, "released": 0, "refunded": 0, "held": 0})
        sums["amount"] += deal.amount
        sums["released"] += deal.released
        sums["refunded"] += deal.refunded
        sums["held"] += deal.held
    return found
