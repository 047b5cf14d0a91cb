"""Questions to a mirror: filters, orders, pages while rows arrive, the past, events, words, and what is refused."""

import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from metrobloc.mirror import database
from metrobloc.mirror.asking import Ask, BadQuestion, filters, orders, read_ask, write_cursor
from metrobloc.mirror.database import MirrorProblem, open_writer, prepare
from metrobloc.mirror.fold import fold
from metrobloc.mirror.read import EventAsk, Mirror
from tests.mirror.toys import GENESIS, Note, Pair, Thing, app, name, news, schema, thing
from tests.support import rounds

THINGS, PAIRS = schema.tables["toy/things"], schema.tables["toy/pairs"]
NOTES = (Note(name(5), "A line about Zhao"), Note(name(6), "and one about ἀγάπη"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mirror.sqlite"


@pytest.fixture
def writer(path: Path) -> Iterator[sa.Engine]:
    engine = open_writer(path)
    prepare(engine, schema, GENESIS)
    yield engine
    engine.dispose()


@pytest.fixture
def mirror(path: Path) -> Iterator[Mirror]:
    made = Mirror(path, schema)
    yield made
    made.close()


def drawn(draw: random.Random) -> Thing:
    """Return a random thing."""
    return thing(
        owner=name(draw.randrange(4)),
        state=draw.choice(("book", "tool")),
        count=draw.choice((-(2**53 - 1), -1, 0, 1, 7, 2**53 - 1)),
        lent=draw.random() < 0.5,
        taker=draw.choice((None, name(1), name(2))),
        due_ms=draw.choice((None, 0, 5)),
        notes=NOTES[: draw.randrange(3)],
    )


def walked(mirror: Mirror, ask: Ask) -> list[tuple[str, Thing]]:
    """Return all that a question asks for, page by page."""
    found = []
    while True:
        page = mirror.page(THINGS, ask)
        assert len(page.items) <= ask.limit
        found += [(item.key, msgspec.json.decode(item.value, type=Thing)) for item in page.items]
        if page.next is None:
            return found
        ask = replace(ask, after=page.next)


def place(order: str, key: str, one: Thing) -> tuple[object, ...]:
    """Return where a thing stands in an order; what is not there comes first."""
    value = None if order == "_key" else getattr(one, order)
    return (value is not None, value if value is not None else 0, key)


def test_every_order_and_filter_finds_what_a_list_would(mirror: Mirror, writer: sa.Engine) -> None:
    draw = random.Random(3)
    kept = {name(number): drawn(draw) for number in range(40)}
    fold(writer, schema, [news(0, {f"things/{key}": one for key, one in kept.items()})])
    assert {one.taker for one in kept.values()} == {None, name(1), name(2)}
    for order in orders(THINGS):
        wanted = sorted(kept.items(), key=lambda pair: place(order, *pair))
        for limit in (1, 7, 40, 500):
            assert walked(mirror, Ask(order=order, limit=limit)) == wanted
            assert walked(mirror, Ask(order=order, limit=limit, reverse=True)) == wanted[::-1]
    for words in ({"lent": "true"}, {"state": "tool", "count": "-1"}, {"taker": ""}, {"owner": name(2), "due_ms": "5"}):
        ask = read_ask(THINGS, words)
        wanted = sorted(pair for pair in kept.items() if all(getattr(pair[1], k) == v for k, v in ask.where.items()))
        assert wanted
        assert walked(mirror, replace(ask, limit=3)) == wanted
    ask = read_ask(THINGS, {"count__from": "-1", "count__to": "7", "due_ms__to": "4"})
    between = [pair for pair in kept.items() if -1 <= pair[1].count <= 7 and pair[1].due_ms == 0]
    assert walked(mirror, replace(ask, order="due_ms", limit=2)) == sorted(between)
    (one,) = mirror.page(THINGS, read_ask(THINGS, {"_key": name(7)})).items
    assert (one.key, one.height) == (name(7), 0)


def test_keys_of_two_parts_are_found_by_each(mirror: Mirror, writer: sa.Engine) -> None:
    fold(writer, schema, [news(0, {f"pairs/{a}/{b}": Pair(1) for a in "xyz" for b in "xyz"})])
    for word, wanted in (("_key_1", ["y/x", "y/y", "y/z"]), ("_key_2", ["x/y", "y/y", "z/y"])):
        assert [item.key for item in mirror.page(PAIRS, read_ask(PAIRS, {word: "y"})).items] == wanted


def test_a_record_comes_back_in_the_ledgers_own_bytes(mirror: Mirror, writer: sa.Engine) -> None:
    whole = thing(lent=True, taker=name(3), due_ms=1, paper="0" * 64, tags=("ä", "李"), last=NOTES[0], notes=NOTES)
    block = news(0, {"things/a": whole, "things/b": thing()})
    assert whole.paper
    fold(writer, schema, [block])
    assert {f"toy/things/{item.key}": item.value for item in mirror.page(THINGS, Ask()).items} == block.writes


def test_pages_neither_double_nor_lose_what_was_there_all_along(mirror: Mirror, writer: sa.Engine) -> None:
    draw = random.Random(7)
    staying = {name(number): drawn(draw) for number in range(60)}
    fold(writer, schema, [news(0, {f"things/{key}": one for key, one in staying.items()})])
    height = 0
    for turn in range(rounds(8, 200)):
        order, reverse = draw.choice(orders(THINGS)), draw.random() < 0.5
        ask, seen, heights = Ask(order=order, reverse=reverse, limit=9), [], []
        coming = [name(1000 + 100 * turn + number) for number in range(20)]
        while True:
            page = mirror.page(THINGS, ask)
            seen += [(item.key, msgspec.json.decode(item.value, type=Thing)) for item in page.items]
            heights.append(page.height)
            if page.next is None:
                break
            ask, height = replace(ask, after=page.next), height + 1
            writes = {f"things/{key}": draw.choice((None, drawn(draw))) for key in draw.sample(coming, 6)}
            fold(writer, schema, [news(height, writes)])
        assert sorted(key for key, _ in seen if key in staying) == sorted(staying)
        places = [place(order, *pair) for pair in seen if pair[0] in staying]
        assert places == sorted(places, reverse=reverse)
        assert heights == sorted(heights)
        height += 1
        fold(writer, schema, [news(height, {f"things/{key}": None for key in coming})])


def test_an_answer_is_of_one_moment(mirror: Mirror, writer: sa.Engine) -> None:
    pairs = [f"pairs/a/{number}" for number in range(30)]
    ended = threading.Event()

    def write() -> None:
        for height in range(1, 60):
            fold(writer, schema, [news(height, {key: Pair(height) for key in pairs})])
        ended.set()

    fold(writer, schema, [news(0, {key: Pair(0) for key in pairs})])
    thread = threading.Thread(target=write)
    thread.start()
    while not ended.is_set():
        page = mirror.page(PAIRS, Ask())
        assert {item.height for item in page.items} == {page.height}
    thread.join()


def test_the_past_of_a_record(mirror: Mirror, writer: sa.Engine) -> None:
    states = [Pair(1), Pair(2), None, None, Pair(3)]
    blocks = [news(height, {"pairs/a/b": one}) for height, one in enumerate(states) if height != 3]
    fold(writer, schema, [*blocks[:3], news(3, {"pairs/a/c": Pair(9)}), blocks[3]])
    first = mirror.history(PAIRS, "a/b", "", 2)
    rest = mirror.history(PAIRS, "a/b", first.next or "", 2)
    told = [(past.height, past.time_ms, bytes(past.value)) for past in [*first.items, *rest.items]]
    wanted = [(0, 0, b'{"count":1}'), (1, 1000, b'{"count":2}'), (2, 2000, b"null"), (4, 4000, b'{"count":3}')]
    assert (told, rest.next) == (wanted, None)
    then = [[(past.height) for past in mirror.as_of(PAIRS, "a/b", height).items] for height in range(6)]
    assert then == [[0], [1], [2], [2], [4], [4]]
    assert (mirror.as_of(PAIRS, "a/c", 2).items, mirror.history(PAIRS, "x/y", "", 5).items) == ([], [])


def test_events_by_name_by_whom_they_name_and_by_height(mirror: Mirror, writer: sa.Engine) -> None:
    def receipt(index: int, *told: tuple[str, Mapping[str, object]], **more: object) -> dict[str, object]:
        events = [{"event": what, "fields": fields} for what, fields in told]
        return {"code": "ok", "height": 0, "index": index, "events": events, **more}

    one, other = name(1), name(2)
    lent = ("toy.lent", {"by": one, "to": other, "note": f'"{one}" said'})
    back = ("toy.back", {"by": other, "legs": [{"to": one}]})
    odd = ("toy.odd", {"b" * 26: f'\\"{one}"', "text": one + "a"})
    for height in range(4):
        receipts = (receipt(0, lent, back, tx="f" * 64), receipt(1, odd, due=other))
        fold(writer, schema, [news(height, {}, receipts)])

    def spots(ask: EventAsk) -> list[tuple[int, int, int]]:
        found = []
        while True:
            page = mirror.events(ask)
            found += [(each.height, each.index, each.number) for each in page.items]
            if page.next is None:
                return found
            ask = replace(ask, after=page.next)

    every = [(height, index, number) for height in range(4) for index, number in ((0, 0), (0, 1), (1, 0))]
    for limit in (1, 5, 100):
        assert spots(EventAsk(limit=limit)) == every
        assert spots(EventAsk(limit=limit, reverse=True)) == every[::-1]
        assert spots(EventAsk("toy.back", limit=limit)) == every[1::3]
        assert spots(EventAsk(about=one, limit=limit)) == [spot for spot in every if spot[1] == 0]
        assert spots(EventAsk("toy.lent", other, 1, 2, reverse=True, limit=limit)) == [(2, 0, 0), (1, 0, 0)]
    assert spots(EventAsk(about="b" * 26)) == spots(EventAsk("toy.none")) == spots(EventAsk(least=4)) == []
    first, last = mirror.events(EventAsk(limit=3)).items[::2]
    assert (first.event, bytes(first.fields), first.tx, first.due) == (
        lent[0],
        msgspec.json.encode(lent[1]),
        "f" * 64,
        "",
    )
    assert (last.tx, last.due, last.time_ms) == ("", other, 0)


def test_words_find_records(mirror: Mirror, writer: sa.Engine) -> None:
    writes = {
        "things/a": thing(title="A heart for Xiao Li", notes=NOTES),
        "things/b": thing(title="A wheelchair", tags=("李的心", "Käfer")),
        "things/c": thing(title="Nothing", last=NOTES[0]),
    }
    fold(writer, schema, [news(0, writes)])

    def keys(text: str) -> str:
        found, after = "", ""
        while True:
            page = mirror.search(text, after, 1)
            found += "".join(hit.key for hit in page.items)
            if page.next is None:
                return found
            after = page.next

    told = {
        "heart xiao": "a",
        "zha": "ac",
        "ZHAO": "ac",
        "kafer": "b",
        "的心": "b",
        "心的": "",
        "a": "abc",
        "ἀγάπ": "a",
    }
    assert {text: keys(text) for text in told} == told
    hostile = [
        '"',
        "'; DROP TABLE texts; --",
        "a AND b",
        "NEAR(a b)",
        "col:x",
        "*",
        "^",
        "- -",
        "\0",
        "(",
        "{x}",
        "a" * 9999,
    ]
    for text in hostile:
        assert keys(text) in ("", "a", "abc")
    fold(
        writer, schema, [news(1, {"things/a": thing(title="A lung"), "things/b": None, "things/c": writes["things/c"]})]
    )
    assert [keys(text) for text in ("heart", "wheelchair", "lung", "zhao")] == ["", "", "a", "c"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            {"nobody": "1"},
            "no filter 'nobody' here. There are: _key, owner, state, count, lent, taker, due_ms, count__from",
        ),
        ({"title": "A book"}, "no filter 'title'"),
        ({"owner__from": name(1)}, "no filter"),
        ({"__from": "1"}, "no filter"),
        ({"owner": "x"}, "owner cannot be 'x'"),
        ({"owner": ""}, "owner cannot be ''"),
        ({"state": "boat"}, "state cannot be 'boat'"),
        ({"lent": "1"}, "lent cannot be '1'"),
        ({"count": "1.0"}, "count takes a whole number"),
        ({"count": " 1"}, "count takes a whole number"),
        ({"count": "\u0661"}, "count takes a whole number"),
        ({"count": "9" * 5000}, "count takes a whole number"),
        ({"count__to": ""}, "count__to takes a whole number"),
        ({"due_ms": "-1"}, "due_ms cannot be '-1'"),
        ({"_key": "a\nb"}, "A key is"),
        ({"_key": "ä" * 400}, "A key is"),
        ({"\ud800": "\udfff"}, "no filter"),
    ],
)
def test_a_bad_filter_is_refused_with_what_there_is(words: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadQuestion, match=sentence):
        read_ask(THINGS, words)


def test_a_made_up_cursor_is_refused(mirror: Mirror, writer: sa.Engine) -> None:
    fold(writer, schema, [news(0, {"things/a": thing()})])
    places: list[tuple[str, list[object]]] = [
        ("_key", ["_key", True, None, "a"]),
        ("_key", ["count", False, 1, "a"]),
        ("count", ["count", False, "1", "a"]),
        ("count", ["count", False, None, "a"]),
        ("lent", ["lent", False, 1, "a"]),
        ("owner", ["owner", False, True, "a"]),
        ("count", ["count", False, 2**63, "a"]),
        ("count", ["count", False, 1.5, "a"]),
        ("_key", ["_key", False, None]),
    ]
    made_up = [(order, msgspec.json.encode(place)) for order, place in places]
    cursors = [(order, write_cursor(msgspec.json.decode(raw))) for order, raw in made_up]
    for order, after in [*cursors, ("_key", "x"), ("_key", "é"), ("_key", "A" * 5000), ("_key", "bnVsbA==")]:
        with pytest.raises(BadQuestion, match="after"):
            mirror.page(THINGS, Ask(order=order, after=after))
    with pytest.raises(BadQuestion, match=r"no order 'title' here\. There are: _key, owner"):
        mirror.page(THINGS, Ask(order="title"))
    for question in (
        lambda: mirror.events(EventAsk(after=write_cursor([1]))),
        lambda: mirror.history(THINGS, "a", write_cursor(["a"]), 1),
        lambda: mirror.search("a", write_cursor([1, 2]), 1),
    ):
        with pytest.raises(BadQuestion, match="after"):
            question()
    assert set(filters(THINGS)) > set(orders(THINGS))


def test_a_mirror_that_is_not_there_or_of_other_declarations_is_a_problem(mirror: Mirror, path: Path) -> None:
    def code() -> str:
        with pytest.raises(MirrorProblem) as caught:
            mirror.height()
        return caught.value.code

    assert code() == "no_mirror"
    path.write_bytes(b"")
    assert code() == "no_mirror"
    path.write_bytes(b"no database " * 1000)
    assert code() == "no_mirror"
    path.unlink()
    engine = open_writer(path)
    prepare(engine, schema, GENESIS)
    assert mirror.height() == -1
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE meta SET value = 'other' WHERE name = 'schema'"))
    assert code() == "mirror_schema"
    engine.dispose()
    for file in path.parent.glob("mirror.sqlite*"):
        file.unlink()
    engine = open_writer(path)  # another file under the same name
    prepare(engine, schema, GENESIS)
    fold(engine, schema, [news(0, {})])
    assert mirror.height() == 0
    engine.dispose()


def test_a_question_that_reads_too_much_is_cut_off(
    mirror: Mirror, writer: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold(writer, schema, [news(0, {f"things/{name(number)}": thing() for number in range(3000)})])
    monkeypatch.setattr(database, "WORK_STEP", 1000)
    monkeypatch.setattr(database, "WORK_STEPS_MAX", 10)
    with pytest.raises(MirrorProblem, match="ask with a filter") as caught:
        mirror.page(THINGS, Ask({"lent": False, "state": "tool"}, order="count"))
    assert caught.value.code == "too_much_work"
    assert len(mirror.page(THINGS, Ask({"owner": name(1)}, limit=10)).items) == 10
    assert mirror.page(THINGS, Ask({"state": "tool"})).items == []


def test_nothing_can_be_written_by_a_reader(mirror: Mirror, writer: sa.Engine) -> None:
    fold(writer, schema, [news(0, {})])
    with mirror._moment() as (connection, _), pytest.raises(sa.exc.OperationalError, match="readonly"):
        connection.execute(sa.text("DELETE FROM meta"))
    assert app.tables["things"] is THINGS.table
