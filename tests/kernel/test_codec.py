"""Hold the codec to one sequence of bytes a value, on every Python version."""

import runpy
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Never

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from metrobloc.kernel import codec
from metrobloc.kernel.assigned import is_assigned
from metrobloc.kernel.codec import ANY, DEPTH_MAX, INTEGER_MAX, Malformed
from tests.support import ROOT


class Parcel(Struct, frozen=True, forbid_unknown_fields=True):
    """A type with a field of every kind."""

    area_m2: Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
    deed: bytes
    name: Annotated[str, Meta(max_length=20)]
    owners: tuple[str, ...] = ()
    sold: bool = False


PARCEL = msgspec.json.Decoder(Parcel)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cn", "Co", "Cs"])).map(
    lambda text: unicodedata.normalize("NFC", "".join(filter(is_assigned, text)))
)
KEY = st.text(st.characters(max_codepoint=0x7F))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=20,
)


def refusal(data: bytes, decoder: msgspec.json.Decoder[Any] = ANY) -> str:
    """Answer the code with which these bytes are refused."""
    with pytest.raises(Malformed) as caught:
        codec.decode(data, decoder)
    assert caught.value.sentence.startswith(codec.MALFORMED[caught.value.code])
    return caught.value.code


@given(VALUES)
def test_values_come_back(value: object) -> None:
    data = codec.encode_checked(value)
    assert codec.decode(data, ANY) == value
    assert codec.encode(codec.decode(data, ANY)) == data


@given(VALUES, st.data())
def test_a_blank_anywhere_is_noticed(value: object, chance: st.DataObject) -> None:
    data = codec.encode(value)
    at = chance.draw(st.integers(0, len(data)))
    other = data[:at] + b" " + data[at:]
    try:
        assert codec.encode(codec.decode(other, ANY)) == other  # inside a text a blank is a letter
    except Malformed:
        return


@given(st.binary(max_size=60) | st.text('[]{}:,"\\ue0190.-truefalsn ', max_size=40).map(str.encode))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    try:
        value = codec.decode(data, ANY)
    except Malformed:
        refusal(data)
    else:
        assert codec.encode(value) == data


PARCEL_TEXT = b'{"area_m2":5,"deed":"AAE=","name":"n","owners":["a"],"sold":true}'
TYPED = {
    b'{"area_m2":5,"deed":"AAE=","name":"n","owners":["a"]}': "missing_field",
    b'{"area_m2":5,"deed":"AAE=","name":"n","owners":["a"],"sold":true,"x":1}': "unknown_field",
    b'{"area_m2":0,"deed":"AAE=","name":"n","owners":["a"],"sold":true}': "out_of_bounds",
    b'{"area_m2":5,"deed":"AAE=","name":"nnnnnnnnnnnnnnnnnnnnn","owners":["a"],"sold":true}': "out_of_bounds",
    b'{"area_m2":5,"deed":"AAF=","name":"n","owners":["a"],"sold":true}': "not_canonical",
    b'{"area_m2":5,"deed":"AAE","name":"n","owners":["a"],"sold":true}': "not_canonical",
    b'{"area_m2":5,"deed":"AAE=","name":"n","owners":[1],"sold":true}': "wrong_type",
    b'{"area_m2":5,"deed":"AAE=","name":"n","owners":["a"],"sold":1}': "wrong_type",
    b'{"area_m2":5,"deed":null,"name":"n","owners":["a"],"sold":true}': "wrong_type",
    b'{"area_m2":5.0,"deed":"AAE=","name":"n","owners":["a"],"sold":true}': "float",
    b'{"area_m2":9007199254740992,"deed":"AAE=","name":"n","owners":["a"],"sold":true}': "integer_range",
    b'{"area_m2":5,"area_m2":5,"deed":"AAE=","name":"n","owners":["a"],"sold":true}': "duplicate_key",
    b'{"deed":"AAE=","area_m2":5,"name":"n","owners":["a"],"sold":true}': "not_canonical",
    b"[5]": "wrong_type",
    b'"x"': "wrong_type",
}


def test_a_typed_value_comes_back() -> None:
    parcel = Parcel(5, b"\0\1", "n", ("a",), sold=True)
    assert codec.encode(parcel) == PARCEL_TEXT
    again = codec.decode(PARCEL_TEXT, PARCEL)
    assert again == parcel
    assert (again.area_m2, again.deed, again.name, again.owners, again.sold) == (5, b"\0\1", "n", ("a",), True)


@pytest.mark.parametrize(("data", "code"), TYPED.items())
def test_typed_refusals(data: bytes, code: str) -> None:
    if code == "missing_field":  # every field but the last may be missing from a message, never from these bytes
        assert refusal(data, PARCEL) == "not_canonical"
        assert refusal(b'{"area_m2":5}', PARCEL) == code
    else:
        assert refusal(data, PARCEL) == code


@pytest.mark.parametrize("number", [0, 1, -1, INTEGER_MAX, -INTEGER_MAX, 10**15, -(10**15)])
def test_the_largest_integers_pass(number: int) -> None:
    assert codec.decode(b"%d" % number, ANY) == number
    assert codec.decode(b'{"a":[%d]}' % number, ANY) == {"a": [number]}


@pytest.mark.parametrize("number", [INTEGER_MAX + 1, -INTEGER_MAX - 1, 2**63, 2**64, 10**400, 10**4299])
def test_larger_integers_are_refused(number: int) -> None:
    assert refusal(b"%d" % number) == "integer_range"
    assert refusal(b"9" * 100_000) == "integer_range"


def test_digits_and_brackets_in_a_text_are_text() -> None:
    text = "9" * 40 + "[" * 40 + '"' + "\\[{" * 40 + "1.5e3"
    assert codec.decode(codec.encode([text]), ANY) == [text]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_stops_at_16(opening: str, closing: str) -> None:
    each = opening.count("[") + opening.count("{")
    fits = DEPTH_MAX // each
    codec.decode((opening * (fits - 1) + "[" * each + "]" * each + closing * (fits - 1)).encode(), ANY)
    codec.decode(f"[{','.join(['[[]]'] * 40)}]".encode(), ANY)
    for count in (fits + 1, 1000, 40_000):
        assert refusal((opening * count + "1" + closing * count).encode()) == "too_deep"
        assert refusal((opening * count).encode()) == "too_deep"


def test_a_full_stack_is_not_the_sender_s_fault() -> None:
    class Full:
        """A decoder for which no stack is left."""

        def decode(self, _data: bytes) -> Never:
            raise RecursionError

    with pytest.raises(RecursionError):
        codec.decode(b"[1]", Full())  # type: ignore[arg-type]  # stands in for msgspec's own


@pytest.mark.parametrize(
    "value", [1.5, INTEGER_MAX + 1, {"\u00e9": 1}, {"a": [2**70]}, "e\u0301", "\u0378", "\ue000", "\ud800", [[[1e300]]]]
)
def test_values_outside_the_profile_are_not_encoded(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        codec.encode_checked(value)


@pytest.mark.parametrize(
    "data",
    [
        b'"' + b"\\\\" * 60_000, b'"\\' * 60_000, b"[]," * 40_000, b'{"":' * 14 + b'{"a":1,"a":1},' * 8_000,
        b"[" + b"-" * 120_000, ("[" + ",".join(['"a\u0301\u0316"'] * 9_000) + "]").encode(),
        ('"a' + "\u0301" * 30_000 + "\u0316" * 30_000).encode(), ('"' + "\u0344" * 60_000 + '"').encode(),
        ('"' + "\u1100\u1161" * 20_000).encode(),
    ],
)  # fmt: skip
def test_hostile_bytes_end(data: bytes) -> None:
    refusal(data)


# --- one Unicode version on every Python ------------------------------------------------------------------------------

VERDICTS = """
import hashlib, sys, unicodedata
sys.path.insert(0, sys.argv[1])
from metrobloc.kernel.assigned import is_assigned
digest = hashlib.sha256()
good = [chr(point) for point in range(0x110000) if is_assigned(chr(point))]
digest.update("".join(good).encode())
for text in good + [a + b for a in good[::97] for b in good[150:3000:13]]:
    digest.update(unicodedata.normalize("NFC", text).encode())
    digest.update(b"1" if unicodedata.is_normalized("NFC", text) else b"0")
print(sys.version_info[:2], digest.hexdigest())
"""
PINNED = "fbff0d5d22b8ff9cc91f7cd6daad4e84931126aacb82139ed667995ebccd5605"


def pythons() -> list[str]:
    """Find this Python and others that are new enough."""
    names = [f"python3.{minor}" for minor in range(11, 16)]
    found = [path for name in names if (path := shutil.which(name))]
    found += [str(path) for name in names for path in sorted(Path.home().glob(f".pyenv/versions/*/bin/{name}"))]
    return [sys.executable, *found]


def test_every_python_decides_alike_about_text() -> None:
    verdicts: dict[str, str] = {}
    for python in pythons():
        run = [python, "-c", VERDICTS, str(ROOT / "src")]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        if done.returncode != 127:  # a shim whose Python is not installed
            assert done.returncode == 0, done.stderr
            version, digest = done.stdout.strip().rsplit(" ", 1)
            verdicts[version] = digest
    assert set(verdicts.values()) == {PINNED}, verdicts


def test_the_table_is_that_of_unicode_14() -> None:
    assigned = [chr(point) for point in range(sys.maxunicode + 1) if is_assigned(chr(point))]
    assert len(assigned) == 144_762  # The Unicode Standard 14.0: 144,697 characters and 65 control codes
    assert [letter for letter in assigned if unicodedata.category(letter) == "Cn"] == []  # they stay assigned
    if unicodedata.unidata_version == "14.0.0":
        script = runpy.run_path(str(ROOT / "scripts/make_assigned.py"))
        assert script["module"]() == (ROOT / "src/metrobloc/kernel/assigned.py").read_text(encoding="utf-8")
