"""The log as tlog-tiles: paths, tiles and bundles as the store has them, folders that are written on and checked."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from metrobloc.app import modules
from metrobloc.commons import notes
from metrobloc.commons.identity.demo import demo_genesis
from metrobloc.commons.identity.types import Register
from metrobloc.commons.stage import Stage
from metrobloc.engine import files, publishing
from metrobloc.engine.audit import Trust
from metrobloc.engine.cosigned import COSIGNED_FILE, keep_cosigned
from metrobloc.engine.proofs import NotProvable
from metrobloc.engine.publishing import Checked, Published, Unsound, check, publish
from metrobloc.engine.solo import Solo
from metrobloc.engine.tiles import Place, leaves, read_bundle, read_place, read_tile, write_bundle
from metrobloc.kernel.crypto import SigningKey
from metrobloc.kernel.log import leaf_hash
from metrobloc.surface.ledger import Local

PATHS = [
    ("tile/0/000", Place(0, 0)),
    ("tile/0/x001/x234/067", Place(0, 1_234_067)),
    ("tile/7/001.p/1", Place(7, 1, 1)),
    ("tile/entries/x001/000.p/255", Place(-1, 1000, 255)),
    ("tile/1/999", Place(1, 999)),
]


@pytest.mark.parametrize(("path", "place"), PATHS)
def test_paths_are_read_as_they_are_written(path: str, place: Place) -> None:
    assert place.path == path
    assert read_place(path) == place


@pytest.mark.parametrize(
    "path",
    ["", "tile", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/8/000", "tile/-1/000", "tile/0/000.p/0",
     "tile/0/000.p/256",
     "tile/0/000.p/01", "tile/0/x000/001", "tile/0/001/002", "tile/0/x001", "tile/entries/000/", "tile/0/000\n",
     "tile/0/\u0660\u0660\u0660",
     "tile/0/" + "x001/" * 6 + "000", "tile/x/000", "/tile/0/000", "tile/0/../0/000"],
)  # fmt: skip
def test_no_path_has_a_second_spelling(path: str) -> None:
    assert read_place(path) is None


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Solo]:
    """Found a chain; its blocks have one to seven receipts."""
    made = Solo.create(tmp_path / "city", demo_genesis(1_700_000_000_000, modules()), modules())
    yield made
    made.close()


def grow(node: Solo, leaves_wanted: int, seed: int = 0) -> None:
    """Let blocks be made until the log has so many leaves, or a few more."""
    chance, stage = Random(seed), Stage(node.machine.rules, node.execute, node.machine.time_ms)
    stage._sent = 10_000 * seed + node.machine.height
    while node.machine.log.size < leaves_wanted:
        names = [f"{seed} {node.machine.log.size} {number}" for number in range(chance.randint(1, 7))]
        stage.send([stage.sign(("bank", Register(stage.key(name).key_id)), also=(name,)) for name in names])


def trust(node: Solo) -> Trust:
    """Trust the operator."""
    return Trust(node.chain, "metrobloc-trust/1", (node.key.key_id,))


def written(folder: Path) -> dict[str, bytes]:
    """Return a folder's files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def export(node: Solo, folder: Path) -> Published:
    """Publish a node's log."""
    return publish(folder, Local(node), node.succession(), lambda _: None)


def checked(folder: Path, trusted: Trust) -> Checked:
    """Check a folder."""
    return check(folder, trusted, lambda _: None)


def test_leaves_are_the_receipts_and_headers_in_their_order(node: Solo) -> None:
    grow(node, 300)
    size = node.machine.log.size
    every = [leaf for height in range(node.machine.height + 1)
             for leaf in (*node.store.receipts(height), (node.store.header(height) or (b"",))[0])]  # fmt: skip
    assert list(leaves(node.store, 0, size)) == every
    for first in range(size):
        end = min(size, first + 9)
        assert list(leaves(node.store, first, end)) == every[first:end]


def test_tiles_and_bundles_are_those_of_the_store(node: Solo) -> None:
    grow(node, 600)
    size = node.machine.log.size
    whole = read_tile(node, Place(0, 1))
    assert whole == node.store.tile(0, 1)
    for width in (1, 255):
        part = read_tile(node, Place(0, 0, width))
        assert part == node.store.tile(0, 0)[: width * 32]
        bundle = read_tile(node, Place(-1, 0, width)) or b""
        assert b"".join(map(leaf_hash, read_bundle(bundle, width))) == part
    assert read_tile(node, Place(1, 0, size >> 8)) == node.store.tile(1, 0)
    for beyond in (
        Place(0, size >> 8, (size & 255) + 1),
        Place(1, 0, (size >> 8) + 1),
        Place(2, 0, 1),
        Place(-1, size >> 8),
    ):
        assert read_tile(node, beyond) is None


def test_a_folder_is_written_on_and_is_as_if_written_at_once(node: Solo, tmp_path: Path) -> None:
    step = tmp_path / "step"
    sizes = (3, 250, 256, 300, 511, 520, 900)
    last = 0
    for wanted in sizes:
        grow(node, wanted)
        made = export(node, step)
        assert (made.head.size, made.entries) == (node.machine.log.size, node.machine.log.size - last)
        last = made.head.size
        assert checked(step, trust(node)).head == made.head
        before = {path: path.stat().st_mtime_ns for path in step.rglob("*") if path.is_file()}
        assert export(node, step).entries == 0  # again: nothing is touched
        assert {path: path.stat().st_mtime_ns for path in step.rglob("*") if path.is_file()} == before
    once = tmp_path / "once"
    export(node, once)
    stepped, at_once = written(step), written(once)
    assert {path: stepped[path] for path in at_once} == at_once
    assert all(".p/" in path for path in set(stepped) - set(at_once))
    whole = {path for path in stepped if ".p/" not in path and path != "checkpoint"}
    assert not any(
        path.partition(".p/")[0] in whole for path in stepped if ".p/" in path
    )  # a part whose tile is full goes
    assert {path: at_once[path] for path in whole if "entries" not in path} == {
        place.path: node.store.tile(place.level, place.index)
        for place in (read_place(path) for path in whole) if place and place.level >= 0
    }  # fmt: skip


def test_a_crash_in_between_is_written_over(node: Solo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real, left = tmp_path / "log", files.replace_file, [0]
    grow(node, 200)
    export(node, folder)
    grow(node, 800)

    def dies(path: Path, data: bytes, mode: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(path, data, mode)

    monkeypatch.setattr(publishing, "replace_file", dies)
    for step in range(100):
        left[0] = step
        size = checked(folder, trust(node)).head.size  # whoever reads finds all that the checkpoint needs
        try:
            export(node, folder)
        except KeyboardInterrupt:
            assert size < node.machine.log.size
            continue
        break
    assert step > 8
    assert checked(folder, trust(node)).head.size == node.machine.log.size


def test_another_history_or_log_or_a_shorter_one_is_not_written_over(node: Solo, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    grow(node, 100)
    node.backup(tmp_path / "backup")
    grow(node, 200, 1)
    export(node, folder)
    before = written(folder)
    other = Solo.open(tmp_path / "backup", modules())
    with pytest.raises(Unsound, match="it was cut back"):
        export(other, folder)
    grow(other, node.machine.log.size + 1, 2)
    with pytest.raises(Unsound, match="entries that were published have changed"):
        export(other, folder)
    grow(other, 700, 2)
    with pytest.raises(Unsound, match="entries that were published have changed"):
        export(other, folder)
    strange = Solo.create(tmp_path / "strange", demo_genesis(1, modules(), "other"), modules())
    with pytest.raises(Unsound, match="choose another folder"):
        export(strange, folder)
    for one in (other, strange):
        one.close()
    assert written(folder) == before


def test_another_history_of_the_same_size_is_noticed(node: Solo, tmp_path: Path) -> None:
    node.backup(tmp_path / "backup")
    other = Solo.open(tmp_path / "backup", modules())
    for one, seed in ((node, 1), (other, 2)):
        stage = Stage(one.machine.rules, one.execute, one.machine.time_ms)
        name = f"name {seed}"
        stage.send([stage.sign(("bank", Register(stage.key(name).key_id)), also=(name,))])
    assert node.machine.log.size == other.machine.log.size
    export(node, tmp_path / "log")
    with pytest.raises(Unsound, match="another history"):
        export(other, tmp_path / "log")
    other.close()


def test_a_source_that_lies_is_not_published(node: Solo, tmp_path: Path) -> None:
    grow(node, 300)

    class Liar(Local):
        """Changes one entry."""

        def log_file(self, path: str) -> bytes:
            """Return a file, but for one byte."""
            data = super().log_file(path)
            return data.replace(b'"code"', b'"mode"', 1) if path == "tile/entries/000" else data

    with pytest.raises(Unsound, match="not those of the checkpoint"):
        publish(tmp_path / "log", Liar(node), [], lambda _: None)
    assert not (tmp_path / "log" / "checkpoint").exists()
    export(node, tmp_path / "log")
    assert checked(tmp_path / "log", trust(node)).signer == node.key.key_id


def test_every_changed_or_missing_file_is_found(node: Solo, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    grow(node, 700)
    export(node, folder)
    whole = written(folder)
    assert len(whole) == 8
    for name, data in whole.items():
        path = folder / name
        for bad in (
            data[:-1],
            data + b"\0",
            bytes([data[0] ^ 1]) + data[1:],
            data[:-3] + bytes([data[-3] ^ 4]) + data[-2:],
            b"",
        ):
            path.write_bytes(bad)
            try:
                signer = checked(folder, trust(node)).signer
            except Unsound:
                continue
            assert (name, signer) == ("checkpoint", "")  # of a chain of another name, nobody is trusted
        path.unlink()
        with pytest.raises(Unsound, match="missing"):
            checked(folder, trust(node))
        path.write_bytes(data)
    assert checked(folder, trust(node)).head.size == node.machine.log.size


def test_who_has_signed_is_told_also_after_changes_of_the_key(node: Solo, tmp_path: Path) -> None:
    folder, first = tmp_path / "log", trust(node)
    grow(node, 20)
    node.rotate_key(1_700_000_100_000)
    node.rotate_key(1_700_000_200_000)
    export(node, folder)
    found = checked(folder, first)
    assert (found.signer, found.time_s) == (node.key.key_id, 1_700_000_200)
    assert checked(folder, trust(node)).signer == node.key.key_id
    assert not checked(folder, Trust("other", first.format, first.keys)).signer
    (folder / "succession.json").unlink()
    assert not checked(folder, first).signer
    (folder / "succession.json").write_text(json.dumps(["x"]))
    with pytest.raises(Unsound, match="damaged"):
        checked(folder, first)


def test_a_damaged_folder_is_not_written_on(node: Solo, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    grow(node, 300)
    export(node, folder)
    grow(node, 400)
    shutil.copytree(folder, tmp_path / "copy")
    (tile,) = (path for path in folder.glob("tile/0/001.p/*"))
    tile.write_bytes(bytes(32) + tile.read_bytes()[32:])
    with pytest.raises(Unsound, match="not those of its checkpoint"):
        export(node, folder)
    tile.unlink()
    with pytest.raises(Unsound, match="lacks a tile"):
        export(node, folder)
    (tmp_path / "copy" / "checkpoint").write_text("x")
    with pytest.raises(Unsound, match="checkpoint of the folder cannot be read"):
        export(node, tmp_path / "copy")


def test_the_checkpoint_is_the_one_that_witnesses_have_co_signed(node: Solo, tmp_path: Path) -> None:
    grow(node, 50)
    note, size = notes.read(node.checkpoint()), node.machine.log.size
    line = notes.cosign(note.body, "witness.example/w1", SigningKey(b"w" * 32), 1_700_000_000)
    keep_cosigned(node.home / COSIGNED_FILE, node.checkpoint(), [line])
    grow(node, 100)
    folder = tmp_path / "log"
    assert export(node, folder).head.size == size
    found = checked(folder, trust(node))
    assert line in found.note.signatures
    (node.home / COSIGNED_FILE).unlink()
    assert export(node, folder).head.size == node.machine.log.size


def test_an_entry_that_is_too_long_for_the_format_is_named() -> None:
    most = [b"x" * 65_535, b""]
    assert read_bundle(write_bundle(7, iter(most)), 2) == most
    with pytest.raises(NotProvable, match=r"Entry 8 of the log has 65536 bytes, and tlog-tiles carries at most 65535"):
        write_bundle(7, iter([b"", b"x" * 65_536]))


@pytest.mark.parametrize(("data", "width"), [(b"\0", 1), (b"\0\2a", 1), (b"\0\1a", 2), (b"\0\1a\0\0", 1), (b"", 1)])
def test_bundles_that_are_none(data: bytes, width: int) -> None:
    with pytest.raises(ValueError, match="bundle"):
        read_bundle(data, width)
