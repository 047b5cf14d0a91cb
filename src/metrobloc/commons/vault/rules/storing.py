"""Stores that custodians offer, entries that owners record, reports of bytes that are missing."""

from metrobloc.commons.vault.rules.declared import (
    CUSTODIAN,
    URL,
    answer_ms,
    app,
    custodians,
    entries,
    kept,
    reading,
    reports,
    require_live,
    size_bytes_max,
)
from metrobloc.commons.vault.rules.erasing import end_keeping
from metrobloc.commons.vault.rules.sharing import let_read
from metrobloc.commons.vault.types import (
    Acknowledge,
    Acknowledged,
    Answer,
    Answered,
    CloseStore,
    Custodian,
    Entry,
    Missed,
    OfferStore,
    Report,
    ReportMissing,
    Store,
    StoreClosed,
    Stored,
    StoreOffered,
    Unanswered,
)
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone, role


@app.tx(allow=role(CUSTODIAN))
def offer_store(ctx: Ctx, msg: OfferStore) -> None:
    """Say where you keep encrypted documents for others; said again, it is your new address."""
    app.require(URL.fullmatch(msg.url), "no_url")
    known = ctx[custodians].get(ctx.actor) or Custodian(msg.url, ctx.time_ms)
    ctx[custodians][ctx.actor] = known.but(url=msg.url, closed=False)
    ctx.emit(StoreOffered(ctx.actor, msg.url))


@app.tx(allow=anyone)
def close_store(ctx: Ctx, msg: CloseStore) -> None:
    """Take no more documents; what you hold you hold on to."""
    del msg
    known = ctx[custodians][ctx.actor]
    app.require(not known.closed, "closed")
    ctx[custodians][ctx.actor] = known.but(closed=True)
    ctx.emit(StoreClosed(ctx.actor))


@app.tx(allow=anyone)
def store(ctx: Ctx, msg: Store) -> None:
    """Record an encrypted document that lies with a custodian, and who may read it."""
    custodian = ctx[custodians].get(msg.custodian)
    open_ = custodian is not None and not custodian.closed and ctx.has_role(msg.custodian, CUSTODIAN)
    app.require(open_, "no_store")
    app.require(msg.size_bytes <= ctx.param(size_bytes_max), "too_large")
    app.require(not msg.keep_until_ms or msg.keep_until_ms > ctx.time_ms, "in_the_past")
    made = ctx.new_id()
    deadline = ctx.at(msg.keep_until_ms, end_keeping, made) if msg.keep_until_ms else None
    entry = Entry(
        ctx.actor,
        msg.custodian,
        msg.digest,
        msg.size_bytes,
        msg.content,
        msg.subject,
        ctx.time_ms,
        keep_until_ms=msg.keep_until_ms,
        deadline=deadline,
    )
    ctx[entries].add(made, entry)
    named = [share.recipient for share in msg.shares]
    app.require(len(set(named)) == len(named), "twice_named")
    for share in msg.shares:
        let_read(ctx, made, share)
    holding = ctx[custodians][msg.custodian]
    more = holding.but(entries=holding.entries + 1, held_bytes=holding.held_bytes + msg.size_bytes)
    ctx[custodians][msg.custodian] = more
    ctx.emit(Stored(made, msg.custodian, msg.size_bytes))


@app.tx(allow=anyone)
def acknowledge(ctx: Ctx, msg: Acknowledge) -> None:
    """Say as custodian that you have an entry's bytes as recorded, for the first time or after they were lost."""
    entry = kept(ctx, msg.entry)
    require_live(ctx, entry)
    app.require(not entry.acknowledged_ms or entry.lost_ms, "acknowledged")
    ctx[entries][msg.entry] = entry.but(acknowledged_ms=ctx.time_ms, lost_ms=0)
    ctx.emit(Acknowledged(msg.entry))


@app.tx(allow=anyone)
def report_missing(ctx: Ctx, msg: ReportMissing) -> None:
    """Say that an entry you own or may read is not at its custodian, or is damaged; the custodian has to answer."""
    entry = ctx[entries][msg.entry]
    require_live(ctx, entry)
    app.require(entry.owner == ctx.actor or reading(ctx, msg.entry, ctx.actor), "not_reader")
    app.require(not entry.lost_ms, "lost")
    due_ms = ctx.time_ms + ctx.param(answer_ms)
    ctx[reports].add(msg.entry, Report(ctx.actor, ctx.time_ms, due_ms, ctx.at(due_ms, pass_unanswered, msg.entry)))
    ctx.emit(Missed(msg.entry, due_ms))


@app.tx(allow=anyone)
def answer(ctx: Ctx, msg: Answer) -> None:
    """Answer a report as custodian: the bytes are there again, or they are lost."""
    entry = kept(ctx, msg.entry)
    report = ctx[reports][msg.entry]
    ctx.cancel(report.deadline)
    del ctx[reports][msg.entry]
    if not msg.found:
        ctx[entries][msg.entry] = entry.but(lost_ms=ctx.time_ms)
    ctx.emit(Answered(msg.entry, msg.found))


@app.deadline
def pass_unanswered(ctx: Ctx, key: str) -> None:
    """Hold it against a custodian that a report was not answered in time; the entry counts as lost."""
    entry = ctx[entries][key]
    del ctx[reports][key]
    ctx[entries][key] = entry.but(lost_ms=ctx.time_ms)
    holding = ctx[custodians][entry.custodian]
    ctx[custodians][entry.custodian] = holding.but(unanswered=holding.unanswered + 1)
    ctx.emit(Unanswered(key, entry.custodian))
