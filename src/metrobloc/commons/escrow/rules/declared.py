"""What escrow declares: its refusals, tables and parameter, and the names of its pots."""

from metrobloc.commons.escrow.types import DAY_MS, Escrow, Instalment
from metrobloc.kernel.module import Module

app = Module(
    "escrow",
    {
        "to_self": "Payer and payee are the same account.",
        "one_arbiter": "Name one arbiter: an account or a role.",
        "party_decides": "Neither payer nor payee decides a dispute of theirs.",
        "in_the_past": "An instalment's deadline must lie ahead of the block's time.",
        "too_long": "An instalment would be held longer than allowed; choose an earlier deadline.",
        "bad_window": "An instalment can be released only from a time before its deadline.",
        "not_in_order": "Instalments that follow each other have deadlines in that order too.",
        "twice_named": "An instalment names each account and each role once.",
        "too_many_needed": "More approvals are asked for than accounts and roles are named.",
        "no_condition": "Say who approves the instalment, which evidence it needs, or from when on it can be had.",
        "no_kind": "There is no such kind of evidence; ask the city office to declare it.",
        "kind_missing": "Evidence of a role or about something needs a kind.",
        "no_module": "Only an application leaves an instalment to itself; name who approves it.",
        "mixed": "An instalment that an application decides names nobody else to approve it.",
        "payee_releases": "The payee does not release money to itself; somebody else does.",
        "not_payer": "Only the payer may do this.",
        "not_payee": "Only the payee may do this.",
        "not_party": "Only payer and payee may do this.",
        "not_accepted": "The payee has not accepted the terms yet.",
        "accepted_already": "The payee has accepted the terms already.",
        "ended": "All of this was paid or returned already.",
        "too_late": "The time has run out; the money goes where the terms say.",
        "too_early": "The time from which on the instalment can be released has not come.",
        "not_its_turn": "An instalment before this one has not ended yet.",
        "in_dispute": "The instalment is disputed; now the arbiter decides.",
        "not_disputed": "The instalment is not disputed.",
        "not_releaser": "The terms do not let you release this instalment, or not in this role.",
        "approved_already": "This account or role has approved the instalment already.",
        "evidence_missing": "The terms ask for evidence; name it.",
        "evidence_not_asked": "The terms ask for no evidence; name none.",
        "own_evidence": "The payee's own word is no evidence for what it is paid.",
        "not_arbiter": "Only the arbiter that the terms name may decide.",
        "above_held": "Less than this is held.",
        "not_opener": "Only the application that opened the escrow may do this.",
    },
)
escrows = app.table("escrows", Escrow, str, "unknown", "taken")
instalments = app.table("instalments", Instalment, str, "unknown")
duration_ms_max = app.param(
    "duration_ms_max",
    3660 * DAY_MS,
    "An instalment is held no longer, so that no money is stuck.",
    (DAY_MS, 36600 * DAY_MS),
)


def pot(escrow: str) -> str:
    """Return the name of the pot that keeps an escrow's money."""
    return f"held.{escrow}"


def inbox(module: str) -> str:
    """Return the name of the pot into which a module hands money over, for `open_from_pot` to set aside."""
    return f"inbox.{module}"
