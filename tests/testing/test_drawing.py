"""What a simulation draws: calls within messages are of what worked before, and now and then are not."""

import msgspec

from metrobloc.commons.acts.rules import app as acts
from metrobloc.commons.acts.types import Propose
from metrobloc.commons.identity.rules import app as identity
from metrobloc.commons.money.rules import app as money
from metrobloc.commons.money.types import Leg, Move
from metrobloc.testing.simulate import Simulation


def test_a_call_within_a_message_is_mostly_one_that_worked() -> None:
    run = Simulation((identity, money, acts), 4)
    actions = run.sandbox.rules.actions
    move = actions["money.move"]
    calls = []
    for round_ in range(400):
        if round_ == 200:
            run.drawing.worked.clear()
            run.drawing.learn(move, Move((Leg("sim", "a" * 26, 1),)))
        proposed = run.drawing.message(actions["acts.propose"])
        assert isinstance(proposed, Propose)
        calls += [call for call in proposed.calls if round_ >= 200]
    known = [call for call in calls if call.do == "money.move"]
    assert 0.9 * len(calls) < len(known) < len(calls)
    fine = 0
    for call in known:
        try:
            fine += isinstance(move.decoder.decode(call.message), Move)
        except msgspec.MsgspecError:
            continue
    assert 0.75 * len(known) < fine < len(known)
