"""Banks and their members: admitted, verified, moving, leaving; what they give, and the debts they strike out."""

from functools import partial

from metrobloc.city.timebank import clearing
from metrobloc.city.timebank.tools.books import POT, Bank
from metrobloc.city.timebank.tools.plan import AFTER, DAY, STEP_MS
from metrobloc.city.timebank.tools.town import VACANT, Town
from metrobloc.city.timebank.types.messages import (
    ClearCycle,
    CloseBank,
    Donate,
    Exclude,
    Join,
    Leave,
    Move,
    RegisterBank,
    Renew,
    Resume,
    SetCoordinator,
    SetLine,
    Suspend,
    Transfer,
    Verify,
)
from metrobloc.city.timebank.types.records import BANKS_MAX
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.replay import by_one, register

LOW, HIGH = 1200, 2400
"""How many minutes a member may owe, and save."""
POT_LOW = 100_000
LINE = 6000
QUOTA_PER_HOUR = 1_000_000
FOREVER_MS = 4_000_000_000_000


def found(town: Town) -> None:
    """Open all accounts, admit the banks, let them trust each other."""
    for slug, party in town.coordinators.items():
        town.jobs += register(town.office, f"coordinator of {slug}", [party])
        town.sign((town.office, Accredit(party.account, f"Time bank {slug}", "timebank", QUOTA_PER_HOUR)))
    for number, slug in enumerate((*town.slugs, VACANT)):
        party, until_ms = town.coordinators[slug], town.first_ms + town.plan.size.days // 2 * DAY * STEP_MS
        licence_ms = until_ms if number == 0 else FOREVER_MS
        made = RegisterBank(slug, f"Time bank {slug}", party.account, 3, licence_ms, LOW, HIGH, POT_LOW)
        town.sign((town.office, made))
        town.books.banks[slug] = Bank(party.account, POT_LOW)
    for slug in town.slugs:
        party = town.coordinators[slug]
        others = [other for other in town.slugs if other != slug]
        town.jobs += by_one(party, f"lines of {slug}", [SetLine(slug, other, LINE) for other in others])
        for other in others:
            town.books.offer(slug, other, LINE)
        mine = [n for n, person in enumerate(town.plan.people) if town.slugs[person.bank] == slug]
        town.jobs += register(party, f"members of {slug}", [town.people[number] for number in mine])


def join(town: Town, number: int) -> None:
    """Apply to the bank of the neighbourhood."""
    party, slug = town.people[number], town.slugs[town.plan.people[number].bank]
    if not town.runs(slug):
        slug = town.slugs[0]
    town.sign((party, Join(slug)))
    town.books.join(party.account, slug, (LOW, HIGH))
    town.at(town.step + 2, partial(verify, town, number))


def verify(town: Town, number: int) -> None:
    """Vouch for somebody who has applied."""
    person, account = town.plan.people[number], town.people[number].account
    member = town.books.members.get(account)
    if member is None or member.state != "applied" or not town.runs(member.bank):
        return
    town.sign((town.coordinators[member.bank], Verify(account, person.level, LOW, HIGH, person.skills)))
    member.state, member.level, member.skills = "verified", person.level, person.skills


def give(town: Town, number: int) -> None:
    """Give half of what is saved to the pot or to an acquaintance."""
    party = town.people[number]
    member = town.books.members.get(party.account)
    minutes = town.books.balance(party.account) // 2 if member else 0
    if member is None or minutes < 15:
        return
    if town.runs(member.bank) and town.chance.random() < 0.5:
        town.sign((party, Donate(minutes)))
        town.books.pay(member.bank, party.account, member.bank, POT, minutes)
        town.happened["donations"] += 1
        return
    to = town.people[town.chance.choice(town.plan.people[number].knows)].account
    other = town.books.members.get(to)
    if other is None or other.state != "verified" or not town.runs(other.bank):
        return
    if town.books.may_receive(to, minutes) and town.books.may_owe(member.bank, other.bank, minutes):
        town.sign((party, Transfer(to, minutes)))
        town.books.pay(member.bank, party.account, other.bank, to, minutes)
        town.happened["transfers"] += 1


def move(town: Town, number: int) -> None:
    """Move to an acquaintance's bank, unless something is still under way or the line does not bear it."""
    party = town.people[number]
    member = town.books.members.get(party.account)
    if member is None:
        return
    balance, here = town.books.balance(party.account), member.bank
    for one in _asked_banks(town, number):
        borne = town.books.may_owe(*((here, one) if balance > 0 else (one, here)), abs(balance))
        if one != here and town.runs(one) and not member.services and borne:
            town.sign((party, Move(one)))
            town.books.move(party.account, one, (LOW, HIGH))
            town.happened["moves"] += 1
            town.at(town.step + DAY, partial(verify, town, number))
            return
    if not town.runs(here) and town.step < (town.plan.size.days + AFTER - 2) * DAY:
        town.at(town.step + DAY, partial(move, town, number))


def part(town: Town, number: int) -> None:
    """Let somebody who owes nothing and has no open services leave, with what is left given away, or be excluded."""
    for party in (*town.people[number:], *town.people[:number]):
        member = town.books.members.get(party.account)
        if member is None or member.services or member.state != "verified" or not town.runs(member.bank):
            continue
        minutes = town.books.balance(party.account)
        if minutes < 0:
            continue
        if town.happened["left"] <= town.happened["excluded"]:
            town.sign(*[(party, Donate(minutes))] * (minutes > 0), (party, Leave()))
            town.books.pay(member.bank, party.account, member.bank, POT, minutes)
            town.books.leave(party.account)
            town.happened["left"] += 1
        else:
            town.sign((town.coordinators[member.bank], Exclude(party.account)))
            member.state = "excluded"
            town.happened["excluded"] += 1
        return


def clear(town: Town) -> None:
    """Strike out the circles of debts that a month has left."""
    for cycle in clearing.cycles(town.books.debts()):
        if len(cycle.banks) <= BANKS_MAX:
            town.sign((town.coordinators[cycle.banks[0]], ClearCycle(cycle.banks, cycle.minutes)))
            town.books.clear(cycle.banks, cycle.minutes)
            town.happened["cycles"] += 1
            town.happened["cleared_minutes"] += cycle.minutes * len(cycle.banks)


def renew(town: Town, slug: str) -> None:
    """Let a licence go on that would end in the middle of the year."""
    town.sign((town.office, Renew(slug, FOREVER_MS)))


def appoint(town: Town) -> None:
    """Put the second bank into the hands of the first one's coordinator."""
    party = town.coordinators[town.slugs[0]]
    town.sign((town.office, SetCoordinator(town.slugs[1], party.account)))
    town.coordinators[town.slugs[1]] = party
    town.books.banks[town.slugs[1]].coordinator = party.account


def suspend(town: Town, slug: str) -> None:
    """Let a bank wind down: what is under way ends, and its members move away."""
    town.sign((town.office, Suspend(slug)))
    town.books.banks[slug].state = "suspended"
    for number in range(len(town.people)):
        if town.bank(number) == slug:
            town.at(town.step + town.chance.randint(DAY, 10 * DAY), partial(move, town, number))


def close_vacant(town: Town) -> None:
    """Suspend the bank that nobody has joined, think again, and close it."""
    calls = (Suspend(VACANT), Resume(VACANT), CloseBank(VACANT))
    town.sign(*((town.office, message) for message in calls))
    town.books.banks[VACANT].state = "closed"


def _asked_banks(town: Town, number: int) -> list[str]:
    """Return the banks of acquaintances first, then all."""
    known = [town.bank(one) for one in town.plan.people[number].knows]
    return [*(bank for bank in known if bank), *town.slugs]
