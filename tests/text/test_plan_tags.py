import pytest

from longwriter.text.plan_tags import render_plan, split_plan

STEPS = [
    {"main_point": "The river rises.", "word_count": 40},
    {"main_point": "It reaches the sea.", "word_count": 120},
]
TEXT = "The river rises in the hills.\n\n  It ends in the sea.\n"


def test_a_plan_stands_before_the_text_and_comes_off_again() -> None:
    before = render_plan(STEPS)
    listed = "1. The river rises. (40 words)\n2. It reaches the sea. (120 words)"
    assert before == f"<plan>\n{listed}\n</plan>\n\n"
    assert split_plan(before + TEXT) == (listed, TEXT)
    assert render_plan([]) == ""


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (TEXT, ("", TEXT)),
        ("", ("", "")),
        ("<plan>\n1. The river ri", ("1. The river ri", "")),
        ("<plan>\n1. All of it\n</plan>", ("1. All of it", "")),
        ("A text about <plan>\nand\n</plan>\n\ntags", ("", "A text about <plan>\nand\n</plan>\n\ntags")),
    ],
)  # fmt: skip
def test_what_has_no_plan_or_no_text(answer: str, parts: tuple[str, str]) -> None:
    assert split_plan(answer) == parts
