"""What a custodian's address and a node's answers may not do, whatever they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrobloc.client import ProofInvalid
from metrobloc.client.vault import Box, Stores
from metrobloc.commons.identity.rules import box_keys
from metrobloc.commons.vault.types import OfferStore
from tests.client.people import LETTER, People, refused, waiting

__all__ = ["waiting"]


def test_a_custodians_address_is_followed_only_when_allowed(waiting: People, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/elsewhere"
    waiting.send("custodian", OfferStore(url))
    refused("not_allowed", waiting.put)
    assert not (tmp_path / "elsewhere").exists()
    allowed = Stores(tmp_path, {waiting.account("custodian"): url})
    for name in ("ann", "bo"):
        waiting.alter(name, stores=allowed)
    kept = waiting.put()
    assert waiting.reads("bo", kept.entry) == LETTER
    waiting.send("custodian", OfferStore("file:///etc"))
    refused("not_allowed", lambda: waiting.reads("bo", kept.entry))
    findings = waiting.does("bo", "check").findings
    assert [(one.what, one.code) for one in findings] == [("store", "not_allowed")]
    findings = waiting.does("custodian", "check").findings
    assert {(one.what, one.code) for one in findings} == {("store", "not_allowed")}
    waiting.does("ann", "unshare", kept.entry, waiting.account("bo"))  # what cannot be reached is left to the custodian
    waiting.does("ann", "forget", kept.entry)


def test_a_node_that_lies_about_a_key_is_believed_only_without_proof(
    waiting: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have Ann seal her letter for itself."""
    thief = Box(b"t" * 32)
    real: Callable[[str], dict[str, Any]] = waiting.client.record
    path = box_keys.path(waiting.account("bo"))

    def lying(key: str) -> dict[str, Any]:
        page = real(key)
        if key == path:
            page["items"][0]["value"]["box_key"] = thief.key_id
        return page

    monkeypatch.setattr(waiting.client, "record", lying)
    kept = waiting.put()
    refused("wrong_recipient", lambda: waiting.reads("bo", kept.entry))
    waiting.alter("ann", proved=True)
    waiting.alter("bo", proved=True)
    kept = waiting.put()
    assert waiting.reads("bo", kept.entry) == LETTER

    def forged(key: str) -> None:
        raise ProofInvalid(key)

    monkeypatch.setattr(waiting.client, "prove_record", forged)
    with pytest.raises(ProofInvalid):
        waiting.put()


def test_a_node_that_tells_another_record_is_not_believed(waiting: People, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, other = waiting.put(), waiting.put()
    real: Callable[[str], dict[str, Any]] = waiting.client.record
    monkeypatch.setattr(waiting.client, "record", lambda key: real(key.replace(kept.entry, other.entry)))
    refused("unknown", lambda: waiting.reads("bo", kept.entry))


def test_a_node_whose_rows_have_no_end_holds_nobody_up(waiting: People, monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"items": [], "next": "vault/entries/z"}
    monkeypatch.setattr(waiting.client, "table", lambda *_: page)
    refused("store_fails", lambda: waiting.does("ann", "check"))
    item = {"key": "", "value": {}}
    monkeypatch.setattr(waiting.client, "table", lambda *_: {"items": [item], "next": None})
    refused("store_fails", lambda: waiting.does("ann", "check"))
