"""Send what is signed, until what became of it is known; nothing is done twice, because a transaction counts once.

The same bytes may be sent as often as it takes: the node answers the second time with what the first one led to. What
is never done is to sign the same intent again before the first transaction has expired.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from metrobloc.client import proving, steps
from metrobloc.client.draft import Call, Draft, write
from metrobloc.client.errors import (
    Malformed,
    NoNode,
    NotFound,
    NotIncluded,
    ProofInvalid,
    Refused,
    Unknown,
    Void,
    plainly,
)
from metrobloc.client.steps import Answer, City, Op, Pause, Request
from metrobloc.commons import notes
from metrobloc.commons.notes import Promise
from metrobloc.kernel import envelope, system
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.system import Account

EXPIRY_MS = 300_000
AGAIN = frozenset({408, 425, 429, *range(500, 600)})
"""Answers after which the same bytes are sent again: the node is busy, stopping, or something before it is."""


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of one transaction that was sent: as the door says it."""

    status: Literal["committed", "accepted", "void", "malformed"]
    code: str
    tx: str = ""
    height: int = -1
    index: int = -1
    sentence: str = ""
    promise: str = ""


class Told(Outcome, frozen=True):
    """The same with the receipt, where there is one."""

    receipt: ReadReceipt | None = None


class _Standing(Struct, frozen=True):
    time_ms: int
    rules: int = 1


class _Row(Struct, frozen=True):
    value: Account


class _Accounts(Struct, frozen=True):
    items: tuple[_Row, ...]


def time_ms(city: City) -> Op[int]:
    """Return the time to count expiries from: this machine's, or the chain's if that is ahead (ms since 1970)."""
    status = yield from steps.fetch_as(city, _Standing, steps.path("status"))
    return max(city.clock_ms(), status.time_ms)


def draft(city: City, *calls: Call, expires_ms: int | None = None, salt: str | None = None) -> Op[Draft]:
    """Return what is to be signed: calls of (account, message), run together or not at all.

    It expires at `expires_ms` (since 1970), by default in five minutes. Malformed when a message breaks its limits.
    """
    chain = chain_id((yield from steps.genesis(city)))
    now = yield from steps.fetch_as(city, _Standing, steps.path("status"))
    until = max(city.clock_ms(), now.time_ms) + EXPIRY_MS if expires_ms is None else expires_ms
    return write(chain, now.rules, calls, expires_ms=until, actions=city.actions, salt=salt)


def missing(city: City, draft: Draft) -> Op[tuple[str, ...]]:
    """Return who has still to sign: ids of accounts that act, and keys that messages name."""
    accounts: dict[str, Account] = {}
    for account in dict.fromkeys(call.as_ for call in draft.content.calls):
        page = yield from steps.fetch_as(city, _Accounts, steps.path("records", system.accounts.path(account)))
        accounts.update((account, row.value) for row in page.items)
    return draft.missing(accounts, city.actions, (yield from time_ms(city)))


def submit(city: City, raws: Sequence[bytes], at_ms: int | None = None) -> Op[list[Outcome]]:
    """Send several transactions once and return what became of each; `at_ms` plays the past of a demo chain."""
    body = yield from steps.fetch(city, steps.path("txs", at=at_ms), b"\n".join(raws))
    told = [steps.decode(city, line, Outcome) for line in body.split(b"\n") if line]
    if len(told) != len(raws):
        raise NoNode(f"The node at {city.url} answered for {len(told)} of {len(raws)} transactions; send them again.")
    return told


def send(city: City, raw: bytes, patience_s: float | None = None) -> Op[ReadReceipt]:
    """Send a transaction and return its receipt, however often that takes, until it expires or patience ends.

    Raises Refused (with the receipt), Void, Malformed, NotIncluded (it never will be in) or Unknown (send these same
    bytes again, or look for the receipt).
    """
    told = yield from _send(city, raw, steps.path("tx"), patience_s)
    if told.receipt is None:
        raise Unknown(
            f"The node promised, where it was asked for a receipt. {UNSURE.format(told.tx)} look for it later."
        )
    return settled(city, told.receipt)


def promise(city: City, raw: bytes, patience_s: float | None = None) -> Op[Promise | ReadReceipt]:
    """Send a transaction for a signed promise instead of its receipt, or the receipt if it is on the ledger already.

    The promise is checked: by whom it is signed (the trust file says who may), for which transaction, and that it ends
    before the transaction does. Raises as `send` does, and ProofInvalid.
    """
    told = yield from promise_note(city, raw, patience_s)
    if told.receipt is not None:
        return settled(city, told.receipt)
    note = told.promise.encode()
    made = yield from proving.vouched(city, lambda chain, key: notes.open_promise(note, chain, key))
    content = envelope.reopen(raw).payload
    if made.tx_id != told.tx or not made.by_ms < content.expires:
        raise ProofInvalid(
            "The promise is for another transaction or ends too late; look for a receipt, or send it elsewhere."
        )
    return made


def promise_note(city: City, raw: bytes, patience_s: float | None = None) -> Op[Told]:
    """Send a transaction for a promise and return that unchecked, for whoever checks it; raises as `send` does."""
    return (yield from _send(city, raw, steps.path("tx", promise=True), patience_s))


def settled(city: City, receipt: ReadReceipt) -> ReadReceipt:
    """Return a receipt of what was done; raise Refused for one that says that a rule said no."""
    if receipt.code == "ok":
        return receipt
    sentence = {**city.sentences, **ENGINE_REFUSALS}.get(receipt.code, "")
    raise Refused(receipt.code, sentence, receipt)


def _send(city: City, raw: bytes, where: str, patience_s: float | None) -> Op[Told]:
    """Send the same bytes until they are answered for; return the outcome with its receipt or promise."""
    with plainly():
        tx = envelope.check(raw).hex()
    expires_ms = envelope.reopen(raw).payload.expires
    ends_ms = expires_ms if patience_s is None else min(expires_ms, city.clock_ms() + round(1000 * patience_s))
    for sent, pause_s in enumerate(steps.waits(), 1):
        answer = yield Request(where, raw)
        if isinstance(answer, Answer) and answer.status not in AGAIN:
            told = _read(city, answer, tx)
            if isinstance(told, Told):
                if told.status in ("committed", "accepted"):
                    return told
                if told.code == "expired":
                    return (yield from _expired(city, told, tx, sent, expires_ms))
                if told.code not in ("block_full", "replayed"):
                    return (yield from _turned_away(city, told, tx, sent))
            why = told.sentence if isinstance(told, Told) else told
        else:
            why = steps.failure(answer).sentence if isinstance(answer, Answer) else str(steps.absent(city, answer))
        if city.clock_ms() + 1000 * pause_s >= ends_ms:
            break
        yield Pause(pause_s)
    if ends_ms < expires_ms:
        raise Unknown(f"{why} {UNSURE.format(tx)} send the same bytes again, which is safe.")
    yield Pause(max(0, ends_ms - city.clock_ms()) / 1000)
    return Told("committed", "", tx, receipt=(yield from look(city, tx, expires_ms)))


UNSURE = "Whether the transaction {} is on the ledger is not known;"


def look(city: City, tx: str, expires_ms: int) -> Op[ReadReceipt]:
    """Return the receipt of a transaction that has expired; NotIncluded when there is none and never will be.

    The chain's time is asked for first: a block that could still take the transaction must lie behind it.
    """
    now_ms = -1
    try:
        now_ms = yield from _chain_time_ms(city)
        return (yield from proving.receipt(city, tx))
    except NotFound:
        if now_ms > expires_ms:
            raise NotIncluded(f"{tx} has expired and is not on the ledger; sign anew if it is still wanted.") from None
        why = f"The chain's time ({now_ms} ms) is not beyond its expiry ({expires_ms} ms) yet."
    except (NoNode, ProofInvalid) as error:
        why = str(error)
    raise Unknown(f"{why} {UNSURE.format(tx)} look for its receipt again before signing anew.")


def _chain_time_ms(city: City) -> Op[int]:
    """Return the chain's time: proved where there is trust, else as the node says."""
    if city.trust is not None:
        return (yield from proving.prove_record(city, system.chain.path("info"))).time_ms
    return (yield from steps.fetch_as(city, _Standing, steps.path("status"))).time_ms


def _turned_away(city: City, told: Told, tx: str, sent: int) -> Op[Told]:
    """Raise what a node says of a transaction that it does not take; an attempt before may have got it in, though."""
    if told.status == "malformed":
        raise Malformed(told.code, told.sentence)
    if sent > 1:
        try:
            return Told("committed", "", tx, receipt=(yield from proving.receipt(city, tx)))
        except NotFound:
            pass
        except NoNode as error:
            raise Unknown(f"{error} {UNSURE.format(tx)} send the same bytes again, which is safe.") from error
    raise Void(told.code, told.sentence, tx)


def _expired(city: City, told: Told, tx: str, sent: int, expires_ms: int) -> Op[Told]:
    """Look for a transaction whose time has run out as the node says; Void when it was sent but now."""
    try:
        return Told("committed", "", tx, receipt=(yield from look(city, tx, expires_ms)))
    except Unknown:
        if sent > 1:
            raise
        raise Void(told.code, told.sentence, tx) from None


def _read(city: City, answer: Answer, tx: str) -> Told | str:
    """Return what a node says of this transaction, or why what it says cannot be taken for an answer."""
    try:
        told = msgspec.json.decode(answer.body, type=Told)
    except (msgspec.MsgspecError, RecursionError):
        said = steps.failure(answer)
        if answer.status == 413 or (answer.status == 400 and said.code):
            raise Malformed(said.code, said.sentence) from None
        return said.sentence
    fits = told.tx == tx or (not told.tx and told.status in ("malformed", "void"))
    if told.status == "committed":
        fits = fits and told.receipt is not None and (told.receipt.tx, told.receipt.code) == (tx, told.code)
    return told if fits else f"The node at {city.url} answered for something else than what was sent."
