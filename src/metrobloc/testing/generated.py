"""The tests that follow from an application's declarations: one line in its test_rules.py.

    test_generated = generated(MODULES, app, story.play)

`MODULES` are the modules that the application needs and itself, in the order in which a genesis names them.
"""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest

from metrobloc.kernel.module import Module
from metrobloc.surface.describe import package_of
from metrobloc.testing import properties, vectors
from metrobloc.testing.edges import readme_refusals
from metrobloc.testing.simulate import Story, simulate

Check = Callable[[], None]

SEEDS = (7, 8)
STEPS = 300


def generated(modules: Iterable[Module], app: Module, story: Story | None = None) -> Callable[[Check], None]:
    """Return one parametrised test with a case for everything that an app's declarations promise.

    Nouns keep their bytes and limits, actions in any order end as declared, a seeded simulation holds its invariants,
    the README tells every refusal, and bytes, story and simulations give the pinned vectors.
    """
    whole = tuple(modules)
    checks: dict[str, Check] = {
        "readme": partial(_readme, app),
        "simulation": partial(_simulation, whole, story),
        "vectors": partial(_vectors, whole, app, story),
        "properties": partial(properties.actions_end_as_declared, whole, app, story),
        "bytes": partial(properties.nouns_keep_their_bytes, app),
        "limits": partial(properties.limits_are_kept, app),
    }

    @pytest.mark.parametrize("check", list(checks.values()), ids=list(checks))
    def test(check: Check) -> None:
        check()

    return test


def _readme(app: Module) -> None:
    """Find every refusal in the README's table, in the same words."""
    folder = Path(str(sys.modules[package_of(app)].__file__)).parent
    assert readme_refusals(folder, app) == app.refusals


def _simulation(modules: tuple[Module, ...], story: Story | None) -> None:
    """Let the app run at random; see that it does something."""
    for seed in SEEDS:
        codes = simulate(modules, seed, STEPS, [story] if story else []).codes
        assert codes["ok"] > STEPS // 20, codes


def _vectors(modules: tuple[Module, ...], app: Module, story: Story | None) -> None:
    """Find the pinned vectors; changed on purpose, they are pinned anew by `metrobloc lab vectors --write APP`."""
    needed = vectors.needed({module.name: module for module in modules}, app, story)
    differing = vectors.differing(vectors.files(needed, app, story))
    assert not differing, f"{', '.join(differing)}: not as pinned; on purpose? metrobloc lab vectors --write {app.name}"
