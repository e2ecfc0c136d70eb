"""Words, as the paper counts them, and refusals."""

import re

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH = re.compile(r"\b[a-zA-Z]+\b")
_CANNOT = r"(can't|cannot|can not|won't|am unable to|'m unable to|am not able to|'m not able to)"
_REFUSAL = re.compile(
    rf"\b(I('m| am) sorry,? (but )?I {_CANNOT}|I('m| am)? ?{_CANNOT} (assist|comply|fulfill?|provide|"
    r"generate|create|write|help (you )?with)|as an? (AI|artificial intelligence|large language|"
    r"language) (language )?(model|assistant))\b"
    r"|^\s*(很|非常)?(对不起|抱歉)[，,]?\s*(但是?)?我(无法|不能|没有办法|没办法)"
    r"|作为(一个|一名)?(人工智能|AI)(语言)?(模型|助手)",
    re.IGNORECASE,
)


def count_words(text: str) -> int:
    r"""Counts Chinese characters (U+4E00 to U+9FFF) plus English words (`\b[a-zA-Z]+\b`).

    It has the paper's peculiarities: digits count nothing, "don't" counts two, a word that
    touches a digit, an underscore, an accented letter or a Chinese character counts nothing.

    Source: LongWriter (arXiv 2408.07055), section 2, and its released `count_words`.
    """
    return len(_CHINESE.findall(text)) + len(_ENGLISH.findall(text))


def refusal_in(text: str) -> str:
    """The words with which `text` refuses, or its writer speaks of itself as a model, within the
    first 300 characters; empty where it does not."""
    found = _REFUSAL.search(text[:300].replace("’", "'"))
    return found.group(0) if found else ""
