"""What a block leaves behind: receipts (leaves of the log), the header, and the numbers of the log itself."""

from msgspec import Raw, Struct

from metrobloc.kernel.types import Code, Digest, Event, Id, Record, TimeMs, Total


class EventEntry(Struct, frozen=True):
    """An event as a receipt tells it: its name and its fields."""

    event: str
    fields: Event


class Receipt(Struct, frozen=True, omit_defaults=True):
    """The outcome of one transaction or one due deadline; its JCS bytes are a leaf of the log."""

    code: Code
    height: Total
    index: Total
    events: tuple[EventEntry, ...] = ()
    ids: tuple[Id, ...] = ()
    call: Total = 0
    tx: str = ""
    due: str = ""


class ReadEvent(Struct, frozen=True):
    """An event as a reader finds it, its fields still bytes."""

    event: str
    fields: Raw


class ReadReceipt(Receipt, frozen=True):
    """A receipt as a reader finds it, before anybody asks what its events mean."""

    events: tuple[ReadEvent, ...] = ()  # type: ignore[assignment]  # the same bytes, read without the apps' types


class Header(Record):
    """A block's summary, the leaf after its receipts: the state root binds state and, through it, the log before."""

    height: Total
    state_root: Digest
    time_ms: TimeMs


class LogHead(Record):
    """The log's size and root; the record under `kernel/log/head` holds them as they were before the header leaf."""

    root: Digest
    size: Total
