"""The verbs of anchors. A head is kept only if the log's key signed it and it goes on from the one before."""

from metrobloc.commons import notes
from metrobloc.commons.anchors.heads import NOTHING, contradict, fork_id, goes_on, log_id, read_checkpoint
from metrobloc.commons.anchors.types import (
    Accuse,
    Accused,
    Anchor,
    Anchored,
    Clear,
    Cleared,
    Fork,
    Head,
    Rekey,
    Rekeyed,
    Unwatch,
    Unwatched,
    Watch,
    Watched,
    WatchedLog,
)
from metrobloc.commons.identity.rules import OFFICE
from metrobloc.commons.notes import Checkpoint, Succession
from metrobloc.kernel import crypto
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.types import Id, Public

SUPERVISOR = "supervisor"
"""The role that watches over other institutions."""

SIGNATURE_WORK = 20
"""What it costs to check a signature, in reads."""

app = Module(
    "anchors",
    {
        "not_a_key": "The log's key must be an Ed25519 key as did:key.",
        "not_a_checkpoint": "The note is no checkpoint of this log; fetch it again, and send all of its lines.",
        "not_signed_by_log": "The note is not signed by a key of this log that is known here.",
        "stopped": "The log has signed two histories; the city office or the supervisor decides how it goes on.",
        "not_stopped": "The log is not stopped.",
        "empty_log": "The log has no leaf yet; come back when it has one.",
        "anchored_already": "This head is recorded already.",
        "older": "A newer head of this log is recorded already.",
        "contradicts": "Another head of the same size is recorded: show both with anchors.accuse.",
        "not_consistent": "The path does not show that the log goes on from the recorded head; fetch a new one.",
        "no_contradiction": "Both heads can be true, or the path does not show otherwise.",
        "not_a_succession": "The note is no change of this log's present key that both keys have signed.",
        "key_used": "The log has signed with this key before; a change leads to a new one.",
        "ended_before": "The old key's time ended before the head that is recorded; ask the log's operator.",
    },
)
logs = app.table("logs", WatchedLog, str, "unknown", "taken")
heads = app.table("heads", Head, str)
forks = app.table("forks", Fork, tuple[str, str], "taken")


@app.tx(allow=role(OFFICE) | role(SUPERVISOR))
def watch(ctx: Ctx, msg: Watch) -> None:
    """Name another log whose heads are recorded here, and the key that signs them."""
    app.require(_is_key(msg.key), "not_a_key")
    log = log_id(msg.origin)
    ctx[logs].add(log, WatchedLog(msg.origin, msg.name or msg.origin, (msg.key,), ctx.time_ms))
    ctx.emit(Watched(log, msg.origin))


@app.tx(allow=anyone)
def anchor(ctx: Ctx, msg: Anchor) -> None:
    """Record a watched log's newest head, with the path that shows it to go on from the last one.

    It does not matter who carries it: the log's signature and the path decide.
    """
    log = _going_on(ctx, msg.log)
    head, note = _signed(ctx, log, log.keys[-1:], msg.note)
    last = _last(ctx, msg.log)
    app.require(head.size > 0, "empty_log")
    app.require(head.size >= last.size, "older")
    app.require(head.size > last.size or head.root == last.root, "contradicts")
    app.require(head.size > last.size, "anchored_already")
    app.require(goes_on(last, head, msg.path), "not_consistent")
    ctx[heads][msg.log] = Head(head.size, head.root.hex(), note, ctx.actor, ctx.time_ms)
    ctx.emit(Anchored(msg.log, head.size, head.root.hex()))


@app.tx(allow=anyone)
def rekey(ctx: Ctx, msg: Rekey) -> None:
    """Show that a watched log signs with another key from now on: the old key and the new one have signed for it."""
    log = _going_on(ctx, msg.log)
    step = _succession(ctx, log, msg.note)
    app.require(step.new not in log.keys, "key_used")
    app.require(step.size >= _last(ctx, msg.log).size, "ended_before")
    ctx[logs][msg.log] = log.but(keys=(*log.keys, step.new))
    ctx.emit(Rekeyed(msg.log, step.new))


@app.tx(allow=anyone)
def accuse(ctx: Ctx, msg: Accuse) -> None:
    """Show two heads that a watched log has signed and that cannot both be true; nothing of it is anchored then."""
    log = _going_on(ctx, msg.log)
    first, first_note = _signed(ctx, log, log.keys, msg.first)
    second, second_note = _signed(ctx, log, log.keys, msg.second)
    root = second.root if msg.root is None else bytes.fromhex(msg.root)
    app.require(contradict(first, second, root, msg.path), "no_contradiction")
    fork = fork_id(first, second)
    shown = first_note, second_note, root.hex(), msg.path
    ctx[forks].add((msg.log, fork), Fork(log.origin, log.name, log.keys, *shown, ctx.actor, ctx.time_ms))
    ctx[logs][msg.log] = log.but(stopped=fork)
    ctx.emit(Accused(msg.log, fork))


@app.tx(allow=role(OFFICE) | role(SUPERVISOR))
def clear(ctx: Ctx, msg: Clear) -> None:
    """Let a log that was stopped go on from the head that is recorded; its forks stay on record."""
    log = ctx[logs][msg.log]
    app.require(log.stopped, "not_stopped")
    ctx[logs][msg.log] = log.but(stopped=None)
    ctx.emit(Cleared(msg.log))


@app.tx(allow=role(OFFICE) | role(SUPERVISOR))
def unwatch(ctx: Ctx, msg: Unwatch) -> None:
    """Watch a log no more, and forget its head; watched again, it may begin with any."""
    del ctx[logs][msg.log]
    if msg.log in ctx[heads]:
        del ctx[heads][msg.log]
    ctx.emit(Unwatched(msg.log))


@app.query
def standing(view: View, origin: Public) -> dict[str, object]:
    """Tell a log's identifier, key and newest head, by its origin, and what has stopped it; nothing if not watched."""
    log = log_id(origin)
    known = view[logs].get(log)
    if known is None:
        return {}
    return {"log": log, "key": known.keys[-1], "stopped": known.stopped, "head": view[heads].get(log)}


@app.query
def forks_of(view: View, log: Id) -> list[Fork]:
    """List what shows that a log has signed two histories; each can be checked without this ledger."""
    return [fork for _, fork in view[forks].items(f"{log}/")]


def _is_key(text: str) -> bool:
    try:
        crypto.public_key(text)
    except ValueError:
        return False
    return True


def _going_on(ctx: Ctx, name: str) -> WatchedLog:
    log = ctx[logs][name]
    app.require(log.stopped is None, "stopped")
    return log


def _last(ctx: Ctx, name: str) -> Checkpoint:
    head = ctx[heads].get(name)
    return NOTHING if head is None else Checkpoint("", head.size, bytes.fromhex(head.root))


def _signed(ctx: Ctx, log: WatchedLog, keys: tuple[str, ...], note: str) -> tuple[Checkpoint, str]:
    """Return a checkpoint that one of these keys has signed, and its note with the log's own signatures alone.

    What others have signed is dropped: their names are nothing that this ledger would keep for ever.
    """
    ctx.work(2 * SIGNATURE_WORK * len(keys))
    try:
        head, read = read_checkpoint(note, log.origin)
    except ValueError:
        app.refuse("not_a_checkpoint")
    try:
        own = notes.signed_by(read, log.name, keys)
    except ValueError:
        own = None
    if own is None:
        app.refuse("not_signed_by_log")
    return head, notes.render(own).decode()


def _succession(ctx: Ctx, log: WatchedLog, note: str) -> Succession:
    ctx.work(2 * SIGNATURE_WORK)
    try:
        step = notes.open_succession(note.encode(), log.origin)
    except ValueError:
        app.refuse("not_a_succession")
    app.require(step.old == log.keys[-1], "not_a_succession")
    return step


@app.invariant
def every_log_is_kept_under_its_origin(view: View) -> bool:
    """See that an identifier follows from the origin, so that a log is watched once."""
    return all(key == log_id(log.origin) for key, log in view[logs].items())


@app.invariant
def every_head_is_signed_by_its_log(view: View) -> bool:
    """Open each head's note: it says this size and root, and a key of the log has signed it."""
    for key, head in view[heads].items():
        log = view[logs].get(key)
        if log is None:
            return False
        said, note = read_checkpoint(head.note, log.origin)
        if (said.size, said.root.hex()) != (head.size, head.root) or notes.signed_by(note, log.name, log.keys) is None:
            return False
    return True


@app.invariant
def every_fork_shows_two_histories(view: View) -> bool:
    """Check each fork as a stranger would: the log has signed both notes, and they cannot both be true."""
    for fork in (fork for _, fork in view[forks].items()):
        read = [read_checkpoint(note, fork.origin) for note in (fork.first, fork.second)]
        signed = [notes.signed_by(note, fork.name, fork.keys) is not None for _, note in read]
        if not all(signed) or not contradict(read[0][0], read[1][0], bytes.fromhex(fork.root), fork.path):
            return False
    return True


@app.invariant
def a_log_is_stopped_by_a_fork_of_its_own(view: View) -> bool:
    """See that whoever is stopped is stopped by what anybody can check."""
    stopped = [(key, log.stopped) for key, log in view[logs].items() if log.stopped is not None]
    return all(view[forks].get(fork) is not None for fork in stopped)
