"""`metrobloc APP VERB` and `metrobloc APP QUERY`: a command for everything that an application declares.

A transaction goes through a draft: it is shown before it is signed by others, and the same draft is sent, written to a
file for the next signer, or only tried out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from metrobloc.client import Draft, Malformed, Refused, Void
from metrobloc.kernel import accounts, codec, system
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.module import Action, Module
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.surface import cli, options
from metrobloc.surface.cli import Setting
from metrobloc.surface.describe import ActionDoc, AppDoc, FieldDoc, QueryDoc, describe
from metrobloc.surface.keys import KeyProblem, KeyRing
from metrobloc.surface.ledger import Ledger, opened

ACCOUNT_LETTERS = 26
PATIENCE_S = 30.0
"""So long does a command send again when the node does not answer."""


def group(setting: Setting, module: Module) -> click.Group:
    """Return a module's commands."""
    app = describe({module.name: module})[0]
    made = click.Group(app.name, help=f"{app.title}." if app.title[-1:].isalnum() else app.title)
    for action in app.actions:
        made.add_command(_action(setting, module.actions[action.verb], action))
    for query in app.queries:
        made.add_command(_query(setting, app, query))
    return made


def _action(setting: Setting, action: Action, told: ActionDoc) -> click.Command:
    def run(  # noqa: PLR0913
        *,
        as_name: str,
        by_name: str | None,
        data: Path | None,
        node: str,
        as_json: bool,
        promise: Path | None,
        draft: Path | None,
        dry_run: bool,
        unsigned: bool,
        expires: str | None,
        **given: Any,  # noqa: ANN401  # what click parsed, by field
    ) -> None:
        if [promise, draft, dry_run or None].count(None) < 2:
            cli.fail("Choose one of --promise, --draft and --dry-run.", cli.USAGE)
        if unsigned and draft is None:
            cli.fail("Only a draft can be left unsigned: add --draft FILE.", cli.USAGE)
        with opened(data, node, setting.modules) as ledger:
            account, signers = find_signer(ledger, setting.keys, as_name, by_name, unsigned=unsigned)
            call = (account, action.do, _message(action, told.fields, given, ledger, setting.keys, signers))
            if dry_run:
                show_simulation(ledger.simulate(call), as_json=as_json)
                return
            until = None if expires is None else options.time_ms(expires, ledger.time_ms())
            made = sign(ledger.draft(call, expires_ms=until), [] if unsigned else signers)
            if draft is not None:
                cli.write_new(draft, made.to_bytes())
                signed = "Not signed, but" if unsigned else "Signed and"
                show_draft(made, ledger, f"{signed} written to {draft}, not sent.", as_json=as_json)
            else:
                send(made, ledger, promise, as_json=as_json)

    params = [
        *options.options(told.fields, setting.keys.names),
        options.names_option("as", setting.keys.names, "Sign as this key (see `metrobloc key list`).", required=True),
        options.names_option(
            "by", setting.keys.names, "Sign with this key instead, which has a mandate or a session.", required=False
        ),
        *_common(),
        *_ways(),
    ]
    text = f"{action.handler.__doc__}\n\nAllowed for: {told.allow}."
    return click.Command(told.verb.replace("_", "-"), callback=run, params=params, help=text)


def _common() -> list[click.Option]:
    return [
        click.Option(
            ["--data"], type=click.Path(path_type=Path), help="Use this data folder, with no node running on it."
        ),
        click.Option(["--node"], default=cli.NODE, show_default=True, help="Use the node at this URL."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."),
    ]


def _ways() -> list[click.Option]:
    """Return the options for what else can be done with an action than to send it and wait."""
    return [
        click.Option(
            ["--promise"],
            type=click.Path(path_type=Path),
            help="Do not wait; write the node's signed promise to a file.",
        ),
        click.Option(
            ["--draft"],
            type=click.Path(path_type=Path),
            help="Do not send; write it, signed, to a file for whoever signs next (`metrobloc sign`).",
        ),
        click.Option(
            ["--unsigned"],
            is_flag=True,
            help="Do not sign the draft, which may be what another account does (--as ACCOUNT).",
        ),
        click.Option(["--dry-run"], is_flag=True, help="Do not sign or send; say what would happen now."),
        click.Option(["--expires"], help="When it runs out: +10m, +20h or a time; in five minutes if left out."),
    ]


def _query(setting: Setting, app: AppDoc, query: QueryDoc) -> click.Command:
    def run(*, data: Path | None, node: str, as_json: bool, **given: Any) -> None:  # noqa: ANN401  # by parameter
        with opened(data, node, setting.modules) as ledger:
            chain, now_ms = chain_id(ledger.genesis()), ledger.time_ms()
            asked = options.values(
                query.fields, given, now_ms, lambda field, text: resolve(field, text, ledger, setting.keys, chain, [])
            )
            found = ledger.query(app.name, query.name, asked)
        if as_json:
            cli.show_json(found)
        else:
            click.echo(msgspec.json.format(msgspec.json.encode(found["value"])).decode())
            click.echo(f"At height {found['height']}.")

    params = [*options.options(query.fields, setting.keys.names), *_common()]
    return click.Command(query.name.replace("_", "-"), callback=run, params=params, help=query.text)


def _message(  # noqa: PLR0913, PLR0917
    action: Action,
    fields: tuple[FieldDoc, ...],
    given: dict[str, Any],
    ledger: Ledger,
    keys: KeyRing,
    signers: list[SigningKey],
) -> Mapping[str, object]:
    """Return a message's fields from what was typed; named keys join the signers."""
    chain = chain_id(ledger.genesis())
    found = options.values(
        fields, given, ledger.time_ms(), lambda field, text: resolve(field, text, ledger, keys, chain, signers)
    )
    try:
        return msgspec.json.decode(codec.encode(msgspec.convert(found, action.message)), type=dict[str, object])
    except msgspec.ValidationError as error:
        raise KeyProblem(f"{action.do}: {error}.") from error


def resolve(  # noqa: PLR0913, PLR0917
    field: FieldDoc, text: str, ledger: Ledger, keys: KeyRing, chain: str, signers: list[SigningKey]
) -> str:
    """Return the account or key that a name stands for; a key of one's own joins the signers."""
    if field.kind == "account":
        return text if len(text) == ACCOUNT_LETTERS else find_actor(ledger, keys, text, chain)[0]
    if text.startswith("did:key:"):
        return text
    signers.append(keys.find(text, chain)[0])
    return signers[-1].key_id


def find_signer(
    ledger: Ledger, keys: KeyRing, as_name: str, by_name: str | None, *, unsigned: bool
) -> tuple[str, list[SigningKey]]:
    """Return the account that acts and the key that signs: its own, or that of who has a mandate or a session of it.

    Who signs for another need not have a key of the other's: its account's id does. Nobody's key is needed for what is
    left unsigned.
    """
    chain = chain_id(ledger.genesis())
    if (unsigned or by_name is not None) and len(as_name) == ACCOUNT_LETTERS:
        account, signers = as_name, list[SigningKey]()
    else:
        account, own = find_actor(ledger, keys, as_name, chain)
        signers = [own]
    return account, signers if by_name is None else [find_actor(ledger, keys, by_name, chain)[1]]


def find_actor(ledger: Ledger, keys: KeyRing, name: str, chain: str) -> tuple[str, SigningKey]:
    """Return the account of a name and, of its keys, the one that is in force on the ledger."""
    found = keys.find(name, chain)
    for key in found:
        owner = ledger.record(system.keys.path(key.key_id))["items"]
        if owner:
            account = str(owner[0]["value"]["account"])
            record = msgspec.convert(ledger.record(system.accounts.path(account))["items"][0]["value"], system.Account)
            in_force = record.keys_at(ledger.time_ms())
            return account, next((one for one in found if one.key_id in in_force), key)
    return accounts.account_id(found[0].key_id), found[0]


def sign(draft: Draft, signers: list[SigningKey]) -> Draft:
    """Return the draft with the signatures of keys."""
    for key in signers:
        draft = draft.sign(key)
    return draft


def show_draft(draft: Draft, ledger: Ledger | None, sentence: str, *, as_json: bool) -> None:
    """Print a draft as it is signed, and who has still to sign if a ledger can tell."""
    missing = None if ledger is None else ledger.missing(draft)
    if as_json:
        told = {"tx": draft.id, "payload": draft.payload.decode(), "signed": sorted(draft.signatures)}
        cli.show_json(told | ({} if missing is None else {"missing": missing}))
        return
    click.echo(draft.show())
    for key_id in sorted(draft.signatures):
        click.echo(f"signed by {key_id}")
    for one in missing or ():
        click.echo(f"still to sign: {one}")
    click.echo(sentence)


def send(draft: Draft, ledger: Ledger, promise: Path | None = None, *, as_json: bool) -> None:
    """Send a signed draft, print what became of it and end with its exit code; with `promise` write that instead."""
    raw = draft.seal()
    if promise is not None:
        _promise(draft, raw, ledger, promise, as_json=as_json)
        return
    try:
        receipt, sentence = ledger.send(raw, PATIENCE_S), ""
    except Refused as refused:
        receipt, sentence = refused.receipt, refused.sentence
    except (Void, Malformed) as away:
        _show_turned_away(away, draft, as_json=as_json)
    if as_json:
        told = {"status": "committed", "code": receipt.code, "tx": draft.id, "height": receipt.height}
        told |= {"index": receipt.index, "receipt": receipt}
        cli.show_json({**told, "sentence": sentence} if sentence else told)
    elif receipt.code != "ok":
        click.echo(f"Refused at height {receipt.height} ({receipt.code}). {sentence}\ntransaction {draft.id}", err=True)
    else:
        click.echo(f"Done at height {receipt.height}.\ntransaction {draft.id}")
        _show_events(receipt)
    if receipt.code != "ok":
        raise click.exceptions.Exit(cli.REFUSED)


def _show_events(receipt: ReadReceipt) -> None:
    for event in receipt.events:
        pairs = msgspec.json.decode(event.fields, type=dict[str, Any])
        click.echo(f"{event.event}: " + ", ".join(f"{name} {value}" for name, value in pairs.items()))


def _show_turned_away(away: Void | Malformed, draft: Draft, *, as_json: bool) -> None:
    if as_json:
        status = "void" if isinstance(away, Void) else "malformed"
        told = {"status": status, "code": away.code, "tx": draft.id, "sentence": away.sentence, "receipt": None}
        cli.show_json(told)
        raise click.exceptions.Exit(cli.NOT_TAKEN)
    cli.fail(f"Not taken ({away.code}). {away.sentence}", cli.NOT_TAKEN)


def _promise(draft: Draft, raw: bytes, ledger: Ledger, path: Path, *, as_json: bool) -> None:
    try:
        outcome = ledger.promise_note(raw, PATIENCE_S)
    except (Void, Malformed) as away:
        _show_turned_away(away, draft, as_json=as_json)
    if outcome.status != "accepted":
        cli.fail(f"Not taken ({outcome.code}). It is on the ledger already; see `metrobloc receipt`.", cli.NOT_TAKEN)
    cli.write_new(path, outcome.promise.encode())
    if as_json:
        cli.show_json(outcome)
    else:
        click.echo(f"Promised, not yet committed.\ntransaction {outcome.tx}\nThe signed promise is in {path}.")


def show_simulation(found: dict[str, Any], *, as_json: bool) -> None:
    """Print what would happen, and end with the exit code that it would have."""
    if as_json:
        cli.show_json(found)
    elif found["code"] == "ok":
        click.echo(f"It would be done now, at height {found['height']}. Nothing was sent.")
        for event in found["events"]:
            click.echo(f"{event['event']}: " + ", ".join(f"{name} {value}" for name, value in event["fields"].items()))
    else:
        click.echo(f"It would be refused now ({found['code']}). {found['sentence']} Nothing was sent.", err=True)
    if found["code"] != "ok":
        raise click.exceptions.Exit(cli.REFUSED)
