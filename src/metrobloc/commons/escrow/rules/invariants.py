"""Sentences that are always true; tests, simulations and auditors evaluate them, consensus never does."""

from collections.abc import Iterator

from metrobloc.commons.escrow.rules.declared import app, escrows, instalments, pot
from metrobloc.commons.escrow.rules.queries import totals
from metrobloc.commons.escrow.types import Escrow, Instalment
from metrobloc.commons.money import rules as money
from metrobloc.kernel import system
from metrobloc.kernel.context import View


def _parts(view: View, deal: Escrow) -> list[Instalment]:
    found = [view[instalments].get(key) for key in deal.instalments]
    return [part for part in found if part is not None]


def _every(view: View) -> Iterator[tuple[str, Escrow, list[Instalment]]]:
    for key, deal in view[escrows].items():
        yield key, deal, _parts(view, deal)


@app.invariant
def each_pot_holds_what_came_in_and_has_neither_been_paid_nor_returned(view: View) -> bool:
    """Compare each escrow's pot with its sums, to the last unit."""
    return all(
        view.balance(money.balances, f"escrow.{pot(key)}", deal.asset) == deal.held >= 0
        for key, deal in view[escrows].items()
    )


@app.invariant
def all_that_came_in_is_paid_returned_or_held(view: View) -> bool:
    """Compare the sums over all escrows of an asset with all that stands in pots of escrows, whosever they are."""
    found: dict[str, int] = {}
    for key, balance in view[money.balances].items():
        asset, _, holder = key.partition("/")
        if holder.startswith("escrow."):
            found[asset] = found.get(asset, 0) + balance.amount
    sums = totals(view)
    held = {asset: of["held"] for asset, of in sums.items() if of["held"]}
    return held == found and all(of["amount"] == of["released"] + of["refunded"] + of["held"] for of in sums.values())


@app.invariant
def instalments_add_up_to_their_escrow(view: View) -> bool:
    """Compare what was agreed, paid and returned, and see that every instalment is of one escrow."""
    count = 0
    for key, deal, parts in _every(view):
        count += len(parts)
        if len(parts) != len(deal.instalments) or any(part.escrow != key for part in parts):
            return False
        agreed = sum(part.terms.amount for part in parts)
        gone = sum(part.released for part in parts), sum(part.refunded for part in parts)
        if (agreed, *gone) != (deal.amount, deal.released, deal.refunded):
            return False
    return count == sum(1 for _ in view[instalments].items())


@app.invariant
def an_instalment_has_ended_exactly_when_nothing_is_held(view: View) -> bool:
    """See that no instalment is paid or returned beyond its amount, nor kept open with nothing in it."""
    return all(part.held >= 0 and (part.state == "ended") == (part.held == 0) for _, part in view[instalments].items())


@app.invariant
def what_is_held_ends_by_itself(view: View) -> bool:
    """See that each open instalment has its deadline, unless its time stands still, and an ended one has none."""
    for _, deal, parts in _every(view):
        disputed = any(part.state == "disputed" for part in parts)
        if bool(deal.stopped_ms) != (deal.in_order and disputed):
            return False
        for part in parts:
            stands_still = deal.stopped_ms and part.state == "held"
            if (part.deadline is None) != bool(part.state == "ended" or stands_still):
                return False
            due = None if part.deadline is None else view[system.deadlines].get(part.deadline)
            if part.deadline is not None and (due is None or due.time_ms != part.due_ms):
                return False
    return True


@app.invariant
def nothing_is_paid_or_disputed_before_the_payee_has_accepted(view: View) -> bool:
    """See that an escrow that is not accepted only ever returns money."""
    return all(
        deal.accepted or not (deal.released or any(part.approvals or part.state == "disputed" for part in parts))
        for _, deal, parts in _every(view)
    )


@app.invariant
def instalments_in_order_are_paid_in_order(view: View) -> bool:
    """Where instalments follow each other, see that none is paid, approved or disputed out of turn."""
    for _, deal, parts in _every(view):
        is_open = False
        for part in parts if deal.in_order else ():
            if is_open and (part.released or part.approvals or part.state == "disputed"):
                return False
            is_open = is_open or part.state != "ended"
    return True


@app.invariant
def approvals_are_of_those_whom_the_terms_name_once_each_and_never_of_the_payee(view: View) -> bool:
    """See that accounts and roles approve once, the payee never, and that an open instalment lacks an approval."""
    for _, deal, parts in _every(view):
        for part in parts:
            accounts = [one.account for one in part.approvals]
            roles = [one.role for one in part.approvals if one.role is not None]
            named = all(one.account in part.terms.accounts if one.role is None else True for one in part.approvals)
            if not named or not set(roles) <= set(part.terms.roles) or deal.payee in accounts:
                return False
            if len(set(accounts)) != len(accounts) or len(set(roles)) != len(roles):
                return False
            if part.state == "held" and len(accounts) >= part.terms.needed:
                return False
    return True
