"""Explicit wiring: which modules there are, which commands; the only file that knows everything."""

from collections.abc import Mapping
from functools import partial

import click

from metrobloc.city.charity import rules as charity
from metrobloc.city.charity import story as charity_story
from metrobloc.city.charity import views as charity_views
from metrobloc.city.charity.tools import command as charity_tools
from metrobloc.city.timebank import rules as timebank
from metrobloc.city.timebank import story as timebank_story
from metrobloc.city.timebank.tools import command as timebank_tools
from metrobloc.commons.acts import rules as acts
from metrobloc.commons.acts import story as acts_story
from metrobloc.commons.anchors import rules as anchors
from metrobloc.commons.anchors import story as anchors_story
from metrobloc.commons.credentials import rules as credentials
from metrobloc.commons.credentials import story as credentials_story
from metrobloc.commons.escrow import rules as escrow
from metrobloc.commons.escrow import story as escrow_story
from metrobloc.commons.evidence import rules as evidence
from metrobloc.commons.evidence import story as evidence_story
from metrobloc.commons.governance import rules as governance
from metrobloc.commons.governance import story as governance_story
from metrobloc.commons.identity import rules as identity
from metrobloc.commons.identity import story as identity_story
from metrobloc.commons.money import rules as money
from metrobloc.commons.replay import ReplayMaker
from metrobloc.commons.vault import rules as vault
from metrobloc.commons.vault import story as vault_story
from metrobloc.commons.views import Views
from metrobloc.engine.verifier import collect_rarely
from metrobloc.kernel.module import Module
from metrobloc.surface import (
    actions,
    acts_commands,
    bench,
    bench_paths,
    bench_surface,
    charity_files,
    cli,
    listening,
    mirroring,
    new_app,
    nullifying,
    publishing,
    reading,
    replaying,
    running,
    showing,
    signing,
    vaulting,
    webhooks,
    witnessing,
)
from metrobloc.surface import credentials as credential_files
from metrobloc.surface.describe import check_names
from metrobloc.testing import lab

STORIES = {
    "identity": identity_story.play,
    "governance": governance_story.play,
    "evidence": evidence_story.play,
    "escrow": escrow_story.play,
    "acts": acts_story.play,
    "anchors": anchors_story.play,
    "charity": charity_story.play,
    "timebank": timebank_story.play,
    "credentials": credentials_story.play,
    "vault": vault_story.play,
    # new-app: stories
}
REPLAYS: Mapping[str, ReplayMaker] = {"charity": charity_tools.replay, "timebank": timebank_tools.replay}
VIEWS: Views = {"charity": charity_views.VIEWS}


def modules() -> Mapping[str, Module]:
    """Return every module this version has, by name, in the order in which a new chain activates them."""
    every = (
        identity.app,
        governance.app,
        money.app,
        evidence.app,
        escrow.app,
        credentials.app,
        anchors.app,
        vault.app,
        acts.app,
        charity.app,
        timebank.app,
        # new-app: modules
    )
    return {module.name: module for module in every}


def commands() -> click.Group:
    """Return the command line with every command."""

    @click.group(cls=cli.Group, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="metrobloc")
    def root() -> None:
        """MetroBloc: a ledger that a metropolis and its institutions run together, provable to anybody."""

    setting = cli.Setting(modules, VIEWS)
    reading.add(root, setting)
    signing.add(root, setting)
    running.add(root, setting, STORIES)
    measures = bench.group(setting)
    measures.add_command(bench_surface.command(setting, partial(lab.steps_per_second, setting, STORIES)))
    measures.add_command(bench_paths.command(setting))
    for group in (
        measures,
        replaying.group(setting, REPLAYS),
        mirroring.group(setting),
        webhooks.group(),
        publishing.group(setting),
        witnessing.group(setting),
        lab.group(setting, STORIES),
        new_app.command(setting),
        nullifying.command(setting),
    ):
        root.add_command(group)
    check_names(modules(), root.commands)
    groups = {name: actions.group(setting, module) for name, module in modules().items()}
    for name, group in groups.items():
        showing.add(group, name, setting)
    charity_files.add(groups["charity"], setting)
    for command in credential_files.commands(setting):
        groups["credentials"].add_command(command)
    groups["charity"].add_command(listening.command(setting))
    vaulting.add(groups["vault"], root, setting)
    acts_commands.add(groups["acts"], setting)
    for group in groups.values():
        root.add_command(group)
    return root


def main() -> None:
    """Run the command line."""
    collect_rarely()
    commands()()


if __name__ == "__main__":
    main()
