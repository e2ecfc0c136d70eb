"""What a model says to the asker, as models of many families say it; and what only looks like it."""

import pytest

from longwriter.text.remarks import closer, note, opener, self_judgement, soft_refusal

STORY = (
    "The harbour lay still under the fog, and Mara counted the boats that had not come home. "
    "She had learned to wait from her mother, who had waited longer than anyone."
)
EN_END = "When the last lamp went out, she walked up the hill and did not look back."
ZH = "老人把船拴在木桩上，抬头望了望天边的云。他知道今晚会有一场大雨，于是加快了脚步。"


@pytest.mark.parametrize(
    "said",
    [
        "Here is a reimagined version that keeps the heart of the original:",
        "Here's a short story based on your prompt:",
        "Certainly! Here's a detailed essay on the subject:",
        "Sure! Below is an article that covers the history of tea.",
        "Sure thing! Here's my attempt at the scene you described:",
        "Of course! I'd be happy to write a story for you.",
        "Absolutely! Here is a screenplay inspired by the writing prompt.",
        "I'll write a thoughtful essay that meets your requirements.",
        "Thank you for the interesting prompt!",
        "What a wonderful idea for a story!",
        "That's a great question!",
        "As requested, the following article explores the topic in depth.",
        "Based on the provided writing prompt, here is a short screenplay:",
        "**Here is the story you asked for:**",
        "I understand you'd like a long narrative about the sea.",
        "Below you'll find the essay you requested:",
        "This is a story about a girl who waits for her father, written in first person:",
        "Okay, here's a story about a harbour:",
        "Absolutely, here's a comprehensive guide:",
        "下面给出一个大致构思：",
        "当然可以！以下是一篇关于海港的故事：",
        "好的，以下是根据您的要求创作的文章：",
        "以下是改写后的版本：",
        "根据您提供的题目，我为您撰写了以下文章：",
        "没问题！这是一个关于等待的故事：",
        "感谢您的提问！",
        "我将为您写一篇关于大海的散文。",
        "这是一个非常有趣的题目！",
    ],
)
def test_openers(said: str) -> None:
    body = STORY if said.isascii() else ZH
    found = opener(f"{said}\n\n{body}")
    assert found is not None
    assert f"{said}\n\n{body}"[found.end :].strip(" *\n") == body


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        f"Here is what the sea taught her. {STORY}",
        f"“Certainly!” said the harbour master. {STORY}",
        f"Sure, the fog was thick, but it had been thicker. {STORY}",
        f"I will tell you about the harbour, because nobody else will. {STORY}",
        f"Dear Anna,\n\nThank you for your letter. {STORY}",
        f"The Harbour\n\n{STORY}",
        f"# Here Comes the Fog\n\n{STORY}",
        ZH,
        f"以下这件事，我从来没有对人讲过。{ZH}",
        f"根据县志记载，这座渔村已有三百年历史。{ZH}",
        f"我将永远记得那个夜晚。{ZH}",
    ],
)
def test_a_text_that_begins_with_itself_has_no_opener(text: str) -> None:
    assert opener(text) is None


@pytest.mark.parametrize(
    "said",
    [
        "Let me know if you'd like me to change anything!",
        "Please let me know if you would like me to continue.",
        "Feel free to adjust the names to fit your needs.",
        "I hope you enjoy this story!",
        "I hope this essay meets your expectations.",
        "Good luck with your screenplay!",
        "Would you like me to write the next chapter?",
        "If you need any further changes, I'd be happy to help.",
        "If you'd like, I can expand any of the sections.",
        "You can expand this story by adding more scenes and characters.",
        "Happy writing!",
        "I'm happy to revise it further.",
        "Is there anything else you would like to add?",
        "Remember to customize the details to suit your needs.",
        "如需进一步帮助，请随时告诉我。",
        "如果您有任何问题，欢迎随时联系我。",
        "希望这篇文章对您有所帮助！",
        "希望你喜欢这个故事。",
        "如果你需要修改或补充，请告诉我。",
        "祝您写作顺利！",
        "您可以根据自己的需要进行修改。",
        "需要我继续写下去吗？",
    ],
)
def test_closers(said: str) -> None:
    body = f"{STORY}\n\n{EN_END}" if said.isascii() else ZH
    text = f"{body}\n\n{said}"
    found = closer(text, "Write a story about a harbour.")
    assert found is not None
    assert text[: found.start].strip() == body


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Write a story.", f"{STORY}\n\n{EN_END}"),
        ("Write a story.", f"{STORY}\n\n“Let me know if you need anything,” she said."),
        ("Write a letter to a friend.", f"{STORY}\n\nLet me know if you can come."),
        ("Write a story.", f"Dear Tom,\n\n{STORY}\n\nI hope you enjoy the summer.\n\nAnna"),
        ("Write a story.", f"{STORY} I hope the boats come home, he thought, and slept."),
        ("写一个故事。", ZH),
        ("写一个故事。", f"{ZH}他希望明天会是个晴天。"),
    ],
)
def test_a_text_that_ends_with_itself_has_no_closer(prompt: str, text: str) -> None:
    assert closer(text, prompt) is None


@pytest.mark.parametrize(
    "said",
    [
        "(Note: This is a brief excerpt of what would be a longer story.)",
        "**Note:** This essay has been kept short.",
        "*Please note that the characters in this story are fictional.*",
        "Note: The word count of this article is approximately 2,000.",
        "Disclaimer: this article is for general information only.",
        "（注：以上内容仅供参考。）",
        "注意：本文为虚构作品。",
        "备注：由于篇幅有限，故事有所删减。",
    ],
)
def test_notes(said: str) -> None:
    body = STORY if said.isascii() else ZH
    for text in (f"{body}\n\n{said}", f"{body}\n\n{said}\n\n{body}"):
        found = note(text)
        assert found is not None
        assert text[found.start : found.end] == said


@pytest.mark.parametrize(
    "line",
    [
        "Note the colour of the water before you throw the net.",
        "Note: add the salt only when the water boils.",
        "She left a note on the table.",
        "注意脚下的石阶，它们很滑。",
        "注：水沸之后再放盐。",
    ],
)
def test_a_note_that_belongs_to_the_text(line: str) -> None:
    assert note(f"{STORY}\n\n{line}\n\n{STORY}") is None


@pytest.mark.parametrize(
    "said",
    [
        "Creating 16,000 words here is quite extensive, but here is an outline.",
        "Writing a full 8,000-word screenplay is beyond the scope of this response.",
        "Due to the limitations of this platform, I will give a condensed version.",
        "Given the length constraints, this is a shortened version of the essay.",
        "However, I can provide a detailed outline and the opening scene.",
        "While I cannot write a full 10,000-word novel in one response, I can begin it.",
        "A full 16,000-word story would be too long for this format.",
        "This story is shorter than the 4,000 words requested.",
        "To reach the required word count, each section would need to be expanded.",
        "Each section can be expanded with more examples.",
        "For a full 4,000-word essay, you would add more examples to every part.",
        "It is not feasible to write the entire book here.",
        "由于篇幅限制，这里只给出故事的开头。",
        "由于字数较多，我将先提供一个大纲。",
        "限于篇幅，以下仅为节选。",
        "抱歉，我无法一次性写出完整的两万字小说。",
        "以上仅为部分内容，您可以继续扩展每个章节的细节。",
        "这只是一个简短的开头。",
    ],
)
def test_soft_refusals(said: str) -> None:
    body = STORY if said.isascii() else ZH
    assert soft_refusal(f"{said}\n\n{body}") is not None
    assert soft_refusal(f"{body}\n\n{said}") is not None


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        f"{STORY}\n\nWriting was the only thing that kept her awake through the long nights.",
        f"{STORY}\n\nDue to the fog, the boats stayed in the harbour.",
        f"{STORY}\n\nThe limits of her patience were known in the whole town.",
        f"{STORY}\n\nHowever, I can still hear the bell.",
        f"{STORY}\n\nTo reach the lighthouse, she walked the whole night.",
        ZH,
        f"{ZH}由于大雾，船都停在港里。",
        f"{ZH}这只是一个开始，他想。",
    ],
)
def test_what_excuses_nothing(text: str) -> None:
    assert soft_refusal(text) is None


@pytest.mark.parametrize(
    "said",
    [
        "This script provides a foundation for a longer film.",
        "This story explores the themes of loss and hope.",
        "The story highlights the importance of patience.",
        "This screenplay captures the tension between the two sisters.",
        "Overall, this narrative blends mystery with everyday life.",
        "This essay has been written to meet the requirements.",
        "This article provides a comprehensive overview of the topic.",
        "This opening sets the stage for a larger tale.",
        "这个故事通过老人的视角展现了等待的意义。",
        "这部作品不仅描绘了海港，更探讨了人性。",
    ],
)
def test_self_judgements(said: str) -> None:
    body = f"{STORY}\n\n{EN_END}" if said.isascii() else ZH
    found = self_judgement(f"{body}\n\n{said}", "Write a story.")
    assert found is not None
    assert found.words == said


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Write a story.", f"{STORY}\n\n{EN_END}"),
        ("Write a story.", f"{STORY}\n\nThe story of the harbour was just beginning."),
        ("Write a story.", f"{STORY}\n\nThis was the story he told for the rest of his life."),
        ("Write an essay.", f"{STORY}\n\nIn conclusion, patience is a form of hope."),
        ("Write a review of the film.", f"{STORY}\n\nThis story explores loss and hope."),
        ("写一个故事。", ZH),
        ("写一个故事。", f"{ZH}这个故事，他讲了一辈子。"),
    ],
)
def test_what_judges_nothing(prompt: str, text: str) -> None:
    assert self_judgement(text, prompt) is None
