"""Questions to governance that are more than one look-up."""

from typing import Annotated

from msgspec import Meta

from metrobloc.commons.governance.rules.deciding import needed
from metrobloc.commons.governance.rules.declared import app, councils
from metrobloc.commons.identity.rules import COUNCIL
from metrobloc.kernel import system
from metrobloc.kernel.context import View
from metrobloc.kernel.state import pages
from metrobloc.kernel.types import AccountId, Record, Total


class Seats(Record):
    """Who is on the council, and how many of them must approve."""

    members: Annotated[tuple[AccountId, ...], Meta(max_length=1024)]
    needed: Total


@app.query
def council(view: View) -> Seats:
    """Say who is on the council, and how many of them must approve a proposal."""
    members = holders(view, COUNCIL)
    decided = view[councils].get(COUNCIL)
    return Seats(members, needed(decided.threshold if decided is not None else 0, len(members)))


def holders(view: View, role: str) -> tuple[str, ...]:
    """Return the accounts to which a role was given."""
    prefix = f"{system.by_role.prefix}{role}/"
    return tuple(path.removeprefix(prefix).partition("/")[0] for path, _ in pages(view.reader.scan_index, prefix, ""))
