"""What is always true of the vault, whatever was done in it."""

from metrobloc.commons.vault.rules.declared import app, custodians, entries, openings, readers, reports
from metrobloc.commons.vault.types import ENVELOPES_MAX
from metrobloc.kernel import system
from metrobloc.kernel.context import View


@app.invariant
def who_may_read_stands_in_the_entry(view: View) -> bool:
    """Rights to read and the readers that entries name are the same."""
    named = {f"{account}/{key}" for key, entry in view[entries].items() for account in entry.readers}
    return named == {key for key, _ in view[readers].items()}


@app.invariant
def nobody_may_read_what_is_erased(view: View) -> bool:
    """Leave an erased entry no readers, no last day and no report, and a destroyed one no envelopes."""
    for key, entry in view[entries].items():
        if entry.erased_ms and (entry.readers or entry.deadline or view[reports].get(key)):
            return False
        if entry.destroyed_ms and (not entry.erased_ms or entry.undeleted):
            return False
    return True


@app.invariant
def an_envelope_is_for_one_reader_and_once(view: View) -> bool:
    """No envelope of an entry is used twice, none in use is to be deleted, and there are not too many."""
    for key, entry in view[entries].items():
        rights = [view[readers].get((account, key)) for account in entry.readers]
        envelopes = [*entry.undeleted, *(right.envelope for right in rights if right is not None)]
        if len(set(envelopes)) != len(envelopes) or len(envelopes) > ENVELOPES_MAX:
            return False
    return True


@app.invariant
def a_custodian_holds_what_is_not_destroyed(view: View) -> bool:
    """Entries and bytes are counted as they are."""
    held: dict[str, tuple[int, int]] = {account: (0, 0) for account, _ in view[custodians].items()}
    for _, entry in view[entries].items():
        if not entry.destroyed_ms:
            entries_, bytes_ = held[entry.custodian]
            held[entry.custodian] = (entries_ + 1, bytes_ + entry.size_bytes)
    return held == {account: (one.entries, one.held_bytes) for account, one in view[custodians].items()}


@app.invariant
def openings_are_numbered_without_a_gap(view: View) -> bool:
    """Give an entry's openings the numbers from 1 to its count, so that none can be left out unnoticed."""
    found = [key for key, _ in view[openings].items()]
    wanted = [f"{key}/{n:012d}" for key, entry in view[entries].items() for n in range(1, entry.opened + 1)]
    return found == wanted


@app.invariant
def what_ends_by_itself_has_a_deadline(view: View) -> bool:
    """Rights, entries and reports with an end have the deadline that ends them, and no other is left."""
    wanted = {}
    for key, right in view[readers].items():
        if right.until_ms:
            wanted[right.deadline] = ("vault.end_reading", key, right.until_ms)
    for key, entry in view[entries].items():
        if entry.keep_until_ms and not entry.erased_ms:
            wanted[entry.deadline] = ("vault.end_keeping", key, entry.keep_until_ms)
    for key, report in view[reports].items():
        wanted[report.deadline] = ("vault.pass_unanswered", key, report.due_ms)
    own = ((key, one) for key, one in view[system.deadlines].items() if one.do.startswith("vault."))
    return wanted == {key: (one.do, one.key, one.time_ms) for key, one in own}
