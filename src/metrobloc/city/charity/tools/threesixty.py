"""360Giving JSON (schema 1.4): a grant for each purse of each campaign, with the instalments that were paid from it.

The funder is the company that matched, or the charity that collected; the recipient is the hospital that treats the
case. https://standard.threesixtygiving.org
"""

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from metrobloc.city.charity.tools.statement import (
    Case,
    NotWritten,
    Source,
    Statement,
    Sums,
    counted_to,
    day,
    decimal,
    moment,
    smallest,
)

VERSION = "1.4"
TITLE_MAX = 140


def write(statement: Statement) -> bytes:
    """Write a package; NotWritten when no campaign has received anything, for a package has a grant at least."""
    grants = [_grant(statement, case, source) for case in statement.cases for source in case.sources]
    if not grants:
        raise NotWritten("No campaign has received anything yet, and a 360Giving file has a grant at least.")
    package = {
        "version": VERSION,
        "title": f"Campaigns of {statement.publisher.identifier} at height {statement.height}",
        "description": "Made from a public ledger. Gifts are added up by campaign, source and purpose.",
        "issued": day(statement.time_ms),
        "publisher": {"identifier": statement.publisher.identifier, "name": statement.publisher.identifier},
        "grants": grants,
    }
    return msgspec.json.format(msgspec.json.encode(package)) + b"\n"


def read(data: bytes, decimals: dict[str, int]) -> dict[str, Sums]:
    """Add up what a package says, by currency; `decimals` says how many each has."""
    awarded, paid = Counter[str](), Counter[str]()
    for grant in json.loads(data, parse_float=Decimal, parse_int=Decimal)["grants"]:
        currency = grant["currency"]
        awarded[currency] += smallest(grant["amountAwarded"], decimals[currency])
        one_by_one = sum(smallest(one["value"], decimals[currency]) for one in grant.get("disbursementTransaction", ()))
        if one_by_one != smallest(grant["amountDisbursed"], decimals[currency]):
            raise NotWritten(f"The instalments of {grant['id']} do not add up to what was disbursed; try again.")
        paid[currency] += one_by_one
    return {currency: Sums(awarded[currency], paid[currency]) for currency in awarded}


def _grant(statement: Statement, case: Case, source: Source) -> dict[str, Any]:
    campaign, purse = case.campaign, source.purse
    funder = source.giver or campaign.charity
    grant: dict[str, Any] = {
        "id": f"360G-{statement.publisher.identifier}-{case.id}-{source.name}",
        "title": campaign.title[:TITLE_MAX],
        "description": _description(source),
        "currency": case.currency,
        "amountAwarded": _number(purse.received - purse.refunded, case),
        "amountDisbursed": _number(purse.spent, case),
        "awardDate": counted_to(statement, case),
        "plannedDates": [{"endDate": day(campaign.closes_ms)}],
        "fundingOrganization": [_organisation(statement, funder)],
        "recipientOrganization": [_organisation(statement, campaign.hospital)],
        "grantProgramme": [{"code": campaign.template, "title": campaign.template}],
        "classifications": [{"vocabulary": "metrobloc-purse", "code": source.name, "title": source.name}],
        "dateModified": moment(statement.time_ms),
    }
    if statement.publisher.country:
        grant["beneficiaryLocation"] = [{"countryCode": statement.publisher.country}]
    if source.paid:
        grant["disbursementTransaction"] = [
            {
                "id": f"{one.settlement}-{source.name}",
                "currency": case.currency,
                "value": _number(one.amount, case),
                "description": f"Instalment {one.settlement} of invoice {one.claim}",
                "provider": statement.organisation(funder),
                "recipient": statement.organisation(one.payee),
            }
            for one in source.paid
        ]
    return grant


def _description(source: Source) -> str:
    if source.giver:
        return "A company's match of gifts."
    whose, _, purpose = source.name.partition(".")
    givers = {"crowd": "the public", "charity": "charities", "company": "companies"}[whose]
    for_ = f", for {purpose} only" if purpose else ""
    return f"{source.purse.gifts} gifts of {givers}{for_}, added up."


def _organisation(statement: Statement, account: str) -> dict[str, str]:
    return {"id": statement.organisation(account), "name": statement.name(account)}


def _number(amount: int, case: Case) -> Raw:
    """Write an exact number; a float would round it."""
    return Raw(decimal(amount, case.decimals).encode())
