"""Tokens of a chat: the prompt's and the answer's, whatever the tokenizer joins at the edge between them,
and whatever control tokens the messages hold.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

Encode = Callable[[str, bool], list[int]]
"""Text → its tokens; with True, control tokens in it are read as the characters they consist of."""


class ChatTokens(NamedTuple):
    """A chat as a model reads and writes it."""

    prompt: list[int]
    """To where the answer begins: what a server sends when it asks for the answer."""
    answer: list[int]
    """With its end-of-turn."""


def chat_tokens(
    prompt: str, chat: str, contents: Sequence[str], control: Iterable[str], encode: Encode
) -> ChatTokens | None:
    """Returns the tokens of a rendered chat; None where the template renders the prompt otherwise than at
    the chat's beginning.

    Where a token would span prompt and answer, as a blank line at the answer's beginning can, both are
    tokenised apart: the prompt's tokens are those that the model sees when it is served.

    Args:
        prompt: the chat up to the answer, rendered with the template's beginning of an answer.
        chat: the whole chat, rendered.
        contents: of the messages, in their order.
        control: the tokenizer's control tokens.
    """
    if not chat.startswith(prompt):
        return None
    held = any(token in content for content in contents for token in control)
    if held:
        return ChatTokens(
            *(_around(part, contents, encode) for part in (prompt, chat[len(prompt) :]))
        )
    first, whole = encode(prompt, False), encode(chat, False)
    if whole[: len(first)] == first:
        return ChatTokens(first, whole[len(first) :])
    return ChatTokens(first, encode(chat[len(prompt) :], False))


def _around(text: str, contents: Sequence[str], encode: Encode) -> list[int]:
    """The tokens of a part of a rendered chat whose messages hold control tokens, which are characters
    there."""
    ids: list[int] = []
    end = 0
    for content in contents:
        for form in (content, content.strip()):  # some templates strip it
            start = text.find(form, end)
            if start >= 0:
                ids += encode(text[end:start], False) + encode(form, True)
                end = start + len(form)
                break
    return ids + (encode(text[end:], False) if text[end:] else [])
