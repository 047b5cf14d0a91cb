"""When evidence counts for other modules, and what they may record."""

from typing import Literal

import pytest

from metrobloc.commons.evidence.rules import (
    evidence,
    lodge_for,
    require_evidence,
    subject,
)
from metrobloc.commons.evidence.test_rules import MODULES, NOBODY, ONE, THING, TWO, newer, scene
from metrobloc.commons.evidence.types import Countersign, Lodge, Supersede
from metrobloc.commons.identity.types import Revoke
from metrobloc.kernel.context import Ctx
from metrobloc.kernel.module import Module
from metrobloc.kernel.permissions import anyone
from metrobloc.kernel.types import AccountId, Id, Message, Record, Slug


class Ask(Message):
    """Let the toy ask for evidence, or record some."""

    how: Literal["ask", "lodge"]
    key: Id
    kind: Slug
    signer_role: Slug | None = None
    about: Id | None = None


class Found(Record):
    """Who signed what the toy asked for."""

    signer: AccountId


toy = Module("toy", {})
found_by = toy.table("found", Found, str)


@toy.tx(allow=anyone)
def ask_for(ctx: Ctx, msg: Ask) -> None:
    """Ask for evidence, or record it as the actor's."""
    key = lodge_for(ctx, Lodge(msg.kind, THING, "archive", 5, ONE)) if msg.how == "lodge" else msg.key
    one = require_evidence(ctx, key, msg.kind, msg.signer_role, msg.about)
    ctx[found_by][key] = Found(one.signer)


ASKS: list[tuple[str, str, str | None, str | None, str]] = [
    ("deed", "deed", None, None, "ok"),
    ("deed", "deed", "notary", None, "ok"),
    ("deed", "deed", "notary", THING, "ok"),
    ("deed", "deed", None, THING, "ok"),
    ("new", "deed", "notary", THING, "ok"),
    ("receipt", "receipt", "hospital", THING, "ok"),
    ("deed", "receipt", None, None, "evidence.wrong_kind"),
    ("deed", "deed", None, NOBODY, "evidence.wrong_subject"),
    ("deed", "deed", "hospital", None, "evidence.wrong_signer"),
    ("receipt", "receipt", "notary", None, "evidence.wrong_signer"),
    ("asked", "deed", "notary", THING, "evidence.not_cosigned"),
    ("old", "deed", None, None, "evidence.superseded"),
    ("gone", "deed", None, None, "evidence.withdrawn"),
    ("none", "deed", None, None, "evidence.evidence_unknown"),
]


@pytest.mark.parametrize(("name", "kind", "signer_role", "about", "code"), ASKS)
def test_another_module_asks_for_evidence(
    name: str, kind: str, signer_role: str | None, about: str | None, code: str
) -> None:
    s = scene((*MODULES, toy))
    s.ids["none"] = NOBODY
    s.stage.act("ann", Ask("ask", s[name], kind, signer_role, about), refused=code)
    found = s.box.view[found_by].get(s[name])
    assert (found is not None) == (code == "ok")
    assert found is None or found.signer == s["hospital" if kind == "receipt" else "notary"]


def test_evidence_counts_once_all_have_signed() -> None:
    s = scene((*MODULES, toy))
    for name, code in (("ann", "evidence.not_cosigned"), ("bo", "ok")):
        s.stage.act(name, Countersign(s["asked"]))
        s.stage.act("ann", Ask("ask", s["asked"], "deed"), refused=code)


def test_evidence_counts_until_the_millisecond_before_it_expires() -> None:
    for before, code in ((1, "ok"), (0, "evidence.expired"), (-1, "evidence.expired")):
        s = scene((*MODULES, toy))
        s.stage.act("ann", Countersign(s["brief"]))
        one = s.box.view[evidence].get(s["brief"])
        assert one is not None
        s.stage.time_ms = one.until_ms - 1000 - before
        s.stage.act("ann", Ask("ask", s["brief"], "deed"), refused=code)


def test_the_signers_role_is_asked_for_anew_and_an_authority_counts_like_it() -> None:
    s = scene((*MODULES, toy))
    s.ids["last"] = s.stage.act("civil_affairs", newer(s, "deed")).ids[0]
    s.stage.act("ann", Ask("ask", s["last"], "deed", "notary"))
    s.stage.act("office", Revoke(s["notary"], "notary"), Revoke(s["civil_affairs"], "civil_affairs"))
    for name in ("last", "new"):
        s.stage.act("ann", Ask("ask", s[name], "deed", "notary"), refused="evidence.wrong_signer")
        s.stage.act("ann", Ask("ask", s[name], "deed"))


def test_another_module_records_evidence_only_as_its_actor_could() -> None:
    s = scene((*MODULES, toy))
    s.stage.act("ann", Ask("lodge", NOBODY, "deed"), refused="evidence.not_entitled")
    made = s.stage.act("notary", Ask("lodge", NOBODY, "deed")).ids[0]
    one = s.box.view[evidence].get(made)
    assert one is not None
    assert (one.signer, one.dated_ms) == (s["notary"], 5)
    s.stage.act("notary", Supersede(made, "archive", 5, TWO))
    assert not s.box.broken()


def test_subjects_of_different_records_differ() -> None:
    assert subject("money/assets/cny") != subject("money/assets/eur")
    assert len(subject("money/assets/cny")) == len(NOBODY)
