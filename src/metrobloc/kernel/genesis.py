"""The first page of a chain: its name, its founding accounts, its modules, parameters and limits.

The chain's id is the genesis' name and a truncated hash of its JCS bytes, so two chains can never mix up transactions.
It says nothing about the engine: the same genesis gives the same chain on one machine and on a cluster.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from metrobloc.kernel import codec, crypto
from metrobloc.kernel.system import Limits
from metrobloc.kernel.types import END, Key, Signed, Slug, TimeMs, Total

DEMO_PREFIX = "demo-"
RULES = 1
"""The version of the rules that this code carries."""


class Founder(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An account that is there from the start."""

    key: Key
    quota_per_hour: Total = 0
    roles: Annotated[tuple[Slug, ...], Meta(max_length=16)] = ()


class Genesis(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything that the first block's state follows from."""

    founders: Annotated[tuple[Founder, ...], Meta(min_length=1, max_length=1024)]
    modules: Annotated[tuple[Slug, ...], Meta(max_length=256)]
    name: Annotated[str, Meta(pattern=f"^[a-z][a-z0-9-]{{0,31}}{END}", max_length=32)]
    time_ms: TimeMs
    limits: Limits = Limits()
    params: dict[str, Signed] = {}
    rules: Annotated[int, Meta(ge=1, le=RULES)] = RULES


_decoder = msgspec.json.Decoder(Genesis)


def read_genesis(data: bytes) -> Genesis:
    """Read a genesis strictly; raises `codec.Malformed`."""
    return codec.decode(data, _decoder)


def chain_id(data: bytes) -> str:
    """Return the chain's id: at most 50 characters, the same for every engine."""
    return f"{read_genesis(data).name}-{crypto.sha256(data).hex()[:16]}"


def is_demo(chain: str) -> bool:
    """Tell whether a chain is a playground: public role keys hold there, and stories may drive its clock."""
    return chain.startswith(DEMO_PREFIX)
