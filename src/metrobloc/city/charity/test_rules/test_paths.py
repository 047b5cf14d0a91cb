"""The path of a gift: every fen has one place on a line, and its spans say exactly what became of it."""

import msgspec
import pytest

from metrobloc.city.charity.rules import claims, gifts, matches, path, settling, spans, statement, totals
from metrobloc.city.charity.rules.queries import MOVES_MAX
from metrobloc.city.charity.story import play as play_story
from metrobloc.city.charity.test_rules import (
    DAY_MINUTES,
    MODULES,
    NO_PAPER,
    NOBODY,
    approved,
    bill,
    campaign_of,
    city,
    do,
    gave,
    has,
    match_for,
    opened,
    paper,
    purse_of,
    scene,
)
from metrobloc.city.charity.types.messages import (
    AgreeSurplus,
    Close,
    Countersign,
    Finish,
    Give,
    MoveSurplus,
    Present,
    Refund,
    Review,
    Settle,
)
from metrobloc.city.charity.types.records import Line
from metrobloc.kernel.receipts import ReadReceipt
from metrobloc.testing.edges import Scene
from metrobloc.testing.sandbox import Sandbox
from metrobloc.testing.simulate import simulate


def told(s: Scene, gift: str) -> list[tuple[object, ...]]:
    """Return a gift's path in short: amount, what, and the code of the line."""
    return [(piece["amount"], piece["what"], piece.get("code", "")) for piece in path(s.box.view, s[gift])]


def cased(s: Scene, campaign: str, *lines: Line) -> None:
    """Let an invoice of such lines be presented and approved in full, under the campaign's name and `bill`."""
    name = f"{campaign} bill"
    s.ids[name] = do(s, "clinic", Present(s[campaign], paper(name), NO_PAPER, lines))[0]
    do(s, "civil_affairs", Review(s[name], paper(name), tuple(line.claimed for line in lines)))
    do(s, "supervisor", Countersign(s[name]))


def line(code: str, amount: int, category: str = "treatment") -> Line:
    """Return a line of an invoice for one unit."""
    return Line(code, category, 1, amount)


def test_gifts_are_used_in_the_order_in_which_they_came() -> None:
    s = city()
    opened(s, "one")
    for gift, donor, amount in (("a", "ann", 30), ("b", "bo", 20), ("c", "ann", 25)):
        gave(s, gift, donor, "one", amount)
    do(s, "charity", Close(s["one"]))
    cased(s, "one", line("bed", 35), line("drip", 10))
    do(s, "charity", Settle(s["one bill"], 33, 0))
    assert told(s, "a") == [(30, "paid", "bed")]
    assert told(s, "b") == [(3, "paid", "bed"), (17, "held", "")]
    do(s, "charity", Settle(s["one bill"], 12, 33))
    assert told(s, "b") == [(3, "paid", "bed"), (2, "paid", "bed"), (10, "paid", "drip"), (5, "held", "")]
    assert told(s, "c") == [(25, "held", "")]
    first = path(s.box.view, s["b"])[0]
    assert (first["claim"], first["line"], first["payee"]) == (s["one bill"], 0, s["clinic"])
    assert (first["gift"], first["campaign"], first["purse"]) == (s["b"], s["one"], "crowd")
    assert path(s.box.view, NOBODY) == []
    assert has(s, "clinic") == (45,)
    do(s, "charity", Finish(s["one"]))
    do(s, "bo", Refund(s["b"]))
    do(s, "ann", Refund(s["a"]), refused="nothing_left")
    do(s, "ann", Refund(s["c"]))
    assert told(s, "b")[-1] == (5, "returned", "")
    assert told(s, "c") == [(25, "returned", "")]
    assert has(s, "ann", "bo") == (1000 - 30, 1000 - 15)
    assert not s.box.broken()


def test_a_gift_that_was_taken_back_leaves_a_hole_that_payments_skip() -> None:
    s = city()
    opened(s, "one")
    for number, amount in enumerate((5, 7, 11, 13, 17)):
        gave(s, f"g{number}", "ann", "one", amount)
    do(s, "ann", Refund(s["g0"]), Refund(s["g2"]), Refund(s["g3"]))
    gave(s, "last", "bo", "one", 4)
    do(s, "charity", Close(s["one"]))
    cased(s, "one", line("bed", 28))
    do(s, "charity", Settle(s["one bill"], 7, 0))
    assert purse_of(s, "one").used == 23
    do(s, "charity", Settle(s["one bill"], 18, 7))
    assert [told(s, name) for name in ("g0", "g1", "g2", "g4", "last")] == [
        [(5, "returned", "")],
        [(7, "paid", "bed")],
        [(11, "returned", "")],
        [(17, "paid", "bed")],
        [(1, "paid", "bed"), (3, "held", "")],
    ]
    do(s, "charity", Settle(s["one bill"], 3, 25))
    purse = purse_of(s, "one")
    assert (purse.used, purse.held, purse.refunded, purse.spent) == (57, 0, 29, 28)
    assert not s.box.broken()


def test_a_settlement_over_very_many_pieces_goes_on_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    s = city()
    opened(s, "one")
    for number in range(12):
        gave(s, f"g{number}", "ann", "one", 10)
    for number in range(0, 12, 2):
        do(s, "ann", Refund(s[f"g{number}"]))
    do(s, "charity", Close(s["one"]))
    cased(s, "one", line("bed", 55))
    monkeypatch.setattr(settling, "STEPS_MAX", 5)
    paid: list[int] = []
    for _ in range(4):
        before = sum(paid)
        made = s.stage.act("charity", Settle(s["one bill"], 55 - before, before))
        event = msgspec.json.decode(bytes(made.events[-1].fields))
        paid.append(event["amount"])
        assert event["left"] == 55 - sum(paid)
        assert not s.box.broken()
        if not event["left"]:
            break
    assert paid == [20, 30, 5]
    do(s, "charity", Settle(s["one bill"], 1, 55), refused="not_approved")


def test_money_for_a_purpose_is_used_first_and_for_nothing_else() -> None:
    s = city()
    opened(s, "one")
    do(s, "rival", match_for(s, "one", pool=9, closes_ms=s.stage.time_ms + 60_000))
    for gift, donor, amount, category in (
        ("crowd", "ann", 10, None),
        ("charity", "charity", 10, None),
        ("company", "company", 10, None),
        ("for medicine", "ann", 10, "medicine"),
        ("for beds", "bo", 10, "bed"),
        ("company's for beds", "company", 5, "bed"),
    ):
        gave(s, gift, donor, "one", amount, category)
    s.stage.wait(2)
    do(s, "charity", Close(s["one"]))
    assert list(statement(s.box.view, s["one"])) == sorted(campaign_of(s, "one").purses)
    cased(s, "one", line("bed", 20, "bed"), line("pills", 42, "medicine"))
    do(s, "charity", Settle(s["one bill"], 16, 0))
    assert told(s, "company's for beds") == [(5, "paid", "bed")]
    assert told(s, "for beds") == [(10, "paid", "bed")]
    assert told(s, "company") == [(1, "paid", "bed"), (9, "held", "")]
    do(s, "charity", Settle(s["one bill"], 20, 16))
    assert told(s, "company") == [(1, "paid", "bed"), (4, "paid", "bed"), (5, "paid", "pills")]
    assert told(s, "for medicine") == [(10, "paid", "pills")]
    assert told(s, "charity") == [(10, "held", "")]
    do(s, "charity", Settle(s["one bill"], 15, 36))
    assert told(s, "charity") == [(7, "paid", "pills"), (3, "held", "")]
    assert told(s, "crowd") == [(10, "held", "")]
    do(s, "charity", Settle(s["one bill"], 11, 51))
    assert told(s, "crowd") == [(8, "paid", "pills"), (2, "held", "")]
    assert matches(s.box.view, s["crowd"]) == [
        {"offer": campaign_of(s, "one").offers[0].offer, "asked": 10, "all_asked": 55, "part": 9}
    ]
    assert matches(s.box.view, NOBODY) == []
    assert not s.box.broken()


def test_reserved_money_alone_does_not_pay_for_something_else() -> None:
    s = city()
    opened(s, "one")
    gave(s, "reserved", "ann", "one", 50, "bed")
    gave(s, "free", "ann", "one", 5)
    do(s, "charity", Close(s["one"]))
    cased(s, "one", line("pills", 20), line("bed", 20, "bed"))
    do(s, "charity", Settle(s["one bill"], 26, 0), refused="above_held")
    do(s, "charity", Settle(s["one bill"], 25, 0))
    claim = s.box.view[claims].get(s["one bill"])
    assert claim is not None
    assert claim.paid == (5, 20)


def test_a_surplus_moves_with_its_path() -> None:
    s = city()
    opened(s, "one")
    opened(s, "two")
    gave(s, "there", "bo", "two", 3)
    for gift, donor, amount in (("a", "ann", 30), ("b", "bo", 20), ("c", "ann", 25)):
        gave(s, gift, donor, "one", amount)
    do(s, "charity", Close(s["one"]))
    cased(s, "one", line("bed", 10))
    do(s, "charity", Settle(s["one bill"], 10, 0), Finish(s["one"]))
    do(s, "supervisor", AgreeSurplus(s["one"], s["two"]))
    do(s, "bo", Refund(s["b"]))
    s.stage.wait(30 * DAY_MINUTES - 1)
    do(s, "charity", MoveSurplus(s["one"]), refused="too_early")
    s.stage.wait(1)
    do(s, "charity", MoveSurplus(s["one"]))
    assert told(s, "a") == [(10, "paid", "bed"), (20, "held", "")]
    assert path(s.box.view, s["a"])[1]["campaign"] == s["two"]
    do(s, "charity", Close(s["two"]))
    cased(s, "two", line("walker", 9), line("ramp", 16))
    do(s, "charity", Settle(s["two bill"], 25, 0))
    assert told(s, "a") == [(10, "paid", "bed"), (6, "paid", "walker"), (14, "paid", "ramp")]
    assert told(s, "c") == [(2, "paid", "ramp"), (23, "held", "")]
    assert told(s, "b") == [(20, "returned", "")]
    assert not s.box.broken()


def test_a_surplus_in_very_many_pieces_takes_several_messages() -> None:
    s = city()
    opened(s, "one")
    opened(s, "two")
    for number in range(40):
        gave(s, f"g{number}", "ann", "one", 1)
    do(s, "charity", Close(s["one"]), Finish(s["one"]))
    do(s, "ann", *(Refund(s[f"g{number}"]) for number in range(0, 32, 2)))
    do(s, "ann", *(Refund(s[f"g{number}"]) for number in range(32, 40, 2)))
    do(s, "supervisor", AgreeSurplus(s["one"], s["two"]))
    s.stage.wait(30 * DAY_MINUTES)
    moved = []
    for _ in range(2):
        made = s.stage.act("charity", MoveSurplus(s["one"]))
        event = msgspec.json.decode(bytes(made.events[-1].fields))
        moved.append((event["amount"], event["left"]))
        assert not s.box.broken()
    assert moved == [(16, 4), (4, 0)]
    do(s, "charity", MoveSurplus(s["one"]), refused="nothing_left")


def test_a_gift_that_moves_again_and_again_is_followed_so_far() -> None:
    s = city()
    opened(s, "c0")
    gave(s, "gift", "ann", "c0", 7)
    for number in range(MOVES_MAX + 2):
        here, there = f"c{number}", f"c{number + 1}"
        opened(s, there, s.stage.time_ms + 300 * 86_400_000)
        do(s, "charity", Close(s[here]), Finish(s[here]))
        do(s, "supervisor", AgreeSurplus(s[here], s[there]))
        s.stage.wait(30 * DAY_MINUTES)
        do(s, "charity", MoveSurplus(s[here]))
        found = path(s.box.view, s["gift"])
        assert [(piece["amount"], piece["campaign"]) for piece in found] == [(7, s[f"c{min(number + 1, MOVES_MAX)}"])]
        assert found[0]["what"] == ("held" if number < MOVES_MAX else "moved")
    assert not s.box.broken()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_gift_s_path_adds_up_to_it_and_every_line_to_what_was_paid(seed: int) -> None:
    box = simulate(MODULES, seed, 400, [play_story]).sandbox
    paid: dict[tuple[object, object], int] = {}
    for key, gift in box.view[gifts].items():
        found = path(box.view, key)
        assert sum(int(piece["amount"]) for piece in found) == gift.amount
        if gift.moved_from is None:
            for piece in found:
                if piece["what"] == "paid":
                    place = piece["claim"], piece["line"]
                    paid[place] = paid.get(place, 0) + int(piece["amount"])
    for key, span in box.view[spans].items():
        if span.what == "paid" and span.purse.startswith("match."):
            place = span.claim or "", span.line
            paid[place] = paid.get(place, 0) + int(key[-16:]) - span.start
    for key, claim in box.view[claims].items():
        assert [paid.get((key, number), 0) for number in range(len(claim.lines))] == list(claim.paid)


def folded(box: Sandbox) -> dict[str, int]:
    """Fold the events of all receipts into the totals of cny."""
    sums = dict.fromkeys(("gifts", "crowd", "charity", "company", "matched", "refunded", "returned", "settled"), 0)
    for sealed in box.sealed:
        for raw in sealed.receipts:
            for event in msgspec.json.decode(raw, type=ReadReceipt).events:
                fields = msgspec.json.decode(bytes(event.fields))
                name = event.event.removeprefix("charity.")
                if name == "given":
                    sums["gifts"] += 1
                    sums[fields["purse"].partition(".")[0]] += fields["amount"]
                into = {"refunded": "refunded", "matched": "matched", "settled": "settled"}.get(name)
                if into:
                    sums[into] += fields["amount"]
    return sums


def test_public_totals_are_the_fold_of_what_was_told() -> None:
    box = Sandbox(MODULES)
    play_story(box.stage)
    found = totals(box.view)["cny"]
    sums = folded(box)
    moved = found["moved"]
    assert moved == 13_500
    assert {name: found[name] for name in sums} == sums | {
        "gifts": sums["gifts"] + 1,
        "crowd": sums["crowd"] + moved,
    }
    assert found == {
        "campaigns": 2,
        "gifts": 5,
        "crowd": 47_600,
        "charity": 0,
        "company": 0,
        "matched": 14_100,
        "refunded": 3_200,
        "returned": 0,
        "settled": 31_500,
        "moved": 13_500,
        "held": 13_500,
    }


def test_a_plain_gift_writes_four_records() -> None:
    s = city()
    opened(s, "one")
    do(s, "ann", Give(s["one"], 5))
    do(s, "ann", Give(s["one"], 5))
    written = [key.decode() for key in s.box.sealed[-1].writes if not key.startswith(b"kernel/")]
    tables = sorted(key.rpartition("/")[0].split("/")[1] for key in written)
    assert tables == ["balances", "balances", "gifts", "purses"]


def test_an_invoice_of_a_vendor_is_paid_beside_the_hospital_s() -> None:
    s = scene()
    approved(s, "wheels", "paid", 6, by="vendor")
    do(s, "charity", Settle(s["wheels"], 6, 0))
    assert has(s, "vendor") == (6,)
    do(s, "vendor", bill(s, "open", "wheels", 1), refused="presented_already")
