"""A long seeded simulation of all applications together, from nothing but their declarations.

Messages are drawn from the message types: numbers at their limits, near each other or near the clock; a field named
like a table gets one of that table's keys, a field named like a role somebody who holds it. Who acts is mostly
allowed to, and sometimes not. What the run looks for is a code that nobody declared, a bug, an invariant that fails or
money that appears. A seed gives the same run for ever; the seed of a failing run is the bug report.
"""

import random
from collections import Counter
from collections.abc import Iterable
from functools import cache

import msgspec
from msgspec import inspect

from metrobloc.commons.identity.types import Rotate
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.kernel import codec, envelope, system
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.crypto import SigningKey, sha256
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.testing.sandbox import Sandbox

CITIZENS = ("ann", "bo", "cy", "di")
INSTITUTIONS = ("office", "bank", "hospital", "charity", "company", "supervisor")
NUMBERS = (1, 3, 100, 2500, 60_000)
CHECK_EVERY = 50
STEPS_MS = (1, 1000, 60_000, 3_600_000, 40 * 3_600_000)
TIMES_MS = (-1, 0, 1000, 600_000, 3_600_000, 7_200_000, 90_000_000, 1_000_000_000, 3_000_000_000)
_receipts = msgspec.json.Decoder(ReadReceipt)


class Failed(AssertionError):
    """The simulation met what must not be; the message names the seed and the step."""


class Simulation:
    """One run: a chain in memory, its actors, and what they may name."""

    def __init__(self, modules: Iterable[Module], seed: int) -> None:
        """Found the chain and open the actors' accounts."""
        self.seed = seed
        self.step = 0
        self.random = random.Random(seed)  # noqa: S311  # chance that can be repeated is wanted
        self.sandbox = Sandbox(modules)
        self.codes: Counter[str] = Counter()
        self.ids: list[str] = ["a" * 26]
        self.slugs = ["cny", "eur", *INSTITUTIONS]
        self.amounts = [1, 2, 5, 10, 50, 100, 500, 1000, 10_000, 100_000]
        self.keys: dict[str, list[SigningKey]] = {}
        modules_of = self.sandbox.rules.modules
        self.actions = [action for module in modules_of for action in module.actions.values()]
        self.known = {"ok", *ENGINE_REFUSALS, *VOIDS, *(code for module in modules_of for code in module.refusals)}
        self.known -= {"internal", "malformed", "unknown_action", "wrong_chain", "wrong_rules"}
        self.tables = {table.name: table for module in modules_of for table in module.tables.values()}
        stage = self.sandbox.stage
        for name in (*INSTITUTIONS, *CITIZENS):
            if name in CITIZENS:
                stage.join(name)
            self.keys[stage.account(name)] = [stage.key(name)]
        self.accounts = list(self.keys)
        stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 10_000_000, "0" * 64))
        stage.act("bank", *(Issue("cny", account, 100_000) for account in self.accounts))

    def run(self, steps: int) -> "Simulation":
        """Take some steps, checking now and then; Failed names the seed and the step."""
        for self.step in range(1, steps + 1):
            try:
                self.act()
                if self.step % CHECK_EVERY == 0 or self.step == steps:
                    self.check()
            except Failed as failed:
                raise Failed(f"seed {self.seed}, step {self.step}: {failed}") from failed
        return self

    def act(self) -> None:
        """Execute a block of one to three random transactions, some time on."""
        stage = self.sandbox.stage
        stage.time_ms += self.random.choices(STEPS_MS, (20, 20, 10, 4, 1))[0]
        raws = [self.transaction() for _ in range(self.random.choice((1, 1, 1, 2, 3)))]
        if self.random.random() < 0.02:  # now and then
            raws.append(raws[0])
        for outcome in self.sandbox.execute(raws, stage.time_ms):
            self.note(outcome)

    def note(self, outcome: Outcome) -> None:
        """Hold an outcome to the declared codes, and remember the ids that it gives out."""
        self.codes[outcome.code] += 1
        if self.sandbox.bugs:
            raise Failed(self.sandbox.bugs[0])
        if outcome.code not in self.known:
            raise Failed(f"{outcome.code} is not declared")
        if outcome.receipt:
            self.ids += _receipts.decode(outcome.receipt).ids

    def transaction(self) -> bytes:
        """Return one to three random calls, signed by those who must, or now and then by one too few."""
        calls, signers = [], dict[str, SigningKey]()
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            action, actor = self.deed()
            message, named = self.message(action)
            calls.append(envelope.Call(actor, action.do, msgspec.Raw(codec.encode(message))))
            key = self.random.choice(self.keys[actor]) if self.now_and_then() else self.key_in_force(actor)
            signers |= {each.key_id: each for each in (key, *named)}
            if isinstance(message, Rotate):
                self.keys[actor] += named
        rules, now = self.sandbox.rules, self.sandbox.stage.time_ms
        expires = now + self.random.choice((1, 300_000, 300_000, 300_000, 86_400_000))
        salt = f"{self.random.getrandbits(2 if self.now_and_then() else 128):032x}"
        return envelope.sign(envelope.Payload(tuple(calls), rules.chain, expires, 1, salt), list(signers.values()))

    def now_and_then(self) -> bool:
        """Decide for something unusual, once in thirty times."""
        return self.random.randrange(30) == 0

    def deed(self) -> tuple[Action, str]:
        """Choose an action and its actor: now and then anybody, else somebody who may."""
        now, held = self.sandbox.stage.time_ms, dict[str, set[str]]()
        for key, grant in self.sandbox.view[system.roles].items():
            account, _, name = key.partition("/")
            held.setdefault(account, set()).update((name,) if grant.until_ms == 0 or now < grant.until_ms else ())
        while True:
            action = self.random.choice(self.actions)
            may = [a for a in self.accounts if action.allow.holds(held.get(a, set()).__contains__)]
            if self.now_and_then():
                return action, self.random.choice(self.accounts)
            if may:
                return action, self.random.choice(may)

    def key_in_force(self, account: str) -> SigningKey:
        """Return the key that holds for an account now."""
        row = self.sandbox.view[system.accounts].get(account)
        ids = row.keys_at(self.sandbox.stage.time_ms) if row is not None else ()
        return next((key for key in self.keys[account] if key.key_id in ids), self.keys[account][0])

    def message(self, action: Action) -> tuple[msgspec.Struct, list[SigningKey]]:
        """Draw a message of an action; return it with the keys that it names."""
        named: list[SigningKey] = []
        values = {field.name: self.draw(field.name, field.type, named) for field in fields_of(action.message)}
        return action.message(**values), named

    def draw(self, name: str, kind: inspect.Type, named: list[SigningKey]) -> object:
        """Draw a value of a field."""
        if isinstance(kind, inspect.Metadata):
            return self.text(name, str((kind.extra or {}).get("text")), named)
        if isinstance(kind, inspect.IntType):
            return self.number(name, kind.ge or 0, kind.le or 0)
        if isinstance(kind, inspect.VarTupleType):
            count = self.random.randint(kind.min_length or 0, min(kind.max_length or 0, 3))
            return tuple(self.draw(name, kind.item_type, named) for _ in range(count))
        if isinstance(kind, inspect.StructType):
            return kind.cls(**{field.name: self.draw(field.name, field.type, named) for field in kind.fields})
        if isinstance(kind, inspect.UnionType):
            return self.draw(name, self.random.choice(kind.types), named)
        if isinstance(kind, inspect.LiteralType):
            return self.random.choice(kind.values)
        return self.random.random() < 0.5 if isinstance(kind, inspect.BoolType) else None

    def number(self, name: str, least: int, most: int) -> int:
        """Draw a number: a time near the clock, or an amount that somebody has used before, or an extreme."""
        if name.endswith("_ms"):
            drawn = self.sandbox.stage.time_ms + self.random.choice(TIMES_MS)
        elif name.endswith("_per_hour") and not self.now_and_then():
            drawn = 1_000_000
        else:
            near = self.random.choice(self.amounts) + self.random.choice((-1, 0, 0, 1))
            drawn = self.random.choice((least, most)) if self.now_and_then() else self.random.choice((near, *NUMBERS))
            self.amounts[self.random.randrange(len(self.amounts))] = drawn
        return max(least, min(most, drawn))

    def text(self, name: str, kind: str, named: list[SigningKey]) -> str:
        """Draw a text of a kind."""
        table = self.tables.get(name) or self.tables.get(f"{name}s")
        if kind in ("id", "slug") and table is not None and not self.now_and_then():
            keys = [key for key, _ in self.sandbox.view[table].items()][-8:]
            if keys:
                return self.random.choice(keys)
        if kind == "id":
            return self.random.choice(self.ids[-40:])
        if kind == "account":
            likely = [self.sandbox.stage.account(name)] if name in INSTITUTIONS and not self.now_and_then() else ()
            return self.random.choice(likely or self.accounts)
        if kind == "slug":
            return self.random.choice(self.slugs)
        if kind == "key":
            old = self.keys[self.random.choice(self.accounts)][0]
            named.append(old if self.now_and_then() else SigningKey(self.random.randbytes(32)))
            return named[-1].key_id
        if kind in ("commitment", "digest"):
            return sha256(self.random.randbytes(4)).hex()
        return self.random.choice(("Help", "Ein Herz für Li", "李的心", "x" * 200))

    def check(self) -> None:
        """Require that every invariant holds."""
        broken = self.sandbox.broken()
        if broken:
            raise Failed(f"no longer true: {', '.join(broken)}")


@cache
def fields_of(message: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """Return the fields of a message type with their limits."""
    kind = inspect.type_info(message)
    assert isinstance(kind, inspect.StructType)
    return kind.fields


def simulate(modules: Iterable[Module], seed: int, steps: int) -> Simulation:
    """Run one seed; Failed names the seed and the step when something is wrong."""
    return Simulation(modules, seed).run(steps)
