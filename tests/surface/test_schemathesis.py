"""The door against what its document allows, what it forbids, and what no document speaks of; nothing breaks it."""

import json
import random
import socket
import subprocess
import sys
from pathlib import Path

from tests.support import rounds
from tests.surface.city import Node

SETTINGS = """
[[operations]]
include-method = "POST"
checks.positive_data_acceptance.enabled = false

[parameters]
"query.as" = "{account}"
"""
"""JSON Schema takes 186.0 for an integer and any character for text; a transaction takes neither, and wants canonical
bytes and true signatures. So what a schema allows in a body may be refused; all else is checked. The account exists, or
no draft would ever be written."""

LEFT_OUT = "^/v1/(?:blocks|feed|events|txs)$"
"""Streams without an end, and JSON lines, which schemathesis cannot write; other tests send them."""


def test_the_door_does_what_its_document_says(node: Node, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS.format(account=node.stage().account("bank")))
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(settings), "run"]
    command += [f"{node.url}/v1/openapi.json", "--seed", "1", "--max-time", str(rounds(20, 180)), "--no-color"]
    command += ["--max-examples", str(rounds(10, 1_000)), "--phases", "examples,coverage,fuzzing"]
    mirrored = node.http.get("/v1/mirror/status").status_code != 503
    command += ["--exclude-path-regex", LEFT_OUT if mirrored else f"{LEFT_OUT}|^/v1/(?:mirror/|search)"]
    command += ["--warnings", "off", "--continue-on-failure"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stdout[-20_000:] + ended.stderr[-2_000:]
    assert " passed" in ended.stdout
    assert node.http.get("/v1/status").status_code == 200
    assert "Traceback" not in node.errors.read_text()
    node.errors.write_text("")  # the server notes in a line each that it was sent nonsense


PATHS = (
    b"/v1/records/%s",
    b"/v1/tables/%s/%s",
    b"/v1/tables/money/balances?after=%s&limit=%s",
    b"/v1/receipts/%s",
    b"/v1/proofs/records/%s?height=%s",
    b"/v1/may/%s?record=%s",
    b"/v1/queries/charity/%s?%s=%s",
    b"/v1/apps/%s",
    b"/docs/%s",
    b"/%s",
)
ODD = (
    b"%FF",
    b"%C3%28",
    b"%00",
    b"%0A",
    b"%F0%9F%92%A9",
    b"..%2f..%2f",
    b"%25",
    b"%",
    b"null",
    b"NaN",
    b"-1",
    b"1e9",
    b"9" * 400,
    b"a" * 3_000,
    b"money/balances",
    b"\xff\xfe",
    b"\xc3\xa4",
    b"{x}",
    b"&&==",
    b"",
)
SPLINTERS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b'"calls"',
    b'"as":',
    b'"do":"money.issue"',
    b'"with":{}',
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"NaN",
    b"-0",
    b"1.0",
    b"1e400",
    b"9" * 30,
    b"[" * 2_000,
    b'{"a":' * 500,
    b"null",
    b" " * 200,
)


def answer_of(port: int, method: bytes, path: bytes, body: bytes) -> tuple[int, bytes]:
    """Send bytes as no library would; answer status and body."""
    with socket.create_connection(("127.0.0.1", port), 20) as raw:
        head = b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (
            method,
            path,
            len(body),
        )
        raw.sendall(head + body)
        said, _, told = b"".join(iter(lambda: raw.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(said.split(b" ", 2)[1]), told


def test_nonsense_is_answered_with_a_failure(node: Node) -> None:
    chance = random.Random(11)  # seeded
    bank = node.stage().account("bank").encode()
    good = b'{"calls":[{"as":"%b","do":"identity.veto","with":{}}]}' % bank
    codes = set()
    for number in range(rounds(600, 30_000)):
        if number % 2:
            path = chance.choice(PATHS)
            while b"%s" in path:
                path = path.replace(b"%s", chance.choice(ODD), 1)
            sent = (b"GET", path, b"")
        else:
            cut = chance.randrange(len(good))
            body = good[:cut] + b"".join(chance.choices(SPLINTERS, k=chance.randint(1, 4))) + good[cut:]
            where = chance.choice([b"/v1/simulate", b"/v1/tx", b"/v1/drafts/identity/veto?as=" + bank])
            sent = (b"POST", where, body)
        status, told = answer_of(node.port, *sent)
        assert status in {200, 400, 404, 405, 413}, sent
        if status != 200:
            failure = json.loads(told) if told.startswith(b"{") else {"code": "no_http", "sentence": told.decode()}
            assert failure["sentence"], sent
            codes.add(failure["code"])
    wanted = {"bad_request", "not_found", "not_json", "not_utf8", "too_deep", "integer_range", "unknown_field"}
    assert wanted <= codes
    assert node.http.get("/v1/status").status_code == 200
    assert "Traceback" not in node.errors.read_text()
    node.errors.write_text("")  # the server notes in a line each that it was sent nonsense
