"""The mirror's commands, on a data folder without a node."""

from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from metrobloc.app import STORIES, modules
from metrobloc.mirror.database import MIRROR_FILE
from metrobloc.surface import cli, mirroring
from metrobloc.surface.cli import Setting
from metrobloc.surface.running import found_demo, play
from metrobloc.testing.sandbox import START_MS

NOBODY = "http://127.0.0.1:9"


def run(*words: object, code: int = 0) -> str:
    """Run a command and return what it said."""
    root = cli.Group()
    root.add_command(mirroring.group(Setting(modules)))
    result = CliRunner().invoke(root, ["mirror", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a story."""
    folder = tmp_path_factory.mktemp("mirroring") / "city"
    node = found_demo(folder, Setting(modules), START_MS)
    play(node, STORIES["charity"], lambda _: None)
    node.close()
    return folder


def test_a_mirror_is_made_from_a_folder_and_tells_how_it_stands(home: Path, tmp_path: Path) -> None:
    made = msgspec.json.decode(run("rebuild", "--data", home, "--json"))
    assert made["mirror"] == str(home / MIRROR_FILE)
    told = msgspec.json.decode(run("status", "--data", home, "--json"))
    assert (told["height"], told["current"]) == (made["height"], True)
    assert told["chain"].startswith("demo-")
    assert f"at height {made['height']}" in run("rebuild", "--data", home, "--mirror", tmp_path / "other.sqlite")
    assert f"at height {made['height']}" in run("status", "--mirror", tmp_path / "other.sqlite")


def test_changed_declarations_ask_for_a_rebuild(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mirror.sqlite"
    run("rebuild", "--data", home, "--mirror", path)
    monkeypatch.setattr("metrobloc.mirror.schema.FORMAT", 0)
    assert "metrobloc mirror rebuild" in run("status", "--mirror", path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for words in (("rebuild",), ("rebuild", "--mirror", tmp_path / "m"), ("follow",), ("status",)):
        assert "Name the" in run(*words, code=cli.USAGE)
    assert "There is no mirror" in run("status", "--data", tmp_path, code=cli.NO_NODE)
    assert "no whole store" in run("rebuild", "--data", tmp_path, code=cli.NO_NODE)
    assert "No node answers" in run("rebuild", "--data", tmp_path, "--node", NOBODY, code=cli.NO_NODE)
    assert "no URL" in run("follow", "--data", tmp_path, "--node", "city", code=cli.USAGE)
    (tmp_path / "mirror.sqlite").write_bytes(b"something else " * 999)
    assert "is no mirror" in run("status", "--data", tmp_path, code=cli.NO_NODE)


def test_every_command_and_option_has_help() -> None:
    group = mirroring.group(Setting(modules))
    assert sorted(group.commands) == ["follow", "rebuild", "status"]
    for command in group.commands.values():
        assert command.help
        assert all(not isinstance(option, click.Option) or option.help for option in command.params)
