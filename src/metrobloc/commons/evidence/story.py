"""A survey and a delivery note: recorded, signed by a second, corrected, replaced by a court's version, withdrawn."""

from metrobloc.commons.evidence.types import Countersign, DeclareKind, Lodge, Supersede, Withdraw
from metrobloc.commons.stage import Stage

DAY_MS = 86_400_000


def play(stage: Stage) -> None:
    """Play the days."""
    stage.say("The office says who records what: notaries deeds, which the supervisor may correct; hospitals receipts.")
    stage.act("office", DeclareKind("deed", "A deed of sale, signed before a notary", "notary", "supervisor"))
    receipt = DeclareKind("ward_receipt", "A receipt for goods that came to a ward", "hospital", private=True)
    stage.act("office", receipt)

    stage.say("A notary records a deed about the company's house; the company signs it too.")
    house, company = stage.account("company"), stage.account("company")
    dated_ms = stage.time_ms - DAY_MS
    deed = stage.act("notary", Lodge("deed", house, "notary_archive", dated_ms, "1d" * 32, None, 0, (company,))).ids[0]
    stage.act("charity", Countersign(deed), refused="evidence.not_asked")
    stage.act("company", Countersign(deed))

    stage.say("A page was missing, so the notary records a newer version; the old one stays, marked as superseded.")
    newer = stage.act("notary", Supersede(deed, "notary_archive", dated_ms, "2d" * 32, None, 0, (company,))).ids[0]
    stage.act("notary", Supersede(deed, "notary_archive", dated_ms, "3d" * 32), refused="evidence.superseded")
    stage.act("company", Countersign(newer))

    stage.say("A court corrects the price; the supervisor, who is the authority for deeds, records its version.")
    stage.act("supervisor", Supersede(newer, "court_register", stage.time_ms, "4d" * 32))

    stage.say("The hospital's receipt holds names, so only a commitment to it is taken; it is wrong and is withdrawn.")
    plain = Lodge("ward_receipt", house, "ward_seven", dated_ms, "5d" * 32)
    stage.act("hospital", plain, refused="evidence.keep_private")
    until_ms = stage.time_ms + 365 * DAY_MS
    hidden = Lodge("ward_receipt", house, "ward_seven", dated_ms, None, "6c" * 32, until_ms)
    wrong = stage.act("hospital", hidden).ids[0]
    stage.act("hospital", Withdraw(wrong, "mistaken"))
    stage.act("hospital", Withdraw(wrong, "mistaken"), refused="evidence.withdrawn")
    stage.act("hospital", Lodge("ward_receipt", house, "ward_seven", dated_ms, None, "7c" * 32, until_ms))
