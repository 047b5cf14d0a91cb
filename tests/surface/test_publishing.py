"""The log on the way out: proofs of growth and tiles at the door, folders for static servers; what strangers send."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from metrobloc import app
from metrobloc.client import NotFound
from metrobloc.client.drivers import Client
from metrobloc.commons import notes
from metrobloc.commons.notes import Note
from metrobloc.commons.witnessing import Asked, write_asked
from metrobloc.engine.solo import Solo
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.log import verify_consistency
from metrobloc.surface.asking_witnesses import ask_witness
from metrobloc.surface.connections import HEAD_BYTES_MAX
from metrobloc.surface.http import prove_consistency
from tests.surface.city import PATIENCE_S, Node, coins, done, failed, say
from tests.surface.witnesses import Running, live, made

WITNESS = SigningKey(b"w" * 32)


def test_the_door_proves_that_the_log_only_grew(node: Node) -> None:
    size = node.http.get("/v1/status").json()["log_size"]
    node.post(coins(node.stage(), 3))
    with Client(node.url, app.modules()) as client:
        for old, new in ((0, size), (1, size), (size - 1, size), (size, size), (7, size + 2)):
            said = client.consistency(old, new)
            roots = bytes.fromhex(said.old_root), bytes.fromhex(said.new_root)
            assert verify_consistency(old, roots[0], new, roots[1], [bytes.fromhex(part) for part in said.path])
        head = notes.read_head(notes.read(client.checkpoint()))
        assert client.consistency(1, head.size).new_root == head.root.hex()
        for old, new, why in ((0, head.size + 100, "not so long"), (2, 1, "only grows")):
            with pytest.raises(NotFound, match=why):
                client.consistency(old, new)
    codes = [node.http.get(f"/v1/log/consistency?old={old}&new={new}").json()["code"] for old, new in (
        (2, 1), (0, 10**9), (-1, 1), ("x", 1), (0, 2**53))]  # fmt: skip
    assert codes == ["not_grown", "not_reached", "bad_request", "bad_request", "bad_request"]


def test_a_folder_is_the_same_from_a_node_and_from_its_data(home: Path, city: Path, tmp_path: Path) -> None:
    live(city, 200)
    trust, first, second = tmp_path / "trust", tmp_path / "first", tmp_path / "second"
    done(home, f"operator rotate --data {city}")
    done(home, f"trust --data {city} --out {trust}")
    said = done(home, f"log export {first} --data {city} --json").json()
    assert said["entries"] == said["size"] > 400
    with Node(city) as node:
        done(home, f"log export {second} --node {node.url}")
        files = {path.relative_to(first): path.read_bytes() for path in first.rglob("*") if path.is_file()}
        assert {p.relative_to(second): p.read_bytes() for p in second.rglob("*") if p.is_file()} == files
        for path, data in files.items():
            if path.name != "succession.json":
                answer = node.http.get(f"/v1/log/{path}")
                assert (answer.status_code, answer.content) == (200, data)
        for absent in ("tile/0/000.p/0", "tile/0/999", "tile/x", "tile/entries/x000/000", "tile/9/000", "nothing"):
            assert node.http.get(f"/v1/log/{absent}").status_code == 404
        node.post(coins(node.stage(), 1))
        assert done(home, f"log export {second} --node {node.url} --json").json()["entries"] == 2
        assert done(home, f"log export {second} --node {node.url} --json").json()["entries"] == 0
    told = done(home, f"log check {second} --trust {trust} --json").json()
    assert (told["size"], told["lacking"]) == (said["size"] + 2, [])
    assert "Signed by did:key" in done(home, f"log check {first} --trust {trust}").out


def test_a_check_ends_with_a_code_that_says_why(home: Path, city: Path, tmp_path: Path) -> None:
    key, trust, folder = made(home, tmp_path / "w", city), tmp_path / "w.trust", tmp_path / "log"
    note = tmp_path / "note"
    done(home, f"witness check {tmp_path / 'w'} --data {city} --out {note}")
    done(home, f"witness keep {note} --key {key} --data {city}")
    done(home, f"log export {folder} --data {city}")
    said = done(home, f"log check {folder} --trust {trust} --witness {key} --json").json()
    assert (said["witnesses"], said["lacking"]) == (["witness.example/w1"], [])
    assert "Co-signed by witness.example/w1." in done(home, f"log check {folder} --trust {trust} --witness {key}").out
    other = say(home, f"log check {folder} --trust {trust} --witness {WITNESS.key_id}")
    assert (other.code, f"Not co-signed by {WITNESS.key_id}." in other.out) == (3, True)
    page = json.loads(trust.read_bytes())
    (tmp_path / "strange").write_text(json.dumps(page | {"keys": [WITNESS.key_id]}))
    untrusted = say(home, f"log check {folder} --trust {tmp_path / 'strange'}")
    assert (untrusted.code, "Not signed by whom you trust." in untrusted.out) == (3, True)
    for bad in ('{"chain":"x"}', json.dumps(page | {"keys": ["did:key:z6Mk"]})):
        (tmp_path / "bad").write_text(bad)
        failed(home, 2, ".", f"log check {folder} --trust {tmp_path / 'bad'}")
        failed(home, 2, ".", f"witness watch {tmp_path / 'w'} --trust {tmp_path / 'bad'}")
    (tile,) = folder.glob("tile/0/000.p/*")
    tile.write_bytes(bytes(tile.stat().st_size))
    failed(home, 1, "is not what the entries give", f"log check {folder} --trust {trust}")
    backwards = tmp_path / "younger"
    done(home, f"story charity --data {backwards}")
    failed(home, 1, "choose another folder", f"log export {folder} --data {backwards}")


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Run what answers every request with the same bytes, and then closes."""
    door = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            with client:
                client.recv(1 << 16)
                try:
                    client.sendall(answer)
                except OSError:
                    continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    thread.join(PATIENCE_S)


def plain(status: str, body: bytes, kind: str = "text/plain") -> bytes:
    """Write an answer."""
    return f"HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def test_what_a_hostile_witness_may_answer(city: Path) -> None:
    """Nothing but a co-signature by the named key, of this very head, is taken, and nothing is read without an end."""
    node = Solo.open(city, app.modules())
    note, size = notes.read(node.checkpoint()), node.machine.log.size
    line = notes.cosign(note.body, "w", WITNESS, 1)
    genuine = notes.render(Note(note.body, (line,))).partition(b"\n\n")[2]
    elsewhere = notes.render(Note("x\n", (notes.cosign("x\n", "w", WITNESS, 1),))).partition(b"\n\n")[2]
    size_type = "text/x.tlog.size"
    table = [
        (plain("200", genuine), ""),
        (plain("200", elsewhere), "not signed with this key"),
        (plain("200", b""), "cannot be read"),
        (plain("200", b"\xff\n"), "cannot be read"),
        (plain("200", genuine * 2), "cannot be read"),
        (plain("200", b"x" * 100_000), "too long"),
        (plain("302", b""), "it answers 302"),
        (plain("500", b"a\x1b[31mb" * 1000), "it answers 500: a[31mb"),
        (plain("409", b"%d\n" % (size + 1), size_type), "was an old backup brought back?"),
        (plain("409", b"3\n", size_type), "it answers 409"),
        (plain("409", b"3", size_type), "it answers 409: 3"),
        (plain("409", b"03\n", size_type), "it answers 409"),
        (plain("409", b"3\n"), "it answers 409: 3"),
        (plain("409", b"9" * 60_000 + b"\n", size_type), "it answers 409"),
        (b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\nx", "it does not answer"),
        (b"nonsense", "it does not answer"),
        (b"", "it does not answer"),
    ]
    for answer, said in table:
        with answering(answer) as url:
            got = ask_witness(url, WITNESS.key_id, node.checkpoint(), partial(prove_consistency, node))
        assert got == line if not said else isinstance(got, str) and said in got, (answer[:100], got)
    node.close()


def test_what_strangers_send_to_a_witness(home: Path, city: Path, tmp_path: Path) -> None:
    """It is as guarded as a node: bounded heads and bodies, a sentence for everything, and it goes on."""
    made(home, tmp_path / "w", city)
    with Running(tmp_path / "w") as witness:
        port = int(witness.url.rpartition(":")[2])
        for sent, said in (
            (b"GET / HTTP/1.1\r\nx: " + b"x" * (HEAD_BYTES_MAX + 10) + b"\r\n\r\n", b"431 "),
            (b"nonsense\r\n\r\n", b"400 "),
            (b"POST /add-checkpoint HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", b"413 "),
            (b"DELETE /add-checkpoint HTTP/1.1\r\nhost: x\r\n\r\n", b"405 "),
            (b"GET /%00/checkpoint HTTP/1.1\r\nhost: x\r\n\r\n", b"404 "),
            (b"GET /..%2f..%2fwitness.key HTTP/1.1\r\nhost: x\r\n\r\n", b"404 "),
            (b"GET //checkpoint HTTP/1.1\r\nhost: x\r\n\r\n", b"404 "),
        ):
            with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
                with suppress(OSError):
                    client.sendall(sent)
                assert client.recv(1 << 12)[9:13] == said, sent[:40]
        assert witness.http.get("/").status_code == 200
        for body in (
            b"old 0\n\n",
            b"old 0\n" * 5000,
            b"\n" * 32_000,
            "old 0\n\n— \n".encode(),
            bytes(range(256)) * 100,
        ):
            assert witness.http.post("/add-checkpoint", content=body).status_code == 400
        assert witness.end() == 0
    assert "Traceback" not in witness.errors.read_text()


def test_a_witness_whose_disk_fails_ends_and_has_signed_nothing(home: Path, city: Path, tmp_path: Path) -> None:
    made(home, tmp_path / "w", city)
    with Node(city) as node, Running(tmp_path / "w") as witness:
        (tmp_path / "w" / "logs").rename(tmp_path / "gone")
        body = write_asked(Asked(0, (), node.http.get("/v1/checkpoint").content))
        answer = witness.http.post("/add-checkpoint", content=body)
        assert (answer.status_code, answer.text) == (503, "The witness is stopping: its disk has failed.\n")
        assert witness.process.wait(PATIENCE_S) == 4
    assert "cannot write to its disk" in witness.errors.read_text()
