"""What a module may not declare: registration refuses what has no limit, no name, no help, or would fork nodes."""

import subprocess
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_origin

import msgspec
import pytest
from msgspec import Meta

from metrobloc import app as wiring
from metrobloc.kernel import codec, module
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import Permission, anyone, role
from metrobloc.kernel.types import Event, Id, Key, Message, Record, Slug, Total
from tests.support import ROOT

MISUSE = ROOT / "tests/kernel/misuse.py"


class Good(Record):
    """All kinds of fields that are fine."""

    name: Slug
    parts: Annotated[tuple[Id, ...], Meta(max_length=3)]
    pair: tuple[Id, Total]
    colour: Id | None = None
    broken: bool = False


def record(hint: object) -> type[Record]:
    """Return a record with one field of a type."""
    return type("Bad", (Record,), {"__annotations__": {"field": hint}, "__module__": __name__})


@pytest.mark.parametrize(
    "hint",
    [
        float,
        Annotated[float, Meta(ge=0, le=1)],
        int,
        Annotated[int, Meta(ge=0)],
        Annotated[int, Meta(ge=0, le=2**53)],
        str,
        Annotated[str, Meta(max_length=5)],
        bytes,
        tuple[Id, ...],
        Annotated[tuple[Id, ...], Meta(min_length=1)],
        Annotated[tuple[float, ...], Meta(max_length=2)],
        tuple[Key, float],
        list[Id],
        dict[str, Id],
        Id | float,
        object,
        Any,
        list,
        record(Key),
    ],
)
def test_fields_have_limits(hint: object) -> None:
    with pytest.raises(TypeError, match=r"Bad\.field"):
        Module("m", {}).table("rows", record(hint), str)


def test_good_fields_pass() -> None:
    made = Module("m", {}).table("rows", Good, str, "unknown")
    assert (made.unknown, made.prefix) == ("m.rows_unknown", "m/rows/")
    good = Good("a", (), ("b" * 26, 1), colour="c" * 26, broken=True)
    assert made.decoder.decode(codec.encode(good)) == good


def test_every_noun_of_this_version_has_limits() -> None:
    wiring.modules()
    nouns = [
        noun for base in (Message, Record, Event) for noun in base.__subclasses__() if "metrobloc" in noun.__module__
    ]
    assert len(nouns) > 40
    for noun in nouns:
        module._check_fields(noun)
        assert noun.__doc__
        assert [one.name for one in msgspec.structs.fields(noun) if not lasts(one)] == []


def lasts(field: msgspec.structs.FieldInfo) -> bool:
    """Tell whether a default is the same object wherever it is written.

    msgspec leaves out a default that is the same object, not one that is equal: a record's bytes would depend on how
    Python shares texts and numbers.
    """
    default = field.default
    shared = default in (msgspec.NODEFAULT, None, "", ()) or (isinstance(default, int) and -5 <= default <= 256)
    return shared or get_origin(field.type) is Literal


def handler(message: type[Message], name: str = "act", doc: str | None = "Act.") -> Callable[[Ctx, Message], None]:
    """Return a handler of a message type."""

    def act(ctx: Ctx, msg: Message) -> None:
        del ctx, msg

    act.__annotations__["msg"] = message
    act.__name__ = name
    act.__doc__ = doc
    return act


class Fine(Message):
    """A message."""

    to: Id
    key: Key


class Reserved(Message):
    """A message with a field that is an option of every command."""

    json: Id


NotAscii = type("NotAscii", (Message,), {"__annotations__": {"größe": Id}, "__module__": __name__})


def test_a_key_in_a_message_is_known() -> None:
    made = Module("m", {})
    made.tx(allow=anyone)(handler(Fine))
    assert made.actions["act"].key_fields == ("key",)


def silent(ctx: Ctx, key: str) -> None:
    del ctx, key


BAD_DECLARATIONS: dict[str, Callable[[Module], object]] = {
    "would collide": lambda m: m.tx(allow=anyone)(handler(Reserved)),
    "größe": lambda m: m.tx(allow=anyone)(handler(NotAscii)),
    "act needs a docstring": lambda m: m.tx(allow=anyone)(handler(Fine, doc=None)),
    "silent needs a docstring": lambda m: m.deadline(silent),
    "'Act' is no name": lambda m: m.tx(allow=anyone)(handler(Fine, "Act")),
    "'a_name_that_is_too_long_for_the_wire'": lambda m: m.ledger("a_name_that_is_too_long_for_the_wire"),
    "'naïve'": lambda m: m.param("naïve", 1, "Why."),
    "m.known is declared twice": lambda m: m.table("known", Good, str),
    "m.act is declared twice": lambda m: [m.tx(allow=anyone)(handler(Fine)) for _ in range(2)],
    "refusal rows_taken is declared twice": lambda _: Module("m", {"rows_taken": "No."}).table(
        "rows", Good, str, "taken"
    ),
    "full stop": lambda _: Module("m", {"bad": "Not a sentence"}),
    "'No'": lambda _: Module("m", {"No": "No."}),
}


@pytest.mark.parametrize("says", BAD_DECLARATIONS)
def test_bad_declarations_are_refused(says: str) -> None:
    made = Module("m", {})
    made.index("known", made.table("rows", Good, str), lambda row: row.name)
    with pytest.raises(TypeError, match=says):
        BAD_DECLARATIONS[says](made)


def test_a_refusal_must_be_declared() -> None:
    with pytest.raises(KeyError, match=r"m\.nothing is not among the refusals"):
        Module("m", {}).refuse("nothing")


def test_a_module_has_a_name() -> None:
    with pytest.raises(TypeError, match="no name"):
        Module("Town Hall", {})


def test_declarations_can_be_asked() -> None:
    made = Module("m", {})

    @made.query
    def count(view: View) -> int:
        """Count."""
        return len(list(view[rows].items()))

    rows = made.table("rows", Good, str)
    assert made.queries == {"count": count}


@pytest.mark.parametrize(
    ("permission", "roles", "holds", "says"),
    [
        (anyone, "", True, "any registered account"),
        (role("a"), "a", True, "role a"),
        (role("a"), "b", False, "role a"),
        (role("a") | role("b"), "b", True, "(role a or role b)"),
        (role("a") | role("b"), "c", False, "(role a or role b)"),
        (role("a") & role("b"), "a", False, "(role a and role b)"),
        (role("a") & (role("b") | anyone), "a", True, "(role a and (role b or any registered account))"),
    ],
)
def test_permissions_are_values(permission: Permission, roles: str, holds: bool, says: str) -> None:  # noqa: FBT001
    assert permission.holds(lambda name: name in roles.split()) is holds
    assert permission.describe() == says
    assert permission == Permission(permission.kind, permission.role_name, permission.parts)


def test_misuse_does_not_type_check() -> None:
    """Run mypy: each line of misuse.py says with which code it is refused, and an answer too many is an error too."""
    run = subprocess.run(
        [sys.executable, "-m", "mypy", str(MISUSE)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert MISUSE.read_text().count("# type: ignore[") > 20
