"""Help in a town: a wish becomes a task, somebody takes it, help is given, confirmed, dropped or disputed."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from metrobloc.city.timebank import checks
from metrobloc.city.timebank.tools.books import MINUTE_MS, POT, Service, Task
from metrobloc.city.timebank.tools.plan import DAY, STEP_MS, Wish
from metrobloc.city.timebank.tools.town import Town
from metrobloc.city.timebank.types.messages import (
    CancelTask,
    CheckIn,
    CheckOut,
    Claim,
    Confirm,
    Dispute,
    Drop,
    Release,
    ReleaseFor,
    Resolve,
    UploadCheck,
)
from metrobloc.commons.replay import Party
from metrobloc.kernel import crypto
from metrobloc.kernel.types import Message

CAREFUL = "company"
"""The skill that asks for a member of a higher level: she visits people who are alone."""


def release(town: Town, wish: Wish) -> None:
    """Write a wish down as a task, and see who comes."""
    town.wishes += 1
    party = town.people[wish.author]
    member = town.books.members.get(party.account)
    if member is None or member.state != "verified" or not town.runs(member.bank):
        town.happened["unspoken"] += 1
        return
    last = wish.ends + (wish.slots - 1) * DAY * wish.offered
    words = (wish.skill, f"Help wanted or offered: {wish.skill}", f"Somewhere in {member.bank}", wish.minutes)
    window = (town.ms(wish.begins - 2), town.ms(last + 4), wish.slots, int(wish.skill == CAREFUL))
    actor = party
    if wish.relief:
        actor = town.coordinators[member.bank]
        label = town.sign((actor, ReleaseFor(party.account, *words, *window)))
    else:
        label = town.sign((actor, Release("offer" if wish.offered else "request", *words, *window)))
    key = town.signer.new_id(actor, label)
    town.books.release(key, Task(member.bank, party.account, town.ms(last + 4), wish.slots, wish.relief))
    town.happened["tasks"] += 1
    if "withdrawn" in wish.fates:
        town.at(town.between(wish.begins), partial(_withdraw, town, key))
    elif "unclaimed" not in wish.fates:
        for slot, fate in enumerate(wish.fates):
            begins = wish.begins + slot * DAY * wish.offered
            town.at(town.between(wish.begins), partial(_claim, town, key, wish, begins, fate))


def _withdraw(town: Town, key: str) -> None:
    task = town.books.tasks[key]
    by_coordinator = town.chance.random() < 0.2
    actor = town.coordinators[task.bank] if by_coordinator else town.people[town.numbers[task.author]]
    town.sign((actor, CancelTask(key)))
    task.state = "cancelled"
    town.happened["withdrawn"] += 1


def _claim(town: Town, key: str, wish: Wish, begins: int, fate: str) -> None:
    """Let somebody take a slot: an acquaintance if one can, else anybody who can."""
    task, author = town.books.tasks[key], town.people[wish.author]
    member = town.books.members.get(author.account)
    if member is None or (member.bank, member.state) != (task.bank, "verified") or not town.runs(task.bank):
        return
    span = (begins, begins + wish.ends - wish.begins)
    # What was agreed may be longer than the help, and counts as its time where nobody checks out.
    promised = (begins, begins + -(-wish.minutes * MINUTE_MS // STEP_MS))
    number = next((one for one in _asked(town, wish, task.bank) if _can(town, one, wish, promised)), None)
    if number is None:
        town.happened["nobody_could"] += 1
        return
    actor = town.people[number]
    made = town.signer.new_id(actor, town.sign((actor, Claim(key))))
    helper, receiver = (author, actor) if wish.offered else (actor, author)
    bank, helper_bank = (town.books.members[party.account].bank for party in (receiver, helper))
    payer = POT if wish.relief else receiver.account
    due_ms, minutes = task.until_ms + town.settle_ms, wish.minutes
    service = Service(key, helper.account, receiver.account, payer, bank, helper_bank, minutes, due_ms)
    town.books.claim(made, service)
    town.busy.setdefault(helper.account, []).append(promised)
    town.happened["services"] += 1
    town.happened["across_banks"] += bank != helper_bank
    town.happened["relief"] += wish.relief
    _plan_help(town, made, span, fate, coded=wish.coded)


def _asked(town: Town, wish: Wish, bank: str) -> Iterator[int]:
    known = list(town.plan.people[wish.author].knows)
    town.chance.shuffle(known)
    yield from sorted(known, key=lambda number: (town.bank(number) == bank) == wish.afar)
    yield from town.chance.choices(range(len(town.people)), k=30)


def _can(town: Town, number: int, wish: Wish, span: tuple[int, int]) -> bool:
    """Tell whether somebody may take a slot: skill, level, limits, and a helper who is free at the time."""
    account, author = town.people[number].account, town.people[wish.author].account
    member = town.books.members.get(account)
    if number == wish.author or member is None or member.state != "verified" or not town.runs(member.bank):
        return False
    helper, receiver = (author, account) if wish.offered else (account, author)
    skilled = wish.skill in town.books.members[helper].skills
    free = all(end <= span[0] or span[1] <= begin for begin, end in town.busy.get(helper, ()))
    level = member.level >= (wish.skill == CAREFUL)
    return skilled and free and level and town.books.may_agree(helper, receiver, wish.minutes, relief=wish.relief)


def _plan_help(town: Town, key: str, span: tuple[int, int], fate: str, *, coded: bool) -> None:
    begins, ends = span
    if fate == "dropped":
        town.at(town.between(begins), partial(_drop, town, key, town.side(key)))
    elif fate == "no_show":
        town.at(ends + DAY, partial(_drop, town, key, None))
    elif fate == "disputed" and not coded:
        town.at(begins, partial(_check, town, key, "in"))
        town.at(ends, partial(_dispute, town, key))
    elif fate != "given_up" and coded:
        town.at(ends + town.chance.randint(1, 2 * DAY), partial(_upload, town, key, span, fate))
    elif fate != "given_up":
        town.at(begins, partial(_check, town, key, "in"))
        town.at(ends, partial(_check, town, key, "out", fate))


def _drop(town: Town, key: str, side: Party | None) -> None:
    """Give a slot back; the coordinator does where nobody came."""
    town.sign((side or town.coordinators[town.books.services[key].bank], Drop(key)))
    service = town.books.services[key]
    town.books.end(key, "dropped")
    town.books.tasks[service.task].claimed -= 1
    town.happened["dropped" if side else "nobody_came"] += 1


def _check(town: Town, key: str, what: Literal["in", "out"], fate: str = "") -> None:
    """Let either side say that the help begins, and the helper that it ends."""
    service = town.books.services[key]
    if what == "in":
        town.sign((town.side(key), CheckIn(key)))
        service.state, service.in_ms = "begun", town.now()
    else:
        town.sign((town.people[town.numbers[service.helper]], CheckOut(key)))
        service.state, service.out_ms = "done", town.now()
        _plan_end(town, key, fate)


def _upload(town: Town, key: str, span: tuple[int, int], fate: str) -> None:
    """Hand in both codes, which the other side signed on the spot."""
    service, actor = town.books.services[key], town.side(key)
    other = town.other(key, actor)
    service.in_ms = town.ms(span[0]) + town.chance.randrange(15) * MINUTE_MS
    service.out_ms = town.ms(span[1]) - town.chance.randrange(10 * MINUTE_MS)
    service.state = "done"
    times: tuple[tuple[Literal["in", "out"], int], ...] = (("in", service.in_ms), ("out", service.out_ms))
    calls: list[tuple[Party, Message]] = []
    for what, at_ms in times:
        signed = other.key.sign(checks.code(town.signer.rules.chain, key, what, at_ms))
        calls.append((actor, UploadCheck(key, what, at_ms, signed.hex())))
    town.sign(*calls)
    town.happened["coded"] += 1
    _plan_end(town, key, fate)


def _plan_end(town: Town, key: str, fate: str) -> None:
    soon = town.step + town.chance.randint(1, 12)
    if fate == "disputed":
        town.at(soon, partial(_dispute, town, key))
    elif fate != "silent":
        first = town.side(key)
        town.at(soon, partial(_confirm, town, key, first))
        if fate != "late":
            town.at(soon + town.chance.randint(1, 2 * DAY), partial(_confirm, town, key, town.other(key, first)))


def _confirm(town: Town, key: str, actor: Party) -> None:
    service = town.books.services[key]
    minutes = service.said or max(1, service.most - town.chance.choice((0, 0, 0, 5, 10)))
    town.sign((actor, Confirm(key, minutes)))
    if service.said:
        town.books.end(key, "paid", minutes)
    else:
        town.books.say(key, minutes, town.now() + town.confirm_ms)


def _dispute(town: Town, key: str) -> None:
    service = town.books.services[key]
    town.sign((town.side(key), Dispute(key, crypto.sha256(key.encode()).hex())))
    service.state, service.due_ms = "disputed", 0
    town.at(town.step + town.chance.randint(DAY, 5 * DAY), partial(_resolve, town, key))


def _resolve(town: Town, key: str) -> None:
    """Decide a dispute; where nobody checked out, within the time since the check-in and what was agreed."""
    service = town.books.services[key]
    open_end = not service.out_ms
    service.out_ms = service.out_ms or min(town.now(), service.in_ms + service.agreed * MINUTE_MS)
    minutes = town.chance.choice((0, service.most, town.chance.randint(0, service.most)))
    if open_end:
        service.out_ms = service.in_ms + minutes * MINUTE_MS
    actor = town.office if town.chance.random() < 0.25 else town.coordinators[service.bank]
    town.sign((actor, Resolve(key, minutes)))
    town.books.end(key, "resolved", minutes)
