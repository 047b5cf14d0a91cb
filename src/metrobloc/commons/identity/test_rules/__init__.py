"""Identity's tests, and the scene on which they play.

Ann is a citizen with three guardians, of whom Gil has asked for a recovery, with a browser's session and a helper; Bo
has asked for another key; Dora's change is in doubt. Of the institutions the school is suspended, `former` has `heir`
as its successor, and the clinic has a clerk.
"""

from metrobloc.commons.identity.rules import app, changes, guardianships
from metrobloc.commons.identity.types import (
    Accredit,
    Change,
    Guardianship,
    Mandate,
    Name,
    NameGuardians,
    OpenSession,
    Recover,
    Rotate,
    Succeed,
    Suspend,
    Veto,
    Vouch,
)
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.rules import balances
from metrobloc.commons.money.types import Issue, Leg, Move, OpenAsset, RecordReserve
from metrobloc.kernel import system
from metrobloc.kernel.system import Account, Ceiling
from metrobloc.testing.edges import Scene

MODULES = (app, money)
NOBODY = "a" * 26
NULL = "0" * 64
SECOND_MS = 1000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
GUARDS = ("gil", "hal", "ida")
PEOPLE = ("ann", "bo", "dora", *GUARDS)
INSTITUTIONS = ("clinic", "school", "heir", "former", "busy")


def seconds(s: Scene, count: int) -> int:
    """Return the time at which the next block but so many comes."""
    return s.stage.time_ms + count * SECOND_MS


def at(s: Scene, time_ms: int) -> None:
    """Let the next block come at a time."""
    s.stage.time_ms = time_ms - SECOND_MS


def account(s: Scene, name: str) -> Account:
    """Return an account as it is at the last block."""
    found = s.box.view[system.accounts].get(s[name])
    assert found is not None
    return found.at(s.stage.time_ms)


def keys(s: Scene, *names: str) -> tuple[str, ...]:
    """Return keys by their names."""
    return tuple(s.key(name) for name in names)


def guards(s: Scene, name: str) -> Guardianship | None:
    """Return who guards somebody's account."""
    return s.box.view[guardianships].get(s[name])


def change(s: Scene, name: str) -> Change | None:
    """Return what is written down as under way on an account."""
    return s.box.view[changes].get(s[name])


def guardians(s: Scene, *names: str, needed: int = 0) -> NameGuardians:
    """Return what names guardians; if nothing is said, as few must agree as may."""
    return NameGuardians(tuple(s[name] for name in names), needed or len(names) // 2 + 1)


def guarded(s: Scene, owner: str, *names: str) -> None:
    """Let somebody have guardians, a day later."""
    for name in (owner, *names):
        s.stage.join(name)
    s.stage.act(owner, guardians(s, *names))
    s.stage.time_ms += DAY_MS


def rotates(
    s: Scene, owner: str, *new: str, threshold: int = 1, by: tuple[str, ...] | None = None, refused: str = "ok"
) -> None:
    """Let somebody ask for other keys."""
    s.stage.act(owner, Rotate(keys(s, *new), threshold), also=new, by=by, refused=refused)


def holding(s: Scene, owner: str, threshold: int, *names: str) -> None:
    """Let an account have several keys, a day later."""
    rotates(s, owner, *names, threshold=threshold)
    s.stage.time_ms += DAY_MS


def rich(s: Scene, *names: str, cents: int = 10_000) -> None:
    """Give some people money."""
    s.stage.act("bank", OpenAsset("eur", "Euro", 2), RecordReserve("eur", 1_000_000, NULL))
    for name in names:
        s.stage.act("bank", Issue("eur", s[name], cents))


def pay(s: Scene, to: str, cents: int) -> Move:
    """Return what pays somebody."""
    return Move((Leg("eur", s[to], cents),))


def has(s: Scene, name: str) -> int:
    """Return what somebody has in cents."""
    return s.box.view.balance(balances, s[name], "eur")


def ceiling(cents: int, book: str = "eur") -> tuple[Ceiling, ...]:
    """Return what lets a delegate spend so many cents."""
    return (Ceiling("money.balances", book, cents),)


def scene() -> Scene:
    """Set the scene: see the module's docstring."""
    s = Scene(MODULES)
    for name in (*PEOPLE, *INSTITUTIONS):
        s.stage.join(name)
    s.stage.act(
        "office", Accredit(s["clinic"], "Clinic", "hospital", 100), Accredit(s["school"], "School", "school", 9)
    )
    s.stage.act("office", *(Name(s[name], name) for name in ("heir", "former", "busy", "bank", "office")))
    s.stage.act("office", Vouch(s["ann"], NULL))
    s.stage.act("ann", guardians(s, *GUARDS))
    s.stage.act("dora", guardians(s, *GUARDS))
    s.stage.act("former", Succeed(s["former"], s["heir"]))
    s.stage.time_ms += DAY_MS
    s.ids["recovery"] = s.stage.act("gil", Recover(s["ann"], keys(s, "ann's new key")), also=("ann's new key",)).ids[0]
    for name in ("bo", "busy", "dora"):
        rotates(s, name, f"{name}'s new key")
    s.stage.act("dora", Veto())
    s.stage.act("office", Suspend(s["school"], s.stage.time_ms + 30 * DAY_MS))
    until_ms = s.stage.time_ms + 10 * DAY_MS
    s.stage.act("clinic", Mandate(s["bo"], ("identity.register",), until_ms))
    s.stage.act("ann", Mandate(s["hal"], ("money",), until_ms))
    s.stage.act("ann", OpenSession(s.key("browser"), ("money",), until_ms), also=("browser",))
    return s
