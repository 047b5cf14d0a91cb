"""The verbs of governance, by what they are about; importing this package declares them all."""

from metrobloc.commons.governance.rules import approving, deciding, invariants, proposing, queries
from metrobloc.commons.governance.rules.declared import (
    app,
    councils,
    decisions,
    notice_blocks,
    office_quota_per_hour,
    proposals,
    voting_ms,
)

__all__ = [
    "app",
    "approving",
    "councils",
    "deciding",
    "decisions",
    "invariants",
    "notice_blocks",
    "office_quota_per_hour",
    "proposals",
    "proposing",
    "queries",
    "voting_ms",
]
