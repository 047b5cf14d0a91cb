"""How stores, rights, entries and reports live and end, and what can be asked about them."""

from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.commons.identity.types import Revoke as RevokeRole
from metrobloc.commons.vault.rules import custodians, entries, queries, reports
from metrobloc.commons.vault.rules.declared import DAY_MS
from metrobloc.commons.vault.test_rules import NOBODY, digest, entry, many, scene
from metrobloc.commons.vault.types import (
    ENVELOPES_MAX,
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
    Opening,
    Receive,
    ReportMissing,
    Revoke,
)
from metrobloc.kernel import codec
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.system import Limits
from metrobloc.testing.sandbox import START_MS

DAY_MINUTES = 24 * 60
WEEK_MS = 7 * DAY_MS


def test_a_closed_store_and_one_without_its_role_take_nothing_and_keep_what_they_have() -> None:
    s = scene()
    s.stage.act("custodian", CloseStore())
    s.stage.act("custodian", CloseStore(), refused="vault.closed")
    s.stage.act("ann", entry(s), refused="vault.no_store")
    s.stage.act("custodian", Acknowledge(s["new"]))
    s.stage.act("custodian", OfferStore("local:elsewhere"))
    assert s.box.view[custodians].get(s["custodian"]).url == "local:elsewhere"  # type: ignore[union-attr]
    s.stage.act("ann", entry(s))
    s.stage.act("office", RevokeRole(s["custodian"], "custodian"))
    s.stage.act("ann", entry(s), refused="vault.no_store")
    s.stage.act("custodian", HandOut(s["old"], s["bo"]), ConfirmErasure(s["gone"]))
    assert not s.box.broken()


def test_a_custodian_is_counted_what_it_holds() -> None:
    s = scene()
    told = s.box.view[custodians].get(s["custodian"])
    assert told is not None
    assert (told.url, told.since_ms, told.closed, told.unanswered) == ("local:custodian", told.since_ms, False, 0)
    assert (told.entries, told.held_bytes) == (4, 4000)


def test_an_entry_has_so_many_envelopes_with_those_to_be_deleted() -> None:
    s = scene()
    shares = many(s, ENVELOPES_MAX)
    made = s.stage.act("ann", entry(s, *shares[:16])).ids[0]
    rest = [Grant(made, one.recipient, one.envelope, "care") for one in shares[16:]]
    s.stage.act("ann", *rest[:8])
    s.stage.act("ann", *rest[8:])
    bo = Grant(made, s["bo"], digest("bo"), "care")
    s.stage.act("ann", bo, refused="vault.too_many_envelopes")
    again = Grant(made, shares[0].recipient, digest("again"), "care")
    s.stage.act("ann", again, refused="vault.too_many_envelopes")
    s.stage.act("ann", Grant(made, shares[0].recipient, shares[0].envelope, "research"))
    s.stage.act("ann", Revoke(made, shares[1].recipient))
    s.stage.act("ann", bo, refused="vault.too_many_envelopes")
    s.stage.act("custodian", ConfirmDeletion(made, (shares[1].envelope,)))
    s.stage.act("ann", bo)
    s.stage.act("ann", Erase(made))  # the most work that it can be
    found = s.box.view[entries].get(made)
    assert found is not None
    assert (found.readers, len(found.undeleted)) == ((), ENVELOPES_MAX)
    s.stage.act("custodian", ConfirmErasure(made))
    assert not s.box.broken()


def test_a_right_ends_by_itself_and_its_envelope_is_to_be_deleted() -> None:
    s = scene()
    s.stage.wait(DAY_MINUTES)
    s.stage.act("bo", Receive(s["old"], "care"), refused="vault.not_reader")
    found = s.box.view[entries].get(s["old"])
    assert found is not None
    assert s["bo"] not in found.readers
    assert found.undeleted == (digest("cy"), digest("bo"))
    assert not s.box.broken()


def test_a_right_that_was_given_anew_ends_when_the_new_one_does() -> None:
    for until_ms in (0, START_MS + 2 * DAY_MS):
        for sealed in ("bo", "again"):
            s = scene()
            s.stage.act("ann", Grant(s["old"], s["bo"], digest(sealed), "care", until_ms))
            assert not s.box.broken()
            s.stage.wait(DAY_MINUTES)
            s.stage.act("bo", Receive(s["old"], "care"))
            s.stage.wait(DAY_MINUTES)
            s.stage.act("bo", Receive(s["old"], "care"), refused="vault.not_reader" if until_ms else "ok")
            found = s.box.view[entries].get(s["old"])
            assert found is not None
            replaced = (digest("bo"),) if sealed == "again" else ()
            ended = (digest(sealed),) if until_ms else ()
            assert found.undeleted == (digest("cy"), *replaced, *ended)


def test_an_entry_is_erased_on_its_last_day() -> None:
    s = scene()
    made = s.stage.act("ann", entry(s, keep_until_ms=START_MS + DAY_MS)).ids[0]
    other = s.stage.act("ann", entry(s, keep_until_ms=START_MS + DAY_MS)).ids[0]
    s.stage.act("ann", Keep(other, START_MS + 3 * DAY_MS), ReportMissing(made))
    s.stage.wait(DAY_MINUTES)
    s.stage.act("ann", Receive(made, "own_copy"), refused="vault.erased")
    s.stage.act("ann", Receive(other, "own_copy"))
    s.stage.act("custodian", Answer(made, found=True), refused="vault.reports_unknown")
    s.stage.act("ann", Erase(other))
    s.stage.wait(3 * DAY_MINUTES)
    s.stage.act("custodian", ConfirmErasure(made), ConfirmErasure(other))
    assert not s.box.broken()
    for key in (made, other):
        found = s.box.view[entries].get(key)
        assert found is not None
        assert found.created_ms < found.erased_ms < found.destroyed_ms
        assert (found.digest, found.content, found.undeleted) == (digest("bytes"), digest("content"), ())


def test_what_has_ended_has_ended_though_the_queue_is_behind() -> None:
    keys = [(role, demo_key(role)) for role in ROLES]
    founders = tuple(Founder(key.key_id, 1_000_000, (role,)) for role, key in keys if key is not None)
    slow = Genesis(founders, ("identity", "vault"), "demo-slow", START_MS, Limits(deadlines_per_block=1))
    s = scene(codec.encode(slow))
    until_ms = START_MS + DAY_MS
    made = [s.stage.act("ann", entry(s, keep_until_ms=until_ms)).ids[0] for _ in range(3)]
    s.stage.act("ann", *(Grant(key, s["cy"], digest(f"cy {key}"), "care", until_ms) for key in made))
    s.stage.act("ann", *(Grant(s[name], s["bo"], digest(f"bo {name}"), "care", until_ms) for name in ("lost", "new")))
    s.stage.time_ms = until_ms - 1000  # the next block is at the very end
    raws = [s.stage.sign(("ann", Receive(key, "own_copy"))) for key in made]
    raws += [s.stage.sign(("cy", ReportMissing(key))) for key in made]
    held = ("old", "lost", "new")
    raws += [s.stage.sign(("bo", Receive(s[name], "care"))) for name in held]
    raws += [s.stage.sign(("custodian", HandOut(s[name], s["bo"]))) for name in held]
    codes = [outcome.code for outcome in s.stage.send(raws)]
    assert codes == [*["vault.erased"] * 6, *["vault.not_reader"] * 3, *["vault.no_reader"] * 3]


def test_a_report_is_answered_in_time_or_held_against_the_custodian() -> None:
    s = scene()
    s.stage.act("ann", ReportMissing(s["new"]))
    s.stage.act("custodian", Answer(s["new"], found=True))
    assert s.box.view[entries].get(s["new"]).lost_ms == 0  # type: ignore[union-attr]
    s.stage.act("ann", ReportMissing(s["new"]))
    due_ms = s.box.view[reports].get(s["old"]).due_ms  # type: ignore[union-attr]
    assert due_ms == s.box.view[reports].get(s["old"]).since_ms + WEEK_MS  # type: ignore[union-attr]
    assert queries.duties(s.box.view, s["custodian"])[s["old"]] == {"delete": (digest("cy"),), "answer_by_ms": due_ms}
    s.stage.act("custodian", Answer(s["new"], found=False))
    s.stage.wait(7 * DAY_MINUTES)
    s.stage.act("custodian", Answer(s["old"], found=True), refused="vault.reports_unknown")
    assert s.box.view[custodians].get(s["custodian"]).unanswered == 1  # type: ignore[union-attr]
    found = {name: s.box.view[entries].get(s[name]) for name in ("old", "new")}
    assert all(one is not None and one.lost_ms for one in found.values())
    s.stage.act("custodian", Acknowledge(s["old"]))
    assert s.box.view[entries].get(s["old"]).lost_ms == 0  # type: ignore[union-attr]
    assert not s.box.broken()


def test_it_can_be_asked_who_may_what_and_who_has() -> None:
    s = scene()
    assert list(queries.who_may_read(s.box.view, s["old"])) == sorted((s["ann"], s["bo"], s["dan"]))
    assert queries.who_may_read(s.box.view, s["old"])[s["bo"]].envelope == digest("bo")
    assert queries.who_may_read(s.box.view, s["gone"]) == queries.who_may_read(s.box.view, NOBODY) == {}
    assert list(queries.readable(s.box.view, s["bo"])) == [s["old"]]
    assert queries.readable(s.box.view, s["cy"]) == {}
    assert sorted(queries.readable(s.box.view, s["ann"])) == sorted(s[name] for name in ("old", "lost", "new"))
    s.stage.act("bo", Receive(s["old"], "research"))
    s.stage.act("custodian", HandOut(s["old"], s["dan"]))
    bo, dan = queries.openings_of(s.box.view, s["old"])
    assert bo == Opening(s["bo"], s["bo"], bo.opened_ms, "research", as_granted=False)
    assert dan == Opening(s["dan"], s["custodian"], bo.opened_ms + 1000, "care", as_granted=True)
    names = ("old", "gone", "dead", "lost", "new")
    assert sorted(queries.owned_by(s.box.view, s["ann"])) == sorted(s[name] for name in names)
    assert queries.owned_by(s.box.view, s["bo"]) == {}
    duties = queries.duties(s.box.view, s["custodian"])
    assert duties[s["gone"]] == {"destroy": True}
    assert duties[s["new"]] == {"acknowledge": True}
    assert sorted(duties) == sorted(s[name] for name in ("old", "gone", "new"))
    assert queries.duties(s.box.view, s["ann"]) == {}
