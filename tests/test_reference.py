"""The reference page is what the declarations say."""

from scripts import make_reference


def test_the_page_of_the_door_is_current() -> None:
    page = make_reference.TARGET.read_text(encoding="utf-8")
    assert make_reference.page(page) == page, "run python scripts/make_reference.py"
    assert page.count(make_reference.MARK) == 1
