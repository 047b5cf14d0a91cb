"""A wheelchair in three instalments, the last of them disputed; a ramp that is never built, so its money returns."""

from metrobloc.commons.escrow.types import Accept, Cancel, Decide, Dispute, Open, Refund, Release, Terms
from metrobloc.commons.evidence.types import Countersign, DeclareKind, Lodge
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.stage import Stage

YUAN = 100
DAY_MINUTES = 24 * 60
DAY_MS = 86_400_000
NO_DOCUMENT = "0" * 64  # the story has no papers, so its commitments are to nothing


def play(stage: Stage) -> None:
    """Play the weeks."""
    stage.say(
        "The bank opens an asset for aid; the charity has 9,000 yuan. The office says who records delivery notes."
    )
    stage.act("bank", OpenAsset("aid", "Aid in fen", 2), RecordReserve("aid", 10_000 * YUAN, NO_DOCUMENT))
    stage.act("bank", Issue("aid", stage.account("charity"), 9_000 * YUAN))
    note = DeclareKind("delivery_note", "A note signed where goods arrived", "hospital", "supervisor", private=True)
    stage.act("office", note)

    _wheelchair(stage)
    _ramps(stage)


def _wheelchair(stage: Stage) -> None:
    stage.say("The charity sets 5,000 yuan aside for a wheelchair: for the order, the delivery, and a month of use.")
    now_ms = stage.time_ms
    chair = Open(
        stage.account("company"),
        "aid",
        "wheelchair",
        (
            Terms(1_000 * YUAN, now_ms + 7 * DAY_MS, roles=("hospital",)),
            Terms(3_000 * YUAN, now_ms + 30 * DAY_MS, evidence_kind="delivery_note", signer_role="hospital"),
            Terms(1_000 * YUAN, now_ms + 60 * DAY_MS, (stage.account("charity"),), not_before_ms=now_ms + 40 * DAY_MS),
        ),
        14,
        arbiter_role="supervisor",
        in_order=True,
    )
    escrow, order, delivery, use, *_ = stage.act("charity", chair).ids
    stage.act("hospital", Release(order, "hospital"), refused="escrow.not_accepted")

    stage.say("The company accepts the terms, so the charity can no longer cancel; the hospital confirms the order.")
    stage.act("company", Accept(escrow))
    stage.act("charity", Cancel(escrow), refused="escrow.accepted_already")
    stage.act("company", Release(delivery), refused="escrow.not_its_turn")
    stage.act("hospital", Release(order, "hospital"))

    stage.say("The chair arrives: the hospital records the delivery note, the company signs it and is paid.")
    stage.wait(20 * DAY_MINUTES)
    stage.act("company", Release(delivery), refused="escrow.evidence_missing")
    paper = Lodge("delivery_note", delivery, "ward_seven", stage.time_ms, None, "3d" * 32)
    unsigned = Lodge("delivery_note", delivery, "ward_seven", stage.time_ms, None, "4d" * 32, 0, (chair.payee,))
    stage.act("company", paper, refused="evidence.not_entitled")
    arrived = stage.act("hospital", unsigned).ids[0]
    stage.act("company", Release(delivery, evidence=arrived), refused="evidence.not_cosigned")
    stage.act("company", Countersign(arrived))
    stage.act("company", Release(delivery, evidence=arrived))

    stage.say("A wheel breaks. The charity disputes the last part; nobody releases it, and its time stands still.")
    stage.wait(21 * DAY_MINUTES)
    stage.act("charity", Dispute(use, NO_DOCUMENT))
    stage.act("charity", Release(use), refused="escrow.in_dispute")
    stage.act("charity", Decide(use, 0), refused="escrow.not_arbiter")
    stage.say("The supervisor decides: 600 yuan for the company, 400 back to the charity.")
    stage.wait(13 * DAY_MINUTES)
    stage.act("supervisor", Decide(use, 600 * YUAN))
    stage.act("supervisor", Decide(use, 600 * YUAN), refused="escrow.ended")


def _ramps(stage: Stage) -> None:
    company = stage.account("company")
    stage.say(
        "A ramp is agreed too, with two of three to approve it. The company gives 500 yuan back, then builds nothing."
    )
    approvers = (stage.account("charity"), stage.account("civil_affairs"))
    until_ms = stage.time_ms + 10 * DAY_MS
    terms = Terms(2_000 * YUAN, until_ms, approvers, ("hospital",), 2)
    ramp = Open(company, "aid", "ramp", (terms,), 1, stage.account("notary"))
    escrow, build, *_ = stage.act("charity", ramp).ids
    stage.act("company", Accept(escrow), Refund(build, 500 * YUAN))
    stage.act("civil_affairs", Release(build))
    stage.act("civil_affairs", Release(build), refused="escrow.approved_already")
    stage.say("Ten days later the time has run out, and 1,500 yuan return to the charity by themselves.")
    stage.wait(10 * DAY_MINUTES)
    stage.act("hospital", Release(build, "hospital"), refused="escrow.ended")

    stage.say("Another ramp is agreed with the company and waits for its acceptance.")
    terms = Terms(2_000 * YUAN, stage.time_ms + 90 * DAY_MS, approvers, ("hospital",), 2)
    stage.act("charity", Open(company, "aid", "ramp", (terms,), 1, stage.account("notary")))
