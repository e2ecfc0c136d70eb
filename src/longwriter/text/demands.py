"""The length that a prompt asks for, in English or Chinese.

A prompt can mention several lengths: that of the text wanted, of one part of it, of a text that it
provides, or of no text at all ("worth a thousand words"). `mentions` finds every one. `demand_in`
decides by the surrounding words what each refers to, and combines those of the text wanted.

Source: our own. benchmarks/lengths.py counts how many phrasings are understood correctly.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from longwriter.text import phrasings as say
from longwriter.text.chinese import simplified
from longwriter.text.numbers import neighbours, spread, value
from longwriter.text.words import language

FEWEST = 20
"""A smaller number of words or characters is ignored, as the length of a title or the like."""
FEWEST_STRICT = 5
"""Replaces FEWEST for a length that is worded as an instruction: exactly, at most."""
_MOST = 5_000_000
"""A larger number of words is not taken as a length."""
_BEFORE, _AFTER = 90, 60
"""How many characters before and after a length are searched for what it refers to."""
_REACH = 200
"""How many characters before and after a length are searched for the number of parts."""
_MOST_MENTIONS = 50
"""How many lengths are examined at the beginning of a prompt, and again at its end.

A prompt with more contains a table or another text.
"""
_HEAD = 600
"""How many characters at the beginning of a prompt are searched for what is to be written."""


class Mention(NamedTuple):
    """A length that a text mentions, as a range.

    The ends of "300 to 400 words" are 300 and 400; both ends of "300 words" are 300.
    """

    start: int
    """Character offset of its beginning in the text."""
    end: int
    least: float
    most: float
    unit: str = "words"
    """`words` (a Chinese character counts as one), `pages`, `minutes` or `characters`."""


@dataclass(frozen=True)
class Demand:
    """The length that a prompt asks for."""

    length: int | None = None
    """The stated length; None if the prompt states only bounds, or nothing."""
    least: int | None = None
    most: int | None = None
    """Both bounds are inclusive."""
    unit: str = "words"
    """`words`, `pages`, `minutes` or `characters`."""
    quotes: list[str] = field(default_factory=list)
    """The words of the prompt that state it."""

    @property
    def target(self) -> int | None:
        """Length to aim at: the stated one, else the middle of a range, else 10% inside a bound."""
        match self.length, self.least, self.most:
            case None, int(least), int(most):
                return round((least + most) / 2)
            case None, int(least), None:
                return round(least * 1.1)
            case None, None, int(most):
                return round(most * 0.9)
        return self.length

    def times(self, factor: float) -> "Demand":
        """Returns the demand in words, with each of its units counted as `factor` words."""
        length, least, most = (
            None if number is None else round(number * factor)
            for number in (self.length, self.least, self.most)
        )
        return Demand(length, least, most, "words", self.quotes)


def mentions(text: str) -> Iterator[Mention]:
    """Yields every length that `text` mentions, in order.

    Examples: "10,000 words", "a 5k-word essay", "five hundred words", "Word count: 2500", 2万字,
    三千五百字, "10 pages".
    """
    text = simplified(text)
    for number in say.NUMBER.finditer(text):
        unit = say.UNIT.match(text, number.end())
        alone = number["count"] or number["bound"] or number["zh_bound"]
        if not alone and re.search(
            "word|字", number["mid"] or ""
        ):  # 400 words but no more than 500
            alone = number["till"]
        if unit is None and not alone:
            continue
        low = number["low"] or number["low_spelled"] or number["from"] or number["count_low"]
        high = number["high"] or number["till"] or alone
        least, most = (low and spread(low, high)) or neighbours(high) or (value(high), value(high))
        yield Mention(
            number.start(),
            unit.end() if unit else number.end(),
            least,
            most,
            str(unit.lastgroup) if unit else "words",
        )


def demand_in(text: str) -> Demand:
    """Returns the length that `text` asks for.

    If there are several, those of the whole text count: what is called a total, else the largest,
    with the bounds that agree with it. If only parts have lengths, these are multiplied by the
    number of parts, or added up.
    """
    given, text = text, simplified(text)
    quoted = [
        quote.span() for quote in say.QUOTED.finditer(text) if not say.ORDERS.search(quote[0])
    ]
    found = list(mentions(text))
    read = [
        _read(_context(text, mention), given[mention.start : mention.end])
        for mention in [*found[:_MOST_MENTIONS], *found[_MOST_MENTIONS:][-_MOST_MENTIONS:]]
        if not any(start < mention.start and mention.end < end for start, end in quoted)
    ]
    demand = _of_words([one for one in read if one.demand.unit == "words"])
    for unit in ("pages", "minutes", "characters"):
        others = [one for one in read if one.demand.unit == unit and one.role in ("whole", "total")]
        demand = demand or (_joined(others) if others else None)
    return demand or Demand()


def words_asked(prompt: str) -> int | None:
    """Returns the number of words that a text for `prompt` should aim at.

    None if the prompt states no length, or one in pages, minutes or characters.
    """
    demand = demand_in(prompt)
    return demand.target if demand.unit == "words" else None


def asking_for(prompt: str, words: int | None) -> str:
    """Returns the prompt, with a request for `words` words appended if it states no length."""
    if words is None or demand_in(prompt).quotes:
        return prompt
    chinese = language(prompt) == "zh"
    return f"{prompt}\n\n" + (f"字数约{words}字。" if chinese else f"Write about {words} words.")


class _Context(NamedTuple):
    """A mention and the words around it."""

    text: str
    mention: Mention
    sentence: str
    """What precedes the mention in its sentence, at most _BEFORE characters."""
    clause: str
    """The end of `sentence`, after its last comma."""
    own: str
    """The mention itself."""
    after: str
    """What follows the mention in its sentence, at most _AFTER characters."""


def _context(text: str, mention: Mention) -> _Context:
    sentence = say.SENTENCE.split(text[max(0, mention.start - _BEFORE) : mention.start])[-1]
    after = say.SENTENCE.split(text[mention.end : mention.end + _AFTER])[0]
    own = text[mention.start : mention.end]
    return _Context(text, mention, sentence, say.CLAUSE.split(sentence)[-1], own, after)


class _Reading(NamedTuple):
    """What a mention refers to."""

    role: str
    """What the length refers to; empty if not to the text asked for.

    `whole`, `total`, `each` (of several parts), `part` (one of them), `listed` (a part, judging by
    the form of its line), or `body` (the whole without the parts that are mentioned).
    """
    demand: Demand
    context: _Context

    @property
    def size(self) -> int:
        """The largest number of the demand."""
        return max(n or 0 for n in (self.demand.length, self.demand.least, self.demand.most))


def _read(place: _Context, quote: str) -> _Reading:
    least, most = round(place.mention.least), round(place.mention.most)
    demand = Demand(unit=place.mention.unit, quotes=[quote])
    kind = _kind(place)
    if least < most:
        demand = replace(demand, least=least, most=most)
    elif least > most or kind == "about":  # from 3,000 words down to 1,500
        demand = replace(demand, length=most)
        tolerance = say.TOLERANCE.match(place.after) or say.SHARE.search(place.after)
        if tolerance:
            margin = round(int(tolerance[1]) * (most / 100 if tolerance[2] else 1))
            demand = replace(demand, least=most - margin, most=most + margin)
    else:
        least, most = (most, 0) if kind == "least" else (0, most)
        demand = replace(demand, least=least or None, most=most or None)
    reading = _Reading("" if _is_elsewhere(place) else _role(place), demand, place)
    strict = kind != "about" or say.STRICT.search(place.clause + place.own + place.after)
    fewest = 1 if demand.unit in ("pages", "minutes") else FEWEST_STRICT if strict else FEWEST
    small = reading.size < fewest and reading.role != "each"
    return reading._replace(role="") if small else reading


def _kind(place: _Context) -> str:
    """Returns whether a length is a lower bound (`least`), an upper (`most`) or none (`about`)."""
    before = place.clause
    if say.KEY.match(place.own):  # "word count of no less than 500"
        before += re.split(r"\d", place.own)[0]
    bound = (
        say.BOUND_BEFORE.search(before)
        or say.BOUND_AFTER.match(place.after)
        or say.BOUND_IN.search(place.own)
    )
    if bound is None:
        return "about"
    if bound.lastgroup == "soft":  # "within about 300 words"
        return "about" if say.ABOUT.search(before) else "most"
    return str(bound.lastgroup)


def _role(place: _Context) -> str:
    text, clause, after = place.text, place.clause, place.after
    if say.TOTAL_BEFORE.search(clause) or say.TOTAL_AFTER.match(after):
        return "total"
    several = say.SEVERAL.match(after) and not say.ONE.search(clause)
    if several or say.EACH_BEFORE.search(clause) or say.EACH_AFTER.match(after):
        return "each"
    if say.COUNTED.search(place.sentence) or say.MANY.search(
        text, 0, min(place.mention.start, _HEAD)
    ):
        return "each"
    if say.BODY_BEFORE.search(clause):
        return "body"
    part = (
        say.PART_BEFORE.search(clause)
        or say.PART_LABEL.search(place.sentence)
        or say.PART_OF.match(after)
        or (say.WITH.search(clause) and say.PART_AFTER.match(after))
    )
    if part:
        name = re.escape(part[str(part.lastgroup)])
        if name.startswith("第"):
            return "part"
        if part.lastgroup == "the" and not say.SENTENCE.search(text, 0, place.mention.start):
            return "whole"  # "The chapter should have 6000 words." is the request itself
        wanted = re.search(say.WANTED.format(part=name), text[:_HEAD], re.IGNORECASE)
        return "whole" if wanted else "part"
    return "listed" if say.LISTED.match(place.sentence) else "whole"


def _is_elsewhere(place: _Context) -> bool:
    """Returns whether a length is that of a provided text, of a change to it, or of no text."""
    mention = place.mention
    before = place.text[max(0, mention.start - 3) : mention.start].strip()
    if mention.unit == "words" and mention.most > _MOST:
        return True
    if mention.unit == "minutes" and not say.SPOKEN.search("".join(place[2:])):
        return True
    if say.GIVEN.search(place.sentence) and say.NOUN.match(place.after):
        return True
    return bool(
        (before and say.TITLED.match(place.own))
        or (before[-1:] in ("几", "数") and "字" not in before)
        or say.NO_DEMAND_BEFORE.search(place.sentence)
        or say.NO_DEMAND_AFTER.match(place.after)
    )


def _of_words(read: Sequence[_Reading]) -> Demand | None:
    """Returns the demand that results from the readings in words; None if they contain none."""
    some = [one for one in read if one.role in ("part", "listed", "body")]
    whole = ("whole", "body") if {one.role for one in some} == {"body"} else ("whole",)
    for roles in (("total",), whole):
        found = [one for one in read if one.role in roles]
        if found:
            return _joined(found)
    counted = [(one, _number_of_parts(one.context)) for one in read if one.role == "each"]
    parts = [one.demand.times(number) for one, number in counted if number]
    if not parts:
        alone = len(some) == 1 and some[0].role == "part"
        parts = [] if alone else [one.demand for one in some]
    return _added(parts)


def _joined(read: Sequence[_Reading]) -> Demand:
    """Returns the largest of several lengths of one text, completed by those that agree with it."""
    main = max(read, key=lambda one: one.size)
    demand = main.demand
    for one in read:
        other = one.demand
        near = abs(one.context.mention.start - main.context.mention.start) < _BEFORE
        if one is main or not (near or 2 * one.size >= main.size):
            continue
        joined = replace(
            demand,
            length=demand.length or other.length,
            least=demand.least or other.least,
            most=demand.most or other.most,
            quotes=[*demand.quotes, *other.quotes],
        )
        low, high = joined.least or 0, joined.most or main.size
        if low <= (joined.length or low) <= high and low <= high:
            demand = joined
    return demand


def _added(parts: Sequence[Demand]) -> Demand | None:
    """Returns the demand of a text that consists of `parts`; None if it is too small."""

    def total(numbers: Sequence[int | None]) -> int | None:
        known = [number for number in numbers if number is not None]
        return sum(known) if known and len(known) == len(numbers) else None

    length = total([part.length for part in parts])
    least, most = total([part.least for part in parts]), total([part.most for part in parts])
    if length is least is most is None:
        length = total([part.target for part in parts])
    quotes = [quote for part in parts for quote in part.quotes]
    large = max(length or 0, least or 0, most or 0) >= FEWEST
    return Demand(length, least, most, "words", quotes) if large else None


def _number_of_parts(place: _Context) -> int | None:
    """Returns how many parts have the length mentioned for each of them; None if not stated."""
    direct = say.NUMBER_OF.search(place.sentence)
    if direct:
        return round(value(direct[1]))
    mention = place.mention
    before = place.text[max(0, mention.start - _REACH) : mention.start]
    after = place.text[mention.end : mention.end + _REACH]
    pieces = [*say.PIECE.finditer(place.sentence)][-1:] or [*say.PIECE.finditer(place.after)]
    wanted = (pieces[0][1] or pieces[0][2]).lower() if pieces else ""
    for one in [*[*say.PARTS.finditer(before)][::-1], *say.PARTS.finditer(after)]:
        if wanted[:4] in one[0].lower():  # "stories" and "a story"
            return round(value(one["en"] or one["zh"]))
    counted = say.COUNTED.search(place.sentence)
    return round(value(counted["count"])) if counted and counted["count"] else None
