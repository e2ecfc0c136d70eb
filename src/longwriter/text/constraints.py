"""What a prompt demands of the length (at most, at least, between) and whether a text obeys."""

import re
from dataclasses import dataclass

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.lengths import lengths_in

_FEWEST_WORDS = 20
"""A smaller number is the length of a title or the like."""


_BEFORE = {
    "at least": re.compile(
        r"(at lea(?:st|se)|(?:no|not) (?:less|fewer) than|(?<!no )(?<!not )more than|over|above|"
        r"(?<!not )(?<!not to )exceed(?:ing)?|minimum(?: length)?(?: of|:)?|min\.?(?: of)?|"
        r"不(?:得|要|能|可)?(?:少于|低于|小于|下于)|至少|最少|起码|"
        r"(?<!不)(?<!不[得要能可])(?:超过|多于|大于|高于))[\s:：约]*$",
        re.I,
    ),
    "at most": re.compile(
        r"(at most|(?:no|not) more than|not (?:to )?exceed(?:ing)?|up to|within|under|below|"
        r"(?:fewer|less) than|maximum(?: length)?(?: of|:)?|max\.?(?: of)?|limit(?:ed)? (?:of|to)|"
        r"不(?:得|要|能|可)?(?:超过|多于|大于|高于)|至多|最多|少于|低于|小于)[\s:：约]*$",
        re.I,
    ),
}
"""What stands in front of a length and bounds it. `at least` is asked first, for "no less than" ends
in "less than"."""


_AFTER = {
    "at most": re.compile(
        r"\s*(?:or (?:less|fewer|under)|max(?:imum)?\b|at (?:the )?most|之?以内|之?内|以下|之?之内)",
        re.I,
    ),
    "at least": re.compile(
        r"\s*(?:or (?:more|longer|above)|min(?:imum)?\b|at (?:the )?least|及?以上|起\b|或更多)",
        re.I,
    ),
}


_BETWEEN = re.compile(r"between (\d[\d,]*) (?:words )?and\s*$|(\d[\d,]*)字?[和与]\s*$", re.I)


_WINDOW = 24
"""Characters in front of a length in which the words that bound it stand."""


@dataclass(frozen=True)
class LengthConstraint:
    """Bounds of a text's length in words, both included; None: no bound on that side."""

    least: int | None
    most: int | None

    @property
    def kind(self) -> str:
        """`at most`, `at least` or `between`."""
        if self.least is None:
            return "at most"
        return "at least" if self.most is None else "between"

    def obeyed(self, words: int) -> bool:
        """Whether a text of so many words obeys."""
        return (self.least or 0) <= words and (self.most is None or words <= self.most)


def length_constraint(prompt: BenchmarkPrompt) -> LengthConstraint | None:
    """The bounds that a benchmark's row states, or None where it states a length, or none at all.

    A row's fields `min_words` and `max_words` count first. Else the prompt's own words do: "at
    least 400 words", "no more than 200 words", "300 to 400 words", 不少于800字, 200字以内, 300到400字.
    Of several lengths in a prompt the bounds of the largest are taken, as of the length itself. A
    text may obey and be far from the required length, and the other way round: S_l knows no bounds.
    """
    given = prompt.model_dump()
    if given.get("min_words") or given.get("max_words"):
        return LengthConstraint(given.get("min_words") or None, given.get("max_words") or None)
    return constraint_in(prompt.prompt)


def constraint_in(text: str) -> LengthConstraint | None:
    """The bounds that `text` states in words, English or Chinese; see `demand`."""
    lengths = [found for found in lengths_in(text) if found.most >= _FEWEST_WORDS]
    if not lengths:
        return None
    found = max(lengths, key=lambda length: length.most)
    least, most = round(found.least), round(found.most)
    before, after = text[max(0, found.start - _WINDOW) : found.start], text[found.end :]
    between = _BETWEEN.search(before)
    if between:
        least = int((between.group(1) or between.group(2)).replace(",", ""))
    if least < most:
        return LengthConstraint(least, most)
    if _BEFORE["at least"].search(before) or _AFTER["at least"].match(after):
        return LengthConstraint(most, None)
    if _BEFORE["at most"].search(before) or _AFTER["at most"].match(after):
        return LengthConstraint(None, most)
    return None
