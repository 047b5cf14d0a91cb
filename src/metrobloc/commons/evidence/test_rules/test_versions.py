"""Versions form one chain each, whatever is done to them, and every invariant can fail."""

import random
from itertools import pairwise

import pytest

from metrobloc.commons.evidence.rules import (
    HISTORY_MAX,
    chains,
    current,
    evidence,
    history,
)
from metrobloc.commons.evidence.test_rules import NOBODY, ONE, TWO, newer, scene
from metrobloc.commons.evidence.types import Countersign, Supersede, Withdraw
from metrobloc.kernel import codec
from metrobloc.kernel.types import Message


def test_any_version_leads_to_the_current_one_and_to_all_others() -> None:
    s = scene()
    assert current(s.box.view, NOBODY) == {}
    assert history(s.box.view, NOBODY) == []
    for name in ("old", "new"):
        assert current(s.box.view, s[name])["evidence"] == s["new"]
        found = history(s.box.view, s[name])
        assert [one["evidence"] for one in found] == [s["new"], s["old"]]
        assert found[1]["version"] == s.box.view[evidence].get(s["old"])
    for _ in range(0, HISTORY_MAX, 10):
        made = s["new"]
        for _ in range(10):
            made = s.stage.act("notary", newer(s, "new")).ids[0]
            s.ids["new"] = made
    found = history(s.box.view, s["old"])
    assert len(found) == HISTORY_MAX
    assert found[0]["evidence"] == s["new"]
    assert s["old"] not in [one["evidence"] for one in found]
    assert not s.box.broken()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_done_to_versions_there_is_one_line_of_them(seed: int) -> None:
    """Replace, withdraw and sign at random: every walk back meets each version once, the newest is the only current."""
    chance = random.Random(seed)  # chance that can be repeated is wanted
    s = scene()
    known = [s[name] for name in ("deed", "new", "asked")]
    for _ in range(60):
        key, who = chance.choice(known), chance.choice(("notary", "civil_affairs", "flo", "ann"))
        if chance.randrange(8) == 0:
            message: Message = chance.choice((Withdraw(key, "mistaken"), Countersign(key)))
        else:
            message = Supersede(key, "archive", s.stage.time_ms, TWO)
        outcome = s.stage.send([s.stage.sign((who, message))])[0]
        if outcome.code == "ok" and isinstance(message, Supersede):
            known += [item for item, _ in s.box.view[evidence].items() if item not in known]
    assert not s.box.broken()
    lengths = []
    for first, chain in s.box.view[chains].items():
        line = [str(one["evidence"]) for one in history(s.box.view, first)]
        assert (line[0], line[-1], len(set(line))) == (chain.current, first, chain.versions)
        for new, old in pairwise(line):
            one = s.box.view[evidence].get(old)
            assert one is not None
            assert one.superseded_by == new
        lengths.append(len(line))
    assert max(lengths) > 3


CHAIN = "every_chain_of_versions_ends_at_its_beginning_without_a_circle_or_a_fork"
ORDER = "versions_of_a_document_share_kind_and_subject_and_follow_each_other_in_time"
HANDS = "nobody_signs_evidence_unasked_or_twice_and_it_has_one_hash"
CURRENT = "every_document_has_exactly_one_current_version"
DAMAGES: list[tuple[str, dict[str, object], set[str]]] = [
    ("old", {"superseded_by": None}, {CURRENT, CHAIN}),
    ("old", {"superseded_by": NOBODY}, {CHAIN}),
    ("old", {"previous": NOBODY}, {CHAIN, ORDER}),
    ("old", {"first": NOBODY}, {CURRENT, CHAIN}),
    ("new", {"version": 3}, {CHAIN}),
    ("new", {"previous": None}, {CHAIN}),
    ("new", {"superseded_by": NOBODY}, {CURRENT, CHAIN}),
    ("new", {"kind": "receipt"}, {ORDER}),
    ("new", {"about": NOBODY}, {ORDER}),
    ("new", {"lodged_ms": 5, "dated_ms": 5}, {ORDER}),
    ("deed", {"lodged_ms": 5}, {ORDER}),
    ("asked", {"signed": [NOBODY]}, {HANDS}),
    ("asked", {"cosigners": ["ann", "notary"]}, {HANDS}),
    ("asked", {"signed": ["ann", "ann"]}, {HANDS}),
    ("deed", {"digest": None}, {HANDS}),
    ("deed", {"commitment": ONE}, {HANDS}),
    ("deed", {"withdrawn": "forged"}, {"only_current_evidence_is_withdrawn"}),
    ("old", {"withdrawn": "forged", "withdrawn_ms": 5}, {"only_current_evidence_is_withdrawn"}),
]


@pytest.mark.parametrize(("name", "changes", "broken"), DAMAGES)
def test_a_damaged_record_breaks_what_it_should(name: str, changes: dict[str, object], broken: set[str]) -> None:
    s = scene()
    assert not s.box.broken()
    one = s.box.view[evidence].get(s[name])
    assert one is not None
    named = {
        field: tuple(who if who == NOBODY else s[who] for who in value) if isinstance(value, list) else value
        for field, value in changes.items()
    }
    path = evidence.path(s[name]).encode()
    s.box.memory.records.set(path, codec.encode(one.but(**named)))
    assert set(s.box.broken()) == {f"evidence.{sentence}" for sentence in broken}
