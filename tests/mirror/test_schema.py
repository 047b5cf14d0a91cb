"""Tables from declarations: columns, indexes, what is refused, and that another database would take them."""

import msgspec
import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from metrobloc.app import modules
from metrobloc.kernel.module import Module
from metrobloc.kernel.types import Record, Total
from metrobloc.mirror import fulltext
from metrobloc.mirror.schema import Field, indexed_fields, make_schema, own
from tests.mirror.toys import app, schema, things


class Clash(Record):
    """A field called like a word of every question."""

    limit: Total


class Long(Record):
    """One number."""

    number: Total


Bounds = msgspec.defstruct("Bounds", [("cost", Total), ("cost__from", Total)], bases=(Record,), frozen=True)
"""A record with a field that is called like what bounds another."""


def test_a_field_is_a_column_of_its_kind() -> None:
    made = schema.tables["toy/things"]
    assert made.fields == (
        Field("owner", "text", "account", optional=False, indexed=True),
        Field("state", "text", "choice", optional=False, indexed=True),
        Field("count", "integer", "", optional=False, indexed=True),
        Field("title", "text", "public", optional=False, indexed=False),
        Field("lent", "boolean", "", optional=False, indexed=True),
        Field("taker", "text", "account", optional=True, indexed=True),
        Field("due_ms", "integer", "", optional=True, indexed=True),
        Field("paper", "text", "commitment", optional=True, indexed=False),
        Field("tags", "json", "", optional=False, indexed=False),
        Field("last", "json", "", optional=True, indexed=False),
        Field("notes", "json", "", optional=False, indexed=False),
    )
    assert [field.name for field in indexed_fields(things)] == ["owner", "state", "count", "lent", "taker", "due_ms"]


def test_each_indexed_column_pages_by_an_index_of_its_own() -> None:
    for made in make_schema(modules().values()).tables.values():
        names = {tuple(column.name for column in index.columns) for index in made.current.indexes}
        wanted = {(field.name, "_key") for field in made.fields if field.indexed}
        assert names == wanted | {(f"_key_{n}", "_key") for n in range(1, made.table.parts + 1) if made.table.parts > 1}


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()])  # type: ignore[no-untyped-call]
def test_more_than_one_database_takes_the_tables(dialect: Dialect) -> None:
    made = make_schema(modules().values())
    for table in [*made.metadata.sorted_tables, *own.sorted_tables, fulltext.texts]:
        assert str(CreateTable(table).compile(dialect=dialect))
        assert all(len(str(index.name)) <= 63 for index in table.indexes)
        assert all(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)


@pytest.mark.parametrize(
    ("record", "name", "sentence"),
    [
        (Clash, "rows", "called like a word"),
        (Bounds, "rows", "called like a word"),
        (Long, "r" * 31, "taken or too long"),
    ],
)
def test_names_that_would_collide_are_refused(record: type[Record], name: str, sentence: str) -> None:
    module = Module("m" * 31, {})
    module.table(name, record, str)
    with pytest.raises(TypeError, match=sentence):
        make_schema([module])


def test_the_hash_follows_the_declarations() -> None:
    other = Module("toy", {})
    other.table("things", Long, str)
    assert make_schema([app]).digest == schema.digest
    assert make_schema([other]).digest != make_schema([]).digest != schema.digest
