"""Vectors say when bytes, a story or a rule has changed, and their proof files hold for anybody."""

import json
from pathlib import Path

import pytest

from metrobloc import app, verify
from metrobloc.city.charity import matching
from metrobloc.city.charity import rules as charity
from metrobloc.kernel.module import Module
from metrobloc.testing import vectors

MODULES = app.modules()


def made(name: str) -> dict[str, bytes]:
    """Return an app's vector files."""
    module = MODULES[name]
    return vectors.files(vectors.needed(MODULES, module), module, app.STORIES.get(name))


def test_an_app_needs_what_it_imports() -> None:
    needed = {name: [one.name for one in vectors.needed(MODULES, module)] for name, module in MODULES.items()}
    assert needed["identity"] == ["identity"]
    assert needed["money"] == ["identity", "money"]
    assert needed["charity"] == ["identity", "money", "charity"]


def test_every_app_has_its_vectors_and_nothing_else_does() -> None:
    pinned = {path.name for path in vectors.PLACE.glob("*.proof.json")}
    assert pinned == {f"{name}.proof.json" for name in app.STORIES}
    assert all((vectors.PLACE / f"{name}.json").exists() for name in MODULES)


@pytest.mark.parametrize("name", app.STORIES)
def test_a_story_s_proof_file_holds_under_its_trust_file(name: str) -> None:
    proof, trust = [(vectors.PLACE / f"{name}.{kind}.json").read_bytes() for kind in ("proof", "trust")]
    verdict = verify.check(proof, trust)
    assert verdict.status == "valid", verdict.reason
    story = json.loads((vectors.PLACE / f"{name}.json").read_bytes())["story"]
    told = json.loads(proof)
    assert told["header"]["state_root"] == story["state_root"]
    assert told["chain"] == story["chain"]
    assert told["receipt"]["index"] + 2 == story["log_size"]  # the last receipt, and behind it the last header
    assert verify.check(proof.replace(b'"code":"', b'"code":"x', 1), trust).status == "invalid"


def test_a_changed_rule_changes_the_simulation_and_nothing_of_the_nouns(monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads(made("charity")["charity.json"])
    sound = matching.claim
    monkeypatch.setattr(matching, "claim", lambda *args: sound(*args) + 1)
    after = json.loads(vectors_without_story(charity.app))
    assert after["nouns"] == before["nouns"]
    assert after["simulations"] != before["simulations"]


def vectors_without_story(module: Module) -> bytes:
    """Return an app's vectors where its story would no longer play."""
    return vectors.files(vectors.needed(MODULES, module), module)[f"{module.name}.json"]


def test_what_is_not_as_pinned_is_named(tmp_path: Path) -> None:
    files = {"a.json": b"1", "b.json": b"2", "c.json": b"3"}
    (tmp_path / "a.json").write_bytes(b"1")
    (tmp_path / "b.json").write_bytes(b"other")
    assert vectors.differing(files, tmp_path) == ["b.json", "c.json"]
