import pytest

from longwriter.text.words import count_words, language, tokens, uncounted_letters


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("One two\nthree.", 3),
        ("don't stop", 3),  # don, t, stop
        ("well-known", 2),
        ("In 1999 there were 7", 3),  # digits count nothing
        ("mp3 3D snake_case", 0),  # a word that touches a digit or an underscore counts nothing
        ("café naïve cafe", 1),  # nor does one that touches an accented letter
        ("今天天气很好。", 6),  # the full stop is no character
        ("我用Python写书", 4),  # Python touches Chinese characters: 我 用 写 书
        ("我用 Python 写书", 5),
        ("\u4e00\u9fff", 2),  # both ends belong to it
        ("\u4dff\ua000", 0),
        ("カタカナ ひらがな 한국어", 0),
    ],
)
def test_count_words(text: str, words: int) -> None:
    assert count_words(text) == words


@pytest.mark.parametrize(
    ("prompt", "expected"), [("Write about 北京.", "zh"), ("Write, s'il vous plaît。", "en")]
)
def test_language(prompt: str, expected: str) -> None:
    assert language(prompt) == expected


def test_tokens_are_words_and_numbers_in_lower_case_and_chinese_characters() -> None:
    assert tokens("Don't: 3,5 Été, GPT-4 in 北京!") == [
        "don",
        "t",
        "3",
        "5",
        "été",
        "gpt",
        "4",
        "in",
        "北",
        "京",
    ]


def test_letters_that_count_no_words() -> None:
    assert uncounted_letters("The sea was calm, 100 %.") == 0.0
    assert uncounted_letters("海很平静。") == 0.0
    assert uncounted_letters("Море calm") == 0.5  # 4 of 8 letters
    assert uncounted_letters("été") == 1.0
    assert uncounted_letters("123 …") == 0.0
