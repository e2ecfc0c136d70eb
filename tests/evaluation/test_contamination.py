"""The one standard of contamination, for SFT rows and for preference prompts."""

from pathlib import Path

import pytest
from helpers.checkpoints import CHECKOUT, default_settings

from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction
from longwriter.core.sources import read_jsonl
from longwriter.evaluation.contamination import (
    PromptIndex,
    locate_benchmarks,
    read_benchmarks,
)

LIMITS = default_settings().contamination
"""Thresholds of 60 % of the sequences, and a similarity of 0.7."""
TIDES = "Write a 900-word report on the tides of northern fjords and their fishing villages."
TEA = "Write about tea."


def found(prompt: str, *known: str) -> str | None:
    return PromptIndex(("bench.jsonl", text) for text in known).find(prompt, LIMITS)


@pytest.mark.parametrize(
    ("prompt", "known"),
    [
        pytest.param(
            "write about TEA, in 1,000 words!", "Write about tea in 200 words.", id="length"
        ),
        pytest.param(
            "写一篇 500 字关于茶的文章", "写一篇2000字关于茶的文章。", id="Chinese length"
        ),
        pytest.param(TIDES.replace("900-word", "five hundred word"), TIDES, id="spelled length"),
        pytest.param(
            "Compare 3 teas and 12 coffees for a beginner.",
            "Compare 5 teas and 7 coffees for a beginner.",
            id="other numbers",
        ),
        pytest.param(f"You are a poet. {TIDES} Use short words.", TIDES, id="words around it"),
    ],
)
def test_the_same_request(prompt: str, known: str) -> None:
    assert found(prompt, known) is not None
    assert found(known, known) is not None


def test_typos_and_other_words() -> None:
    typos = TIDES.replace("tides", "tidse").replace("villages", "vilages")
    assert found(typos, TIDES, TEA, "Write about coffee.") is not None
    # The benchmark's 8 content words stand in one of its two prompts: each weighs ln(3 / 1.5) = 0.693, an
    # unknown one ln(3 / 0.5) = 1.792. With 6 shared and 2 unknown words the cosine is
    # 6 · 0.693² / (√(8 · 0.693²) · √(6 · 0.693² + 2 · 1.792²)) = 2.883 / (1.961 · 3.050) = 0.48,
    # with 5 and 3 it is 2.402 / (1.961 · 3.469) = 0.35.
    known = ("Report tides northern fjords, fishing villages, harbours, boats.", TEA)
    six = "Boats, tides, harbours, fjords: northern fishing, mountains, glaciers."
    assert found(six, *known) == "paraphrases prompt 1 of bench.jsonl (cosine 0.48)"
    assert found(six.replace("fishing", "hiking"), *known) is None


@pytest.mark.parametrize(
    ("prompt", "known"),
    [
        (TEA, "Write about teas."),
        ("写茶。", "写咖啡。"),
        ("Write a report on the birds of southern lakes and their nesting places.", TIDES),
        # A prompt of fewer than eight words stands in many others: only the whole of it counts.
        (f"{TEA} Then compare it with coffee, milk and everything else that people drink.", TEA),
    ],
)
def test_another_request(prompt: str, known: str) -> None:
    assert found(prompt, known) is None


def test_a_typo_of_one_word_is_the_same_request() -> None:
    # Without its length the request has 13 words, so 11 sequences of three; a word in the middle takes
    # three of them away: 8 of 11.
    for word in ("fjords", "tides", "northern"):
        typo = TIDES.replace(word, f"{word}x")
        assert found(typo, TIDES) == "holds 73% of prompt 1 of bench.jsonl"
    # The first word is in one sequence only: 10 of 11.
    assert found(TIDES.replace("Write", "Wrte"), TIDES) == "holds 91% of prompt 1 of bench.jsonl"


def test_prompts_are_counted_by_file() -> None:
    index = PromptIndex(
        [("a", TEA), ("a", TIDES), ("b", "Write about coffee."), ("b", "Write of war")]
    )
    assert index.find("write of war", LIMITS) == "100% like prompt 2 of b"
    assert PromptIndex([]).find(TEA, LIMITS) is None


def test_benchmark_files_that_are_missing_are_named_and_none_is_read_twice(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(
        '{"prompt": "写茶", "language": "中文"}\n', encoding="utf-8"
    )
    files = locate_benchmarks(tmp_path, ["one.jsonl", "two.jsonl", str(tmp_path / "one.jsonl")])
    assert (files.found, files.missing) == ([tmp_path / "one.jsonl"], [tmp_path / "two.jsonl"])
    index = read_benchmarks(files.found)
    assert index.find("写茶", LIMITS) == "100% like prompt 1 of one.jsonl"
    (tmp_path / "two.jsonl").write_text('{"text": "tea"}\n')
    with pytest.raises(DataError, match=r"two\.jsonl:1: "):
        read_benchmarks([tmp_path / "two.jsonl"])


def test_our_own_preference_prompts_are_in_no_benchmark_and_in_no_sft_data() -> None:
    def prompts(name: str, number: int | None = None) -> list[str]:
        rows = read_jsonl(CHECKOUT / f"data/{name}.jsonl", Instruction)[:number]
        return [row.prompt for row in rows]

    mine = prompts("instructions_dpo")
    assert len(mine) == 40
    files = locate_benchmarks(CHECKOUT, LIMITS.benchmarks)
    assert {path.name for path in files.found} >= {"benchmark.jsonl", "benchmark_long.jsonl"}
    benchmarks = read_benchmarks(files.found)
    sft = [*prompts("instructions", 44), *prompts("instructions_short", 8)]
    index = PromptIndex(("sft", prompt) for prompt in sft)
    for prompt in mine:
        assert benchmarks.find(prompt, LIMITS) is None
        assert index.find(prompt, LIMITS) is None
