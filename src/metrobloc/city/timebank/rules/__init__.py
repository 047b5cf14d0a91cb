"""The verbs of the time bank, a file for each part of its life; importing this declares them all.

`declared` holds tables and refusals, then come `registry` (the office admits banks), `membership`, `interbank` (lines),
`giving`, `releasing` (tasks), `claiming`, `checking`, `settling`; `queries` and `invariants` read what they leave.
"""

from metrobloc.city.timebank.rules import (
    checking,
    claiming,
    giving,
    interbank,
    invariants,
    membership,
    queries,
    registry,
    releasing,
    settling,
)
from metrobloc.city.timebank.rules.declared import (
    COORDINATOR,
    POT,
    app,
    banks,
    days,
    escrow,
    hours,
    line_to,
    lines,
    members,
    services,
    tasks,
)

__all__ = [
    "COORDINATOR",
    "POT",
    "app",
    "banks",
    "checking",
    "claiming",
    "days",
    "escrow",
    "giving",
    "hours",
    "interbank",
    "invariants",
    "line_to",
    "lines",
    "members",
    "membership",
    "queries",
    "registry",
    "releasing",
    "services",
    "settling",
    "tasks",
]
