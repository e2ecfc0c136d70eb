"""Hindsight relabelling: makes the prompt of a row state the length that its text actually has.

Beginnings of the text can become rows of their own, each with its own length. Many lengths are thus
learned from few teacher calls, and the stated length is always met.

Source: arXiv 2302.05206 relabels instructions to match the outputs; using beginnings as rows is our
own.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from longwriter.dataset.row import Row
from longwriter.dataset.settings import Relabel
from longwriter.text.demands import demand_in, mentions
from longwriter.text.words import count_words

_DIGITS = re.compile(r"\d[\d,]*")
_BEGINNING = re.compile(r" to \d+$")


def relabel(row: Row, how: Relabel) -> Iterator[Row]:
    """Yields the row with the length of its text in its prompt, then rows made from its beginnings.

    The latter are made for `paragraphs` only: one for each paragraph but the last, with a text that
    ends there. With `none`, the row is yielded unchanged. So are rows whose prompt does not state
    exactly one length, in digits, and rows of several turns or with a plan.
    """
    one_turn = len([message for message in row.messages if message["role"] == "user"]) == 1
    if how is Relabel.none or not one_turn or row.plan or _stating(row.prompt, 1) is None:
        yield row
        return
    yield _with(row, row.id, row.response)
    if how is Relabel.paragraphs:
        paragraphs = row.response.split("\n\n")
        for number in range(1, len(paragraphs)):
            beginning = "\n\n".join(paragraphs[:number]).strip()
            if beginning:
                yield _with(row, f"{row.id} to {number}", beginning)


def origin(name: str) -> str:
    """Returns the id of the row whose beginning has the id `name`; other ids are returned unchanged."""
    return _BEGINNING.sub("", name)


def _with(row: Row, name: str, text: str) -> Row:
    words = count_words(text)
    messages = [dict(message) for message in row.messages]
    messages[-2]["content"] = _stating(row.prompt, words) or row.prompt
    messages[-1]["content"] = text
    return replace(row, id=name, messages=messages, length=words, tokens=None)


def _stating(prompt: str, words: int) -> str | None:
    """Returns the prompt with its word count replaced by `words`.

    None unless it asks for exactly one length, in digits and without bounds.
    """
    demand, found = demand_in(prompt), list(mentions(prompt))
    if len(found) != 1 or demand.unit != "words" or demand.length is None:
        return None
    [stated] = found
    if demand.least or demand.most or not stated.least == stated.most == demand.length:
        return None
    quote = prompt[stated.start : stated.end]
    if len(numbers := _DIGITS.findall(quote)) != 1:
        return None
    return prompt[: stated.start] + quote.replace(numbers[0], str(words)) + prompt[stated.end :]
