"""Overlays, orders over rows and pages of a reader, each against a model of plain dictionaries."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrobloc.engine.memory import Memory, Rows
from metrobloc.kernel import state
from metrobloc.kernel.errors import Refused
from metrobloc.kernel.state import BlockState, Meter, TxState, unmetered
from metrobloc.kernel.tables import CommittedRows, MutableBalances, MutableRows
from tests.kernel import toys
from tests.kernel.toys import Box

KEYS = ("a", "aa", "ab", "b", "ba", "c")
COLOURS = ("blue", "green", "red")
Step = tuple[str, str, str]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "drop", "fold", "forget", "commit"]),
        st.sampled_from(KEYS),
        st.sampled_from(COLOURS),
    ),
    max_size=60,
)


@dataclass
class Model:
    """What a transaction, its block and the store hold, as whole dictionaries."""

    store: dict[str, Box] = field(default_factory=dict)
    block: dict[str, Box] = field(default_factory=dict)
    tx: dict[str, Box] = field(default_factory=dict)


def commit(memory: Memory, block: BlockState) -> None:
    """Take a block's changes over, as a store does."""
    for path, entry in block.changed.items():
        memory.records.set(path.encode(), None if entry is None else entry[0])
    for path, there in block.index_changed.items():
        memory.index.set(path.encode(), b"" if there else None)


def order(tx: TxState, colour: str, after: str) -> list[str]:
    """Return the boxes of a colour as the index gives them."""
    prefix = f"{toys.by_colour.prefix}{colour}/"
    return [path.removeprefix(prefix) for path in tx.scan_index(prefix, prefix + after if after else "")]


@settings(deadline=None, max_examples=150)
@given(STEPS)
def test_overlays_are_layers_of_dictionaries(steps: list[Step]) -> None:
    memory, model = Memory(), Model()
    block = BlockState(memory)
    tx = unmetered(block)
    for what, key, colour in steps:
        rows = MutableRows(toys.boxes, tx)
        if what == "put":
            rows[key] = model.tx[key] = Box(colour)
        elif what == "drop" and key in model.tx:
            del rows[key]
            del model.tx[key]
        elif what == "drop":
            with pytest.raises(Refused, match=r"toy\.boxes_unknown"):
                del rows[key]
        elif what == "fold":
            tx.fold()
            model.block = dict(model.tx)
            tx = unmetered(block)
        elif what == "forget":
            model.tx = dict(model.block)
            tx = unmetered(block)
        else:
            commit(memory, block)
            block = BlockState(memory)
            tx = unmetered(block)
            model.store = dict(model.block)
            model.tx = dict(model.block)
        compare(memory, tx, model)


def compare(memory: Memory, tx: TxState, model: Model) -> None:
    """Hold every way of reading to the model."""
    rows = MutableRows(toys.boxes, tx)
    assert {key: box for key in KEYS if (box := rows.get(key)) is not None} == model.tx
    for colour in COLOURS:
        expected = sorted(key for key, box in model.tx.items() if box.colour == colour)
        assert order(tx, colour, "") == expected
        assert order(tx, colour, "aa") == [key for key in expected if key > "aa"]
    committed = CommittedRows(toys.boxes, memory)
    assert dict(committed.items()) == model.store
    assert [key for key, _ in committed.items(under="a", after="aa")] == [
        k for k in sorted(model.store) if "aa" < k < "b"
    ]


def test_an_order_over_many_pages_mixes_what_is_stored_and_what_is_new() -> None:
    memory = Memory()
    stored = BlockState(memory)
    tx = unmetered(stored)
    names = [f"box{number:04}" for number in range(1200)]
    for name in names[::2]:
        MutableRows(toys.boxes, tx)[name] = Box("red")
    tx.fold()
    commit(memory, stored)
    block = BlockState(memory)
    for names_here in (names[1:600:2], names[601::2]):
        tx = unmetered(block)
        for name in names_here:
            MutableRows(toys.boxes, tx)[name] = Box("red")
        for name in names_here[::10]:
            MutableRows(toys.boxes, tx)[name] = Box("blue")
        if names_here is not names[601::2]:
            tx.fold()
    assert state.PAGE < 600
    reds = order(tx, "red", "")
    assert reds == sorted(reds)
    assert len(reds) + len(order(tx, "blue", "")) == len(names[::2]) + len(names[1:600:2]) + len(names_here)


def test_dropped_changes_leave_no_trace() -> None:
    block = BlockState(Memory())
    tx = TxState(block, Meter(1000))
    MutableRows(toys.boxes, tx)["a"] = Box("red")
    assert (block.changed, block.index_changed, block.index_sorted) == ({}, {}, [])


def test_the_undo_knows_every_written_key() -> None:
    block = BlockState(Memory())
    tx = TxState(block, Meter(1000))
    MutableRows(toys.boxes, tx)["a"] = Box("red")
    tx.fold()
    assert block.base == {"toy/boxes/a": None}


def test_work_counts_reads_writes_and_bytes() -> None:
    tx = TxState(BlockState(Memory()), Meter(10**6))
    rows = MutableRows(toys.marbles.rows, tx)
    rows.get(("glass", "ann"))
    assert tx.meter.used == state.READ_WORK
    MutableBalances(toys.marbles, tx).move("bag", "ann", 3, "glass", floor=-3)
    assert tx.meter.used == 3 * state.READ_WORK + 2 * state.WRITE_WORK
    with pytest.raises(Refused, match="too_much_work"):
        tx.meter.charge(10**6)


def test_a_ledger_keeps_its_sum() -> None:
    tx = unmetered(BlockState(Memory()))
    ledger = MutableBalances(toys.marbles, tx)
    ledger.move("bag", "ann", 3, "glass", floor=-3)
    assert (ledger.of("bag", "glass"), ledger.of("ann", "glass")) == (-3, 3)
    with pytest.raises(Refused, match=r"toy\.marbles_too_low"):
        ledger.move("bag", "ann", 1, "glass", floor=-3)
    ledger.move("ann", "bag", 3, "glass")
    assert set(tx.changed.values()) == {None}  # a balance of nothing is not kept
    for amount, target in ((0, "bag"), (-1, "bag"), (1, "ann")):
        with pytest.raises(ValueError, match="two different ends"):
            ledger.move("ann", target, amount, "glass")


NAMES = st.text("ab", min_size=1, max_size=4).map(str.encode)
ROWS = st.lists(st.tuples(NAMES, st.none() | NAMES), max_size=80)


@settings(deadline=None, max_examples=150)
@given(ROWS, NAMES | st.just(b""), st.none() | NAMES, st.integers(1, 5))
def test_rows_in_memory_are_a_sorted_dictionary(
    changes: list[tuple[bytes, bytes | None]], prefix: bytes, beyond: bytes | None, limit: int
) -> None:
    after = beyond and prefix + beyond
    rows, model = Rows(), dict[bytes, bytes]()
    for key, value in changes:
        rows.set(key, value)
        model.pop(key, None)
        if value is not None:
            model[key] = value
        found = [(k, v) for k, v in sorted(model.items()) if k.startswith(prefix) and (after is None or k > after)]
        assert rows.scan(prefix, after, limit) == found[:limit]
