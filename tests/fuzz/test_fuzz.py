"""Fuzz the decoder for a while, guided by coverage: a minute, or FUZZ_RUNS inputs (ten million in `make test-long`)."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from tests.kernel.bad_transactions import bad, message_cases
from tests.kernel.raw_transactions import MESSAGE, good, payload
from tests.support import LONG, ROOT, need

SECONDS = "60"
LONG_RUNS = "10000000"


def test_the_decoder_survives_fuzzing(tmp_path: Path) -> None:
    need(importlib.util.find_spec("atheris"), "the Python package atheris (it has no wheel for every platform)")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds()):
        (corpus / str(number)).write_bytes(seed)
    runs = os.environ.get("FUZZ_RUNS", LONG_RUNS if LONG else "")
    limit = f"-runs={runs}" if runs else f"-max_total_time={SECONDS}"
    command = [sys.executable, str(ROOT / "tests/fuzz/fuzz_decoder.py"), str(corpus), limit, "-seed=1", "-max_len=6000"]
    done = subprocess.run(
        [*command, "-print_final_stats=1", f"-artifact_prefix={tmp_path}/"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "number_of_executed_units" in done.stderr


def seeds() -> list[bytes]:
    """Begin with every bad transaction, their messages and the good ones."""
    envelopes = [b"e" + case.raw for case in bad()] + [b"e" + raw for raw in good()]
    bodies = [b"p" + payload(), b"v" + payload()]
    messages = [text.encode() if isinstance(text, str) else text for _, text, _ in message_cases()]
    messages.append(MESSAGE.encode())
    return envelopes + bodies + [kind + text for text in messages for kind in (b"m", b"v")]
