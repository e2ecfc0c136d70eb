"""Finds instructions that ask for the same text as a benchmark prompt, whose answers must not be trained
on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longwriter.core.rows import Instruction
from longwriter.core.sources import read_jsonl
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.text.lengths import lengths_in
from longwriter.text.minhash import NearIndex, signature
from longwriter.text.similarity import Hashes, hashes, jaccard, sequences, shingles, tokens
from longwriter.text.spelled_lengths import plain_lengths

N = 3
"""Words of the sequences that are compared."""


FEWEST_WORDS = 8
"""A shorter prompt ("Write a story") stands in many others; only the whole of it is compared."""


@dataclass(frozen=True)
class _Prompt:
    file: str
    words: Hashes
    grams: Hashes
    shingles: Hashes


class BenchmarkIndex:
    """The prompts of some benchmarks, to look instructions up in."""

    def __init__(self, prompts: Iterable[tuple[str, str]]) -> None:
        """Takes (file, prompt) pairs."""
        self._prompts: list[_Prompt] = []
        self._of_gram: dict[int, list[int]] = {}
        self._similar = NearIndex()
        for number, (file, text) in enumerate(prompts):
            words = normalised(text)
            grams = np.unique(sequences(words, N)) if len(words) >= FEWEST_WORDS else words[:0]
            self._prompts.append(_Prompt(file, words, grams, shingles(words)))
            for gram in grams.tolist():
                self._of_gram.setdefault(gram, []).append(number)
            self._similar.insert(number, signature(self._prompts[-1].shingles))

    def find(self, prompt: str, limits: ContaminationSettings) -> str | None:
        """Which benchmark prompt `prompt` holds or is nearly the same as, in words; None: none.

        Numbers do not count, nor the length that is asked for: the same request for another length
        is the same request.

        Source: n-gram overlap as in GPT-3 (arXiv 2005.14165), appendix C, here on 3-word sequences:
        a prompt is short, and one word of it that is changed takes n of them away.
        """
        words = normalised(prompt)
        shared: dict[int, int] = {}
        for gram in np.unique(sequences(words, N)).tolist():
            for number in self._of_gram.get(gram, ()):
                shared[number] = shared.get(number, 0) + 1
        for number, count in sorted(shared.items()):
            share = count / len(self._prompts[number].grams)
            if share >= limits.max_overlap:
                return f"holds {share:.0%} of prompt {number + 1} of {self._prompts[number].file}"
        own = shingles(words)
        for number in sorted(self._similar.candidates(signature(own), limits.min_similarity)):
            one = self._prompts[number]
            alike = jaccard(own, one.shingles)
            if alike >= limits.min_similarity:
                return f"{alike:.0%} like prompt {number + 1} of {one.file}"
        return None


def normalised(text: str) -> Hashes:
    """Words without case and punctuation, without the length that is asked for and with one sign for
    every other number."""
    text = plain_lengths(text)
    kept, end = [], 0
    for length in lengths_in(text):
        kept.append(text[end : length.start])
        end = length.end
    text = " ".join([*kept, text[end:]]).lower()
    return hashes(tokens(re.sub(r"\d[\d,，.]*(?:k\b)?", " 0 ", text)))


@dataclass(frozen=True)
class BenchmarkFiles:
    """Which benchmark files were there."""

    found: list[Path]
    missing: list[Path]


def locate_benchmarks(root: Path, names: Iterable[str]) -> BenchmarkFiles:
    """Sorts the files that `names` say, relative to `root`, into those that are there and the rest."""
    paths = [root / name for name in names]
    return BenchmarkFiles([p for p in paths if p.is_file()], [p for p in paths if not p.is_file()])


def read_benchmarks(paths: Iterable[Path]) -> BenchmarkIndex:
    """The prompts of all files.

    Raises:
        DataError: a file is no JSON Lines with `prompt`.
    """
    return BenchmarkIndex(
        (f"{path.name}", row.prompt) for path in paths for row in read_jsonl(path, _Asked)
    )


class _Asked(Instruction):
    language: str = ""  # type: ignore[assignment] # LongBench-Write's own values are not ours
