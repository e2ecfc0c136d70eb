"""The text so far, how much of it a step sees, and what the next paragraph must satisfy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.rows import Step
from longwriter.text.refusals import refusal_in
from longwriter.text.repetition import Ngram, ngrams, share_seen
from longwriter.text.words import count_words

NGRAM = 8
"""Words of a sequence that counts as repeated."""


class Paragraph:
    """A paragraph, with what it is measured by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = count_words(text)
        self.ngrams = ngrams(text, NGRAM)

    def repeated(self, text: "TextSoFar") -> float:
        """Share (0 to 1) of its n-grams that stand in `text`, or earlier in it."""
        return share_seen(self.ngrams, text.ngrams)


@dataclass
class TextSoFar:
    """The text so far, with what the next paragraph is measured by."""

    paragraphs: list[str] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    """Of each paragraph."""
    ngrams: set[Ngram] = field(default_factory=set)
    hidden: int = 0
    """Words of it that a step did not see, at most: the teacher's context was too small, or it copied
    what it saw."""

    def add(self, paragraph: Paragraph) -> None:
        """Puts a paragraph at the end."""
        self.paragraphs.append(paragraph.text)
        self.words.append(paragraph.words)
        self.ngrams.update(paragraph.ngrams)

    def visible_text(self, room: int) -> str:
        """The text in at most `room` words, its newest paragraph in any case: all of it, or its
        beginning and its newest part."""
        head, newest = window(self.words, room)
        self.hidden = max(self.hidden, sum(self.words[head:newest]))
        gap = ["[…]"] if newest > head else []
        return "\n\n".join(self.paragraphs[:head] + gap + self.paragraphs[newest:])


def window(words: Sequence[int], room: int) -> tuple[int, int]:
    """(a, b) where the paragraphs [:a] and [b:] are those to show in `room` words; a = b: all.

    The beginning takes up to a quarter. Whenever the rest is full, its older half goes, so that
    one prompt begins as the one before it, and a prefix cache serves it, but for these times.

    Args:
        words: of each paragraph.
    """
    if sum(words) <= room:
        return len(words), len(words)
    head = 0
    while sum(words[: head + 1]) <= room / 4:
        head += 1
    rest, newest = room - sum(words[:head]), head
    for end in range(head + 1, len(words) + 1):
        if sum(words[newest:end]) > rest:
            while newest < end - 1 and sum(words[newest:end]) > rest / 2:
                newest += 1
    return head, newest


def next_budget(plan: list[Step], written: list[int]) -> int:
    """Words for the next step: its share of what the text still lacks.

    What earlier steps wrote too long or too short is spread over all that are left, each of which
    keeps at least half of its budget in the plan.

    Args:
        written: words of the paragraphs so far.
    """
    step, left = plan[len(written)], plan[len(written) :]
    lacking = sum(s.word_count for s in plan) - sum(written)
    share = step.word_count / sum(s.word_count for s in left)
    return max(round(lacking * share), -(-step.word_count // 2))


def round_to_ten(words: int) -> int:
    """To the nearest ten, for people and models ask so; at least ten."""
    return max(10, round(words / 10) * 10)


def rejection_reason(
    paragraph: Paragraph,
    cut_off: bool,
    budget: int,
    plan: list[Step],
    text: TextSoFar,
    settings: AgentWriteSettings,
) -> str:
    """Why a paragraph of `budget` words cannot be used after `text`; empty where it can."""
    words = paragraph.words
    if cut_off:
        return f"cut off by max_tokens after {words} words of {budget}"
    if not paragraph.text:
        return "empty"
    if refused := refusal_in(paragraph.text):
        return f"refuses: {refused!r}"
    if words < settings.min_step_share * budget:
        return f"{words} words of {budget}"
    total, planned = sum(text.words) + words, sum(step.word_count for step in plan)
    if len(text.words) == len(plan) - 1 and total < settings.min_text_share * planned:
        return f"{words} words at the end leave the text at {total} of {planned}"
    if (repeated := paragraph.repeated(text)) > settings.max_step_repetition:
        return f"{repeated:.0%} of its {NGRAM}-grams stand in the text already"
    return ""
