"""What the vault declares: its refusals, tables, parameters, and the guards that several verbs share."""

import re

from metrobloc.commons.vault.types import Custodian, Entry, Opening, Reader, Report
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module

CUSTODIAN = "custodian"
"""The role of the institutions that keep encrypted documents for others."""

DAY_MS = 86_400_000
URL = re.compile(r"[a-z][a-z0-9+.-]{1,15}:[!-?A-~]{1,180}")
"""An address of a store: no blank, nothing beyond ASCII, and no `@`, so that no password stands in it."""

app = Module(
    "vault",
    {
        "no_url": "A store's address is like local:NAME or s3://BUCKET/PREFIX, in ASCII and without a password.",
        "no_store": "The account named as custodian takes no documents; choose another custodian.",
        "closed": "You take no documents already.",
        "too_large": "The document is larger than the vault takes; split it up.",
        "no_box_key": "A recipient shows no key for private things; ask her to show one first.",
        "twice_named": "A recipient is named once in a list.",
        "envelope_used": "An envelope is for one reader, and once; seal a new one.",
        "too_many_envelopes": "The entry has as many envelopes as it may; have old ones deleted first.",
        "in_the_past": "This time must lie ahead of the block's time.",
        "not_owner": "Only the owner of the entry may do this.",
        "not_custodian": "Only the custodian of the entry may do this.",
        "not_reader": "You may not read this entry now; ask its owner.",
        "no_reader": "The account named as recipient may not read this entry now.",
        "erased": "The entry is erased; only the proof that it existed is left.",
        "not_erased": "The entry is not erased; its owner or its last day decides that.",
        "destroyed": "The entry is destroyed already.",
        "acknowledged": "You have acknowledged this entry already.",
        "no_such_envelope": "No such envelope of this entry is to be deleted.",
        "lost": "The custodian has said already that this is lost.",
    },
)
custodians = app.table("custodians", Custodian, str, "unknown")
entries = app.table("entries", Entry, str, "unknown", "taken")
readers = app.table("readers", Reader, tuple[str, str], "unknown")
"""By recipient and entry, so that what somebody may read stands together; who may read stands in the entry."""
openings = app.table("openings", Opening, tuple[str, str])
"""By entry and number."""
reports = app.table("reports", Report, str, "unknown", "taken")

size_bytes_max = app.param(
    "size_bytes_max", 72 << 20, "A client holds a document whole in memory.", limits=(4096, 1 << 30)
)
answer_ms = app.param(
    "answer_ms", 7 * DAY_MS, "So long has a custodian to answer a report.", limits=(3_600_000, 366 * DAY_MS)
)


def require_live(ctx: Ctx, entry: Entry) -> None:
    """Refuse an entry that is erased, or would be if the queue of deadlines were not behind."""
    app.require(not entry.erased_ms and (not entry.keep_until_ms or ctx.time_ms < entry.keep_until_ms), "erased")


def owned(ctx: Ctx, key: str) -> Entry:
    """Return an entry of the actor's own that is not erased, or refuse."""
    entry = ctx[entries][key]
    app.require(entry.owner == ctx.actor, "not_owner")
    require_live(ctx, entry)
    return entry


def kept(ctx: Ctx, key: str) -> Entry:
    """Return an entry whose custodian the actor is, or refuse."""
    entry = ctx[entries][key]
    app.require(entry.custodian == ctx.actor, "not_custodian")
    return entry


def reading(ctx: Ctx, entry: str, account: str) -> Reader | None:
    """Return the right of an account to read an entry now, or None; one whose time has passed counts as gone."""
    reader = ctx[readers].get((account, entry))
    return None if reader is None or (reader.until_ms and ctx.time_ms >= reader.until_ms) else reader
