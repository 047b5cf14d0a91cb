"""What may be asked: what an account may do, what applications answer, what is in force; and that asking is bounded."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metrobloc import app
from metrobloc.city.charity.rules import totals
from metrobloc.commons.money.types import Issue
from metrobloc.commons.stage import Stage
from metrobloc.engine.frozen import Frozen, TooManyRows
from metrobloc.engine.solo import Solo
from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.types import Code, Total
from metrobloc.surface.http import asking
from metrobloc.surface.http.answers import TurnedAway
from tests.surface.city import Node

Answer = dict[str, Any]


def actions(node: Node, account: str, record: str = "") -> dict[str, Answer]:
    """Ask what an account may do."""
    told = node.http.get(f"/v1/may/{account}", params={"record": record} if record else {})
    assert told.status_code == 200, told.text
    return {one["do"]: one for one in told.json()["actions"]}


def test_every_action_is_answered_with_what_is_lacking(node: Node) -> None:
    stage = node.stage()
    bank, ann = actions(node, stage.account("bank")), actions(node, stage.account("ann"))
    every = [action.do for module in app.modules().values() for action in module.actions.values()]
    assert list(bank) == list(ann) == every
    assert bank["money.issue"] == {"do": "money.issue", "allowed": True, "allow": "role bank"}
    assert ann["money.issue"] == {"do": "money.issue", "allowed": False, "allow": "role bank", "lacks": ["bank"]}
    assert ann["charity.cancel"]["lacks"] == ["charity", "office"]
    assert ann["charity.give"]["allowed"]
    told = node.http.get(f"/v1/may/{stage.account('bank')}").json()
    assert "bank" in told["roles"]


def test_a_record_is_answered_with_what_can_be_done_with_it(node: Node) -> None:
    stage = node.stage()
    page = node.http.get("/v1/tables/charity/campaigns").json()
    finished = next(item["key"] for item in page["items"] if item["value"].get("state") == "settled")
    found = actions(node, stage.account("charity"), f"charity/campaigns/{finished}")
    verbs = (
        "give offer_match extend_match verify approve close cancel present finish agree_surplus move_surplus publish"
    )
    assert set(found) == {f"charity.{verb}" for verb in (*verbs.split(), "raise_flag", "hand_over")}
    assert found["charity.give"]["needs"] == ["amount"]
    assert (found["charity.offer_match"]["field"], found["charity.offer_match"]["code"]) == ("campaigns", "not_allowed")
    assert (found["charity.cancel"]["field"], found["charity.cancel"]["code"]) == ("campaign", "charity.not_open")
    assert found["charity.cancel"]["sentence"].endswith(".")
    page = node.http.get("/v1/tables/charity/claims").json()
    paid = next(item["key"] for item in page["items"] if item["value"].get("state") == "paid")
    assert actions(node, stage.account("charity"), f"charity/claims/{paid}")["charity.settle"] == {
        "do": "charity.settle",
        "allowed": True,
        "allow": "role charity",
        "field": "claim",
        "needs": ["amount", "paid_before"],
    }
    account = actions(node, stage.account("office"), f"kernel/accounts/{stage.account('ann')}")
    assert account["identity.revoke"]["needs"] == ["role"]
    assert account["charity.set_up"]["field"] == "hospital"
    key = actions(node, stage.account("bank"), f"kernel/keys/{stage.key('ann').key_id}")
    assert key["identity.register"]["code"] == "kernel.keys_taken"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/may/me", 400, "bad_request"),
        ("/v1/may/" + "a" * 26, 404, "unknown_account"),
        ("/v1/may/ANN?record=charity/campaigns/none", 404, "not_found"),
        ("/v1/may/ANN?record=nothing", 400, "bad_request"),
        ("/v1/may/ANN?record=a/b/%0A", 400, "bad_request"),
        ("/v1/may/ANN?record=" + "a/b/" + "c" * 600, 400, "bad_request"),
        ("/v1/queries/charity/nothing", 404, "not_found"),
        ("/v1/queries/nothing/totals", 404, "not_found"),
        ("/v1/queries/kernel/totals", 404, "not_found"),
        ("/v1/queries/charity/totals?of=1", 400, "bad_request"),
        ("/v1/queries/identity/acting_for?account=" + "a" * 26, 404, "kernel.accounts_unknown"),
        ("/v1/queries/charity/totals?%FF=%FF", 400, "bad_request"),
    ],
)
def test_what_cannot_be_asked_is_told_why(node: Node, path: str, status: int, code: str) -> None:
    answer = node.http.get(path.replace("ANN", node.stage().account("ann")))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_query_answers_at_a_height(node: Node) -> None:
    told = node.http.get("/v1/queries/charity/totals").json()
    assert told["height"] == node.http.get("/v1/status").json()["height"]
    assert told["value"]["cny"]["campaigns"] >= 2


def test_parameters_in_force_are_told_with_their_limits(node: Node) -> None:
    told = node.http.get("/v1/params").json()
    found = {f"{one['module']}.{one['name']}": one for one in told["params"]}
    assert set(found) == {f"{m.name}.{name}" for m in app.modules().values() for name in m.params}
    delay = found["identity.rotation_delay_ms"]
    assert (delay["value"], delay["least"], delay["unit"]) == (86_400_000, 60_000, "ms")


@pytest.fixture
def solo(city: Path) -> Iterator[Solo]:
    node = Solo.open(city, app.modules())
    yield node
    node.close()


def test_a_snapshot_stays_as_it_was_and_reads_as_the_store_does(solo: Solo) -> None:
    frozen = Frozen(solo.store, 1_000_000)
    stage = Stage(solo.machine.rules, solo.execute, solo.machine.time_ms)
    before = solo.store.scan(b"money/", None, 1000)
    for _ in range(3):
        stage.act("bank", Issue("cny", stage.account("ann"), 1))
    assert solo.store.scan(b"money/", None, 1000) != before
    assert frozen.scan(b"money/", None, 1000) == before
    assert frozen.height == solo.machine.height - 3
    for reader in (solo.store, Frozen(solo.store, 1_000_000)):
        key, value = reader.scan(b"kernel/accounts/", None, 1)[0]
        assert reader.get(key) == value
        assert reader.get(key[:-1]) is None
        assert reader.scan(b"kernel/accounts/", key, 1)[0][0] > key
        assert len(reader.scan_index(b"kernel/deadlines_by_time/", None, 9)) <= 9
    assert View(Frozen(solo.store, 10)).reader.get(b"none") is None


def test_a_question_cannot_read_for_ever(solo: Solo) -> None:
    with pytest.raises(TooManyRows):
        totals(View(Frozen(solo.store, 2)))
    view = View(Frozen(solo.store, 50))
    with pytest.raises(TooManyRows):
        consume(view[system.accounts].get("absent") for _ in range(51))
    assert asking.TOO_MUCH.endswith(".")


def consume(found: Iterable[object]) -> None:
    """Go through all."""
    deque(found, 0)


def ask_for(view: View, asset: Code, twice: tuple[Code, ...] = (), most: Total = 3) -> int:
    """Ask."""
    return most


def test_a_query_reads_its_parameters_strictly() -> None:
    read = asking.read_arguments
    assert read(ask_for, [("asset", "cny")]) == {"asset": "cny", "twice": (), "most": 3}
    given = [("asset", "a"), ("twice", "b"), ("twice", "c"), ("most", "4")]
    assert read(ask_for, given) == {"asset": "a", "twice": ("b", "c"), "most": 4}
    for bad in ([], [("asset", "a"), ("asset", "b")], [("asset", "A")], [("asset", "a"), ("most", "-1")]):
        with pytest.raises(TurnedAway) as turned:
            read(ask_for, bad)
        assert (turned.value.status, turned.value.code) == (400, "bad_request")
