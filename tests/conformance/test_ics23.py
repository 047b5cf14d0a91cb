"""Our ICS23 proofs before the library that others use: cosmos/ics23 v0.11.0 in Go, with its SmtSpec."""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from metrobloc.commons.ics23 import prove
from metrobloc.kernel.tree import StateTree, View, entry
from tests.support import need

PROGRAM = Path(__file__).parent / "go" / "ics23"


class Claim(NamedTuple):
    """What a proof is said to prove; no value claims that the key is absent."""

    root: bytes
    key: bytes
    value: bytes | None
    proof: bytes


Judge = Callable[[list[Claim]], list[bool]]
State = dict[bytes, bytes]


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Build the Go program and put claims to it."""
    need(shutil.which("go"), "Go")
    fetched = subprocess.run(["go", "mod", "download"], cwd=PROGRAM, capture_output=True, check=False)
    need(fetched.returncode == 0, "the Go modules of cosmos/ics23")
    binary = tmp_path_factory.mktemp("go") / "ics23"
    subprocess.run(["go", "build", "-mod=readonly", "-buildvcs=false", "-o", binary, "."], cwd=PROGRAM, check=True)

    def judge(claims: list[Claim]) -> list[bool]:
        lines = (
            json.dumps({name: None if data is None else data.hex() for name, data in claim._asdict().items()})
            for claim in claims
        )
        done = subprocess.run([binary], input="\n".join(lines), capture_output=True, text=True, check=True)
        answers = [line == "true" for line in done.stdout.splitlines()]
        assert len(answers) == len(claims)
        return answers

    return judge


def claim(view: View, state: State, key: bytes) -> Claim:
    """Claim the truth about a key, with our proof of it."""
    by_hash = {sha256(known).digest(): (known, record) for known, record in state.items()}
    value = sha256(state[key]).digest() if key in state else None
    return Claim(view.root, key, value, prove(view, key, by_hash.get))


def some_state(rng: random.Random, size: int) -> State:
    return {b"city/rows/%d" % rng.getrandbits(64): rng.randbytes(rng.randint(1, 300)) for _ in range(size)}


def blocks(rng: random.Random, tree: StateTree, state: State) -> Iterator[tuple[State, bytes]]:
    """Let 130 blocks insert, update and delete; yield the state before each, and its undo."""
    for _ in range(130):
        before = dict(state)
        changes: dict[bytes, bytes | None] = dict(some_state(rng, rng.randint(0, 4)))
        for key in rng.sample(sorted(state), min(len(state), rng.randint(0, 4))):
            changes[key] = rng.choice([None, rng.randbytes(9)])
        leaves = [
            entry(key, record) if record is not None else (sha256(key).digest(), None)
            for key, record in changes.items()
        ]
        undo = tree.update(leaves)
        for key, record in changes.items():
            if record is None:
                del state[key]
            else:
                state[key] = record
        yield before, undo


@pytest.mark.parametrize("size", [1, 2, 3, 10, 500, 5_000])
def test_presence_and_absence_are_accepted(accepted: Judge, size: int) -> None:
    rng = random.Random(size)
    state = some_state(rng, size)
    view = StateTree.build(entry(key, record) for key, record in state.items()).latest
    keys = rng.sample(sorted(state), min(size, 20)) + [b"nowhere/%d" % number for number in range(20)]
    # The outermost absent keys have one neighbour only.
    absent = sorted((b"edge/%d" % number for number in range(5 * size)), key=lambda key: sha256(key).digest())
    assert all(accepted([claim(view, state, key) for key in [*keys, *absent[:2], *absent[-2:]]]))


def test_proofs_at_each_of_the_last_128_heights_are_accepted(accepted: Judge) -> None:
    rng = random.Random(11)
    state = some_state(rng, 30)
    tree = StateTree.build(entry(key, record) for key, record in state.items())
    past = list(blocks(rng, tree, state))[::-1]
    claims = []
    for back in range(1, 129):
        before = past[back - 1][0]
        view = tree.at(undo for _, undo in past[:back])
        claims += [claim(view, before, key) for key in (*rng.sample(sorted(before), min(3, len(before))), b"none")]
    assert len(claims) > 400
    assert all(accepted(claims))


def flipped(proof: bytes, start: int) -> Iterator[bytes]:
    """Flip each bit of a proof from a byte onwards."""
    for at in range(8 * start, 8 * len(proof)):
        damaged = bytearray(proof)
        damaged[at >> 3] ^= 1 << (at & 7)
        yield bytes(damaged)


def test_one_flipped_bit_is_refused(accepted: Judge) -> None:
    state = some_state(random.Random(12), 60)
    view = StateTree.build(entry(key, record) for key, record in state.items()).latest
    present, absent = claim(view, state, min(state)), claim(view, state, b"none")
    assert accepted([present, absent]) == [True, True]
    # The library compares with the key it is asked about and never reads the one inside a proof of absence.
    unread = absent.proof.index(b"none") + len(b"none")
    claims = [present._replace(proof=proof) for proof in flipped(present.proof, 0)]
    claims += [absent._replace(proof=proof) for proof in flipped(absent.proof, unread)]
    assert not any(accepted(claims))


def test_a_proof_of_something_else_is_refused(accepted: Judge) -> None:
    rng = random.Random(13)
    state = some_state(rng, 60)
    tree = StateTree.build(entry(key, record) for key, record in state.items())
    key, other = rng.sample(sorted(state), 2)
    present, second, absent = (claim(tree.latest, state, wanted) for wanted in (key, other, b"none"))
    without = StateTree.build(entry(known, record) for known, record in state.items() if known != key)
    false_absence = claim(without.latest, {known: state[known] for known in state if known != key}, key)
    false_presence = claim(StateTree.build([entry(b"none", b"1")]).latest, {b"none": b"1"}, b"none")
    assert accepted([present, second, absent, false_absence, false_presence]) == [True] * 5
    claims = [
        present._replace(key=other),
        present._replace(value=second.value),
        present._replace(proof=second.proof),
        present._replace(value=None),
        present._replace(proof=b""),
        present._replace(root=false_absence.root),
        absent._replace(key=key),
        absent._replace(value=b"1"),
        absent._replace(root=without.root),
        false_absence._replace(root=tree.root),
        false_presence._replace(root=tree.root),
    ]
    assert accepted(claims) == [False] * len(claims)
