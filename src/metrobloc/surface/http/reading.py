"""Committed state out: how the chain stands, records, tables, receipts, blocks and their proofs."""

from collections.abc import Callable
from typing import Annotated

from litestar import Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import Parameter
from litestar.response import Stream
from msgspec import Raw

from metrobloc.engine import proofs
from metrobloc.engine.solo import Solo, genesis_of, present
from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.genesis import Genesis
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.surface.http.answers import JSON, LINES, Height, as_json, node_of, told, turn
from metrobloc.surface.http.shapes import Ahead, Item, Page, Standing, Trust

PAGE_MAX = 500

Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX)]
HexId = Annotated[str, Parameter(pattern=r"^[0-9a-f]{64}$")]


@get("/v1/status", opt=told(Standing))
async def status(state: State) -> Response[bytes]:
    """Tell how the chain stands."""
    return as_json(standing(node_of(state)))


@get("/v1/genesis", opt=told(Genesis))
async def genesis(state: State) -> Response[bytes]:
    """Return the genesis as it was hashed."""
    return Response(genesis_of(node_of(state).store), media_type=JSON)


@get("/v1/checkpoint", opt=told(str, "text/plain"))
async def checkpoint(state: State) -> Response[bytes]:
    """Return the newest signed checkpoint (C2SP signed note)."""
    return Response(node_of(state).checkpoint(), media_type="text/plain")


@get("/v1/trust", opt=told(Trust))
async def trust(state: State) -> Response[bytes]:
    """Return a trust file for the operator's present key; compare the key with the operator by another way."""
    return Response(node_of(state).trust(), media_type=JSON)


@get("/v1/receipts/{tx:str}", opt=told(ReadReceipt))
async def receipt(state: State, tx: HexId) -> Response[bytes]:
    """Return the receipt of a transaction."""
    store = node_of(state).store
    place = store.find(bytes.fromhex(tx))
    if place is None:
        raise HTTPException(status_code=404, detail="No block has this transaction; check its id or send it again.")
    return Response(store.receipts(place[0])[place[1]], media_type=JSON)


@get("/v1/proofs/receipts/{tx:str}", opt=told(dict))
async def receipt_proof(state: State, tx: HexId) -> Response[bytes]:
    """Return a proof file of a receipt."""
    async with turn(state):
        return _provable(lambda: proofs.prove_receipt(node_of(state), bytes.fromhex(tx)))


@get("/v1/proofs/records/{key:path}", opt=told(dict))
async def record_proof(state: State, key: str, height: Height = None) -> Response[bytes]:
    """Return a proof file of a record, or of its absence, at one of the last 128 heights."""
    async with turn(state):
        return _provable(lambda: proofs.prove_record(node_of(state), key.removeprefix("/"), height))


@get("/v1/records/{key:path}", opt=told(Page))
async def record(state: State, key: str) -> Response[bytes]:
    """Return the record under a state key."""
    return as_json(read_record(node_of(state), key.removeprefix("/")))


@get("/v1/tables/{module:str}/{table:str}", opt=told(Page))
async def rows(state: State, module: str, table: str, after: str = "", limit: Limit = 50) -> Response[bytes]:
    """Return a page of a table in key order; `next` continues it."""
    async with turn(state):
        return as_json(read_table(node_of(state), f"{module}/{table}/", after, limit))


@get("/v1/blocks", opt=told(dict, LINES))
async def blocks(state: State) -> Stream:
    """Return the whole chain as JSON lines, as `metrobloc export blocks` writes it."""
    return Stream((line + b"\n" for line in node_of(state).export()), media_type=LINES)


ROUTES = (status, genesis, checkpoint, trust, receipt, receipt_proof, record_proof, record, rows, blocks)


def standing(node: Solo) -> Standing:
    """Return how the chain stands: height, time, root, log, operator."""
    machine, view = node.machine, View(node.store)
    height, info, named = machine.height + 1, present(view[system.chain].get("info")), view[system.modules].items()
    return Standing(
        node.chain,
        machine.height,
        machine.time_ms,
        machine.state_root,
        machine.log.size,
        len(machine.tree),
        dict(node.spent_us),
        node.key.key_id,
        info.rules_at(height),
        tuple(name for name, one in named if one.from_height <= height),
        ahead(node),
    )


def ahead(node: Solo) -> tuple[Ahead, ...]:
    """Return what the council has decided and takes effect after the next block."""
    machine, view = node.machine, View(node.store)
    height, rules = machine.height + 1, machine.rules
    known = [module.name for module in rules.modules]
    found = [Ahead(name, one.from_height, name in known) for name, one in view[system.modules].items()]
    info = view[system.chain].get("info")
    if info is not None and info.next_rules:
        what = f"version {info.next_rules} of the rules"
        found.append(Ahead(what, info.from_height, info.next_rules <= rules.newest))
    return tuple(one for one in found if one.from_height > height)


def read_record(node: Solo, key: str) -> Page:
    """Return a page with the record, or with no item."""
    raw = node.store.get(key.encode(errors="replace"))
    items = () if raw is None else (Item(key, Raw(raw)),)
    return Page(node.machine.height, items, None)


def read_table(node: Solo, prefix: str, after: str, limit: int) -> Page:
    """Return a page of records; their keys come without the prefix."""
    rows = node.store.scan(prefix.encode(), (prefix + after).encode(errors="replace") if after else None, limit)
    items = tuple(Item(path.decode()[len(prefix) :], Raw(raw)) for path, raw in rows)
    return Page(node.machine.height, items, items[-1].key if len(items) == limit else None)


def _provable(make: Callable[[], bytes]) -> Response[bytes]:
    try:
        return Response(make(), media_type=JSON)
    except proofs.NotProvable as missing:
        raise HTTPException(status_code=404, detail=str(missing)) from missing
