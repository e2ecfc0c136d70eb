"""The text so far: how much of it a step sees, and what the next paragraph must satisfy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.rows import Step
from longwriter.text.refusals import refusal_in
from longwriter.text.repetition import Ngram, ngrams, share_seen
from longwriter.text.words import count_words

NGRAM = 8
"""Length of the n-grams by which repetition is measured."""


class Paragraph:
    """A paragraph with its length and n-grams."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = count_words(text)
        self.ngrams = ngrams(text, NGRAM)

    def repeated(self, text: "TextSoFar") -> float:
        """Returns the share (0 to 1) of its n-grams that occur in `text` or earlier in itself."""
        return share_seen(self.ngrams, text.ngrams)


@dataclass
class TextSoFar:
    """The paragraphs so far, with the length and n-grams that the next one is checked against."""

    paragraphs: list[str] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    """Number of words of each paragraph."""
    ngrams: set[Ngram] = field(default_factory=set)
    hidden_words: int = 0
    """Largest number of words of the text that were hidden from a step, because the teacher's
    context was too small or it copied what it saw."""

    def add(self, paragraph: Paragraph) -> None:
        """Appends a paragraph."""
        self.paragraphs.append(paragraph.text)
        self.words.append(paragraph.words)
        self.ngrams.update(paragraph.ngrams)

    def excerpt(self, max_words: int) -> str:
        """Returns the text, or if it is longer than `max_words` only its beginning and newest part.

        The two parts have `[…]` between them, and the newest paragraph is always included. Updates
        `hidden_words`.
        """
        head, newest = window(self.words, max_words)
        self.hidden_words = max(self.hidden_words, sum(self.words[head:newest]))
        gap = ["[…]"] if newest > head else []
        return "\n\n".join(self.paragraphs[:head] + gap + self.paragraphs[newest:])


def window(words: Sequence[int], max_words: int) -> tuple[int, int]:
    """Returns (a, b): paragraphs [:a] and [b:] are to be shown, in about `max_words`; a = b: all.

    The beginning takes up to a quarter of the words. When the rest is full, its older half is
    dropped at once, so that most prompts begin like the one before them and a prefix cache can
    serve them.

    Args:
        words: number of words of each paragraph.
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
    """Returns the word budget of the next step: its share of the words that are still missing.

    If earlier steps were too long or too short, the difference is spread over all remaining steps,
    each of which keeps at least half of its planned budget.

    Args:
        written: number of words of each paragraph so far.
    """
    step, left = plan[len(written)], plan[len(written) :]
    lacking = sum(s.word_count for s in plan) - sum(written)
    share = step.word_count / sum(s.word_count for s in left)
    return max(round(lacking * share), -(-step.word_count // 2))


def round_to_ten(words: int) -> int:
    """Rounds to the nearest ten, as a person would in a request; at least ten."""
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
    """Returns why a paragraph with `budget` words to write cannot follow `text`; empty if it can.

    Args:
        prompt: the instruction, which may ask for words that would otherwise be a refusal.
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
