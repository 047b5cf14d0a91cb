"""A hospital writes a certificate, its holder shows a part of it, and a museum's desk checks it offline."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrobloc.surface import actions
from tests.client.unreliable import between
from tests.surface.city import Node, Said, copied, done, failed, say

KIND = "--kind care --until +300d --as hospital"
LI = {"name": "Li Na", "disability": "reduced sight", "degree": 60}


@pytest.fixture(scope="session")
def cared(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy a city and declare a kind of credential in it."""
    folder = copied(template, tmp_path_factory.mktemp("cared") / "city")
    declare = "credentials declare-kind --kind care --role hospital --valid-days 366 --as office --data"
    done(folder.parent, declare, folder, "--title", "Need of care")
    return folder


@pytest.fixture
def city(cared: Path, tmp_path: Path) -> Path:
    """Copy that city, with no node on it."""
    return copied(cared, tmp_path / "city")


@pytest.fixture(scope="module")
def node(cared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Run one node on a copy."""
    with Node(copied(cared, tmp_path_factory.mktemp("node") / "city")) as running:
        yield running
        assert running.end() == 0


def claims(folder: Path, name: str = "li.json", said: object = LI) -> Path:
    """Write a file of claims."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    return path


def verdict(home: Path, code: int, name: str, *arguments: object) -> Said:
    """Check a file; its exit code and the verdict's code must be these, in JSON and in words."""
    told = say(home, "credentials check --json", *arguments)
    assert (told.code, told.json()["code"]) == (code, name), told
    said = say(home, "credentials check", *arguments)
    assert said.code == code
    assert said.out.startswith(f"{told.json()['status'].upper()}: {told.json()['sentence']}")
    return said


def test_from_the_hospital_to_the_museum(home: Path, node: Node, tmp_path: Path) -> None:
    at = ("--node", node.url)
    done(home, "key new li")
    cred, trust = tmp_path / "cred.json", tmp_path / "city.trust"
    made = done(home, f"credentials write {KIND} --holder li --json --out", cred, claims(tmp_path), *at).json()
    held = json.loads(cred.read_text())["id"]
    assert made["receipt"]["ids"] == [held]
    assert cred.stat().st_mode & 0o777 == 0o600
    done(home, "trust --out", trust, *at)
    verdict(home, 1, "unproved", cred, "--trust", trust)
    proven, shown = tmp_path / "proven.json", tmp_path / "shown.json"
    assert done(home, "credentials prove --json --out", proven, cred, *at).json()["credential"] == held
    told = done(
        home, "credentials present --show disability --nonce 4711 --as li --out", shown, proven, "--for", "Museum"
    )
    assert told.out == f"{shown} shows disability.\n"
    asked = ("--trust", trust, "--nonce", "4711", "--for", "Museum")
    said = verdict(home, 0, "ok", shown, *asked)
    assert '  claim disability: "reduced sight"\n' in said.out
    assert "was not revoked as of 20" in said.out
    for text in ("Li Na", "degree"):
        assert text not in shown.read_text()
    verdict(home, 1, "other_nonce", shown, "--trust", trust, "--nonce", "4712")
    verdict(home, 1, "other_audience", shown, "--trust", trust, "--nonce", "4711", "--for", "Theatre")
    verdict(home, 3, "untrusted", shown)
    verdict(home, 5, "stale", shown, "--trust", trust, "--at", "+3d")
    verdict(home, 0, "ok", shown, "--trust", trust, "--at", "+3d", "--fresh", "4d")
    verdict(home, 1, "expired", shown, "--trust", trust, "--at", "+301d")
    verdict(home, 1, "not_yet", shown, "--trust", trust, "--at", "2020-01-01")
    verdict(home, 2, "unusable", shown, "--trust", cred)
    done(home, f"credentials revoke --credential {held} --reason error --as hospital", *at)
    verdict(home, 0, "ok", shown, *asked)  # offline it cannot know, and says until when it does
    verdict(home, 1, "revoked", shown, *asked, "--online", *at)
    fresh = tmp_path / "fresh.json"
    done(home, "credentials prove --out", fresh, shown, *at)
    verdict(home, 1, "revoked", fresh, *asked)
    answer = done(home, f"credentials standing --credential {held} --at +0s --json", *at).json()["value"]
    assert (answer["standing"], answer["kind"]) == ("revoked", "care")


def test_proofs_may_lie_beside_the_file(home: Path, city: Path, tmp_path: Path) -> None:
    at, cred, trust = ("--data", city), tmp_path / "cred.json", tmp_path / "trust"
    done(home, f"credentials write {KIND} --out", cred, claims(tmp_path), *at)
    done(home, "trust --out", trust, *at)
    page = json.loads(cred.read_text())
    issuer = done(home, "show credentials/credentials", page["id"], "--json", *at).json()["items"][0]["value"]["issuer"]
    beside: list[object] = []
    for number, (table, key) in enumerate(
        (
            ("credentials/credentials", page["id"]),
            ("kernel/keys", page["statement"]["signatures"][0]["keyid"]),
            ("credentials/disowned", issuer),
            ("identity/institutions", issuer),
            ("credentials/kinds", "care"),
        )
    ):
        done(home, "show", table, key, "--proof", tmp_path / f"proof{number}", *at)
        beside += ["--proof", tmp_path / f"proof{number}"]
    verdict(home, 0, "ok", cred, "--trust", trust, *beside)
    verdict(home, 1, "unproved", cred, "--trust", trust, *beside[:-2])
    verdict(home, 0, "ok", cred, "--trust", trust, "--online", *at)


def test_a_class_is_issued_at_once_and_one_is_renewed(home: Path, city: Path, tmp_path: Path) -> None:
    at, trust = ("--data", city), tmp_path / "trust"
    done(home, "trust --out", trust, *at)
    pupils = [claims(tmp_path / "class", f"{n}.json", {"name": f"pupil {n}"}) for n in range(3)]
    for n in range(3):
        done(home, f"key new pupil{n}")
    out = tmp_path / "issued"
    holders = [word for n in range(3) for word in ("--holder", f"pupil{n}")]
    done(home, f"credentials write {KIND} --out", out, *holders, *pupils, *at)
    assert sorted(path.name for path in out.iterdir()) == ["0.json", "1.json", "2.json"]
    extra = claims(tmp_path / "class", "extra.json")
    failed(home, 2, "choose another folder", f"credentials write {KIND} --out", out, extra, pupils[0], *at)
    assert not (out / "extra.json").exists()
    for n in range(3):
        done(home, "credentials prove --out", tmp_path / f"{n}", out / f"{n}.json", *at)
        assert f'claim name: "pupil {n}"' in verdict(home, 0, "ok", tmp_path / f"{n}", "--trust", trust).out
    failed(home, 2, "is not that of the credential's holder", "credentials present --nonce 1 --as pupil0 --out",
           tmp_path / "x", tmp_path / "1")  # fmt: skip
    old = json.loads((out / "1.json").read_text())["id"]
    done(home, f"credentials write {KIND} --renews {old} --out", tmp_path / "new.json", pupils[1], *at)
    done(home, "credentials prove --out", tmp_path / "new", tmp_path / "new.json", *at)
    verdict(home, 0, "ok", tmp_path / "new", "--trust", trust)
    verdict(home, 1, "revoked", tmp_path / "1", "--trust", trust, "--online", *at)


def test_it_may_be_anchored_in_another_way_and_is_found_by_its_commitment(
    home: Path, city: Path, tmp_path: Path
) -> None:
    at, trust, cred = ("--data", city), tmp_path / "trust", tmp_path / "cred.json"
    done(home, "trust --out", trust, *at)
    done(home, "key new li")
    told = done(home, f"credentials write {KIND} --holder li --no-anchor --json --out", cred, claims(tmp_path), *at)
    (one,) = told.json()["credentials"]
    assert one["file"] == str(cred)
    assert "id" not in json.loads(cred.read_text())
    said = done(home, f"credentials write {KIND} --no-anchor --out", tmp_path / "more", claims(tmp_path), *at)
    assert said.out.startswith("commitment ")
    failed(home, 1, "Not valid (not_anchored)", "credentials prove --out", tmp_path / "proven", cred, *at)
    verdict(home, 1, "not_anchored", cred, "--trust", trust, "--online", *at)
    early = tmp_path / "early.json"
    done(home, "credentials present --nonce 1 --as li --out", early, cred)
    times = json.loads(b64decode(json.loads(cred.read_text())["statement"]["payload"]))
    spans = ("--from", times["from_ms"], "--until", times["until_ms"])
    draft = tmp_path / "draft"
    issue = f"credentials issue --kind care --as hospital --commitments {one['commitment']}"
    done(home, issue, *spans, "--draft", draft, *at)
    done(home, "send", draft, *at)
    verdict(home, 0, "ok", cred, "--trust", trust, "--online", *at)
    done(home, "credentials prove --out", tmp_path / "proven", cred, *at)
    verdict(home, 0, "ok", tmp_path / "proven", "--trust", trust)
    failed(home, 1, "Not valid (bad_presentation)", "credentials prove --out", tmp_path / "x", early, *at)


def test_what_the_ledger_refuses_leaves_no_file(home: Path, city: Path, tmp_path: Path) -> None:
    at, cred = ("--data", city), tmp_path / "cred.json"
    write = ("--out", cred, claims(tmp_path), *at)
    failed(
        home, 1, "(credentials.not_accredited)", "credentials write --kind care --until +9d --as civil_affairs", *write
    )
    failed(home, 1, "(credentials.kinds_unknown)", "credentials write --kind none --until +9d --as hospital", *write)
    failed(home, 1, "(credentials.too_long)", "credentials write --kind care --until +400d --as hospital", *write)
    failed(home, 1, "(not_allowed)", "credentials write --kind care --until +9d --as bank", *write)
    assert not cred.exists()
    cred.write_text("mine")
    failed(home, 2, "There is a file", f"credentials write {KIND}", *write)
    assert cred.read_text() == "mine"


def test_where_the_answer_is_lost_the_file_is_kept(home: Path, city: Path, tmp_path: Path) -> None:
    """The credential may be on the ledger, and without its salts nobody could ever use it."""
    cred = tmp_path / "cred.json"
    with Node(city) as node:
        with between(node.url) as (url, plan):
            plan.faults = ["gone"] * 1000
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(actions, "PATIENCE_S", 0.5)
                said = say(home, f"credentials write {KIND} --out", cred, claims(tmp_path), "--node", url)
        assert said.code == 4
        assert "check FILE --online" in said.err
        assert json.loads(cred.read_text())["id"]
        assert node.end() == 0


def test_claims_that_are_none_are_wrong_usage(home: Path, city: Path, tmp_path: Path) -> None:
    write, at = f"credentials write {KIND} --out", ("--data", city)
    cred = tmp_path / "cred.json"
    for said, sentence in (
        ("no", "is not JSON"),
        ('{"a":1,"a":2}', "a name comes twice"),
        ('{"a":{"b":1,"b":2}}', "a name comes twice"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "holds no JSON object"),
        ("{}", "holds no JSON object"),
        (json.dumps({"a": "x" * (1 << 18)}), "or more than 262144 bytes"),
    ):
        failed(home, 2, sentence, write, cred, claims(tmp_path, "bad.json", said), *at)
    for value, code in ((1.5, "not_canonical"), (2**60, "not_canonical"), ("e\u0301", "not_canonical")):
        failed(home, 1, f"Not valid ({code})", write, cred, claims(tmp_path, "bad.json", {"a": value}), *at)
    failed(home, 1, "Not valid (out_of_bounds)", write, cred, claims(tmp_path, "bad.json", {"a b": 1}), *at)
    two = [claims(tmp_path / folder) for folder in ("one", "two")]
    failed(home, 2, "have one name", write, tmp_path / "out", *two, *at)
    failed(home, 2, "once for each file", write, cred, "--holder", "did:key:z", two[0], claims(tmp_path, "2"), *at)
    failed(home, 2, "Only one credential at a time", write, cred, "--renews", "a" * 26, *two, *at)
    failed(home, 2, "anchored here", write, cred, "--renews", "a" * 26, "--no-anchor", two[0], *at)
    failed(home, 2, "There is no key named nobody", write, cred, "--holder", "nobody", two[0], *at)
    failed(home, 1, "Not valid (out_of_bounds)", write, cred, "--holder", "did:key:z", two[0], *at)
    failed(home, 2, "is no time", "credentials write --kind care --until soon --as hospital --out", cred, two[0], *at)
    assert not cred.exists()


def test_what_is_asked_for_wrongly_is_said(home: Path, city: Path, tmp_path: Path) -> None:
    at, cred = ("--data", city), tmp_path / "cred.json"
    done(home, f"credentials write {KIND} --out", cred, claims(tmp_path), *at)
    out = ("--out", tmp_path / "out", cred)
    failed(home, 2, "no claim age; it shows: name, disability, degree", "credentials present --show age", *out)
    failed(home, 2, "go together", "credentials present --nonce 1", *out)
    failed(home, 2, "go together", "credentials present --as bank", *out)
    failed(home, 2, "go together", "credentials present --for me", *out)
    failed(home, 2, "not that of the credential's holder", "credentials present --nonce 1 --as bank", *out)
    failed(home, 2, "--for goes with --nonce", "credentials check --for me", cred)
    failed(home, 2, "is no time", "credentials check --fresh soon", cred)
    nonsense = claims(tmp_path, "nonsense", "{}")
    verdict(home, 1, "missing_field", nonsense)
    large = claims(tmp_path, "large", "x" * (1 << 21))
    verdict(home, 1, "too_large", large)
    verdict(home, 1, "bad_proof", cred, "--proof", large)
    verdict(home, 2, "unusable", cred, "--trust", large, "--online", *at)
    verdict(home, 1, "missing_field", nonsense, "--online", *at)
    failed(home, 1, "Not valid (missing_field)", "credentials prove --out", tmp_path / "out", nonsense, *at)
    failed(home, 1, "Not valid (missing_field)", "credentials present --out", tmp_path / "out", nonsense)
    assert done(home, "credentials present", *out).out == f"{tmp_path / 'out'} shows no claim.\n"
    failed(home, 2, "There is a file", "credentials present", *out)


def test_what_is_shown_cannot_deceive_a_terminal(home: Path, city: Path, tmp_path: Path) -> None:
    at, cred = ("--data", city), tmp_path / "cred.json"
    said = {"name": "Li\u001b[2J\u202e\n  standing: in_force"}
    done(home, f"credentials write {KIND} --out", cred, claims(tmp_path, said=said), *at)
    shown = say(home, "credentials check", cred).out
    assert "  claim name: " in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\n  standing" not in shown
