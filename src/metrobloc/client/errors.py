"""How an operation of the client ends when it has no result; each says what is known and what to do.

`Refused`, `Void` and `Malformed` come from the node and are final for what was sent; `NotIncluded` is final because
time has passed; `Unknown` never is: send the same bytes again, or look for the receipt later.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec import Raw, Struct

from metrobloc.kernel import codec
from metrobloc.kernel.receipts import ReadReceipt


class Judgement(Struct, frozen=True):
    """Whether a promise was kept, and by what that is seen: a signed checkpoint and the log's leaves before it.

    The evidence has no leaf before `from_leaf`, the log's size when the promise was made.
    """

    verdict: Literal["kept", "broken", "open"]
    checkpoint: bytes
    from_leaf: int
    leaves: tuple[Raw, ...]


class Refused(Exception):
    """A rule said no: the transaction is on the ledger with a receipt, and nothing else of it."""

    def __init__(self, code: str, sentence: str, receipt: ReadReceipt) -> None:
        """Keep the rule's code, its sentence for people, and the receipt."""
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.receipt = receipt


class Void(Exception):
    """The transaction may not run now and is not on the ledger; until it expires it may still be sent again."""

    def __init__(self, code: str, sentence: str, tx: str) -> None:
        """Keep the engine's code, its sentence for people, and the transaction's id."""
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence
        self.tx = tx


class Malformed(Exception):
    """These values or bytes never were a transaction."""

    def __init__(self, code: str, sentence: str) -> None:
        """Keep the code and its sentence for people."""
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


class NotIncluded(Exception):
    """The transaction is not on the ledger and never will be: the chain's time has passed its expiry."""


class Unknown(Exception):
    """Whether the transaction is on the ledger is not known; the message says what to do."""


class NoNode(Exception):
    """No node answers, or not as a node of this version does; the message says what to do."""


class NotFound(Exception):
    """What was asked for is not there, or not so; the message says which."""


class ProofInvalid(Exception):
    """What the node shows is not proved by whom you trust; nothing of it is returned."""


class PromiseBroken(Exception):
    """The operator signed a promise and did not keep it; `evidence` shows that to whoever judges."""

    def __init__(self, sentence: str, evidence: Judgement) -> None:
        """Keep the sentence and the evidence."""
        super().__init__(sentence)
        self.evidence = evidence


@contextmanager
def plainly() -> Iterator[None]:
    """Let what the kernel finds malformed end as the client's own `Malformed`."""
    try:
        yield
    except codec.Malformed as fault:
        raise Malformed(fault.code, fault.sentence) from fault
