"""How much of a text repeats what it already said."""

import re
from collections.abc import Hashable, Sequence, Set

TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")
"""A Chinese character, or a run of anything else between white space or such characters."""
_SENTENCE_END = re.compile(r"[.!?。！？\n]+")
_FEWEST_TOKENS = 4
"""Shorter sentences ("Yes.", "And then?") recur in good writing too."""

Ngram = int
"""The hash of its tokens: with a thousand long drafts in progress, the tokens would fill the memory."""


def repeated_ngrams(text: str, n: int = 8) -> float:
    """Returns the share (0 to 1) of the text's n-grams that occurred earlier in it; 0 below n tokens.

    Equal to 1 - distinct n-grams / n-grams.

    Source: seq-rep-n of Welleck et al., "Neural Text Generation with Unlikelihood Training"
    (arXiv 1908.04319).
    """
    return share_seen(ngrams(text, n))


def copied_sentences(text: str) -> float:
    """Returns the share (0 to 1) of the text's sentences that copy an earlier one.

    A sentence ends at a full stop, an exclamation or question mark (Chinese ones too) or a line's
    end. Sentences of fewer than four tokens are left out; 0 if none remains.
    """
    sentences = (tuple(TOKEN.findall(part)) for part in _SENTENCE_END.split(text))
    return share_seen([tokens for tokens in sentences if len(tokens) >= _FEWEST_TOKENS])


def ngrams(text: str, n: int) -> list[Ngram]:
    """Returns every n consecutive tokens (`TOKEN`), in order."""
    tokens = TOKEN.findall(text)
    return [hash(gram) for gram in zip(*(tokens[i:] for i in range(n)), strict=False)]


def share_seen(items: Sequence[Hashable], known: Set[Hashable] = frozenset()) -> float:
    """Returns the share (0 to 1) of the items that occur earlier among them, or in `known`; 0 without
    items."""
    return (len(items) - len(set(items) - known)) / len(items) if items else 0.0
