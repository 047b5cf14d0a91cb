"""Read what goes on: the chain's export, and events as they happen, taken up again after every interruption."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Raw, Struct

from metrobloc.client import steps
from metrobloc.client.errors import NoNode
from metrobloc.client.steps import Answer, City, Given, More, Op, Pause, Stream

LINE_BYTES_MAX = 64 << 20
PLACE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9}\.[0-9]{1,9})?", re.ASCII)
"""The id of an event, which is sent back as a header to go on behind it."""


class Happened(Struct, frozen=True):
    """An event: its place in the chain (to go on from), its name, and what it tells as JSON."""

    id: str
    event: str
    data: Raw


def lines(city: City, where: str = "/v1/blocks") -> Op[None]:
    """Yield the lines of an answer (by default the chain's export), without line feeds; NoNode when it is cut."""
    answer = yield Stream(where)
    if not isinstance(answer, Answer) or answer.status != 200:
        steps.fail(city, answer)
    rest = b""
    while True:
        part = yield More()
        if not isinstance(part, Answer):
            raise steps.absent(city, part)
        if not part.body:
            break
        *whole, rest = (rest + part.body).split(b"\n")
        for line in whole:
            yield Given(line)
        if len(rest) > LINE_BYTES_MAX:
            raise NoNode(f"The node at {city.url} sent a line that does not end.")
    if rest:
        raise NoNode(f"The node at {city.url} stopped in the middle of a line.")


def events(city: City, event: Sequence[str] = (), about: str | None = None, after: str | None = None) -> Op[None]:
    """Yield events for ever as they happen, in their order, none twice and none lost while the node can be reached.

    `event` names those wanted (`charity.given`, `charity.*`), `about` an account or record that they mention, `after`
    the event to go on behind; by default those from now on.
    """
    where = steps.path("events", event=list(event) or None, about=about)
    pauses = steps.waits()
    while True:
        answer = yield Stream(where, {"last-event-id": after} if after else {})
        if isinstance(answer, Answer) and answer.status == 200:
            reader = _Reader()
            while isinstance(part := (yield More()), Answer) and part.body:
                for happened in reader.take(part.body):
                    yield Given(happened)
                after = reader.last or after
                pauses = steps.waits()
        elif isinstance(answer, Answer) and answer.status < 500 and answer.status != 429:
            steps.fail(city, answer)
        yield Pause(next(pauses))


class _Reader:
    """The bytes of a stream of events so far (HTML standard, section 9.2: server-sent events)."""

    def __init__(self) -> None:
        self.last = ""
        self._rest = b""
        self._id = ""
        self._event = ""
        self._data: list[str] = []
        self._size = 0

    def take(self, part: bytes) -> Iterator[Happened]:
        """Yield the events that are whole; an interruption drops the one that is not, and its id with it."""
        *whole, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise NoNode("The node sent a line that does not end.")
        for line in whole:
            self._size += len(line)
            if self._size > LINE_BYTES_MAX:
                raise NoNode("The node sent an event that does not end.")
            text = line.removesuffix(b"\r").decode(errors="replace")
            if text:
                self._field(text)
                continue
            self.last = self._id or self.last
            if self._data:
                yield Happened(self.last, self._event, Raw("\n".join(self._data).encode()))
            self._event, self._data, self._size = "", [], 0

    def _field(self, text: str) -> None:
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            if PLACE.fullmatch(value) is None:
                raise NoNode("The node sent an event with an id that is no place in a chain.")
            self._id = value
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
