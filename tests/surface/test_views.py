"""The path of a gift, seen: the same answer from mirror, folder and node, a picture that needs no eyes, a proof."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lxml import etree

from metrobloc import app, verify
from metrobloc.city.charity.rules import campaigns, claims, gifts, path, spans
from metrobloc.city.charity.views import VIEWS, picture
from metrobloc.commons.views import NotShown
from metrobloc.engine.solo import Solo, genesis_of
from metrobloc.kernel.context import View
from metrobloc.kernel.tables import Table
from metrobloc.mirror import follow
from metrobloc.mirror.read import Mirror
from metrobloc.surface import showing
from metrobloc.surface.ledger import LedgerRows, opened, view_of
from tests.surface.city import Node, copied, done, failed

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def seen(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, View, Mirror]]:
    """Run a node over the story, with its mirror, and open the same city's folder."""
    city = copied(template, tmp_path_factory.mktemp("seen") / "city")
    own = Solo.open(copied(template, city.with_name("own")), app.modules())
    genesis = genesis_of(own.store)
    schema = follow.schema_of(genesis, app.modules())
    follow.rebuild(city / "mirror.sqlite", schema, genesis, follow.from_store(own.store), lambda _: None)
    mirror = Mirror(city / "mirror.sqlite", schema)
    with Node(city, "--mirror") as node:
        yield node, View(own.store), mirror
        assert node.end() == 0
    mirror.close()
    own.close()


def test_mirror_node_and_folder_give_the_same_records(seen: tuple[Node, View, Mirror]) -> None:
    node, own, mirror = seen
    with mirror.rows() as (rows, height), opened(None, node.url, app.modules()) as ledger:
        assert height == node.told["height"]
        views = [View(rows), View(LedgerRows(ledger))]
        tables: tuple[Table[Any, Any], ...] = (gifts, campaigns, claims, spans)
        for table in tables:
            wanted = list(own[table].items())
            assert wanted
            for view in views:
                assert list(view[table].items()) == wanted
                assert [view.reader.get(f"{table.prefix}{key}".encode()) for key, _ in wanted] == [
                    own.reader.get(f"{table.prefix}{key}".encode()) for key, _ in wanted
                ]
        for view in views:
            assert view[gifts].get("none") is None
            for under in {key[:30] for key, _ in own[spans].items()} | {key[:-1] for key, _ in own[spans].items()}:
                for after in ("", under, f"{under}/0"):
                    assert [*view[spans].items(under, after)] == [*own[spans].items(under, after)], (under, after)
            assert [path(view, gift) for gift, _ in own[gifts].items()] == [
                path(own, gift) for gift, _ in own[gifts].items()
            ]
        for reader in (rows, LedgerRows(ledger)):
            with pytest.raises(NotImplementedError):
                reader.scan_index(b"", None, 1)
        assert rows.get(b"no/such/table") is None
        assert rows.scan(b"no/such/", None, 5) == []


def test_a_picture_says_in_words_what_it_shows(seen: tuple[Node, View, Mirror]) -> None:
    node, own, _ = seen
    for gift, found in own[gifts].items():
        answer = node.http.get(f"/v1/views/charity/path/{gift}.svg")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "image/svg+xml")
        assert answer.headers["metrobloc-height"] == str(node.told["height"])
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.text == picture(own, gift)
        root = etree.fromstring(answer.content)
        title, text = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert root.attrib["role"] == "img"
        assert title is not None
        assert text is not None
        assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], text.attrib["id"]]
        amount = f"{found.amount // 100}.{found.amount % 100:02d} cny"
        assert amount in (title.text or "")
        parts = re.findall(r"([\d.]+) cny (?:paid|taken|not)", text.text or "")
        assert sum(int(part.replace(".", "")) for part in parts) == found.amount
        assert not {element.tag for element in root.iter()} & {f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject"}
        assert "href" not in answer.text
        assert "url(" not in answer.text


def test_a_picture_shows_marks_as_they_are(seen: tuple[Node, View, Mirror]) -> None:
    _, own, _ = seen
    gift, found = next(own[gifts].items())

    class Titled:
        """The city's rows, but with a hostile title."""

        def get(self, key: bytes) -> bytes | None:
            raw = own.reader.get(key)
            if key.decode() == campaigns.path(found.campaign) and raw is not None:
                titled = campaigns.decoder.decode(raw).but(title='</title><script>&"]]>' + "很" * 150)
                return msgspec.json.encode(titled)
            return raw

        scan, scan_index = own.reader.scan, own.reader.scan_index

    root = etree.fromstring(picture(View(Titled()), gift).encode())
    assert "“</title><script>" in (root.findtext(f"{SVG}desc") or "")
    assert all(len(element.text or "") < 80 for element in root.iter(f"{SVG}text"))


def test_many_fates_fit_into_one_picture(seen: tuple[Node, View, Mirror], monkeypatch: pytest.MonkeyPatch) -> None:
    _, own, _ = seen
    gift, _ = next((gift, found) for gift, found in own[gifts].items() if len(path(own, gift)) > 1)
    monkeypatch.setattr("metrobloc.city.charity.views.ROWS_MAX", 1)
    assert "in 1 more ways, see the list" in picture(own, gift)


@pytest.mark.parametrize(
    "where",
    ["charity/path/none.svg", "charity/path/none", "charity/path/%C3%A9.svg", "charity/no/x.svg", "no/path/x.svg"],
)
def test_what_is_not_there_is_not_shown(where: str, seen: tuple[Node, View, Mirror], node: Node) -> None:
    answer = seen[0].http.get(f"/v1/views/{where}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    proof = seen[0].http.get(f"/v1/proofs/views/{where.removesuffix('.svg')}")
    assert (proof.status_code, proof.json()["code"]) == (404, "not_found")
    unmirrored = node.http.get("/v1/views/charity/path/none.svg")
    assert (unmirrored.status_code, unmirrored.json()["code"]) == (503, "no_mirror")


def test_door_and_command_prove_a_path(seen: tuple[Node, View, Mirror], home: Path, tmp_path: Path) -> None:
    node, own, _ = seen
    trust = node.http.get("/v1/trust").content
    for number, (gift, _) in enumerate(own[gifts].items()):
        answer = node.http.get(f"/v1/proofs/views/charity/path/{gift}")
        verdict = verify.check(answer.content, trust)
        assert verdict.status == "valid"
        proof, svg = tmp_path / f"{number}.proof", tmp_path / f"{number}.svg"
        said = done(home, f"charity path {gift} --json --node {node.url} --proof", proof, "--svg", svg).json()
        assert said["value"] == path(own, gift)
        found = verify.check(proof.read_bytes(), trust)
        assert found.facts["shown"] == verdict.facts["shown"]
        assert svg.read_text() == picture(own, gift)


def test_the_command_on_a_folder(city: Path, home: Path, tmp_path: Path) -> None:
    done(home, "trust --data", city, "--out", tmp_path / "trust")
    rows = done(home, "show charity/gifts --json --data", city).json()["items"]
    gift = rows[0]["key"]
    done(home, f"charity path --gift {gift} --data", city, "--proof", tmp_path / "proof")
    said = done(home, "verify", tmp_path / "proof", "--trust", tmp_path / "trust")
    assert "VALID" in said.out
    assert f"gift {gift} to campaign" in said.out
    failed(home, 2, "already", f"charity path {gift} --data", city, "--proof", tmp_path / "proof")
    failed(home, 2, "Name one gift", "charity path --data", city)
    failed(home, 2, "Name one gift", f"charity path {gift} --gift {gift} --data", city)
    failed(home, 3, "no such gift", "charity path nobody --data", city, "--svg", tmp_path / "svg")
    assert not (tmp_path / "svg").exists()


def test_a_gift_in_too_many_pieces_is_not_proved_at_once(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metrobloc.city.charity.tools.paths.PIECES_MAX", 1)
    with opened(city, "", app.modules()) as ledger:
        view = view_of(ledger)
        many = [gift for gift, _ in view[gifts].items() if len(path(view, gift)) > 2]
        assert many
        for gift in many:
            with pytest.raises(NotShown, match="pieces"):
                VIEWS["path"].keys(view, gift)


def test_a_path_that_changes_while_it_is_proved_is_asked_for_again(city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, kept = VIEWS["path"], verify.check
    verdicts = iter([kept(b"", None), kept(b"", None)])
    monkeypatch.setattr(verify, "check", lambda file: next(verdicts, None) or kept(file))
    with opened(city, "", app.modules()) as ledger:
        gift = ledger.table("charity/gifts/", "", 1)["items"][0]["key"]
        assert kept(showing.prove(ledger, shown, gift)).status == "untrusted"
        monkeypatch.setattr(verify, "check", lambda _: kept(b"", None))
        with pytest.raises(NotShown, match="could not be proved"):
            showing.prove(ledger, shown, gift)
