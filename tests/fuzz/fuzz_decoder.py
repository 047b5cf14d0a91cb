"""Feed the decoder bytes that coverage guides; run with atheris: `python tests/fuzz/fuzz_decoder.py CORPUS -runs=N`.

The first byte says what the rest is: an envelope, a payload, a call's message or any value. Whatever it is, the door
answers or raises Malformed with a code of the table, and it takes exactly what a second decoder, made of the standard
library, finds canonical.
"""

import base64
import json
import sys
import unicodedata

import atheris

with atheris.instrument_imports(include=["metrobloc.kernel"]):
    from metrobloc.kernel import codec, crypto, envelope
    from metrobloc.kernel.assigned import is_assigned
    from metrobloc.kernel.codec import ANY, DEPTH_MAX, INTEGER_MAX, MALFORMED, Malformed

KEY = crypto.SigningKey(b"\x01" * 32)
BEFORE = b'{"calls":[{"as":"abcdefghijklmnopqrstuvwxyz","do":"house.give","with":'
AFTER = b'}],"chain":"demo","expires":1700000600000,"rules":1,"salt":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"}'


def fuzz(data: bytes) -> None:
    """Try one input."""
    kind, rest = data[:1], data[1:]
    if kind == b"e":
        accepted = taken(rest)
        assert not accepted or canonical(rest)
    elif kind == b"p":
        accepted = taken(wrapped(rest))
        assert not accepted or canonical(rest)
    elif kind == b"m":
        accepted = taken(wrapped(BEFORE + rest + AFTER))
        assert not accepted or canonical(BEFORE + rest + AFTER)
        assert accepted or not (canonical(rest, deeper=3) and rest[:1] == b"{" and len(rest) < 90_000)
    else:
        try:
            value = codec.decode(rest, ANY)
        except Malformed as fault:
            known(fault)
            assert not canonical(rest)
        else:
            assert codec.encode(value) == rest
            assert canonical(rest)


def known(fault: Malformed, *expected: str) -> None:
    """Insist that a refusal has one of the codes."""
    assert fault.code in (expected or MALFORMED)


def taken(raw: bytes) -> bool:
    """Say whether the door takes a transaction; reading again must give the same bytes."""
    try:
        made = envelope.read(raw)
    except Malformed as fault:
        known(fault)
        return False
    again = envelope.reopen(raw)
    assert (again.id, again.key_ids, again.raw) == (made.id, made.key_ids, raw)
    body = base64.b64decode(json.loads(raw)["payload"], validate=True)
    assert codec.encode(again.payload) == body
    assert canonical(body)
    try:
        assert envelope.check(raw) == made.id
    except Malformed as fault:
        known(fault, "bad_signature")
    return True


def wrapped(body: bytes) -> bytes:
    """Put a payload into an envelope; its signature is not looked at before its form."""
    entry = b'{"keyid":"%b","sig":"%b"}' % (KEY.key_id.encode(), base64.b64encode(bytes(64)))
    head = b'{"payload":"%b","payloadType":"%b","signatures":[%b]}'
    return head % (base64.b64encode(body), envelope.PAYLOAD_TYPE.encode(), entry)


def canonical(data: bytes, deeper: int = 0) -> bool:
    """Say whether bytes are the one form of a value, by the standard library's decoder."""
    try:
        text = data.decode()
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not fits(value, DEPTH_MAX - deeper) or not all(map(is_assigned, text)):
        return False
    again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return again == text and unicodedata.is_normalized("NFC", text)


def fits(value: object, depth: int) -> bool:
    """Say whether numbers, keys and nesting keep to the profile."""
    if isinstance(value, dict):
        return depth > 0 and all(key.isascii() and fits(inner, depth - 1) for key, inner in value.items())
    if isinstance(value, list):
        return depth > 0 and all(fits(inner, depth - 1) for inner in value)
    if isinstance(value, int):
        return abs(value) <= INTEGER_MAX
    return not isinstance(value, float)


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
