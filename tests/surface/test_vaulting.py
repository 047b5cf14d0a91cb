"""Private documents from the command line: what is printed, how commands end, and that nothing of them lies about."""

import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import click
import httpx
import pytest

from metrobloc import app
from metrobloc.surface import vaulting
from metrobloc.surface.cli import Setting
from tests.planted import found_at, found_in, found_under
from tests.surface.city import MAIN, Said, done, failed, say

NAME = "Erika Quisquilia-Öztürk, 12 August 1964"
FILE_NAME = "Befund-Quisquilia-Öztürk.txt"
PLANTED = (NAME, FILE_NAME, "Quisquilia")


@pytest.fixture
def town(city: Path, home: Path) -> str:
    """Return the options for a folder on which the custodian has a store, and Ann and Bo have keys."""
    where = f"--data {city}"
    for name in ("ann", "bo"):
        done(home, f"key new {name}")
        done(home, f"identity register --key {name} --as bank {where}")
        done(home, f"key box {name} {where}")
    done(home, f"vault offer-store --url local:custodian --as custodian {where}")
    return where


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """Return a file that nobody else may read."""
    path = tmp_path / FILE_NAME
    path.write_text(NAME)
    return path


def put(home: Path, letter: Path, where: str, more: str = "") -> str:
    """Put the letter into the vault as Ann's, for Bo; return its id."""
    words = f"vault put --custodian custodian --to bo --purpose care --as ann --json {where} {more}"
    return str(done(home, words, letter).json()["entry"])


def test_a_letter_goes_round(home: Path, town: str, letter: Path, tmp_path: Path) -> None:
    said = done(home, f"vault put --custodian custodian --to bo --purpose care --as ann {town}", letter)
    entry = said.out.partition("as entry ")[2][:26]
    assert done(home, f"vault get {entry} --as bo {town}").out == NAME
    out = tmp_path / "out.txt"
    told = done(home, f"vault get {entry} --as bo --purpose research --json --out", out, *town.split()).json()
    assert (told["name"], out.read_text()) == (FILE_NAME, NAME)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    failed(home, 2, "already", f"vault get {entry} --as bo --out", out, *town.split())
    failed(home, 2, "--out", f"vault get {entry} --as bo --json {town}")
    opened = done(home, f"vault openings-of --entry {entry} --json {town}").json()["value"]
    assert [(one["purpose"], one["as_granted"]) for one in opened] == [("care", True), ("research", False)]
    assert "all as recorded" in done(home, f"vault check --as bo {town}").out
    assert "1 acknowledged" in done(home, f"vault tidy --as custodian {town}").out
    done(home, f"vault unshare {entry} --from bo --as ann {town}")
    failed(home, 1, "not_reader", f"vault get {entry} --as bo {town}")
    done(home, f"vault share {entry} --to bo --purpose care --until +1d --as ann {town}")
    assert done(home, f"vault get {entry} --as bo {town}").out == NAME
    done(home, f"vault forget {entry} --as ann {town}")
    failed(home, 1, "erased", f"vault get {entry} --as bo {town}")
    assert done(home, f"vault tidy --as custodian --json {town}").json()["destroyed"] == [entry]
    assert not list((home / "vault" / "custodian").iterdir())


def test_what_is_kept_until_a_day_and_about_somebody_is_recorded_so(home: Path, town: str, letter: Path) -> None:
    entry = put(home, letter, town, "--keep-until +30d --about bo --until +7d")
    record = done(home, f"show vault/entries {entry} --json {town}").json()["items"][0]["value"]
    assert 29 < (record["keep_until_ms"] - record["created_ms"]) / 86_400_000 < 31
    may = done(home, f"vault who-may-read --entry {entry} --json {town}").json()["value"]
    assert sorted(bool(one.get("until_ms")) for one in may.values()) == [False, True]


def test_failures_end_with_a_code_and_a_sentence(home: Path, town: str, letter: Path) -> None:
    entry = put(home, letter, town)
    failed(home, 3, "no such entry", f"vault get {'a' * 26} --as bo {town}")
    failed(home, 2, "takes no documents", f"vault put --custodian bank --as ann {town}", letter)
    failed(home, 2, "key box", f"vault put --custodian custodian --to bank --purpose care --as ann {town}", letter)
    failed(home, 2, "--purpose", f"vault put --custodian custodian --to bo --as ann {town}", letter)
    failed(home, 1, "Only the owner", f"vault share {entry} --to ann --purpose x --as bo {town}")
    failed(home, 1, "vault.readers_unknown", f"vault unshare {entry} --from bank --as ann {town}")
    failed(home, 3, "out_of_bounds", f"vault share {entry} --to bo --purpose Bad --as ann {town}")
    told = say(home, f"vault get {'a' * 26} --as bo --json --out x {town}")
    assert (told.code, told.json()["status"], told.json()["code"]) == (3, "fault", "unknown")
    told = say(home, f"vault unshare {entry} --from bank --as ann --json {town}")
    assert (told.code, told.json()["status"], told.json()["code"]) == (1, "committed", "vault.readers_unknown")
    told = say(home, f"vault share {entry} --to bo --purpose Bad --as ann --json {town}")
    assert (told.code, told.json()["status"], told.json()["code"]) == (3, "malformed", "out_of_bounds")


def test_a_lost_file_is_told_by_the_exit_code(home: Path, town: str, letter: Path) -> None:
    entry = put(home, letter, town)
    shutil.rmtree(home / "vault" / "custodian")
    for words in (f"vault check --as custodian {town}", f"vault check {entry} --as ann {town}"):
        said = say(home, words)
        assert (said.code, said.err.count("(missing)")) == (1, 3)
        assert "3 not as recorded" in said.out
    failed(home, 3, "report-missing", f"vault get {entry} --as bo {town}")
    done(home, f"vault report-missing --entry {entry} --as bo {town}")
    said = say(home, f"vault tidy --as custodian --json {town}")
    assert (said.code, said.json()["findings"][0]["code"]) == (1, "missing")
    done(home, f"vault answer --entry {entry} --as custodian {town}")
    assert done(home, f"show vault/entries {entry} --json {town}").json()["items"][0]["value"]["lost_ms"]


def test_a_store_elsewhere_is_used_only_when_allowed(home: Path, town: str, letter: Path, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/elsewhere"
    done(home, f"vault offer-store --url {url} --as custodian {town}")
    words = f"vault put --custodian custodian --to bo --purpose care --as ann {town}"
    failed(home, 2, "vault allow", words, letter)
    assert not (tmp_path / "elsewhere").exists()
    declined = say(home, f"vault allow custodian --as ann {town}")
    assert (declined.code, url in declined.err) in {(3, True), (1, True)}
    assert done(home, f"vault allow custodian --yes --as ann --json {town}").json()["url"] == url
    assert stat.S_IMODE((home / "stores.json").stat().st_mode) == 0o600
    entry = put(home, letter, town)
    assert (tmp_path / "elsewhere" / entry).is_dir()
    assert done(home, f"vault get {entry} --as bo {town}").out == NAME
    done(home, f"vault offer-store --url file:///etc --as custodian {town}")
    failed(home, 2, "file:///etc", f"vault get {entry} --as bo {town}")
    assert done(home, f"vault get {entry} --as bo --store {url} {town}").out == NAME
    failed(home, 2, "no address", f"vault get {entry} --as bo --store ftp://x {town}")
    failed(home, 2, "takes no documents", f"vault allow bank --yes --as ann {town}")
    (home / "stores.json").write_text("[")
    failed(home, 4, "allow anew", f"vault get {entry} --as bo {town}")


def test_private_keys_are_kept_beside_the_others(home: Path, town: str, letter: Path) -> None:
    entry = put(home, letter, town)
    done(home, f"key box bo {town}")
    assert sorted(path.name for path in (home / "keys").iterdir()) == [
        "ann.box",
        "ann.key",
        "bo.2.box",
        "bo.box",
        "bo.key",
    ]
    for path in (home / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [json.loads(line)["name"] for line in done(home, "key list --json").out.splitlines()] == ["ann", "bo"]
    assert done(home, f"vault get {entry} --as bo {town}").out == NAME  # sealed for the older one
    done(home, f"vault share {entry} --to bo --purpose care --as ann {town}")
    (home / "keys" / "bo.box").unlink()
    assert done(home, f"vault get {entry} --as bo {town}").out == NAME  # sealed anew
    (home / "keys" / "bo.2.box").unlink()
    failed(home, 1, "wrong_recipient", f"vault get {entry} --as bo {town}")
    (home / "keys" / "bo.box").write_text("zz")
    failed(home, 4, "open to others", f"vault get {entry} --as bo {town}")
    (home / "keys" / "bo.box").chmod(0o600)
    failed(home, 4, "damaged", f"vault get {entry} --as bo {town}")


def test_with_trust_only_proofs_count(home: Path, node: object, letter: Path, tmp_path: Path) -> None:
    where = f"--node {node.url}"  # type: ignore[attr-defined]
    trust = tmp_path / "city.trust"
    done(home, f"trust --out {trust} {where}")
    for name in ("ann", "bo"):
        done(home, f"key new {name}")
        done(home, f"identity register --key {name} --as bank {where}")
        done(home, f"key box {name} {where}")
    done(home, f"vault offer-store --url local:custodian --as custodian {where}")
    entry = put(home, letter, f"{where} --trust {trust}")
    assert done(home, f"vault get {entry} --as bo --trust {trust} {where}").out == NAME
    other = json.loads(trust.read_text())
    other["chain"] = "demo-city-0000000000000000"
    trust.write_text(json.dumps(other, separators=(",", ":"), sort_keys=True))
    failed(home, 1, "you trust", f"vault get {entry} --as bo --trust {trust} {where}")
    failed(home, 2, "--trust or --data", f"vault get {entry} --as bo --trust {trust} --data x {where}")


def test_a_command_and_an_action_never_share_a_name() -> None:
    group, root = click.Group("vault"), click.Group()
    group.add_command(click.Command("put"))
    with pytest.raises(TypeError, match="vault put"):
        vaulting.add(group, root, Setting(app.modules))


def test_after_the_stories_and_a_letter_nothing_private_lies_about(home: Path, letter: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [*MAIN, "up", "--json", "--port", "0", "--data", str(data)]
    # A node on a new folder plays all stories first.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "METROBLOC_HOME": str(home)})
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        where, said = f"--node {url}", []
        for name in ("ann", "bo"):
            done(home, f"key new {name}")
            said += [done(home, f"identity register --key {name} --as bank {where}")]
            said += [done(home, f"key box {name} {where}")]
        entry = put(home, letter, f"{where} --about bo")
        assert done(home, f"vault get {entry} --as bo {where}").out == NAME
        said += [done(home, f"vault {words} {where}") for words in _all_else(entry)]
        height = said[-1].json()["height"]
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            assert http.get(f"/v1/mirror/events?min_height={height}").status_code == 200
            assert entry in http.get("/v1/mirror/vault/entries?limit=500").text
        _only(entry, found_at(url, [*PLANTED, entry]), "/v1/mirror/vault/entries")
        done(home, f"export blocks {tmp_path}/blocks.jsonl {where}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
    _nothing_in(said)
    assert list(found_in((tmp_path / "blocks.jsonl").read_bytes(), PLANTED)) == []
    _only(entry, found_under(data, [*PLANTED, entry]), "store/rocks (a row)", "mirror.sqlite (a row)")
    for folder in ("vault", "keys"):
        assert (home / folder).is_dir()
        assert found_under(home / folder, PLANTED) == []


def _only(entry: str, found: list[str], *places: str) -> None:
    """Assert that nothing was found but the entry's own id, and that in these places at least."""
    assert [line for line in found if repr(entry) not in line and repr(entry.upper()) not in line] == []
    for place in places:
        assert [line for line in found if place in line], place


def _all_else(entry: str) -> list[str]:
    """Return what else is done with a letter: all that writes to the ledger or prints something."""
    return [
        f"share {entry} --to bo --purpose again --as ann",
        "check --as ann --json",
        "check --as custodian",
        "tidy --as custodian",
        f"who-may-read --entry {entry}",
        f"unshare {entry} --from bo --as ann",
        f"report-missing --entry {entry} --as ann",
        "tidy --as custodian --json",
        f"openings-of --entry {entry} --json",
    ]


def _nothing_in(said: list[Said]) -> None:
    for one in said:
        assert list(found_in((one.out + one.err).encode(), PLANTED)) == []
