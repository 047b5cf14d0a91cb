"""A week between three time banks: an elder's shopping, a cellar without a network, a quarrel, a storm, a farewell."""

from typing import Literal

from metrobloc.city.timebank import checks
from metrobloc.city.timebank.types.messages import (
    CheckIn,
    CheckOut,
    Claim,
    ClearCycle,
    CloseBank,
    Confirm,
    Dispute,
    Donate,
    Join,
    Move,
    RegisterBank,
    Release,
    ReleaseFor,
    Resolve,
    SetLine,
    Suspend,
    Transfer,
    UploadCheck,
    Verify,
)
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.stage import Stage

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NO_DOCUMENT = "0" * 64  # the story has no papers, so its commitments are to nothing
BANKS = {"old_town": "timebank", "harbour": "harbour", "hills": "hills"}
"""Each bank's coordinator: the first is the playground's, the others come from elsewhere."""
PEOPLE = {
    "mei": ("old_town", "company"),
    "bo": ("old_town", "repairs", "shopping"),
    "li": ("harbour", "cooking", "shopping"),
    "ana": ("hills", "gardening"),
}
"""Each member's bank, and what she can do."""


def play(stage: Stage) -> None:
    """Play the week."""
    _found(stage)
    _shop(stage)
    _repair(stage)
    _quarrel(stage)
    _clear(stage)
    _relieve(stage)
    _wind_down(stage)


def _found(stage: Stage) -> None:
    stage.say("The city office admits three time banks: members may owe two hours and save two days.")
    licence_ms = stage.time_ms + 3 * 365 * DAY_MS
    for bank, coordinator in BANKS.items():
        if coordinator != "timebank":
            stage.join(coordinator)
            stage.act("office", Accredit(stage.account(coordinator), f"Coordinator of {bank}", "timebank", 10_000))
        account = stage.account(coordinator)
        stage.act("office", RegisterBank(bank, f"Time bank {bank}", account, 2, licence_ms, 120, 2880, 240))

    stage.say("The banks let each other owe ten hours.")
    for bank, coordinator in BANKS.items():
        stage.act(coordinator, *(SetLine(bank, other, 600) for other in BANKS if other != bank))

    stage.say("Four people join; each bank vouches for what its own can do.")
    for name, (bank, *skills) in PEOPLE.items():
        stage.join(name)
        stage.act(name, Join(bank))
        stage.act(BANKS[bank], Verify(stage.account(name), 2, 120, 2880, tuple(skills)))


def _shop(stage: Stage) -> None:
    stage.say("Mei is 84 and asks for someone to shop for her, an hour and a half at most. It cannot be herself.")
    task = stage.act("mei", _task(stage, "request", "shopping", "The week's shopping", 90)).ids[0]
    stage.act("mei", Claim(task), refused="timebank.own_task")

    stage.say("Bo claims it, and Mei's ninety minutes are set aside: whoever helps is sure to be paid.")
    service = stage.act("bo", Claim(task)).ids[0]
    stage.act("ana", Claim(task), refused="timebank.no_slot")
    stage.act("mei", CheckIn(service))
    stage.wait(80)
    stage.act("bo", CheckOut(service))

    stage.say("It took 75 minutes. Mei mistypes and is told so; once both say 75, Bo has them and 15 return.")
    stage.act("bo", Confirm(service, 75))
    stage.act("mei", Confirm(service, 57), refused="timebank.differs")
    stage.act("mei", Confirm(service, 75))


def _repair(stage: Stage) -> None:
    stage.say("Bo offers to repair things. Li claims an hour, from the harbour: her bank will owe his.")
    task = stage.act("bo", _task(stage, "offer", "repairs", "Whatever has a plug", 60)).ids[0]
    service = stage.act("li", Claim(task)).ids[0]

    stage.say("Li's cellar has no network. She signs two codes for Bo's phone, and he hands them in at night.")
    codes = [_code(stage, "li", service, "in")]
    stage.wait(60)
    codes.append(_code(stage, "li", service, "out"))
    stage.wait(5 * 60)
    forged = UploadCheck(service, "in", codes[0].at_ms - 1, codes[0].signature)
    stage.act("bo", forged, refused="timebank.bad_code")
    stage.act("bo", *codes)
    stage.act("bo", Confirm(service, 60))
    stage.act("li", Confirm(service, 60))


def _quarrel(stage: Stage) -> None:
    stage.say("Ana would weed Mei's yard for two hours. But Mei owes 75 minutes, and may owe no more than two hours.")
    yard = stage.act("mei", _task(stage, "request", "gardening", "Weeds in the yard", 120)).ids[0]
    stage.act("ana", Claim(yard), refused="timebank.hours_too_low")
    stage.say("So Bo gives her 75 minutes, and Ana can claim.")
    stage.act("bo", Transfer(stage.account("mei"), 75))
    service = stage.act("ana", Claim(yard)).ids[0]
    stage.act("ana", CheckIn(service))
    stage.wait(120)
    stage.act("ana", CheckOut(service))
    stage.act("ana", Confirm(service, 120))

    stage.say("Ana says two hours, Mei says one and calls the coordinator. He hears both and decides for one.")
    stage.act("mei", Dispute(service, NO_DOCUMENT))
    stage.act("ana", Confirm(service, 120), refused="timebank.in_dispute")
    stage.act("hills", Resolve(service, 120), refused="timebank.not_coordinator")
    stage.act("timebank", Resolve(service, 60))


def _clear(stage: Stage) -> None:
    stage.say("Li cooks for Ana for 40 minutes. Now the hills owe the harbour, it the old town, and that the hills.")
    task = stage.act("ana", _task(stage, "request", "cooking", "Dumplings for eight", 40)).ids[0]
    service = stage.act("li", Claim(task)).ids[0]
    stage.act("li", CheckIn(service))
    stage.wait(45)
    stage.act("li", CheckOut(service))
    stage.act("li", Confirm(service, 40))
    stage.act("ana", Confirm(service, 40))

    stage.say("A debt in a circle is none: 40 minutes are struck out all around. A 41st nobody owes.")
    ring = ("harbour", "old_town", "hills")
    stage.act("harbour", ClearCycle(ring, 41), refused="timebank.no_such_debt")
    stage.act("harbour", ClearCycle(ring, 40))


def _relieve(stage: Stage) -> None:
    stage.say("Bo gives an hour to the pot. Then a storm breaks Mei's roof, and the pot pays for hands from anywhere.")
    stage.act("bo", Donate(60))
    shared = _task(stage, "request", "shopping", "Tarpaulins before dark", 60)
    relief = ReleaseFor(
        stage.account("mei"), shared.skill, shared.title, shared.place, 60, shared.from_ms, shared.until_ms
    )
    task = stage.act("timebank", relief).ids[0]
    stage.act("timebank", Claim(task), refused="timebank.members_unknown")
    service = stage.act("li", Claim(task)).ids[0]
    stage.act("li", CheckIn(service))
    stage.wait(70)
    stage.act("li", CheckOut(service))
    stage.act("li", Confirm(service, 60))

    stage.say("Mei has other worries than confirming. After a week without a word against it, Li has her hour.")
    stage.wait(7 * 24 * 60)
    stage.act("mei", Confirm(service, 60), refused="timebank.ended")


def _wind_down(stage: Stage) -> None:
    stage.say("The hills' bank is suspended: nobody can begin anything there, and Ana moves away with her 20 minutes.")
    stage.act("office", Suspend("hills"))
    task = stage.act("li", _task(stage, "request", "gardening", "Roses", 30)).ids[0]
    stage.act("ana", Claim(task), refused="timebank.winding_down")
    stage.act("office", CloseBank("hills"), refused="timebank.not_empty")
    stage.act("ana", Move("old_town"))
    stage.act("hills", SetLine("hills", "old_town", 0), SetLine("hills", "harbour", 0))

    stage.say("Nobody is left there and nothing is owed, so the office closes it. Li's roses still wait for someone.")
    stage.act("office", CloseBank("hills"))


def _task(stage: Stage, kind: Literal["offer", "request"], skill: str, title: str, minutes: int) -> Release:
    now_ms = stage.time_ms
    return Release(kind, skill, title, "Near the market", minutes, now_ms, now_ms + 30 * DAY_MS)


def _code(stage: Stage, name: str, service: str, what: Literal["in", "out"]) -> UploadCheck:
    signature = stage.key(name).sign(checks.code(stage.rules.chain, service, what, stage.time_ms))
    return UploadCheck(service, what, stage.time_ms, signature.hex())
