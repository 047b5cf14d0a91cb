"""The door: transactions in, proofs and records out, over HTTP.

`POST /v1/tx` (one envelope) and `/v1/txs` (one envelope a line) answer when what was sent is durable or turned away;
`GET` routes read committed state. Every failure is `{"code", "sentence"}`; nothing of the machine's inside is shown.
"""

from metrobloc.surface.http.answers import FAILURES
from metrobloc.surface.http.build import ROUTES, build
from metrobloc.surface.http.log import prove_consistency
from metrobloc.surface.http.reading import ahead, read_record, read_table, standing
from metrobloc.surface.http.transactions import BODY_BYTES_MAX, LINES_MAX

__all__ = [
    "BODY_BYTES_MAX",
    "FAILURES",
    "LINES_MAX",
    "ROUTES",
    "ahead",
    "build",
    "prove_consistency",
    "read_record",
    "read_table",
    "standing",
]
