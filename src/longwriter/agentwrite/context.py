"""The text so far: how much of it a step sees, and what the next paragraph must satisfy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.rows import Step
from longwriter.text.refusals import refusal_in
from longwriter.text.repetition import Ngram, ngrams, share_seen
from longwriter.text.words import count_words

NGRAM = 8
"""Words of a sequence, for repetition."""


class Paragraph:
    """A paragraph with its length and n-grams."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = count_words(text)
        self.ngrams = ngrams(text, NGRAM)

    def repeated(self, text: "TextSoFar") -> float:
        """Share (0 to 1) of its n-grams that occur in `text`, or earlier in the paragraph."""
        return share_seen(self.ngrams, text.ngrams)


@dataclass
class TextSoFar:
    """The paragraphs so far, with the length and n-grams that the next one is checked against."""

    paragraphs: list[str] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    """Of each paragraph, its words."""
    ngrams: set[Ngram] = field(default_factory=set)
    hidden_words: int = 0
    """Most words of the text that were hidden from a step, because the teacher's context was too small
    or it copied what it saw."""

    def add(self, paragraph: Paragraph) -> None:
        """Appends a paragraph."""
        self.paragraphs.append(paragraph.text)
        self.words.append(paragraph.words)
        self.ngrams.update(paragraph.ngrams)

    def excerpt(self, max_words: int) -> str:
        """The text, where it is longer than `max_words` only its beginning and its newest part, with
        `[…]` between them; the newest paragraph in any case. Notes how much was left out."""
        head, newest = window(self.words, max_words)
        self.hidden_words = max(self.hidden_words, sum(self.words[head:newest]))
        gap = ["[…]"] if newest > head else []
        return "\n\n".join(self.paragraphs[:head] + gap + self.paragraphs[newest:])


def window(words: Sequence[int], max_words: int) -> tuple[int, int]:
    """(a, b) where the paragraphs [:a] and [b:] are those to show in `max_words` words; a = b: all.

    The beginning takes up to a quarter. When the rest is full, its older half is dropped at once, so
    that most prompts begin like the one before them and a prefix cache serves them.

    Args:
        words: of each paragraph.
    """
    if sum(words) <= max_words:
        return len(words), len(words)
    head = 0
    while sum(words[: head + 1]) <= max_words / 4:
        head += 1
    rest, newest = max_words - sum(words[:head]), head
    for end in range(head + 1, len(words) + 1):
        if sum(words[newest:end]) > rest:
            while newest < end - 1 and sum(words[newest:end]) > rest / 2:
                newest += 1
    return head, newest


def next_budget(plan: list[Step], written: list[int]) -> int:
    """Words for the next step: its share of the words that the text still lacks.

    Where earlier steps were too long or too short, the difference is spread over all steps that are
    left, each of which keeps at least half of its budget in the plan.

    Args:
        written: words of the paragraphs so far.
    """
    step, left = plan[len(written)], plan[len(written) :]
    lacking = sum(s.word_count for s in plan) - sum(written)
    share = step.word_count / sum(s.word_count for s in left)
    return max(round(lacking * share), -(-step.word_count // 2))


def round_to_ten(words: int) -> int:
    """To the nearest ten, as people would ask; at least ten."""
    return max(10, round(words / 10) * 10)


def rejection_reason(
    paragraph: Paragraph,
    prompt: str,
    cut_off: bool,
    budget: int,
    plan: list[Step],
    text: TextSoFar,
    settings: AgentWriteSettings,
) -> str:
    """Why a paragraph with a budget of `budget` words cannot follow `text`; empty where it can.

    Args:
        prompt: the instruction, which may ask for what would be a refusal elsewhere.
    """
    words = paragraph.words
    if cut_off:
        return f"cut off by max_tokens after {words} words of {budget}"
    if not paragraph.text:
        return "empty"
    if refused := refusal_in(paragraph.text, prompt):
        return f"refuses: {refused!r}"
    if words < settings.min_step_share * budget:
        return f"{words} words of {budget}"
    total, planned = sum(text.words) + words, sum(step.word_count for step in plan)
    if len(text.words) == len(plan) - 1 and total < settings.min_text_share * planned:
        return f"{words} words at the end leave the text at {total} of {planned}"
    if (repeated := paragraph.repeated(text)) > settings.max_step_repetition:
        return f"{repeated:.0%} of its {NGRAM}-grams are in the text already"
    return ""
