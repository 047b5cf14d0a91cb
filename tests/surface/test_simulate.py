"""Trying out: drafts that are signed as they are shown, and simulations that change nothing."""

import asyncio
import base64
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.datastructures import State

from metrobloc import app
from metrobloc.city.charity.types.messages import Give
from metrobloc.commons.money.types import Issue
from metrobloc.commons.stage import Stage
from metrobloc.engine.solo import Simulated, Solo
from metrobloc.kernel import codec, crypto, envelope
from metrobloc.kernel.block import Calls
from metrobloc.kernel.errors import Void
from metrobloc.kernel.module import Action
from metrobloc.surface.describe import FieldDoc, fields_of
from metrobloc.surface.http.answers import turn
from metrobloc.surface.http.transactions import read_message
from tests.support import rounds
from tests.surface.city import Node, fresh_stage

SALT = "0" * 32


@pytest.fixture
def solo(city: Path) -> Iterator[Solo]:
    node = Solo.open(city, app.modules())
    yield node
    node.close()


def ids(node: Solo, table: str) -> list[str]:
    """List the keys of a table."""
    prefix = f"{table}/".encode()
    return [key.decode().removeprefix(f"{table}/") for key, _ in node.store.scan(prefix, None, 500)]


def value_of(chance: random.Random, field: FieldDoc, known: dict[str, list[str]]) -> object:
    """Draw a value for a field: often one that exists."""
    if field.many:
        least, most = field.fewest or 0, min(field.several or 0, (field.fewest or 0) + 2)
        one = FieldDoc(field.name, field.kind, False, True, *(getattr(field, name) for name in REST))  # noqa: FBT003
        return [value_of(chance, one, known) for _ in range(chance.randint(least, most))]
    if field.kind == "struct":
        return {part.name: value_of(chance, part, known) for part in field.parts}
    if field.kind == "integer":
        least, most = field.least or 0, field.most or 0
        if field.unit == "ms":
            return chance.choice([0, known_ms(known) + 86_400_000])
        return chance.choice([least, most, *[chance.randint(least, min(most, least + 50)) for _ in range(8)]])
    if field.kind == "boolean":
        return chance.random() < 0.5
    return chance.choice(field.choices or known.get(field.kind) or ["x"])


def known_ms(known: dict[str, list[str]]) -> int:
    """Return the time of the last block."""
    return int(known["ms"][0])


REST = ("choices", "least", "most", "longest", "fewest", "several", "unit", "default", "base", "parts")


def test_simulations_change_nothing(solo: Solo) -> None:
    chance = random.Random(4)  # seeded
    ours = [*ids(solo, "charity/campaigns"), *ids(solo, "charity/gifts"), *ids(solo, "charity/offers")]
    accounts = ids(solo, "kernel/accounts")
    known = {
        "id": ours,
        "account": accounts,
        "slug": ["cny", "bank"],
        "holder": accounts,
        "key": ids(solo, "kernel/keys"),
        "commitment": ["0" * 64],
        "digest": ["0" * 64],
        "signature": ["0" * 128],
        "public": ["A line of text"],
        "ms": [str(solo.machine.time_ms)],
    }
    before = (solo.machine.state_root, solo.machine.log.root(), solo.store.head(), list(solo.store.leaves()))
    codes = []
    for _ in range(rounds(1_000, 20_000)):
        calls: Calls = []
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            action: Action = chance.choice(list(solo.machine.rules.actions.values()))
            drawn = {field.name: value_of(chance, field, known) for field in fields_of(action.message)}
            message, _ = read_message(action, codec.encode(drawn))
            calls.append((action, chance.choice(accounts), message))
        time_ms = solo.machine.time_ms + chance.choice([0, 1000, 40 * 86_400_000])
        done = solo.simulate(SALT, calls, time_ms)
        codes.append(done.code)
        assert (done.code == "ok") or not (done.writes or done.events or done.ids)
        assert 0 <= done.work <= done.work_max + 100
    assert before == (solo.machine.state_root, solo.machine.log.root(), solo.store.head(), list(solo.store.leaves()))
    assert "internal" not in codes
    assert codes.count("ok") >= 10
    assert len(set(codes)) > 10
    assert solo.bugs == []


def test_a_simulation_says_what_then_happens(solo: Solo) -> None:
    stage = Stage(solo.machine.rules, solo.execute, solo.machine.time_ms)
    rules = solo.machine.rules
    campaign = next(key for key in ids(solo, "charity/campaigns") if may_give(solo, stage, key))
    told = solo.simulate(
        SALT, [(rules.actions["charity.give"], stage.account("ann"), Give(campaign, 7))], stage.time_ms
    )
    receipt = stage.act("ann", Give(campaign, 7))
    assert (told.code, told.height) == (receipt.code, receipt.height)
    assert [event.event for event in told.events] == [event.event for event in receipt.events]
    assert len(told.ids) == len(receipt.ids)
    written = solo.store.get(f"charity/purses/{campaign}/crowd".encode())
    new = told.writes[f"charity/purses/{campaign}/crowd"]
    assert new is not None
    assert bytes(new) == written


def may_give(solo: Solo, stage: Stage, campaign: str) -> bool:
    """Tell whether a campaign takes gifts of Ann's."""
    give = solo.machine.rules.actions["charity.give"]
    return solo.simulate(SALT, [(give, stage.account("ann"), Give(campaign, 7))], stage.time_ms).code == "ok"


def test_calls_stand_or_fall_together(solo: Solo) -> None:
    stage = Stage(solo.machine.rules, solo.execute, solo.machine.time_ms)
    issue = solo.machine.rules.actions["money.issue"]
    good, bad = (issue, stage.account("bank"), Issue("cny", stage.account("ann"), 5)), (issue, stage.account("ann"))
    both: Simulated = solo.simulate(SALT, [good, (*bad, Issue("cny", stage.account("ann"), 5))], stage.time_ms)
    assert (both.code, both.call, both.writes) == ("not_allowed", 1, {})
    twice = solo.simulate(SALT, [good, good], stage.time_ms)
    balance = f"money/balances/cny/{stage.account('ann')}"
    one = solo.simulate(SALT, [good], stage.time_ms)
    assert codec_int(twice.writes[balance]) - codec_int(one.writes[balance]) == 5
    with pytest.raises(Void, match="unknown_account"):
        solo.simulate(SALT, [good, (issue, "a" * 26, Issue("cny", stage.account("ann"), 5))], stage.time_ms)


def codec_int(written: Any) -> int:  # noqa: ANN401  # a raw record or null
    """Read a balance."""
    return int(bytes(written).decode().removeprefix('{"amount":').removesuffix("}"))


def asked(actor: str, do: str, message: object, **more: object) -> dict[str, object]:
    """Return the body that simulates one call."""
    return {"calls": [{"as": actor, "do": do, "with": message}], **more}


def test_the_door_simulates(node: Node) -> None:
    stage = node.stage()
    bank, ann = stage.account("bank"), stage.account("ann")
    issue = {"asset": "cny", "to": ann, "amount": 1}
    before = node.http.get("/v1/status").json()
    told = node.http.post("/v1/simulate", json=asked(bank, "money.issue", issue)).json()
    assert (told["code"], told["sentence"], told["events"][0]["event"]) == ("ok", "", "money.issued")
    assert told["height"] == before["height"] + 1
    told = node.http.post("/v1/simulate", json=asked(ann, "money.issue", issue)).json()
    assert (told["code"], told["call"]) == ("not_allowed", 0)
    assert told["sentence"].endswith(".")
    later = before["time_ms"] + 10_000_000_000
    told = node.http.post("/v1/simulate", json=asked(bank, "money.issue", issue, at_ms=later)).json()
    assert (told["code"], told["time_ms"]) == ("ok", later)
    after = node.http.get("/v1/status").json()
    assert (after["state_root"], after["log_size"]) == (before["state_root"], before["log_size"])


def bad_bodies(bank: str) -> list[tuple[bytes, int, str]]:
    """List bodies that cannot be simulated, with status and code."""
    good = asked(bank, "money.issue", {"asset": "cny", "to": bank, "amount": 1})
    raw = codec.encode(good)

    def with_(message: bytes) -> bytes:
        return raw.replace(b'{"amount":1,"asset":"cny","to":"%b"}' % bank.encode(), message)

    return [
        (b"", 400, "not_json"),
        (b"\xff", 400, "not_utf8"),
        (b"[" * 50_000, 400, "too_deep"),
        (raw.replace(b'"calls"', b'"calls":[],"calls"', 1), 400, "duplicate_key"),
        (with_(b'{"amount":1,"amount":1}'), 400, "duplicate_key"),
        (with_(b'{"amount":1.0,"asset":"cny","to":"%b"}' % bank.encode()), 400, "float"),
        (with_(b'{"amount":1e3}'), 400, "float"),
        (with_(b'{"amount":NaN}'), 400, "not_json"),
        (with_(b'{"amount":%b}' % (b"9" * 5_000)), 400, "integer_range"),
        (with_(b'{"amount":0,"asset":"cny","to":"%b"}' % bank.encode()), 400, "out_of_bounds"),
        (with_(b'{"amount":1,"asset":"cny"}'), 400, "missing_field"),
        (with_(b"[]"), 400, "wrong_type"),
        (with_(b"[" * 20 + b"]" * 20), 400, "too_deep"),
        (codec.encode({"calls": []}), 400, "out_of_bounds"),
        (codec.encode({"calls": good["calls"], "more": 1}), 400, "unknown_field"),
        (codec.encode({**good, "at_ms": 1}), 409, "clock"),
        (raw.replace(b"money.issue", b"money.print"), 404, "unknown_action"),
        (raw.replace(b'"as":"' + bank.encode(), b'"as":"' + b"a" * 26), 404, "unknown_account"),
        (raw.replace(b'"as":"' + bank.encode(), b'"as":"' + b"A" * 26), 400, "out_of_bounds"),
        (b" " * (envelope.ENVELOPE_BYTES_MAX + 2000), 413, "too_large"),
    ]


def test_what_cannot_be_simulated_is_told_why(node: Node) -> None:
    for body, status, code in bad_bodies(node.stage().account("bank")):
        answer = node.http.post("/v1/simulate", content=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), body[:200]
        assert answer.json()["sentence"]


def test_text_that_hides_its_form_is_refused(node: Node) -> None:
    office = node.stage().account("office")
    for title, code in (("e\\u0301", "not_nfc"), ("\\uD83E\\uDEE8", "unassigned"), ("\\ud800", "not_json")):
        body = b'{"account":"%b","name":"%b","role":"bank","quota_per_hour":1}' % (office.encode(), title.encode())
        told = node.http.post(f"/v1/drafts/identity/accredit?as={office}", content=body)
        assert (told.status_code, told.json()["code"]) == (400, code)
    for path in ("/v1/tx", "/v1/simulate"):
        told = node.http.post(path, content=b'{"half a character \\ud800":1}')
        assert (told.status_code, told.json()["code"]) == (400, "key_not_ascii")


def test_a_draft_is_signed_and_sent_as_it_is_shown(node: Node) -> None:
    stage = fresh_stage(node.stage().rules)
    bank, ann = stage.account("bank"), stage.account("ann")
    message = {"to": ann, "asset": "cny", "amount": 3}
    drafted = node.http.post(f"/v1/drafts/money/issue?as={bank}&expires_in_ms=60000", json=message).json()
    assert drafted["outcome"]["code"] == "ok"
    assert drafted["signers"] == [{"account": bank, "keys": [stage.key("bank").key_id], "threshold": 1}]
    to_sign = base64.b64decode(drafted["to_sign"])
    assert to_sign == envelope.pae(drafted["payload"].encode())
    assert crypto.sha256(to_sign).hex() == drafted["tx"]
    key = stage.key("bank")
    # As somebody without a library would: by hand, in this order.
    body = (
        '{"payload":"%s","payloadType":"application/vnd.metrobloc.tx.v1+json","signatures":[{"keyid":"%s","sig":"%s"}]}'
    )
    payload = base64.b64encode(drafted["payload"].encode()).decode()
    raw = body % (payload, key.key_id, base64.b64encode(key.sign(to_sign)).decode())
    told = node.http.post("/v1/tx", content=raw).json()
    assert (told["status"], told["code"], told["tx"]) == ("committed", "ok", drafted["tx"])
    assert told["receipt"]["events"] == drafted["outcome"]["events"]


def test_a_draft_names_the_keys_that_sign_too_and_the_ids_that_will_be(node: Node) -> None:
    stage = fresh_stage(node.stage().rules)
    key = crypto.SigningKey(crypto.sha256(b"somebody new"))
    bank = stage.account("bank")
    drafted = node.http.post(f"/v1/drafts/identity/register?as={bank}", json={"key": key.key_id}).json()
    assert drafted["keys"] == [key.key_id]
    hold = {"legs": [{"asset": "cny", "to": bank, "amount": 1}], "until_ms": 1}
    ann = stage.account("ann")
    late = node.http.post(f"/v1/drafts/money/hold?as={ann}", json=hold).json()
    assert (late["outcome"]["code"], late["outcome"]["ids"]) == ("money.in_the_past", [])
    hold["until_ms"] = late["expires"]
    drafted = node.http.post(f"/v1/drafts/money/hold?as={ann}", json=hold).json()
    signed = {stage.key("ann").key_id: stage.key("ann").sign(base64.b64decode(drafted["to_sign"]))}
    told = node.http.post("/v1/tx", content=envelope.seal(drafted["payload"].encode(), signed)).json()
    assert told["receipt"]["ids"] == drafted["outcome"]["ids"] != []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("money/print?as=" + "a" * 26, 404, "unknown_action"),
        ("nothing/issue?as=" + "a" * 26, 404, "unknown_action"),
        ("identity/veto?as=" + "a" * 26, 404, "unknown_account"),
        ("identity/veto", 400, "bad_request"),
        ("identity/veto?as=me", 400, "bad_request"),
        ("identity/veto?as=BANK&expires_in_ms=999", 400, "bad_request"),
        ("identity/veto?as=BANK&expires_in_ms=86400001", 400, "bad_request"),
    ],
)
def test_a_draft_that_cannot_be_written_is_told_why(node: Node, path: str, status: int, code: str) -> None:
    answer = node.http.post("/v1/drafts/" + path.replace("BANK", node.stage().account("bank")), json={})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_who_computes_beside_blocks_takes_turns_and_a_waiting_block_goes_first() -> None:
    order: list[str] = []

    async def compute(state: State) -> None:
        async with turn(state):
            order.append("answer")
            asyncio.get_running_loop().call_soon(order.append, "block")

    async def crowd() -> None:
        state = State({"turn": asyncio.Lock()})
        await asyncio.gather(*(compute(state) for _ in range(4)))

    asyncio.run(crowd())
    assert order[:7] == ["answer", "block"] * 3 + ["answer"]
