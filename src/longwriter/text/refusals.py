"""A writer that refuses, or speaks of itself as a model."""

import re

_CANNOT = r"(can't|cannot|can not|won't|am unable to|'m unable to|am not able to|'m not able to)"


_REFUSAL = re.compile(
    rf"\b(I('m| am) sorry,? (but )?I {_CANNOT}|I('m| am)? ?{_CANNOT} (assist|comply|fulfill?|provide|"
    r"generate|create|write|help (you )?with)|as an? (AI|artificial intelligence|large language|"
    r"language) (language )?(model|assistant))\b"
    r"|^\s*(很|非常)?(对不起|抱歉)[，,]?\s*(但是?)?我(无法|不能|没有办法|没办法)"
    r"|作为(一个|一名)?(人工智能|AI)(语言)?(模型|助手)",
    re.IGNORECASE,
)


def refusal_in(text: str) -> str:
    """The words with which `text` refuses, or its writer speaks of itself as a model, within the
    first 300 characters; empty where it does not."""
    found = _REFUSAL.search(text[:300].replace("’", "'"))
    return found.group(0) if found else ""
