"""Who may read this, what may I read, who has opened it, what a custodian still has to do."""

from metrobloc.commons.vault.rules.declared import app, entries, openings, readers, reports
from metrobloc.commons.vault.types import Entry, Opening, Reader, Report
from metrobloc.kernel.context import View
from metrobloc.kernel.types import AccountId, Id


@app.query
def who_may_read(view: View, entry: Id) -> dict[str, Reader]:
    """Tell who may read an entry, what for and until when; nobody may read one that is erased or unknown."""
    found = view[entries].get(entry)
    named = () if found is None else found.readers
    rights = ((account, view[readers].get((account, entry))) for account in named)
    return {account: right for account, right in rights if right is not None}


@app.query
def readable(view: View, account: AccountId) -> dict[str, Reader]:
    """Tell which entries an account may read, what for and until when."""
    return {key.partition("/")[2]: right for key, right in view[readers].items(under=f"{account}/")}


@app.query
def openings_of(view: View, entry: Id) -> list[Opening]:
    """Tell who has opened an entry, in order; an opening for another purpose than granted is marked."""
    return [opening for _, opening in view[openings].items(under=f"{entry}/")]


@app.query
def owned_by(view: View, account: AccountId) -> dict[str, Entry]:
    """Tell which entries an account has recorded, also those that are erased."""
    return {key: entry for key, entry in view[entries].items() if entry.owner == account}


@app.query
def duties(view: View, custodian: AccountId) -> dict[str, dict[str, object]]:
    """Tell what a custodian still has to do: destroy, delete, answer, acknowledge; by entry."""
    found: dict[str, dict[str, object]] = {}
    for key, entry in view[entries].items():
        if entry.custodian == custodian and not entry.destroyed_ms:
            told = _to_do(entry, view[reports].get(key))
            if told:
                found[key] = told
    return found


def _to_do(entry: Entry, report: Report | None) -> dict[str, object]:
    if entry.erased_ms:
        return {"destroy": True}
    told: dict[str, object] = {"delete": entry.undeleted} if entry.undeleted else {}
    if report is not None:
        told["answer_by_ms"] = report.due_ms
    if not entry.acknowledged_ms and not entry.lost_ms:
        told["acknowledge"] = True
    return told
