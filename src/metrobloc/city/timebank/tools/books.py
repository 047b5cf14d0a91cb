"""The town's own plain books: what everybody has, owes and has under way, kept without a line of the ledger's rules.

They are kept twice on purpose: a replay holds the ledger to these in the end. They refuse nothing; whoever writes into
them asks first (`may_agree`, `may_pay`, `may_receive`), and an assertion stops what should not have been written.
"""

import heapq
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

POT = "timebank.pot"
MINUTE_MS = 60_000
DAY_MS = 86_400_000
OPEN_MAX = 32


class Bank(Struct):
    """A bank's state and what it counts."""

    coordinator: str
    pot_low: int
    state: str = "open"
    members: int = 0
    services: int = 0
    lines: int = 0


class Member(Struct):
    """Somebody in a bank: how far she may owe and save, what is set aside of hers and on its way to her."""

    bank: str
    low: int
    high: int
    state: str = "applied"
    level: int = 0
    skills: tuple[str, ...] = ()
    reserved: int = 0
    incoming: int = 0
    services: int = 0


class Task(Struct):
    """A task that was released."""

    bank: str
    author: str
    until_ms: int
    slots: int
    relief: bool
    state: str = "open"
    claimed: int = 0


class Service(Struct):
    """A claimed slot; `bank` is the payer's."""

    task: str
    helper: str
    receiver: str
    payer: str
    bank: str
    helper_bank: str
    agreed: int
    due_ms: int
    state: str = "claimed"
    in_ms: int = 0
    out_ms: int = 0
    said: int = 0
    paid: int = 0

    @property
    def most(self) -> int:
        """What can be paid once the end is known: whole minutes between in and out, up to what was agreed."""
        return min(self.agreed, (self.out_ms - self.in_ms) // MINUTE_MS)


class Books:
    """Everything by its name on the ledger; `minutes` by bank and holder."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.minutes: Counter[tuple[str, str]] = Counter()
        self.banks: dict[str, Bank] = {}
        self.members: dict[str, Member] = {}
        self.tasks: dict[str, Task] = {}
        self.services: dict[str, Service] = {}
        self.offers: Counter[tuple[str, str]] = Counter()
        self.kept: Counter[tuple[str, str]] = Counter()
        """What open services may yet add to what the first bank owes the second."""
        self.days: dict[tuple[str, int], list[tuple[int, int]]] = {}
        self._due: list[tuple[int, str]] = []

    def balance(self, account: str) -> int:
        """Return a member's minutes."""
        return self.minutes[self.members[account].bank, account]

    def owed(self, debtor: str, creditor: str) -> int:
        """Return what a bank owes another; negative the other way round."""
        return self.minutes[debtor, line_to(creditor)]

    def debts(self) -> dict[tuple[str, str], int]:
        """Return what banks owe each other."""
        pairs = ((debtor, creditor) for debtor in self.banks for creditor in self.banks if debtor != creditor)
        return {pair: self.owed(*pair) for pair in pairs if self.owed(*pair) > 0}

    def may_owe(self, debtor: str, creditor: str, more: int) -> bool:
        """Tell whether the line between two banks bears more."""
        if debtor == creditor:
            return True
        limit = min(self.offers[debtor, creditor], self.offers[creditor, debtor])
        return max(0, self.owed(debtor, creditor) + more) + self.kept[debtor, creditor] <= limit

    def may_receive(self, account: str, minutes: int) -> bool:
        """Tell whether a member has room for minutes beside all that may reach her yet."""
        member = self.members[account]
        return self.balance(account) + member.reserved + member.incoming + minutes <= member.high

    def may_agree(self, helper: str, receiver: str, minutes: int, *, relief: bool) -> bool:
        """Tell whether a service would be within everybody's limits."""
        giver, payer = self.members[helper], self.members[receiver]
        low = -self.banks[payer.bank].pot_low if relief else -payer.low
        left = self.minutes[payer.bank, POT if relief else receiver] - minutes
        limit = min(self.offers[payer.bank, giver.bank], self.offers[giver.bank, payer.bank])
        used = max(0, self.owed(payer.bank, giver.bank)) + self.kept[payer.bank, giver.bank]
        borne = payer.bank == giver.bank or used + minutes <= limit
        free = max(giver.services, payer.services) < OPEN_MAX
        return borne and free and left >= low and self.may_receive(helper, minutes)

    def release(self, key: str, task: Task) -> None:
        """Note a task."""
        self.tasks[key] = task
        heapq.heappush(self._due, (task.until_ms, key))

    def claim(self, key: str, service: Service) -> None:
        """Set a service's minutes aside."""
        self.services[key] = service
        self.tasks[service.task].claimed += 1
        self.banks[service.bank].services += 1
        self._move(service.bank, service.payer, escrow(key), service.agreed)
        self._hold(service, +1)
        heapq.heappush(self._due, (service.due_ms, key))

    def say(self, key: str, minutes: int, due_ms: int) -> None:
        """Note a first confirmation, which is paid when it is due."""
        service = self.services[key]
        service.state, service.said, service.due_ms = "said", minutes, due_ms
        heapq.heappush(self._due, (due_ms, key))

    def end(self, key: str, state: str, paid: int = 0) -> None:
        """End a service: pay the helper, return the rest."""
        service = self.services[key]
        assert service.state not in {"paid", "resolved", "dropped", "expired"}, f"{key} has ended"
        service.state, service.paid, service.due_ms = state, paid, 0
        if paid:
            self.pay(service.bank, escrow(key), service.helper_bank, service.helper, paid)
            for day in range(service.in_ms // DAY_MS, (service.out_ms - 1) // DAY_MS + 1):
                self.days.setdefault((service.helper, day), []).append((service.in_ms, service.out_ms))
        self._move(service.bank, escrow(key), service.payer, service.agreed - paid)
        self._hold(service, -1)
        self.banks[service.bank].services -= 1

    def pay(self, bank: str, source: str, other: str, target: str, minutes: int) -> None:
        """Move minutes between holders of two banks' books, or one's."""
        if bank == other:
            self._move(bank, source, target, minutes)
        else:
            self._move(bank, source, line_to(other), minutes)
            self._move(other, line_to(bank), target, minutes)

    def join(self, account: str, bank: str, limits: tuple[int, int]) -> None:
        """Note an application."""
        self.members[account] = Member(bank, *limits)
        self.banks[bank].members += 1

    def move(self, account: str, bank: str, limits: tuple[int, int]) -> None:
        """Take a member's minutes or debt to another bank."""
        before, balance = self.members[account].bank, self.balance(account)
        self.leave(account)
        self.join(account, bank, limits)
        if balance > 0:
            self.pay(before, account, bank, account, balance)
        elif balance < 0:
            self.pay(bank, account, before, account, -balance)

    def leave(self, account: str) -> None:
        """Forget a member."""
        self.banks[self.members.pop(account).bank].members -= 1

    def offer(self, bank: str, other: str, minutes: int) -> None:
        """Note how much a bank lets another and itself owe."""
        self.banks[bank].lines += (minutes > 0) - (self.offers[bank, other] > 0)
        self.offers[bank, other] = minutes

    def clear(self, ring: tuple[str, ...], minutes: int) -> None:
        """Strike out a circle of debts."""
        for debtor, creditor in zip(ring, (*ring[1:], ring[0]), strict=True):
            self.minutes[debtor, line_to(creditor)] -= minutes
            self.minutes[creditor, line_to(debtor)] += minutes

    def pass_time(self, time_ms: int) -> int:
        """Do what has become due by itself; return how many deadlines there were at most."""
        passed = 0
        for due_ms, key in self._passing(time_ms):
            passed += 1
            task, service = self.tasks.get(key), self.services.get(key)
            if task is not None and task.state == "open":
                task.state = "expired"
            if service is not None and service.due_ms == due_ms:
                if service.state == "said":
                    self.end(key, "paid", service.said)
                else:
                    self.end(key, "expired")
        return passed

    def last_due_ms(self) -> int:
        """Return when the last deadline is due."""
        return max(self._due)[0] if self._due else 0

    def _passing(self, time_ms: int) -> Iterator[tuple[int, str]]:
        while self._due and self._due[0][0] <= time_ms:
            yield heapq.heappop(self._due)

    def _move(self, bank: str, source: str, target: str, minutes: int) -> None:
        self.minutes[bank, source] -= minutes
        self.minutes[bank, target] += minutes

    def _hold(self, service: Service, sign: int) -> None:
        helper, receiver = self.members[service.helper], self.members[service.receiver]
        helper.incoming += sign * service.agreed
        receiver.reserved += 0 if service.payer == POT else sign * service.agreed
        helper.services += sign
        receiver.services += sign
        if service.bank != service.helper_bank:
            self.kept[service.bank, service.helper_bank] += sign * service.agreed


def escrow(service: str) -> str:
    """Return who holds what a service has set aside."""
    return f"timebank.service.{service}"


def line_to(bank: str) -> str:
    """Return who holds, in another bank's book, what that bank owes to this one."""
    return f"timebank.line.{bank}"
