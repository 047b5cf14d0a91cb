"""All modules together, long and at random; a failing seed is the bug report."""

from collections import Counter

import pytest

from metrobloc import app
from metrobloc.city.charity import rules as charity
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import View
from metrobloc.kernel.tables import MutableBalances
from metrobloc.testing.simulate import Failed, simulate
from tests.support import rounds

STEPS = rounds(400, 2000)


@pytest.mark.parametrize("seed", range(rounds(20, 2000)))
def test_a_city_at_random(seed: int) -> None:
    codes = simulate(app.modules().values(), seed, STEPS).codes
    assert codes["ok"] > STEPS // 20, codes


def test_a_seed_says_the_same_for_ever_and_reaches_far() -> None:
    runs = [simulate(app.modules().values(), 1, 200) for _ in range(2)]
    assert len({run.sandbox.machine.state_root for run in runs}) == 1
    assert runs[0].codes == runs[1].codes
    done: Counter[str] = Counter()
    for run in [*runs, *(simulate(app.modules().values(), seed, 200) for seed in range(2, 5))]:
        tables = {path.decode().rpartition("/")[0] for path in run.sandbox.memory.records.rows}
        done.update({table.split("/")[1] for table in tables})
    assert done.keys() >= {"campaigns", "gifts", "offers", "holds", "balances", "limits", "institutions", "deadlines"}


def test_a_failing_run_names_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def holds_nothing(view: View) -> bool:
        return not list(view[charity.campaigns].items())

    monkeypatch.setitem(charity.app.invariants, "there_is_no_campaign", holds_nothing)
    with pytest.raises(Failed, match=r"seed 2, step \d+: no longer true: charity.there_is_no_campaign"):
        simulate(app.modules().values(), 2, 200)


def test_money_that_appears_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = MutableBalances._set

    def generous(self: MutableBalances, holder: str, book: str, amount: int) -> None:
        sound(self, holder, book, amount + (amount % 7 == 3))

    monkeypatch.setattr(MutableBalances, "_set", generous)
    with pytest.raises(Failed, match=f"no longer true: {money.app.name}.every_book_sums_to_zero"):
        simulate(app.modules().values(), 1, 200)
