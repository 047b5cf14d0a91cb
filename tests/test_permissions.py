"""Every permission of every module, tried both ways: who may can, and everybody else is told `not_allowed`."""

from metrobloc import app
from metrobloc.testing.permissions import Probing, Shown, in_story, missing, wrong
from metrobloc.testing.vectors import needed

SEEDS = 40
STEPS = 400


def test_every_cell_of_the_table_of_permissions_holds() -> None:
    modules = tuple(app.modules().values())
    actions = [action for module in modules for action in module.actions.values()]
    alone = [(needed(app.modules(), app.modules()[name], play), [play]) for name, play in app.STORIES.items()]
    shown = Shown()
    for play in app.STORIES.values():
        in_story(modules, play, shown)
    for seed in range(1, SEEDS):
        for some, stories in ((modules, list(app.STORIES.values())), *alone):
            lacking = {do.partition(".")[0] for do, _ in missing(actions, shown)}
            if lacking & {module.name for module in some}:
                Probing(some, seed, stories, actions, shown).run(STEPS)
    assert wrong(actions, shown) == []
    assert missing(actions, shown) == []
