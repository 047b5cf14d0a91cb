"""What a module declares, as plain values: the one description from which every face is made.

The door, its document, the command line, the reference pages, the mirror and the tests read these structs and never the
declarations themselves. A module's page begins with what its README says; everything else follows from the code.
"""

import copy
import inspect
import types
import typing
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from importlib import resources
from itertools import chain
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from metrobloc.kernel import system
from metrobloc.kernel.block import BlockRun
from metrobloc.kernel.errors import ENGINE_REFUSALS
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.permissions import Permission
from metrobloc.kernel.tables import Table
from metrobloc.kernel.types import Event, Record

UNITS = frozenset({"bytes", "cents", "days", "fen", "hours", "metres", "minutes", "ms", "seconds", "units", "wh"})
"""Words that say at the end of a name, or before `max` or `min` there, what a number counts."""

EXACT = frozenset({"account", "box_key", "commitment", "digest", "id", "key", "key_name", "signature"})
"""Kinds of text whose length is always the same, so that nobody needs to be told."""

ROUTE_WORDS = frozenset({"events", "kernel", "status"})
"""What stands in a path where a module's name could stand too."""


class FieldDoc(Struct, frozen=True):
    """A field: of what kind it is and within which limits.

    `kind` is a kind of text (`id`, `account`, `key`, `public` ...), or `integer`, `boolean`, `choice`, `struct`.
    `least` and `most` bound a number, `longest` a text's characters, `fewest` and `several` how many there are of a
    list. `default` is JSON, empty where the field is required; `base` is the bare type, `parts` a struct's own fields.
    """

    name: str
    kind: str
    many: bool
    required: bool
    choices: tuple[str, ...]
    least: int | None
    most: int | None
    longest: int | None
    fewest: int | None
    several: int | None
    unit: str
    default: str
    base: type
    parts: tuple["FieldDoc", ...]

    def limits(self) -> str:
        """Say the limits in words."""
        said = ""
        if self.kind == "integer" and self.least is not None and self.most is not None:
            said = f"{self.least:,} to {self.most:,}"
        elif self.kind == "choice":
            said = " or ".join(self.choices)
        elif self.longest is not None and self.kind not in EXACT:
            said = f"at most {self.longest} characters"
        if self.many and self.several is not None:
            several = f"{self.several}" if self.fewest == self.several else f"{self.fewest or 0} to {self.several}"
            said = f"{several} of them" + (f", each {said}" if said else "")
        return said


class ActionDoc(Struct, frozen=True):
    """An action: its name on the wire, what it does, who may, and its message's fields."""

    do: str
    app: str
    verb: str
    summary: str
    text: str
    allow: str
    fields: tuple[FieldDoc, ...]


class EventDoc(Struct, frozen=True):
    """An event, as receipts name it."""

    name: str
    text: str
    fields: tuple[FieldDoc, ...]


class QueryDoc(Struct, frozen=True):
    """A question to the committed state, with its parameters."""

    name: str
    text: str
    fields: tuple[FieldDoc, ...]


class TableDoc(Struct, frozen=True):
    """A table: its record's type and fields, and what its key's parts are called."""

    app: str
    name: str
    record: type[Record]
    text: str
    key: tuple[str, ...]
    parts: int
    ledger: bool
    fields: tuple[FieldDoc, ...]


class ParamDoc(Struct, frozen=True):
    """A number that genesis and governance set."""

    name: str
    default: int
    limits: tuple[int, int]
    unit: str
    why: str


class AppDoc(Struct, frozen=True):
    """A module as a whole. `title` and `text` begin its README; invariants go by name with what they check."""

    name: str
    title: str
    text: str
    actions: tuple[ActionDoc, ...]
    events: tuple[EventDoc, ...]
    tables: tuple[TableDoc, ...]
    queries: tuple[QueryDoc, ...]
    params: tuple[ParamDoc, ...]
    refusals: dict[str, str]
    invariants: dict[str, str]


def describe(modules: Mapping[str, Module]) -> tuple[AppDoc, ...]:
    """Return the description of modules in their order; what every chain has comes last, under the name `kernel`.

    Raises TypeError for a query's parameter or an event's field that has no limits.
    """
    return (*[_app(module) for module in modules.values()], _kernel())


def in_force(ahead: BlockRun) -> dict[str, Module]:
    """Return a chain's active modules as they are in a block: under older rules with older handlers."""
    found = {module.name: copy.copy(module) for module in ahead.rules.modules if module.name in ahead.active}
    for module in found.values():
        actions = {verb: newest.at(ahead.version) for verb, newest in module.actions.items()}
        module.actions = {verb: action for verb, action in actions.items() if action is not None}
        module.params = {name: spec for name, spec in module.params.items() if spec.since <= ahead.version}
    return found


def fields_of(declared: type[Struct]) -> tuple[FieldDoc, ...]:
    """Return the fields of a message, record or event in their order."""
    hints = typing.get_type_hints(declared, include_extras=True)
    return tuple(
        _field(field.encode_name, hints[field.name], field.default, where=declared.__name__)
        for field in msgspec.structs.fields(declared)
    )


def parameters_of(query: Callable[..., object]) -> tuple[FieldDoc, ...]:
    """Return what a query is asked with, after the view."""
    hints = typing.get_type_hints(query, include_extras=True)
    named = list(inspect.signature(query).parameters.values())[1:]
    return tuple(
        _field(
            one.name,
            hints[one.name],
            msgspec.NODEFAULT if one.default is one.empty else one.default,
            where=query.__name__,
        )
        for one in named
    )


def rows_of(fields: Iterable[FieldDoc], under: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield fields, and those of structs within them, as rows for people: name, kind, limits, default."""
    for field in fields:
        limits = " ".join(part for part in (field.limits(), field.unit) if part)
        kind = f"list of {field.kind}" if field.many else field.kind
        yield f"{under}{field.name}", kind, limits, "required" if field.required else field.default
        yield from rows_of(field.parts, f"{under}{field.name}{'[]' if field.many else ''}.")


def param_rows(params: Iterable[ParamDoc]) -> Iterator[tuple[str, str, str, str]]:
    """Yield parameters as rows for people: name, default, limits, why."""
    for param in params:
        least, most = param.limits
        yield param.name, f"{param.default:,}", f"{least:,} to {most:,} {param.unit}".rstrip(), param.why


def summary(told: object) -> str:
    """Return a docstring's first line."""
    return (inspect.getdoc(told) or "").partition("\n")[0]


def to_json(described: object) -> bytes:
    """Write a description as JSON; a type goes by its name."""
    return msgspec.json.encode(described, enc_hook=lambda one: one.__name__)


def check_names(modules: Mapping[str, Module], commands: Container[str]) -> None:
    """Raise TypeError when a name would collide with a root command, a word of a route, or another name."""
    for name, module in modules.items():
        if name != module.name:
            raise TypeError(f"the module {module.name} is wired as {name}; use its own name")
        if name in ROUTE_WORDS:
            raise TypeError(f"the module {name} would collide with a path of the door; choose another name")
        if name in commands:
            raise TypeError(f"the module {name} would collide with the command `metrobloc {name}`; choose another name")
    every = list(modules.values())
    _require_different("actions", (f"{one.name}_{verb}" for one in every for verb in one.actions))
    _require_different("queries", (f"{one.name}_{query}" for one in every for query in one.queries))
    _require_different("tables", (f"{one.name}_{table}" for one in every for table in one.tables))
    _require_different("events", (event.name for one in every for event in _events(one)))


def _require_different(what: str, names: Iterable[str]) -> None:
    """Refuse names that become one when `.` is written `_`, as tables of SQL and names of operations are."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise TypeError(f"two {what} would both be called {name}; rename one")
        seen.add(name)


def _app(module: Module) -> AppDoc:
    title, text = _read_me(module)
    return AppDoc(
        module.name,
        title,
        text,
        tuple(_action(module, verb, action) for verb, action in module.actions.items()),
        _events(module),
        tuple(_table(table, ledger=name in module.ledgers) for name, table in module.tables.items()),
        tuple(QueryDoc(name, _text(ask), parameters_of(ask)) for name, ask in module.queries.items()),
        tuple(ParamDoc(p.name, p.default, p.limits, _unit(p.name), p.why) for p in module.params.values()),
        dict(module.refusals),
        {name: _text(check) for name, check in module.invariants.items()},
    )


def _kernel() -> AppDoc:
    tables = tuple(_table(table, ledger=False) for table in vars(system).values() if isinstance(table, Table))
    title = "Kernel: what every chain has"
    text = (
        "Accounts, their keys and roles, parameters, quotas, deadlines and the log's head, whatever is built on them."
    )
    return AppDoc(system.NAME, title, text, (), (), tables, (), (), dict(ENGINE_REFUSALS), {})


def _action(module: Module, verb: str, action: Action) -> ActionDoc:
    text = _text(action.handler)
    fields = fields_of(action.message)
    return ActionDoc(action.do, module.name, verb, summary(action.handler), text, action.allow.describe(), fields)


def events_of(module: Module) -> list[type[Event]]:
    """Return the events that are defined in the module's package."""
    package = f"{package_of(module)}."
    return [event for event in _below(Event) if f"{event.__module__}.".startswith(package)]


def _events(module: Module) -> tuple[EventDoc, ...]:
    return tuple(
        EventDoc(f"{module.name}.{event.__name__.lower()}", _text(event), fields_of(event))
        for event in events_of(module)
    )


def _below(base: type[Event]) -> Iterator[type[Event]]:
    for one in base.__subclasses__():
        yield one
        yield from _below(one)


def package_of(module: Module) -> str:
    """Return the name of the package in which a module's handlers are defined, `metrobloc.city.charity`."""
    handlers = (action.handler for action in module.actions.values())
    others = chain(module.due.values(), module.queries.values(), module.invariants.values())
    first: Callable[..., object] | None = next(chain(handlers, others), None)
    if first is None:
        return module.name
    parts = first.__module__.split(".")
    return ".".join(parts[: parts.index("rules")] if "rules" in parts else parts[:-1]) or first.__module__


def _read_me(module: Module) -> tuple[str, str]:
    """Return the title and first paragraph of a module's README, without marks."""
    try:
        page = resources.files(package_of(module)).joinpath("README.md").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError, ValueError):
        return module.name.replace("_", " ").capitalize(), ""
    title, first, *_ = [" ".join(part.split()) for part in page.split("\n\n")] + [""]
    return title.removeprefix("# "), first.replace("**", "").replace("`", "")


def _table(table: Table[typing.Any, typing.Any], *, ledger: bool) -> TableDoc:
    named = ("book", "holder") if ledger else _KEYS.get(table.prefix, ("key", "second", "third")[: table.parts])
    text = _text(table.record)
    return TableDoc(table.module, table.name, table.record, text, named, table.parts, ledger, fields_of(table.record))


_KEYS = {system.roles.prefix: ("account", "role"), system.params.prefix: ("module", "parameter")}


def _field(name: str, hint: object, default: object, *, where: str) -> FieldDoc:
    required = default is msgspec.NODEFAULT
    bare, meta = _look(hint, where=f"{where}.{name}")
    many = get_origin(bare) is tuple
    fewest, several = meta.min_length, meta.max_length
    if many:
        inner, *more = [part for part in get_args(bare) if part is not Ellipsis]
        if any(part != inner for part in more):
            raise TypeError(f"{where}.{name}: a list of different things cannot be shown; write a struct")
        if Ellipsis not in get_args(bare):
            fewest = several = 1 + len(more)
        bare, meta = _look(inner, where=f"{where}.{name}")
    kind, base = _kind(bare, meta, where=f"{where}.{name}")
    return FieldDoc(
        name,
        kind,
        many,
        required,
        choices=tuple(str(choice) for choice in get_args(bare)) if kind == "choice" else (),
        least=meta.ge if kind == "integer" else None,  # type: ignore[arg-type]  # whole, as the module's check says
        most=meta.le if kind == "integer" else None,  # type: ignore[arg-type]  # the same
        longest=meta.max_length if base is str else None,
        fewest=fewest if many else None,
        several=several if many else None,
        unit=_unit(name) if kind == "integer" else "",
        default="" if required else msgspec.json.encode(default).decode(),
        base=base,
        parts=fields_of(base) if kind == "struct" else (),
    )


def _look(hint: object, *, where: str) -> tuple[object, Meta]:
    """Return a hint's bare type and its limits; a field that may be absent is described by what else it may be."""
    if get_origin(hint) in (types.UnionType, typing.Union):
        hint, *others = [part for part in get_args(hint) if part is not types.NoneType]
        if others:
            raise TypeError(f"{where}: a field of several types cannot be shown; write a struct with a choice")
    if get_origin(hint) is not Annotated:
        return hint, Meta()
    bare, *metas = get_args(hint)
    return bare, next((meta for meta in metas if isinstance(meta, Meta)), Meta())


def _kind(bare: object, meta: Meta, *, where: str) -> tuple[str, type]:
    if get_origin(bare) is Literal:
        return "choice", str
    if isinstance(bare, type):
        if issubclass(bare, Struct):
            return "struct", bare
        if bare is bool:
            return "boolean", bare
        if bare is int and meta.ge is not None and meta.le is not None:
            return "integer", bare
        if bare is str and meta.max_length is not None:
            return str((meta.extra or {}).get("text", "text")), bare
    raise TypeError(f"{where}: {bare!r} has no limits here; use kernel/types.py")


def _unit(name: str) -> str:
    words = [word for word in name.split("_") if word not in ("max", "min")]
    return words[-1] if words and words[-1] in UNITS else ""


def _text(told: object) -> str:
    return " ".join((inspect.getdoc(told) or "").split())


def roles_in(permission: Permission) -> Iterator[str]:
    """Yield the roles that a permission names."""
    if permission.kind == "role":
        yield permission.role_name
    for part in permission.parts:
        yield from roles_in(part)
