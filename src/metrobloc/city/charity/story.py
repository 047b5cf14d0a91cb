"""A child's operation, paid in a day: a campaign, three gifts, a company's match, the hospital's invoice."""

from metrobloc.city.charity.types import Close, Give, OfferMatch, OpenCampaign, Refund, Settle
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.stage import Stage

YUAN = 100
DAY_MS = 86_400_000
NO_DOCUMENT = "0" * 64  # the story has no papers, so its commitments are to nothing


def play(stage: Stage) -> None:
    """Play the day."""
    stage.say("The bank opens the yuan and shows its reserve.")
    stage.act("bank", OpenAsset("cny", "Renminbi in fen", 2), RecordReserve("cny", 1_000_000 * YUAN, NO_DOCUMENT))
    for name, yuan in (("ann", 500), ("bo", 100), ("company", 2000)):
        if name != "company":
            stage.join(name)
        stage.act("bank", Issue("cny", stage.account(name), yuan * YUAN))

    stage.say("The charity asks for a wheelchair too; that campaign stays open for whoever reads this.")
    later_ms = stage.time_ms + 300 * DAY_MS
    case = OpenCampaign("A wheelchair for Ms Zhao", stage.account("hospital"), "cny", 500_000, later_ms, NO_DOCUMENT)
    stage.act("charity", case)

    stage.say("The charity opens a campaign for a child's heart operation; only the hospital can be paid from it.")
    closes_ms = stage.time_ms + DAY_MS
    opened = stage.act(
        "charity",
        OpenCampaign("A heart for Xiao Li", stage.account("hospital"), "cny", 840_000, closes_ms, NO_DOCUMENT),
    )
    campaign = opened.ids[0]

    stage.say("A company adds one yuan for every yuan, at most 50 a gift.")
    stage.act("company", OfferMatch((campaign,), 1000 * YUAN, 1, 1, 50 * YUAN, 1000 * YUAN, closes_ms))

    stage.say("Ann gives 41 yuan and then 200; Bo gives 10, thinks again and takes it back.")
    stage.act("ann", Give(campaign, 41 * YUAN))
    stage.act("ann", Give(campaign, 200 * YUAN))
    gift = stage.act("bo", Give(campaign, 10 * YUAN)).ids[0]
    stage.act("bo", Refund(gift))
    stage.act("bo", Refund(gift), refused="charity.refunded_already")

    stage.say("The charity cannot pay before the campaign has closed.")
    stage.act("charity", Settle(campaign, 100 * YUAN, NO_DOCUMENT), refused="charity.not_closed")
    stage.wait(24 * 60)

    stage.say("The day is over: the match of 91 yuan arrives, and the hospital is paid 332 yuan against its invoice.")
    stage.act("charity", Close(campaign), refused="charity.not_open")
    stage.act("charity", Settle(campaign, 332 * YUAN, NO_DOCUMENT))
    stage.act("charity", Settle(campaign, 1, NO_DOCUMENT), refused="charity.above_held")
