import time

import pytest

from longwriter.text.thinking import Split, split_thinking, thinking_in

TEXT = "The bees left the hive at dawn.\n\nThe keeper slept."
ZH = "　　蜜蜂在黎明离开蜂巢。\n\n　　养蜂人还在睡。"
"""Its paragraphs are indented with U+3000."""


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ("<think>", "</think>"),
        ("<think>\n", "\n</think>\n\n"),
        ("\n\n <think>", "</think>"),
        ("<THINK>", "</Think >"),
        ("<think duration=3>", "</think>"),
        ('<thinking effort="high">', "</thinking>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("<seed:think>", "</seed:think>"),
        ("[THINK]", "[/THINK]"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|channel>thought\n", "<channel|>"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>"),
        ("<think>", "</thinking>"),  # mixed up
    ],
)
@pytest.mark.parametrize("text", [TEXT, ZH])
def test_a_block_before_the_text(opens: str, closes: str, text: str) -> None:
    assert split_thinking(f"{opens}Bees? 蜜蜂。{closes}{text}") == Split(
        "Bees? 蜜蜂。", text, False
    )
    # the opening tag stood in the prompt
    assert split_thinking(f"Bees? 蜜蜂。{closes}{text}") == Split("Bees? 蜜蜂。", text, False)
    # cut before the closing tag
    assert split_thinking(f"{opens}Bees? 蜜蜂。") == Split("Bees? 蜜蜂。", "", True)
    # the server or the model leaves it empty
    assert split_thinking(f"{opens}{closes}{text}") == Split("", text, False)


@pytest.mark.parametrize(
    ("answer", "split"),
    [
        # again, and again alone
        (f"<think>a</think>\n<think>b</think>\n\n{TEXT}", Split("a\n\nb", TEXT, False)),
        (f"<think>a</think> <thought>b</thought> {TEXT}", Split("a\n\nb", TEXT, False)),
        (f"a\n</think>\nb</think>\n\n{TEXT}", Split("a\n\nb", TEXT, False)),
        (f"<think>a</think>b\n</think>\n{TEXT}", Split("a\n\nb", TEXT, False)),
        (f"<think>a<think>b</think>c</think>{TEXT}", Split("a<think>b\n\nc", TEXT, False)),
        ("<think>a</think>A text.\n</think>", Split("a\n\nA text.", "", False)),
        # inside the text
        ("A.\n<think>a</think>\nB.", Split("a", "A.\nB.", False)),
        ("A.\n\n<think>a\n\nb</think>\n\nB.", Split("a\n\nb", "A.\n\nB.", False)),
        ("A.\n <think>a</think> B.", Split("a", "A.\nB.", False)),
        ("A.\n<think>a</think>\n\n<think>b</think>B.\n", Split("a\n\nb", "A.\n\nB.", False)),
        (
            "<think>a</think>A.\n\n[THINK]b[/THINK]\n\n　　B。",
            Split("a\n\nb", "A.\n\n　　B。", False),
        ),
        ("A.\n\n<think>a</think>\n", Split("a", "A.", False)),
        # unclosed
        ("<think>", Split("", "", True)),
        ("<think>a</thi", Split("a</thi", "", True)),
        ("A.\n\n<think>a", Split("a", "A.", True)),
        ("<think>a</think>\n\nA.\n<think>b", Split("a\n\nb", "A.", True)),
        ("<|channel|>analysis", Split("", "", True)),
        # the opening tag inside a line, the closing one in another
        ("Sure. <think>\na\n</think>\nA.", Split("Sure. <think>\na", "A.", False)),
        ("", Split("", "", False)),
    ],
)
def test_where_blocks_stand(answer: str, split: Split) -> None:
    assert split_thinking(answer) == split


def test_what_openthoughts_puts_around_the_text() -> None:
    thought = "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n"
    wrapped = f"<|begin_of_solution|>\n\n{TEXT}\n\n<|end_of_solution|>"
    assert split_thinking(thought + wrapped) == Split("a", TEXT, False)
    assert split_thinking(wrapped) == Split("", TEXT, False)


def test_messages_of_gpt_oss() -> None:
    analysis = "<|channel|>analysis<|message|>a<|end|>"
    commentary = "<|start|>assistant<|channel|>commentary<|message|>b<|end|>"
    call = (
        '<|start|>assistant<|channel|>commentary to=f <|constrain|>json<|message|>{"n": 1}<|call|>'
    )
    final = "<|start|>assistant<|channel|>final<|message|>"
    assert split_thinking(f"{analysis}{final}{TEXT}<|return|>") == Split("a", TEXT, False)
    as_json = final.replace("<|message|>", " <|constrain|>json<|message|>")
    assert split_thinking(f'{analysis}{as_json}{{"n": 1}}') == Split("a", '{"n": 1}', False)
    assert split_thinking(f"{TEXT}<|return|>") == Split("", TEXT, False)
    for between in (commentary, call):
        assert split_thinking(f"{analysis}{between}{final}{TEXT}").text == TEXT
        assert split_thinking(f"{analysis}{between}").unclosed
    goes_on = f"{final}{TEXT}<|end|><|start|>assistant{analysis}"
    assert split_thinking(goes_on).text == TEXT


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"{ZH}\n",
        " A text.\n",
        "1 < 2, [1], ◁, <b>bold</b>, <em>think</em>, <thinker>, a <channel>.",
        "He wrote [think] in the margin.\n\n[Think] What would you do?",
        "<plan>\n1. Bees (90 words)\n</plan>\n\nThe bees left.",
        "Models open with <think> and go on.",
        "Models write <think>…</think> before the text, some <thinking>…</thinking>.",
        "推理模型先写<think>……</think>，再写正文。",
        "`<think>` opens the block, and `</think>` closes it.",
        "The answer is `a</think>b`, which a parser splits.",
        "For example:\n\n```\n<think>\nBees?\n</think>\nThe bees left.\n```\n\nSo it goes.",
        "For example:\n\n~~~xml\n<think>a</think>\n<think>b</think>\n~~~\n",
    ],
)
def test_a_text_without_thinking_is_returned_as_it_is(text: str) -> None:
    assert split_thinking(text) == Split("", text, False)


@pytest.mark.parametrize(
    ("answer", "split"),
    [
        # in prose a closing tag is a closing tag
        ("A. The tag </think> closes it. B.", Split("A. The tag", "closes it. B.", False)),
        # its pair is too long for a mention
        (f"Sure. <think>{'a' * 81}</think>A.", Split(f"Sure. <think>{'a' * 81}", "A.", False)),
        # the thinking speaks of its own tags
        ("<think>Close with `</think>`.\n</think>A.", Split("Close with `</think>`.", "A.", False)),
        ("First <think>…</think>, then.\n</think>A.", Split("First <think>…</think>, then.", "A.", False)),
        # code that the thinking never closed, and the text's own
        ("```\na</think>\nA.\n```\nb\n```", Split("```\na", "A.\n```\nb\n```", False)),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_mention(answer: str, split: Split) -> None:
    assert split_thinking(answer) == split


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (TEXT, ""),
        (ZH, ""),
        (f"<think>\nBees?\n</think>\n\n{TEXT}", "<think>\nBees?\n</think>\n\n" + TEXT[:55]),
        ("The user wants bees.\n</think>\nA.", "</think>\nA."),
        ("A.\n\n[THINK]用户想要蜜蜂。", "[THINK]用户想要蜜蜂。"),
        ("Sure. <think>Bees?</think>A.", "<think>Bees?</think>A."),
        ("`<think>` opens it. Then <thought> does.", "<thought> does."),
        ("`<think>` opens it.", ""),
        ("```\n<think>a</think>\n```", ""),
        ("◁think▷" + "a" * 100, "◁think▷" + "a" * 73),
    ],
)
def test_thinking_in(text: str, found: str) -> None:
    assert thinking_in(text) == found
    assert thinking_in(split_thinking(text).text) in ("", found)


@pytest.mark.parametrize(
    ("text", "prompt", "found"),
    [
        ("Models write <think> first.", "What is <think> for?", ""),
        ("Models write <think>a</think> first.", "What does `</think>` end?", ""),
        ("Models write <think> first.", "What is <thought> for?", "<think> first."),
        ("<think>a</think>A <thought> b.", "What is <think> for?", "<thought> b."),
        ("Models write <think> first.", "What do models think?", "<think> first."),
    ],
)
def test_a_prompt_may_ask_about_tags(text: str, prompt: str, found: str) -> None:
    assert thinking_in(text, prompt) == found


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "a <think> ",
        "a <think>b</think> ",
        "x\n<think>y</think>",
        "\n<think>y</think>",
        "`<think>` ",
        "```\n<think>\n</think>\n```\n",
        "<think ",
        "</think   ",
        "<|channel|>analysis ",
        "<|end|>  ",
    ],
)
def test_the_time_grows_with_the_length(piece: str) -> None:
    """Were it to grow with the square, these would take minutes."""
    begun = time.perf_counter()
    split_thinking(piece * 100_000)
    thinking_in(piece * 100_000)
    assert time.perf_counter() - begun < 20


def test_a_long_text_without_tags_takes_no_time() -> None:
    text = "The bees left the hive at dawn [1]. " * 2_800
    begun = time.perf_counter()
    for _ in range(100):
        split_thinking(text)
    assert time.perf_counter() - begun < 1  # 0.05 s on an idle core
