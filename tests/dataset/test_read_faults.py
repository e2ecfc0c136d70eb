"""Faults that readers of real texts found and the rules had missed, in sentences of our own."""

import json

import pytest

from longwriter.dataset.row import Row
from longwriter.dataset.rules import strip
from longwriter.text import languages, remarks, structure
from longwriter.text.scaffolding import residue_in

EXCUSED = (
    "Writing a full 9,000-word report here is not feasible. Here is a short report for you:\n\nIt"
)


def test_an_excuse_may_stand_before_the_opener() -> None:
    found = remarks.opener(EXCUSED)
    assert found is not None
    assert EXCUSED[found.end :].strip() == "It"


@pytest.mark.parametrize(
    ("text", "wish"),
    [("山路很长。祝您旅途愉快！", False), ("山路很长。祝您写作顺利！", True)],
)
def test_a_wish_to_the_reader_is_a_guide_s_own_and_one_to_the_writer_is_not(
    text: str, wish: bool
) -> None:
    assert (remarks.closer(text) is not None) == wish


def test_an_article_s_disclaimer_is_no_note() -> None:
    assert remarks.note("注意：本文仅供参考，不应替代专业建议。") is None
    assert (
        remarks.note("Note: this article is no substitute for professional legal advice.") is None
    )
    assert remarks.note("Note: this article is only a summary.") is not None
    assert remarks.note("注意：本文仅为大纲，字数不足。") is not None


def test_a_retelling_is_an_outline_and_one_such_sentence_is_not() -> None:
    once = "The story begins in a harbour. Anna wakes and hears the gulls. She runs to the pier.\n"
    asked = "Write a story about a harbour."
    assert structure.outline(once, asked) == ""
    assert structure.outline(once + "As the story unfolds, Anna leaves.", asked)
    assert structure.outline("故事围绕安娜展开。随着剧情的发展，她离开了港口。", "写一篇故事")
    assert structure.outline(once + "As the story unfolds, Anna leaves.", "Summarise it.") == ""


@pytest.mark.parametrize(
    "text",
    ["Introduction (240 words)\n\nIt is a sea.", "2. Results (1,200 words)\n\nIt is a sea.",
     "[Answer]: It is a sea.", "SLUGLINE: INT. PIER - DAY\n\nRain.", "It is.\nBody:\nThe sea."],
)  # fmt: skip
def test_the_plan_s_headings_are_residue(text: str) -> None:
    assert residue_in(text, "Write about the sea.")
    assert residue_in("The body: cold, and the answer: none.", "Write about the sea.") == ""


def test_an_english_word_behind_an_enumeration_comma_slipped_in() -> None:
    text = (
        "这片土地上有有机农业、 agroforestry 和再生农业。"
        + "农民们每天在田里劳作，直到太阳落山。" * 3
    )
    assert languages.foreign_word(text, "写一篇关于农业的文章。") == "agroforestry"


def test_an_opener_with_an_excuse_is_not_stripped() -> None:
    row = Row.read(
        json.dumps({"messages": [
            {"role": "user", "content": "Write a 9,000-word report."},
            {"role": "assistant", "content": EXCUSED},
        ]}).encode(), "f:1", "drafts",
    )  # fmt: skip
    strip(row, ["opener"])
    assert row.response == EXCUSED


def test_a_continued_story_says_so_at_its_beginning() -> None:
    assert structure.continuation("Continuing the story, Anna went on.") == "Continuing the story"
    assert structure.continuation("He kept continuing the story, and Anna slept.") == ""
