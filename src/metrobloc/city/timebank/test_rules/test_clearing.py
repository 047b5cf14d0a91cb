"""Clearing: circles end, positions stay, nobody owes anybody more, and the order of the debts does not matter."""

from itertools import permutations
from random import Random

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrobloc.city.timebank.clearing import Cycle, cycles

NAMES = "abcdef"
EDGES = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda edge: edge[0] != edge[1])
DEBTS = st.dictionaries(EDGES, st.integers(0, 20), max_size=24)
Debts = dict[tuple[str, str], int]


def edges(cycle: Cycle) -> list[tuple[str, str]]:
    """Return who owes whom in a circle."""
    return list(zip(cycle.banks, (*cycle.banks[1:], cycle.banks[0]), strict=True))


def struck(debts: Debts, found: list[Cycle]) -> Debts:
    """Return what is left of the debts; AssertionError when a circle asks for more than there is."""
    left = dict(debts)
    for cycle in found:
        assert cycle.minutes > 0
        for edge in edges(cycle):
            left[edge] -= cycle.minutes
            assert left[edge] >= 0
    return left


def nets(debts: Debts) -> dict[str, int]:
    """Return what each is owed in all, less what it owes."""
    return {
        name: sum(m for (_, to), m in debts.items() if to == name)
        - sum(m for (by, _), m in debts.items() if by == name)
        for name in NAMES
    }


def brute_force_has_circle(debts: Debts) -> bool:
    """Look for a circle by trying every order of every choice of banks."""
    return any(
        all(debts.get((ring[i - 1], ring[i]), 0) > 0 for i in range(size))
        for size in range(2, len(NAMES) + 1)
        for ring in permutations(NAMES, size)
    )


@given(DEBTS)
def test_no_circle_is_left_and_positions_stay(debts: Debts) -> None:
    found = cycles(debts)
    left = struck(debts, found)
    graph: nx.DiGraph[str] = nx.DiGraph([edge for edge, minutes in left.items() if minutes])
    assert nx.is_directed_acyclic_graph(graph)
    assert nets(left) == nets(debts)
    assert sum(left.values()) == sum(debts.values()) - sum(len(c.banks) * c.minutes for c in found)
    assert len(found) <= len(debts)


@given(st.dictionaries(EDGES, st.integers(1, 3), max_size=10))
def test_a_circle_is_found_if_there_is_one(debts: Debts) -> None:
    found = cycles(debts)
    assert bool(found) == brute_force_has_circle(debts)
    assert not brute_force_has_circle(struck(debts, found))


@given(DEBTS, st.randoms(use_true_random=False))
def test_the_order_of_debts_does_not_matter(debts: Debts, chance: Random) -> None:
    shuffled = list(debts.items())
    chance.shuffle(shuffled)
    assert cycles(dict(shuffled)) == cycles(debts)


@given(DEBTS)
def test_the_shortest_circle_goes_first_and_begins_with_its_least_name(debts: Debts) -> None:
    left = {edge: minutes for edge, minutes in debts.items() if minutes}
    for cycle in cycles(debts):
        graph: nx.DiGraph[str] = nx.DiGraph(list(left))
        rings = list(nx.simple_cycles(graph))
        shortest = min(len(ring) for ring in rings)
        assert len(cycle.banks) == shortest
        assert cycle.banks[0] == min(name for ring in rings if len(ring) == shortest for name in ring)
        assert cycle.minutes == min(left[edge] for edge in edges(cycle))
        left = {edge: minutes for edge, minutes in struck(left, [cycle]).items() if minutes}


def test_examples() -> None:
    assert cycles({}) == []
    assert cycles({("a", "b"): 5, ("b", "c"): 0, ("c", "a"): 5}) == []
    assert cycles({("a", "b"): 5, ("b", "a"): 3}) == [Cycle(("a", "b"), 3)]
    figure_eight = {("a", "b"): 2, ("b", "c"): 5, ("c", "a"): 2, ("c", "d"): 4, ("d", "b"): 9}
    assert cycles(figure_eight) == [Cycle(("a", "b", "c"), 2), Cycle(("b", "c", "d"), 3)]


def test_a_hundred_banks_in_one_circle() -> None:
    names = [f"bank{number:03}" for number in range(100)]
    assert cycles(dict.fromkeys(zip(names, [*names[1:], names[0]], strict=True), 7)) == [Cycle(tuple(names), 7)]


@pytest.mark.parametrize("debts", [{("a", "a"): 1}, {("a", "b"): -1}])
def test_a_debt_is_to_somebody_else(debts: Debts) -> None:
    with pytest.raises(ValueError, match="a debt is"):
        cycles(debts)
