"""Vectors: what an application's bytes, story and rules give, pinned in one file for each application.

A file holds the canonical bytes of one example of every noun, what the story leaves on the ledger, and digests of some
simulations: all their receipts and roots. A changed rule changes a digest, and on a running chain it would be a fork:
it takes a new version of the rules, and the file is written anew on purpose (`metrobloc lab vectors --write`).
For each story there is also a proof file of its last receipt with its trust file, which verify.py accepts.
"""

import base64
import inspect
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Raw

from metrobloc.commons import ics23
from metrobloc.commons.notes import Checkpoint, sign_checkpoint
from metrobloc.engine.proofs import FORMAT
from metrobloc.kernel import codec, log
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.machine import LOG_KEY
from metrobloc.kernel.module import Module
from metrobloc.surface.describe import package_of
from metrobloc.testing.nouns import example, nouns_of
from metrobloc.testing.sandbox import Sandbox
from metrobloc.testing.simulate import Story, simulate

PLACE = Path(__file__).parents[3] / "tests" / "vectors"
"""Where a checkout keeps the files."""

SEEDS = 6
STEPS = 400
OPERATOR = SigningKey(sha256(b"metrobloc vector operator").digest())
"""Who signs the log of a story's vector: a key that everybody can make."""


def files(modules: Sequence[Module], app: Module, story: Story | None = None) -> dict[str, bytes]:
    """Return the vector files of an app by name; `modules` are those that it needs, and itself."""
    whole: dict[str, object] = {"nouns": _nouns(app), "simulations": _simulations(modules, story)}
    found: dict[str, bytes] = {}
    if story is not None:
        box = Sandbox(modules)
        story(box.stage)
        whole["story"] = _told(box)
        found = {f"{app.name}.proof.json": _proof(box), f"{app.name}.trust.json": _trust(box)}
    text = msgspec.json.format(msgspec.json.encode(whole, order="sorted"), indent=1) + b"\n"
    return {f"{app.name}.json": text, **found}


def differing(made: Mapping[str, bytes], place: Path = PLACE) -> list[str]:
    """Return the names of the files that are not as they are pinned, or not there."""
    pinned = {name: place / name for name in made}
    return [name for name, path in pinned.items() if not path.exists() or path.read_bytes() != made[name]]


def needed(modules: Mapping[str, Module], app: Module, story: Story | None = None) -> tuple[Module, ...]:
    """Return the modules without which an app and its story cannot run, in their order, and the app.

    Everybody needs accounts, so identity comes first; of the others those whose code is imported by the app's modules,
    or by the story.
    """
    wanted = {next(iter(modules)), app.name}
    queue = [app]
    while queue:
        reached = _reached(queue.pop(), story)
        for name, module in modules.items():
            if name not in wanted and any(f"{one}.".startswith(f"{package_of(module)}.") for one in reached):
                wanted.add(name)
                queue.append(module)
    return tuple(module for name, module in modules.items() if name in wanted)


def _reached(app: Module, story: Story | None) -> set[str]:
    """Return the names of the modules of Python whose things the modules of an app's handlers, or a story, use."""
    package = f"{package_of(app)}."
    names = {action.handler.__module__ for action in app.actions.values()}
    names |= set() if story is None else {story.__module__}
    queue = sorted(names)
    while queue:
        for value in vars(sys.modules[queue.pop()]).values():
            name = value.__name__ if inspect.ismodule(value) else str(getattr(value, "__module__", ""))
            if name not in names:
                names.add(name)
                queue += [name] if name.startswith(package) else []
    return names


def _nouns(app: Module) -> dict[str, object]:
    chance = random.Random(app.name)  # noqa: S311  # chance that can be repeated is wanted
    found: dict[str, object] = {}
    for name, noun in sorted(nouns_of(app).items()):
        raw = codec.encode(example(noun, chance))
        found[name] = {"bytes": raw.decode(), "sha256": sha256(raw).hexdigest()}
    return found


def _simulations(modules: Iterable[Module], story: Story | None) -> dict[str, str]:
    """Return the digests of some short runs."""
    stories = [] if story is None else [story]
    return {f"seed {seed}, {STEPS} steps": simulate(modules, seed, STEPS, stories).digest() for seed in range(SEEDS)}


def _told(box: Sandbox) -> dict[str, object]:
    """Return what a story leaves on the ledger."""
    receipts = [receipt for sealed in box.sealed for receipt in sealed.receipts]
    return {
        "blocks": len(box.sealed),
        "chain": box.rules.chain,
        "log_root": box.machine.log.root().hex(),
        "log_size": box.machine.log.size,
        "receipts": len(receipts),
        "receipts_sha256": sha256(b"\n".join(receipts)).hexdigest(),
        "state_root": box.machine.state_root,
        "transactions": [made.hex() for sealed in box.sealed for made, _ in sealed.transactions],
    }


def _trust(box: Sandbox) -> bytes:
    trust = {"chain": box.rules.chain, "format": "metrobloc-trust/1", "keys": [OPERATOR.key_id]}
    return codec.encode(trust) + b"\n"


def _proof(box: Sandbox) -> bytes:
    """Return a proof file of a story's last receipt, as a node of the pinned operator would make it."""
    rows = {sha256(key).digest(): (key, raw) for key, raw in box.memory.records.rows.items()}
    tiles = {place: tile for sealed in box.sealed for place, tile in sealed.tiles.items()}
    last, whole = box.sealed[-1], box.machine.log
    size = whole.size - 1  # the header is the last leaf, and the log's head in the state is as it was before

    def path(index: int, leaves: int) -> list[str]:
        found = log.inclusion_proof(index, leaves, lambda level, place: tiles[level, place])
        return [base64.b64encode(node).decode() for node in found]

    checkpoint = sign_checkpoint(
        Checkpoint(box.rules.chain, whole.size, whole.root()), OPERATOR, box.machine.time_ms // 1000
    )
    proof = ics23.prove(box.machine.tree.latest, LOG_KEY.encode(), rows.get)
    contents: dict[str, object] = {
        "chain": box.rules.chain,
        "format": FORMAT,
        "header": Raw(last.header),
        "receipt": {"index": size - 1, "leaf": Raw(last.receipts[-1]), "path": path(size - 1, size)},
        "record": {
            "key": LOG_KEY,
            "proof": base64.b64encode(proof).decode(),
            "value": Raw(box.memory.records.rows[LOG_KEY.encode()]),
        },
        "trust": {"checkpoint": checkpoint.decode(), "index": size, "path": path(size, whole.size)},
    }
    return codec.encode(contents) + b"\n"
