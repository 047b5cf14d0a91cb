"""A town that lives at random for 2,000 steps: whatever people try, limits hold at every height and sums stay nothing.

A seed gives the same life for ever; the seed and step of a failing one are the bug report.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec
import pytest

from metrobloc.city.timebank.rules import app, banks, hours, members, services, tasks
from metrobloc.city.timebank.rules.queries import clearing
from metrobloc.city.timebank.test_rules import BANKS, DAY_MS, MINUTE_MS, NO_PAPER, ask, ask_for, town, upload, vouch
from metrobloc.city.timebank.types.messages import (
    CancelTask,
    CheckIn,
    CheckOut,
    Claim,
    ClearCycle,
    Confirm,
    Dispute,
    Donate,
    Drop,
    Exclude,
    Join,
    Leave,
    Move,
    Resolve,
    Resume,
    SetLine,
    Suspend,
    Transfer,
)
from metrobloc.city.timebank.types.records import Member, Service
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.types import Message
from tests.support import rounds

STEPS = 2000
CHECK_EVERY = 100
HOMES = ("north", "south", "west")
RESIDENTS = ("ann", "bo", "gus", "di", "ed", "cy", "ex", "new")
KNOWN = {"ok", *app.refusals, *ENGINE_REFUSALS} - {"internal"}
_receipts = msgspec.json.Decoder(ReadReceipt)
Deed = tuple[str, Message]


class Town:
    """A town, its chance, and what its people could name."""

    def __init__(self, seed: int) -> None:
        """Set the town up; lines and limits are narrow, so that they are met often."""
        self.chance = Random(seed)
        self.s = town(120)
        self.codes = Counter[str]()
        self.tasks: list[str] = []
        self.services: list[str] = []
        for name in RESIDENTS[:5]:
            home = self.home(name)
            self.send(BANKS[home], vouch(self.s, name, 60, 150, 2))

    def home(self, name: str) -> str:
        """Return the bank that somebody belongs to, or some bank."""
        found = self.s.box.view[members].get(self.s[name])
        return self.chance.choice(HOMES) if found is None else found.bank

    def step(self) -> None:
        """Let somebody do something, some time later."""
        stage, chance = self.s.stage, self.chance
        stage.time_ms += chance.choices((0, 10 * MINUTE_MS, 60 * MINUTE_MS, DAY_MS, 20 * DAY_MS), (600, 330, 60, 8, 2))[
            0
        ]
        deed = chance.choices(list(DEEDS), list(DEEDS.values()))[0](self)
        if deed is not None:
            self.send(*deed)

    def send(self, actor: str, message: Message) -> None:
        """Send a message, note what became of it, and look at everybody's limits whom the block has touched."""
        outcome = self.s.stage.send([self.s.stage.sign((actor, message))])[0]
        assert not self.s.box.bugs
        assert outcome.code in KNOWN
        self.codes[outcome.code] += 1
        made = _receipts.decode(outcome.receipt).ids if outcome.receipt else ()
        if outcome.code == "ok" and isinstance(message, Claim):
            self.services.append(made[0])
        elif outcome.code == "ok" and made and not isinstance(message, Confirm):
            self.tasks.append(made[0])
        self.audit()

    def audit(self) -> None:
        """Hold everybody whose records the last block has written to the limits."""
        view = self.s.box.view
        for key in self.s.box.sealed[-1].writes:
            module, table, *place = key.decode().split("/")
            account = place[-1]
            member = view[members].get(account) if module == "timebank" and table in ("hours", "members") else None
            if member is not None:
                balance = view.balance(hours, account, member.bank)
                assert -member.min_minutes <= balance
                assert balance + member.reserved_minutes + member.incoming_minutes <= member.max_minutes

    def service(self) -> tuple[str, Service] | None:
        """Choose an open service, or now and then one that has ended."""
        view = self.s.box.view[services]
        if self.chance.random() < 0.95:
            self.services = [key for key in self.services if (found := view.get(key)) is not None and found.is_open]
        key = self.chance.choice(self.services or [""])
        found = view.get(key)
        return None if found is None else (key, found)

    def name_of(self, account: str) -> str:
        """Return the name behind an account."""
        return next(name for name in (*RESIDENTS, "timebank", "fay") if self.s[name] == account)

    def side(self, service: Service) -> str:
        """Choose one side of a service, and now and then somebody else."""
        if self.chance.random() < 0.05:
            return self.chance.choice(RESIDENTS)
        return self.name_of(self.chance.choice((service.helper, service.receiver)))


def release(t: Town) -> Deed:
    """Ask or offer."""
    now = t.s.stage.time_ms
    ends = now + t.chance.choice((120 * MINUTE_MS, DAY_MS, 5 * DAY_MS))
    kind: Literal["offer", "request"] = "offer" if t.chance.random() < 0.5 else "request"
    slots, level = t.chance.choice((1, 2, 5)), t.chance.choice((0, 0, 2))
    message = ask(t.chance.choice((1, 20, 45, 90)), slots, kind=kind, from_ms=now, until_ms=ends, level=level)
    return t.chance.choice(RESIDENTS), message


def release_for(t: Town) -> Deed:
    """Ask for somebody."""
    now, name = t.s.stage.time_ms, t.chance.choice(RESIDENTS)
    return BANKS[t.home(name)], ask_for(t.s, name, t.chance.choice((10, 40)), from_ms=now, until_ms=now + DAY_MS)


def on_task(t: Town) -> Deed | None:
    """Claim a task, or take one back."""
    view = t.s.box.view[tasks]
    if t.chance.random() < 0.95:
        t.tasks = [key for key in t.tasks if (at := view.get(key)) and at.state == "open" and at.claimed < at.slots]
    key = t.chance.choice(t.tasks or [""])
    task = view.get(key)
    if task is None:
        return None
    if t.chance.random() < 0.05:
        return t.chance.choice((t.name_of(task.member), BANKS[task.bank])), CancelTask(key)
    return t.chance.choice((*RESIDENTS, "timebank")), Claim(key)


def on_service(t: Town) -> Deed | None:
    """Do what may come next with a service, or something else."""
    found = t.service()
    if found is None:
        return None
    key, service = found
    side, most = t.side(service), service.but(out_ms=service.out_ms or t.s.stage.time_ms).limit_minutes
    if service.state == "begun" and t.chance.random() < 0.9:
        t.s.stage.time_ms += t.chance.choice((15, 45, 95)) * MINUTE_MS
    usual: dict[str, Message] = {
        "claimed": CheckIn(key),
        "begun": CheckOut(key),
        "done": Confirm(key, service.limit_minutes) if service.limit_minutes else Dispute(key, NO_PAPER),
        "said": Confirm(key, max(1, service.said_minutes)),
        "disputed": Resolve(key, t.chance.choice((0, most))),
    }
    other = (Drop(key), Dispute(key, NO_PAPER), Resolve(key, 1), Confirm(key, 5), CheckIn(key), CheckOut(key))
    message = usual.get(service.state) if t.chance.random() < 0.85 else t.chance.choice(other)
    if isinstance(message, CheckOut) and t.chance.random() < 0.9:
        return t.name_of(service.helper), message
    if isinstance(message, Resolve):
        return t.chance.choice((BANKS[service.bank], "office")), message
    return (side, message or Drop(key)) if t.chance.random() < 0.97 else (BANKS[service.bank], Drop(key))


def hand_in(t: Town) -> Deed | None:
    """Hand in a code that the other side has signed."""
    found = t.service()
    if found is None:
        return None
    key, service = found
    at_ms = t.s.stage.time_ms - t.chance.choice((0, 5, 30)) * MINUTE_MS
    what: Literal["in", "out"] = "in" if service.state == "claimed" else "out"
    return t.name_of(service.helper), upload(t.s, t.name_of(service.receiver), key, what, at_ms)


def give(t: Town) -> Deed:
    """Give minutes to somebody or to the pot."""
    source, target = t.chance.sample(RESIDENTS, 2)
    minutes = t.chance.choice((1, 10, 60))
    return source, Transfer(t.s[target], minutes) if t.chance.random() < 0.8 else Donate(minutes)


def belong(t: Town) -> Deed:
    """Join, leave, move, be verified or excluded."""
    name = t.chance.choice(RESIDENTS)
    home = t.home(name)
    bank = t.chance.choice((*HOMES, "down"))
    by_coordinator = (vouch(t.s, name, *t.chance.choice(((60, 150), (0, 60), (100, 300))), 2), Exclude(t.s[name]))
    if t.s.box.view[members].get(t.s[name]) is None:
        return name, Join(bank)
    if t.chance.random() < 0.7:
        return BANKS[home], t.chance.choices(by_coordinator, (12, 1))[0]
    return name, t.chance.choice((Leave(), Move(bank), Move(bank)))


def trust(t: Town) -> Deed:
    """Set a line, or clear a circle."""
    proposed = clearing(t.s.box.view)
    if proposed and t.chance.random() < 0.6:
        cycle = proposed[0]
        return BANKS[cycle.banks[0]], ClearCycle(cycle.banks, max(1, cycle.minutes - t.chance.choice((0, 1))))
    one, other = t.chance.sample(HOMES, 2)
    return BANKS[one], SetLine(one, other, t.chance.choice((0, 60, 120, 200)))


def oversee(t: Town) -> Deed:
    """Suspend a bank, or rather let it work again."""
    idle = [name for name, bank in t.s.box.view[banks].items() if name in HOMES and bank.state == "suspended"]
    return "office", Resume(t.chance.choice(idle)) if idle else Suspend(t.chance.choice(HOMES))


DEEDS: dict[Callable[[Town], Deed | None], int] = {
    on_service: 44,
    on_task: 20,
    release: 9,
    belong: 8,
    give: 6,
    hand_in: 5,
    trust: 3,
    release_for: 2,
    oversee: 2,
}


@pytest.mark.parametrize("seed", range(rounds(3, 2000)))
def test_a_town_lives(seed: int) -> None:
    life = Town(seed)
    for step in range(STEPS):
        life.step()
        if step % CHECK_EVERY == 0 or step == STEPS - 1:
            assert (step, life.s.box.broken()) == (step, [])
    states = Counter(service.state for _, service in life.s.box.view[services].items())
    assert min(states[state] for state in ("paid", "dropped", "resolved")) > 0
    assert all(isinstance(member, Member) for _, member in life.s.box.view[members].items())
