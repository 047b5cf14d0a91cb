"""A witness's folder: what it keeps, what it refuses, and that no kill or failing disk lets it sign two histories."""

import json
import multiprocessing
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from metrobloc.commons import notes, witnessing
from metrobloc.commons.anchors.heads import contradict, fork_id, log_id, read_checkpoint
from metrobloc.commons.anchors.story import Neighbour
from metrobloc.commons.anchors.types import Accuse
from metrobloc.commons.witnessing import Asked, Log, Turned
from metrobloc.engine import files
from metrobloc.engine.witness import LOGS, NAME_FILE, REFUSED, REFUSED_MAX, Witness
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.errors import MachineFault
from metrobloc.testing.faults import inject
from metrobloc.testing.faults.inject import Injection
from metrobloc.testing.faults.power import image, laid_out
from metrobloc.testing.faults.record import record
from tests.support import ROOT, need, rounds

ORIGIN, NAME = "log.example/main", "witness.example/w1"
TIME_S = 1_700_000_000


def history(*leaves: str) -> Neighbour:
    """Return the log with these leaves."""
    made = Neighbour(ORIGIN)
    made.grow(*leaves)
    return made


FIVE, SEVEN, NINE = history(*"abcde"), history(*"abcdefg"), history(*"abcdefghi")
OTHER_FIVE, OTHER_SEVEN = history(*"abcdX"), history(*"abcdXfg")
LOG = Log(ORIGIN, ORIGIN, (FIVE.key.key_id,))


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    """Make a witness that watches the log and has co-signed five leaves."""
    made = Witness.create(tmp_path / "witness", NAME)
    made.watch(LOG)
    made.take(asked(FIVE, 0), TIME_S)
    yield made
    made.close()


def asked(to: Neighbour, old: int) -> bytes:
    """Write a request as a log does."""
    return witnessing.write_asked(Asked(old, path(to, old), to.note().encode()))


def path(to: Neighbour, old: int) -> tuple[bytes, ...]:
    """Return a path of hashes."""
    return tuple(map(bytes.fromhex, to.path(old))) if old else ()


def own(log: Neighbour) -> notes.Note:
    """Return a head as a note with the log's own signature."""
    return notes.read(log.note().encode())


def again(witness: Witness) -> Witness:
    """Close a witness and open it again."""
    witness.close()
    return Witness.open(witness.home)


def test_what_was_co_signed_is_there_after_a_restart(witness: Witness) -> None:
    line = witness.take(asked(SEVEN, 5), TIME_S + 1)
    witness = again(witness)
    kept = witness.logs[ORIGIN]
    assert kept.head == SEVEN.checkpoint()
    read = notes.read(kept.note.encode())
    assert notes.cosigned_s(read, NAME, witness.key.key_id) == TIME_S + 1
    assert notes.signed_by(read, ORIGIN, LOG.keys) == own(SEVEN)
    (answered,) = witnessing.read_lines(own(SEVEN), line)
    assert answered in read.signatures
    for stale in (asked(FIVE, 5), asked(OTHER_SEVEN, 5), asked(FIVE, 0)):
        with pytest.raises(Turned) as turned:
            witness.take(stale, TIME_S + 2)
        assert turned.value.size == 7
    witness.close()


def test_the_files_are_the_owners_alone(witness: Witness) -> None:
    assert witness.home.stat().st_mode & 0o777 == 0o700
    assert (witness.home / "witness.key").stat().st_mode & 0o777 == 0o600
    for file in (witness.home / LOGS).iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def shown(witness: Witness) -> list[Accuse]:
    """Return what the witness has written down of the log."""
    found = sorted((witness.home / REFUSED).iterdir())
    return [msgspec.json.decode(file.read_bytes(), type=Accuse) for file in found]


def proves(file: Accuse) -> bool:
    """Tell whether what is written down shows two histories, as a stranger would see it."""
    assert file.root is not None
    first, second = (read_checkpoint(note, ORIGIN) for note in (file.first, file.second))
    signed = all(notes.signed_by(note, ORIGIN, LOG.keys) for _, note in (first, second))
    return signed and contradict(first[0], second[0], bytes.fromhex(file.root), file.path)


def test_two_roots_of_one_size_are_written_down(witness: Witness) -> None:
    with pytest.raises(Turned) as turned:
        witness.take(asked(OTHER_FIVE, 5), TIME_S)
    assert turned.value.status == 409
    (file,) = shown(witness)
    assert proves(file)
    assert (file.log, file.first, file.second) == (log_id(ORIGIN), FIVE.note(), OTHER_FIVE.note())


def test_two_roots_are_written_down_whatever_path_came_with_them(witness: Witness) -> None:
    body = witnessing.write_asked(Asked(5, (bytes(32),) * 3, OTHER_FIVE.note().encode()))
    with pytest.raises(Turned):
        witness.take(body, TIME_S)
    assert [proves(file) for file in shown(witness)] == [True]


def test_a_longer_log_with_another_beginning_is_shown_by_its_own_path(witness: Witness) -> None:
    with pytest.raises(Turned) as turned:
        witness.take(asked(OTHER_SEVEN, 5), TIME_S)
    assert turned.value.status == 422
    (unproved,) = shown(witness)
    assert (unproved.root, unproved.first, unproved.second) == (None, FIVE.note(), OTHER_SEVEN.note())
    root = bytes.fromhex(OTHER_SEVEN.root(5))
    file = witness.refuse(own(OTHER_SEVEN), path(OTHER_SEVEN, 5), root)
    assert file is not None
    assert file.name == f"{log_id(ORIGIN)}.{fork_id(FIVE.checkpoint(), OTHER_SEVEN.checkpoint())}.json"
    assert proves(msgspec.json.decode(file.read_bytes(), type=Accuse))
    assert witness.refuse(own(SEVEN), path(SEVEN, 5), bytes.fromhex(SEVEN.root(5))) is None  # nothing wrong with it


def test_what_is_written_down_is_bounded(witness: Witness) -> None:
    for number in range(REFUSED_MAX + 20):
        with pytest.raises(Turned):
            witness.take(asked(history(*"abcd", str(number)), 5), TIME_S)
    assert REFUSED_MAX <= len(shown(witness)) <= REFUSED_MAX + 1
    assert witness.take(asked(SEVEN, 5), TIME_S)


def test_time_does_not_run_backwards(witness: Witness) -> None:
    with pytest.raises(Turned) as turned:
        witness.take(asked(SEVEN, 5), TIME_S - 1)
    assert (turned.value.status, witness.logs[ORIGIN].head) == (503, FIVE.checkpoint())
    assert witness.take(asked(SEVEN, 5), TIME_S)


def test_further_keys_of_a_log_are_trusted_and_another_name_is_not(witness: Witness) -> None:
    changed, new = SEVEN.again(7), SigningKey(b"n" * 32)
    changed.key = new
    with pytest.raises(Turned) as turned:
        witness.take(asked(changed, 5), TIME_S)
    assert turned.value.status == 403
    witness.watch(Log(ORIGIN, ORIGIN, (new.key_id,)))
    witness = again(witness)
    assert witness.logs[ORIGIN].log.keys == (*LOG.keys, new.key_id)
    assert witness.logs[ORIGIN].head == FIVE.checkpoint()
    assert witness.take(asked(changed, 5), TIME_S)
    with pytest.raises(MachineFault, match=r"signs as log\.example/main here"):
        witness.watch(Log(ORIGIN, "other", LOG.keys))
    witness.close()


def test_a_witness_is_made_once(witness: Witness) -> None:
    with pytest.raises(MachineFault, match="There is a witness in"):
        Witness.create(witness.home, "other")
    with pytest.raises(MachineFault, match="There is no witness in"):
        Witness.open(witness.home / "elsewhere")


def _open(home: Path) -> str:
    try:
        Witness.open(home)
    except MachineFault as fault:
        return str(fault)
    return "opened"


def test_one_process_at_a_time(witness: Witness) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "Another process uses the witness" in pool.apply(_open, (witness.home,))
        witness.close()
        assert pool.apply(_open, (witness.home,)) == "opened"


def spoilt(kept: bytes, other: str) -> list[bytes]:
    """Return what a log's file may have become."""
    whole = json.loads(kept)
    return [
        b"",
        kept[: len(kept) // 2],
        json.dumps(whole | {"note": whole["note"].replace("\n5\n", "\n4\n")}).encode(),
        json.dumps(whole | {"note": FIVE.note()}).encode(),  # not co-signed by us
        json.dumps(whole | {"log": whole["log"] | {"origin": other}}).encode(),
        json.dumps(whole | {"note": "x"}).encode(),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_damaged_witness_signs_nothing(witness: Witness, number: int) -> None:
    witness.close()
    (file,) = (witness.home / LOGS).iterdir()
    file.write_bytes(spoilt(file.read_bytes(), "other")[number])
    with pytest.raises(MachineFault, match=r"is damaged .* never brought back from a backup"):
        Witness.open(witness.home)


def test_a_name_that_is_damaged_is_told(witness: Witness) -> None:
    witness.close()
    (witness.home / NAME_FILE).write_text("{}")
    with pytest.raises(MachineFault, match="is damaged"):
        Witness.open(witness.home)


def test_a_disk_that_fails_ends_it(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(files, "sync_path", fails)
    with pytest.raises(MachineFault, match="cannot write to its disk"):
        witness.take(asked(SEVEN, 5), TIME_S)
    monkeypatch.undo()
    with pytest.raises(MachineFault, match="has stopped after a fault"):
        witness.take(asked(SEVEN, 5), TIME_S)
    assert witness.logs[ORIGIN].head == FIVE.checkpoint()


SESSION = """
import sys
from pathlib import Path
from metrobloc.engine.witness import Witness
from tests.engine.test_witness import FIVE, SEVEN, OTHER_SEVEN, NINE, TIME_S, asked
witness = Witness.open(Path(sys.argv[1]))
for log, old in ((FIVE, 0), (SEVEN, 5), (NINE, 7)):
    line = witness.take(asked(log, old), TIME_S)
    sys.stdout.write(f"{log.log.size} {line.decode()}")
    sys.stdout.flush()
"""


def session(home: Path, before: Sequence[str] = ()) -> tuple[int, list[int]]:
    """Run a witness that is asked three times; return how it ended and the sizes that it has answered for."""
    command = [*before, sys.executable, "-B", "-c", SESSION, str(home)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, [int(line.split(" ")[0]) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("call", "error"),
    [("fsync", ""), ("rename", ""), ("write", ""), ("fsync", "EIO"), ("rename", "ENOSPC"), ("write", "ENOSPC")],
)
def test_a_kill_or_a_fault_at_any_write_leaves_one_history(tmp_path: Path, call: str, error: str) -> None:
    """Whatever was answered is on disk, so that another history is refused by whoever opens the folder next."""
    need(inject.works(), "strace with the right to trace")
    hit, sizes = 0, [0]
    for nth in range(1, 12):
        home = tmp_path / str(nth)
        made = Witness.create(home, NAME)
        made.watch(LOG)
        made.close()
        code, sizes = session(home, [*Injection(call, nth, error).arguments(), "--"])
        hit += code != 0
        witness = Witness.open(home)
        head = witness.logs[ORIGIN].head
        size = head.size if head else 0
        assert size >= max(sizes, default=0), (nth, sizes)
        assert head in (None, FIVE.checkpoint(), SEVEN.checkpoint(), NINE.checkpoint())
        if size:
            with pytest.raises(Turned):
                witness.take(asked(history(*("x" * 12)), size), TIME_S)
        witness.close()
        if code == 0:
            break
    assert sizes == [5, 7, 9]
    assert hit >= 3


def test_a_power_cut_takes_no_answer_back(tmp_path: Path) -> None:
    """Whatever a cut leaves on the disk, the folder opens, and the head in it is at least the one last answered for."""
    need(inject.works(), "strace with the right to trace")
    folder, chance, heads = tmp_path / "recorded", Random(5), Counter[int]()
    folder.mkdir()
    made = Witness.create(folder / "w", NAME)
    made.watch(LOG)
    made.close()
    noted = record([sys.executable, "-B", "-c", SESSION, str(folder / "w")], folder, "\n")
    for _ in range(rounds(300, 3000)):
        found = image(noted, chance.choice(noted.cuts()), chance)
        answered = [int(line.split(b" ")[0]) for line in found.said.splitlines()]
        with laid_out(found, tmp_path / "cut") as left:
            witness = Witness.open(left / "w")
            head = witness.logs[ORIGIN].head
            witness.close()
        assert (head.size if head else 0) >= max(answered, default=0), found.cut
        assert head in (None, FIVE.checkpoint(), SEVEN.checkpoint(), NINE.checkpoint())
        heads[head.size if head else 0] += 1
    assert len(heads) == 4
