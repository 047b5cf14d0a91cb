"""Run `metrobloc` commands beside a node, as processes of their own that may die but never outlive it.

The node holds one end of a pipe, the child's standard input; however the node ends, the pipe ends, and the child sees
it. A child that ends is started again, later each time. The node never waits for one while it works.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

log = logging.getLogger("metrobloc")

PAUSE_S, PAUSE_S_MAX = 1.0, 60.0
SOUND_S = 60.0
"""A child that has lived so long starts with the shortest pause again."""
ENDING_S = 5.0


@contextlib.contextmanager
def beside(commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Keep `metrobloc` commands running in the block, each given as its arguments; end them behind it."""
    ending = threading.Event()
    keepers = [threading.Thread(target=_keep, args=(command, ending), daemon=True) for command in commands]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        ending.set()
        for keeper in keepers:
            keeper.join()


def leash() -> None:
    """Let this process end when its standard input does."""
    threading.Thread(target=_end_with_input, daemon=True).start()


MAIN = f"from {__name__} import {leash.__name__} as leash; leash(); from metrobloc.app import main; main()"
"""What a child runs: it is the wiring that knows all commands, and this layer may not import it."""


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDING_S)
    os._exit(1)


def _keep(command: Sequence[str], ending: threading.Event) -> None:
    """Run a command again and again until the node ends."""
    pause_s = PAUSE_S
    while not ending.is_set():
        started = time.monotonic()
        code = _run(command, ending)
        if ending.is_set():
            return
        pause_s = PAUSE_S if time.monotonic() - started > SOUND_S else pause_s
        log.error("`metrobloc %s` ended with %d; it starts again in %.0f s.", " ".join(command), code, pause_s)
        ending.wait(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)


def _run(command: Sequence[str], ending: threading.Event) -> int:
    """Run a command to its end, or to the node's; return its exit code."""
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", MAIN, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,  # the node's own may be read by a script
        start_new_session=True,  # Ctrl-C on a terminal is for the node
    ) as child:
        assert child.stdin is not None
        while child.poll() is None and not ending.wait(0.2):
            pass
        child.stdin.close()
        try:
            return child.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()
