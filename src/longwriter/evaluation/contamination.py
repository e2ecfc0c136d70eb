"""Finds prompts that ask for the same text as a prompt of another set, such as a benchmark's.

This is the project's single definition of contamination: the filter drops SFT rows by it, and the
stage `pairs` drops instructions for preference pairs.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path

import numpy as np

from longwriter.core.rows import Instruction
from longwriter.core.sources import read_jsonl
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.text.demands import mentions
from longwriter.text.minhash import NearIndex, signature
from longwriter.text.similarity import Hashes, hashes, jaccard, sequences, shingles
from longwriter.text.words import tokens

N = 3
"""Number of words in the sequences that are compared."""

FEWEST_WORDS = 8
"""A shorter prompt ("Write a story") occurs in many others, so it is only compared as a whole."""


@dataclass(frozen=True)
class _Prompt:
    file: str
    number: int
    """Position in its file, from 1."""
    grams: Hashes
    """Its N-word sequences; empty if it has fewer than FEWEST_WORDS words."""
    shingles: Hashes
    content: frozenset[str]
    """Its content words."""


_CONTENT = re.compile(r"[a-z]{3,}|[\u4e00-\u9fff]+")
_STOP = frozenset(
    [
        "the",
        "and",
        "for",
        "with",
        "that",
        "this",
        "are",
        "was",
        "were",
        "have",
        "has",
        "you",
        "your",
        "not",
        "but",
        "from",
        "they",
        "about",
        "write",
        "words",
        "word",
        "essay",
        "story",
        "article",
        "please",
        "should",
        "must",
        "can",
        "will",
        "its",
        "his",
        "her",
        "their",
        "than",
        "into",
        "more",
        "least",
        "length",
        "long",
        "short",
    ]
)
"""Words that are too common in requests to be content words."""
FEWEST_CONTENT_WORDS = 4
"""Prompts with fewer content words are not compared by content words."""


class PromptIndex:
    """An index of prompts in which other prompts can be looked up."""

    def __init__(self, prompts: Iterable[tuple[str, str]]) -> None:
        """Indexes (file, prompt) pairs."""
        self._prompts: list[_Prompt] = []
        self._of_gram: dict[int, list[int]] = {}
        self._similar = NearIndex()
        self._of_word: dict[str, list[int]] = {}
        numbers = Counter[str]()
        for place, (file, text) in enumerate(prompts):
            numbers[file] += 1
            words = normalised(text)
            grams = np.unique(sequences(words, N)) if len(words) >= FEWEST_WORDS else words[:0]
            content = content_words(text)
            self._prompts.append(_Prompt(file, numbers[file], grams, shingles(words), content))
            for word in content:
                self._of_word.setdefault(word, []).append(place)
            for gram in grams.tolist():
                self._of_gram.setdefault(gram, []).append(place)
            self._similar.insert(place, signature(self._prompts[-1].shingles))
        self._norms = [self._norm(prompt.content) for prompt in self._prompts]

    def find(self, prompt: str, limits: ContaminationSettings) -> str | None:
        """Returns, in words, which indexed prompt `prompt` contains or nearly equals; None: none.

        `prompt` contains another one if it has a share of at least `limits.max_overlap` of the
        other's 3-word sequences. It nearly equals one if their sets of such sequences have a
        Jaccard similarity of at least `limits.min_similarity`, or their content words a cosine of
        at least `limits.min_cosine`. Numbers are not compared, and the requested length is left
        out: the same request for another length still matches.

        Source: n-gram overlap as in GPT-3 (arXiv 2005.14165), appendix C. GPT-3 used sequences of 8
        to 13 words; prompts are short, and a changed word breaks as many sequences as a sequence
        has words, so we use 3.
        """
        words = normalised(prompt)
        shared = Counter[int]()
        for gram in np.unique(sequences(words, N)).tolist():
            shared.update(self._of_gram.get(gram, ()))
        for place, count in sorted(shared.items()):
            one = self._prompts[place]
            share = count / len(one.grams)
            if share >= limits.max_overlap:
                return f"holds {share:.0%} of prompt {one.number} of {one.file}"
        own = shingles(words)
        for place in sorted(self._similar.candidates(signature(own), limits.min_similarity)):
            one = self._prompts[place]
            alike = jaccard(own, one.shingles)
            if alike >= limits.min_similarity:
                return f"{alike:.0%} like prompt {one.number} of {one.file}"
        return self._in_other_words(content_words(prompt), limits.min_cosine)

    def _in_other_words(self, content: frozenset[str], least: float) -> str | None:
        if len(content) < FEWEST_CONTENT_WORDS or least == 1:
            return None
        products: dict[int, float] = defaultdict(float)
        for word in content:
            for place in self._of_word.get(word, ()):
                products[place] += self._weight(word) ** 2
        norm = self._norm(content)
        for place, product in sorted(products.items()):
            one = self._prompts[place]
            cosine = product / (norm * self._norms[place])
            if cosine >= least and len(one.content) >= FEWEST_CONTENT_WORDS:
                return f"paraphrases prompt {one.number} of {one.file} (cosine {cosine:.2f})"
        return None

    def _weight(self, word: str) -> float:
        """Returns the word's inverse document frequency among the indexed prompts."""
        return log((len(self._prompts) + 1) / (len(self._of_word.get(word, ())) + 0.5))

    def _norm(self, content: frozenset[str]) -> float:
        return sqrt(sum(self._weight(word) ** 2 for word in content)) or 1.0


def normalised(text: str) -> Hashes:
    """Returns hashes of the words in lower case, without punctuation and the requested length.

    Every other number is replaced by 0.
    """
    return hashes(tokens(re.sub(r"\d[\d,，.]*(?:k\b)?", " 0 ", _without_length(text))))


def content_words(text: str) -> frozenset[str]:
    """Returns the content words: English ones of 3 letters or more, and Chinese character bigrams.

    The most common English words and the requested length are left out.
    """
    found: set[str] = set()
    for run in _CONTENT.findall(_without_length(text)):
        if run < "\u4e00":
            found.add(run)
        else:
            found.update(run[place : place + 2] for place in range(len(run) - 1))
    return frozenset(found - _STOP)


def _without_length(text: str) -> str:
    kept, end = [], 0
    for length in mentions(text):
        kept.append(text[end : length.start])
        end = length.end
    return " ".join([*kept, text[end:]]).lower()


@dataclass(frozen=True)
class BenchmarkFiles:
    """Benchmark files, by whether they exist."""

    found: list[Path]
    missing: list[Path]


def locate_benchmarks(root: Path, names: Iterable[str]) -> BenchmarkFiles:
    """Looks for the files `names`, absolute or relative to `root`; duplicate names count once."""
    paths = list(dict.fromkeys(root / name for name in names))
    return BenchmarkFiles([p for p in paths if p.is_file()], [p for p in paths if not p.is_file()])


def read_benchmarks(paths: Iterable[Path]) -> PromptIndex:
    """Indexes the prompts of all files.

    Raises:
        DataError: a file is not JSON Lines with `prompt`.
    """
    return PromptIndex(
        (path.name, row.prompt) for path in paths for row in read_jsonl(path, _BenchmarkRow)
    )


class _BenchmarkRow(Instruction):
    language: str = ""  # type: ignore[assignment] # LongBench-Write's own values are not ours
