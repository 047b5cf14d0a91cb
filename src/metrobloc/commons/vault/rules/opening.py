"""Access receipts: a reader, or the custodian, states on the ledger that an entry was opened."""

from metrobloc.commons.vault.rules.declared import app, entries, kept, openings, reading, require_live
from metrobloc.commons.vault.types import Entry, HandOut, Opened, Opening, Receive
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone


@app.tx(allow=anyone)
def receive(ctx: Ctx, msg: Receive) -> None:
    """Say that you open an entry now, and what for; another purpose than granted is taken down as such."""
    entry = ctx[entries][msg.entry]
    require_live(ctx, entry)
    right = reading(ctx, msg.entry, ctx.actor)
    if right is None:
        app.refuse("not_reader")
    as_granted = msg.purpose == right.purpose
    _take_down(ctx, msg.entry, entry, Opening(ctx.actor, ctx.actor, ctx.time_ms, msg.purpose, as_granted))


@app.tx(allow=anyone)
def hand_out(ctx: Ctx, msg: HandOut) -> None:
    """Say as custodian that you have handed an entry to one of its readers."""
    entry = kept(ctx, msg.entry)
    require_live(ctx, entry)
    right = reading(ctx, msg.entry, msg.recipient)
    if right is None:
        app.refuse("no_reader")
    _take_down(ctx, msg.entry, entry, Opening(msg.recipient, ctx.actor, ctx.time_ms, right.purpose, as_granted=True))


def _take_down(ctx: Ctx, key: str, entry: Entry, opening: Opening) -> None:
    number = entry.opened + 1
    ctx[openings][(key, f"{number:012d}")] = opening
    ctx[entries][key] = entry.but(opened=number)
    ctx.emit(Opened(key, opening.reader, opening.by, opening.purpose))
