"""Credentials: who may issue, renew and revoke what, what is refused, and what a credential is at a time."""

from pathlib import Path

import msgspec
import pytest

from metrobloc.commons.credentials import story
from metrobloc.commons.credentials.rules import (
    DAY_MS,
    app,
    credentials,
    disowned,
    open_kinds,
    standing,
    status_at,
)
from metrobloc.commons.credentials.types import (
    Change,
    Credential,
    DeclareKind,
    Disown,
    Disownment,
    Issue,
    Kind,
    Reason,
    Renew,
    Resume,
    RetireKind,
    Revoke,
    Span,
    Standing,
    Suspend,
)
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.identity.types import Revoke as TakeRole
from metrobloc.kernel import envelope
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

NOBODY = "a" * 26
END = START_MS + 20 * DAY_MS
LONGEST = START_MS + 30 * DAY_MS

test_generated = generated([identity, app], app, story.play)


def paper(number: int) -> str:
    """Return a commitment."""
    return f"{number:064x}"


def scene() -> Scene:
    """Set the scene.

    Hospitals issue `care` for at most 30 days, schools `degree`, and `old` no longer. Of the hospital's, `good` is in
    force, `held` suspended, `gone` revoked. The school lost its role; it issued `orphan`, and `stayed` is suspended.
    """
    made = Scene([identity, app])
    stage = made.stage
    for name in ("ann", "school", "half"):
        stage.join(name)
    stage.act("office", DeclareKind("care", "Need of care", "hospital", 30), DeclareKind("old", "Old", "hospital", 9))
    stage.act("office", DeclareKind("degree", "Degree", "school", 3000), RetireKind("old"))
    for name, role in (("school", "school"), ("school", "issuer"), ("half", "hospital")):
        stage.act("office", Accredit(made[name], name, role, 10))
    issued = stage.act("hospital", Issue("care", (paper(1), paper(2), paper(3)), START_MS, END))
    made.ids |= zip(("good", "held", "gone"), issued.ids, strict=True)
    stage.act("hospital", Suspend(made["held"], "inquiry"), Revoke(made["gone"], "error"))
    issued = stage.act("school", Issue("degree", (paper(4), paper(5)), START_MS, END))
    made.ids |= zip(("orphan", "stayed"), issued.ids, strict=True)
    stage.act("school", Suspend(made["stayed"], "other"))
    stage.act("office", TakeRole(made["school"], "school"))
    return made


def issue(kind: str = "care", *papers: int, start: int = START_MS, end: int = END) -> Issue:
    """Issue something new."""
    return Issue(kind, tuple(paper(one) for one in papers or (9,)), start, end)


CASES: list[Case] = [
    Case("office", lambda _: DeclareKind("more", "More", "bank", 1), "ok"),
    Case("office", lambda _: DeclareKind("care", "Care", "bank", 1), "credentials.kinds_taken"),
    Case("office", lambda _: DeclareKind("old", "Old", "bank", 1), "credentials.kinds_taken"),
    Case("hospital", lambda _: DeclareKind("more", "More", "hospital", 1), "not_allowed"),
    Case("office", lambda _: RetireKind("care"), "ok"),
    Case("office", lambda _: RetireKind("old"), "credentials.retired"),
    Case("office", lambda _: RetireKind("none"), "credentials.kinds_unknown"),
    Case("hospital", lambda _: RetireKind("care"), "not_allowed"),
    Case("hospital", lambda _: issue(), "ok"),
    Case("hospital", lambda _: issue("care", *range(10, 74)), "ok"),
    Case("hospital", lambda _: issue("none"), "credentials.kinds_unknown"),
    Case("hospital", lambda _: issue("old"), "credentials.retired"),
    Case("hospital", lambda _: issue("degree"), "credentials.not_accredited"),
    Case("civil_affairs", lambda _: issue(), "credentials.not_accredited"),
    Case("school", lambda _: issue("degree"), "credentials.not_accredited"),
    Case("half", lambda _: issue(), "not_allowed"),
    Case("hospital", lambda _: issue(start=END, end=END), "credentials.backwards"),
    Case("hospital", lambda _: issue(start=END - 1), "ok"),
    Case("hospital", lambda s: issue(end=s.stage.time_ms + 1000), "credentials.in_the_past"),
    Case("hospital", lambda s: issue(end=s.stage.time_ms + 1001), "ok"),
    Case("hospital", lambda _: issue(end=LONGEST), "ok"),
    Case("hospital", lambda _: issue(end=LONGEST + 1), "credentials.too_long"),
    Case("hospital", lambda _: issue(start=END + 1, end=END + 30 * DAY_MS), "ok"),
    Case("hospital", lambda _: issue("care", 1), "credentials.commitments_taken"),
    Case("hospital", lambda _: issue("care", 3), "credentials.commitments_taken"),
    Case("hospital", lambda _: issue("care", 8, 8), "credentials.commitments_taken"),
    Case("hospital", lambda s: Renew(s["good"], paper(9), START_MS, END), "ok"),
    Case("hospital", lambda s: Renew(s["held"], paper(9), START_MS, END), "ok"),
    Case("hospital", lambda s: Renew(s["gone"], paper(9), START_MS, END), "credentials.revoked"),
    Case("hospital", lambda s: Renew(s["good"], paper(1), START_MS, END), "credentials.commitments_taken"),
    Case("hospital", lambda s: Renew(s["good"], paper(9), START_MS, LONGEST + 1), "credentials.too_long"),
    Case("hospital", lambda s: Renew(s["orphan"], paper(9), START_MS, END), "credentials.not_yours"),
    Case("hospital", lambda _: Renew(NOBODY, paper(9), START_MS, END), "credentials.credentials_unknown"),
    Case("school", lambda s: Renew(s["orphan"], paper(9), START_MS, END), "credentials.not_accredited"),
    Case("ann", lambda s: Renew(s["good"], paper(9), START_MS, END), "not_allowed"),
    Case("hospital", lambda s: Revoke(s["good"], "lost"), "ok"),
    Case("hospital", lambda s: Revoke(s["held"], "lost"), "ok"),
    Case("hospital", lambda s: Revoke(s["gone"], "lost"), "credentials.revoked"),
    Case("hospital", lambda s: Revoke(s["orphan"], "lost"), "credentials.not_yours"),
    Case("hospital", lambda _: Revoke(NOBODY, "lost"), "credentials.credentials_unknown"),
    Case("ann", lambda s: Revoke(s["good"], "lost"), "credentials.not_yours"),
    Case("ann", lambda s: Revoke(s["orphan"], "lost"), "credentials.not_yours"),
    Case("office", lambda s: Revoke(s["good"], "lost"), "credentials.not_yours"),
    Case("office", lambda s: Revoke(s["orphan"], "lost"), "ok"),
    Case("school", lambda s: Revoke(s["orphan"], "lost"), "ok"),
    Case("school", lambda s: Revoke(s["stayed"], "lost"), "ok"),
    Case("hospital", lambda s: Suspend(s["good"], "inquiry"), "ok"),
    Case("hospital", lambda s: Suspend(s["held"], "inquiry"), "credentials.not_in_force"),
    Case("hospital", lambda s: Suspend(s["gone"], "inquiry"), "credentials.revoked"),
    Case("office", lambda s: Suspend(s["good"], "inquiry"), "credentials.not_yours"),
    Case("office", lambda s: Suspend(s["orphan"], "inquiry"), "ok"),
    Case("school", lambda s: Suspend(s["orphan"], "inquiry"), "ok"),
    Case("ann", lambda s: Suspend(s["orphan"], "inquiry"), "credentials.not_yours"),
    Case("hospital", lambda s: Resume(s["held"]), "ok"),
    Case("hospital", lambda s: Resume(s["good"]), "credentials.not_suspended"),
    Case("hospital", lambda s: Resume(s["gone"]), "credentials.revoked"),
    Case("hospital", lambda s: Resume(s["stayed"]), "credentials.not_yours"),
    Case("office", lambda s: Resume(s["held"]), "credentials.not_yours"),
    Case("office", lambda s: Resume(s["stayed"]), "ok"),
    Case("school", lambda s: Resume(s["stayed"]), "credentials.not_accredited"),
    Case("office", lambda s: Disown(s["hospital"], START_MS), "ok"),
    Case("office", lambda s: Disown(s["ann"], s.stage.time_ms + 1000), "ok"),
    Case("office", lambda s: Disown(s["hospital"], s.stage.time_ms + 1001), "credentials.ahead"),
    Case("office", lambda _: Disown(NOBODY, START_MS), "kernel.accounts_unknown"),
    Case("hospital", lambda s: Disown(s["school"], START_MS), "not_allowed"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    met_below = {"suspended_too_often", "too_many", "credentials_taken"}
    assert unmet(app, CASES) == {f"credentials.{code}" for code in met_below}
    assert readme_refusals(Path(__file__).parent, app) == app.refusals


def record(s: Scene, name: str) -> Credential:
    """Return a credential."""
    found = s.box.view[credentials].get(s[name])
    assert found is not None
    return found


def now(s: Scene, name: str) -> object:
    """Ask what a credential is at the block's time."""
    return standing(s.box.view, s[name], s.stage.time_ms).get("standing")


def test_what_is_issued_is_remembered_as_it_was_said() -> None:
    s = scene()
    made = s.stage.act("hospital", issue("care", 9, 10, start=START_MS + 1, end=END))
    rows = [s.box.view[credentials].get(one) for one in made.ids]
    at_ms = s.stage.time_ms
    assert rows == [Credential(s["hospital"], "care", paper(number), at_ms, START_MS + 1, END) for number in (9, 10)]
    told = msgspec.json.decode(made.events[0].fields)
    assert told == {"credentials": list(made.ids), "issuer": s["hospital"], "kind": "care"}


def test_a_renewed_credential_names_the_one_that_replaces_it() -> None:
    s = scene()
    s.ids["new"] = s.stage.act("hospital", Renew(s["good"], paper(9), START_MS, END)).ids[0]
    at_ms = s.stage.time_ms
    assert record(s, "good").replaced_by == s["new"]
    assert record(s, "good").changes == (Change(at_ms, "revoked"),)
    assert record(s, "new") == Credential(s["hospital"], "care", paper(9), at_ms, START_MS, END)
    assert standing(s.box.view, s["good"], at_ms) == {
        "issuer": s["hospital"],
        "kind": "care",
        "standing": "revoked",
        "replaced_by": s["new"],
    }
    assert standing(s.box.view, s["good"], at_ms - 1)["standing"] == "in_force"
    assert standing(s.box.view, NOBODY, at_ms) == {}
    s.stage.act("hospital", Renew(s["good"], paper(10), START_MS, END), refused="credentials.revoked")
    assert not s.box.broken()


def test_it_stands_when_its_issuer_loses_a_role_and_whatever_the_role() -> None:
    for role in ("hospital", "issuer"):
        s = scene()
        s.stage.act("office", Revoke(s["good"], "error"), refused="credentials.not_yours")
        s.stage.act("office", TakeRole(s["hospital"], role))
        assert now(s, "good") == "in_force"
        lost = "not_allowed" if role == "issuer" else "credentials.not_accredited"
        s.stage.act("hospital", issue(), refused=lost)
        s.stage.act("hospital", Renew(s["good"], paper(9), START_MS, END), refused=lost)
        s.stage.act("hospital", Resume(s["held"]), refused="credentials.not_accredited")
        s.stage.act("office", Suspend(s["good"], "inquiry"))
        assert now(s, "good") == "suspended"
        s.stage.act("office", Resume(s["good"]))
        s.stage.act("hospital", Suspend(s["good"], "inquiry"))
        s.stage.act("office", Revoke(s["good"], "error"))
        assert now(s, "good") == "revoked"
        assert not s.box.broken()


def test_it_stands_when_its_issuers_accreditation_has_run_out() -> None:
    s = scene()
    ends_ms = s.stage.time_ms + DAY_MS
    s.stage.act("office", Accredit(s["hospital"], "Hospital", "issuer", 1000, until_ms=ends_ms))
    s.stage.act("hospital", issue("care", 9))
    s.stage.wait(24 * 60)
    s.stage.act("hospital", issue("care", 10), refused="not_allowed")
    assert now(s, "good") == "in_force"
    s.stage.act("office", Revoke(s["good"], "changed"))


def test_it_is_suspended_three_times_and_can_always_be_revoked() -> None:
    s = scene()
    for _ in range(3):
        s.stage.act("hospital", Suspend(s["good"], "inquiry"))
        s.stage.act("hospital", Resume(s["good"]))
    s.stage.act("hospital", Suspend(s["good"], "inquiry"), refused="credentials.suspended_too_often")
    s.stage.act("hospital", Revoke(s["good"], "request"))
    changes = record(s, "good").changes
    assert [change.state for change in changes] == [*["suspended", "in_force"] * 3, "revoked"]
    reasons: list[Reason | None] = [*["inquiry", None] * 3, "request"]  # type: ignore[list-item]
    assert [change.reason for change in changes] == reasons
    assert not s.box.broken()


def test_what_is_disowned_is_void_from_then_on_and_what_comes_later_stands() -> None:
    s = scene()
    s.ids["early"] = s.stage.act("hospital", issue("care", 20)).ids[0]
    from_ms = s.stage.time_ms + 1
    s.ids["first"] = s.stage.act("hospital", issue("care", 21)).ids[0]
    last = s.stage.act("office", Disown(s["hospital"], from_ms))
    to_ms = s.stage.time_ms
    assert msgspec.json.decode(last.events[0].fields) == {"from_ms": from_ms, "issuer": s["hospital"], "to_ms": to_ms}
    s.ids["late"] = s.stage.act("hospital", issue("care", 22)).ids[0]
    assert [now(s, name) for name in ("early", "first", "late", "orphan")] == [
        "in_force", "disowned", "in_force", "in_force",
    ]  # fmt: skip
    assert standing(s.box.view, s["first"], 0)["standing"] == "disowned"
    s.stage.act("office", Disown(s["hospital"], START_MS))
    assert s.box.view[disowned].get(s["hospital"]) == Disownment((Span(START_MS, s.stage.time_ms),))
    assert now(s, "late") == "disowned"
    s.ids["new"] = s.stage.act("hospital", Renew(s["late"], paper(23), START_MS, END)).ids[0]
    assert [now(s, name) for name in ("late", "new")] == ["disowned", "in_force"]
    assert not s.box.broken()


def test_what_comes_in_the_block_of_a_disowning_is_void_too() -> None:
    s = scene()
    raws = [s.stage.sign(("office", Disown(s["hospital"], s.stage.time_ms + 1000)))]
    raws += [s.stage.sign(("hospital", issue()))]
    outcomes = s.stage.send(raws)
    assert [outcome.code for outcome in outcomes] == ["ok", "ok"]
    found = [row for _, row in s.box.view[credentials].items() if row.commitment == paper(9)]
    assert status_at(found[0], END, s.box.view[disowned].get(s["hospital"])) == "disowned"


def test_an_issuer_is_disowned_for_four_spans_and_then_for_a_longer_one() -> None:
    s = scene()
    for _ in range(4):
        s.stage.act("office", Disown(s["hospital"], s.stage.time_ms + 1000))
    s.stage.act("office", Disown(s["hospital"], s.stage.time_ms + 1000), refused="credentials.too_many")
    found = s.box.view[disowned].get(s["hospital"])
    assert found is not None
    assert len(found.spans) == 4
    s.stage.act("office", Disown(s["hospital"], found.spans[2].from_ms))
    again = s.box.view[disowned].get(s["hospital"])
    assert again == Disownment((*found.spans[:2], Span(found.spans[2].from_ms, s.stage.time_ms)))
    assert not s.box.broken()


def test_nobody_takes_a_commitment_from_its_issuer() -> None:
    s = scene()
    s.stage.act("office", Accredit(s["half"], "Half", "issuer", 10))
    s.stage.act("half", issue("care", 1, 9))
    s.stage.act("hospital", issue("care", 9))
    s.stage.act("half", issue("care", 9), refused="credentials.commitments_taken")
    assert not s.box.broken()


def test_an_id_is_given_out_once() -> None:
    """Sign two with one salt: the second would have the first one's id."""
    s = scene()
    codes = []
    for number in (20, 21):
        payload = s.stage.payload(("hospital", issue("care", number)))
        raw = envelope.sign(msgspec.structs.replace(payload, salt="5a" * 16), [s.stage.key("hospital")])
        codes += [outcome.code for outcome in s.stage.send([raw])]
    assert codes == ["ok", "credentials.credentials_taken"]


def test_retired_kinds_are_not_listed_and_keep_their_past() -> None:
    s = scene()
    assert open_kinds(s.box.view) == {
        "care": Kind("Need of care", "hospital", 30),
        "degree": Kind("Degree", "school", 3000),
    }
    s.stage.act("office", RetireKind("care"))
    assert list(open_kinds(s.box.view)) == ["degree"]
    assert now(s, "good") == "in_force"


TERMS = Credential("a" * 26, "care", paper(1), issued_ms=10, from_ms=20, until_ms=40)
HELD = (Change(25, "suspended", "inquiry"), Change(30, "in_force"), Change(35, "revoked", "error"))
TIMES: list[tuple[Credential, int, Standing]] = [
    (TERMS, 0, "not_yet"),
    (TERMS, 19, "not_yet"),
    (TERMS, 20, "in_force"),
    (TERMS, 39, "in_force"),
    (TERMS, 40, "expired"),
    (TERMS.but(from_ms=5), 9, "not_yet"),
    (TERMS.but(from_ms=5), 10, "in_force"),
    (TERMS.but(changes=HELD), 24, "in_force"),
    (TERMS.but(changes=HELD), 25, "suspended"),
    (TERMS.but(changes=HELD), 29, "suspended"),
    (TERMS.but(changes=HELD), 30, "in_force"),
    (TERMS.but(changes=HELD), 34, "in_force"),
    (TERMS.but(changes=HELD), 35, "revoked"),
    (TERMS.but(changes=HELD), 99, "revoked"),
    (TERMS.but(changes=HELD[:1]), 39, "suspended"),
    (TERMS.but(changes=HELD[:1]), 40, "expired"),
    (TERMS.but(changes=(Change(12, "revoked", "error"),)), 11, "not_yet"),
    (TERMS.but(changes=(Change(12, "revoked", "error"),)), 12, "revoked"),
    (TERMS.but(changes=(Change(25, "suspended", "other"), Change(25, "in_force"))), 25, "in_force"),
]


@pytest.mark.parametrize(("credential", "time_ms", "expected"), TIMES)
def test_what_a_credential_is_at_a_time(credential: Credential, time_ms: int, expected: Standing) -> None:
    assert status_at(credential, time_ms) == expected
    assert status_at(credential, time_ms, Disownment((Span(0, 9), Span(11, 50)))) == expected
    for span in (Span(10, 10), Span(0, 10), Span(10, 50)):
        assert status_at(credential, time_ms, Disownment((span,))) == "disowned"
    assert status_at(credential, time_ms, Disownment((Span(0, 1), Span(9, 11)))) == "disowned"
