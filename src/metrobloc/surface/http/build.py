"""The door as one application over a node's sealer."""

import asyncio

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders, State
from litestar.exceptions import HTTPException
from litestar.types import Message, Scope

from metrobloc import __version__
from metrobloc.commons.views import Views
from metrobloc.engine.sealer import Busy, Sealer
from metrobloc.engine.solo import Solo
from metrobloc.kernel.codec import Malformed
from metrobloc.kernel.errors import MachineFault
from metrobloc.mirror.read import Mirror
from metrobloc.surface.describe import check_names, describe, in_force
from metrobloc.surface.http import allowed, asking, document, indexed, log, pages, reading, streams, transactions, views
from metrobloc.surface.http.answers import (
    Faces,
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
    *views.ROUTES,
)


def build(sealer: Sealer, mirror: Mirror | None = None, shown: Views | None = None) -> Litestar:
    """Return the application over a node's sealer, mirror and views; TypeError when names of its modules collide."""
    check_names({module.name: module for module in sealer.node.machine.rules.modules}, ())
    return Litestar(
        ROUTES,
        state=State(
            {
                "sealer": sealer,
                "mirror": mirror,
                "views": shown or {},
                "faces": _Faces(sealer.node).now,
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


class _Faces:
    """What follows from the declarations in force, made anew when the council has changed which those are."""

    def __init__(self, node: Solo) -> None:
        """Make it as of now."""
        self.node = node
        self._made: tuple[object, Faces | None] = (None, None)
        self.now()

    def now(self) -> Faces:
        """Return it as of the next block."""
        ahead = self.node.machine.ahead()
        made_for, made = self._made
        if made is None or made_for != (ahead.version, ahead.active):
            modules, chain = in_force(ahead), self.node.chain
            apps = describe(modules)
            written = document.write(ROUTES, modules, apps, __version__, chain)
            made = Faces(modules, apps, pages.write(apps, chain, __version__), written)
            self._made = ((ahead.version, ahead.active), made)
        return made


async def _name_version(message: Message, _: Scope) -> None:
    """Say in every answer which version of MetroBloc gave it."""
    if message["type"] == "http.response.start":
        MutableScopeHeaders.from_message(message)["MetroBloc-Version"] = __version__
