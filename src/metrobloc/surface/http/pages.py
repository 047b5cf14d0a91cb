"""Pages for people: what this chain's applications are and how to call them, without scripts, from the description."""

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response, get
from litestar.datastructures import State

from metrobloc.kernel.envelope import PAYLOAD_TYPE
from metrobloc.surface.describe import AppDoc, param_rows, rows_of
from metrobloc.surface.http.answers import TurnedAway, faces

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""A page runs nothing and loads nothing; its style sheet stands in it."""


@get("/", include_in_schema=False)
async def front(state: State) -> Response[str]:
    """Show what this chain is and how to call it."""
    return _page(state, "")


@get("/docs", include_in_schema=False)
async def docs(state: State) -> Response[str]:
    """Show the same page under the name that people try."""
    return _page(state, "")


@get("/docs/{app:str}", include_in_schema=False)
async def app_page(state: State, app: str) -> Response[str]:
    """Show an application: its actions with permissions and fields, queries, tables, events, parameters, refusals."""
    return _page(state, app)


ROUTES = (front, docs, app_page)


def write(apps: tuple[AppDoc, ...], chain: str, version: str) -> Mapping[str, str]:
    """Write the pages of a chain, by application; the one without a name is the first."""
    environment = Environment(
        loader=PackageLoader("metrobloc.surface.http"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"rows": rows_of, "param_rows": param_rows})
    common = {"chain": chain, "version": version, "payload_type": PAYLOAD_TYPE}
    page = environment.get_template("app.html")
    first = environment.get_template("index.html").render(apps=apps, **common)
    return {"": first} | {app.name: page.render(app=app, **common) for app in apps}


def _page(state: State, name: str) -> Response[str]:
    page = faces(state).pages.get(name)
    if page is None:
        raise TurnedAway(404, "not_found", "There is no such application; /docs lists them.")
    return Response(page, media_type=MediaType.HTML, headers=HEADERS)
