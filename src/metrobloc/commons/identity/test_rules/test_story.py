"""What the story leaves: named institutions, a recovered account, and nothing open."""

from metrobloc.commons.identity import story
from metrobloc.commons.identity.rules import app, changes, institutions, recoveries, vouched
from metrobloc.commons.identity.rules.queries import acting_for
from metrobloc.commons.identity.test_rules import MODULES, account, guards, keys
from metrobloc.kernel import system
from metrobloc.testing.edges import Scene


def test_the_story_leaves_a_small_city_in_order() -> None:
    s = Scene(MODULES)
    story.play(s.stage)
    assert not s.box.bugs
    assert not s.box.broken()
    view = s.box.view
    named = {key: one.name for key, one in view[institutions].items()}
    assert {named[s[name]] for name in story.HOUSES} == set(story.HOUSES.values())
    assert (named[s["office"]], named[s["supervisor"]]) == ("City office", "Auditors")
    roles = {key for key, grant in view[system.roles].items() if grant.holds_at(s.stage.time_ms)}
    assert {f"{s[name]}/{name}" for name in story.HOUSES} <= roles
    assert {key for key, _ in view[vouched].items()} == {s["lena"], s["walt"]}
    assert account(s, "lena").keys == keys(s, "lena's new phone")
    assert (account(s, "lena").frozen_until_ms, acting_for(view, s["lena"])) == (0, [])
    assert guards(s, "lena") is not None
    assert not list(view[recoveries].items())
    assert account(s, "walt").keys == keys(s, "walt's new key", "walt's spare key")
    assert not list(view[changes].items())
    clinic = view[institutions].get(s["village_clinic"])
    assert clinic is not None
    assert clinic.successor == s["hospital"]


def test_the_story_shows_every_action() -> None:
    s = Scene([app])
    done: set[str] = set()
    names = s.box.rules.names
    sign = s.stage.sign

    def note(*calls: tuple[str, object], **rest: object) -> bytes:
        done.update(names[type(message)] for _, message in calls)  # type: ignore[index]
        return sign(*calls, **rest)  # type: ignore[arg-type]

    s.stage.sign = note  # type: ignore[method-assign]
    story.play(s.stage)
    assert done == {action.do for action in app.actions.values()}
