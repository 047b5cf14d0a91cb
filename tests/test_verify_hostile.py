"""The verifier before bytes that nobody honest would write: strict JSON, notes made to be slow, random damage."""

import random

import pytest

from metrobloc.kernel.codec import encode
from metrobloc.verify import _canonical, check
from tests.prover import LOG_KEY, OPERATORS, City, trust_file
from tests.support import rounds

CITY = City()
GIFT = "charity/gifts/3"
PROOF = encode(CITY.contents(GIFT))
TRUST = trust_file(OPERATORS[0])
LINE = "— a " + "A" * 8 + "\n"
MARKS = [*map(chr, range(161)), "\u2028", "\u2029", "\ufeff", "\uffff", "é", "医", "😀", '"', "\\", "/"]


def test_canonical_bytes_are_the_ledgers() -> None:
    rng = random.Random(8785)
    for _ in range(rounds(300, 10_000)):
        words = ["".join(rng.choices(MARKS, k=rng.randrange(9))) for _ in range(8)]
        value = {f"{rng.choice('aZ_~ ')}{number}": word for number, word in enumerate(words)}
        whole: dict[str, object] = value | {
            "z": [rng.randrange(1 - 2**53, 2**53), True, False, None, {}, []],
            "": {"b": 1, "a": -1},
        }
        assert _canonical(whole).encode() == encode(whole)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"null", "wrong type"),
        (b"[]", "wrong type"),
        (b"{}", "fields"),
        (b"{} ", "canonical"),
        (b"{}\n\n", "canonical"),
        (b"{}\r\n", "canonical"),
        (b'{"a":1,"a":1}', "canonical"),
        (b'{"b":1,"a":1}', "canonical"),
        (b'{"a":-0}', "canonical"),
        (b'{"a":"\\u0041"}', "canonical"),
        (b'{"a":"\\/"}', "canonical"),
        (b'{"a":"\\ud800"}', "not JSON"),
        (b'{"a":"\x01"}', "not JSON"),
        (b'{"a":1.5}', "fraction"),
        (b'{"a":1e3}', "fraction"),
        (b'{"a":NaN}', "fraction"),
        (b'{"a":-Infinity}', "fraction"),
        (b'{"a":1e999}', "fraction"),
        (b'{"a":9007199254740992}', "number"),
        (b'{"a":-9007199254740992}', "number"),
        (b'{"a":' + b"9" * 500_000 + b"}", "number"),
        ('{"é":1}'.encode(), "ASCII"),
        (b'{"a":' + b"[" * 17 + b"]" * 17 + b"}", "fields"),
        (b'{"a":' + b"[" * 18 + b"]" * 18 + b"}", "depth"),
        (b"[" * 500_000, "not JSON"),
        (b'{"a":' * 150_000, "not JSON"),
        (b"[" * 500_000 + b"]" * 500_000, "JSON"),
        (b'"' + b"\\" * 1_000_000, "not JSON"),
        (b'"' + b'\\"' * 500_000, "not JSON"),
        (b" " * (1 << 20) + b" ", "larger than 1 MiB"),
    ],
)
def test_hostile_json_is_refused(data: bytes, words: str) -> None:
    for verdict in (check(data, TRUST), check(PROOF, data)):
        assert verdict.status in {"invalid", "unusable"}
        assert words in verdict.reason


@pytest.mark.parametrize(
    "text", ["X\n\n" * 200_000, ("X\n\n" + LINE * 99) * 400, "\n" * 900_000, "— " + "a" * 900_000, LINE * 60_000]
)
def test_hostile_notes_are_refused_quickly(text: str) -> None:
    contents = CITY.contents(GIFT)
    contents["trust"]["checkpoint"] = text
    assert check(encode(contents), TRUST).status == "invalid"


def test_mutated_files_never_raise() -> None:
    rng = random.Random(1234)
    data = encode(CITY.contents(LOG_KEY, receipt=2))
    for _ in range(rounds(2_000, 200_000)):
        wrong = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at, length = rng.randrange(len(wrong)), rng.choice([0, 1, 1, 8, 100])
            wrong[at : at + length] = rng.choice([b"", rng.randbytes(length), b"[{", b'"', b"9" * 20, wrong[:length]])
        assert check(bytes(wrong), TRUST).status != "valid" or wrong == data
