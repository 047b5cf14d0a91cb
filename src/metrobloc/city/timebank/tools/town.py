"""A town on one chain: its people and their keys, its own books, and an agenda of what is to happen when.

What happens is in `belonging` (banks and their members) and `helping` (tasks and services). Both write into the books
and hand out jobs to sign, within what the books allow, so that the ledger has no reason to refuse anything.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from msgspec import Struct

from metrobloc.city.timebank.tools.books import Books
from metrobloc.city.timebank.tools.plan import STEP_MS, Plan
from metrobloc.commons.replay import Job, Party, Signer
from metrobloc.kernel.types import Message

VACANT = "vacant"
"""A bank that nobody joins, and that the office closes."""


class Moment(Struct, frozen=True):
    """What happens at a time: deadlines that may fall due, then transactions to sign; and how many wishes came up."""

    time_ms: int
    due: int
    jobs: list[Job]
    wishes: int


class Town:
    """A plan on one chain; `happened` counts what did."""

    def __init__(self, plan: Plan, signer: Signer, first_ms: int, waits_ms: tuple[int, int], chance: Random) -> None:
        """Begin at a midnight; `waits_ms` are the ledger's times to answer a confirmation and to settle a task."""
        self.plan = plan
        self.signer = signer
        self.first_ms = first_ms
        self.confirm_ms, self.settle_ms = waits_ms
        self.chance = chance
        self.books = Books()
        self.happened: Counter[str] = Counter()
        self.people = [signer.party(f"member {number}") for number in range(plan.size.members)]
        self.numbers = {party.account: number for number, party in enumerate(self.people)}
        self.slugs = [f"quarter_{number + 1}" for number in range(plan.size.banks)]
        self.office = signer.role("office")
        self.coordinators = {slug: signer.party(f"coordinator of {slug}") for slug in (*self.slugs, VACANT)}
        self.busy: dict[str, list[tuple[int, int]]] = {}
        """When helpers have promised to help, in steps."""
        self.step = 0
        self.jobs: list[Job] = []
        self.wishes = 0
        self._signed = self._noted = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []

    def at(self, step: int, what: Callable[[], None]) -> None:
        """Let something happen at a step; what was noted first comes first."""
        self._noted += 1
        heapq.heappush(self._agenda, (step, self._noted, what))

    def live(self) -> Iterator[Moment]:
        """Let everything on the agenda happen, and then wait until all that was begun has ended by itself."""
        while self._agenda:
            self.step, self.jobs, self.wishes = self._agenda[0][0], [], 0
            due = self.books.pass_time(self.now())
            while self._agenda and self._agenda[0][0] == self.step:
                heapq.heappop(self._agenda)[2]()
            if due or self.jobs or self.wishes:
                yield Moment(self.now(), due, self.jobs, self.wishes)
        last_ms = max(self.books.last_due_ms(), self.now())
        yield Moment(last_ms, self.books.pass_time(last_ms), [], 0)

    def sign(self, *calls: tuple[Party, Message]) -> str:
        """Hand out a transaction; return its label, from which the ids that it makes follow."""
        self._signed += 1
        self.jobs.append(Job(f"{self._signed}", calls))
        return f"{self._signed}"

    def now(self) -> int:
        """Return the time."""
        return self.ms(self.step)

    def ms(self, step: int) -> int:
        """Return a step's time."""
        return self.first_ms + step * STEP_MS

    def between(self, begins: int) -> int:
        """Draw a step between now and another, or the next one where there is none."""
        return self.chance.randint(self.step + 1, max(self.step + 1, begins - 1))

    def bank(self, number: int) -> str:
        """Return somebody's bank, or nothing."""
        member = self.books.members.get(self.people[number].account)
        return "" if member is None else member.bank

    def runs(self, slug: str) -> bool:
        """Tell whether a bank does more than wind down."""
        return self.books.banks[slug].state == "open"

    def side(self, key: str) -> Party:
        """Draw one of a service's two sides."""
        service = self.books.services[key]
        return self.people[self.numbers[self.chance.choice((service.helper, service.receiver))]]

    def other(self, key: str, side: Party) -> Party:
        """Return a service's other side."""
        service = self.books.services[key]
        return self.people[self.numbers[service.receiver if side.account == service.helper else service.helper]]
