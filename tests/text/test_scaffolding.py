import pytest

from longwriter.text.scaffolding import (
    clean,
    residue_in,
    without_continuation,
    without_count,
    without_echo,
    without_label,
    without_opener,
)

BODY = "The bees left the hive at dawn."
TEXT = "蜜蜂在黎明离开蜂巢。"


@pytest.mark.parametrize(
    "label",
    [
        "Paragraph 3: ",
        "Paragraph 3\n\n",
        "**Paragraph 3**\n",
        "**Paragraph 3:** ",
        "### Paragraph 3\n\n",
        "[Paragraph 3] ",
        "(Paragraph 3) ",
        "paragraph three - ",
        "Paragraph 3 of 12: ",
        "Step IV. ",
        "The plan: ",
        "第三段：",
        "第3段\n",
        "**第十二段**\n\n",
        "【第三段】",
        "段落3：",
    ],
)
def test_labels(label: str) -> None:
    bracketed = label.endswith(("] ", ") ", "】"))
    text = label + ("\n" if bracketed else "") + BODY
    assert without_label(text).strip() == BODY


@pytest.mark.parametrize(
    "text",
    [
        "Paragraph 3 of the treaty names the islands.",
        "Step 4 was the hardest of all.",
        "第三段旅程最难走。",
        "One paragraph says it all.",
        "Paragraphs: a history.",
    ],
)
def test_a_text_about_paragraphs_keeps_its_words(text: str) -> None:
    assert clean(text, []) == text


@pytest.mark.parametrize(
    "opener",
    [
        "Sure, here is the next paragraph: ",
        "Sure! Here's the last paragraph of the essay:\n\n",
        "Here is a paragraph of about 200 words: ",
        "Certainly! Here is paragraph 3:\n\n",
        "Of course, I will write it now:\n\n",
        "好的，这是下一段：\n\n",
        "以下是第三段的内容：\n",
    ],
)
def test_openers(opener: str) -> None:
    assert without_opener(opener + BODY).strip() == BODY


@pytest.mark.parametrize(
    "text",
    [
        "Sure, the bees came back: they always do.",
        "Here is the garden, and here the hive.",
        "Here is what the keeper said: nothing.",
        "Certainly the bees knew the way home.",
    ],
)
def test_a_text_that_begins_alike_keeps_its_words(text: str) -> None:
    assert clean(text, []) == text


ASKED = [
    "Write 900 words about bees.",
    "How the bees leave the hive.",
    "Write only the next paragraph, in about 200 words. Its point: How the bees leave the hive.",
]


@pytest.mark.parametrize(
    "echo",
    [
        *ASKED,
        "**How the bees leave the hive**",
        "Main Point: How the bees leave the hive.",
        "## write 900 words about bees",
        "Write 900 words about bees.\n\nMain Point: How the bees leave the hive",
    ],
)
def test_echoes(echo: str) -> None:
    assert without_echo(f"{echo}\n\n{BODY}", ASKED) == BODY


def test_the_main_point_inside_the_text_stays() -> None:
    text = f"{BODY} How the bees leave the hive. They fly."
    assert without_echo(text, ASKED) == text
    assert without_echo("How the bees leave the hive.", ASKED) == "How the bees leave the hive."


@pytest.mark.parametrize(
    "remark",
    [
        " (Word count: 200)",
        "\n\nWord Count: 200 words",
        "\n\n**Word count: 1,200**",
        " [200 words]",
        " (about 200 words)",
        "\n(200 words.)",
        "\n\n*Total word count: 212 words*",
        "\n（字数：500字）",
        "（约500字）",
        "\n字数：500",
        "【本段共500字】",
    ],
)
def test_counts(remark: str) -> None:
    assert without_count(BODY + remark).rstrip(".") == BODY.rstrip(".")
    assert without_count(TEXT + remark).rstrip("。") == TEXT.rstrip("。")


@pytest.mark.parametrize(
    "text",
    [
        "The letter held 200 words.",
        "She cut it to 200 words",
        "这封信只有500字",
        "His word counts.",
    ],
)
def test_a_text_about_words_keeps_them(text: str) -> None:
    assert clean(text, []) == text


@pytest.mark.parametrize(
    "remark",
    [
        " To be continued...",
        "\n\n(To be continued)",
        "\n\n**To be continued…**",
        "\n[Continued in the next paragraph]",
        "\n\n未完待续",
        "（待续）",
        "……未完待续。",
    ],
)
def test_continuations(remark: str) -> None:
    assert without_continuation(BODY + remark).rstrip(".") == BODY.rstrip(".")
    assert without_continuation(TEXT + remark).rstrip("。") == TEXT.rstrip("。")


def test_a_text_that_is_to_be_continued_inside_stays() -> None:
    text = "The talks are to be continued in June."
    assert clean(text, []) == text


def test_all_rules_together() -> None:
    text = f"Sure, here is the paragraph:\n\n**Paragraph 2: **\n{ASKED[1]}\n\n{BODY}\n\n(200 words)\n\nTo be continued…\n"
    assert clean(text, ASKED) == BODY
    assert clean(f" {BODY}\n\nA second line. \n", ASKED) == f"{BODY}\n\nA second line."
    assert clean("", ASKED) == clean(" \n", ASKED) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"**Paragraph 3:** {BODY}", "**Paragraph 3:"),
        (f"{BODY}\n\n### Paragraph 4 of 12\n\n{BODY}", "### Paragraph 4 of 12"),
        (f"[Step 5] {BODY}", "[Step 5]"),
        (f"{BODY}\n\nSection 2\n\n{BODY}", "Section 2"),
        (f"第三自然段：{TEXT}", "第三自然段："),
        (f"Main Point: the hive - Word Count: 200\n\n{BODY}", "Main Point:"),
        (f"{BODY}\n\n**Final word count: ~1,200**", "**Final word count: ~1,200**"),
        (f"{BODY} (about 200 words)", ". (about 200 words)"),
        (f"{TEXT}（全文共500字）", "。（全文共500字）"),
    ],
)
def test_what_is_left_in_a_whole_text(text: str, found: str) -> None:
    assert residue_in(text, "Write about bees.") == found


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (f"Paragraph 1: {BODY}", "Write a text and label each paragraph."),
        (f"Step 1: {BODY}\n\nStep 2: {BODY}", "Write about bees."),  # the text's own steps
        (f"Step 3: {BODY}", "How to keep bees?"),
        (f"Section 2\n\n{BODY}", "Draft a contract between two beekeepers."),
        (f"要点：{TEXT}", "列出要点。"),
        (f"{BODY}\n\nWord count: 7", "Write about bees and state the word count."),
        (f"Dear Anna,\n\n{BODY} Let me know if you want to change the hive.", "Write a letter."),
        (f"Paragraph 3 of the treaty names bees. {BODY}", "Write about bees."),
        (f"Section 2: Bees\n\n{BODY}", "Write about bees."),
    ],
)
def test_what_a_text_may_have(text: str, prompt: str) -> None:
    assert residue_in(text, prompt) == ""


def test_a_count_is_found_behind_a_line_break_of_markdown() -> None:
    text = f"{BODY}  \n\n---\n\n**Word count:** ~1000  \n\n---"
    assert residue_in(text, "Write about bees.") == "**Word count:** ~1000"


def test_a_plan_that_belongs_to_the_story() -> None:
    assert residue_in(f"{BODY}\n\nThe plan: wait for the dark.", "Write about bees.") == ""
    assert residue_in(f"{BODY}\n\nThe plan:\n1. Bees", "Write about bees.") == "The plan:"


def test_what_is_stripped_is_looked_for_too() -> None:
    for scaffolding in (
        f"Paragraph 2: {BODY}",
        f"第二段：{BODY}",
        f"{BODY}\n\n(Word count: 200)",
        f"{BODY} (about 200 words)",
    ):
        assert residue_in(scaffolding, "Write about bees.") != ""
        assert residue_in(clean(scaffolding, []), "Write about bees.") == ""
