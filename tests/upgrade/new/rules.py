"""The program after it: boxes have a size too from version 2 of the rules on, and there is a museum to be opened."""

from collections.abc import Mapping

from metrobloc.commons.governance.rules import app as governance
from metrobloc.commons.identity.rules import app as identity
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.types import Event, Message, Record, Slug, Total
from tests.upgrade.museum.rules import app as museum

app = Module("shelf", {"too_large": "The box is larger than the shelf is high; take a smaller one."})


class Box(Record):
    """A box on the shelf; one from before the rules of version 2 has no size until somebody touches it."""

    colour: Slug
    size: Total = 0


class PutBefore(Message):
    """Put a box on the shelf."""

    box: Slug
    colour: Slug


class Put(Message):
    """Put a box of a size on the shelf."""

    box: Slug
    colour: Slug
    size: Total = 1


class Paint(Message):
    """Paint a box."""

    box: Slug
    colour: Slug


class Weigh(Message):
    """Tell how large a box is."""

    box: Slug


class Painted(Event):
    """A box has another colour."""

    box: Slug
    colour: Slug
    size: Total = 0


boxes = app.table("boxes", Box, str, "unknown")
app.param("boxes_max", 100, "The shelf is not longer.", (1, 1000))
size_max = app.param("size_max", 10, "The shelf is not higher.", (1, 50), since=2)


@app.tx(allow=anyone, verb="put")
def put_before(ctx: Ctx, msg: PutBefore) -> None:
    """Put a box on the shelf."""
    ctx[boxes][msg.box] = Box(msg.colour)


@app.tx(allow=anyone, since=2)
def put(ctx: Ctx, msg: Put) -> None:
    """Put a box of a size on the shelf."""
    app.require(msg.size <= ctx.param(size_max), "too_large")
    ctx[boxes][msg.box] = Box(msg.colour, msg.size)


@app.tx(allow=anyone, verb="paint")
def paint_before(ctx: Ctx, msg: Paint) -> None:
    """Paint a box."""
    ctx[boxes][msg.box] = ctx[boxes][msg.box].but(colour=msg.colour)
    ctx.emit(Painted(msg.box, msg.colour))


@app.tx(allow=anyone, since=2)
def paint(ctx: Ctx, msg: Paint) -> None:
    """Paint a box; one from before the rules of version 2 gets its size now."""
    box = ctx[boxes][msg.box]
    ctx[boxes][msg.box] = box.but(colour=msg.colour, size=box.size or 1)
    ctx.emit(Painted(msg.box, msg.colour, box.size or 1))


@app.tx(allow=anyone, since=2)
def weigh(ctx: Ctx, msg: Weigh) -> None:
    """Tell how large a box is."""
    box = ctx[boxes][msg.box]
    ctx.emit(Painted(msg.box, box.colour, box.size))


def modules() -> Mapping[str, Module]:
    """Return the modules of this program."""
    return {module.name: module for module in (identity, governance, app, museum)}
