"""Separates a model's thinking from the text that it wrote.

Reasoning models put their thinking into the answer: as `<think>…</think>` before the text; with the
closing tag alone, if the prompt ended with the opening one; or without a closing tag, if the answer
was cut off. Thinking is never part of the text. The known tags, in upper or lower case:

    <think> … </think>                              DeepSeek, Qwen, GLM, MiniMax; attributes allowed
    <thinking>, <thought>, <reasoning>              models told to think in tags, EXAONE
    <seed:think> … </seed:think>                    Seed-OSS
    [THINK] … [/THINK]                              Mistral; the opening tag in capitals only
    ◁think▷ … ◁/think▷                              Kimi
    <|begin_of_thought|> … <|end_of_thought|>       OpenThoughts; text in <|begin_of_solution|> …
    <|channel|>analysis<|message|> … <|channel|>final<|message|>     gpt-oss
    <|channel>thought … <channel|>                  Gemma
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

_NAME = "(?:seed:think|thinking|think|thought|reasoning)"
_OPENS = (
    rf"<{_NAME}(?:\s[^<>]{{0,200}})?(?<!/)>"
    r"|(?-i:\[THINK\])"  # in capitals only: a worksheet may have its own "[Think]"
    r"|◁think▷|<\|begin_of_thought\|>|<\|channel>(?:thought)?"
)
_CLOSES = rf"</{_NAME}\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<channel\|>"
_HEADER_END = r"(?:[^<]{0,200}(?:<\|constrain\|>[^<]{0,200})?<\|message\|>)?"
"""The end of a gpt-oss header: ` to=tool<|message|>`. Optional: an answer may be cut off before."""
_TAG = re.compile(
    r"(?:<\|end\|>\s*)?(?:<\|start\|>assistant\s*)?"
    rf"(?:(?P<opens>{_OPENS}|<\|channel\|>\s*(?:analysis|commentary){_HEADER_END})"
    rf"|(?P<closes>{_CLOSES}|<\|channel\|>\s*final{_HEADER_END}))",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"[<\[◁][/|]?(?:seed:|think|thought|reasoning|begin_of_|end_of_|channel|end\||return\|)",
    re.IGNORECASE,
)
"""The beginning of a tag. It rules out a long text without tags much faster than _TAG does."""
_KIND = re.compile(f"{_NAME}|channel", re.IGNORECASE)
_CODE = re.compile(r"`[^`\n]+`")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_SPACE = " \t\r\n"
"""Excludes U+3000, which indents Chinese paragraphs."""
_MENTION = 80
"""A pair of tags on one line, at most this many characters apart, is only mentioned by the text."""


class Split(NamedTuple):
    """An answer, split into thinking and text."""

    thinking: str
    """Without tags, blocks separated by a blank line; empty if there is none."""
    text: str
    """Without surrounding white space; the unchanged answer if there is nothing to remove."""
    unclosed: bool
    """Whether the answer ends inside its thinking."""


class _Tag(NamedTuple):
    opens: bool
    start: int
    end: int
    kind: str
    """`think`, `channel`, …: the same for an opening tag and its closing tag."""


def split_thinking(answer: str) -> Split:
    """Splits an answer into thinking and text.

    An opening tag counts at the beginning of the answer or of a line, or right after another block;
    inside a line it is part of the text. A closing tag counts anywhere, even in prose: if no block
    is open, everything before it is thinking. Any closing tag closes any block, since models mix
    them up.

    Tags that a text merely mentions stay in it: tags in backticks, an opening and a closing tag on
    the same line at most 80 characters apart, and complete blocks in fenced code.

    If the opening tag was in the prompt and the answer was cut off while thinking, there is no tag
    at all: the thinking is returned as text.
    """
    if not _may_have_tags(answer):
        return Split("", answer, False)
    texts: list[tuple[int, int]] = []
    thoughts: list[tuple[int, int]] = []
    position, inside = 0, False
    for tag in _acting(answer, _tags(answer)):
        span = (position, tag.start)
        if tag.opens:
            texts.append(span)
        elif inside:
            thoughts.append(span)
        else:
            thoughts += [*texts, span]
            texts = []
        position, inside = tag.end, tag.opens
    (thoughts if inside else texts).append((position, len(answer)))
    if not thoughts:
        return Split("", _unwrapped(answer), False)
    blocks = [answer[start:end].strip() for start, end in sorted(thoughts)]
    text = _joined([answer[start:end] for start, end in texts])
    return Split("\n\n".join(filter(None, blocks)), _unwrapped(text), inside)


def thinking_in(text: str, prompt: str = "") -> str:
    """Returns the first 80 characters from the first thinking tag on; empty if there is none.

    Tags in backticks and complete blocks in fenced code don't count. All others do, even those
    inside a line, which `split_thinking` leaves in the text.

    Args:
        prompt: the prompt of the text; the kinds of tags that it contains are allowed. Empty if
            unknown.
    """
    if not _may_have_tags(text):
        return ""
    asked = {_kind(found) for found in _TAG.finditer(prompt)}
    first = next((tag for tag in _tags(text) if tag.kind not in asked), None)
    return text[first.start : first.start + 80] if first else ""


def _may_have_tags(text: str) -> bool:
    return any(bracket in text for bracket in "<[◁") and _HINT.search(text) is not None


def _tags(text: str) -> list[_Tag]:
    """Returns the tags that are not in code, in order."""
    tags = [
        _Tag(bool(found["opens"]), *found.span(), _kind(found)) for found in _TAG.finditer(text)
    ]
    starts = [tag.start for tag in tags]
    in_code: set[_Tag] = set()
    for code in _CODE.finditer(text):
        in_code.update(tags[bisect_left(starts, code.start()) : bisect_left(starts, code.end())])
    fences = [fence.start() for fence in _FENCE.finditer(text)]
    for start, end in zip(fences[::2], fences[1::2], strict=False):
        fenced = tags[bisect_left(starts, start) : bisect_left(starts, end)]
        if _is_example([tag for tag in fenced if tag not in in_code]):
            in_code.update(fenced)
    return [tag for tag in tags if tag not in in_code]


def _kind(found: re.Match[str]) -> str:
    kind = _KIND.search(found.group())
    return kind.group().lower() if kind else ""


def _is_example(fenced: list[_Tag]) -> bool:
    """Returns whether fenced code contains complete blocks only.

    A lone closing tag there may end real thinking, in which a code fence was never closed.
    """
    return bool(fenced) and fenced[0].opens and 2 * sum(tag.opens for tag in fenced) == len(fenced)


def _acting(text: str, tags: list[_Tag]) -> Iterator[_Tag]:
    """Yields the tags that begin or end a block.

    Tags that the text merely mentions, and those that open a block inside another, are left out.
    """
    inside, after_block, mentioned, end = False, True, False, 0
    for tag in tags:
        between, end = text[end : tag.start], tag.end
        if inside:
            acts = True
        elif tag.opens:
            acts = _begins_line(between, after_block) or _begins_message(text, tag)
        else:
            acts = not (mentioned and len(between) <= _MENTION and "\n" not in between)
        if acts and not (inside and tag.opens):
            yield tag
        inside, after_block, mentioned = acts and tag.opens, acts, tag.opens and not acts


def _begins_line(before: str, after_block: bool) -> bool:
    """Returns whether only white space precedes a tag on its line, or since the previous block."""
    space = before[len(before.rstrip()) :]
    return "\n" in space or (after_block and space == before)


def _begins_message(text: str, tag: _Tag) -> bool:
    """Returns whether a tag starts a gpt-oss message, which need not be on a new line."""
    return text.startswith(("<|end|>", "<|start|>"), tag.start)


def _joined(parts: list[str]) -> str:
    """Joins the parts of a text around blocks by a line end, or a blank line if one was there."""
    pieces: list[str] = []
    newlines = 1
    for part in parts:
        leading = part[: len(part) - len(part.lstrip(_SPACE))]
        newlines = max(newlines, leading.count("\n"))
        if body := part.strip(_SPACE):
            pieces += ["\n" * min(newlines, 2), body]
            newlines = max(1, part[len(part.rstrip(_SPACE)) :].count("\n"))
    return "".join(pieces[1:])


def _unwrapped(text: str) -> str:
    """Returns the text without the tags that OpenThoughts and gpt-oss put around it."""
    bare = text.strip(_SPACE).removeprefix("<|begin_of_solution|>")
    for end in ("<|return|>", "<|end|>", "<|end_of_solution|>"):
        bare = bare.removesuffix(end)
    return text if bare == text.strip(_SPACE) else bare.strip(_SPACE)
