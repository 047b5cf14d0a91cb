"""What may I do? Every action with its permission as it stands for an account, or what can be done with a record."""

from collections.abc import Iterator
from typing import Annotated

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import Parameter
from msgspec.structs import replace

from metrobloc.engine.sealer import clock_ms
from metrobloc.kernel import codec, system
from metrobloc.kernel.context import View
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.module import Action
from metrobloc.kernel.permissions import Permission
from metrobloc.surface.describe import FieldDoc, fields_of
from metrobloc.surface.http.answers import TurnedAway, as_json, node_of, told
from metrobloc.surface.http.shapes import May, MayDo
from metrobloc.surface.http.transactions import Account, read_message, simulated, unknown

RecordKey = Annotated[
    str | None,
    Parameter(pattern="^[a-z0-9_]+/[a-z0-9_]+/[!-~]+$", max_length=512, required=False, description="A state key."),
]


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
    if view[system.accounts].get(account) is None:
        raise unknown("unknown_account")
    height, time_ms = node.machine.height, max(clock_ms(), node.machine.time_ms)
    held = _roles(view, account, time_ms)
    answers = []
    ahead = node.machine.ahead()
    for newest in ahead.rules.actions.values():
        action = newest.at(ahead.version) if newest.do.partition(".")[0] in ahead.active else None
        if action is None:
            continue
        found = _may_do(action, held)
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
    return as_json(May(account, height, time_ms, held, tuple(answers)))


ROUTES = (may,)


def _roles(view: View, account: str, time_ms: int) -> tuple[str, ...]:
    """Return the roles that an account holds at a time."""
    grants = view[system.roles].items(f"{account}/")
    return tuple(key.partition("/")[2] for key, grant in grants if grant.holds_at(time_ms))


def _may_do(action: Action, held: tuple[str, ...]) -> MayDo:
    allowed = action.allow.holds(held.__contains__)
    lacks = () if allowed else tuple(role for role in _roles_in(action.allow) if role not in held)
    return MayDo(action.do, allowed, action.allow.describe(), lacks)


def _roles_in(permission: Permission) -> Iterator[str]:
    if permission.kind == "role":
        yield permission.role_name
    for part in permission.parts:
        yield from _roles_in(part)


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
