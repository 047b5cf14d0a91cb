"""What is always true of the charity's money; tests, simulations and auditors hold these sentences."""

from collections import Counter

from metrobloc.city.charity import matching
from metrobloc.city.charity.rules.declared import (
    KIND,
    app,
    campaigns,
    claims,
    contributions,
    flags,
    gifts,
    invoices,
    offer_pot,
    offers,
    pot,
    purses,
    shares,
    spans,
)
from metrobloc.city.charity.rules.lines import place
from metrobloc.city.charity.rules.offering import purse_of
from metrobloc.city.charity.types.records import Offer, Share
from metrobloc.commons.money import rules as money
from metrobloc.kernel.context import View


@app.invariant
def a_campaign_holds_exactly_what_its_purses_hold(view: View) -> bool:
    """Received - refunded - paid - moved is in each purse, never negative, and all of it in the campaign's pot."""
    held = Counter[str]()
    named: dict[str, list[str]] = {}
    for key, purse in view[purses].items():
        campaign_id, name = key.split("/")
        held[campaign_id] += purse.held
        named.setdefault(campaign_id, []).append(name)
        if min(purse.held, purse.received - purse.used) < 0:
            return False
    return all(
        held[key] == view.balance(money.balances, f"charity.{pot(key)}", campaign.asset)
        and sorted(campaign.purses) == named.get(key, [])
        for key, campaign in view[campaigns].items()
    )


@app.invariant
def gifts_lie_one_behind_the_other_on_their_purses_line(view: View) -> bool:
    """Fold the gifts, and find each purse's line covered from its beginning to its end, without a gap."""
    ends = Counter[str]()
    counts = Counter[str]()
    found = sorted((f"{gift.campaign}/{gift.purse}", gift.start, gift.amount) for _, gift in view[gifts].items())
    for key, start, amount in found:
        if start != ends[key]:
            return False
        ends[key] += amount
        counts[key] += 1
    return all(
        (purse.received, purse.gifts) == (ends[key], counts[key])
        for key, purse in view[purses].items()
        if not key.partition("/")[2].startswith("match.")
    )


@app.invariant
def every_fen_that_left_a_purse_has_one_place_and_one_destination(view: View) -> bool:
    """See that spans are apart, add up to what was paid, returned and moved, and that payments lie before the rest."""
    sums = Counter[tuple[str, str]]()
    last: dict[str, int] = {}
    for key, span in view[spans].items():
        where, _, end = key.rpartition("/")
        purse = view[purses].get((span.campaign, span.purse))
        if purse is None or where != f"{span.campaign}/{span.purse}" or key != f"{where}/{place(int(end))}":
            return False
        if not last.get(where, 0) <= span.start < int(end) or (span.what != "returned" and int(end) > purse.used):
            return False
        last[where] = int(end)
        sums[where, span.what] += int(end) - span.start
    return all(
        (purse.spent, purse.refunded, purse.moved) == (sums[key, "paid"], sums[key, "returned"], sums[key, "moved"])
        and purse.used <= purse.received
        and last.get(key, 0) <= purse.received
        for key, purse in view[purses].items()
    )


@app.invariant
def a_refunded_gift_went_back_from_its_own_place(view: View) -> bool:
    """See that every hole is of a gift that was taken back, within its place, and adds up to what went back."""
    holes = Counter[str]()
    for key, span in view[spans].items():
        end = int(key.rpartition("/")[2])
        if span.what != "returned" or span.purse.startswith("match."):
            continue
        gift = view[gifts].get(span.gift or "")
        if gift is None or (gift.campaign, gift.purse) != (span.campaign, span.purse) or gift.moved_from is not None:
            return False
        if not gift.start <= span.start < end <= gift.start + gift.amount:
            return False
        holes[span.gift or ""] += end - span.start
    return all(holes[key] == gift.returned <= gift.amount for key, gift in view[gifts].items())


@app.invariant
def no_invoice_is_paid_beyond_what_was_claimed_and_approved(view: View) -> bool:
    """Fold the spans, and find line by line what was paid of each invoice: no more than approved, and than claimed."""
    paid = Counter[tuple[str, int]]()
    for key, span in view[spans].items():
        if span.what == "paid":
            claim = view[claims].get(span.claim or "")
            if claim is None or claim.campaign != span.campaign:
                return False
            paid[span.claim or "", span.line] += int(key.rpartition("/")[2]) - span.start
    for key, claim in view[claims].items():
        for number, line in enumerate(claim.lines):
            if not paid[key, number] == claim.paid[number] <= claim.approved[number] <= line.claimed:
                return False
        if (claim.state == "paid") != (any(claim.paid) and claim.paid == claim.approved):
            return False
    return True


@app.invariant
def an_invoice_stands_under_one_claim_in_the_whole_city(view: View) -> bool:
    """See that every claim that is open or was paid anything has its invoice, and that no invoice has another."""
    kept = {key: invoice.claim for key, invoice in view[invoices].items()}
    need = {f"{KIND}/{claim.nullifier}": key for key, claim in view[claims].items() if claim.is_live or any(claim.paid)}
    many = sum(1 for _, claim in view[claims].items() if claim.is_live or any(claim.paid))
    return kept == need and len(need) == many


@app.invariant
def reserved_money_pays_only_for_its_purpose(view: View) -> bool:
    """See that a purse with a purpose has paid only lines of that category."""
    for _, span in view[spans].items():
        source, _, purpose = span.purse.partition(".")
        if span.what == "paid" and source != "match" and purpose:
            claim = view[claims].get(span.claim or "")
            if claim is None or claim.lines[span.line].category != purpose:
                return False
    return True


@app.invariant
def whoever_decides_over_a_case_is_not_paid_from_it(view: View) -> bool:
    """See that who submits, verifies, approves and is paid are different, and who reviews and approves an invoice."""
    for _, campaign in view[campaigns].items():
        parties = [campaign.charity, campaign.hospital, campaign.verifier, campaign.approver]
        known = [party for party in parties if party is not None]
        opened = campaign.state in ("open", "closed", "settled")
        if len(set(known)) < len(known) or (opened and len(known) < len(parties)):
            return False
    for _, claim in view[claims].items():
        case = view[campaigns].get(claim.campaign)
        if case is None or claim.payee in (case.charity, case.verifier, case.approver, claim.reviewer, claim.approver):
            return False
        if claim.approver is not None and claim.approver == claim.reviewer:
            return False
    return True


@app.invariant
def campaigns_count_their_open_invoices_and_the_flags_that_freeze_them(view: View) -> bool:
    """Fold invoices and flags, and find every campaign's counts."""
    live, frozen = Counter[str](), Counter[str]()
    for _, claim in view[claims].items():
        live[claim.campaign] += claim.is_live
    for _, flag in view[flags].items():
        frozen[flag.campaign] += flag.freezes and flag.stands
    return all(
        (campaign.claims, campaign.frozen) == (live[key], frozen[key]) for key, campaign in view[campaigns].items()
    )


@app.invariant
def money_moves_on_only_from_finished_campaigns(view: View) -> bool:
    """See that each moved piece is one gift to a campaign of the same charity and kind, which goes back to nobody."""
    for key, span in view[spans].items():
        if span.what != "moved":
            continue
        gift, source = view[gifts].get(span.gift or ""), view[campaigns].get(span.campaign)
        target = None if gift is None else view[campaigns].get(gift.campaign)
        if gift is None or source is None or target is None or source.state != "settled" or not target.took_surplus:
            return False
        if (source.charity, source.template, source.asset) != (target.charity, target.template, target.asset):
            return False
        if (gift.amount, gift.moved_from, gift.purse) != (int(key[-16:]) - span.start, span.campaign, span.purse):
            return False
    return True


@app.invariant
def an_offer_keeps_its_pool_until_it_pays(view: View) -> bool:
    """See that an open offer's pot is its pool, and that of one that pays the parts that are not paid yet."""
    for key, offer in view[offers].items():
        waiting = sum(share.part for number, share in _shares(view, key) if number >= offer.done)
        kept = view.balance(money.balances, f"charity.{offer_pot(key)}", offer.asset)
        if kept != (offer.pool if offer.state == "open" else waiting):
            return False
        if (offer.state == "paid") != (offer.done == offer.campaigns) or len(_shares(view, key)) != offer.campaigns:
            return False
    return True


@app.invariant
def matches_stay_within_pool_and_caps_and_spend_the_pool_or_meet_every_wish(view: View) -> bool:
    """See what each campaign got of an offer that has closed: no more than asked and capped, and in all the pool."""
    for key, offer in view[offers].items():
        found = [share for _, share in _shares(view, key)]
        parts = [share.part for share in found]
        wanted = [_wanted(offer, share) for share in found]
        if offer.state == "open" and any(parts):
            return False
        if offer.state != "open" and sum(parts) != min(offer.pool, sum(wanted)):
            return False
        if any(part > want for part, want in zip(parts, wanted, strict=True)):
            return False
        for number, share in enumerate(found):
            purse = view[purses].get((share.campaign, purse_of(key)))
            if purse is not None and (purse.received != share.part or number >= offer.done):
                return False
    return True


@app.invariant
def shares_are_what_their_gifts_ask(view: View) -> bool:
    """Fold the gifts that were not taken back, and find what each campaign asks of each offer, in whatever order."""
    asked, given = Counter[tuple[str, str]](), Counter[tuple[str, str, str]]()
    for _, gift in view[gifts].items():
        for one in gift.asked if not gift.returned else ():
            asked[one.offer, gift.campaign] += one.amount
            given[one.offer, gift.campaign, gift.donor] += one.amount
    roots = Counter[tuple[str, str]]()
    for (offer_id, campaign_id, donor), amount in given.items():
        offer, kept = view[offers].get(offer_id), view[contributions].get((offer_id, campaign_id, donor))
        if offer is not None and offer.mode == "quadratic":
            if not _has_ended(view, campaign_id) and (kept is None or kept.amount != amount):
                return False
            counted = min(amount, offer.gift_max)
            roots[offer_id, campaign_id] += matching.root(counted)
            asked[offer_id, campaign_id] += counted - amount
    for key, share in view[shares].items():
        pair = key.partition("/")[0], share.campaign
        if not _has_ended(view, share.campaign) and (share.asked, share.roots) != (asked[pair], roots[pair]):
            return False
    return True


def _has_ended(view: View, campaign_id: str) -> bool:
    campaign = view[campaigns].get(campaign_id)
    return campaign is None or campaign.state in ("settled", "cancelled")


def _shares(view: View, offer: str) -> list[tuple[int, Share]]:
    return [(int(key.rpartition("/")[2]), share) for key, share in view[shares].items(under=f"{offer}/")]


def _wanted(offer: Offer, share: Share) -> int:
    """Work out what a share may want, apart from how closing does it."""
    if offer.mode == "ratio":
        return min(share.asked, offer.campaign_max)
    scaled = share.roots * share.roots - share.asked * matching.SCALE**2
    return min(max(0, scaled // matching.SCALE**2) * offer.numerator // offer.denominator, offer.campaign_max)
