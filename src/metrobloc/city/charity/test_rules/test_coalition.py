"""A coalition of beneficiary, operator and donors does all it can, and no case money becomes their cash.

The coalition signs anything it likes, in any order: two charities, donors, companies, and a patient. The others
(hospitals, vendors, reviewers, supervisors) do their duty now and then, also wrongly. Everything that leaves a case's
pot is then accounted to an invoice that was approved and presented by a hospital or vendor, or to where it came from;
and nobody of the coalition has more than at the beginning.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from metrobloc.city.charity.rules import campaigns, claims, flags, gifts, offers, shares, spans, statement
from metrobloc.city.charity.test_rules import (
    DAY_MS,
    NO_PAPER,
    PLAN,
    bill,
    case_for,
    city,
    match_for,
    opened,
)
from metrobloc.city.charity.types.messages import (
    AgreeSurplus,
    Appeal,
    Approve,
    Cancel,
    Close,
    Countersign,
    Decide,
    ExtendMatch,
    Finish,
    Give,
    Lift,
    MoveSurplus,
    RaiseFlag,
    Refund,
    Refuse,
    Review,
    Settle,
    TopUp,
    Verify,
    Withdraw,
)
from metrobloc.commons.money.rules import balances
from metrobloc.kernel.block import BlockRun
from metrobloc.kernel.context import View
from metrobloc.kernel.tables import Table
from metrobloc.kernel.types import Message
from tests.support import rounds

COALITION = ("ann", "bo", "charity", "charity2", "company", "rival", "patient")
PAYEES = ("clinic", "vendor", "super2")
HONEST = ("hospital", "civil_affairs", "civil2", "supervisor", "office", *PAYEES)
STEPS = 1000
Maker = tuple[int, Callable[[], Message]]


class Play:
    """One run: what there is to name, and who tries what."""

    def __init__(self, seed: int) -> None:
        """Set up a city with three open campaigns."""
        self.chance = Random(seed)
        self.s = city(take_back_ms=DAY_MS)
        self.s.stage.join("patient")
        for name in ("a", "b", "c"):
            opened(self.s, name, self.s.stage.time_ms + 20 * DAY_MS)
        self.box = self.s.box
        self.paper = 0
        self.done: dict[str, int] = {}

    def one(self, table: Table[str, Any], *states: str) -> str:
        """Draw a key of a table, mostly of a record in one of some states."""
        rows = list(self.box.view[table].items())
        good = [key for key, row in rows if getattr(row, "state", "") in states]
        keys = good if good and self.chance.random() < 0.85 else [key for key, _ in rows]
        return self.chance.choice(keys) if keys else "a" * 26

    def amount(self) -> int:
        """Draw an amount."""
        return self.chance.choice((1, 2, 5, 10, 30, 77))

    def message(self) -> Message:
        """Draw anything that the charity's module knows, the usual more often."""
        makers = [*self.of_cases(), *self.of_money(), *self.of_claims(), *self.of_flags()]
        return self.chance.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

    def of_cases(self) -> list[Maker]:
        """Say how cases begin and end, and how often."""
        now_ms, settled = self.s.stage.time_ms, self.left_over() or self.one(campaigns, "settled")
        case, closed = self.one(campaigns, "open"), self.one(campaigns, "closed")
        return [
            (3, lambda: case_for(self.s, now_ms + self.chance.randint(2, 30) * DAY_MS)),
            (3, lambda: Verify(self.one(campaigns, "submitted"), PLAN, 500)),
            (3, lambda: Approve(self.one(campaigns, "treatable"))),
            (2, lambda: Close(case)),
            (1, lambda: Cancel(closed)),
            (5, lambda: Finish(closed)),
            (6, lambda: AgreeSurplus(settled, case)),
            (8, lambda: MoveSurplus(settled)),
        ]

    def left_over(self) -> str:
        """Draw a finished campaign in which something is left."""
        view = self.box.view
        left = [key for key, row in view[campaigns].items() if row.state == "settled" and _held(view, key)]
        return self.chance.choice(left) if left else ""

    def of_money(self) -> list[Maker]:
        """Say how money comes in and goes back."""
        now_ms, amount, case = self.s.stage.time_ms, self.amount(), self.one(campaigns, "open")
        self.s.ids["it"] = case
        return [
            (12, lambda: Give(case, amount, self.chance.choice((None, None, "bed")))),
            (4, lambda: Refund(self.one(gifts))),
            (2, lambda: match_for(self.s, "it", pool=amount, closes_ms=now_ms + self.chance.randint(1, 9) * DAY_MS)),
            (1, lambda: match_for(self.s, "it", pool=amount, closes_ms=now_ms + 2 * DAY_MS, mode="quadratic")),
            (5, lambda: ExtendMatch(self.one(offers, "open"), (case,))),
            (2, lambda: TopUp(self.one(offers, "open"), amount)),
        ]

    def of_claims(self) -> list[Maker]:
        """Say how invoices are presented, approved and paid; papers are used again now and then."""
        amount, claim = self.amount(), self.one(claims, "presented", "reviewed", "approved")
        found = self.s.box.view[claims].get(claim)
        self.s.ids["where"] = self.one(campaigns, "closed", "open" if self.chance.random() < 0.3 else "closed")
        self.paper += self.chance.choice((0, 1, 1))
        name, lines = f"paper {self.paper}", self.chance.randint(1, 3)
        made: list[Maker] = [
            (6, lambda: bill(self.s, "where", name, *([amount] * lines))),
            (2, lambda: bill(self.s, "where", name, amount, category="bed")),
        ]
        if found is None:
            return made
        paid, parts = sum(found.paid), tuple(line.claimed - self.chance.choice((0, 0, 1)) for line in found.lines)
        left = max(1, sum(found.approved) - paid)
        return [
            *made,
            (8, lambda: Review(claim, found.nullifier, parts)),
            (8, lambda: Countersign(claim)),
            (12, lambda: Settle(claim, self.chance.choice((1, min(amount, left), left)), paid)),
            (2, lambda: Settle(claim, amount, 0)),
            (1, lambda: Refuse(claim)),
            (1, lambda: Withdraw(claim)),
        ]

    def of_flags(self) -> list[Maker]:
        """Say how supervisors interfere."""
        case, against = self.one(campaigns, "open", "closed"), self.s[self.chance.choice(PAYEES)]
        freezes, upheld = self.chance.random() < 0.4, self.chance.random() < 0.3
        return [
            (1, lambda: RaiseFlag(case, against, "price", NO_PAPER, freezes)),
            (1, lambda: Appeal(self.one(flags, "open"), NO_PAPER)),
            (1, lambda: Decide(self.one(flags, "appealed"), upheld)),
            (3, lambda: Lift(self.one(flags, "open", "upheld"))),
        ]

    def step(self) -> None:
        """Let one drawn message be tried by several people, the coalition first, in one block."""
        self.s.stage.time_ms += self.chance.choice((1000, 60_000, 3_600_000, 3_600_000, 40_000_000))
        run = self.box.machine.open_block(self.s.stage.time_ms)
        message = self.message()
        people = list(COALITION)
        self.chance.shuffle(people)
        for name in (*people[:4], *(self.chance.sample(HONEST, 5) if self.chance.random() < 0.8 else ())):
            if self.attempt(run, name, message) == "ok":
                self.done[type(message).__name__] = self.done.get(type(message).__name__, 0) + 1
                break
        self.box.seal(run)

    def attempt(self, run: BlockRun, name: str, message: Message) -> str:
        """Run a message as somebody; return its code."""
        action = self.box.rules.actions[self.box.rules.names[type(message)]]
        salt = f"{self.chance.getrandbits(128):032x}"
        return run.execute(salt, [(action, self.s[name], message)])[0]

    def accounted(self) -> None:
        """Require that everybody has what she began with, less what stands on the ledger as given, and what was due."""
        view = self.box.view
        has = dict.fromkeys([*COALITION, *HONEST, "bank"], 0)
        has |= dict.fromkeys(("ann", "bo", "company", "rival", "charity"), 1000)
        names = {self.s[name]: name for name in has}
        for _, gift in view[gifts].items():
            if gift.moved_from is None:
                has[names[gift.donor]] -= gift.amount - gift.returned
        for key, offer in view[offers].items():
            went = sum(
                share.part for place, share in view[shares].items(under=f"{key}/") if int(place[-16:]) < offer.done
            )
            kept = offer.pool if offer.state == "open" else sum(s.part for _, s in view[shares].items(under=f"{key}/"))
            has[names[offer.sponsor]] -= kept
            has[names[offer.sponsor]] += self.returned(key) if offer.state != "open" else 0
            assert went <= offer.pool
        for _, claim in view[claims].items():
            assert names[claim.payee] in PAYEES
            assert sum(claim.paid) <= sum(claim.approved)
            assert not any(claim.paid) or (claim.reviewer is not None and claim.approver is not None)
            has[names[claim.payee]] += sum(claim.paid)
        assert {name: view.balance(balances, self.s[name], "cny") for name in has} == has
        assert all(has[name] <= 1000 for name in COALITION)
        assert has["patient"] == has["charity2"] == 0

    def returned(self, offer: str) -> int:
        """Return what of an offer's parts went back to the sponsor: from campaigns, or as it was to be paid."""
        view, sums = self.box.view, 0
        for key, span in view[spans].items():
            if span.purse == f"match.{offer}" and span.what == "returned":
                sums += int(key[-16:]) - span.start
        found = view[offers].get(offer)
        for place, share in view[shares].items(under=f"{offer}/"):
            campaign = view[campaigns].get(share.campaign)
            if found is not None and campaign is not None and share.part and int(place[-16:]) < found.done:
                sums += 0 if f"match.{offer}" in campaign.purses else share.part
        return sums


def _held(view: View, campaign: str) -> int:
    return sum(purse["held"] for purse in statement(view, campaign).values())


def test_no_coalition_turns_case_money_into_cash() -> None:
    done: dict[str, int] = {}
    for seed in range(rounds(4, 1000)):
        play = Play(seed)
        for number in range(STEPS):
            play.step()
            if number % 100 == 99:
                play.accounted()
                assert not play.box.broken(), seed
        assert not play.box.bugs, seed
        for name, count in play.done.items():
            done[name] = done.get(name, 0) + count
    wanted = {
        "OfferMatch",
        "ExtendMatch",
        "TopUp",
        "Cancel",
        "Refund",
        "Settle",
        "Finish",
        "AgreeSurplus",
        "MoveSurplus",
    }
    assert wanted <= set(done), sorted(wanted - set(done))  # or the coalition would not have tried
