"""Questions: what the applications are and answer, and which parameters are in force.

An application's query reads the last block, as it was when the query began, in a thread of its own, one query at a
time, and at most so many rows: nobody can hold up the node with it, and its answer is of one height.
"""

import asyncio
import inspect
import typing
from collections.abc import Callable, Iterable

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from msgspec import Raw, Struct

from metrobloc.engine.frozen import Frozen, TooManyRows
from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.tables import Param
from metrobloc.surface.describe import AppDoc, to_json
from metrobloc.surface.http.answers import JSON, Failure, Plain, TurnedAway, as_json, described, faces, node_of, told
from metrobloc.surface.http.shapes import AppLine, Coming, Found, ParamNow, ParamsNow
from metrobloc.surface.http.transactions import sentence_of

QUERY_ROWS_MAX = 100_000
TOO_MUCH = f"The answer needs more than {QUERY_ROWS_MAX:,} rows; ask for less, or ask the mirror."


@get("/v1/apps", opt=told(tuple[AppLine, ...]))
async def apps(state: State) -> Response[bytes]:
    """List the applications of this chain, and what every chain has."""
    return as_json([AppLine(app.name, app.title, app.text) for app in described(state)])


@get("/v1/apps/{app:str}", opt=told(AppDoc))
async def describe_app(state: State, app: str) -> Response[bytes]:
    """Describe an application: actions with fields and permissions, events, tables, queries, parameters, refusals."""
    return Response(to_json(find_app(state, app)), media_type=JSON)


@get("/v1/params", opt=told(ParamsNow))
async def params(state: State) -> Response[bytes]:
    """Return every parameter in force, with its limits and why it exists, and what is decided about it."""
    node = node_of(state)
    height, values = node.machine.height, View(node.store)[system.params]
    found = []
    for app in described(state):
        for param in app.params:
            stored = values.get((app.name, param.name)) or Param(param.default)
            ahead = Coming(stored.next, stored.from_height) if stored.from_height > height else None
            told = (param.default, *param.limits, param.unit, param.why)
            found.append(ParamNow(app.name, param.name, stored.at(height), *told, ahead))
    return as_json(ParamsNow(height, tuple(found)))


@get("/v1/queries/{app:str}/{name:str}", opt=told(Found, also={404: Failure, 413: Failure}))
async def ask(request: Plain, state: State, app: str, name: str) -> Response[bytes]:
    """Ask an application's own question of the last block."""
    node = node_of(state)
    module = faces(state).modules.get(app)
    if module is None or name not in module.queries:
        raise TurnedAway(404, "not_found", "There is no such query; the description at /v1/apps/{app} lists them.")
    question = module.queries[name]
    given = read_arguments(question, request.query_params.multi_items())
    async with state["asking"]:
        frozen = Frozen(node.store, QUERY_ROWS_MAX)
        try:
            value = await asyncio.to_thread(lambda: msgspec.json.encode(question(View(frozen), **given)))
        except TooManyRows as error:
            raise TurnedAway(413, "too_much_work", TOO_MUCH) from error
        except Refused as refused:
            raise TurnedAway(404, refused.code, sentence_of(node.machine.rules, refused.code)) from refused
    return as_json(Found(frozen.height, Raw(value)))


ROUTES = (apps, describe_app, params, ask)


def find_app(state: State, name: str) -> AppDoc:
    """Return the description of an application of this chain; TurnedAway when there is none."""
    for app in described(state):
        if app.name == name:
            return app
    raise TurnedAway(404, "not_found", "There is no such application; /v1/apps lists them.")


def arguments_of(question: Callable[..., object]) -> type[Struct]:
    """Return a query's parameters as a struct: what it asks for, with the limits of their types."""
    hints = typing.get_type_hints(question, include_extras=True)
    named = list(inspect.signature(question).parameters.values())[1:]
    fields = [
        (one.name, hints[one.name]) if one.default is one.empty else (one.name, hints[one.name], one.default)
        for one in named
    ]
    return msgspec.defstruct(f"Asked_{question.__name__}", fields, kw_only=True, forbid_unknown_fields=True)


def read_arguments(question: Callable[..., object], pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Read a query's parameters strictly: each is known and within its limits, and only a list's may be repeated."""
    shape = arguments_of(question)
    many = {name for name, hint in typing.get_type_hints(shape).items() if typing.get_origin(hint) is tuple}
    values: dict[str, object] = {}
    for name, value in pairs:
        if name in many:
            values[name] = (*typing.cast("tuple[str, ...]", values.get(name, ())), value)
        elif name in values:
            raise TurnedAway(400, "bad_request", f"The parameter {name} is given twice; keep one.")
        else:
            values[name] = value
    try:
        return msgspec.structs.asdict(msgspec.convert(values, shape, strict=False))
    except msgspec.ValidationError as error:
        raise TurnedAway(400, "bad_request", f"{error}.") from error
