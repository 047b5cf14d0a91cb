"""Anchors: which heads are recorded, which are refused, and what shows that a log has signed two histories."""

from collections.abc import Callable

import pytest

from metrobloc.commons import notes
from metrobloc.commons.anchors import story
from metrobloc.commons.anchors.heads import fork_id, log_id
from metrobloc.commons.anchors.rules import app, forks, forks_of, heads, logs, standing
from metrobloc.commons.anchors.story import Neighbour
from metrobloc.commons.anchors.types import Accuse, Anchor, Clear, Head, Rekey, Unwatch, Watch
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.notes import Note, Succession
from metrobloc.kernel import crypto
from metrobloc.kernel.block import Calls
from metrobloc.kernel.types import INT_MAX, Message
from metrobloc.testing.edges import Case, Scene, play, unmet
from metrobloc.testing.generated import generated
from metrobloc.testing.sandbox import START_MS

MODULES = (identity, money, app)
ORIGIN, NAME = "log.example/τ", "key.example"
LOG, NOBODY = log_id(ORIGIN), "a" * 26
THIEF = crypto.SigningKey(b"t" * 32)
EMPTY = crypto.sha256(b"").hex()

test_generated = generated(MODULES, app, story.play)


def history(*leaves: str) -> Neighbour:
    """Return the log with these leaves."""
    made = Neighbour(ORIGIN, NAME)
    made.grow(*leaves)
    return made


ONE, THREE, FIVE = history("a"), history("a", "b", "c"), history("a", "b", "c", "d", "e")
OTHER = history("a", "b", "C")  # of the same size as THREE
FORKED = history("a", "b", "C", "d", "e")
LATE = history("a", "b", "c", "D", "e")  # differs from FIVE, and not from THREE


def scene() -> Scene:
    """Set the scene: of a watched log three leaves are recorded; nothing of another one; a third is stopped."""
    s = Scene(MODULES)
    s.stage.join("ann")
    s.stage.act("office", Watch(ORIGIN, THREE.key.key_id, NAME))
    s.stage.act("ann", Anchor(LOG, ONE.note()))
    s.stage.act("ann", Anchor(LOG, THREE.note(), THREE.path(1)))
    for name in ("new", "stopped"):
        s.ids[name] = log_id(name)
        s.stage.act("supervisor", Watch(name, Neighbour(name).key.key_id))
    left, right = (Neighbour("stopped"), Neighbour("stopped"))
    left.grow("left")
    right.grow("right")
    s.stage.act("ann", Accuse(s["stopped"], left.note(), right.note()))
    return s


def signed(*lines: str, key: crypto.SigningKey = THREE.key, name: str = NAME) -> str:
    """Sign lines as a note."""
    body = "".join(f"{line}\n" for line in lines)
    return notes.render(Note(body, (notes.sign(body, name, key),))).decode()


def head(size: str, root: str = "A" * 43 + "=", origin: str = ORIGIN) -> str:
    """Return a note of the log's key that says this."""
    return signed(origin, size, root)


def changed(size: int, old: crypto.SigningKey = THREE.key, new: crypto.SigningKey = THIEF, origin: str = "new") -> str:
    """Return a change of key that both have signed."""
    return notes.sign_succession(Succession(origin, old.key_id, new.key_id, size), old, new).decode()


def of(name: str, *leaves: str) -> Neighbour:
    """Return another log with these leaves."""
    made = Neighbour(name)
    made.grow(*leaves)
    return made


def accuse(first: str, second: str, root: str | None = None, path: tuple[str, ...] = ()) -> Callable[[Scene], Message]:
    """Return what accuses the watched log."""
    return lambda _: Accuse(LOG, first, second, root, path)


def anchor(note: str, path: tuple[str, ...] = (), log: str = LOG) -> Callable[[Scene], Message]:
    """Return what anchors a head."""
    return lambda s: Anchor(s.ids.get(log, log), note, path)


def rekey(note: str, log: str = "new") -> Callable[[Scene], Message]:
    """Return what changes a log's key."""
    return lambda s: Rekey(s.ids.get(log, log), note)


NEW = Neighbour("new").key
CASES = [
    Case("office", lambda _: Watch("x", THIEF.key_id), "ok"),
    Case("supervisor", lambda _: Watch("x y", THIEF.key_id, "x"), "ok"),
    Case("ann", lambda _: Watch("x", THIEF.key_id), "not_allowed"),
    Case("office", lambda _: Watch("x", THIEF.key_id[:-1]), "anchors.not_a_key"),
    Case("office", lambda _: Watch("x", crypto.key_id(bytes(32), crypto.X25519)), "anchors.not_a_key"),
    Case("office", lambda _: Watch(ORIGIN, THIEF.key_id), "anchors.logs_taken"),
    Case("ann", anchor(FIVE.note(), FIVE.path(3)), "ok"),
    Case("bank", anchor(FIVE.note("a line", "of its own"), FIVE.path(3)), "ok"),
    Case("ann", anchor(FIVE.note(), FIVE.path(1)), "anchors.not_consistent"),
    Case("ann", anchor(FIVE.note()), "anchors.not_consistent"),
    Case("ann", anchor(FORKED.note(), FORKED.path(3)), "anchors.not_consistent"),
    Case("ann", anchor(THREE.note()), "anchors.anchored_already"),
    Case("ann", anchor(THREE.note(), FIVE.path(3)), "anchors.anchored_already"),
    Case("ann", anchor(OTHER.note()), "anchors.contradicts"),
    Case("ann", anchor(ONE.note()), "anchors.older"),
    Case("ann", anchor(FIVE.note().replace("5", "6"), FIVE.path(3)), "anchors.not_signed_by_log"),
    Case("ann", anchor(signed(*FIVE.note().split("\n")[:3], key=THIEF), FIVE.path(3)), "anchors.not_signed_by_log"),
    Case("ann", anchor(signed(*FIVE.note().split("\n")[:3], name=ORIGIN), FIVE.path(3)), "anchors.not_signed_by_log"),
    Case("ann", anchor(FIVE.note()[:-1], FIVE.path(3)), "anchors.not_a_checkpoint"),
    Case("ann", anchor("{}"), "anchors.not_a_checkpoint"),
    Case("ann", anchor(head("7", origin="new")), "anchors.not_a_checkpoint"),
    Case("ann", anchor(head("07")), "anchors.not_a_checkpoint"),
    Case("ann", anchor(head("7", "A" * 40)), "anchors.not_a_checkpoint"),
    Case("ann", anchor(signed(ORIGIN, "7")), "anchors.not_a_checkpoint"),
    Case("ann", anchor(signed(ORIGIN, "7", "A" * 43 + "=", "", "x")), "anchors.not_a_checkpoint"),
    Case("ann", anchor(head(str(INT_MAX + 1))), "anchors.not_a_checkpoint"),
    Case("ann", anchor(head(str(INT_MAX))), "anchors.not_consistent"),
    Case("ann", anchor(of("new", "a", "b").note(), log="new"), "ok"),
    Case("ann", anchor(of("new").note(), log="new"), "anchors.empty_log"),
    Case("ann", anchor(of("new", "a").note(), (EMPTY,), log="new"), "anchors.not_consistent"),
    Case("ann", anchor(of("stopped", "left").note(), log="stopped"), "anchors.stopped"),
    Case("ann", anchor(ONE.note(), log=NOBODY), "anchors.logs_unknown"),
    Case("ann", rekey(changed(0, NEW)), "ok"),
    Case("ann", rekey(changed(0, NEW, origin="other")), "anchors.not_a_succession"),
    Case("ann", rekey(changed(0, THIEF, NEW)), "anchors.not_a_succession"),
    Case("ann", rekey(changed(0, NEW).replace("\n0\n", "\n1\n")), "anchors.not_a_succession"),
    Case("ann", rekey(changed(0, Neighbour("stopped").key, origin="stopped"), "stopped"), "anchors.stopped"),
    Case("ann", rekey(changed(0, NEW), NOBODY), "anchors.logs_unknown"),
    Case("ann", accuse(THREE.note(), OTHER.note()), "ok"),
    Case("ann", accuse(OTHER.note(), THREE.note()), "ok"),
    Case("ann", accuse(THREE.note("a line"), OTHER.note(), OTHER.root(3)), "ok"),
    Case("ann", accuse(THREE.note(), FORKED.note(), FORKED.root(3), FORKED.path(3)), "ok"),
    Case("ann", accuse(ONE.note(), history("A", "b").note(), history("A").root(1), history("A", "b").path(1)), "ok"),
    Case("ann", accuse(head("0"), THREE.note(), EMPTY), "ok"),
    Case("ann", accuse(THREE.note(), THREE.note()), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), THREE.note("a line")), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), OTHER.note(), THREE.root(3)), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), OTHER.note(), None, FORKED.path(3)), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), FIVE.note(), FIVE.root(3), FIVE.path(3)), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), LATE.note(), LATE.root(3), LATE.path(3)), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), FORKED.note(), OTHER.root(3)), "anchors.no_contradiction"),
    Case("ann", accuse(THREE.note(), FORKED.note(), OTHER.root(2), FORKED.path(3)), "anchors.no_contradiction"),
    Case("ann", accuse(FORKED.note(), THREE.note(), OTHER.root(3), FORKED.path(3)), "anchors.no_contradiction"),
    Case("ann", accuse(FORKED.note(), FIVE.note(), None, ()), "ok"),
    Case("ann", accuse(THREE.note(), signed(ORIGIN, "3", "A" * 43 + "=", key=THIEF)), "anchors.not_signed_by_log"),
    Case("ann", accuse(signed(ORIGIN, "3", "A" * 43 + "=", key=THIEF), THREE.note()), "anchors.not_signed_by_log"),
    Case("ann", accuse(THREE.note(), "x"), "anchors.not_a_checkpoint"),
    Case("ann", lambda s: Accuse(s["stopped"], THREE.note(), OTHER.note()), "anchors.stopped"),
    Case("ann", lambda _: Accuse(NOBODY, THREE.note(), OTHER.note()), "anchors.logs_unknown"),
    Case("office", lambda s: Clear(s["stopped"]), "ok"),
    Case("supervisor", lambda s: Clear(s["stopped"]), "ok"),
    Case("ann", lambda s: Clear(s["stopped"]), "not_allowed"),
    Case("office", lambda _: Clear(LOG), "anchors.not_stopped"),
    Case("office", lambda _: Clear(NOBODY), "anchors.logs_unknown"),
    Case("office", lambda _: Unwatch(LOG), "ok"),
    Case("supervisor", lambda s: Unwatch(s["new"]), "ok"),
    Case("office", lambda s: Unwatch(s["stopped"]), "ok"),
    Case("ann", lambda _: Unwatch(LOG), "not_allowed"),
    Case("office", lambda _: Unwatch(NOBODY), "anchors.logs_unknown"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


def test_every_refusal_is_met() -> None:
    assert unmet(app, CASES) == {"anchors.forks_taken", "anchors.key_used", "anchors.ended_before"}  # met below


def test_what_is_recorded() -> None:
    s = scene()
    s.stage.act("bank", Anchor(LOG, FIVE.note("a line"), FIVE.path(3)))
    at_ms = s.box.machine.time_ms
    expected = Head(5, FIVE.root(5), FIVE.note("a line"), s["bank"], at_ms)
    assert s.box.view[heads].get(LOG) == expected
    assert standing(s.box.view, ORIGIN) == {"log": LOG, "key": FIVE.key.key_id, "stopped": None, "head": expected}
    assert standing(s.box.view, "elsewhere") == {}
    log = s.box.view[logs].get(LOG)
    assert log is not None
    assert (log.origin, log.name, log.keys) == (ORIGIN, NAME, (FIVE.key.key_id,))
    assert START_MS < log.since_ms < at_ms


def test_what_is_told() -> None:
    s = scene()
    told = s.stage.act("ann", Anchor(LOG, FIVE.note(), FIVE.path(3))).events
    told += s.stage.act("ann", Accuse(LOG, ONE.note(), history("A", "b").note(), history("A").root(1),
                                      history("A", "b").path(1))).events  # fmt: skip
    fork = fork_id(ONE.checkpoint(), history("A", "b").checkpoint())
    assert [(one.event, bytes(one.fields).decode()) for one in told] == [
        ("anchors.anchored", f'{{"log":"{LOG}","root":"{FIVE.root(5)}","size":5}}'),
        ("anchors.accused", f'{{"fork":"{fork}","log":"{LOG}"}}'),
    ]


def test_signatures_of_others_are_not_kept() -> None:
    s = scene()
    note = notes.read(FIVE.note().encode())
    witness = notes.cosign(note.body, "somebody.example/with-a-name", THIEF, 1_700_000_000)
    forged = notes.Signature(NAME, b"none", bytes(64))
    whole = notes.render(Note(note.body, (witness, *note.signatures, forged))).decode()
    s.stage.act("ann", Anchor(LOG, whole, FIVE.path(3)))
    kept = s.box.view[heads].get(LOG)
    assert kept is not None
    assert kept.note == FIVE.note()


def test_a_fork_can_be_checked_by_itself_and_outlives_its_log() -> None:
    s = scene()
    s.stage.act("ann", Accuse(LOG, THREE.note(), FORKED.note(), FORKED.root(3), FORKED.path(3)))
    log = s.box.view[logs].get(LOG)
    assert log is not None
    assert log.stopped == fork_id(THREE.checkpoint(), FORKED.checkpoint())
    s.stage.act("office", Unwatch(LOG))
    (fork,) = forks_of(s.box.view, LOG)
    assert (fork.first, fork.second, fork.root, fork.path) == (
        THREE.note(), FORKED.note(), FORKED.root(3), FORKED.path(3),
    )  # fmt: skip
    assert (fork.origin, fork.name, fork.keys, fork.by) == (ORIGIN, NAME, (THREE.key.key_id,), s["ann"])
    assert fork.time_ms == s.box.machine.time_ms - 1000
    assert s.box.view[heads].get(LOG) is None
    assert not s.box.broken()
    s.stage.act("office", Watch(ORIGIN, THREE.key.key_id, NAME))
    s.stage.act("ann", Anchor(LOG, FORKED.note()))
    assert len(forks_of(s.box.view, LOG)) == 1


def test_a_log_that_was_cleared_goes_on_from_its_head_and_is_not_accused_of_the_same_twice() -> None:
    s = scene()
    s.stage.act("ann", Accuse(LOG, THREE.note(), OTHER.note()))
    s.stage.act("office", Clear(LOG))
    s.stage.act("ann", Accuse(LOG, THREE.note("again"), OTHER.note()), refused="anchors.forks_taken")
    s.stage.act("ann", Anchor(LOG, FORKED.note(), FORKED.path(3)), refused="anchors.not_consistent")
    s.stage.act("ann", Anchor(LOG, FIVE.note(), FIVE.path(3)))
    s.stage.act("ann", Accuse(LOG, THREE.note(), FORKED.note(), FORKED.root(3), FORKED.path(3)))
    assert len(forks_of(s.box.view, LOG)) == 2
    assert not s.box.broken()


def test_a_key_changes_at_a_size_and_never_back() -> None:
    s, log = scene(), of("new", "a", "b")
    name, old = s["new"], of("new", "a", "b", "c")
    s.stage.act("ann", Anchor(name, log.note()))
    early, late = changed(1, log.key), changed(2, log.key)
    s.stage.act("ann", Rekey(name, early), refused="anchors.ended_before")
    s.stage.act("ann", Rekey(name, late))
    s.stage.act("ann", Rekey(name, late), refused="anchors.not_a_succession")
    s.stage.act("ann", Rekey(name, changed(2, THIEF, log.key)), refused="anchors.key_used")
    s.stage.act("ann", Anchor(name, old.note(), old.path(2)), refused="anchors.not_signed_by_log")
    other = of("new", "a", "c")
    other.key = THIEF
    s.stage.act("ann", Accuse(name, log.note(), other.note()))  # one by the old key, one by the new
    assert not s.box.broken()


def test_what_carries_much_costs_work() -> None:
    """Sixteen heads with the longest path each stay below what one transaction may do; sixteen accusations too."""
    s = scene()
    long = ("0" * 64,) * 64
    run = s.box.machine.open_block(s.stage.time_ms)
    rules = s.box.rules.actions
    calls: Calls = [(rules["anchors.anchor"], s["ann"], Anchor(LOG, THREE.note("x" * 15_000), long)) for _ in range(16)]
    code, _ = run.execute("0" * 32, calls)
    assert code == "anchors.anchored_already"
    assert 20 <= run.work <= 16 * 100


@pytest.mark.parametrize(
    ("broken", "spoil"),
    [
        ("every_head_is_signed_by_its_log", lambda rows: rows.pop(f"anchors/logs/{LOG}".encode())),
        ("a_log_is_stopped_by_a_fork_of_its_own", lambda rows: [
            rows.pop(key) for key in list(rows) if key.startswith(b"anchors/forks/")
        ]),
    ],
)  # fmt: skip
def test_what_is_always_true_would_be_missed(broken: str, spoil: Callable[[dict[bytes, bytes]], object]) -> None:
    s = scene()
    assert not s.box.broken()
    spoil(s.box.memory.records.rows)
    assert s.box.broken() == [f"anchors.{broken}"]


SPOILT = [
    ("heads", b'"size":3', b'"size":4', "every_head_is_signed_by_its_log"),
    ("heads", THREE.root(3).encode(), THREE.root(2).encode(), "every_head_is_signed_by_its_log"),
    ("logs", b'"origin":"stopped"', b'"origin":"stapped"', "every_log_is_kept_under_its_origin"),
    ("logs", THREE.key.key_id.encode(), THIEF.key_id.encode(), "every_head_is_signed_by_its_log"),
    ("forks", of("stopped", "right").root(1).encode(), of("stopped", "left").root(1).encode(), "every_fork"),
    ("forks", Neighbour("stopped").key.key_id.encode(), THIEF.key_id.encode(), "every_fork"),
]


@pytest.mark.parametrize(("table", "old", "new", "broken"), SPOILT)
def test_a_record_that_says_otherwise_is_found(table: str, old: bytes, new: bytes, broken: str) -> None:
    s = scene()
    rows = s.box.memory.records.rows
    for key in [key for key in rows if key.startswith(f"anchors/{table}/".encode())]:
        rows[key] = rows[key].replace(old, new)
    assert [name.startswith(f"anchors.{broken}") for name in s.box.broken()] == [True]


def test_the_newest_of_a_view_without_logs_is_nothing() -> None:
    box = Scene(MODULES).box
    assert standing(box.view, ORIGIN) == {}
    assert forks_of(box.view, LOG) == []
    assert list(box.view[forks].items()) == []
