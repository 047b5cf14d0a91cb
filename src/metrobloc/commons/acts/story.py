"""A flat is sold: seller, buyer and notary approve over three days. Of others one lapses, and two are called off."""

import msgspec

from metrobloc.commons.acts.types import Approve, Call, Calls, Cancel, Decline, Propose, Proposed, Withdraw
from metrobloc.commons.identity.types import Mandate
from metrobloc.commons.money.types import Issue, Leg, Move, OpenAsset, RecordReserve
from metrobloc.commons.stage import Stage
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.system import Ceiling
from metrobloc.kernel.types import Message

DAY_MINUTES = 24 * 60
DAY_MS = 86_400_000
EURO = 100
PRICE, LOAN, FEE, TAX = 200_000 * EURO, 150_000 * EURO, 2_000 * EURO, 700 * EURO
NO_DOCUMENT = "0" * 64  # the story has no papers, so its commitments are to nothing


def play(stage: Stage) -> None:
    """Play the days."""
    stage.say("Bea has the money for a flat, which a housing company sells.")
    for name in ("bea", "cleo"):
        stage.join(name)
    stage.act("bank", OpenAsset("euro", "Euro in cents", 2), RecordReserve("euro", 1_000_000 * EURO, NO_DOCUMENT))
    stage.act("bank", Issue("euro", stage.account("bea"), PRICE + FEE))

    stage.say("Cleo signs for the company: she may approve acts, and repay the loan that lies on the flat.")
    loan = Ceiling("money.balances", "euro", LOAN)
    scope, until_ms = ("acts.approve", "money.move"), stage.time_ms + 300 * DAY_MS
    stage.act("company", Mandate(stage.account("cleo"), scope, until_ms, (loan,)))

    stage.say("The notary writes the deed: price, loan, fee and tax. Nothing of it happens before all have approved.")
    yes = propose(stage, "notary", deed(stage))
    stage.act("bea", yes)
    stage.act("bank", yes, refused="acts.not_actor")

    stage.say("On the second day Bea thinks again, and again; then Cleo approves for the company.")
    stage.wait(DAY_MINUTES)
    stage.act("bea", Withdraw(yes.act))
    stage.act("bea", yes)
    _by(stage, "cleo", "company", yes)

    stage.say("On the third day the notary approves, and in that moment everybody is paid.")
    stage.wait(DAY_MINUTES)
    stage.act("notary", yes)
    stage.act("bea", Withdraw(yes.act), refused="acts.over")

    stage.say("Of four more deeds the buyer declines one, the notary cancels one, one lapses, and one waits for you.")
    declined, cancelled, lapsing = (propose(stage, "notary", deed(stage, days)) for days in (30, 30, 2))
    stage.act("notary", lapsing)
    stage.act("bea", Decline(declined.act))
    stage.act("notary", Cancel(cancelled.act))
    stage.wait(2 * DAY_MINUTES)
    stage.act("notary", propose(stage, "notary", deed(stage)))
    stage.act("bea", lapsing, refused="acts.over")


def propose(stage: Stage, proposer: str, proposed: Propose) -> Approve:
    """Propose an act and return what its actors sign to approve it."""
    told = stage.act(proposer, proposed)
    event = msgspec.json.decode(told.events[0].fields, type=Proposed)
    return Approve(event.act, event.bundle)


def deed(stage: Stage, days: int = 30) -> Propose:
    """Return the deed of a flat: who pays what to whom, all of it or nothing."""
    price = (Leg("euro", stage.account("company"), PRICE), Leg("euro", stage.account("notary"), FEE))
    calls = write(
        stage,
        ("bea", Move(price)),
        ("company", Move((Leg("euro", stage.account("bank"), LOAN),))),
        ("notary", Move((Leg("euro", stage.account("office"), TAX),))),
    )
    return Propose(calls, stage.time_ms + days * DAY_MS)


def write(stage: Stage, *calls: tuple[str, Message]) -> Calls:
    """Write calls as an act holds them."""
    return tuple(
        Call(stage.account(who), stage.rules.names[type(message)], codec.encode(message).decode())
        for who, message in calls
    )


def _by(stage: Stage, delegate: str, account: str, message: Message) -> None:
    """Let somebody who has a mandate sign in another's name."""
    outcome = stage.send([envelope.sign(stage.payload((account, message)), [stage.key(delegate)])])[0]
    if outcome.code != "ok":
        raise AssertionError(f"{delegate} for {account}: {outcome.code}")
