"""What may be asked of a mirror, and how a question's words become one: strictly, and a refusal says what there is."""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Struct

from metrobloc.kernel.types import END, INT_MAX
from metrobloc.mirror.schema import Mirrored, indexed_fields, key_columns

KEY = "_key"
FROM, TO = "__from", "__to"
WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,15})", re.ASCII)
_CURSOR_MAX = 2000

Value = str | bool | int | None
Whole = Annotated[int, Meta(ge=-INT_MAX, le=INT_MAX)]
KeyText = Annotated[str, Meta(pattern=f"^[!-~]+{END}", min_length=1, max_length=300)]
T = TypeVar("T")


class BadQuestion(ValueError):
    """Say in a sentence why a question cannot be answered, and what can be asked."""


class Ask(Struct, frozen=True):
    """A question to a table: which records, in which order, from where on.

    `where` says what fields hold (None: nothing), `least` and `most` between what they lie, both included. `order` is
    `_key` or an indexed field; records that lack it come first, in reverse last.
    """

    where: Mapping[str, Value] = {}
    least: Mapping[str, int] = {}
    most: Mapping[str, int] = {}
    order: str = KEY
    reverse: bool = False
    after: str = ""
    limit: int = 50


def orders(made: Mirrored) -> list[str]:
    """Return by what a table's records can be put in order."""
    return [KEY, *(field.name for field in indexed_fields(made.table))]


def filters(made: Mirrored) -> dict[str, object]:
    """Return the words that choose among a table's records, each with the type of what it takes.

    They are what an indexed field is called, and for numbers also what bounds them: `amount__from`, `amount__to`.
    """
    hints = get_type_hints(made.table.record, include_extras=True)
    fields = indexed_fields(made.table)
    bounds = [f"{field.name}{end}" for field in fields if field.kind == "integer" for end in (FROM, TO)]
    keys: dict[str, object] = dict.fromkeys([KEY, *key_columns(made.table)], KeyText)
    return keys | {field.name: hints[field.name] for field in fields} | dict.fromkeys(bounds, Whole)


def read_ask(made: Mirrored, words: Mapping[str, str]) -> Ask:
    """Return which records of a table some filters choose; BadQuestion for a word or a value that cannot be."""
    where: dict[str, Value] = {}
    least: dict[str, int] = {}
    most: dict[str, int] = {}
    known = filters(made)
    for word, text in words.items():
        if word not in known:
            raise BadQuestion(f"There is no filter {shown(word)} here. There are: {', '.join(known)}.")
        if word.endswith((FROM, TO)):
            bounds, name = (least, word[: -len(FROM)]) if word.endswith(FROM) else (most, word[: -len(TO)])
            bounds[name] = _whole(word, text)
        else:
            where[word] = _value(made, word, text, known[word])
    return Ask(where, least, most)


def read_key(text: str) -> str:
    """Return a record's key; BadQuestion when it can be none."""
    try:
        return msgspec.convert(text, KeyText)
    except msgspec.ValidationError as error:
        raise BadQuestion("A key is some letters, digits and signs; see `key` in the table's page.") from error


def write_cursor(place: Iterable[Value]) -> str:
    """Return the text that continues a page behind a place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(place))).decode()


def read_cursor(text: str, kind: type[T]) -> T:
    """Return the place that a cursor names; BadQuestion when it is of another question, or made up."""
    try:
        return msgspec.json.decode(base64.b64decode(text[:_CURSOR_MAX], altchars=b"-_", validate=True), type=kind)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadQuestion("`after` takes what `next` of the page before said, for the same order.") from error


def _value(made: Mirrored, name: str, text: str, kind: object) -> Value:
    field = next((field for field in made.fields if field.name == name), None)
    if field is None:
        return read_key(text)
    if field.optional and not text:
        return None
    value: Value = text
    if field.kind == "integer":
        value = _whole(name, text)
    elif field.kind == "boolean":
        value = {"true": True, "false": False}.get(text, text)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadQuestion(f"{name} cannot be {shown(text)}: {error}.") from error
    return value


def _whole(name: str, text: str) -> int:
    if WHOLE.fullmatch(text) is None or abs(int(text)) > INT_MAX:
        raise BadQuestion(f"{name} takes a whole number, at most {INT_MAX} either way, not {shown(text)}.")
    return int(text)


def shown(text: str) -> str:
    """Return a text from outside as a sentence can show it."""
    return repr(text[:80].encode("utf-8", "replace").decode())
