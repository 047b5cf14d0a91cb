"""Explicit wiring: which modules there are, which commands; the only file that knows everything."""

from collections.abc import Mapping

import click

from metrobloc.city.charity import rules as charity
from metrobloc.city.charity import story as charity_story
from metrobloc.commons.identity import rules as identity
from metrobloc.commons.money import rules as money
from metrobloc.engine.verifier import collect_rarely
from metrobloc.kernel.module import Module
from metrobloc.surface import actions, bench, cli, reading, replaying, running

STORIES = {"charity": charity_story.play}


def modules() -> Mapping[str, Module]:
    """Return every module this version has, by name, in the order in which a new chain activates them."""
    return {module.name: module for module in (identity.app, money.app, charity.app)}


@click.group(cls=cli.Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="metrobloc")
def root() -> None:
    """MetroBloc: a ledger that a metropolis and its institutions run together, provable to anybody."""


def commands() -> click.Group:
    """Return the command line with every command."""
    setting = cli.Setting(modules)
    reading.add(root, setting)
    running.add(root, setting, STORIES)
    for module in modules().values():
        root.add_command(actions.group(setting, module))
    root.add_command(bench.group(setting))
    root.add_command(replaying.group(setting))
    return root


def main() -> None:
    """Run the command line."""
    collect_rarely()
    commands()()


if __name__ == "__main__":
    main()
