"""Run a node through a day without its HTTP door, and say what it stands by: the program whose power is cut.

Argument: the folder, which may hold a chain already. It says `founded`, `committed` with a transaction's id, height and
number, `promised` with an envelope's hexadecimal digits, and `operator` with the name of the key in force.
"""

import asyncio
import sys
from pathlib import Path

from metrobloc.app import modules
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.engine import rocks
from metrobloc.engine.sealer import Sealer, clock_ms
from metrobloc.engine.solo import Solo
from metrobloc.engine.verifier import Verifier
from metrobloc.surface import bench_load

DONORS = 5
TURNS = 3


def main(home: Path) -> None:
    """Live the day."""
    rocks.WRITE_BUFFER_BYTES = 1 << 17
    if not (home / "store").exists():
        Solo.create(home, demo_genesis(clock_ms() - 1000, modules()), modules()).close()
        _say("founded")
    for _ in range(2):
        node = Solo.open(home, modules())
        asyncio.run(_give(node))
        _say("operator", node.rotate_key(clock_ms()))
        node.close()


async def _give(node: Solo) -> None:
    """Send gifts, some for a promise."""
    signer = bench_load.Signer(node.machine.rules)
    campaign = bench_load.prepare(node, signer, DONORS, lambda _: None) if node.machine.height < 2 else _campaign(node)
    with Verifier(node.store.meta("genesis") or b"", modules) as verifier:
        sealer = Sealer(node, verifier)
        running = asyncio.create_task(sealer.run())
        for _ in range(TURNS):
            for answer in await sealer.submit(bench_load.gifts(signer, campaign, range(DONORS))):
                _say("committed", answer.tx, answer.height, answer.index)
            raw = bench_load.gifts(signer, campaign, [0])[0]
            assert (await sealer.promise(raw)).status == "accepted"
            _say("promised", raw.hex())
        sealer.end()
        await running


def _campaign(node: Solo) -> str:
    """Return the campaign that the first half of the day opened."""
    prefix = b"charity/campaigns/"
    return node.store.scan(prefix, None, 1)[0][0].removeprefix(prefix).decode()


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
