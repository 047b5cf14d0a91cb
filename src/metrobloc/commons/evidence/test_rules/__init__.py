"""Evidence: the scene on which its tests play, with documents in every state."""

import msgspec

from metrobloc.commons.evidence.rules import app, subject
from metrobloc.commons.evidence.types import DeclareKind, Lodge, Supersede, Withdraw
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.kernel.module import Module
from metrobloc.testing.edges import Scene

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

    Notaries record deeds, and civil affairs corrects them; hospitals record private receipts, which nobody corrects.
    Flo is a notary too. Of the deeds `deed` stands, `old` has a newer version `new`, `gone` is withdrawn, `asked` waits
    for Ann and Bo, `brief` ends in an hour.
    """
    s = Scene(modules)
    for name in ("ann", "bo", "flo"):
        s.stage.join(name)
    s.stage.act("office", Accredit(s["flo"], "Flo's chamber", "notary", 0))
    s.stage.act("office", DeclareKind("deed", "A deed", "notary", "civil_affairs"))
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
