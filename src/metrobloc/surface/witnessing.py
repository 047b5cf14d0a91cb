"""The commands of witnesses: keep one, have it check a node, and have a node's checkpoint co-signed by others."""

from pathlib import Path
from typing import Any

import click
import msgspec

from metrobloc.client import NoNode
from metrobloc.commons import notes, witnessing
from metrobloc.commons.notes import COSIGNATURE, Note
from metrobloc.commons.witnessing import Asked, Contradiction, Log, Turned
from metrobloc.engine.audit import read_trust
from metrobloc.engine.cosigned import COSIGNED_FILE, keep_cosigned
from metrobloc.engine.sealer import clock_ms
from metrobloc.engine.witness import Witness
from metrobloc.kernel.crypto import public_key
from metrobloc.surface import cli
from metrobloc.surface.asking_witnesses import ask_witness
from metrobloc.surface.cli import Setting, fail, home, show_json, with_json, with_ledger, write_new
from metrobloc.surface.connections import PER_ADDRESS_MAX
from metrobloc.surface.ledger import Ledger, opened
from metrobloc.surface.witness_door import serve_witness

Folder = click.Path(path_type=Path, file_okay=False)
File = click.Path(path_type=Path, dir_okay=False)


def group(setting: Setting) -> click.Group:
    """Return the commands of witnesses."""

    @click.group("witness")
    def witness() -> None:
        """Watch that a log's history is not rewritten, and co-sign its heads (C2SP tlog-witness)."""

    for command in (_init(), _watch(), _run(), _check(setting), _submit(setting), _keep()):
        witness.add_command(command)
    return witness


def succession(ledger: Ledger) -> list[str]:
    """Return the notes of all changes of a ledger's operator's key, unchecked."""
    proof = msgspec.json.decode(ledger.record_proof("kernel/chain/info", None), type=dict[str, Any])
    return msgspec.convert(proof.get("trust", {}).get("succession", []), list[str])


def _init() -> click.Command:
    @click.command("init")
    @click.argument("folder", type=Folder)
    @click.option("--name", required=True, help="The witness's name, such as witness.example/w1.")
    @with_json
    def init(folder: Path, name: str, as_json: bool) -> None:  # noqa: FBT001
        """Make a witness in FOLDER, with a key of its own."""
        if witnessing.NAME.fullmatch(name) is None:
            fail("A witness's name has at most 100 characters, no blanks and no plus.", cli.USAGE)
        made = Witness.create(folder, name)
        told = {"name": name, "key": made.key.key_id}
        told["vkey"] = witnessing.write_vkey(name, made.key.key_id, COSIGNATURE)
        made.close()
        if as_json:
            show_json(told)
        else:
            click.echo(f"The witness {name} is in {folder}. Its key:\n  {told['key']}\n  {told['vkey']}")
            click.echo("Name a log with `metrobloc witness watch`. Never bring this folder back from a backup.")

    return init


def _watch() -> click.Command:
    @click.command("watch")
    @click.argument("folder", type=Folder)
    @click.option("--trust", type=click.File("rb"), help="A chain and its operator's key (`metrobloc trust`).")
    @click.option("--vkey", help="Any other log's key, as C2SP's tools write it: NAME+HASH+KEY.")
    @click.option("--origin", help="With --vkey: the first line of its checkpoints, if that is not the key's name.")
    @with_json
    def watch(
        *,
        folder: Path,
        trust: Any,  # noqa: ANN401  # click's file
        vkey: str | None,
        origin: str | None,
        as_json: bool,
    ) -> None:
        """Watch a log from now on, or trust another key of one that is watched."""
        if (trust is None) == (vkey is None) or (origin and not vkey):
            fail("Name a log by --trust FILE, or by --vkey (and --origin).", cli.USAGE)
        try:
            if trust is not None:
                trusted = read_trust(trust.read())
                for key in trusted.keys:
                    public_key(key)
                log = Log(trusted.chain, trusted.chain, tuple(trusted.keys))
            else:
                name, key = witnessing.read_vkey(str(vkey))
                log = Log(origin or name, name, (key,))
        except ValueError as error:
            fail(f"This names no log: {error}.", cli.USAGE)
        witness = Witness.open(folder)
        try:
            witness.watch(log)
        finally:
            witness.close()
        if as_json:
            show_json({"origin": log.origin, "page": witnessing.log_page(log.origin)})
        else:
            click.echo(f"{log.origin} is watched from now on.")

    return watch


def _run() -> click.Command:
    @click.command("run")
    @click.argument("folder", type=Folder)
    @click.option("--port", type=click.IntRange(0, 65535), default=8470, show_default=True, help="0 picks a free one.")
    @click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
    @click.option(
        "--per-address",
        type=click.IntRange(0),
        default=PER_ADDRESS_MAX,
        show_default=True,
        help="Connections from one address; 0 for no such limit, behind a proxy.",
    )
    @with_json
    def run(folder: Path, port: int, host: str, per_address: int, as_json: bool) -> None:  # noqa: FBT001
        """Co-sign what logs post to this witness, until it is ended; it can be ended at any moment."""
        witness = Witness.open(folder)

        def ready(open_port: int) -> None:
            url = f"http://{f'[{host}]' if ':' in host else host}:{open_port}"
            if as_json:
                show_json({"name": witness.name, "key": witness.key.key_id, "url": url})
            else:
                click.echo(f"{witness.name} watches {len(witness.logs)} logs at {url}\nStop it with Ctrl-C.")

        try:
            serve_witness(witness, host, port, ready, per_address=per_address)
        finally:
            witness.close()

    return run


def _check(setting: Setting) -> click.Command:
    @click.command("check")
    @click.argument("folder", type=Folder)
    @click.option("--out", type=File, help="Write the co-signed checkpoint here, for the log's operator.")
    @with_ledger
    @with_json
    def check(folder: Path, out: Path | None, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Fetch a node's newest checkpoint, and co-sign it if its log goes on from the one co-signed before.

        It needs no address of its own. Another history ends with exit code 1 and leaves both signed heads in FOLDER.
        """
        witness = Witness.open(folder)
        try:
            with opened(data, node, setting.modules) as ledger:
                note = _checked(witness, ledger)
            if out is not None:
                write_new(out, note)
        finally:
            witness.close()
        head = notes.read_head(notes.read(note))
        if as_json:
            show_json({"origin": head.chain, "size": head.size, "checkpoint": note.decode()})
        else:
            click.echo(f"{head.chain} goes on: {head.size} leaves, co-signed.")

    return check


def _checked(witness: Witness, ledger: Ledger) -> bytes:
    """Co-sign a ledger's newest checkpoint; or end with why not."""
    raw = ledger.checkpoint()
    try:
        note = notes.read(raw)
        new = notes.read_head(note)
        known = witness.logs.get(new.chain)
        if known is None:
            fail(f"This witness does not watch {new.chain}; see `metrobloc witness watch`.", cli.NOT_TAKEN)
        if notes.signed_by(note, known.log.name, known.log.keys) is None:
            heirs = notes.heirs(known.log.keys, new.chain, (step.encode() for step in succession(ledger)))
            witness.watch(msgspec.structs.replace(known.log, keys=heirs))
            known = witness.logs[new.chain]
        own = notes.signed_by(note, known.log.name, known.log.keys)
    except (ValueError, msgspec.MsgspecError) as error:
        raise NoNode(f"What answers there is no node's checkpoint: {error}.") from error
    if own is None:
        fail("The checkpoint is not signed by a key of the log that this witness trusts.", cli.NOT_TAKEN)
    size = known.head.size if known.head else 0
    if new.size < size:
        witness.refuse(own, ())
        _tell_fork(f"The node shows {new.size} leaves, and this witness has co-signed {size}: the log was cut back.")
    grown = ledger.consistency(size, new.size)
    path = tuple(bytes.fromhex(part) for part in grown.path)
    try:
        line = witness.cosign(Asked(size, path, raw), clock_ms() // 1000)
    except Contradiction as found:
        file = witness.refuse(found.note, path, bytes.fromhex(grown.old_root))
        proof = f" {file} shows it to anybody; `metrobloc log accuse` takes it." if file else ""
        _tell_fork(f"The node shows another history than the one that this witness has co-signed.{proof}")
    except Turned as turned:
        fail(turned.sentence, cli.NOT_TAKEN)
    (added,) = witnessing.read_lines(note, line)
    others = [one for one in note.signatures if (one.name, one.hint) != (added.name, added.hint)]
    return notes.render(Note(note.body, (*others, added)))


def _tell_fork(sentence: str) -> None:
    fail(f"{sentence} Both signed heads are in the witness's folder `refused`.", cli.REFUSED)


def _submit(setting: Setting) -> click.Command:
    @click.command("submit")
    @click.option("--to", "urls", multiple=True, required=True, help="A witness's URL; repeat it, each with its --key.")
    @click.option("--key", "keys", multiple=True, required=True, help="The key of that witness as did:key.")
    @click.option("--keep", type=File, help="Keep it in this file [default: where the data folder's node shows it].")
    @with_ledger
    @with_json
    def submit(  # noqa: PLR0913
        *, urls: tuple[str, ...], keys: tuple[str, ...], keep: Path | None, data: Path | None, node: str, as_json: bool
    ) -> None:
        """Have a node's newest checkpoint co-signed by witnesses, check that they have, and keep it for all to see."""
        if len(urls) != len(keys):
            fail("Name a --key for every witness --to which it is sent.", cli.USAGE)
        with opened(data, node, setting.modules) as ledger:
            raw = ledger.checkpoint()
            answers = [ask_witness(url, key, raw, ledger.consistency) for url, key in zip(urls, keys, strict=True)]
        lines = [answer for answer in answers if not isinstance(answer, str)]
        whole = raw
        if lines:
            whole = keep_cosigned(keep or (data or home() / "city") / COSIGNED_FILE, raw, lines)
        for url, answer in zip(urls, answers, strict=True):
            if isinstance(answer, str):
                click.echo(f"{url}: {answer}", err=True)
            elif not as_json:
                click.echo(f"{url}: co-signed by {answer.name}.")
        if as_json:
            show_json({"checkpoint": whole.decode(), "cosigned": [line.name for line in lines]})
        if len(lines) != len(urls):
            raise click.exceptions.Exit(cli.NOT_TAKEN)

    return submit


def _keep() -> click.Command:
    @click.command("keep")
    @click.argument("note", type=click.File("rb"))
    @click.option("--key", required=True, help="The key of the witness that has co-signed it, as did:key.")
    @click.option("--data", type=Folder, help="The data folder [default: the folder `city` in METROBLOC_HOME].")
    @with_json
    def keep(note: Any, key: str, data: Path | None, as_json: bool) -> None:  # noqa: ANN401, FBT001
        """Keep a checkpoint that a witness without an address has co-signed (`witness check --out`), for all to see."""
        try:
            read = notes.read(note.read())
            head = notes.read_head(read)
            line = witnessing.cosignature_of(read, read.signatures, key)
        except ValueError as error:
            fail(f"This is no checkpoint: {error}.", cli.NOT_TAKEN)
        if line is None:
            fail("The checkpoint is not co-signed with this key.", cli.NOT_TAKEN)
        path = (data or home() / "city") / COSIGNED_FILE
        keep_cosigned(path, notes.render(Note(read.body, read.signatures)), [line])
        if as_json:
            show_json({"cosigned": line.name, "size": head.size})
        else:
            click.echo(f"Kept: {head.size} leaves, co-signed by {line.name}.")

    return keep
