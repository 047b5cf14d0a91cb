"""Evidence: the scene on which its tests play, with documents in every state."""

import random
from itertools import pairwise
from typing import Literal

import msgspec
import pytest

from metrobloc.commons.evidence import story
from metrobloc.commons.evidence.rules import (
    HISTORY_MAX,
    app,
    chains,
    current,
    evidence,
    history,
    kinds,
    lodge_for,
    require_evidence,
    subject,
)
from metrobloc.commons.evidence.types import Chain, Countersign, DeclareKind, Lodge, Supersede, Withdraw
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit, Revoke
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.types import AccountId, Id, Message, Record, Slug
from metrobloc.testing.edges import Case, Scene, play, unmet
from metrobloc.testing.generated import generated

MODULES = (identity, app)
NOBODY = "a" * 26
THING = subject("land/parcels/7")
HOUR_MS = 3_600_000
ONE, TWO = "1d" * 32, "2d" * 32


def paper(s: Scene, kind: str = "deed", **changes: object) -> Lodge:
    """Return what records a public document dated now."""
    plain = Lodge(kind, THING, "archive", s.stage.time_ms + 1000, digest=ONE)
    return msgspec.structs.replace(plain, **changes)


def newer(s: Scene, name: str, **changes: object) -> Supersede:
    """Return what replaces a document by another, dated now."""
    plain = Supersede(s[name], "archive", s.stage.time_ms + 1000, digest=TWO)
    return msgspec.structs.replace(plain, **changes)


def scene(modules: tuple[Module, ...] = MODULES) -> Scene:
    """Set the scene.

    Notaries record deeds, and the supervisor corrects them; hospitals record private receipts, which nobody corrects.
    Flo is a notary too. Of the deeds `deed` stands, `old` has a newer version `new`, `gone` is withdrawn, `asked` waits
    for Ann and Bo, `brief` ends in an hour.
    """
    s = Scene(modules)
    for name in ("ann", "bo", "flo"):
        s.stage.join(name)
    s.stage.act("office", Accredit(s["flo"], "Flo's chamber", "notary", 0))
    s.stage.act("office", DeclareKind("deed", "A deed", "notary", "supervisor"))
    s.stage.act("office", DeclareKind("receipt", "A receipt", "hospital", private=True))
    for name in ("deed", "old", "gone"):
        s.ids[name] = s.stage.act("notary", paper(s)).ids[0]
    s.ids["new"] = s.stage.act("notary", newer(s, "old")).ids[0]
    s.stage.act("notary", Withdraw(s["gone"], "forged"))
    s.ids["asked"] = s.stage.act("notary", paper(s, cosigners=(s["ann"], s["bo"]))).ids[0]
    brief = paper(s, until_ms=s.stage.time_ms + 1000 + HOUR_MS, cosigners=(s["ann"],))
    s.ids["brief"] = s.stage.act("notary", brief).ids[0]
    hidden = paper(s, "receipt", digest=None, commitment=ONE)
    s.ids["receipt"] = s.stage.act("hospital", hidden).ids[0]
    return s
