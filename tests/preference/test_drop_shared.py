import pytest

from longwriter.preference.stage import drop_shared, same_request


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Write about tea in 200 words.", "write about TEA, in 1,000 words!"),
        ("写一篇2000字的文章。", "写一篇 500 字的文章"),
    ],
)
def test_the_same_request(one: str, other: str) -> None:
    assert same_request(one) == same_request(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Write about tea.", "Write about teas."), ("写茶。", "写咖啡。")]
)
def test_another_request(one: str, other: str) -> None:
    assert same_request(one) != same_request(other)


def test_rows_of_other_sets_are_dropped_and_counted_once() -> None:
    rows = ["Tea, 100 words", "Coffee", "Milk", "Water", "Milk"]
    others = {"bench": ["tea 50 words", "milk"], "sft": ["water", "milk"], "empty": []}
    assert drop_shared(rows, str, others) == (["Coffee"], {"bench": 3, "sft": 1})
    assert drop_shared(rows, str, {}) == (rows, {})
