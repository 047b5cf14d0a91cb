"""What happens, as it happens: every block as a line of JSON, and every event for whoever asked for it.

Both go on for ever and both resume: a feed after a height, events after an event. They read what is durable, in small
pages by a thread, and the next page only when the client has fetched the last: the node waits for nobody.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import get
from litestar.datastructures import State
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Meta, Raw, Struct

from metrobloc.engine.sealer import Sealer
from metrobloc.engine.solo import present
from metrobloc.engine.store import Store
from metrobloc.kernel.receipts import Header, ReadReceipt
from metrobloc.kernel.types import INT_MAX, Digest, TimeMs, Total
from metrobloc.surface.http.answers import LINES, Failure, TurnedAway, encode, sealer_of, told

STREAMS_MAX = {"feed": 32, "events": 128}
PAGE_BLOCKS = 64
PAGE_BYTES = 256 << 10
HEARTBEAT_S = 10
PACE_S = 0.05
"""Who has seen the newest block looks for a newer one after this pause, so that a busy node's come in fewer pages."""
RETRY_MS = 3000
WHOLE = 2**31
"""A receipt's number beyond all: a place with it is behind its whole block."""

Place = tuple[int, int, int]
"""An event's place: block, receipt, event; or behind a block."""

PLACE = r"^[0-9]{1,15}(\.[0-9]{1,9}\.[0-9]{1,9})?$"
After = Annotated[int, QueryParameter(ge=-1, le=INT_MAX, description="The height after which to begin.")]
EVENT = r"^[a-z][a-z0-9_]{0,30}\.(\*|[a-z][a-z0-9_]{0,80})$"
ID = "^[a-z2-7]{26}$"
EventName = Annotated[str, Meta(pattern=EVENT)]
Events = Annotated[
    list[EventName] | None,
    QueryParameter(max_items=32, required=False, description="An event's name, or `charity.*`; all, if none is given."),
]
About = Annotated[
    str | None,
    QueryParameter(pattern=ID, required=False, description="An account or id that the event names."),
]
AfterEvent = Annotated[
    str | None,
    QueryParameter(pattern=PLACE, required=False, description="The event, or the height, after which to begin."),
]
LastEvent = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID", pattern=PLACE, required=False, description="As `after`; it goes before `after`."
    ),
]


class FeedLine(Struct, frozen=True):
    """A block: what it made of records (null: removed), and its receipts."""

    height: Total
    time_ms: TimeMs
    state_root: Digest
    log_size: Total
    writes: dict[str, Raw | None]
    receipts: tuple[ReadReceipt, ...]


class EventData(Struct, frozen=True):
    """What an event tells, and where it is; one of a deadline has no transaction."""

    height: Total
    index: Total
    tx: str
    time_ms: TimeMs
    fields: Raw


class Wanted(Struct, frozen=True):
    """Which events somebody asked for."""

    names: frozenset[str]
    modules: frozenset[str]
    about: bytes

    def has(self, name: str, fields: Raw) -> bool:
        """Tell whether an event is among them."""
        named = not (self.names or self.modules) or name in self.names or name.partition(".")[0] in self.modules
        return named and self.about in bytes(fields)


@get("/v1/feed", opt=told(FeedLine, LINES, also={409: Failure}))
async def feed(state: State, after: After = -1) -> ASGIApp:
    """Follow the chain: a line a block from `after` on, for ever; an empty line when nothing happens for 10 s."""
    sealer = sealer_of(state)
    _reached(sealer, after)
    return _stream(state, "feed", LINES, _blocks(sealer, after))


@get("/v1/events", opt=told(EventData, "text/event-stream", also={409: Failure}))
async def events(
    state: State,
    event: Events = None,
    about: About = None,
    after: AfterEvent = None,
    last_event: LastEvent = None,
) -> ASGIApp:
    """Hear events as server-sent events, for ever: from now on, or from right after an event that was heard before.

    An event's id is `HEIGHT.RECEIPT.NUMBER`. An id alone, without data, says that there is nothing up to that height.
    """
    sealer = sealer_of(state)
    resumed = last_event or after
    place = _place(resumed) if resumed else (sealer.node.store.head(), WHOLE, 0)
    _reached(sealer, place[0])
    named = event or []
    modules = frozenset(name[:-2] for name in named if name.endswith(".*"))
    wanted = Wanted(frozenset(named), modules, f'"{about}"'.encode() if about else b"")
    return _stream(state, "events", "text/event-stream", _told_events(sealer, wanted, place))


ROUTES = (feed, events)


def _reached(sealer: Sealer, height: int) -> None:
    head = sealer.node.store.head()
    if height > head:
        sentence = f"The chain ends at height {head}; who has seen height {height} has seen another. Begin anew."
        raise TurnedAway(409, "not_reached", sentence)


def _stream(state: State, kind: str, media: str, pages: AsyncIterator[bytes]) -> ASGIApp:
    """Answer with pages as they come, until the client has gone or there are no more."""
    taken: Counter[str] = state.setdefault("streams", Counter())

    async def send_pages(send: Send) -> None:
        headers = [(b"content-type", media.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for page in pages:
            await send({"type": "http.response.body", "body": page, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def until_gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        if taken[kind] >= STREAMS_MAX[kind]:
            raise TurnedAway(503, "too_many_streams", f"{taken[kind]} clients follow already; come back in a minute.")
        taken[kind] += 1
        tasks = (asyncio.create_task(send_pages(send)), asyncio.create_task(until_gone(receive)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            taken[kind] -= 1
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]

    return answer


async def _blocks(sealer: Sealer, after: int) -> AsyncIterator[bytes]:
    """Yield pages of lines beyond a height, and an empty line when none has come for a while."""
    while not sealer.leaving:
        head = await sealer.beyond(after, HEARTBEAT_S)
        if head <= after:
            yield b"\n"
            continue
        page, after = await asyncio.to_thread(_page_of_blocks, sealer.node.store, after, head)
        yield page
        if after == head:
            await asyncio.sleep(PACE_S)


def _page_of_blocks(store: Store, after: int, head: int) -> tuple[bytes, int]:
    """Return lines beyond a height, at least one, and the last one's height."""
    page, height = bytearray(), after
    while height < head and height - after < PAGE_BLOCKS and len(page) < PAGE_BYTES:
        height += 1
        raw, log_size = present(store.header(height))
        header = _header.decode(raw)
        block = {
            "height": height,
            "time_ms": header.time_ms,
            "state_root": header.state_root,
            "log_size": log_size,
            "writes": {key.decode(): new and Raw(new) for key, new in present(store.write_set(height))},
            "receipts": [Raw(receipt) for receipt in store.receipts(height)],
        }
        page += encode(block)
        page += b"\n"
    return bytes(page), height


async def _told_events(sealer: Sealer, wanted: Wanted, place: Place) -> AsyncIterator[bytes]:
    """Yield pages of events beyond a place, and the place itself when none has come for a while."""
    clock = asyncio.get_running_loop().time
    yield b"retry: %d\n%b" % (RETRY_MS, _mark(place))
    spoken_s = clock()
    while not sealer.leaving:
        seen = place[0] if place[1] == WHOLE else place[0] - 1
        head = await sealer.beyond(seen, HEARTBEAT_S)
        page = b""
        if head > seen:
            page, place = await asyncio.to_thread(_page_of_events, sealer.node.store, wanted, place, head)
        if page or clock() - spoken_s >= HEARTBEAT_S:
            yield page or _mark(place)
            spoken_s = clock()
        if place[0] == head:
            await asyncio.sleep(PACE_S)


def _page_of_events(store: Store, wanted: Wanted, after: Place, head: int) -> tuple[bytes, Place]:
    """Return what is wanted beyond a place, up to the end of some block, and that end."""
    page = bytearray()
    height = first = after[0] if after[1] != WHOLE else after[0] + 1
    while True:
        time_ms = _header.decode(present(store.header(height))[0]).time_ms
        for receipt in map(_receipt.decode, store.receipts(height)):
            for number, event in enumerate(receipt.events):
                place = (height, receipt.index, number)
                if place > after and wanted.has(event.event, event.fields):
                    data = EventData(height, receipt.index, receipt.tx, time_ms, event.fields)
                    page += b"id: %d.%d.%d\nevent: %b\ndata: %b\n\n" % (*place, event.event.encode(), encode(data))
        if height == head or height - first == PAGE_BLOCKS or len(page) >= PAGE_BYTES:
            return bytes(page), (height, WHOLE, 0)
        height += 1


def _mark(place: Place) -> bytes:
    """Return an id without data: a browser remembers it and tells nobody."""
    height, receipt, number = place
    return b"id: %d\n\n" % height if receipt == WHOLE else b"id: %d.%d.%d\n\n" % (height, receipt, number)


def _place(text: str) -> Place:
    """Return the place that an id names."""
    height, *inner = (int(part) for part in text.split("."))
    return (height, inner[0], inner[1]) if inner else (height, WHOLE, 0)


_header = msgspec.json.Decoder(Header)
_receipt = msgspec.json.Decoder(ReadReceipt)
