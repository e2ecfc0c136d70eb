"""Tokens of a chat by its parts: what a model reads and what it writes, whatever the tokenizer joins at the
edges between them, and whatever control tokens the messages hold.
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

    Args:
        prompt: the chat up to the answer, rendered with the template's beginning of an answer.
        chat: the whole chat, rendered.
        contents, control, encode: as for `part_tokens`.
    """
    if not chat.startswith(prompt):
        return None
    return ChatTokens(*part_tokens([prompt, chat[len(prompt) :]], contents, control, encode))


def part_tokens(
    parts: Sequence[str], contents: Sequence[str], control: Iterable[str], encode: Encode
) -> list[list[int]]:
    """Returns the tokens of each part of a rendered chat.

    They are those of the whole chat, but where a token would span two parts, as a blank line at an
    answer's beginning can: there the parts are tokenised apart, because the prompt's tokens are those
    that the model sees when it is served.

    Args:
        parts: they make up the chat.
        contents: of the messages, in their order.
        control: the tokenizer's control tokens.
    """
    if any(token in content for content in contents for token in control):
        left = list(contents)
        return [_around(part, left, encode) for part in parts]
    whole = encode("".join(parts), False)
    found, place = [], 0
    for part in parts[:-1]:
        ids = encode(part, False)
        if whole[place : place + len(ids)] != ids:
            return _by_prefixes(parts, encode)
        found.append(ids)
        place += len(ids)
    return [*found, whole[place:]]


def _by_prefixes(parts: Sequence[str], encode: Encode) -> list[list[int]]:
    """The tokens that each part adds to those of what precedes it; a part's own where it changes them.

    Some tokenizers give a text a first token that its later parts don't have.
    """
    found, text = [], ""
    before: list[int] = []
    for part in parts:
        text += part
        ids = encode(text, False)
        kept = ids[: len(before)] == before
        found.append(ids[len(before) :] if kept else encode(part, False))
        before = ids
    return found


def _around(text: str, contents: list[str], encode: Encode) -> list[int]:
    """The tokens of a part of a rendered chat whose messages hold control tokens, which are characters
    there. Takes the contents that the part holds from the front of `contents`."""
    ids: list[int] = []
    end = 0
    while contents:
        forms = (contents[0], contents[0].strip())  # some templates strip it
        form = next((form for form in forms if form in text[end:]), None)
        if form is None:
            break
        start = text.index(form, end)
        ids += encode(text[end:start], False) + encode(form, True)
        end = start + len(form)
        contents.pop(0)
    return ids + (encode(text[end:], False) if text[end:] else [])
