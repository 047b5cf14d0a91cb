"""Sentences that are always true; tests, simulations and auditors evaluate them, consensus never does."""

from collections import Counter
from itertools import pairwise

from metrobloc.city.timebank.rules.declared import (
    POT,
    app,
    banks,
    days,
    escrow,
    hours,
    line_to,
    lines,
    members,
    services,
    tasks,
)
from metrobloc.city.timebank.rules.settling import days_of
from metrobloc.city.timebank.types.records import Service, Span
from metrobloc.kernel.context import View


@app.invariant
def every_book_sums_to_nothing(view: View) -> bool:
    """See that what some have saved, others owe."""
    sums = Counter[str]()
    for key, balance in view[hours].items():
        sums[key.partition("/")[0]] += balance.amount
    return not any(sums.values())


@app.invariant
def only_those_who_belong_to_a_bank_have_minutes_there(view: View) -> bool:
    """See that each balance is its bank's member's, its pot's, a known line's or an open service's, and no more."""
    expected = {f"{bank}/{POT}" for bank, _ in view[banks].items()}
    expected.update(f"{member.bank}/{account}" for account, member in view[members].items())
    expected.update(f"{service.bank}/{escrow(key)}" for key, service in _open(view))
    for key, _ in view[lines].items():
        bank, other = key.split("/")
        expected.update((f"{bank}/{line_to(other)}", f"{other}/{line_to(bank)}"))
    return all(key in expected for key, _ in view[hours].items())


@app.invariant
def members_neither_owe_nor_save_more_than_their_limits(view: View) -> bool:
    """Count what is under way too: all of it could be paid, or all of it returned."""
    for account, member in view[members].items():
        balance = view.balance(hours, account, member.bank)
        most = balance + member.reserved_minutes + member.incoming_minutes
        if balance < -member.min_minutes or most > member.max_minutes:
            return False
    return True


@app.invariant
def members_and_pots_stay_within_what_their_bank_allows(view: View) -> bool:
    """No member has a level or limits beyond the bank's, and no pot owes more than it may."""
    for _, member in view[members].items():
        bank = view[banks].get(member.bank)
        if bank is None or member.level > bank.level:
            return False
        if member.min_minutes > bank.min_minutes or member.max_minutes > bank.max_minutes:
            return False
    return all(view.balance(hours, POT, key) >= -bank.pot_min_minutes for key, bank in view[banks].items())


@app.invariant
def the_two_ends_of_a_line_mirror_each_other_within_its_limit(view: View) -> bool:
    """See that what one bank owes the other is owed, and with what is reserved is no more than both have offered."""
    for key, line in view[lines].items():
        first, second = key.split("/")
        owed = view.balance(hours, line_to(second), first)
        if owed != -view.balance(hours, line_to(first), second):
            return False
        used = max(0, owed) + line.first_reserved_minutes, max(0, -owed) + line.second_reserved_minutes
        if max(used) > line.limit_minutes:
            return False
    return True


@app.invariant
def an_escrow_holds_what_its_open_service_has_agreed(view: View) -> bool:
    """See that a service that has ended holds nothing."""
    return all(
        view.balance(hours, escrow(key), service.bank) == (service.minutes_max if service.is_open else 0)
        for key, service in view[services].items()
    )


@app.invariant
def no_more_is_paid_than_was_agreed_and_worked(view: View) -> bool:
    """See that only paid and decided services have minutes, and that a task has no more services than slots."""
    slots = Counter[str]()
    for _, service in view[services].items():
        settled = service.state in ("paid", "resolved")
        if service.minutes > (service.limit_minutes if settled else 0) or service.said_minutes > service.limit_minutes:
            return False
        slots[service.task] += service.state != "dropped"
    return all(slots[key] == task.claimed <= task.slots for key, task in view[tasks].items())


@app.invariant
def a_helper_is_never_in_two_places(view: View) -> bool:
    """Fold the paid services, and find each helper's days with the same times, none of which overlap."""
    worked: dict[str, list[Span]] = {}
    for _, service in view[services].items():
        for day in days_of(service) if service.minutes else ():
            worked.setdefault(f"{service.helper}/{day}", []).append(Span(service.in_ms, service.out_ms))
    kept = {key: list(day.spans) for key, day in view[days].items()}
    for table in (worked, kept):
        for spans in table.values():
            spans.sort(key=_times)
    apart = all(a.to_ms <= b.from_ms for spans in worked.values() for a, b in pairwise(spans))
    return apart and worked == kept


@app.invariant
def nobody_serves_himself_or_coordinates_his_own_bank(view: View) -> bool:
    """See that a service has two sides, and that no coordinator is a member of the bank he decides for."""
    alone = any(service.helper == service.receiver for _, service in view[services].items())
    for key, bank in view[banks].items():
        member = view[members].get(bank.coordinator)
        if member is not None and member.bank == key:
            return False
    return not alone


@app.invariant
def what_is_reserved_follows_from_the_open_services(view: View) -> bool:
    """Fold the open services, and find each member's list, reserved and incoming minutes, and each line's."""
    named: dict[str, list[str]] = {}
    reserved, incoming, on_lines = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for key, service in _open(view):
        named.setdefault(service.helper, []).append(key)
        named.setdefault(service.receiver, []).append(key)
        reserved[service.receiver] += 0 if service.from_pot else service.minutes_max
        incoming[service.helper] += service.minutes_max
        on_lines[service.bank, service.helper_bank] += service.minutes_max
    for account, member in view[members].items():
        if [member.reserved_minutes, member.incoming_minutes] != [reserved.pop(account, 0), incoming.pop(account, 0)]:
            return False
        if sorted(member.services) != named.pop(account, []):
            return False
    for key, line in view[lines].items():
        first, second = key.split("/")
        counted = on_lines.pop((first, second), 0), on_lines.pop((second, first), 0)
        if counted != (line.first_reserved_minutes, line.second_reserved_minutes):
            return False
    return not (reserved.total() or incoming or named or [pair for pair in on_lines if pair[0] != pair[1]])


@app.invariant
def banks_count_their_members_services_and_lines(view: View) -> bool:
    """Fold members, open services and offers, and find every bank's counts."""
    people, paying, offers = Counter[str](), Counter[str](), Counter[str]()
    for _, member in view[members].items():
        people[member.bank] += 1
    for _, service in _open(view):
        paying[service.bank] += 1
    for key, line in view[lines].items():
        first, second = key.split("/")
        offers[first] += line.first_offer_minutes > 0
        offers[second] += line.second_offer_minutes > 0
    return all(
        (bank.members, bank.services, bank.lines) == (people[key], paying[key], offers[key])
        for key, bank in view[banks].items()
    )


@app.invariant
def a_closed_bank_has_nothing_left(view: View) -> bool:
    """See that nobody and no line has minutes in the book of a closed bank."""
    closed = [key for key, bank in view[banks].items() if bank.state == "closed"]
    return not any(list(view[hours].items(under=f"{key}/")) for key in closed)


def _open(view: View) -> list[tuple[str, Service]]:
    return [(key, service) for key, service in view[services].items() if service.is_open]


def _times(span: Span) -> tuple[int, int]:
    return span.from_ms, span.to_ms
