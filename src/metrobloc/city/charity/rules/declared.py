"""What the charity declares: its roles, refusals, tables, parameters, and the guards that several verbs share."""

from metrobloc.city.charity.rules.refusing import AID
from metrobloc.city.charity.types.records import (
    Campaign,
    Claim,
    Contribution,
    Flag,
    Gift,
    Hand,
    Invoice,
    Offer,
    Purse,
    Share,
    Span,
    Template,
)
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module

CHARITY = "charity"
HOSPITAL = "hospital"
VENDOR = "vendor"
SPONSOR = "company"
CIVIL_AFFAIRS = "civil_affairs"
DAY_MS = 86_400_000
KIND = "invoice"
"""Of what kind the papers are, as `metrobloc nullifier --kind` has it: a paper's key is its kind and nullifier."""

app = Module(
    "charity",
    {
        "no_hospital": "The account named as hospital is not accredited as one.",
        "no_asset": "There is no such asset; ask a bank to open it first.",
        "in_the_past": "The time must lie ahead of the block's time.",
        "too_long": "The campaign would run longer than allowed; choose an earlier closing time.",
        "template_retired": "No more cases of this kind are taken; choose another template.",
        "above_template": "The goal is higher than the template allows.",
        "not_yours": "Only the charity whose campaign it is may do this.",
        "same_party": "Whoever submits, verifies, approves and is paid for a case must be different institutions.",
        "other_hat": "This person has acted on the campaign for another institution; somebody else must do it.",
        "same_person": "Whoever signed for the charity when the case was submitted cannot approve its invoices.",
        "not_submitted": "The case was verified or given up already.",
        "not_verified": "A hospital must verify the case first, and it must not be open already.",
        "other_plan": "The case has another plan or goal than the one that is named here.",
        "not_open": "The campaign takes no more gifts, or none yet.",
        "not_closed": "The campaign still takes gifts, or was given up or finished; nothing can be paid from it.",
        "frozen": "The campaign is frozen by a flag; it can be appealed, and gifts can be taken back meanwhile.",
        "no_category": "The campaign's template does not know this purpose; give for another one, or without.",
        "paid_out": "Money of this campaign has been paid out; it can no longer be given up. Finish it instead.",
        "took_surplus": "The campaign has taken another's surplus; it cannot be given up. Finish it instead.",
        "other_asset": "All campaigns of an offer must collect the same asset, and so must those of a surplus.",
        "twice_named": "An offer names each campaign once.",
        "too_many_offers": "The campaign has four matching offers already.",
        "too_many_campaigns": "A matching offer has room for 512 campaigns.",
        "closes_later": "A matching offer must open before it closes, and close before the campaigns it is for.",
        "offer_closed": "The matching offer has closed.",
        "not_sponsor": "Only the sponsor of the offer may do this.",
        "not_donor": "Only its donor may take a gift back.",
        "refunded_already": "The gift has been taken back already.",
        "no_refund": "The campaign is closed, or a match of the gift is being paid; it can no longer be taken back.",
        "nothing_left": "Nothing of it is left; its path says what it has paid for.",
        "not_a_gift": "This is another campaign's surplus, which goes back to nobody.",
        "no_payee": "Only the case's hospital, or an accredited vendor with no other part in it, is paid.",
        "takes_no_claims": "The campaign is not open or closed, so no invoice can be presented.",
        "presented_already": "This invoice has been presented before, here or for another campaign.",
        "nothing_claimed": "After what insurers and the patient pay nothing is left to be claimed, or less than that.",
        "too_many_claims": "The campaign has 64 open invoices; let some be paid, refused or withdrawn first.",
        "not_reviewer": "Only the civil-affairs department or the campaign's charity reviews, and no payee its own.",
        "other_invoice": "The nullifier is not that of the invoice; look at the paper again.",
        "not_by_line": "There must be one amount for each line, none more than is claimed, and not all of them zero.",
        "not_presented": "The invoice was reviewed or ended already.",
        "not_reviewed": "The invoice was not reviewed yet, or was approved or ended already.",
        "not_approver": "Only a supervisor or the charity approves, other than who reviewed the invoice or is paid.",
        "not_approved": "The invoice is not approved, or is paid or ended already.",
        "paid_already": "Another amount of this invoice has been paid than the message says; look, then pay.",
        "above_approved": "Less than this is approved and still to be paid.",
        "above_held": "The campaign holds less than this for what the invoice is about.",
        "not_payee": "Only who presented the invoice may withdraw it.",
        "not_refuser": "The reviewers refuse an invoice before it is approved; afterwards only a supervisor does.",
        "ended": "The invoice is paid, refused or withdrawn.",
        "no_part": "This account has no part in the campaign, so there is nothing to flag.",
        "not_flagged": "Only the institution against which the flag is may appeal.",
        "not_flag_open": "The flag was answered or decided already.",
        "not_appealed": "The flag was not appealed, or is decided already.",
        "not_decider": "Whoever raised the flag, is flagged or has a part in the case cannot decide it.",
        "not_standing": "The flag was dismissed or lifted already.",
        "claims_open": "Invoices are open; let them be paid, refused or withdrawn first.",
        "not_finished": "The campaign is not finished, so there is no surplus.",
        "other_kind": "A surplus moves only to an open campaign of the same charity and template.",
        "not_agreed": "A supervisor has not agreed where the surplus goes.",
        "too_early": "Donors can still take back what is left of their gifts; wait until that time is over.",
        **AID,
    },
)
templates = app.table("templates", Template, str, "unknown", "taken")
campaigns = app.table("campaigns", Campaign, str, "unknown", "taken")
purses = app.table("purses", Purse, tuple[str, str])
gifts = app.table("gifts", Gift, str, "unknown", "taken")
spans = app.table("spans", Span, tuple[str, str, str])
offers = app.table("offers", Offer, str, "unknown", "taken")
shares = app.table("shares", Share, tuple[str, str])
contributions = app.table("contributions", Contribution, tuple[str, str, str])
claims = app.table("claims", Claim, str, "unknown", "taken")
invoices = app.table("invoices", Invoice, tuple[str, str])
hands = app.table("hands", Hand, tuple[str, str])
flags = app.table("flags", Flag, str, "unknown", "taken")
by_line = app.index("spans_by_line", spans, lambda span: f"{span.campaign}/{span.purse}")

duration_ms_max = app.param("duration_ms_max", 366 * DAY_MS, "A campaign runs no longer, so that no money is stuck.")
take_back_ms = app.param(
    "take_back_ms", 30 * DAY_MS, "So long donors can take back what is left before it moves on.", (DAY_MS, 366 * DAY_MS)
)


def pot(campaign: str) -> str:
    """Return the name of a campaign's pot."""
    return f"campaign.{campaign}"


def offer_pot(offer: str) -> str:
    """Return the name of a matching offer's pot."""
    return f"offer.{offer}"


def takes_gifts(ctx: Ctx, campaign: Campaign) -> bool:
    """Tell whether a campaign is open, also by the clock."""
    return campaign.state == "open" and ctx.time_ms < campaign.closes_ms


def is_closed(ctx: Ctx, campaign: Campaign) -> bool:
    """Tell whether a campaign has closed, also where its deadline has not run yet."""
    return campaign.state == "closed" or (campaign.state == "open" and ctx.time_ms >= campaign.closes_ms)


def note_hand(ctx: Ctx, campaign: str) -> None:
    """Write down for which institution whoever signs acts on a campaign; refuse a second one."""
    person = ctx.delegate or ctx.actor
    known = ctx[hands].get((campaign, person))
    app.require(known is None or known.institution == ctx.actor, "other_hat")
    if known is None:
        ctx[hands][campaign, person] = Hand(ctx.actor)
