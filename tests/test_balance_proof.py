"""Whoever saves hours can prove how many to anybody, and nothing of where they came from."""

import json
from pathlib import Path

from metrobloc import verify
from metrobloc.city.timebank import rules, story
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.stage import Stage
from metrobloc.engine.proofs import prove_record
from metrobloc.engine.solo import Solo

START_MS = 1_700_000_000_000
MODULES = {app.name: app for app in (identity, money, rules.app)}


def test_a_balance_is_proved_without_its_history(tmp_path: Path) -> None:
    node = Solo.create(tmp_path / "node", demo_genesis(START_MS, MODULES), MODULES)
    try:
        stage = Stage(node.machine.rules, node.execute, START_MS)
        story.play(stage)
        proofs = {
            name: prove_record(node, rules.hours.rows.path((bank, stage.account(name))))
            for name, bank in (("li", "harbour"), ("mei", "old_town"), ("bo", "old_town"))
        }
        trust = node.trust()
    finally:
        node.close()
    for name, amount in (("li", 40), ("mei", -60), ("bo", None)):
        assert verify.check(proofs[name], trust).status == "valid"
        proof = json.loads(proofs[name])
        assert proof["record"]["value"] == (None if amount is None else {"amount": amount})
        assert "receipt" not in proof
        assert not any(table in proofs[name].decode() for table in ("timebank/services", "timebank/days"))
