"""A town of time banks lives through its time: the ledger refuses nothing and ends as the town's own books say."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest
from click.testing import CliRunner

from metrobloc import app
from metrobloc.city.timebank import rules as timebank
from metrobloc.city.timebank.tools import command, plan
from metrobloc.city.timebank.tools.replay import DAY_MS, TownYear
from metrobloc.city.timebank.types import events
from metrobloc.commons.identity import rules as identity
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.replay import Read, run
from metrobloc.engine.sealer import clock_ms
from metrobloc.kernel import crypto, envelope
from metrobloc.kernel.machine import make_rules
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.types import Event
from metrobloc.surface.bench import running
from metrobloc.surface.cli import Setting
from metrobloc.surface.running import found_demo
from metrobloc.testing.sandbox import START_MS, Sandbox
from tests.support import rounds

MODULES = (identity.app, timebank.app)
SMALL = plan.Size(members=60, banks=4, days=30, tasks_per_member=6)
TINY = plan.Size(members=20, banks=2, days=20, tasks_per_member=2)
TINY_OPTIONS = ("--town", "--members", "20", "--banks", "2", "--days", "20", "--tasks-per-member", "2", "--json")
_receipts = msgspec.json.Decoder(ReadReceipt)


@pytest.fixture
def chain() -> Sandbox:
    return Sandbox(MODULES)


def year_of(chain: Sandbox, size: plan.Size, seed: int) -> TownYear:
    return TownYear(chain.rules, size, seed, START_MS + 1, START_MS + (size.days + plan.AFTER + 1) * DAY_MS)


def reader(chain: Sandbox) -> Read:
    def read(path: str) -> Mapping[str, object] | None:
        raw = chain.memory.get(path.encode())
        return None if raw is None else msgspec.json.decode(raw, type=dict[str, object])

    return read


@pytest.fixture(scope="module")
def lived() -> tuple[Sandbox, TownYear]:
    """Let one town live for the tests that only look at it."""
    chain = Sandbox(MODULES)
    year = year_of(chain, SMALL, seed=1)
    run(year, chain.execute)
    return chain, year


@pytest.mark.parametrize("seed", range(2, 2 + rounds(2, 50)))
def test_the_ledger_ends_as_the_town_says(chain: Sandbox, seed: int) -> None:
    year = year_of(chain, SMALL, seed)
    summary = run(year, chain.execute)
    assert summary.done == year.total == SMALL.members * SMALL.tasks_per_member
    assert year.differences(reader(chain)) == []
    assert chain.bugs == []
    assert chain.broken() == []
    told = year.told()
    ways = ("paid", "resolved", "expired", "dropped", "nobody_came")
    assert told["services"] == sum(told[way] for way in ways) > told["tasks"]
    assert all(told[name] for name in ways)
    assert min(told[name] for name in ("across_banks", "coded", "relief", "withdrawn", "moves", "left")) > 0


def test_everything_that_can_happen_happens(lived: tuple[Sandbox, TownYear]) -> None:
    chain, _ = lived
    happened = {
        event.event for sealed in chain.sealed for raw in sealed.receipts for event in _receipts.decode(raw).events
    }
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
    assert {f"timebank.{kind.__name__.lower()}" for kind in kinds if kind is not Event} <= happened


def test_the_suspended_bank_winds_down(lived: tuple[Sandbox, TownYear]) -> None:
    _, year = lived
    books, last = year.town.books, year.town.slugs[-1]
    assert books.banks[last].state == "suspended"
    assert books.banks[last].members == books.banks[last].services == 0
    holders = {holder: minutes for (bank, holder), minutes in books.minutes.items() if bank == last and minutes}
    assert all(holder.startswith(("timebank.line.", "timebank.pot")) for holder in holders)
    assert sum(holders.values()) == 0


def test_everybody_signs_for_herself(chain: Sandbox) -> None:
    year = year_of(chain, TINY, seed=1)
    members = {party.account: party.key.key_id for party in year.town.people}
    signed = Counter[str]()
    for batch in year.batches():
        for raw in batch.raws:
            read = envelope.read(raw)
            for call in read.payload.calls:
                assert call.as_ not in members or members[call.as_] in read.key_ids
                signed[call.as_] += 1
    assert signed.keys() >= members.keys()


def test_the_same_seed_signs_the_same_bytes(chain: Sandbox) -> None:
    def digest(seed: int) -> str:
        batches = year_of(chain, TINY, seed).batches()
        return crypto.sha256(b"".join(raw for batch in batches for raw in batch.raws)).hex()

    assert digest(1) == digest(1) != digest(2)


def test_differences_are_told(lived: tuple[Sandbox, TownYear]) -> None:
    chain, year = lived
    read, books = reader(chain), year.town.books
    account = next(key for key, member in books.members.items() if books.balance(key))
    bank = books.members[account].bank
    paths = [
        f"timebank/hours/{bank}/{account}",
        f"timebank/members/{account}",
        f"timebank/tasks/{next(iter(books.tasks))}",
    ]

    def wrong(path: str) -> Mapping[str, object] | None:
        found = read(path)
        if path == paths[0]:
            return {"amount": 4321}
        return None if path == paths[1] else {**(found or {}), "claimed": 9} if path == paths[2] else found

    balance, member, task = year.differences(wrong)
    assert balance == f"hours/{bank}/{account}: amount is 4321 on the ledger and {books.balance(account)} in the town."
    assert member.startswith(f"members/{account}: the ledger has None, the town {{")
    assert task.endswith(f"claimed is 9 on the ledger and {next(iter(books.tasks.values())).claimed} in the town.")
    nobody = year.differences(lambda path: {"amount": 1} if path.startswith("timebank/hours") else read(path))
    assert "the ledger has {'amount': 1}, the town {}." in " ".join(nobody)


def test_a_town_that_does_not_fit_is_explained(chain: Sandbox) -> None:
    with pytest.raises(ValueError, match="leaves 19 days of wishes until now, with 31 more to settle"):
        TownYear(chain.rules, TINY, 1, START_MS + 1, START_MS + (19 + plan.AFTER + 1) * DAY_MS)
    modules = {module.name: module for module in MODULES}
    other = make_rules(demo_genesis(START_MS, modules).replace(b'"demo-city"', b'"city"'), modules)
    with pytest.raises(ValueError, match="demo- chain"):
        TownYear(other, TINY, 1, START_MS, START_MS + 60 * DAY_MS)
    with pytest.raises(ValueError, match="Say --town"):
        command.replay(START_MS)
    with pytest.raises(ValueError, match="10 members at least"):
        command.replay(START_MS, town=True, members=100, banks=11)


def test_a_drawn_town_is_a_small_world_with_a_rhythm() -> None:
    size = plan.Size(members=1000, banks=10, days=364, tasks_per_member=6)
    drawn = plan.draw(Random(3), START_MS // DAY_MS * DAY_MS, size)
    near = sum(drawn.people[one].bank == person.bank for person in drawn.people for one in person.knows)
    ties = sum(len(person.knows) for person in drawn.people)
    assert ties == size.members * plan.TIES
    assert 0.7 < near / ties < 0.9, "most acquaintances live in the same quarter, some elsewhere"
    assert all(number in drawn.people[one].knows for number, person in enumerate(drawn.people) for one in person.knows)
    assert all(before.at <= after.at for before, after in pairwise(drawn.wishes))
    first_weekday = (START_MS // DAY_MS + 3) % 7  # 1970 began on a Thursday
    weekdays = Counter((wish.at // plan.DAY + first_weekday) % 7 for wish in drawn.wishes)
    assert min(weekdays, key=weekdays.__getitem__) == 6, "Sundays are quiet"
    hours = Counter(wish.at % plan.DAY // 2 for wish in drawn.wishes)
    assert hours[9] > 2 * hours[21]
    days = Counter(wish.at // plan.DAY for wish in drawn.wishes)
    flooded = sum(days[day] for day in plan.flood(size))
    assert flooded > 1.5 * sum(days[day + 7] for day in plan.flood(size))
    assert {wish.relief for wish in drawn.wishes if wish.at // plan.DAY not in plan.flood(size)} == {False}
    fates = Counter(fate for wish in drawn.wishes for fate in wish.fates)
    assert fates.keys() == plan.FATES.keys()


def test_the_command_plays_a_town_in_a_folder_and_on_a_node(tmp_path: Path) -> None:
    def told(*options: str) -> dict[str, object]:
        result = CliRunner().invoke(app.commands(), ["replay", "timebank", *TINY_OPTIONS, *options])
        assert result.exit_code == 0, result.output
        return msgspec.json.decode(result.stdout, type=dict[str, object])

    here = told("--data", str(tmp_path / "here"))
    assert here["differences"] == []
    audited = CliRunner().invoke(app.commands(), ["audit", "--data", str(tmp_path / "here")])
    assert (audited.exit_code, "Sound." in audited.stdout) == (0, True)
    setting = Setting(app.modules)
    found_demo(tmp_path / "there", setting, clock_ms() - (TINY.days + plan.AFTER + 2) * DAY_MS).close()
    with running(tmp_path / "there") as (_, port, _):
        there = told("--node", f"http://127.0.0.1:{port}")
    assert there["differences"] == []
    assert there["paid_minutes"] == here["paid_minutes"]
