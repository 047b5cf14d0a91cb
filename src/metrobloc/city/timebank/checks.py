"""The code that a helper or receiver signs where there is no network: when the help began or ended.

What is signed is the pre-authentication encoding of DSSE (secure-systems-lab/dsse, protocol v1) over a payload type of
its own and the canonical JSON (RFC 8785) of chain, service, what and time: it can never pass for a transaction, nor
for a code of another service, end or chain. A QR code carries time and signature (64 bytes); the rest both sides know.
"""

from typing import Literal

from metrobloc.kernel import codec

PAYLOAD_TYPE = b"application/vnd.metrobloc.timebank.check.v1+json"


def code(chain: str, service: str, what: Literal["in", "out"], at_ms: int) -> bytes:
    """Return the bytes to sign: that a service began ("in") or ended ("out") at a time (ms since 1970)."""
    payload = codec.encode({"at_ms": at_ms, "chain": chain, "service": service, "what": what})
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE, len(payload), payload)
