"""A month of the pilot, then a case with a name and numbers: they are nowhere in the clear, on disk or in answers."""

from pathlib import Path

from metrobloc import app
from metrobloc.city.charity import story
from metrobloc.city.charity.rules import campaigns, gifts
from metrobloc.city.charity.types.messages import (
    Approve,
    Close,
    Countersign,
    Give,
    Present,
    Review,
    Settle,
    SetUp,
    Verify,
)
from metrobloc.commons.stage import Stage
from metrobloc.engine.solo import Solo
from metrobloc.kernel import crypto
from metrobloc.kernel.context import View
from metrobloc.surface.nullifying import nullifier
from metrobloc.surface.running import play
from tests.planted import found_at, found_in, found_under
from tests.surface.city import Node, done

NAME, NUMBER, INVOICE = "Quisquilia Öztürk-李小明", "110101201501014321", "QZ-2026/0815-77"
PLANTED = (NAME, NUMBER, INVOICE)
TITLE = "A case of the children's ward"


def treated(stage: Stage) -> None:
    """Let a child's case be opened, paid for and settled: her papers are committed to, her invoice is nullified."""
    salt = crypto.sha256(b"a salt of 32 bytes for a test only")
    papers = [crypto.sha256(salt + f"{NAME}, {NUMBER}, {part}".encode()).hex() for part in ("identity", "plan", "bill")]
    invoice = nullifier(crypto.sha256(b"the hospitals' secret"), "invoice", INVOICE)
    story.found(stage)
    closes_ms = stage.time_ms + 10 * story.DAY_MS
    case = SetUp(TITLE, "need", stage.account("clinic"), "cny", 5000, closes_ms, papers[0], papers[1])
    campaign = stage.act("charity", case).ids[0]
    stage.act("hospital", Verify(campaign, papers[1], 5000))
    stage.act("civil_affairs", Approve(campaign))
    stage.act("ann", Give(campaign, 4100))
    claim = stage.act("clinic", Present(campaign, invoice, papers[2], story.LINES)).ids[0]
    stage.act("civil_affairs", Review(claim, invoice, (4000, 0)))
    stage.act("supervisor", Countersign(claim))
    stage.act("charity", Close(campaign))
    stage.act("charity", Settle(claim, 4000, 0))


def test_nobodys_name_or_number_is_found_after_the_pilot(tmp_path: Path) -> None:
    city, home, out = tmp_path / "city", tmp_path / "home", tmp_path / "out"
    done(home, "replay charity --pilot --data", city)
    node = Solo.open(city, app.modules())
    play(node, treated, lambda _: None)
    view = View(node.store)
    [campaign] = [key for key, one in view[campaigns].items() if one.title == TITLE]
    [gift] = [key for key, one in view[gifts].items() if one.campaign == campaign]
    node.close()
    out.mkdir()
    done(home, "mirror rebuild --data", city)
    done(home, f"charity path {gift} --data", city, "--proof", out / "proof", "--svg", out / "svg")
    signed = ["--out", out / "json", "--pdf", out / "pdf"]
    done(home, f"charity receipt {gift} --certificate --as charity --data", city, *signed)
    for name in ("360giving", "iati"):
        done(home, f"charity export --format {name} --currency CNY --data", city, "--out", out / name)
    with Node(city, "--mirror") as running:
        assert found_at(running.url, PLANTED) == []
        for path in (f"/v1/views/charity/path/{gift}.svg", f"/v1/proofs/views/charity/path/{gift}"):
            answer = running.http.get(path)
            assert (answer.status_code, TITLE.rsplit(maxsplit=1)[-1] in answer.text) == (200, True)
            assert list(found_in(answer.content, PLANTED)) == []
        assert running.end() == 0
    for folder in (city, out):
        assert found_under(folder, PLANTED) == []
        assert found_under(folder, [TITLE])  # the search does see what is there
