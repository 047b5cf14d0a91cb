"""Who may read an entry: an envelope each, given, replaced, taken back, and over by itself."""

from metrobloc.commons.identity.rules import box_keys
from metrobloc.commons.vault.rules.declared import app, entries, owned, readers
from metrobloc.commons.vault.types import ENVELOPES_MAX, Entry, Grant, Granted, Reader, Revoke, Revoked, Share
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def grant(ctx: Ctx, msg: Grant) -> None:
    """Let somebody read an entry of yours, by an envelope that you have sealed for her; it replaces one before."""
    owned(ctx, msg.entry)
    let_read(ctx, msg.entry, Share(msg.recipient, msg.envelope, msg.purpose, msg.until_ms))


@app.tx(allow=anyone)
def revoke(ctx: Ctx, msg: Revoke) -> None:
    """Let somebody read an entry of yours no longer; a reader may give up her own right."""
    entry = ctx[entries][msg.entry]
    app.require(ctx.actor in (entry.owner, msg.recipient), "not_owner")
    stop_reading(ctx, msg.entry, msg.recipient)


@app.deadline
def end_reading(ctx: Ctx, key: str) -> None:
    """Take back a right to read whose time has passed."""
    recipient, _, entry = key.partition("/")
    stop_reading(ctx, entry, recipient)


def let_read(ctx: Ctx, key: str, share: Share) -> None:
    """Give a right to read; the envelope that it replaces is to be deleted."""
    app.require(share.recipient in ctx.read(box_keys), "no_box_key")
    app.require(not share.until_ms or share.until_ms > ctx.time_ms, "in_the_past")
    before = ctx[readers].get((share.recipient, key))
    if before is not None and before.envelope != share.envelope:
        stop_reading(ctx, key, share.recipient)
    elif before is not None and before.deadline is not None:
        ctx.cancel(before.deadline)
    entry = ctx[entries][key]
    others = [ctx[readers][(account, key)].envelope for account in entry.readers if account != share.recipient]
    app.require(share.envelope not in (*others, *entry.undeleted), "envelope_used")
    named = tuple(sorted({*entry.readers, share.recipient}))
    app.require(len(named) + len(entry.undeleted) <= ENVELOPES_MAX, "too_many_envelopes")
    place = (share.recipient, key)
    deadline = ctx.at(share.until_ms, end_reading, "/".join(place)) if share.until_ms else None
    ctx[readers][place] = Reader(share.envelope, share.purpose, ctx.time_ms, share.until_ms, deadline)
    ctx[entries][key] = entry.but(readers=named)
    ctx.emit(Granted(key, share.recipient, share.purpose))


def stop_reading(ctx: Ctx, key: str, recipient: str) -> Entry:
    """Take a right to read back; return the entry as it is then. Refuses `readers_unknown`."""
    reader = ctx[readers][(recipient, key)]
    if reader.deadline is not None:
        ctx.cancel(reader.deadline)
    del ctx[readers][(recipient, key)]
    entry = ctx[entries][key]
    left = tuple(account for account in entry.readers if account != recipient)
    entry = entry.but(readers=left, undeleted=(*entry.undeleted, reader.envelope))
    ctx[entries][key] = entry
    ctx.emit(Revoked(key, recipient, reader.envelope))
    return entry
