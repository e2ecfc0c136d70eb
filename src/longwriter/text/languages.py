"""Which language a prompt belongs to, which one its answer should be in, and how much is not."""

import re
from typing import Literal

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.words import language

Language = Literal["en", "zh"]


_IN_ENGLISH = re.compile(
    r"用英[文语]|英[文语](?:作文|版|写|文章|演讲稿|邮件|信)|\b(?:in|into) English\b", re.I
)


_IN_CHINESE = re.compile(
    r"用中文|\b(?:in|into) (?:\w+ ){0,4}Chinese\b(?! (?:culture|history|society|cuisine|tradition))"
    r"|\bwords Chinese\b",
    re.I,
)


_BEYOND_LATIN = "\u0250"


_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\d_\u4e00-\u9fff]+")


def benchmark_language(prompt: str) -> Language:
    """The half of LongBench-Write that a prompt belongs to: `en` where it holds no Chinese
    character or asks for English (用英文, 用英语), else `zh`.

    On LongBench-Write this gives the very 60 rows of the paper's English file.

    Source: LongWriter's evaluation/longbench_write_en.jsonl at commit ca6ccd4.
    """
    return "en" if re.search(r"用英[文语]", prompt) else language(prompt)


def wanted_language(prompt: BenchmarkPrompt) -> Language:
    """The language the answer should be in: the row's field `answer_language`, else what the prompt
    asks for ("in English", 英语作文, "in decent Chinese"), else the prompt's own."""
    given = prompt.model_dump().get("answer_language")
    if given in ("en", "zh"):
        return "en" if given == "en" else "zh"
    if _IN_ENGLISH.search(prompt.prompt):
        return "en"
    return "zh" if _IN_CHINESE.search(prompt.prompt) else language(prompt.prompt)


def words_elsewhere(text: str, wanted: Language) -> list[bool]:
    """For each word of `text` in order, whether it is of another language than `wanted`.

    A word is a Chinese character, or a run of letters of other scripts; foreign to `zh` is every
    such run, to `en` every Chinese character and every run with a letter beyond Latin's (Cyrillic,
    kana, Hangul, …). Names and terms in Latin letters are usual in Chinese text, so a small share
    is no drift.
    """
    return [
        wanted == "en" if "\u4e00" <= word <= "\u9fff" else wanted == "zh" or word >= _BEYOND_LATIN
        for word in _WORD.findall(text)
    ]
