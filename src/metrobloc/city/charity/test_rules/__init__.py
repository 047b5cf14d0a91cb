"""The charity's tests, and the scene on which they play: campaigns, gifts, offers, invoices and flags in every state.

The playground's `hospital` verifies cases and `clinic` is paid for them; `vendor` sells to them. Unless a name says
otherwise a campaign collects cny until day 100, and of `big` Ann has as much as the ledger can count.
"""

from functools import cache

import msgspec

from metrobloc.city.charity.rules import app, campaigns, gifts, purses
from metrobloc.city.charity.types.messages import (
    AgreeSurplus,
    Appeal,
    Approve,
    Cancel,
    Close,
    Countersign,
    Decide,
    DeclareTemplate,
    Finish,
    Give,
    Lift,
    MoveSurplus,
    OfferMatch,
    Present,
    RaiseFlag,
    Refund,
    Refuse,
    RetireTemplate,
    Review,
    Settle,
    SetUp,
    Verify,
    Withdraw,
)
from metrobloc.city.charity.types.records import Campaign, Line, Purse
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.rules import balances
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.genesis import Founder, Genesis
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import Message
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import START_MS, Sandbox

MODULES = (identity, money, app)
NOBODY = "a" * 26
NO_PAPER = "0" * 64
PLAN = "1" * 64
MOST = 2**53 - 1
DAY_MS = 86_400_000
DAY_MINUTES = 1440
LATE_MS = START_MS + 100 * DAY_MS
YEAR_MS = 366 * DAY_MS
INSTITUTIONS = (
    ("clinic", "hospital"),
    ("vendor", "vendor"),
    ("rival", "company"),
    ("charity2", "charity"),
    ("charity2", "hospital"),
    ("civil2", "civil_affairs"),
    ("civil2", "hospital"),
)
WATCHER = "super2"
"""A second supervisor, who is also all else that a genesis can make of one account."""


def case_for(s: Scene, closes_ms: int = LATE_MS, *, template: str = "need", goal: int = 500, **other: str) -> SetUp:
    """Return what sets a case up."""
    hospital, asset = s[other.get("hospital", "clinic")], other.get("asset", "cny")
    return SetUp("A heart", template, hospital, asset, goal, closes_ms, NO_PAPER, PLAN)


def match_for(s: Scene, *names: str, closes_ms: int = LATE_MS, pool: int = 100, **other: object) -> OfferMatch:
    """Return what offers to match one to one, at most 30 a gift and 50 a campaign."""
    fields: dict[str, object] = {"numerator": 1, "denominator": 1, "gift_max": 30, "campaign_max": 50} | other
    named = tuple(s[name] for name in names)
    return OfferMatch(campaigns=named, pool=pool, closes_ms=closes_ms, **fields)  # type: ignore[arg-type]


def paper(name: str) -> str:
    """Return what stands for an invoice's nullifier."""
    return crypto.sha256(name.encode()).hex()


def bill(s: Scene, campaign: str, name: str, *amounts: int, category: str = "treatment") -> Present:
    """Return what presents an invoice of one line for each amount."""
    parts = tuple(Line("item", category, 1, amount) for amount in amounts)
    return Present(s[campaign], paper(name), NO_PAPER, parts)


def do(s: Scene, actor: str, *messages: Message, refused: str = "ok") -> tuple[str, ...]:
    """Let somebody act, hold the outcome to what is expected, and return the new ids."""
    return s.stage.act(actor, *messages, refused=refused if refused == "ok" else f"charity.{refused}").ids


def opened(s: Scene, name: str, closes_ms: int = LATE_MS, *, template: str = "need", asset: str = "cny") -> None:
    """Let a case be set up, verified and approved under a name."""
    s.ids[name] = do(s, "charity", case_for(s, closes_ms, template=template, asset=asset))[0]
    do(s, "hospital", Verify(s[name], PLAN, 500))
    do(s, "civil_affairs", Approve(s[name]))


def gave(  # noqa: PLR0913, PLR0917
    s: Scene, gift: str, donor: str, campaign: str, amount: int, category: str | None = None
) -> None:
    """Let somebody give, under a name."""
    s.ids[gift] = do(s, donor, Give(s[campaign], amount, category))[0]


def presented(s: Scene, name: str, campaign: str, *amounts: int, by: str = "clinic") -> None:
    """Let an invoice be presented, under a name."""
    s.ids[name] = do(s, by, bill(s, campaign, name, *amounts))[0]


def approved(s: Scene, name: str, campaign: str, *amounts: int, by: str = "clinic") -> None:
    """Let an invoice be presented, reviewed and countersigned, under a name."""
    presented(s, name, campaign, *amounts, by=by)
    do(s, "civil_affairs", Review(s[name], paper(name), amounts))
    do(s, "supervisor", Countersign(s[name]))


def campaign_of(s: Scene, name: str) -> Campaign:
    """Return a campaign as it stands."""
    found = s.box.view[campaigns].get(s[name])
    assert found is not None
    return found


def purse_of(s: Scene, campaign: str, name: str = "crowd") -> Purse:
    """Return a purse as it stands."""
    return s.box.view[purses].get((s[campaign], name)) or Purse()


def has(s: Scene, *names: str) -> tuple[int, ...]:
    """Return what some have in cny."""
    return tuple(s.box.view.balance(balances, s[name], "cny") for name in names)


def founded(limits: Limits | None = None) -> bytes:
    """Return a playground's genesis with a second supervisor."""
    plain = msgspec.json.decode(demo_genesis(START_MS, [module.name for module in MODULES]), type=Genesis)
    key = Sandbox(MODULES).stage.key(WATCHER).key_id
    founders = (*plain.founders, Founder(key, 1_000_000, ("supervisor", "vendor", "civil_affairs")))
    return codec.encode(msgspec.structs.replace(plain, founders=founders, limits=limits or plain.limits))


def city(limits: Limits | None = None) -> Scene:
    """Set up institutions, money and templates, without campaigns."""
    s = Scene(MODULES, founded(limits))
    for name in ("ann", "bo"):
        s.stage.join(name)
    for name in dict.fromkeys(name for name, _ in INSTITUTIONS):
        s.stage.join(name)
    for name, role in INSTITUTIONS:
        s.stage.act("office", Accredit(s[name], name, role, 1_000_000))
    s.stage.act("bank", OpenAsset("cny", "Fen", 2), RecordReserve("cny", 100_000, NO_PAPER))
    s.stage.act("bank", OpenAsset("big", "Big", 0), RecordReserve("big", MOST, NO_PAPER), Issue("big", s["ann"], MOST))
    s.stage.act("bank", *(Issue("cny", s[name], 1000) for name in ("ann", "bo", "company", "rival", "charity")))
    do(s, "civil_affairs", DeclareTemplate("need", 500, YEAR_MS, ("medicine", "bed")))
    do(s, "civil_affairs", DeclareTemplate("goal", 500, 120 * DAY_MS, (), "close"))
    do(s, "civil_affairs", DeclareTemplate("old", 500, YEAR_MS), RetireTemplate("old"))
    return s


def scene() -> Scene:
    """Return the whole scene; it plays on day 32, and what it names says what it is."""
    made = _scene()
    s = Scene(MODULES, made.box.genesis)
    for sealed in made.box.sealed[1:]:
        s.box.replay(read_block(sealed.block))
        s.stage.payload()  # each has a salt of its own, so that none is used twice
    s.ids = dict(made.ids)
    s.stage.time_ms = made.stage.time_ms
    return s


@cache
def _scene() -> Scene:
    s = city()
    s.ids["fresh"], s.ids["ready"] = (do(s, "charity", case_for(s))[0] for _ in range(2))
    s.ids["hers"] = do(s, "charity2", case_for(s))[0]
    s.ids["missed"] = do(s, "charity", case_for(s, START_MS + 40 * DAY_MS))[0]
    do(s, "hospital", Verify(s["ready"], PLAN, 500), Verify(s["missed"], PLAN, 500))
    do(s, "civil2", Verify(s["hers"], PLAN, 500))
    for name in ("open", "closed", "full", "gone", "paid", "free", "done", "bare", "fin", "moved", "took", "cold"):
        opened(s, name)
    opened(s, "huge", asset="big")
    _gifts(s)
    for name in ("closed", "paid", "done", "bare", "fin", "moved", "cold"):
        do(s, "charity", Close(s[name]))
    _claims(s)
    do(s, "charity", *(Finish(s[name]) for name in ("done", "bare", "moved")), Cancel(s["gone"]))
    do(s, "supervisor", AgreeSurplus(s["done"], s["open"]), AgreeSurplus(s["moved"], s["took"]))
    _flags(s)
    s.stage.wait(32 * DAY_MINUTES)
    do(s, "charity", MoveSurplus(s["moved"]), Finish(s["fin"]))
    do(s, "supervisor", AgreeSurplus(s["fin"], s["open"]))
    s.ids["gift of another"] = next(key for key, gift in s.box.view[gifts].items() if gift.moved_from)
    return s


def _gifts(s: Scene) -> None:
    gave(s, "early", "ann", "open", 10)
    s.ids["offer"] = do(s, "company", match_for(s, "open", "closed"))[0]
    s.ids["brief"] = do(s, "company", match_for(s, "free", closes_ms=START_MS + 3_600_000))[0]
    s.ids["later"] = do(s, "company", match_for(s, "open", opens_ms=LATE_MS - 1))[0]
    for _ in range(4):
        do(s, "rival", match_for(s, "full", pool=1))
    for gift, donor, campaign, amount, category in (
        ("matched", "ann", "open", 40, None),
        ("paid out", "ann", "free", 7, None),
        ("late", "bo", "closed", 20, None),
        ("back", "bo", "open", 5, None),
        ("orphan", "bo", "gone", 25, None),
        ("whole", "ann", "paid", 60, None),
        ("spent", "bo", "done", 15, None),
        ("first", "ann", "done", 30, None),
        ("last", "bo", "done", 5, None),
        ("purposed", "ann", "done", 4, "medicine"),
        ("bare gift", "ann", "bare", 3, None),
        ("fin gift", "ann", "fin", 6, None),
        ("moved gift", "ann", "moved", 8, None),
        ("cold gift", "ann", "cold", 50, None),
    ):
        gave(s, gift, donor, campaign, amount, category)
    do(s, "bo", Refund(s["back"]))


def _claims(s: Scene) -> None:
    for name in ("new", "seen", "own", "given up", "turned down", "theirs", "theirs too"):
        presented(s, name, "closed", 12, 8, by="super2" if name.startswith("theirs") else "clinic")
    do(s, "clinic", Withdraw(s["given up"]))
    do(s, "civil_affairs", Refuse(s["turned down"]), *(Review(s[n], paper(n), (12, 7)) for n in ("seen", "theirs")))
    do(s, "charity", Review(s["own"], paper("own"), (12, 8)))
    approved(s, "ok", "closed", 20)
    approved(s, "more", "closed", 21)
    approved(s, "goods", "closed", 5, by="vendor")
    approved(s, "early bill", "open", 10)
    approved(s, "part", "paid", 60)
    approved(s, "stuck", "cold", 50)
    approved(s, "final", "done", 25)
    presented(s, "waiting", "cold", 5)
    do(s, "civil_affairs", Review(s["waiting"], paper("waiting"), (5,)))
    presented(s, "unseen", "cold", 5)
    do(s, "charity", Settle(s["part"], 40, 0), Settle(s["final"], 25, 0))


def _flags(s: Scene) -> None:
    for name, campaign, freezes in (
        ("flag", "cold", True),
        ("appealed", "free", False),
        ("upheld", "free", False),
        ("dismissed", "free", False),
        ("lifted", "free", True),
    ):
        s.ids[name] = do(s, "supervisor", RaiseFlag(s[campaign], s["clinic"], "price", NO_PAPER, freezes))[0]
    do(s, "clinic", *(Appeal(s[name], NO_PAPER) for name in ("appealed", "upheld", "dismissed")))
    do(s, "civil_affairs", Decide(s["upheld"], upheld=True), Decide(s["dismissed"], upheld=False))
    do(s, "super2", Lift(s["lifted"]))
