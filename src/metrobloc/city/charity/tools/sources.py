"""Read the sources of replays: Gitcoin's grant rounds from their file, and the Red Cross pilot from its figures."""

import csv
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from metrobloc.city.charity import rules as charity
from metrobloc.city.charity.tools.plan import DAY_MS, HOUR_MS, Case, Plan, Round, match_ratio
from metrobloc.city.charity.tools.replay import Grants
from metrobloc.kernel.assigned import is_assigned
from metrobloc.kernel.block import Rules
from metrobloc.kernel.types import Public

CENTS_MAX = 10**12
COUNT_MAX = 10**7
RATIO_MAX = 10**6
TITLE_MAX = 200
COLUMNS = (
    "round_number",
    "round_start_date",
    "round_end_date",
    "grant_title",
    "grant_id",
    "match_amount",
    "num_contributions",
    "num_unique_contributors",
    "crowdfund_amount_contributions_usd",
)
SURPLUS = "fields beyond the header"
GITCOIN_SIGMA = 1.67
"""Of a log-normal whose mean and median are 11.9 and 2.95 dollars, as the mean gift's over the file's grants are."""
GITCOIN_GRANTS_PER_DONOR = 14
"""Round 10 had about 17,000 donors, and its rows name 235,877."""

PILOT_CASES = 40
PILOT_GIFTS = 8225
PILOT_FEN = 840_000
PILOT_DAYS = 30
PILOT_SIGMA = 1.2
PILOT_CASES_PER_DONOR = 4
PILOT_ZONE_MS = 8 * HOUR_MS
_EPOCH = date(1970, 1, 1)


class _Row(Struct, frozen=True):
    round: int
    starts_ms: int
    closes_ms: int
    case: Case


def gitcoin(  # noqa: PLR0913
    path: Path,
    rules: Rules,
    start_ms: int,
    end_ms: int,
    *,
    limit: int | None = None,
    round_number: int | None = None,
    seed: int = 1,
) -> Grants:
    """Plan the replay of grant rounds: all, or one round, or the campaigns whose gifts fit under a limit.

    Dates are the file's where the rounds lie between `start_ms` and `end_ms`, else they are mapped into that time.
    ValueError says in a sentence what is wrong with the file or the choice.
    """
    skipped: list[str] = []
    rounds = _rounds(_rows(path, round_number, skipped), rules)
    if not rounds:
        what = "row" if round_number is None else f"row of round {round_number}"
        raise ValueError(f"{path.name} has no {what} that can be replayed.")
    if limit is not None:
        rounds = _limited(rounds, limit, skipped)
    plan = Plan(
        "usd_gitcoin",
        "US dollars given in Gitcoin rounds",
        tuple(rounds),
        skipped,
        GITCOIN_SIGMA,
        GITCOIN_GRANTS_PER_DONOR,
        step_ms=DAY_MS,
    )
    return Grants(rules, plan, (start_ms, end_ms), seed)


def pilot(rules: Rules, start_ms: int, end_ms: int, *, factor: int = 1, seed: int = 1) -> Grants:
    """Plan the Red Cross pilot's month, `factor` times as many cases and gifts; 31 days always hold it unscaled."""
    if factor < 1:
        raise ValueError("The factor is a whole number from 1 on.")
    edges = [PILOT_GIFTS * place // PILOT_CASES for place in range(PILOT_CASES * factor + 1)]
    cases = tuple(
        Case(f"Pilot case {number}", after - before, after - before, PILOT_FEN)
        for number, (before, after) in enumerate(pairwise(edges), 1)
    )
    midnight_ms = -(-(start_ms + PILOT_ZONE_MS) // DAY_MS) * DAY_MS - PILOT_ZONE_MS
    month = Round(0, midnight_ms, midnight_ms + PILOT_DAYS * DAY_MS, cases)
    plan = Plan("cny_pilot", "Renminbi given in the pilot", (month,), [], PILOT_SIGMA, PILOT_CASES_PER_DONOR, HOUR_MS)
    return Grants(rules, plan, (start_ms, end_ms), seed)


def clean_title(title: str) -> str:
    """Return a title as a ledger may keep it: the invisible and unknown become U+FFFD, what is too long ends in "…"."""
    seen = "".join(c if _is_public(c) and is_assigned(c) else "\ufffd" for c in title.strip())
    composed = unicodedata.normalize("NFC", seen) or "(untitled)"
    return composed if len(composed) <= TITLE_MAX else composed[: TITLE_MAX - 1] + "…"


def _is_public(text: str) -> bool:
    try:
        msgspec.convert(text, Public)
    except msgspec.ValidationError:
        return False
    return True


def _rows(path: Path, round_number: int | None, skipped: list[str]) -> Iterator[_Row]:
    """Yield the rows of a round, or of all, that can be replayed; name those that cannot in `skipped`."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True, restkey=SURPLUS)
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path.name} lacks the columns {', '.join(missing)}; it is no file of grant rounds.")
            for fields in reader:
                row = _row(fields, f"{path.name}, line {reader.line_num}")
                if round_number not in {None, row.round}:
                    continue
                reason = _unfit(row.case)
                if reason:
                    grant = f"grant {clean_title(fields['grant_id'])} “{row.case.title}”"
                    skipped.append(f"Round {row.round}, {grant} is not replayed: {reason}.")
                else:
                    yield row
        except UnicodeDecodeError as error:
            raise ValueError(f"{path.name} is not UTF-8 text.") from error
        except csv.Error as error:
            raise ValueError(f"{path.name}, line {reader.reader.line_num}: {error}.") from error


def _row(fields: dict[str, str], place: str) -> _Row:
    absent = [name for name in COLUMNS if fields.get(name) is None]
    if absent or SURPLUS in fields:
        raise ValueError(f"{place}: the line has another number of fields than the header.")

    def number(name: str, scale: int, most: int) -> int:
        return _number(fields[name], f"{place}, {name}", scale, most)

    starts_ms, ends_ms = (_day_ms(fields[name], f"{place}, {name}") for name in COLUMNS[1:3])
    if ends_ms < starts_ms:
        raise ValueError(f"{place}: the round ends before it starts.")
    case = Case(
        title=clean_title(fields["grant_title"]),
        gifts=number("num_contributions", 1, COUNT_MAX),
        donors=number("num_unique_contributors", 1, COUNT_MAX),
        crowd=number("crowdfund_amount_contributions_usd", 100, CENTS_MAX),
        match=number("match_amount", 100, CENTS_MAX),
    )
    return _Row(number("round_number", 1, COUNT_MAX), starts_ms, ends_ms + DAY_MS, case)


def _unfit(case: Case) -> str:
    """Say why a row cannot be replayed, or nothing."""
    told = f"{case.gifts} gift{'' if case.gifts == 1 else 's'}, {case.donors} donors, {case.crowd} cents in all"
    if not case.crowd or not case.gifts or case.crowd < case.gifts or not 1 <= case.donors <= case.gifts:
        return told
    return f"a match of {case.match} cents on {case.crowd}" if match_ratio(case) > RATIO_MAX else ""


def _number(text: str, place: str, scale: int, most: int) -> int:
    """Read a decimal number that times `scale` is a whole one from 0 to `most`."""
    try:
        scaled = Decimal(text) * scale
        if 0 <= scaled <= most and scaled == int(scaled):
            return int(scaled)
    except ArithmeticError:
        raise ValueError(f"{place}: “{text[:20]}” is no number.") from None
    raise ValueError(f"{place}: {text[:20]} is not a number of whole units between 0 and {most}.")


def _day_ms(text: str, place: str) -> int:
    try:
        return (date.fromisoformat(text) - _EPOCH).days * DAY_MS
    except ValueError:
        raise ValueError(f"{place}: “{text[:20]}” is no date such as 2021-06-16.") from None


def _rounds(rows: Iterator[_Row], rules: Rules) -> list[Round]:
    """Gather rows into rounds in order of time; rounds must not overlap, nor last longer than campaigns may."""
    found: dict[tuple[int, int, int], list[Case]] = {}
    for row in rows:
        found.setdefault((row.starts_ms, row.closes_ms, row.round), []).append(row.case)
    rounds = [
        Round(number, starts, closes, tuple(found[starts, closes, number])) for starts, closes, number in sorted(found)
    ]
    spec = charity.duration_ms_max
    longest_ms = rules.genesis.params.get(f"{spec.module}.{spec.name}", spec.default)
    for round_ in rounds:
        if round_.closes_ms - round_.starts_ms > longest_ms:
            raise ValueError(f"Round {round_.number} lasts longer than a campaign may.")
    if len({round_.number for round_ in rounds}) < len(rounds):
        raise ValueError("The rows of a round differ in its dates.")
    for before, after in pairwise(rounds):
        if after.starts_ms < before.closes_ms:
            raise ValueError(f"Rounds {before.number} and {after.number} overlap; replay one of them at a time.")
    return rounds


def _limited(rounds: Sequence[Round], limit: int, skipped: list[str]) -> list[Round]:
    """Keep whole campaigns, earliest first, as long as their gifts fit under the limit together."""
    kept, left, campaigns = [], limit, 0
    for round_ in rounds:
        cases = []
        for case in round_.cases:
            if case.gifts <= left:
                cases.append(case)
                left -= case.gifts
        campaigns += len(round_.cases) - len(cases)
        if cases:
            kept.append(msgspec.structs.replace(round_, cases=tuple(cases)))
    if not kept:
        raise ValueError(f"No campaign has as few as {limit} gifts; raise the limit.")
    if campaigns:
        skipped.append(f"{campaigns} campaigns are left out because of the limit of {limit} gifts.")
    return kept
