"""A citizen comes back to her account through guardians, with the commands that they and a thief would type."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from metrobloc import app
from tests.support import ROOT
from tests.surface.city import Clock, done, failed, keep_founder, own_chain, say

MINUTE_MS = 60_000


class Town:
    """Homes of several people, each on a machine of her own, and the chain that they share."""

    def __init__(self, place: Path) -> None:
        """Found the chain; its office is `founder`, and a change of keys takes a minute."""
        self.place = place
        self.at = ("--data", place / "town")
        own_chain(place / "town", params={"identity.rotation_delay_ms": MINUTE_MS})
        keep_founder(self.home("founder"))
        self.accounts: dict[str, str] = {}

    def home(self, name: str) -> Path:
        """Return somebody's machine."""
        return self.place / name

    def join(self, name: str) -> str:
        """Let somebody make a key and be registered by the office; return her account."""
        made = self.new_key(name, name)
        file = self.place / f"{name}.tx"
        done(self.home("founder"), "identity register --as founder --key", made["key"], "--draft", file, *self.at)
        done(self.home(name), "sign --yes --as", name, file)
        done(self.home("founder"), "send", file, *self.at)
        self.accounts[name] = made["account"]
        return str(made["account"])

    def new_key(self, machine: str, name: str) -> Any:  # noqa: ANN401  # what the command prints
        """Make a key on a machine."""
        return done(self.home(machine), "key new --json", name).json()

    def does(self, machine: str, command: str, *arguments: object) -> Any:  # noqa: ANN401
        """Let somebody's command end well; answer the receipt."""
        return done(self.home(machine), command, *arguments, "--json", *self.at).json()

    def refused(self, machine: str, code: int, sentence: str, command: str, *arguments: object) -> None:
        """Let somebody's command be turned away."""
        failed(self.home(machine), code, sentence, command, *arguments, *self.at)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    made = Town(tmp_path)
    for name in ("ann", "gil", "hal", "ida"):
        made.join(name)
    made.does("founder", "money issue --asset coin --amount 1000 --as founder --to", made.accounts["ann"])
    return made


def legs(town: Town, cents: int) -> str:
    """Return what pays Gil."""
    return json.dumps({"amount": cents, "asset": "coin", "to": town.accounts["gil"]})


def test_a_citizen_recovers_her_account_through_guardians(town: Town, clock: Clock) -> None:
    ann = town.accounts["ann"]
    three = [part for name in ("gil", "hal", "ida") for part in ("--guardians", town.accounts[name])]
    town.does("ann", "identity name-guardians --needed 2 --as ann", *three)
    town.refused("gil", 1, "identity.not_guardian", "identity freeze --as gil --account", ann)
    clock.now_ms += MINUTE_MS

    shutil.copytree(town.home("ann"), town.home("thief"))  # her phone is stolen
    shutil.rmtree(town.home("ann"))
    town.does("thief", "money move --as ann --legs", legs(town, 300))
    town.does("gil", "identity freeze --as gil --account", ann)
    town.refused("thief", 1, "frozen", "money move --as ann --legs", legs(town, 300))

    new = town.new_key("new phone", "ann")["key"]
    file = town.place / "rescue.tx"
    town.does("gil", "identity recover --as gil --account", ann, "--keys", new, "--draft", file)
    town.refused("gil", 3, f"Still to sign: {new}", "send", file)
    shown = done(town.home("new phone"), "sign --yes --as ann", file).out
    assert ann in shown
    recovery = town.does("gil", "send", file)["receipt"]["ids"][0]
    town.refused("gil", 1, "identity.supported", "identity support --as gil --recovery", recovery)
    town.does("hal", "identity support --as hal --recovery", recovery)

    town.does("thief", "identity veto --as ann")
    clock.now_ms += 10 * MINUTE_MS
    town.refused("new phone", 3, "lacks a signature", "money move --as ann --legs", legs(town, 300))
    town.does("founder", "identity arbitrate --verdict granted --as founder --account", ann)
    town.does("new phone", "money move --as ann --legs", legs(town, 700))
    town.refused("thief", 3, "lacks a signature", "identity veto --as ann")
    row = town.does("new phone", "show kernel/accounts @ann")["items"][0]["value"]
    assert row["next_keys"] == [new]
    town.does("new phone", "key rotate ann")  # a spare key, later
    assert done(town.home("founder"), "audit --json", *town.at).json()["problems"] == []


def test_an_account_of_several_keys_changes_one_on_the_command_line(town: Town, clock: Clock) -> None:
    ann = town.accounts["ann"]
    keys = {name: town.new_key(name, name)["key"] for name in ("safe", "desk", "spare")}
    file = town.place / "rotate.tx"

    def signed(*names: str) -> None:
        for name in names:
            done(town.home(name), "sign --yes --as", name, file)

    both = ("--keys", keys["safe"], "--keys", keys["desk"], "--threshold", 2, "--draft", file)
    town.does("ann", "identity rotate --as ann", *both)
    signed("safe", "desk")
    town.does("ann", "send", file)
    clock.now_ms += MINUTE_MS
    town.refused("safe", 3, "lacks a signature", "money move --as safe --legs", legs(town, 1))
    file.unlink()
    told = town.does("safe", "money move --as safe --draft", file, "--legs", legs(town, 1))
    assert told["missing"] == [ann]
    signed("desk")
    assert town.does("desk", "send", file)["code"] == "ok"
    assert say(town.home("ann"), "money move --as ann --legs", legs(town, 1), *town.at).code == 3


def test_the_page_shows_commands_that_there_are() -> None:
    page = (ROOT / "docs" / "recovery.md").read_text()
    lines = re.findall(r"^metrobloc .+$", page, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        words = shlex.split(line)[1:]
        command: click.Command = app.commands()
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
