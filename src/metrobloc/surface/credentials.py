"""Files of credentials: written and anchored by an issuer, proved, shown in part by the holder, checked at a desk.

`check` ends with 0 valid, 1 invalid, 2 wrong usage or no trust file, 3 the signer of the proofs is not trusted, 4 no
node, 5 the proofs are older than accepted.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace

from metrobloc.client import NoNode, NotValid, Unknown, checking, credentials
from metrobloc.client.checking import Question, Verdict
from metrobloc.client.credentials import Credential, Opened, Terms
from metrobloc.commons.credentials import rules
from metrobloc.engine.sealer import clock_ms
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.genesis import chain_id
from metrobloc.surface import actions, cli, options
from metrobloc.surface.cli import Setting, fail, show_json, with_json, with_ledger, write_new
from metrobloc.surface.ledger import Ledger, opened

STALE = 5
CLAIMS_BYTES_MAX = 1 << 18
EXIT = {"valid": 0, "invalid": cli.REFUSED, "unusable": cli.USAGE, "untrusted": cli.NOT_TAKEN, "stale": STALE}

There = click.Path(path_type=Path, dir_okay=False, exists=True)
New = click.Path(path_type=Path)


def commands(setting: Setting) -> tuple[click.Command, ...]:
    """Return the commands about files, beside those that follow from the declarations."""
    return _write(setting), _prove(setting), _present(setting), _check(setting)


def _write(setting: Setting) -> click.Command:
    names = options.complete_names(setting.keys.names)

    @click.command("write")
    @click.argument("claims", type=There, nargs=-1, required=True)
    @click.option("--kind", required=True, help="The kind of credential; see `metrobloc credentials open-kinds`.")
    @click.option("--from", "begin", default="+0s", help="From when it is valid: 2026-12-31, +30d; now if left out.")
    @click.option("--until", required=True, help="Until when it is valid: 2026-12-31, +365d.")
    @click.option("--holder", multiple=True, help="The did:key that can present it, or the name of one of your keys.")
    @click.option("--renews", help="The id of the credential that it replaces.")
    @click.option("--no-anchor", is_flag=True, help="Only sign; print the commitments, to be anchored in another way.")
    @click.option("--as", "as_name", required=True, shell_complete=names, help="Sign as this key, the issuer's.")
    @click.option("--out", type=New, required=True, help="The file to write; a folder for several.")
    @with_ledger
    @with_json
    def write(  # noqa: PLR0913
        *,
        claims: tuple[Path, ...],
        kind: str,
        begin: str,
        until: str,
        holder: tuple[str, ...],
        renews: str | None,
        no_anchor: bool,
        as_name: str,
        out: Path,
        data: Path | None,
        node: str,
        as_json: bool,
    ) -> None:
        """Write credentials about the CLAIMS in JSON files, sign and anchor them; what they say stays in their files.

        CLAIMS is a file with one JSON object: names of claims and their values. Several become the credentials of one
        transaction, each written into the folder --out under its file's name; --holder then comes once for each.

        With --no-anchor several can sign the anchoring: give the commitments to `metrobloc credentials issue --draft`.
        Once they are anchored, `metrobloc credentials prove` finds the credential.
        """
        if renews is not None and (len(claims) > 1 or no_anchor):
            fail("Only one credential at a time is renewed, and anchored here; give one file of claims.", cli.USAGE)
        said = [_read_claims(path) for path in claims]
        paths = _paths(claims, out)
        with opened(data, node, setting.modules) as ledger, _valid():
            chain, now_ms = chain_id(ledger.genesis()), ledger.time_ms()
            account, key = actions.find_actor(ledger, setting.keys, as_name, chain)
            from_ms, until_ms = options.time_ms(begin, now_ms), options.time_ms(until, now_ms)
            files = _sign(setting, Terms(chain, account, kind, from_ms, until_ms), key, said, holder)
            if len(paths) > 1:
                out.mkdir(mode=0o700, exist_ok=True)
            if no_anchor:
                _keep(files, paths, as_json=as_json)
            else:
                _anchor(ledger, account, key, files, paths, renews, as_json=as_json)
        if not as_json:
            click.echo("Written: " + ", ".join(str(path) for path in paths) + ". Give each to its holder alone.")

    return write


def _sign(
    setting: Setting, terms: Terms, key: SigningKey, said: Sequence[dict[str, object]], holders: Sequence[str]
) -> list[Credential]:
    """Write a credential for each object of claims, and each for its holder where holders are given."""
    if holders and len(holders) != len(said):
        fail("Give --holder once for each file of claims, in their order, or not at all.", cli.USAGE)
    own = [replace(terms, holder=_holder(setting, name, terms.chain)) for name in holders] or [terms] * len(said)
    return [credentials.write(one, claims, key) for one, claims in zip(own, said, strict=True)]


def _keep(files: Sequence[Credential], paths: Sequence[Path], *, as_json: bool) -> None:
    """Write the files without an id, and tell what is to be anchored."""
    for file, path in zip(files, paths, strict=True):
        write_new(path, credentials.to_bytes(file), 0o600)
    told = [
        {"file": str(path), "commitment": credentials.commitment(file)} for file, path in zip(files, paths, strict=True)
    ]
    if as_json:
        show_json({"credentials": told})
        return
    for one in told:
        click.echo(f"commitment {one['commitment']}")


def _anchor(  # noqa: PLR0913, PLR0917
    ledger: Ledger,
    account: str,
    key: SigningKey,
    files: Sequence[Credential],
    paths: Sequence[Path],
    renews: str | None,
    *,
    as_json: bool,
) -> None:
    """Write the files, whose salts must not be lost, and then anchor them; they go again when the ledger says no."""
    statement = credentials.read(credentials.to_bytes(files[0])).statement
    commitments = [credentials.commitment(file) for file in files]
    times = {"from_ms": statement.from_ms, "until_ms": statement.until_ms}
    if renews is None:
        fields: dict[str, object] = {"kind": statement.kind, "commitments": commitments, **times}
        draft = ledger.draft((account, "credentials.issue", fields))
    else:
        fields = {"credential": renews, "commitment": commitments[0], **times}
        draft = ledger.draft((account, "credentials.renew", fields))
    for number, (file, path) in enumerate(zip(files, paths, strict=True)):
        whole = replace(file, id=draft.new_id(0, number))
        write_new(path, credentials.to_bytes(whole), 0o600)
    try:
        actions.send(draft.sign(key), ledger, as_json=as_json)
    except click.exceptions.Exit:  # final: nothing of it is on the ledger
        for path in paths:
            path.unlink()
        raise
    except (NoNode, Unknown):
        click.echo("The files are kept: `metrobloc credentials check FILE --online` tells if they count.", err=True)
        raise


def _prove(setting: Setting) -> click.Command:
    @click.command("prove")
    @click.argument("file", type=There)
    @click.option("--out", type=New, required=True, help="The file to write.")
    @with_ledger
    @with_json
    def prove(file: Path, out: Path, data: Path | None, node: str, as_json: bool) -> None:  # noqa: FBT001
        """Put fresh proofs from the ledger into a copy of the credential FILE, so that it can be checked offline."""
        with opened(data, node, setting.modules) as ledger, _valid():
            whole = _anchored(credentials.read(_bytes(file)), ledger)
            made = checking.prove(whole, lambda key: ledger.record_proof(key, None))
        write_new(out, credentials.to_bytes(made), 0o600)
        _told(out, made, "has fresh proofs", as_json=as_json)

    return prove


def _anchored(whole: Opened, ledger: Ledger) -> Opened:
    """Return a file with its id; the ledger knows it by the commitment where the file was anchored in another way."""
    if whole.file.id is not None:
        return whole
    found = ledger.record(rules.commitments.path((whole.statement.issuer, whole.commitment)))["items"]
    if not found:
        raise NotValid("not_anchored")
    file = replace(whole.file, id=found[0]["value"]["credential"])
    return credentials.read(credentials.to_bytes(file))


def _present(setting: Setting) -> click.Command:
    names = options.complete_names(setting.keys.names)

    @click.command("present")
    @click.argument("file", type=There)
    @click.option("--show", help="The claims to show, with commas between them; none if left out.")
    @click.option("--nonce", help="What the desk gave you to sign, so that nobody else can show this file again.")
    @click.option("--for", "audience", help="For whom you sign it.")
    @click.option("--as", "as_name", shell_complete=names, help="Sign as this key, the holder's.")
    @click.option("--out", type=New, required=True, help="The file to write.")
    @with_json
    def present(  # noqa: PLR0913
        *,
        file: Path,
        show: str | None,
        nonce: str | None,
        audience: str | None,
        as_name: str | None,
        out: Path,
        as_json: bool,
    ) -> None:
        """Show some claims of the credential FILE and withhold the others, offline; with --nonce as its holder."""
        if (nonce is None) != (as_name is None) or (audience is not None and nonce is None):
            fail("--nonce and --as go together, and --for goes with both.", cli.USAGE)
        with _valid():
            whole = credentials.read(_bytes(file))
            try:
                made = credentials.show_only(whole.file, show.split(",") if show else ())
            except ValueError as error:
                fail(str(error), cli.USAGE)
            if nonce is not None and as_name is not None:
                found = setting.keys.find(as_name, whole.statement.chain)
                key = next((one for one in found if one.key_id == whole.statement.holder), None)
                if key is None:
                    fail(f"The key {as_name} is not that of the credential's holder.", cli.USAGE)
                made = credentials.present(made, key, nonce, audience)
        write_new(out, credentials.to_bytes(made), 0o600)
        _told(out, made, f"shows {', '.join(claim.name for claim in made.claims) or 'no claim'}", as_json=as_json)

    return present


def _check(setting: Setting) -> click.Command:
    @click.command("check")
    @click.argument("file", type=There)
    @click.option("--trust", type=There, help="The operators to trust, a file as `metrobloc trust` writes it.")
    @click.option("--proof", type=There, multiple=True, help="A proof beside the file (`show --proof`); repeat it.")
    @click.option("--at", "when", help="Ask about this time instead of now: 2026-12-31, 2026-12-31T18:00Z.")
    @click.option("--fresh", default="24h", show_default=True, help="How old proofs may be: 30d, 24h, 10m, 45s.")
    @click.option("--nonce", help="What you gave the holder to sign; its signature is then required.")
    @click.option("--for", "audience", help="For whom the holder must have signed it.")
    @click.option("--online", is_flag=True, help="Fetch fresh proofs from --node or --data.")
    @with_ledger
    @with_json
    def check(  # noqa: PLR0913
        *,
        file: Path,
        trust: Path | None,
        proof: tuple[Path, ...],
        when: str | None,
        fresh: str,
        nonce: str | None,
        audience: str | None,
        online: bool,
        data: Path | None,
        node: str,
        as_json: bool,
    ) -> None:
        """Check a credential FILE: who signed what it shows, and that it is not revoked as of a time; offline.

        Ends with 0 valid, 1 invalid, 2 wrong usage, 3 whoever signed the proofs is not trusted, 4 no node, 5 the proofs
        are older than --fresh.
        """
        if audience is not None and nonce is None:
            fail("--for goes with --nonce.", cli.USAGE)
        now_ms = clock_ms()
        at_ms = None if when is None else options.time_ms(when, now_ms)
        fresh_ms = options.time_ms(fresh if fresh.startswith("+") else f"+{fresh}", 0)
        whole, proofs = _bytes(file), [_bytes(path) for path in proof]
        if online:
            with opened(data, node, setting.modules) as ledger, suppress(NotValid):  # what is wrong, the check says
                found = _anchored(credentials.read(whole), ledger)
                proofs += [ledger.record_proof(key, None) for key in checking.needed(found)]
                whole = credentials.to_bytes(found.file)
        trusted = None if trust is None else _bytes(trust)
        verdict = checking.check(whole, proofs, trusted, Question(now_ms, at_ms, fresh_ms, nonce, audience))
        _show(verdict, as_json=as_json)
        raise click.exceptions.Exit(EXIT[verdict.status])

    return check


def _show(verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        show_json(verdict)
        return
    click.echo(f"{verdict.status.upper()}: {verdict.sentence}")
    for name, value in verdict.facts.items():
        if name == "claims" and isinstance(value, dict):
            for claim, said in value.items():
                click.echo(f"  claim {claim}: {_plain(json.dumps(said, ensure_ascii=False))}")
        elif value is not None:
            text = checking.utc(value) if name.endswith("_ms") and isinstance(value, int) else str(value)
            click.echo(f"  {name.removesuffix('_ms')}: {_plain(text)}")


def _plain(text: str) -> str:
    """Return a text in which no character can pass for another or move the others: whoever made it may be anybody."""
    return "".join(mark if mark.isprintable() else f"\\u{{{ord(mark):x}}}" for mark in text)


@contextmanager
def _valid() -> Iterator[None]:
    """Let a file that does not hold end the command with its code and sentence."""
    try:
        yield
    except NotValid as fault:
        fail(f"Not valid ({fault.code}). {fault.sentence}", cli.REFUSED)


def _told(path: Path, file: Credential, what: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"file": str(path), "credential": file.id, "claims": [claim.name for claim in file.claims]})
    else:
        click.echo(f"{path} {what}.")


def _holder(setting: Setting, name: str, chain: str) -> str:
    return name if name.startswith("did:key:") else setting.keys.find(name, chain)[0].key_id


def _paths(claims: Sequence[Path], out: Path) -> list[Path]:
    """Return where each credential is written: into a folder where there are several."""
    if len(claims) == 1:
        return [out]
    paths = [out / path.name for path in claims]
    if any(path.exists() for path in paths):
        fail(f"There are files of these names in {out} already; choose another folder.", cli.USAGE)
    if len(dict.fromkeys(paths)) < len(paths):
        fail(
            "Two files of claims have one name; rename one, because their credentials are named after them.", cli.USAGE
        )
    return paths


def _read_claims(path: Path) -> dict[str, object]:
    """Read one JSON object; what could be read in two ways is wrong usage."""
    try:
        with path.open("rb") as file:
            raw = file.read(CLAIMS_BYTES_MAX + 1)
        found = json.loads(raw.decode(), object_pairs_hook=_once) if len(raw) <= CLAIMS_BYTES_MAX else None
    except (ValueError, RecursionError) as error:
        fail(f"{path} is not JSON in UTF-8 with every name once ({error}).", cli.USAGE)
    if not isinstance(found, dict) or not found:
        fail(f"{path} holds no JSON object of claims, or more than {CLAIMS_BYTES_MAX} bytes.", cli.USAGE)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _bytes(path: Path) -> bytes:
    """Return a file's bytes, and no more of it than shows that it is too large."""
    with path.open("rb") as file:
        return file.read(credentials.FILE_BYTES_MAX + 2)
