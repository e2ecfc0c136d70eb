"""Scores how close a text is to the required length (S_l), and checks whether it keeps bounds."""

from dataclasses import dataclass

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.demands import demand_in


@dataclass(frozen=True)
class LengthConstraint:
    """Inclusive bounds of a text's length in words; None means no bound on that side."""

    least: int | None
    most: int | None

    @property
    def kind(self) -> str:
        """`at most`, `at least` or `between`."""
        if self.least is None:
            return "at most"
        return "at least" if self.most is None else "between"

    def nearest(self, words: int) -> int:
        """Returns the number of words within the bounds that is nearest to `words`."""
        at_least = max(words, self.least or words)
        return min(at_least, self.most or at_least)

    def obeyed(self, words: int) -> bool:
        """Returns whether a text of `words` words is within the bounds."""
        return (self.least or 0) <= words and (self.most is None or words <= self.most)


def constraint_in(text: str) -> LengthConstraint | None:
    """Returns the bounds in words that `text` states (`demand_in`); None if it states none.

    S_l ignores bounds: a text may be within them but far from the required length, and vice versa.
    """
    demand = demand_in(text)
    if demand.unit != "words" or demand.least is demand.most is None:
        return None
    return LengthConstraint(demand.least, demand.most)


def length_constraint(prompt: BenchmarkPrompt) -> LengthConstraint | None:
    """Returns the bounds of a benchmark row.

    These are its fields `min_words` and `max_words` if it has one of them, else what its prompt
    states (`constraint_in`).
    """
    given = prompt.model_dump()
    if given.get("min_words") or given.get("max_words"):
        return LengthConstraint(given.get("min_words") or None, given.get("max_words") or None)
    return constraint_in(prompt.prompt)


def length_score(required: int, written: int) -> float:
    """Returns S_l of one text, 0 to 100.

    With x words required and y written:
        y > x:      100 · max(0, 1 - (y/x - 1) / 3)    0 at four times the length and above
        0 < y ≤ x:  100 · max(0, 1 - (x/y - 1) / 2)    0 at a third of the length and below
        y = 0:      0

    Args:
        required: words asked for, greater than 0.
        written: words in the text, as `count_words` counts them.

    The paper's peculiarities are kept: a text of twice the length loses a third of the points, one
    of half the length loses half of them, and bounds such as "at least" count as the length itself.
    The released function divides by zero if y = 0 and otherwise gives exactly the same numbers, bit
    for bit.

    Source: LongWriter (arXiv 2408.07055), section 2; `score` of its released
    evaluation/eval_length.py at commit ca6ccd4.
    """
    if written == 0:
        return 0.0
    if written > required:
        return 100 * max(0.0, 1 - (written / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / written - 1) / 2)
