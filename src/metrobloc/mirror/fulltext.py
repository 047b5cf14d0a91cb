"""Search by words over the public texts of records. All that is SQLite's own (FTS5) stands in this file.

The texts themselves are an ordinary table, `texts`; another database would put an index of its own over it. Chinese,
Japanese and Korean are written without spaces that a search could go by, so each of their characters counts as a word.
"""

import re
from collections.abc import Callable, Iterable
from itertools import chain

import sqlalchemy as sa
from msgspec import inspect

Words = Callable[[object], Iterable[str]]
"""Gives the public texts in a record, in their order, as the search wants them."""

WORD = re.compile(r"[^\W_]+")
TERMS_MAX = 16
"""So many words are looked for at once."""

_store = sa.MetaData()
texts = sa.Table(
    "texts",
    _store,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
    sa.UniqueConstraint("place", "key"),
)
"""The public texts of each record that has some, a line each."""

_ADDED = "INSERT INTO search(rowid, words) VALUES (new.id, new.words)"
_REMOVED = "INSERT INTO search(search, rowid, words) VALUES ('delete', old.id, old.words)"
_CHANGED = "new.words <> old.words"  # the search's own tables are costly to change for nothing
_TOKENS = "tokenize='unicode61 remove_diacritics 2'"
_SQLITE = (
    f"CREATE VIRTUAL TABLE search USING fts5(words, content='texts', content_rowid='id', {_TOKENS})",
    f"CREATE TRIGGER texts_added AFTER INSERT ON texts BEGIN {_ADDED}; END",
    f"CREATE TRIGGER texts_changed AFTER UPDATE ON texts WHEN {_CHANGED} BEGIN {_REMOVED}; {_ADDED}; END",
    f"CREATE TRIGGER texts_removed AFTER DELETE ON texts BEGIN {_REMOVED}; END",
)


_FIND = sa.text(
    "SELECT texts.id, texts.place, texts.key FROM search JOIN texts ON texts.id = search.rowid"
    " WHERE search MATCH :asked AND search.rowid > :after ORDER BY search.rowid LIMIT :limit"
)
_UNSPACED = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


def create(connection: sa.Connection) -> None:
    """Make the tables of the search."""
    _store.create_all(connection)
    for statement in _SQLITE:
        connection.exec_driver_sql(statement)


def find(connection: sa.Connection, text: str, after: int, limit: int) -> list[tuple[int, str, str]]:
    """Return (number, place, key) of records that hold all of some words, beyond a number, in order of numbers.

    The last word may be begun only. Words are letters and digits, and quoted: nothing is read as the search's language.
    """
    terms = [spaced(word) for word in WORD.findall(text)[:TERMS_MAX]]
    if not terms:
        return []
    asked = " ".join(f'"{term}"' for term in terms) + "*"
    rows = connection.execute(_FIND, {"asked": asked, "after": after, "limit": limit})
    return [(row.id, row.place, row.key) for row in rows]


def spaced(text: str) -> str:
    """Return a text with every character of a script without spaces as a word of its own."""
    return _UNSPACED.sub(r" \g<0> ", text)


def words_of(kind: inspect.Type) -> Words | None:
    """Return what finds the public texts in values of a type, or None when there can be none."""
    if text_kind(kind) == "public":
        return lambda value: (spaced(str(value)),)
    if isinstance(kind, inspect.Metadata):
        return words_of(kind.type)
    if isinstance(kind, inspect.StructType):
        fields = {field.name: words for field in kind.fields if (words := words_of(field.type))}
        return (lambda value: _all(words(getattr(value, name)) for name, words in fields.items())) if fields else None
    if isinstance(kind, inspect.VarTupleType):
        each = words_of(kind.item_type)
        return (lambda value: _all(map(each, _listed(value)))) if each else None
    if isinstance(kind, inspect.UnionType):
        one = next((words for part in kind.types if (words := words_of(part))), None)
        return (lambda value: () if value is None else one(value)) if one else None
    return None


def text_kind(kind: inspect.Type) -> str:
    """Return what kind of text a type declares, or nothing."""
    return str((kind.extra or {}).get("text", "")) if isinstance(kind, inspect.Metadata) else ""


def _all(parts: Iterable[Iterable[str]]) -> Iterable[str]:
    return chain.from_iterable(parts)


def _listed(value: object) -> tuple[object, ...]:
    assert isinstance(value, tuple)
    return value
