"""Write kernel/assigned.py: the code points that Unicode 14.0.0 assigns, from the tables of Python 3.11."""

import sys
import textwrap
import unicodedata
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src/metrobloc/kernel/assigned.py"
UNICODE = "14.0.0"
REFUSED = ("Cn", "Co", "Cs")
LINE = 112

HEAD = '''"""Know the code points that Unicode 14.0.0 assigns. Made by scripts/make_assigned.py; do not edit.

One version is pinned because Python versions carry different ones and a difference would fork the chain. Source: the
general category in the Unicode Character Database 14.0.0; unassigned (Cn, which holds the noncharacters), private use
(Co) and surrogates (Cs) are out.
"""

from bisect import bisect_right
from itertools import accumulate

_STEPS = (
'''

TAIL = ''')
_TURNS = tuple(accumulate(int(step, 16) for step in _STEPS.split()))


def is_assigned(character: str) -> bool:
    """Say whether Unicode 14.0.0 assigns this character."""
    return bisect_right(_TURNS, ord(character)) % 2 == 0
'''


def turns() -> list[int]:
    """List the code points at which assigned turns to unassigned and back, beginning assigned."""
    found, assigned = [], True
    for point in range(sys.maxunicode + 1):
        if (unicodedata.category(chr(point)) not in REFUSED) != assigned:
            assigned = not assigned
            found.append(point)
    return found


def module() -> str:
    """Write the module's text: the distances between the turns, in hexadecimal."""
    places = turns()
    steps = [f"{place - before:x}" for before, place in zip([0, *places], places, strict=False)]
    return HEAD + "".join(f'    "{row} "\n' for row in textwrap.wrap(" ".join(steps), LINE)) + TAIL


def main() -> int:
    """Write the module, or print it when the argument is a dash."""
    if unicodedata.unidata_version != UNICODE:
        sys.stderr.write(f"This Python carries Unicode {unicodedata.unidata_version}; use Python 3.11 ({UNICODE}).\n")
        return 2
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(module())
    else:
        TARGET.write_text(module(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
