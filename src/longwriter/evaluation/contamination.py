"""Finds prompts that ask for the same text as a prompt of another set, such as a benchmark's.

It is the one standard of contamination: the filter drops SFT rows by it, and the stage `pairs`
instructions for preference pairs.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
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
"""Words of the sequences that are compared."""

FEWEST_WORDS = 8
"""A shorter prompt ("Write a story") is part of many others; only the whole of it is compared."""


@dataclass(frozen=True)
class _Prompt:
    file: str
    number: int
    """In its file, from 1."""
    grams: Hashes
    """Its N-word sequences; none of a prompt below FEWEST_WORDS."""
    shingles: Hashes


class PromptIndex:
    """Prompts to look other prompts up in."""

    def __init__(self, prompts: Iterable[tuple[str, str]]) -> None:
        """Indexes (file, prompt) pairs."""
        self._prompts: list[_Prompt] = []
        self._of_gram: dict[int, list[int]] = {}
        self._similar = NearIndex()
        numbers = Counter[str]()
        for place, (file, text) in enumerate(prompts):
            numbers[file] += 1
            words = normalised(text)
            grams = np.unique(sequences(words, N)) if len(words) >= FEWEST_WORDS else words[:0]
            self._prompts.append(_Prompt(file, numbers[file], grams, shingles(words)))
            for gram in grams.tolist():
                self._of_gram.setdefault(gram, []).append(place)
            self._similar.insert(place, signature(self._prompts[-1].shingles))

    def find(self, prompt: str, limits: ContaminationSettings) -> str | None:
        """Returns which indexed prompt `prompt` contains or nearly equals, in words; None: none.

        `prompt` contains one if it has `limits.max_overlap` of the other's 3-word sequences, and
        nearly equals one if their sets of such sequences have a Jaccard similarity of
        `limits.min_similarity`. Numbers are not compared, and the length asked for is left out: the
        same request for another length is the same request.

        Source: n-gram overlap as in GPT-3 (arXiv 2005.14165), appendix C. Sequences of 3 words, where
        GPT-3 took 8 to 13: a prompt is short, and every changed word takes as many of them away.
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
        return None


def normalised(text: str) -> Hashes:
    """Hashes of the words in lower case, without punctuation and the length that is asked for, and with
    every other number replaced by 0."""
    kept, end = [], 0
    for length in mentions(text):
        kept.append(text[end : length.start])
        end = length.end
    text = " ".join([*kept, text[end:]]).lower()
    return hashes(tokens(re.sub(r"\d[\d,，.]*(?:k\b)?", " 0 ", text)))


@dataclass(frozen=True)
class BenchmarkFiles:
    """Benchmark files by whether they exist."""

    found: list[Path]
    missing: list[Path]


def locate_benchmarks(root: Path, names: Iterable[str]) -> BenchmarkFiles:
    """Looks for the files `names`, relative to `root` or absolute; one named twice counts once."""
    paths = list(dict.fromkeys(root / name for name in names))
    return BenchmarkFiles([p for p in paths if p.is_file()], [p for p in paths if not p.is_file()])


def read_benchmarks(paths: Iterable[Path]) -> PromptIndex:
    """Indexes the prompts of all files.

    Raises:
        DataError: a file is no JSON Lines with `prompt`.
    """
    return PromptIndex(
        (path.name, row.prompt) for path in paths for row in read_jsonl(path, _BenchmarkRow)
    )


class _BenchmarkRow(Instruction):
    language: str = ""  # type: ignore[assignment] # LongBench-Write's own values are not ours
