"""The order of a text: outlines, announced parts, an end before the end, numbers that run back, fences."""

import pytest

from longwriter.text.structure import continuation, fenced, misnumbered, outline, text_after_end

STORY = (
    "The harbour lay still under the fog, and Mara counted the boats that had not come home.\n\n"
    "She had learned to wait from her mother, who had waited longer than anyone."
)
ZH = "老人把船拴在木桩上，抬头望了望天边的云。\n\n他知道今晚会有一场大雨，于是加快了脚步。"


@pytest.mark.parametrize(
    "text",
    [
        "**Outline:**\n\n1. Mara waits.\n2. The boats come home.",
        "# Story Outline\n\nMara waits for the boats, and they come home.",
        "Detailed Outline\n\nI. The harbour\nII. The fog\nIII. The boats",
        "《海港》故事大纲\n\n一、老人等船\n二、暴雨来临",
        "\n".join(f"{n}. Scene {n}: Mara meets a new person on the pier." for n in range(1, 11)),
        "\n".join(f"- **第{n}场**：老人在码头上等船回来。" for n in "一二三四五六七八九十"),
    ],
)
def test_an_outline_instead_of_a_story(text: str) -> None:
    prompt = "Write a story about a harbour." if text.isascii() else "写一个关于海港的故事。"
    assert outline(text, prompt) != ""
    assert outline(text, "Write an outline of a story. 写一个故事大纲。") == ""


@pytest.mark.parametrize(
    "begin",
    ["这个故事讲述了一位老人", "这段文字提供了五十个", "This story follows a woman who waits"],
)
def test_a_summary_instead_of_the_text(begin: str) -> None:
    assert outline(f"{begin}……{ZH}", "写一个故事。Write a story.") != ""
    assert outline(f"{begin}……{ZH}", "总结这个故事。") == ""


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Write a story about a harbour.", STORY),
        ("写一个故事。", ZH),
        ("List ten ideas for a story.", "\n".join(f"{n}. Mara waits." for n in range(1, 11))),
        ("Write an essay.", "\n\n".join([f"## Part {n}\n\n{STORY} {STORY}" for n in (1, 2, 3, 4)])),
    ],
)
def test_no_outline(prompt: str, text: str) -> None:
    assert outline(text, prompt) == ""


@pytest.mark.parametrize(
    "line",
    [
        "(continued)",
        "[Continuation]",
        "**[Continued in the next part]**",
        "(Story continues...)",
        "To be continued...",
        "[Rest of the chapters]",
        "Part 1 of 3",
        "（未完待续）",
        "（续）",
        "【接上文】",
        "（此处省略若干段落）",
    ],
)
def test_a_line_that_announces_or_continues(line: str) -> None:
    assert continuation(f"{STORY}\n\n{line}\n\n{STORY}") == line
    assert continuation(f"{STORY}\n\n{line}") == line


@pytest.mark.parametrize(
    "sentence",
    [
        "This is just the beginning of the story.",
        "In the next chapter, Mara will meet the captain.",
        "The story continues with the return of the boats.",
        "I will continue with the next part in my next message.",
        "The remaining chapters would follow the same pattern.",
        "这只是故事的开始。",
        "故事还将继续。",
    ],
)
def test_a_last_sentence_that_announces(sentence: str) -> None:
    body = STORY if sentence.isascii() else ZH
    assert continuation(f"{body}\n\n{sentence}") == sentence


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        ZH,
        f"{STORY}\n\nThis was just the beginning, she thought.",
        f"{STORY}\n\nThe continued rain kept them inside.",
        f"{STORY}\n\nHe went on, and the road continued.",
        f"INT. KITCHEN - DAY\n\nMARA (CONT'D)\n\nI waited.\n\nCONTINUED:\n\n{STORY}",
    ],
)
def test_nothing_is_announced(text: str) -> None:
    assert continuation(text) == ""


@pytest.mark.parametrize("mark", ["THE END", "**The End**", "— Fin —", "全文完", "（完）"])
def test_text_after_the_end(mark: str) -> None:
    assert text_after_end(f"{STORY}\n\n{mark}\n\n{STORY}") == mark
    assert text_after_end(f"{STORY}\n\n{mark}") == ""
    assert text_after_end(f"{STORY}\n\n{mark}\n\nWritten by Anna Berg, 2024") == ""


@pytest.mark.parametrize(
    ("headings", "wrong"),
    [
        (["Chapter 1", "Chapter 2", "Chapter 3"], ""),
        (["Chapter One", "Chapter Two", "Chapter Two"], "Chapter Two"),
        (["Chapter 3: Fog", "Chapter 2: Rain"], "Chapter 2: Rain"),
        (["# Chapter IV", "# Chapter V", "# Chapter III"], "# Chapter III"),
        (["第一章 雾", "第二章 雨", "第一章 雾"], "第一章 雾"),
        (["第九章", "第十章", "第十一章"], ""),
        (["Part One", "Chapter 1", "Chapter 2", "Part Two", "Chapter 3"], ""),
        (["Part One", "Chapter 1", "Chapter 2", "Part Two", "Chapter 1"], ""),
        (["Part Two", "Chapter 1", "Part One", "Chapter 2"], "Part One"),
        (
            ["## The Harbour at Night", "## The Fog", "## The Harbour at Night"],
            "## The Harbour at Night",
        ),
        (["## Monday", "### What I ate", "## Tuesday", "### What I ate"], ""),
    ],
)
def test_numbers_that_run_back(headings: list[str], wrong: str) -> None:
    text = "\n\n".join(f"{heading}\n\n{STORY}" for heading in headings)
    assert misnumbered(text) == wrong


def test_a_table_of_contents_holds_no_headings() -> None:
    contents = "\n".join(f"Chapter {n}: Fog" for n in (1, 2, 3))
    chapters = "\n\n".join(f"Chapter {n}: Fog\n\n{STORY}" for n in (1, 2, 3))
    assert misnumbered(f"{contents}\n\n{chapters}") == ""
    assert misnumbered(f"{contents}\n\n{chapters}\n\nChapter 2: Fog\n\n{STORY}") != ""


def test_a_reference_to_a_chapter_is_no_heading() -> None:
    assert misnumbered(f"Chapter 3\n\n{STORY}\n\nChapter 2 was where he had first met her.") == ""


@pytest.mark.parametrize("language", ["", "markdown", "text"])
def test_a_fence_around_prose(language: str) -> None:
    found = fenced(f"```{language}\n{STORY}\n```\n")
    assert found is not None
    assert found[1] == STORY


@pytest.mark.parametrize(
    "text", [STORY, f"{STORY}\n\n```python\nprint(1)\n```", "```python\nprint(1)\n```"]
)
def test_code_in_a_fence(text: str) -> None:
    assert fenced(text) is None
