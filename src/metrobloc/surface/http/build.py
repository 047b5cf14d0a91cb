"""The door as one application over a node's sealer."""

import asyncio

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders, State
from litestar.exceptions import HTTPException
from litestar.types import Message, Scope

from metrobloc import __version__
from metrobloc.engine.sealer import Busy, Sealer
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.errors import MachineFault
from metrobloc.mirror.read import Mirror
from metrobloc.surface.describe import check_names, describe
from metrobloc.surface.http import allowed, asking, document, indexed, log, pages, reading, streams, transactions
from metrobloc.surface.http.answers import (
    TurnedAway,
    say,
    say_busy,
    say_internal,
    say_malformed,
    say_stopping,
    say_turned_away,
)

ROUTES = (
    *transactions.ROUTES,
    *reading.ROUTES,
    *log.ROUTES,
    *asking.ROUTES,
    *allowed.ROUTES,
    *document.ROUTES,
    *pages.ROUTES,
    *streams.ROUTES,
    *indexed.ROUTES,
)


def build(sealer: Sealer, mirror: Mirror | None = None) -> Litestar:
    """Return the application over a node's sealer and mirror; TypeError when names of its modules collide."""
    modules = {module.name: module for module in sealer.node.machine.rules.modules}
    check_names(modules, ())
    described = describe(modules)
    app = Litestar(
        ROUTES,
        state=State(
            {
                "sealer": sealer,
                "mirror": mirror,
                "described": described,
                "turn": asyncio.Lock(),  # of what is computed where blocks are made
                "asking": asyncio.Lock(),  # of queries
                "mirroring": asyncio.Semaphore(indexed.QUESTIONS_AT_ONCE),
            }
        ),
        exception_handlers={
            HTTPException: say,
            TurnedAway: say_turned_away,
            Malformed: say_malformed,
            Busy: say_busy,
            MachineFault: say_stopping,
            Exception: say_internal,
        },
        before_send=[_name_version],
        # Whoever may read a page may read the ledger: there are no cookies and no log-in to protect.
        cors_config=CORSConfig(
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=["content-type", "last-event-id"],
            expose_headers=["MetroBloc-Version"],
        ),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.state["pages"] = pages.write(described, sealer.node.chain, __version__)
    app.state["document"] = document.write(ROUTES, modules, described, __version__, sealer.node.chain)
    return app


async def _name_version(message: Message, _: Scope) -> None:
    """Say in every answer which version of MetroBloc gave it."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders.from_message(message)["MetroBloc-Version"] = __version__
