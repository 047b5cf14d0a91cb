"""The reading commands: show, receipt, trust, verify, what one may do, and the user's keys."""

import secrets
from pathlib import Path
from typing import Any

import click
import msgspec
from click.shell_completion import get_completion_class

from metrobloc import verify as verifier
from metrobloc.client import NotFound
from metrobloc.engine import keyfile
from metrobloc.kernel import accounts, codec, crypto, system
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.tables import Table
from metrobloc.surface import actions, cli, options
from metrobloc.surface.cli import Setting, fail, show_json, with_json, with_ledger, write_new
from metrobloc.surface.ledger import Ledger, opened

Proof = click.Path(path_type=Path, dir_okay=False)


def add(root: click.Group, setting: Setting) -> None:
    """Add the reading commands to the root."""
    commands = (_show, _receipt, _trust, _status, _may, _who, _params, _keys)
    for command in (*(make(setting) for make in commands), _verify(), _commit(), _completion()):
        root.add_command(command)


def _show(setting: Setting) -> click.Command:
    @click.command("show")
    @click.argument("table")
    @click.argument("key", required=False)
    @click.option("--proof", type=Proof, help="Write a proof file of the record, or of its absence.")
    @click.option("--height", type=int, help="Prove the record as it was at this height, one of the last 128.")
    @click.option("--after", default="", help="Continue a page behind this key.")
    @click.option(
        "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many rows a page has."
    )
    @with_ledger
    @with_json
    def show(  # noqa: PLR0913
        *,
        table: str,
        key: str | None,
        proof: Path | None,
        height: int | None,
        after: str,
        limit: int,
        data: Path | None,
        node: str,
        as_json: bool,
    ) -> None:
        """Show a TABLE (as APP/TABLE), or the record under one KEY, with a proof for whoever doubts it."""
        with opened(data, node, setting.modules) as ledger:
            _check_table(setting, table)
            if height is not None and proof is None:
                fail("An earlier height is shown only with a proof of it: add --proof FILE.", cli.USAGE)
            if key is None:
                if proof:
                    fail("A proof is of one record: name its key too.", cli.USAGE)
                _print_page(ledger.table(f"{table}/", after, limit), as_json=as_json)
                return
            path = f"{table}/{_resolve(setting, ledger, key)}"
            if proof is None:
                page = ledger.record(path)
                if not page["items"]:
                    raise NotFound(f"There is no record {path}; --proof FILE proves its absence.")
            else:
                made = ledger.record_proof(path, height)
                write_new(proof, made)
                page = _proved(made)
            _print_page(page, as_json=as_json)

    return show


def _check_table(setting: Setting, table: str) -> None:
    app, _, name = table.partition("/")
    tables = {n: sorted(m.tables) for n, m in setting.modules.items()} | {
        "kernel": [t.name for t in vars(system).values() if isinstance(t, Table)]
    }
    if name not in tables.get(app, ()):
        known = ", ".join(f"{m}/{n}" for m, names in tables.items() for n in names)
        fail(f"There is no table {table}. There are: {known}.", cli.USAGE)


def _resolve(setting: Setting, ledger: Ledger, key: str) -> str:
    """Return a key in which names of the user's keys (as `@name`) stand for their accounts."""
    chain = str(ledger.status()["chain"]) if "@" in key else ""
    return "/".join(
        actions.find_actor(ledger, setting.keys, part[1:], chain)[0] if part.startswith("@") else part
        for part in key.split("/")
    )


def _proved(proof: bytes) -> dict[str, Any]:
    """Return what a proof file shows as a page, so that what is printed is what is proved."""
    file = msgspec.json.decode(proof, type=dict[str, Any])
    record = file["record"]
    items = [] if record["value"] is None else [{"key": record["key"], "value": record["value"]}]
    return {"height": file["header"]["height"], "items": items, "next": None}


def _print_page(page: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(page)
        return
    if not page["items"]:
        click.echo("There is nothing here.")
    for item in page["items"]:
        click.echo(item["key"])
        for name, value in item["value"].items():
            click.echo(f"  {name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")
    click.echo(
        f"At height {page['height']}" + (f"; continue with --after {page['next']}" if page["next"] else "") + "."
    )


def _receipt(setting: Setting) -> click.Command:
    @click.command("receipt")
    @click.argument("tx")
    @click.option("--proof", type=Proof, help="Write a proof file of the receipt.")
    @with_ledger
    @with_json
    def receipt(tx: str, proof: Path | None, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Show what became of a transaction (TX, 64 hex digits)."""
        if len(tx) != 64 or not set(tx) <= set("0123456789abcdef"):
            fail(f"{tx!r} is no transaction id: 64 hex digits.", cli.USAGE)
        with opened(data, node, setting.modules) as ledger:
            raw = codec.encode(ledger.receipt(tx))
            if proof is not None:
                write_new(proof, ledger.receipt_proof(tx))
        if as_json:
            click.echo(raw.decode())
            return
        for name, value in msgspec.json.decode(raw, type=dict[str, Any]).items():
            click.echo(f"{name}: {value if isinstance(value, str | int) else msgspec.json.encode(value).decode()}")

    return receipt


def _trust(setting: Setting) -> click.Command:
    @click.command("trust")
    @click.option("--out", type=Proof, help="Write it to a file instead of printing it.")
    @with_ledger
    def trust(out: Path | None, data: Path | None, node: str) -> None:
        """Write down whom you trust: this chain and its operator's key; compare the key with the operator in person."""
        with opened(data, node, setting.modules) as ledger:
            made = ledger.trust()
        if out is None:
            click.echo(made.decode(), nl=False)
        else:
            write_new(out, made)

    return trust


def _verify() -> click.Command:
    @click.command("verify", context_settings={"ignore_unknown_options": True}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def verify(arguments: tuple[str, ...]) -> None:
        """Check a proof file offline (FILE --trust TRUSTFILE); the same program as verify.py."""
        raise click.exceptions.Exit(verifier.main(list(arguments)))

    return verify


def _commit() -> click.Command:
    @click.command("commit")
    @click.argument("document", type=click.Path(path_type=Path, dir_okay=False, exists=True))
    @click.option(
        "--salt", type=Proof, required=True, help="Write the salt here; whoever holds it can show the document."
    )
    @with_json
    def commit(document: Path, salt: Path, as_json: bool) -> None:  # noqa: FBT001
        """Commit to a DOCUMENT without showing it: print the SHA-256 of a fresh 32-byte salt and the document."""
        fresh = secrets.token_bytes(32)
        made = crypto.sha256(fresh + document.read_bytes()).hex()
        write_new(salt, fresh.hex().encode() + b"\n", 0o600)
        if as_json:
            show_json({"commitment": made})
        else:
            click.echo(made)

    return commit


def _status(setting: Setting) -> click.Command:
    @click.command("status")
    @with_ledger
    @with_json
    def status(data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Tell how the chain stands."""
        with opened(data, node, setting.modules) as ledger:
            found = ledger.status()
        if as_json:
            show_json(found)
        else:
            for name, value in found.items():
                click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")

    return status


def _may(setting: Setting) -> click.Command:
    @click.command("may")
    @click.argument("name", shell_complete=options.complete_names(setting.keys.names))
    @click.argument("record", required=False)
    @with_ledger
    @with_json
    def may(name: str, record: str | None, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Say what NAME (a key of yours, or an account) may do, or what it may do with one RECORD (APP/TABLE/KEY)."""
        with opened(data, node, setting.modules) as ledger:
            chain = chain_id(ledger.genesis())
            account = name if len(name) == 26 else actions.find_actor(ledger, setting.keys, name, chain)[0]
            found = ledger.may(account, record)
        if as_json:
            show_json(found)
            return
        for action in found["actions"]:
            needs = f"; needs {', '.join(action['needs'])}" if action.get("needs") else ""
            outcome = action.get("code") or ("yes" if action["allowed"] else "no")
            said = {"ok": "yes", "not_allowed": "no"}.get(outcome, outcome)
            click.echo(f"{action['do']}: {said} (allowed for: {action['allow']}{needs})")
        for one in found["acts_for"]:
            click.echo(f"In the name of {one['account']}: {', '.join(one['scope']) or 'everything'}.")
        if found["frozen_until_ms"]:
            click.echo("The account is frozen: it can only defend itself (see `metrobloc identity veto --help`).")
        click.echo(f"Account {found['account']} at height {found['height']}.")

    return may


def _who(setting: Setting) -> click.Command:
    @click.command("who")
    @click.argument("action")
    @click.option("--after", default="", help="Continue a page behind this account.")
    @click.option(
        "--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="How many accounts a page has."
    )
    @with_ledger
    @with_json
    def who(  # noqa: PLR0913
        *, action: str, after: str, limit: int, data: Path | None, node: str, as_json: bool
    ) -> None:
        """Say who may do an ACTION, such as charity.settle: accounts by their roles, and people with mandates."""
        with opened(data, node, setting.modules) as ledger:
            found = ledger.who(action, after, limit)
        if as_json:
            show_json(found)
            return
        click.echo(f"{action} is allowed for: {found['allow']}.")
        for one in found["accounts"]:
            click.echo(f"{one['account']} {one['name']} ({', '.join(one['roles'])})".replace("  ", " "))
            for person in one["acting"]:
                click.echo(f"  in its name: {person['account']}")
        if found["next"]:
            click.echo(f"There are more: --after {found['next']}")

    return who


def _params(setting: Setting) -> click.Command:
    @click.command("params")
    @with_ledger
    @with_json
    def params(data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """List the parameters in force, with their limits and why they exist."""
        with opened(data, node, setting.modules) as ledger:
            found = ledger.params()
        if as_json:
            show_json(found)
            return
        for param in found["params"]:
            click.echo(f"{param['module']}.{param['name']}: {param['value']} ({param['least']} to {param['most']})")
            click.echo(f"  {param['why']}")
            if param["coming"]:
                click.echo(f"  From block {param['coming']['from_height']} on: {param['coming']['value']}.")
        click.echo(f"At height {found['height']}.")

    return params


def _completion() -> click.Command:
    @click.command("completion")
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    @click.pass_context
    def completion(ctx: click.Context, shell: str) -> None:
        """Print a script that completes commands, options, choices and names of keys in bash, zsh or fish."""
        made = get_completion_class(shell)
        assert made is not None, "click has these three"
        click.echo(made(ctx.find_root().command, {}, "metrobloc", "_METROBLOC_COMPLETE").source())

    return completion


def _keys(setting: Setting) -> click.Group:
    @click.group("key")
    def group() -> None:
        """Make, list and change your keys; they stay in files that only you can read."""

    @group.command("new")
    @click.argument("name")
    @with_json
    def new(name: str, as_json: bool) -> None:  # noqa: FBT001
        """Make a key called NAME; its account is opened by `metrobloc identity register`."""
        made = setting.keys.new(name)
        _print_key(name, made.key_id, made.key_id, as_json=as_json)

    @group.command("list")
    @with_json
    def list_keys(as_json: bool) -> None:  # noqa: FBT001
        """List your keys, the newest of a name first, and the accounts that they are for."""
        names = setting.keys.names()
        for name in names:
            keys = setting.keys.find(name)
            for key in keys:
                _print_key(name, key.key_id, keys[-1].key_id, as_json=as_json)
        if not names and not as_json:
            click.echo("You have no keys yet; make one with `metrobloc key new NAME`.")

    @group.command("rotate")
    @click.argument("name")
    @click.option("--keeps-delegated", is_flag=True, help="Keep sessions and mandates, which end otherwise.")
    @with_ledger
    @with_json
    def rotate(*, name: str, keeps_delegated: bool, data: Path | None, node: str, as_json: bool) -> None:
        """Replace the key called NAME by a new one, which holds after the ledger's delay; both stay in your files."""
        with opened(data, node, setting.modules) as ledger:
            account, old = actions.find_actor(ledger, setting.keys, name, chain_id(ledger.genesis()))
            if len(ledger.record(system.accounts.path(account))["items"][0]["value"]["keys"]) > 1:
                fail("The account has several keys; say which stay: `metrobloc identity rotate --help`.", cli.USAGE)
            made = keyfile.new_key()
            kept: dict[str, object] = {"keeps_delegated": True} if keeps_delegated else {}
            draft = ledger.draft((account, "identity.rotate", {"keys": [made.key_id], **kept}))
            setting.keys.add(name, made)  # first: a key that the ledger knows must not be lost
            actions.send(actions.sign(draft, [old, made]), ledger, as_json=as_json)

    return group


def _print_key(name: str, key_id: str, first_key_id: str, *, as_json: bool) -> None:
    account = accounts.account_id(first_key_id)
    if as_json:
        show_json({"name": name, "key": key_id, "account": account})
    else:
        click.echo(f"{name}\n  key {key_id}\n  account {account}")
