"""Private documents: encrypted here, kept by a custodian, known to the ledger by digests only.

`Vault` works with a `Client`, or anything that answers as one, and waits; `AsyncVault` works with an `AsyncClient`.
docs/vault.md shows them at work and describes the format.
"""

from metrobloc.client.vault.drivers import AsyncVault, Vault
from metrobloc.client.vault.faults import FAULTS, Fault
from metrobloc.client.vault.keeping import Got, Kept, Reads
from metrobloc.client.vault.sealing import DOCUMENT_BYTES_MAX, Box, Document
from metrobloc.client.vault.steps import Me
from metrobloc.client.vault.stores import Stores
from metrobloc.client.vault.tending import Checked, Finding, Tidied

__all__ = [
    "DOCUMENT_BYTES_MAX",
    "FAULTS",
    "AsyncVault",
    "Box",
    "Checked",
    "Document",
    "Fault",
    "Finding",
    "Got",
    "Kept",
    "Me",
    "Reads",
    "Stores",
    "Tidied",
    "Vault",
]
