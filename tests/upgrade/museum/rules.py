"""What the new program has besides: a museum, which no genesis names."""

from metrobloc.kernel.context import Ctx, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.types import Message, Record, Slug, TimeMs

app = Module("museum", {})


class Exhibit(Record):
    """Something to be seen until a time."""

    title: Slug
    until_ms: TimeMs


class Show(Message):
    """Show something."""

    title: Slug


exhibits = app.table("exhibits", Exhibit, str)
days_max = app.param("days_max", 3, "Nothing is shown for longer.", (1, 30))


@app.tx(allow=anyone)
def show(ctx: Ctx, msg: Show) -> None:
    """Show something for some days."""
    until_ms = ctx.time_ms + ctx.param(days_max) * 86_400_000
    ctx[exhibits][msg.title] = Exhibit(msg.title, until_ms)
    ctx.at(until_ms, take_down, msg.title)


@app.deadline
def take_down(ctx: Ctx, key: str) -> None:
    """Show it no longer."""
    del ctx[exhibits][key]


@app.query
def on_show(view: View) -> int:
    """Say how much is shown."""
    return len(list(view[exhibits].items()))


@app.invariant
def what_is_shown_has_its_title(view: View) -> bool:
    """Find everything under its title."""
    return all(key == one.title for key, one in view[exhibits].items())
