"""Who may record, sign, replace and withdraw evidence, and what is remembered and told of it."""

import msgspec
import pytest

from metrobloc.commons.evidence import story
from metrobloc.commons.evidence.rules import (
    app,
    chains,
    evidence,
    kinds,
)
from metrobloc.commons.evidence.test_rules import HOUR_MS, MODULES, NOBODY, ONE, THING, TWO, newer, paper, scene
from metrobloc.commons.evidence.types import Chain, Countersign, DeclareKind, Lodge, Supersede, Withdraw
from metrobloc.commons.identity.types import Revoke
from metrobloc.kernel import envelope
from metrobloc.testing.edges import Case, play, unmet
from metrobloc.testing.generated import generated

test_generated = generated(MODULES, app, story.play)

NEVER = "evidence.not_signer"
CASES = [
    Case("office", lambda _: DeclareKind("plan", "A plan", "surveyor"), "ok"),
    Case("office", lambda _: DeclareKind("deed", "A deed", "company"), "ok"),
    Case("notary", lambda _: DeclareKind("plan", "A plan", "notary"), "not_allowed"),
    Case("notary", paper, "ok"),
    Case("flo", paper, "ok"),
    Case("notary", lambda s: paper(s, digest=None, commitment=ONE), "ok"),
    Case("ann", paper, "evidence.not_entitled"),
    Case("civil_affairs", paper, "evidence.not_entitled"),
    Case("notary", lambda s: paper(s, "poem"), "evidence.kinds_unknown"),
    Case("notary", lambda s: paper(s, "receipt"), "evidence.not_entitled"),
    Case("notary", lambda s: paper(s, digest=None), "evidence.one_hash"),
    Case("notary", lambda s: paper(s, commitment=TWO), "evidence.one_hash"),
    Case("hospital", lambda s: paper(s, "receipt"), "evidence.keep_private"),
    Case("hospital", lambda s: paper(s, "receipt", digest=None, commitment=TWO), "ok"),
    Case("notary", lambda s: paper(s, dated_ms=0), "ok"),
    Case("notary", lambda s: paper(s, dated_ms=s.stage.time_ms + 1001), "evidence.in_the_future"),
    Case("notary", lambda s: paper(s, until_ms=s.stage.time_ms + 1000), "evidence.in_the_past"),
    Case("notary", lambda s: paper(s, until_ms=s.stage.time_ms + 1001), "ok"),
    Case("notary", lambda s: paper(s, cosigners=(s["ann"], s["bo"])), "ok"),
    Case("notary", lambda s: paper(s, cosigners=(s["ann"], s["ann"])), "evidence.twice_named"),
    Case("notary", lambda s: paper(s, cosigners=(s["ann"], s["notary"])), "evidence.own_cosigner"),
    Case("notary", lambda s: paper(s, cosigners=(s["ann"], NOBODY)), "kernel.accounts_unknown"),
    Case("notary", lambda s: newer(s, "deed"), "ok"),
    Case("notary", lambda s: newer(s, "new"), "ok"),
    Case("civil_affairs", lambda s: newer(s, "deed"), "ok"),
    Case("flo", lambda s: newer(s, "deed"), NEVER),
    Case("ann", lambda s: newer(s, "asked"), NEVER),
    Case("civil_affairs", lambda s: newer(s, "receipt", digest=None, commitment=TWO), NEVER),
    Case("hospital", lambda s: newer(s, "receipt", digest=None, commitment=TWO), "ok"),
    Case("hospital", lambda s: newer(s, "receipt"), "evidence.keep_private"),
    Case("notary", lambda s: newer(s, "old"), "evidence.superseded"),
    Case("notary", lambda s: newer(s, "gone"), "evidence.withdrawn"),
    Case("notary", lambda s: newer(s, "deed", evidence=NOBODY), "evidence.evidence_unknown"),
    Case("notary", lambda s: newer(s, "deed", digest=None), "evidence.one_hash"),
    Case("notary", lambda s: newer(s, "deed", dated_ms=s.stage.time_ms + 1001), "evidence.in_the_future"),
    Case("notary", lambda s: newer(s, "deed", until_ms=1), "evidence.in_the_past"),
    Case("notary", lambda s: newer(s, "deed", cosigners=(s["notary"],)), "evidence.own_cosigner"),
    Case("ann", lambda s: Countersign(s["asked"]), "ok"),
    Case("bo", lambda s: Countersign(s["asked"]), "ok"),
    Case("ann", lambda s: Countersign(s["deed"]), "evidence.not_asked"),
    Case("notary", lambda s: Countersign(s["asked"]), "evidence.not_asked"),
    Case("ann", lambda s: Countersign(s["old"]), "evidence.superseded"),
    Case("ann", lambda s: Countersign(s["gone"]), "evidence.withdrawn"),
    Case("ann", lambda _: Countersign(NOBODY), "evidence.evidence_unknown"),
    Case("notary", lambda s: Withdraw(s["deed"], "mistaken"), "ok"),
    Case("civil_affairs", lambda s: Withdraw(s["deed"], "court_order"), "ok"),
    Case("flo", lambda s: Withdraw(s["deed"], "mistaken"), NEVER),
    Case("civil_affairs", lambda s: Withdraw(s["receipt"], "court_order"), NEVER),
    Case("notary", lambda s: Withdraw(s["old"], "mistaken"), "evidence.superseded"),
    Case("notary", lambda s: Withdraw(s["gone"], "mistaken"), "evidence.withdrawn"),
    Case("notary", lambda _: Withdraw(NOBODY, "mistaken"), "evidence.evidence_unknown"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    below = {"expired", "signed_already", "wrong_kind", "wrong_subject", "wrong_signer", "not_cosigned"}
    below.add("evidence_taken")
    assert unmet(app, CASES) == {f"evidence.{code}" for code in below}


def test_what_was_said_of_a_document_is_remembered() -> None:
    s = scene()
    now_ms = s.stage.time_ms
    full = Lodge("deed", THING, "archive", 7, None, TWO, now_ms + HOUR_MS, (s["ann"],))
    made = s.stage.act("notary", full).ids[0]
    one = s.box.view[evidence].get(made)
    assert one is not None
    assert (one.kind, one.about, one.signer, one.source) == ("deed", THING, s["notary"], "archive")
    assert (one.dated_ms, one.lodged_ms, one.until_ms) == (7, now_ms + 1000, now_ms + HOUR_MS)
    assert (one.digest, one.commitment, one.cosigners, one.signed) == (None, TWO, (s["ann"],), ())
    assert (one.first, one.version, one.previous, one.superseded_by) == (made, 1, None, None)
    assert s.box.view[chains].get(made) == Chain(made, 1)
    made_newer = s.stage.act("civil_affairs", Supersede(made, "court", 8, ONE)).ids[0]
    two = s.box.view[evidence].get(made_newer)
    assert two is not None
    assert (two.kind, two.about, two.signer, two.source) == ("deed", THING, s["civil_affairs"], "court")
    assert (two.dated_ms, two.digest, two.commitment, two.until_ms, two.cosigners) == (8, ONE, None, 0, ())
    assert (two.first, two.version, two.previous, two.superseded_by) == (made, 2, made, None)
    assert s.box.view[chains].get(made) == Chain(made_newer, 2)
    assert s.box.view[evidence].get(made) == one.but(superseded_by=made_newer)
    s.stage.act("civil_affairs", Withdraw(made_newer, "court_order"))
    assert s.box.view[evidence].get(made_newer) == two.but(withdrawn="court_order", withdrawn_ms=s.stage.time_ms)
    shown = s.box.view[kinds].get("deed")
    assert shown is not None
    assert (shown.name, shown.role, shown.authority, shown.private) == ("A deed", "notary", "civil_affairs", False)


def test_receipts_tell_what_happened() -> None:
    s = scene()
    declared = s.stage.act("office", DeclareKind("plan", "A plan", "notary"))
    lodged = s.stage.act("notary", paper(s, cosigners=(s["ann"],)))
    made = lodged.ids[0]
    signed = s.stage.act("ann", Countersign(made))
    superseded = s.stage.act("civil_affairs", Supersede(made, "court", 8, ONE))
    last = superseded.ids[0]
    withdrawn = s.stage.act("civil_affairs", Withdraw(last, "forged"))
    receipts = (declared, lodged, signed, superseded, withdrawn)
    told = [(event.event, msgspec.json.decode(event.fields)) for one in receipts for event in one.events]
    assert told == [
        ("evidence.declared", {"kind": "plan", "role": "notary"}),
        ("evidence.lodged", {"evidence": made, "kind": "deed", "about": THING, "signer": s["notary"]}),
        ("evidence.countersigned", {"evidence": made, "account": s["ann"]}),
        ("evidence.superseded", {"evidence": made, "by": last}),
        ("evidence.withdrawn", {"evidence": last, "reason": "forged"}),
    ]
    assert [len(receipt.ids) for receipt in receipts] == [0, 1, 0, 1, 0]


def test_nobody_signs_twice_and_nothing_after_it_has_expired() -> None:
    s = scene()
    s.stage.act("ann", Countersign(s["asked"]))
    s.stage.act("ann", Countersign(s["asked"]), refused="evidence.signed_already")
    one = s.box.view[evidence].get(s["brief"])
    assert one is not None
    s.stage.time_ms = one.until_ms - 1000
    s.stage.act("ann", Countersign(s["brief"]), refused="evidence.expired")
    s = scene()
    s.stage.time_ms = one.until_ms - 1001
    s.stage.act("ann", Countersign(s["brief"]))


def test_whoever_has_lost_the_role_may_take_back_and_not_replace() -> None:
    s = scene()
    s.stage.act("office", Revoke(s["notary"], "notary"))
    s.stage.act("notary", newer(s, "deed"), refused="evidence.not_entitled")
    s.stage.act("notary", Withdraw(s["deed"], "mistaken"))


def test_an_authority_has_the_last_word_until_its_role_ends() -> None:
    s = scene()
    s.ids["last"] = s.stage.act("civil_affairs", newer(s, "deed")).ids[0]
    s.stage.act("notary", newer(s, "last"), refused=NEVER)
    s.stage.act("notary", Withdraw(s["last"], "mistaken"), refused=NEVER)
    s.stage.act("office", Revoke(s["civil_affairs"], "civil_affairs"))
    s.stage.act("civil_affairs", newer(s, "last"), refused="evidence.not_entitled")


def test_an_id_is_given_out_once() -> None:
    """Sign two papers with one salt: the second would have the first one's id."""
    s = scene()
    codes = []
    for message in (paper(s), paper(s, digest=TWO), newer(s, "deed")):
        payload = s.stage.payload(("notary", message))
        raw = envelope.sign(msgspec.structs.replace(payload, salt="5a" * 16), [s.stage.key("notary")])
        codes += [outcome.code for outcome in s.stage.send([raw])]
    assert codes == ["ok", "evidence.evidence_taken", "evidence.evidence_taken"]
