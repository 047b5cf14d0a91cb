"""The log itself out: proofs that it only grows, and its tiles, entries and checkpoint as C2SP tlog-tiles has them."""

from typing import Annotated

from litestar import Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import QueryParameter

from metrobloc.client.reading import Consistency
from metrobloc.engine.cosigned import published
from metrobloc.engine.proofs import NotProvable
from metrobloc.engine.solo import Solo
from metrobloc.engine.tiles import read_place, read_tile
from metrobloc.kernel import log
from metrobloc.kernel.types import INT_MAX
from metrobloc.surface.http.answers import Failure, TurnedAway, as_json, node_of, told, turn

OCTETS = "application/octet-stream"

Old = Annotated[int, QueryParameter(ge=0, le=INT_MAX, description="The size, in leaves, of the log as it was.")]
New = Annotated[int, QueryParameter(ge=0, le=INT_MAX, description="The size of the log that begins with it.")]


@get("/v1/log/consistency", opt=told(Consistency, also={409: Failure}))
async def consistency(state: State, old: Old, new: New) -> Response[bytes]:
    """Prove that the log of `new` leaves begins with that of `old` leaves (RFC 9162, section 2.1.4); hashes in hex."""
    node = node_of(state)
    if old > new:
        raise TurnedAway(409, "not_grown", "The old size is larger than the new one; a log only grows.")
    if new > node.machine.log.size:
        raise TurnedAway(409, "not_reached", "The log is not so long yet.")
    async with turn(state):
        return as_json(prove_consistency(node, old, new))


@get("/v1/log/checkpoint", opt=told(str, "text/plain"))
async def log_checkpoint(state: State) -> Response[bytes]:
    """Return the newest checkpoint that witnesses have co-signed; while there is none, the newest of all.

    With the routes below this is a log as C2SP tlog-tiles has it, under the prefix `/v1/log`.
    """
    return Response(published(node_of(state)), media_type="text/plain")


@get("/v1/log/tile/{where:path}", opt=told(bytes, OCTETS))
async def tile(state: State, where: str) -> Response[bytes]:
    """Return a tile of hashes (`LEVEL/NUMBER`) or a bundle of entries (`entries/NUMBER`), as C2SP tlog-tiles has it."""
    place = read_place(f"tile{where}")
    async with turn(state):
        try:
            found = None if place is None else read_tile(node_of(state), place)
        except NotProvable as fault:
            raise HTTPException(status_code=404, detail=str(fault)) from fault
    if found is None:
        raise HTTPException(status_code=404, detail="The log has no such tile.")
    return Response(found, media_type=OCTETS)


ROUTES = (consistency, log_checkpoint, tile)


def prove_consistency(node: Solo, old: int, new: int) -> Consistency:
    """Return a proof that a node's log of one size begins with that of another."""
    before, after = (log.root_at(size, node.store.tile).hex() for size in (old, new))
    path = log.consistency_proof(old, new, node.store.tile)
    return Consistency(old, new, before, after, tuple(part.hex() for part in path))
