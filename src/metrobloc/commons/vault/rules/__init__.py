"""The verbs of the vault, in files of one subject each; importing this declares them all."""

from metrobloc.commons.vault.rules import erasing, invariants, opening, queries, sharing, storing
from metrobloc.commons.vault.rules.declared import app, custodians, entries, openings, readers, reports

__all__ = [
    "app",
    "custodians",
    "entries",
    "erasing",
    "invariants",
    "opening",
    "openings",
    "queries",
    "readers",
    "reports",
    "sharing",
    "storing",
]
