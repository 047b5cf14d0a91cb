"""The verbs of identity, by what they are about; importing this package declares them all."""

from metrobloc.commons.identity.rules import (
    accrediting,
    acting,
    changing,
    invariants,
    opening,
    queries,
    recovering,
    succeeding,
)
from metrobloc.commons.identity.rules.declared import (
    CITIZEN,
    COUNCIL,
    OFFICE,
    SUPERVISOR,
    app,
    box_keys,
    changes,
    guardianships,
    institutions,
    persons,
    recoveries,
    vouched,
)

__all__ = [
    "CITIZEN",
    "COUNCIL",
    "OFFICE",
    "SUPERVISOR",
    "accrediting",
    "acting",
    "app",
    "box_keys",
    "changes",
    "changing",
    "guardianships",
    "institutions",
    "invariants",
    "opening",
    "persons",
    "queries",
    "recoveries",
    "recovering",
    "succeeding",
    "vouched",
]
