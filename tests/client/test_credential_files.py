"""A credential's file by itself: what is signed, what is shown, and that nothing in it can be changed."""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metrobloc.client import NotValid, credentials
from metrobloc.client.credentials import PRESENTATION_TYPE, STATEMENT_TYPE, Credential, Terms
from metrobloc.client.errors import PROBLEMS
from metrobloc.kernel import codec
from metrobloc.kernel.crypto import SigningKey, public_key, verify
from tests.client.issuing import CLAIMS, DAY_MS, END_MS, HOLDER, START_MS, edited

ISSUER, THIEF = SigningKey(b"issuer" + bytes(26)), SigningKey(b"thief" + bytes(27))
ACCOUNT = "a" * 26
TERMS = Terms("demo-city-0123456789abcdef", ACCOUNT, "care", START_MS, END_MS, HOLDER.key_id)
ID = "b" * 26


def counted() -> Callable[[int], bytes]:
    """Return a chance that is always the same."""
    numbers = iter(range(1000))
    return lambda count: hashlib.sha256(b"%d" % next(numbers)).digest()[:count]


def made(**changed: Any) -> Credential:  # noqa: ANN401  # a field of Terms
    """Write a credential whose salts are always the same."""
    terms = msgspec.structs.replace(TERMS, **changed)
    return msgspec.structs.replace(credentials.write(terms, CLAIMS, ISSUER, counted()), id=ID)


def shown() -> bytes:
    """Present one claim to a desk."""
    one = credentials.show_only(made(), ["helper"])
    return credentials.to_bytes(credentials.present(one, HOLDER, "desk 7", "City museum"))


def refused(data: bytes) -> str:
    """Return the code with which a file is refused."""
    with pytest.raises(NotValid) as found:
        credentials.read(data)
    assert found.value.sentence.endswith((".", ")"))
    assert found.value.code in PROBLEMS or found.value.code in codec.MALFORMED
    return found.value.code


def test_what_is_signed_holds_only_hashes_and_they_can_be_made_by_anybody() -> None:
    page = json.loads(credentials.to_bytes(made()))
    payload = b64decode(page["statement"]["payload"])
    statement = json.loads(payload)
    for text in ("李娜", "chair", "helper", "degree"):
        assert text.encode() not in payload
    for claim in page["claims"]:
        bare = json.dumps([claim["salt"], claim["name"], claim["value"]], separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(bare.encode()).hexdigest() in statement["claims"]
    assert {claim["name"]: claim["value"] for claim in page["claims"]} == CLAIMS
    assert len(statement["claims"]) == 8
    assert statement["claims"] == sorted(set(statement["claims"]))
    assert len({page["salt"], *(claim["salt"] for claim in page["claims"])}) == 5
    salted = bytes.fromhex(page["salt"]) + payload
    assert credentials.commitment(made()) == hashlib.sha256(salted).hexdigest()
    (signature,) = page["statement"]["signatures"]
    message = b"DSSEv1 %d %b %d %b" % (len(STATEMENT_TYPE), STATEMENT_TYPE.encode(), len(payload), payload)
    assert signature["keyid"] == ISSUER.key_id
    assert verify(public_key(ISSUER.key_id), message, b64decode(signature["sig"]))


def test_the_format_stays_as_it_is() -> None:
    whole, one = credentials.to_bytes(made()), shown()
    assert credentials.commitment(made()) == PINNED["commitment"]
    assert hashlib.sha256(whole).hexdigest() == PINNED["file"]
    assert hashlib.sha256(one).hexdigest() == PINNED["presented"]


PINNED = {
    "commitment": "48f435b125b2bc847a42167d299741b9438125579520f78038e6c90268eb82cf",
    "file": "eb0aa76140bb52ceda5d2e78a7145afde6559ee3f13b37bc0a9b2b65c7da89a8",
    "presented": "ac012d513493c190f66bb59aa7c88b6eb4dc7d806239521aa29af11cfb814a82",
}


def test_every_writing_has_salts_of_its_own_and_hides_how_much_there_is() -> None:
    two = [credentials.write(TERMS, CLAIMS, ISSUER) for _ in range(2)]
    salts = {part for file in two for part in (file.salt, *(claim.salt for claim in file.claims))}
    assert len(salts) == 2 * (1 + len(CLAIMS))
    for count, hashes in ((1, 8), (8, 8), (9, 16), (64, 64)):
        file = credentials.write(TERMS, {f"claim{n}": n for n in range(count)}, ISSUER)
        assert len(credentials.read(credentials.to_bytes(file)).statement.claims) == hashes


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({}, "out_of_bounds"),
        ({"half": 0.5}, "not_canonical"),
        ({"much": 2**53}, "not_canonical"),
        ({"name": "e\u0301"}, "not_canonical"),
        ({"name": object()}, "not_canonical"),
        ({"a name": 1}, "out_of_bounds"),
        ({"": 1}, "out_of_bounds"),
        ({"_name": 1}, "out_of_bounds"),
        ({"n" * 65: 1}, "out_of_bounds"),
        ({f"claim{n}": n for n in range(65)}, "out_of_bounds"),
        ({"deep": [[[[[[[[[[[[[1]]]]]]]]]]]]]}, None),
        ({"deep": [[[[[[[[[[[[[[1]]]]]]]]]]]]]]}, "too_deep"),
        ({"long": "x" * (1 << 20)}, "too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_has_no_place_in_the_format_is_not_written(claims: dict[str, object], code: str | None) -> None:
    if code is None:
        credentials.write(TERMS, claims, ISSUER)
        return
    with pytest.raises(NotValid) as found:
        credentials.write(TERMS, claims, ISSUER)
    assert found.value.code == code


def test_terms_that_the_ledger_could_not_hold_are_not_written() -> None:
    for changed in ({"kind": "Care!"}, {"issuer": "hospital"}, {"chain": "A"}, {"until_ms": -1}, {"holder": "li"}):
        with pytest.raises(NotValid):
            made(**changed)


def restated(page: dict[str, Any], change: Callable[[dict[str, Any]], object], key: SigningKey | None = None) -> None:
    """Change the statement within a file; with a key it is signed again."""
    statement = json.loads(b64decode(page["statement"]["payload"]))
    change(statement)
    payload = codec.encode(statement)
    page["statement"]["payload"] = b64encode(payload).decode()
    if key is not None:
        sig = key.sign(credentials.pae(STATEMENT_TYPE, payload))
        page["statement"]["signatures"] = [{"keyid": key.key_id, "sig": b64encode(sig).decode()}]


CHANGES: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("claim_not_signed", lambda page: page["claims"][0].update(value="Li Nu")),
    ("claim_not_signed", lambda page: page["claims"][1].update(value=61)),
    ("claim_not_signed", lambda page: page["claims"][3].update(value=1)),
    ("claim_not_signed", lambda page: page["claims"][0].update(name="surname")),
    ("claim_not_signed", lambda page: page["claims"][0].update(salt="0" * 64)),
    ("claim_not_signed", lambda page: page["claims"][0].update(salt=page["claims"][1]["salt"])),
    ("claim_not_signed", lambda page: page["claims"].append({"name": "more", "salt": "0" * 64, "value": 1})),
    ("claim_twice", lambda page: page["claims"].append(page["claims"][0])),
    ("bad_signature", lambda page: restated(page, lambda one: one.update(kind="degree"))),
    ("bad_signature", lambda page: restated(page, lambda one: one.update(until_ms=END_MS + DAY_MS))),
    ("bad_signature", lambda page: restated(page, lambda one: one.update(holder=THIEF.key_id))),
    ("bad_signature", lambda page: page["statement"]["signatures"][0].update(keyid=THIEF.key_id)),
    ("bad_signature", lambda page: page["statement"]["signatures"][0].update(sig=b64encode(bytes(64)).decode())),
    ("claims_order", lambda page: restated(page, lambda one: one["claims"].reverse(), ISSUER)),
    ("claims_order", lambda page: restated(page, lambda one: one["claims"].insert(0, one["claims"][0]), ISSUER)),
    ("out_of_bounds", lambda page: restated(page, lambda one: one.update(claims=[]), ISSUER)),
    ("unknown_field", lambda page: restated(page, lambda one: one.update(more=1), ISSUER)),
    ("missing_field", lambda page: restated(page, lambda one: one.pop("issuer"), ISSUER)),
    ("not_canonical", lambda page: restated(page, lambda one: one.update(holder=None), ISSUER)),
    ("wrong_payload_type", lambda page: page["statement"].update(payloadType="application/vnd.metrobloc.tx.v1+json")),
    ("wrong_payload_type", lambda page: page["statement"].update(payloadType=PRESENTATION_TYPE)),
    ("out_of_bounds", lambda page: page["statement"].update(signatures=[])),
    ("out_of_bounds", lambda page: page["statement"]["signatures"].append(page["statement"]["signatures"][0])),
    ("out_of_bounds", lambda page: page["statement"]["signatures"][0].update(sig="AAAA")),
    ("out_of_bounds", lambda page: page["statement"]["signatures"][0].update(keyid="did:key:z6Mk")),
    ("bad_signature", lambda page: page["statement"]["signatures"][0].update(keyid="did:key:z6Mk" + "z" * 44)),
    ("out_of_bounds", lambda page: page.update(format="metrobloc-credential/2")),
    ("out_of_bounds", lambda page: page.update(id="short")),
    ("not_canonical", lambda page: page.update(id=None)),
    ("out_of_bounds", lambda page: page.update(salt="ab")),
    ("unknown_field", lambda page: page.update(more=1)),
    ("missing_field", lambda page: page.pop("salt")),
    ("wrong_type", lambda page: page.update(claims={})),
    ("out_of_bounds", lambda page: page.update(proofs=[{}] * 17)),
    ("float", lambda page: page["claims"][1].update(value=60.0)),
    ("integer_range", lambda page: page["claims"][1].update(value=2**53)),
    ("not_nfc", lambda page: page["claims"][0].update(value="e\u0301")),
    ("key_not_ascii", lambda page: page["claims"][2].update(value={"é": 1})),
    ("too_deep", lambda page: page.update(proofs=[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]])),
]


@pytest.mark.parametrize(("code", "change"), CHANGES, ids=[f"{n}-{code}" for n, (code, _) in enumerate(CHANGES)])
def test_nothing_that_an_issuer_signed_can_be_changed(code: str, change: Callable[[dict[str, Any]], object]) -> None:
    assert refused(edited(credentials.to_bytes(made()), change)) == code


def test_bytes_that_are_no_file_are_refused() -> None:
    whole = credentials.to_bytes(made())
    for data, code in (
        (b"", "not_json"),
        (b"\xff", "not_utf8"),
        (whole[:-40], "not_json"),
        (whole + b"\n", "not_canonical"),
        (b" " + whole, "not_canonical"),
        (whole.replace(b'"id"', b'"id" ', 1), "not_canonical"),
        (whole.replace(b'"format":', b'"format":"x","format":', 1), "duplicate_key"),
        (b"[" * 100_000, "too_deep"),
        (b"1" * 5000, "integer_range"),
        (b'{"claims":"' + b"x" * (1 << 20) + b'"}', "too_large"),
        (b'"' + b"x" * ((1 << 20) - 2) + b'"', "wrong_type"),
        (b'"' + b"x" * ((1 << 20) - 1) + b'"', "too_large"),
    ):
        assert refused(data) == code


def test_a_holder_shows_what_she_likes_and_nothing_of_the_rest() -> None:
    one = credentials.to_bytes(credentials.show_only(made(), ["helper", "degree_of_disability"]))
    assert credentials.read(one).shown == {"degree_of_disability": 60, "helper": True}
    for text in ("李娜", "chair", *(claim.salt for claim in made().claims if claim.name in {"name", "needs"})):
        assert text.encode() not in one
    assert credentials.read(credentials.to_bytes(credentials.show_only(made(), []))).shown == {}
    with pytest.raises(ValueError, match="no claim age; it shows: name, degree_of_disability, needs, helper"):
        credentials.show_only(made(), ["helper", "age"])
    with pytest.raises(ValueError, match="no claim name"):
        credentials.show_only(credentials.read(one).file, ["name"])


PRESENTED: list[Callable[[dict[str, Any]], object]] = [
    lambda page: page["presented"].update(nonce="desk 8"),
    lambda page: page["presented"].update(audience="City theatre"),
    lambda page: page["presented"].pop("audience"),
    lambda page: page["presented"].update(sig=b64encode(bytes(64)).decode()),
    lambda page: page.update(claims=[]),
    lambda page: page.update(id="c" * 26),
    lambda page: page.pop("id"),
    lambda page: page.update(salt="0" * 64),
    lambda page: page["claims"].append(json.loads(credentials.to_bytes(made()))["claims"][0]),
]


@pytest.mark.parametrize("change", PRESENTED)
def test_what_a_holder_has_signed_cannot_be_changed(change: Callable[[dict[str, Any]], object]) -> None:
    assert credentials.read(shown()).shown == {"helper": True}
    assert refused(edited(shown(), change)) == "bad_presentation"


def test_only_the_holder_presents_and_proofs_may_be_made_fresh() -> None:
    with pytest.raises(NotValid, match="bad_presentation"):
        credentials.present(made(), THIEF, "desk 7")
    with pytest.raises(NotValid, match="bad_presentation"):
        credentials.present(made(holder=None), HOLDER, "desk 7")
    for nonce in ("", "x" * 201, "a\nb", "a\u202eb"):
        with pytest.raises(NotValid, match="out_of_bounds"):
            credentials.present(made(), HOLDER, nonce)
    credentials.read(edited(shown(), lambda page: page.update(proofs=[{"any": "thing"}])))
    again = credentials.show_only(credentials.read(shown()).file, ["helper"])
    assert again.presented is None


def test_a_statement_is_no_presentation_and_no_transaction() -> None:
    """One key may sign all three; what is signed as one is never taken for another."""
    payload = b64decode(json.loads(credentials.to_bytes(made()))["statement"]["payload"])
    texts = [credentials.pae(kind, payload) for kind in (STATEMENT_TYPE, PRESENTATION_TYPE)]
    assert len(set(texts)) == 2
    assert not any(text.startswith(b"DSSEv1 37 application/vnd.metrobloc.tx") for text in texts)


def test_every_changed_byte_is_noticed() -> None:
    data = shown()
    for place in range(0, len(data) - 1, 7):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(NotValid):
            credentials.read(changed)
