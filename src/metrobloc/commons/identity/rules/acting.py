"""Acting for another: people for an institution, and keys of a session for their owner."""

from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules.declared import app, mandate_ms_max, session_ms_max
from metrobloc.commons.identity.types import (
    CloseSession,
    EndMandate,
    Mandate,
    Mandated,
    MandateEnded,
    OpenSession,
    SessionClosed,
    SessionOpened,
)
from metrobloc.kernel import accounts, system
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.system import Delegation
from metrobloc.kernel.tables import ParamSpec


@app.tx(allow=anyone, personal=True)
def mandate(ctx: Ctx, msg: Mandate) -> None:
    """Let a person act for you, within a scope and until a time; she signs with her own keys.

    She spends nothing of yours but what the ceilings name. A mandate given again replaces the one before.
    """
    app.require(msg.person != ctx.actor, "to_self")
    ctx.read(system.accounts)[msg.person]
    _require_bounds(ctx, msg, mandate_ms_max)
    _require_no_successor(ctx, ctx.actor, msg.person)
    keeping.delegate(ctx, ctx.actor, msg.person, _given(ctx, msg))
    ctx.emit(Mandated(ctx.actor, msg.person, msg.until_ms))


@app.tx(allow=anyone, personal=True, defends=True)
def end_mandate(ctx: Ctx, msg: EndMandate) -> None:
    """End a mandate: as the institution that gave it, or as the person who has it."""
    app.require(ctx.actor in (msg.institution, msg.person), "not_party")
    _require_no_successor(ctx, msg.institution, msg.person)
    keeping.end_delegation(ctx, msg.institution, msg.person)
    ctx.emit(MandateEnded(msg.institution, msg.person))


@app.tx(allow=anyone, personal=True)
def open_session(ctx: Ctx, msg: OpenSession) -> None:
    """Let a key that lies less safely than yours, such as a browser's, do some things for you; it signs too.

    It spends nothing of yours but what the ceilings name.
    """
    _require_bounds(ctx, msg, session_ms_max)
    accounts.bind(ctx, ctx.actor, (msg.key,))
    keeping.delegate(ctx, ctx.actor, msg.key, _given(ctx, msg))
    ctx.emit(SessionOpened(ctx.actor, msg.key, msg.until_ms))


@app.tx(allow=anyone, personal=True, defends=True)
def close_session(ctx: Ctx, msg: CloseSession) -> None:
    """End a session before its time."""
    keeping.end_delegation(ctx, ctx.actor, msg.session)
    ctx.emit(SessionClosed(ctx.actor, msg.session))


def _given(ctx: Ctx, msg: Mandate | OpenSession) -> Delegation:
    """Return what is delegated; a successor's word counts from after the moment that made it the successor."""
    made_ms = ctx.time_ms + 1 if ctx.delegate else ctx.time_ms
    return Delegation(msg.scope, msg.until_ms, made_ms, msg.ceilings)


def _require_bounds(ctx: Ctx, msg: Mandate | OpenSession, longest: ParamSpec) -> None:
    app.require(msg.until_ms > ctx.time_ms, "in_the_past")
    app.require(msg.until_ms <= ctx.time_ms + ctx.param(longest), "too_long")
    books = [(one.ledger, one.book) for one in msg.ceilings]
    app.require(len(dict.fromkeys(books)) == len(books), "ceilings_wrong")


def _require_no_successor(ctx: Ctx, account: str, name: str) -> None:
    """Keep what a succession has given: without it nobody could act for the account any more."""
    given = ctx.read(system.delegations).get((account, name))
    app.require(given is None or given.scope, "succeeded")
