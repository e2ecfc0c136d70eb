"""The length that a prompt asks for, in English or Chinese.

A prompt can name several lengths: of the text wanted, of one part of it, of a text that it gives, or of
none at all ("worth a thousand words"). `mentions` finds every one; `demand_in` decides what each is about,
by the words around it, and puts those of the text wanted together.

Source: our own. benchmarks/lengths.py counts how many phrasings are read right.
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
"""A smaller number of words or characters is the length of a title or the like, """
FEWEST_STRICT = 5
"""unless it is said with the words of an order: exactly, at most."""
_MOST = 5_000_000
"""More words are nobody's length."""
_BEFORE, _AFTER = 90, 60
"""Characters before and after a length that are searched for what it is about."""
_REACH = 200
"""And what says how many parts there are."""
_MOST_MENTIONS = 50
"""Lengths at the beginning of a prompt, and as many at its end, that are looked at: one with more holds a
table or another text."""
_HEAD = 600
"""Characters at the beginning of a prompt in which it says what is to be written."""


class Mention(NamedTuple):
    """A length that a text mentions: the ends of "300 to 400 words" are 300 and 400, both ends of
    "300 words" are 300."""

    start: int
    """Where it begins in the text, in characters."""
    end: int
    least: float
    most: float
    unit: str = "words"
    """`words` (a Chinese character is one), `pages`, `minutes` or `characters`."""


@dataclass(frozen=True)
class Demand:
    """The length that a prompt asks for."""

    length: int | None = None
    """What the text should have; None where only bounds are stated, or nothing."""
    least: int | None = None
    most: int | None = None
    """Both bounds are included."""
    unit: str = "words"
    """`words`, `pages`, `minutes` or `characters`."""
    quotes: list[str] = field(default_factory=list)
    """The words that it was read from."""

    @property
    def target(self) -> int | None:
        """What to aim at: the length, else the middle of a range, else a tenth inside the one bound."""
        match self.length, self.least, self.most:
            case None, int(least), int(most):
                return round((least + most) / 2)
            case None, int(least), None:
                return round(least * 1.1)
            case None, None, int(most):
                return round(most * 0.9)
        return self.length

    def times(self, factor: float) -> "Demand":
        """The demand in words, where one of its units is `factor` words."""
        length, least, most = (
            None if number is None else round(number * factor)
            for number in (self.length, self.least, self.most)
        )
        return Demand(length, least, most, "words", self.quotes)


def mentions(text: str) -> Iterator[Mention]:
    """Yields every length that `text` mentions, in order: "10,000 words", "a 5k-word essay", "five hundred
    words", "Word count: 2500", 2万字, 三千五百字, "10 pages"."""
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
    """Returns the length that `text` asks for. Of several, those of the whole text count: what is called a
    total, else the largest, with the bounds that agree with it. Where only parts have lengths, these are
    multiplied by the number of parts, or added up."""
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
    """Returns the number of words that a text for `prompt` should aim at; None where it doesn't say, or says
    pages, minutes or characters."""
    demand = demand_in(prompt)
    return demand.target if demand.unit == "words" else None


def asking_for(prompt: str, words: int | None) -> str:
    """Returns the prompt with a sentence that asks for `words` words, where it doesn't state a length."""
    if words is None or demand_in(prompt).quotes:
        return prompt
    chinese = language(prompt) == "zh"
    return f"{prompt}\n\n" + (f"字数约{words}字。" if chinese else f"Write about {words} words.")


class _Context(NamedTuple):
    """A mention and the words around it."""

    text: str
    mention: Mention
    sentence: str
    """Before it, from the sentence's beginning, in the last _BEFORE characters."""
    clause: str
    """The same from the last comma on."""
    own: str
    """The mention's words."""
    after: str
    """To the sentence's end, in the next _AFTER characters."""


def _context(text: str, mention: Mention) -> _Context:
    sentence = say.SENTENCE.split(text[max(0, mention.start - _BEFORE) : mention.start])[-1]
    after = say.SENTENCE.split(text[mention.end : mention.end + _AFTER])[0]
    own = text[mention.start : mention.end]
    return _Context(text, mention, sentence, say.CLAUSE.split(sentence)[-1], own, after)


class _Reading(NamedTuple):
    """What a mention is about."""

    role: str
    """`whole`, `total`, `each` (of several parts), `part` (one of them), `listed` (a part, by the form of
    its line), `body` (the whole, but for the parts that are mentioned); empty: not the text that is asked for."""
    demand: Demand
    context: _Context

    @property
    def size(self) -> int:
        """The largest of its numbers."""
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
    """`least`, `most` or `about`: whether a length is a bound."""
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
            return "whole"  # "The chapter should have 6000 words.": that is the order
        wanted = re.search(say.WANTED.format(part=name), text[:_HEAD], re.IGNORECASE)
        return "whole" if wanted else "part"
    return "listed" if say.LISTED.match(place.sentence) else "whole"


def _is_elsewhere(place: _Context) -> bool:
    """Whether a length is that of a text that is given, of a change to it, or of no text at all."""
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
    """The demand in the readings of words; None where they hold none."""
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
    """The largest of several lengths of one text, with what the others say of it."""
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
    """The demand of a text that consists of `parts`."""

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
    """How many parts have the length that is mentioned of each of them; None where nothing says it."""
    direct = say.NUMBER_OF.search(place.sentence)
    if direct:
        return round(value(direct[1]))
    mention = place.mention
    before = place.text[max(0, mention.start - _REACH) : mention.start]
    after = place.text[mention.end : mention.end + _REACH]
    pieces = [*say.PIECE.finditer(place.sentence)][-1:] or [*say.PIECE.finditer(place.after)]
    wanted = (pieces[0][1] or pieces[0][2]).lower() if pieces else ""
    for one in [*[*say.PARTS.finditer(before)][::-1], *say.PARTS.finditer(after)]:
        if wanted[:4] in one[0].lower():  # stories, a story
            return round(value(one["en"] or one["zh"]))
    counted = say.COUNTED.search(place.sentence)
    return round(value(counted["count"])) if counted and counted["count"] else None
