import pytest

from longwriter.text.endings import unfinished

TALE = "The ferry left at dawn. By noon the fog had lifted."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("and then she", "ends with 'and then she'"),
        (f"{TALE}\nThen the old man walked to the", "ends with 'Then the old man walked to the'"),
        (f"{TALE}\nThere were three reasons:", "ends with 'There were three reasons:'"),
        (f"{TALE}\nIt was the end of the…", "ends with 'It was the end of the…'"),
        (f"{'x' * 60} and 37 characters more, no full stop", "ends with 'xxx and 37 characters more, no full stop'"),
        (f"{TALE}\n\n## What came later", "ends with '## What came later'"),
        (f"{TALE}\n\nChapter 2", "ends with 'Chapter 2'"),
        (f"{TALE}\n\n- Salt.\n- Bread.\n- Rope and", "ends with '- Rope and'"),
        (f"{TALE}\n\n- Salt.\n- Bread.\n- Rope", "ends with '- Rope'"),  # the others have full stops
        (f"{TALE}\n\n3.", "ends with '3.'"),
        (f"{TALE} (to be continued)", "ends with 'to be continued)'"),
        (f"{TALE} Shall I continue?", "ends with 'Shall I continue?'"),
        (f"{TALE} [rest omitted]", "ends with '[rest omitted]'"),
        (f"{TALE}\n```python\nprint(1)\n", "ends inside an unclosed code block"),
        ("渡船离开了码头，", "ends with '渡船离开了码头，'"),
        ("渡船离开了码头。（未完待续）", "ends with '未完待续）'"),
    ],
)  # fmt: skip
def test_how_a_text_stops_in_the_middle(text: str, reason: str) -> None:
    assert unfinished(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        TALE,
        f"**{TALE}**\n",
        f"{TALE} “Is it the end?”",
        f'{TALE} And she called it "home"',
        f"{TALE} (They never sold the boat)",
        f"{TALE}\n\nTHE END",
        f"{TALE}\n\n***",
        f"{TALE} It cost 40 euros! 🎉",
        f"Dear Anna,\n\n{TALE}\n\nWith love,\nYour Peter",
        f"{TALE}\n\n- Salt\n- Bread\n- Rope",
        f"{TALE}\n\n| City | Firms |\n|---|---|\n| North | 12 |",
        f"{TALE}\n\n```python\nprint(1)\n```",
        "Roses lean upon the wall\nBees are drunk with light\nNobody has heard the fall\nOf the petals at night",
        "渡船离开了码头。",
        "（完）",
        "尊敬的老师：\n\n渡船离开了码头。\n\n此致\n敬礼\n\n李明\n2024年5月20日",
    ],
)  # fmt: skip
def test_what_may_end_a_text(text: str) -> None:
    assert unfinished(text) == ""
