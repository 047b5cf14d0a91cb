"""Receipts and certificates: what a charity signs about a gift, checked offline against its path, and printed."""

import io
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, NamedTuple

import pypdf
import pytest
import typst
import zxingcpp
from PIL import Image

from metrobloc.city.charity.tools import printed, receipts
from metrobloc.city.charity.tools.receipts import NotGood
from metrobloc.kernel import codec, crypto
from metrobloc.kernel.crypto import SigningKey
from tests.surface.city import done, failed, say


class Papers(NamedTuple):
    """What the charity has given to a donor."""

    receipt: bytes
    certificate: bytes
    proof: bytes
    trust: bytes
    pdf: bytes
    gift: str


@pytest.fixture(scope="session")
def papers(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Papers:
    home = tmp_path_factory.mktemp("papers")
    rows = done(home, "show charity/gifts --json --data", template).json()["items"]
    gift = next(
        row["key"] for row in rows if row["value"].get("purse") == "crowd.medicine" and row["value"].get("asked")
    )
    done(home, "trust --data", template, "--out", home / "trust")
    made = [home / name for name in ("receipt", "certificate", "proof", "trust", "pdf")]
    receipt, certificate, proof, _, pdf = made
    done(home, f"charity receipt {gift} --as charity --data", template, "--out", receipt)
    options = ["--out", certificate, "--proof", proof, "--pdf", pdf]
    done(home, f"charity receipt {gift} --certificate --as charity --data", template, *options)
    receipt_, certificate_, proof_, trust, pdf_ = (path.read_bytes() for path in made)
    return Papers(receipt_, certificate_, proof_, trust, pdf_, gift)


def test_both_are_valid_under_trust_and_untrusted_without(papers: Papers) -> None:
    for file in (papers.receipt, papers.certificate):
        assert receipts.check(file, papers.proof, papers.trust).status == "valid"
        assert receipts.check(file, papers.proof, papers.trust, receipts.read(file).mark).status == "valid"
        assert receipts.check(file, papers.proof).status == "untrusted"
        assert receipts.check(file, papers.proof, b"{}").status == "unusable"


def test_they_say_what_the_gift_was_and_did(papers: Papers) -> None:
    receipt, certificate = (receipts.read(file).donation for file in (papers.receipt, papers.certificate))
    assert (receipt.kind, receipt.amount, receipt.purse, receipt.did) == ("receipt", 20_000, "crowd.medicine", ())
    assert [(did.what, did.amount, did.code, did.payee) for did in certificate.did] == [
        ("paid", 6500, "medicine", "Children's clinic"),
        ("held", 13_500, None, None),
    ]


def changed(file: bytes, key: SigningKey | None = None, media: str = receipts.PAYLOAD_TYPE, **fields: object) -> bytes:
    """Change what a receipt says, and sign it anew with a key, if there is one."""
    envelope: Any = codec.decode(file[:-1], codec.ANY)
    said: Any = codec.decode(b64decode(envelope["payload"]), codec.ANY)
    payload = codec.encode(said | fields)
    envelope |= {"payload": b64encode(payload).decode(), "payloadType": media}
    if key is not None:
        sig = b64encode(key.sign(receipts.pae(payload))).decode()
        envelope["signatures"] = [{"keyid": key.key_id, "sig": sig}]
    return codec.encode(envelope) + b"\n"


STRANGER = SigningKey(b"\7" * 32)


def test_whoever_else_signs_is_found_out(papers: Papers) -> None:
    verdict = receipts.check(changed(papers.receipt, STRANGER), papers.proof, papers.trust)
    assert (verdict.status, verdict.facts) == ("invalid", {})
    assert "not one of the charity's" in verdict.reason


def test_what_the_charity_signs_wrongly_is_found_out(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stranger's key pass for the charity's: then only the ledger speaks against what it says."""
    charity = receipts.read(papers.receipt).key_id
    monkeypatch.setattr(type(STRANGER), "key_id", property(lambda _: charity))
    monkeypatch.setattr(crypto, "verify", lambda *_: True)
    assert receipts.check(changed(papers.receipt, STRANGER), papers.proof, papers.trust).status == "valid"
    wrongs: tuple[dict[str, Any], ...] = (
        {"amount": 20_001},
        {"donor": "b" * 26},
        {"title": "Another case"},
        {"charity_name": "Another charity"},
        {"kind": "receipt", "did": [{"what": "held", "amount": 1, "campaign": "c" * 26}]},
    )
    for wrong in wrongs:
        verdict = receipts.check(changed(papers.receipt, STRANGER, **wrong), papers.proof, papers.trust)
        assert verdict.reason == "The receipt says something else of the gift than the ledger.", wrong
    others: tuple[tuple[dict[str, Any], str], ...] = (
        ({"gift": "g" * 26}, "another gift"),
        ({"chain": "demo-other"}, "another gift"),
        ({"charity": "d" * 26}, "not one of the charity's"),
    )
    for wrong, words in others:
        assert words in receipts.check(changed(papers.receipt, STRANGER, **wrong), papers.proof, papers.trust).reason
    late: dict[str, Any] = {"height": receipts.read(papers.certificate).donation.height + 1}
    assert "own height" in receipts.check(changed(papers.certificate, STRANGER, **late), papers.proof).reason


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "no receipt"),
        (b"{}", "no receipt"),
        (b" " * (1 << 18) + b" ", "256 KiB"),
    ],
)
def test_hostile_files_are_refused(file: bytes, words: str, papers: Papers) -> None:
    with pytest.raises(NotGood, match=words):
        receipts.read(file)
    assert receipts.check(file, papers.proof, papers.trust).status == "invalid"


def test_other_forms_are_refused(papers: Papers) -> None:
    for file, words in (
        (changed(papers.receipt, STRANGER, media="application/json"), "something else"),
        (changed(papers.receipt, amount=1), "signature"),
        (changed(papers.receipt, STRANGER, more=1), "no receipt"),
        (papers.receipt.replace(b"z6Mk", b"z6Mk"[::-1]), "no receipt"),
        (papers.receipt + b"\n", "no receipt"),
    ):
        verdict = receipts.check(file, papers.proof, papers.trust)
        assert verdict.status == "invalid"
        assert words in verdict.reason, file
    record = codec.encode({"format": "metrobloc-proof/1"})
    assert receipts.check(papers.receipt, record, papers.trust).status == "invalid"
    assert "another receipt" in receipts.check(papers.receipt, papers.proof, papers.trust, "metrobloc").reason


def test_the_page_is_text_for_eyes_and_ears(papers: Papers) -> None:
    document = pypdf.PdfReader(io.BytesIO(papers.pdf))
    text = " ".join("".join(page.extract_text() for page in document.pages).split())
    for words in (
        "Certificate of a donation",
        "200.00 CNY, for medicine only",
        "65.00 CNY paid for medicine to Children",
    ):
        assert words in text
    root: Any = document.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert "pdfuaid" in str(root["/Metadata"].get_data())
    assert receipts.read(papers.certificate).mark.rpartition(" ")[2] in text.replace(" ", "")


def test_the_code_leads_to_the_receipt(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, compile_ = receipts.read(papers.certificate), typst.compile
    pages: list[bytes] = []

    def drawn(template: Path, **options: Any) -> bytes:  # noqa: ANN401
        page = compile_(template, format="png", ppi=150.0, sys_inputs=options["sys_inputs"])
        assert isinstance(page, bytes)
        pages.append(page)
        return page

    monkeypatch.setattr(typst, "compile", drawn)
    printed.pdf(opened)
    [code] = zxingcpp.read_barcodes(Image.open(io.BytesIO(pages[0])))
    assert code.text == opened.mark
    assert code.format == zxingcpp.BarcodeFormat.QRCode
    assert receipts.check(papers.certificate, papers.proof, papers.trust, code.text).status == "valid"


def test_text_is_never_markup_and_lacking_letters_are_said(papers: Papers) -> None:
    opened = receipts.read(changed(papers.receipt, STRANGER, title='#panic("x") $a_1$ *b* @c <d> \\'))
    text = pypdf.PdfReader(io.BytesIO(printed.pdf(opened))).pages[0].extract_text()
    assert '#panic("x") $a_1$ *b* @c <d> \\' in text
    with pytest.raises(printed.NotPrinted, match="font"):
        printed.pdf(receipts.read(changed(papers.receipt, STRANGER, title="\U00013000")))  # an Egyptian hieroglyph


def test_the_commands(papers: Papers, city: Path, home: Path, tmp_path: Path) -> None:
    for name in ("receipt", "proof", "trust"):
        (tmp_path / name).write_bytes(getattr(papers, name))
    mark = receipts.read(papers.receipt).mark
    files = [tmp_path / "receipt", "--proof", tmp_path / "proof"]
    said = say(home, "charity check --json", *files, "--trust", tmp_path / "trust", "--code", mark)
    assert (said.code, said.json()["status"]) == (0, "valid")
    assert say(home, "charity check", *files).code == 3
    assert say(home, "charity check", *files, "--trust", tmp_path / "proof").code == 2
    assert say(home, "charity check", *files, "--trust", tmp_path / "trust", "--code", "x").code == 1
    out = ["--data", city, "--out", tmp_path / "other"]
    told = done(home, f"charity receipt {papers.gift} --json --as charity --data", city, "--out", tmp_path / "r").json()
    assert told["code"] == receipts.read((tmp_path / "r").read_bytes()).mark
    failed(home, 2, "Only the charity", f"charity receipt {papers.gift} --as company", *out)
    failed(home, 3, "no such gift", "charity receipt nobody --as charity", *out)
    failed(home, 2, "already", f"charity receipt {papers.gift} --as charity --data", city, "--out", tmp_path / "trust")


def test_a_surplus_has_no_receipt(city: Path, home: Path, tmp_path: Path) -> None:
    rows = done(home, "show charity/gifts --json --data", city).json()["items"]
    moved = next(row["key"] for row in rows if row["value"].get("moved_from"))
    failed(
        home, 3, "another case's surplus", f"charity receipt {moved} --as charity --data", city, "--out", tmp_path / "x"
    )


def test_exports_by_command(city: Path, home: Path, tmp_path: Path) -> None:
    said = done(home, "charity export --format iati --json --data", city, "--out", tmp_path / "iati").json()
    assert (said["campaigns"], said["totals"]) == (2, {"CNY": {"awarded": 58_500, "paid": 31_500}})
    text = done(
        home, "charity export --format 360giving --data", city, "--out", tmp_path / "json", "--country", "CN"
    ).out
    assert "CNY, in the smallest unit: 58500 received and kept, 31500 paid out." in text
    out = ["--data", city, "--out", tmp_path / "no"]
    failed(home, 2, "An identifier", "charity export --format iati --publisher a/b", *out)
    failed(home, 2, "capital letters", "charity export --format iati --country cn", *out)
    failed(home, 2, "capital letters", "charity export --format iati --currency CN", *out)
    failed(home, 2, "already", "charity export --format iati --data", city, "--out", tmp_path / "json")
