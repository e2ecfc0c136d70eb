import pytest

from longwriter.text.markup import squeezed, without_formulas


@pytest.mark.parametrize(
    ("text", "squeezed_text"),
    [
        ("a b", "a b"),
        ("a     b", "a  b"),
        ("a  \n\nb", "a\n\nb"),  # a line break of Markdown before an empty line
        ("a   \nb", "a\nb"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\t \u3000b", "a\t b"),
    ],
)
def test_long_runs_of_white_space_keep_their_line_ends(text: str, squeezed_text: str) -> None:
    assert squeezed(text) == squeezed_text


def test_formulas_and_code_are_left_out() -> None:
    text = (
        "One \\[ a = b \\] two \\( c \\) three $d$ four `e` five\n\\begin{align} f \\end{align} six"
    )
    assert without_formulas(text).split() == ["One", "two", "three", "four", "five", "six"]
    assert without_formulas("It costs $5.") == "It costs $5."
