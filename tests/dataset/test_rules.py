import pytest

from longwriter.dataset.rules import (
    RULES,
    copied,
    length_missed,
    refusal,
    repetition,
    too_short,
)
from longwriter.dataset.settings import FilterSettings
from longwriter.records import Draft, Usage

SETTINGS = FilterSettings(
    drafts=None, min_words=10, min_length_score=70.0, max_repetition=0.1, max_copied=0.2
)


def draft(response: str, length: int | None = None) -> Draft:
    return Draft(
        prompt="p",
        length=length,
        plan=[],
        paragraphs=[],
        response=response,
        response_length=-1,
        usage=Usage(),
    )


def words(number: int, name: str = "w") -> str:
    """So many different words."""
    return " ".join(name + chr(97 + i // 26) + chr(97 + i % 26) for i in range(number))


def characters(number: int) -> str:
    return "".join(chr(0x5000 + i) for i in range(number))


def test_the_order_of_the_rules() -> None:
    assert list(RULES) == ["too_short", "length_missed", "refusal", "repetition", "copied"]


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("Too short.", "2 words"),
        (words(9), "9 words"),
        ("1 2 3 4 5 6 7 8 9 10 11 12", "0 words"),
        ("春眠不觉晓。", "5 words"),
        ("，。！？" * 9 + characters(9), "9 words"),
        (words(10), None),
        ("春眠不觉晓，处处闻啼鸟。", None),
        ("Don't say it isn't so, we're fine", None),  # ten words, as the paper counts
    ],
)
def test_too_short(response: str, reason: str | None) -> None:
    assert too_short(draft(response), SETTINGS) == reason


@pytest.mark.parametrize(
    ("response", "length", "reason"),
    [
        (words(50), 100, "50 words for 100: S_l 50"),  # 100 · (1 - (100/50 - 1) / 2)
        (words(62), 100, "62 words for 100: S_l 69"),  # 100/62 = 1.613: 69.4
        (words(191), 100, "191 words for 100: S_l 70"),  # 0.91 / 3 = 0.3033: 69.67
        (characters(300), 100, "300 words for 100: S_l 33"),
        (characters(20), 100, "20 words for 100: S_l 0"),
        (words(63), 100, None),  # 100/63 = 1.587: 70.6
        (words(189), 100, None),  # 0.89 / 3 = 0.2967: 70.3
        (words(100), 100, None),
        (characters(189), 100, None),
        (words(5), None, None),  # no length was asked for
        (characters(5), None, None),
    ],
)
def test_length_missed(response: str, length: int | None, reason: str | None) -> None:
    assert length_missed(draft(response, length), SETTINGS) == reason


def test_the_lowest_score_still_passes() -> None:
    # 190 of 100 words: 100 · (1 - 0.9 / 3) = 70, give or take the last bit of a float
    settings = FilterSettings(**vars(SETTINGS) | {"min_length_score": 50.0})
    assert length_missed(draft(words(50), 100), settings) is None
    assert length_missed(draft(words(49), 100), settings) == "49 words for 100: S_l 48"


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("I'm sorry, but I can't do this.", "I'm sorry, but I can't"),
        ("I’m sorry, but I can’t help with that.", "I'm sorry, but I can't"),
        ("Unfortunately I am unable to write that.", "I am unable to write"),
        ("No. I cannot fulfill this request.", "I cannot fulfill"),
        ("Sorry, I can't help with that.", "I can't help with"),
        ("i won't write it.", "i won't write"),
        ("As an AI language model, I have few views.", "As an AI language model"),
        ("Speaking as a large language model, well.", "as a large language model"),
        ("对不起，我无法完成这篇文章。", "对不起，我无法"),
        ("很抱歉，但我不能写这个。", "很抱歉，但我不能"),
        ("抱歉,我没有办法写。", "抱歉,我没有办法"),
        ("作为一个人工智能助手，没有感情。", "作为一个人工智能助手"),
        ("word " * 50 + " I cannot comply.", "I cannot comply"),
    ],
)
def test_refusal(response: str, found: str) -> None:
    assert refusal(draft(response), SETTINGS) == f"says {found!r}"


@pytest.mark.parametrize(
    "response",
    [
        "Dear Anna, I am sorry that your flowers came late.",
        "I can't help but smile when I think of that summer.",
        "She works as an AI researcher in Oslo.",
        "作为人工智能的重要分支，机器学习改变了世界。",
        "“对不起，我不能陪你去了。”妈妈说。",
        "She was sorry, and he was unable to forgive her.",
        "I can help you write a letter that provides comfort.",
        "Rain, I cannot forget you.",
        "The aide said: a language model is trained on text.",
        "Aida lives as an airline pilot.",
        "你不能对不起自己的梦想。",
        "我无法忘记那个夏天。",
        "人工智能正在改变我们的生活，语言模型也是。",
        "A story begins. " * 20 + "I'm sorry, said the fox.",  # after 300 characters
        "很久以前，" * 60 + "对不起，我不能去，狐狸说。",
    ],
)
def test_a_text_that_only_looks_like_a_refusal(response: str) -> None:
    assert refusal(draft(response), SETTINGS) is None


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        # n words, then the first m again: n + m - 7 sequences of eight, m - 7 of them repeated.
        (f"{words(30)} {words(30)}", "43% of 8-grams repeated"),  # 23 of 53
        (f"{words(40)} {words(12)}", "11% of 8-grams repeated"),  # 5 of 45
        ("on and " * 30, "96% of 8-grams repeated"),  # 51 of 53
        (characters(30) * 3, "64% of 8-grams repeated"),  # 53 of 83
        (characters(40) + characters(12), "11% of 8-grams repeated"),
        (f"{words(40)} {words(11)}", None),  # 4 of 44 are 9 %
        (characters(40) + "。" + characters(11), None),  # the full stop is one more: 4 of 45
        (f"{words(7, 'x')} {words(7, 'y')} {words(7, 'x')}", None),  # no sequence of eight
        (characters(7) + "。" + characters(7), None),
        ("Row, row, row your boat, gently down the stream. Merrily, merrily, merrily.", None),
        ("", None),
    ],
)
def test_repetition(response: str, reason: str | None) -> None:
    # A draft has a response; what the rule makes of an empty one shows that it divides by nothing.
    row = draft("x").model_copy(update={"response": response})
    assert repetition(row, SETTINGS) == reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("The sea was calm. The sea was calm.", "50% of sentences copied"),
        # Four sentences of four or more words, one of them a copy.
        (
            "The sea was calm. We went out early! Nobody saw us go. The sea was calm?",
            "25% of sentences copied",
        ),
        ("He laughed at that.\n" * 5, "80% of sentences copied"),
        ("海面很平静。我们出发了。海面很平静！", "33% of sentences copied"),
        ("今天下雨。\n今天下雨。\n今天下雨。", "67% of sentences copied"),
        # Five sentences, one a copy: 20 % is allowed.
        (
            "The sea was calm. We went out early. Nobody saw us go. It was still dark. "
            "The sea was calm.",
            None,
        ),
        ("海面很平静。我们出发了。没有人看见。天还没有亮。海面很平静。", None),
        ("Yes. Yes. Oh yes. Yes. No. No. I say no.", None),  # too short to count
        ("好的。好的。不行。不行。", None),
        ("The sea was calm. The sea was calmer.", None),
    ],
)
def test_copied(response: str, reason: str | None) -> None:
    assert copied(draft(response), SETTINGS) == reason
