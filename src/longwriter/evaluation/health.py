"""Signs of a text's quality that need no judge: repetition, loops, endings, the language."""

from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel

from longwriter.core.rows import Prediction
from longwriter.text.endings import unfinished
from longwriter.text.languages import wanted_language, words_elsewhere
from longwriter.text.repetition import TOKEN, copied_sentences, share_seen
from longwriter.text.similarity import share_said_again
from longwriter.text.words import uncounted_letters

NGRAM = 8
WINDOW = 200
"""Tokens in a window in which distinct tokens and bigrams are counted. Over whole texts, their
share falls with length, so models that write more would look less varied."""
MOSTLY = 0.5
"""Share of uncounted letters above which a text's number of words says nothing."""
COPIES, LEAST_LOOP = 3, 20
"""A loop is at least COPIES consecutive copies of a piece, of at least LEAST_LOOP tokens in all."""


class Health(BaseModel):
    """The quality signs of one text; shares are from 0 to 1."""

    repetition: float
    """Share of 8-grams that occurred earlier in the text (seq-rep-8)."""
    copied: float
    """Share of sentences that copy an earlier one."""
    said_again: float
    """Share of the prose in paragraphs that repeat an earlier one with few words changed."""
    loop: float
    """Share of tokens in loops: three or more consecutive copies of a piece, at least 20 tokens."""
    distinct_1: float
    """Share of distinct tokens in windows of 200 tokens, mean over windows."""
    distinct_2: float
    """Share of distinct bigrams in the same windows."""
    unfinished: bool
    """Whether it was cut off at the token limit or stops in the middle, as in the filter's rule."""
    other_language: float
    """Share of words that are not in the language expected of the answer."""
    uncounted: float
    """Share of letters in words that S_l doesn't count, such as Cyrillic ones."""
    drift: float
    """`other_language` of the last quarter minus that of the first: above 0 if the text drifts out
    of its language."""


def health(prediction: Prediction) -> Health:
    """Returns the signs of a prediction's response; an empty one is unfinished and otherwise clean.

    Source: repetition: Welleck et al. (arXiv 1908.04319); distinct n-grams: Li et al. (arXiv
    1510.03055), in windows as McCarthy and Jarvis's MATTR (doi 10.3758/BRM.42.2.381).
    """
    text = prediction.response
    tokens = TOKEN.findall(text)
    grams = [hash(gram) for gram in zip(*(tokens[i:] for i in range(NGRAM)), strict=False)]
    elsewhere = words_elsewhere(text, wanted_language(prediction))
    quarter = max(len(elsewhere) // 4, 1)
    return Health(
        repetition=share_seen(grams),
        copied=copied_sentences(text),
        said_again=share_said_again(text),
        loop=looped(grams),
        distinct_1=_distinct(tokens, 1),
        distinct_2=_distinct(tokens, 2),
        unfinished=prediction.finish_reason == "length" or bool(unfinished(text)),
        other_language=_share(elsewhere),
        uncounted=uncounted_letters(text),
        drift=_share(elsewhere[-quarter:]) - _share(elsewhere[:quarter]),
    )


def looped(grams: Sequence[int]) -> float:
    """Returns the share of a text's tokens that are in loops, from its 8-grams in order.

    While a text repeats a piece of p tokens, every 8-gram occurs p places after its last
    occurrence. So a run of r such places is a stretch of p + r + 7 tokens with period p.
    """
    last: dict[int, int] = {}
    inside = start = period = 0
    covered = 0  # tokens before this place are already counted
    for place, gram in enumerate([*grams, -1]):
        before = last.get(gram)
        found = 0 if before is None or place == len(grams) else place - before
        last[gram] = place
        if found == period:
            continue
        if period:
            end = place + NGRAM - 1
            length = end - (start - period)
            if length >= COPIES * period and length >= LEAST_LOOP:
                inside += end - max(start - period, covered)
                covered = end
        start, period = place, found
    return inside / (len(grams) + NGRAM - 1) if grams else 0.0


def marks(found: Health) -> list[str]:
    """Returns the signs that a reader should know about, in words, for the report's samples."""
    named = {
        "repeats itself": found.repetition > 0.2 or found.said_again > 0.2,
        "loops": found.loop > 0,
        "unfinished": found.unfinished,
        "other language": found.other_language > 0.3,
        "leaves its language": found.drift > 0.3,
        "counts few words": found.uncounted > MOSTLY,
    }
    return [name for name, holds in named.items() if holds]


def summary(found: Sequence[Health]) -> dict[str, float]:
    """Returns the means over texts, and the shares of looping and of mostly uncounted texts.

    `mostly_uncounted` are texts most of whose letters are in words that S_l doesn't count.
    """
    fields = {name: fmean(getattr(each, name) for each in found) for name in Health.model_fields}
    return fields | {
        "looping": fmean(each.loop > 0 for each in found),
        "mostly_uncounted": fmean(each.uncounted > MOSTLY for each in found),
    }


def _distinct(tokens: Sequence[str], n: int) -> float:
    """Returns the mean share of distinct n-grams in windows of WINDOW tokens; 0 below n tokens.

    A shorter remainder is left out, and a text shorter than a window counts as one.
    """
    ends = range(WINDOW, len(tokens) + 1, WINDOW) if len(tokens) >= WINDOW else [len(tokens)]
    shares = []
    for end in ends:
        window = tokens[max(end - WINDOW, 0) : end]
        grams = list(zip(*(window[i:] for i in range(n)), strict=False))
        shares.append(len(set(grams)) / len(grams) if grams else 0.0)
    return fmean(shares)


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0
