"""A child's operation, from a text message to the invoice: two hospitals, gifts, a match, a flag and its appeal."""

from metrobloc.city.charity.types.calling import HandOver, Hear, RaiseSeverity
from metrobloc.city.charity.types.messages import (
    AgreeSurplus,
    Appeal,
    Approve,
    Close,
    Countersign,
    Decide,
    DeclareTemplate,
    Finish,
    Give,
    MoveSurplus,
    OfferMatch,
    Present,
    RaiseFlag,
    Refund,
    Refuse,
    Review,
    Settle,
    SetUp,
    Verify,
    Withdraw,
)
from metrobloc.city.charity.types.needing import Commit, Confirm, Publish, Receive, Ship
from metrobloc.city.charity.types.records import Line
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.stage import Stage
from metrobloc.kernel import crypto

YUAN = 100
DAY_MS = 86_400_000
DAY_MINUTES = 24 * 60
NO_DOCUMENT = "0" * 64  # the story has no papers, so its commitments are to nothing
INVOICE = crypto.sha256(b"a stand-in for the keyed nullifier of invoice 2026-0815").hex()
TEXT_MESSAGE = crypto.sha256(b"a stand-in for the keyed nullifier of a text message").hex()
CALLER = crypto.sha256(b"a stand-in for the keyed nullifier of who sent it").hex()
OTHER_INVOICE = crypto.sha256(b"a stand-in for the keyed nullifier of invoice 2026-0816").hex()
LINES = (
    Line("operation", "treatment", 1, 400 * YUAN, insurer=150 * YUAN),
    Line("medicine", "medicine", 4, 20 * YUAN, self_paid=10 * YUAN),
)


def play(stage: Stage) -> None:
    """Play the days."""
    found(stage)
    cluster = heard(stage)
    closes_ms = stage.time_ms + DAY_MS
    stage.say("The charity asks for a wheelchair too; that campaign stays open for whoever reads this.")
    wheelchair = opened(stage, "A wheelchair for Ms Zhao", 500_000, stage.time_ms + 300 * DAY_MS)
    stage.say("The charity sets up a child's heart operation; another hospital verifies it, civil affairs opens it.")
    campaign = opened(stage, "A heart for Xiao Li", 840_000, closes_ms)
    answered(stage, cluster, campaign, closes_ms)

    stage.say("A company adds one yuan for every yuan, at most 50 a gift.")
    stage.act("company", OfferMatch((campaign,), 1000 * YUAN, 1, 1, 50 * YUAN, 1000 * YUAN, closes_ms))
    stage.say(
        "Ann gives 41 yuan, then 200 for medicine only; Bo gives 10, thinks again and takes it back, then gives 90."
    )
    stage.act("ann", Give(campaign, 41 * YUAN))
    stage.act("ann", Give(campaign, 200 * YUAN, "medicine"))
    gift = stage.act("bo", Give(campaign, 10 * YUAN)).ids[0]
    stage.act("bo", Refund(gift))
    stage.act("bo", Refund(gift), refused="charity.refunded_already")
    last = stage.act("bo", Give(campaign, 90 * YUAN)).ids[0]

    claim = claimed(stage, campaign, wheelchair)
    stage.say("Nothing is paid before the campaign has closed. Then the match of 141 yuan arrives.")
    stage.act("charity", Settle(claim, 100 * YUAN, 0), refused="charity.not_closed")
    stage.wait(DAY_MINUTES)
    stage.act("charity", Close(campaign), refused="charity.not_open")
    flagged(stage, campaign, claim)
    stage.say("The clinic is paid in two instalments, exactly what was approved; the same one twice is refused.")
    stage.act("charity", Settle(claim, 200 * YUAN, 0))
    stage.act("charity", Settle(claim, 200 * YUAN, 0), refused="charity.paid_already")
    stage.act("charity", Settle(claim, 115 * YUAN, 200 * YUAN))
    left_over(stage, campaign, wheelchair, last)


def found(stage: Stage) -> None:
    """Let there be money, a second hospital and two kinds of case."""
    stage.say("The bank opens the yuan and shows its reserve.")
    stage.act("bank", OpenAsset("cny", "Renminbi in fen", 2), RecordReserve("cny", 1_000_000 * YUAN, NO_DOCUMENT))
    for name in ("ann", "bo", "clinic"):
        stage.join(name)
    for name, yuan in (("ann", 500), ("bo", 100), ("company", 2000)):
        stage.act("bank", Issue("cny", stage.account(name), yuan * YUAN))
    stage.say("The city office accredits a children's clinic; civil affairs says what a case of need may ask for.")
    stage.act("office", Accredit(stage.account("clinic"), "Children's clinic", "hospital", 1000))
    stage.act("civil_affairs", DeclareTemplate("need", 1_000_000, 366 * DAY_MS, ("medicine",)))


def heard(stage: Stage) -> str:
    """Let a family's text message arrive; return the cluster in which its call stands."""
    stage.say("A family's text message arrives. Its gateway delivers it three times, and it counts once.")
    stage.join("gateway")
    stage.act("office", Accredit(stage.account("gateway"), "SMS gateway", "gateway", 100_000))
    message = Hear("sms", TEXT_MESSAGE, "north", "heart", 4, NO_DOCUMENT, CALLER)
    cluster = stage.act("gateway", message).ids[1]
    for _ in range(2):
        stage.act("gateway", message)
    stage.act("civil_affairs", RaiseSeverity(cluster, 5))
    return cluster


def answered(stage: Stage, cluster: str, campaign: str, until_ms: int) -> None:
    """Let the campaign answer the call, and what the clinic lacks arrive."""
    stage.say("The campaign answers that call. The clinic lacks two oxygen concentrators; the company sends them.")
    stage.act("civil_affairs", HandOver(cluster, campaign))
    lacking = Publish("oxygen_concentrator", "piece", 2, "north", stage.account("clinic"), until_ms, campaign, cluster)
    need = stage.act("charity", lacking).ids[0]
    stage.act("civil_affairs", Confirm(need, 2))
    supply = stage.act("company", Commit(need, 2, until_ms)).ids[0]
    stage.act("company", Ship(supply, "box_1", 2))
    stage.act("clinic", Receive(stage.account("company"), "box_1", 2))


def opened(stage: Stage, title: str, goal: int, closes_ms: int) -> str:
    """Let a case be set up, verified and approved; return its campaign."""
    case = SetUp(title, "need", stage.account("clinic"), "cny", goal, closes_ms, NO_DOCUMENT, NO_DOCUMENT)
    campaign = stage.act("charity", case).ids[0]
    stage.act("ann", Give(campaign, YUAN), refused="charity.not_open")
    stage.act("clinic", Verify(campaign, NO_DOCUMENT, goal), refused="charity.same_party")
    stage.act("hospital", Verify(campaign, NO_DOCUMENT, goal))
    stage.act("civil_affairs", Approve(campaign))
    return campaign


def claimed(stage: Stage, campaign: str, other: str) -> str:
    """Let the clinic present its invoice, once and a second time, and others approve it; return the claim."""
    stage.say("The clinic presents its invoice: 480 yuan, of which the insurer pays 150 and the family 10.")
    claim = stage.act("clinic", Present(campaign, INVOICE, NO_DOCUMENT, LINES)).ids[0]
    stage.say("The same invoice under another campaign is refused; what was presented by mistake is withdrawn.")
    stage.act("clinic", Present(other, INVOICE, NO_DOCUMENT, LINES), refused="charity.presented_already")
    for ending in (Withdraw, Refuse):
        mistake = stage.act("clinic", Present(campaign, OTHER_INVOICE, NO_DOCUMENT, LINES)).ids[0]
        stage.act("clinic" if ending is Withdraw else "supervisor", ending(mistake))
    stage.say("Civil affairs reviews it line by line and leaves out 5 yuan; the supervisor countersigns.")
    stage.act("civil_affairs", Review(claim, INVOICE, (250 * YUAN, 65 * YUAN)))
    stage.act("civil_affairs", Countersign(claim), refused="not_allowed")
    stage.act("supervisor", Countersign(claim))
    return claim


def flagged(stage: Stage, campaign: str, claim: str) -> None:
    """Let the supervisor freeze the campaign, the clinic appeal, and civil affairs decide."""
    stage.say("The supervisor wonders about the price and freezes the campaign; the clinic appeals and is right.")
    flag = RaiseFlag(campaign, stage.account("clinic"), "price", NO_DOCUMENT, freezes=True)
    raised = stage.act("supervisor", flag).ids[0]
    stage.act("charity", Settle(claim, 100 * YUAN, 0), refused="charity.frozen")
    stage.act("clinic", Appeal(raised, NO_DOCUMENT))
    stage.act("supervisor", Decide(raised, upheld=False), refused="charity.not_decider")
    stage.act("civil_affairs", Decide(raised, upheld=False))


def left_over(stage: Stage, campaign: str, other: str, last: str) -> None:
    """Let the campaign be finished: Bo takes back what is left of his gift, and what Ann leaves moves on."""
    stage.say(
        "The case is finished. Bo takes back what is left of his 90 yuan; what Ann leaves goes to the wheelchair."
    )
    stage.act("charity", Finish(campaign))
    stage.act("bo", Refund(last))
    stage.act("supervisor", AgreeSurplus(campaign, other))
    stage.act("charity", MoveSurplus(campaign), refused="charity.too_early")
    stage.wait(30 * DAY_MINUTES)
    stage.act("charity", MoveSurplus(campaign))
    stage.act("charity", MoveSurplus(campaign), refused="charity.nothing_left")
