"""Draw messages from their types: valid, mostly about what is there, and now and then at a limit.

A value comes, in this order of likelihood, from the record in focus, from a message that worked before, from the newest
keys of the table that the field is called after, or from nothing but the field's limits.
"""

import random
from collections.abc import Sequence

from metrobloc.commons.identity import demo
from metrobloc.kernel import codec
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.module import Action
from metrobloc.kernel.types import Message
from metrobloc.surface.describe import FieldDoc
from metrobloc.testing.guidance import ID_LENGTH, AnyTable, Hint, Known, fields_of, hint_kind
from metrobloc.testing.nouns import TEXTS

UNKNOWN = "a" * 26
SLUGS = ("cny", "eur", "east", "west", "north", "shopping", "cooking", "care", "tools", *demo.ROLES)
NUMBERS = (0, 1, 2, 3, 5, 16, 30, 60, 100, 500, 2500, 10_000, 60_000)
TIMES_MS = (-1, 0, 1000, 600_000, 7_200_000, 90_000_000, 400_000_000, 1_000_000_000, 3_000_000_000)
CALL = frozenset({("do", "code"), ("message", "document")})
"""What a struct that stands for a call has: names and kinds of its fields."""

DOCUMENT_MAX = 16_384
TEMPLATES = 6
"""How many messages that worked are remembered of each action."""


class Drawing:
    """Chance, what is known, and what is being looked at."""

    def __init__(
        self, chance: random.Random, known: Known, roles: Sequence[str], worked: dict[str, list[Message]]
    ) -> None:
        """Start with nothing in focus; `worked` holds some messages of each action that worked before."""
        self.chance = chance
        self.known = known
        self.time_ms = 0
        self.keys: dict[str, list[SigningKey]] = {}
        self.accounts: list[str] = []
        self.roles = roles
        self.houses: dict[str, str] = {}
        self.hints: list[Hint] = []
        self.worked = worked
        self.refused = ""
        self.touched: list[Hint] = []
        self.named: list[SigningKey] = []

    def add_actor(self, account: str, key: SigningKey, name: str) -> None:
        """Let somebody act whose key is known."""
        if account not in self.keys:
            self.accounts.append(account)
            self.keys[account] = [key]
            if name in demo.ROLES:
                self.houses[name] = account

    def learn(self, action: Action, message: Message) -> None:
        """Remember a message that worked."""
        kept = self.worked.setdefault(action.do, [])
        if len(kept) < TEMPLATES:
            kept.append(message)
        else:
            kept[self.chance.randrange(TEMPLATES)] = message

    def now_and_then(self) -> bool:
        """Decide for something unusual, once in thirty times."""
        return self.chance.random() * 30 < 1

    def mostly(self, parts: int = 4) -> bool:
        """Decide for the usual, in all but one of some cases."""
        return self.chance.random() * parts >= 1

    def message(self, action: Action) -> Message:
        """Draw a message of an action; the keys that it names are in `named`."""
        self.named = []
        self.touched = []
        module = action.do.partition(".")[0]
        worked = self.worked.get(action.do)
        before = self.chance.choice(worked) if worked and self.chance.random() < 0.5 else None
        values = {}
        for field in fields_of(action.message):
            if before is not None and _lasts(field) and self.mostly(3):
                values[field.name] = getattr(before, field.name)
            else:
                values[field.name] = self.value(module, field)
        return action.decoder.decode(codec.encode(action.message(**values)))

    def value(self, module: str, field: FieldDoc) -> object:
        """Draw a value of a field."""
        if field.default == "null" and self.chance.randrange(2):
            return None
        if not field.many:
            return self.one(module, field)
        least = field.fewest or 0
        count = self.chance.randint(least, max(least, min(field.several or 0, 3)))
        drawn: list[object] = []
        for _ in range(count):
            one = self.one(module, field)
            while one in drawn and self.mostly(5):
                one = self.one(module, field)
            drawn.append(one)
        return tuple(drawn)

    def one(self, module: str, field: FieldDoc) -> object:
        """Draw a value, or one of several."""
        if field.kind == "integer":
            return self.number(field)
        if field.kind == "choice":
            return self.chance.choice(field.choices)
        if field.kind == "boolean":
            return self.chance.randrange(2) == 0
        if field.kind == "struct":
            drawn = {part.name: self.value(module, part) for part in field.parts}
            return field.base(**drawn | self._call(field.parts))
        return self.text(module, field)

    def _call(self, parts: Sequence[FieldDoc]) -> dict[str, object]:
        """Return the parts of a struct that make it a call (`do` and `message`): an action that worked before."""
        if not CALL.issubset((part.name, part.kind) for part in parts) or not self.worked or self.now_and_then():
            return {}
        do = self.chance.choice(sorted(self.worked))
        message = codec.encode(self.chance.choice(self.worked[do])).decode()
        if len(message) > DOCUMENT_MAX or not self.mostly(8):
            return {"do": do}
        return {"do": do, "message": message}

    def number(self, field: FieldDoc) -> int:
        """Draw a number: one that stands in the record in focus, a time near the clock, an amount used before."""
        of = hint_kind(field)
        least, most = field.least or 0, field.most or 0
        if field.name.endswith("_per_hour"):
            drawn = 1_000_000 if self.mostly(30) else 0
        elif self.now_and_then():
            drawn = self.chance.choice((least, most))
        elif (of == "int" or not self.mostly()) and (likely := self._likely(field.name, of)) is not None:
            drawn = int(str(likely)) + self.chance.choice((-1, 0, 0, 0, 0, 1))
        elif of == "ms":
            drawn = self.time_ms + self.chance.choice(TIMES_MS)
        else:
            drawn = self.chance.choice(NUMBERS) + self.chance.choice((-1, 0, 0, 1))
        return max(least, min(most, drawn))

    def _same(self, name: str, of: str) -> object:
        """Draw a hint of the same name, mostly of a record that the message names already; None if there is none."""
        for hints in (self.touched, self.hints):
            same = [value for called, kind, value in hints if called == name and kind in (of, "")]
            if same and self.mostly():
                return self.chance.choice(same)
        return None

    def _alike(self, of: str) -> object:
        """Draw a hint of the same kind, one time in three."""
        if self.mostly(3):
            return None
        alike = [value for _, kind, value in self.touched or self.hints if kind == of]
        return self.chance.choice(alike) if alike else None

    def _likely(self, name: str, of: str) -> object:
        same = self._same(name, of)
        return self._alike(of) if same is None else same

    def text(self, module: str, field: FieldDoc) -> str:
        """Draw a text of a kind."""
        if field.kind in ("id", "account", "slug"):
            return self.reference(module, field.name, field.kind)
        if field.kind == "key":
            old = self.keys[self.chance.choice(self.accounts)][0]
            self.named.append(old if self.now_and_then() else SigningKey(self.chance.randbytes(32)))
            return self.named[-1].key_id
        if field.kind == "digest" and (likely := self._same(field.name, field.kind)) is not None:
            return str(likely)
        if field.kind == "key_name" and self.known.delegations:
            owner, delegate = self.chance.choice(self.known.delegated())
            self.touched.append(("account", "account", owner))
            return delegate if len(delegate) > ID_LENGTH else TEXTS[field.kind](self.chance)
        if field.kind == "code":
            return self.chance.choice((self.known.ledgers if field.name == "ledger" else []) or self.known.scopes)
        if field.kind == "holder" and field.name == "book":
            return self.reference(module, "asset", "slug")
        return TEXTS[field.kind](self.chance)

    def reference(self, module: str, name: str, kind: str) -> str:
        """Draw the name of something: mostly of what is there."""
        if name == "role" and kind == "slug":
            return self.chance.choice(self.missing() or self.roles if self.mostly(2) else self.roles)
        if kind == "account" and name in self.houses and self.mostly():
            return self.houses[name]
        if self.now_and_then() and kind != "slug":
            return UNKNOWN
        table = self.known.find(module, name)
        if kind == "slug" and table is not None and self.refused == table.taken and self.mostly():
            return self.chance.choice(SLUGS)
        likely = self._same(name, kind)
        if likely is None and table is not None and self.mostly(6):
            likely = self.known.near(self.chance, table) if self.known.keys[table.prefix] else None
        if likely is None or (kind != "slug" and len(str(likely)) != len(UNKNOWN)):  # a table keyed by something else
            likely = self._alike(kind)
        if likely is not None:
            return self.touch(table, str(likely))
        if kind == "account":
            return self.chance.choice(self.accounts)
        slugs = self.known.slugs.get(module, ())
        return self.chance.choice(slugs if slugs and self.mostly() else SLUGS) if kind == "slug" else UNKNOWN

    def touch(self, table: AnyTable | None, key: str) -> str:
        """Remember what stands in the record that a message names; return its key."""
        if table is not None:
            self.touched += self.known.about(table, key, hops=1)[0]
        return key

    def missing(self) -> list[str]:
        """Return the roles that nobody holds."""
        held = {name for roles in self.known.roles.values() for name in roles}
        return [name for name in self.roles if name not in held]

    def look(self, do: str, tables: Sequence[str]) -> None:
        """Look at a record that an action is about: of a table that its fields name, or else of somebody who acts."""
        there = [self.known.tables[prefix] for prefix in tables if self.known.keys[prefix]]
        there = there or self.known.people(do.partition(".")[0])
        self.hints = []
        if there and self.mostly(8):
            table = self.chance.choice(there)
            self.hints, _ = self.known.about(table, self.known.near(self.chance, table))
        if self.known.delegations and not self.mostly(8):
            owner, delegate = self.chance.choice(self.known.delegated())
            self.hints = [("institution", "account", owner), ("account", "account", owner)]
            if len(delegate) == ID_LENGTH:
                self.hints.append(("person", "account", delegate))

    def actor(self, module: str, may: Sequence[str]) -> str:
        """Draw who acts: of those who may rather one whom the records in sight name, or whom the module knows."""
        if self.now_and_then() or not may:
            return self.chance.choice(self.accounts)
        if self.mostly():
            may = [one for one in may if self.known.frozen.get(one, 0) <= self.time_ms] or may
        named = [value for _, kind, value in self.touched or self.hints if kind in ("account", "") and value in may]
        if named and self.mostly(3):
            return str(self.chance.choice(named))
        people = [key for table in self.known.people(module) for key in self.known.newest(table) if key in may]
        return self.chance.choice(people if people and self.mostly() else may)


def _lasts(field: FieldDoc) -> bool:
    """Tell whether what worked before may work again: not an identifier, which stood for one thing, nor a time."""
    return field.kind not in ("id", "key", "signature") and field.unit != "ms"
