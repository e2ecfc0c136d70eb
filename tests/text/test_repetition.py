import pytest

from longwriter.text.repetition import (
    copied_sentences,
    long_sentences_again,
    repeated_ngrams,
    scaled,
)
from longwriter.text.similarity import (
    hashes,
    said_again,
    share_said_again,
    shared_tokens,
    stutter,
)


def test_words_that_come_again() -> None:
    # 6 words, 5 bigrams: "a b" "b c" "c a" "a b" "b c"; the last two stood there before.
    assert repeated_ngrams("a b c\na  b c", n=2) == 2 / 5


def test_chinese_characters_are_tokens() -> None:
    # 5 tokens 我 来 我 来 ok, 4 bigrams: 我来 来我 我来 来ok; the third stood there before.
    assert repeated_ngrams("我来我来ok", n=2) == 1 / 4


def test_the_default_counts_sequences_of_eight() -> None:
    # 16 words, 9 sequences of 8; the ninth is the first again.
    assert repeated_ngrams("1 2 3 4 5 6 7 8 " * 2) == 1 / 9


@pytest.mark.parametrize("text", ["", "a a a a a a a"])
def test_texts_shorter_than_n_repeat_nothing(text: str) -> None:
    assert repeated_ngrams(text, n=8) == 0.0


def test_copied_sentences() -> None:
    # Four sentences of eight or more words: A B A A. "And so what" has three and does not count.
    text = (
        "The sea was calm on that long afternoon. And so what? It rained all night and all the next day! The  sea "
        "was calm on that long afternoon\nAnd so what? The sea was calm on that long afternoon? And so what?"
    )
    assert copied_sentences(text) == 2 / 4


def test_copied_chinese_sentences() -> None:
    # Three sentences of 12 or more characters: A B A; 好的 has two and does not count.
    text = (
        "今天的雨下得比昨天还要大。好的。明天我们一起出门去看海吧！今天的雨下得比昨天还要大？好的。"
    )
    assert copied_sentences(text) == 1 / 3


def test_labels_and_formulas_are_no_sentences() -> None:
    label = "INT. THE KITCHEN OF THE OLD HOUSE - DAY\n**Difficulty:** Very high\n"
    formula = (
        r"\[ \text{Area} = \text{length} \times \text{width} = 5 \times 3 = 15 \text{ square feet} \]"
        + "\n"
    )
    assert copied_sentences(f"{label}{formula}" * 3) == copied_sentences(label * 3)


def test_paragraphs_said_again() -> None:
    first = (
        "The harbour lay still under the fog, and Mara counted the boats that had not come home since the "
        "storm, one by one, as her mother had done before her."
    )
    other = (
        "In the market the women spoke of nothing else, and the price of salt fell by half, because nobody had "
        "any fish to put it on in those days of waiting."
    )
    changed = first.replace("Mara", "she").replace("storm", "gale")  # 27 of 33 sequences remain
    assert said_again(f"{first}\n\n{other}\n\n{changed}") == [changed]
    assert said_again(f"{first}\n\n{other}") == []
    # As items of a list they may
    assert said_again(f"- {first}\n- {changed}") == []
    text = f"{first}\n\n{other}\n\n{changed}"
    assert share_said_again(text) == len(changed) / (len(first) + len(other) + len(changed))
    assert share_said_again("Short.") == 0.0


def test_long_sentences_again() -> None:
    long = "He had designed this moment with care, and had seen it a thousand times"  # 14 words
    short = "He had designed this moment with care, and had seen it"
    text = f"{long}. {short}. The fog came in.\n{long}.\n{short}. {long}!"
    assert long_sentences_again(text) == [long, long]
    assert long_sentences_again(f"{long}\n{long}\n") == []  # lines of verse, items of a list
    chinese = "他把这一刻想过一千遍每一个细节都安排得妥妥当当"  # 23 characters
    assert long_sentences_again(f"{chinese}。雾来了。{chinese}。") == [chinese]
    assert long_sentences_again(f"{chinese[:18]}。{chinese[:18]}。") == []


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("we had to decide how to decide how to decide how to decide how", (2, 14)),
        ("we had to decide how to decide how to decide how", (0, 0)),  # three times
        ("tick tock tick tock tick tock tick tock", (0, 0)),  # eight words
        ("so a little a little a little a little a little a little it grew", (1, 13)),
        ("one two three four", (0, 0)),
    ],
)
def test_a_phrase_over_and_over(text: str, span: tuple[int, int]) -> None:
    assert stutter(hashes(text.split()), 12) == span


def test_tokens_of_shared_passages() -> None:
    one, other = (hashes(list(text)) for text in ("abcdefXghiYjk", "abcde--fghi-jk"))
    assert shared_tokens(one, other, 3) == 8  # abcde, ghi
    assert shared_tokens(one, other, 2) == 10  # and jk
    assert shared_tokens(one, other, 6) == 0
    assert shared_tokens(one, hashes(list("ab")), 3) == 0


def test_a_limit_in_words_is_more_characters() -> None:
    assert scaled(8, "The harbour lay still.") == 8
    assert scaled(8, "海港在雾中静静地躺着。") == 13  # 8 x 1.6 = 12.8


def test_no_sentence_long_enough() -> None:
    assert copied_sentences("Go on. Go on. Go on.") == 0.0
