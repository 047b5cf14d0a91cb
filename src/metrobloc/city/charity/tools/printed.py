"""A receipt or certificate as a page to print: PDF with text, tagged for those who hear it (PDF/UA-1), and a code.

The code (QR, ISO/IEC 18004) holds no address: the gift's id and the hash of what was signed, so that a printed page can
be checked against the receipt's file and the proof of the gift's path without a network.
"""

import io
import json
from pathlib import Path

import segno
import typst

from metrobloc.city.charity.tools.receipts import Did, Donation, Opened
from metrobloc.city.charity.tools.statement import decimal, moment

TEMPLATE = Path(__file__).with_name("receipt.typ")
HOW = (
    "Ask the charity for the receipt's file and for the proof of the gift's path, or make the proof yourself from any "
    "node of the city's ledger. The command “metrobloc charity check” compares both and this page's code, offline."
)


class NotPrinted(ValueError):
    """Say in a sentence why there is no page, and what to do."""


def pdf(opened: Opened) -> bytes:
    """Print a receipt that was read; NotPrinted where the machine has no letters for it."""
    donation = opened.donation
    unit = donation.asset.partition("_")[0].upper()
    told = {
        "title": "Donation receipt" if donation.kind == "receipt" else "Certificate of a donation",
        "charity": donation.charity_name,
        "facts": [*_facts(donation, unit), ["Signed with", opened.key_id]],
        "did": [[f"{decimal(did.amount, donation.decimals)} {unit}", _sentence(did)] for did in donation.did],
        "how": HOW,
        "mark": opened.mark,
    }
    drawn = io.BytesIO()
    segno.make(opened.mark, error="m", micro=False).save(drawn, kind="svg", border=4, scale=4)
    inputs = {"told": json.dumps(told), "code": drawn.getvalue().decode()}
    try:
        made = typst.compile(TEMPLATE, format="pdf", sys_inputs=inputs, pdf_standards="ua-1")
    except typst.TypstError as error:
        if "could not be displayed with font" not in str(error):
            raise
        raise NotPrinted(
            "No font of this machine has all letters of the page; install one, such as Noto CJK."
        ) from error
    assert isinstance(made, bytes), "one document was asked for"
    return made


def _facts(donation: Donation, unit: str) -> list[list[str]]:
    amount = f"{decimal(donation.amount, donation.decimals)} {unit}"
    source, _, purpose = donation.purse.partition(".")
    return [
        ["Amount", amount + (f", for {purpose} only" if purpose else "")],
        ["Given by", f"account {donation.donor}" + ("" if source == "crowd" else f" ({source})")],
        ["Given to the case", f"{donation.title} ({donation.campaign})"],
        ["Received by", f"{donation.charity_name} ({donation.charity})"],
        ["Gift", donation.gift],
        ["Ledger", f"{donation.chain}, block {donation.height}, {moment(donation.time_ms)}"],
    ]


def _sentence(did: Did) -> str:
    if did.what == "paid":
        return f"paid for {did.code} to {did.payee}, invoice {did.claim}"
    return {
        "returned": "taken back by the donor",
        "moved": f"moved on from case {did.campaign}",
        "held": f"not spent yet, held for case {did.campaign}",
    }[did.what]
