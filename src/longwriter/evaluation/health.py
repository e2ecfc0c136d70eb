"""Marks of a text's health that need no judge: repetition, loops, endings, the language."""

import re
from collections.abc import Sequence
from statistics import fmean

from pydantic import BaseModel

from longwriter.core.rows import Prediction
from longwriter.text.languages import wanted_language, words_elsewhere
from longwriter.text.repetition import TOKEN, copied_sentences, share_seen

NGRAM = 8


WINDOW = 200
"""Tokens of a window in which distinct words and pairs are counted: over whole texts their share
falls with length, so that longer writers would look duller."""


COPIES, LEAST_LOOP = 3, 20
"""A loop is at least so many copies of a piece on end, of at least so many tokens in all."""


_CLOSED = re.compile(
    r"""[.!?。！？…~～][\s"'”’」』》）)\]】*_`#]*$|[》」』】）)\]`*]\s*$|-{3,}\s*$"""
)


class Health(BaseModel):
    """The marks of one text. Shares are from 0 to 1."""

    repetition: float
    """Share of 8-grams that stood in the text before (seq-rep-8)."""
    copied: float
    """Share of sentences that are copies of an earlier one."""
    loop: float
    """Share of tokens in loops: the same piece three times on end or more, 20 tokens or more."""
    distinct_1: float
    """Distinct tokens among the tokens of a window of 200, mean over windows."""
    distinct_2: float
    """Distinct pairs likewise."""
    unfinished: bool
    """Cut off at the token limit, or it ends without a sentence's end."""
    other_language: float
    """Share of words that are not in the language the answer should have."""
    drift: float
    """`other_language` of the last quarter less that of the first: above 0 the text left its
    language on the way."""


def health(prediction: Prediction) -> Health:
    """The marks of a prediction's response; an empty one is unfinished and otherwise clean.

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
        loop=looped(grams),
        distinct_1=_distinct(tokens, 1),
        distinct_2=_distinct(tokens, 2),
        unfinished=prediction.finish_reason == "length" or not _CLOSED.search(text[-40:]),
        other_language=_share(elsewhere),
        drift=_share(elsewhere[-quarter:]) - _share(elsewhere[:quarter]),
    )


def looped(grams: Sequence[int]) -> float:
    """Share of a text's tokens that lie in loops, from its 8-grams in order.

    Where the text repeats a piece of p tokens on end, every 8-gram stands p places behind the last
    time it occurred. So a run of r such places is a piece of p + r + 7 tokens of period p.
    """
    last: dict[int, int] = {}
    inside = start = period = 0
    covered = 0  # tokens before this place are counted already
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
    """What a reader should know of a text, in words: for the report's samples."""
    named = {
        "repeats itself": found.repetition > 0.2,
        "loops": found.loop > 0,
        "unfinished": found.unfinished,
        "other language": found.other_language > 0.3,
        "leaves its language": found.drift > 0.3,
    }
    return [name for name, holds in named.items() if holds]


def summary(found: Sequence[Health]) -> dict[str, float]:
    """Means over texts; of `loop` also the share of texts that loop at all (`looping`)."""
    fields = {name: fmean(getattr(each, name) for each in found) for name in Health.model_fields}
    return fields | {"looping": fmean(each.loop > 0 for each in found)}


def _distinct(tokens: Sequence[str], n: int) -> float:
    """Mean share of distinct n-grams in windows of WINDOW tokens; a shorter rest is left out, a
    shorter text is one window; 0 below n tokens."""
    ends = range(WINDOW, len(tokens) + 1, WINDOW) if len(tokens) >= WINDOW else [len(tokens)]
    shares = []
    for end in ends:
        window = tokens[max(end - WINDOW, 0) : end]
        grams = list(zip(*(window[i:] for i in range(n)), strict=False))
        shares.append(len(set(grams)) / len(grams) if grams else 0.0)
    return fmean(shares)


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0
