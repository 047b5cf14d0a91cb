"""A ledger in a folder on which a hospital issues credentials, and a desk that checks them with its trust file."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from metrobloc.client import checking, credentials
from metrobloc.client.checking import Question, Verdict
from metrobloc.client.credentials import Credential, Terms
from metrobloc.commons.credentials import rules
from metrobloc.commons.credentials.types import DeclareKind, Issue
from metrobloc.commons.identity.demo import QUOTA_PER_HOUR, demo_genesis
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.stage import Stage
from metrobloc.engine import proofs
from metrobloc.engine.solo import Solo
from metrobloc.kernel import codec
from metrobloc.kernel.crypto import SigningKey

START_MS = 4_000_000_000_000
"""Ahead of any clock: a node signs with the later of the block's time and its clock."""
DAY_MS = 86_400_000
END_MS = START_MS + 300 * DAY_MS
MODULES = {app.name: app for app in (identity, rules.app)}
CLAIMS = {"name": "Li Na 李娜", "degree_of_disability": 60, "needs": ["a chair", {"reach": None}], "helper": True}
HOLDER = SigningKey(b"holder" + bytes(26))


def edited(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Change a file's JSON and write it canonically again."""
    page = json.loads(data)
    change(page)
    return codec.encode(page) + b"\n"


class Town:
    """The ledger, its people, and the operator's trust file."""

    def __init__(self, folder: Path, name: str = "city") -> None:
        """Found it; hospitals issue `care`, civil affairs `residence`."""
        self.node = Solo.create(folder, demo_genesis(START_MS, MODULES, name), MODULES)
        self.stage = Stage(self.node.machine.rules, self.node.execute, START_MS)
        self.stage.act("office", DeclareKind("care", "Need of care", "hospital", 366))
        self.stage.act("office", DeclareKind("residence", "Residence", "civil_affairs", 366))
        hospital = Accredit(self.stage.account("hospital"), "City hospital", "hospital", QUOTA_PER_HOUR)
        self.stage.act("office", hospital)

    @property
    def trust(self) -> bytes:
        """The operator's trust file."""
        return self.node.trust()

    def terms(self, **changed: Any) -> Terms:  # noqa: ANN401  # a field of Terms
        """Say what the hospital says."""
        account = self.stage.account("hospital")
        return msgspec.structs.replace(Terms(self.node.chain, account, "care", START_MS, END_MS), **changed)

    def write(self, key: str = "hospital", **changed: Any) -> Credential:  # noqa: ANN401  # a field of Terms
        """Write a credential that is not anchored yet."""
        return credentials.write(self.terms(**changed), CLAIMS, self.stage.key(key))

    def anchor(self, file: Credential, actor: str = "hospital", kind: str = "care") -> Credential:
        """Anchor a credential; return its file with the id."""
        message = Issue(kind, (credentials.commitment(file),), START_MS, END_MS)
        return msgspec.structs.replace(file, id=self.stage.act(actor, message).ids[0])

    def issue(self, **changed: Any) -> Credential:  # noqa: ANN401  # a field of Terms
        """Write and anchor a credential."""
        return self.anchor(self.write(**changed))

    def prove(self, file: Credential, height: int | None = None) -> bytes:
        """Return the file with proofs of now, or of a height."""
        opened = credentials.read(credentials.to_bytes(file))
        made = checking.prove(opened, lambda key: proofs.prove_record(self.node, key, height))
        return credentials.to_bytes(made)

    def proof(self, key: str, height: int | None = None) -> bytes:
        """Return a proof file of a record."""
        return proofs.prove_record(self.node, key, height)

    def check(
        self,
        file: bytes | Credential,
        beside: Iterable[bytes] = (),
        trust: bytes | None = b"",
        **asked: Any,  # noqa: ANN401  # a field of Question
    ) -> Verdict:
        """Check a file at the block's time, unless something else is asked."""
        data = file if isinstance(file, bytes) else self.prove(file)
        question = msgspec.structs.replace(Question(self.stage.time_ms), **asked)
        return checking.check(data, beside, self.trust if trust == b"" else trust, question)
