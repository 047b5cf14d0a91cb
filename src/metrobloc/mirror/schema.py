"""SQL tables made from the modules' declarations: for each of an app's tables one of what is, and one of what was.

`APP__TABLE` has a row for each record, `APP__TABLE__history` one for each block that changed it. A field is a column of
its own name; the mirror's own columns begin with an underscore, which no field can. What holds several values (a list,
a struct) is one text of JSON.

A field is indexed when it holds one number, one truth value, one choice, or one text that names something: an id, an
account, a key, a slug, a holder, a code. It can then be asked for and put in order. Text that is only read (`public`)
is searched by its words instead; hashes and signatures are neither.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import Struct, inspect, structs

from metrobloc.kernel import codec, crypto, system
from metrobloc.kernel.module import Module
from metrobloc.kernel.tables import Table
from metrobloc.mirror.fulltext import Words, text_kind, words_of

FORMAT = 1
"""The version of the tables that do not follow from the modules."""

NAMING = frozenset({"account", "code", "holder", "id", "key", "slug"})
"""Kinds of text that name something."""

CONTROLS = frozenset({"after", "limit", "min_height", "order", "reverse"})
"""What a question says beside its filters; no indexed field may be called so."""

NAME_MAX = 63
"""The longest name that PostgreSQL takes."""

Kind = Literal["integer", "boolean", "text", "json"]
_TYPES: dict[Kind, type[sa.types.TypeEngine[Any]]] = {
    "integer": sa.BigInteger,
    "boolean": sa.Boolean,
    "text": sa.Text,
    "json": sa.Text,
}


class Field(Struct, frozen=True):
    """A record's field as a column; `names` is the kind of text it holds, or empty."""

    name: str
    kind: Kind
    names: str
    optional: bool
    indexed: bool


class Mirrored(Struct, frozen=True):
    """A ledger's table with its two tables of SQL, and how to find its records' public words, if they have any."""

    table: Table[Any, Any]
    fields: tuple[Field, ...]
    current: sa.Table
    history: sa.Table
    words: Words | None
    defaults: tuple[tuple[str, str], ...] = ()
    """Texts that the ledger leaves out, by field."""

    @property
    def place(self) -> str:
        """Return how records of the table begin on the ledger, without the last slash."""
        return self.table.prefix[:-1]


class Schema(Struct, frozen=True):
    """All tables that follow from a chain's modules, and a hash over what they were made from."""

    metadata: sa.MetaData
    tables: dict[str, Mirrored]
    digest: str


own = sa.MetaData()
"""The tables that every mirror has, but for the search's (`fulltext.py`).

`sqlite_with_rowid=False` lets SQLite keep a row in its key's index; other databases do not hear of it.
"""

meta = sa.Table("meta", own, sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))
"""Of which chain the mirror is, from which schema, and how high: `genesis`, `schema`, `height`."""

blocks = sa.Table(
    "blocks",
    own,
    sa.Column("height", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("state_root", sa.Text, nullable=False),
)

receipts = sa.Table(
    "receipts",
    own,
    sa.Column("height", sa.BigInteger, primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True),
    sa.Column("tx", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("due", sa.Text, nullable=False),
    sa.Column("call", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

events = sa.Table(
    "events",
    own,
    sa.Column("height", sa.BigInteger, primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Index("events_by_name", "name", "height", "index", "number"),
    sqlite_with_rowid=False,
)

mentions = sa.Table(
    "mentions",
    own,
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("height", sa.BigInteger, primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)
"""Which account or record an event speaks of."""


def make_schema(modules: Iterable[Module]) -> Schema:
    """Return the tables of a chain's modules and of the kernel; TypeError when names would collide."""
    metadata = sa.MetaData(naming_convention={"ix": "%(table_name)s_by_%(column_0_name)s"})
    tables: dict[str, Mirrored] = {}
    told: list[object] = [FORMAT]
    for table in _tables(modules):
        made = _mirrored(table, metadata)
        tables[made.place] = made
        facts = [[f.name, f.kind, f.names, f.optional, f.indexed] for f in made.fields]
        told.append([made.place, table.parts, made.words is not None, facts])
    return Schema(metadata, tables, crypto.sha256(codec.encode(told)).hex())


def indexed_fields(table: Table[Any, Any]) -> tuple[Field, ...]:
    """Return the fields of a table's records that can be asked for and put in order."""
    return tuple(field for field in _fields(table) if field.indexed)


def key_columns(table: Table[Any, Any]) -> tuple[str, ...]:
    """Return the names of the columns that hold the parts of a key made of several texts."""
    return tuple(f"_key_{number}" for number in range(1, table.parts + 1)) if table.parts > 1 else ()


def _tables(modules: Iterable[Module]) -> Iterator[Table[Any, Any]]:
    for module in modules:
        yield from module.tables.values()
    yield from (table for table in vars(system).values() if isinstance(table, Table))


def _mirrored(table: Table[Any, Any], metadata: sa.MetaData) -> Mirrored:
    name, fields = f"{table.module}__{table.name}", _fields(table)
    if f"{name}__history" in metadata.tables or name in metadata.tables or len(f"{name}__history") > NAME_MAX:
        raise TypeError(f"{table.prefix}: its name in SQL, {name}__history, is taken or too long; choose another")
    asked = [*key_columns(table), *(field.name for field in fields if field.indexed)]
    ranges = {f"{field.name}{end}" for field in fields if field.kind == "integer" for end in ("__from", "__to")}
    if not CONTROLS.isdisjoint(asked) or not ranges.isdisjoint(asked):
        raise TypeError(f"{table.prefix}: a field is called like a word of the mirror's questions; rename it")
    parts = [sa.Column(part, sa.Text, nullable=False) for part in key_columns(table)]
    current = sa.Table(
        name,
        metadata,
        sa.Column("_key", sa.Text, primary_key=True),
        *parts,
        sa.Column("_height", sa.BigInteger, nullable=False),
        *(sa.Column(field.name, _TYPES[field.kind], nullable=field.optional) for field in fields),
        *(sa.Index(None, column, "_key") for column in asked),
        sqlite_with_rowid=False,
    )
    history = sa.Table(
        f"{name}__history",
        metadata,
        sa.Column("_key", sa.Text, primary_key=True),
        sa.Column("_height", sa.BigInteger, primary_key=True),
        sa.Column("_number", sa.BigInteger, nullable=False),
        sa.Column("_removed", sa.Boolean, nullable=False),
        *(sa.Column(field.name, _TYPES[field.kind]) for field in fields),
        sqlite_with_rowid=False,
    )
    words = words_of(inspect.type_info(table.record)) if table.module != system.NAME else None
    known = structs.fields(table.record)
    defaults = tuple([(field.encode_name, field.default) for field in known if isinstance(field.default, str)])
    return Mirrored(table, fields, current, history, words, defaults)


def _fields(table: Table[Any, Any]) -> tuple[Field, ...]:
    info = inspect.type_info(table.record)
    assert isinstance(info, inspect.StructType)
    return tuple(_field(field.encode_name, field.type) for field in info.fields)


def _field(name: str, kind: inspect.Type) -> Field:
    several = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    present = [part for part in several if not isinstance(part, inspect.NoneType)]
    optional = len(present) < len(several)
    names, bare = text_kind(present[0]), present[0]
    if isinstance(bare, inspect.Metadata):
        bare = bare.type
    if len(present) > 1:
        return Field(name, "json", "", optional, indexed=False)
    if isinstance(bare, inspect.LiteralType):
        whole = all(isinstance(value, int) for value in bare.values)
        return Field(name, "integer" if whole else "text", "choice", optional, indexed=True)
    if isinstance(bare, inspect.IntType):
        return Field(name, "integer", "", optional, indexed=True)
    if isinstance(bare, inspect.BoolType):
        return Field(name, "boolean", "", optional, indexed=True)
    if isinstance(bare, inspect.StrType):
        return Field(name, "text", names, optional, indexed=names in NAMING)
    return Field(name, "json", "", optional, indexed=False)
