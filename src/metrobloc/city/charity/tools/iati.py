"""IATI 2.03 XML: an activity for each campaign, with what came in, went back, moved on and was paid to hospitals.

Codes are those of IATI's own lists. https://iatistandard.org/en/iati-standard/203
"""

from collections import Counter
from xml.etree import ElementTree as ET

from metrobloc.city.charity.tools.statement import (
    Case,
    Source,
    Statement,
    Sums,
    counted_to,
    day,
    decimal,
    moment,
    smallest,
)

VERSION = "2.03"
STATUS = {"submitted": "1", "treatable": "1", "open": "2", "closed": "2", "settled": "4", "cancelled": "5"}
"""ActivityStatus: pipeline, implementation, closed, cancelled."""
INCOMING, DISBURSED, SPENT = "1", "3", "4"
"""TransactionType: incoming funds, disbursement to another activity, expenditure for goods and services."""
FUNDING, ACCOUNTABLE, IMPLEMENTING = "1", "2", "4"
"""OrganisationRole."""
NATIONAL_NGO, PRIVATE, OTHER = "22", "70", "90"
"""OrganisationType."""
PLANNED_END, ACTUAL_END = "3", "4"
"""ActivityDateType."""
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def write(statement: Statement) -> bytes:
    """Write a file of activities."""
    root = ET.Element("iati-activities", {"version": VERSION, "generated-datetime": moment(statement.time_ms)})
    for case in statement.cases:
        _activity(root, statement, case)
    ET.indent(root)
    file: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return file + b"\n"


def read(data: bytes, decimals: dict[str, int]) -> dict[str, Sums]:
    """Add up what a file says, by currency; `decimals` says how many each has. It is for files that `write` made."""
    awarded, paid = Counter[str](), Counter[str]()
    for one in ET.fromstring(data).iter("transaction"):  # noqa: S314  # our own bytes, as they were just written
        kind, value = one.find("transaction-type"), one.find("value")
        if kind is None or value is None or value.text is None:
            raise ValueError("A transaction has no type or value.")
        currency = value.attrib["currency"]
        amount = smallest(value.text, decimals[currency])
        awarded[currency] += amount if kind.attrib["code"] == INCOMING else 0
        paid[currency] += amount if kind.attrib["code"] == SPENT else 0
    return {currency: Sums(awarded[currency], paid[currency]) for currency in awarded}


def _activity(root: ET.Element, statement: Statement, case: Case) -> None:
    campaign = case.campaign
    told = {"default-currency": case.currency, "last-updated-datetime": moment(statement.time_ms), LANG: "en"}
    activity = ET.SubElement(root, "iati-activity", told)
    ET.SubElement(activity, "iati-identifier").text = _activity_id(statement, campaign.charity, case.id)
    _organisation(activity, "reporting-org", statement, campaign.charity, {"type": NATIONAL_NGO})
    _narrative(ET.SubElement(activity, "title"), campaign.title)
    goal = f"{decimal(campaign.goal, case.decimals)} {case.currency}"
    _narrative(
        ET.SubElement(activity, "description", {"type": "1"}),
        f"A case of the kind “{campaign.template}” with a goal of {goal}. Gifts are added up by source and purpose.",
    )
    for giver in dict.fromkeys(source.giver for source in case.sources if source.giver):
        _organisation(activity, "participating-org", statement, giver, {"role": FUNDING, "type": PRIVATE})
    role = {"role": ACCOUNTABLE, "type": NATIONAL_NGO}
    _organisation(activity, "participating-org", statement, campaign.charity, role)
    _organisation(activity, "participating-org", statement, campaign.hospital, {"role": IMPLEMENTING, "type": OTHER})
    ET.SubElement(activity, "activity-status", {"code": STATUS[campaign.state]})
    ended = campaign.closes_ms <= statement.time_ms
    ends = {"type": ACTUAL_END if ended else PLANNED_END, "iso-date": day(campaign.closes_ms)}
    ET.SubElement(activity, "activity-date", ends)
    if statement.publisher.country:
        ET.SubElement(activity, "recipient-country", {"code": statement.publisher.country})
    for source in case.sources:
        _transactions(activity, statement, case, source)


def _transactions(activity: ET.Element, statement: Statement, case: Case, source: Source) -> None:
    purse, campaign = source.purse, case.campaign
    if purse.received:
        made = _transaction(activity, statement, case, INCOMING, purse.received, f"{source.name}: received")
        _provider(made, statement, source)
    if purse.refunded:
        made = _transaction(activity, statement, case, INCOMING, -purse.refunded, f"{source.name}: given back")
        _provider(made, statement, source)
    if purse.moved:
        made = _transaction(activity, statement, case, DISBURSED, purse.moved, f"{source.name}: moved on")
        to = {"ref": statement.organisation(campaign.charity)}
        if campaign.surplus_to:
            to["receiver-activity-id"] = _activity_id(statement, campaign.charity, campaign.surplus_to)
        _narrative(ET.SubElement(made, "receiver-org", to), statement.name(campaign.charity))
    for paid in source.paid:
        told = f"{source.name}: instalment {paid.settlement} of invoice {paid.claim}"
        made = _transaction(activity, statement, case, SPENT, paid.amount, told)
        _organisation(made, "receiver-org", statement, paid.payee, {})


def _transaction(  # noqa: PLR0913, PLR0917
    activity: ET.Element, statement: Statement, case: Case, kind: str, amount: int, told: str
) -> ET.Element:
    made = ET.SubElement(activity, "transaction")
    when = counted_to(statement, case) if kind == INCOMING else day(statement.time_ms)
    ET.SubElement(made, "transaction-type", {"code": kind})
    ET.SubElement(made, "transaction-date", {"iso-date": when})
    value = ET.SubElement(made, "value", {"currency": case.currency, "value-date": when})
    value.text = decimal(amount, case.decimals)
    _narrative(ET.SubElement(made, "description"), told)
    return made


def _provider(made: ET.Element, statement: Statement, source: Source) -> None:
    if source.giver:
        _organisation(made, "provider-org", statement, source.giver, {"type": PRIVATE})
    else:
        _narrative(ET.SubElement(made, "provider-org"), f"{source.purse.gifts} gifts, added up")


def _organisation(parent: ET.Element, element: str, statement: Statement, account: str, more: dict[str, str]) -> None:
    made = ET.SubElement(parent, element, {"ref": statement.organisation(account), **more})
    _narrative(made, statement.name(account))


def _activity_id(statement: Statement, charity: str, campaign: str) -> str:
    """Return an activity's identifier, which begins with that of the organisation that reports it."""
    return f"{statement.organisation(charity)}-{campaign}"


def _narrative(parent: ET.Element, text: str) -> None:
    ET.SubElement(parent, "narrative").text = text
