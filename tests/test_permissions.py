"""Every permission of every module, tried both ways: who may can, and everybody else is told `not_allowed`."""

from metrobloc import app
from metrobloc.testing.permissions import Probing, Shown, in_story, missing, wrong

SEEDS = 40
STEPS = 400


def test_every_cell_of_the_table_of_permissions_holds() -> None:
    modules = tuple(app.modules().values())
    actions = [action for module in modules for action in module.actions.values()]
    stories, shown = list(app.STORIES.values()), Shown()
    for play in stories:
        in_story(modules, play, shown)
    for seed in range(1, SEEDS):
        if missing(actions, shown):
            Probing(modules, seed, stories, shown).run(STEPS)
    assert wrong(actions, shown) == []
    assert missing(actions, shown) == []
