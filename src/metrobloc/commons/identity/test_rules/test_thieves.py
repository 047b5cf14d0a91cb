"""Who wins: one case for each row of the table in docs/recovery.md, which says in words what is played here.

Ann has 100.00 and three guardians, Gil, Hal and Ida, if nothing else is said. `Rob` is the thief; with the phone he has
Ann's key.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct

from metrobloc.commons.identity.rules import guardianships
from metrobloc.commons.identity.test_rules import (
    GUARDS,
    MODULES,
    guarded,
    guardians,
    has,
    holding,
    keys,
    pay,
    rich,
    rotates,
)
from metrobloc.commons.identity.types import (
    Arbitrate,
    Freeze,
    Recover,
    Reissue,
    Support,
    Veto,
)
from metrobloc.testing.edges import Scene

DOC = Path(__file__).parents[5] / "docs" / "recovery.md"
DAY = 24 * 60
HERS = "Ann's new phone"
HIS = "Rob's key"
ALL = 10_000
AT_ONCE = 3_000

Winner = Literal["the owner", "the thief"]


class Row(Struct, frozen=True):
    """A case, who ends with the account and with which key, what a thief can take, and who decides."""

    winner: Winner
    key: str
    lost: str
    cents: int
    decides: str
    play: Callable[[Scene], object]
    account: str = "ann"
    guarded: bool = True


def take(s: Scene, cents: int = AT_ONCE, by: str = "ann", refused: str = "ok") -> None:
    """Let the thief spend what he can."""
    s.stage.act("ann", pay(s, "rob", cents), by=(by,), refused=refused)


def rescue(s: Scene, key: str = HERS, by: tuple[str, str] = ("gil", "hal"), of: str = "ann") -> None:
    """Let two guardians give the account a key; nothing can be spent from then on."""
    recovery = s.stage.act(by[0], Recover(s[of], keys(s, key)), also=(key,)).ids[0]
    s.stage.act(by[1], Support(recovery))


def reissue(s: Scene, key: str = HERS) -> None:
    """Let the office give the account a key."""
    s.stage.act("office", Reissue(s["ann"], keys(s, key)), also=(key,))


def decide(s: Scene, verdict: Literal["granted", "dismissed"], by: str = "office", of: str = "ann") -> None:
    """Let whoever may decide do so, and nobody else."""
    other = "supervisor" if by == "office" else "office"
    s.stage.act(other, Arbitrate(s[of], verdict), refused="identity.other_arbiter")
    s.stage.act(by, Arbitrate(s[of], verdict))


def sleep(s: Scene, days: int = 1) -> None:
    """Let days pass in which nobody does anything."""
    s.stage.wait(days * DAY)


def thief_and_guardians(s: Scene) -> None:
    take(s)
    s.stage.act("ida", Freeze(s["ann"]))
    take(s, refused="frozen")
    rescue(s)
    sleep(s)


def thief_vetoes(s: Scene) -> None:
    take(s)
    rescue(s)
    s.stage.act("ann", Veto())
    sleep(s, 30)
    take(s, refused="frozen")
    take(s, by=HERS, refused="not_signed")
    decide(s, "granted")


def thief_rotates(s: Scene) -> None:
    rotates(s, "ann", HIS)
    take(s)
    rescue(s)
    sleep(s)


def thief_names_guardians(s: Scene) -> None:
    s.stage.act("ann", guardians(s, "rob"))
    take(s)
    rescue(s)
    sleep(s)
    s.stage.act("rob", Recover(s["ann"], keys(s, HIS)), also=(HIS,), refused="identity.not_guardian")


def thief_and_a_guardian(s: Scene) -> None:
    take(s)
    rescue(s)
    s.stage.act("ida", Veto(s["ann"]))
    decide(s, "granted")
    s.stage.act("ida", Freeze(s["ann"]), refused="identity.not_guardian")


def colluding_and_owner_awake(s: Scene) -> None:
    rescue(s, HIS)
    s.stage.act("ann", Veto())
    decide(s, "dismissed")
    assert s.box.view[guardianships].get(s["ann"]) is None


def colluding_and_third_awake(s: Scene) -> None:
    rescue(s, HIS)
    s.stage.act("ida", Veto(s["ann"]))
    sleep(s, 7)
    decide(s, "dismissed")


def colluding_and_all_asleep(s: Scene) -> None:
    rescue(s, HIS)
    sleep(s)
    s.stage.act("ann", Veto(), refused="not_signed")
    take(s, ALL, by=HIS)


def lost_phone_and_guardian(s: Scene) -> None:
    rescue(s, by=("hal", "ida"))
    sleep(s)


def lost_phone(s: Scene) -> None:
    reissue(s)
    sleep(s, 7)


def lost_phone_and_two_guardians(s: Scene) -> None:
    s.stage.act("gil", Recover(s["ann"], keys(s, "found too late")), also=("found too late",))
    reissue(s)
    sleep(s, 7)


def thief_and_no_guardians(s: Scene) -> None:
    take(s)
    reissue(s)
    take(s, refused="frozen")
    s.stage.act("ann", Veto())
    decide(s, "granted", by="supervisor")


def thief_and_a_spare_key(s: Scene) -> None:
    take(s)
    s.stage.act("ann", Freeze())
    rotates(s, "ann", HERS)
    s.stage.act("ann", Veto())
    decide(s, "granted")


def asleep(s: Scene) -> None:
    rotates(s, "ann", HIS)
    sleep(s)
    s.stage.act("ann", Veto(), refused="not_signed")
    take(s, ALL, by=HIS)


def asleep_then_office(s: Scene) -> None:
    asleep(s)
    reissue(s)
    s.stage.act("ann", Veto(), by=(HIS,))
    decide(s, "granted", by="supervisor")


def asleep_then_guardians(s: Scene) -> None:
    asleep(s)
    rescue(s)
    s.stage.act("ann", Veto(), by=(HIS,))
    decide(s, "granted")


def office_wrong(s: Scene) -> None:
    reissue(s, HIS)
    s.stage.act("ann", Veto())
    sleep(s, 30)
    take(s, by=HIS, refused="not_signed")
    decide(s, "dismissed", by="supervisor")


def office_wrong_and_a_guardian_awake(s: Scene) -> None:
    reissue(s, HIS)
    s.stage.act("gil", Veto(s["ann"]))
    sleep(s, 30)
    decide(s, "dismissed", by="supervisor")


def office_wrong_and_all_asleep(s: Scene) -> None:
    reissue(s, HIS)
    sleep(s, 7)
    s.stage.act("ann", Veto(), refused="not_signed")
    take(s, ALL, by=HIS)


def shared_office(s: Scene) -> None:
    s.stage.act("office", guardians(s, "bank", "hospital", "charity"))
    sleep(s)
    holding(s, "office", 2, "desk one", "desk two", "desk three")


def office_one_key(s: Scene) -> None:
    shared_office(s)
    for message in (Reissue(s["ann"], keys(s, HIS)), Veto()):
        also = (HIS,) if isinstance(message, Reissue) else ()
        s.stage.act("office", message, by=("desk one",), also=also, refused="not_signed")
    rotates(s, "office", "desk two", "desk three", HERS, threshold=2, by=())
    s.stage.act("office", Veto(), by=("desk one",), refused="not_signed")
    sleep(s)


def office_two_keys(s: Scene) -> None:
    shared_office(s)
    stolen = ("desk one", "desk two")
    s.stage.act("office", Reissue(s["ann"], keys(s, HIS)), by=stolen, also=(HIS,))
    rescue(s, by=("bank", "hospital"), of="office")
    s.stage.act("office", Veto(), by=stolen)
    s.stage.act("ann", Veto())
    for of in ("office", "ann"):
        verdict: Literal["granted", "dismissed"] = "granted" if of == "office" else "dismissed"
        s.stage.act("supervisor", Arbitrate(s[of], verdict))


UNTIL_FROZEN = "what could be spent until a guardian froze it"
UNTIL_RESCUE = "what could be spent until two guardians agreed"
UNTIL_OFFICE = "what could be spent until the office began"
EVERYTHING = "everything that could be spent"
NOTHING = "nothing"
GUARDIANS, THE_OFFICE, THE_SUPERVISOR = "two guardians", "the office", "the supervisor"

TABLE = {
    "A thief has the phone": Row("the owner", HERS, UNTIL_FROZEN, AT_ONCE, GUARDIANS, thief_and_guardians),
    "A thief has the phone and rotates first": Row("the owner", HERS, UNTIL_RESCUE, AT_ONCE, GUARDIANS, thief_rotates),
    "A thief has the phone and first names his own guardians": Row(
        "the owner", HERS, UNTIL_RESCUE, AT_ONCE, GUARDIANS, thief_names_guardians
    ),
    "A thief has the phone and vetoes the rescue": Row(
        "the owner", HERS, UNTIL_RESCUE, AT_ONCE, THE_OFFICE, thief_vetoes
    ),
    "A thief has the phone, and one guardian is his": Row(
        "the owner", HERS, UNTIL_RESCUE, AT_ONCE, THE_OFFICE, thief_and_a_guardian
    ),
    "A thief has the phone, and there are no guardians": Row(
        "the owner", HERS, UNTIL_OFFICE, AT_ONCE, THE_SUPERVISOR, thief_and_no_guardians, guarded=False
    ),
    "A thief has a copy of the key, and so has the owner": Row(
        "the owner", HERS, "what could be spent until she froze it", AT_ONCE, THE_OFFICE, thief_and_a_spare_key
    ),
    "A thief rotates, and nobody looks for a day": Row("the thief", HIS, EVERYTHING, ALL, "nobody", asleep),
    "A thief has rotated, and the guardians wake up": Row(
        "the owner", HERS, EVERYTHING, ALL, THE_OFFICE, asleep_then_guardians
    ),
    "A thief has rotated, and the owner goes to the office": Row(
        "the owner", HERS, EVERYTHING, ALL, THE_SUPERVISOR, asleep_then_office, guarded=False
    ),
    "Two guardians of three collude": Row("the owner", "ann", NOTHING, 0, THE_OFFICE, colluding_and_owner_awake),
    "Two guardians of three collude, and the owner sleeps": Row(
        "the owner", "ann", NOTHING, 0, THE_OFFICE, colluding_and_third_awake
    ),
    "Two guardians of three collude, and nobody looks for a day": Row(
        "the thief", HIS, EVERYTHING, ALL, "nobody", colluding_and_all_asleep
    ),
    "The phone and one guardian of three are lost": Row(
        "the owner", HERS, NOTHING, 0, GUARDIANS, lost_phone_and_guardian
    ),
    "The phone and two guardians of three are lost": Row(
        "the owner", HERS, NOTHING, 0, THE_OFFICE, lost_phone_and_two_guardians
    ),
    "The phone is lost, and there are no guardians": Row(
        "the owner", HERS, NOTHING, 0, THE_OFFICE, lost_phone, guarded=False
    ),
    "The office gives the account to the wrong person": Row(
        "the owner", "ann", NOTHING, 0, THE_SUPERVISOR, office_wrong, guarded=False
    ),
    "The office is wrong, the owner sleeps, a guardian does not": Row(
        "the owner", "ann", NOTHING, 0, THE_SUPERVISOR, office_wrong_and_a_guardian_awake
    ),
    "The office is wrong, and nobody looks for seven days": Row(
        "the thief", HIS, EVERYTHING, ALL, "nobody", office_wrong_and_all_asleep
    ),
    "One key of an office that signs with two of three is stolen": Row(
        "the owner", "desk two", NOTHING, 0, "the office's other keys", office_one_key, account="office"
    ),
    "Two keys of such an office are stolen": Row(
        "the owner",
        HERS,
        "what the office can do, until two guardians agreed",
        0,
        THE_SUPERVISOR,
        office_two_keys,
        account="office",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_who_wins(name: str) -> None:
    row = TABLE[name]
    s = Scene(MODULES)
    for person in ("ann", "rob", *GUARDS):
        s.stage.join(person)
    rich(s, "ann")
    if row.guarded:
        guarded(s, "ann", *GUARDS)
    row.play(s)
    assert has(s, "rob") == row.cents
    signing = {HIS, HERS, "ann"} if row.account == "ann" else {"desk one", "desk two"}
    own = (row.key,) if row.key != "desk two" else ("desk two", HERS)
    for key in sorted(signing - {row.key}):
        s.stage.act(row.account, Freeze(), by=(key,), refused="not_signed")
    s.stage.act(row.account, Freeze(), by=own)
    assert row.winner == ("the thief" if row.key == HIS else "the owner")
    assert not s.box.broken()


def test_the_page_says_the_same() -> None:
    found = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DOC.read_text(), re.MULTILINE)
    rows = {name: (winner, lost, decides) for name, winner, lost, decides in found[1:] if not name.startswith("-")}
    assert rows == {name: (row.winner, row.lost, row.decides) for name, row in TABLE.items()}
