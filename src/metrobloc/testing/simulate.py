"""A long seeded simulation of applications together, from nothing but their declarations.

Each step is a block, at a later time than the one before. One block in six holds one to three signed transactions of
any kind, which go through all that a node does with bytes from outside. In the others one kind of action is tried until
it works, at most six times, without signatures. Three seeds of four begin in the middle of a story, and do so again
every 150 steps; the fourth begins with nothing and goes on with one chain. What a run looks for is a code that nobody
declared, a bug, an invariant that fails or money that appears. A seed gives the same run for ever; the seed of a
failing run is the bug report.
"""

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from hashlib import sha256
from itertools import accumulate

import msgspec

from metrobloc.commons.identity import demo
from metrobloc.commons.identity.types import Register
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.stage import Stage
from metrobloc.kernel import accounts, codec, envelope, system
from metrobloc.kernel.block import BlockRun, Calls
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.envelope import CALLS_MAX
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS, MachineFault, Refused
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.types import Message
from metrobloc.surface.describe import parameters_of, roles_in
from metrobloc.testing.drawing import Drawing
from metrobloc.testing.guidance import Known, fields_of
from metrobloc.testing.sandbox import Sandbox

Story = Callable[[Stage], None]

CITIZENS = ("ann", "bo", "cy", "di", "eve", "flo")
CHECK_EVERY = 50
STEPS_MS = (*[1] * 30, *[1000] * 30, *[60_000] * 12, *[3_600_000] * 3, 40 * 3_600_000)
"""How far apart blocks are, in milliseconds, as often as they stand here."""

EPOCH = 100
"""For how many steps some actions are left out, so that what the others build up is not torn down at once."""

SCENE = 150
"""After how many steps a seed that plays stories begins anew: in the end everything is closed, suspended or paid."""

TRIES = 6
"""How often an action is tried in a block before it is closed though nothing worked."""

DUE = b',"due":"'
"""What only a deadline's receipt holds."""

NOT_DRAWN = {"internal", "malformed", "unknown_action", "wrong_chain", "wrong_rules"}
_receipts = msgspec.json.Decoder(ReadReceipt)


class Failed(AssertionError):
    """The simulation met what must not be; the message names the seed and the step."""


@cache
def _told(modules: tuple[Module, ...], play: Story) -> Sandbox:
    """Return a chain on which a story has been played."""
    box = Sandbox(modules)
    play(box.stage)
    return box


class Simulation:
    """One run: a chain in memory, its actors, and what they may name."""

    def __init__(self, modules: Iterable[Module], seed: int, stories: Sequence[Story] = ()) -> None:
        """Make ready the first scene."""
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311  # chance that can be repeated is wanted
        self.modules = tuple(modules)
        self.stories = stories if seed % 4 else ()
        self.codes: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.actions = [action for module in self.modules for action in module.actions.values()]
        codes = (code for module in self.modules for code in module.refusals)
        self.declared = {"ok", *ENGINE_REFUSALS, *VOIDS, *codes} - NOT_DRAWN
        self.roles = sorted({*demo.ROLES, *(name for action in self.actions for name in roles_in(action.allow))})
        self._worked: dict[str, list[Message]] = {}
        self._whole = sha256()
        self._usual: Counter[str] = Counter()
        self._scene: list[str] = []
        self._begin()
        self._choose()

    def _begin(self) -> None:
        """Found a chain, play a story on it, and open the actors' accounts."""
        self.sandbox = Sandbox(self.modules)
        self.known = Known(self.modules, self.sandbox.memory)
        self.drawing = Drawing(self.random, self.known, self.roles, self._worked)
        self._refers = {action.do: tuple(self._tables(action)) for action in self.actions}
        self._may: dict[str, list[str]] = {}
        self._may_at = (-1, -1)
        self._noted = 0
        if self.stories:
            self._play(self.random.choice(self.stories))
            self._learn()
        stage, view = self.sandbox.stage, self.sandbox.view
        for name in (*demo.ROLES, *CITIZENS):
            if view[system.accounts].get(stage.account(name)) is None:
                stage.join(name)
        for name, key in stage.keys.items():
            account = accounts.account_id(key.key_id)
            if view[system.accounts].get(account) is not None:
                self.drawing.add_actor(account, key, name)
        if OpenAsset in self.sandbox.rules.names:
            stage.act("bank", OpenAsset("sim", "Cents", 2), RecordReserve("sim", 10_000_000, "0" * 64))
            stage.act("bank", *(Issue("sim", account, 100_000) for account in self.drawing.accounts[:CALLS_MAX]))
        self.catch_up()
        self.ask()

    def _play(self, play: Story) -> None:
        """Play a story up to any moment of it: what is half done there can go on in many ways."""
        told = _told(self.modules, play)
        for sealed in told.sealed[1 : 2 + self.random.randrange(told.machine.height)]:
            self.sandbox.replay(read_block(sealed.block))
        self.sandbox.stage.keys.update(told.stage.keys)
        self.sandbox.stage.time_ms = self.sandbox.machine.time_ms

    def _learn(self) -> None:
        """Remember what worked in the story, and how often each action did: that is how often it is drawn."""
        usual: Counter[str] = Counter()
        for sealed in self.sandbox.sealed:
            block = read_block(sealed.block)
            for raw, (_, index) in zip(block.transactions, sealed.transactions, strict=True):
                if _receipts.decode(sealed.receipts[index]).code == "ok":
                    for call in envelope.reopen(bytes(raw)).payload.calls:
                        action = self.sandbox.rules.actions[call.do]
                        usual[call.do] += 1
                        self.done[call.do] += 1
                        self.drawing.learn(action, action.decoder.decode(call.with_))
        self._usual |= usual
        self._scene = [do.partition(".")[0] for do in usual.elements()]

    def run(self, steps: int) -> "Simulation":
        """Take some steps, checking now and then; Failed names the seed and the step."""
        for step in range(1, steps + 1):
            try:
                if step % SCENE == 1 and step > 1 and self.stories:
                    self.check()
                    self._begin()
                    self._choose()
                if step % EPOCH == 0:
                    self._choose()
                self.act()
                if step % CHECK_EVERY == 0 or step == steps:
                    self.check()
            except Failed as failed:
                raise Failed(f"seed {self.seed}, step {step}: {failed}") from failed
        return self

    def act(self) -> None:
        """Execute a block of random transactions, some time on: signed ones, or others until one has worked.

        A chain that was led beyond what this program has ends here, as a node would, and another begins.
        """
        try:
            self.sandbox.machine.ahead()
        except MachineFault:
            self.check()
            self._begin()
        stage = self.sandbox.stage
        stage.time_ms += self.random.choice(STEPS_MS)
        self.drawing.time_ms = stage.time_ms
        if self.random.randrange(6) == 0:
            self._send()
        else:
            self._try()
        if self.sandbox.bugs:
            raise Failed(self.sandbox.bugs[0])
        self.catch_up()

    def _send(self) -> None:
        drawn = [self.transaction(self._action()) for _ in range(self.random.choice((1, 1, 2, 3)))]
        raws = [self.sign(*one, self._salt()) for one in drawn]
        if self.random.randrange(12) == 0:
            raws.append(raws[0])
            drawn.append(([], []))
        outcomes = self.sandbox.execute(raws, self.sandbox.stage.time_ms)
        for outcome, (calls, _) in zip(outcomes, drawn, strict=True):
            self.note(outcome.code, calls)

    def _try(self) -> None:
        """Try one action in several ways until it works: what is hard to do is then done as often as what is easy."""
        run = self.sandbox.machine.open_block(self.sandbox.stage.time_ms)
        action = self._action()
        for _ in range(TRIES):
            calls, _ = self.transaction(action)
            self.drawing.refused = self.try_calls(run, self._salt(), calls)
            self.note(self.drawing.refused, calls)
            if self.drawing.refused == "ok":
                break
        self.sandbox.seal(run)

    def try_calls(self, run: BlockRun, salt: str, calls: Calls) -> str:  # others do more
        """Run calls without signatures and return their code."""
        return run.execute(salt, calls)[0]

    def note(self, code: str, calls: Calls) -> None:
        """Hold an outcome to the declared codes, and remember what worked."""
        self.codes[code] += 1
        if code not in self.declared and code != "internal":  # a bug is told with its traceback
            raise Failed(f"{code} is not declared")
        for action, _, message in calls if code == "ok" else ():
            self.done[action.do] += 1
            self.drawing.learn(action, message)

    def transaction(self, first: Action) -> tuple[Calls, list[SigningKey]]:
        """Return a call of an action, now and then followed by others about the same, and the keys that they name."""
        calls: Calls = []
        named: list[SigningKey] = []
        actions = [first, *(self._action() for _ in range(self.random.choice((0, 0, 0, 0, 0, 1, 2))))]
        self.drawing.look(first.do, self._refers[first.do])
        for action in actions:
            message = self.drawing.message(action)
            actor = self.drawing.actor(action.do.partition(".")[0], self.may(action))
            calls.append((action, actor, message))
            named += self.drawing.named
            if self.drawing.named and not isinstance(message, Register):
                self.drawing.keys.get(getattr(message, "account", actor), []).extend(self.drawing.named)
        return calls, named

    def _choose(self) -> None:
        """Let one module be the theme for a while, and leave a third out (swarm testing, Groce et al., ISSTA 2012).

        Mostly it is one that the story is about, since what it left half done is that module's.
        Otherwise an action is as likely as it is usual in the stories, and likelier until it has worked once.
        """
        about = self._scene if self._scene and self.random.randrange(4) else [one.name for one in self.modules]
        theme = self.random.choice(about)
        much = max(4, len(self.modules))
        chosen = [action for action in self.actions if self.random.randrange(3)] or self.actions
        weights = [
            (1 + self._usual[one.do])
            * (much if one.do.startswith(f"{theme}.") else 1)
            * (1 if self.done[one.do] else 8)
            for one in chosen
        ]
        self._drawn: tuple[list[Action], list[int]] = chosen, list(accumulate(weights))

    def _draw(self) -> Action:
        actions, sums = self._drawn
        return actions[bisect_right(sums, self.random.randrange(sums[-1]))]

    def _action(self) -> Action:
        """Choose an action that somebody may do about what is there; now and then one that was rarely done."""
        action = self._draw()
        for _ in range(TRIES):
            if self._possible(action):
                break
            action = self._draw()
        other = self._draw()
        rare = self._possible(other) and self.done[other.do] < self.done[action.do]
        return action if not rare or self.drawing.mostly() else other

    def _possible(self, action: Action) -> bool:
        """Tell whether somebody may do it, and whether there is what it is about."""
        return bool(self.may(action)) and all(self.known.keys[prefix] for prefix in self._refers[action.do])

    def _tables(self, action: Action) -> Iterable[str]:
        module = action.do.partition(".")[0]
        for field in fields_of(action.message):
            table = self.known.find(module, field.name)
            if table is not None and field.kind in ("id", "account", "slug"):
                yield table.prefix

    def may(self, action: Action) -> list[str]:
        """Return the accounts that hold the roles which an action asks for."""
        now = self.sandbox.stage.time_ms
        if self._may_at[0] != self.known.roles_written or now >= self._may_at[1]:
            self._may.clear()
            self._may_at = (self.known.roles_written, self.known.roles_end(now))
        if action.do not in self._may:
            holds = partial(self.known.holds, now)
            may = [one for one in self.drawing.accounts if action.allow.holds(partial(holds, one))]
            self._may[action.do] = may
        return self._may[action.do]

    def _salt(self) -> str:
        """Return a salt, now and then one that is not fresh."""
        return f"{self.random.getrandbits(2 if self.drawing.now_and_then() else 128):032x}"

    def sign(self, calls: Calls, named: list[SigningKey], salt: str) -> bytes:
        """Return a transaction signed by those who must, or now and then by one too few."""
        signers = {key.key_id: key for key in named}
        for actor in dict.fromkeys(actor for _, actor, _ in calls):
            given = self.known.delegated(actor)
            signing = self.keys_in_force(actor)
            if self.drawing.now_and_then():
                signing = [self.random.choice(self.drawing.keys[actor])]
            elif given and self.random.randrange(3) == 0:
                signing = self.delegate(*self.random.choice(given))
            signers |= {key.key_id: key for key in signing}
        written = tuple(envelope.Call(actor, one.do, msgspec.Raw(codec.encode(msg))) for one, actor, msg in calls)
        rules, now = self.sandbox.rules, self.sandbox.stage.time_ms
        expires = now + self.random.choice((1, 300_000, 300_000, 300_000, 86_400_000))
        return envelope.sign(
            envelope.Payload(written, rules.chain, expires, self.sandbox.version(), salt), [*signers.values()]
        )

    def delegate(self, actor: str, name: str) -> list[SigningKey]:
        """Return the keys of a session, or of whoever may act for an actor."""
        session = [key for key in self.drawing.keys[actor] if key.key_id == name]
        return self.keys_in_force(name) if name in self.drawing.keys else session or self.keys_in_force(actor)

    def keys_in_force(self, account: str) -> list[SigningKey]:
        """Return the keys that sign for an account now."""
        row = self.sandbox.view[system.accounts].get(account)
        keys = {key.key_id: key for key in self.drawing.keys[account]}
        ids = row.at(self.sandbox.stage.time_ms).signers(keys) if row is not None else None
        return [keys[one] for one in ids] if ids else self.drawing.keys[account][:1]

    def check(self) -> None:
        """Require that every invariant holds."""
        broken = self.sandbox.broken()
        if broken:
            raise Failed(f"no longer true: {', '.join(broken)}")
        self.ask()

    def ask(self) -> None:
        """Put every query some questions about what there is, and keep what it says in the digest."""
        for module in self.modules:
            for query in module.queries.values():
                fields = parameters_of(query)
                for _ in range(4 if fields else 1):
                    asked = {field.name: self.drawing.value(module.name, field) for field in fields}
                    try:
                        answer = msgspec.json.encode(query(self.sandbox.view, **asked), order="sorted")
                    except Refused as refused:
                        answer = refused.code.encode()
                    self._whole.update(answer)

    def digest(self) -> str:
        """Return the SHA-256 of all receipts, state roots and answers: another rule gives another digest."""
        return self._whole.hexdigest()

    def catch_up(self) -> None:
        """Take over what has been sealed since."""
        for sealed in self.sandbox.sealed[self._noted :]:
            self.known.note(sealed)
            for receipt in sealed.receipts:
                self._whole.update(receipt)
                if DUE in receipt:
                    self.note(_receipts.decode(receipt).code, [])
            self._whole.update(sealed.header)
        self._noted = len(self.sandbox.sealed)


def simulate(modules: Iterable[Module], seed: int, steps: int, stories: Sequence[Story] = ()) -> Simulation:
    """Run one seed; Failed names the seed and the step when something is wrong."""
    return Simulation(modules, seed, stories).run(steps)
