"""Every way in which an action of governance can end, one line each."""

from pathlib import Path

import pytest

from metrobloc.commons.governance.rules import app, notice_blocks, office_quota_per_hour, voting_ms
from metrobloc.commons.governance.rules.declared import HEIGHT_AHEAD_MAX
from metrobloc.commons.governance.test_rules import (
    COUNCIL,
    DAY_MS,
    MODULES,
    NOBODY,
    accounts_of,
    blocks,
    decided,
    proposed,
)
from metrobloc.commons.governance.types import (
    Approve,
    CarryOut,
    ProposeCancel,
    ProposeCouncil,
    ProposeModule,
    ProposeOffice,
    ProposeRules,
    ProposeValue,
    Withdraw,
)
from metrobloc.commons.identity.types import Freeze
from metrobloc.testing.edges import Case, Scene, play, readme_refusals, unmet

NOTICE = ("governance", "notice_blocks")
FROZEN = ("bank", "hospital", "charity")


def scene() -> Scene:
    """Set the scene: two proposals of the bank, one of which the hospital approves; one decision waits, one holds."""
    made = Scene(MODULES)
    made.stage.join("ann")
    decided(made, ProposeValue(*NOTICE, 5))
    blocks(made, 10)
    decided(made, ProposeValue("governance", "voting_ms", DAY_MS, made.box.machine.height + 1000))
    made.ids["one"] = proposed(made, "bank", ProposeModule("library"))
    made.ids["two"] = proposed(made, "bank", ProposeRules(2))
    made.stage.act("hospital", Approve(made["two"]))
    made.ids["height"] = str(made.box.machine.height + 1)
    return made


def frozen() -> Scene:
    """Set a scene in which three of the five are frozen."""
    made = Scene(MODULES)
    for name in FROZEN:
        made.stage.act(name, Freeze())
    return made


def height(s: Scene) -> int:
    """Return the height of the next block."""
    return int(s["height"])


CASES: list[Case] = [
    Case("bank", lambda _: ProposeValue(*NOTICE, 1), "ok"),
    Case("bank", lambda _: ProposeValue(*NOTICE, 10_000), "ok"),
    Case("bank", lambda _: ProposeValue(*NOTICE, 0), "governance.outside_limits"),
    Case("bank", lambda _: ProposeValue(*NOTICE, 10_001), "governance.outside_limits"),
    Case("bank", lambda _: ProposeValue("governance", "voting_ms", 86_399_999), "governance.outside_limits"),
    Case("bank", lambda _: ProposeValue("governance", "notice", 5), "governance.unknown_param"),
    Case("bank", lambda _: ProposeValue("identity", "notice_blocks", 5), "governance.unknown_param"),
    Case("bank", lambda _: ProposeValue("library", "loan_ms_max", 5), "governance.unknown_param"),
    Case("bank", lambda _: ProposeValue("identity", "freeze_ms", 60_000), "ok"),
    Case("bank", lambda s: ProposeValue(*NOTICE, 5, height(s) + HEIGHT_AHEAD_MAX), "ok"),
    Case("bank", lambda s: ProposeValue(*NOTICE, 5, height(s) + HEIGHT_AHEAD_MAX + 1), "governance.too_far"),
    Case("ann", lambda _: ProposeValue(*NOTICE, 5), "not_allowed"),
    Case("company", lambda _: ProposeValue(*NOTICE, 5), "not_allowed"),
    Case("office", lambda _: ProposeModule("museum"), "ok"),
    Case("office", lambda _: ProposeModule("library"), "ok"),
    Case("office", lambda _: ProposeModule("identity"), "governance.active_already"),
    Case("office", lambda _: ProposeModule("kernel"), "governance.active_already"),
    Case("ann", lambda _: ProposeModule("museum"), "not_allowed"),
    Case("office", lambda _: ProposeRules(2), "ok"),
    Case("office", lambda _: ProposeRules(1), "governance.not_next"),
    Case("office", lambda _: ProposeRules(3), "governance.not_next"),
    Case("ann", lambda _: ProposeRules(2), "not_allowed"),
    Case("office", lambda s: ProposeCouncil(accounts_of(s, "bank")), "ok"),
    Case("office", lambda s: ProposeCouncil(accounts_of(s, *COUNCIL, "ann"), 6), "ok"),
    Case("office", lambda s: ProposeCouncil(accounts_of(s, *COUNCIL), 6), "governance.threshold_wrong"),
    Case("office", lambda s: ProposeCouncil(accounts_of(s, "bank", "bank")), "governance.named_twice"),
    Case("office", lambda s: ProposeCouncil((s["bank"], NOBODY)), "kernel.accounts_unknown"),
    Case("ann", lambda s: ProposeCouncil(accounts_of(s, "ann")), "not_allowed"),
    Case("office", lambda s: ProposeOffice("supervisor", accounts_of(s, "notary", "ann")), "ok"),
    Case("office", lambda s: ProposeOffice("supervisor", accounts_of(s, "office")), "governance.both_roles"),
    Case("office", lambda s: ProposeOffice("office", accounts_of(s, "bank", "supervisor")), "governance.both_roles"),
    Case("office", lambda s: ProposeOffice("office", accounts_of(s, "ann", "ann")), "governance.named_twice"),
    Case("office", lambda _: ProposeOffice("office", (NOBODY,)), "kernel.accounts_unknown"),
    Case("ann", lambda s: ProposeOffice("office", accounts_of(s, "ann")), "not_allowed"),
    Case("office", lambda _: ProposeCancel("value.governance.voting_ms"), "ok"),
    Case("office", lambda _: ProposeCancel("value.governance.notice_blocks"), "governance.in_force"),
    Case("office", lambda _: ProposeCancel("module.library"), "governance.decisions_unknown"),
    Case("ann", lambda _: ProposeCancel("value.governance.voting_ms"), "not_allowed"),
    Case("hospital", lambda s: Approve(s["one"]), "ok"),
    Case("bank", lambda s: Approve(s["one"]), "ok"),
    Case("charity", lambda s: Approve(s["two"]), "ok"),
    Case("charity", lambda _: Approve(NOBODY), "governance.proposals_unknown"),
    Case("ann", lambda s: Approve(s["one"]), "not_allowed"),
    Case("bank", lambda s: Withdraw(s["one"]), "ok"),
    Case("bank", lambda s: Withdraw(s["two"]), "ok"),
    Case("hospital", lambda s: Withdraw(s["two"]), "ok"),
    Case("charity", lambda s: Withdraw(s["one"]), "governance.not_approved"),
    Case("charity", lambda _: Withdraw(NOBODY), "governance.proposals_unknown"),
    Case("ann", lambda s: Withdraw(s["one"]), "not_allowed"),
    Case("ann", lambda _: CarryOut(), "governance.nothing_due"),
]

FROZEN_CASES: list[Case] = [
    Case("office", lambda s: ProposeCouncil(accounts_of(s, *COUNCIL)), "governance.unable"),
    Case("office", lambda s: ProposeCouncil(accounts_of(s, *COUNCIL), 3), "governance.unable"),
    Case("office", lambda s: ProposeCouncil(accounts_of(s, *COUNCIL), 2), "ok"),
    Case("office", lambda s: ProposeOffice("office", accounts_of(s, "bank", "charity")), "governance.unable"),
    Case("office", lambda s: ProposeOffice("office", accounts_of(s, "bank", "company")), "ok"),
    Case("bank", lambda _: ProposeValue(*NOTICE, 5), "frozen"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_edges(case: Case) -> None:
    play(scene(), case)


@pytest.mark.parametrize("case", FROZEN_CASES, ids=lambda case: case.code)
def test_a_role_is_given_to_those_who_can_act(case: Case) -> None:
    play(frozen(), case)


def test_every_refusal_is_met() -> None:
    met_elsewhere = {"governance.not_member", "governance.outdated", "governance.voting_over"}
    assert unmet(app, [*CASES, *FROZEN_CASES]) == met_elsewhere
    assert readme_refusals(Path(__file__).parents[1], app) == app.refusals


def test_the_parameters_of_governance_have_limits_under_which_it_works() -> None:
    assert (notice_blocks.default, notice_blocks.limits) == (10, (1, 10_000))
    assert (office_quota_per_hour.default, office_quota_per_hour.limits) == (100, (10, 1_000_000))
    assert (voting_ms.default, voting_ms.limits) == (14 * DAY_MS, (DAY_MS, 366 * DAY_MS))
