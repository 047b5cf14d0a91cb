"""The verbs of escrow, a file for each part of its life; importing this declares them all.

`declared` holds tables and refusals and `paying` the only way in which money leaves; then come `opening`, `releasing`
and `disputing`. `serving` is for other modules; `queries` and `invariants` read what is left.
"""

from metrobloc.commons.escrow.rules import disputing, invariants, opening, queries, releasing
from metrobloc.commons.escrow.rules.declared import app, duration_ms_max, escrows, inbox, instalments, pot
from metrobloc.commons.escrow.rules.serving import open_for, open_from_pot, refund_for, release_for

__all__ = [
    "app",
    "disputing",
    "duration_ms_max",
    "escrows",
    "inbox",
    "instalments",
    "invariants",
    "open_for",
    "open_from_pot",
    "opening",
    "pot",
    "queries",
    "refund_for",
    "release_for",
    "releasing",
]
