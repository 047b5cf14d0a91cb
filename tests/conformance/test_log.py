"""Our log and notes before the readers of others: golang.org/x/mod/sumdb (note, tlog) v0.30.0 in Go."""

import json
import random
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrobloc.app import modules
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.types import Register
from metrobloc.commons.notes import Checkpoint, Note, cosign, read, render, sign, sign_checkpoint
from metrobloc.commons.stage import Stage
from metrobloc.commons.witnessing import Asked, read_lines, write_asked
from metrobloc.commons.witnessing import Log as WatchedLog
from metrobloc.engine.cosigned import COSIGNED_FILE, keep_cosigned
from metrobloc.engine.publishing import publish
from metrobloc.engine.solo import Solo
from metrobloc.engine.witness import Witness
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.log import Log, consistency_proof, inclusion_proof, root_at
from metrobloc.surface.ledger import Local
from tests.support import need, rounds

PROGRAM = Path(__file__).parent / "go" / "notes"
CHAIN = "demo-city-0123456789abcdef"
OPERATOR, WITNESS = SigningKey(b"o" * 32), SigningKey(b"w" * 32)
TIME_S = 1_700_000_000
Question = dict[str, Any]
Ask = Callable[[list[Question]], list[Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Build the Go program and put questions to it."""
    need(shutil.which("go"), "Go")
    fetched = subprocess.run(["go", "mod", "download"], cwd=PROGRAM, capture_output=True, check=False)
    need(fetched.returncode == 0, "the Go module golang.org/x/mod")
    binary = tmp_path_factory.mktemp("go") / "notes"
    subprocess.run(["go", "build", "-mod=readonly", "-buildvcs=false", "-o", binary, "."], cwd=PROGRAM, check=True)

    def put(questions: list[Question]) -> list[Any]:
        lines = "\n".join(json.dumps(question) for question in questions)
        done = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(questions)
        return answers

    return put


def text(data: bytes) -> str:
    """Write bytes as Go's JSON reads them."""
    return b64encode(data).decode()


def about(note: bytes, what: str, key: SigningKey, name: str = CHAIN) -> Question:
    """Ask what a note says if this key signed it."""
    return {"Ask": what, "Name": name, "Key": text(key.public_key), "Note": note.decode()}


def test_checkpoints_are_opened(ask: Ask) -> None:
    data = sign_checkpoint(Checkpoint(CHAIN, 12345, bytes(range(32))), OPERATOR, TIME_S)
    note = read(data)
    witnessed = render(
        Note(note.body, (*note.signatures, cosign(note.body, "witness.example/w1", WITNESS, TIME_S + 1)))
    )
    assert ask([about(data, "open", OPERATOR), about(data, "cosigned", OPERATOR)]) == [note.body, TIME_S]
    questions = [
        about(witnessed, "open", OPERATOR),
        about(witnessed, "cosigned", OPERATOR),
        about(witnessed, "cosigned", WITNESS, "witness.example/w1"),
    ]
    assert ask(questions) == [note.body, TIME_S, TIME_S + 1]


def test_false_checkpoints_are_refused(ask: Ask) -> None:
    data = sign_checkpoint(Checkpoint(CHAIN, 12345, bytes(range(32))), OPERATOR, TIME_S)
    lines = data.decode().splitlines(keepends=True)
    false = data.replace(b"12345", b"12346")
    questions = [
        about(false, "open", OPERATOR),
        about(false, "cosigned", OPERATOR),
        about(data, "open", WITNESS),
        about(data, "cosigned", WITNESS),
        about("".join(lines[:-1]).encode(), "cosigned", OPERATOR),
        about("".join([*lines[:-2], lines[-1]]).encode(), "open", OPERATOR),
    ]
    assert ask(questions) == [None] * len(questions)


def test_go_signs_as_we_do(ask: Ask) -> None:
    body = f"{CHAIN}\nwords, Wörter, 文字\n"
    answers = ask([{"Ask": "sign", "Name": CHAIN, "Key": text(OPERATOR.seed), "Note": body}])
    assert answers == [render(Note(body, (sign(body, CHAIN, OPERATOR),))).decode()]


def test_proofs_hold(ask: Ask) -> None:
    rng = random.Random(30)
    leaves = [rng.randbytes(32) for _ in range(1000)]
    _, tiles = Log().extended(leaves)
    questions: list[Question] = []
    for _ in range(rounds(200, 5000)):
        new = rng.randint(1, len(leaves))
        root, old, index = text(root_at(new, lambda *tile: tiles[tile])), rng.randint(1, new), rng.randrange(new)
        path = inclusion_proof(index, new, lambda *tile: tiles[tile])
        link = consistency_proof(old, new, lambda *tile: tiles[tile])
        inclusion = {"Ask": "inclusion", "Old": index, "New": new, "Leaf": text(leaves[index]), "After": root}
        before = text(root_at(old, lambda *tile: tiles[tile]))
        consistency = {"Ask": "consistency", "Old": old, "New": new, "Before": before, "After": root}
        questions += [inclusion | {"Path": list(map(text, path))}, consistency | {"Path": list(map(text, link))}]
    assert all(ask(questions))
    assert not any(ask([question | {"Path": [*question["Path"], text(bytes(32))]} for question in questions]))
    assert not any(ask([question | {"After": text(bytes(32))} for question in questions]))


def test_a_published_folder_is_read_entry_by_entry(ask: Ask, tmp_path: Path) -> None:
    """Go computes every proof from the folder's tiles alone, and knows the witness's co-signature by its key."""
    node = Solo.create(tmp_path / "city", demo_genesis(1_700_000_000_000, modules()), modules())
    stage = Stage(node.machine.rules, node.execute, node.machine.time_ms)
    sizes = []
    for number in range(130):
        names = [f"{number} {other}" for other in range(1 + number % 5)]
        stage.send([stage.sign(("bank", Register(stage.key(name).key_id)), also=(name,)) for name in names])
        sizes.append(node.machine.log.size)
    witness = Witness.create(tmp_path / "witness", "witness.example/w1")
    witness.watch(WatchedLog(node.chain, node.chain, (node.key.key_id,)))
    line = witness.take(write_asked(Asked(0, (), node.checkpoint())), TIME_S)
    keep_cosigned(node.home / COSIGNED_FILE, node.checkpoint(), read_lines(read(node.checkpoint()), line))
    folder, size, tile = tmp_path / "log", node.machine.log.size, node.store.tile
    publish(folder, Local(node), [], lambda _: None)
    assert size > 512
    question = about(b"", "folder", node.key, node.chain) | {"Dir": str(folder)}
    olds = [1, 2, 255, 256, 257, 512, *sizes[::20]]
    answers = ask([question | {"Old": old, "Before": text(root_at(old, tile))} for old in olds])
    assert answers == [{"entries": size, "path": list(map(text, consistency_proof(old, size, tile)))} for old in olds]
    checkpoint = (folder / "checkpoint").read_bytes()
    assert ask([about(checkpoint, "cosigned", witness.key, "witness.example/w1")]) == [TIME_S]
    right = question | {"Old": 1, "Before": text(root_at(1, tile))}
    for name in ("tile/0/000", "tile/entries/001", "tile/1/000.p/2"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert ask([right]) == [None]
        (folder / name).write_bytes(data)
    assert ask([right, right | {"Key": text(OPERATOR.public_key)}])[1] is None
    node.close()
    witness.close()


def test_tiles_have_the_same_bytes(ask: Ask) -> None:
    rng = random.Random(8)
    leaves = [rng.randbytes(32) for _ in range(700)]
    _, tiles = Log().extended(leaves)
    hashes = [text(leaf) for leaf in leaves]
    questions = [
        {"Ask": "tile", "Leaves": hashes, "Level": level, "Index": index, "Width": len(tile) // 32}
        for (level, index), tile in tiles.items()
    ]
    assert sorted(tiles) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert [b64decode(answer) for answer in ask(questions)] == list(tiles.values())
