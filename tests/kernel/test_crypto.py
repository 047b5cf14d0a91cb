"""Hold hashing, key names and signatures to their published vectors and to one rule on the edges."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrobloc.kernel import crypto
from tests.support import ROOT

# RFC 8032, section 7.1: seed, public key, message, signature of TEST 1 to 3.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]
# The did:key method's Ed25519 test vectors (W3C CCG): seed and name.
DID_KEY = [
    ("00" * 32, "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
    ("00" * 31 + "01", "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG"),
    ("00" * 31 + "02", "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf"),
]
SPECCHECK = json.loads((ROOT / "tests/vectors/ed25519_speccheck.json").read_text())
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    key = crypto.SigningKey(bytes.fromhex(seed))
    assert key.public_key.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert crypto.verify(key.public_key, bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize(("seed", "name"), DID_KEY)
def test_did_key(seed: str, name: str) -> None:
    key = crypto.SigningKey(bytes.fromhex(seed))
    assert key.key_id == name
    assert crypto.public_key(name) == key.public_key


@given(st.binary(min_size=32, max_size=32))
def test_key_names_round_trip(public: bytes) -> None:
    assert crypto.public_key(crypto.key_id(public)) == public


@given(st.text(BASE58, min_size=44, max_size=52))
def test_only_one_spelling_is_read(text: str) -> None:
    name = f"did:key:z6Mk{text}"
    try:
        public = crypto.public_key(name)
    except ValueError:
        return
    assert crypto.key_id(public) == name


@pytest.mark.parametrize(
    "name", ["", "did:key:z", "did:key:zé", "did:key:z\ud800", "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"did:key|surrogates"):
        crypto.public_key(name)


@pytest.mark.parametrize("case", SPECCHECK, ids=[f"case {number}" for number in range(len(SPECCHECK))])
def test_published_edge_cases(case: dict[str, Any]) -> None:
    """Decide as libsodium does in the table of ed25519-speccheck: of its oddities only cancelling torsion passes."""
    parts = (bytes.fromhex(case[name]) for name in ("pub_key", "message", "signature"))
    assert crypto.verify(*parts) is case["valid"]


def test_the_library_follows_the_rule() -> None:
    crypto.self_check()


@pytest.mark.parametrize("verdict", [True, False])
def test_a_library_with_another_rule_is_noticed(monkeypatch: pytest.MonkeyPatch, *, verdict: bool) -> None:
    monkeypatch.setattr(crypto, "verify", lambda *_parts: verdict)
    with pytest.raises(RuntimeError, match="install the PyNaCl version"):
        crypto.self_check()


def test_every_edge_of_the_self_check_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for edge in crypto._EDGES:
        monkeypatch.setattr(crypto, "_EDGES", [(*edge[:-1], not edge[-1])])
        with pytest.raises(RuntimeError, match=edge[0]):
            crypto.self_check()


def test_a_signature_holds_for_its_message_and_key_only() -> None:
    chance = random.Random(1)
    key, other = crypto.SigningKey(chance.randbytes(32)), crypto.SigningKey(chance.randbytes(32))
    message = chance.randbytes(200)
    signature = key.sign(message)
    assert crypto.verify(key.public_key, message, signature)
    assert not crypto.verify(other.public_key, message, signature)
    for _ in range(200):
        bit = chance.randrange(512)
        flipped = (int.from_bytes(signature, "little") ^ 1 << bit).to_bytes(64, "little")
        assert not crypto.verify(key.public_key, message, flipped)
        at = chance.randrange(len(message))
        assert not crypto.verify(key.public_key, message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :], signature)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64])
def test_wrong_lengths_never_reach_the_library(size: int) -> None:
    key = crypto.SigningKey(bytes(32))
    signature = key.sign(b"m")
    assert not crypto.verify((key.public_key * 2)[:size], b"m", signature)
    with pytest.raises(ValueError, match="32 bytes"):
        crypto.SigningKey(bytes(size))
    with pytest.raises(ValueError, match="32 bytes"):
        crypto.key_id(bytes(size))


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_signatures_of_wrong_length_do_not_hold(size: int) -> None:
    key = crypto.SigningKey(bytes(32))
    assert not crypto.verify(key.public_key, b"m", (key.sign(b"m") * 2)[:size])


def test_a_key_does_not_show_its_seed() -> None:
    key = crypto.SigningKey(b"\x07" * 32)
    assert repr(key) == f"SigningKey({key.key_id})"
