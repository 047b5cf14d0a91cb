"""The commands of the log: publish it for static file servers, check a published one, anchor others' heads."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from metrobloc.commons import notes, witnessing
from metrobloc.commons.anchors.heads import log_id
from metrobloc.commons.anchors.types import Accuse, Anchor
from metrobloc.engine.audit import Trust, read_trust
from metrobloc.engine.publishing import Checked, Unsound, check, publish
from metrobloc.kernel.crypto import public_key
from metrobloc.kernel.genesis import chain_id
from metrobloc.kernel.types import Message
from metrobloc.surface import actions, cli
from metrobloc.surface.cli import Setting, fail, show_json, with_json, with_ledger
from metrobloc.surface.ledger import Ledger, opened
from metrobloc.surface.running import progress
from metrobloc.surface.witnessing import succession

Folder = click.Path(path_type=Path, file_okay=False)


def group(setting: Setting) -> click.Group:
    """Return the log's commands."""

    @click.group("log")
    def log() -> None:
        """Publish the log, check a published one, and record other logs' heads here."""

    for command in (_export(setting), _check(), _anchor(setting), _accuse(setting)):
        log.add_command(command)
    return log


def _export(setting: Setting) -> click.Command:
    @click.command("export")
    @click.argument("folder", type=Folder)
    @with_ledger
    @with_json
    def export(folder: Path, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Write what is new of the log to FOLDER, for any static file server (C2SP tlog-tiles).

        What is published is the newest checkpoint that witnesses have co-signed; while there is none, the newest.
        """
        with opened(data, node, setting.modules) as ledger, progress("bundles", None, quiet=as_json) as done:
            try:
                made = publish(folder, ledger, succession(ledger), done)
            except Unsound as unsound:
                fail(str(unsound), cli.REFUSED)
        if as_json:
            show_json({"origin": made.head.chain, "size": made.head.size, "entries": made.entries})
        else:
            click.echo(f"{made.entries} entries are new in {folder}, of {made.head.size}.")

    return export


def _check() -> click.Command:
    @click.command("check")
    @click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
    @click.option("--trust", type=click.File("rb"), required=True, help="Whose log it must be (`metrobloc trust`).")
    @click.option("--witness", "witnesses", multiple=True, help="The key of a witness that must have co-signed it.")
    @with_json
    def check_(folder: Path, trust: Any, witnesses: tuple[str, ...], as_json: bool) -> None:  # noqa: ANN401, FBT001
        """Compute a published log anew, and see who has signed it; exit code 3 if that is not whom you trust."""
        trusted = _trust(trust.read())
        with progress("bundles", None, quiet=as_json) as done:
            try:
                found = check(folder, trusted, done)
            except Unsound as unsound:
                fail(str(unsound), cli.REFUSED)
        lines = {key: witnessing.cosignature_of(found.note, found.note.signatures, key) for key in witnesses}
        names = [line.name for line in lines.values() if line is not None]
        lacking = [key for key, line in lines.items() if line is None]
        as_of = datetime.fromtimestamp(found.time_s, UTC).isoformat() if found.signer else ""
        if as_json:
            show_json({**_told(found), "as_of": as_of, "witnesses": names, "lacking": lacking})
        else:
            click.echo(f"{found.head.chain}: {found.head.size} entries give the root {found.head.root.hex()}.")
            click.echo(f"Signed by {found.signer}, {as_of}." if found.signer else "Not signed by whom you trust.")
            for name in names:
                click.echo(f"Co-signed by {name}.")
            for key in lacking:
                click.echo(f"Not co-signed by {key}.")
        if not found.signer or lacking:
            raise click.exceptions.Exit(cli.NOT_TAKEN)

    return check_


def _told(found: Checked) -> dict[str, object]:
    return {
        "origin": found.head.chain,
        "size": found.head.size,
        "root": found.head.root.hex(),
        "signer": found.signer,
    }


def _trust(raw: bytes) -> Trust:
    try:
        trusted = read_trust(raw)
        for key in trusted.keys:
            public_key(key)
    except ValueError as error:
        fail(f"Nobody is trusted: {error}.".replace("..", "."), cli.USAGE)
    return trusted


def _anchor(setting: Setting) -> click.Command:
    @click.command("anchor")
    @click.option("--from", "source", required=True, help="The URL of the other ledger's node.")
    @click.option("--as", "name", required=True, help="The name of the key that signs.")
    @with_ledger
    @with_json
    def anchor(source: str, name: str, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Record another ledger's newest head here, with the proof that it goes on from the last one."""
        with opened(None, source, setting.modules) as other, opened(data, node, setting.modules) as ledger:
            note = other.checkpoint()
            try:
                head = notes.read_head(notes.read(note))
            except ValueError as error:
                fail(f"What answers at {source} is no checkpoint: {error}.", cli.NO_NODE)
            known = ledger.query("anchors", "standing", {"origin": head.chain})["value"]
            old = known["head"]["size"] if known and known["head"] else 0
            path = other.consistency(old, head.size).path if 0 < old < head.size else ()
            made = Anchor(log_id(head.chain), note.decode(), path)
            _send(setting, ledger, name, made, as_json=as_json)

    return anchor


def _accuse(setting: Setting) -> click.Command:
    @click.command("accuse")
    @click.argument("file", type=click.File("rb"))
    @click.option("--as", "name", required=True, help="The name of the key that signs.")
    @with_ledger
    @with_json
    def accuse(file: Any, name: str, data: Path | None, node: str, as_json: bool) -> None:  # noqa: ANN401, FBT001
        """Show on this ledger the two histories that a witness has written to FILE (in its folder `refused`)."""
        try:
            shown = msgspec.json.decode(file.read(), type=Accuse)
        except msgspec.MsgspecError as error:
            fail(f"This is no file of a witness ({error}).", cli.USAGE)
        with opened(data, node, setting.modules) as ledger:
            _send(setting, ledger, name, shown, as_json=as_json)

    return accuse


def _send(setting: Setting, ledger: Ledger, name: str, message: Message, *, as_json: bool) -> None:
    account, key = actions.find_actor(ledger, setting.keys, name, chain_id(ledger.genesis()))
    actions.send(actions.sign(ledger.draft((account, message)), [key]), ledger, as_json=as_json)
