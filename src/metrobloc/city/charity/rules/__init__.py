"""The verbs of the charity, a file for each part of a case's life; importing this declares them all.

`declared` holds tables and refusals, `lines` how money lies in purses. Then come `casework` (templates, cases),
`giving`, `offering` (matches), `claiming` (invoices), `settling`, `finishing` (what is left) and `auditing` (flags);
`queries` and `invariants` read what they leave. `calling` and `needing` file calls for help and what is needed, without
money, `aiding` reads these. Money leaves a campaign's pot only in `settling`, to a hospital or
vendor against approved lines, and in `giving`, `offering` and `finishing`, back to where it came from.
"""

from metrobloc.city.charity.rules import (
    aiding,
    auditing,
    calling,
    casework,
    claiming,
    finishing,
    giving,
    invariants,
    needing,
    offering,
    settling,
)
from metrobloc.city.charity.rules.calling import calls, clusters, link_ms
from metrobloc.city.charity.rules.declared import (
    app,
    campaigns,
    claims,
    duration_ms_max,
    flags,
    gifts,
    invoices,
    offers,
    purses,
    shares,
    spans,
    take_back_ms,
)
from metrobloc.city.charity.rules.needing import lots, needs, supplies
from metrobloc.city.charity.rules.queries import matches, path, statement, totals

__all__ = [
    "aiding",
    "app",
    "auditing",
    "calling",
    "calls",
    "campaigns",
    "casework",
    "claiming",
    "claims",
    "clusters",
    "duration_ms_max",
    "finishing",
    "flags",
    "gifts",
    "giving",
    "invariants",
    "invoices",
    "link_ms",
    "lots",
    "matches",
    "needing",
    "needs",
    "offering",
    "offers",
    "path",
    "purses",
    "settling",
    "shares",
    "spans",
    "statement",
    "supplies",
    "take_back_ms",
    "totals",
]
