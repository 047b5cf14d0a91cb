"""What an application's view is: a question that is answered with a picture, and the records that prove the answer.

A view is a function over rows, as a query is, and runs off the ledger: over the mirror at the door, over a data folder
or a node in a command. `app.py` names each application's views; a face is made for each, and nothing else is declared.
"""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from metrobloc.kernel.context import View


class NotShown(LookupError):
    """Say in a sentence why there is nothing to show, and what to do."""


class Shown(Struct, frozen=True):
    """A view: `draw` makes an SVG picture of what is under a key, `keys` names the records that prove it.

    `bundle` puts the proof files of these records, all of one height, into one file that `verify.py` accepts. `draw`
    and `keys` raise NotShown.
    """

    draw: Callable[[View, str], str]
    keys: Callable[[View, str], list[str]]
    bundle: Callable[[str, Iterable[bytes]], bytes]


Views = Mapping[str, Mapping[str, Shown]]
"""Views by name, by application."""
