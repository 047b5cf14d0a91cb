"""A certificate and a class of degrees, issued without being shown; one in error; an issuer whose key was stolen."""

from metrobloc.commons.credentials.types import DeclareKind, Disown, Issue, Renew, Resume, Revoke, Suspend
from metrobloc.commons.identity.demo import QUOTA_PER_HOUR
from metrobloc.commons.identity.types import Accredit
from metrobloc.commons.identity.types import Revoke as TakeRole
from metrobloc.commons.stage import Stage
from metrobloc.kernel import crypto

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


def commit(text: str) -> str:
    """Commit to a statement as issuers do; the salt follows from the text, so that the story is always the same."""
    return crypto.sha256(crypto.sha256(f"salt of {text}".encode()) + text.encode()).hex()


def play(stage: Stage) -> None:
    """Play the day."""
    stage.say("The city office says which kinds there are, and which role may issue each.")
    stage.act(
        "office",
        DeclareKind("disability", "Certificate of disability", "hospital", 5 * 366),
        DeclareKind("residence", "Certificate of residence", "civil_affairs", 366),
        DeclareKind("degree", "University degree", "university", 36_525),
    )
    stage.act("office", Accredit(stage.account("hospital"), "City hospital", "issuer", QUOTA_PER_HOUR))
    stage.act("office", Accredit(stage.account("civil_affairs"), "Civil affairs", "issuer", QUOTA_PER_HOUR))

    stage.say("A hospital certifies a disability. The ledger learns that it did, and neither who nor what.")
    now = stage.time_ms
    certificate = Issue("disability", (commit("Li Na: reduced sight"),), now, now + 3 * YEAR_MS)
    li = stage.act("hospital", certificate).ids[0]

    stage.say("Civil affairs may not certify a disability, though it is an issuer too.")
    other = Issue("disability", (commit("somebody else"),), now, now + YEAR_MS)
    stage.act("civil_affairs", other, refused="credentials.not_accredited")
    home = Issue("residence", (commit("Wu Jun: Harbour Road"), commit("Xu Yan: Mill Lane")), now, now + YEAR_MS)
    wu, xu = stage.act("civil_affairs", home).ids

    stage.say("Wu Jun's certificate was issued in error: it is revoked, and nothing brings it back.")
    stage.act("civil_affairs", Revoke(wu, "error"))
    stage.act("civil_affairs", Resume(wu), refused="credentials.revoked")

    stage.say("About Xu Yan there is a question; it is answered, and her certificate holds again.")
    stage.act("civil_affairs", Suspend(xu, "inquiry"))
    stage.wait(60)
    stage.act("civil_affairs", Resume(xu))

    stage.say("Li Na has lost her file. The hospital replaces it; only the hospital can.")
    anew = stage.time_ms
    copy = Renew(li, commit("Li Na: reduced sight, again"), anew, anew + 3 * YEAR_MS)
    stage.act("civil_affairs", copy, refused="credentials.not_yours")
    stage.act("hospital", copy)

    stage.say("A university joins and gives a whole class its degrees at once.")
    university = stage.join("university")
    stage.act("office", Accredit(university, "Harbour university", "university", 1000))
    stage.act("office", Accredit(university, "Harbour university", "issuer", 1000))
    june, life = stage.time_ms, stage.time_ms + 50 * YEAR_MS
    stage.act("university", Issue("degree", tuple(commit(f"graduate {n}") for n in range(30)), june, life))

    stage.say("Two days later its key is stolen. The office takes its role and disowns all it issued since noon.")
    stage.wait(2 * 24 * 60)
    noon = stage.time_ms
    forged = stage.act("university", Issue("degree", (commit("a forger"),), noon, life)).ids[0]
    stage.act("office", TakeRole(university, "issuer"), Disown(university, noon))
    stage.act("university", Issue("degree", (commit("another forger"),), noon, life), refused="not_allowed")
    stage.act("office", Revoke(forged, "error"))
