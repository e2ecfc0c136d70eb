import string
import struct
from collections.abc import Iterator
from random import Random

import pytest

from longwriter.evaluation.length import Length, describe_lengths
from longwriter.text.lengths import LengthConstraint, length_score
from longwriter.text.words import count_words


@pytest.mark.parametrize(
    ("required", "written", "score"),
    [
        (400, 400, 100.0),
        # y > x: 100 · (1 - (y/x - 1) / 3)
        (400, 700, 75.0),  # 700/400 = 1.75, 0.75 / 3 = 0.25
        (400, 1000, 50.0),  # 2.5, 1.5 / 3 = 0.5
        (400, 1600, 0.0),  # 4, 3 / 3 = 1
        (400, 4000, 0.0),  # 10, 9 / 3 = 3: below zero, so 0
        # y ≤ x: 100 · (1 - (x/y - 1) / 2)
        (300, 200, 75.0),  # 300/200 = 1.5, 0.5 / 2 = 0.25
        (400, 200, 50.0),  # 2, 1 / 2 = 0.5
        (900, 300, 0.0),  # 3, 2 / 2 = 1
        (900, 100, 0.0),  # 9, 8 / 2 = 4: below zero, so 0
        (900, 0, 0.0),
    ],
)
def test_length_score(required: int, written: int, score: float) -> None:
    assert length_score(required, written) == pytest.approx(score, abs=1e-9)


def papers_count_words(text: str) -> int:
    """An independent reading of the paper: no regular expression, a character at a time."""
    letters = set(string.ascii_letters)
    count, word, broken = 0, 0, False
    for character in [*text, " "]:
        if "\u4e00" <= character <= "\u9fff":
            count += 1
        if character in letters:
            word += 1
        elif character.isalnum() or character == "_":
            broken = True  # a run of word characters is English only as a whole
        else:
            count += bool(word and not broken)
            word, broken = 0, False
    return count


def papers_score(x: int, y: int) -> float:
    """As it is released, but for y = 0."""
    if y > x:
        return 100 * max(0, 1.0 - (y / x - 1) / 3)
    return 100 * max(0, 1.0 - (x / y - 1) / 2) if y else 0.0


def random_texts(number: int) -> Iterator[str]:
    """English, Chinese, mixed, digits, accents, other scripts, empty."""
    random = Random(20240813)
    pieces = [
        *[
            "the",
            "Don't",
            "co-op",
            "naïve",
            "été",
            "GPT-4",
            "3D",
            "x_y",
            "a",
            "İstanbul",
            "ﬁn",
            "Ⅷ",
        ],
        *[
            "文",
            "字数",
            "3000字",
            "〇",
            "㐀",
            "𠀀",
            "、",
            "。",
            "カナ",
            "한국",
            "Привет",
            "１２",
            "ａｂ",
            "é",
        ],
        *[
            " ",
            "\n",
            "\t",
            "\u3000",
            "\u200b",
            "\u00a0",
            "42",
            "3.14",
            "—",
            "'",
            "’",
            "_",
            "%",
            "\u0301",
        ],
    ]
    for _ in range(number):
        yield "".join(random.choice(pieces) for _ in range(random.randrange(40)))


def test_words_and_scores_are_the_papers_to_the_last_bit() -> None:
    random = Random(1)
    words_seen = set()
    for text in random_texts(10_000):
        words = count_words(text)
        words_seen.add(words)
        assert words == papers_count_words(text), repr(text)
        required = random.choice([1, 3, 7, 10, 13, 20, 100, 400])
        ours, theirs = length_score(required, words), papers_score(required, words)
        assert struct.pack("d", ours) == struct.pack("d", theirs), (required, words)
    assert words_seen >= set(range(15))


def test_what_s_l_hides() -> None:
    at_most, at_least = LengthConstraint(None, 100), LengthConstraint(100, None)
    lengths = [
        Length(100, 110, at_most),  # +10 %, not obeyed
        Length(100, 90, None),  # -10 %
        Length(100, 50, at_least),  # -50 %, not obeyed
        Length(100, 120, LengthConstraint(80, 120)),  # +20 %, obeyed
    ]
    found = describe_lengths(lengths, ["a", "b", "c", "d"])
    # Wilson's interval of 2 of 4 is symmetric.
    low, high = found.pop("within_10_interval")
    assert low == pytest.approx(1 - high) == pytest.approx(0.15, abs=1e-3)
    assert found.pop("within_20_interval")[0] < 0.75
    assert found == {
        "deviation": pytest.approx((0.1 - 0.1 - 0.5 + 0.2) / 4),
        "deviation_median": pytest.approx(0.0),
        "within_10": 0.5,
        "within_20": 0.75,
        "obedience": {
            "share": pytest.approx(1 / 3),
            "n": 3,
            "at most": {"share": 0.0, "n": 1},
            "at least": {"share": 0.0, "n": 1},
            "between": {"share": 1.0, "n": 1},
        },
        "longest_words": 120,
    }


def test_without_bounds_there_is_no_obedience() -> None:
    assert describe_lengths([Length(10, 9, None)], ["a"])["obedience"] == {"share": None, "n": 0}
