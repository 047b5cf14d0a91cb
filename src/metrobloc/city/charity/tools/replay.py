"""Turn a source's campaigns into signed transactions, block by block, and hold the ledger to the source afterwards.

Each round: the bank registers new donors and issues exactly what they will give, the charity sets the cases up, which
the playground's hospital verifies and civil affairs opens, the company offers the matches, donors give in order of
time, deadlines close and match. A clinic of the replay's own presents an invoice for each case, which is reviewed,
countersigned and paid.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from msgspec import Struct

from metrobloc.city.charity.tools.draw import Gifts, draw
from metrobloc.city.charity.tools.plan import Case, Plan, Round, fit, match_ratio, pool_size
from metrobloc.city.charity.types.messages import (
    Approve,
    Countersign,
    DeclareTemplate,
    Give,
    OfferMatch,
    Present,
    Review,
    Settle,
    SetUp,
    Verify,
)
from metrobloc.city.charity.types.records import Line
from metrobloc.commons.identity.demo import ROLES
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.money.types import Issue, OpenAsset, RecordReserve
from metrobloc.commons.replay import BATCH, Batch, Job, Party, Read, Signer, by_one, register
from metrobloc.kernel import crypto, envelope
from metrobloc.kernel.block import Rules
from metrobloc.kernel.types import INT_MAX, Message

NO_DOCUMENT = "0" * 64  # sources have no papers, so commitments are to nothing
COMPARED = ("title", "gifts", "crowd", "matched", "settled")
CLINIC_QUOTA = 100_000


class Expected(Struct, frozen=True):
    """What the ledger must say of a campaign in the end; money in the smallest unit, round 0 if the source has none."""

    title: str
    gifts: int
    crowd: int
    matched: int
    settled: int
    round: int
    offer: str


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
        self._clinic = self._signer.party("clinic")
        self._template = f"replay_{self._signer.run[:8]}"
        self._donors: list[Party] = []
        self.expected = {
            self._campaign(round_, place): Expected(
                case.title,
                case.gifts,
                case.crowd,
                case.match,
                case.crowd + case.match,
                round_.number,
                self._offer(round_, place),
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
        yield from signed(begin_ms, self._found())
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
            yield from signed(closes_ms, self._settle(round_))

    def differences(self, read: Read) -> list[str]:
        """Compare the ledger with the source, campaign by campaign and in all; a sentence for each difference."""
        said = []
        totals: Counter[str] = Counter()
        for made, expected in self.expected.items():
            name = f"Round {expected.round}, {expected.title}" if expected.round else expected.title
            record = self._record(read, made, expected)
            if record is None:
                said.append(f"{name}: the campaign {made} is not on the ledger.")
                continue
            for field in COMPARED:
                found, wanted = record.get(field, 0), getattr(expected, field)
                if found != wanted:
                    said.append(f"{name}: {field} is {found} on the ledger and {wanted} in the source.")
                totals[field] += found if isinstance(found, int) else 0
        clinic = read(f"money/balances/{self.asset}/{self._clinic.account}") or {}
        paid = sum(expected.settled for expected in self.expected.values())
        if clinic.get("amount", 0) != paid:
            said.append(f"The clinic has {clinic.get('amount', 0)} on the ledger; the source's total is {paid}.")
        for field in COMPARED[1:]:
            wanted = sum(getattr(expected, field) for expected in self.expected.values())
            if totals[field] != wanted:
                said.append(f"In all, {field} is {totals[field]} on the ledger and {wanted} in the source.")
        return said

    def _record(self, read: Read, made: str, expected: Expected) -> dict[str, object] | None:
        """Read what the ledger says of a campaign: its title, and what its purses have received and paid."""
        campaign = read(f"charity/campaigns/{made}")
        if campaign is None:
            return None
        crowd = read(f"charity/purses/{made}/crowd") or {}
        match = read(f"charity/purses/{made}/match.{expected.offer}") or {}
        paid = [purse.get("spent", 0) for purse in (crowd, match)]
        return {
            "title": campaign["title"],
            "gifts": crowd.get("gifts", 0),
            "crowd": crowd.get("received", 0),
            "matched": match.get("received", 0),
            "settled": sum(amount for amount in paid if isinstance(amount, int)),
        }

    def _campaign(self, round_: Round, place: int) -> str:
        """Return the id that a campaign will have: the first that its call makes."""
        return self._made(self._roles["charity"], f"open {round_.number}", place)

    def _offer(self, round_: Round, place: int) -> str:
        """Return the id of a campaign's matching offer, empty where it has none."""
        if not round_.cases[place].match:
            return ""
        number = sum(1 for case in round_.cases[:place] if case.match)
        return self._made(self._roles["company"], f"offer {round_.number}", number)

    def _made(self, party: Party, label: str, place: int) -> str:
        """Return the first id that one of several messages of a party makes, which were grouped by `by_one`."""
        number, call = divmod(place, envelope.CALLS_MAX)
        return self._signer.new_id(party, f"{label} {number}", call)

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
        yield from self._open(round_, closes_ms)
        offered = [
            _offer(self._campaign(round_, place), case, closes_ms)
            for place, case in enumerate(round_.cases)
            if case.match
        ]
        yield from self._by_role("company", f"offer {round_.number}", offered)

    def _found(self) -> Iterator[Job]:
        """Register the replay's clinic, accredit it, and declare a template for its cases."""
        yield from register(self._roles["bank"], "clinic", [self._clinic])
        accredited = Accredit(self._clinic.account, "Clinic of a replay", "hospital", CLINIC_QUOTA)
        yield from self._by_role("office", "accredit", [accredited])
        yield from self._by_role("civil_affairs", "template", [DeclareTemplate(self._template, INT_MAX, INT_MAX)])

    def _open(self, round_: Round, closes_ms: int) -> Iterator[Job]:
        """Set a round's cases up, and have them verified and approved."""
        clinic, number = self._clinic.account, round_.number
        cases = [
            SetUp(
                case.title,
                self._template,
                clinic,
                self.asset,
                case.crowd + case.match,
                closes_ms,
                NO_DOCUMENT,
                NO_DOCUMENT,
            )
            for case in round_.cases
        ]
        yield from self._by_role("charity", f"open {number}", cases)
        made = [self._campaign(round_, place) for place in range(len(cases))]
        verified = [Verify(key, NO_DOCUMENT, case.goal) for key, case in zip(made, cases, strict=True)]
        yield from self._by_role("hospital", f"verify {number}", verified)
        yield from self._by_role("civil_affairs", f"approve {number}", [Approve(key) for key in made])

    def _settle(self, round_: Round) -> Iterator[Job]:
        """Present one invoice for each case of a round, and have it reviewed, countersigned and paid."""
        number, sums = round_.number, [case.crowd + case.match for case in round_.cases]
        papers = [self._invoice(round_, place) for place in range(len(sums))]
        presented = [
            Present(self._campaign(round_, place), papers[place], NO_DOCUMENT, (Line("all", "treatment", 1, amount),))
            for place, amount in enumerate(sums)
        ]
        yield from by_one(self._clinic, f"present {number}", presented)
        made = [self._made(self._clinic, f"present {number}", place) for place in range(len(sums))]
        reviewed = [Review(claim, paper, (sum_,)) for claim, paper, sum_ in zip(made, papers, sums, strict=True)]
        yield from self._by_role("civil_affairs", f"review {number}", reviewed)
        yield from self._by_role("supervisor", f"countersign {number}", [Countersign(claim) for claim in made])
        settled = [Settle(claim, sum_, 0) for claim, sum_ in zip(made, sums, strict=True)]
        yield from self._by_role("charity", f"settle {number}", settled)

    def _invoice(self, round_: Round, place: int) -> str:
        """Return what stands for the nullifier of a case's invoice; there is no paper to be named."""
        return crypto.sha256(f"{self._signer.run} invoice {round_.number} {place}".encode()).hex()

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
