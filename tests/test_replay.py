"""Replays of real data: the ledger ends equal to the source, and what chance fills in keeps to the source's sums."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import pytest

from metrobloc.city.charity import rules as charity
from metrobloc.city.charity.tools import draw, plan, sources
from metrobloc.city.charity.tools.replay import Grants
from metrobloc.commons.identity import rules as identity
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.money import rules as money
from metrobloc.commons.replay import Read, Summary, run
from metrobloc.commons.stage import pack
from metrobloc.kernel import codec, crypto, envelope
from metrobloc.kernel.block import Outcome
from metrobloc.kernel.machine import make_rules
from metrobloc.testing.sandbox import START_MS, Sandbox
from tests.support import SHARED, need

MODULES = (identity.app, money.app, charity.app)
GRANTS = SHARED / "social" / "gitcoin-grants" / "grants_data.csv"
DAY_MS = plan.DAY_MS
MONTH_MS = 31 * DAY_MS
Y2019_MS = int(datetime(2019, 1, 1, tzinfo=UTC).timestamp()) * 1000
HEADER = (
    "round_number,round_start_date,round_end_date,grant_title,grant_id,region,category,url,match_amount,"
    "num_contributions,num_unique_contributors,crowdfund_amount_contributions_usd,total"
)
ROW = "1,2019-02-01,2019-02-15,A title,7,none,Tech,u,10.50,4,3,20.25,30.75"


@pytest.fixture
def chain() -> Sandbox:
    return Sandbox(MODULES)


def reader(chain: Sandbox) -> Read:
    def read(path: str) -> Mapping[str, object] | None:
        raw = chain.memory.get(path.encode())
        return None if raw is None else msgspec.json.decode(raw, type=dict[str, object])

    return read


def played(chain: Sandbox, replay: Grants) -> Summary:
    """Run a replay to its end and hold the ledger to the source and to its own invariants."""
    progress: list[int] = []
    summary = run(replay, chain.execute, progress.append)
    assert summary.done == sum(progress) == replay.total
    assert replay.differences(reader(chain)) == []
    assert chain.bugs == []
    assert chain.broken() == []
    return summary


def source_rows() -> list[dict[str, str]]:
    need(GRANTS.exists(), "the shared data set of Gitcoin's grant rounds")
    with GRANTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(folder: Path, *lines: str) -> Path:
    path = folder / "grants.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_two_rounds_end_as_the_file_says() -> None:
    rows = [row for row in source_rows() if row["round_number"] in {"1", "2"}]
    assert len(rows) == 62
    chain = Sandbox(MODULES, start_ms=Y2019_MS)
    for number in (1, 2):
        start_ms = chain.machine.time_ms
        replay = sources.gitcoin(GRANTS, chain.rules, start_ms, start_ms + 366 * DAY_MS, round_number=number)
        played(chain, replay)
        assert len(replay.skipped) == number - 1
    given: dict[str, dict[str, str]] = {}
    for key, gift in chain.view[charity.gifts].items():
        given.setdefault(gift.campaign, {})[key] = gift.donor
    found = []
    for key, c in chain.view[charity.campaigns].items():
        purses = charity.statement(chain.view, key)
        crowd = purses.pop("crowd")
        matched = sum(purse["received"] for purse in purses.values())
        settled = crowd["spent"] + sum(purse["spent"] for purse in purses.values())
        donors = set(given[key].values())
        found.append((c.title, len(given[key]), len(donors), crowd["received"], matched, settled, c.state, c.closes_ms))
    wanted = sorted(
        (
            row["grant_title"],
            int(row["num_contributions"]),
            int(row["num_unique_contributors"]),
            crowd_cents := int(Decimal(row["crowdfund_amount_contributions_usd"]) * 100),
            match_cents := int(Decimal(row["match_amount"]) * 100),
            crowd_cents + match_cents,
            "closed",
            int(datetime.fromisoformat(row["round_end_date"] + "T00:00+00:00").timestamp()) * 1000 + DAY_MS,
        )
        for row in rows
        if Decimal(row["crowdfund_amount_contributions_usd"])
    )
    assert sorted(found) == wanted


def test_the_whole_file_is_planned_or_listed(chain: Sandbox) -> None:
    rows = source_rows()
    replay = sources.gitcoin(GRANTS, chain.rules, START_MS, START_MS + 900 * DAY_MS)
    zero = [row for row in rows if not Decimal(row["crowdfund_amount_contributions_usd"])]
    listed = sum(int(row["num_contributions"]) for row in zero)
    assert len(replay.skipped) == len(zero) == 230
    assert replay.total + listed == 543_824
    for number in range(1, 11):
        mine = [expected for expected in replay.expected.values() if expected.round == number]
        theirs = [row for row in rows if row["round_number"] == str(number) and row not in zero]
        assert len(mine) == len(theirs)
        assert sum(e.crowd for e in mine) == sum(
            Decimal(row["crowdfund_amount_contributions_usd"]) * 100 for row in theirs
        )
        assert sum(e.matched for e in mine) == sum(Decimal(row["match_amount"]) * 100 for row in theirs)


def test_the_pilot_reaches_the_hospital_to_the_last_fen(chain: Sandbox) -> None:
    replay = sources.pilot(chain.rules, START_MS, START_MS + MONTH_MS)
    summary = played(chain, replay)
    assert (summary.done, len(replay.expected)) == (8225, 40)
    assert {expected.gifts for expected in replay.expected.values()} == {205, 206}
    assert {expected.settled for expected in replay.expected.values()} == {840_000}
    assert summary.transactions < 8225 * 1.04, "the set-up is a small part"
    amounts = sorted(gift.amount for _, gift in chain.view[charity.gifts].items())
    assert 1500 < amounts[len(amounts) // 2] < 2500 < max(amounts)
    assert amounts[0] >= 1
    hours = Counter[int]()
    for sealed in chain.sealed:
        hours[(sealed.time_ms + sources.PILOT_ZONE_MS) // plan.HOUR_MS % 24] += len(sealed.transactions)
    assert sum(hours[hour] for hour in range(1, 6)) * 3 < sum(hours[hour] for hour in range(17, 22)), "nights are quiet"


def test_replays_on_one_chain_do_not_collide(chain: Sandbox) -> None:
    for _ in range(2):
        start_ms = chain.machine.time_ms
        played(chain, sources.gitcoin(GRANTS, chain.rules, start_ms, start_ms + DAY_MS, limit=200))


def test_a_limit_keeps_whole_campaigns(chain: Sandbox, tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, ROW, ROW.replace("10.50,4,3", "0,30,20").replace("20.25", "999.99"), ROW)
    replay = sources.gitcoin(path, chain.rules, START_MS, START_MS + DAY_MS, limit=10)
    assert replay.total == 8
    assert replay.skipped == ["1 campaigns are left out because of the limit of 10 gifts."]
    played(chain, replay)
    with pytest.raises(ValueError, match="No campaign has as few as 3 gifts"):
        sources.gitcoin(path, chain.rules, START_MS, START_MS + DAY_MS, limit=3)


def test_many_deadlines_at_one_time_all_run(chain: Sandbox, tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, *[ROW.replace("4,3,20.25", "1,1,0.01")] * 130)
    replay = sources.gitcoin(path, chain.rules, START_MS, START_MS + DAY_MS)
    assert len([batch for batch in replay.batches() if not batch.raws]) == 3
    played(chain, replay)


def test_the_same_seed_signs_the_same_bytes(chain: Sandbox) -> None:
    def digest(seed: int) -> str:
        replay = sources.pilot(chain.rules, START_MS, START_MS + MONTH_MS, seed=seed)
        return crypto.sha256(b"".join(raw for batch in replay.batches() for raw in batch.raws)).hex()

    assert digest(1) == digest(1) != digest(2)


@pytest.mark.parametrize("window_ms", [MONTH_MS, 60_000, 5 * 366 * DAY_MS])
def test_time_stays_in_its_window_and_never_runs_backwards(chain: Sandbox, tmp_path: Path, window_ms: int) -> None:
    later = ROW.replace("1,2019-02-01,2019-02-15", "2,2019-03-01,2019-03-01")
    path = written(tmp_path, HEADER, *[later] * 3, *[ROW] * 3)
    replay = sources.gitcoin(path, chain.rules, START_MS, START_MS + window_ms)
    limits = chain.rules.genesis.limits
    times = [START_MS]
    for batch in replay.batches():
        times.append(batch.time_ms)
        for raw in batch.raws:
            assert batch.time_ms < envelope.read(raw).payload.expires <= batch.time_ms + limits.expiry_ms_max
    assert times == sorted(times)
    assert times[-1] <= START_MS + window_ms
    played(chain, replay)


def test_a_window_too_short_is_said(chain: Sandbox) -> None:
    for end_ms in (START_MS + 999, START_MS - DAY_MS):
        with pytest.raises(ValueError, match="let the replay start earlier"):
            sources.pilot(chain.rules, START_MS, end_ms)


def test_only_a_playground_is_replayed_on() -> None:
    modules = {module.name: module for module in MODULES}
    genesis = demo_genesis(START_MS, modules).replace(b'"demo-city"', b'"city"')
    with pytest.raises(ValueError, match="demo- chain"):
        sources.pilot(make_rules(genesis, modules), START_MS, START_MS + MONTH_MS)
    with pytest.raises(ValueError, match="whole number"):
        sources.pilot(Sandbox(MODULES).rules, START_MS, START_MS + MONTH_MS, factor=0)


def test_differences_are_told(chain: Sandbox, tmp_path: Path) -> None:
    replay = sources.gitcoin(written(tmp_path, HEADER, ROW, ROW), chain.rules, START_MS, START_MS + DAY_MS)
    played(chain, replay)
    read = reader(chain)
    first, second = replay.expected

    def wrong(path: str) -> Mapping[str, object] | None:
        if path.endswith(first):
            return None
        return {**(read(path) or {}), "received": 2024} if path.endswith(f"{second}/crowd") else read(path)

    said = replay.differences(wrong)
    assert said[0] == f"Round 1, A title: the campaign {first} is not on the ledger."
    assert said[1] == "Round 1, A title: crowd is 2024 on the ledger and 2025 in the source."
    assert "In all, crowd is 2024 on the ledger and 4050 in the source." in said
    assert replay.differences(lambda _: None)[-5].startswith("The clinic has 0 on the ledger")


def test_a_refusal_stops_the_replay(chain: Sandbox) -> None:
    replay = sources.pilot(chain.rules, START_MS, START_MS + MONTH_MS)

    def execute(raws: Sequence[bytes], time_ms: int) -> list[Outcome]:
        outcomes = chain.execute(raws, time_ms)
        return [*outcomes[:-1], msgspec.structs.replace(outcomes[-1], code="over_quota")]

    with pytest.raises(RuntimeError, match="'over_quota': 1"):
        run(replay, execute)
    with pytest.raises(RuntimeError, match="not take the replay"):
        run(replay, lambda _raws, _time_ms: [])


@pytest.mark.parametrize("seed", range(30))
def test_drawn_gifts_have_the_source_s_sums(seed: int) -> None:
    chance = Random(seed)
    gifts = chance.randint(1, 400)
    total = gifts + chance.choice([0, 1, chance.randint(0, 10**9)])
    donors = chance.randint(1, gifts)
    span_ms = chance.randint(1, 30) * DAY_MS
    amounts = draw.draw_amounts(chance, gifts, total, sources.GITCOIN_SIGMA)
    assert (len(amounts), sum(amounts), min(amounts) >= 1) == (gifts, total, True)
    named = draw.draw_donors(chance, gifts, donors, pool=donors + seed)
    assert (len(named), len(set(named))) == (gifts, donors)
    assert set(named) <= set(range(donors + seed))
    moments = draw.draw_moments(chance, gifts, span_ms)
    assert len(moments) == gifts
    assert all(0 <= moment < span_ms for moment in moments)


def test_moments_have_a_daily_cycle_and_bursts() -> None:
    moments = sorted(draw.draw_moments(Random(5), 4000, 30 * DAY_MS))
    hours = Counter(moment // plan.HOUR_MS % 24 for moment in moments)
    assert sum(hours[hour] for hour in range(1, 5)) * 5 < sum(hours[hour] for hour in range(18, 22))
    same_hour = Counter(moment // plan.HOUR_MS for moment in moments if moment // plan.HOUR_MS % 24 == 20)
    mean = sum(same_hour.values()) / 30
    variance = sum((same_hour[day * 24 + 20] - mean) ** 2 for day in range(30)) / 30
    assert variance > 1.5 * mean, "gifts that follow one another cluster more than a Poisson process"


def test_donors_are_shared_by_the_cases_of_a_round() -> None:
    def round_of(*donors: int) -> plan.Round:
        return plan.Round(1, 0, DAY_MS, tuple(plan.Case("c", n, n, n) for n in donors))

    assert plan.pool_size(round_of(*[10] * 28), 14) == 20
    assert plan.pool_size(round_of(15, 3), 14) == 15
    assert plan.pool_size(round_of(*[plan.DONORS_MAX] * 28), 14) == plan.DONORS_MAX
    assert plan.pool_size(round_of(plan.DONORS_MAX + 1), 14) == plan.DONORS_MAX + 1


HOSTILE = {
    "empty file": ([], "lacks the columns round_number"),
    "header only": ([HEADER], "has no row that can be replayed"),
    "missing column": (["round_number,grant_title", "1,x"], "lacks the columns round_start_date"),
    "short line": ([HEADER, "1,2019-02-01,2019-02-15,A title"], "line 2: the line has another number of fields"),
    "long line": ([HEADER, ROW + ",1"], "line 2: the line has another number of fields"),
    "no number": ([HEADER, ROW.replace("10.50", "ten")], "line 2, match_amount: “ten” is no number"),
    "not a number": ([HEADER, ROW.replace("10.50", "NaN")], "line 2, match_amount: “NaN” is no number"),
    "infinite": ([HEADER, ROW.replace("10.50", "Infinity")], "Infinity is not a number of whole units"),
    "enormous": ([HEADER, ROW.replace("10.50", "1e99999999")], "“1e99999999” is no number"),
    "negative": ([HEADER, ROW.replace("20.25", "-20.25")], "-20.25 is not a number of whole units"),
    "half a cent": ([HEADER, ROW.replace("20.25", "20.255")], "20.255 is not a number of whole units"),
    "half a gift": ([HEADER, ROW.replace(",4,", ",4.5,")], "num_contributions: 4.5 is not"),
    "no date": ([HEADER, ROW.replace("2019-02-01", "1 Feb")], "“1 Feb” is no date"),
    "ends before it starts": ([HEADER, ROW.replace("2019-02-01", "2019-02-16")], "the round ends before it starts"),
    "too long": ([HEADER, ROW.replace("2019-02-15", "2020-02-15")], "Round 1 lasts longer than a campaign may"),
    "two dates": ([HEADER, ROW, ROW.replace("2019", "2020")], "The rows of a round differ in its dates"),
    "overlap": ([HEADER, ROW, ROW.replace("1,2019-02-01", "2,2019-02-10")], "Rounds 1 and 2 overlap"),
    "open quote": ([HEADER, ROW.replace("A title", '"A title')], "line 2: unexpected end of data"),
    "no replayable row": ([HEADER, ROW.replace("20.25", "0.0")], "has no row that can be replayed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_file_is_explained(chain: Sandbox, tmp_path: Path, name: str) -> None:
    lines, sentence = HOSTILE[name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the sentence is what is tested
        sources.gitcoin(written(tmp_path, *lines), chain.rules, START_MS, START_MS + DAY_MS)
    assert sentence in str(caught.value)


def test_other_bytes_than_text_and_a_missing_round_are_explained(chain: Sandbox, tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, ROW)
    with pytest.raises(ValueError, match=r"grants\.csv has no row of round 7"):
        sources.gitcoin(path, chain.rules, START_MS, START_MS + DAY_MS, round_number=7)
    path.write_bytes(HEADER.encode() + b"\n\xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        sources.gitcoin(path, chain.rules, START_MS, START_MS + DAY_MS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("4,3,20.25", "1,0,0.0"),
        ("4,3,20.25", "0,0,20.25"),
        ("4,3,20.25", "4,5,20.25"),
        ("4,3,20.25", "4,0,20.25"),
        ("4,3,20.25", "4,3,0.03"),
        ("10.50,4,3,20.25", "10000.01,1,1,0.01"),
    ],
)
def test_a_row_that_contradicts_itself_is_listed(chain: Sandbox, tmp_path: Path, old: str, new: str) -> None:
    path = written(tmp_path, HEADER, ROW, ROW.replace(old, new))
    replay = sources.gitcoin(path, chain.rules, START_MS, START_MS + DAY_MS)
    assert replay.total == 4
    assert len(replay.skipped) == 1
    assert replay.skipped[0].startswith("Round 1, grant 7 “A title” is not replayed: ")


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        ("POAP  (Proof of Attendance)", "POAP  (Proof of Attendance)"),
        (" \t padded \n", "padded"),
        ("two\nlines", "two\ufffdlines"),
        ("\u202eevil", "\ufffdevil"),
        ("e\u0301cole", "\u00e9cole"),
        ("new \U0001fae8 face", "new \ufffd face"),
        ("", "(untitled)"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
        ("\U0001f507" * 300, "\U0001f507" * 199 + "…"),
    ],
)
def test_titles_are_cleaned_visibly(title: str, clean: str) -> None:
    assert sources.clean_title(title) == clean
    codec.encode_checked({"title": clean})


def test_a_packed_envelope_is_the_one_that_is_read_back(chain: Sandbox) -> None:
    keys = [crypto.SigningKey(bytes([n]) * 32) for n in range(3)]
    call = envelope.Call("a" * 26, "charity.give", msgspec.Raw(b"{}"))
    payload = envelope.Payload((call,), chain.rules.chain, START_MS, 1, "0" * 32)
    assert pack(payload, keys) == envelope.sign(payload, keys)
