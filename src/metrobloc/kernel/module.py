"""A module's declarations: one place from which dispatch, permissions, commands, documents and tests follow.

`app = Module("library", {"lent": "Somebody else has this book."})`, then `@app.tx(allow=...)` over a handler
`(ctx, msg)`. What cannot be checked later is refused here, when the module is imported.
"""

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Concatenate, Literal, NoReturn, ParamSpec, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.permissions import Permission
from metrobloc.kernel.tables import Index, K, Ledger, Table, V
from metrobloc.kernel.tables import ParamSpec as Parameter
from metrobloc.kernel.types import INT_MAX, Message

M = TypeVar("M", bound=Message)
P = ParamSpec("P")
R = TypeVar("R")

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
SENTENCE = re.compile(r"[a-z][a-z0-9_]{0,79}")
RESERVED = frozenset({"as", "data", "help", "json", "node", "promise", "proof", "home", "wait", "quiet"})
"""Field names that would collide with an option of every command."""


class Action(Struct, frozen=True):
    """A transaction's declaration: `do` is its name on the wire, `before` what it was before the rules of `since`."""

    do: str
    allow: Permission
    message: type[Message]
    handler: Callable[[Ctx, Message], None]
    decoder: msgspec.json.Decoder[Message]
    key_fields: tuple[str, ...]
    personal: bool = False
    defends: bool = False
    since: int = 1
    before: "Action | None" = None

    def at(self, rules: int) -> "Action | None":
        """Return the declaration that holds under a version of the rules, if there is one."""
        return self if self.since <= rules else self.before and self.before.at(rules)


class Module:
    """An application's declarations, in the order in which they were written."""

    def __init__(self, name: str, refusals: dict[str, str]) -> None:
        """Name a module and its refusals: code -> one sentence for people."""
        _check_name(name)
        self.name = name
        self.names: set[str] = set()
        self.refusals: dict[str, str] = {}
        self.actions: dict[str, Action] = {}
        self.messages: dict[type[Message], str] = {}
        self.tables: dict[str, Table[typing.Any, typing.Any]] = {}
        self.ledgers: dict[str, Ledger] = {}
        self.indexes: dict[str, Index[typing.Any]] = {}
        self.params: dict[str, Parameter] = {}
        self.due: dict[str, Callable[[Ctx, str], None]] = {}
        self.queries: dict[str, Callable[..., object]] = {}
        self.invariants: dict[str, Callable[[View], bool]] = {}
        for code, sentence in refusals.items():
            self._declare_refusal(code, sentence)

    def table(self, name: str, record: type[V], key: type[K], *refuses: Literal["unknown", "taken"]) -> Table[K, V]:
        """Declare records of one type under keys of one type (a text or a tuple of texts).

        `refuses` says which refusals can happen: `unknown` where a row that must be there is read or removed, `taken`
        where one is added.
        """
        made: Table[K, V] = Table(self.name, self._fresh(name), record, key)
        _check_fields(record)
        self.tables[name] = made
        for code in refuses:
            self._declare_refusal(f"{name}_{code}", _GENERATED[code].format(name))
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

    def param(
        self, name: str, default: int, why: str, limits: tuple[int, int] = (0, INT_MAX), since: int = 1
    ) -> Parameter:
        """Declare a number that only genesis and governance set, there from the rules of `since` on."""
        made = Parameter(self.name, self._fresh(name), default, why, limits, since)
        self.params[name] = made
        return made

    def tx(
        self, *, allow: Permission, personal: bool = False, defends: bool = False, verb: str = "", since: int = 1
    ) -> Callable[[Callable[[Ctx, M], None]], Callable[[Ctx, M], None]]:
        """Declare a handler as a transaction that `allow` may send; the message type is its second parameter's.

        What is `personal` nobody can sign for another; what `defends` a frozen account can do. From the rules of
        `since` on, the handler of a `verb` that there is already takes its place.
        """

        def declare(handler: Callable[[Ctx, M], None]) -> Callable[[Ctx, M], None]:
            message = typing.get_type_hints(handler)["msg"]
            keys = _check_fields(message)
            name = verb or handler.__name__
            before = self.actions.get(name)
            if before is None or since <= before.since:
                self._fresh(name)
            _check_doc(handler)
            handle = typing.cast("Callable[[Ctx, Message], None]", handler)
            decoder = msgspec.json.Decoder(message)
            self.messages[message] = f"{self.name}.{name}"
            self.actions[name] = Action(
                f"{self.name}.{name}", allow, message, handle, decoder, keys, personal, defends, since, before
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

        @functools.wraps(function)
        def serve(ctx: Ctx, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return function(ctx.enter(self.name), *args, **kwargs)

        _check_doc(function)
        return serve

    def query(self, function: Callable[Concatenate[View, P], R]) -> Callable[Concatenate[View, P], R]:
        """Declare a question that is more than one look-up."""
        _check_doc(function)
        self.queries[self._fresh(function.__name__)] = function
        return function

    def invariant(self, function: Callable[[View], bool]) -> Callable[[View], bool]:
        """Declare a sentence that is always true; tests and auditors evaluate it, consensus never does."""
        self.invariants[self._fresh(function.__name__, SENTENCE)] = function
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
        _check_name(code)
        if f"{self.name}.{code}" in self.refusals:
            raise TypeError(f"refusal {code} is declared twice")
        if not sentence.endswith("."):
            raise TypeError(f"refusal {code}: a sentence for people ends with a full stop")
        self.refusals[f"{self.name}.{code}"] = sentence

    def _fresh(self, name: str, shape: re.Pattern[str] = NAME) -> str:
        _check_name(name, shape)
        if name in self.names:
            raise TypeError(f"{self.name}.{name} is declared twice")
        self.names.add(name)
        return name


_GENERATED = {
    "unknown": "There is no such entry among the {}; check its identifier.",
    "taken": "There is such an entry among the {} already.",
}


def _check_name(name: str, shape: re.Pattern[str] = NAME) -> None:
    if shape.fullmatch(name) is None:
        raise TypeError(f"{name!r} is no name: some lowercase letters, digits, underscores")


def _check_doc(function: Callable[..., object]) -> None:
    if not inspect.getdoc(function):
        raise TypeError(f"{function.__name__} needs a docstring: it becomes its help")


def _check_fields(declared: type[Struct]) -> tuple[str, ...]:
    """Return the names of the fields that hold keys; refuse what has no limits or would fork nodes."""
    keys = []
    for name, hint in typing.get_type_hints(declared, include_extras=True).items():
        _check_name(name)
        if issubclass(declared, Message) and name in RESERVED:
            raise TypeError(f"{declared.__name__}.{name} would collide with a command's own option")
        if _holds_keys(f"{declared.__name__}.{name}", hint):
            keys.append(name)
    return tuple(keys)


def _holds_keys(where: str, hint: object) -> bool:
    """Tell whether a field holds keys; refuse unbounded and forbidden types."""
    base, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    meta = next((meta for meta in metas if isinstance(meta, Meta)), Meta())
    text = (meta.extra or {}).get("text", "")
    if base is int and meta.ge is not None and meta.le is not None and -INT_MAX <= meta.ge <= meta.le <= INT_MAX:
        return False
    if base is str and text and meta.max_length is not None:
        return bool(text == "key")
    if base is bool or get_origin(base) is Literal:
        return False
    if isinstance(base, type) and issubclass(base, Struct):
        if _check_fields(base):
            raise TypeError(f"{where}: a key stands in the message itself, where its signature is asked for")
        return False
    parts = [part for part in get_args(base) if part not in (type(None), Ellipsis)]
    several = get_origin(base) is tuple and (meta.max_length is not None or Ellipsis not in get_args(base))
    if several or get_origin(base) in (typing.Union, types.UnionType):
        return True in [_holds_keys(where, part) for part in parts]
    raise TypeError(f"{where}: {base!r} has no limits here; use kernel/types.py, and Meta(max_length=) for lists")
