"""placeholder until the helper's module is merged"""

from typing import NamedTuple


class Split(NamedTuple):
    thinking: str
    text: str
    unclosed: bool


def split_thinking(answer: str) -> Split:
    if "<think>" in answer[:20]:
        a, b, c = answer.partition("</think>")
        return Split(a, c.lstrip(), not b)
    if "</think>" in answer:
        a, b, c = answer.partition("</think>")
        return Split(a, c.lstrip(), False)
    return Split("", answer, False)
