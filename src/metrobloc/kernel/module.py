"""A module's declarations: one place from which dispatch, permissions, commands, documents and tests follow.

`app = Module("timebank", {"taken": "Somebody else has already booked this help."})`, then `@app.tx(allow=...)` over a
handler `(ctx, msg)`. What cannot be checked later is refused here, when the module is imported.
"""

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Concatenate, NoReturn, ParamSpec, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.permissions import Permission
from metrobloc.kernel.tables import Index, Ledger, ParamSpec as Parameter, Table
from metrobloc.kernel.types import INT_MAX, Message, Record

K = TypeVar("K", bound="str | tuple[str, ...]")
V = TypeVar("V", bound=Record)
M = TypeVar("M", bound=Message)
P = ParamSpec("P")
R = TypeVar("R")

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
RESERVED = frozenset({"as", "data", "help", "json", "node", "proof", "home", "wait", "quiet"})
"""Field names that would collide with an option of every command."""


class Action(Struct, frozen=True):
    """A transaction's declaration: `do` is its name on the wire."""

    do: str
    allow: Permission
    message: type[Message]
    handler: Callable[[Ctx, Message], None]
    decoder: msgspec.json.Decoder[Message]
    key_fields: tuple[str, ...]


class Module:
    """An application's declarations, in the order in which they were written."""

    def __init__(self, name: str, refusals: dict[str, str]) -> None:
        """Name a module and its refusals: code -> one sentence for people."""
        _check_name(name)
        self.name = name
        self.refusals: dict[str, str] = {}
        self.actions: dict[str, Action] = {}
        self.tables: dict[str, Table[typing.Any, typing.Any]] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.indexes: dict[str, Index[typing.Any]] = {}
        self.params: dict[str, Parameter] = {}
        self.due: dict[str, Callable[[Ctx, str], None]] = {}
        self.queries: dict[str, Callable[..., object]] = {}
        self.invariants: dict[str, Callable[[View], bool]] = {}
        for code, sentence in refusals.items():
            self._declare_refusal(code, sentence)

    def table(self, name: str, record: type[V], key: type[K] | None = None) -> Table[K, V]:
        """Declare records of one type under keys of one type (text by default, or a tuple of texts)."""
        del key  # only for the type checker: K
        made: Table[K, V] = Table(self.name, self._fresh(name), record)
        _check_fields(record)
        self.tables[name] = made
        self._declare_refusal(f"{name}_unknown", f"There is no such entry among the {name}; check its identifier.")
        self._declare_refusal(f"{name}_taken", f"There is such an entry among the {name} already.")
        return made

    def ledger(self, name: str) -> Ledger:
        """Declare double-entry balances; they change only by `move`."""
        made = Ledger(self.name, self._fresh(name))
        self.ledgers[name] = made
        self.tables[name] = made.rows
        self._declare_refusal(f"{name}_too_low", f"There is not enough on the account ({name}) for this.")
        return made

    def index(self, name: str, table: Table[K, V], by: Callable[[V], str]) -> Index[V]:
        """Declare an order over a table's rows, kept whenever a row changes."""
        made = Index(self.name, self._fresh(name), by)
        self.indexes[name] = made
        table.indexes.append(made)
        return made

    def param(self, name: str, default: int, why: str, limits: tuple[int, int] = (0, INT_MAX)) -> Parameter:
        """Declare a number that only genesis and governance set."""
        made = Parameter(self.name, self._fresh(name), default, why, limits)
        self.params[name] = made
        return made

    def tx(self, *, allow: Permission) -> Callable[[Callable[[Ctx, M], None]], Callable[[Ctx, M], None]]:
        """Declare a handler as a transaction that `allow` may send; the message type is its second parameter's."""

        def declare(handler: Callable[[Ctx, M], None]) -> Callable[[Ctx, M], None]:
            message = typing.get_type_hints(handler)["msg"]
            fields = _check_fields(message)
            key_fields = tuple(name for name, kind in fields.items() if kind == "key")
            do = f"{self.name}.{self._fresh(handler.__name__)}"
            _check_doc(handler)
            decoder = msgspec.json.Decoder(message)
            self.actions[handler.__name__] = Action(
                do, allow, message, typing.cast("Callable[[Ctx, Message], None]", handler), decoder, key_fields
            )
            return handler

        return declare

    def deadline(self, handler: Callable[[Ctx, str], None]) -> Callable[[Ctx, str], None]:
        """Declare a handler that `ctx.at` may schedule; it runs as the module, with no actor."""
        _check_doc(handler)
        self.due[f"{self.name}.{self._fresh(handler.__name__)}"] = handler
        return handler

    def service(self, function: Callable[Concatenate[Ctx, P], R]) -> Callable[Concatenate[Ctx, P], R]:
        """Declare a function through which other modules' handlers change this module's tables."""

        def serve(ctx: Ctx, *args: P.args, **kwargs: P.kwargs) -> R:
            return function(ctx.enter(self.name), *args, **kwargs)

        serve.__doc__ = function.__doc__
        serve.__name__ = function.__name__
        _check_doc(serve)
        return serve

    def query(self, function: Callable[Concatenate[View, P], R]) -> Callable[Concatenate[View, P], R]:
        """Declare a question that is more than one look-up."""
        _check_doc(function)
        self.queries[self._fresh(function.__name__)] = function
        return function

    def invariant(self, function: Callable[[View], bool]) -> Callable[[View], bool]:
        """Declare a sentence that is always true; tests and auditors evaluate it, consensus never does."""
        self.invariants[self._fresh(function.__name__)] = function
        return function

    def require(self, condition: object, code: str) -> None:
        """Refuse with one of the module's own codes unless the condition holds."""
        if not condition:
            self.refuse(code)

    def refuse(self, code: str) -> NoReturn:
        """Refuse with one of the module's own codes."""
        name = f"{self.name}.{code}"
        if name not in self.refusals:
            raise KeyError(f"{name} is not among the refusals that the module declares")
        raise Refused(name)

    def _declare_refusal(self, code: str, sentence: str) -> None:
        if not sentence.endswith((".", "?")):
            raise TypeError(f"refusal {code}: a sentence for people ends with a full stop")
        self.refusals[f"{self.name}.{code}"] = sentence

    def _fresh(self, name: str) -> str:
        _check_name(name)
        groups = (self.tables, self.indexes, self.params, self.actions, self.queries, self.invariants)
        if any(name in group for group in groups) or f"{self.name}.{name}" in self.due:
            raise TypeError(f"{self.name}.{name} is declared twice")
        return name


def _check_name(name: str) -> None:
    if NAME.fullmatch(name) is None and not name.replace("_", "").isalnum():
        raise TypeError(f"{name!r} is no name: lowercase letters, digits, underscores")


def _check_doc(function: Callable[..., object]) -> None:
    if not inspect.getdoc(function):
        raise TypeError(f"{function.__name__} needs a docstring: it becomes its help")


def _check_fields(declared: type[Struct]) -> dict[str, str]:
    """Return the kind of each text field; refuse what has no limits or would fork nodes."""
    kinds: dict[str, str] = {}
    for name, hint in typing.get_type_hints(declared, include_extras=True).items():
        if issubclass(declared, Message) and name.replace("_", "-") in RESERVED:
            raise TypeError(f"{declared.__name__}.{name} would collide with a command's own option")
        kinds[name] = _check_hint(f"{declared.__name__}.{name}", hint)
    return kinds


def _check_hint(where: str, hint: object, *, bounded: bool = False) -> str:
    """Return a field's text kind ("" when it is no text); refuse unbounded and forbidden types."""
    if get_origin(hint) is Annotated:
        base, *metas = get_args(hint)
        meta = next((m for m in metas if isinstance(m, Meta)), None)
        limited = meta is not None and None not in (meta.ge, meta.le)
        if base is int and limited and -INT_MAX <= meta.ge and meta.le <= INT_MAX:  # type: ignore[union-attr,operator]
            return ""
        if base is str and meta is not None and meta.max_length is not None and "text" in (meta.extra or {}):
            return str((meta.extra or {})["text"])
        if get_origin(base) is tuple:
            return _check_hint(where, base, bounded=meta is not None and meta.max_length is not None)
        raise TypeError(f"{where}: use a field type of kernel/types.py, which has limits and says what text it is")
    if get_origin(hint) is tuple:
        if not bounded and Ellipsis in get_args(hint):
            raise TypeError(f"{where}: a list needs Meta(max_length=...)")
        parts = [part for part in get_args(hint) if part is not Ellipsis]
        return next((kind for kind in [_check_hint(where, part) for part in parts] if kind), "")
    if get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return next((kind for kind in [_check_hint(where, part) for part in parts] if kind), "")
    if get_origin(hint) is typing.Literal:
        return ""
    if hint is bool:
        return ""
    if isinstance(hint, type) and issubclass(hint, Struct):
        _check_fields(hint)
        return ""
    raise TypeError(f"{where}: {hint!r} has no limits or is not the same on every machine")
