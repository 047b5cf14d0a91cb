"""Draw a town by seeded chance: who lives where and knows whom, what each can do, and a year of wishes for help.

Nothing here knows the ledger. Times are steps of half an hour since the first midnight. Who knows whom is a small-world
graph (Watts and Strogatz, Nature 393, 1998): neighbours along a ring, some ties rewired across the town.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

import msgspec
import networkx as nx
from msgspec import Struct

STEP_MS = 30 * 60_000
DAY = 48
AFTER = 31
"""So many days after the last wish everything that was begun has ended: help begins within 9 days, and so on."""
TIES = 8
REWIRED = 0.15
SKILLS = (
    "shopping", "company", "cooking", "driving", "gardening", "language", "computers", "repairs", "moving", "sewing"
)  # fmt: skip
WEEK_WEIGHTS = (10, 10, 11, 10, 9, 7, 5)
"""How much help is asked for from Monday to Sunday."""
SEASON_WEIGHTS = (9, 9, 11, 12, 12, 10, 7, 6, 10, 11, 11, 8)
"""How much help is asked for from January to December: most in spring, least in the holidays and at Christmas."""
HOUR_WEIGHTS = (0, 0, 0, 0, 0, 0, 1, 4, 8, 10, 10, 9, 6, 6, 8, 9, 9, 8, 8, 7, 5, 3, 1, 0)
"""When people write down what they need or offer."""
FATES = {
    "kept": 70,
    "late": 6,
    "silent": 3,
    "dropped": 4,
    "no_show": 4,
    "disputed": 4,
    "withdrawn": 4,
    "unclaimed": 3,
    "given_up": 2,
}
"""How often help ends how: confirmed by both; by one, and paid in time; by nobody; dropped before; nobody came, and the
coordinator drops it; disputed; withdrawn by its author; not claimed by anybody; forgotten after the claim."""
CODED = 0.2
"""The part of the services whose check-in and check-out are signed codes, uploaded later."""
AFAR = 0.15
"""The part of the tasks that are shown in the whole town before the neighbourhood takes them."""
OFFERS = 0.35
NEWCOMERS = 0.1
"""The part of the members who join during the year."""


class Size(Struct, frozen=True):
    """How large a town is, how long its year, and how many wishes each member has in it."""

    members: int
    banks: int
    days: int
    tasks_per_member: int


class Person(Struct, frozen=True):
    """A member: when she joins, her bank's number, what she can do, how carefully she was checked, whom she knows."""

    joins: int
    bank: int
    level: int
    skills: tuple[str, ...]
    knows: tuple[int, ...]


class Wish(Struct, frozen=True):
    """A task before anybody has claimed it; `begins` and `ends` are when the help of the first slot is to be given.

    Slots of a request are for several helpers at once; a helper who offers several gives one each day.
    """

    at: int
    author: int
    offered: bool
    skill: str
    slots: int
    begins: int
    ends: int
    minutes: int
    fates: tuple[str, ...]
    """How each slot ends."""
    coded: bool
    afar: bool
    relief: bool
    """Whether the pot pays, because of the flood."""


class Plan(Struct, frozen=True):
    """A drawn town. Wishes are in order of time; moves, partings and gifts are (step, person)."""

    size: Size
    people: tuple[Person, ...]
    wishes: tuple[Wish, ...]
    moves: tuple[tuple[int, int], ...]
    partings: tuple[tuple[int, int], ...]
    gifts: tuple[tuple[int, int], ...]


def draw(chance: Random, first_ms: int, size: Size) -> Plan:
    """Draw a town whose first midnight is `first_ms`."""
    first = datetime.fromtimestamp(first_ms // 1000, UTC)
    people = _people(chance, size)
    rhythm = [_weight(first + timedelta(day)) * (2 if day in flood(size) else 1) for day in range(size.days)]
    steps = _steps(chance, rhythm, size.members * size.tasks_per_member)
    fates = _fates(chance, len(steps))
    wishes = [_wish(chance, people, step, fate) for step, fate in zip(steps, fates, strict=False)]
    relieved = [
        msgspec.structs.replace(wish, relief=True) if wish.at // DAY in flood(size) and not wish.offered else wish
        for wish in wishes
    ]

    def some(count: int) -> tuple[tuple[int, int], ...]:
        return tuple((step, chance.randrange(size.members)) for step in _steps(chance, rhythm, count))

    return Plan(
        size, people, tuple(relieved), some(size.members // 50 + 1), some(size.members // 50 + 2), some(size.members)
    )


def flood(size: Size) -> range:
    """Return the days of the flood, on which the pots pay for help."""
    first = size.days * 2 // 5
    return range(first, first + 7)


def _people(chance: Random, size: Size) -> tuple[Person, ...]:
    graph = nx.connected_watts_strogatz_graph(size.members, TIES, REWIRED, seed=chance.randrange(2**31))
    return tuple(
        Person(
            chance.randrange(size.days * DAY) if chance.random() < NEWCOMERS else 0,
            number * size.banks // size.members,
            chance.choice((0, 1, 1, 2)),
            tuple(sorted(chance.sample(SKILLS, chance.randint(1, 5)))),
            tuple(sorted(graph.neighbors(number))),
        )
        for number in range(size.members)
    )


def _weight(day: datetime) -> int:
    return WEEK_WEIGHTS[day.weekday()] * SEASON_WEIGHTS[day.month - 1]


def _steps(chance: Random, rhythm: Sequence[int], count: int) -> list[int]:
    """Draw moments by the weights of their day and hour, in order."""
    days = chance.choices(range(len(rhythm)), cum_weights=list(accumulate(rhythm)), k=count)
    hours = chance.choices(range(24), HOUR_WEIGHTS, k=count)
    return sorted(day * DAY + hour * 2 + chance.randrange(2) for day, hour in zip(days, hours, strict=True))


def _fates(chance: Random, count: int) -> list[str]:
    """Deal out how tasks end in the proportions above, so that none is missing from a town of a hundred tasks."""
    dealt = [name for name, weight in FATES.items() for _ in range(-(-count * weight // 100))]
    chance.shuffle(dealt)
    return dealt


def _wish(chance: Random, people: Sequence[Person], at: int, fate: str) -> Wish:
    author = chance.randrange(len(people))
    offered = chance.random() < OFFERS
    slots = chance.choice((1, 1, 2, 3)) if offered else chance.choice((1, 1, 1, 1, 2))
    begins = (at // DAY + chance.randint(1, 9)) * DAY + chance.randrange(16, 38)
    lasts = chance.choice((1, 2, 2, 3, 3, 4, 6))
    whole = fate in {"withdrawn", "unclaimed"}
    return Wish(
        at,
        author,
        offered,
        chance.choice(people[author].skills if offered else SKILLS),
        slots,
        begins,
        begins + lasts,
        lasts * 30 + chance.choice((0, 0, 15)),
        (fate,) * slots if whole else (fate, *("kept" for _ in range(slots - 1))),
        coded=chance.random() < CODED,
        afar=chance.random() < AFAR,
        relief=False,
    )
