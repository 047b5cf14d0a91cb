"""A program that knows the first version of the rules: boxes on a shelf, with a colour."""

from collections.abc import Mapping

from metrobloc.commons.governance.rules import app as governance
from metrobloc.commons.identity.rules import app as identity
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.types import Event, Message, Record, Slug

app = Module("shelf", {})


class Box(Record):
    """A box on the shelf."""

    colour: Slug


class Put(Message):
    """Put a box on the shelf."""

    box: Slug
    colour: Slug


class Paint(Message):
    """Paint a box."""

    box: Slug
    colour: Slug


class Painted(Event):
    """A box has another colour."""

    box: Slug
    colour: Slug


boxes = app.table("boxes", Box, str, "unknown")
app.param("boxes_max", 100, "The shelf is not longer.", (1, 1000))


@app.tx(allow=anyone)
def put(ctx: Ctx, msg: Put) -> None:
    """Put a box on the shelf."""
    ctx[boxes][msg.box] = Box(msg.colour)


@app.tx(allow=anyone)
def paint(ctx: Ctx, msg: Paint) -> None:
    """Paint a box."""
    ctx[boxes][msg.box] = ctx[boxes][msg.box].but(colour=msg.colour)
    ctx.emit(Painted(msg.box, msg.colour))


def modules() -> Mapping[str, Module]:
    """Return the modules of this program."""
    return {module.name: module for module in (identity, governance, app)}
