"""The API's document and the pages for people: whole, valid, and true to the declarations."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from metrobloc import app
from metrobloc.kernel import codec, envelope
from metrobloc.surface.describe import ROUTE_WORDS, describe
from metrobloc.surface.http import ROUTES
from metrobloc.surface.http.document import path_of
from metrobloc.surface.http.shapes import Envelope
from tests.surface.city import Node

Found = dict[str, Any]


@pytest.fixture(scope="module")
def document(node: Node) -> Found:
    answer = node.http.get("/v1/openapi.json")
    assert answer.status_code == 200
    found: Found = answer.json()
    return found


def test_the_document_is_valid_and_has_every_operation(document: Found) -> None:
    validate(document)
    assert document["openapi"] == "3.1.0"
    paths = set(document["paths"])
    expanded = {"/v1/drafts/{app}/{verb}", "/v1/queries/{app}/{name}"}
    wanted = {path_of(route) for route in ROUTES if route.include_in_schema is not False} - expanded
    for module in app.modules().values():
        wanted |= {f"/v1/drafts/{module.name}/{verb}" for verb in module.actions}
        wanted |= {f"/v1/queries/{module.name}/{name}" for name in module.queries}
    assert paths == wanted
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert all(one["summary"].endswith(".") for one in operations)


def test_every_operation_says_how_it_can_fail(document: Found) -> None:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            failures = {status for status in one["responses"] if status >= "400"}
            assert failures >= {"405", "500", "503"}, path
            assert failures >= ({"400", "413"} if method == "post" else set()), path
            assert "404" in failures or "{" not in path, path
            for status in failures:
                schema = one["responses"][status]["content"]["application/json"]["schema"]
                assert "Failure" in json.dumps(schema) or path == "/v1/tx"


def test_parameters_tell_their_limits(document: Found) -> None:
    for path, methods in document["paths"].items():
        for one in methods.values():
            for asked in one.get("parameters", []):
                schema = asked["schema"]
                if "integer" in json.dumps(schema):
                    assert {"minimum", "maximum"} <= set(schema), f"{path} {asked['name']}"
                if asked["in"] == "path":
                    assert asked["required"]


def test_a_message_has_its_own_schema(document: Found) -> None:
    body = document["paths"]["/v1/drafts/charity/offer_match"]["post"]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["campaigns"]["maxItems"] == 16
    assert schema["properties"]["campaigns"]["items"]["minLength"] == 26
    assert "pool" in schema["required"]


def test_the_example_is_a_transaction(document: Found, node: Node) -> None:
    body = document["paths"]["/v1/tx"]["post"]["requestBody"]["content"]["application/json"]
    raw = codec.encode(body["examples"]["signed"]["value"])
    assert envelope.check(raw)
    assert msgspec.json.decode(raw, type=Envelope).payload_type == envelope.PAYLOAD_TYPE
    assert node.http.post("/v1/tx", content=raw).json()["code"] == "expires_too_late"


class Page(HTMLParser):
    """What a test looks at in a page."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Hold the closing tags to the opening ones."""
        assert self.open.pop() == tag


@pytest.mark.parametrize("path", ["/", "/docs", *[f"/docs/{name}" for name in (*app.modules(), "kernel")]])
def test_a_page_can_be_read_by_everybody(node: Node, path: str) -> None:
    answer = node.http.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page(answer.text)
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert names.count("h1") == names.count("main") == 1
    assert ("html", {"lang": "en"}) in page.tags
    assert page.tags[names.index("a")][1]["href"] == "#main"
    assert all(given.get("scope") in {"row", "col"} for tag, given in page.tags if tag == "th")
    assert names.count("caption") == names.count("table") > 0
    parts = [(tag, given) for tag, given in page.tags if tag in {"table", "thead", "tbody", "tr", "th", "td"}]
    assert all(given["role"] for _, given in parts), "on a narrow screen a table is laid out as blocks"
    assert all(given["data-head"] for tag, given in parts if tag == "td")
    assert not {"script", "img", "link", "iframe"} & set(names)
    levels = [int(name[1]) for name in names if re.fullmatch("h[1-6]", name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_page_says_all_of_an_application(node: Node) -> None:
    for one in describe(app.modules()):
        text = node.http.get(f"/docs/{one.name}").text
        wanted = [action.do for action in one.actions] + [event.name for event in one.events]
        wanted += [*one.refusals, *[param.name for param in one.params], *[table.name for table in one.tables]]
        assert [name for name in wanted if name not in text] == []
        told = node.http.get(f"/v1/apps/{one.name}").json()
        assert [action["do"] for action in told["actions"]] == [action.do for action in one.actions]
    assert node.http.get("/docs/nothing").status_code == 404
    assert node.http.get("/v1/apps/nothing").json()["code"] == "not_found"
    listed = node.http.get("/v1/apps").json()
    assert [one["name"] for one in listed] == [*app.modules(), "kernel"]


def test_any_page_may_call_and_every_answer_names_its_version(node: Node) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    asked = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    before = node.http.options("/v1/tx", headers=asked)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in before.headers
    for path, status in (("/v1/status", 200), ("/v1/nothing", 404), ("/v1/tx", 405), ("/v1/receipts/x", 400)):
        answer = node.http.get(path, headers=origin)
        assert answer.status_code == status
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", answer.headers["metrobloc-version"])
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "MetroBloc-Version" in answer.headers["access-control-expose-headers"]
    assert "POST" in node.http.get("/v1/tx").headers["allow"]


def test_words_that_stand_where_a_module_could_are_reserved() -> None:
    paths = [path_of(route).split("/") for route in ROUTES]
    siblings = {
        other[place]
        for path in paths
        for place, part in enumerate(path)
        if part in {"{app}", "{module}"}
        for other in paths
        if other[:place] == path[:place] and len(other) > place and not other[place].startswith("{")
    }
    assert siblings <= ROUTE_WORDS
