"""The tests of acts, and the scene on which they play.

Ann and Bo have money. Dora's house is a bank with an asset of its own, for which Cleo may sign; Cy has none of that.
"""

from collections.abc import Sequence

from metrobloc.commons.acts.bundle import digest_of
from metrobloc.commons.acts.rules import acts, app, approvals
from metrobloc.commons.acts.story import write
from metrobloc.commons.acts.types import Act, Approve, Bundle, Propose
from metrobloc.commons.identity import keeping
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit, Mandate
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.rules import balances
from metrobloc.commons.money.types import Issue, Leg, Move, OpenAsset, RecordReserve
from metrobloc.kernel.context import Ctx, derive_id
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone, role
from metrobloc.kernel.system import Ceiling, Delegation
from metrobloc.kernel.types import INT_MAX, AccountId, Amount, Key, Message
from metrobloc.testing.edges import Scene

NOBODY = "a" * 26
NO_PAPER = "0" * 64
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
DAY_MINUTES = 24 * 60
SCOPE = ("acts.approve", "money.move", "money.issue", "toy")

toy = Module("toy", {})


class Toil(Message):
    """Use up work, and fail if there is nothing to do."""

    units: Amount


class Vow(Message):
    """Promise something to the owner of a key, who signs too."""

    keys: tuple[Key, Key] | None = None
    key: Key | None = None


class Guard(Message):
    """Do what only a bank may."""


@toy.tx(allow=anyone)
def toil(ctx: Ctx, msg: Toil) -> None:
    """Use up work; thirteen units break the toy."""
    ctx.work(msg.units)
    if msg.units == 13:
        raise ZeroDivisionError


@toy.tx(allow=anyone)
def vow(ctx: Ctx, msg: Vow) -> None:
    """Promise."""
    del ctx, msg


@toy.tx(allow=role("bank"))
def guard(ctx: Ctx, msg: Guard) -> None:
    """Guard."""
    del ctx, msg


class Crown(Message):
    """Let one account do everything in another's name, as a succession does."""

    account: AccountId
    heir: AccountId


@toy.tx(allow=anyone)
def crown(ctx: Ctx, msg: Crown) -> None:
    """Hand over."""
    keeping.delegate(ctx, msg.account, msg.heir, Delegation((), INT_MAX, ctx.time_ms))


class Wave(Message):
    """Wave."""


class Bow(Message):
    """Bow."""


class WaveTwice(Message):
    """Wave with both hands."""

    hands: Amount


@toy.tx(allow=anyone)
def wave(ctx: Ctx, msg: Wave) -> None:
    """Wave as under the first rules."""
    del msg
    ctx.work(1)


@toy.tx(allow=anyone, verb="wave", since=2)
def wave_twice(ctx: Ctx, msg: WaveTwice) -> None:
    """Wave as under the second rules."""
    ctx.work(msg.hands)


@toy.tx(allow=anyone, since=2)
def bow(ctx: Ctx, msg: Bow) -> None:
    """Bow, which the first rules do not know."""
    del ctx, msg


MODULES = (identity, money, app, toy)


def scene(genesis: bytes | None = None) -> Scene:
    """Set the scene: Ann has 100 fen and Bo 50, Dora's house 30 and a reserve for 40 of its own."""
    made = Scene(MODULES, genesis)
    stage = made.stage
    for name in ("ann", "bo", "cy", "cleo", "dora"):
        stage.join(name)
    stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 1000, NO_PAPER))
    for name, fen in (("ann", 100), ("bo", 50), ("dora", 30)):
        stage.act("bank", Issue("cny", made[name], fen))
    stage.act("office", Accredit(made["dora"], "Dora's house", "bank", 100))
    stage.act("dora", OpenAsset("dee", "Dees", 0), RecordReserve("dee", 40, NO_PAPER))
    mandate(made)
    return made


def mandate(s: Scene, scope: Sequence[str] = SCOPE, days: int = 300, most: int = 20) -> None:
    """Let Cleo act for Dora's house and spend some fen."""
    until_ms = s.stage.time_ms + days * DAY_MS
    ceilings = (Ceiling("money.balances", "cny", most),)
    s.stage.act("dora", Mandate(s["cleo"], tuple(scope), until_ms, ceilings))


def pay(s: Scene, to: str, fen: int) -> Move:
    """Return a payment."""
    return Move((Leg("cny", s[to], fen),))


def propose(
    s: Scene, *calls: tuple[str, Message], by: str = "notary", days: int = 60, keys: Sequence[str] = ()
) -> Approve:
    """Propose an act; return what approves it."""
    proposed = Propose(write(s.stage, *calls), s.stage.time_ms + days * DAY_MS, tuple(s.key(name) for name in keys))
    made = s.stage.act(by, proposed, also=keys).ids[0]
    return Approve(made, act_of(s, made).bundle)


def three(s: Scene) -> Approve:
    """Propose that Ann pays Bo 60, Dora's house pays 15 and issues 7, and Bo pays Cy 1."""
    return propose(
        s,
        ("ann", pay(s, "bo", 60)),
        ("dora", Issue("dee", s["ann"], 7)),
        ("dora", pay(s, "cy", 15)),
        ("bo", pay(s, "cy", 1)),
    )


def act_of(s: Scene, made: str) -> Act:
    """Return an act as it stands on the ledger."""
    found = s.box.view[acts].get(made)
    assert found is not None
    return found


def missing(s: Scene, made: str) -> list[str]:
    """Return the names of those whose approval does not hold now."""
    names = {s[name]: name for name in s.stage.keys}
    return [names[one.account] for one in approvals(s.box.view, made, s.stage.time_ms) if not one.holds]


def of(s: Scene, *names: str, asset: str = "cny") -> list[int]:
    """Return what people have."""
    return [s.box.view.balance(balances, s[name], asset) for name in names]


def new_id(s: Scene, actor: str, made: str, call: int, number: int = 0) -> str:
    """Return the id that a call of an act gives out."""
    return derive_id(s.box.rules.chain, s[actor], made, call, number)


def bundle(s: Scene, proposer: str, proposed: Propose, rules: int = 1) -> str:
    """Return the hash of what somebody proposes, as a client computes it."""
    return digest_of(Bundle(proposed.calls, proposed.keys, s[proposer], rules, proposed.until_ms))


def rows(s: Scene) -> dict[bytes, bytes]:
    """Return what stands on the ledger, without the kernel's own book-keeping."""
    kept = (b"kernel/log/", b"kernel/replay/", b"kernel/usage/")
    return {key: raw for key, raw in s.box.memory.records.rows.items() if not key.startswith(kept)}
