"""Tell webhooks of events: signed (Standard Webhooks), in order, at least once, again and again for three days.

Each hook follows the node's events on a connection of its own, from where it has come; the next event waits until this
one is taken. What ends this program costs at most a second delivery, under the same `webhook-id`.
"""

import asyncio
import base64
import fcntl
import hashlib
import hmac
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import httpx
import msgspec
from msgspec import Struct

from metrobloc.kernel.errors import MachineFault
from metrobloc.surface.hooks import Book, Hook
from metrobloc.surface.http.streams import HEARTBEAT_S, EventData

RETRY_S, RETRY_S_MAX = 5.0, 3600.0
GIVE_UP_MS = 3 * 86_400_000
ANSWER_S = 15.0
ANSWER_BYTES_MAX = 16 << 10
AT_ONCE = 8
LOOK_S = 1.0
NODE_PAUSE_S, NODE_PAUSE_S_MAX = 0.5, 30.0
EVENT_BYTES_MAX = 16 << 20

SOUND = {"failures": 0, "failing_since_ms": 0, "retry_ms": 0}

_chance = random.SystemRandom()
_event = msgspec.json.Decoder(EventData)


class _Standing(Struct, frozen=True):
    chain: str


class Deliverer:
    """What the hooks share: the book, the node, the connections, and how many may deliver at once."""

    def __init__(self, book: Book, node: str, say: Callable[[str], None]) -> None:
        """Take the book and the node's URL; `say` hears what an operator should know."""
        self.book, self.node, self.say = book, node, say
        self.followers: dict[str, asyncio.Task[None]] = {}
        self.client = open_client()
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.node_away = False


def open_client() -> httpx.AsyncClient:
    """Return what asks the node and tells the hooks: no redirects, no proxies of the environment."""
    waits = httpx.Timeout(5.0, read=3.0 * HEARTBEAT_S)
    return httpx.AsyncClient(timeout=waits, trust_env=False, headers={"user-agent": "metrobloc-webhooks"})


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the only deliverer's place in a data folder; MachineFault when another has it."""
    with (folder / "webhooks.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MachineFault(f"Another process delivers the webhooks of {folder}; end it first.") from error
        yield


async def run(book: Book, node: str, say: Callable[[str], None]) -> None:
    """Deliver to every hook in the book, also to those that come later, for ever."""
    deliverer = Deliverer(book, node, say)
    async with deliverer.client, asyncio.TaskGroup() as group:
        while True:
            active = {hook.id for hook in book.hooks() if not hook.disabled}
            for name in deliverer.followers.keys() - active:
                deliverer.followers.pop(name).cancel()
            for name in active - deliverer.followers.keys():
                deliverer.followers[name] = group.create_task(_follow(deliverer, name))
            await asyncio.sleep(LOOK_S)


async def _follow(deliverer: Deliverer, name: str) -> None:
    """Deliver to one hook until it is removed or disabled."""
    pause_s = NODE_PAUSE_S
    while (hook := deliverer.book.find(name)) is not None and not hook.disabled:
        await asyncio.sleep(max(0, hook.retry_ms - _now_ms()) / 1000)
        try:
            if await _hear(deliverer, hook):
                pause_s = NODE_PAUSE_S
        except (httpx.HTTPError, msgspec.MsgspecError, ValueError) as error:
            if not deliverer.node_away:
                deliverer.say(f"No events from {deliverer.node} ({error!r}); trying again until there are.")
            deliverer.node_away = True
        await asyncio.sleep(pause_s * _chance.uniform(0.5, 1.0))
        pause_s = min(2 * pause_s, NODE_PAUSE_S_MAX)


async def _hear(deliverer: Deliverer, hook: Hook) -> bool:
    """Deliver what the node tells until it stops or the hook does not take it; tell whether it told anything."""
    book, heard = deliverer.book, False
    standing = (await deliverer.client.get(f"{deliverer.node}/v1/status")).raise_for_status()
    chain = msgspec.json.decode(standing.content, type=_Standing).chain
    asked: dict[str, str | list[str]] = {"event": hook.events, **({"about": hook.about} if hook.about else {})}
    place = {"last-event-id": hook.place} if hook.place else {}
    url = f"{deliverer.node}/v1/events"
    async with deliverer.client.stream("GET", url, params=asked, headers=place) as answer:
        if answer.status_code == HTTPStatus.CONFLICT:
            book.change(hook.id, disabled="The node has not reached what was told already: it is another chain's.")
            return False
        answer.raise_for_status()
        deliverer.node_away = False
        async for said in _said(answer):
            heard = True
            if "data" not in said:  # nothing for this hook up to there
                book.change(hook.id, place=said["id"])
                continue
            async with deliverer.turns:
                wrong = await deliver(deliverer.client, hook, *_request(chain, said))
            if wrong:
                _note_failure(book, hook, wrong)
                break
            book.change(hook.id, place=said["id"], **SOUND)
            hook = msgspec.structs.replace(hook, **SOUND)
    return heard


async def _said(answer: httpx.Response) -> AsyncIterator[Mapping[str, str]]:
    """Yield server-sent events that have an id, as the HTML standard reads what our node writes."""
    rest = b""
    async for part in answer.aiter_raw():
        *blocks, rest = (rest + part).split(b"\n\n")
        for block in blocks:
            fields = dict(line.decode().split(": ", 1) for line in block.split(b"\n") if b": " in line)
            if "id" in fields:
                yield fields
        if len(rest) > EVENT_BYTES_MAX:
            raise httpx.RemoteProtocolError("an event without end")


def _request(chain: str, said: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the id and body under which an event is delivered, whenever that is."""
    event = _event.decode(said["data"].encode())
    told = {
        "type": said["event"],
        "timestamp": _rfc3339(event.time_ms),
        "data": {"chain": chain, **msgspec.structs.asdict(event)},
    }
    return f"{chain}_{said['id'].replace('.', '_')}", msgspec.json.encode(told)


def sign(secret: str, name: str, timestamp_s: int, body: bytes) -> str:
    """Return the header `webhook-signature` (Standard Webhooks, symmetric): HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, b"%b.%d.%b" % (name.encode(), timestamp_s, body), hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


async def deliver(client: httpx.AsyncClient, hook: Hook, name: str, body: bytes) -> str:
    """Send a body once; return nothing when it was taken, else why not. A redirect is not followed, and not taken."""
    timestamp_s = int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(hook.secret, name, timestamp_s, body),
    }
    try:
        async with asyncio.timeout(ANSWER_S), client.stream("POST", hook.url, content=body, headers=headers) as answer:
            size = 0
            async for part in answer.aiter_raw():  # read a little, so that the connection can be used again
                size += len(part)
                if size > ANSWER_BYTES_MAX:
                    break
    except TimeoutError:
        return f"no answer within {ANSWER_S:.0f} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if answer.is_success else f"status {answer.status_code}"


async def send_test(hook: Hook) -> str:
    """Send an event that never happened, once; return nothing when it was taken, else why not."""
    now_ms = _now_ms()
    body = msgspec.json.encode({"type": "metrobloc.test", "timestamp": _rfc3339(now_ms), "data": {}})
    async with open_client() as client:
        return await deliver(client, hook, f"test_{hook.id}_{now_ms}", body)


def _note_failure(book: Book, hook: Hook, wrong: str) -> None:
    """Plan the next try, or give the hook up: at once when it says that it is gone for ever."""
    now_ms = _now_ms()
    since_ms = hook.failing_since_ms or now_ms
    again_s = min(RETRY_S * 2 ** min(hook.failures, 16), RETRY_S_MAX) * _chance.uniform(0.8, 1.2)
    disabled = ""
    if wrong == f"status {HTTPStatus.GONE:d}":
        disabled = "It says that it is gone (410)."
    elif now_ms - since_ms >= GIVE_UP_MS:
        disabled = f"It has taken nothing for three days (the last time: {wrong}); add it again with --after."
    book.change(
        hook.id,
        failures=hook.failures + 1,
        failing_since_ms=since_ms,
        retry_ms=now_ms + int(again_s * 1000),
        disabled=disabled,
    )


def _rfc3339(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
