"""What identity declares: its refusals, tables, indexes and parameters."""

from metrobloc.commons.identity.types import (
    BoxKeyShown,
    Change,
    Guardianship,
    Institution,
    Person,
    Recovery,
    Vouched,
)
from metrobloc.kernel.module import Module

DAY_MS = 86_400_000

OFFICE = "office"
"""The role of the city office, which accredits institutions."""
SUPERVISOR = "supervisor"
"""The role of who decides where the office is a party."""
COUNCIL = "council"
"""The role of the institutions that govern the city together."""
CITIZEN = "citizen"
"""The role of an account that belongs to a person whom the office has seen."""
KEPT = (OFFICE, SUPERVISOR, COUNCIL, CITIZEN)
"""Roles that the office cannot give or take by accrediting."""
OUT_OF_REACH = (OFFICE, SUPERVISOR, COUNCIL)
"""Whoever holds one of these is not in the office's hands: it could else take over those who watch it."""

app = Module(
    "identity",
    {
        "arbiter_guards": "The city office and the supervisor decide in the end; choose guardians who do not.",
        "ceilings_wrong": "Name each book of a ledger once among the ceilings.",
        "change_pending": "A change is under way on this account; wait for it, veto it, or wait for the decision.",
        "frozen_lately": "The account has been frozen lately; its owner has as long again before a guardian can.",
        "in_doubt": "The change has been objected to already; it waits for the decision.",
        "in_the_past": "The time must lie ahead of the block's time.",
        "is_institution": "An institution is no person; the person behind it has an account of her own.",
        "needed_wrong": "Name guardians once each, not yourself, and more than half of them as needed.",
        "no_quota": "Only an account with a quota of its own can sponsor others; ask an institution to do it.",
        "not_by_office": "The city office does not decide about this; the genesis and the council do.",
        "not_guardian": "Only a guardian of the account may do this.",
        "not_in_doubt": "Nobody has objected to the change; it takes effect when its time has come.",
        "not_party": "Only those whom this is about may do it.",
        "not_suspended": "The institution is not suspended, or not for long enough; it can also sign this itself.",
        "other_arbiter": "Others decide this: the city office, or the supervisor where office or council are a party.",
        "person_known": "This person, or this account, has been vouched for already.",
        "succeeded": "The institution has a successor already, which acts in its name.",
        "supported": "You have agreed to this recovery already.",
        "to_self": "Name somebody else than yourself.",
        "too_long": "The time is longer than allowed; choose an earlier end.",
        "too_many": "The successor would stand for too many others; choose another.",
        "unpaid": "The account would have no quota and nobody who pays for it; give it a quota.",
    },
)
institutions = app.table("institutions", Institution, str, "unknown")
by_successor = app.index("by_successor", institutions, lambda one: one.successor or "none")
guardianships = app.table("guardianships", Guardianship, str)
recoveries = app.table("recoveries", Recovery, str, "unknown")
changes = app.table("changes", Change, str, "unknown")
persons = app.table("persons", Person, str)
vouched = app.table("vouched", Vouched, str, "unknown")
box_keys = app.table("box_keys", BoxKeyShown, str)

rotation_delay_ms = app.param(
    "rotation_delay_ms", DAY_MS, "Time to notice and veto a change that a thief has asked for.", (60_000, 90 * DAY_MS)
)
office_delay_ms = app.param(
    "office_delay_ms", 7 * DAY_MS, "The same where the office alone gives an account new keys.", (60_000, 90 * DAY_MS)
)
recovery_ms = app.param(
    "recovery_ms", 14 * DAY_MS, "So long do guardians have to agree to a recovery.", (60_000, 366 * DAY_MS)
)
freeze_ms = app.param("freeze_ms", 3 * DAY_MS, "So long does a freeze last.", (60_000, 31 * DAY_MS))
succession_wait_ms = app.param(
    "succession_wait_ms", 7 * DAY_MS, "So long must an institution be suspended before another takes its place."
)
mandate_ms_max = app.param("mandate_ms_max", 731 * DAY_MS, "No mandate is given for longer.", (DAY_MS, 3660 * DAY_MS))
session_ms_max = app.param("session_ms_max", 31 * DAY_MS, "No session lasts longer.", (60_000, 366 * DAY_MS))
person_quota_per_hour = app.param(
    "person_quota_per_hour", 60, "What a person who was vouched for may do in an hour.", (1, 1_000_000)
)
