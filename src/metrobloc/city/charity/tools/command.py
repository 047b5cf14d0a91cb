"""`metrobloc replay charity`: its options, and which source they choose."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from metrobloc.city.charity.tools import sources
from metrobloc.city.charity.tools.plan import DAY_MS
from metrobloc.city.charity.tools.replay import Grants
from metrobloc.commons.replay import Source
from metrobloc.kernel.block import Rules

GITCOIN_START_MS = int(datetime(2019, 1, 31, tzinfo=UTC).timestamp() * 1000)
PILOT_MS = 33 * DAY_MS
Positive = Annotated[int, Meta(ge=1)]


def replay(  # noqa: PLR0913
    now_ms: int,
    *,
    file: Path | None = None,
    pilot: bool = False,
    factor: Positive = 1,
    limit: Positive | None = None,
    round_: Positive | None = None,
    seed: int = 1,
) -> Source:
    """Replay grants: FILE is a Gitcoin grants_data.csv, or the folder that holds it.

    pilot: Instead of a file: a month of the Red Cross pilot.
    factor: The pilot so many times.
    limit: Only campaigns with this many gifts together.
    round: Only this round of the file.
    seed: Draw other gifts with the same totals.
    """
    if (file is None) != pilot:
        raise ValueError("Name either a file or --pilot.")
    if file is None and (limit, round_) != (None, None):
        raise ValueError("--limit and --round choose from a file; the pilot has --factor.")

    def plan(rules: Rules, start_ms: int, end_ms: int) -> Grants:
        if file is None:
            return sources.pilot(rules, start_ms, end_ms, factor=factor, seed=seed)
        path = file / "grants_data.csv" if file.is_dir() else file
        return sources.gitcoin(path, rules, start_ms, end_ms, limit=limit, round_number=round_, seed=seed)

    return Source(now_ms - PILOT_MS if pilot else GITCOIN_START_MS, plan)
