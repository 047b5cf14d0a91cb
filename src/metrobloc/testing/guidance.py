"""What a simulation knows of a chain: kept from what each block writes, so that drawing never reads a whole table.

Nothing here knows an application. A field is taken to name a table when it is called like one; what stands in a record,
and in the records that it names, are hints: who may act on it, and which numbers would make sense.
"""

import random
import re
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice

import msgspec

from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.machine import Sealed
from metrobloc.kernel.module import Module
from metrobloc.kernel.state import Reader
from metrobloc.kernel.system import Account, Grant
from metrobloc.kernel.tables import Table
from metrobloc.kernel.types import INT_MAX, Record
from metrobloc.surface import describe
from metrobloc.surface.describe import FieldDoc

Hint = tuple[str, str, object]
"""A field's name, its kind (a kind of text, `int` or `ms`) and its value."""

AnyTable = Table[str, Record]
SLUG = re.compile("[a-z][a-z0-9_]{0,31}")
"""A short name: no identifier, and no digest."""

ID_LENGTH = 26
"""What an identifier or an account has, and no other key."""

RECENT = 8
"""How many of a table's newest keys are drawn from."""

_accounts = msgspec.json.Decoder(Account)
_grants = msgspec.json.Decoder(Grant)


class Known:
    """Keys of every table, newest last, and who holds which role."""

    def __init__(self, modules: Iterable[Module], reader: Reader) -> None:
        """Start with nothing written."""
        self.view = View(reader)
        self.tables: dict[str, AnyTable] = {}
        self.keys: dict[str, dict[str, None]] = {}
        self.slugs: dict[str, deque[str]] = {}
        self.delegations: dict[str, None] = {}
        self.scopes: list[str] = []
        self.ledgers: list[str] = []
        self.roles: dict[str, dict[str, int]] = {}
        self.accounts: set[str] = set()
        self.frozen: dict[str, int] = {}
        self.roles_written = 0
        self._hints: dict[str, list[Hint]] = {}
        self._named: dict[tuple[str, str], AnyTable] = {}
        self._members: dict[str, list[AnyTable]] = {}
        for module in modules:
            self.scopes += [module.name, *(action.do for action in module.actions.values())]
            self.ledgers += [f"{module.name}.{ledger}" for ledger in module.ledgers]
            for table in module.tables.values():
                self.tables[table.prefix] = table
                self.keys[table.prefix] = {}
                if table.parts == 1:
                    self._members.setdefault(module.name, []).append(table)
                    for name in (table.name, singular(table.name)):
                        self._named[module.name, name] = self._named[table.module, name] = table
                        self._named.setdefault(("", name), table)

    def note(self, sealed: Sealed) -> None:
        """Take over what a block has written."""
        for raw, (_, new) in sealed.writes.items():
            path = raw.decode()
            self._hints.pop(path, None)
            module, name, key = path.split("/", 2)
            prefix = f"{module}/{name}/"
            keys = self.keys.get(prefix)
            if keys is None:
                if prefix == system.roles.prefix:
                    self._note_role(key, new)
                if prefix == system.accounts.prefix:
                    self.accounts.add(key)
                    self.frozen[key] = _accounts.decode(new).frozen_until_ms if new is not None else 0
                if prefix == system.delegations.prefix:
                    self.delegations.pop(key, None)
                    if new is not None:
                        self.delegations[key] = None
                continue
            table = self.tables[prefix]
            if key not in keys and table.parts == 1 and len(key) != ID_LENGTH and SLUG.fullmatch(key):
                self.slugs.setdefault(module, deque(maxlen=16)).append(key)
            keys.pop(key, None)
            if new is not None:
                keys[key] = None

    def delegated(self, account: str = "") -> list[tuple[str, str]]:
        """Return the newest delegations, of one account or of all: who delegated, and to whom."""
        found = (key for key in reversed(self.delegations) if key.startswith(account))
        return [(key[:ID_LENGTH], key[ID_LENGTH + 1 :]) for key in islice(found, RECENT)]

    def _note_role(self, key: str, new: bytes | None) -> None:
        account, _, name = key.partition("/")
        held = self.roles.setdefault(account, {})
        held.pop(name, None)
        if new is not None:
            grant = _grants.decode(new)
            held[name] = 1 if grant.suspended_until_ms else grant.until_ms
        self.roles_written += 1

    def holds(self, time_ms: int, account: str, name: str) -> bool:
        """Tell whether an account holds a role."""
        until_ms = self.roles.get(account, {}).get(name, -1)
        return until_ms == 0 or time_ms < until_ms

    def roles_end(self, time_ms: int) -> int:
        """Return the next time at which somebody's role ends."""
        ends = (end for held in self.roles.values() for end in held.values() if end > time_ms)
        return min(ends, default=INT_MAX)

    def find(self, module: str, field: str) -> AnyTable | None:
        """Return the table that a field of a module's message is called after, or None."""
        for name in (field, field.rpartition("_")[2], field.partition("_")[0]):
            found = self._named.get((module, name)) or self._named.get(("", name))
            if found is not None:
                return found
        return None

    def newest(self, table: AnyTable) -> list[str]:
        """Return the newest keys of a table."""
        return list(islice(reversed(self.keys[table.prefix]), RECENT))

    def near(self, chance: random.Random, table: AnyTable) -> str:
        """Draw one of the newest keys of a table, the newest most often."""
        newest = self.newest(table)
        return newest[min(chance.randrange(len(newest)), chance.randrange(len(newest)))]

    def hints(self, table: AnyTable, key: str) -> list[Hint]:
        """Return the hints that one record holds; none if there is no such record."""
        path = table.prefix + key
        found = self._hints.get(path)
        if found is None:
            record, name = self.view[table].get(key), singular(table.name)
            found = [] if record is None else [*((name, "", part) for part in key.split("/")), *leaves(record)]
            self._hints[path] = found
        return found

    def people(self, module: str) -> list[AnyTable]:
        """Return a module's tables whose keys are accounts; if there are none, those with any single keys."""
        some = [table for table in self._members.get(module, ()) if self.keys[table.prefix]]
        return [table for table in some if next(reversed(self.keys[table.prefix])) in self.accounts] or some

    def about(self, table: AnyTable, key: str, hops: int = 2) -> tuple[list[Hint], set[str]]:
        """Return the hints that a record and those that it names hold, so many hops away, and the tables of these."""
        hints: list[Hint] = []
        seen = {(table.prefix, key)}
        queue = deque([(table, key, 0)])
        while queue and len(seen) < RECENT:
            table, key, far = queue.popleft()
            found = self.hints(table, key)
            hints += found
            for hint in found:
                for other in self._of(table.module, hint):
                    if far < hops and (other.prefix, hint[2]) not in seen:
                        seen.add((other.prefix, str(hint[2])))
                        queue.append((other, str(hint[2]), far + 1))
        return hints, {prefix for prefix, _ in seen}

    def _of(self, module: str, hint: Hint) -> Iterator[AnyTable]:
        """Yield the tables with a record under the value of a hint."""
        name, kind, value = hint
        if kind in ("id", "account", "slug"):
            for table in self._members[module]:
                if value in self.keys[table.prefix]:
                    yield table
            other = self._named.get(("", name))
            if other is not None and other.module != module and value in self.keys[other.prefix]:
                yield other


def singular(name: str) -> str:
    """Return the name of one of many: `gift` of `gifts`."""
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


@cache
def fields_of(noun: type[msgspec.Struct]) -> tuple[FieldDoc, ...]:
    """Return the fields of a type with their limits."""
    return describe.fields_of(noun)


def leaves(noun: msgspec.Struct) -> Iterator[Hint]:
    """Yield what stands in a record's fields, with their kinds."""
    for name, kind in _kinds(type(noun)):
        value = getattr(noun, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, msgspec.Struct):
                yield from leaves(each)
            elif each is not None:
                yield name, kind, each


@cache
def _kinds(noun: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """Return the names and kinds of the fields that may hold hints."""
    return tuple((field.name, hint_kind(field)) for field in fields_of(noun) if field.kind not in ("boolean", "choice"))


def hint_kind(field: FieldDoc) -> str:
    """Return the kind of hint that a field is: times are no numbers."""
    if field.kind == "integer":
        return "ms" if field.unit == "ms" else "int"
    return field.kind
