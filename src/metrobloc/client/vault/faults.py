"""What can be wrong with a private document or its store, each with a code and a sentence that says what to do."""

FAULTS = {
    "unknown": "The ledger has no such entry; check its id.",
    "erased": "The entry is erased; only the proof that it existed is left.",
    "not_reader": "The ledger does not let you read this entry now; ask its owner.",
    "not_owner": "Only the owner of the entry may do this.",
    "no_store": "The account named as custodian takes no documents; choose another.",
    "no_box_key": "A recipient shows no key for private things; she makes one with `metrobloc key box NAME`.",
    "wrong_recipient": "The envelope is sealed for a key that you do not have; ask for it to be shared with you anew.",
    "missing": "The custodian's store does not have this; report it with `metrobloc vault report-missing`.",
    "truncated": "The store has fewer bytes than the ledger records; report it with `metrobloc vault report-missing`.",
    "overlong": "The store has more bytes than the ledger records; report it with `metrobloc vault report-missing`.",
    "tampered": "The store's bytes are not those that the ledger records; report it with "
    "`metrobloc vault report-missing`.",
    "swapped": "The store has put something of another entry or reader in this place; report it with "
    "`metrobloc vault report-missing`.",
    "replayed": "The store shows an envelope that is no longer in force; report it with "
    "`metrobloc vault report-missing`.",
    "not_opened": "The key in the envelope does not open the document; its owner has sealed it wrongly.",
    "not_as_committed": "The document is not the one to which its owner committed on the ledger; do not rely on it.",
    "too_large": "This is larger than the vault takes: 64 MiB for a document; split it up.",
    "bad_name": "A document's name is one line of at most 200 characters.",
    "bad_store": "This is no address of a store: write local:NAME, file:///PATH or s3://BUCKET/PREFIX?endpoint=URL.",
    "not_allowed": "You have not allowed this address of a custodian's store; see what it is, and then run "
    "`metrobloc vault allow`.",
    "store_fails": "The store does not answer as one; try again later, or check your right to use it.",
}
"""Codes of what ends an operation of the vault."""


class Fault(Exception):
    """An operation of the vault has ended; `code` is a key of FAULTS, `sentence` says what to do."""

    def __init__(self, code: str, detail: str = "") -> None:
        """Keep the code and its sentence; the detail tells where."""
        super().__init__(code, detail)
        self.code = code
        self.sentence = f"{FAULTS[code]} ({detail})" if detail else FAULTS[code]

    def __str__(self) -> str:
        """Say what is wrong and what to do."""
        return f"{self.code}: {self.sentence}"
