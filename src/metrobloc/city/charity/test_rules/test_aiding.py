"""Every invariant of calls and needs can fail: each finds a record that was changed behind the ledger's back."""

from typing import Any

import pytest

from metrobloc.city.charity import story
from metrobloc.city.charity.rules import calls, clusters, needs, supplies
from metrobloc.city.charity.test_rules import MODULES, NOBODY
from metrobloc.kernel import codec
from metrobloc.kernel.tables import Table
from metrobloc.testing.sandbox import Sandbox

DAMAGES: list[tuple[Table[str, Any], dict[str, object], str]] = [
    (calls, {"heard_ms": 0}, "every_call_stands_in_exactly_one_cluster"),
    (clusters, {"calls": 2}, "every_call_stands_in_exactly_one_cluster"),
    (clusters, {"severity": 4}, "a_cluster_is_as_bad_as_the_worst_of_its_calls_or_as_triage_says"),
    (clusters, {"rank": 1}, "linked_clusters_form_trees_with_a_short_way_up"),
    (clusters, {"reason": "answered"}, "linked_clusters_form_trees_with_a_short_way_up"),
    (calls, {"by": NOBODY}, "every_message_is_filed_as_one_call"),
    (clusters, {"campaign": None}, "a_cluster_that_is_handed_over_names_its_campaign"),
    (needs, {"verified": 1}, "no_more_is_received_than_shipped_than_promised_than_verified_than_wanted"),
    (supplies, {"shipped": 1}, "promises_and_lots_add_up"),
    (supplies, {"received": 1}, "promises_and_lots_add_up"),
    (needs, {"verifier": None}, "who_needs_does_not_verify_or_promise"),
]
FOUND = {name for _, _, name in DAMAGES}


@pytest.mark.parametrize(("table", "fields", "broken"), DAMAGES, ids=[str(place) for place in range(len(DAMAGES))])
def test_a_damaged_record_is_found(table: Table[str, Any], fields: dict[str, object], broken: str) -> None:
    box = Sandbox(MODULES)
    story.play(box.stage)
    assert not box.broken()
    key, record = next(iter(box.view[table].items()))
    box.memory.records.set(table.path(key).encode(), codec.encode(record.but(**fields)))
    assert f"charity.{broken}" in box.broken()
