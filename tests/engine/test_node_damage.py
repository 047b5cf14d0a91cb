"""A data folder that is damaged, mixed up or closed to the node: refused with what to do, and left as it was."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from metrobloc import verify
from metrobloc.app import modules
from metrobloc.engine.journal import Journal, read
from metrobloc.engine.solo import JOURNAL_FILE, Solo
from metrobloc.kernel.errors import MachineFault
from metrobloc.surface import bench_load
from metrobloc.testing.faults.bitflips import draw, flipped
from metrobloc.testing.faults.reader import asking
from tests.faults import node_reader
from tests.faults.client import call
from tests.faults.node import City, audited, copy, digest, found, proved, running
from tests.support import ROOT, need, rounds

SEED = 3
READER = [sys.executable, "-m", node_reader.__name__]
ADVICE = re.compile(r"[Rr]estore|[Bb]ring|chmod|Name|Start|start|founds|[Ss]ee to|[Ss]top|[Rr]emove|audit")
INFO_LOG = re.compile(r"LOCK|LOG(\.old\.\d+)?")
"""What RocksDB writes in a folder that it only looks at: its lock, and its diary, which holds nothing of the ledger."""


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return found(tmp_path_factory.mktemp("city") / "home")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> City:
    return found(tmp_path_factory.mktemp("other") / "home", "other")


@pytest.fixture(scope="module")
def older(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the city, then let it go on for some blocks; return the copy of before."""
    kept = copy(city.home, tmp_path_factory.mktemp("older") / "home")
    node = Solo.open(city.home, modules())
    for _ in range(3):
        node.renew(node.machine.time_ms)
    node.close()
    return kept


def contents(home: Path) -> dict[str, bytes | None]:
    """Return all files and folders of a data folder, but for RocksDB's diary."""
    found = (path for path in sorted(home.rglob("*")) if not INFO_LOG.fullmatch(path.name))
    return {str(path.relative_to(home)): path.read_bytes() if path.is_file() else None for path in found}


def turned_away(home: Path, sentence: str) -> None:
    """Assert that a node does not start on a folder, and says why and what to do."""
    with pytest.raises(MachineFault, match=sentence) as fault:
        Solo.open(home, modules()).close()
    assert ADVICE.search(str(fault.value))


def refused(home: Path, sentence: str) -> None:
    """Assert besides that the folder is left as it was."""
    before = contents(home)
    turned_away(home, sentence)
    assert contents(home) == before


def log_of(home: Path) -> Path:
    """Return the write-ahead log that holds the newest blocks."""
    return max((home / "store" / "rocks").glob("*.log"), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_write_ahead_log_that_was_cut_is_noticed(city: City, tmp_path: Path, keep: float) -> None:
    log = log_of(copy(city.home, tmp_path / "home"))
    os.truncate(log, int(log.stat().st_size * keep))
    refused(tmp_path / "home", "something is lost")


@pytest.mark.parametrize("name", ["*.log", "*.sst", "MANIFEST-*", "CURRENT"])
def test_a_file_of_the_store_that_is_gone_is_noticed(city: City, tmp_path: Path, name: str) -> None:
    home = copy(city.home, tmp_path / "home")
    for file in (home / "store" / "rocks").glob(name):
        file.unlink()
    refused(home, "lost|cannot be opened")


def swapped(source: Path, target: Path, name: str) -> Path:
    """Put one file or folder of a data folder in the place of another's."""
    place = target / name
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    copy(source / name, place)
    return target


@pytest.mark.parametrize("name", ["store/rocks", "store/acknowledged"])
def test_half_a_store_of_another_chain_is_refused(city: City, other: City, tmp_path: Path, name: str) -> None:
    refused(swapped(other.home, copy(city.home, tmp_path / "home"), name), "different chains")


def test_a_store_rolled_back_to_an_older_copy_is_noticed(city: City, older: Path, tmp_path: Path) -> None:
    refused(swapped(older, copy(city.home, tmp_path / "home"), "store/rocks"), "something is lost")


def test_an_acknowledgement_rolled_back_takes_nothing_away(city: City, older: Path, tmp_path: Path) -> None:
    home = swapped(older, copy(city.home, tmp_path / "home"), "store/acknowledged")
    assert digest(home) == digest(copy(city.home, tmp_path / "whole"))


def test_a_store_that_is_not_there_is_refused(city: City, tmp_path: Path) -> None:
    home = copy(city.home, tmp_path / "home")
    (home / "store" / "acknowledged").unlink()
    refused(home, "no whole store")
    shutil.rmtree(home / "store")
    refused(home, "but no ledger")
    (home / "operator.key").unlink()
    refused(home, "no chain")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda key: key.unlink(), "bring it back"),
        (lambda key: key.chmod(0o644), "open to others"),
        (lambda key: key.write_text("0" * 64 + "\n"), "not of the operator"),
        (lambda key: key.write_text(key.read_text().upper()), "damaged"),
        (lambda key: key.write_bytes(b"\xff" * 65), "bring it back"),
        (lambda key: os.truncate(key, 60), "damaged"),
        (lambda key: os.truncate(key, 0), "damaged"),
    ],
)
def test_without_its_own_key_a_node_does_not_start(
    city: City, tmp_path: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    home = copy(city.home, tmp_path / "home")
    damage(home / "operator.key")
    turned_away(home, sentence)
    assert any(sentence in problem for problem in audited(home).problems)
    (home / "operator.key").unlink(missing_ok=True)
    copy(city.home / "operator.key", home / "operator.key")
    assert digest(home) == digest(copy(city.home, tmp_path / "whole"))


@pytest.mark.parametrize("end", [b"\n", b"\x0b", b"\ntorn", b"\ntorn\0\0\n"])
def test_a_journal_is_mended_before_it_is_written_to(tmp_path: Path, end: bytes) -> None:
    for raw in (b"one", b"two"):
        journal = Journal(tmp_path / "journal")
        journal.append(raw)
        journal.close()
        (tmp_path / "journal").write_bytes((tmp_path / "journal").read_bytes()[:-1] + end)
    assert read(tmp_path / "journal") == [b"one", b"two"]


@pytest.mark.parametrize("damage", [b"\0", b"!"])
def test_a_flipped_bit_in_a_journal_is_not_taken_for_a_torn_line(tmp_path: Path, damage: bytes) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append(b"one")
    journal.close()
    (tmp_path / "journal").write_bytes((tmp_path / "journal").read_bytes().replace(b" ", damage))
    with pytest.raises(MachineFault, match="is damaged"):
        read(tmp_path / "journal")


@pytest.mark.timeout(7200)
def test_a_flipped_bit_is_noticed_or_does_no_harm(city: City, tmp_path: Path) -> None:
    with asking(READER, ROOT) as ask:
        whole = ask(copy(city.home, tmp_path / "whole"))
        assert whole.startswith("whole ")
        noticed = 0
        for flip in draw(city.home, SEED, rounds(100, 5000)):
            with flipped(city.home, flip, tmp_path / "flipped") as home:
                said = ask(home)
            assert said == whole or (said.startswith("refused ") and ADVICE.search(said)), (flip, said)
            noticed += said != whole
        assert noticed


def test_what_flips_are_compared_with_is_proved(city: City, tmp_path: Path) -> None:
    node = Solo.open(copy(city.home, tmp_path / "home"), modules())
    found = [verify.check(proof, node.trust()) for proof in proved(node)]
    node.close()
    assert len(found) > 10
    assert {verdict.status for verdict in found} == {"valid"}


def test_what_the_node_may_not_touch_is_named(city: City, tmp_path: Path) -> None:
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []
    need(not bound or shutil.which("setpriv"), "setpriv, to be without root's rights")
    whole = digest(copy(city.home, tmp_path / "whole"))
    with asking([*bound, *READER], ROOT) as ask:
        for number, name in enumerate((".", "store/rocks", "store/acknowledged", "operator.key", "journal")):
            home = copy(city.home, tmp_path / str(number))
            mode = (home / name).stat().st_mode
            (home / name).chmod(0o500 if (home / name).is_dir() else 0o000)
            said = ask(home)
            assert said.startswith("refused "), (name, said)
            assert ADVICE.search(said), said
            (home / name).chmod(mode)
            assert digest(home) == whole


def test_a_clock_behind_the_last_block_seals_nothing_and_reads_go_on(city: City, tmp_path: Path) -> None:
    need(shutil.which("faketime"), "faketime")
    home = copy(city.home, tmp_path / "home")
    with running(home, ["faketime", "-f", "-1h"]) as node:
        status = msgspec.json.decode(call(node.port, "GET", "/v1/status")[1])
        gift = bench_load.gifts(bench_load.Signer(city.rules), city.campaign, [1])[0]
        for path in ("/v1/tx", "/v1/tx?promise=true"):
            code, body = call(node.port, "POST", path, gift)
            assert (code, msgspec.json.decode(body)["code"]) == (409, "clock")
            assert "set it right" in msgspec.json.decode(body)["sentence"]
        assert call(node.port, "GET", f"/v1/proofs/records/charity/campaigns/{city.campaign}")[0] == 200
        assert msgspec.json.decode(call(node.port, "GET", "/v1/status")[1]) == status
        wrapper = node.process.pid  # faketime, which leaves the node behind when it is killed
        for child in Path(f"/proc/{wrapper}/task/{wrapper}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        node.process.kill()
    assert read(home / JOURNAL_FILE) == read(city.home / JOURNAL_FILE)
