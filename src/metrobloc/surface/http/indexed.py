"""What the mirror answers: tables by any indexed field, a record's past, events, words. SQL runs in threads of its own.

The mirror lags a little behind the ledger. Every answer says of which height it is; who needs to see a block asks with
`min_height` and waits for it.
"""

import asyncio
from collections.abc import Callable, Container
from time import monotonic
from typing import Annotated, TypeVar, cast

import msgspec
from litestar import Response, get
from litestar.concurrency import sync_to_thread
from litestar.datastructures import State
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct

from metrobloc.kernel.types import INT_MAX
from metrobloc.mirror.asking import KEY, BadQuestion, filters, orders, read_ask, read_key, shown
from metrobloc.mirror.database import MirrorProblem
from metrobloc.mirror.read import EventAsk, Happened, Hit, Kept, Mirror, Page, Past
from metrobloc.mirror.schema import CONTROLS, Mirrored
from metrobloc.surface.http.answers import Plain, TurnedAway, as_json, failure, node_of, told
from metrobloc.surface.http.reading import PAGE_MAX

T = TypeVar("T")

QUESTIONS_AT_ONCE = 4
WAIT_S = 10.0
PAUSE_S, PAUSE_S_MAX = 0.02, 0.4

App = Annotated[str, PathParameter(max_length=31)]
Table = Annotated[str, PathParameter(max_length=31)]
After = Annotated[str, QueryParameter(max_length=2000, description="`next` of the page before.")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
Reverse = Annotated[bool, QueryParameter(description="Against the order.")]
Height = Annotated[int | None, QueryParameter(ge=0, le=INT_MAX, required=False)]
MinHeight = Annotated[
    int | None,
    QueryParameter(ge=0, le=INT_MAX, required=False, description="Wait for this block, some seconds at most."),
]
RecordKey = Annotated[str, QueryParameter(min_length=1, max_length=300, description="The record's key in its table.")]
Order = Annotated[str, QueryParameter(max_length=80, description="`_key`, or an indexed field of the table.")]
Words = Annotated[str, QueryParameter(min_length=1, max_length=200, description="Words; the last may be begun only.")]
Name = Annotated[str, QueryParameter(max_length=112, description="Only this kind of event, such as `money.moved`.")]
About = Annotated[str, QueryParameter(max_length=26, description="Only events that name this account or id.")]


class Asking(Struct, frozen=True):
    """How a table of the mirror can be asked: by which filters, in which orders."""

    filters: tuple[str, ...]
    orders: tuple[str, ...]


class MirrorStanding(Struct, frozen=True):
    """How far the mirror is, how far the ledger is, and how each table can be asked."""

    height: int
    ledger_height: int
    tables: dict[str, Asking]


@get("/v1/mirror/status", opt=told(MirrorStanding))
async def mirror_status(request: Plain, state: State) -> Response[bytes]:
    """Tell how far the mirror is behind the ledger, and by what its tables can be asked."""
    _only(request)
    ledger_height = node_of(state).machine.height

    def ask(mirror: Mirror) -> MirrorStanding:
        tables = {
            place: Asking(tuple(filters(made)), tuple(orders(made))) for place, made in mirror.schema.tables.items()
        }
        return MirrorStanding(mirror.height(), ledger_height, tables)

    return await _answer(state, ask, None)


@get("/v1/mirror/events", opt=told(Page[Happened]))
async def mirror_events(  # noqa: PLR0913  # the framework passes query parameters one by one
    *,
    request: Plain,
    state: State,
    event: Name = "",
    about: About = "",
    from_height: Height = None,
    to_height: Height = None,
    reverse: Reverse = False,
    after: After = "",
    limit: Limit = 50,
    min_height: MinHeight = None,
) -> Response[bytes]:
    """Return what has happened, in the order of the log or against it."""
    _only(request, "event", "about", "from_height", "to_height", "reverse", "after", "limit", "min_height")
    asked = EventAsk(event, about, from_height or 0, to_height, reverse, after, limit)
    return await _answer(state, lambda mirror: mirror.events(asked), min_height)


@get("/v1/mirror/{app:str}/{table:str}", opt=told(Page[Kept]))
async def mirror_page(  # noqa: PLR0913  # as above
    *,
    request: Plain,
    state: State,
    app: App,
    table: Table,
    order: Order = KEY,
    reverse: Reverse = False,
    after: After = "",
    limit: Limit = 50,
    min_height: MinHeight = None,
) -> Response[bytes]:
    """Return a table's records by any of its indexed fields.

    A field's name filters by what it holds, and for numbers `<name>__from` and `<name>__to` by what bounds it, both
    included; `/v1/mirror/status` lists all. An empty value asks for records that lack an optional field.
    """
    words = _words(request, CONTROLS)

    def ask(mirror: Mirror) -> Page[Kept]:
        made = _table(mirror, app, table)
        ways = {"order": order, "reverse": reverse, "after": after, "limit": limit}
        return mirror.page(made, msgspec.structs.replace(read_ask(made, words), **ways))

    return await _answer(state, ask, min_height)


@get("/v1/mirror/{app:str}/{table:str}/history", opt=told(Page[Past]))
async def mirror_history(  # noqa: PLR0913  # as above
    *,
    request: Plain,
    state: State,
    app: App,
    table: Table,
    key: RecordKey,
    at: Height = None,
    after: After = "",
    limit: Limit = 50,
    min_height: MinHeight = None,
) -> Response[bytes]:
    """Return what blocks made of a record, oldest first; with `at`, only what it was at that height."""
    _only(request, "key", "at", "after", "limit", "min_height")

    def ask(mirror: Mirror) -> Page[Past]:
        made = _table(mirror, app, table)
        if at is not None:
            return mirror.as_of(made, read_key(key), at)
        return mirror.history(made, read_key(key), after, limit)

    return await _answer(state, ask, at if min_height is None else max(min_height, at or 0))


@get("/v1/search", opt=told(Page[Hit]))
async def search(  # noqa: PLR0913  # as above
    *,
    request: Plain,
    state: State,
    q: Words,
    after: After = "",
    limit: Limit = 50,
    min_height: MinHeight = None,
) -> Response[bytes]:
    """Find records whose public texts hold all of some words."""
    _only(request, "q", "after", "limit", "min_height")
    return await _answer(state, lambda mirror: mirror.search(q, after, limit), min_height)


ROUTES = (mirror_status, mirror_events, mirror_page, mirror_history, search)


async def _answer(state: State, ask: Callable[[Mirror], object], min_height: int | None) -> Response[bytes]:
    """Ask the mirror, and answer with JSON."""
    return await answered(state, lambda mirror: as_json(ask(mirror)), min_height)


async def answered(state: State, ask: Callable[[Mirror], Response[bytes]], min_height: int | None) -> Response[bytes]:
    """Ask the mirror in a thread, once it has a block; what is wrong with the question or the mirror is answered."""
    try:
        mirror = _mirror(state)
        if min_height is not None:
            await _reached(state, mirror, min_height)
        return await _in_turn(state, lambda: ask(mirror))
    except BadQuestion as error:
        raise TurnedAway(400, "bad_request", str(error)) from error
    except MirrorProblem as problem:
        answer = failure(503, problem.code, str(problem))
        answer.headers["Retry-After"] = "1"
        return answer


def _only(request: Plain, *known: str) -> None:
    """Refuse what a route does not know: a filter with a slip in its name would find too much."""
    for word in _words(request, known):
        raise TurnedAway(
            400, "bad_request", f"There is no parameter {shown(word)} here. There are: {', '.join(known)}."
        )


def _words(request: Plain, known: Container[str]) -> dict[str, str]:
    """Return what a query says beside the words that a route knows; nothing may be said twice."""
    pairs = list(request.query_params.multi_items())
    said = dict(pairs)
    if len(said) < len(pairs):
        raise TurnedAway(400, "bad_request", "A parameter is given twice; keep one.")
    return {name: value for name, value in said.items() if name not in known}


def _mirror(state: State) -> Mirror:
    mirror = cast("Mirror | None", state.get("mirror"))
    if mirror is None:
        raise MirrorProblem("no_mirror", "This node has no mirror; start it without --no-mirror.")
    return mirror


async def _in_turn(state: State, ask: Callable[[], T]) -> T:
    """Ask in a thread, a few questions at a time: one stranger's many must not take the machine from the ledger."""
    async with cast("asyncio.Semaphore", state["mirroring"]):
        return await sync_to_thread(ask)


async def _reached(state: State, mirror: Mirror, height: int) -> None:
    end, pause = monotonic() + WAIT_S, PAUSE_S
    while (reached := await _in_turn(state, mirror.height)) < height:
        if monotonic() > end:
            sentence = f"The mirror is at height {reached}, and {height} has not come yet; ask again."
            raise MirrorProblem("mirror_behind", sentence)
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_S_MAX)


def _table(mirror: Mirror, app: str, table: str) -> Mirrored:
    made = mirror.schema.tables.get(f"{app}/{table}")
    if made is None:
        raise TurnedAway(404, "not_found", "There is no such table; /v1/mirror/status lists them.")
    return made
