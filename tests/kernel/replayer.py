"""Execute an export from its first block and print what every block commits to. Run as a program, by test_replay.py."""

import sys
from pathlib import Path

from metrobloc import app
from metrobloc.engine.memory import Memory
from metrobloc.kernel.machine import Machine, make_rules, read_block


def replay(lines: list[bytes]) -> list[str]:
    """Return the header of each block, the genesis first."""
    rules = make_rules(lines[0], app.modules())
    memory = Memory()
    machine = Machine(rules, memory)
    sealed = machine.found()
    memory.commit(sealed)
    headers = [sealed.header.decode()]
    for line in lines[1:]:
        block = read_block(line)
        for transaction in block.transactions:
            rules.check(bytes(transaction))
        _, made = machine.replay(block)
        assert made is not None
        memory.commit(made)
        headers.append(f"{made.header.decode()} {machine.log.root().hex()}")
    return headers


if __name__ == "__main__":
    sys.stdout.write("\n".join(replay(Path(sys.argv[1]).read_bytes().splitlines())))
