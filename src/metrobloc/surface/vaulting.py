"""`metrobloc vault put|get|share|...`: private documents from the command line, and `metrobloc key box`.

They stand in one group with the commands that follow from the vault's declarations, which only write to the ledger.
"""

import secrets
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import click
import msgspec
from msgspec import Struct

from metrobloc.client import Client, Malformed, Refused, Void
from metrobloc.client.vault import Box, Fault, Finding, Me, Reads, Stores, Vault
from metrobloc.commons.identity.types import ShowBoxKey
from metrobloc.commons.vault.rules import custodians
from metrobloc.kernel.genesis import chain_id
from metrobloc.surface import actions, allowing, cli, options
from metrobloc.surface.cli import Setting, fail
from metrobloc.surface.ledger import Ledger, opened

Text = click.Path(path_type=Path, dir_okay=False)
ENDS = {
    **dict.fromkeys(("too_large", "bad_name", "bad_store", "not_allowed", "no_box_key", "no_store"), cli.USAGE),
    **dict.fromkeys(("missing", "unknown"), cli.NOT_TAKEN),
    "store_fails": cli.NO_NODE,
}
"""Exit codes of faults; all others mean that something is unsound, or not for this reader."""


class Desk(Struct, frozen=True):
    """What a command of the vault works with: a ledger, the vault of who acts, and who else is meant by a name."""

    ledger: Ledger
    vault: Vault
    account_of: Callable[[str], str]
    time_of: Callable[[str | None], int]


def add(group: click.Group, root: click.Group, setting: Setting) -> None:
    """Add the commands to the vault's group, and `box` to the keys'; a name that is taken is refused."""
    for command in (_put, _get, _share, _unshare, _forget, _check, _tidy, _allow):
        made = command(setting)
        if made.name in group.commands:
            raise TypeError(f"the command vault {made.name} stands for an action already")
        group.add_command(made)
    keys = cast("click.Group", root.commands["key"])
    keys.add_command(_box(setting))
    root.add_command(keys)  # again, so that it lists the new one like the others


def _with_desk(setting: Setting, run: Callable[..., None], *params: click.Parameter) -> click.Command:
    """Return a command that is given a desk; what it does is its docstring."""

    def callback(  # noqa: PLR0913
        *,
        as_name: str,
        data: Path | None,
        node: str,
        trust: Path | None,
        store: str,
        as_json: bool,
        **given: Any,  # noqa: ANN401  # what click parsed
    ) -> None:
        with ended(as_json=as_json), _opened(data, node, trust, setting) as ledger:
            run(_desk(setting, ledger, as_name, store, proved=trust is not None), as_json=as_json, **given)

    names = setting.keys.names
    common = [
        options.names_option("as", names, "Act as this key (see `metrobloc key list`).", required=True),
        click.Option(["--store"], default="", help="Use the store at this address, whatever the ledger says."),
        click.Option(["--trust"], type=Text, help="Believe of the ledger only what this trust file's signer proves."),
        click.Option(["--data"], type=click.Path(path_type=Path), help="Use this data folder, with no node on it."),
        click.Option(["--node"], default=cli.NODE, show_default=True, help="Use the node at this URL."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for scripts."),
    ]
    name = run.__name__.strip("_")
    return click.Command(name, callback=callback, params=[*params, *common], help=run.__doc__)


def _desk(setting: Setting, ledger: Ledger, as_name: str, store: str, *, proved: bool) -> Desk:
    chain = chain_id(ledger.genesis())
    account, key = actions.find_actor(ledger, setting.keys, as_name, chain)
    boxes = tuple(Box(seed) for seed in setting.keys.boxes(as_name))
    stores = Stores(cli.home() / "vault", allowing.read(cli.home(), chain), store)

    def account_of(name: str) -> str:
        return name if len(name) == 26 else actions.find_actor(ledger, setting.keys, name, chain)[0]

    def time_of(text: str | None) -> int:
        return 0 if text is None else options.time_ms(text, ledger.time_ms())

    return Desk(ledger, Vault(ledger, Me(account, key, boxes, stores, proved)), account_of, time_of)


@contextmanager
def _opened(data: Path | None, node: str, trust: Path | None, setting: Setting) -> Iterator[Ledger]:
    if trust is None:
        with opened(data, node, setting.modules) as ledger:
            yield ledger
        return
    if data is not None:
        fail("A data folder is not proved to anybody: leave out --trust or --data.", cli.USAGE)
    with Client(node, setting.modules, trust.read_bytes()) as ledger:
        yield ledger


@contextmanager
def ended(*, as_json: bool) -> Iterator[None]:
    """Turn what ends an operation of the vault into a sentence, or JSON, and an exit code."""
    try:
        yield
    except Fault as fault:
        _end("fault", fault.code, fault.sentence, ENDS.get(fault.code, cli.REFUSED), as_json=as_json)
    except Refused as refused:
        _end("committed", refused.code, refused.sentence, cli.REFUSED, as_json=as_json)
    except (Void, Malformed) as away:
        status = "void" if isinstance(away, Void) else "malformed"
        _end(status, away.code, away.sentence, cli.NOT_TAKEN, as_json=as_json)


def _end(status: str, code: str, sentence: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        cli.show_json({"status": status, "code": code, "sentence": sentence})
        raise click.exceptions.Exit(exit_code)
    fail(f"Not done ({code}). {sentence}", exit_code)


def _tell(value: object, sentence: str, *, as_json: bool) -> None:
    if as_json:
        cli.show_json(value)
    else:
        click.echo(sentence)


def _reading(setting: Setting, *, required: bool) -> list[click.Parameter]:
    complete = options.complete_names(setting.keys.names)
    return [
        click.Option(
            ["--to"],
            multiple=not required,
            required=required,
            shell_complete=complete,
            help="Who may read: an account, or the name of a key." + ("" if required else " Repeat it for several."),
        ),
        click.Option(["--purpose"], required=required, help="What it may be read for: a short name like treatment."),
        click.Option(["--until"], help="Until when: 2026-12-31, +30d, or a time. Without end if left out."),
    ]


def _put(setting: Setting) -> click.Command:
    def put(  # noqa: PLR0913
        desk: Desk,
        *,
        file: Path,
        custodian: str,
        to: tuple[str, ...],
        purpose: str | None,
        until: str | None,
        keep_until: str | None,
        about: str | None,
        as_json: bool,
    ) -> None:
        """Encrypt FILE here, lay it into a custodian's store, and record on the ledger who may read it."""
        if to and purpose is None:
            fail("Say what it may be read for: add --purpose.", cli.USAGE)
        reads = [Reads(desk.account_of(name), purpose or "", desk.time_of(until)) for name in to]
        kept = desk.vault.put(
            file.read_bytes(),
            unicodedata.normalize("NFC", file.name),
            custodian=desk.account_of(custodian),
            readers=reads,
            keep_until_ms=desk.time_of(keep_until),
            about="" if about is None else desk.account_of(about),
        )
        _tell(kept, f"Kept, encrypted, as entry {kept.entry}.\ntransaction {kept.tx}", as_json=as_json)

    return _with_desk(
        setting,
        put,
        click.Argument(["file"], type=click.Path(path_type=Path, dir_okay=False, exists=True)),
        click.Option(["--custodian"], required=True, help="Who keeps it: an account, or the name of a key."),
        *_reading(setting, required=False),
        click.Option(["--keep-until"], help="Have it erased then: 2036-12-31, +3650d, or a time."),
        click.Option(["--about"], help="Whom it is about, if not yourself; only readers learn it."),
    )


def _get(setting: Setting) -> click.Command:
    def get(desk: Desk, *, entry: str, out: Path | None, purpose: str, as_json: bool) -> None:
        """Open an ENTRY that you may read; that you have is written to the ledger before you see it."""
        if as_json and out is None:
            fail("With --json name a file for the document: add --out.", cli.USAGE)
        if out is not None and out.exists():
            fail(f"There is a file {out} already; choose another name.", cli.USAGE)
        got = desk.vault.get(entry, purpose)
        if out is None:
            click.echo(got.document.data, nl=False)
            return
        cli.write_new(out, got.document.data, mode=0o600)
        told = {"entry": entry, "tx": got.tx, "name": got.document.name, "bytes": len(got.document.data)}
        _tell(told, f"{got.document.name}, written to {out}.\ntransaction {got.tx}", as_json=as_json)

    return _with_desk(
        setting,
        get,
        click.Argument(["entry"]),
        click.Option(["--out"], type=Text, help="Write it to this new file, which only you can read; else print it."),
        click.Option(["--purpose"], default="", help="What you read it for, if not what it was shared for."),
    )


def _share(setting: Setting) -> click.Command:
    def share(  # noqa: PLR0913
        desk: Desk, *, entry: str, to: str, purpose: str, until: str | None, as_json: bool
    ) -> None:
        """Let somebody read an ENTRY of yours, by an envelope sealed for her; it replaces one before."""
        tx = desk.vault.share(entry, Reads(desk.account_of(to), purpose, desk.time_of(until)))
        _tell({"entry": entry, "tx": tx}, f"Shared.\ntransaction {tx}", as_json=as_json)

    return _with_desk(setting, share, click.Argument(["entry"]), *_reading(setting, required=True))


def _unshare(setting: Setting) -> click.Command:
    def unshare(desk: Desk, *, entry: str, whom: str, as_json: bool) -> None:
        """Let somebody read an ENTRY of yours no longer; what she has read she has read."""
        tx = desk.vault.unshare(entry, desk.account_of(whom))
        _tell({"entry": entry, "tx": tx}, f"No longer shared.\ntransaction {tx}", as_json=as_json)

    whom = click.Option(["--from", "whom"], required=True, help="Whom: an account, or the name of a key.")
    return _with_desk(setting, unshare, click.Argument(["entry"]), whom)


def _forget(setting: Setting) -> click.Command:
    def forget(desk: Desk, *, entry: str, as_json: bool) -> None:
        """Have an ENTRY of yours destroyed for ever; the proof that it existed stays on the ledger."""
        tx = desk.vault.forget(entry)
        _tell({"entry": entry, "tx": tx}, f"Erased; its custodian confirms the end.\ntransaction {tx}", as_json=as_json)

    return _with_desk(setting, forget, click.Argument(["entry"]))


def _check(setting: Setting) -> click.Command:
    def check(desk: Desk, *, entry: str, as_json: bool) -> None:
        """Compare stores with the ledger: one ENTRY, or all that you own, read or keep; exit code 1 if not alike."""
        found = desk.vault.check(entry)
        alike = "all as recorded" if not found.findings else f"{len(found.findings)} not as recorded"
        _tell(found, f"{found.entries} entries, {found.files} files compared: {alike}.", as_json=as_json)
        _findings(found.findings, as_json=as_json)

    return _with_desk(setting, check, click.Argument(["entry"], required=False, default=""))


def _tidy(setting: Setting) -> click.Command:
    def tidy(desk: Desk, *, as_json: bool) -> None:
        """Do as custodian what the ledger asks for: destroy, delete, acknowledge, answer; and confirm each."""
        done = desk.vault.tidy()
        counts = {name: len(getattr(done, name)) for name in ("destroyed", "deleted", "acknowledged", "answered")}
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        _tell(done, f"Entries: {said}.", as_json=as_json)
        _findings(done.findings, as_json=as_json)

    return _with_desk(setting, tidy)


def _findings(findings: tuple[Finding, ...], *, as_json: bool) -> None:
    for one in findings if not as_json else ():
        click.echo(f"{one.entry} {one.what} ({one.code}): {one.sentence}", err=True)
    if findings:
        raise click.exceptions.Exit(cli.REFUSED)


def _allow(setting: Setting) -> click.Command:
    def allow(desk: Desk, *, custodian: str, yes: bool, as_json: bool) -> None:
        """Allow your programs to use the store of a CUSTODIAN at the address that the ledger has now."""
        account = desk.account_of(custodian)
        found = desk.ledger.record(custodians.path(account))["items"]
        if not found:
            raise Fault("no_store")
        url = msgspec.convert(found[0]["value"], custodians.record).url
        if not yes and not click.confirm(f"Use {url} for what {custodian} keeps?", err=True):
            fail("Not allowed.", cli.NOT_TAKEN)
        allowing.write(cli.home(), chain_id(desk.ledger.genesis()), account, url)
        _tell({"custodian": account, "url": url}, f"Allowed: {url}", as_json=as_json)

    yes = click.Option(["--yes"], is_flag=True, help="Allow it without asking.")
    return _with_desk(setting, allow, click.Argument(["custodian"]), yes)


def _box(setting: Setting) -> click.Command:
    @click.command("box")
    @click.argument("name", shell_complete=options.complete_names(setting.keys.names))
    @cli.with_ledger
    @cli.with_json
    def box(name: str, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Make a key for what is encrypted for NAME, and show its public half on the ledger; older ones stay yours."""
        with opened(data, node, setting.modules) as ledger:
            account, key = actions.find_actor(ledger, setting.keys, name, chain_id(ledger.genesis()))
            seed = secrets.token_bytes(32)
            setting.keys.add_box(name, seed)  # first: a key that the ledger shows must not be lost
            draft = ledger.draft((account, ShowBoxKey(Box(seed).key_id)))
            actions.send(draft.sign(key), ledger, as_json=as_json)

    return box
