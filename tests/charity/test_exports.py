"""What is published of campaigns: valid by the formats' schemas, read back with the ledger's totals, without donors."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from lxml import etree
from referencing import Registry, Resource

from metrobloc import app
from metrobloc.city.charity import story
from metrobloc.city.charity.rules import campaigns, gifts, totals
from metrobloc.city.charity.tools import iati, threesixty
from metrobloc.city.charity.tools.statement import NotWritten, Publisher, Statement, Sums, smallest, state, sums
from metrobloc.city.charity.types.messages import Give
from metrobloc.testing.sandbox import Sandbox
from tests.support import SHARED, need

THREESIXTY, IATI = SHARED / "social/360giving/schema", SHARED / "social/iati"
CHINA = Publisher("CN-MCA-53100000500021676G", "CN")
DECIMALS = {"CNY": 2}


@pytest.fixture(scope="module")
def town() -> Sandbox:
    chain = Sandbox(app.modules().values())
    story.play(chain.stage)
    for campaign, found in chain.view[campaigns].items():
        if found.state == "open":
            chain.stage.act("ann", Give(campaign, 1))
    return chain


@pytest.fixture(scope="module")
def stated(town: Sandbox) -> Statement:
    return state(town.view, town.machine.height, town.machine.time_ms, CHINA)


def test_360giving_is_valid_by_its_schema(stated: Statement) -> None:
    need(THREESIXTY.is_dir(), "the 360Giving schemas (data/social/360giving beside the project)")
    package, grant = (
        json.loads((THREESIXTY / f"360-giving-{name}schema.json").read_text()) for name in ("package-", "")
    )
    # The package names its grants' schema by another release than the one beside it, and both by a draft in http.
    for schema in (package, grant):
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    place = package["properties"]["grants"]["items"]["$ref"]
    registry: Registry[Any] = Registry().with_resource(place, Resource.from_contents(grant))
    made = jsonschema.Draft202012Validator(package, registry=registry, format_checker=jsonschema.FormatChecker())
    file = json.loads(threesixty.write(stated))
    assert list(made.iter_errors(file)) == []
    for wrong in (
        {**file, "grants": []},
        {**file, "grants": [file["grants"][0] | {"currency": "RENMINBI"}]},
        {**file, "grants": [file["grants"][0] | {"awardDate": "31/12/2026"}]},
        {**file, "grants": [file["grants"][0] | {"fundingOrganization": [{"name": "x"}]}]},
    ):
        assert list(made.iter_errors(wrong)), wrong


def test_iati_is_valid_by_its_schema(stated: Statement) -> None:
    need(IATI.is_dir(), "the IATI schemas (data/social/iati beside the project)")
    schema = etree.XMLSchema(etree.parse(str(IATI / "iati-activities-schema.xsd")))
    file = iati.write(stated)
    assert schema.validate(etree.fromstring(file)), schema.error_log
    assert not schema.validate(etree.fromstring(file.replace(b"transaction-date", b"transaction-day")))
    assert not schema.validate(etree.fromstring(file.replace(b">141.00<", b">a lot<")))


def iati_files(kind: str) -> Iterator[Path]:
    for name in ("activity", "organisation"):
        yield from sorted(IATI.glob(f"tests/{name}-tests/should-{kind}/**/*.xml"))


def test_iatis_own_examples_pass_and_fail_as_they_must() -> None:
    need(IATI.is_dir(), "the IATI tests (data/social/iati beside the project)")
    schemas = {
        f"iati-{name}": etree.XMLSchema(etree.parse(str(IATI / f"iati-{name}-schema.xsd")))
        for name in ("activities", "organisations")
    }

    def passes(path: Path) -> bool:
        try:
            root = etree.parse(str(path)).getroot()
        except etree.XMLSyntaxError:
            return False
        return root.tag in schemas and bool(schemas[root.tag].validate(root))

    good, bad = list(iati_files("pass")), list(iati_files("fail"))
    assert (len(good), len(bad)) == (70, 175)
    assert [path.name for path in good if not passes(path)] == []
    assert [path.name for path in bad if passes(path)] == []
    newer = {kind: sorted(IATI.glob(f"tests/should-{kind}/**/*.xml")) for kind in ("pass", "fail")}
    assert [path.name for path in newer["pass"] if not passes(path)] == []
    assert [path.name for path in newer["fail"] if passes(path)] == []
    assert (len(newer["pass"]), len(newer["fail"])) == (163, 73)


@pytest.mark.parametrize("format_", [threesixty, iati])
def test_what_is_read_back_has_the_ledgers_totals(
    format_: Any,  # noqa: ANN401
    town: Sandbox,
    stated: Statement,
) -> None:
    row = totals(town.view)["cny"]
    came = row["crowd"] + row["charity"] + row["company"] + row["matched"] - row["refunded"] - row["returned"]
    assert format_.read(format_.write(stated), DECIMALS) == sums(stated) == {"CNY": Sums(came, row["settled"])}


def test_iati_says_what_moved_on(town: Sandbox, stated: Statement) -> None:
    root: Any = etree.fromstring(iati.write(stated))
    [moved] = root.xpath("//transaction[transaction-type/@code='3']")
    assert moved.xpath("value/text()") == [f"{Decimal(totals(town.view)['cny']['moved']) / 100:.2f}"]
    [to] = moved.xpath("receiver-org/@receiver-activity-id")
    assert to in root.xpath("//iati-identifier/text()")
    assert all(one.startswith(CHINA.identifier) for one in root.xpath("//iati-identifier/text()"))


@pytest.mark.parametrize("write", [threesixty.write, iati.write])
def test_no_donor_is_in_it(write: Callable[[Statement], bytes], town: Sandbox, stated: Statement) -> None:
    file = write(stated).decode()
    people = {gift.donor for _, gift in town.view[gifts].items() if gift.moved_from is None}
    assert len(people) == 2
    assert not any(person in file for person in people)
    assert CHINA.identifier in file


def test_amounts_are_exact() -> None:
    assert smallest("90071992547409.91", 2) == 2**53 - 1
    assert smallest("-0.01", 2) == -1
    with pytest.raises(ValueError, match="whole number"):
        smallest("0.001", 2)


def test_what_cannot_be_published_is_said() -> None:
    chain = Sandbox(app.modules().values())
    with pytest.raises(NotWritten, match="no campaigns"):
        state(chain.view, 0, 0, CHINA)
    story.found(chain.stage)
    story.opened(chain.stage, "Nothing yet", 1, chain.stage.time_ms + 1_000_000)
    nothing = state(chain.view, 0, 0, CHINA)
    assert iati.read(iati.write(nothing), DECIMALS) == {}
    with pytest.raises(NotWritten, match="a grant at least"):
        threesixty.write(nothing)
