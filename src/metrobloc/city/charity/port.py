"""The port for SMS gateways: what they post, how it is sorted, and what they are answered; it keeps and sends nothing.

A gateway posts a form (as SMSSync and those that follow it do) or JSON with `from`, `message`, `message_id`,
`sent_timestamp`, `device_id` and `secret`, and is told `{"payload": {"success": true}}` when it need not post again.
"""

import hashlib
import hmac
import re
import tomllib
import unicodedata
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta, Struct

from metrobloc.city.charity.types.calling import Channel, Hear, Severity
from metrobloc.kernel import crypto
from metrobloc.kernel.types import Slug

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
BODY_BYTES_MAX = 16 << 10
FIELDS_MAX = 32
SECRET_BYTES_MIN = 16
TABLE_BYTES_MAX = 256 << 10

Short = Annotated[str, Meta(max_length=128)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Words = Annotated[tuple[Word, ...], Meta(min_length=1, max_length=256)]


class Unfit(ValueError):
    """What was posted is no message: the status to answer, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        """Keep both."""
        super().__init__(sentence)
        self.status = status


class Posted(Struct, frozen=True, rename={"sender": "from", "text": "message"}):
    """A text message as a gateway posts it; other fields that gateways send are left alone."""

    sender: Annotated[str, Meta(min_length=1, max_length=64)]
    text: str
    message_id: Short | int = ""
    sent_timestamp: Short | int = ""
    device_id: Short = ""
    secret: Short = ""

    def name(self) -> bytes:
        """Return the bytes that are the same whenever a gateway posts the same message, and different for another.

        Gateways give a retried message new ids, and count ids from the beginning again when they are set up anew. So
        what was written is part of its name, and the id only where there is no time at which it was sent.
        """
        when = ("sent", self.sent_timestamp) if self.sent_timestamp else ("id", self.message_id)
        return msgspec.json.encode((self.sender, self.text, *map(str, when)))


class Sort(Struct, frozen=True, forbid_unknown_fields=True):
    """A category: how bad its calls are, and the words by which they are known."""

    severity: Severity
    words: Words


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """How calls are sorted: what holds where no word is found, and the words for places and categories."""

    place: Slug
    category: Slug
    severity: Severity
    places: dict[Slug, Words] = {}
    categories: dict[Slug, Sort] = {}

    def sort(self, text: str) -> tuple[str, str, int]:
        """Return place, category and severity of a text: its worst category, and of several the first in the table."""
        plain = _plain(text)
        place = next((name for name, words in self.places.items() if _has(plain, words)), self.place)
        found = [(one.severity, name) for name, one in self.categories.items() if _has(plain, one.words)]
        severity, category = max(found, key=lambda pair: pair[0]) if found else (self.severity, self.category)
        return place, category, severity


_posted = msgspec.json.Decoder(Posted)


def read_table(raw: bytes) -> Table:
    """Read a table of words (TOML); ValueError with what is wrong."""
    if len(raw) > TABLE_BYTES_MAX:
        raise ValueError(f"it is longer than {TABLE_BYTES_MAX >> 10} KiB")
    try:
        return msgspec.convert(tomllib.loads(raw.decode()), Table)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from error


def read(body: bytes, media: str) -> Posted:
    """Read what a gateway has posted; Unfit when it is no text message."""
    if len(body) > BODY_BYTES_MAX:
        raise Unfit(413, f"A message has at most {BODY_BYTES_MAX >> 10} KiB.")
    kind = media.partition(";")[0].strip().lower()
    if kind not in (FORM, JSON):
        raise Unfit(415, f"Post a message as {FORM} or {JSON}.")
    try:
        posted = msgspec.convert(_fields(body), Posted) if kind == FORM else _posted.decode(body)
        posted.name()  # half a character, written as an escape, is no text
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unfit(400, "This is no text message: it needs `from` and `message` in UTF-8, each field once.") from error
    if not (posted.sent_timestamp or posted.message_id):
        raise Unfit(400, "Send `sent_timestamp` or `message_id`: by them a message that is posted again is known.")
    if not any(mark.isalnum() for mark in posted.sender):
        raise Unfit(400, "`from` has no letter or digit, so nobody can be known by it.")
    return posted


def check_secret(secret: bytes) -> None:
    """Refuse a secret that could be guessed; ValueError."""
    if not SECRET_BYTES_MIN <= len(secret) <= 128 or not secret.isascii() or not secret.decode().isprintable():
        raise ValueError(f"a secret has {SECRET_BYTES_MIN} to 128 ASCII characters in one line")


def knows(posted: Posted, bearer: str, secret: bytes) -> bool:
    """Tell whether a gateway knows the secret, as a field or as a bearer token; it takes as long whatever is wrong."""
    given = (posted.secret or bearer.removeprefix("Bearer ")).encode("utf-8", "surrogatepass")
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(secret).digest())


def message_nullifier(key: bytes, posted: Posted) -> str:
    """Return the keyed nullifier of a message: HMAC-SHA-256 (RFC 2104) under a secret of 32 bytes."""
    return hmac.digest(key, b"metrobloc message v1\n" + posted.name(), "sha256").hex()


def commitment(salt: str, text: str) -> str:
    """Return the commitment to a text under a salt (64 hex digits), as `metrobloc commit` makes it of a file."""
    return crypto.sha256(bytes.fromhex(salt) + text.encode()).hex()


def write_call(  # noqa: PLR0913
    posted: Posted, table: Table, *, channel: Channel, message: str, caller: str, salt: str
) -> Hear:
    """Return what files a message: sorted by the table, with nothing in it that was written or by whom."""
    place, category, severity = table.sort(posted.text)
    return Hear(channel, message, place, category, severity, commitment(salt, posted.text), caller)


def answer(wrong: str = "") -> bytes:
    """Return what a gateway is answered: that it need not post again, or why it must."""
    return msgspec.json.encode({"payload": {"success": not wrong, "error": wrong or None}})


def _fields(body: bytes) -> dict[str, str]:
    """Read a form strictly: UTF-8, and no field twice."""
    pairs = parse_qsl(
        body.decode(), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=FIELDS_MAX
    )
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field twice")
    return fields


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _has(plain: str, words: Words) -> bool:
    """Tell whether a text has one of some words: whole ones, but in scripts that may be without blanks any part."""
    for word in map(_plain, words):
        inner = re.escape(word)
        if re.search(rf"(?<!\w){inner}(?!\w)" if word.isascii() else inner, plain):
            return True
    return False
