"""Turn a source's campaigns into signed transactions, block by block, and hold the ledger to the source afterwards.

Each round: the bank registers new donors and issues exactly what they will give, the charity opens the campaigns, the
company offers the matches, donors give in order of time, deadlines close and match, the charity pays the hospital.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from msgspec import Struct

from metrobloc.city.charity.tools.draw import Gifts, draw
from metrobloc.city.charity.tools.plan import Case, Plan, Round, fit, match_ratio, pool_size
from metrobloc.city.charity.types import Give, OfferMatch, OpenCampaign, Settle
from metrobloc.commons.identity.demo import ROLES
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.replay import BATCH, Batch, Job, Party, Read, Signer, by_one, register
from metrobloc.kernel import envelope
from metrobloc.kernel.block import Rules
from metrobloc.kernel.types import Message

NO_DOCUMENT = "0" * 64  # sources have no papers, so commitments are to nothing
COMPARED = ("title", "gifts", "crowd", "matched", "settled")


class Expected(Struct, frozen=True):
    """What the ledger must say of a campaign in the end; money in the smallest unit, round 0 if the source has none."""

    title: str
    gifts: int
    crowd: int
    matched: int
    settled: int
    round: int


class Grants:
    """A plan on one chain: the transactions, and what campaigns must show when all have run."""

    def __init__(self, rules: Rules, plan: Plan, window_ms: tuple[int, int], seed: int) -> None:
        """Fit a plan into a window of time; ValueError with a sentence where it does not fit."""
        self.rules = rules
        self.plan = plan
        self.seed = seed
        self.skipped = plan.skipped
        self._clock = fit(plan.rounds, *window_ms)
        sizes = [(r.number, len(r.cases), self._clock(r.starts_ms)) for r in plan.rounds]
        self._signer = Signer(rules, f"{plan.asset}\n{seed}\n{sizes}")
        self.asset = f"{plan.asset}_{self._signer.run[:8]}"
        self._roles = {name: self._signer.role(name) for name in ROLES}
        self._donors: list[Party] = []
        self.expected = {
            self._campaign(round_, place): Expected(
                case.title, case.gifts, case.crowd, case.match, case.crowd + case.match, round_.number
            )
            for round_ in plan.rounds
            for place, case in enumerate(round_.cases)
        }
        self.unit = "gifts"
        self.total = sum(expected.gifts for expected in self.expected.values())

    def told(self) -> dict[str, int]:
        """Return the source's totals."""
        return {
            "campaigns": len(self.expected),
            "gifts": self.total,
            **{
                f"{name}_cents": sum(getattr(expected, name) for expected in self.expected.values())
                for name in ("crowd", "matched", "settled")
            },
        }

    def batches(self) -> Iterator[Batch]:
        """Yield everything in order; a round's gifts are drawn when it comes, and signed when their block does."""
        begin_ms = self._clock(self.plan.rounds[0].starts_ms)
        reserve = sum(expected.settled for expected in self.expected.values())
        opening = [OpenAsset(self.asset, self.plan.money, 2), RecordReserve(self.asset, reserve, NO_DOCUMENT)]
        signed = self._signer.batches
        yield from signed(begin_ms, self._by_role("bank", "found", opening))
        joined = 0
        for round_ in self.plan.rounds:
            starts_ms, closes_ms = self._clock(round_.starts_ms), self._clock(round_.closes_ms)
            pool = pool_size(round_, self.plan.cases_per_donor)
            chance = Random(f"{self.plan.asset} {self.seed} {round_.number}")  # noqa: S311  # no secrets
            gifts = draw(round_, chance, self.plan.sigma, pool)
            fresh = map(self._donor, range(joined, pool))
            yield from signed(starts_ms, register(self._roles["bank"], f"join {joined}", fresh))
            joined = max(joined, pool)
            yield from signed(starts_ms, self._prepare(round_, gifts, closes_ms))
            yield from self._give(round_, gifts, closes_ms)
            due = sum(2 if case.match else 1 for case in round_.cases)
            for _ in range(-(-due // self.rules.genesis.limits.deadlines_per_block)):
                yield Batch(closes_ms, [], 0)
            settled = [
                Settle(self._campaign(round_, place), case.crowd + case.match, NO_DOCUMENT)
                for place, case in enumerate(round_.cases)
            ]
            yield from signed(closes_ms, self._by_role("charity", f"settle {round_.number}", settled))

    def differences(self, read: Read) -> list[str]:
        """Compare the ledger with the source, campaign by campaign and in all; a sentence for each difference."""
        said = []
        totals: Counter[str] = Counter()
        for made, expected in self.expected.items():
            name = f"Round {expected.round}, {expected.title}" if expected.round else expected.title
            record = read(f"charity/campaigns/{made}")
            if record is None:
                said.append(f"{name}: the campaign {made} is not on the ledger.")
                continue
            for field in COMPARED:
                found, wanted = record.get(field, 0), getattr(expected, field)
                if found != wanted:
                    said.append(f"{name}: {field} is {found} on the ledger and {wanted} in the source.")
                totals[field] += found if isinstance(found, int) else 0
        hospital = read(f"money/balances/{self.asset}/{self._roles['hospital'].account}") or {}
        paid = sum(expected.settled for expected in self.expected.values())
        if hospital.get("amount", 0) != paid:
            said.append(f"The hospital has {hospital.get('amount', 0)} on the ledger; the source's total is {paid}.")
        for field in COMPARED[1:]:
            wanted = sum(getattr(expected, field) for expected in self.expected.values())
            if totals[field] != wanted:
                said.append(f"In all, {field} is {totals[field]} on the ledger and {wanted} in the source.")
        return said

    def _campaign(self, round_: Round, place: int) -> str:
        """Return the id that a campaign will have: the first that its call makes."""
        number, call = divmod(place, envelope.CALLS_MAX)
        return self._signer.new_id(self._roles["charity"], f"open {round_.number} {number}", call)

    def _donor(self, number: int) -> Party:
        """Return a donor by number; the keys follow from the run and are made once."""
        while len(self._donors) <= number:
            self._donors.append(self._signer.party(f"donor {len(self._donors)}"))
        return self._donors[number]

    def _prepare(self, round_: Round, gifts: Gifts, closes_ms: int) -> Iterator[Job]:
        """Issue what the round's donors and the company will give, open the campaigns, offer the matches."""
        given: Counter[int] = Counter()
        for donor, amount in zip(gifts.donors, gifts.amounts, strict=True):
            given[donor] += amount
        issued = [Issue(self.asset, self._donor(donor).account, given[donor]) for donor in sorted(given)]
        matches = sum(case.match for case in round_.cases)
        if matches:
            issued.append(Issue(self.asset, self._roles["company"].account, matches))
        yield from self._by_role("bank", f"issue {round_.number}", issued)
        opened = [
            OpenCampaign(
                case.title,
                self._roles["hospital"].account,
                self.asset,
                case.crowd + case.match,
                closes_ms,
                NO_DOCUMENT,
            )
            for case in round_.cases
        ]
        yield from self._by_role("charity", f"open {round_.number}", opened)
        offered = [
            _offer(self._campaign(round_, place), case, closes_ms)
            for place, case in enumerate(round_.cases)
            if case.match
        ]
        yield from self._by_role("company", f"offer {round_.number}", offered)

    def _give(self, round_: Round, gifts: Gifts, closes_ms: int) -> Iterator[Batch]:
        """Sign a round's gifts in order of time; a block stands at the moment of its last gift, before the close."""
        campaigns = [self._campaign(round_, place) for place in range(len(round_.cases))]
        for some in self._blocks(gifts):
            moment_ms = self._clock(round_.starts_ms + gifts.moments[some[-1]])
            time_ms = min(moment_ms, closes_ms - 1)
            raws = []
            for i in some:
                donor = self._donor(gifts.donors[i])
                give = Give(campaigns[gifts.cases[i]], gifts.amounts[i])
                raws.append(self._signer.sign(Job(f"give {round_.number} {i}", [(donor, give)]), time_ms))
            yield Batch(time_ms, raws, len(raws))

    def _blocks(self, gifts: Gifts) -> Iterator[list[int]]:
        """Cut the gifts, in order of time, where a block is full or a step of time ends."""
        block: list[int] = []
        for i in gifts.order:
            ended = block and gifts.moments[i] // self.plan.step_ms != gifts.moments[block[0]] // self.plan.step_ms
            if ended or len(block) == BATCH:
                yield block
                block = []
            block.append(i)
        if block:
            yield block

    def _by_role(self, role: str, label: str, messages: Sequence[Message]) -> Iterator[Job]:
        return by_one(self._roles[role], label, messages)


def _offer(campaign: str, case: Case, closes_ms: int) -> OfferMatch:
    """Offer a campaign its match: a ratio that always claims enough, capped at exactly that."""
    return OfferMatch((campaign,), case.match, match_ratio(case), 1, case.match, case.match, closes_ms)
