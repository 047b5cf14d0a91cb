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


PROBLEMS = {
    "bad_presentation": "The holder's signature does not hold for what is shown; ask her to present it again.",
    "bad_proof": "A proof in the file, or given beside it, does not hold; make it again.",
    "bad_signature": "The issuer's signature does not hold for the statement; it has been changed.",
    "claim_not_signed": "A claim, or its salt, is not as the issuer signed it; it has been changed.",
    "claim_twice": "The file shows two claims of one name; show each once.",
    "claims_order": "The statement's hashes are not sorted, each once; its issuer must write it again.",
    "disowned": "The city office has disowned what this issuer issued at that time; it is void.",
    "expired": "The credential has expired; ask its holder to have it renewed.",
    "foreign_key": "The key that signed the statement is not the issuer's.",
    "no_holder": "The statement names no holder's key, so that nobody can prove to be its holder.",
    "not_anchored": "There is no such credential on the ledger.",
    "not_presented": "The holder has not signed for this occasion; ask her to present it with your nonce.",
    "not_yet": "The credential is not in force yet.",
    "other_audience": "The holder signed this for somebody else.",
    "other_nonce": "The holder signed another nonce: this was shown before, or to somebody else.",
    "other_statement": "The ledger's credential is of another statement than this.",
    "other_terms": "The statement's issuer, kind or times are not those of the ledger's credential.",
    "revoked": "The credential is revoked.",
    "stale": "The proofs are older than you accept, so that it may be revoked by now; have them made again.",
    "suspended": "The credential is suspended.",
    "unproved": "A proof is missing that this needs; make it with `metrobloc credentials prove`.",
    "unusable": "The trust file is none; make it with `metrobloc trust`.",
    "untrusted": "It holds, but no trust file was given that leads to who signed the proofs.",
    "wrong_chain": "A proof is of another chain than the statement.",
    "wrong_payload_type": "The envelope holds something else than a credential's statement.",
}
"""Why a credential is not accepted, beside the reasons of `codec.MALFORMED`."""


class NotValid(Exception):
    """A credential's file does not hold what it says; `code` is a key of PROBLEMS or of `codec.MALFORMED`."""

    def __init__(self, code: str, sentence: str = "") -> None:
        """Keep the code and its sentence for people."""
        self.code = code
        self.sentence = sentence or PROBLEMS[code]
        super().__init__(f"{code}: {self.sentence}")


@contextmanager
def plainly() -> Iterator[None]:
    """Let what the kernel finds malformed end as the client's own `Malformed`."""
    try:
        yield
    except codec.Malformed as fault:
        raise Malformed(fault.code, fault.sentence) from fault
