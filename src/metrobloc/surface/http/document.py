"""The API's document (OpenAPI 3.1), made from the routes' own signatures and msgspec's schemas of their types.

Drafts and queries are one route each, but one operation for every action and query of the chain's applications, with
the schema of its own message. ADR 0008 says why the framework's generator does not write it.
"""

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from msgspec import NODEFAULT, Meta, Raw, Struct

from metrobloc.kernel import crypto, envelope
from metrobloc.kernel.module import Module
from metrobloc.surface.describe import AppDoc, summary
from metrobloc.surface.http import asking, transactions
from metrobloc.surface.http.answers import FAILURES, JSON, LINES, Failure, Told, faces, told
from metrobloc.surface.http.shapes import Asked, Envelope

Node = dict[str, Any]
SPECIAL = frozenset({"request", "state"})
"""Parameters of a route that the framework fills, not the caller."""

FAILING = {
    **{status: sentence for status, (_, sentence) in FAILURES.items()},
    409: "It may not run as the chain stands now.",
    500: "The node has a fault; its operator finds it in the node's output.",
    503: "The node is busy or stopping; send again in a few seconds.",
}
"""What a status of failure means; the answer's own sentence says more."""

ABOUT = """A ledger that a metropolis and its institutions run together. There is no log-in: a transaction is allowed by
its signatures, and everything on the ledger is public. Draft, sign, send: `POST /v1/drafts/...` writes the text to
sign, and `POST /v1/tx` takes it with its signatures. Every failure is `{"code", "sentence"}`: codes are stable,
sentences are for people. Every answer names in its header `MetroBloc-Version` the version that gave it."""


class Asks(Struct, frozen=True):
    """A parameter of a route: where it stands (path, query, header) and its schema."""

    name: str
    place: str
    required: bool
    schema: Node
    text: str


class Operation(Struct, frozen=True):
    """An operation before its types have become schemas."""

    path: str
    method: str
    name: str
    tag: str
    text: str
    told: Told
    asks: tuple[Asks, ...]


@get("/v1/openapi.json", opt=told(dict))
async def openapi(state: State) -> Response[bytes]:
    """Return this document: OpenAPI 3.1."""
    return Response(faces(state).document, media_type=JSON)


ROUTES = (openapi,)


def write(
    routes: Iterable[HTTPRouteHandler],
    modules: Mapping[str, Module],
    apps: tuple[AppDoc, ...],
    version: str,
    chain: str,
) -> bytes:
    """Write the document of a chain's door."""
    operations = [operation for route in routes for operation in operations_of(route, modules)]
    wanted = list(dict.fromkeys(kind for operation in operations for kind in _types(operation)))
    schemas, components = msgspec.json.schema_components(
        wanted, schema_hook=lambda _: {"type": "string"}, ref_template="#/components/schemas/{name}"
    )
    known = dict(zip(wanted, schemas, strict=True))
    examples = _examples(chain, modules)
    paths: Node = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _rendered(operation, known, examples)
    tags = {operation.tag: "" for operation in operations} | {app.name: app.title for app in apps}
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": f"MetroBloc, the chain {chain}",
            "version": version,
            "description": " ".join(ABOUT.split()),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} if text else {"name": name} for name, text in tags.items()],
        "paths": paths,
        "components": {"schemas": components},
    }
    return msgspec.json.encode(whole)


def operations_of(route: HTTPRouteHandler, modules: Mapping[str, Module]) -> Iterator[Operation]:
    """Yield what a route offers: one operation, or one for every action or query of the modules."""
    path, method = path_of(route), method_of(route)
    says: Told = route.opt.get("told") or told(object)["told"]
    text, asks = inspect.getdoc(route.fn) or "", asks_of(route)
    own = tuple(one for one in asks if one.name not in ("app", "verb", "name"))

    def made(module: Module, name: str, text: str, says: Told, asks: tuple[Asks, ...]) -> Operation:
        place = path.replace("{app}", module.name).replace("{verb}", name).replace("{name}", name)
        return Operation(place, method, f"{route.fn.__name__}_{module.name}_{name}", module.name, text, says, asks)

    if route is transactions.draft:
        for module in modules.values():
            for verb, action in module.actions.items():
                words = f"{summary(action.handler)}\n\n{text}\n\nAllowed for: {action.allow.describe()}."
                yield made(module, verb, words, msgspec.structs.replace(says, body=action.message), own)
    elif route is asking.ask:
        for module in modules.values():
            for name, question in module.queries.items():
                found = msgspec.structs.replace(says, answer=_found(module.name, question))
                yield made(module, name, inspect.getdoc(question) or "", found, _arguments(question))
    elif route.include_in_schema is not False:
        yield Operation(path, method, route.fn.__name__, route.fn.__module__.rpartition(".")[2], text, says, asks)


def path_of(route: HTTPRouteHandler) -> str:
    """Return a route's path as callers write it, `/v1/receipts/{tx}`."""
    (path,) = route.paths
    return path.replace(":str}", "}").replace(":path}", "}").replace(":int}", "}")


def method_of(route: HTTPRouteHandler) -> str:
    """Return a route's method in lower case."""
    (method,) = {name.lower() for name in route.http_methods} - {"head", "options"}
    return method


def asks_of(route: HTTPRouteHandler) -> tuple[Asks, ...]:
    """Return what a route is asked with, by the names that callers write."""
    hints = typing.get_type_hints(route.fn, include_extras=True)
    (path,) = route.paths
    found = []
    for parameter in inspect.signature(route.fn).parameters.values():
        if parameter.name not in SPECIAL:
            bare, metas = _parts(hints[parameter.name])
            rules = next((meta for meta in metas if isinstance(meta, ParameterKwarg)), ParameterKwarg())
            place = "path" if f"{{{parameter.name}:" in path else rules.param_type.value
            name = rules.name or parameter.name
            required = parameter.default is parameter.empty
            default = NODEFAULT if required or parameter.default is None else parameter.default
            found.append(Asks(name, place, required, _schema(bare, metas, default), rules.description or ""))
    return tuple(found)


def _arguments(question: Callable[..., object]) -> tuple[Asks, ...]:
    shape = asking.arguments_of(question)
    hints = typing.get_type_hints(shape, include_extras=True)
    return tuple(
        Asks(field.name, "query", field.required, _schema(*_parts(hints[field.name]), field.default), "")
        for field in msgspec.structs.fields(shape)
    )


def _found(app: str, question: Callable[..., object]) -> type[Struct]:
    answer = typing.get_type_hints(question, include_extras=True)["return"]
    return msgspec.defstruct(f"{app}_{question.__name__}_found", [("height", int), ("value", answer)])


def _parts(hint: object) -> tuple[object, tuple[object, ...]]:
    """Return a parameter's bare type and what is annotated to it."""
    bare, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    return bare, tuple(metas)


def _schema(bare: object, metas: tuple[object, ...], default: object) -> Node:
    schema: Node = {}
    for meta in metas:
        if isinstance(meta, Meta):
            schema |= msgspec.json.schema(Annotated[bare, meta])
        elif isinstance(meta, ParameterKwarg):
            limits = {"minimum": meta.ge, "maximum": meta.le, "pattern": meta.pattern}
            lengths = {"minLength": meta.min_length, "maxLength": meta.max_length}
            schema |= {name: limit for name, limit in (limits | lengths).items() if limit is not None}
    return {
        **msgspec.json.schema(bare),
        **schema,
        **({} if default is NODEFAULT else {"default": msgspec.to_builtins(default)}),
    }


def _types(operation: Operation) -> Iterator[object]:
    """Yield the types whose schemas an operation needs."""
    says = operation.told
    for kind in (says.answer, *says.also.values(), says.body, Failure):
        if kind is not None:
            yield from kind if isinstance(kind, list) else (kind,)


def _rendered(operation: Operation, known: Mapping[object, Node], examples: Mapping[object, object]) -> Node:
    says = operation.told
    failures = {405, 500, 503}
    if operation.asks or says.body:
        failures.add(400)
    if any(one.place == "path" for one in operation.asks):
        failures.add(404)
    if says.body:
        failures.add(413)
    answers = {200: says.answer} | dict.fromkeys(sorted(failures), Failure) | dict(says.also)
    first, _, rest = operation.text.partition("\n\n")
    node: Node = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": " ".join(first.split()),
        "responses": {str(status): _answer(status, answers[status], says, known) for status in sorted(answers)},
    }
    if rest:
        node["description"] = rest
    if operation.asks:
        node["parameters"] = [_asked(one) for one in operation.asks]
    if says.body:
        content: Node = {"schema": _one_of(says.body, known)}
        if says.takes == LINES:
            content = {"schema": _lines(known[says.body])}
        if says.body in examples:
            example = examples[says.body]
            content["examples"] = {"signed": {"value": f"{example}\n" if says.takes == LINES else example}}
        node["requestBody"] = {"required": says.takes != LINES, "content": {says.takes: content}}
    return node


def _asked(one: Asks) -> Node:
    node: Node = {"name": one.name, "in": one.place, "required": one.required, "schema": one.schema}
    return {**node, "description": one.text} if one.text else node


def _answer(status: int, kind: object, says: Told, known: Mapping[object, Node]) -> Node:
    schema = _one_of(kind, known)
    if kind is Failure or status >= 400:
        return {"description": FAILING[status], "content": {JSON: {"schema": schema}}}
    words = "It is journaled on disk and promised." if status == 202 else "The answer."
    return {
        "description": words,
        "content": {says.media: {"schema": _lines(schema) if says.media == LINES else schema}},
    }


def _one_of(kind: object, known: Mapping[object, Node]) -> Node:
    return {"anyOf": [known[one] for one in kind]} if isinstance(kind, list) else known[kind]


def _lines(schema: Node) -> Node:
    """Describe JSON lines: a text, of which each line is as a schema says."""
    return {"type": "string", "contentMediaType": LINES, "x-line": schema}


def _examples(chain: str, modules: Mapping[str, Module]) -> Mapping[object, object]:
    """Return an example of a signed transaction and one of calls to simulate, if an action asks for nothing."""
    actor = "a" * 26
    simple = [
        action.do for module in modules.values() for action in module.actions.values() if not _asks(action.message)
    ]
    if not simple:
        return {}
    key = crypto.SigningKey(crypto.sha256(b"example"))
    call = envelope.Call(actor, simple[0], Raw(b"{}"))
    signed = envelope.sign(envelope.Payload((call,), chain, 1_800_000_000_000, 1, "0" * 32), [key])
    return {
        Envelope: msgspec.json.decode(signed),
        Asked: {"calls": [{"as": actor, "do": simple[0], "with": {}}]},
    }


def _asks(message: type[Struct]) -> bool:
    return any(field.required for field in msgspec.structs.fields(message))
