"""`metrobloc bench tree`: the state tree alone, at several sizes."""

import gc
import random
import statistics
import time
from typing import Any

from metrobloc.commons import ics23
from metrobloc.kernel import crypto
from metrobloc.kernel.tree import StateTree, entry

BLOCKS = 140
BLOCKS_TIMED = 12
CHANGED, ADDED = 5_000, 1_000
BACK = 128
PROOFS = 50


def measure(sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return, for each number of keys: microseconds per changed key, build seconds, proof milliseconds and bytes."""
    return {"hash_us": round(_hash_us(), 3), "sizes": {str(size): _measure(size) for size in sizes}}


def _key(number: int) -> bytes:
    return b"bench/rows/%d" % number


def _record(number: int, version: int) -> bytes:
    return (b'{"amount":%d,"version":%d,"text":"' % (number, version)).ljust(170, b"x") + b'"}'


def _measure(size: int) -> dict[str, Any]:
    random_ = random.Random(size)  # noqa: S311  # a load, not a secret
    versions = dict.fromkeys(range(size), 0)
    start = time.perf_counter()
    tree = StateTree.build(entry(_key(number), _record(number, 0)) for number in range(size))
    built_s = time.perf_counter() - start
    costs: list[float] = []
    undos: list[bytes] = []
    gc.disable()
    for block in range(BLOCKS):
        small = block >= BLOCKS_TIMED
        changed = random_.sample(range(size), min(size // 4, CHANGED // 10 if small else CHANGED))
        fresh = [] if small else list(range(len(versions), len(versions) + min(size // 10, ADDED)))
        for number in (*changed, *fresh):
            versions[number] = block + 1
        start = time.thread_time()
        changes = [entry(_key(number), _record(number, block + 1)) for number in (*changed, *fresh)]
        undos.append(tree.update(changes))
        if not small:
            costs.append((time.thread_time() - start) * 1e6 / len(changes))
    gc.enable()
    return {
        "us_per_changed_key": round(statistics.median(costs), 1),
        "build_s": round(built_s, 2),
        **_proofs(tree, undos[::-1], versions, random_),
    }


def _proofs(tree: StateTree, undos: list[bytes], versions: dict[int, int], random_: random.Random) -> dict[str, Any]:
    """Prove records now and some blocks back; a record that changed since is proved with its old value."""
    numbers = {crypto.sha256(_key(number)): number for number in versions}

    def value_of(key_hash: bytes) -> tuple[bytes, bytes]:
        number = numbers[key_hash]
        return _key(number), _record(number, versions[number])

    still = [number for number, version in versions.items() if version <= BLOCKS - BACK]
    now, back, bytes_ = [], [], []
    for number in random_.sample(still, PROOFS):
        start = time.perf_counter()
        bytes_.append(len(ics23.prove(tree.latest, _key(number), value_of)))
        now.append((time.perf_counter() - start) * 1e3)
        start = time.perf_counter()
        ics23.prove(tree.at(undos[:BACK]), _key(number), value_of)
        back.append((time.perf_counter() - start) * 1e3)
    return {
        "proof_ms": round(statistics.median(now), 3),
        f"proof_{BACK}_back_ms": round(statistics.median(back), 2),
        f"proof_{BACK}_back_ms_max": round(max(back), 2),
        "proof_bytes_max": max(bytes_),
    }


def _hash_us() -> float:
    start = time.thread_time()
    for _ in range(100_000):
        crypto.sha256(b"m" * 65)
    return (time.thread_time() - start) * 10
