"""Replay real data on a playground chain: every gift a transaction signed by its own donor. Runs off the ledger."""

from metrobloc.city.charity.tools.replay import Batch, Expected, Replay, Summary, run
from metrobloc.city.charity.tools.sources import gitcoin, pilot

__all__ = ["Batch", "Expected", "Replay", "Summary", "gitcoin", "pilot", "run"]
