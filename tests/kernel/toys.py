"""A module of toys for the kernel's tests: each action makes the kernel do one thing."""

from typing import Literal

import msgspec

from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import AccountId, Amount, Event, Id, Message, Record, Signed, Slug, TimeMs, Total
from metrobloc.testing.sandbox import START_MS, Sandbox

app = Module("toy", {"never": "This toy always says no."})


How = Literal["bug", "foreign", "bad_code", "fault", "memory", "recursion", "disk"]


class Box(Record):
    """What is kept under a name."""

    colour: Slug
    size: Total = 0


class Put(Message):
    """Write a box."""

    box: Slug
    colour: Slug
    size: Total = 0


class Make(Message):
    """Make a box under a new id, and wait for a deadline to do something with it."""

    until_ms: TimeMs
    then: Literal["paint", "never", "bug", "cancel"] = "paint"
    other: Id | None = None


class Paint(Message):
    """Change the colour of a box that is there."""

    box: Id
    colour: Slug


class Drop(Message):
    """Remove a box."""

    box: Slug


class Roll(Message):
    """Move marbles to somebody, out of nothing."""

    to: AccountId
    amount: Amount


class Toil(Message):
    """Use up work."""

    units: Amount


class Grow(Message):
    """Write a box of a size that may be out of range."""

    by: Signed


class Break(Message):
    """Fail in a way that no rule provides for."""

    how: How


class Never(Message):
    """Be refused."""


class Shout(Message):
    """Tell the same thing many times."""

    times: Amount


class Boss(Message):
    """Do what only the office may."""


class Shop(Message):
    """Do what toyshops and banks that are offices may."""


class Painted(Event):
    """A box has another colour."""

    colour: Slug


boxes = app.table("boxes", Box, str, "unknown", "taken")
marbles = app.ledger("marbles")
by_colour = app.index("by_colour", boxes, lambda box: box.colour)
size_max = app.param("size_max", 100, "Boxes must fit on the shelf.", (1, 1000))


@app.tx(allow=anyone)
def put(ctx: Ctx, msg: Put) -> None:
    """Write a box."""
    ctx[boxes][msg.box] = Box(msg.colour, msg.size)
    ctx.emit(Painted(msg.colour))


@app.tx(allow=anyone)
def shout(ctx: Ctx, msg: Shout) -> None:
    """Tell the same thing many times."""
    ctx[boxes]["loud"] = Box("red")
    for _ in range(msg.times):
        ctx.emit(Painted("red"))


@app.tx(allow=anyone)
def make(ctx: Ctx, msg: Make) -> None:
    """Make a box that a deadline comes back to."""
    made = ctx.new_id()
    ctx[boxes].add(made, Box("grey"))
    deadline = {"paint": paint_it, "never": say_never, "bug": stumble, "cancel": forget_other}[msg.then]
    ctx.at(msg.until_ms, deadline, msg.other or made)


@app.tx(allow=anyone)
def paint(ctx: Ctx, msg: Paint) -> None:
    """Change a box that must be there."""
    ctx[boxes][msg.box] = ctx[boxes][msg.box].but(colour=msg.colour)


@app.tx(allow=anyone)
def drop(ctx: Ctx, msg: Drop) -> None:
    """Remove a box."""
    del ctx[boxes][msg.box]


@app.tx(allow=anyone)
def roll(ctx: Ctx, msg: Roll) -> None:
    """Move marbles to somebody."""
    ctx[marbles].move("toy.bag", msg.to, msg.amount, "glass", floor=-(2**53 - 1))


@app.tx(allow=anyone)
def toil(ctx: Ctx, msg: Toil) -> None:
    """Use up work, more for larger shelves."""
    ctx.work(msg.units * ctx.param(size_max) // 100)


@app.tx(allow=anyone)
def grow(ctx: Ctx, msg: Grow) -> None:
    """Write a size that may be out of range."""
    ctx[boxes]["growing"] = Box("green", msg.by + 2**53 - 1)


@app.tx(allow=anyone)
def break_(ctx: Ctx, msg: Break) -> None:
    """Fail."""
    ctx[boxes]["broken"] = Box("black")
    if msg.how == "foreign":
        ctx[money.tables["limits"]][("cny", ctx.actor)] = Box("red")
    if msg.how == "bad_code":
        app.refuse("undeclared")
    machine = {"memory": MemoryError, "recursion": RecursionError, "disk": OSError, "fault": MachineFault}
    raise machine.get(msg.how, ZeroDivisionError)


@app.tx(allow=anyone)
def never(ctx: Ctx, msg: Never) -> None:
    """Be refused, having written something."""
    del msg
    ctx[boxes]["nowhere"] = Box("white")
    ctx.emit(Painted("white"))
    ctx.new_id()
    app.refuse("never")


@app.tx(allow=role("office"))
def boss(ctx: Ctx, msg: Boss) -> None:
    """Do what only the office may."""
    del ctx, msg


@app.tx(allow=role("toyshop") | (role("bank") & role("office")))
def shop(ctx: Ctx, msg: Shop) -> None:
    """Do what toyshops may."""
    del ctx, msg


@app.deadline
def paint_it(ctx: Ctx, key: str) -> None:
    """Paint the box."""
    ctx[boxes][key] = ctx[boxes][key].but(colour="red")
    ctx.emit(Painted("red"))


@app.deadline
def say_never(ctx: Ctx, key: str) -> None:
    """Refuse."""
    ctx[boxes][key] = Box("white")
    app.refuse("never")


@app.deadline
def stumble(ctx: Ctx, key: str) -> None:
    """Fail."""
    ctx[boxes][key] = Box("white")
    raise ZeroDivisionError


@app.deadline
def forget_other(ctx: Ctx, key: str) -> None:
    """Cancel another deadline."""
    ctx.cancel(key)


@app.query
def size(view: View) -> int:
    """Sum the sizes of all boxes."""
    return sum(box.size for _, box in view[boxes].items())


MODULES = (identity, money, app)
_receipts = msgspec.json.Decoder(ReadReceipt)


def genesis(limits: Limits | None = None, *, quota_per_hour: int = 1_000_000, **params: int) -> bytes:
    """Write a playground's genesis with its own limits and quotas."""
    keys = [(name, demo_key(name)) for name in ROLES]
    founders = tuple(Founder(key.key_id, quota_per_hour, (name,)) for name, key in keys if key is not None)
    names = tuple(module.name for module in MODULES)
    values = {name.replace("__", "."): value for name, value in params.items()}
    return codec.encode(Genesis(founders, names, "demo-toys", START_MS, limits or Limits(), values))


class Toys(Sandbox):
    """A sandbox of toys whose transactions a test writes by hand."""

    def __init__(self, limits: Limits | None = None, *, quota_per_hour: int = 1_000_000, **params: int) -> None:
        """Found a chain with limits of its own."""
        super().__init__(MODULES, genesis(limits, quota_per_hour=quota_per_hour, **params))

    @property
    def now(self) -> int:
        """The time of the last block."""
        return self.stage.time_ms

    def sign(self, payload: envelope.Payload, *signers: str | SigningKey) -> bytes:
        """Sign by actors' names or keys."""
        return envelope.sign(payload, [self.stage.key(who) if isinstance(who, str) else who for who in signers])

    def tx(self, actor: str, *messages: Message, expires_ms: int = 300_000, salt: str = "") -> bytes:
        """Return a transaction of one actor, which expires some time from now."""
        payload = self.stage.payload(*((actor, message) for message in messages), expires_ms=expires_ms)
        return self.sign(msgspec.structs.replace(payload, salt=salt or payload.salt), actor)

    def block(self, *raws: bytes, later_ms: int = 1000) -> list[Outcome]:
        """Execute a block some time on."""
        self.stage.time_ms += later_ms
        return self.execute(raws, self.now)

    def codes(self, *raws: bytes, later_ms: int = 1000) -> list[str]:
        """Execute a block some time on; return what became of its transactions."""
        return [outcome.code for outcome in self.block(*raws, later_ms=later_ms)]

    def receipts(self) -> list[ReadReceipt]:
        """Return the newest block's receipts."""
        return [_receipts.decode(raw) for raw in self.sealed[-1].receipts]

    def colour(self, box: str) -> str | None:
        """Return a box's colour."""
        found = self.view[boxes].get(box)
        return None if found is None else found.colour
