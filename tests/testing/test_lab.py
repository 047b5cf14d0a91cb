"""`metrobloc lab`: what it says, and how it ends."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from metrobloc import app
from metrobloc.commons.money import rules as money
from metrobloc.surface.cli import Setting
from metrobloc.testing import lab, mutants, vectors
from metrobloc.testing.mutants import Mutant, Verdict


def lab_says(*words: str) -> Result:
    """Run a command of the laboratory."""
    return CliRunner().invoke(app.commands(), ["lab", *words])


def test_vectors_are_compared_and_written(tmp_path: Path) -> None:
    first = lab_says("vectors", "identity", "--place", str(tmp_path))
    assert (first.exit_code, first.output) == (
        1,
        "identity.json, identity.proof.json, identity.trust.json: not as pinned; on purpose? --write pins them\n",
    )
    written = json.loads(lab_says("vectors", "identity", "--place", str(tmp_path), "--write", "--json").output)
    files = ["identity.json", "identity.proof.json", "identity.trust.json"]
    assert written == {"differing": files, "written": True}
    for file in files:
        assert (tmp_path / file).read_bytes() == (vectors.PLACE / file).read_bytes()
    same = lab_says("vectors", "identity", "--place", str(tmp_path))
    assert (same.exit_code, same.output) == (0, "Everything is as pinned.\n")


def test_a_simulation_says_what_was_done_and_what_was_not() -> None:
    ran = lab_says("simulate", "--seeds", "2", "--steps", "100")
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith("2 runs of 100 steps, ")
    told = json.loads(lab_says("simulate", "--first", "1", "--seeds", "1", "--steps", "100", "--json").output)
    assert told["codes"]["ok"] > 0
    assert told["done"]["identity.register"] > 0
    assert "timebank.not_verified" in told["codes"] | dict.fromkeys(told["never_refused"])


def test_a_failing_seed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(money.app.invariants, "nobody_has_any", lambda _: False)
    ran = lab_says("simulate", "--first", "4", "--seeds", "1", "--steps", "60")
    assert ran.exit_code == 1
    assert "seed 4, step 50: no longer true: money.nobody_has_any" in ran.output


def test_mutants_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(found: list[Mutant], *_: object, **__: object) -> list[Verdict]:
        return [Verdict(one, "test_generated[vectors]" if place % 2 else "", "") for place, one in enumerate(found)]

    monkeypatch.setattr(mutants, "run", half)
    told = json.loads(lab_says("mutate", "money", "--count", "4", "--json").output)
    assert (told["mutants"], told["caught"], told["by_generated"]) == (4, 2, 2)
    shown = lab_says("mutate", "money", "--count", "4").output
    assert shown.startswith(
        "money: 2 of 4 caught, 2 by generated tests alone\n    2 test_generated[vectors]\nsurvivor: "
    )


def test_an_application_that_is_not_there_is_wrong_usage() -> None:
    for words in (("mutate", "nothing"), ("vectors", "nothing")):
        ran = lab_says(*words)
        assert (ran.exit_code, ran.output.split(";")[0]) == (2, "There is no application nothing")


def test_the_speed_is_measured() -> None:
    assert lab.steps_per_second(Setting(app.modules), app.STORIES, 0) > 0
