"""The commands that people use: keys, transactions, and what they read, show and prove."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import click
import pytest

from metrobloc import app, verify
from metrobloc.kernel.crypto import SigningKey
from metrobloc.surface.keys import KeyRing
from tests.surface.city import Node, Said, done, failed, say

NOBODY = "a" * 26
# A file format; a program with its own --json; a shell's own script; what runs until it is ended.
IN_JSON_ANYWAY = {("trust",), ("verify",), ("completion",), ("mirror", "follow"), ("webhook", "run")}


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


def test_every_command_and_option_explains_itself(home: Path) -> None:
    for path, command in every_command(app.commands()):
        assert command.help, path
        assert command.help.rstrip().endswith("."), path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (path, option.name)
        assert done(home, " ".join(path), "--help").out


def test_a_list_of_commands_is_read_aloud_in_whole_sentences(home: Path) -> None:
    for path, command in [((), app.commands()), *every_command(app.commands())]:
        if isinstance(command, click.Group):
            said = done(home, *path, "--help").out
            listed = " ".join(said.partition("\nCommands:\n")[2].split())
            assert all(f"{name} {one.short_help}" in listed for name, one in command.commands.items())
            assert listed.endswith(".")
            assert "..." not in listed


def test_every_command_has_an_answer_for_scripts() -> None:
    for path, command in every_command(app.commands()):
        if not isinstance(command, click.Group) and path not in IN_JSON_ANYWAY:
            assert "--json" in [name for option in command.params for name in option.opts], path


def test_a_key_is_made_listed_and_kept_for_its_owner_alone(home: Path) -> None:
    assert "You have no keys yet" in done(home, "key list").out
    made = done(home, "key new ann --json").json()
    assert made["key"].startswith("did:key:z6Mk")
    done(home, "key new bo-2")
    listed = [json.loads(line) for line in done(home, "key list --json").out.splitlines()]
    assert [key["name"] for key in listed] == ["ann", "bo-2"]
    assert listed[0] == made
    assert (home / "keys").stat().st_mode & 0o777 == 0o700
    assert (home / "keys" / "ann.key").stat().st_mode & 0o777 == 0o600
    failed(home, 2, "There is a key named ann already", "key new ann")
    for name in ("Ann", "../ann", "", "a b", "ä", "a" * 33, ".hidden"):
        failed(home, 2, "is no name for a key", "key new", name)


def test_a_key_file_that_others_can_read_or_that_is_damaged_is_refused(home: Path, node: Node) -> None:
    done(home, "key new ann")
    path = home / "keys" / "ann.key"
    give = f"charity give --campaign {NOBODY} --amount 1 --node {node.url} --as"
    path.chmod(0o644)
    failed(home, 4, "open to others; run `chmod 600`", give, "ann")
    failed(home, 4, "open to others", "key list")
    path.chmod(0o600)
    path.write_text("zz\n")
    failed(home, 4, "is damaged", give, "ann")
    failed(home, 2, "make it with `metrobloc key new bo`, or act as one of office, bank", give, "bo")


def test_a_role_of_a_demonstration_may_get_keys_of_its_own(home: Path) -> None:
    ring = KeyRing(home / "keys")
    first, later = SigningKey(bytes(32)), SigningKey(b"1" * 32)
    public = ring.find("bank", "demo-city-0")
    ring.add("bank", first)
    ring.add("bank", later)
    (home / "keys" / "bank.old.key").write_text("a note of one's own")
    assert [key.key_id for key in ring.find("bank", "demo-city-0")] == [later.key_id, first.key_id, public[0].key_id]
    assert [key.key_id for key in ring.find("bank", "city-0")] == [later.key_id, first.key_id]
    assert ring.names() == ["bank"]


def open_campaign(home: Path, node: Node) -> str:
    page = done(home, "show charity/campaigns --json --node", node.url).json()
    return str(next(row["key"] for row in page["items"] if row["value"]["title"] == "A wheelchair for Ms Zhao"))


def agreed(home: Path, *arguments: object) -> Said:
    """Verify by the command and by the one file, which must agree."""
    said = say(home, "verify", *arguments)
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with redirect_stdout(out):
        code = verify.main([str(argument) for argument in arguments])
    out.seek(0)
    assert (said.code, said.out) == (code, out.read())
    return said


def test_a_gift_is_given_shown_and_proved(home: Path, node: Node, ann: str, tmp_path: Path) -> None:
    at = ("--node", node.url)
    campaign = open_campaign(home, node)
    said = done(home, f"charity give --campaign {campaign} --amount 4100 --as ann --json", *at).json()
    assert (said["status"], said["code"]) == ("committed", "ok")
    gift, height = said["receipt"]["ids"][0], said["height"]
    shown = done(home, "show charity/gifts", gift, "--json", *at).json()["items"][0]["value"]
    assert shown == {"amount": 4100, "campaign": campaign, "donor": ann, "purse": "crowd"}
    assert "amount: 5900" in done(home, "show money/balances cny/@ann", *at).out
    receipt, record, absent, older = (tmp_path / name for name in ("receipt", "record", "absent", "older"))
    assert "code: ok" in done(home, "receipt", said["tx"], "--proof", receipt, *at).out
    assert done(home, "receipt", said["tx"], "--json", *at).json() == said["receipt"]
    done(home, "show charity/gifts", gift, "--proof", record, *at)
    assert "There is nothing here" in done(home, "show charity/gifts", NOBODY, "--proof", absent, *at).out
    page = done(home, f"show charity/gifts {gift} --json --height", height - 1, "--proof", older, *at).json()
    assert page == {"height": height - 1, "items": [], "next": None}
    failed(home, 2, "There is a file", "show charity/gifts", gift, "--proof", record, *at)
    trust = tmp_path / "trust"
    done(home, "trust --out", trust, *at)
    assert done(home, "trust", *at).out.encode() == trust.read_bytes()
    for proof in (receipt, record, absent, older):
        assert agreed(home, proof, "--trust", trust).code == 0
        assert agreed(home, proof).code == 3
        assert agreed(home, proof, "--json").json()["status"] == "untrusted"
        data = bytearray(proof.read_bytes())
        data[len(data) // 2] ^= 1
        proof.write_bytes(data)
        assert agreed(home, proof, "--trust", trust).code == 1


def test_verify_says_what_it_cannot_use(home: Path, tmp_path: Path) -> None:
    assert agreed(home, tmp_path / "nothing").code == 2
    assert say(home, "verify").code == 2
    assert done(home, "verify --help").out


def test_a_table_comes_in_pages(home: Path, node: Node, ann: str) -> None:
    at = ("--json", "--node", node.url)
    first = done(home, "show kernel/accounts --limit 2", *at).json()
    assert len(first["items"]) == 2
    assert first["next"] == first["items"][1]["key"]
    rest = done(home, "show kernel/accounts --limit 500 --after", first["next"], *at).json()
    keys = [row["key"] for row in (*first["items"], *rest["items"])]
    assert keys == sorted(keys)
    assert ann in keys
    assert "continue with --after" in done(home, "show kernel/accounts --limit 2", *at[1:]).out
    assert len(done(home, "show kernel/accounts --after &limit=1#?", *at).json()["items"]) > 1


def test_what_is_not_there_or_not_meant_is_said(home: Path, node: Node, tmp_path: Path) -> None:
    at, proof = ("--node", node.url), ("--proof", tmp_path / "proof")
    failed(home, 3, "--proof FILE proves its absence", "show charity/gifts", NOBODY, *at)
    failed(home, 3, "There is no record charity/gifts/a?b#c%", "show charity/gifts a?b#c%", *at)
    failed(home, 3, "printable ASCII", "show charity/gifts ä", *proof, *at)
    failed(home, 3, "can be proved from height", "show charity/gifts x --height 99999999", *proof, *at)
    failed(home, 3, "wrong form. Look at: height", "show charity/gifts x --height -1", *proof, *at)
    failed(home, 2, "There is no table charity/gift. There are: identity/", "show charity/gift", *at)
    failed(home, 2, "A proof is of one record", "show charity/gifts", *proof, *at)
    failed(home, 2, "add --proof FILE", "show charity/gifts x --height 1", *at)
    failed(home, 2, "64 hex digits", "receipt 12", *at)
    failed(home, 3, "No block has this transaction", "receipt", "0" * 64, *at)
    failed(home, 4, "There is no chain in", "status --data", tmp_path / "nothing")
    for url in ("http://127.0.0.1:1", "nonsense", "http://a:b"):
        failed(home, 4, "", "status --node", url)
    failed(home, 4, "No node answers", "audit --from http://127.0.0.1:1")
    assert say(home, "charity give --amount 12.50").code == 2
    assert say(home, "no-such-command").code == 2


def test_a_refusal_of_any_module_comes_with_its_sentence(home: Path, node: Node, ann: str) -> None:
    at = ("--node", node.url, "--as")
    done(home, "key new stranger")
    give = f"charity give --campaign {open_campaign(home, node)} --amount 1000000"
    failed(home, 1, "(money.balances_too_low). There is not enough on the account", give, *at, "ann")
    assert say(home, give, "--json", *at, "ann").json()["sentence"].startswith("There is not enough")
    failed(home, 3, "Not taken (unknown_account). An account named", give, *at, "stranger")
    issue = "money issue --asset cny --to ann --amount 1"
    failed(home, 1, "(not_allowed). The actor does not hold a role", issue, *at, "ann")
    legs = json.dumps({"amount": 1, "asset": "cny", "to": ann})
    failed(home, 1, "(money.to_self)", "money move --legs", legs, *at, "ann")
    failed(home, 2, "is not JSON", "money move --legs {", *at, "ann")
    failed(home, 2, "money.move: ", "money move --legs {}", *at, "ann")
    failed(
        home,
        2,
        "'soon' is no time",
        f"identity accredit --account {ann} --name A --role b --quota-per-hour 1 --until soon",
        *at,
        "office",
    )


@pytest.mark.parametrize("when", ["+30d", "+12h", "2099-01-01", "2099-01-01T10:00Z"])
def test_times_are_written_as_people_do(home: Path, node: Node, when: str) -> None:
    nothing = f"--beneficiary {'0' * 64} --plan {'0' * 64}"
    ask = f"charity set-up --template need --hospital hospital --asset cny --goal 5 {nothing} --as charity"
    made = say(home, ask, "--title", "Ein Bett für “Bo”", "--closes", when, "--json", "--node", node.url).json()
    assert made["code"] == ("charity.too_long" if when.startswith("2099") else "ok")


def test_a_document_is_committed_to_with_a_salt_of_ones_own(home: Path, tmp_path: Path) -> None:
    document, salt = tmp_path / "invoice", tmp_path / "salt"
    document.write_bytes(b"an invoice")
    made = done(home, "commit", document, "--salt", salt).out.strip()
    assert made == hashlib.sha256(bytes.fromhex(salt.read_text()) + b"an invoice").hexdigest()
    assert salt.stat().st_mode & 0o777 == 0o600
    failed(home, 2, "There is a file", "commit", document, "--salt", salt)
    assert done(home, "commit", document, "--salt", tmp_path / "two", "--json").json()["commitment"] != made


def test_the_status_tells_how_the_chain_stands(home: Path, node: Node) -> None:
    assert done(home, "status --json --node", node.url).json()["chain"] == node.told["chain"]
    assert f"modules: {', '.join(sorted(app.modules()))}\n" in done(home, "status --node", node.url).out


def test_a_story_is_played_on_a_chain_of_its_own(home: Path, tmp_path: Path) -> None:
    ended = done(home, "story charity --json --data", tmp_path / "kept").json()
    assert done(home, "status --json --data", tmp_path / "kept").json()["state_root"] == ended["state_root"]
    failed(home, 4, "There is a chain in", "story charity --data", tmp_path / "kept")
