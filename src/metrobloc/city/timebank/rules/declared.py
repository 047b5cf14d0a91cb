"""What the time bank declares: its refusals, tables, parameters, and the guards that several verbs share.

Minutes are held in one book for each bank. In a book there are its members, its pot, the escrow of each open service
that it pays for, and for each other bank a line: what is owed to that bank, negative where that bank owes.
"""

from metrobloc.city.timebank.types.records import MINUTE_MS, Bank, Day, Line, Member, Service, Task
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module

COORDINATOR = "timebank"
"""The role of the institutions that coordinate banks."""

DAY_MS = 1440 * MINUTE_MS
POT = "timebank.pot"
"""The holder of a bank's common minutes, in the bank's own book."""

app = Module(
    "timebank",
    {
        "no_coordinator": "The account named as coordinator is not accredited for it; ask the city office.",
        "in_the_past": "This time must lie ahead of the block's time.",
        "closed": "The bank is closed for ever.",
        "not_open": "The bank is suspended or closed already.",
        "not_suspended": "The bank is not suspended.",
        "not_empty": "Members, open services, offered lines or minutes in the pot are left; wind the bank down first.",
        "winding_down": "The bank is suspended, closed or without a licence, so it only winds down.",
        "not_coordinator": "Only the coordinator of the bank may do this.",
        "own_bank": "The coordinator of a bank cannot be its member.",
        "same_bank": "This needs two different banks.",
        "not_verified": "The bank does not vouch for this member; ask its coordinator.",
        "above_bank": "This is more than the bank's own level or limits allow.",
        "outside_limits": "The member's minutes, with what is under way, lie outside these limits.",
        "above_max": "The member would save more than her limit allows.",
        "has_balance": "There are minutes left or owed; give them away, earn them or move before you leave.",
        "owes": "The member owes minutes; let her pay them back first.",
        "under_way": "The member has open services; end or drop them first.",
        "too_many": "Somebody has 32 open services already; end some first.",
        "no_skill": "The bank has not verified this skill of the helper.",
        "level_too_low": "The task asks for a member of a higher level.",
        "bad_window": "The window must end after it begins.",
        "too_long": "The window would end later than allowed; choose an earlier end.",
        "not_author": "Only the task's own member or the coordinator may take it back.",
        "no_slot": "The task takes no claims: it is full, taken back, over, or its member is no longer verified.",
        "own_task": "Nobody serves himself, and no coordinator earns from the pot that he spends.",
        "line_full": "The two banks let each other owe no more; ask their coordinators for a higher line.",
        "line_used": "This much is owed or set aside over the line already; clear it first.",
        "not_party": "Only the two sides of the service may do this.",
        "not_dropper": "Only the two sides or a coordinator of their banks may give the slot back.",
        "ended": "The service has ended: it was paid, given back or decided.",
        "in_dispute": "The service is disputed; now its coordinator decides.",
        "too_late": "The time for this has run out; the service ends by itself.",
        "checked_in": "The service has begun already.",
        "not_checked_in": "The service has not begun; check in first.",
        "helper_ends": "The helper says when the help ends; hand in the code that the helper has signed for it.",
        "checked_out": "The service has been checked out already.",
        "not_checked_out": "The service has not been checked out yet.",
        "outside_window": "Help begins after the claim and within the task's window.",
        "out_before_in": "Help ends after it has begun.",
        "too_long_a_day": "Help lasts 24 hours at most.",
        "in_the_future": "This time has not come yet.",
        "bad_code": "The code was not signed by the other side for this service and time.",
        "confirmed_already": "You have confirmed already; now the other side answers.",
        "above_ceiling": "This is more than the two sides have agreed on.",
        "above_wall": "This is more than the time from check-in to check-out, or to now where nobody has checked out.",
        "differs": "The other side says another number; confirm the same or dispute it.",
        "overlaps": "The helper was confirmed for other help at this time, or 48 times that day.",
        "not_disputed": "The service is not disputed.",
        "is_party": "Whoever takes part in a service cannot decide its dispute.",
        "to_self": "Source and target are the same account.",
        "twice_named": "A circle names each bank once.",
        "no_such_debt": "One of the banks does not owe the next as much as this.",
    },
)
banks = app.table("banks", Bank, str, "unknown", "taken")
members = app.table("members", Member, str, "unknown", "taken")
tasks = app.table("tasks", Task, str, "unknown", "taken")
services = app.table("services", Service, str, "unknown", "taken")
lines = app.table("lines", Line, tuple[str, str])
days = app.table("days", Day, tuple[str, str])
hours = app.ledger("hours")

confirm_ms = app.param(
    "confirm_ms", 7 * DAY_MS, "How long the other side has to answer a first confirmation.", (MINUTE_MS, 366 * DAY_MS)
)
settle_ms = app.param(
    "settle_ms", 14 * DAY_MS, "How long after a task's window its minutes stay set aside.", (MINUTE_MS, 366 * DAY_MS)
)
window_ms_max = app.param(
    "window_ms_max", 90 * DAY_MS, "A task ends no later, so that no minutes are stuck.", (MINUTE_MS, 366 * DAY_MS)
)


def escrow(service: str) -> str:
    """Return the holder of what an open service has set aside."""
    return f"timebank.service.{service}"


def line_to(bank: str) -> str:
    """Return the holder, in another bank's book, of what that bank owes to this one."""
    return f"timebank.line.{bank}"


def require_running(ctx: Ctx, bank: Bank) -> None:
    """Refuse what goes beyond winding down; a licence counts until its last millisecond, without a deadline."""
    app.require(bank.state == "open" and ctx.time_ms < bank.licence_until_ms, "winding_down")


def coordinates(ctx: Ctx, bank: Bank) -> bool:
    """Tell whether the actor is the bank's coordinator and still accredited."""
    return bank.coordinator == ctx.actor and ctx.has_role(ctx.actor, COORDINATOR)


def live_service(ctx: Ctx, key: str) -> Service:
    """Load a service on which the two sides can still act; one whose time has come counts as ended by itself."""
    service = ctx[services][key]
    app.require(service.is_open, "ended")
    app.require(service.state != "disputed", "in_dispute")
    app.require(ctx.time_ms < service.due_ms, "too_late")
    return service
