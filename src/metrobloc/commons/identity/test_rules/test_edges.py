"""Every way in which an action of identity can end, on the scene that stands ready."""

import pytest

from metrobloc.commons.identity.rules import app
from metrobloc.commons.identity.test_rules import (
    DAY_MS,
    NOBODY,
    NULL,
    ceiling,
    guardians,
    keys,
    pay,
    scene,
    seconds,
)
from metrobloc.commons.identity.types import (
    Accredit,
    Arbitrate,
    CloseSession,
    Disclaim,
    EndMandate,
    Freeze,
    Mandate,
    Name,
    NameGuardians,
    OpenSession,
    Recover,
    Register,
    Reissue,
    Resume,
    Revoke,
    Rotate,
    ShowBoxKey,
    Succeed,
    Support,
    Suspend,
    Veto,
    Vouch,
)
from metrobloc.kernel.crypto import X25519, key_id
from metrobloc.testing.edges import Case, play, unmet

BOX_KEY = key_id(b"9" * 32, X25519)
CY = ("cy",)
SCOPE = ("money",)
MONTH_MS = 31 * DAY_MS
TWICE = ceiling(1) * 2


def kept(role: str) -> Case:
    """Return the case of a role that the office cannot give."""
    return Case("office", lambda s: Accredit(s["bo"], "Bo", role, 10), "identity.not_by_office")


def out_of_reach(name: str) -> Case:
    """Return the case of an account that the office cannot give keys."""
    return Case("office", lambda s: Reissue(s[name], keys(s, "cy")), "identity.not_by_office", also=CY)


OPENING = [
    Case("bank", lambda s: Register(s.key("cy")), "ok", also=CY),
    Case("bank", lambda s: Register(s.key("cy")), "not_signed"),
    Case("ann", lambda s: Register(s.key("cy")), "ok", also=CY),
    Case("bo", lambda s: Register(s.key("cy")), "identity.no_quota", also=CY),
    Case("bank", lambda s: Register(s.key("ann")), "kernel.keys_taken", also=("ann",)),
    Case("bank", lambda s: Register(s.key("bo's new key")), "kernel.keys_taken", also=("bo's new key",)),
    Case("bank", lambda s: Register(s.key("browser")), "kernel.keys_taken", also=("browser",)),
    Case("bank", lambda s: Register(s.key("bank")), "kernel.keys_taken"),
    Case("office", lambda s: Vouch(s["bo"], "1" * 64), "ok"),
    Case("office", lambda s: Vouch(s["bo"], NULL), "identity.person_known"),
    Case("office", lambda s: Vouch(s["ann"], "1" * 64), "identity.person_known"),
    Case("office", lambda s: Vouch(s["clinic"], "1" * 64), "identity.is_institution"),
    Case("office", lambda s: Vouch(s["heir"], "1" * 64), "identity.is_institution"),
    Case("office", lambda s: Vouch(s["company"], "1" * 64), "identity.is_institution"),
    Case("office", lambda _: Vouch(NOBODY, "1" * 64), "kernel.accounts_unknown"),
    Case("hospital", lambda s: Vouch(s["bo"], "1" * 64), "not_allowed"),
    Case("office", lambda s: Disclaim(s["ann"]), "ok"),
    Case("office", lambda s: Disclaim(s["bo"]), "identity.vouched_unknown"),
    Case("ann", lambda s: Disclaim(s["ann"]), "not_allowed"),
    Case("ann", lambda _: ShowBoxKey(BOX_KEY), "ok"),
]

ACCREDITING = [
    Case("office", lambda s: Accredit(s["bo"], "Bo's school", "school", 10), "ok"),
    Case("office", lambda s: Accredit(s["bo"], "Bo", "hospital", 0, seconds(s, 2)), "ok"),
    Case("office", lambda s: Accredit(s["bo"], "Bo", "hospital", 0, seconds(s, 1)), "identity.in_the_past"),
    *(kept(role) for role in ("office", "supervisor", "council", "citizen")),
    Case("office", lambda s: Accredit(s["office"], "City", "bank", 10), "identity.not_by_office"),
    Case("office", lambda s: Accredit(s["bank"], "Bank", "bank", 0), "identity.unpaid"),
    Case("office", lambda s: Accredit(s["ann"], "Ann", "bank", 10), "identity.is_institution"),
    Case("office", lambda s: Accredit(s["former"], "Former", "bank", 10), "identity.succeeded"),
    Case("office", lambda _: Accredit(NOBODY, "Nobody", "bank", 10), "kernel.accounts_unknown"),
    Case("bank", lambda s: Accredit(s["bo"], "Bo", "bank", 10), "not_allowed"),
    Case("office", lambda s: Name(s["company"], "Company"), "ok"),
    Case("office", lambda s: Name(s["ann"], "Ann"), "identity.is_institution"),
    Case("office", lambda _: Name(NOBODY, "Nobody"), "kernel.accounts_unknown"),
    Case("company", lambda s: Name(s["company"], "Company"), "not_allowed"),
    Case("office", lambda s: Revoke(s["bank"], "bank"), "ok"),
    Case("office", lambda s: Revoke(s["bank"], "hospital"), "kernel.roles_unknown"),
    Case("office", lambda _: Revoke(NOBODY, "bank"), "kernel.roles_unknown"),
    Case("office", lambda s: Revoke(s["bank"], "council"), "identity.not_by_office"),
    Case("office", lambda s: Revoke(s["ann"], "citizen"), "identity.not_by_office"),
    Case("bo", lambda s: Revoke(s["bank"], "bank"), "not_allowed"),
    Case("office", lambda s: Suspend(s["clinic"], seconds(s, 2)), "ok"),
    Case("office", lambda s: Suspend(s["school"], seconds(s, 2)), "ok"),
    Case("office", lambda s: Suspend(s["clinic"], seconds(s, 1)), "identity.in_the_past"),
    Case("office", lambda s: Suspend(s["hospital"], seconds(s, 2)), "identity.institutions_unknown"),
    Case("supervisor", lambda s: Suspend(s["clinic"], seconds(s, 2)), "not_allowed"),
    Case("office", lambda s: Resume(s["school"]), "ok"),
    Case("office", lambda s: Resume(s["clinic"]), "identity.not_suspended"),
    Case("office", lambda s: Resume(s["hospital"]), "identity.institutions_unknown"),
    Case("school", lambda s: Resume(s["school"]), "not_allowed"),
    Case("clinic", lambda s: Succeed(s["clinic"], s["heir"]), "ok"),
    Case("clinic", lambda s: Succeed(s["clinic"], s["clinic"]), "identity.to_self"),
    Case("clinic", lambda s: Succeed(s["clinic"], s["former"]), "identity.succeeded"),
    Case("former", lambda s: Succeed(s["former"], s["clinic"]), "identity.succeeded", by=("heir",)),
    Case("former", lambda s: Succeed(s["former"], s["clinic"]), "not_signed"),
    Case("busy", lambda s: Succeed(s["busy"], s["heir"]), "identity.change_pending"),
    Case("bo", lambda s: Succeed(s["clinic"], s["heir"]), "identity.not_party"),
    Case("heir", lambda s: Succeed(s["clinic"], s["heir"]), "identity.not_party"),
    Case("office", lambda s: Succeed(s["clinic"], s["heir"]), "identity.not_suspended"),
    Case("office", lambda s: Succeed(s["school"], s["heir"]), "identity.not_suspended"),
    Case("office", lambda s: Succeed(s["bank"], s["heir"]), "identity.not_by_office"),
    Case("office", lambda s: Succeed(s["school"], s["office"]), "identity.not_by_office"),
    Case("office", lambda s: Succeed(s["hospital"], s["heir"]), "identity.institutions_unknown"),
    Case("clinic", lambda s: Succeed(s["clinic"], s["hospital"]), "identity.institutions_unknown"),
]

CHANGING = [
    Case("ann", lambda s: Rotate(keys(s, "cy")), "ok", also=CY),
    Case("ann", lambda s: Rotate(keys(s, "ann", "cy"), 2), "ok", also=CY),
    Case("ann", lambda s: Rotate(keys(s, "ann")), "ok"),
    Case("ann", lambda s: Rotate(keys(s, "cy")), "not_signed"),
    Case("ann", lambda s: Rotate(keys(s, "cy"), 2), "kernel.keys_short", also=CY),
    Case("ann", lambda s: Rotate(keys(s, "ann", "ann"), 2), "kernel.keys_short"),
    Case("ann", lambda s: Rotate(keys(s, "cy", "cy"), 2), "kernel.keys_taken", also=CY),
    Case("ann", lambda s: Rotate(keys(s, "bo")), "kernel.keys_taken", also=("bo",)),
    Case("ann", lambda s: Rotate(keys(s, "browser")), "kernel.keys_taken", also=("browser",)),
    Case("ann", lambda s: Rotate(keys(s, "ann's new key")), "kernel.keys_taken", also=("ann's new key",)),
    Case("bo", lambda s: Rotate(keys(s, "cy")), "identity.change_pending", also=CY),
    Case("dora", lambda s: Rotate(keys(s, "cy")), "identity.change_pending", also=CY),
    Case("former", lambda s: Rotate(keys(s, "cy")), "identity.succeeded", also=CY, by=("heir",)),
    Case("ann", lambda s: guardians(s, "bo"), "ok"),
    Case("ann", lambda s: guardians(s, "gil", "hal", "ida", "bo", needed=3), "ok"),
    Case("ann", lambda s: guardians(s, "gil", "hal", needed=2), "ok"),
    Case("ann", lambda _: NameGuardians((), 0), "ok"),
    Case("ann", lambda _: NameGuardians((), 1), "identity.needed_wrong"),
    Case("ann", lambda s: NameGuardians((s["gil"],), 0), "identity.needed_wrong"),
    Case("ann", lambda s: guardians(s, "gil", "hal", "ida", "bo", needed=2), "identity.needed_wrong"),
    Case("ann", lambda s: guardians(s, "gil", "hal", needed=3), "identity.needed_wrong"),
    Case("ann", lambda s: guardians(s, "gil", "gil", needed=2), "identity.needed_wrong"),
    Case("ann", lambda s: guardians(s, "gil", "ann", needed=2), "identity.needed_wrong"),
    Case("ann", lambda s: guardians(s, "gil", "office"), "identity.arbiter_guards"),
    Case("ann", lambda s: guardians(s, "supervisor", "gil"), "identity.arbiter_guards"),
    Case("ann", lambda _: NameGuardians((NOBODY,), 1), "kernel.accounts_unknown"),
    Case("bo", lambda s: guardians(s, "gil"), "identity.change_pending"),
    Case("former", lambda s: guardians(s, "gil"), "identity.succeeded", by=("heir",)),
    Case("bo", lambda _: Veto(), "ok"),
    Case("ann", lambda _: Veto(), "identity.changes_unknown"),
    Case("dora", lambda _: Veto(), "identity.in_doubt"),
    Case("hal", lambda s: Veto(s["dora"]), "identity.in_doubt"),
    Case("gil", lambda s: Veto(s["bo"]), "identity.not_party"),
    Case("gil", lambda _: Veto(NOBODY), "identity.changes_unknown"),
    Case("office", lambda s: Arbitrate(s["dora"], "granted"), "ok"),
    Case("office", lambda s: Arbitrate(s["dora"], "dismissed"), "ok"),
    Case("supervisor", lambda s: Arbitrate(s["dora"], "granted"), "identity.other_arbiter"),
    Case("office", lambda s: Arbitrate(s["bo"], "granted"), "identity.not_in_doubt"),
    Case("office", lambda s: Arbitrate(s["ann"], "granted"), "identity.changes_unknown"),
    Case("dora", lambda s: Arbitrate(s["dora"], "granted"), "frozen"),
    Case("gil", lambda s: Arbitrate(s["dora"], "granted"), "not_allowed"),
    Case("ann", lambda _: Freeze(), "ok"),
    Case("ann", lambda s: Freeze(s["ann"]), "ok"),
    Case("gil", lambda s: Freeze(s["ann"]), "ok"),
    Case("bo", lambda s: Freeze(s["ann"]), "identity.not_guardian"),
    Case("gil", lambda s: Freeze(s["bo"]), "identity.not_guardian"),
    Case("gil", lambda s: Freeze(s["dora"]), "identity.frozen_lately"),
]

RECOVERING = [
    Case("hal", lambda s: Recover(s["ann"], keys(s, "cy")), "ok", also=CY),
    Case("hal", lambda s: Recover(s["ann"], keys(s, "cy")), "not_signed"),
    Case("hal", lambda s: Recover(s["ann"], keys(s, "cy"), 2), "kernel.keys_short", also=CY),
    Case("hal", lambda s: Recover(s["ann"], keys(s, "bo")), "kernel.keys_taken", also=("bo",)),
    Case("hal", lambda s: Recover(s["ann"], keys(s, "hal")), "kernel.keys_taken"),
    Case("hal", lambda s: Recover(s["ann"], keys(s, "browser")), "kernel.keys_taken", also=("browser",)),
    Case("bo", lambda s: Recover(s["ann"], keys(s, "cy")), "identity.not_guardian", also=CY),
    Case("gil", lambda s: Recover(s["bo"], keys(s, "cy")), "identity.not_guardian", also=CY),
    Case("ann", lambda s: Recover(s["ann"], keys(s, "cy")), "identity.not_guardian", also=CY),
    Case("hal", lambda s: Support(s["recovery"]), "ok"),
    Case("gil", lambda s: Support(s["recovery"]), "identity.supported"),
    Case("bo", lambda s: Support(s["recovery"]), "identity.not_guardian"),
    Case("hal", lambda _: Support(NOBODY), "identity.recoveries_unknown"),
    Case("office", lambda s: Reissue(s["ann"], keys(s, "cy")), "ok", also=CY),
    Case("office", lambda s: Reissue(s["bo"], keys(s, "cy")), "ok", also=CY),
    Case("office", lambda s: Reissue(s["dora"], keys(s, "cy")), "ok", also=CY),
    Case("office", lambda s: Reissue(s["ann"], keys(s, "cy")), "not_signed"),
    Case("office", lambda s: Reissue(s["ann"], keys(s, "cy"), 2), "kernel.keys_short", also=CY),
    Case("office", lambda s: Reissue(s["ann"], keys(s, "bo")), "kernel.keys_taken", also=("bo",)),
    *(out_of_reach(name) for name in ("office", "supervisor", "bank")),
    Case("office", lambda s: Reissue(s["former"], keys(s, "cy")), "identity.succeeded", also=CY),
    Case("office", lambda s: Reissue(NOBODY, keys(s, "cy")), "kernel.accounts_unknown", also=CY),
    Case("supervisor", lambda s: Reissue(s["ann"], keys(s, "cy")), "not_allowed", also=CY),
]

ACTING = [
    Case("ann", lambda s: Mandate(s["bo"], SCOPE, seconds(s, 2)), "ok"),
    Case("ann", lambda s: Mandate(s["hal"], SCOPE, seconds(s, 1) + 731 * DAY_MS, ceiling(1)), "ok"),
    Case("ann", lambda s: Mandate(s["bo"], SCOPE, seconds(s, 1)), "identity.in_the_past"),
    Case("ann", lambda s: Mandate(s["bo"], SCOPE, seconds(s, 1) + 731 * DAY_MS + 1), "identity.too_long"),
    Case("ann", lambda s: Mandate(s["bo"], SCOPE, seconds(s, 2), TWICE), "identity.ceilings_wrong"),
    Case("ann", lambda s: Mandate(s["bo"], SCOPE, seconds(s, 2), ceiling(1) + ceiling(1, "cny")), "ok"),
    Case("ann", lambda s: Mandate(s["ann"], SCOPE, seconds(s, 2)), "identity.to_self"),
    Case("ann", lambda s: Mandate(NOBODY, SCOPE, seconds(s, 2)), "kernel.accounts_unknown"),
    Case("former", lambda s: Mandate(s["heir"], SCOPE, seconds(s, 2)), "identity.succeeded", by=("heir",)),
    Case("former", lambda s: Mandate(s["bo"], SCOPE, seconds(s, 2)), "ok", by=("heir",)),
    Case("clinic", lambda s: EndMandate(s["clinic"], s["bo"]), "ok"),
    Case("bo", lambda s: EndMandate(s["clinic"], s["bo"]), "ok"),
    Case("office", lambda s: EndMandate(s["clinic"], s["bo"]), "identity.not_party"),
    Case("clinic", lambda s: EndMandate(s["clinic"], s["ann"]), "kernel.delegations_unknown"),
    Case("heir", lambda s: EndMandate(s["former"], s["heir"]), "identity.succeeded"),
    Case("former", lambda s: EndMandate(s["former"], s["heir"]), "identity.succeeded", by=("heir",)),
    Case("ann", lambda s: OpenSession(s.key("cy"), SCOPE, seconds(s, 2)), "ok", also=CY),
    Case("ann", lambda s: OpenSession(s.key("cy"), SCOPE, seconds(s, 1) + MONTH_MS), "ok", also=CY),
    Case("ann", lambda s: OpenSession(s.key("cy"), SCOPE, seconds(s, 2)), "not_signed"),
    Case("ann", lambda s: OpenSession(s.key("cy"), SCOPE, seconds(s, 1)), "identity.in_the_past", also=CY),
    Case("ann", lambda s: OpenSession(s.key("cy"), SCOPE, seconds(s, 2) + MONTH_MS), "identity.too_long", also=CY),
    Case("ann", lambda s: OpenSession(s.key("cy"), SCOPE, seconds(s, 2), TWICE), "identity.ceilings_wrong", also=CY),
    Case("ann", lambda s: OpenSession(s.key("browser"), SCOPE, seconds(s, 2)), "kernel.keys_taken", also=("browser",)),
    Case("ann", lambda s: OpenSession(s.key("bo"), SCOPE, seconds(s, 2)), "kernel.keys_taken", also=("bo",)),
    Case("ann", lambda s: CloseSession(s.key("browser")), "ok"),
    Case("bo", lambda s: CloseSession(s.key("browser")), "kernel.delegations_unknown"),
    Case("ann", lambda s: CloseSession(s.key("ann")), "kernel.delegations_unknown"),
]  # fmt: skip

CASES = [*OPENING, *ACCREDITING, *CHANGING, *RECOVERING, *ACTING]
LATER = {"identity.too_many"}
"""Refusals that the scene cannot show; test_institutions meets them."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_met() -> None:
    assert unmet(app, CASES) == LATER


DEFENCES = {
    "identity.rotate",
    "identity.name_guardians",
    "identity.veto",
    "identity.end_mandate",
    "identity.close_session",
}


def test_a_frozen_account_can_defend_itself_and_nothing_else() -> None:
    s = scene()
    s.stage.act("ann", Freeze())
    done = set()
    for case in CASES:
        message = case.message(s)
        if case.actor == "ann" and case.by is None and case.code != "not_signed":
            raw = s.stage.sign(("ann", message), also=case.also)
            codes = [one.code for one in s.box.execute([raw], s.stage.time_ms)]
            done.add(name := s.box.rules.names[type(message)])
            assert (codes == ["frozen"]) == (name not in DEFENCES), name
    assert done >= DEFENCES - {"identity.end_mandate"}
    s.stage.act("ann", pay(s, "bo", 1), refused="frozen")
    s.stage.act("ann", EndMandate(s["ann"], s["hal"]))
    assert {one.do for one in app.actions.values() if one.defends} == DEFENCES


PERSONAL = {
    "identity.close_session",
    "identity.end_mandate",
    "identity.freeze",
    "identity.mandate",
    "identity.name_guardians",
    "identity.open_session",
    "identity.recover",
    "identity.rotate",
    "identity.show_box_key",
    "identity.succeed",
    "identity.support",
    "identity.veto",
}


def test_what_is_personal_no_delegate_signs_whatever_the_scope() -> None:
    s = scene()
    until_ms = s.stage.time_ms + DAY_MS
    s.stage.act("ann", OpenSession(s.key("phone"), ("identity", "money"), until_ms), also=("phone",))
    for case in CASES:
        if case.actor == "ann" and case.code == "ok":
            message = case.message(s)
            raw = s.stage.sign(("ann", message), also=case.also, by=("phone",))
            code = s.stage.send([raw])[0].code
            assert (code == "not_signed") == (s.box.rules.names[type(message)] in PERSONAL), code
    assert {one.do for one in app.actions.values() if one.personal} == PERSONAL
