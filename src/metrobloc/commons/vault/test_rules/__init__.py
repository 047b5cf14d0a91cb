"""The scene on which the vault is tested."""

import msgspec

from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import ShowBoxKey
from metrobloc.commons.vault.rules import app
from metrobloc.commons.vault.rules.declared import DAY_MS
from metrobloc.commons.vault.types import (
    Acknowledge,
    Answer,
    ConfirmErasure,
    Erase,
    OfferStore,
    ReportMissing,
    Revoke,
    Share,
    Store,
)
from metrobloc.kernel.crypto import X25519, key_id, sha256
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

MODULES = (identity, app)
NOBODY = "a" * 26


def digest(of: object) -> str:
    """Return a digest that stands for something."""
    return sha256(str(of).encode()).hex()


def entry(s: Scene, *shares: Share, **changes: object) -> Store:
    """Return what records an entry, for Ann alone if nobody is named."""
    shares = shares or (Share(s["ann"], digest("for ann"), "own_copy"),)
    made = Store(s["custodian"], digest("bytes"), 1000, digest("content"), digest("subject"), shares)
    return msgspec.structs.replace(made, **changes)


def scene(genesis: bytes | None = None) -> Scene:
    """Set the scene.

    Ann owns `old`, which Bo may read for a day, Cy may no longer, and Dan misses; `gone`, which is erased; `dead`,
    which is destroyed too; `lost`, and `new`. Eve shows no key for private things.
    """
    s = Scene(MODULES, genesis)
    for name in ("ann", "bo", "cy", "dan", "eve"):
        s.stage.join(name)
        if name != "eve":
            s.stage.act(name, ShowBoxKey(key_id(sha256(name.encode()), X25519)))
    s.stage.act("custodian", OfferStore("local:custodian"))
    names = ("ann", "bo", "cy", "dan")
    shares = [Share(s[n], digest(n), "care", START_MS + DAY_MS if n == "bo" else 0) for n in names]
    s.ids["old"] = s.stage.act("ann", entry(s, *shares)).ids[0]
    s.stage.act("ann", Revoke(s["old"], s["cy"]))
    s.stage.act("dan", ReportMissing(s["old"]))
    for name in ("gone", "dead", "lost", "new"):
        s.ids[name] = s.stage.act("ann", entry(s, digest=digest(name))).ids[0]
    s.stage.act("custodian", *(Acknowledge(s[name]) for name in ("old", "lost")))
    s.stage.act("ann", Erase(s["gone"]), Erase(s["dead"]), ReportMissing(s["lost"]))
    s.stage.act("custodian", ConfirmErasure(s["dead"]), Answer(s["lost"], found=False))
    return s


def many(s: Scene, count: int) -> tuple[Share, ...]:
    """Return shares of one reader each, all with keys."""
    names = [f"reader{number}" for number in range(count)]
    for name in names:
        s.stage.join(name)
        s.stage.act(name, ShowBoxKey(key_id(sha256(name.encode()), X25519)))
    return tuple(Share(s[name], digest(name), "care") for name in names)
