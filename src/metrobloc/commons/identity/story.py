"""A small city is accredited; a clerk acts for the hospital; Lena loses her phone and her guardians bring her back."""

import hmac

from metrobloc.commons.identity.demo import QUOTA_PER_HOUR
from metrobloc.commons.identity.types import (
    Accredit,
    Arbitrate,
    CloseSession,
    Disclaim,
    EndMandate,
    Freeze,
    Mandate,
    Name,
    NameGuardians,
    OpenSession,
    Recover,
    Register,
    Reissue,
    Resume,
    Revoke,
    Rotate,
    ShowBoxKey,
    Succeed,
    Support,
    Suspend,
    Veto,
    Vouch,
)
from metrobloc.commons.stage import Stage
from metrobloc.kernel.crypto import X25519, key_id, sha256
from metrobloc.kernel.system import Ceiling

DAY_MINUTES = 24 * 60
DAY_MS = 86_400_000
YUAN = 100

HOUSES = {
    "bank": "City bank",
    "hospital": "General hospital",
    "charity": "Charity federation",
    "company": "Riverside textiles",
    "timebank": "Time banks of the city",
    "civil_affairs": "Department of civil affairs",
    "custodian": "City archive",
    "notary": "Notaries of the old town",
}
"""Who has the role of its name, which the office gives."""


def play(stage: Stage) -> None:
    """Play the weeks."""
    accredit(stage)
    act_for_others(stage)
    lose_a_phone(stage)
    go_to_the_office(stage)
    take_a_place(stage)


def nullifier(number: str) -> str:
    """Return the name of a person that only the office can make from her number: its key is its secret."""
    return hmac.new(b"the city office's own secret", number.encode(), "sha256").hexdigest()


def accredit(stage: Stage) -> None:
    """Name everybody who has a role."""
    stage.say("The city office names the institutions of the city and gives them their roles.")
    own = [
        Name(stage.account(name), called) for name, called in (("office", "City office"), ("supervisor", "Auditors"))
    ]
    stage.act("office", *own)
    houses = [Accredit(stage.account(name), called, name, QUOTA_PER_HOUR) for name, called in HOUSES.items()]
    stage.act("office", *houses)
    stage.act(
        "office",
        Accredit(stage.account("company"), "Riverside textiles", "office", 1),
        refused="identity.not_by_office",
    )


def act_for_others(stage: Stage) -> None:
    """Let a clerk act for the hospital, and a browser for Lena."""
    stage.say("The hospital lets its clerk Nora open accounts for patients, for a year, and do nothing else.")
    stage.join("nora", sponsor="hospital")
    year_ms = stage.time_ms + 365 * DAY_MS
    stage.act("hospital", Mandate(stage.account("nora"), ("identity.register",), year_ms))
    stage.act("hospital", Register(stage.key("lena").key_id), by=("nora",), also=("lena",))
    stage.act("hospital", Freeze(), by=("nora",), refused="not_signed")

    stage.say("The office has seen Lena's papers: she is a citizen now, and can be so only once.")
    stage.act("office", Vouch(stage.account("lena"), nullifier("330106 1990 1234")))
    stage.join("lena's other account")
    twice = Vouch(stage.account("lena's other account"), nullifier("330106 1990 1234"))
    stage.act("office", twice, refused="identity.person_known")

    stage.say("She lets the browser of her phone spend 50 yuan in two weeks; it cannot touch her keys.")
    browser, most = stage.key("lena's browser").key_id, (Ceiling("money.balances", "cny", 50 * YUAN),)
    session = OpenSession(browser, ("money", "identity.register"), stage.time_ms + 14 * DAY_MS, most)
    stage.act("lena", session, also=("lena's browser",))
    stage.act("lena", Register(stage.key("lena's son").key_id), by=("lena's browser",), also=("lena's son",))
    rotation = Rotate((stage.key("thief").key_id,))
    stage.act("lena", rotation, by=("lena's browser",), also=("thief",), refused="not_signed")
    stage.act("lena", ShowBoxKey(key_id(sha256(b"lena's box"), X25519)))


def lose_a_phone(stage: Stage) -> None:
    """Let guardians bring Lena's account back, though the thief objects."""
    stage.say("She names Tom, Uma and Vera: two of them together can give her new keys. It holds after a day.")
    for name in ("tom", "uma", "vera"):
        stage.join(name)
    three = tuple(stage.account(name) for name in ("tom", "uma", "vera"))
    stage.act("lena", NameGuardians(three, 2))
    stage.wait(3 * DAY_MINUTES)

    stage.say("Her phone is stolen. She calls Tom, who freezes the account; nobody can do anything with it.")
    stage.act("tom", Freeze(stage.account("lena")))
    stage.act(
        "lena", Register(stage.key("a friend of the thief").key_id), also=("a friend of the thief",), refused="frozen"
    )

    stage.say("Tom asks for the key of her new phone. Vera wants to see her first and refuses; Uma has seen her.")
    new = "lena's new phone"
    asked = stage.act("tom", Recover(stage.account("lena"), (stage.key(new).key_id,)), also=(new,)).ids[0]
    stage.act("tom", Support(asked), refused="identity.supported")
    stage.act("uma", Support(asked))

    stage.say("The thief, who has her old key, objects. Now the office must decide, and the account stays frozen.")
    stage.act("lena", Veto())
    stage.wait(2 * DAY_MINUTES)
    stage.act("lena", Freeze(), by=(new,), refused="not_signed")
    stage.act("supervisor", Arbitrate(stage.account("lena"), "granted"), refused="identity.other_arbiter")
    stage.act("office", Arbitrate(stage.account("lena"), "granted"))

    stage.say("Lena is back. The stolen key signs nothing any more, nor does the browser's.")
    stage.act("lena", ShowBoxKey(key_id(sha256(b"lena's new box"), X25519)), by=(new,))
    stage.act("lena", CloseSession(stage.key("lena's browser").key_id), by=(new,))
    stage.act("lena", Veto(), refused="not_signed")


def go_to_the_office(stage: Stage) -> None:
    """Let the office help somebody who has no guardians."""
    stage.say("Walt has lost his key and has no guardians: the office gives him a new key, which holds after a week.")
    for name in ("walt", "walt's first account"):
        stage.join(name)
    stage.act("office", Vouch(stage.account("walt's first account"), nullifier("330106 1950 5678")))
    stage.act("office", Disclaim(stage.account("walt's first account")))
    stage.act("office", Vouch(stage.account("walt"), nullifier("330106 1950 5678")))
    stage.act("office", Reissue(stage.account("walt"), (stage.key("walt's new key").key_id,)), also=("walt's new key",))
    stage.wait(7 * DAY_MINUTES)
    both = tuple(stage.key(name).key_id for name in ("walt's new key", "walt's spare key"))
    stage.act("walt", Rotate(both), by=("walt's new key",), also=("walt's spare key",))


def take_a_place(stage: Stage) -> None:
    """Let the hospital take the place of a clinic."""
    stage.say("A clinic's licence is looked at and found in order; then it joins the hospital for good.")
    stage.join("village_clinic")
    clinic = stage.account("village_clinic")
    stage.act("office", Accredit(clinic, "Clinic by the canal", "hospital", 10_000))
    stage.act("office", Suspend(clinic, stage.time_ms + 30 * DAY_MS))
    stage.wait(DAY_MINUTES)
    stage.act("office", Resume(clinic))
    stage.act("village_clinic", Succeed(clinic, stage.account("hospital")))
    stage.wait(DAY_MINUTES)
    stage.act("village_clinic", ShowBoxKey(key_id(sha256(b"clinic's box"), X25519)), by=("hospital",))
    stage.act("office", Revoke(clinic, "hospital"))
    stage.act("hospital", EndMandate(stage.account("hospital"), stage.account("nora")))
