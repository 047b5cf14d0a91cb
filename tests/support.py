"""What every test may need: where things are, how long to go on, and what to do when something is missing."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
CI = os.environ.get("CI") == "true"
LONG = os.environ.get("METROBLOC_LONG") == "1"


def need(present: object, what: str) -> None:
    """Skip the test when something outside the project is missing; with CI=true every skip fails (conftest.py)."""
    if not present:
        pytest.skip(f"missing: {what}")


def rounds(short: int, long: int) -> int:
    """Answer how often to repeat: `short` in `make test`, `long` in `make test-long`."""
    return long if LONG else short
