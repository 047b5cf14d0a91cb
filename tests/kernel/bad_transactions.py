"""Make transactions that are bad in one way each: a name, the bytes and the code that the door must give.

Everything but the flaw is right: the rest is canonical and every signature is made over the flawed payload. The bytes
are put together with the standard library, not with the code under test.
"""

import base64
import itertools
import json
from collections.abc import Iterator
from typing import NamedTuple

from tests.kernel.raw_transactions import (
    ACTOR,
    BASE_CALL,
    BASE_PAYLOAD,
    KEYS,
    PAYLOAD_TYPE,
    base64_of,
    call,
    envelope,
    payload,
    signature,
    with_message,
    write,
)


class Bad(NamedTuple):
    """A flawed transaction and the code it must give."""

    name: str
    raw: bytes
    code: str


def bad() -> Iterator[Bad]:
    """Make every bad transaction; names are unique."""
    yield from payload_cases()
    for name, message, code in message_cases():
        yield Bad(f"message {name}", envelope(with_message(message)), code)
    yield from envelope_cases()
    yield from signature_cases()
    yield from cut_cases()


# --- the payload ------------------------------------------------------------------------------------------------------

OTHER_TYPES = {"null": "null", "true": "true", "number": "1", "text": '"x"', "list": "[1]", "object": '{"x":1}'}
KINDS = {"calls": "list", "chain": "text", "expires": "number", "rules": "number", "salt": "text"}
CALL_KINDS = {"actor": "text", "do": "text", "message": "object"}
WIRE_NAMES = {"actor": "as", "do": "do", "message": "with"}
LIMITS = {
    "calls": {"none": "[]", "17": "[" + ",".join([call()] * 17) + "]"},
    "chain": {
        "empty": '""', "dash": '"-a"', "capital": '"Demo"', "51": '"' + "a" * 51 + '"', "space": '"a b"',
        "dot": '"a.b"', "accent": '"caf\u00e9"', "line feed": '"a\\n"', "nul": '"a\\u0000"', "underscore": '"a_b"',
        "fullwidth": '"\uff41"', "arabic digit": '"a\u0661"',
    },
    "expires": {"negative": "-1", "very negative": "-9007199254740991"},
    "rules": {"zero": "0", "negative": "-1"},
    "salt": {
        "empty": '""', "31": '"' + "0" * 31 + '"', "33": '"' + "0" * 33 + '"', "capital": '"' + "0F" * 16 + '"',
        "g": '"' + "0g" * 16 + '"', "line feed": '"' + "0" * 31 + '\\n"', "extra line feed": '"' + "0" * 32 + '\\n"',
        "arabic digits": '"' + "\u0661" * 32 + '"',
    },
}  # fmt: skip
CALL_LIMITS = {
    "actor": {
        "empty": '""', "25": f'"{ACTOR[:25]}"', "27": f'"{ACTOR}a"', "capital": f'"{ACTOR.title()}"',
        "digit 1": f'"{ACTOR[:25]}1"', "digit 8": f'"{ACTOR[:25]}8"', "line feed": f'"{ACTOR[:25]}\\n"',
        "accent": f'"{ACTOR[:25]}\u00e9"',
    },
    "do": {
        "empty": '""', "no dot": '"give"', "two dots": '"a.b.c"', "no verb": '"house."', "no module": '".give"',
        "capital": '"House.give"', "digit first": '"1house.give"', "verb digit first": '"house.1give"',
        "underscore first": '"_house.give"', "space": '"house.give "', "line feed": '"house.give\\n"',
        "65": '"' + "a" * 60 + '.give"', "dash": '"my-house.give"', "slash": '"house/give"',
        "accent": '"house.d\u00e9"',
    },
}  # fmt: skip


def payload_cases() -> Iterator[Bad]:
    """Change one field at a time; then the object as a whole."""
    for field, kind in KINDS.items():
        for body, name, code in field_cases(
            field, kind, LIMITS.get(field, {}), BASE_PAYLOAD | {"calls": f"[{call()}]"}
        ):
            yield Bad(f"payload {name}", envelope(body.encode()), code)
    for field, kind in CALL_KINDS.items():
        for text, name, code in field_cases(WIRE_NAMES[field], kind, CALL_LIMITS.get(field, {}), BASE_CALL):
            yield Bad(f"call {name}", envelope(payload(calls=f"[{text}]")), code)
            yield Bad(f"second call {name}", envelope(payload(calls=f"[{call()},{text}]")), code)
    for name, value in OTHER_TYPES.items():
        code = "unknown_field" if name == "object" else "wrong_type"
        yield Bad(f"call is {name}", envelope(payload(calls=f"[{value}]")), code)
        yield Bad(f"payload is {name}", envelope(value.encode()), code)
    yield Bad("call is empty", envelope(payload(calls="[{}]")), "missing_field")
    yield Bad("payload is empty", envelope(b"{}"), "missing_field")
    yield from form_cases()


def field_cases(
    field: str, kind: str, limits: dict[str, str], fields: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Give the object, a name and the code for every way one field can be wrong."""
    for name, value in OTHER_TYPES.items():
        if name != kind:
            yield write(fields | {field: value}), f"{field} is {name}", "wrong_type"
    for value in ("1.5", "1.0", "1e3"):
        yield write(fields | {field: value}), f"{field} is {value}", "float"
    yield write(fields | {field: "9007199254740992"}), f"{field} is 2^53", "integer_range"
    for name, value in limits.items():
        yield write(fields | {field: value}), f"{field} out of bounds: {name}", "out_of_bounds"
    rest = {key: value for key, value in fields.items() if key != field}
    yield write(rest), f"{field} missing", "missing_field"
    yield write(rest | {field + "s_": fields[field]}), f"{field} misspelt", "unknown_field"
    twice = write(fields).replace(f'"{field}":', f'"{field}":{fields[field]},"{field}":', 1)
    yield twice, f"{field} twice", "duplicate_key"
    for name in (f"${field}", f"__{field}__", f"a{field}", f"{field}z", field.upper()):
        yield write(fields | {name: "1"}), f"{field} beside {name}", "unknown_field"


def form_cases() -> Iterator[Bad]:
    """Write the right payload in every form but the canonical one."""
    text = payload().decode()
    for at in range(1, len(text)):
        if text[at - 1] in "{}[]:," and text[:at].count('"') % 2 == 0:
            yield Bad(f"space at {at}", envelope((text[:at] + " " + text[at:]).encode()), "not_canonical")
    for name, blank in {"space": " ", "tab": "\t", "line feed": "\n", "return": "\r"}.items():
        yield Bad(f"payload begins with {name}", envelope((blank + text).encode()), "not_canonical")
        yield Bad(f"payload ends with {name}", envelope((text + blank).encode()), "not_canonical")
    for name, blank in {
        "form feed": "\f",
        "no-break space": "\u00a0",
        "nul": "\0",
        "byte order mark": "\ufeff",
    }.items():
        yield Bad(f"payload begins with {name}", envelope((blank + text).encode()), "not_json")
        yield Bad(f"payload ends with {name}", envelope((text + blank).encode()), "not_json")
    fields = BASE_PAYLOAD | {"calls": f"[{call()}]"}
    for order in itertools.islice(itertools.permutations(sorted(fields)), 1, 40):
        body = "{" + ",".join(f'"{key}":{fields[key]}' for key in order) + "}"
        yield Bad(f"payload order {' '.join(order)}", envelope(body.encode()), "not_canonical")
    for order in list(itertools.permutations(sorted(BASE_CALL)))[1:]:
        item = "{" + ",".join(f'"{key}":{BASE_CALL[key]}' for key in order) + "}"
        yield Bad(f"call order {' '.join(order)}", envelope(payload(calls=f"[{item}]")), "not_canonical")
    yield Bad("payload twice", envelope((text + text).encode()), "not_json")
    yield Bad("payload in UTF-16", envelope(text.encode("utf-16")), "not_utf8")
    yield Bad("payload in Latin-1", envelope(text.encode("latin-1")), "not_utf8")
    yield Bad("payload with single quotes", envelope(text.replace('"', "'").encode()), "not_json")
    yield Bad("payload with a trailing comma", envelope((text[:-1] + ",}").encode()), "not_json")
    yield Bad("payload with a comment", envelope((text[:-1] + "/**/}").encode()), "not_json")


# --- the message in a call ------------------------------------------------------------------------------------------

TOO_LARGE = [
    *map(str, (2**53, 2**53 + 1, 10**16, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 2**64, 2**64 + 1, 10**19, 10**20)),
    "1" + "0" * 100, "9" * 5000, "9" * 60_000,
]  # fmt: skip
FRACTIONS = [
    "0.0", "1.0", "-1.0", "0.5", "1e0", "1E0", "1e5", "1e+5", "1e-5", "1.5e300", "1e400", "-1e400", "5e-324", "1e-400",
    "9007199254740992.0", "1e16", "100000000000000000000.0", "-0.0", "0e0", "123456789.123456789",
]  # fmt: skip
NOT_NUMBERS = [
    "NaN", "Infinity", "-Infinity", "nan", "inf", "01", "-01", "00", "+1", "-", ".5", "1.", "1e", "1e+", "0x10",
    "1_000",
    "--1", "1-", "\u0661", "\uff11", "True", "None", "undefined", "tru", "nul", "'a'", "a",
]  # fmt: skip
REFUSED_POINTS = [
    0x378, 0x379, 0x380, 0x38B, 0x530, 0x557, 0x58B, 0x70E, 0x85F, 0xA00, 0x1F16, 0x2065, 0x2072, 0x20C1, 0x2427,
    0x2FFF,
    0xA4C7, 0xD7A4, 0xE000, 0xF8FF, 0xFDD0, 0xFDEF, 0xFFF0, 0xFFFE, 0xFFFF, 0x1000C, 0x10EFD, 0x11F00, 0x1B132, 0x1B155,
    0x1D2C0, 0x1DF25, 0x1E030, 0x1E4D0, 0x1F6DC, 0x1F774, 0x1F7D9, 0x1FA75, 0x1FA77, 0x1FAE8, 0x1FFFE, 0x2A6E0, 0x2B739,
    0x2EBF0, 0x2FFFF, 0x3134B, 0x31350, 0x323AF, 0x40000, 0xE0000, 0xE01F0, 0xEFFFF, 0xF0000, 0xFFFFD, 0x100000,
    0x10FFFD, 0x10FFFE, 0x10FFFF,
]  # fmt: skip
NOT_COMPOSED = [
    "e\u0301", "A\u030a", "o\u0302\u0323", "\u1e9b\u0307\u0323", "\u212b", "\u2126", "\u0340", "\u0341", "\u0343",
    "\u0374", "\u037e", "\u0387", "\u1f71", "\u2000", "\u2001", "\u2329", "\uf900", "\u1100\u1161",
    "\u1100\u1161\u11a8",
    "\uac00\u11a8", "\u0958", "\u0929\u093c\u0301\u0316", "a\u0301\u0316", "\ufb1d", "\ufb2a", "\U0001d15e",
    "\U0002f800", "\u0b47\u0b3e", "\u09c7\u09be", "=\u0338",
]  # fmt: skip
NOT_UTF8 = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe2\x82", b"\xed\xa0\x80",
    b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff",
    b"\xff\xfe", b"\xc3\x28", b"\xe9", b"a\xcc",
]  # fmt: skip
OTHER_SPELLINGS = [
    "\\u0061", "\\u00e9", "\\u00E9", "\\u20ac", "\\ud83d\\ude00", "\\/", "\\u0022", "\\u005c", "\\u0008", "\\u0009",
    "\\u000a", "\\u000A", "\\u000c", "\\u000d", "\\u007f", "\\u001F", "\\u000B", "\\u2028", "\\ud800", "\\udc00",
    "\\udc00\\ud800", "\\ud800a", "\\uffff", "\\u0378",
]  # fmt: skip
NOT_OBJECTS = [
    "{1:2}", "{a:1}", '{"a"}', '{"a":}', '{"a":1,}', '{,"a":1}', '{"a":1;"b":2}', '{"a":[1,]}', '{"a":[,1]}', '{"a"=1}',
    '{"a":[1 2]}', '{"a":1]', '{"a":[1}', '{"a":1}}', '{"a":"x}', "{null:1}", '{"a":1 "b":2}',
]  # fmt: skip
BAD_ESCAPES = ["\\a", "\\x41", "\\u12", "\\u00g0", "\\U00000041", "\\", "\\u", "\\0", "\\'", "\\\n", "\\v", "\\e"]


def message_cases() -> Iterator[tuple[str, str | bytes, str]]:
    """Give messages whose flaw no declared type is needed to see."""
    for number in TOO_LARGE:
        name = f"number of {len(number)} digits, last {number[-4:]}"
        yield name, f'{{"a":{number}}}', "integer_range"
        yield f"negative {name}", f'{{"a":[-{number}]}}', "integer_range"
    for text in FRACTIONS:
        yield f"fraction {text}", f'{{"a":{text}}}', "float"
        yield f"fraction in a list {text}", f'{{"a":[{text}]}}', "float"
    yield "minus zero", '{"a":-0}', "not_canonical"
    for text in NOT_NUMBERS:
        yield f"not a value {text!a}", f'{{"a":{text}}}', "not_json"
    for point in REFUSED_POINTS:
        yield f"character U+{point:04X}", f'{{"a":"x{chr(point)}"}}', "unassigned"
    for text in NOT_COMPOSED:
        yield f"text {text!a}", f'{{"a":"{text}"}}', "not_nfc"
        yield f"text in a list {text!a}", f'{{"a":["x{text}"]}}', "not_nfc"
    for raw in NOT_UTF8:
        yield f"bytes {raw.hex()}", b'{"a":"' + raw + b'"}', "not_utf8"
    for text in OTHER_SPELLINGS:
        yield f"spelling {text}", f'{{"a":"{text}"}}', "not_canonical"
    for text in BAD_ESCAPES:
        yield f"escape {text!a}", f'{{"a":"{text}"}}', "not_json"
    for code in range(0x20):
        yield f"raw control {code:02x}", f'{{"a":"{chr(code)}"}}', "not_json"
    yield from message_object_cases()


def message_object_cases() -> Iterator[tuple[str, str, str]]:
    """Give messages whose keys or nesting are wrong."""
    for key in ("\u00e9", "\u4e2d", "\U0001f600", "a\u00df", "\u0430", "\u200b"):
        yield f"key {key!a}", f'{{"{key}":1}}', "key_not_ascii"
        yield f"deeper key {key!a}", f'{{"a":[{{"{key}":1}}]}}', "key_not_ascii"
    for pairs in ('"a":1,"a":1', '"a":1,"a":2', '"a":null,"b":1,"a":null', '"":1,"":1', '"a":1,"\\u0061":2'):
        yield f"keys twice {pairs}", f"{{{pairs}}}", "duplicate_key"
        yield f"deeper keys twice {pairs}", f'{{"x":[{{{pairs}}}]}}', "duplicate_key"
    for pairs in ('"b":1,"a":1', '"a":1,"B":1', '"aa":1,"a":1', '"a":1,"_":1', '"\\u0061":1', '"a" :1', '"a":1 '):
        yield f"keys as {pairs}", f"{{{pairs}}}", "not_canonical"
        yield f"deeper keys as {pairs}", f'{{"x":{{{pairs}}}}}', "not_canonical"
    for text in NOT_OBJECTS:
        yield f"syntax {text}", text, "not_json"
    for depth in (14, 15, 100, 1000, 10_000):  # the payload, its calls and the call are three more
        yield f"lists {depth} deep", '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}", "too_deep"
        yield f"objects {depth} deep", '{"a":' * depth + "1" + "}" * depth, "too_deep"
    yield "lists that never close", '{"a":' + "[" * 60_000, "too_deep"
    yield "escaped quotes that never close", '{"a":"' + '\\"' * 30_000, "not_json"
    yield "a text that never closes", '{"a":"' + "x" * 60_000, "not_json"


# --- the envelope -----------------------------------------------------------------------------------------------------


def envelope_cases() -> Iterator[Bad]:
    """Change the envelope around a right payload."""
    body = payload()
    text = envelope(body).decode()
    fields: dict[str, str] = {
        "payload": base64_of(body),
        "payloadType": f'"{PAYLOAD_TYPE}"',
        "signatures": f"[{signature(body, KEYS[0])}]",
    }
    for field in fields:
        kind = "list" if field == "signatures" else "text"
        for changed, name, code in field_cases(field, kind, {}, fields):
            yield Bad(f"envelope {name}", changed.encode(), code)
    for order in list(itertools.permutations(fields))[1:]:
        changed = "{" + ",".join(f'"{key}":{fields[key]}' for key in order) + "}"
        yield Bad(f"envelope order {' '.join(order)}", changed.encode(), "not_canonical")
    for name, blank in {"space": " ", "tab": "\t", "line feed": "\n", "return": "\r"}.items():
        yield Bad(f"envelope begins with {name}", (blank + text).encode(), "not_canonical")
        yield Bad(f"envelope ends with {name}", (text + blank).encode(), "not_canonical")
    for value in ("", "application/json", PAYLOAD_TYPE.upper(), PAYLOAD_TYPE + " ", PAYLOAD_TYPE.replace("v1", "v2"),
                  "application/vnd.in-toto+json", PAYLOAD_TYPE + ";charset=utf-8", "\u00e9"):  # fmt: skip
        yield Bad(f"payload type {value!a}", envelope(body, payloadType=f'"{value}"'), "wrong_payload_type")
    right = base64.b64encode(body).decode()
    spellings = {
        "unpadded": "eyJhIjoxfQ", "loose bits": "eyJhIjoxfR==", "line feed at the end": right + "\\n",
        "line feed": right[:8] + "\\n" + right[8:], "space": right[:8] + " " + right[8:],
        "extra padding": right + "====",
        "padding inside": right[:4] + "====" + right[4:], "not base64": "!!!!", "one letter": "A",
        "accent": "\u00e9\u00e9",
        "escaped letter": "\\u0065" + right[1:], "hex": "0x" + body.hex(), "url alphabet": right[:-4] + "-_-_",
    }  # fmt: skip
    for name, value in spellings.items():
        yield Bad(f"payload base64 {name}", envelope(body, payload=f'"{value}"'), "not_canonical")
    for name, junk in {
        "nothing": b"",
        "nul": b"\0",
        "a word": b"hello",
        "html": b"<html></html>",
        "quote": b'"',
    }.items():
        yield Bad(f"envelope is {name}", junk, "not_json")
        yield Bad(f"payload holds {name}", envelope(junk), "not_json")
    for name, value in OTHER_TYPES.items():
        code = "unknown_field" if name == "object" else "wrong_type"
        yield Bad(f"envelope is {name}", value.encode(), code)
        yield Bad(f"signature is {name}", envelope(body, signatures=f"[{value}]"), code)
    for raw in NOT_UTF8:
        yield Bad(f"envelope bytes {raw.hex()}", text.replace("vnd", "@").encode().replace(b"@", raw), "not_utf8")
    yield Bad("envelope with an unassigned character", text.replace("vnd", "\u0378").encode(), "unassigned")
    yield Bad("envelope with a private character", text.replace("vnd", "\ue000").encode(), "unassigned")
    yield Bad("envelope not composed", text.replace("vnd", "e\u0301").encode(), "not_nfc")
    yield Bad("envelope is lists", b"[" * 131_072, "too_deep")
    yield Bad("envelope is objects", b'{"a":' * 26_000, "too_deep")
    yield Bad("envelope is quotes", b'"\\' * 65_536, "not_json")
    yield Bad("one byte too large", b" " * (128 * 1024 + 1), "too_large")
    yield Bad("a text too large", envelope(with_message('{"a":"' + "x" * 131_072 + '"}')), "too_large")
    yield Bad("a megabyte of lists", b"[" * 2**20, "too_large")


def signature_cases() -> Iterator[Bad]:
    """Change the signatures of a right payload."""
    body = payload()
    two = [signature(body, key) for key in KEYS[:2]]
    yield Bad("no signature", envelope(body, []), "out_of_bounds")
    yield Bad("17 signatures", envelope(body, KEYS), "out_of_bounds")
    yield Bad("same signature twice", envelope(body, [KEYS[0], KEYS[0]]), "signature_order")
    yield Bad("signatures reversed", envelope(body, [KEYS[1], KEYS[0]]), "signature_order")
    yield Bad("three signatures, two swapped", envelope(body, [KEYS[0], KEYS[2], KEYS[1]]), "signature_order")
    yield Bad("three signatures, one twice", envelope(body, [KEYS[0], KEYS[1], KEYS[1]]), "signature_order")
    fields: dict[str, str] = {"keyid": f'"{KEYS[0].key_id}"', "sig": json.loads(two[0])["sig"].join('""')}
    for field in fields:
        for changed, name, code in field_cases(field, "text", {}, fields):
            yield Bad(f"signature {name}", envelope(body, signatures=f"[{changed}]"), code)
            yield Bad(f"second signature {name}", envelope(body, signatures=f"[{two[1]},{changed}]"), code)
    key = KEYS[0].key_id
    for name, value in {
        "empty": "", "no method": key[8:], "did:web": "did:web:example.org", "hex": KEYS[0].public_key.hex(),
        "capital": key.replace("did", "DID"), "short": key[:-1], "long": key + "1",
        "leading one": key.replace("z6", "z16"),
        "letter O": key[:-1] + "O", "letter l": key[:-1] + "l", "digit 0": key[:-1] + "0",
        "base16": "did:key:f" + key[9:],
        "fragment": f"{key}#{key[8:]}", "space": key + " ", "accent": key[:-1] + "\u00e9", "nul": key + "\\u0000",
        "x25519": "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc", "all ones": "did:key:z" + "1" * 47,
        "all z": "did:key:z" + "z" * 47, "p-256": "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169",
        "huge": "did:key:z" + "9" * 60_000, "secp256k1": "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    }.items():  # fmt: skip
        entry = write(fields | {"keyid": f'"{value}"'})
        yield Bad(f"keyid {name}", envelope(body, signatures=f"[{entry}]"), "bad_key")
    right = base64.b64decode(fields["sig"])
    loose = {"A": "B", "Q": "R", "g": "h", "w": "x"}[fields["sig"][-4]]  # a bit set that no byte holds
    for size in (0, 1, 32, 63, 65, 96, 128):
        entry = write(fields | {"sig": base64_of((right * 2)[:size])})
        yield Bad(f"signature of {size} bytes", envelope(body, signatures=f"[{entry}]"), "out_of_bounds")
    for name, value in {
        "unpadded": fields["sig"].replace("=", ""),
        "hex": f'"{right.hex()}-"',
        "loose bits": fields["sig"][:-4] + loose + '=="',
    }.items():
        entry = write(fields | {"sig": value})
        yield Bad(f"signature {name}", envelope(body, signatures=f"[{entry}]"), "not_canonical")
    for bit in range(0, 512, 16):
        flipped = (int.from_bytes(right, "little") ^ 1 << bit).to_bytes(64, "little")
        entry = write(fields | {"sig": base64_of(flipped)})
        yield Bad(f"signature with bit {bit} flipped", envelope(body, signatures=f"[{entry}]"), "bad_signature")
    other = signature(payload(rules="2"), KEYS[0])
    yield Bad("signature of another payload", envelope(body, signatures=f"[{other}]"), "bad_signature")
    stolen = write(fields | {"keyid": f'"{KEYS[1].key_id}"'})
    yield Bad("signature of another key", envelope(body, signatures=f"[{stolen}]"), "bad_signature")
    yield Bad("second signature of another key", envelope(body, signatures=f"[{two[0]},{stolen}]"), "bad_signature")
    bare = write(fields | {"sig": base64_of(KEYS[0].sign(body))})
    yield Bad("signature of the bare payload", envelope(body, signatures=f"[{bare}]"), "bad_signature")
    yield Bad(
        "signature of nothing",
        envelope(body, signatures=f"[{write(fields | {'sig': base64_of(bytes(64))})}]"),
        "bad_signature",
    )


def cut_cases() -> Iterator[Bad]:
    """Cut the bytes short."""
    body = payload()
    accent = body.index("\u00e9".encode())
    for size in range(1, len(body), 7):
        code = "not_utf8" if size == accent + 1 else "not_json"
        yield Bad(f"payload cut at {size}", envelope(body[:size]), code)
    raw = envelope(body)
    for size in range(1, len(raw), 17):
        yield Bad(f"envelope cut at {size}", raw[:size], "not_json")
