"""Splits a chat's tokens into its parts: what a model reads and what it writes.

This holds even if the tokenizer would merge text across two parts, or messages contain control
tokens.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

Encode = Callable[[str, bool], list[int]]
"""Maps a text to its token ids; if the flag is True, control tokens in it are plain characters."""


class ChatTokens(NamedTuple):
    """The token ids of a chat, split into what a model reads and what it writes."""

    prompt: list[int]
    """Everything before the answer: what the model is sent when it is asked for the answer."""
    answer: list[int]
    """The answer with its end-of-turn marker."""


def chat_tokens(
    prompt: str, chat: str, contents: Sequence[str], control: Iterable[str], encode: Encode
) -> ChatTokens | None:
    """Returns the tokens of a rendered chat; None if the chat doesn't start with `prompt`.

    That happens if the template renders the prompt differently when an answer follows.

    Args:
        prompt: the chat up to the answer, rendered with the template's generation prompt.
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

    Together they are the tokens of the whole chat, unless a token would span two parts, as a blank
    line at the beginning of an answer can. The parts are then tokenised separately, so that the
    prompt has the tokens that the model sees when it is served.

    Args:
        parts: consecutive parts that make up the chat.
        contents: the messages' contents, in order.
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
    """Returns the tokens that each part adds to those of the text before it.

    If a part changes those tokens, it is tokenised by itself. Prefixes are needed because some
    tokenizers begin a text with a token that its later parts must not have.
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
    """Returns the tokens of a part, with control tokens in its messages read as plain characters.

    Removes the contents that the part contains from the front of `contents`.
    """
    ids: list[int] = []
    end = 0
    while contents:
        forms = (contents[0], contents[0].strip())  # some templates strip the content
        form = next((form for form in forms if form in text[end:]), None)
        if form is None:
            break
        start = text.index(form, end)
        ids += encode(text[end:start], False) + encode(form, True)
        end = start + len(form)
        contents.pop(0)
    return ids + (encode(text[end:], False) if text[end:] else [])
