"""Preference prompts that overlap a benchmark or the SFT data are dropped by the filter's standard."""

from dataclasses import replace

from helpers.checkpoints import default_settings

from longwriter.evaluation.contamination import PromptIndex
from longwriter.preference.stage import drop_shared

LIMITS = default_settings().contamination


def index(*prompts: str) -> PromptIndex:
    return PromptIndex(("file", prompt) for prompt in prompts)


def test_rows_of_other_sets_are_dropped_and_counted_once() -> None:
    rows = ["Tea, 100 words", "Coffee", "Milk", "Water", "Milk"]
    others = {
        "bench": index("tea 50 words", "milk"),
        "sft": index("water", "milk"),
        "empty": index(),
    }
    assert drop_shared(rows, str, others, LIMITS) == (["Coffee"], {"bench": 3, "sft": 1})
    assert drop_shared(rows, str, {}, LIMITS) == (rows, {})


def test_thresholds_are_the_settings() -> None:
    # 13 words, so 11 sequences of three, of which a changed word in the middle takes three away: 8/11
    bench = {
        "bench": index("Write a report on the tides of northern fjords and their fishing villages.")
    }
    typo = ["Write a report on the tides of nothern fjords and their fishing villages."]
    assert drop_shared(typo, str, bench, LIMITS) == ([], {"bench": 1})
    strict = replace(LIMITS, max_overlap=0.75, min_similarity=0.75, min_cosine=1)
    assert drop_shared(typo, str, bench, strict) == (typo, {})
