"""What the events of a stream hold together."""

import json
from typing import Any

import pytest

from longwriter.llm.answers import body_of


def event(delta: dict[str, Any], finish_reason: str | None = None, first: bool = False) -> bytes:
    """As a server sends it; llama.cpp names the reason before the delta."""
    named = {"finish_reason": finish_reason}
    choice = {**named, "delta": delta} if first else {"delta": delta, **named}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


TEXT = [{"content": piece} for piece in ("Tea", ' "is\\', "\n", "", " 茶", " hot", ".")]
HELD = 'Tea "is\\\n 茶 hot.'


@pytest.mark.parametrize("reason_first", [False, True])
@pytest.mark.parametrize(
    "others",
    [
        {},
        {0: {"role": "assistant"}},
        {0: {"role": "assistant", "content": ""}, 7: {"content": None}},
        {3: {"refusal": ""}, 5: {}},
    ],
    ids=["text alone", "a role", "a role and no text", "other fields amid the text"],
)
def test_the_pieces_of_a_text_in_their_order(
    others: dict[int, dict[str, Any]], reason_first: bool
) -> None:
    deltas = list(TEXT)
    for place, delta in others.items():
        deltas.insert(place, delta)
    stream = b"".join(event(delta, first=reason_first) for delta in deltas)
    body = body_of(stream + event({}, "stop") + b"data: [DONE]\n\n")
    assert body is not None
    choice = json.loads(body)["choices"][0]
    assert choice["message"]["content"] == HELD
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("place", range(len(TEXT) + 1))
def test_thinking_amid_the_text_is_not_text(place: int) -> None:
    """Its events end like those of the text, or hold text and thinking."""
    alone, beside = {"reasoning_content": "Hm."}, {"content": "", "reasoning_content": " So."}
    deltas = [*TEXT[:place], alone, beside, *TEXT[place:]]
    body = body_of(b"".join(map(event, deltas)) + b"data: [DONE]\n\n")
    assert body is not None
    message = json.loads(body)["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (HELD, "Hm. So.")


def test_an_error_amid_the_text_is_the_answer() -> None:
    stream = b"".join(map(event, TEXT)) + b'data: {"error": {"message": "no memory"}}\n\n'
    assert json.loads(body_of(stream) or b"") == {"error": {"message": "no memory"}}
