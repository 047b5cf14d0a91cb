"""Compare the codec with RFC 8785: the authors' published files, and an independent implementation on random values."""

import json
import re
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given

from metrobloc.kernel import codec
from metrobloc.kernel.codec import ANY, MALFORMED, Malformed
from tests.kernel.test_codec import VALUES
from tests.support import SHARED, need

FILES = SHARED / "iot/jcs_rfc8785/testdata"
INSIDE = ["arrays"]
OUTSIDE = {
    "french": "key_not_ascii",  # keys with accents
    "structures": "float",  # 56.0 in the input; the published output, 56, is inside
    "unicode": "not_nfc",  # an uncomposed letter, which RFC 8785 keeps as it is; the input spells it as an escape
    "values": "float",  # numbers with fractions
    "weird": "key_not_ascii",  # keys of many scripts
}
OUTPUTS_INSIDE = ["arrays", "structures"]


def published(folder: str, name: str) -> bytes:
    """Read one of the authors' files."""
    path = FILES / folder / name
    need(path.is_file(), f"data set iot/jcs_rfc8785: {Path(folder, name)}")
    return path.read_bytes()


@pytest.mark.parametrize("name", INSIDE)
def test_files_inside_the_profile(name: str) -> None:
    value = json.loads(published("input", f"{name}.json"))
    assert codec.encode_checked(value) == published("output", f"{name}.json")
    assert codec.encode_checked(value) == bytes.fromhex(published("outhex", f"{name}.txt").decode())


@pytest.mark.parametrize("name", OUTPUTS_INSIDE)
def test_published_outputs_are_read(name: str) -> None:
    data = published("output", f"{name}.json")
    assert codec.encode(codec.decode(data, ANY)) == data


@pytest.mark.parametrize(("name", "code"), OUTSIDE.items())
def test_files_outside_the_profile_are_refused(name: str, code: str) -> None:
    with pytest.raises(ValueError, match=re.escape(MALFORMED[code])):
        codec.encode_checked(json.loads(published("input", f"{name}.json")))
    for folder in ("input", "output")[: 1 if name in OUTPUTS_INSIDE else 2]:
        with pytest.raises(Malformed) as caught:
            codec.decode(published(folder, f"{name}.json"), ANY)
        assert caught.value.code in {code, "not_canonical"}
    assert caught.value.code == code


def test_every_published_file_is_listed() -> None:
    published("input", "arrays.json")
    assert {path.stem for path in (FILES / "input").iterdir()} == {*INSIDE, *OUTSIDE}


@given(VALUES)
def test_random_values_encode_as_in_another_implementation(value: codec.T) -> None:
    assert codec.encode(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # the strategy makes JSON values only
