"""The verbs of acts. An approval is as good as the right with which it was given, and is looked at again at the end."""

from metrobloc.commons.acts.bundle import actors_of, bundle_of, digest_of, keys_in, read_message
from metrobloc.commons.acts.types import (
    Act,
    Approve,
    Approved,
    Bundle,
    Call,
    Cancel,
    Cancelled,
    Consent,
    Decline,
    Declined,
    Ended,
    Executed,
    Lapsed,
    Party,
    Propose,
    Proposed,
    Withdraw,
    Withdrawn,
)
from metrobloc.kernel import codec, crypto, system
from metrobloc.kernel.block import BlockRun, delegated
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.errors import Refused, Void
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.state import BYTES_PER_WORK, BlockState, TxState, unmetered
from metrobloc.kernel.system import Account
from metrobloc.kernel.tables import Rows
from metrobloc.kernel.types import AccountId, Id, Record, TimeMs, Who

DAY_MS = 86_400_000
BUNDLE_BYTES_MAX = 32_768
"""How long the messages of an act may be together."""
PAGE = 100
"""How many acts one answer names."""

app = Module(
    "acts",
    {
        "beyond_scope": "Who signed has no mandate or session for all that the act does in the account's name.",
        "keys_wrong": "Name exactly the keys that the calls name, each once; they sign the proposal.",
        "in_the_past": "The time must lie ahead of the block's time.",
        "malformed": "The message of a call is not as a transaction would have it; write it with the chain's tools.",
        "nested": "An act is not about acts; propose what they hold in one.",
        "no_role": "An account in the act does not hold, at this moment, a role that its call asks for.",
        "not_actor": "The act asks nothing of this account.",
        "not_approved": "The account has not approved the act, so there is nothing to take back.",
        "not_proposer": "Only who proposed the act can cancel it; who acts in it can decline it.",
        "other_bundle": "The act holds something else than what was approved; look at it again.",
        "other_rules": "The act was written for another version of the rules; propose it again.",
        "over": "The act is over: it was executed, declined or cancelled, or its time has run out.",
        "somebody_frozen": "An account in the act, or who approved for it, is frozen at this moment; try again later.",
        "too_large": "The messages are longer together than an act may be; put large documents in the vault.",
        "too_long": "The act would wait longer than allowed; choose an earlier end.",
        "unknown_action": "A call names an action that is not in force on this chain; check its name.",
    },
)
acts = app.table("acts", Act, str, "unknown")
parties = app.table("parties", Party, tuple[str, str])
act_ms_max = app.param("act_ms_max", 90 * DAY_MS, "No act waits longer for approvals.", (60_000, 3660 * DAY_MS))

WITHIN = {"frozen": "somebody_frozen", "not_allowed": "no_role"}
"""What the engine says of who signs a transaction, and what that is called where it is said of somebody in the act."""


@app.tx(allow=anyone)
def propose(ctx: Ctx, msg: Propose) -> None:
    """Propose calls by several accounts, which are done together as soon as each of them has approved.

    Nothing happens before. Keys that a call names, such as a new account's, sign the proposal.
    """
    app.require(msg.until_ms > ctx.time_ms, "in_the_past")
    app.require(msg.until_ms <= ctx.time_ms + ctx.param(act_ms_max), "too_long")
    app.require(sum(len(call.message.encode()) for call in msg.calls) <= BUNDLE_BYTES_MAX, "too_large")
    actors = actors_of(msg.calls)
    for actor in actors:
        ctx.read(system.accounts)[actor]
    named = [key for call in msg.calls for key in _keys_named(ctx, call)]
    app.require(sorted(dict.fromkeys(named)) == sorted(msg.keys), "keys_wrong")
    made = ctx.new_id()
    deadline = ctx.at(msg.until_ms, lapse, made)
    digest = digest_of(Bundle(msg.calls, msg.keys, ctx.actor, _block(ctx).version, msg.until_ms))
    act = Act(ctx.actor, digest, _block(ctx).version, msg.until_ms, deadline, msg.calls, msg.keys)
    ctx[acts][made] = act  # new, because its deadline is
    for actor in actors:
        ctx[parties][(actor, made)] = Party(msg.until_ms)
    ctx.emit(Proposed(made, ctx.actor, digest, msg.until_ms, actors))


@app.tx(allow=anyone)
def approve(ctx: Ctx, msg: Approve) -> None:
    """Approve an act whose content you have seen; with the last approval all its calls are done.

    Who has approved before may do so again: that gives the approval anew. If a call is refused, so is this approval.
    """
    act = _open(ctx, msg.act)
    app.require(msg.bundle == act.bundle, "other_bundle")
    app.require(act.rules == _block(ctx).version, "other_rules")
    party = _party(ctx, msg.act)
    if ctx.delegate:
        _require_scope(ctx, act)
    standing = standing_of(ctx.state, ctx.actor, ctx.delegate, ctx.time_ms)
    ctx[parties][(ctx.actor, msg.act)] = party.but(
        standing=standing, delegate=ctx.delegate or None, given_ms=ctx.time_ms
    )
    ctx.emit(Approved(msg.act, ctx.actor, ctx.delegate or None))
    given = {actor: ctx[parties][(actor, msg.act)] for actor in actors_of(act.calls)}
    if all(holds(ctx.state, actor, one, ctx.time_ms) for actor, one in given.items()):
        consents = tuple(Consent(actor, one.delegate) for actor, one in given.items())
        _end(ctx, msg.act, act, "executed", consents)  # first, so that it is done once
        _execute(ctx, msg.act, act, consents)
        ctx.emit(Executed(msg.act))


@app.tx(allow=anyone, defends=True)
def withdraw(ctx: Ctx, msg: Withdraw) -> None:
    """Take back your approval, as long as the act has not been executed; it goes on waiting for you."""
    _open(ctx, msg.act)
    party = _party(ctx, msg.act)
    app.require(party.standing is not None, "not_approved")
    ctx[parties][(ctx.actor, msg.act)] = Party(party.until_ms)
    ctx.emit(Withdrawn(msg.act, ctx.actor))


@app.tx(allow=anyone, defends=True)
def decline(ctx: Ctx, msg: Decline) -> None:
    """Say that an act which asks something of you, or names a key of yours, shall not be; that ends it for all."""
    act = _open(ctx, msg.act)
    owners = [ctx.read(system.keys).get(key) for key in act.keys]
    named = any(owner is not None and owner.account == ctx.actor for owner in owners)
    app.require(named or ctx.actor in actors_of(act.calls), "not_actor")
    _end(ctx, msg.act, act, "declined")
    ctx.emit(Declined(msg.act, ctx.actor))


@app.tx(allow=anyone)
def cancel(ctx: Ctx, msg: Cancel) -> None:
    """Take back an act that you have proposed."""
    act = _open(ctx, msg.act)
    app.require(act.proposer == ctx.actor, "not_proposer")
    _end(ctx, msg.act, act, "cancelled")
    ctx.emit(Cancelled(msg.act))


@app.deadline
def lapse(ctx: Ctx, key: str) -> None:
    """End an act to which not all have agreed in time."""
    _end(ctx, key, ctx[acts][key], "lapsed")
    ctx.emit(Lapsed(key))


def standing_of(state: TxState, account: str, delegate: str, time_ms: int) -> str | None:
    """Return the SHA-256 of what an approval rests on at a time: keys in force, and the delegate's right and keys.

    None where the delegate has no right any more. It changes when keys are rotated, recovered or handed over, and when
    what was delegated is given anew; what a ceiling has left is looked at when something is spent.
    """
    rows = Rows(system.accounts, state)
    rests: list[object] = [_signing(rows[account], time_ms)]
    if delegate:
        given = delegated(state, account, rows[account], delegate, time_ms)
        if given is None:
            return None
        rests += [delegate, given.scope, given.made_ms, given.until_ms]
        person = rows.get(delegate)
        rests += [] if person is None else [_signing(person, time_ms)]
    return crypto.sha256(codec.encode(rests)).hex()


def holds(state: TxState, account: str, party: Party, time_ms: int) -> bool:
    """Tell whether an actor has approved, and what the approval rests on is as it was."""
    return party.standing is not None and party.standing == standing_of(state, account, party.delegate or "", time_ms)


def _signing(account: Account, time_ms: int) -> tuple[object, ...]:
    now = account.at(time_ms)
    return now.keys, now.threshold, now.reset_ms


def _block(ctx: Ctx) -> BlockRun:
    if ctx.run.block is None:
        raise TypeError("an act is proposed and approved within a block")
    return ctx.run.block


def _open(ctx: Ctx, made: str) -> Act:
    act = ctx[acts][made]
    app.require(act.result == "open" and ctx.time_ms < act.until_ms, "over")  # also when the queue is behind
    return act


def _party(ctx: Ctx, made: str) -> Party:
    party = ctx[parties].get((ctx.actor, made))
    if party is None:
        app.refuse("not_actor")
    return party


def _find(ctx: Ctx, call: Call) -> Action:
    app.require(call.do.partition(".")[0] != app.name, "nested")
    try:
        action = _block(ctx).find(call.do)
    except Void:
        action = None
    if action is None:
        app.refuse("unknown_action")
    return action


def _keys_named(ctx: Ctx, call: Call) -> tuple[str, ...]:
    """Read a call as strictly as if it came in a transaction, and return the keys that it names."""
    ctx.work(1 + len(call.message) // BYTES_PER_WORK)
    action = _find(ctx, call)
    try:
        return keys_in(action, read_message(call, action))
    except codec.Malformed:
        app.refuse("malformed")


def _require_scope(ctx: Ctx, act: Act) -> None:
    """Require that who signed for the actor may do all that the act does in the actor's name."""
    given = ctx.read(system.delegations)[(ctx.actor, ctx.delegate)]
    asked = [_find(ctx, call) for call in act.calls if call.actor == ctx.actor]
    app.require(all(given.covers(one.do, personal=one.personal) for one in asked), "beyond_scope")


def _execute(ctx: Ctx, made: str, act: Act, consents: tuple[Consent, ...]) -> None:
    """Do all calls, each as its actor and with the right of who approved for it, or refuse.

    Ids that they give out follow from the act's id and a call's place, so that calls can name what others make.
    """
    run, block = ctx.run, _block(ctx)
    delegates = {one.account: one.delegate or "" for one in consents}
    for one in consents:
        person = ctx.read(system.accounts).get(one.delegate or "")
        app.require(person is None or person.frozen_until_ms <= ctx.time_ms, "somebody_frozen")
    ctx.state.spender = ""  # the approval spends nothing; each call is held to its own approver's ceilings
    outer = (run.salt, run.call, run.counter)
    try:
        for number, call in enumerate(act.calls):
            ctx.work(1 + len(call.message) // BYTES_PER_WORK)
            action = _find(ctx, call)
            run.salt, run.call, run.counter = made, number, 0
            block.perform(run, action, call.actor, read_message(call, action), delegates[call.actor])
    except Refused as refused:
        if refused.code in WITHIN:
            app.refuse(WITHIN[refused.code])
        raise
    finally:
        run.salt, run.call, run.counter = outer


def _end(ctx: Ctx, made: str, act: Act, result: Ended, consents: tuple[Consent, ...] = ()) -> None:
    """Write how an act has ended; it waits for nobody any more. What came to nothing leaves only its hash."""
    for actor in actors_of(act.calls):
        del ctx[parties][(actor, made)]
    ctx.cancel(act.deadline)
    ended = act.but(result=result, ended_ms=ctx.time_ms, ended_height=ctx.run.height, consents=consents)
    ctx[acts][made] = ended if result == "executed" else ended.but(calls=(), keys=())


class Waiting(Record):
    """An open act that asks something of an account, and whether the account has approved it."""

    act: Id
    proposer: AccountId
    until_ms: TimeMs
    approved: bool


class Approval(Record):
    """Whether an actor's approval of an act holds, who gave it and when; what was given may hold no longer."""

    account: AccountId
    holds: bool
    delegate: Who | None = None
    given_ms: TimeMs = 0


@app.query
def waiting(view: View, account: AccountId, time_ms: TimeMs, after: Id | None = None) -> list[Waiting]:
    """List the open acts that ask something of an account at a time, at most a hundred of them beyond an id."""
    state, found = unmetered(BlockState(view.reader)), []
    begun = f"{account}/"
    for key, party in view[parties].items(begun, begun + (after or "")):
        made = key.removeprefix(begun)
        act = view[acts].get(made)
        if act is not None and time_ms < act.until_ms:
            found.append(Waiting(made, act.proposer, act.until_ms, holds(state, account, party, time_ms)))
        if len(found) == PAGE:
            break
    return found


@app.query
def approvals(view: View, act: Id, time_ms: TimeMs) -> list[Approval]:
    """List who acts in an act, and whose approval holds at a time; of one that came to nothing nobody is named."""
    found = view[acts].get(act)
    if found is None:
        raise Refused(acts.unknown)
    if found.result == "executed":
        return [
            Approval(one.account, holds=True, delegate=one.delegate, given_ms=found.ended_ms) for one in found.consents
        ]
    state, listed = unmetered(BlockState(view.reader)), []
    for actor in actors_of(found.calls):
        party = view[parties].get((actor, act)) or Party(found.until_ms)
        listed.append(Approval(actor, holds(state, actor, party, time_ms), party.delegate, party.given_ms))
    return listed


@app.invariant
def an_open_act_waits_for_its_actors_until_its_time(view: View) -> bool:
    """See that exactly the actors of open acts are asked, and that each of these acts will lapse by itself."""
    asked = []
    for made, act in view[acts].items():
        if act.result == "open":
            due = view[system.deadlines].get(act.deadline)
            if due is None or (due.do, due.key, due.time_ms) != ("acts.lapse", made, act.until_ms):
                return False
            asked += [f"{actor}/{made}" for actor in actors_of(act.calls)]
    return sorted(asked) == [key for key, _ in view[parties].items()]


@app.invariant
def an_act_holds_what_its_actors_approve(view: View) -> bool:
    """See that what is open or was executed is what its hash names, and that of anything else nothing is left."""
    for _, act in view[acts].items():
        if act.result in ("open", "executed"):
            if digest_of(bundle_of(act)) != act.bundle:
                return False
        elif act.calls or act.keys:
            return False
    return True


@app.invariant
def what_was_executed_each_of_its_actors_had_approved(view: View) -> bool:
    """See that an act which was executed names the approval of each actor, and that no other act names any."""
    return all(
        tuple(one.account for one in act.consents) == (actors_of(act.calls) if act.result == "executed" else ())
        and (act.result == "open") == (act.ended_ms == 0)
        and (act.result != "executed" or act.ended_ms < act.until_ms)
        for _, act in view[acts].items()
    )
