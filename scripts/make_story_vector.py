"""Write what the charity's story leaves on the ledger: python scripts/make_story_vector.py, on purpose only.

Without --write it only says whether the pinned file still holds.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

from metrobloc import app
from metrobloc.testing.sandbox import Sandbox

PINNED = Path(__file__).parents[1] / "tests/vectors/story_charity.json"


def told() -> dict[str, object]:
    """Play the story and return what is pinned of it."""
    box = Sandbox(app.modules().values())
    app.STORIES["charity"](box.stage)
    receipts = [receipt for sealed in box.sealed for receipt in sealed.receipts]
    return {
        "blocks": len(box.sealed),
        "chain": box.rules.chain,
        "log_root": box.machine.log.root().hex(),
        "log_size": box.machine.log.size,
        "receipts": len(receipts),
        "receipts_sha256": sha256(b"\n".join(receipts)).hexdigest(),
        "state_root": box.machine.state_root,
        "transactions": [made.hex() for sealed in box.sealed for made, _ in sealed.transactions],
    }


def main() -> int:
    """Compare, or with --write pin anew."""
    text = json.dumps(told(), indent=1, sort_keys=True) + "\n"
    if "--write" in sys.argv[1:]:
        PINNED.write_text(text, encoding="utf-8")
    same = PINNED.exists() and PINNED.read_text(encoding="utf-8") == text
    print("the story gives the pinned roots" if same else "the story gives other roots; --write pins them")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
