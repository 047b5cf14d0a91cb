"""What must not type-check: mypy refuses an `ignore` here that is not needed. Never imported."""

from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.state import TxState
from metrobloc.kernel.tables import CommittedRows, Rows
from tests.kernel.toys import Box, Paint, Painted, Put, app, boxes, marbles


def test_a_query_that_writes(view: View) -> None:
    """Write through a view."""
    view[boxes]["a"] = Box("red")  # type: ignore[index]
    view[marbles].move("a", "b", 1, "glass")  # type: ignore[attr-defined]
    del view[boxes]["a"]  # type: ignore[attr-defined]


def test_a_reader_that_writes(ctx: Ctx) -> None:
    """Write through what is for reading."""
    ctx.read(boxes)["a"] = Box("red")  # type: ignore[index]
    ctx.read(marbles).move("a", "b", 1, "glass")  # type: ignore[attr-defined]


def test_a_handler_with_slips(ctx: Ctx) -> None:
    """Slip."""
    ctx[boxes][7] = Box("red")  # type: ignore[index]
    ctx[boxes][("a", "b")] = Box("red")  # type: ignore[index]
    ctx[boxes]["a"] = Painted("red")  # type: ignore[assignment]
    ctx[marbles]["a"] = Box("red")  # type: ignore[index]
    ctx[boxes]["a"].colour = "red"  # type: ignore[misc]
    ctx[boxes]["a"].but(colour="red").color.upper()  # type: ignore[attr-defined]
    ctx[boxes].get("a").colour.upper()  # type: ignore[union-attr]
    ctx.emit(Box("red"))  # type: ignore[arg-type]


def test_messages_with_slips() -> None:
    """Slip."""
    Put("a")  # type: ignore[call-arg]
    Put("a", "red", "big")  # type: ignore[arg-type]
    Put(box="a", color="red")  # type: ignore[call-arg]
    Put("a", "red").box = "b"  # type: ignore[misc]


@app.tx()  # type: ignore[call-arg]
def test_no_permission(ctx: Ctx, msg: Paint) -> None:
    """Forget who may."""


@app.query  # type: ignore[arg-type]
def test_not_a_view(ctx: Ctx) -> int:
    """Ask a handler's context."""
    return ctx.time_ms


@app.invariant  # type: ignore[arg-type]
def test_not_a_truth(view: View) -> int:
    """Answer a number."""
    return len(list(view[boxes].items()))


def test_rows_of_nothing(tx: TxState) -> Rows[str, Box]:
    """Open a committed table as a transaction's."""
    return CommittedRows(boxes, tx)  # type: ignore[return-value,arg-type]
