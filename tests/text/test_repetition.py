import pytest

from longwriter.text.repetition import copied_sentences, repeated_ngrams


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
    # Four sentences of four or more words: A B A A. "And so what" has three and does not count.
    text = (
        "The sea was calm. And so what? It rained all night! The  sea was calm\n"
        "And so what? The sea was calm? And so what?"
    )
    assert copied_sentences(text) == 2 / 4


def test_copied_chinese_sentences() -> None:
    # Three sentences: A B A; 好的 has two tokens and does not count.
    assert copied_sentences("今天下雨。好的。明天出门！今天下雨？好的。") == 1 / 3


def test_no_sentence_long_enough() -> None:
    assert copied_sentences("Go on. Go on. Go on.") == 0.0
