"""Rows whose prompt states the length that their text has."""

from typing import Any

import pytest

from longwriter.dataset.relabel import relabel
from longwriter.dataset.row import Row
from longwriter.dataset.settings import Relabel

PARAGRAPHS = ["One two three four.", "Five six seven.", "Eight nine ten."]


def row(prompt: str, response: str = "\n\n".join(PARAGRAPHS), **changes: Any) -> Row:
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return Row("a", messages, 300, "en", "own", "", {}, tokens=9, **changes)


def stated(found: list[Row]) -> list[tuple[str, str, str, int | None]]:
    return [(each.id, each.prompt, each.response, each.length) for each in found]


def test_the_text_and_its_beginnings_state_their_lengths() -> None:
    found = list(relabel(row("Write about 300 words on tea."), Relabel.paragraphs))
    whole = "\n\n".join(PARAGRAPHS)
    assert stated(found) == [
        ("a", "Write about 10 words on tea.", whole, 10),
        ("a to 1", "Write about 4 words on tea.", PARAGRAPHS[0], 4),
        ("a to 2", "Write about 7 words on tea.", "\n\n".join(PARAGRAPHS[:2]), 7),
    ]
    assert [each.tokens for each in found] == [None] * 3
    assert (
        stated(list(relabel(row("Write about 300 words on tea."), Relabel.text)))
        == stated(found)[:1]
    )


def test_a_chinese_prompt_states_characters() -> None:
    [whole] = relabel(row("写一篇300字的文章。", "春天来了。"), Relabel.text)
    assert (whole.prompt, whole.length) == ("写一篇4字的文章。", 4)


@pytest.mark.parametrize(
    "prompt",
    [
        "Write on tea.",
        "Write at most 300 words on tea.",
        "Write 200 to 300 words on tea.",
        "Write three hundred words on tea.",
        "Write 10 chapters of 500 words each.",
        "Sum up this text of 2000 words in 300 words.",
    ],
)
def test_a_prompt_without_one_plain_length_stays(prompt: str) -> None:
    given = row(prompt)
    assert list(relabel(given, Relabel.paragraphs)) == [given]


def test_rows_of_several_turns_or_with_a_plan_stay() -> None:
    talk = row("Write 300 words on tea.")
    talk.messages = [*talk.messages, *talk.messages]
    planned = row("Write 300 words on tea.", plan="<plan>")
    for given in (talk, planned):
        assert list(relabel(given, Relabel.paragraphs)) == [given]
    given = row("Write 300 words on tea.")
    assert list(relabel(given, Relabel.none)) == [given]
