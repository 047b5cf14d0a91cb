"""Properties that follow from an application's declarations, found out with Hypothesis: short runs that shrink.

A run of actions is a list of numbers, and each number is the chance of one step; so a failing run shrinks to the few
steps that matter.
"""

import json
import random
from collections.abc import Iterator, Sequence
from functools import partial

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrobloc.kernel import codec, system
from metrobloc.kernel.block import Calls
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import VOIDS
from metrobloc.kernel.machine import read_block
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.kernel.types import Message
from metrobloc.surface.describe import FieldDoc, fields_of
from metrobloc.testing.drawing import UNKNOWN
from metrobloc.testing.nouns import Noun, at_limits, beyond_limits, example, nouns_of
from metrobloc.testing.sandbox import Sandbox
from metrobloc.testing.simulate import Simulation, Story

EXAMPLES = 25
RUNS = 30
STEPS = 12
_settled = partial(
    settings,
    database=None,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
_receipts = msgspec.json.Decoder(ReadReceipt)


def nouns_keep_their_bytes(app: Module) -> None:
    """Write examples of every message, record and event, and read back what was written."""
    for noun in nouns_of(app).values():
        _keeps(noun)


def _keeps(noun: Noun) -> None:
    decoder = msgspec.json.Decoder(noun)

    @_settled(max_examples=EXAMPLES)
    @given(st.randoms(use_true_random=False))
    def keeps(chance: random.Random) -> None:
        value = example(noun, chance)
        raw = codec.encode(value)
        assert codec.decode(raw, decoder) == value
        assert codec.encode(codec.decode(raw, decoder)) == raw

    keeps()


def limits_are_kept(app: Module) -> None:
    """Read every field of every noun at each of its limits, and have it refused with the right code just beyond."""
    for called, noun in nouns_of(app).items():
        decoder = msgspec.json.Decoder(noun)
        plain = json.loads(msgspec.json.encode(msgspec.to_builtins(example(noun, random.Random(called)))))  # noqa: S311
        _refuse(decoder, plain | {"never": 1}, "unknown_field", called)
        for field in fields_of(noun):
            where = f"{called}.{field.name}"
            value = plain.get(field.name, [] if field.many else None)
            for good in at_limits(field, value):
                raw = _written(plain, field, good)
                assert codec.encode(codec.decode(raw, decoder)) == raw, where
            for bad, code in beyond_limits(field, value):
                _refuse(decoder, plain | {field.name: bad}, code, where)
            if field.required:
                _refuse(decoder, {k: v for k, v in plain.items() if k != field.name}, "missing_field", where)


def _written(plain: dict[str, object], field: FieldDoc, value: object) -> bytes:
    """Write an object with a field's value, which is left out where it is the default."""
    whole = plain | {field.name: value}
    if not field.required and json.loads(field.default) == value and isinstance(value, bool | int | str | list):
        del whole[field.name]
    return _bytes(whole)


def _refuse(decoder: msgspec.json.Decoder[msgspec.Struct], whole: dict[str, object], code: str, where: str) -> None:
    try:
        codec.decode(_bytes(whole), decoder)
    except Malformed as fault:
        assert fault.code == code, f"{where}: {fault.sentence}"  # noqa: PT017  # other codes are wrong too
    else:
        raise AssertionError(f"{where}: read though it is {code}")


def _bytes(whole: dict[str, object]) -> bytes:
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def actions_end_as_declared(modules: Sequence[Module], app: Module, story: Story | None) -> None:
    """Do anything in any order and hold every end to what is declared; see `_step` for what that is."""

    @_settled(max_examples=RUNS)
    @given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=STEPS))
    def ends(steps: list[int]) -> None:
        run = Simulation(modules, 1, [] if story is None else [story])
        own = list(app.actions.values())
        for number in steps:
            run.random.seed(number)
            run.sandbox.stage.time_ms += run.random.choice((1, 60_000, 3_600_000))
            run.drawing.time_ms = run.sandbox.stage.time_ms
            action = run.random.choice(own)
            _step(run, *run.transaction(action))
        _replay(modules, run.sandbox)

    ends()


def _step(run: Simulation, calls: Calls, named: list[SigningKey]) -> None:
    """Execute calls and require what holds of all.

    A declared code and no bug; the outcome that a simulation foretold; `not_allowed` exactly when the permission does
    not hold; nothing changed by a refusal; no identifier accepted that stands for nothing; every invariant.
    """
    box, now = run.sandbox, run.sandbox.stage.time_ms
    box.execute([], now)  # what is due runs now and not in between
    salt = f"{run.random.getrandbits(128):032x}"
    code, receipt = box.machine.open_block(now).execute(salt, calls)
    before = _rows(box)
    if len(calls) == 1:
        action, actor, message = calls[0]
        for who in (actor, run.random.choice(run.drawing.accounts)):
            ended, _ = box.machine.open_block(now).execute(salt, [(action, who, message)])
            assert action.allow.holds(partial(_holds, box, who)) == (ended != "not_allowed"), "a permission disagrees"
        for wrong in _unknown(run, action, message):
            refused, _ = box.machine.open_block(now).execute(salt, [(action, actor, wrong)])
            assert refused != "ok", f"{action.do} accepts an identifier that stands for nothing"
    outcome = box.execute([run.sign(calls, named, salt)], now)[0]
    run.note(outcome.code, calls)
    assert not box.bugs, box.bugs[0]
    if outcome.code not in VOIDS:
        assert outcome.code == code, "simulated as one thing, executed as another"
        assert _told(outcome.receipt) == _told(receipt), "simulated with one receipt, executed with another"
    if outcome.code != "ok":
        assert _rows(box) == before, f"{outcome.code} has changed something"
    assert not box.broken(), box.broken()
    run.catch_up()


def _holds(box: Sandbox, account: str, role: str) -> bool:
    grant = box.view[system.roles].get((account, role))
    return grant is not None and grant.holds_at(box.stage.time_ms)


def _unknown(run: Simulation, action: Action, message: Message) -> Iterator[Message]:
    """Yield a message with one identifier that stands for nothing, for each that names one of the app's records."""
    for field in fields_of(action.message):
        if field.kind == "id" and not field.many and run.known.find(action.do.partition(".")[0], field.name):
            yield msgspec.structs.replace(message, **{field.name: UNKNOWN})


def _rows(box: Sandbox) -> dict[bytes, bytes]:
    """Return the rows of all modules' tables, without the kernel's own book-keeping."""
    return {key: raw for key, raw in box.memory.records.rows.items() if not key.startswith(b"kernel/")}


def _told(receipt: bytes) -> tuple[object, ...]:
    """Return what a receipt tells of a transaction, without its place in the log."""
    told = _receipts.decode(receipt)
    return told.code, told.call, told.ids, [(event.event, bytes(event.fields)) for event in told.events]


def _replay(modules: Sequence[Module], box: Sandbox) -> None:
    """Execute all blocks again from genesis and find the same root."""
    again = Sandbox(modules)
    for sealed in box.sealed[1:]:
        again.replay(read_block(sealed.block))
    assert again.machine.state_root == box.machine.state_root, "the same blocks give another root"
