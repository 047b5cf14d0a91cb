"""Every invariant can fail: a damaged record breaks it."""

import msgspec
import pytest

from metrobloc.commons.vault.rules import app, custodians, entries, openings, readers, reports
from metrobloc.commons.vault.test_rules import digest, scene
from metrobloc.commons.vault.types import ENVELOPES_MAX, Receive
from metrobloc.kernel import codec, system


@pytest.mark.parametrize("name", list(app.invariants))
def test_an_invariant_says_no_to_what_it_forbids(name: str) -> None:
    s = scene()
    s.stage.act("bo", Receive(s["old"], "care"))
    view, memory = s.box.view, s.box.memory
    check = app.invariants[name]
    assert check(view)
    entry, right = dict(view[entries].items()), dict(view[readers].items())
    old, gone, bo = entry[s["old"]], entry[s["gone"]], right[f"{s['bo']}/{s['old']}"]
    holder, report = dict(view[custodians].items())[s["custodian"]], dict(view[reports].items())[s["old"]]
    opening = openings.path((s["old"], f"{1:012d}"))
    wrong: dict[str, dict[str, msgspec.Struct | None]] = {
        "who_may_read_stands_in_the_entry": {
            entries.path(s["old"]): old.but(readers=old.readers[1:]),
            readers.path((s["bo"], s["old"])): None,
        },
        "nobody_may_read_what_is_erased": {
            entries.path(s["gone"]): gone.but(readers=(s["ann"],)),
            entries.path(s["old"]): old.but(erased_ms=1, readers=()),
            entries.path(s["dead"]): gone.but(destroyed_ms=1),
            entries.path(s["lost"]): gone.but(erased_ms=0, undeleted=(), destroyed_ms=1),
            entries.path(s["new"]): gone.but(deadline=s["new"]),
        },
        "an_envelope_is_for_one_reader_and_once": {
            readers.path((s["bo"], s["old"])): bo.but(envelope=digest("dan")),
            entries.path(s["old"]): old.but(undeleted=(digest("bo"),)),
            entries.path(s["new"]): old.but(undeleted=tuple(digest(n) for n in range(ENVELOPES_MAX))),
        },
        "a_custodian_holds_what_is_not_destroyed": {
            custodians.path(s["custodian"]): holder.but(entries=holder.entries + 1),
            entries.path(s["old"]): old.but(size_bytes=1),
            entries.path(s["new"]): old.but(destroyed_ms=1),
        },
        "openings_are_numbered_without_a_gap": {opening: None, entries.path(s["old"]): old.but(opened=2)},
        "what_ends_by_itself_has_a_deadline": {
            system.deadlines.path(report.deadline): None,
            readers.path((s["bo"], s["old"])): bo.but(until_ms=bo.until_ms + 1),
            reports.path(s["old"]): report.but(due_ms=1),
            entries.path(s["old"]): old.but(keep_until_ms=1),
        },
    }
    for path, record in wrong[name].items():
        before = memory.get(path.encode())
        memory.records.set(path.encode(), None if record is None else codec.encode(record))
        assert not check(view), path
        memory.records.set(path.encode(), before)
    assert check(view)
