"""The time bank's tests, and the scene on which they play: five banks, their people, services in every state.

North is coordinated by the playground's `timebank`, South by `south`, the others by `west`. Ann is helped by Bo; what
Gus was paid for and what stands beside it happened at the same time.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from metrobloc.city.timebank import checks
from metrobloc.city.timebank.rules import app, hours, members, services
from metrobloc.city.timebank.types.messages import (
    CancelTask,
    CheckIn,
    CheckOut,
    Claim,
    CloseBank,
    Confirm,
    Dispute,
    Donate,
    Drop,
    Exclude,
    Join,
    RegisterBank,
    Release,
    ReleaseFor,
    SetLine,
    Suspend,
    Transfer,
    UploadCheck,
    Verify,
)
from metrobloc.city.timebank.types.records import Member, Service
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.money.rules import app as money
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

MODULES = (identity, money, app)
NOBODY = "a" * 26
NO_PAPER = "0" * 64
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
SOON_MS = START_MS + 2 * DAY_MS
LAPSES_MS = START_MS + 30 * MINUTE_MS
BANKS = {"north": "timebank", "south": "south", "west": "west", "down": "west", "lapsed": "west", "idle": "west"}
PEOPLE = {
    "ann": "north",
    "bo": "north",
    "gus": "north",
    "di": "south",
    "timebank": "south",
    "ed": "west",
    "fay": "down",
}
MIN, MAX, POT_MIN = 1000, 3000, 50


def bank(s: Scene, name: str, coordinator: str = "west", until_ms: int = SOON_MS + 400 * DAY_MS) -> RegisterBank:
    """Return what admits a bank of level 2."""
    return RegisterBank(name, name, s[coordinator], 2, until_ms, MIN, MAX, POT_MIN)


def vouch(s: Scene, name: str, least: int = MIN, most: int = MAX, level: int = 2, *skills: str) -> Verify:
    """Return what verifies a member, who can cook if nothing else is said."""
    return Verify(s[name], level, least, most, skills or ("cook",))


def ask(
    minutes: int = 60, slots: int = 16, *, kind: Literal["offer", "request"] = "request", **other: object
) -> Release:
    """Return what asks for cooking from now on for two days of the scene's time."""
    fields: dict[str, object] = {"from_ms": START_MS, "until_ms": SOON_MS, "skill": "cook", "level": 0} | other
    whole = {"kind": kind, "title": "Soup", "place": "Here", "minutes_max": minutes, "slots": slots} | fields
    return msgspec.convert(whole, Release)


def ask_for(s: Scene, name: str, minutes: int = 10, **other: object) -> ReleaseFor:
    """Return what asks for cooking that the pot pays."""
    fields: dict[str, object] = {"from_ms": START_MS, "until_ms": SOON_MS, "skill": "cook"} | other
    whole = {"member": s[name], "title": "Soup", "place": "Here", "minutes_max": minutes, "slots": 16} | fields
    return msgspec.convert(whole, ReleaseFor)


def upload(s: Scene, signer: str, service: str, what: Literal["in", "out"], at_ms: int) -> UploadCheck:
    """Return what hands in a code that somebody has signed."""
    signed = checks.code(s.stage.rules.chain, s[service], what, at_ms)
    return UploadCheck(s[service], what, at_ms, s.stage.key(signer).sign(signed).hex())


def do(s: Scene, actor: str, *messages: Message, refused: str = "ok") -> tuple[str, ...]:
    """Let somebody act, hold the outcome to what is expected, and return the new ids."""
    return s.stage.act(
        actor, *messages, refused=refused and (refused if refused == "ok" else f"timebank.{refused}")
    ).ids


def claimed(s: Scene, name: str, helper: str, task: str = "ask") -> None:
    """Let somebody claim a slot, under a name."""
    s.ids[name] = do(s, helper, Claim(s[task]))[0]


def helped(s: Scene, minutes: int, *names: str, by: str = "ann") -> None:
    """Let services begin together, by one side's word, and end together some minutes later, by their helpers'."""
    do(s, by, *(CheckIn(s[name]) for name in names))
    s.stage.time_ms += minutes * MINUTE_MS - 1000
    people = {s.stage.account(name): name for name in s.stage.keys}
    ends = s.stage.sign(*((people[service(s, name).helper], CheckOut(s[name])) for name in names))
    assert [outcome.code for outcome in s.stage.send([ends])] == ["ok"]


def agreed(s: Scene, service: str, minutes: int, *sides: str) -> None:
    """Let both sides confirm the same."""
    for side in sides:
        do(s, side, Confirm(s[service], minutes))


def balance(s: Scene, holder: str, book: str = "north") -> int:
    """Return what somebody has in a bank's book."""
    return s.box.view.balance(hours, s[holder] if "." not in holder else holder, book)


def member(s: Scene, name: str) -> Member:
    """Return somebody's membership."""
    found = s.box.view[members].get(s[name])
    assert found is not None
    return found


def service(s: Scene, name: str) -> Service:
    """Return a service as it stands."""
    found = s.box.view[services].get(s[name])
    assert found is not None
    return found


def town(limit: int = 100, genesis: bytes | None = None) -> Scene:
    """Set up banks, lines and people, without tasks."""
    s = Scene(MODULES, genesis)
    for name in ("south", "west", "spare"):
        s.stage.join(name)
        s.stage.act("office", Accredit(s[name], name, "timebank", 100_000))
    for name, coordinator in BANKS.items():
        do(s, "office", bank(s, name, coordinator, LAPSES_MS if name == "lapsed" else SOON_MS + 400 * DAY_MS))
    do(s, "office", bank(s, "gone"), CloseBank("gone"))
    for one, other in (("north", "south"), ("south", "west"), ("west", "north")):
        do(s, BANKS[one], SetLine(one, other, limit))
        do(s, BANKS[other], SetLine(other, one, limit))
    for name in (*PEOPLE, "cy", "ex", "new"):
        if name != "timebank":
            s.stage.join(name)
    for name, home in PEOPLE.items():
        do(s, name, Join(home))
        do(s, BANKS[home], vouch(s, name))
    do(s, "office", Suspend("down"))
    return s


def working(minutes: int = 60, *helpers: str) -> Scene:
    """Set up a town in which Ann asks for help and some have claimed it: `by bo` is Bo's service."""
    s = town(1000)
    s.ids["ask"] = do(s, "ann", ask(minutes, until_ms=START_MS + 3 * DAY_MS))[0]
    for helper in helpers:
        claimed(s, f"by {helper}", helper)
    return s


def scene() -> Scene:
    """Set the whole scene: see the module's docstring; `claimed` to `dropped` are services named by their state."""
    s = town()
    do(s, "cy", Join("north"))
    do(s, "ex", Join("north"))
    do(s, "timebank", vouch(s, "ex"), vouch(s, "bo", MIN, MAX, 1))
    do(s, "bo", Transfer(s["ex"], 10), Donate(5))
    do(s, "timebank", Exclude(s["ex"]))
    for name, message in (
        ("ask", ask(30)),
        ("short", ask(10)),
        ("hard", ask(30, level=2)),
        ("sewing", ask(30, skill="sew")),
        ("back", ask(30)),
        ("single", ask(30, 1)),
    ):
        s.ids[name] = do(s, "ann", message)[0]
    s.ids["offer"] = do(s, "bo", ask(30, kind="offer"))[0]
    s.ids["relief"] = do(s, "timebank", ask_for(s, "ann"))[0]
    for name in ("claimed", "begun", "done", "said", "disputed", "dropped"):
        claimed(s, name, "bo")
    for name, helper in (("paid", "gus"), ("clash", "gus"), ("afar", "di"), ("his own", "timebank")):
        claimed(s, name, helper)
    claimed(s, "brief", "bo", "short")
    claimed(s, "one", "bo", "single")
    helped(s, 25, "done", "said", "disputed", "paid", "clash", "brief", "his own")
    do(s, "ann", CheckIn(s["begun"]), Drop(s["dropped"]), CancelTask(s["back"]))
    agreed(s, "paid", 20, "gus", "ann")
    do(s, "bo", Confirm(s["said"], 20))
    do(s, "ann", Dispute(s["disputed"], NO_PAPER), Dispute(s["his own"], NO_PAPER))
    s.stage.wait(5)
    assert s.stage.time_ms > LAPSES_MS
    return s


def codes(found: Sequence[str]) -> set[str]:
    """Return a module's own codes in full."""
    return {f"timebank.{code}" for code in found}
