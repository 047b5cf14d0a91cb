"""The mutator itself: every kind of change, drawn by a seed, never none at all, and tried in a process of its own."""

import ast
import importlib
import sys
from collections import Counter
from pathlib import Path

import pytest

from metrobloc import app
from metrobloc.commons.identity.rules import app as identity
from metrobloc.kernel.module import Module
from metrobloc.testing import mutated
from metrobloc.testing.mutants import Mutant, Verdict, folder_of, mutants, report, rules_of, run, sites
from tests.support import LONG, rounds

MODULES = list(app.modules().values())
KINDS = {
    "and_or",
    "compare",
    "drop_require",
    "negate_require",
    "off_by_one",
    "permission",
    "plus_minus",
    "skip",
    "swap_actors",
    "swap_arguments",
}
SOURCE = '''
BIG = 7

@app.tx(allow=role(X))
def give(ctx, msg):
    """Give 3."""
    gift = ctx[gifts][msg.gift]
    app.require(gift.donor == ctx.actor and msg.n > 0, "no")
    if msg.n >= 2:
        money.collect(ctx, pot(msg.gift), gift.asset, msg.n + 1)
    ctx[gifts][msg.gift] = gift.but(n=min(msg.n, gift.n))
    ctx.work(5)

def only_for_invariants(view):
    return view.n == 4

@app.invariant
def nothing_is_lost(view):
    return only_for_invariants(view) and view.m > 0
'''


def changes() -> list[tuple[str, int]]:
    """List what can be changed in the example."""
    return [(kind, line) for kind, line, _ in sites(ast.parse(SOURCE), {"donor"}, {"give"})]


def test_every_change_is_found_and_nothing_but_rules_is_changed() -> None:
    found = changes()
    assert Counter(kind for kind, _ in found) == {
        "and_or": 1,
        "compare": 3,
        "drop_require": 1,
        "negate_require": 1,
        "off_by_one": 4,
        "permission": 1,
        "plus_minus": 1,
        "skip": 2,
        "swap_actors": 2,
        "swap_arguments": 2,
    }
    assert max(line for _, line in found) == 11  # neither the work that is charged nor the invariant and its helper


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_mutant_is_one_real_change_of_a_file_that_still_compiles(module: Module) -> None:
    plain = {name: ast.unparse(ast.parse(text)) for name, text in rules_of(module).items()}
    found = mutants(module, 60, 1)
    for mutant in found:
        compile(mutant.source, mutant.module, "exec")
        assert mutant.source != plain[mutant.module]
        assert mutant.diff
        assert mutant.kind in KINDS
    assert len(found) >= 50
    assert not [name for name in plain if name.rpartition(".")[2] in ("types", "story", "test_rules", "demo")]


def test_every_kind_is_drawn_and_a_seed_draws_the_same() -> None:
    every = {mutant.kind for module in MODULES for mutant in mutants(module, 60, 1)}
    assert every == KINDS
    assert mutants(identity, 10, 3) == mutants(identity, 10, 3)
    assert mutants(identity, 10, 3) != mutants(identity, 10, 4)
    assert len(mutants(identity, 10, 3)) == 10


def test_a_changed_module_is_given_to_the_import_system_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = mutated.Changed("colorsys", "WORD = 'changed'\n")
    monkeypatch.setattr(sys, "meta_path", [changed, *sys.meta_path])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert importlib.import_module("colorsys").WORD == "changed"
    assert changed.path.endswith("colorsys.py")
    assert changed.find_spec("calendar", None) is None
    monkeypatch.delitem(sys.modules, "colorsys")


def changed(before: str, after: str) -> Mutant:
    """Return a mutant of identity by hand."""
    (name, text), *_ = [item for item in rules_of(identity).items() if before in item[1]]
    return Mutant(name, "by hand", 0, text.replace(before, after, 1), "")


def test_a_known_mutant_is_caught_and_a_harmless_change_is_not() -> None:
    told: list[Verdict] = []
    known = changed('app.require(msg.role not in KEPT and msg.account != ctx.actor, "not_by_office")', "pass")
    harmless = changed("sponsor.quota_per_hour > 0", "0 < sponsor.quota_per_hour")
    broken = changed("from metrobloc.kernel import accounts, system", "import nothing_of_this_name")
    run([known, harmless, broken], folder_of(identity), only="generated", told=told.append)
    caught = {verdict.mutant: verdict.caught for verdict in told}
    assert caught[known].startswith("test_generated")
    assert caught[harmless] == ""
    assert caught[broken] == "import"
    ended = report(told)
    assert (ended.mutants, ended.caught, ended.by_generated) == (3, 2, 1)
    assert [one.kind for one in ended.survivors] == ["by hand"]


def test_tests_that_fail_without_a_mutant_prove_nothing(tmp_path: Path) -> None:
    bad = "def test_generated():\n    raise ValueError('as always')\n"
    (tmp_path / "test_bad.py").write_text(bad, encoding="utf-8")
    with pytest.raises(RuntimeError, match="without any change: test_generated ValueError: as always"):
        run([], tmp_path, told=lambda _: None)


@pytest.mark.parametrize("module", MODULES if LONG else MODULES[:1], ids=lambda module: module.name)
def test_most_mutants_are_caught_and_most_of_them_by_generated_tests(module: Module) -> None:
    ended = report(run(mutants(module, rounds(2, 50), 1), folder_of(module), told=lambda _: None))
    assert 10 * ended.caught >= 9 * ended.mutants, ended.survivors
    if LONG:  # of two mutants a share says nothing
        assert 10 * ended.by_generated >= 7 * ended.mutants, ended.by
