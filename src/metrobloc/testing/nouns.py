"""An application's nouns as examples: one value of each type, and what lies at and beyond each limit.

Everything follows from the types; nothing here needs a chain.
"""

import random
from collections.abc import Callable, Iterator

import msgspec

from metrobloc.kernel.crypto import X25519, SigningKey, key_id
from metrobloc.kernel.module import Module
from metrobloc.kernel.types import INT_MAX
from metrobloc.surface.describe import FieldDoc, events_of, fields_of

Noun = type[msgspec.Struct]

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
LINES = ("Help", "Ein Herz für Li", "李的心", "x" * 200)
SLUGS = ("east", "shopping", "a", "b" * 32)
NUMBERS_MAX = 1_000_000
"""Examples are numbers that people meet, where the limits allow it."""


def _base32(chance: random.Random) -> str:
    return "".join(chance.choice(BASE32) for _ in range(26))


TEXTS: dict[str, Callable[[random.Random], str]] = {
    "account": _base32,
    "box_key": lambda chance: key_id(chance.randbytes(32), X25519),
    "code": lambda _: "ok",
    "commitment": lambda chance: chance.randbytes(32).hex(),
    "digest": lambda chance: chance.randbytes(32).hex(),
    "document": lambda chance: chance.choice(("{}", "one\ntwo\n", "— 李的心\n")),
    "holder": _base32,
    "id": _base32,
    "key": lambda chance: SigningKey(chance.randbytes(32)).key_id,
    "key_name": lambda chance: SigningKey(chance.randbytes(32)).key_id,
    "public": lambda chance: chance.choice(LINES),
    "signature": lambda chance: chance.randbytes(64).hex(),
    "slug": lambda chance: chance.choice(SLUGS),
    "who": _base32,
}
"""How a text of each kind is made up; the kinds are those of kernel/types.py."""


def nouns_of(app: Module) -> dict[str, Noun]:
    """Return an app's messages, records and events by what they are called: `message Give`, `event Given`."""
    found: dict[str, Noun] = {f"message {one.message.__name__}": one.message for one in app.actions.values()}
    ledgers = {ledger.rows for ledger in app.ledgers.values()}
    for table in app.tables.values():
        if table not in ledgers:
            found[f"record {table.record.__name__}"] = table.record
    return found | {f"event {event.__name__}": event for event in events_of(app)}


def example(noun: Noun, chance: random.Random) -> msgspec.Struct:
    """Make up a value of a type."""
    return noun(**{field.name: _value(field, chance) for field in fields_of(noun)})


def _value(field: FieldDoc, chance: random.Random) -> object:
    if not field.many:
        return _one(field, chance)
    most = min(field.several or 0, max(2, field.fewest or 0))
    return tuple(_one(field, chance) for _ in range(chance.randint(field.fewest or 0, most)))


def _one(field: FieldDoc, chance: random.Random) -> object:
    if field.kind == "integer":
        least, most = field.least or 0, field.most or 0
        return chance.randint(max(least, -NUMBERS_MAX), max(least, min(most, NUMBERS_MAX)))
    if field.kind == "choice":
        return chance.choice(field.choices)
    if field.kind == "boolean":
        return chance.randrange(2) == 0
    return example(field.base, chance) if field.kind == "struct" else TEXTS[field.kind](chance)


def at_limits(field: FieldDoc, value: object) -> Iterator[object]:
    """Yield what a field may just be, as JSON would write it; `value` is one that it may be."""
    if field.many:
        items = list(value) if isinstance(value, list) else []
        for count in (field.fewest or 0, field.several or 0) if items else ():
            yield (items * (count // len(items) + 1))[:count]
    elif field.kind == "integer":
        yield from (field.least, field.most)
    elif field.kind == "choice":
        yield from field.choices
    elif field.kind == "boolean":
        yield from (True, False)
    elif field.kind == "public":
        yield from ("x", "x" * (field.longest or 0))


def beyond_limits(field: FieldDoc, value: object) -> Iterator[tuple[object, str]]:
    """Yield what a field may just not be, with the code that says so."""
    yield {"a": 1, "b": 2}, "unknown_field" if field.kind == "struct" and not field.many else "wrong_type"
    yield 1.5, "float"
    if field.many:
        items = list(value) if isinstance(value, list) else []
        if items and field.several is not None:
            yield (items * (field.several // len(items) + 1))[: field.several + 1], "out_of_bounds"
        if field.fewest:
            yield items[: field.fewest - 1], "out_of_bounds"
    elif field.kind == "integer":
        least, most = field.least or 0, field.most or 0
        yield least - 1, "out_of_bounds" if least > -INT_MAX else "integer_range"
        yield most + 1, "out_of_bounds" if most < INT_MAX else "integer_range"
        yield "1", "wrong_type"
    elif field.kind == "choice":
        yield "never", "out_of_bounds"
    elif field.kind == "boolean":
        yield 1, "wrong_type"
    elif field.kind != "struct":
        yield "x" * ((field.longest or 0) + 1), "out_of_bounds"
        yield "", "out_of_bounds"
        yield "a\rb" if field.kind == "document" else "a\nb", "out_of_bounds"
