"""How the door reads and answers: strict JSON in, one form for every failure, JSON for the rest.

Nothing of the machine's inside is shown. A route says with `told` what it takes and answers; `document.py` makes the
API's document of that and of its parameters.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, cast

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import Parameter
from msgspec import Struct

from metrobloc.engine.sealer import Busy, Sealer
from metrobloc.engine.solo import Solo
from metrobloc.kernel import codec
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.module import Module
from metrobloc.kernel.types import INT_MAX
from metrobloc.surface.describe import AppDoc

T = TypeVar("T")

JSON = "application/json"
LINES = "application/x-ndjson"

FAILURES = {
    400: ("bad_request", "The request has a value of the wrong form."),
    404: ("not_found", "There is no such path; / and /v1/openapi.json list them."),
    405: ("bad_method", "This path takes another method; /v1/openapi.json lists them."),
    413: ("too_large", "The body is too large; send fewer transactions at once."),
}
"""What the door says when a request is not even one that a route can answer: code and sentence by status."""

INTERNAL = ("internal", "The node has a fault; its operator finds it in the node's output.")

CLIENT_LEFT = "client disconnected prematurely"
"""The framework's words for one who left in mid-sentence: nobody hears the answer, and no operator needs to know."""

Height = Annotated[int | None, Parameter(ge=0, le=INT_MAX, required=False)]
Plain = Request[Any, Any, Any]

encode = msgspec.json.Encoder().encode
log = logging.getLogger("metrobloc")


class Failure(Struct, frozen=True):
    """Why a request was turned away: a stable code, and a sentence that says what to do."""

    code: str
    sentence: str


class TurnedAway(Exception):
    """A request that a route cannot answer: its status, code and sentence."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        """Keep what to answer."""
        super().__init__(code)
        self.status = status
        self.code = code
        self.sentence = sentence


class Told(Struct, frozen=True):
    """What a route answers (a type for its schema, a media type), other statuses it may answer, and what it takes."""

    answer: object
    media: str
    also: Mapping[int, object]
    body: object
    takes: str


def told(
    answer: object, media: str = JSON, also: Mapping[int, object] | None = None, body: object = None, takes: str = JSON
) -> dict[str, Told]:
    """Say what a route answers, to be given as its `opt`.

    In `also`, Failure stands for a failure of that status. What every route may answer need not be said: 405, 500, 503;
    400 where something can be wrong, 404 where a path has a name in it, 413 where there is a body.
    """
    return {"told": Told(answer, media, also or {}, body, takes)}


def read_body(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read JSON from outside as strictly as a transaction, but for the order of its keys and its blanks.

    Raises Malformed: bad UTF-8, doubled keys, fractions, numbers and depth beyond the limits, fields unknown or wrong.
    """
    try:
        return codec.decode(raw, decoder)
    except Malformed as fault:
        if fault.code != "not_canonical":
            raise
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as fault:  # half a character, written as an escape
        raise Malformed("not_json", str(fault)) from None


def sealer_of(state: State) -> Sealer:
    """Return the sealer behind the door."""
    return cast("Sealer", state["sealer"])


def node_of(state: State) -> Solo:
    """Return the node behind the door."""
    return sealer_of(state).node


@asynccontextmanager
async def turn(state: State) -> AsyncIterator[None]:
    """Wait for the turn of what takes milliseconds where blocks are made: one at a time, and a waiting block first.

    60 clients who each asked for old proofs made another one's transaction wait 2.9 s, and taking turns 0.1 s.
    """
    async with state["turn"]:
        await asyncio.sleep(0)
        yield


class Faces(Struct, frozen=True):
    """The modules in force with what is made of them: their description, pages for people, the API's document."""

    modules: Mapping[str, Module]
    apps: tuple[AppDoc, ...]
    pages: Mapping[str, str]
    document: bytes


def faces(state: State) -> Faces:
    """Return what follows from the declarations in force."""
    return cast("Callable[[], Faces]", state["faces"])()


def described(state: State) -> tuple[AppDoc, ...]:
    """Return the description of this chain's active modules."""
    return faces(state).apps


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """Answer a value as JSON."""
    return Response(encode(value), media_type=JSON, status_code=status, headers=headers)


def say(request: Plain, error: HTTPException) -> Response[bytes]:
    """Answer what the framework or a route has turned away."""
    if error.status_code >= 500:  # the framework's
        if error.detail != CLIENT_LEFT:
            log.warning("%s %s: %s", request.method, request.url.path, error.detail)
        return failure(500, *INTERNAL)
    code, sentence = FAILURES.get(error.status_code, FAILURES[400])
    if type(error) is HTTPException:  # raised above, not by the framework
        sentence = error.detail
    elif isinstance(error, ValidationException):
        values = cast("list[dict[str, str]]", error.extra or [])
        wrong = ", ".join(sorted(value.get("key", "body") for value in values))
        sentence = f"{sentence} Look at: {wrong}."
    return as_json(Failure(code, sentence), error.status_code, error.headers)


def say_turned_away(_: Plain, error: TurnedAway) -> Response[bytes]:
    """Answer why a route cannot."""
    return failure(error.status, error.code, error.sentence)


def say_malformed(_: Plain, error: Malformed) -> Response[bytes]:
    """Answer why a body never was what it should be."""
    return failure(HTTPStatus.BAD_REQUEST, error.code, error.sentence)


def say_busy(_: Plain, error: Busy) -> Response[bytes]:
    """Answer that too much is waiting."""
    return failure(503, "busy", str(error))


def say_stopping(_: Plain, error: MachineFault) -> Response[bytes]:
    """Answer that the node ends."""
    return failure(503, "stopping", str(error))


def say_internal(request: Plain, error: Exception) -> Response[bytes]:
    """Answer that the node has a fault, and tell its operator."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return failure(500, *INTERNAL)


def failure(status: int, code: str, sentence: str) -> Response[bytes]:
    """Answer why not."""
    return as_json(Failure(code, sentence), status)
