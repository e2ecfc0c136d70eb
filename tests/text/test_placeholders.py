import pytest

from longwriter.text.placeholders import placeholder_in


@pytest.mark.parametrize(
    "blank",
    [
        "[Your Name]",
        "[Friend's Name]",
        "[insert date here]",
        "[Company Name]",
        "[City, State, ZIP Code]",
        "[Date]",
        "[Name of the University]",
        "____________",
        "XXXX",
        "[你的名字]",
        "【姓名】",
        "（填写日期）",
        "[公司名称]",
        "XX公司",
        "××大学",
    ],
)
def test_blanks(blank: str) -> None:
    text = f"Dear {blank}, I write to you about the harbour. 此致。"
    assert placeholder_in(text, "Write a letter. 写一封信。") in (blank, blank.rstrip("公司大学"))
    assert placeholder_in(text, "Write a template of a letter. 写一个模板。") == ""
    assert placeholder_in(text, f"Fill in this letter: {text}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "The study [1] was repeated twice [Smith 2020].",
        "[Mara looks at the sea.]",
        "[Scene ends with the boats.]",
        "She closed the letter [sic] and left.",
        "An array a[i] is read.",
        "他（姓陈）站在码头上。",
        "XXL shirts were sold out.",
        "[Verse 1]\nThe fog is in",
    ],
)
def test_what_is_no_blank(text: str) -> None:
    assert placeholder_in(text, "Write a story.") == ""
