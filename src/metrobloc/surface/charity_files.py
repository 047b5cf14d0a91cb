"""Files that a charity makes of the ledger: exports in the field's formats, and donors' receipts with their PDF."""

import re
from collections.abc import Callable
from pathlib import Path

import click

from metrobloc.city.charity.tools import iati, printed, receipts, threesixty
from metrobloc.city.charity.tools.statement import NotWritten, Publisher, Statement, Sums, state, sums
from metrobloc.kernel.genesis import chain_id
from metrobloc.surface import actions, cli, options, showing
from metrobloc.surface.cli import Setting, fail, show_json, with_json, with_ledger, write_new
from metrobloc.surface.ledger import opened, view_of

FORMATS: dict[str, tuple[Callable[[Statement], bytes], Callable[[bytes, dict[str, int]], dict[str, Sums]]]] = {
    "360giving": (threesixty.write, threesixty.read),
    "iati": (iati.write, iati.read),
}
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{1,79}", re.ASCII)
CODE = re.compile(r"[A-Z]{2,3}", re.ASCII)
There = click.Path(path_type=Path, dir_okay=False, exists=True)
NewFile = click.Path(path_type=Path, dir_okay=False)


def add(group: click.Group, setting: Setting) -> None:
    """Add the commands to those that follow from the charity's declarations."""
    for command in (_export(setting), _receipt(setting), _check()):
        group.add_command(command)


def _export(setting: Setting) -> click.Command:
    @click.command("export")
    @click.option("--format", "name", type=click.Choice(sorted(FORMATS)), required=True, help="The format.")
    @click.option("--out", type=NewFile, required=True, help="The file to write.")
    @click.option(
        "--publisher", help="The publisher's identifier in the format's registry; the chain's id if left out."
    )
    @click.option("--country", help="The country of the cases, such as CN.")
    @click.option("--currency", help="The code of the currency where the asset is not called so, such as CNY.")
    @with_ledger
    @with_json
    def export(  # noqa: PLR0913
        *,
        name: str,
        out: Path,
        publisher: str | None,
        country: str | None,
        currency: str | None,
        data: Path | None,
        node: str,
        as_json: bool,
    ) -> None:
        """Publish all campaigns in a format of the field: 360Giving JSON 1.4, or IATI 2.03 XML.

        Gifts are added up by campaign, source and purpose, so no donor is named. What is written is read back first,
        and must have the ledger's own totals.
        """
        with opened(data, node, setting.modules) as ledger:
            who = _publisher(publisher or chain_id(ledger.genesis()), country, currency)
            standing = ledger.status()
            try:
                stated = state(view_of(ledger), int(standing["height"]), int(standing["time_ms"]), who)
                file, found = _written(name, stated)
            except NotWritten as missing:
                fail(str(missing), cli.USAGE)
        write_new(out, file)
        if as_json:
            show_json({"height": stated.height, "campaigns": len(stated.cases), "totals": found})
        else:
            click.echo(f"Written: {out}, {len(stated.cases)} campaigns at height {stated.height}.")
            for code, one in found.items():
                click.echo(f"{code}, in the smallest unit: {one.awarded} received and kept, {one.paid} paid out.")

    return export


def _receipt(setting: Setting) -> click.Command:
    names = options.complete_names(setting.keys.names)

    @click.command("receipt")
    @click.argument("gift")
    @click.option("--certificate", is_flag=True, help="Say too what the gift has done until now.")
    @click.option("--as", "as_name", required=True, shell_complete=names, help="Sign as this key, the charity's.")
    @click.option("--out", type=NewFile, required=True, help="The file to write, signed JSON.")
    @click.option("--pdf", type=NewFile, help="Print it too, as a page with a code that leads back to the file.")
    @click.option("--proof", type=NewFile, help="Write the proof of the gift's path too, against which it is checked.")
    @with_ledger
    @with_json
    def receipt(  # noqa: PLR0913
        *,
        gift: str,
        certificate: bool,
        as_name: str,
        out: Path,
        pdf: Path | None,
        proof: Path | None,
        data: Path | None,
        node: str,
        as_json: bool,
    ) -> None:
        """Sign a receipt for a GIFT, for its donor: who gave how much to which case, in words and for machines.

        A certificate moreover says what became of each part. It is checked against a proof of its own height, so write
        the proof with it: after 128 blocks nobody can.
        """
        with opened(data, node, setting.modules) as ledger:
            chain = chain_id(ledger.genesis())
            account, key = actions.find_actor(ledger, setting.keys, as_name, chain)
            file = showing.prove(ledger, setting.views["charity"]["path"], gift)
            donation = receipts.from_proof(file, "certificate" if certificate else "receipt")
        if donation.charity != account:
            fail("Only the charity to whose campaign the gift was given signs for it.", cli.USAGE)
        signed = receipts.sign(donation, key)
        page = b""
        if pdf is not None:
            try:
                page = printed.pdf(receipts.read(signed))
            except printed.NotPrinted as missing:
                fail(str(missing), cli.NO_NODE)
        for path, content in ((out, signed), (pdf, page), (proof, file)):
            if path is not None:
                write_new(path, content)
        code = receipts.read(signed).mark
        if as_json:
            show_json({"kind": donation.kind, "gift": gift, "height": donation.height, "code": code})
        else:
            click.echo(f"Signed and written to {out}.\nCode: {code}")

    return receipt


def _check() -> click.Command:
    @click.command("check")
    @click.argument("receipt", type=There)
    @click.option("--proof", type=There, required=True, help="The proof of the gift's path.")
    @click.option("--trust", type=There, help="The operators to trust, a file as `metrobloc trust` writes it.")
    @click.option("--code", help="What the code of a printed page says.")
    @with_json
    def check(*, receipt: Path, proof: Path, trust: Path | None, code: str | None, as_json: bool) -> None:
        """Check a RECEIPT or certificate against the proof of its gift's path, offline.

        It ends with 0 valid, 1 invalid, 2 the trust file is none, 3 the signer of the proof is not trusted.
        """
        trusted = None if trust is None else trust.read_bytes()
        verdict = receipts.check(receipt.read_bytes(), proof.read_bytes(), trusted, code)
        if as_json:
            show_json(verdict._asdict())
        else:
            click.echo(f"{verdict.status.upper()}: {verdict.reason}")
        raise click.exceptions.Exit(["valid", "invalid", "unusable", "untrusted"].index(verdict.status))

    return check


def _publisher(identifier: str, country: str | None, currency: str | None) -> Publisher:
    if not IDENTIFIER.fullmatch(identifier):
        fail("An identifier is of letters, digits, points and hyphens, such as CN-MCA-53100000500021676G.", cli.USAGE)
    for code, digits in ((country, 2), (currency, 3)):
        if code is not None and (len(code) != digits or not CODE.fullmatch(code)):
            fail("A country has two capital letters, such as CN; a currency three, such as CNY.", cli.USAGE)
    return Publisher(identifier, country, currency)


def _written(name: str, stated: Statement) -> tuple[bytes, dict[str, Sums]]:
    """Write a statement in a format, read it back, and hold it to the ledger's totals."""
    write, read = FORMATS[name]
    decimals = {case.currency: case.decimals for case in stated.cases}
    if any(decimals[case.currency] != case.decimals for case in stated.cases):
        raise NotWritten("Two assets of one currency have other decimals; publish them from chains of their own.")
    file, wanted = write(stated), {code: one for code, one in sums(stated).items() if one != Sums()}
    found = {code: one for code, one in read(file, decimals).items() if one != Sums()}
    if found != wanted:
        raise NotWritten(
            "The file does not add up to the ledger's totals, which may have changed meanwhile; try again."
        )
    return file, found
