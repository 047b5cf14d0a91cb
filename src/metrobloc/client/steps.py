"""What an operation asks of the outside, one step at a time; it does no input or output itself.

An operation is a generator: it yields a `Step` and is sent what came of it. The two drivers (`drivers.py`) carry the
steps out, one waiting and one with asyncio, so that what is done and in which order is written once.
"""

import secrets
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from metrobloc.client.errors import NoNode, NotFound, ProofInvalid
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.module import Action, Module

R = TypeVar("R")
T = TypeVar("T")

ANSWER_S = 120.0
"""So long may one answer take in all, however slowly it drips."""
BACK_OFF_S = 0.1
BACK_OFF_MAX_S = 5.0


class Request(Struct, frozen=True):
    """Send this and fetch the whole answer."""

    path: str
    body: bytes | None = None
    """What is posted; a request without a body is a GET."""


class Stream(Struct, frozen=True):
    """Open a path whose answer goes on, after closing the one that is open; `More` reads it."""

    path: str
    headers: dict[str, str] = {}


class More(Struct, frozen=True):
    """Wait for the next bytes of the open stream; none at its end."""


class Pause(Struct, frozen=True):
    """Wait before going on."""

    seconds: float


class Given(Struct, frozen=True):
    """Hand an item to whoever iterates."""

    item: Any


class Done(Struct, frozen=True):
    """The operation has ended with this value."""

    value: Any


class Answer(Struct, frozen=True):
    """What came back: the status and the body, or the next bytes of a stream."""

    status: int
    body: bytes = b""


class Unreachable(Struct, frozen=True):
    """Nothing, or not all of it, came back; whether the request had an effect is not known."""

    why: str


Step = Request | Stream | More | Pause | Given
Reply = Answer | Unreachable | None
Op = Generator[Step, Reply, R]


class Failure(Struct, frozen=True):
    """How the door says that a request failed."""

    code: str
    sentence: str


class Trust(Struct, frozen=True):
    """Whom a user trusts: a chain and the keys of its operator."""

    chain: str
    keys: tuple[str, ...]


class City:
    """What operations share: where the node is, what its modules declare, whom one trusts, which chain it is."""

    def __init__(self, url: str, modules: Mapping[str, Module], trust: bytes | None = None) -> None:
        """Bind them; ProofInvalid when `trust` is no trust file."""
        self.url = url
        self.actions: dict[str, Action] = {a.do: a for module in modules.values() for a in module.actions.values()}
        self.sentences = {code: text for module in modules.values() for code, text in module.refusals.items()}
        self.trust_file = trust
        self.trust = None if trust is None else _read_trust(trust)
        self.genesis: bytes | None = None
        self.clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


def advance(operation: Op[R], reply: Reply) -> Step | Done:
    """Send an operation what came of its step; return its next one, or how it ended."""
    try:
        return operation.send(reply)
    except StopIteration as ended:
        return Done(ended.value)


def path(*parts: str, **query: object) -> str:
    """Write a path under /v1 and its query; what is None is left out, a list is repeated."""
    told = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
    told = {name: value for name, value in told.items() if value is not None}
    where = "/v1/" + "/".join(quote(part) for part in parts)
    return f"{where}?{urlencode(told, doseq=True)}" if told else where


def fetch(city: City, where: str, body: bytes | None = None) -> Op[bytes]:
    """Ask once and return the body; NotFound for what is not there, NoNode for anything else than an answer."""
    answer = yield Request(where, body)
    if isinstance(answer, Answer) and answer.status == 200:
        return answer.body
    return fail(city, answer)


def fetch_as(city: City, kind: type[T], where: str, body: bytes | None = None) -> Op[T]:
    """Ask once and return the body as a type."""
    return decode(city, (yield from fetch(city, where, body)), kind)


def decode(city: City, raw: bytes, kind: type[T]) -> T:
    """Read an answer as a type, or raise NoNode."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoNode(f"What answers at {city.url} does not speak as a node of this version ({error}).") from error


def failure(answer: Answer) -> Failure:
    """Return what the door says about a request that failed."""
    try:
        return msgspec.json.decode(answer.body, type=Failure)
    except (msgspec.MsgspecError, RecursionError):
        return Failure("", f"The node answered {answer.status}.")


def fail(city: City, answer: Reply) -> NoReturn:
    """Raise what an answer other than the wanted one means."""
    if not isinstance(answer, Answer):
        raise absent(city, answer)
    said = failure(answer)
    raise (NotFound if answer.status in (400, 404, 409, 413) and said.code else NoNode)(said.sentence)


def absent(city: City, answer: Reply) -> NoNode:
    """Return the exception for an address at which no node answers."""
    why = answer.why if isinstance(answer, Unreachable) else "no answer"
    return NoNode(f"No node answers at {city.url} ({why}); start one with `metrobloc up`, or name another.")


def genesis(city: City) -> Op[bytes]:
    """Return the genesis, which says which chain this is; ProofInvalid when it is not the trusted one."""
    if city.genesis is None:
        found = yield from fetch(city, path("genesis"))
        try:
            chain = chain_id(found)
        except Malformed as fault:
            raise NoNode(f"What answers at {city.url} has no genesis that this version reads: {fault}") from fault
        if city.trust is not None and city.trust.chain != chain:
            raise ProofInvalid(f"The node at {city.url} serves {chain}, and you trust {city.trust.chain}.")
        city.genesis = found
    return city.genesis


def waits(most_s: float = BACK_OFF_MAX_S) -> Generator[float, None, None]:
    """Yield ever longer pauses (seconds), each with a little chance, so that many clients do not come at once."""
    pause_s = BACK_OFF_S
    while True:
        yield pause_s * (1 + secrets.randbelow(100) / 400)
        pause_s = min(2 * pause_s, most_s)


def _read_trust(data: bytes) -> Trust:
    try:
        return msgspec.json.decode(data, type=Trust)
    except msgspec.MsgspecError as error:
        message = f"This is no trust file ({error}); make one with `metrobloc trust`."
        raise ProofInvalid(message) from error
