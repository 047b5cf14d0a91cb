"""`metrobloc acts propose-drafts` and `metrobloc acts show`: an act made of drafts, and an act as people read it."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from metrobloc.client import Draft, NotFound
from metrobloc.client.acts import NONE, Shown, bundle, shown
from metrobloc.commons.acts.rules import Approval, acts
from metrobloc.commons.acts.types import Act, Propose
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.genesis import chain_id
from metrobloc.surface import actions, cli, options
from metrobloc.surface.cli import Setting, fail, with_json, with_ledger
from metrobloc.surface.keys import KeyRing
from metrobloc.surface.ledger import Ledger, opened

DraftFile = click.Path(path_type=Path, dir_okay=False, exists=True)


def add(group: click.Group, setting: Setting) -> None:
    """Add the commands to those that follow from what acts declare."""
    group.add_command(_propose(setting))
    group.add_command(_show(setting))


def _propose(setting: Setting) -> click.Command:
    def propose(  # noqa: PLR0913
        *,
        files: tuple[Path, ...],
        as_name: str,
        until: str,
        data: Path | None,
        node: str,
        as_json: bool,
        draft: Path | None,
        dry_run: bool,
    ) -> None:
        """Propose the calls of drafts, in their order, as one act; nothing of it happens before all have approved.

        FILES are what `metrobloc APP VERB ... --draft FILE --unsigned` writes. Leave them unsigned: whoever has a draft
        that all have signed can send it by itself. Those of your keys that the calls name sign the proposal.
        """
        if draft is not None and dry_run:
            fail("Choose one of --draft and --dry-run.", cli.USAGE)
        with opened(data, node, setting.modules) as ledger:
            chain = chain_id(ledger.genesis())
            account, key = actions.find_actor(ledger, setting.keys, as_name, chain)
            drafts = [Draft.read(file.read_bytes()) for file in files]
            proposed = _bundle(ledger, setting, drafts, until)
            made = ledger.draft((account, proposed))
            for file, one in zip(files, drafts, strict=True):
                if (one.content.chain, one.content.rules) != (chain, made.content.rules):
                    fail(f"{file} was written for another chain, or for other rules; write it again.", cli.NOT_TAKEN)
            if dry_run:
                actions.show_simulation(ledger.simulate((account, proposed)), as_json=as_json)
                return
            made = actions.sign(made, [key, *_own(setting.keys, chain, proposed.keys)])
            if draft is None:
                actions.send(made, ledger, as_json=as_json)
            else:
                cli.write_new(draft, made.to_bytes())
                actions.show_draft(made, ledger, f"Signed and written to {draft}, not sent.", as_json=as_json)

    when = "Until when it waits: 2026-12-31, 2026-12-31T18:00Z, +30d, +6h, +10m, or milliseconds since 1970."
    params = [
        click.Argument(["files"], nargs=-1, required=True, type=DraftFile),
        click.Option(["--until"], required=True, help=when),
        options.names_option("as", setting.keys.names, "Sign as this key (see `metrobloc key list`).", required=True),
        click.Option(
            ["--draft"],
            type=click.Path(path_type=Path),
            help="Do not send; write it, signed, to a file for those whose keys the calls name.",
        ),
        click.Option(["--dry-run"], is_flag=True, help="Do not sign or send; say what would happen now."),
    ]
    made = click.Command("propose-drafts", callback=propose, params=params, help=propose.__doc__)
    return with_ledger(with_json(made))


def _show(setting: Setting) -> click.Command:
    @click.command("show")
    @click.argument("act")
    @click.option("--try", "tried", is_flag=True, help="Say too what its calls would lead to if all approved now.")
    @with_ledger
    @with_json
    def show(*, act: str, tried: bool, data: Path | None, node: str, as_json: bool) -> None:
        """Show an ACT: what it holds, who has approved, who is missing, or what has become of it."""
        with opened(data, node, setting.modules) as ledger:
            found = _find(ledger, act)
            would = ledger.simulate(*found.calls, salt=found.id) if tried and found.act.result == "open" else None
        if as_json:
            told = {"id": found.id, "act": found.act, "approvals": found.approvals, "missing": found.missing}
            cli.show_json(told | ({} if would is None else {"would": would}))
            return
        click.echo(found.show())
        if found.act.result == "open":
            approve = f"metrobloc acts approve --act {found.id} --bundle {found.act.bundle} --as NAME"
            click.echo(f"Whoever agrees with all of this: {approve}")
        if would is not None:
            actions.show_simulation(would, as_json=False)

    return show


def _find(ledger: Ledger, made: str) -> Shown:
    """Return an act as it stands on the ledger."""
    items = ledger.record(acts.path(made))["items"]
    if not items:
        raise NotFound(NONE)
    page = ledger.query("acts", "approvals", {"act": made, "time_ms": ledger.time_ms()})
    approvals = msgspec.convert(page["value"], tuple[Approval, ...])
    return shown(chain_id(ledger.genesis()), made, msgspec.convert(items[0]["value"], Act), approvals)


def _bundle(ledger: Ledger, setting: Setting, drafts: Sequence[Draft], until: str) -> Propose:
    """Return what proposes the calls of drafts, read under the rules that the first was written for."""
    declared = {action.do: action for module in setting.modules.values() for action in module.actions.values()}
    calls = [call for draft in drafts for call in draft.content.calls]
    return bundle(calls, options.time_ms(until, ledger.time_ms()), declared, drafts[0].content.rules)


def _own(keys: KeyRing, chain: str, named: tuple[str, ...]) -> list[SigningKey]:
    """Return those of the user's keys that are named."""
    every = [key for name in keys.names() for key in keys.find(name, chain)]
    return [key for key in every if key.key_id in named]
