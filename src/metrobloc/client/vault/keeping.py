"""What an owner and a reader do: put a document into the vault, get it, share it, take it back, have it destroyed."""

import secrets
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from metrobloc.client.draft import new_salt
from metrobloc.client.errors import Malformed, NotIncluded, Refused, Void
from metrobloc.client.vault import sealing
from metrobloc.client.vault.faults import Fault
from metrobloc.client.vault.sealing import ENVELOPE_BYTES_MAX, Document, Place
from metrobloc.client.vault.steps import Me, Op, chain, now_ms, post, record, send, sign, work
from metrobloc.client.vault.stores import Store, content_key, envelope_key
from metrobloc.commons.identity.rules import box_keys
from metrobloc.commons.vault.rules import custodians, entries, readers
from metrobloc.commons.vault.types import Entry, Erase, Grant, Receive, Revoke, Share
from metrobloc.commons.vault.types import Store as StoreMessage
from metrobloc.kernel import crypto
from metrobloc.kernel.context import derive_id

OWN = "own_copy"
"""The purpose for which an owner herself reads."""
GONE = (Malformed, NotIncluded, Refused, Void)
"""Ends after which a transaction is certainly not on the ledger with an effect, so that what it was for can go."""


class Reads(Struct, frozen=True):
    """Who is to read, what for, and until when (0: without end)."""

    account: str
    purpose: str
    until_ms: int = 0


class Kept(Struct, frozen=True):
    """What the ledger and the store have taken: the entry's id, the digest of its bytes, the transaction."""

    entry: str
    digest: str
    tx: str


class Got(Struct, frozen=True):
    """A document that was opened, and the transaction by which that stands on the ledger."""

    document: Document
    tx: str


def put(  # noqa: PLR0913
    me: Me, data: bytes, name: str, *, custodian: str, readers: Sequence[Reads], keep_until_ms: int = 0, about: str = ""
) -> Op[Kept]:
    """Encrypt a document for its owner and readers, lay it into the custodian's store, and record it on the ledger.

    `about` is the account of whom it is about, the owner's own if left out. Raises Fault, and as `Client.send` does;
    when the ledger has refused, nothing is left in the store.
    """
    about = about or me.account
    found = yield from record(me, custodians, custodian)
    if found is None or found.closed:
        raise Fault("no_store")
    store = me.stores.of(custodian, found.url)
    reads = [Reads(me.account, OWN), *(one for one in readers if one.account != me.account)]
    keys = {}
    for one in reads:
        keys[one.account] = yield from _box_key(me, one.account)
    salt, subject_salt = new_salt(), secrets.token_hex(32)
    chain_id = yield from chain()
    entry = derive_id(chain_id, me.account, salt, 0, 0)
    place = Place(chain_id, entry, me.account, custodian, sealing.commit(subject_salt, about.encode()))
    made = yield from work(sealing.seal, place, Document(data, name, about), subject_salt)
    digest = yield from work(lambda: made.digest)
    files = {content_key(entry, digest): made.ciphertext}
    shares = []
    for one in reads:
        envelope = sealing.seal_key(place, digest, made.key, one.account, keys[one.account])
        shares.append(Share(one.account, crypto.sha256(envelope).hex(), one.purpose, one.until_ms))
        files[envelope_key(entry, shares[-1].envelope)] = envelope
    size_bytes = len(made.ciphertext)
    message = StoreMessage(custodian, digest, size_bytes, made.content, place.subject, tuple(shares), keep_until_ms)
    try:
        for key, file in files.items():
            yield from work(store.put, key, file)
        raw = yield from sign(me, message, salt)
    except Exception:
        yield from work(_delete, store, files)  # nothing was sent, so nothing will point there
        raise
    try:
        receipt = yield from post(raw)
    except GONE:
        yield from work(_delete, store, files)
        raise
    return Kept(entry, digest, receipt.tx)


def get(me: Me, entry: str, purpose: str = "") -> Op[Got]:
    """Open a document, for the purpose it was shared for if none is named, and say so on the ledger.

    Nothing is returned before the ledger has the receipt, and no receipt is sent for what does not open.
    """
    found, place, store = yield from _found(me, entry)
    right, key = yield from _key(me, place, found, store)
    file = content_key(entry, found.digest)
    # One byte more, so that a store cannot fill the memory and yet is found out.
    ciphertext = yield from work(store.get, file, found.size_bytes + 1)
    yield from work(sealing.hold_bytes_to, found.digest, found.size_bytes, ciphertext, entry)
    document = yield from work(sealing.open_document, place, key, ciphertext, found.content)
    receipt = yield from send(me, Receive(entry, purpose or right))
    return Got(document, receipt.tx)


def share(me: Me, entry: str, reads: Reads) -> Op[str]:
    """Let somebody read a document of one's own, or read it for another purpose or time; return the transaction."""
    found, place, store = yield from _found(me, entry)
    if found.owner != me.account:
        raise Fault("not_owner")
    _, key = yield from _key(me, place, found, store)
    box_key = yield from _box_key(me, reads.account)
    envelope = sealing.seal_key(place, found.digest, key, reads.account, box_key)
    digest = crypto.sha256(envelope).hex()
    before = yield from record(me, readers, (reads.account, entry))
    name = envelope_key(entry, digest)
    raw = yield from sign(me, Grant(entry, reads.account, digest, reads.purpose, reads.until_ms))
    yield from work(store.put, name, envelope)
    try:
        receipt = yield from post(raw)
    except GONE:
        yield from work(_delete, store, [name])
        raise
    if before is not None:
        yield from work(_delete, store, [envelope_key(entry, before.envelope)])
    return receipt.tx


def unshare(me: Me, entry: str, account: str) -> Op[str]:
    """Let somebody read a document of one's own no longer, or give one's own right up; return the transaction."""
    before = yield from record(me, readers, (account, entry))
    receipt = yield from send(me, Revoke(entry, account))
    if before is not None:
        with suppress(Fault):  # a store that cannot be reached is tidied by its custodian
            _, _, store = yield from _found(me, entry)
            yield from work(_delete, store, [envelope_key(entry, before.envelope)])
    return receipt.tx


def forget(me: Me, entry: str) -> Op[str]:
    """Have a document of one's own destroyed: on the ledger, and at once in the store if it can be reached."""
    found = yield from record(me, entries, entry)
    receipt = yield from send(me, Erase(entry))
    if found is not None:
        with suppress(Fault):  # the ledger has it, and the custodian has to
            store = yield from _store(me, found)
            yield from work(_delete, store, list(store.keys(entry)))
    return receipt.tx


def place_of(chain_id: str, entry: str, found: Entry) -> Place:
    """Return where an entry belongs, as the ledger records it."""
    return Place(chain_id, entry, found.owner, found.custodian, found.subject)


def _found(me: Me, entry: str) -> Op[tuple[Entry, Place, Store]]:
    found = yield from record(me, entries, entry)
    if found is None:
        raise Fault("unknown", entry)
    if found.erased_ms:
        raise Fault("erased")
    store = yield from _store(me, found)
    return found, place_of((yield from chain()), entry, found), store


def _store(me: Me, found: Entry) -> Op[Store]:
    custodian = yield from record(me, custodians, found.custodian)
    if custodian is None:
        raise Fault("no_store")
    return me.stores.of(found.custodian, custodian.url)


def _key(me: Me, place: Place, found: Entry, store: Store) -> Op[tuple[str, bytes]]:
    """Return what one may read an entry for, and its key from one's own envelope."""
    right = yield from record(me, readers, (me.account, place.entry))
    if right is None or (right.until_ms and (yield from now_ms()) >= right.until_ms):
        raise Fault("not_reader")
    name = envelope_key(place.entry, right.envelope)
    file = yield from work(store.get, name, ENVELOPE_BYTES_MAX)
    sealing.hold_to(right.envelope, file, place, me.account)
    return right.purpose, sealing.open_key(place, found.digest, file, me.account, me.boxes)


def _box_key(me: Me, account: str) -> Op[str]:
    shown = yield from record(me, box_keys, account)
    if shown is None:
        raise Fault("no_box_key", account)
    return shown.box_key


def _delete(store: Store, names: Sequence[str] | dict[str, bytes]) -> None:
    for name in names:
        with suppress(Fault):
            store.delete(name)
