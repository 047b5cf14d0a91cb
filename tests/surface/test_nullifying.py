"""Nullifiers: the same person again, whoever types her number how, and nobody without the secret."""

import hashlib
import hmac
from pathlib import Path

import pytest
from click.testing import CliRunner

from metrobloc import app
from metrobloc.surface.nullifying import nullifier
from tests.surface.city import Node, done, failed

KEY = bytes(range(32))
WIDE = "".join(chr(ord(mark) + 0xFEE0) for mark in "AB123456")  # as typed on an East Asian keyboard


def ask(home: Path, typed: str, *options: str) -> tuple[int, str]:
    """Run the command and type a number."""
    runner = CliRunner(env={"METROBLOC_HOME": str(home)}, catch_exceptions=False)
    result = runner.invoke(app.commands(), ["nullifier", *options], input=f"{typed}\n")
    return result.exit_code, result.stdout.strip()


def test_how_a_number_is_typed_does_not_matter() -> None:
    plain = nullifier(KEY, "person", "AB123456")
    assert plain == hmac.new(KEY, b"metrobloc nullifier v1\nperson\nab123456", hashlib.sha256).hexdigest()
    for same in ("ab123456", " AB-12 34 56 ", WIDE):
        assert nullifier(KEY, "person", same) == plain
    for other in (("person", "AB123457", KEY), ("invoice", "AB123456", KEY), ("person", "AB123456", bytes(32))):
        assert nullifier(other[2], other[0], other[1]) != plain
    with pytest.raises(ValueError, match="no letters"):
        nullifier(KEY, "person", " -. ")


def test_the_secret_is_made_once_and_stays(home: Path) -> None:
    first = ask(home, "AB 1", "--as", "office")
    assert first == ask(home, "ab-1", "--as", "office")
    assert first != ask(home, "ab-1", "--as", "other")
    assert first != ask(home, "ab-1", "--as", "office", "--kind", "invoice")
    assert ask(home, "--", "--as", "office")[0] == 2
    secret = home / "keys" / "office.nullifier.key"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert done(home, "key list --json").out == ""


def test_a_person_is_vouched_for_once(home: Path, node: Node, ann: str) -> None:
    at = ("--node", node.url)
    found = ask(home, "19700101-1234", "--as", "office")[1]
    done(home, "key new second")
    done(home, "identity register --key second --as bank", *at)
    done(home, "identity vouch --account ann --as office --nullifier", found, *at)
    failed(home, 1, "identity.person_known", "identity vouch --account second --as office --nullifier", found, *at)
    done(home, "identity disclaim --account ann --as office", *at)
    done(home, "identity vouch --account second --as office --nullifier", found, *at)
