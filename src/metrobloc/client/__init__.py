"""What another program uses to work with a city: sign, send without ever doing anything twice, read, and prove.

`Client` waits for each answer, `AsyncClient` is for asyncio; `Draft` needs no node. docs/client.md shows them at work.
"""

from metrobloc.client.draft import Draft, new_salt
from metrobloc.client.drivers import AsyncClient, Client
from metrobloc.client.errors import (
    Judgement,
    Malformed,
    NoNode,
    NotFound,
    NotIncluded,
    NotValid,
    PromiseBroken,
    ProofInvalid,
    Refused,
    Unknown,
    Void,
)
from metrobloc.client.proving import Proved
from metrobloc.client.sending import Outcome
from metrobloc.client.streaming import Happened

__all__ = [
    "AsyncClient",
    "Client",
    "Draft",
    "Happened",
    "Judgement",
    "Malformed",
    "NoNode",
    "NotFound",
    "NotIncluded",
    "NotValid",
    "Outcome",
    "PromiseBroken",
    "ProofInvalid",
    "Proved",
    "Refused",
    "Unknown",
    "Void",
    "new_salt",
]
