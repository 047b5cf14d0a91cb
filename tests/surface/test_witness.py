"""Witnesses of real nodes: they co-sign what goes on, notice what does not, and leave what anybody can check."""

import json
import signal
import threading
from base64 import b64encode
from contextlib import nullcontext
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest

from metrobloc import app
from metrobloc.commons import notes, witnessing
from metrobloc.commons.anchors.heads import log_id
from metrobloc.commons.anchors.types import Accuse
from metrobloc.commons.witnessing import Asked, log_page, write_asked
from metrobloc.engine.cosigned import COSIGNED_FILE
from metrobloc.engine.solo import Solo
from metrobloc.kernel.log import consistency_proof
from tests.support import rounds
from tests.surface.city import Node, coins, copied, done, failed, say
from tests.surface.witnesses import Running, forked, live, made

NAME = "witness.example/w1"


def head_of(note: str | bytes) -> notes.Checkpoint:
    """Read a checkpoint."""
    return notes.read_head(notes.read(note.encode() if isinstance(note, str) else note))


def asked(city: Path, old: int) -> bytes:
    """Write what a node's operator posts to a witness."""
    node = Solo.open(city, app.modules())
    path = consistency_proof(old, node.machine.log.size, node.store.tile)
    body = write_asked(Asked(old, tuple(path), node.checkpoint()))
    node.close()
    return body


def cosigners(note: str | bytes, *keys: str) -> list[bool]:
    """Tell by which of these keys a checkpoint is co-signed."""
    read = notes.read(note.encode() if isinstance(note, str) else note)
    return [witnessing.cosignature_of(read, read.signatures, key) is not None for key in keys]


def test_every_status_of_the_protocol(home: Path, city: Path, tmp_path: Path) -> None:
    folder = tmp_path / "witness"
    key = made(home, folder, city)
    first = asked(city, 0)
    size = live(city, 1) - 2
    second, stale = asked(city, size), asked(city, 0)
    other = forked(home, city, tmp_path / "other")
    live(city, 1)
    live(other, 1, 2)
    third, fork = asked(city, size + 2), asked(other, size + 2)
    forged = third.replace(f"\n{size + 4}\n".encode(), f"\n{size + 5}\n".encode())
    table = [
        (first, 200, "text/plain; charset=utf-8"),
        (stale, 409, "text/x.tlog.size"),
        (second, 200, "text/plain; charset=utf-8"),
        (third, 200, "text/plain; charset=utf-8"),
        (asked(city, size + 4), 200, "text/plain; charset=utf-8"),
        (asked(other, size + 4), 409, "text/plain; charset=utf-8"),
        (fork, 409, "text/x.tlog.size"),
        (forged, 403, "text/plain; charset=utf-8"),
        (third.replace(b"demo-", b"memo-"), 404, "text/plain; charset=utf-8"),
        (third.replace(b"old ", b"old 9999"), 400, "text/plain; charset=utf-8"),
        (asked(city, size + 4).replace(b"\n\n", b"\n" + b64encode(bytes(32)) + b"\n\n", 1), 422, "text/plain"),
        (b"", 400, "text/plain; charset=utf-8"),
        (bytes(1000), 400, "text/plain; charset=utf-8"),
        (bytes(100_000), 413, "text/plain; charset=utf-8"),
    ]
    with Running(folder) as witness:
        assert witness.key == key
        for number, (body, status, kind) in enumerate(table):
            answer = witness.http.post("/add-checkpoint", content=body)
            assert (number, answer.status_code, answer.headers["content-type"][: len(kind)]) == (number, status, kind)
            if status == 200:
                note = notes.read(body.partition(b"\n\n")[2])
                lines = witnessing.read_lines(note, answer.content)
                assert [line.name for line in lines] == [NAME]
                assert witnessing.cosignature_of(note, lines, key) == lines[0]
            elif kind == "text/x.tlog.size":
                assert answer.text == f"{size if number == 1 else size + 4}\n"
            else:
                assert answer.text.endswith(".\n")
        chain = head_of(first.partition(b"\n\n")[2]).chain
        newest = witness.http.get(f"/{log_page(chain)}/checkpoint")
        assert (newest.status_code, head_of(newest.text).size) == (200, size + 4)
        assert cosigners(newest.text, key) == [True]
        about = witness.http.get("/").json()
        assert (about["name"], about["key"]) == (NAME, key)
        assert about["logs"] == [{"origin": chain, "size": size + 4, "page": log_page(chain)}]
        statuses = [witness.http.get(path).status_code for path in (f"/{'0' * 64}/checkpoint", "/x", "/add-checkpoint")]
        assert statuses == [404, 404, 405]
        assert witness.end() == 0
    assert witness.errors.read_text() == ""


def test_a_running_node_is_witnessed_and_shows_it(home: Path, city: Path, tmp_path: Path) -> None:
    keys = [made(home, tmp_path / name, city, f"witness.example/{name}") for name in ("w1", "w2")]
    with Node(city) as node, Running(tmp_path / "w1") as one, Running(tmp_path / "w2") as two:
        plain = node.http.get("/v1/log/checkpoint").text
        assert cosigners(plain, *keys) == [False, False]
        both = f"--to {one.url} --key {keys[0]} --to {two.url} --key {keys[1]}"
        said = done(home, f"witness submit {both} --node {node.url} --keep {city / COSIGNED_FILE} --json").json()
        assert said["cosigned"] == ["witness.example/w1", "witness.example/w2"]
        shown = node.http.get("/v1/log/checkpoint").text
        assert cosigners(shown, *keys) == [True, True]
        assert shown == said["checkpoint"]
        node.post(coins(node.stage(), 1))
        assert node.http.get("/v1/log/checkpoint").text == shown  # until the witnesses are asked again
        only = f"--to {one.url} --key {keys[0]} --node {node.url} --keep {city / COSIGNED_FILE}"
        assert "co-signed by witness.example/w1." in done(home, f"witness submit {only}").out
        newer = node.http.get("/v1/log/checkpoint").text
        assert head_of(newer).size == head_of(shown).size + 2
        assert cosigners(newer, *keys) == [True, False]
        done(home, f"witness submit --to {two.url} --key {keys[1]} --node {node.url} --keep {city / COSIGNED_FILE}")
        assert cosigners(node.http.get("/v1/log/checkpoint").text, *keys) == [True, True]


def test_what_a_witness_may_answer_wrongly(home: Path, city: Path, tmp_path: Path) -> None:
    key = made(home, tmp_path / "w", city)
    other = made(home, tmp_path / "unaware", city)
    done(home, f"witness init {tmp_path / 'empty'} --name w --json")
    keep = f"--data {city}"
    with Running(tmp_path / "w") as witness, Running(tmp_path / "empty") as empty:
        failed(
            home, 3, "its answer is not signed with this key", f"witness submit --to {witness.url} --key {other} {keep}"
        )
        failed(
            home,
            3,
            "it answers 404: This witness does not watch",
            f"witness submit --to {empty.url} --key {key} {keep}",
        )
        failed(home, 3, "it answers 404", f"witness submit --to {witness.url}/elsewhere --key {key} {keep}")
        failed(home, 2, "a --key for every witness", f"witness submit --to {witness.url} --to x --key {key} {keep}")
        assert not (city / COSIGNED_FILE).exists()
        gone = forked(home, city, tmp_path / "older")
        live(city, 2)
        done(home, f"witness submit --to {witness.url} --key {key} {keep}")
        failed(
            home, 3, "was an old backup brought back?", f"witness submit --to {witness.url} --key {key} --data {gone}"
        )
        assert not (gone / COSIGNED_FILE).exists()
    failed(home, 3, "it does not answer", f"witness submit --to {witness.url} --key {key} {keep}")
    failed(home, 3, "it does not answer", f"witness submit --to nonsense --key {key} {keep}")


def test_a_file_that_is_not_the_logs_is_never_shown(home: Path, city: Path, tmp_path: Path) -> None:
    """Neither another log's, nor another history's, nor garbage, nor one that is too long or a folder."""
    key = made(home, tmp_path / "w", city)
    other = forked(home, city, tmp_path / "other")
    live(city, 1)
    live(other, 1, 2)
    done(home, f"witness check {tmp_path / 'w'} --data {other} --out {tmp_path / 'note'}")
    done(home, f"witness keep {tmp_path / 'note'} --key {key} --data {city}")
    kept = city / COSIGNED_FILE
    with Node(city) as node:
        for content in (
            kept.read_bytes(),
            b"x",
            b"",
            kept.read_bytes() * 100,
            kept.read_bytes().replace(b"demo", b"memo"),
        ):
            kept.write_bytes(content)
            shown = node.http.get("/v1/log/checkpoint")
            assert shown.content == node.http.get("/v1/checkpoint").content
        kept.unlink()
        kept.mkdir()
        assert node.http.get("/v1/log/checkpoint").status_code == 200


def test_a_witness_without_an_address_checks_a_node(home: Path, city: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    key = made(home, folder, city)
    out = tmp_path / "note"
    with Node(city) as node:
        said = done(home, f"witness check {folder} --node {node.url} --out {out} --json").json()
        assert cosigners(said["checkpoint"], key) == [True]
        assert out.read_text() == said["checkpoint"]
        failed(
            home,
            3,
            "not co-signed with this key",
            f"witness keep {out} --key did:key:{'z6Mk' + '1' * 44} --data {city}",
        )
        done(home, f"witness keep {out} --key {key} --data {city}")
        shown = node.http.get("/v1/log/checkpoint").text
        assert cosigners(shown, key) == [True]
    (tmp_path / "junk").write_text("junk\n")
    failed(home, 3, "This is no checkpoint", f"witness keep {tmp_path / 'junk'} --key {key} --data {city}")
    done(home, f"witness init {tmp_path / 'empty'} --name w")
    failed(home, 3, "does not watch demo-city-", f"witness check {tmp_path / 'empty'} --data {city}")


def test_a_witness_that_was_away_sees_that_the_log_went_on(home: Path, city: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    made(home, folder, city)
    sizes = []
    for count in (0, 1, 300, 2):
        live(city, count)
        sizes.append(done(home, f"witness check {folder} --data {city} --json").json()["size"])
    assert sizes == [sizes[0] + 2 * n for n in (0, 1, 301, 303)]
    assert list((folder / "refused").iterdir()) == []


def test_the_operators_new_key_is_known_by_the_old_ones_word(home: Path, city: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    made(home, folder, city)
    done(home, f"witness check {folder} --data {city}")
    for _ in range(2):
        done(home, f"operator rotate --data {city}")
    live(city, 1)
    with Node(city) as node:
        assert done(home, f"witness check {folder} --node {node.url} --json").json()["size"]
    (file,) = (folder / "logs").iterdir()
    assert len(json.loads(file.read_bytes())["log"]["keys"]) == 3
    strange = tmp_path / "strange"
    done(home, f"story charity --data {strange}")
    done(home, f"witness init {tmp_path / 'other'} --name w")
    trust = tmp_path / "false.trust"
    page = json.loads(done(home, f"trust --data {city}").out)
    page["keys"] = [json.loads(done(home, f"trust --data {strange}").out)["keys"][0]]
    trust.write_text(json.dumps(page))
    done(home, f"witness watch {tmp_path / 'other'} --trust {trust}")
    failed(home, 3, "not signed by a key of the log", f"witness check {tmp_path / 'other'} --data {city}")


@pytest.mark.parametrize(("ours", "theirs"), [(3, 1), (3, 3), (3, 5), (1, 4)])
def test_a_rewritten_history_is_noticed_by_a_witness_that_was_away(
    home: Path, city: Path, tmp_path: Path, ours: int, theirs: int
) -> None:
    """A backup that goes on differently is shorter, as long, or longer than what was co-signed: all are refused."""
    folder = tmp_path / "w"
    made(home, folder, city)
    other = forked(home, city, tmp_path / "other")
    live(city, ours)
    done(home, f"witness check {folder} --data {city}")
    live(other, theirs, 2)
    with Node(other) if theirs > 4 else nullcontext() as node:
        at = f"--node {node.url}" if node else f"--data {other}"
        words = (
            "the log was cut back" if theirs < ours else "another history than the one that this witness has co-signed"
        )
        failed(home, 1, words, f"witness check {folder} {at}")
        failed(home, 1, words, f"witness check {folder} {at}")  # and again
    files = list((folder / "refused").iterdir())
    proved = [file for file in files if "unproved" not in file.name]
    assert len(proved) == (theirs >= ours)
    for file in files:
        shown = msgspec.json.decode(file.read_bytes(), type=Accuse)
        assert shown.first != shown.second
        assert {head_of(shown.first).chain, head_of(shown.second).chain} == {head_of(shown.first).chain}
    done(home, f"witness check {folder} --data {city}")  # the first history still goes on


def test_a_fork_that_a_witness_found_is_shown_on_another_citys_ledger(home: Path, city: Path, tmp_path: Path) -> None:
    judge = copied(city, tmp_path / "judge")
    folder = tmp_path / "w"
    made(home, folder, city)
    chain = json.loads(done(home, f"trust --data {city}").out)
    other = forked(home, city, tmp_path / "other")
    live(city, 1)
    done(home, f"witness check {folder} --data {city}")
    live(other, 3, 2)
    failed(home, 1, "another history", f"witness check {folder} --data {other}")
    (file,) = (one for one in (folder / "refused").iterdir() if "unproved" not in one.name)
    log, at = log_id(chain["chain"]), f"--data {judge}"
    done(home, f"anchors watch --origin {chain['chain']} --key {chain['keys'][0]} --as supervisor {at}")
    with Node(city) as node:
        carried = f"log anchor --from {node.url} --as bank {at}"
        assert "anchors.anchored" in done(home, carried).out
        failed(home, 1, "anchors.anchored_already", carried)
        node.post(coins(node.stage(), 1))
        assert done(home, carried, "--json").json()["code"] == "ok"
        with Node(other) as liar:
            failed(home, 1, "anchors.not_consistent", f"log anchor --from {liar.url} --as bank {at}")
        assert "anchors.accused" in done(home, f"log accuse {file} --as bank {at}").out
        failed(home, 1, "anchors.stopped", carried)
    failed(home, 2, "no file of a witness", f"log accuse {city / 'operator.key'} --as bank {at}")
    found = done(home, f"anchors forks-of --log {log} --json {at}").json()["value"]
    assert [fork["origin"] for fork in found] == [chain["chain"]]
    note = tmp_path / "first"
    note.write_text(found[0]["first"])
    accuse = f"anchors accuse --log {log} --first @{note} --second @{note} --as bank {at}"
    failed(home, 1, "anchors.stopped", accuse)
    failed(home, 2, "cannot be read as text", accuse.replace(f"@{note}", f"@{tmp_path / 'nothing'}"))


def test_a_log_is_named_by_a_trust_file_or_a_key_and_nothing_else(home: Path, city: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    made(home, folder, city)
    golang = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    said = done(home, f"witness watch {folder} --json --vkey {golang} --origin", "go.sum database tree").json()
    assert said == {"origin": "go.sum database tree", "page": log_page("go.sum database tree")}
    failed(home, 2, "This names no log", f"witness watch {folder} --vkey {golang[:-1]}")
    failed(home, 2, "Name a log by", f"witness watch {folder}")
    failed(home, 2, "Name a log by", f"witness watch {folder} --origin x --trust {folder}.trust")
    failed(home, 2, "no trust file", f"witness watch {folder} --trust {city / 'operator.key'}")
    failed(home, 2, "no blanks and no plus", f"witness init {tmp_path / 'x'} --name", "a b")
    failed(home, 4, "There is a witness in", f"witness init {folder} --name w")
    failed(home, 4, "There is no witness in", f"witness run {tmp_path / 'x'}")
    with Running(folder):
        failed(home, 4, "Another process uses the witness", f"witness check {folder} --data {city}")


def test_killed_at_any_moment_a_witness_co_signs_one_history(home: Path, city: Path, tmp_path: Path) -> None:
    """Two operators' machines post two histories while the witness is killed and started; one of them wins for ever."""
    folder = tmp_path / "w"
    made(home, folder, city)
    other = forked(home, city, tmp_path / "other")
    base = live(city, 0)
    bodies: dict[tuple[int, int], bytes] = {}
    heads: list[list[int]] = [[], []]
    for branch, data in enumerate((city, other)):
        for _ in range(4):
            size = live(data, 1, 1 + branch)
            heads[branch].append(size)
            for old in (0, base, *range(base + 2, size, 2)):
                bodies[branch * 1000 + old, size] = asked(data, old)
    chance, won = Random(7), set()
    for _ in range(rounds(4, 40)):
        with Running(folder) as witness:
            killer = threading.Timer(chance.random() * 0.4, witness.process.send_signal, [signal.SIGKILL])
            killer.start()
            try:
                while witness.process.poll() is None:
                    (branch_old, size), body = chance.choice(list(bodies.items()))
                    if witness.http.post("/add-checkpoint", content=body).status_code == 200:
                        won.add((branch_old // 1000, size))
            except httpx.HTTPError:
                pass
            killer.join()
    assert won
    assert len({branch for branch, size in won if size > base}) == 1
    (file,) = (folder / "logs").iterdir()
    note = json.loads(file.read_bytes())["note"]
    assert head_of(note).size >= max(size for _, size in won)
    assert (
        say(home, f"witness check {folder} --data {other}").code
        + say(home, f"witness check {folder} --data {city}").code
        == 1
    )
