"""Transactions in: one or many, answered when they are durable or turned away; and drafts and simulations before that.

A simulation runs the real handlers where blocks are made, one at a time, and a block that is waiting goes first. It
costs at most what one transaction may cost, and the deadlines that are due.
"""

import base64
import secrets
from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import PathParameter, QueryParameter

from metrobloc.engine.sealer import Answer, clock_ms
from metrobloc.kernel import codec, crypto, envelope, system
from metrobloc.kernel.block import BlockRun, Calls, Rules
from metrobloc.kernel.context import View
from metrobloc.kernel.envelope import ENVELOPE_BYTES_MAX
from metrobloc.kernel.errors import ENGINE_REFUSALS, VOIDS, Void
from metrobloc.kernel.module import Action
from metrobloc.kernel.types import Message
from metrobloc.surface.http.answers import (
    LINES,
    Failure,
    Height,
    Plain,
    TurnedAway,
    as_json,
    encode,
    node_of,
    read_body,
    sealer_of,
    told,
    turn,
)
from metrobloc.surface.http.shapes import Asked, Draft, Envelope, Signer, Simulation, TxAnswer

BODY_BYTES_MAX = 4 << 20
LINES_MAX = 5_000
EXPIRY_MS = 300_000
EXPIRY_MS_MAX = 86_400_000

Account = Annotated[str, PathParameter(pattern="^[a-z2-7]{26}$")]
Actor = Annotated[str, QueryParameter(name="as", pattern="^[a-z2-7]{26}$", description="Whose draft it is.")]
Expiry = Annotated[
    int, QueryParameter(ge=1000, le=EXPIRY_MS_MAX, description="How long it stays valid, in milliseconds.")
]
_asked = msgspec.json.Decoder(Asked)


@post(
    "/v1/tx",
    status_code=200,
    request_max_body_size=ENVELOPE_BYTES_MAX + 1024,
    opt=told(TxAnswer, also={202: TxAnswer, 400: [TxAnswer, Failure], 409: TxAnswer}, body=Envelope),
)
async def send_one(request: Plain, state: State, promise: bool = False) -> Response[bytes]:  # noqa: FBT001, FBT002
    """Take one transaction; with `?promise=true` answer at once with a signed promise."""
    sealer = sealer_of(state)
    raw = await request.body()
    answer = await sealer.promise(raw) if promise else (await sealer.submit([raw]))[0]
    status = {"malformed": 400, "void": 409, "accepted": 202, "committed": 200}[answer.status]
    body = msgspec.to_builtins(answer)
    if answer.status == "committed":
        body["receipt"] = msgspec.Raw(sealer.node.store.receipts(answer.height)[answer.index])
    return as_json(body, status)


@post(
    "/v1/txs",
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
    opt=told(Answer, LINES, body=Envelope, takes=LINES),
)
async def send_many(request: Plain, state: State, at: Height = None) -> Response[bytes]:
    """Take a transaction a line; the answers come a line each, in the same order.

    On a demo chain `?at=` plays them at a block time in the past, as stories and replays do.
    """
    sealer = sealer_of(state)
    raws = [line for line in (await request.body()).split(b"\n") if line]
    if len(raws) > LINES_MAX:
        raise HTTPException(status_code=413, detail=f"Send at most {LINES_MAX} transactions at once.")
    answers = await (sealer.submit(raws) if at is None else sealer.play(raws, at))
    return Response(b"".join([encode(answer) + b"\n" for answer in answers]), media_type=LINES)


@post(
    "/v1/simulate",
    status_code=200,
    request_max_body_size=ENVELOPE_BYTES_MAX + 1024,
    opt=told(Simulation, also={404: Failure, 409: Failure}, body=Asked),
)
async def simulate(request: Plain, state: State) -> Response[bytes]:
    """Say what calls would do if they were signed and sent; nothing is changed and nothing is kept."""
    asked = read_body(await request.body(), _asked)
    ahead = node_of(state).machine.ahead()
    calls: Calls = []
    for call in asked.calls:
        action = _action(ahead, call.do)
        calls.append((action, call.as_, read_message(action, bytes(call.with_))[0]))
    return as_json(await simulated(state, asked.salt or secrets.token_hex(16), calls, asked.at_ms))


@post(
    "/v1/drafts/{app:str}/{verb:str}",
    status_code=200,
    request_max_body_size=ENVELOPE_BYTES_MAX + 1024,
    opt=told(Draft, also={404: Failure, 409: Failure}),
)
async def draft(  # noqa: PLR0913, PLR0917
    request: Plain, state: State, app: str, verb: str, actor: Actor, expires_in_ms: Expiry = EXPIRY_MS
) -> Response[bytes]:
    """Write a transaction for you to sign: its exact text, the bytes to sign, who must sign, and what it would do.

    The body is the action's message. What is signed is what is shown; nothing is kept, and nothing happens until the
    signed transaction is sent.
    """
    node = node_of(state)
    ahead = node.machine.ahead()
    rules, action = ahead.rules, _action(ahead, f"{app}.{verb}")
    message, written = read_message(action, await request.body())
    account = View(node.store)[system.accounts].get(actor)
    if account is None:
        raise unknown("unknown_account")
    if expires_in_ms > rules.genesis.limits.expiry_ms_offline:
        raise TurnedAway(409, "expires_too_late", VOIDS["expires_too_late"])
    now_ms = max(clock_ms(), node.machine.time_ms)
    salt = secrets.token_hex(16)
    calls = (envelope.Call(actor, action.do, msgspec.Raw(written)),)
    payload = codec.encode(envelope.Payload(calls, rules.chain, now_ms + expires_in_ms, ahead.version, salt))
    to_sign = envelope.pae(payload)
    return as_json(
        Draft(
            crypto.sha256(to_sign).hex(),
            payload.decode(),
            base64.b64encode(to_sign).decode(),
            (Signer(actor, account.keys_at(now_ms), account.threshold),),
            _named_keys(action, message),
            now_ms + expires_in_ms,
            await simulated(state, salt, [(action, actor, message)]),
        )
    )


ROUTES = (send_one, send_many, simulate, draft)


async def simulated(state: State, salt: str, calls: Calls, at_ms: int | None = None) -> Simulation:
    """Run calls on a throw-away overlay, by default at this moment; raises TurnedAway."""
    sealer = sealer_of(state)
    async with turn(state):
        if sealer.fault:
            raise sealer.fault
        machine = sealer.node.machine
        time_ms = max(clock_ms(), machine.time_ms) if at_ms is None else at_ms
        if time_ms < machine.time_ms:
            sentence = f"The last block was at {machine.time_ms} ms; name a time that is not before it, or none."
            raise TurnedAway(409, "clock", sentence)
        try:
            done = sealer.node.simulate(salt, calls, time_ms)
        except Void as void:
            raise unknown(void.code) from void
    return Simulation(
        done.height,
        done.time_ms,
        done.code,
        sentence_of(machine.rules, done.code),
        done.call,
        done.events,
        done.ids,
        done.work,
        done.work_max,
        done.writes,
    )


def read_message(action: Action, raw: bytes) -> tuple[Message, bytes]:
    """Return a message and its canonical bytes; Malformed when a transaction could not carry it."""
    message = read_body(raw, action.decoder)
    written = codec.encode(message)
    return codec.decode(written, action.decoder), written


def sentence_of(rules: Rules, code: str) -> str:
    """Return the sentence for people of a receipt's code; `ok` needs none."""
    module = next((module for module in rules.modules if code in module.refusals), None)
    return ENGINE_REFUSALS.get(code, "") if module is None else module.refusals[code]


def _action(ahead: BlockRun, do: str) -> Action:
    """Return an action as it is in the next block; TurnedAway when there it is none, or not yet."""
    try:
        action = ahead.find(do) if do in ahead.rules.actions else None
    except Void as void:
        raise unknown(void.code) from void
    if action is None:
        raise unknown("unknown_action")
    return action


def _named_keys(action: Action, message: Message) -> tuple[str, ...]:
    named = [getattr(message, field) or () for field in action.key_fields]
    return tuple(key for value in named for key in ((value,) if isinstance(value, str) else value))


def unknown(code: str) -> TurnedAway:
    """Return the failure for an account or action that the chain does not have, or not yet."""
    return TurnedAway(404, code, VOIDS[code])
