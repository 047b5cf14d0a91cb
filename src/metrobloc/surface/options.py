"""Options of commands, from what is declared: a message's fields, a query's parameters, a function's own.

Each option knows its type, limits, choices and unit; names of the user's keys stand for accounts and keys and are
completed by the shell.
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import click
import msgspec
from click.shell_completion import CompletionItem

from metrobloc.commons.identity.demo import ROLES
from metrobloc.surface.describe import FieldDoc
from metrobloc.surface.keys import KeyProblem

OWN = frozenset({"as", "by", "data", "draft", "dry-run", "expires", "help", "json", "node", "promise", "unsigned"})
"""Options of every command of an application; no field may be called so."""

WORDS = {
    "account": "an account id, or the name of a key",
    "box_key": "an X25519 public key as did:key",
    "document": "text of several lines; @FILE reads it from a file",
    "key_name": "a public key as did:key",
    "key": "the name of a key, which signs too; or a key as did:key",
    "id": "an identifier",
    "commitment": "a commitment: 64 hex digits",
    "digest": "a SHA-256: 64 hex digits",
    "who": "an account id, or a public key as did:key",
    "signature": "an Ed25519 signature: 128 hex digits",
    "slug": "a short name",
    "public": "public text",
    "integer": "a whole number",
    "choice": "one of these",
    "holder": "an account id, or the pot of a module",
}

Names = Callable[[], Sequence[str]]
"""Lists the user's keys by name."""
Resolve = Callable[[FieldDoc, str], str]
"""Returns the account or key for what a person wrote."""


def name_of(field: FieldDoc) -> str:
    """Return the name of a field's option; TypeError when every command has an option of that name."""
    made = (field.name.removesuffix("_ms") if _is_time(field) else field.name).replace("_", "-")
    if made in OWN:
        raise TypeError(f"the field {field.name} would collide with the option --{made} of every command; rename it")
    return made


def options(fields: Sequence[FieldDoc], names: Names) -> list[click.Parameter]:
    """Return an option for each field of a message, or parameter of a query."""
    return [_option(field, names) for field in fields]


def values(fields: Sequence[FieldDoc], given: dict[str, Any], now_ms: int, resolve: Resolve) -> dict[str, Any]:
    """Return the values of what click parsed, by field; what was not given is left out."""
    found: dict[str, Any] = {}
    for field in fields:
        value = given[field.name]
        if value is None or (field.many and not value and not field.required):
            continue
        many = [_value(field, part, now_ms, resolve) for part in value] if field.many else []
        found[field.name] = tuple(many) if field.many else _value(field, value, now_ms, resolve)
    return found


def names_option(flag: str, names: Names, told: str, *, required: bool) -> click.Option:
    """Return an option that takes the name of a key, such as --as."""
    return click.Option(
        [f"--{flag}", f"{flag}_name"], required=required, help=told, shell_complete=complete_names(names)
    )


def options_of(function: Callable[..., object]) -> tuple[str, list[click.Parameter]]:
    """Return a function's help, and its keyword-only parameters as options; a path is an argument.

    Types are bool, int (with limits: Annotated[int, Meta(ge=1)]), str, Path and Literal, or None too. What an option
    does is told in the docstring by a line `name: what it does`; these lines come last and are not part of the help.
    """
    text = inspect.getdoc(function) or ""
    told = dict(re.findall(r"^(\w+): (.+)$", text, re.MULTILINE))
    own = inspect.signature(function, eval_str=True).parameters.values()
    made = [_parameter(one, told.get(one.name.strip("_"), "")) for one in own if one.kind is one.KEYWORD_ONLY]
    return re.split(r"\n\n?\w+: ", text)[0], made


def time_ms(text: str, now_ms: int) -> int:
    """Return a time that a person wrote, in milliseconds since 1970."""
    ahead = re.fullmatch(r"\+(\d{1,6})([dhms])", text)
    if ahead:
        return now_ms + int(ahead[1]) * {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}[ahead[2]]
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        ways = "2026-12-31, +30d, +6h, +10m, +45s, or milliseconds since 1970"
        raise KeyProblem(f"{text!r} is no time: write {ways}.") from error
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _is_time(field: FieldDoc) -> bool:
    return field.kind == "integer" and field.name.endswith("_ms") and not field.many


def _option(field: FieldDoc, names: Names) -> click.Option:
    flag, told = f"--{name_of(field)}", _help(field)
    if field.kind == "boolean" and not field.many:
        if field.default == "true":
            return click.Option([f"{flag}/--no-{flag[2:]}", field.name], default=True, show_default=True, help=told)
        return click.Option([flag, field.name], is_flag=True, help=told)
    return click.Option(
        [flag, field.name],
        required=field.required and field.fewest != 0,
        multiple=field.many,
        type=_type(field),
        help=told,
        shell_complete=complete_names(names) if field.kind in ("account", "key") else None,
    )


def _type(field: FieldDoc) -> click.ParamType[Any]:
    if field.kind == "choice":
        return click.Choice(field.choices)
    if field.kind == "integer" and not _is_time(field):
        return click.types.FuncParamType(_whole(field.least, field.most))
    return click.STRING


def _whole(least: int | None, most: int | None) -> Callable[[str], int]:
    """Return what reads a whole number within limits; click's own type says them in signs that are hard to hear."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or (least is not None and value < least) or (most is not None and value > most):
            raise click.BadParameter(f"{text!r} is no whole number from {least:,} to {most:,}.")
        return value

    return integer


def _help(field: FieldDoc) -> str:
    if field.kind == "boolean":
        return f"Say yes to: {field.name.replace('_', '-')}."
    if _is_time(field):
        return "A time: 2026-12-31, 2026-12-31T18:00Z, +30d, +6h, +10m, +45s, or milliseconds since 1970."
    text = WORDS.get(field.kind, field.kind)
    if field.kind == "struct":
        text = "JSON with " + ", ".join(part.name for part in field.parts)
    notes = []
    if field.kind == "integer":
        text += f" of {field.unit}" if field.unit else ""
        notes.append(f"{field.least:,} to {field.most:,}")
    elif field.kind == "public":
        notes.append(f"at most {field.longest} characters")
    if field.many:
        notes.append(f"repeat it for several, at most {field.several}")
    if field.default not in ("", "null", "[]", '""'):
        notes.append(f"by default {field.default}")
    return f"{text[0].upper()}{text[1:]}" + (f" ({'; '.join(notes)})" if notes else "") + "."


def _value(field: FieldDoc, given: Any, now_ms: int, resolve: Resolve) -> Any:  # noqa: ANN401  # from click to msgspec
    if field.kind in ("account", "key"):
        return resolve(field, given)
    if _is_time(field):
        return time_ms(given, now_ms)
    if field.kind == "document" and given.startswith("@"):
        return _read(given[1:], field.longest or 0)
    if field.kind != "struct":
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.MsgspecError as error:
        raise KeyProblem(f"--{name_of(field)}: {given!r} is not JSON ({error}).") from error


def _read(path: str, longest: int) -> str:
    """Read a document from a file, to its last line feed; what is too long by far is not read at all."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # a name that a person wrote, as the shell takes it
            return file.read(4 * longest + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise KeyProblem(f"The file {path} cannot be read as text ({error}).") from error


def _parameter(parameter: inspect.Parameter, told: str) -> click.Parameter:
    name, hint = parameter.name, parameter.annotation
    if get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in get_args(hint) if part is not types.NoneType)
    required = parameter.default is parameter.empty
    if hint is Path:
        return click.Argument([name], required=required, type=click.Path(path_type=Path, exists=True))
    flag, default = f"--{name.strip('_').replace('_', '-')}", None if required else parameter.default
    if hint is bool:
        both = [f"{flag}/--no-{flag[2:]}", name] if default else [flag, name]
        return click.Option(both, is_flag=True, default=bool(default), help=told)
    shown = default is not None
    kind = _type_of(hint)
    return click.Option([flag, name], required=required, type=kind, default=default, show_default=shown, help=told)


def _type_of(hint: object) -> click.ParamType[Any]:
    if get_origin(hint) is Literal:
        return click.Choice(get_args(hint))
    if get_origin(hint) is Annotated:
        meta = get_args(hint)[1]
        return click.IntRange(meta.ge, meta.le)
    return click.INT if hint is int else click.STRING


def complete_names(names: Names) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes the name of a key: the user's own, and the roles' of a demonstration."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in sorted({*names(), *ROLES}) if name.startswith(begun)]

    return complete
