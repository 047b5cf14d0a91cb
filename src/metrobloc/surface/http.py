"""The door: transactions in, proofs and records out, over HTTP.

`POST /v1/tx` (one envelope) and `/v1/txs` (one envelope a line) answer when what was sent is durable or turned away;
`GET` routes read committed state. Every failure is `{"code", "sentence"}`; nothing of the machine's inside is shown.
"""

import logging
from collections.abc import Callable
from typing import Annotated, Any, cast

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import Parameter
from litestar.response import Stream

from metrobloc.engine import proofs
from metrobloc.engine.sealer import Busy, Sealer
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.kernel.envelope import ENVELOPE_BYTES_MAX
from metrobloc.kernel.errors import MachineFault

BODY_BYTES_MAX = 4 << 20
LINES_MAX = 5_000
PAGE_MAX = 500
JSON = "application/json"
LINES = "application/x-ndjson"

FAILURES = {
    400: ("bad_request", "The request has a value of the wrong form."),
    404: ("not_found", "There is no such path; docs/api.md lists them."),
    405: ("bad_method", "This path takes another method; docs/api.md lists them."),
    413: ("too_large", "The body is too large; send fewer transactions at once."),
}
"""What the door says when a request is not even one that a route can answer: code and sentence by status."""

INTERNAL = ("internal", "The node has a fault; its operator finds it in the node's output.")

Height = Annotated[int | None, Parameter(ge=0, required=False)]
Limit = Annotated[int, Parameter(ge=1, le=PAGE_MAX)]
HexId = Annotated[str, Parameter(pattern=r"^[0-9a-f]{64}$")]
Plain = Request[Any, Any, Any]

_encode = msgspec.json.Encoder().encode
log = logging.getLogger("metrobloc")


@post("/v1/tx", status_code=200, request_max_body_size=ENVELOPE_BYTES_MAX + 1024)
async def send_one(request: Plain, state: State, promise: bool = False) -> Response[bytes]:  # noqa: FBT001, FBT002
    """Take one transaction; with `?promise=true` answer at once with a signed promise."""
    sealer = _sealer(state)
    raw = await request.body()
    answer = await sealer.promise(raw) if promise else (await sealer.submit([raw]))[0]
    status = {"malformed": 400, "void": 409, "accepted": 202, "committed": 200}[answer.status]
    body = msgspec.to_builtins(answer)
    if answer.status == "committed":
        body["receipt"] = msgspec.Raw(sealer.node.store.receipts(answer.height)[answer.index])
    return Response(_encode(body), media_type=JSON, status_code=status)


@post("/v1/txs", status_code=200, request_max_body_size=BODY_BYTES_MAX)
async def send_many(request: Plain, state: State, at: Height = None) -> Response[bytes]:
    """Take a transaction a line; the answers come a line each, in the same order.

    On a demo chain `?at=` plays them at a block time in the past, as stories and replays do.
    """
    sealer = _sealer(state)
    raws = [line for line in (await request.body()).split(b"\n") if line]
    if len(raws) > LINES_MAX:
        raise HTTPException(status_code=413, detail=f"Send at most {LINES_MAX} transactions at once.")
    answers = await (sealer.submit(raws) if at is None else sealer.play(raws, at))
    return Response(b"".join([_encode(answer) + b"\n" for answer in answers]), media_type=LINES)


@get("/v1/status")
async def status(state: State) -> Response[bytes]:
    """Tell how the chain stands."""
    return _json(describe(_node(state)))


@get("/v1/genesis")
async def genesis(state: State) -> Response[bytes]:
    """Return the genesis as it was hashed."""
    return Response(genesis_of(_node(state).store), media_type=JSON)


@get("/v1/checkpoint")
async def checkpoint(state: State) -> Response[bytes]:
    """Return the newest signed checkpoint (C2SP signed note)."""
    return Response(_node(state).checkpoint(), media_type="text/plain")


@get("/v1/trust")
async def trust(state: State) -> Response[bytes]:
    """Return a trust file for the operator's present key; compare the key with the operator by another way."""
    return Response(_node(state).trust(), media_type=JSON)


@get("/v1/receipts/{tx:str}")
async def receipt(state: State, tx: HexId) -> Response[bytes]:
    """Return the receipt of a transaction."""
    store = _node(state).store
    place = store.find(bytes.fromhex(tx))
    if place is None:
        raise HTTPException(status_code=404, detail="No block has this transaction; check its id or send it again.")
    return Response(store.receipts(place[0])[place[1]], media_type=JSON)


@get("/v1/proofs/receipts/{tx:str}")
async def receipt_proof(state: State, tx: HexId) -> Response[bytes]:
    """Return a proof file of a receipt."""
    return _provable(lambda: proofs.prove_receipt(_node(state), bytes.fromhex(tx)))


@get("/v1/proofs/records/{key:path}")
async def record_proof(state: State, key: str, height: Height = None) -> Response[bytes]:
    """Return a proof file of a record, or of its absence, at one of the last 128 heights."""
    return _provable(lambda: proofs.prove_record(_node(state), key.removeprefix("/"), height))


@get("/v1/records/{key:path}")
async def record(state: State, key: str) -> Response[bytes]:
    """Return the record under a state key."""
    return _json(read_record(_node(state), key.removeprefix("/")))


@get("/v1/tables/{module:str}/{table:str}")
async def rows(state: State, module: str, table: str, after: str = "", limit: Limit = 50) -> Response[bytes]:
    """Return a page of a table in key order; `next` continues it."""
    return _json(read_table(_node(state), f"{module}/{table}/", after, limit))


@get("/v1/blocks")
async def blocks(state: State) -> Stream:
    """Return the whole chain as JSON lines, as `metrobloc export blocks` writes it."""
    return Stream((line + b"\n" for line in _node(state).export()), media_type=LINES)


ROUTES = (
    send_one,
    send_many,
    status,
    genesis,
    checkpoint,
    trust,
    receipt,
    receipt_proof,
    record_proof,
    record,
    rows,
    blocks,
)


def build(sealer: Sealer) -> Litestar:
    """Return the application over a node's sealer."""
    return Litestar(
        ROUTES,
        state=State({"sealer": sealer}),
        exception_handlers={
            HTTPException: _say,
            Busy: _say_busy,
            MachineFault: _say_stopping,
            Exception: _say_internal,
        },
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _sealer(state: State) -> Sealer:
    return cast("Sealer", state["sealer"])


def _node(state: State) -> Solo:
    return _sealer(state).node


def describe(node: Solo) -> dict[str, object]:
    """Return how the chain stands: height, time, root, log, operator."""
    machine = node.machine
    return {
        "chain": node.chain,
        "height": machine.height,
        "time_ms": machine.time_ms,
        "state_root": machine.state_root,
        "log_size": machine.log.size,
        "records": len(machine.tree),
        "spent_us": dict(node.spent_us),
        "operator": node.key.key_id,
        "modules": [module.name for module in machine.rules.modules],
    }


def read_record(node: Solo, key: str) -> dict[str, object]:
    """Return `{"height","items":[{"key","value"}],"next"}` with the record, or with no item."""
    raw = node.store.get(key.encode(errors="replace"))
    items = [] if raw is None else [{"key": key, "value": msgspec.Raw(raw)}]
    return {"height": node.machine.height, "items": items, "next": None}


def read_table(node: Solo, prefix: str, after: str, limit: int) -> dict[str, object]:
    """Return `{"height","items":[{"key","value"}],"next"}` with a page of records; keys without the prefix."""
    rows = node.store.scan(prefix.encode(), (prefix + after).encode(errors="replace") if after else None, limit)
    items = [{"key": path.decode()[len(prefix) :], "value": msgspec.Raw(raw)} for path, raw in rows]
    following = items[-1]["key"] if len(items) == limit else None
    return {"height": node.machine.height, "items": items, "next": following}


def _json(value: object) -> Response[bytes]:
    return Response(_encode(value), media_type=JSON)


def _provable(make: Callable[[], bytes]) -> Response[bytes]:
    try:
        return Response(make(), media_type=JSON)
    except proofs.NotProvable as missing:
        raise HTTPException(status_code=404, detail=str(missing)) from missing


def _say(request: Plain, error: HTTPException) -> Response[bytes]:
    if error.status_code >= 500:  # the framework's, such as a client who left in mid-sentence
        log.warning("%s %s: %s", request.method, request.url.path, error.detail)
        return _failure(500, *INTERNAL)
    code, sentence = FAILURES.get(error.status_code, FAILURES[400])
    if type(error) is HTTPException:  # raised above, not by the framework
        sentence = error.detail
    elif isinstance(error, ValidationException):
        values = cast("list[dict[str, str]]", error.extra or [])
        wrong = ", ".join(sorted(value.get("key", "body") for value in values))
        sentence = f"{sentence} Look at: {wrong}."
    return _failure(error.status_code, code, sentence)


def _say_busy(_: Plain, error: Busy) -> Response[bytes]:
    return _failure(503, "busy", str(error))


def _say_stopping(_: Plain, error: MachineFault) -> Response[bytes]:
    return _failure(503, "stopping", str(error))


def _say_internal(request: Plain, error: Exception) -> Response[bytes]:
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _failure(500, *INTERNAL)


def _failure(status: int, code: str, sentence: str) -> Response[bytes]:
    answer = _encode({"code": code, "sentence": sentence})
    return Response(answer, media_type=JSON, status_code=status)
