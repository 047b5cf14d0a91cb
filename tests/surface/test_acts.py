"""Acts on the command line: made of drafts, shown as they are, tried out, approved by one after another."""

import json
from pathlib import Path

import msgspec
import pytest

from metrobloc.client import Draft
from metrobloc.kernel.context import derive_id
from tests.surface.city import Node, done, failed


def legs(to: str, fen: int) -> str:
    """Write a payment's legs."""
    return json.dumps({"amount": fen, "asset": "cny", "to": to})


@pytest.fixture
def bo(home: Path, node: Node) -> str:
    """Register a new key called bo on the running node and give her a little; answer her account."""
    key = done(home, "key new bo --json").json()
    done(home, "identity register --key bo --as bank --node", node.url)
    done(home, "money issue --asset cny --to bo --amount 20 --as bank --node", node.url)
    return str(key["account"])


def test_two_people_agree_over_days_on_what_a_third_has_written(
    home: Path, node: Node, ann: str, bo: str, tmp_path: Path
) -> None:
    at, other = ("--node", node.url), tmp_path / "other"
    price, fee = tmp_path / "price", tmp_path / "fee"
    for file, who, to, fen in ((price, ann, bo, 70), (fee, bo, ann, 90)):
        written = done(other, "money move --unsigned --as", who, "--legs", legs(to, fen), "--draft", file, *at)
        assert "Not signed, but written to" in written.out
        assert f"still to sign: {who}" in written.out
        assert not Draft.read(file.read_bytes()).signatures
        failed(home, 3, "Still to sign", "send", file, *at)
    ask = ("acts propose-drafts --until +3d --as notary", price, fee)
    assert "It would be done now" in done(other, *ask, "--dry-run", *at).out
    act = done(other, *ask, "--json", *at).json()["receipt"]["ids"][0]
    shown = done(home, "acts show", act, "--try", *at).out
    for line in (
        f"1. {ann} does money.move",
        f"2. {bo} does money.move",
        f"still to approve: {bo}",
        "It would be done",
    ):
        assert line in shown
    found = done(home, "acts show", act, "--try", "--json", *at).json()
    assert (found["missing"], found["would"]["code"]) == ([ann, bo], "ok")
    bundle = found["act"]["bundle"]
    assert f"metrobloc acts approve --act {act} --bundle {bundle} --as NAME" in shown
    waiting = done(home, "acts waiting --account ann --time +0s --json", *at).json()["value"]
    assert [one["act"] for one in waiting] == [act]
    failed(home, 1, "(acts.other_bundle)", "acts approve --as ann --act", act, "--bundle", "0" * 64, *at)
    approve = ("acts approve --act", act, "--bundle", bundle, "--as")
    done(home, *approve, "ann", *at)
    assert f"approved by {ann}" in done(home, "acts show", act, *at).out
    told = done(home, *approve, "bo", *at).out
    assert told.index("acts.approved") < told.index("money.moved") < told.index("acts.executed")
    ended = done(home, "acts show", act, "--try", *at).out
    assert "executed at" in ended
    for gone in ("still to approve", "metrobloc acts approve", "It would"):
        assert gone not in ended
    proof = tmp_path / "proof"
    assert bundle in done(home, "show acts/acts", act, "--proof", proof, *at).out
    failed(home, 1, "(acts.over)", *approve, "bo", *at)


def test_what_would_be_refused_is_told_before_anybody_approves(
    home: Path, node: Node, ann: str, bo: str, tmp_path: Path
) -> None:
    at, file = ("--node", node.url), tmp_path / "file"
    done(home, "money move --unsigned --as bo --legs", legs(ann, 21), "--draft", file, *at)
    act = done(home, "acts propose-drafts --until +1d --as ann --json", file, *at).json()["receipt"]["ids"][0]
    failed(home, 1, "It would be refused now (money.balances_too_low)", "acts show --try", act, *at)
    done(home, "acts decline --as bo --act", act, *at)
    assert "declined at" in done(home, "acts show", act, *at).out
    assert bo not in done(home, "acts show", act, *at).out


def test_keys_that_calls_name_sign_the_proposal(home: Path, node: Node, ann: str, tmp_path: Path) -> None:
    at, other = ("--node", node.url), tmp_path / "other"
    key = done(other, "key new eve --json").json()
    done(home, "key new dan")
    hers, his, both = (tmp_path / name for name in ("hers", "his", "both"))
    done(home, "identity register --unsigned --as bank --key", key["key"], "--draft", hers, *at)
    done(home, "identity register --unsigned --as bank --key dan --draft", his, *at)
    done(home, "acts propose-drafts --until +1d --as ann", his, *at)
    told = done(home, "acts propose-drafts --until +1d --as ann --json", his, hers, "--draft", both, *at).json()
    assert told["missing"] == [key["key"]]
    done(other, "sign", both, "--as", "eve", "--yes")
    act = done(home, "send", both, "--json", *at).json()["receipt"]["ids"][0]
    assert f"signed by {key['key']} when it was proposed" in done(home, "acts show", act, *at).out


def test_what_is_no_draft_for_this_chain_is_no_act(home: Path, node: Node, ann: str, tmp_path: Path) -> None:
    at, file = ("--node", node.url), tmp_path / "file"
    ask = ("acts propose-drafts --until +1d --as ann", file)
    failed(home, 2, "Only a draft can be left unsigned", "money move --unsigned --as ann --legs", legs(ann, 1), *at)
    done(home, "money move --unsigned --as bank --legs", legs(ann, 1), "--draft", file, *at)
    failed(home, 2, "Choose one of --draft and --dry-run", *ask, "--dry-run", "--draft", "x", *at)
    payload = Draft.read(file.read_bytes()).payload
    for old, new in ((b'"chain":"demo-', b'"chain":"other-'), (b'"rules":1', b'"rules":2')):
        file.write_bytes(Draft(payload.replace(old, new)).to_bytes())
        failed(home, 3, "written for another chain, or for other rules", *ask, *at)
    file.write_bytes(Draft(payload.replace(b'"amount":1', b'"amount":0')).to_bytes())
    failed(home, 3, "outside its limits", *ask, *at)
    file.write_bytes(Draft(payload.replace(b"money.move", b"money.mint")).to_bytes())
    failed(home, 3, "no such action", *ask, *at)
    failed(home, 3, "There is no such act", "acts show", "a" * 26, *at)


def test_an_act_is_shown_from_a_data_folder_too(home: Path, city: Path, tmp_path: Path) -> None:
    at, file = ("--data", city), tmp_path / "file"
    reserve = ("money record-reserve --unsigned --as bank --asset cny --reserve 1 --evidence", "0" * 64)
    done(home, *reserve, "--draft", file, *at)
    told = done(home, "acts propose-drafts --until +1d --as notary --json", file, *at).json()
    act = told["receipt"]["ids"][0]
    failed(home, 1, "(money.below_issued)", "acts show --try", act, *at)
    shown = done(home, "acts show --json", act, *at).json()
    assert msgspec.json.decode(shown["act"]["calls"][0]["message"])["reserve"] == 1


def test_a_simulation_gives_out_the_ids_of_its_salt(node: Node, ann: str) -> None:
    bank = node.http.get("/v1/records/money/assets/cny").json()["items"][0]["value"]["issuer"]
    legs = [{"amount": 1, "asset": "cny", "to": bank}]
    call = {"as": ann, "do": "money.hold", "with": {"legs": legs, "until_ms": 2**53 - 1}}
    chain = node.http.get("/v1/status").json()["chain"]
    for salt in ("0" * 32, "a" * 26):
        found = node.http.post("/v1/simulate", json={"calls": [call], "salt": salt}).json()
        assert found["ids"][0] == derive_id(chain, ann, salt, 0, 0)
    for salt in ("0" * 31, "A" * 26, "a" * 27, "0" * 32 + "\n", ""):
        assert node.http.post("/v1/simulate", json={"calls": [call], "salt": salt}).status_code == 400
