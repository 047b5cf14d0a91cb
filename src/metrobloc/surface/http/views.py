"""Applications' views: a picture drawn from the mirror, and the file that proves what it shows, from the ledger."""

from typing import Annotated, cast

from litestar import Response, get
from litestar.datastructures import State
from litestar.params import PathParameter

from metrobloc.commons.views import NotShown, Shown, Views
from metrobloc.engine import proofs
from metrobloc.engine.solo import Solo
from metrobloc.kernel.context import View
from metrobloc.mirror.read import Mirror
from metrobloc.surface.http.answers import JSON, TurnedAway, node_of, told, turn
from metrobloc.surface.http.indexed import MinHeight, answered
from metrobloc.surface.http.pages import HEADERS

SVG = "image/svg+xml"

App = Annotated[str, PathParameter(max_length=31)]
Name = Annotated[str, PathParameter(max_length=31)]
File = Annotated[str, PathParameter(max_length=300, description="A key and `.svg`, such as `GIFT.svg`.")]
Key = Annotated[str, PathParameter(max_length=300)]


@get("/v1/views/{app:str}/{name:str}/{file:str}", opt=told(str, SVG))
async def view(state: State, app: App, name: Name, file: File, min_height: MinHeight = None) -> Response[bytes]:
    """Draw a view of an application, such as the path of a gift (`/v1/views/charity/path/GIFT.svg`), from the mirror.

    It is a picture in SVG, with a text for those who cannot see it, and says its height in the header
    `MetroBloc-Height`.
    """
    shown, (key, dot, ending) = _shown(state, app, name), file.rpartition(".")
    if (dot, ending) != (".", "svg") or not key.isascii():
        raise TurnedAway(404, "not_found", "A view is a picture: ask for a key and `.svg`.")

    def draw(mirror: Mirror) -> Response[bytes]:
        with mirror.rows() as (rows, height):
            svg = shown.draw(View(rows), key)
        return Response(svg.encode(), media_type=SVG, headers={**HEADERS, "MetroBloc-Height": str(height)})

    try:
        return await answered(state, draw, min_height)
    except NotShown as missing:
        raise TurnedAway(404, "not_found", str(missing)) from missing


@get("/v1/proofs/views/{app:str}/{name:str}/{key:str}", opt=told(dict))
async def view_proof(state: State, app: App, name: Name, key: Key) -> Response[bytes]:
    """Return a file that proves what a view shows, as of the last block (`metrobloc-path/1` for the path of a gift)."""
    shown = _shown(state, app, name)
    async with turn(state):
        try:
            return Response(prove(node_of(state), shown, key), media_type=JSON)
        except (NotShown, proofs.NotProvable) as missing:
            raise TurnedAway(404, "not_found", str(missing)) from missing


ROUTES = (view, view_proof)


def prove(node: Solo, shown: Shown, key: str) -> bytes:
    """Return the proof file of what a view shows; NotShown where there is nothing."""
    if not key.isascii():
        raise NotShown("A key is of printable ASCII characters; check it.")
    keys = shown.keys(View(node.store), key)
    return shown.bundle(key, [proofs.prove_record(node, one) for one in keys])


def _shown(state: State, app: str, name: str) -> Shown:
    found = cast("Views", state["views"]).get(app, {}).get(name)
    if found is None:
        raise TurnedAway(404, "not_found", "There is no such view; docs/api.md lists them.")
    return found
