"""All stories, one after another on one chain, as `metrobloc up` plays them: they share its roles and its money."""

from metrobloc import app
from metrobloc.testing.sandbox import Sandbox


def test_all_stories_play_on_one_chain() -> None:
    box = Sandbox(app.modules().values())
    for name, play in app.STORIES.items():
        play(box.stage)
        assert (name, box.broken(), box.bugs) == (name, [], [])
