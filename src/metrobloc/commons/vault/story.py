"""A hospital's letter: kept encrypted, read by two, taken back, missed for a day, and erased; the proof of it stays."""

from metrobloc.commons.identity.types import ShowBoxKey
from metrobloc.commons.stage import Stage
from metrobloc.commons.vault.types import (
    Acknowledge,
    Answer,
    ConfirmDeletion,
    ConfirmErasure,
    Erase,
    Grant,
    HandOut,
    Keep,
    OfferStore,
    Receive,
    ReportMissing,
    Revoke,
    Share,
    Store,
)
from metrobloc.kernel.crypto import X25519, key_id, sha256

DAY_MINUTES = 24 * 60
DAY_MS = 86_400_000


def play(stage: Stage) -> None:
    """Play the days."""
    stage.say("A custodian says where it keeps what it cannot read.")
    stage.act("custodian", OfferStore("local:custodian"))
    for name in ("ann", "bo"):
        stage.join(name)
    for name in ("hospital", "ann", "bo"):
        stage.act(name, ShowBoxKey(key_id(sha256(f"box of {name}".encode()), X25519)))

    stage.say("A hospital has sealed a letter for itself and for Ann; the ledger learns digests, and nothing of it.")
    hospital, ann, bo = (stage.account(name) for name in ("hospital", "ann", "bo"))
    shares = (Share(hospital, _digest("1"), "treatment"), Share(ann, _digest("2"), "own_copy"))
    letter = _letter(stage, "letter", shares, stage.time_ms + 3650 * DAY_MS)
    kept = _letter(stage, "x-ray", shares[:1], 0)
    stage.act("custodian", Acknowledge(letter), Acknowledge(kept))
    stage.act("ann", Receive(letter, "own_copy"))

    stage.say("Bo's practice may read it for a month; he opens it, and once for something that was not agreed.")
    stage.act("hospital", Grant(letter, bo, _digest("3"), "second_opinion", stage.time_ms + 30 * DAY_MS))
    stage.act("custodian", HandOut(letter, bo))
    stage.act("bo", Receive(letter, "second_opinion"), Receive(letter, "research"))
    stage.act("bo", Grant(letter, bo, _digest("4"), "research"), refused="vault.not_owner")

    stage.say("The hospital takes his right back; the envelope has to go, and a used one is never used again.")
    stage.act("hospital", Revoke(letter, bo))
    stage.act("bo", Receive(letter, "second_opinion"), refused="vault.not_reader")
    stage.act("hospital", Grant(letter, bo, _digest("3"), "second_opinion"), refused="vault.envelope_used")
    stage.act("custodian", ConfirmDeletion(letter, (_digest("3"),)))

    stage.say("Ann finds nothing at the custodian and says so; a day later a disk is back, and the letter with it.")
    stage.act("ann", ReportMissing(letter))
    stage.wait(DAY_MINUTES)
    stage.act("custodian", Answer(letter, found=True))

    stage.say("The x-ray is missed too, and nobody answers for a week: that stands on the ledger.")
    stage.act("hospital", ReportMissing(kept))
    stage.wait(8 * DAY_MINUTES)
    stage.act("hospital", Keep(kept, stage.time_ms + DAY_MS))
    stage.wait(2 * DAY_MINUTES)

    stage.say("The letter is erased: nobody may read it, it is destroyed, and that there was one can be proved.")
    stage.act("hospital", Erase(letter))
    stage.act("ann", Receive(letter, "own_copy"), refused="vault.erased")
    stage.act("custodian", ConfirmErasure(letter), ConfirmErasure(kept))
    stage.act("custodian", ConfirmErasure(letter), refused="vault.destroyed")


def _letter(stage: Stage, name: str, shares: tuple[Share, ...], keep_until_ms: int) -> str:
    """Record what the hospital has sealed; return its id."""
    content, subject = (_digest(f"{what} of {name}") for what in ("content", "subject"))
    entry = Store(stage.account("custodian"), _digest(name), 4096, content, subject, shares, keep_until_ms)
    return stage.act("hospital", entry).ids[0]


def _digest(of: str) -> str:
    """Return a digest that stands for something which the story does not have."""
    return sha256(f"metrobloc story of the vault\n{of}\n".encode()).hex()
