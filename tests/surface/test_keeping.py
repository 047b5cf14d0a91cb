"""The commands that keep a chain: export, audit, backup, restore, changes of keys, starts that must not happen."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metrobloc import app
from metrobloc.commons.money.types import RecordReserve
from metrobloc.engine import audit, keyfile
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.solo import KEY_FILE, NEXT_KEY_FILE, Solo
from metrobloc.engine.store import Store
from metrobloc.kernel import codec, envelope
from metrobloc.kernel.accounts import DEMO_KEYS
from metrobloc.kernel.errors import MachineFault
from metrobloc.kernel.genesis import Founder, Genesis
from tests.surface.city import Clock, Inline, Node, coins, done, failed, fresh_stage, keep_founder, own_chain, say

DAY_MS = 86_400_000


def test_a_key_is_replaced_after_a_delay_and_the_one_in_force_signs(home: Path, node: Node, ann: str) -> None:
    at = ("--node", node.url)
    done(home, "key rotate ann", *at)
    keys = [json.loads(line)["key"] for line in done(home, "key list --json").out.splitlines()]
    assert len(list((home / "keys").iterdir())) == len(set(keys)) == 2
    account = done(home, "show --json kernel/accounts @ann", *at).json()["items"][0]["value"]
    assert (account["next_keys"], account["keys"]) == ([keys[0]], [keys[1]])
    legs = json.dumps({"amount": 1, "asset": "cny", "to": done(home, "key new bo --json").json()["account"]})
    done(home, "identity register --key bo --as bank", *at)
    done(home, "money move --as ann --legs", legs, *at)  # the old key signs
    failed(home, 1, "identity.change_pending", "key rotate ann", *at)
    done(home, "identity veto --as ann", *at)


def test_a_replaced_key_signs_once_it_holds(home: Path, tmp_path: Path, clock: Clock) -> None:
    own_chain(tmp_path / "town", params={"identity.rotation_delay_ms": 60_000})
    keep_founder(home)
    done(home, "key rotate founder --keeps-delegated --data", tmp_path / "town")
    clock.now_ms += 60_000
    done(
        home,
        "money record-reserve --asset coin --reserve 5 --as founder --evidence",
        "0" * 64,
        "--data",
        tmp_path / "town",
    )
    node = Solo.open(tmp_path / "town", app.modules())
    raw = codec.decode(node.store.block(node.machine.height) or b"", codec.ANY)
    node.close()
    assert isinstance(raw, dict)
    newest = envelope.reopen(codec.encode(raw["transactions"][0])).key_ids
    assert newest == (keyfile.read_key(home / "keys" / "founder.2.key").key_id,)


def test_public_role_keys_hold_on_demonstrations_only(home: Path, tmp_path: Path) -> None:
    own_chain(tmp_path / "town")
    failed(home, 2, "make it with `metrobloc key new bank`.", "identity veto --as bank --data", tmp_path / "town")
    page = Genesis((Founder(DEMO_KEYS[0].key_id),), tuple(app.modules()), "town", 0)
    (tmp_path / "genesis").write_bytes(codec.encode(page))
    failed(
        home, 4, "public demonstration key", "up --port 0 --genesis", tmp_path / "genesis", "--data", tmp_path / "new"
    )


def opened(city: Path) -> Solo:
    return Solo.open(city, app.modules())


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let audits check signatures in this process, which starts faster."""
    monkeypatch.setattr(audit, "Verifier", Inline)


def exported(home: Path, city: Path, to: Path) -> list[bytes]:
    done(home, "export blocks", to, "--data", city)
    return to.read_bytes().split(b"\n")[:-1]


def newest(city: Path, to: Path) -> Path:
    """Keep a chain's checkpoint as a witness would."""
    node = opened(city)
    to.write_bytes(node.checkpoint())
    node.close()
    return to


@pytest.mark.usefixtures("inline")
def test_an_audit_finds_a_chain_sound_however_it_comes(home: Path, node: Node, city: Path, tmp_path: Path) -> None:
    trust = tmp_path / "trust"
    done(home, "trust --out", trust, "--data", city)
    lines = exported(home, city, tmp_path / "blocks")
    failed(home, 2, "There is a file", "export blocks", tmp_path / "blocks", "--data", city)
    for source in (("--from", tmp_path / "blocks"), ("--from", node.url), ("--data", city)):
        report = done(home, "audit --json", *source, "--trust", trust).json()
        assert (report["problems"], report["trusted"]) == ([], True)
    assert report["height"] == len(lines) - 2
    assert "compare this key" in done(home, "audit --data", city).out
    other = json.loads(trust.read_bytes())
    changes: list[dict[str, object]] = [{"chain": "demo-city-0123456789abcdef"}, {"keys": []}]
    for change in changes:
        trust.write_bytes(codec.encode({**other, **change}))
        failed(home, 3, "not one of those in the trust file", "audit --data", city, "--trust", trust)
    trust.write_bytes(b"{}")
    failed(home, 2, "no trust file", "audit --data", city, "--trust", trust)
    failed(home, 2, "Name either", "audit")
    failed(home, 2, "Name either", "audit --data x --from y")
    failed(home, 2, "There is no file", "audit --from", tmp_path / "nothing")
    failed(home, 4, "There is no whole store", "audit --data", tmp_path / "nothing")


def _swap_signature(line: bytes) -> bytes:
    parts = json.loads(line)
    for signature in parts["block"]["transactions"][0]["signatures"]:
        signature["sig"] = "A" * 86 + "=="
    return codec.encode(parts)


def _other_header(line: bytes) -> bytes:
    parts = json.loads(line)
    parts["header"]["state_root"] = "0" * 64
    return codec.encode(parts)


def _without_transactions(line: bytes) -> bytes:
    parts = json.loads(line)
    parts["block"]["transactions"] = []
    return codec.encode(parts)


def _other_end(line: bytes) -> bytes:
    return line.replace(b'"checkpoint":"demo-city', b'"checkpoint":"demo-cita')


EXPORT_FAULTS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "a signature": (lambda rows: [*rows[:3], _swap_signature(rows[3]), *rows[4:]], 1, "A signature does not hold"),
    "a header": (lambda rows: [*rows[:3], _other_header(rows[3]), *rows[4:]], 1, "another result than its header"),
    "no transactions": (lambda rows: [*rows[:3], _without_transactions(rows[3]), *rows[4:]], 1, "another result"),
    "a block left out": (lambda rows: [*rows[:3], *rows[4:]], 1, "blocks are missing or doubled"),
    "a block twice": (lambda rows: [*rows[:4], *rows[3:]], 1, "blocks are missing or doubled"),
    "bytes": (lambda rows: [*rows[:3], rows[3][:-20], *rows[4:]], 1, "Line 4 of the export is damaged"),
    "a blank": (lambda rows: [*rows[:3], rows[3].replace(b":", b": ", 3), *rows[4:]], 1, "Block 3 is damaged"),
    "a second genesis": (lambda rows: [rows[0], *rows], 1, "Block 1 is damaged"),
    "no end": (lambda rows: rows[:-1], 1, "The export has no end"),
    "a line behind the end": (lambda rows: [*rows, rows[3]], 1, "stands behind its end"),
    "a shorter chain": (lambda rows: [*rows[:-2], rows[-1]], 1, "signed another log"),
    "another checkpoint": (lambda rows: [*rows[:-1], _other_end(rows[-1])], 1, "The signature over the log"),
    "no genesis": (lambda rows: rows[1:], 4, "does not begin with a genesis"),
    "nothing": (lambda _: [], 4, "does not begin with a genesis"),
    "no export": (lambda _: [b"hello"], 4, "This is no export"),
    "another genesis": (lambda rows: [rows[0].replace(b"demo-city", b"demo-cite"), *rows[1:]], 1, "another"),
}


@pytest.mark.parametrize("fault", EXPORT_FAULTS)
@pytest.mark.usefixtures("inline")
def test_an_export_that_was_changed_is_found(home: Path, city: Path, tmp_path: Path, fault: str) -> None:
    change, code, sentence = EXPORT_FAULTS[fault]
    rows = change(exported(home, city, tmp_path / "blocks"))
    (tmp_path / "changed").write_bytes(b"".join(row + b"\n" for row in rows))
    said = say(home, "audit --from", tmp_path / "changed")
    assert (said.code, sentence in said.err) == (code, True), said
    assert said.err.count("\n") == 1


def test_a_backup_comes_back_and_an_old_one_is_refused(home: Path, city: Path, tmp_path: Path) -> None:
    checkpoint = newest(city, tmp_path / "checkpoint")
    done(home, "backup", tmp_path / "old", "--data", city)
    failed(home, 4, "There is something at", "backup", tmp_path / "old", "--data", city)
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "old" / KEY_FILE).stat().st_mode & 0o777 == 0o600
    done(home, "restore", tmp_path / "old", "--data", tmp_path / "new", "--checkpoint", checkpoint)
    failed(home, 4, "There is something at", "restore", tmp_path / "old", "--data", tmp_path / "new")
    before, after = (done(home, "status --json --data", folder).json() for folder in (city, tmp_path / "new"))
    assert before == after
    assert done(home, "audit --json --data", tmp_path / "new").json()["problems"] == []
    done(home, "money record-reserve --asset cny --reserve 999999999 --as bank --evidence", "0" * 64, "--data", city)
    newest(city, checkpoint)
    late = ("--data", tmp_path / "late", "--checkpoint", checkpoint)
    failed(home, 4, "the operator has signed", "restore", tmp_path / "old", *late)
    done(
        home,
        "money record-reserve --asset cny --reserve 999999998 --as bank --evidence",
        "0" * 64,
        "--data",
        tmp_path / "new",
    )
    failed(home, 4, "another history", "restore", tmp_path / "new", *late)
    checkpoint.write_bytes(b"hello")
    failed(home, 4, "not signed by this chain's operator", "restore", tmp_path / "old", *late)
    assert not (tmp_path / "late").exists()


def test_after_a_change_of_the_operators_key_old_trust_leads_to_new_proofs(
    home: Path, city: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    done(home, "trust --out", trust, "--data", city)
    for number in range(2):
        made = done(home, "operator rotate --json --data", city).json()["operator"]
        proof = tmp_path / f"proof{number}"
        done(home, "show kernel/chain info --proof", proof, "--data", city)
        assert made in done(home, "verify", proof, "--trust", trust).out
        assert done(home, "audit --json --data", city, "--trust", trust).json()["trusted"]
    newer = tmp_path / "newer"
    done(home, "trust --out", newer, "--data", city)
    assert done(home, "verify", proof, "--trust", newer).code == 0
    checkpoint = newest(city, tmp_path / "checkpoint")
    done(home, "backup", tmp_path / "copy", "--data", city)
    done(home, "restore", tmp_path / "copy", "--data", tmp_path / "new", "--checkpoint", checkpoint)


@pytest.mark.parametrize("step", ["half a new key", "a new key", "the switch in the store", "the switch of the files"])
def test_a_crash_in_a_change_of_the_operators_key_leaves_one_in_force(
    city: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    node = opened(city)
    old = node.key.key_id

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    if step == "half a new key":
        (city / NEXT_KEY_FILE).write_bytes(b"0123")
        (city / NEXT_KEY_FILE).chmod(0o600)
    elif step == "the switch of the files":
        node.rotate_key(clock_ms())
    else:
        target, name = {"a new key": (Store, "put_meta"), "the switch in the store": (os, "replace")}[step]
        monkeypatch.setattr(target, name, crash)
        with pytest.raises(KeyboardInterrupt):
            node.rotate_key(clock_ms())
    node.close()
    monkeypatch.undo()
    node = opened(city)
    assert (node.key.key_id == old) == (step in {"half a new key", "a new key"})
    assert node.signed_head()[0].size == node.machine.log.size
    again = node.rotate_key(clock_ms())
    node.close()
    node = opened(city)
    assert node.key.key_id == again
    assert not (city / NEXT_KEY_FILE).exists()
    node.close()


def flip_a_record(city: Path) -> None:
    for file in (city / "store" / "rocks").glob("*.sst"):
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 4
        file.write_bytes(data)


def _new_key(city: Path) -> None:
    (city / KEY_FILE).unlink()
    keyfile.write_key(city / KEY_FILE, keyfile.new_key())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no key": (lambda city: (city / KEY_FILE).unlink(), "The key file operator.key cannot be read"),
    "an open key": (lambda city: (city / KEY_FILE).chmod(0o640), "open to others; run `chmod 600`"),
    "another key": (_new_key, "not of the operator who signed last"),
    "no acknowledgement": (lambda city: (city / "store" / "acknowledged").unlink(), "There is no whole store"),
    "no database": (lambda city: shutil.rmtree(city / "store" / "rocks"), "Restore the node from a backup"),
    "flipped bits": (flip_a_record, "Restore the node from a backup"),
    "a store gone": (lambda city: shutil.rmtree(city / "store"), "an operator's key"),
    "a journal of nonsense": (lambda city: (city / "journal").write_bytes(b"x\n"), "The journal of promises"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_node_does_not_start_over_damage(home: Path, city: Path, damage: str) -> None:
    node = opened(city)
    node.execute(coins(fresh_stage(node.machine.rules), 3), clock_ms())
    node.close()
    make, sentence = DAMAGES[damage]
    make(city)
    failed(home, 4, sentence, "up --port 0 --data", city)
    failed(home, 4, sentence, "up --port 0 --data", city)


def test_a_node_does_not_start_twice_or_elsewhere(home: Path, node: Node, city: Path, tmp_path: Path) -> None:
    failed(home, 4, f"Port {node.port} on 127.0.0.1 cannot be used", "up --data", city, "--port", node.port)
    failed(home, 4, "cannot be used", "up --host 203.0.113.7 --port 0 --data", city)
    failed(home, 4, "in use by another process", "up --port 0 --data", node.data)
    failed(home, 4, "in use by another process", "status --data", node.data)
    page = Genesis((Founder(keyfile.new_key().key_id),), tuple(app.modules()), "town", 0)
    (tmp_path / "genesis").write_bytes(codec.encode(page))
    genesis = ("--genesis", tmp_path / "genesis")
    failed(home, 4, "There is a chain in", "up --port 0 --data", city, *genesis)
    (tmp_path / "genesis").write_bytes(b'{"name":"x"}')
    failed(home, 3, "A field is missing", "up --port 0 --data", tmp_path / "new", *genesis)
    (tmp_path / "genesis").write_bytes(codec.encode(Genesis(page.founders, ("parking",), "town", 0)))
    failed(home, 4, "needs the modules parking", "up --port 0 --data", tmp_path / "new", *genesis)
    assert not (tmp_path / "new" / KEY_FILE).exists()


def test_a_founding_that_was_killed_goes_on(tmp_path: Path, city: Path) -> None:
    node = opened(city)
    genesis = node.store.meta("genesis") or b""
    node.close()
    (tmp_path / "new").mkdir()
    Store.create(tmp_path / "new" / "store", genesis).close()
    node = Solo.open(tmp_path / "new", app.modules())
    assert (node.machine.height, node.store.head()) == (0, 0)
    node.close()


def test_a_clock_that_cannot_be_right_is_not_followed(tmp_path: Path) -> None:
    own_chain(tmp_path / "town", age_ms=40 * DAY_MS + 60_000)
    node = Solo.open(tmp_path / "town", app.modules())
    last = node.machine.time_ms
    assert node.block_time(last) == last
    with pytest.raises(MachineFault, match="behind the last block"):
        node.block_time(last - 1)
    with pytest.raises(MachineFault, match=r"40 days ahead.*--trust-clock"):
        node.block_time(clock_ms())
    assert node.block_time(clock_ms(), trust_clock=True)
    stage = fresh_stage(node.machine.rules)
    node.close()
    for option, status in ((), "void"), (("--trust-clock",), "committed"):
        with Node(tmp_path / "town", *option) as running:
            answer = running.post([stage.sign(("founder", RecordReserve("coin", 7, "0" * 64)))])[0]
            assert answer["status"] == status, answer
            past = running.post([stage.sign(("founder", RecordReserve("coin", 7, "0" * 64)))], at_ms=last)[0]
            assert (past["code"], past["sentence"][:17]) == ("clock", "Only a demo chain")
