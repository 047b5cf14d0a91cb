"""All modules together, long and at random; a failing seed is the bug report."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from metrobloc import app
from metrobloc.city.charity import rules as charity
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import View
from metrobloc.kernel.tables import MutableBalances
from metrobloc.testing.simulate import Failed, Simulation, simulate
from metrobloc.testing.vectors import needed
from tests.support import ROOT, rounds

STEPS = 2000
MODULES = tuple(app.modules().values())
STORIES = tuple(app.STORIES.values())
PART = 5
"""How many seeds one test runs, so that they share what a story leaves."""


@pytest.mark.parametrize("first", range(0, rounds(20, 2000), PART))
def test_a_city_at_random(first: int) -> None:
    for seed in range(first, first + PART):
        codes = simulate(MODULES, seed, STEPS, STORIES).codes
        assert codes["ok"] > STEPS // 20, codes


def test_every_action_is_done_and_most_refusals_are_met() -> None:
    """Run seeds until it is so: all modules together, and each by itself with what it needs, which goes deeper."""
    declared = {code for module in MODULES for code in module.refusals}
    alone = [(needed(app.modules(), app.modules()[name], play), [play]) for name, play in app.STORIES.items()]
    actions = [action.do for module in MODULES for action in module.actions.values()]
    done, codes = Counter[str](), Counter[str]()
    for seed in range(1, rounds(16, 200)):
        for modules, stories in ((MODULES, STORIES), *alone):
            run = simulate(modules, seed, 400, stories)
            done, codes = done + run.done, codes + run.codes
        undone = [do for do in actions if not done[do]]
        unmet = sorted(code for code in declared if not codes[code])
        if not undone and 5 * len(unmet) <= len(declared):
            return
    pytest.fail(f"never done: {undone}; never met: {unmet}")


def test_a_seed_says_the_same_for_ever() -> None:
    """Also where another process hashes otherwise."""
    program = (
        "from metrobloc import app; from metrobloc.testing.simulate import simulate\n"
        "print(simulate(app.modules().values(), 3, 200, list(app.STORIES.values())).digest())"
    )
    command, environment = [sys.executable, "-c", program], os.environ | {"PYTHONHASHSEED": "7"}
    other = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True).stdout
    assert simulate(MODULES, 3, 200, STORIES).digest() == other.strip()


def test_a_seed_that_is_a_multiple_of_four_keeps_one_chain() -> None:
    run = simulate(MODULES, 4, 200, STORIES)
    assert run.sandbox.machine.height > 200
    assert Simulation(MODULES, 5, STORIES).sandbox.machine.height < 200


def test_a_failing_run_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def holds_nothing(view: View) -> bool:
        return not list(view[charity.campaigns].items())

    monkeypatch.setitem(charity.app.invariants, "there_is_no_campaign", holds_nothing)
    with pytest.raises(Failed, match=r"seed 2, step \d+: no longer true: charity.there_is_no_campaign"):
        simulate(MODULES, 2, 400, [app.STORIES["charity"]])


def test_a_refusal_that_nobody_declared_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(money.app.refusals, "money.balances_too_low")
    with pytest.raises(Failed, match=r"seed 0, step \d+: money.balances_too_low is not declared"):
        simulate(MODULES, 0, 400)


def test_money_that_appears_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = MutableBalances._set

    def generous(self: MutableBalances, holder: str, book: str, amount: int) -> None:
        sound(self, holder, book, amount + (amount % 7 == 3))

    monkeypatch.setattr(MutableBalances, "_set", generous)
    with pytest.raises(Failed, match=f"no longer true: .*{money.app.name}.every_book_sums_to_zero"):
        simulate(MODULES, 4, 400)
