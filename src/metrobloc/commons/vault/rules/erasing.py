"""How an entry ends: nobody may read it, the custodian destroys it, and the proof that it existed stays."""

from metrobloc.commons.vault.rules.declared import app, custodians, entries, kept, owned, reports
from metrobloc.commons.vault.rules.sharing import stop_reading
from metrobloc.commons.vault.types import ConfirmDeletion, ConfirmErasure, Deleted, Destroyed, Erase, Erased, Keep, Kept
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def keep(ctx: Ctx, msg: Keep) -> None:
    """Change the day on which an entry of yours is erased by itself; 0 is never."""
    entry = owned(ctx, msg.entry)
    app.require(not msg.until_ms or msg.until_ms > ctx.time_ms, "in_the_past")
    if entry.deadline is not None:
        ctx.cancel(entry.deadline)
    deadline = ctx.at(msg.until_ms, end_keeping, msg.entry) if msg.until_ms else None
    ctx[entries][msg.entry] = entry.but(keep_until_ms=msg.until_ms, deadline=deadline)
    ctx.emit(Kept(msg.entry, msg.until_ms))


@app.tx(allow=anyone)
def erase(ctx: Ctx, msg: Erase) -> None:
    """Erase an entry of yours: nobody may read it any more, and its custodian has to destroy it."""
    entry = owned(ctx, msg.entry)
    if entry.deadline is not None:
        ctx.cancel(entry.deadline)
    end_keeping(ctx, msg.entry)


@app.deadline
def end_keeping(ctx: Ctx, key: str) -> None:
    """Erase an entry when its last day has come."""
    entry = ctx[entries][key]
    for account in entry.readers:
        entry = stop_reading(ctx, key, account)
    report = ctx[reports].get(key)
    if report is not None:  # nobody has a use for the answer any more
        ctx.cancel(report.deadline)
        del ctx[reports][key]
    ctx[entries][key] = entry.but(erased_ms=ctx.time_ms, deadline=None)
    ctx.emit(Erased(key))


@app.tx(allow=anyone)
def confirm_deletion(ctx: Ctx, msg: ConfirmDeletion) -> None:
    """Say as custodian that envelopes which nobody may use any more are deleted."""
    entry = kept(ctx, msg.entry)
    for envelope in msg.envelopes:
        app.require(envelope in entry.undeleted, "no_such_envelope")
        entry = entry.but(undeleted=tuple(one for one in entry.undeleted if one != envelope))
    ctx[entries][msg.entry] = entry
    ctx.emit(Deleted(msg.entry, msg.envelopes))


@app.tx(allow=anyone)
def confirm_erasure(ctx: Ctx, msg: ConfirmErasure) -> None:
    """Say as custodian that an erased entry's bytes and all its envelopes are destroyed."""
    entry = kept(ctx, msg.entry)
    app.require(entry.erased_ms, "not_erased")
    app.require(not entry.destroyed_ms, "destroyed")
    ctx[entries][msg.entry] = entry.but(destroyed_ms=ctx.time_ms, undeleted=())
    holding = ctx[custodians][entry.custodian]
    less = holding.but(entries=holding.entries - 1, held_bytes=holding.held_bytes - entry.size_bytes)
    ctx[custodians][entry.custodian] = less
    ctx.emit(Destroyed(msg.entry))
