"""Governance cannot lock itself out: whatever was decided before, those who are members then can change a parameter.

Each seed is a city whose council makes twenty proposals of any kind, with values at, within and beyond their limits;
members approve, withdraw and freeze their accounts in any order, while time and blocks go by. Nothing is signed: who
may do what, and how it is counted, is what this is about. A decision that the program cannot follow stops it, as it
would a node; then a newer program is installed, and the city goes on.
"""

import random
from collections import Counter

import msgspec

from metrobloc.commons.governance.rules import app, councils, decisions, notice_blocks, proposals
from metrobloc.commons.governance.rules.deciding import ROLES
from metrobloc.commons.governance.rules.declared import HEIGHT_AHEAD_MAX
from metrobloc.commons.governance.rules.queries import council, holders
from metrobloc.commons.governance.test_rules import DAY_MS
from metrobloc.commons.governance.types import (
    Approve,
    CarryOut,
    ProposeCancel,
    ProposeCouncil,
    ProposeModule,
    ProposeOffice,
    ProposeRules,
    ProposeValue,
    Withdraw,
)
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Freeze
from metrobloc.engine.memory import Memory
from metrobloc.kernel import system
from metrobloc.kernel.block import BlockRun
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.machine import make_rules
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.tables import Param
from metrobloc.kernel.types import INT_MAX, Message
from metrobloc.testing.sandbox import START_MS, Sandbox
from tests.support import rounds

SEEDS = rounds(1_000, 20_000)
PROPOSALS = 20
SOON = 100
"""A council that changes hands within so many blocks does so before the last question is put."""
FREEZE_MS_MAX = identity.params["freeze_ms"].limits[1]
SPECS = (*identity.params.values(), *app.params.values())
GENESIS = demo_genesis(START_MS, ("identity", "governance"), "council")
KNOWN = {module.name: module for module in (identity, app, Module("museum", {}))}
FOUNDED = Sandbox(KNOWN.values(), GENESIS)
_receipts = msgspec.json.Decoder(ReadReceipt)


class Nothing(Message):
    """Do nothing."""


def newer_program(modules: set[str], version: int) -> dict[str, Module]:
    """Return what a program has that knows some modules, and the rules up to a version."""
    newest = Module("newest", {})

    @newest.tx(allow=anyone, since=version)
    def nothing(ctx: Ctx, msg: Nothing) -> None:
        """Do nothing."""
        del ctx, msg

    every = KNOWN | {name: Module(name, {}) for name in modules if name not in KNOWN}
    return every | {newest.name: newest}


class City:
    """A city at random, without what a ledger needs besides its records: trees, log and signatures."""

    def __init__(self, seed: int) -> None:
        """Begin as genesis left it."""
        self.random = random.Random(seed)  # chance that can be repeated is wanted
        self.rules, self.height, self.now_ms = FOUNDED.rules, 0, START_MS
        self.memory = Memory()
        for rows, founded in ((self.memory.records, FOUNDED.memory.records), (self.memory.index, FOUNDED.memory.index)):
            for key, row in founded.rows.items():
                rows.set(key, row)
        self.view = View(self.memory)
        self.accounts = [account for account, _ in self.view[system.accounts].items()]
        self.salt = 0
        self.stops = 0

    def open_block(self) -> BlockRun:
        """Open the next block, with a newer program where this one cannot."""
        height = self.height + 1
        try:
            run = BlockRun(self.rules, self.memory, (), height, self.now_ms)
        except MachineFault:
            self.stops += 1
            active = {name for name, _ in self.view[system.modules].items()}
            info = self.view[system.chain].get("info")
            assert info is not None
            self.rules = make_rules(GENESIS, newer_program(active, info.rules_at(height)))
            run = BlockRun(self.rules, self.memory, (), height, self.now_ms)
        run.run_due()
        return run

    def act(self, *calls: tuple[str, Message]) -> list[tuple[str, tuple[str, ...]]]:
        """Do some things in one block; return the code and the ids of each."""
        run = self.open_block()
        told = []
        for actor, message in calls:
            self.salt += 1
            action = self.rules.actions[self.rules.names[type(message)]]
            receipt = _receipts.decode(run.execute(f"{self.salt:032x}", [(action, actor, message)])[1])
            told.append((receipt.code, receipt.ids))
        assert not run.bugs, run.bugs[0]
        run.close(())
        for path, entry in run.state.changed.items():
            self.memory.records.set(path.encode(), entry and entry[0])
        for path, there in run.state.index_changed.items():
            self.memory.index.set(path.encode(), b"" if there else None)
        self.height += 1
        return told

    def broken(self) -> list[str]:
        """Return the names of the invariants that do not hold."""
        checks = {**identity.invariants, **app.invariants}
        return [name for name, holds in checks.items() if not holds(self.view)]

    def pass_by(self) -> None:
        """Let time and blocks go by."""
        self.now_ms += self.random.choice((0, 1, 3_600_000, DAY_MS, 15 * DAY_MS, 400 * DAY_MS))
        self.height += self.random.choice((0, 0, 1, 8, 10, 100, 10_000, 10_000_000))

    def members(self) -> list[str]:
        """Return who is on the council."""
        return list(holders(self.view, "council"))

    def some(self, most: int) -> tuple[str, ...]:
        """Draw accounts, now and then one twice."""
        drawn = self.random.sample(self.accounts, self.random.randint(1, most))
        return (*drawn, drawn[0]) if self.random.randrange(10) == 0 else tuple(drawn)

    def proposal(self) -> Message:
        """Draw a proposal."""
        height = self.height
        far = HEIGHT_AHEAD_MAX
        from_height = self.random.choice((0, 0, height + 5, height + 30, height + far, height + far + 9))
        kind = self.random.randrange(10)
        if kind <= 2:
            spec = self.random.choice(SPECS)
            least, most = spec.limits
            value = self.random.choice((least - 1, least, spec.default, most, min(most + 1, INT_MAX), INT_MAX))
            return ProposeValue(spec.module, self.random.choice((spec.name, spec.name, "none")), value, from_height)
        if kind == 3:
            name = self.random.choice(("museum", "archive", "identity", "governance", "kernel", "lab"))
            return ProposeModule(name, from_height)
        if kind == 4:
            info = self.view[system.chain].get("info")
            version = 0 if info is None else info.rules_at(height)
            return ProposeRules(max(0, version + self.random.choice((-1, 0, 1, 1, 1, 2, 100))), from_height)
        if kind <= 6:
            members = self.some(7)
            return ProposeCouncil(members, self.random.randint(0, len(members) + 1), from_height)
        if kind == 7:
            role: object = self.random.choice(("office", "supervisor"))
            return msgspec.convert({"role": role, "holders": self.some(3), "from_height": from_height}, ProposeOffice)
        subjects = [subject for subject, _ in self.view[decisions].items()]
        return ProposeCancel(self.random.choice([*subjects, "value.governance.voting_ms", "rules", "nonsense"]))

    def vote(self) -> None:
        """Let a member propose something, and others say what they think of all that is proposed."""
        members = self.members()
        told = self.act((self.random.choice(members), self.proposal()))
        assert told[0][0] != "not_allowed"
        every = [made for made, _ in self.view[proposals].items()]
        newest = told[0][1][:1] or every[:1]
        calls: list[tuple[str, Message]] = []
        for member in self.random.sample(members, self.random.randint(0, len(members))):
            about = self.random.choice([*newest, *newest, *newest, *every]) if every else "a" * 26
            calls.append((member, Withdraw(about) if self.random.randrange(8) == 0 else Approve(about)))
        if self.random.randrange(6) == 0:
            calls.append((self.random.choice(members), Freeze()))
        if self.random.randrange(3) == 0:
            calls.append((self.random.choice(self.accounts), CarryOut()))
        self.act(*calls)
        self.pass_by()

    def can_still_change(self) -> None:
        """Require that the members of now change a parameter."""
        self.now_ms += FREEZE_MS_MAX
        rows = self.view[decisions]
        waiting = [row.from_height for row in map(rows.get, ROLES) if row and not row.carried_out]
        self.height = max([self.height, *(height for height in waiting if height < self.height + SOON)])
        self.act((self.accounts[0], CarryOut()))
        members, needed = self.members(), council(self.view).needed
        spec = self.random.choice(SPECS)
        value = self.random.choice([limit for limit in spec.limits if limit != self.value(spec.module, spec.name)])
        first, *others = self.random.sample(members, needed)
        code, ids = self.act((first, ProposeValue(spec.module, spec.name, value)))[0]
        assert code == "ok"
        for member in others:
            assert self.view[proposals].get(ids[0]) is not None, "fewer are enough than it was said"
            assert self.act((member, Approve(ids[0])))[0][0] == "ok"
        decided = self.view[decisions].get(f"value.{spec.module}.{spec.name}")
        assert decided is not None
        assert decided.proposal == ids[0]
        assert decided.from_height <= self.height + notice_blocks.limits[1]
        self.height = decided.from_height - 1
        self.open_block()
        assert self.value(spec.module, spec.name) == value

    def value(self, module: str, name: str) -> int:
        """Return a parameter's value in the next block."""
        return (self.view[system.params].get((module, name)) or Param(0)).at(self.height + 1)


def test_every_city_can_change_its_parameters_whatever_was_decided_before() -> None:
    decided, stops, changed = Counter[str](), 0, 0
    for seed in range(SEEDS):
        city = City(seed)
        for _ in range(PROPOSALS):
            city.vote()
        decided.update(subject.partition(".")[0] for subject, _ in city.view[decisions].items())
        stops += city.stops
        changed += city.view[councils].get("council") is not None
        try:
            assert not city.broken(), city.broken()
            city.can_still_change()
            assert not city.broken(), city.broken()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert min(decided[kind] for kind in ("value", "module", "rules", "council", "office", "supervisor")) > SEEDS // 20
    assert stops > SEEDS // 20, "programs were too old now and then"
    assert changed > SEEDS // 4, "councils have changed hands"
