"""The properties can fail: each of them is shown a declaration, or a kernel, that breaks it."""

from collections.abc import Callable
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from metrobloc.commons.identity import rules as identity
from metrobloc.commons.money import rules as money
from metrobloc.commons.money.types import Move
from metrobloc.kernel import block, codec
from metrobloc.kernel.context import Ctx, Run, View
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import Permission
from metrobloc.kernel.types import INT_MAX, Message
from metrobloc.testing import nouns, properties

MODULES = (identity.app, money.app)


def check() -> None:
    """Let money's actions run in any order."""
    properties.actions_end_as_declared(MODULES, money.app, None)


def replaced(monkeypatch: pytest.MonkeyPatch, name: str, handler: Callable[[Ctx, Message], None]) -> None:
    """Give an action of money another handler."""
    action = money.app.actions[name]
    monkeypatch.setitem(money.app.actions, name, msgspec.structs.replace(action, handler=handler))


def test_sound_rules_pass() -> None:
    check()


def test_a_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(ctx: Ctx, msg: Message) -> None:
        raise ZeroDivisionError(msg)

    replaced(monkeypatch, "redeem", fails)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        check()


def test_an_accepted_identifier_that_stands_for_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def accepts(ctx: Ctx, msg: Message) -> None:
        del ctx, msg

    replaced(monkeypatch, "release", accepts)
    with pytest.raises(AssertionError, match=r"money\.release accepts an identifier that stands for nothing"):
        check()


def test_a_permission_that_is_not_asked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def every(self: Permission, has_role: Callable[[str], bool]) -> bool:
        del self, has_role
        return True

    plain = Permission.holds

    def execute(self: block.BlockRun, run: object, calls: object, delegates: object) -> None:
        monkeypatch.setattr(Permission, "holds", every)
        try:
            sound(self, run, calls, delegates)
        finally:
            monkeypatch.setattr(Permission, "holds", plain)

    sound: Callable[..., None] = block.BlockRun._execute
    monkeypatch.setattr(block.BlockRun, "_execute", execute)
    with pytest.raises(AssertionError, match="a permission disagrees"):
        check()


def test_a_refusal_that_leaves_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(self: block.BlockRun, run: Run, body: Callable[[], None], tx: str = "", due: str = "") -> object:
        ended: tuple[str, bytes] = sound(self, run, body, tx=tx, due=due)
        run.state.fold()
        return ended

    sound = block.BlockRun._attempt
    monkeypatch.setattr(block.BlockRun, "_attempt", attempt)
    with pytest.raises(AssertionError, match="has changed something"):
        check()


def test_chance_in_a_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = money.app.actions["move"].handler
    count = iter(range(10**9))

    def moody(ctx: Ctx, msg: Message) -> None:
        assert isinstance(msg, Move)
        if next(count) % 2:
            money.app.refuse("to_self")
        sound(ctx, msg)

    replaced(monkeypatch, "move", moody)
    with pytest.raises(AssertionError, match=r"simulated as one thing|simulated with one receipt|another root"):
        check()


def test_a_broken_invariant_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def never_moved(view: View) -> bool:
        return len(list(view[money.holds].items())) == 0

    monkeypatch.setitem(money.app.invariants, "nothing_is_held", never_moved)
    with pytest.raises(AssertionError, match=r"money\.nothing_is_held"):
        check()


class Sized(Message):
    """A message with a number."""

    size: Annotated[int, Meta(ge=1, le=INT_MAX)]


class Loose(msgspec.Struct, frozen=True):
    """The same, but that nobody looks for what is unknown."""

    size: Annotated[int, Meta(ge=1, le=INT_MAX)]


def with_nouns(monkeypatch: pytest.MonkeyPatch, noun: nouns.Noun) -> None:
    """Let an app have one noun."""
    monkeypatch.setattr(properties, "nouns_of", lambda _: {"message Sized": noun})


def test_limits_that_hold_pass_and_a_type_that_reads_more_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nouns(monkeypatch, Sized)
    properties.limits_are_kept(Module("any", {}))
    with_nouns(monkeypatch, Loose)
    with pytest.raises(AssertionError, match=r"message Sized: .* canonical form"):
        properties.limits_are_kept(Module("any", {}))


def test_a_codec_that_loses_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_nouns(monkeypatch, Sized)
    properties.nouns_keep_their_bytes(Module("any", {}))
    monkeypatch.setattr(codec, "decode", lambda *_: Sized(1))
    with pytest.raises(AssertionError):
        properties.nouns_keep_their_bytes(Module("any", {}))
