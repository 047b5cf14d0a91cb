"""What a custodian does, and whoever doubts it: compare a store with the ledger, and do what the ledger asks for."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from metrobloc.client.vault import sealing
from metrobloc.client.vault.faults import Fault
from metrobloc.client.vault.keeping import place_of
from metrobloc.client.vault.sealing import ENVELOPE_BYTES_MAX
from metrobloc.client.vault.steps import Me, Op, chain, record, rows, send, work
from metrobloc.client.vault.stores import Store, content_key, envelope_key
from metrobloc.commons.vault.rules import custodians, entries, readers, reports
from metrobloc.commons.vault.types import Acknowledge, Answer, ConfirmDeletion, ConfirmErasure, Custodian, Entry
from metrobloc.kernel.types import Message


class Finding(Struct, frozen=True):
    """Something in a store that is not as the ledger says, or cannot be looked at."""

    entry: str
    what: Literal["document", "envelope", "left over", "store"]
    code: str
    sentence: str


class Checked(Struct, frozen=True):
    """How many entries and files were compared, and what was found."""

    entries: int
    files: int
    findings: tuple[Finding, ...]


class Tidied(Struct, frozen=True):
    """What a custodian has done, by entry, and what is left to be decided by people."""

    destroyed: tuple[str, ...]
    deleted: tuple[str, ...]
    acknowledged: tuple[str, ...]
    answered: tuple[str, ...]
    findings: tuple[Finding, ...]


LEFT_OVER = "The ledger asks for this to be destroyed, and it is still there; `metrobloc vault tidy` does it."
UNKNOWN = "The ledger knows nothing of this file; if no transaction is under way, delete it."


def check(me: Me, only: str = "") -> Op[Checked]:
    """Compare the stores with the ledger: an entry, or all that the account owns, may read or keeps.

    Every document is read whole and hashed. What is missing, damaged or left over is a finding.
    """
    every, homes, rights = (yield from rows(entries)), (yield from rows(custodians)), (yield from rows(readers))
    chain_id = yield from chain()
    known = {key: one for key, one in every.items() if _concerns(me, one) and only in ("", key)}
    if only and not known:
        raise Fault("unknown", only)
    findings: list[Finding] = []
    files = 0
    for key, entry in known.items():
        try:
            store = me.stores.of(entry.custodian, homes[entry.custodian].url)
            wanted = [(account, rights[f"{account}/{key}"].envelope) for account in entry.readers]
            found, seen = yield from work(compare, chain_id, key, entry, store, wanted)
        except Fault as fault:
            found, seen = [Finding(key, "store", fault.code, fault.sentence)], 0
        findings += found
        files += seen
    if me.account in homes and not only:
        findings += yield from _strangers(me, homes[me.account], every)
    return Checked(len(known), files, tuple(findings))


def tidy(me: Me) -> Op[Tidied]:
    """Do as custodian what the ledger asks for: destroy, delete, acknowledge, answer; each is confirmed once done.

    Nothing is ever declared lost here: what is not as recorded is a finding, and people decide.
    """
    every = yield from rows(entries)
    home = yield from record(me, custodians, me.account)
    if home is None:
        raise Fault("no_store")
    store = me.stores.of(me.account, home.url)
    missed = yield from rows(reports)
    chain_id = yield from chain()
    done: dict[str, list[str]] = {name: [] for name in ("destroyed", "deleted", "acknowledged", "answered")}
    findings: list[Finding] = []
    for key, entry in every.items():
        if entry.custodian != me.account or entry.destroyed_ms:
            continue
        if entry.erased_ms:
            yield from work(_destroy, store, key)
            yield from _confirm(me, ConfirmErasure(key), done["destroyed"], key)
            continue
        if entry.undeleted:
            names = [envelope_key(key, digest) for digest in entry.undeleted]
            yield from work(_delete, store, names)
            yield from _confirm(me, ConfirmDeletion(key, entry.undeleted), done["deleted"], key)
        if entry.acknowledged_ms and not entry.lost_ms and key not in missed:
            continue
        found, _ = yield from work(compare, chain_id, key, entry, store, ())
        findings += found
        if not found and key in missed:
            yield from _confirm(me, Answer(key, found=True), done["answered"], key)
        if not found and (entry.lost_ms or not entry.acknowledged_ms):
            yield from _confirm(me, Acknowledge(key), done["acknowledged"], key)
    return Tidied(**{name: tuple(keys) for name, keys in done.items()}, findings=tuple(findings))


def compare(
    chain_id: str, key: str, entry: Entry, store: Store, wanted: Iterable[tuple[str, str]]
) -> tuple[list[Finding], int]:
    """Compare one entry with its store; return what is not as it should be, and how many files were read."""
    if entry.erased_ms:
        left = list(store.keys(key))
        return [Finding(key, "left over", "left_over", LEFT_OVER) for _ in left], len(left)
    findings, files = [], 1
    try:
        data = store.get(content_key(key, entry.digest), entry.size_bytes + 1)
        sealing.hold_bytes_to(entry.digest, entry.size_bytes, data, key)
    except Fault as fault:
        findings.append(Finding(key, "document", fault.code, fault.sentence))
    place = place_of(chain_id, key, entry)
    for account, digest in wanted:
        files += 1
        try:
            sealing.hold_to(digest, store.get(envelope_key(key, digest), ENVELOPE_BYTES_MAX), place, account)
        except Fault as fault:
            findings.append(Finding(key, "envelope", fault.code, fault.sentence))
    there = set(store.keys(key)) if entry.undeleted else set()
    left = [digest for digest in entry.undeleted if envelope_key(key, digest) in there]
    findings += [Finding(key, "left over", "left_over", LEFT_OVER) for _ in left]
    return findings, files + len(left)


def _concerns(me: Me, entry: Entry) -> bool:
    return not entry.destroyed_ms and me.account in (entry.owner, entry.custodian, *entry.readers)


def _strangers(me: Me, home: Custodian, every: dict[str, Entry]) -> Op[list[Finding]]:
    """Find entries in one's own store of which the ledger knows nothing."""
    try:
        store = me.stores.of(me.account, home.url)
        keys = yield from work(lambda: list(store.keys()))
    except Fault as fault:
        return [Finding("", "store", fault.code, fault.sentence)]
    there = sorted({key.partition("/")[0] for key in keys} - every.keys())
    return [Finding(key, "left over", "unknown_entry", UNKNOWN) for key in there]


def _confirm(me: Me, message: Message, done: list[str], key: str) -> Op[None]:
    yield from send(me, message)
    done.append(key)


def _destroy(store: Store, key: str) -> None:
    _delete(store, list(store.keys(key)))
    if list(store.keys(key)):
        raise Fault("store_fails", f"{key} is still there")


def _delete(store: Store, names: Iterable[str]) -> None:
    for name in names:
        store.delete(name)
