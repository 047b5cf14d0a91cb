"""The ways a transaction can end badly, and the one way a machine can (DESIGN, section 3).

Malformed (in `codec`) : never was a transaction; stopped at the door.
Void                   : included or offered, but it may not run now: an engine code, no receipt, no id, no state.
Refused                : a rule said no; an ordinary receipt, the transaction's changes are dropped.
MachineFault           : this machine cannot go on (a damaged record, a full disk): the node stops.
Anything else a handler raises is a bug of ours: the fixed code `internal`, the same on every node.
"""

VOIDS = {
    "malformed": "The bytes are no transaction of this chain; make it again with this chain's tools.",
    "wrong_chain": "The transaction was signed for another chain; sign it again for this one.",
    "wrong_rules": "The transaction was written for another version of the rules; read them and sign again.",
    "expired": "The transaction's time has run out; sign it again.",
    "expires_too_late": "The transaction asks to stay valid for too long; choose an earlier expiry.",
    "replayed": "The transaction has been included already; look for its receipt.",
    "not_active": "This part of the rules is not in force on this chain yet; the council decides from when on.",
    "unknown_action": "This chain has no such action; check its name.",
    "unknown_account": "An account named in the transaction does not exist; register it first.",
    "not_signed": "The transaction lacks a signature, or whoever signed may not do all of this in the actor's name.",
    "extra_signature": "The transaction carries a signature that nothing in it asks for; remove it.",
    "over_quota": "The payer's quota for this hour is used up; try again in the next hour.",
    "block_full": "The block has no room left; send the transaction again.",
}
"""Engine codes with the sentence for people."""

ENGINE_REFUSALS = {
    "above_ceiling": "The key or person that signed may spend no more of this in the account's name.",
    "frozen": "The account is frozen: it can defend itself, and do nothing else until that ends or is decided.",
    "not_allowed": "The actor does not hold a role that this action asks for.",
    "too_much_work": "The action needs more work than one transaction may do; split it up.",
    "out_of_range": "A number would leave the range that the ledger can hold.",
    "kernel.accounts_unknown": "There is no such account; register it first.",
    "kernel.deadlines_taken": "The transaction would give out an identifier twice; sign it again with another salt.",
    "kernel.demo_key": "This is a public demonstration key, which anybody can use; make a key of your own.",
    "kernel.delegations_unknown": "Nothing like this has been delegated.",
    "kernel.keys_taken": "The key belongs to an account already, and a key does so for ever; make a new one.",
    "kernel.keys_short": "An account needs as many keys as must sign, and at least one.",
    "kernel.roles_unknown": "The account does not hold this role.",
    "internal": "The application has a fault and nothing was changed; please report the receipt.",
}
"""Codes of receipts that every module shares."""


class Void(Exception):
    """The transaction may not run now; `code` is a key of VOIDS."""

    def __init__(self, code: str) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code


class Refused(Exception):
    """A rule said no; `code` is `module.refusal` or a key of ENGINE_REFUSALS."""

    def __init__(self, code: str) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code


class MachineFault(Exception):
    """This machine cannot continue safely; the message says what to do. Never caught below the engine."""


MACHINE_ERRORS = (MachineFault, MemoryError, RecursionError, OSError)
"""What depends on the machine and not on the chain: it stops the node, or nodes would disagree."""
