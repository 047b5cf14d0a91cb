"""Sealing: what is sealed opens in its place, for its reader, and nowhere else; bytes of others are refused by name."""

import json
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from cryptography.hazmat.bindings._rust import openssl
from hypothesis import given, settings
from hypothesis import strategies as st

from metrobloc.client.vault import Box, Document, Fault, sealing
from metrobloc.client.vault.sealing import (
    DOCUMENT_BYTES_MAX,
    SUITE,
    Place,
    Sealed,
    commit,
    hold_bytes_to,
    hold_to,
    open_document,
    open_key,
    padded,
    seal,
    seal_key,
)
from metrobloc.kernel.crypto import X25519, key_id, sha256

SALT = "5a" * 32
OWNER, READER, OTHER = "a" * 26, "b" * 26, "c" * 26
PLACE = Place("demo-city-x", "e" * 26, OWNER, "k" * 26, commit(SALT, OWNER.encode()))
LETTER = Document(b"The findings are good.", "letter.txt", OWNER)
BOX, OTHER_BOX = Box(b"b" * 32), Box(b"o" * 32)

# RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, its first message.
RFC_PRIVATE = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"
RFC_PUBLIC = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
RFC_ENC = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
RFC_CT = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
RFC_INFO = "4f6465206f6e2061204772656369616e2055726e"


def sealed() -> Sealed:
    """Seal the letter."""
    return seal(PLACE, LETTER, SALT)


def refused(code: str, do: Callable[[], object]) -> None:
    """Assert that something ends with a fault of this code, and a sentence."""
    with pytest.raises(Fault) as fault:
        do()
    assert fault.value.code == code
    assert fault.value.sentence.rstrip(")").endswith((".", "content", "envelope")) or "(" in fault.value.sentence


def changed(place: Place, **fields: str) -> Place:
    """Return another place."""
    return msgspec.structs.replace(place, **fields)


def test_the_suite_is_the_one_of_the_rfc() -> None:
    box = Box(bytes.fromhex(RFC_PRIVATE))
    assert box.key_id == key_id(bytes.fromhex(RFC_PUBLIC), X25519)
    sent = bytes.fromhex(RFC_ENC + RFC_CT)
    # The vectors have associated data, for which the library has no public function.
    opened = openssl.hpke._decrypt_with_aad(SUITE, sent, box.key, info=bytes.fromhex(RFC_INFO), aad=b"Count-0")
    assert opened == b"Beauty is truth, truth beauty"


def test_a_letter_comes_back_and_tells_nothing_until_then() -> None:
    made = sealed()
    assert open_document(PLACE, made.key, made.ciphertext, made.content) == LETTER
    for part in (LETTER.data, LETTER.name.encode(), OWNER.encode(), made.key):
        assert part not in made.ciphertext
    assert len(made.ciphertext) == len(f"metrobloc-vault/1 {PLACE.entry}\n") + 12 + 1024 + 16
    again = sealed()
    assert len({made.key, again.key, made.ciphertext, again.ciphertext, made.content, again.content}) == 6


@pytest.mark.parametrize("field", ["chain", "entry", "owner", "custodian", "subject"])
def test_a_document_opens_in_its_own_place_only(field: str) -> None:
    made = sealed()
    elsewhere = changed(PLACE, **{field: "d" * 26 if field != "subject" else "d" * 64})
    refused("not_opened", lambda: open_document(elsewhere, made.key, made.ciphertext, made.content))


def test_what_was_not_committed_to_is_refused() -> None:
    made = sealed()
    refused("not_as_committed", lambda: open_document(PLACE, made.key, made.ciphertext, sealed().content))
    place = changed(PLACE, subject=commit(SALT, OTHER.encode()))
    about = seal(place, LETTER, SALT)
    refused("not_as_committed", lambda: open_document(place, about.key, about.ciphertext, about.content))
    refused("not_opened", lambda: open_document(PLACE, bytes(32), made.ciphertext, made.content))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_no_changed_byte_passes(place: int, change: int) -> None:
    made = sealed()
    at = place % len(made.ciphertext)
    bad = bytearray(made.ciphertext)
    bad[at] ^= change
    with pytest.raises(Fault):
        open_document(PLACE, made.key, bytes(bad), made.content)
    with pytest.raises(Fault):
        hold_bytes_to(made.digest, len(made.ciphertext), bytes(bad), PLACE.entry)


def test_bytes_are_held_to_the_ledger_and_told_apart() -> None:
    made, size = sealed(), len(sealed().ciphertext)
    hold_bytes_to(made.digest, size, made.ciphertext, PLACE.entry)
    other = seal(changed(PLACE, entry="f" * 26), LETTER, SALT).ciphertext
    for code, data in {
        "truncated": made.ciphertext[:-1],
        "swapped": other,
        "tampered": made.ciphertext + b"\0",
    }.items():
        refused(code, lambda data=data: hold_bytes_to(made.digest, size, data, PLACE.entry))  # type: ignore[misc]
    refused("truncated", lambda: hold_bytes_to(made.digest, size, b"", PLACE.entry))
    refused("tampered", lambda: hold_bytes_to(made.digest, size, sealed().ciphertext, PLACE.entry))


def test_an_envelope_opens_for_its_reader_only() -> None:
    made = sealed()
    file = seal_key(PLACE, made.digest, made.key, READER, BOX.key_id)
    assert open_key(PLACE, made.digest, file, READER, [OTHER_BOX, BOX]) == made.key
    assert made.key not in file
    assert b64encode(made.key)[:-2] not in file
    refused("wrong_recipient", lambda: open_key(PLACE, made.digest, file, READER, [OTHER_BOX]))
    refused("swapped", lambda: open_key(PLACE, made.digest, file, OTHER, [BOX]))
    refused("swapped", lambda: open_key(PLACE, "0" * 64, file, READER, [BOX]))
    refused("swapped", lambda: open_key(changed(PLACE, entry="f" * 26), made.digest, file, READER, [BOX]))
    refused("tampered", lambda: open_key(changed(PLACE, chain="other"), made.digest, file, READER, [BOX]))


@pytest.mark.parametrize("field", ["recipient", "entry", "ciphertext", "box_key", "chain", "sealed"])
def test_an_envelope_that_was_written_over_does_not_open(field: str) -> None:
    """Whoever can change the ledger's digest too still cannot give an envelope to another place or reader."""
    made = sealed()
    file = json.loads(seal_key(PLACE, made.digest, made.key, READER, BOX.key_id))
    whole = b64decode(file["sealed"])
    new = {
        "recipient": OTHER,
        "entry": "f" * 26,
        "ciphertext": "0" * 64,
        "box_key": OTHER_BOX.key_id,
        "chain": "demo-other",
        "sealed": b64encode(whole[:-1] + bytes([whole[-1] ^ 1])).decode(),
    }[field]
    forged = json.dumps(file | {field: new}, separators=(",", ":"), sort_keys=True).encode()
    place = PLACE if field in {"recipient", "ciphertext", "box_key", "sealed"} else changed(PLACE, **{field: new})
    digest = new if field == "ciphertext" else made.digest
    reader = new if field == "recipient" else READER
    refused("not_opened", lambda: open_key(place, digest, forged, reader, [BOX, OTHER_BOX]))


def test_what_is_no_envelope_is_refused() -> None:
    made = sealed()
    file = seal_key(PLACE, made.digest, made.key, READER, BOX.key_id)
    for bad in (
        b"",
        b"{}",
        file + b" ",
        file[:-1],
        file.replace(b'"v":"metrobloc-vault/1"', b'"v":"metrobloc-vault/2"'),
        file.replace(b'{"box_key"', b'{"a":"' + b"x" * 1024 + b'","box_key"'),
    ):
        refused("tampered", lambda bad=bad: open_key(PLACE, made.digest, bad, READER, [BOX]))  # type: ignore[misc]
    short = seal_key(PLACE, made.digest, made.key[:31], READER, BOX.key_id)
    refused("not_opened", lambda: open_key(PLACE, made.digest, short, READER, [BOX]))
    cut = json.loads(file)
    cut["sealed"] = b64encode(b"x").decode()
    forged = json.dumps(cut, separators=(",", ":"), sort_keys=True).encode()
    refused("not_opened", lambda: open_key(PLACE, made.digest, forged, READER, [BOX]))


def test_an_envelope_is_held_to_the_ledger_and_told_apart() -> None:
    made = sealed()
    now, before = (seal_key(PLACE, made.digest, made.key, READER, BOX.key_id) for _ in range(2))
    assert now != before
    digest = sha256(now).hex()
    hold_to(digest, now, PLACE, READER)
    elsewhere = seal_key(changed(PLACE, entry="f" * 26), made.digest, made.key, READER, BOX.key_id)
    others = seal_key(PLACE, made.digest, made.key, OTHER, BOX.key_id)
    for code, file in {"replayed": [before], "swapped": [elsewhere, others], "tampered": [now[:-1], b""]}.items():
        for one in file:
            refused(code, lambda one=one: hold_to(digest, one, PLACE, READER))  # type: ignore[misc]


def test_a_key_with_which_anybody_could_open_seals_nothing() -> None:
    for weak in (bytes(32), b"\1" + bytes(31)):
        refused("no_box_key", partial(seal_key, PLACE, "0" * 64, bytes(32), READER, key_id(weak, X25519)))


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\u202eb", "e\u0301", "\ud800", "\x1b[31m"])
def test_names_that_could_deceive_are_refused(name: str) -> None:
    refused("bad_name", lambda: seal(PLACE, Document(b"", name, OWNER), SALT))


@pytest.mark.parametrize("size", [0, 1, 600, 1024, 5000, 1 << 20])
def test_documents_of_all_sizes_come_back(size: int) -> None:
    document = Document(bytes(size), "李的心.pdf", OWNER)
    made = seal(PLACE, document, SALT)
    assert open_document(PLACE, made.key, made.ciphertext, made.content) == document


def test_sizes_tell_little() -> None:
    assert [padded(n) for n in (0, 1024, 1025, 2000, 2049, 100_000)] == [1024, 1024, 1088, 2048, 2176, 100_352]
    sizes = {padded(n) for n in range(1, 1 << 16)}
    assert len(sizes) < 200
    assert all(n <= padded(n) <= max(1024, n * 9 // 8 + 1) for n in range(1, 1 << 16, 7))


def test_the_largest_document_is_bounded_in_memory() -> None:
    data = bytes(DOCUMENT_BYTES_MAX)
    refused("too_large", lambda: seal(PLACE, Document(data + b"x", "large", OWNER), SALT))
    tracemalloc.start()
    try:
        made = seal(PLACE, Document(data, "large", OWNER), SALT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * DOCUMENT_BYTES_MAX
    assert len(made.ciphertext) < 72 << 20  # what the ledger takes
    opened = open_document(PLACE, made.key, made.ciphertext, made.content)
    assert len(opened.data) == DOCUMENT_BYTES_MAX
    assert sealing.commit("00" * 32, b"") == sha256(bytes(32)).hex()
