"""Turn values into their one sequence of bytes and back, refusing every other sequence.

The bytes are RFC 8785 (JCS) JSON in a narrower profile: keys are ASCII, numbers are integers within plus or minus
2^53-1, containers nest at most 16 deep, and text is NFC with code points that Unicode 14.0.0 assigns. Within that
profile msgspec's sorted encoder writes JCS. Decoding is strict: parse, encode again, compare; the few things that
survive a comparison are looked for, and only what fails is scanned again for its reason.
"""

import json
import re
import unicodedata
from typing import Never, TypeVar

import msgspec

from metrobloc.kernel.assigned import is_assigned

INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 16

MALFORMED = {
    "too_large": "The bytes are more than a transaction may have; put large documents in the vault and sign the hash.",
    "not_utf8": "The bytes are not UTF-8; encode the text as UTF-8.",
    "not_json": "The bytes are not JSON; send one JSON document and nothing else.",
    "too_deep": "Lists and objects nest more than 16 deep; flatten the document.",
    "duplicate_key": "An object names a key twice; keep one.",
    "key_not_ascii": "A key has characters beyond ASCII; use the documented field names.",
    "float": "A number has a fraction or an exponent; write whole numbers of the smallest unit.",
    "integer_range": "A number is beyond 2^53-1; no quantity may be that large.",
    "unassigned": "A text has a character that Unicode 14.0.0 does not assign; replace it.",
    "not_nfc": "A text is not in Unicode normalisation form C; normalise it before signing.",
    "unknown_field": "A field is not known here; remove it or check its spelling.",
    "missing_field": "A field is missing; add it.",
    "wrong_type": "A value is of the wrong type; look the field up in the reference.",
    "out_of_bounds": "A value is outside its limits; look the field up in the reference.",
    "not_canonical": "The bytes are not the canonical form (RFC 8785, padded base64); encode the value again.",
    "wrong_payload_type": "The envelope holds something else than a transaction; check its payloadType.",
    "bad_key": "A signature's keyid is not the did:key of an Ed25519 key; write it as the wallet shows it.",
    "signature_order": "Signatures are not sorted by keyid, each key once; sort them.",
    "unknown_action": "This chain has no such action; look its name up in the list of actions.",
    "bad_signature": "A signature does not hold for these bytes and its key; sign again.",
}
"""Why bytes never were a transaction or a record: each code with a sentence that says what to do."""

T = TypeVar("T")


class Malformed(Exception):
    """These bytes never were a transaction or a record; `code` is a key of MALFORMED, `sentence` says what to do."""

    def __init__(self, code: str, detail: str = "") -> None:
        """Keep the code and its sentence; the detail tells where, for people only."""
        super().__init__(code, detail)
        self.code = code
        self.sentence = f"{MALFORMED[code]} ({detail})" if detail else MALFORMED[code]


def _refuse_fraction(number: str) -> Never:
    raise Malformed("float", number[:20])


ANY: msgspec.json.Decoder[object] = msgspec.json.Decoder(float_hook=_refuse_fraction)
"""The decoder for values of no declared type."""

encode = msgspec.json.Encoder(order="sorted").encode
"""Encode a value of a declared type. The type guarantees the profile: registration refuses floats, bare integers and
names beyond ASCII, and text was decoded strictly. For values from elsewhere there is `encode_checked`."""


def encode_checked(value: object) -> bytes:
    """Encode a value of any origin; ValueError when the profile has no place for it."""
    data = encode(value)
    try:
        decode(data, ANY)
    except Malformed as fault:
        raise ValueError(fault.sentence) from fault
    return data


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode canonical bytes into the decoder's type; Malformed with the reason when they are not.

    The type must forbid unknown fields and floats. Time is bounded by the size of the bytes, whatever they hold.
    """
    try:
        value = decoder.decode(data)
        canonical = encode(value) == data
    except (ValueError, RecursionError, Malformed) as fault:  # msgspec's own errors are ValueErrors
        raise _reason(data, fault) from None
    if not canonical:
        raise _reason(data, None)
    marks = data.translate(_MARKS)
    if _LONG_NUMBER in marks or not data.isascii():
        _scan(data)
    elif marks.count(b"[") > DEPTH_MAX:
        _measure(data.decode())
    return value


# What the comparison lets through: large integers, deep nesting, keys and text. One pass finds where it may be.
_MARKS = bytes(ord("0" if chr(byte).isdecimal() else "[" if chr(byte) in "[{" else " ") for byte in range(256))
_LONG_NUMBER = b"0" * len(str(INTEGER_MAX))
# An unclosed string matches to the end of the text, so that no text is read twice.
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_TYPE_FAULTS = (
    ("unknown field", "unknown_field"),
    ("missing required field", "missing_field"),
    ("out of range", "out_of_bounds"),
    ("of length", "out_of_bounds"),
    ("matching regex", "out_of_bounds"),
    ("Invalid base64", "not_canonical"),
    ("Invalid enum value", "out_of_bounds"),
    ("`int` <", "out_of_bounds"),
    ("`int` >", "out_of_bounds"),
)


def _reason(data: bytes, fault: Exception | None) -> Malformed:
    """Find why a strict decoding failed: the profile first, then the type, then the form."""
    try:
        _scan(data)
    except Malformed as found:
        return found
    if isinstance(fault, RecursionError):
        raise fault  # not the bytes: this process had no stack left
    if isinstance(fault, msgspec.ValidationError):
        text = str(fault)
        return Malformed(next((code for words, code in _TYPE_FAULTS if words in text), "wrong_type"), text[:200])
    return Malformed("not_canonical")


def _scan(data: bytes) -> None:
    """Raise Malformed for the first thing that the profile forbids; the form is not looked at."""
    try:
        text = data.decode()
    except UnicodeDecodeError as fault:
        raise Malformed("not_utf8", f"at byte {fault.start}") from None
    _measure(text)
    try:
        _STRICT.decode(text)
    except ValueError as fault:
        raise Malformed("not_json", str(fault)) from None
    for character in sorted(set(_BEYOND_ASCII.findall(text))):
        if not is_assigned(character):
            raise Malformed("unassigned", f"U+{ord(character):04X}")
    if not unicodedata.is_normalized("NFC", text):
        raise Malformed("not_nfc")


def _measure(text: str) -> None:
    """Raise Malformed when containers nest too deep."""
    depth = 0
    for found in _TOKENS.findall(text):
        if found in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise Malformed("too_deep")
        elif found in "]}":
            depth -= 1


def _refuse_constant(name: str) -> Never:
    raise Malformed("not_json", name)


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > INTEGER_MAX:
        raise Malformed("integer_range", digits[:20])
    return int(digits)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    for key in value:
        if not key.isascii():
            raise Malformed("key_not_ascii", ascii(key[:20]))
    if len(value) < len(pairs):
        raise Malformed("duplicate_key")
    return value


_STRICT = json.JSONDecoder(
    parse_float=_refuse_fraction, parse_int=_integer, parse_constant=_refuse_constant, object_pairs_hook=_object
)
