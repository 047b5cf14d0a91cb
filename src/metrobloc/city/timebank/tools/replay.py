"""A year in a town as a replay: the plan put on an agenda, jobs signed, the ledger held to the town's own books."""

from collections.abc import Iterator
from functools import partial
from random import Random

import msgspec

from metrobloc.city.timebank.rules import declared
from metrobloc.city.timebank.tools import belonging, helping
from metrobloc.city.timebank.tools.books import Member
from metrobloc.city.timebank.tools.plan import AFTER, DAY, STEP_MS, Size, draw
from metrobloc.city.timebank.tools.town import Town
from metrobloc.city.timebank.types import records
from metrobloc.commons.replay import BATCH, Batch, Read, Signer, chunks
from metrobloc.kernel.block import Rules
from metrobloc.kernel.tables import Balance, ParamSpec
from metrobloc.kernel.types import Record

DAY_MS = DAY * STEP_MS
TOLD = ("tasks", "services", "across_banks", "coded", "relief", "dropped", "nobody_came", "withdrawn", "transfers")
TOLD_TOO = ("donations", "moves", "left", "excluded", "cycles", "cleared_minutes")


class TownYear:
    """A town on one chain: its transactions, and what the ledger must show when all have run."""

    def __init__(self, rules: Rules, size: Size, seed: int, start_ms: int, end_ms: int) -> None:
        """Begin at the first midnight after `start_ms`; ValueError where the year is not over by `end_ms`."""
        first_ms = -(-start_ms // DAY_MS) * DAY_MS
        days = (end_ms - first_ms) // DAY_MS - AFTER
        if days < size.days:
            raise ValueError(
                f"The chain's last block leaves {max(0, days)} days of wishes until now, with {AFTER} more to settle "
                f"them; play fewer than {size.days} days, or on a new chain (--data names a new folder)."
            )
        chance = Random(f"timebank town {seed} {size}")  # noqa: S311  # no secrets
        plan = draw(chance, first_ms, size)
        signer = Signer(rules, f"timebank town\n{seed}\n{size}\n{first_ms}")
        waits_ms = (_param(rules, declared.confirm_ms), _param(rules, declared.settle_ms))
        self.town = Town(plan, signer, first_ms, waits_ms, chance)
        self.unit = "wishes"
        self.total = len(plan.wishes)
        self.skipped: list[str] = []
        self._deadlines_at_once = rules.genesis.limits.deadlines_per_block

    def batches(self) -> Iterator[Batch]:
        """Yield the year, a block for each half hour in which something happens; sign each when it comes."""
        _write_agenda(self.town)
        for moment in self.town.live():
            for _ in range((moment.due - 1) // self._deadlines_at_once):
                yield Batch(moment.time_ms, [], 0)
            parts = list(chunks(moment.jobs, BATCH)) or [[]]
            for part in parts:
                raws = [self.town.signer.sign(job, moment.time_ms) for job in part]
                yield Batch(moment.time_ms, raws, moment.wishes if part is parts[-1] else 0)

    def told(self) -> dict[str, int]:
        """Return how much happened, and how services ended."""
        happened, services = self.town.happened, self.town.books.services.values()
        ended = {state: sum(one.state == state for one in services) for state in ("paid", "resolved", "expired")}
        return {
            "members": len(self.town.people),
            "banks": len(self.town.slugs),
            "wishes": self.total,
            **{name: happened[name] for name in TOLD},
            **ended,
            "paid_minutes": sum(one.paid for one in services),
            **{name: happened[name] for name in TOLD_TOO},
        }

    def differences(self, read: Read) -> list[str]:
        """Compare every balance, pot, line, member, bank, task, service and day with the town's books."""
        said = []
        for path, kind, wanted in self._expected():
            found = read(f"timebank/{path}")
            if found is None or not wanted:
                if (found is None) is bool(wanted):
                    said.append(f"{path}: the ledger has {found}, the town {wanted}.")
                continue
            record = msgspec.convert(found, kind)
            for name, value in wanted.items():
                if getattr(record, name) != value:
                    said.append(f"{path}: {name} is {getattr(record, name)} on the ledger and {value} in the town.")
        return said

    def _expected(self) -> Iterator[tuple[str, type[Record], dict[str, object]]]:
        """Yield each record's path, type and fields; no fields where there must be no record."""
        books = self.town.books
        for (bank, holder), minutes in books.minutes.items():
            yield f"hours/{bank}/{holder}", Balance, {"amount": minutes} if minutes else {}
        for slug, one in books.banks.items():
            counts = {"members": one.members, "services": one.services, "lines": one.lines}
            yield f"banks/{slug}", records.Bank, {"coordinator": one.coordinator, "state": one.state, **counts}
        for party in self.town.people:
            yield f"members/{party.account}", records.Member, _fields(books.members.get(party.account))
        for key, task in books.tasks.items():
            fields = {"state": task.state, "claimed": task.claimed, "from_pot": task.relief}
            yield f"tasks/{key}", records.Task, fields
        for key, service in books.services.items():
            times = {"in_ms": service.in_ms, "out_ms": service.out_ms}
            yield f"services/{key}", records.Service, {"state": service.state, "minutes": service.paid, **times}
        for first, second in books.offers:
            if first < second:
                line: dict[str, object] = {
                    "first_offer_minutes": books.offers[first, second],
                    "second_offer_minutes": books.offers[second, first],
                    "first_reserved_minutes": books.kept[first, second],
                    "second_reserved_minutes": books.kept[second, first],
                }
                yield f"lines/{first}/{second}", records.Line, line
        for (account, day), times_ms in books.days.items():
            yield f"days/{account}/{day}", records.Day, {"spans": tuple(records.Span(*span) for span in times_ms)}


def _fields(member: Member | None) -> dict[str, object]:
    if member is None:
        return {}
    under_way = {"reserved_minutes": member.reserved, "incoming_minutes": member.incoming, "services": ()}
    return {"bank": member.bank, "state": member.state, **under_way}


def _write_agenda(town: Town) -> None:
    plan, days = town.plan, town.plan.size.days
    town.at(0, partial(belonging.found, town))
    for number, person in enumerate(plan.people):
        town.at(person.joins + 1, partial(belonging.join, town, number))
    for wish in plan.wishes:
        town.at(wish.at, partial(helping.release, town, wish))
    for what, moments in (
        (belonging.move, plan.moves),
        (belonging.part, plan.partings),
        (belonging.give, plan.gifts),
    ):
        for step, number in moments:
            town.at(step, partial(what, town, number))
    for day in range(min(30, days) - 1, days, 30):
        town.at(day * DAY + DAY // 2, partial(belonging.clear, town))
    half = days // 2 * DAY
    town.at(half - DAY, partial(belonging.renew, town, town.slugs[0]))
    town.at(half - DAY + 1, partial(belonging.appoint, town))
    town.at(half, partial(belonging.suspend, town, town.slugs[-1]))
    town.at(half + 1, partial(belonging.close_vacant, town))


def _param(rules: Rules, spec: ParamSpec) -> int:
    return rules.genesis.params.get(f"{spec.module}.{spec.name}", spec.default)
