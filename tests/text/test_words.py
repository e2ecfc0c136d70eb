import pytest

from longwriter.text.lengths import length_in
from longwriter.text.words import count_words, language


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


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ("Write a 10000-word history of tea.", 10_000),
        ("Write 10,000 words about tea.", 10_000),
        ("An essay of 5k words", 5_000),
        ("A 1.5k-word essay", 1_500),
        ("In 10 thousand words or so", 10_000),
        ("At least 2000+ words", 2_000),
        ("Write 500-700 words.", 600),
        ("Write 2 to 3k words.", 2_500),
        ("Write 800 English words.", 800),
        ("In 2020, 500 words were enough.", 500),
        ("A 3000-word story with a 100-word preface", 3_000),  # the largest
        ("A story with a 3-word title", None),
        ("Chapter 12 wordsmiths", None),
        ("Write about tea since 1600.", None),
        ("99999999999999 words", None),  # nobody means that
        ("写一篇2万字的小说", 20_000),
        ("请写3000字。", 3_000),
        ("写一篇２０００字的文章", 2_000),  # full-width digits
        ("写一篇三千五百字的文章", 3_500),
        ("写一篇一万五千字的小说", 15_000),
        ("写一篇2万5千字的小说", 25_000),
        ("写一篇万字长文", 10_000),
        ("八百字左右的作文", 800),
        ("两千多字", 2_000),
        ("写1.5万字", 15_000),
        ("写800到1000个字", 900),
        ("写2到3万字", 25_000),
        ("写一篇1200-word的文章", 1_200),
        ("解释两个字：幸福", None),
        ("介绍26个字母", None),
    ],
)
def test_length_in(prompt: str, length: int | None) -> None:
    assert length_in(prompt) == length


def test_length_in_takes_no_time_on_many_digits() -> None:
    assert length_in("1" * 100_000 + "一" * 100_000) is None
