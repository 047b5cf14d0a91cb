"""How a city changes a rule: the council proposes, thinks again, decides, and gets a new member."""

from metrobloc.commons.governance.types import (
    Approve,
    CarryOut,
    ProposeCancel,
    ProposeCouncil,
    ProposeOffice,
    ProposeValue,
    Withdraw,
)
from metrobloc.commons.stage import Stage

DAY_MS = 86_400_000
COUNCIL = ("office", "bank", "hospital", "charity", "supervisor")
NEWCOMERS = ("ann", "bo", "cy", "di", "eve", "flo", "gil", "hua", "ida", "jo")


def play(stage: Stage) -> None:
    """Play the day."""
    stage.say("The hospital wants proposals to stay open for 30 days instead of 14, and the charity agrees.")
    value = ProposeValue("governance", "voting_ms", 30 * DAY_MS)
    proposal = stage.act("hospital", value).ids[0]
    stage.act("charity", Approve(proposal))

    stage.say("The charity thinks again; the bank and the charity approve in the end, and three of five are enough.")
    stage.act("charity", Withdraw(proposal))
    stage.act("bank", Approve(proposal))
    stage.act("charity", Approve(proposal))
    stage.act("office", Approve(proposal), refused="governance.proposals_unknown")

    stage.say("Nothing changes at once: for ten blocks the life of the city goes on under the old value.")
    _live(stage)

    stage.say("Guardians are to have seven days to agree to a recovery; before that holds, the council takes it back.")
    _decide(stage, ProposeValue("identity", "recovery_ms", 7 * DAY_MS))
    _decide(stage, ProposeCancel("value.identity.recovery_ms"))

    stage.say("The notary joins the council: there are six members now, and four must approve.")
    members = (*COUNCIL, "notary")
    _decide(stage, ProposeCouncil(tuple(stage.account(name) for name in members)))
    stage.act("notary", CarryOut(), refused="governance.nothing_due")
    _live(stage)
    stage.act("notary", CarryOut())

    stage.say("A company asks to be the city office and the supervisor too: whoever is one cannot be the other.")
    both = ProposeOffice("office", (stage.account("supervisor"),))
    stage.act("bank", both, refused="governance.both_roles")
    stage.act("company", both, refused="not_allowed")

    stage.say("The notary proposes that decisions take effect after 20 blocks; that proposal is still open.")
    stage.act("notary", ProposeValue("governance", "notice_blocks", 20))


def _decide(stage: Stage, message: ProposeValue | ProposeCancel | ProposeCouncil) -> None:
    """Have three members decide something."""
    proposal = stage.act("bank", message).ids[0]
    for name in ("hospital", "charity"):
        stage.act(name, Approve(proposal))


def _live(stage: Stage) -> None:
    """Let ten blocks go by, in each of which somebody opens an account."""
    for name in NEWCOMERS:
        stage.join(name)
