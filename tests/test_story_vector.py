"""The charity's story gives the pinned bytes: transactions, receipts, log and state."""

import subprocess
import sys

from tests.support import ROOT


def test_the_story_gives_the_pinned_roots() -> None:
    """Changed on purpose? Run the script with --write, and say why in the changelog."""
    script = ROOT / "scripts/make_story_vector.py"
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
