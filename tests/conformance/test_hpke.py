"""Our envelopes before another implementation of HPKE: Go's own, both ways."""

import json
import random
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from metrobloc.client.vault import Box, Fault
from metrobloc.client.vault.sealing import Envelope, Place, commit, open_key, read_envelope, seal_key
from metrobloc.kernel import codec
from metrobloc.kernel.crypto import X25519, public_key
from tests.support import need, rounds

PROGRAM = Path(__file__).parent / "go" / "hpke"
READER, DIGEST = "b" * 26, "d" * 64
PLACE = Place("demo-city-x", "e" * 26, "a" * 26, "k" * 26, commit("00" * 32, b"a" * 26))
Ask = Callable[[list[dict[str, str]]], list[Any]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Build the Go program and put questions to it."""
    need(shutil.which("go"), "Go")
    binary = tmp_path_factory.mktemp("go") / "hpke"
    built = subprocess.run(
        ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", binary, "."],
        cwd=PROGRAM,
        capture_output=True,
        check=False,
    )
    need(built.returncode == 0, f"Go 1.26, which has HPKE: {built.stderr.decode()}")

    def put(questions: list[dict[str, str]]) -> list[Any]:
        lines = "\n".join(json.dumps(question) for question in questions)
        done = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return put


def text(data: bytes) -> str:
    """Write bytes as Go's JSON reads them."""
    return b64encode(data).decode()


def info_of(envelope: Envelope) -> bytes:
    """Return what docs/vault.md says that an envelope's key is bound to."""
    return codec.encode(msgspec.structs.replace(envelope, sealed=b""))


def test_go_opens_our_envelopes_and_only_as_they_are_bound(ask: Ask) -> None:
    chance = random.Random(5)
    questions, wanted = [], []
    for _ in range(rounds(20, 500)):
        box, key = Box(chance.randbytes(32)), chance.randbytes(32)
        envelope = read_envelope(seal_key(PLACE, DIGEST, key, READER, box.key_id))
        assert envelope is not None
        about = {"Ask": "open", "Key": text(box.key.private_bytes_raw()), "Sealed": text(envelope.sealed)}
        questions += [about | {"Info": text(info_of(envelope))}, about | {"Info": text(b"another")}]
        wanted += [text(key), None]
    answers = ask(questions)
    assert [one["Bytes"] for one in answers] == wanted
    assert all(one["Error"] for one in answers[1::2])


def test_we_open_what_go_has_sealed(ask: Ask) -> None:
    chance = random.Random(6)
    boxes = [Box(chance.randbytes(32)) for _ in range(rounds(20, 500))]
    keys = [chance.randbytes(32) for _ in boxes]
    empty = [Envelope(box.key_id, PLACE.chain, DIGEST, PLACE.entry, READER, b"") for box in boxes]
    questions = [
        {"Ask": "seal", "Key": text(public_key(box.key_id, X25519)), "Info": text(info_of(one)), "Plain": text(key)}
        for box, one, key in zip(boxes, empty, keys, strict=True)
    ]
    for box, one, key, told in zip(boxes, empty, keys, ask(questions), strict=True):
        file = codec.encode(msgspec.structs.replace(one, sealed=b64decode(told["Bytes"])))
        assert open_key(PLACE, DIGEST, file, READER, [box]) == key
        with pytest.raises(Fault, match="wrong_recipient"):
            open_key(PLACE, DIGEST, file, READER, [Box(bytes(32))])
