"""What may I do, and who may do this? Permissions as they stand for an account, a record, an action."""

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Annotated

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import Parameter
from msgspec.structs import replace

from metrobloc.commons.identity.rules import institutions
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.kernel import codec, system
from metrobloc.kernel.block import BlockRun
from metrobloc.kernel.context import View
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.module import Action
from metrobloc.kernel.state import pages
from metrobloc.kernel.system import Delegation
from metrobloc.surface.describe import FieldDoc, fields_of, roles_in
from metrobloc.surface.http.answers import TurnedAway, as_json, node_of, told, turn
from metrobloc.surface.http.reading import Limit
from metrobloc.surface.http.shapes import ActsFor, Allowed, May, MayDo, Who
from metrobloc.surface.http.transactions import Account, read_message, simulated, unknown

RecordKey = Annotated[
    str | None,
    Parameter(pattern="^[a-z0-9_]+/[a-z0-9_]+/[!-~]+$", max_length=512, required=False, description="A state key."),
]

Do = Annotated[str, Parameter(pattern=r"^[a-z][a-z0-9_.]{0,79}$")]


@get("/v1/may/{account:str}", opt=told(May))
async def may(state: State, account: Account, record: RecordKey = None) -> Response[bytes]:
    """Say what an account may do, with whom each action allows and which roles the account lacks.

    With `?record=` only the actions that concern this record: those with a field that is called as its table in the
    singular (`campaign` for charity/campaigns), or as the table itself if it is a list; for kernel/accounts and
    kernel/keys, those with a field that is an account or a key. When such an action asks for nothing else it is tried
    out, and its code and sentence say what would happen now; otherwise `needs` names what is still to be said.
    """
    node = node_of(state)
    if record is not None and node.store.get(record.encode()) is None:
        raise TurnedAway(404, "not_found", "There is no such record; check its key.")
    view = View(node.store)
    owner = view[system.accounts].get(account)
    if owner is None:
        raise unknown("unknown_account")
    height, time_ms = node.machine.height, max(clock_ms(), node.machine.time_ms)
    held = _roles(view, account, time_ms)
    frozen = time_ms < owner.frozen_until_ms
    answers = []
    ahead = node.machine.ahead()
    for do in ahead.rules.actions:
        action = _in_force(ahead, do)
        if action is None:
            continue
        found = _may_do(action, held)
        found = replace(found, allowed=found.allowed and (action.defends or not frozen))
        if record is None:
            answers.append(found)
            continue
        field = _names(action, record)
        if field is None:
            continue
        needs = tuple(one.name for one in fields_of(action.message) if one.required and one.name != field.name)
        code, sentence = "", ""
        if not found.allowed:
            code, sentence = "not_allowed", ENGINE_REFUSALS["not_allowed"]
        elif not needs:
            code, sentence = await _tried(state, account, action, field, record.split("/", 2)[2])
        answers.append(replace(found, field=field.name, needs=needs, code=code, sentence=sentence))
    acts_for = tuple(islice(_acts_for(node, account, time_ms), MANDATES_MAX))
    until_ms = owner.frozen_until_ms if frozen else 0
    return as_json(May(account, height, time_ms, held, tuple(answers), acts_for, until_ms))


@get("/v1/who/{do:str}", opt=told(Who))
async def who(state: State, do: Do, after: str = "", limit: Limit = 50) -> Response[bytes]:
    """Say who may do an action (such as `charity.settle`): accounts by their roles, and people with their mandates.

    `next` continues the page, and `anyone` says that no role is asked for. At most 50 mandates are named of each.
    """
    node = node_of(state)
    action = _in_force(node.machine.ahead(), do)
    if action is None:
        raise TurnedAway(404, "not_found", "There is no such action; /v1/apps lists the applications with theirs.")
    height, time_ms = node.machine.height, max(clock_ms(), node.machine.time_ms)
    roles = tuple(dict.fromkeys(roles_in(action.allow)))
    async with turn(state):
        found = tuple(islice(_allowed(node, action, roles, after, time_ms), limit))
    following = found[-1].account if len(found) == limit else None
    return as_json(Who(do, height, time_ms, action.allow.describe(), not roles, found, following))


ROUTES = (may, who)

MANDATES_MAX = 50


def _in_force(ahead: BlockRun, do: str) -> Action | None:
    """Return an action as it is in the next block, or None where it is not in force there."""
    return ahead.find(do) if do.partition(".")[0] in ahead.active else None


def _acts_for(node: Solo, person: str, time_ms: int) -> Iterator[ActsFor]:
    """Yield the mandates that somebody has."""
    prefix = f"{system.by_delegate.prefix}{person}/"
    for path, _ in pages(node.store.scan_index, prefix, ""):
        account = path.removeprefix(prefix).partition("/")[0]
        given = _given(View(node.store), account, person, time_ms)
        if given is not None:
            yield ActsFor(account, given.scope, given.until_ms)


def _given(view: View, account: str, name: str, time_ms: int) -> Delegation | None:
    owner, given = view[system.accounts].get(account), view[system.delegations].get((account, name))
    if owner is None or given is None or not given.holds_at(owner, time_ms):
        return None
    return given


def _allowed(node: Solo, action: Action, roles: tuple[str, ...], after: str, time_ms: int) -> Iterator[Allowed]:
    """Yield the accounts that hold what an action asks for, in their order, beyond one."""
    view = View(node.store)
    last = after
    for account in merge(*(_holders(node, role, after) for role in roles)):
        if account <= last:
            continue
        last = account
        held = tuple(role for role in _roles(view, account, time_ms) if role in roles)
        if action.allow.holds(held.__contains__):
            known = view[institutions].get(account)
            acting = islice(_acting(view, account, action, time_ms), MANDATES_MAX)
            yield Allowed(account, "" if known is None else known.name, held, tuple(acting))


def _holders(node: Solo, role: str, after: str) -> Iterator[str]:
    """Yield the accounts to which a role has been given, in their order."""
    prefix = f"{system.by_role.prefix}{role}/"
    for path, _ in pages(node.store.scan_index, prefix, f"{prefix}{after}" if after else ""):
        yield path.removeprefix(prefix).partition("/")[0]


def _acting(view: View, account: str, action: Action, time_ms: int) -> Iterator[ActsFor]:
    """Yield who has a mandate of an account for an action."""
    owner = view[system.accounts].get(account)
    for key, given in view[system.delegations].items(f"{account}/"):
        covered = given.covers(action.do, personal=action.personal)
        if owner is not None and covered and given.holds_at(owner, time_ms):
            yield ActsFor(key.partition("/")[2], given.scope, given.until_ms)


def _roles(view: View, account: str, time_ms: int) -> tuple[str, ...]:
    """Return the roles that an account holds at a time."""
    grants = view[system.roles].items(f"{account}/")
    return tuple(key.partition("/")[2] for key, grant in grants if grant.holds_at(time_ms))


def _may_do(action: Action, held: tuple[str, ...]) -> MayDo:
    allowed = action.allow.holds(held.__contains__)
    lacks = () if allowed else tuple(role for role in roles_in(action.allow) if role not in held)
    return MayDo(action.do, allowed, action.allow.describe(), lacks)


def _names(action: Action, record: str) -> FieldDoc | None:
    """Return the field through which an action concerns a record, by the rule that `may` states."""
    module, table, _ = record.split("/", 2)
    singular = f"{table[:-3]}y" if table.endswith("ies") else table.removesuffix("s")
    for field in fields_of(action.message):
        by_kind = module == system.NAME and field.kind == singular
        if field.kind not in NOT_NAMES and (by_kind or field.name == (table if field.many else singular)):
            return field
    return None


NOT_NAMES = frozenset({"boolean", "choice", "integer", "struct"})
"""Kinds of fields that name no record."""


async def _tried(state: State, account: str, action: Action, field: FieldDoc, key: str) -> tuple[str, str]:
    """Return the code and sentence of an action that needs nothing but a record's key, as if it were sent now."""
    try:
        message, _ = read_message(action, codec.encode({field.name: [key] if field.many else key}))
    except codec.Malformed as fault:
        return fault.code, fault.sentence
    outcome = await simulated(state, "0" * 32, [(action, account, message)])
    return outcome.code, outcome.sentence
