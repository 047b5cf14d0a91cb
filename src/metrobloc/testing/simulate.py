"""A long seeded simulation of all applications together, from nothing but their declarations.

Messages are drawn from the message types: numbers at their limits, near each other or near the clock, ids from those
that receipts have given out, accounts and institutions' short names from those that exist. Actors are random, so most
messages are refused, some with a code that nobody thought of: that, a bug, an invariant that fails or money that
appears is the result. A seed gives the same run for ever; the seed of a failing run is the bug report.
"""

import random
from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import inspect

from metrobloc.commons.identity.types import Register, Rotate
from metrobloc.kernel import codec, envelope, system
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.crypto import SigningKey, sha256
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.testing.sandbox import Sandbox

CITIZENS = ("ann", "bo", "cy", "di")
INSTITUTIONS = ("office", "bank", "hospital", "charity", "company", "supervisor")
CHECK_EVERY = 50
STEPS_MS = (1, 1000, 60_000, 3_600_000, 40 * 3_600_000)
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
        self.amounts = [1, 2, 100]
        self.keys: dict[str, list[SigningKey]] = {}
        modules_of = self.sandbox.rules.modules
        self.actions = [action for module in modules_of for action in module.actions.values()]
        self.known = {"ok", *ENGINE_REFUSALS, *VOIDS, *(code for module in modules_of for code in module.refusals)}
        self.known -= {"internal", "malformed", "unknown_action", "wrong_chain", "wrong_rules"}
        for name in (*INSTITUTIONS, *CITIZENS):
            if name in CITIZENS:
                self.sandbox.stage.join(name)
            self.keys[self.sandbox.stage.account(name)] = [self.sandbox.stage.key(name)]
        self.accounts = list(self.keys)

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
        if self.random.random() < 0.02:  # noqa: PLR2004  # now and then
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
        actor = self.random.choice(self.accounts)
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            actor = self.random.choice((actor, actor, self.random.choice(self.accounts)))
            action = self.random.choice(self.actions)
            message, new = self.message(action)
            calls.append(envelope.Call(actor, action.do, msgspec.Raw(codec.encode(message))))
            key = self.random.choice(self.keys[actor]) if self.random.random() < 0.1 else self.key_in_force(actor)  # noqa: PLR2004
            signers |= {each.key_id: each for each in (key, *new)}
            if isinstance(message, Rotate):
                self.keys[actor] += new
        rules, now = self.sandbox.rules, self.sandbox.stage.time_ms
        expires = now + self.random.choice((1, 300_000, 300_000, 300_000, 86_400_000))
        salt = f"{self.random.getrandbits(128 if self.random.random() < 0.9 else 2):032x}"  # noqa: PLR2004
        return envelope.sign(envelope.Payload(tuple(calls), rules.chain, expires, 1, salt), list(signers.values()))

    def key_in_force(self, account: str) -> SigningKey:
        """Return the key that holds for an account now."""
        row = self.sandbox.view[system.accounts].get(account)
        ids = row.keys_at(self.sandbox.stage.time_ms) if row is not None else ()
        return next((key for key in self.keys[account] if key.key_id in ids), self.keys[account][0])

    def message(self, action: Action) -> tuple[msgspec.Struct, list[SigningKey]]:
        """Draw a message of an action; return it with the keys that it names."""
        new: list[SigningKey] = []
        kind = inspect.type_info(action.message)
        assert isinstance(kind, inspect.StructType)
        values = {field.name: self.draw(field.name, field.type, new) for field in kind.fields}
        if action.message is Register and self.random.random() < 0.9:  # noqa: PLR2004  # the cast stays small
            values["key"] = self.keys[self.random.choice(self.accounts)][0].key_id
        return action.message(**values), new

    def draw(self, name: str, kind: inspect.Type, new: list[SigningKey]) -> object:
        """Draw a value of a field."""
        if isinstance(kind, inspect.Metadata):
            return self.text(str((kind.extra or {}).get("text")), new)
        if isinstance(kind, inspect.IntType):
            return self.number(name, kind.ge or 0, kind.le or 0)
        if isinstance(kind, inspect.VarTupleType):
            count = self.random.randint(kind.min_length or 0, min(kind.max_length or 0, 3))
            return tuple(self.draw(name, kind.item_type, new) for _ in range(count))
        if isinstance(kind, inspect.StructType):
            return kind.cls(**{field.name: self.draw(field.name, field.type, new) for field in kind.fields})
        if isinstance(kind, inspect.UnionType):
            return self.draw(name, self.random.choice(kind.types), new)
        if isinstance(kind, inspect.LiteralType):
            return self.random.choice(kind.values)
        return self.random.random() < 0.5 if isinstance(kind, inspect.BoolType) else None  # noqa: PLR2004

    def number(self, name: str, least: int, most: int) -> int:
        """Draw a number: a time near the clock, or an amount that somebody has used before, or an extreme."""
        if name.endswith("_ms"):
            drawn = self.sandbox.stage.time_ms + self.random.choice((-1, 0, 1000, 60_000, 3_600_000, 90_000_000))
        else:
            near = self.random.choice(self.amounts) + self.random.choice((-1, 0, 0, 1))
            drawn = self.random.choice((near, near, near, self.random.randint(1, 10_000), least, most))
            self.amounts = [*self.amounts[-50:], drawn]
        return max(least, min(most, drawn))

    def text(self, kind: str, new: list[SigningKey]) -> str:
        """Draw a text of a kind."""
        if kind == "id":
            return self.random.choice(self.ids[-40:])
        if kind == "account":
            return self.random.choice(self.accounts)
        if kind == "slug":
            return self.random.choice(self.slugs)
        if kind == "key":
            new.append(SigningKey(self.random.randbytes(32)))
            return new[-1].key_id
        if kind in ("commitment", "digest"):
            return sha256(self.random.randbytes(4)).hex()
        return self.random.choice(("Help", "Ein Herz für Li", "李的心", "x" * 200))

    def check(self) -> None:
        """Require that every invariant holds."""
        broken = self.sandbox.broken()
        if broken:
            raise Failed(f"no longer true: {', '.join(broken)}")


def simulate(modules: Iterable[Module], seed: int, steps: int) -> Simulation:
    """Run one seed; Failed names the seed and the step when something is wrong."""
    return Simulation(modules, seed).run(steps)
