"""Escrow: the scene on which its tests play, with instalments of every kind and in every state.

Ann pays and Bo is paid; Cy and the notary approve things, Dan is an arbiter. All instalments end a day after the start.
"""

import msgspec

from metrobloc.commons.escrow.rules import app, escrows, instalments
from metrobloc.commons.escrow.types import DAY_MS, Accept, Dispute, Escrow, Instalment, Open, Release, Terms
from metrobloc.commons.evidence.rules import app as evidence
from metrobloc.commons.evidence.rules import subject
from metrobloc.commons.evidence.types import DeclareKind, Lodge
from metrobloc.commons.identity.demo import ROLES, demo_key
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.rules import balances
from metrobloc.commons.money.types import Hold, Issue, Leg, OpenAsset, RecordReserve
from metrobloc.kernel import codec
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.module import Module
from metrobloc.kernel.system import Limits
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS

MODULES = (identity, money, evidence, app)
NOBODY = "a" * 26
NO_PAPER = "0" * 64
THING = subject("land/parcels/7")
HOUR_MS = 3_600_000
UNTIL_MS = START_MS + DAY_MS
FROM_MS = START_MS + 12 * HOUR_MS
MOST = 1000
"""What Ann has at first."""


def by(s: Scene, *names: str, amount: int = 10, **changes: object) -> Terms:
    """Return terms of an instalment that one of some people approves."""
    plain = Terms(amount, UNTIL_MS, tuple(s[name] for name in names))
    return msgspec.structs.replace(plain, **changes)


def deal(s: Scene, *parts: Terms, **changes: object) -> Open:
    """Return what sets money aside for Bo, with Dan as arbiter, who has an hour less than two days."""
    plain = Open(s["bo"], "cny", "chair", parts or (by(s, "cy"),), 2, s["dan"])
    return msgspec.structs.replace(plain, **changes)


def opened(s: Scene, name: str, message: Open, *, accepted: bool = True, payer: str = "ann") -> None:
    """Open an escrow under a name; its instalments have the name and a number."""
    ids = s.stage.act(payer, message).ids
    s.ids |= {f"{name}{number or ''}": made for number, made in enumerate(ids[: len(message.instalments) + 1])}
    if accepted:
        s.stage.act("bo", Accept(s[name]))


def scene(genesis: bytes | None = None, modules: tuple[Module, ...] = MODULES) -> Scene:
    """Set the scene.

    `new` is not accepted. Of `many`, Ann releases 1, any hospital 2, two of Ann, Cy and a notary 3; 4 needs nobody but
    time, 5 a deed about itself by a notary, 6 a deed about a thing by anybody and Cy's approval. The three of `line`
    follow each other; what civil affairs does not decide is released. `fight` is disputed. `deed` is about `many5`,
    `survey` about the thing; `plan` is about `many5` too.
    """
    s = Scene(modules, genesis)
    for name in ("ann", "bo", "cy", "dan", "eve"):
        s.stage.join(name)
    s.stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 10 * MOST, NO_PAPER))
    s.stage.act("bank", Issue("cny", s["ann"], MOST))
    s.stage.act("office", DeclareKind("deed", "A deed", "notary"), DeclareKind("plan", "A plan", "notary"))
    opened(s, "new", deal(s), accepted=False)
    of_three = by(s, "ann", "cy", amount=30, roles=("notary",), needed=2)
    in_time = by(s, amount=40, not_before_ms=FROM_MS)
    with_deed = by(s, amount=50, evidence_kind="deed", signer_role="notary")
    about = by(s, "cy", amount=60, evidence_kind="deed", about=THING)
    parts = (by(s, "ann"), by(s, amount=20, roles=("hospital",)), of_three, in_time, with_deed, about)
    opened(s, "many", deal(s, *parts))
    line = [by(s, "ann", amount=amount) for amount in (1, 2, 3)]
    opened(s, "line", deal(s, *line, arbiter=None, arbiter_role="civil_affairs", undecided="release", in_order=True))
    opened(s, "fight", deal(s, by(s, "cy", amount=70)))
    s.stage.act("bo", Dispute(s["fight1"], NO_PAPER))
    for name, kind, about_id in (("deed", "deed", "many5"), ("survey", "deed", ""), ("plan", "plan", "many5")):
        paper = Lodge(kind, s[about_id] if about_id else THING, "archive", START_MS, "1d" * 32)
        s.ids[name] = s.stage.act("notary", paper).ids[0]
    return s


def slow() -> Scene:
    """Set the scene where a block runs one deadline, behind many that do not matter: the queue lags for a while."""
    keys = [(role, demo_key(role)) for role in ROLES]
    founders = tuple(Founder(key.key_id, 1_000_000, (role,)) for role, key in keys if key is not None)
    names = tuple(module.name for module in MODULES)
    s = scene(codec.encode(Genesis(founders, names, "demo-slow", START_MS, Limits(deadlines_per_block=1))))
    s.stage.act("bank", Issue("cny", s["eve"], 14))
    s.stage.act("eve", *(Hold((Leg("cny", s["cy"], 1),), UNTIL_MS - 1) for _ in range(14)))
    return s


def at(s: Scene, time_ms: int) -> None:
    """Let the next block have this time."""
    s.stage.time_ms = time_ms - 1000


def escrow_of(s: Scene, name: str) -> Escrow:
    """Return an escrow."""
    found = s.box.view[escrows].get(s[name])
    assert found is not None
    return found


def part_of(s: Scene, name: str) -> Instalment:
    """Return an instalment."""
    found = s.box.view[instalments].get(s[name])
    assert found is not None
    return found


def has(s: Scene, *names: str) -> list[int]:
    """Return what people have."""
    return [s.box.view.balance(balances, s[name], "cny") for name in names]


def pay(s: Scene, name: str, **changes: object) -> Release:
    """Return what approves an instalment by name."""
    return msgspec.structs.replace(Release(s[name]), **changes)
