"""Wait for what was sent or promised, and judge a promise by the log itself when its time is over."""

import msgspec
from msgspec import Raw, Struct

from metrobloc.client import proving, sending, steps, streaming
from metrobloc.client.errors import Judgement, NoNode, NotFound, PromiseBroken, ProofInvalid, Unknown
from metrobloc.client.steps import Answer, City, More, Op, Pause, Stream
from metrobloc.commons import notes
from metrobloc.commons.notes import Promise
from metrobloc.kernel import codec, log
from metrobloc.kernel.receipts import Header, ReadReceipt
from metrobloc.kernel.types import Digest, TimeMs, Total

MOST_S = 2.0
STALL_MS = 120_000
"""A feed that tells no block for so long, though blocks are signed that it has not told, is given up."""


class _Block(Struct, frozen=True):
    height: Total
    time_ms: TimeMs
    state_root: Digest
    receipts: tuple[Raw, ...]


class _Leaf(Struct, frozen=True):
    tx: str = ""


class _End(Struct, frozen=True):
    time_ms: TimeMs


def wait(city: City, awaited: str | Promise, until_ms: int | None = None) -> Op[ReadReceipt]:
    """Return the receipt of a transaction (its id, or what was promised) as soon as it is there.

    A promise is waited for until its end and then judged: PromiseBroken comes with the evidence. Raises Refused, and
    Unknown when `until_ms` (since 1970; by default a minute from now) has come and nothing is known.
    """
    promised = awaited if isinstance(awaited, Promise) else None
    tx = promised.tx_id if promised else str(awaited)
    ends_ms = promised.by_ms if promised else until_ms or city.clock_ms() + 60_000
    for pause_s in steps.waits(most_s=MOST_S):
        try:
            return sending.settled(city, (yield from proving.receipt(city, tx)))
        except (NotFound, NoNode) as error:
            why = str(error)
        left_s = (ends_ms - city.clock_ms()) / 1000
        if left_s <= 0:
            break
        yield Pause(min(pause_s, left_s))
    if promised is None:
        raise Unknown(f"{why} {sending.UNSURE.format(tx)} look again, or send the same bytes again.")
    judged = yield from judge(city, promised)
    if judged.verdict == "broken":
        raise PromiseBroken(f"The operator promised {tx} by {promised.by_ms} ms, and the log shows otherwise.", judged)
    if judged.verdict == "open":
        raise Unknown(f"The log shows no block after {promised.by_ms} ms yet; judge the promise when it does.")
    return sending.settled(city, (yield from proving.receipt(city, tx)))


def judge(city: City, promise: Promise) -> Op[Judgement]:
    """Judge a promise by the log: the leaves that the node tells, hashed from the first on to a head it has signed.

    It reads the whole chain once, so it is for the rare case that somebody doubts; ProofInvalid when the leaves are not
    those of a log that the trusted operator signed.
    """
    note = yield from steps.fetch(city, steps.path("checkpoint"))
    head, _ = yield from proving.vouched(city, lambda chain, key: notes.open_checkpoint(note, chain, key))
    answer = yield Stream(steps.path("feed", after=-1))
    if not isinstance(answer, Answer) or answer.status != 200:
        steps.fail(city, answer)
    told, kept, rest = log.Log(), [], b""
    until_ms = city.clock_ms() + STALL_MS
    while told.size < head.size:
        part = yield More()
        if not isinstance(part, Answer) or not part.body:
            raise steps.absent(city, part)
        *whole, rest = (rest + part.body).split(b"\n")
        if len(rest) > streaming.LINE_BYTES_MAX or city.clock_ms() > until_ms:
            raise NoNode(f"The node at {city.url} does not tell the blocks that its operator signed; ask another.")
        for line in whole:
            if line and told.size < head.size:
                leaves = _leaves(steps.decode(city, line, _Block))
                kept += leaves[max(0, promise.size - told.size) :]
                told, _ = told.extended([log.leaf_hash(leaf) for leaf in leaves])
                until_ms = city.clock_ms() + STALL_MS
    if (told.size, told.root()) != (head.size, head.root):
        raise ProofInvalid("The blocks that the node tells are not those of the log that its operator signed.")
    verdict = notes.judge(promise, [_counts(leaf) for leaf in kept])
    return Judgement(verdict, note, promise.size, tuple(Raw(leaf) for leaf in kept))


def _leaves(block: _Block) -> list[bytes]:
    header = codec.encode(Header(block.height, block.state_root, block.time_ms))
    return [*[bytes(receipt) for receipt in block.receipts], header]


def _counts(leaf: bytes) -> str | int:
    """Return of a receipt its transaction's id and of a header its time: what a promise is judged by."""
    try:
        found = msgspec.json.decode(leaf, type=dict[str, Raw])
        is_header = "state_root" in found
        return msgspec.json.decode(leaf, type=_End).time_ms if is_header else msgspec.json.decode(leaf, type=_Leaf).tx
    except msgspec.MsgspecError as error:
        raise ProofInvalid("The operator has signed a log with a leaf that is no receipt and no header.") from error
