"""Who may record, read, take back, answer and destroy, and what is refused: one line for each way."""

from pathlib import Path

import msgspec
import pytest

from metrobloc.commons.vault import story
from metrobloc.commons.vault.rules import app
from metrobloc.commons.vault.rules.declared import size_bytes_max
from metrobloc.commons.vault.test_rules import MODULES, NOBODY, digest, entry, scene
from metrobloc.commons.vault.types import (
    Acknowledge,
    Answer,
    CloseStore,
    ConfirmDeletion,
    ConfirmErasure,
    Erase,
    Grant,
    HandOut,
    Keep,
    OfferStore,
    Receive,
    ReportMissing,
    Revoke,
    Share,
)
from metrobloc.kernel import envelope
from metrobloc.testing.edges import Case, play, readme_refusals, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

test_generated = generated(MODULES, app, story.play)

CASES: list[Case] = [
    Case("custodian", lambda _: OfferStore("s3://bucket/prefix?endpoint=https://example.org"), "ok"),
    Case("custodian", lambda _: OfferStore("s3:x"), "ok"),
    Case("custodian", lambda _: OfferStore("s3:"), "vault.no_url"),
    Case("custodian", lambda _: OfferStore("s3://name:password@host/bucket"), "vault.no_url"),
    Case("custodian", lambda _: OfferStore("S3://bucket"), "vault.no_url"),
    Case("custodian", lambda _: OfferStore("s3://bucket/a b"), "vault.no_url"),
    Case("custodian", lambda _: OfferStore("s3://bücket"), "vault.no_url"),
    Case("ann", lambda _: OfferStore("local:ann"), "not_allowed"),
    Case("custodian", lambda _: CloseStore(), "ok"),
    Case("ann", lambda _: CloseStore(), "vault.custodians_unknown"),
    Case("ann", entry, "ok"),
    Case("eve", lambda s: entry(s, size_bytes=size_bytes_max.default), "ok"),
    Case("eve", lambda s: entry(s, size_bytes=size_bytes_max.default + 1), "vault.too_large"),
    Case("ann", lambda s: entry(s, custodian=s["office"]), "vault.no_store"),
    Case("ann", lambda s: entry(s, custodian=NOBODY), "vault.no_store"),
    Case("ann", lambda s: entry(s, Share(s["eve"], digest("eve"), "care")), "vault.no_box_key"),
    Case("ann", lambda s: entry(s, *[Share(s["bo"], digest(n), "care") for n in (1, 2)]), "vault.twice_named"),
    Case("ann", lambda s: entry(s, *[Share(s[n], digest(1), "care") for n in ("ann", "bo")]), "vault.envelope_used"),
    Case("ann", lambda s: entry(s, Share(s["bo"], digest(1), "care", START_MS)), "vault.in_the_past"),
    Case("ann", lambda s: entry(s, keep_until_ms=s.stage.time_ms + 1000), "vault.in_the_past"),
    Case("ann", lambda s: entry(s, keep_until_ms=s.stage.time_ms + 1001), "ok"),
    Case("custodian", lambda s: Acknowledge(s["new"]), "ok"),
    Case("custodian", lambda s: Acknowledge(s["old"]), "vault.acknowledged"),
    Case("custodian", lambda s: Acknowledge(s["lost"]), "ok"),
    Case("custodian", lambda s: Acknowledge(s["gone"]), "vault.erased"),
    Case("custodian", lambda _: Acknowledge(NOBODY), "vault.entries_unknown"),
    Case("ann", lambda s: Acknowledge(s["new"]), "vault.not_custodian"),
    Case("ann", lambda s: Grant(s["old"], s["cy"], digest("again"), "care"), "ok"),
    Case("ann", lambda s: Grant(s["old"], s["bo"], digest("bo"), "research"), "ok"),
    Case("ann", lambda s: Grant(s["old"], s["bo"], digest("other"), "care", s.stage.time_ms + 1001), "ok"),
    Case("ann", lambda s: Grant(s["old"], s["bo"], digest("o"), "care", s.stage.time_ms + 1000), "vault.in_the_past"),
    Case("ann", lambda s: Grant(s["old"], s["cy"], digest("cy"), "care"), "vault.envelope_used"),
    Case("ann", lambda s: Grant(s["old"], s["cy"], digest("dan"), "care"), "vault.envelope_used"),
    Case("ann", lambda s: Grant(s["old"], s["eve"], digest("eve"), "care"), "vault.no_box_key"),
    Case("bo", lambda s: Grant(s["old"], s["cy"], digest("again"), "care"), "vault.not_owner"),
    Case("ann", lambda s: Grant(s["gone"], s["cy"], digest("again"), "care"), "vault.erased"),
    Case("ann", lambda s: Revoke(s["old"], s["bo"]), "ok"),
    Case("bo", lambda s: Revoke(s["old"], s["bo"]), "ok"),
    Case("bo", lambda s: Revoke(s["old"], s["dan"]), "vault.not_owner"),
    Case("custodian", lambda s: Revoke(s["old"], s["dan"]), "vault.not_owner"),
    Case("ann", lambda s: Revoke(s["old"], s["cy"]), "vault.readers_unknown"),
    Case("ann", lambda s: Keep(s["old"], s.stage.time_ms + 1001), "ok"),
    Case("ann", lambda s: Keep(s["old"], s.stage.time_ms + 1000), "vault.in_the_past"),
    Case("ann", lambda s: Keep(s["old"]), "ok"),
    Case("bo", lambda s: Keep(s["old"]), "vault.not_owner"),
    Case("ann", lambda s: Keep(s["gone"]), "vault.erased"),
    Case("ann", lambda s: Erase(s["old"]), "ok"),
    Case("bo", lambda s: Erase(s["old"]), "vault.not_owner"),
    Case("custodian", lambda s: Erase(s["old"]), "vault.not_owner"),
    Case("ann", lambda s: Erase(s["gone"]), "vault.erased"),
    Case("custodian", lambda s: ConfirmDeletion(s["old"], (digest("cy"),)), "ok"),
    Case("custodian", lambda s: ConfirmDeletion(s["old"], (digest("cy"),) * 2), "vault.no_such_envelope"),
    Case("custodian", lambda s: ConfirmDeletion(s["old"], (digest("bo"),)), "vault.no_such_envelope"),
    Case("custodian", lambda s: ConfirmDeletion(s["dead"], (digest("for ann"),)), "vault.no_such_envelope"),
    Case("ann", lambda s: ConfirmDeletion(s["old"], (digest("cy"),)), "vault.not_custodian"),
    Case("custodian", lambda s: ConfirmErasure(s["gone"]), "ok"),
    Case("custodian", lambda s: ConfirmErasure(s["dead"]), "vault.destroyed"),
    Case("custodian", lambda s: ConfirmErasure(s["old"]), "vault.not_erased"),
    Case("ann", lambda s: ConfirmErasure(s["gone"]), "vault.not_custodian"),
    Case("bo", lambda s: Receive(s["old"], "care"), "ok"),
    Case("cy", lambda s: Receive(s["old"], "care"), "vault.not_reader"),
    Case("custodian", lambda s: Receive(s["old"], "care"), "vault.not_reader"),
    Case("ann", lambda s: Receive(s["gone"], "care"), "vault.erased"),
    Case("bo", lambda _: Receive(NOBODY, "care"), "vault.entries_unknown"),
    Case("custodian", lambda s: HandOut(s["old"], s["bo"]), "ok"),
    Case("custodian", lambda s: HandOut(s["old"], s["cy"]), "vault.no_reader"),
    Case("custodian", lambda s: HandOut(s["gone"], s["ann"]), "vault.erased"),
    Case("bo", lambda s: HandOut(s["old"], s["bo"]), "vault.not_custodian"),
    Case("ann", lambda s: ReportMissing(s["new"]), "ok"),
    Case("ann", lambda s: ReportMissing(s["old"]), "vault.reports_taken"),
    Case("ann", lambda s: ReportMissing(s["lost"]), "vault.lost"),
    Case("ann", lambda s: ReportMissing(s["gone"]), "vault.erased"),
    Case("cy", lambda s: ReportMissing(s["old"]), "vault.not_reader"),
    Case("custodian", lambda s: Answer(s["old"], found=True), "ok"),
    Case("custodian", lambda s: Answer(s["old"], found=False), "ok"),
    Case("custodian", lambda s: Answer(s["new"], found=True), "vault.reports_unknown"),
    Case("ann", lambda s: Answer(s["old"], found=True), "vault.not_custodian"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_told() -> None:
    met_below = {"vault.closed", "vault.entries_taken", "vault.too_many_envelopes"}
    assert unmet(app, CASES) == met_below
    assert readme_refusals(Path(__file__).parents[1], app) == app.refusals


def test_an_id_is_given_out_once() -> None:
    s = scene()
    codes = []
    for size in (1, 2):
        payload = s.stage.payload(("ann", entry(s, size_bytes=size)))
        raw = envelope.sign(msgspec.structs.replace(payload, salt="5a" * 16), [s.stage.key("ann")])
        codes.append(s.stage.send([raw])[0].code)
    assert codes == ["ok", "vault.entries_taken"]
