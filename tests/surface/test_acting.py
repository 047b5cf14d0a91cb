"""Acting for another on the command line and at the door: mandates, sessions, and who may do what."""

import json
from pathlib import Path

from tests.surface.city import Node, done, failed, say


def test_a_clerk_acts_for_a_bank_within_her_mandate(home: Path, node: Node, ann: str) -> None:
    at = ("--node", node.url)
    bank = node.stage().account("bank")
    give = ("money issue --asset cny --to ann --amount 7 --by ann --as", bank, *at)
    failed(home, 3, "not_signed", *give)
    done(home, "identity mandate --person ann --scope money.issue --until +2d --as bank", *at)
    assert "money.issued" in done(home, *give).out
    failed(home, 3, "not_signed", "money open-asset --asset xyz --name X --decimals 0 --by ann --as", bank, *at)
    failed(home, 3, "not_signed", "identity rotate --keys ann --by ann --as", bank, *at)

    may = done(home, "may ann --json", *at).json()
    assert [(one["account"], one["scope"]) for one in may["acts_for"]] == [(bank, ["money.issue"])]
    assert may["frozen_until_ms"] == 0
    assert f"In the name of {bank}: money.issue." in done(home, "may ann", *at).out
    who = done(home, "who money.issue --json", *at).json()
    assert [one["account"] for one in who["accounts"]] == [bank]
    assert [one["account"] for one in who["accounts"][0]["acting"]] == [ann]
    assert f"in its name: {ann}" in done(home, "who money.issue", *at).out
    assert done(home, "who money.set_limit --json", *at).json()["accounts"][0]["acting"] == []

    done(home, "identity end-mandate --person ann --as ann --institution", bank, *at)
    failed(home, 3, "not_signed", *give)
    assert done(home, "may ann --json", *at).json()["acts_for"] == []


def test_a_session_spends_up_to_its_ceiling(home: Path, node: Node, ann: str) -> None:
    at = ("--node", node.url)
    done(home, "key new phone")
    ceiling = json.dumps({"ledger": "money.balances", "book": "cny", "most": 500})
    done(home, "identity open-session --key phone --scope money.move --until +1d --as ann --ceilings", ceiling, *at)
    bank = node.stage().account("bank")

    def pay(amount: int) -> tuple[str, ...]:
        leg = json.dumps({"asset": "cny", "to": bank, "amount": amount})
        return ("money move --as ann --by phone --legs", leg, *at)

    done(home, *pay(300))
    failed(home, 1, "above_ceiling", *pay(201))
    done(home, *pay(200))
    failed(home, 1, "above_ceiling", *pay(1))
    rows = [json.loads(line) for line in done(home, "key list --json").out.splitlines()]
    session = next(row["key"] for row in rows if row["name"] == "phone")
    done(home, "identity close-session --as ann --session", session, *at)
    failed(home, 3, "not_signed", *pay(1))
    assert say(home, "identity acting-for --account", ann, "--json", *at).json()["value"] == []


def test_who_may_do_what_is_told_page_by_page(node: Node) -> None:
    stage = node.stage()
    everyone = node.http.get("/v1/who/charity.give").json()
    assert (everyone["anyone"], everyone["accounts"], everyone["next"]) == (True, [], None)
    several = node.http.get("/v1/who/identity.arbitrate").json()
    assert {one["account"] for one in several["accounts"]} == {stage.account("office"), stage.account("supervisor")}
    first = node.http.get("/v1/who/identity.arbitrate?limit=1").json()
    rest = node.http.get(f"/v1/who/identity.arbitrate?limit=1&after={first['next']}").json()
    assert [*first["accounts"], *rest["accounts"]] == several["accounts"]
    end = node.http.get(f"/v1/who/identity.arbitrate?limit=1&after={rest['next']}").json()
    assert (end["accounts"], end["next"]) == ([], None)
    for path, status in (("/v1/who/charity.nothing", 404), ("/v1/who/no%20name", 400)):
        answer = node.http.get(path)
        assert answer.status_code == status, answer.text
