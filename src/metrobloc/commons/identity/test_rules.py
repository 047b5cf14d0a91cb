"""Who may register, accredit, revoke and change keys, and what is refused."""

from pathlib import Path

import pytest

from metrobloc.commons.identity.rules import app, institutions
from metrobloc.commons.identity.types import Accredit, Register, Revoke, Rotate, Veto
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

NOBODY = "a" * 26

test_generated = generated([app], app)


def scene() -> Scene:
    """Set the scene: Ann is registered, Bo has asked for another key, Cy is new."""
    made = Scene([app])
    for name in ("ann", "bo"):
        made.stage.join(name)
    made.stage.act("bo", Rotate((made.key("bo's new key"),)), also=("bo's new key",))
    return made


CASES: list[Case] = [
    Case("bank", lambda s: Register(s.key("cy")), "ok", also=("cy",)),
    Case("bank", lambda s: Register(s.key("ann")), "kernel.keys_taken", also=("ann",)),
    Case("bank", lambda s: Register(s.key("bo's new key")), "kernel.keys_taken", also=("bo's new key",)),
    Case("bank", lambda s: Register(s.key("bank")), "kernel.keys_taken"),
    Case("ann", lambda s: Register(s.key("cy")), "identity.no_quota", also=("cy",)),
    Case("office", lambda s: Accredit(s["ann"], "Ann's school", "school", 10), "ok"),
    Case("office", lambda s: Accredit(s["ann"], "Ann", "hospital", 0, START_MS + 60_000), "ok"),
    Case("office", lambda s: Accredit(s["ann"], "Ann", "hospital", 0, START_MS), "identity.in_the_past"),
    Case("office", lambda s: Accredit(s["ann"], "Ann", "office", 10), "identity.office_stays"),
    Case("office", lambda s: Accredit(s["office"], "City", "bank", 0), "identity.office_stays"),
    Case("office", lambda _: Accredit(NOBODY, "Nobody", "bank", 10), "kernel.accounts_unknown"),
    Case("bank", lambda s: Accredit(s["ann"], "Ann", "bank", 10), "not_allowed"),
    Case("office", lambda s: Revoke(s["bank"], "bank"), "ok"),
    Case("office", lambda s: Revoke(s["bank"], "hospital"), "kernel.roles_unknown"),
    Case("office", lambda _: Revoke(NOBODY, "bank"), "kernel.roles_unknown"),
    Case("office", lambda s: Revoke(s["office"], "office"), "identity.office_stays"),
    Case("ann", lambda s: Revoke(s["bank"], "bank"), "not_allowed"),
    Case("ann", lambda s: Rotate((s.key("cy"),)), "ok", also=("cy",)),
    Case("ann", lambda s: Rotate((s.key("bo"),)), "kernel.keys_taken", also=("bo",)),
    Case("ann", lambda s: Rotate((s.key("ann"),)), "kernel.keys_taken"),
    Case("bo", lambda s: Rotate((s.key("cy"),)), "identity.change_pending", also=("cy",)),
    Case("bo", lambda _: Veto(), "ok"),
    Case("ann", lambda _: Veto(), "identity.changes_unknown"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    assert not unmet(app, CASES)
    assert readme_refusals(Path(__file__).parent, app) == app.refusals


def test_an_institution_is_known_since_its_first_accreditation() -> None:
    s = scene()
    ann = s["ann"]
    s.stage.act("office", Accredit(ann, "School", "school", 10))
    since_ms = s.stage.time_ms
    s.stage.act("office", Accredit(ann, "Old school", "school", 10))
    row = s.box.view[institutions].get(ann)
    assert row is not None
    assert (row.name, row.since_ms) == ("Old school", since_ms)


def test_a_quota_of_one_is_enough_to_sponsor() -> None:
    s = scene()
    s.stage.act("office", Accredit(s["ann"], "Ann's school", "school", 1))
    s.stage.join("cy", sponsor="ann")


def test_the_first_key_holds_again_after_a_veto() -> None:
    s = scene()
    s.stage.act("bo", Veto())
    s.stage.wait(2 * 24 * 60)
    s.stage.act("bo", Rotate((s.key("another"),)), also=("another",))
