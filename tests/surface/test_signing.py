"""Drafts on the command line, what would happen, what one may do, and options made from declarations."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import click
import msgspec
import pytest
from msgspec import Meta

from metrobloc.client import Draft
from metrobloc.kernel.types import AccountId, Message, Public, TimeMs, Total
from metrobloc.surface import options
from metrobloc.surface.describe import fields_of
from metrobloc.surface.keys import KeyProblem
from tests.surface.city import Node, done, failed, say


def test_two_people_sign_a_file_on_two_machines(home: Path, node: Node, tmp_path: Path) -> None:
    at, file, other = ("--node", node.url), tmp_path / "register.tx", tmp_path / "other"
    made = done(other, "key new ann --json").json()  # on ann's own machine
    ask = ("identity register --as bank --key", made["key"], "--draft", file, "--expires", "+20h")
    told = done(home, *ask, "--json", *at).json()
    assert told["missing"] == [made["key"]]
    failed(home, 2, "There is a file", *ask, *at)
    failed(home, 3, f"Still to sign: {made['key']}", "send", file, *at)
    before = file.read_bytes()
    assert say(other, "sign", file, "--as", "ann").code == 1  # nobody answers
    assert file.read_bytes() == before
    signed = done(other, "sign", file, "--as", "ann", "--yes", "--json").json()
    assert len(signed["signed"]) == 2
    shown = done(other, "sign", file, "--as", "ann", "--yes").out
    assert f'key: "{made["key"]}"' in shown
    assert f"transaction {told['tx']}" in shown
    assert done(home, "send", file, "--json", *at).json()["code"] == "ok"
    assert done(home, "send", file, *at).out.startswith("Done at height")
    assert done(home, "show kernel/accounts", made["account"], *at).out
    file.write_bytes(before[:-9])
    failed(home, 3, "", "send", file, *at)


def test_a_draft_is_promised_when_it_is_sent(home: Path, node: Node, ann: str, tmp_path: Path) -> None:
    at, file, note = ("--node", node.url), tmp_path / "draft", tmp_path / "note"
    legs = json.dumps({"amount": 3, "asset": "cny", "to": "a" * 26})
    done(home, "money move --as ann --legs", legs, "--draft", file, *at)
    assert len(Draft.read(file.read_bytes()).signatures) == 1
    assert "Promised, not yet committed" in done(home, "send", file, "--promise", note, *at).out
    assert "\npromise\n" in note.read_text()
    both = ("money move --as ann --dry-run --legs", legs, "--promise", note, *at)
    failed(home, 2, "Choose one of --promise, --draft and --dry-run.", *both)


@pytest.mark.parametrize("where", ["node", "data"])
def test_what_would_happen_is_told(home: Path, node: Node, city: Path, where: str) -> None:
    at = ("--node", node.url) if where == "node" else ("--data", city)
    height = done(home, "status --json", *at).json()["height"]
    record = f"money record-reserve --asset cny --evidence {'0' * 64} --as bank --dry-run --reserve"
    assert "It would be done now" in done(home, record, "999999999", *at).out
    failed(home, 1, "It would be refused now (money.below_issued). More is in circulation", record, "1", *at)
    assert say(home, record, "1", "--json", *at).json()["code"] == "money.below_issued"
    assert done(home, "status --json", *at).json()["height"] == height
    totals = done(home, "charity totals --json", *at).json()
    assert totals["value"]["cny"]["campaigns"] >= 2
    assert f'"campaigns": {totals["value"]["cny"]["campaigns"]}' in done(home, "charity totals", *at).out


def test_one_sees_what_one_may_do_and_the_parameters(home: Path, node: Node, ann: str, city: Path) -> None:
    at = ("--node", node.url)
    assert "money.issue: no (allowed for: role bank)" in done(home, "may ann", *at).out
    assert done(home, "may --json", ann, *at).json()["account"] == ann
    assert "money.issue: yes" in done(home, "may bank", *at).out
    failed(home, 3, "no such record", "may bank charity/campaigns/none", *at)
    assert "identity.rotation_delay_ms: " in done(home, "params", *at).out
    assert done(home, "params --json", *at).json()["params"]
    for command in ("params", "may bank"):
        failed(home, 4, "Only a running node answers this", command, "--data", city)


def test_the_expiry_is_chosen_and_enforced(home: Path, node: Node, ann: str) -> None:
    legs = json.dumps({"amount": 3, "asset": "cny", "to": ann})
    move = ("money move --as bank --node", node.url, "--legs", legs, "--expires")
    failed(home, 3, "asks to stay valid for too long", *move, "+30d")
    failed(home, 3, "has expired", *move, "2020-01-01")
    failed(home, 2, "is no time", *move, "soon")


class Lend(Message):
    """Lend a thing."""

    to: AccountId
    state: Literal["new", "used"]
    days: Annotated[int, Meta(ge=1, le=30)]
    back_ms: TimeMs
    notes: Annotated[tuple[Public, ...], Meta(max_length=3)] = ()
    insured: bool = True
    fee: Total = 0


def parsed(params: list[click.Parameter], *arguments: str) -> dict[str, object]:
    found: dict[str, object] = {}
    command = click.Command("lend", params=params, callback=lambda **given: found.update(given))
    command.main(list(arguments), standalone_mode=False)
    return found


LEND = fields_of(Lend)
WHOLE = ("--to", "ann", "--state", "new", "--days", "7", "--back", "+1d")


def test_a_field_becomes_an_option_with_its_limits() -> None:
    params = options.options(LEND, lambda: ["ann"])
    given = parsed(params, *WHOLE, "--notes", "a", "--notes", "b", "--no-insured")
    values = options.values(LEND, given, 5, lambda field, text: f"{field.kind}-{text}")
    made = msgspec.convert({**values, "to": "a" * 26}, Lend)
    assert (values["to"], made.back_ms, made.insured) == ("account-ann", 86_400_005, False)
    assert made == Lend("a" * 26, "new", 7, 86_400_005, ("a", "b"), insured=False)
    assert "fee" not in values
    for wrong in (("--days", "31"), ("--days", "x"), ("--state", "old"), ("--fee", "-1")):
        with pytest.raises(click.UsageError):
            parsed(params, *WHOLE, *wrong)
    with pytest.raises(click.BadParameter, match=r"^'31' is no whole number from 1 to 30\.$"):
        parsed(params, *WHOLE, "--days", "31")
    told = {param.name: param.help for param in params if isinstance(param, click.Option)}
    assert told["days"] == "A whole number of days (1 to 30)."
    assert told["notes"] == "Public text (at most 200 characters; repeat it for several, at most 3)."
    assert [item.value for item in params[0].shell_complete(click.Context(click.Command("x")), "a")] == ["ann"]


def test_a_field_that_would_hide_an_option_is_refused() -> None:
    class Odd(Message):
        """Do."""

        expires_ms: TimeMs

    with pytest.raises(TypeError, match="--expires of every command"):
        options.options(fields_of(Odd), list)


def test_a_function_becomes_options() -> None:
    def play(  # noqa: PLR0913
        now_ms: int,
        *,
        file: Path | None = None,
        whole: bool = True,
        kind: Literal["a", "b"] = "a",
        times: Annotated[int, Meta(ge=1)] = 2,
        name_: str = "x",
    ) -> None:
        """Play a thing.

        In two paragraphs.

        times: How often.
        name: Whose.
        """
        del now_ms, file, whole, kind, times, name_

    text, params = options.options_of(play)
    assert text == "Play a thing.\n\nIn two paragraphs."
    assert parsed(params) == {"file": None, "whole": True, "kind": "a", "times": 2, "name_": "x"}
    assert parsed(params, "--no-whole", "--kind", "b", "--times", "3", "--name", "y") == {
        "file": None,
        "whole": False,
        "kind": "b",
        "times": 3,
        "name_": "y",
    }
    for wrong in (("--times", "0"), ("--kind", "c"), ("no such file",)):
        with pytest.raises(click.UsageError):
            parsed(params, *wrong)
    assert {param.name: param.help for param in params if isinstance(param, click.Option)}["name_"] == "Whose."


@pytest.mark.parametrize("text", ["", "2026-13-01", "+1y", "-1d", "\uff11\uff12", "+9999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(KeyProblem, match="is no time"):
        options.time_ms(text, 0)


@pytest.mark.parametrize(
    ("line", "found"),
    [("metrobloc chari", "charity"), ("metrobloc charity give --as ba", "bank"), ("metrobloc completion z", "zsh")],
)
def test_the_shell_completes(line: str, found: str, home: Path) -> None:
    environment = {**os.environ, "METROBLOC_HOME": str(home), "_METROBLOC_COMPLETE": "bash_complete"}
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    program = "from metrobloc.app import commands; commands()(prog_name='metrobloc')"
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment | words, capture_output=True, text=True, check=False
    )
    assert f"plain,{found}" in said.stdout.splitlines()
    for shell in ("bash", "zsh", "fish"):
        assert "_METROBLOC_COMPLETE" in done(home, "completion", shell).out
