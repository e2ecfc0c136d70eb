"""Tells a model's thinking from the text that it wrote.

Models that reason put their thinking into the answer: as `<think>…</think>` before the text; with the
closing tag alone, where the prompt ended with the opening one; without a closing tag, where the answer
was cut. Thinking is never text. The tags that are known, in capitals or not:

    <think> … </think>                              DeepSeek, Qwen, GLM, MiniMax; attributes are allowed
    <thinking>, <thought>, <reasoning>              models that were told to think in tags, EXAONE
    <seed:think> … </seed:think>                    Seed-OSS
    [THINK] … [/THINK]                              Mistral; opens in capitals only
    ◁think▷ … ◁/think▷                              Kimi
    <|begin_of_thought|> … <|end_of_thought|>       OpenThoughts; the text is in <|begin_of_solution|> …
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
"""Of a message of gpt-oss: ` to=tool<|message|>`. Optional, since an answer may be cut before it."""
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
"""How a tag begins: found much faster than _TAG in a long text that has none."""
_KIND = re.compile(f"{_NAME}|channel", re.IGNORECASE)
_CODE = re.compile(r"`[^`\n]+`")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_SPACE = " \t\r\n"
"""Without U+3000, which indents a Chinese paragraph."""
_MENTION = 80
"""Most characters between two tags that a text mentions in one line."""


class Split(NamedTuple):
    """An answer, split into thinking and text."""

    thinking: str
    """Without tags, a blank line between blocks; empty if there is none."""
    text: str
    """Without white space around it; the answer itself if there is nothing to remove."""
    unclosed: bool
    """The answer ends inside its thinking."""


class _Tag(NamedTuple):
    opens: bool
    start: int
    end: int
    kind: str
    """`think`, `channel`, …: that of an opening tag and of the one that closes it."""


def split_thinking(answer: str) -> Split:
    """Splits an answer into thinking and text.

    An opening tag counts at the beginning of the answer or of a line, or right after another block;
    inside a line it is a word of the text. A closing tag counts wherever it stands, also in prose: where
    no block is open, everything before it is thinking. Any closing tag closes any block, since models
    mix them up.

    A text may mention tags: one in backticks, an opening and a closing one in the same line with at most
    80 characters between them, and a fenced piece of code with a whole block stay in the text.

    The thinking of an answer that was cut, and whose opening tag stood in the prompt, has no tag at all:
    it is returned as text.
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
    """Returns the first 80 characters from the first tag of thinking on; empty if the text has none.

    Tags in backticks, and whole blocks in fenced code, don't count. All others do, those inside a line
    too, which `split_thinking` leaves in the text.

    Args:
        prompt: what was asked for. A text may have the tags that it names. Empty: not known.
    """
    if not _may_have_tags(text):
        return ""
    asked = {_kind(found) for found in _TAG.finditer(prompt)}
    first = next((tag for tag in _tags(text) if tag.kind not in asked), None)
    return text[first.start : first.start + 80] if first else ""


def _may_have_tags(text: str) -> bool:
    return any(bracket in text for bracket in "<[◁") and _HINT.search(text) is not None


def _tags(text: str) -> list[_Tag]:
    """The tags that are not in code, in their order."""
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
    """Whether a piece of code has whole blocks. A lone closing tag there may end real thinking, whose
    own piece of code was never closed."""
    return bool(fenced) and fenced[0].opens and 2 * sum(tag.opens for tag in fenced) == len(fenced)


def _acting(text: str, tags: list[_Tag]) -> Iterator[_Tag]:
    """The tags that begin or end a block, without those that the text mentions and those that open a
    block inside another."""
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
    """Whether only white space stands before a tag in its line, or since the block before it."""
    space = before[len(before.rstrip()) :]
    return "\n" in space or (after_block and space == before)


def _begins_message(text: str, tag: _Tag) -> bool:
    """Whether a tag has the beginning of a message of gpt-oss, which no line needs to part."""
    return text.startswith(("<|end|>", "<|start|>"), tag.start)


def _joined(parts: list[str]) -> str:
    """The parts of a text around blocks, each on a new line; a blank line beside a block stays."""
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
    """The text without what OpenThoughts and gpt-oss put around it."""
    bare = text.strip(_SPACE).removeprefix("<|begin_of_solution|>")
    for end in ("<|return|>", "<|end|>", "<|end_of_solution|>"):
        bare = bare.removesuffix(end)
    return text if bare == text.strip(_SPACE) else bare.strip(_SPACE)
