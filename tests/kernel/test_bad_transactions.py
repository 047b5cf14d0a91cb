"""Give every bad transaction its one code and no other exception."""

from collections import Counter

import pytest

from metrobloc.kernel import envelope
from metrobloc.kernel.codec import MALFORMED, Malformed
from tests.kernel.bad_transactions import Bad, bad
from tests.kernel.raw_transactions import good

CASES = list(bad())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gives_its_code(case: Bad) -> None:
    with pytest.raises(Malformed) as caught:
        envelope.check(case.raw)
    assert caught.value.code == case.code, caught.value.sentence
    assert caught.value.sentence.startswith(MALFORMED[case.code])


@pytest.mark.parametrize("raw", good())
def test_the_unflawed_originals_pass(raw: bytes) -> None:
    assert envelope.check(raw) == envelope.read(raw).id


def test_there_are_at_least_500_and_no_two_alike() -> None:
    assert len(CASES) >= 500
    assert [name for name, times in Counter(case.name for case in CASES).items() if times > 1] == []
    assert len({case.raw for case in CASES}) == len(CASES)


def test_every_code_is_provoked() -> None:
    assert {case.code for case in CASES} == set(MALFORMED) - {"unknown_action"}  # which needs a chain's modules


def test_reading_without_signatures_gives_the_same_code() -> None:
    for case in CASES:
        if case.code != "bad_signature":
            with pytest.raises(Malformed) as caught:
                envelope.read(case.raw)
            assert caught.value.code == case.code
