"""What decides that a row is dropped: each rule is one function, row in, reason to drop it or None out.

Which rules apply, in which order and with which thresholds, is set in conf/filter. The rules below ask
one row at a time. Three more are applied elsewhere: `malformed` when a line is read (`Row.read`),
`contaminated` against the benchmarks' prompts (evaluation/contamination.py), and `duplicate` and
`near_duplicate`, which compare the rows that pass all others (duplicates.py). What the rules recognise a
refusal, an ending or a label by is in the modules of the room `text`.
"""

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from longwriter.core.errors import SettingsError
from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings
from longwriter.text import endings, languages, remarks, structure
from longwriter.text.chinese import simplified
from longwriter.text.control_tokens import control_token_in
from longwriter.text.lengths import constraint_in, length_score
from longwriter.text.markup import is_verse, lines_of, without_formulas
from longwriter.text.placeholders import placeholder_in
from longwriter.text.refusals import refusal_in
from longwriter.text.repetition import (
    copied_sentences,
    long_sentences_again,
    repeated_ngrams,
    scaled,
)
from longwriter.text.scaffolding import residue_in
from longwriter.text.similarity import (
    compression,
    hashes,
    longest_repeat,
    said_again,
    shared_tokens,
    stutter,
)
from longwriter.text.thinking import thinking_in
from longwriter.text.words import tokens

Rule = Callable[[Row, FilterSettings], str | None]


def too_short(row: Row, settings: FilterSettings) -> str | None:
    """Fewer words than min_words.

    Source: LongWriter, section 3.2.
    """
    return f"{row.words} words" if row.words < settings.min_words else None


def too_long(row: Row, settings: FilterSettings) -> str | None:
    """More words than max_words: the variable of the paper's experiment on what bounds the output
    length.

    Source: LongWriter, section 2.2.
    """
    most = settings.max_words
    return f"{row.words} words" if most is not None and row.words > most else None


def too_many_tokens(row: Row, settings: FilterSettings) -> str | None:
    """More tokens than max_length, which SFT would have to cut: a text without its end teaches the
    model not to stop.

    Source: LongWriter's released SFT data skips rows over 32,768 tokens.
    """
    most = settings.max_length
    if most is None or row.tokens is None or row.tokens <= most:
        return None
    return f"{row.tokens} tokens, {most} at most"


def length_missed(row: Row, settings: FilterSettings) -> str | None:
    """S_l below min_length_score, if the instruction states a length; a text within bounds that it states
    passes, and of another S_l is taken to the bound that it misses.

    Source: arXiv 2410.10210: 666 rows kept by S_l of at least 80 beat all 6,000 of LongWriter-6k.
    """
    if not row.length or length_score(row.length, row.words) >= settings.min_length_score:
        return None
    bounds = constraint_in(row.messages[-2]["content"])
    wanted = bounds.nearest(row.words) if bounds else row.length
    score = length_score(wanted, row.words)
    if score >= settings.min_length_score:
        return None
    return f"{row.words} words for {wanted}: S_l {score:.0f}"


def thinking(row: Row, settings: FilterSettings) -> str | None:
    """Thinking of the model that wrote the row is left in the assistant's messages, unless the user asks
    about tags like those that mark it.

    Source: our own; a student would learn to think aloud in the text.
    """
    answers = (message["content"] for message in row.messages if message["role"] == "assistant")
    found = next(filter(None, (thinking_in(answer, row.prompt) for answer in answers)), None)
    return f"holds {found!r}" if found else None


def control_tokens(row: Row, settings: FilterSettings) -> str | None:
    """A control token of a chat template, such as `<|im_end|>`, or a forged next turn in a message: it ends
    the turn where a tokenizer reads it as one.

    Source: our own.
    """
    found = next(filter(None, (control_token_in(m["content"]) for m in row.messages)), None)
    return f"holds {found!r}" if found else None


def unsupported_language(row: Row, settings: FilterSettings) -> str | None:
    """The instruction asks for a text in neither English nor Chinese, which the other rules cannot tell
    good from bad. Source: our own."""
    found = languages.prompt_language(row.prompt)
    return (
        None if found in ("en", "zh") else f"asks for {found}; the rules know English and Chinese"
    )


def refusal(row: Row, settings: FilterSettings) -> str | None:
    """A refusal or an apology to the asker, or the writer speaks of itself as a model.

    Source: LongWriter, section 3.2, which drops crashed outputs.
    """
    found = refusal_in(row.response, row.prompt)
    return f"says {found!r}" if found else None


def unfinished(row: Row, settings: FilterSettings) -> str | None:
    """The text was cut off at the token limit, or stops in the middle.

    Source: LongWriter, section 3.2.
    """
    if row.record.get("finish_reason") == "length":
        return "cut off at the token limit"
    return endings.unfinished(row.response) or None


def residue(row: Row, settings: FilterSettings) -> str | None:
    """Something that the teacher wrote around the text is left in it: a label of a paragraph, a line of
    the plan, a remark on the number of words, a word to the asker.

    Source: LongWriter, section 3.2, which strips labels like "Paragraph 1".
    """
    found = residue_in(row.response, row.prompt)
    return f"holds {found!r}" if found else None


def repetition(row: Row, settings: FilterSettings) -> str | None:
    """Loops: more than max_repetition of the 8-word sequences (13 characters in Chinese) occurred earlier in
    the text; verse may have a refrain.

    Source: seq-rep-n, arXiv 1908.04319.
    """
    share = repeated_ngrams(row.response, scaled(8, row.response))
    most = _most(row, settings.max_repetition, settings)
    return f"{share:.0%} of 8-grams repeated" if share > most else None


def copied(row: Row, settings: FilterSettings) -> str | None:
    """More than max_copied of the sentences copy an earlier one; verse may have a refrain.

    Source: the duplicate line fraction of Gopher (arXiv 2112.11446), table A1, on sentences.
    """
    share = copied_sentences(row.response)
    most = _most(row, settings.max_copied, settings)
    return f"{share:.0%} of sentences copied" if share > most else None


def repeated_span(row: Row, settings: FilterSettings) -> str | None:
    """A passage of more than max_repeated_span words, or 1.6 times as many Chinese characters, occurs twice;
    verse may have a refrain.

    Source: our own; the copied paragraphs of long outputs are too few for the shares above to show.
    """
    if is_verse(lines_of(row.response)):
        return None
    longest = longest_repeat(row.hashes, scaled(settings.max_repeated_span, row.response) + 1)
    return f"{longest} words occur in it twice" if longest else None


def low_variety(row: Row, settings: FilterSettings) -> str | None:
    """Compresses to less than min_compression of its size, code and formulas left out: a template with
    changing words.

    Source: our own.
    """
    ratio = compression(without_formulas(row.response))
    return f"compresses to {ratio:.0%}" if ratio < settings.min_compression else None


def wrong_language(row: Row, settings: FilterSettings) -> str | None:
    """Most of the response is not in the language that the instruction asks for. Source: our own."""
    return languages.wrong_language(row.response, row.prompt) or None


def mixed_script(row: Row, settings: FilterSettings) -> str | None:
    """More than max_foreign of the response, or a passage of more than max_foreign_run words, is in
    another script than the rest. Source: our own."""
    found = languages.mixed_script(
        row.response, row.prompt, settings.max_foreign, settings.max_foreign_run
    )
    return found or None


def opener(row: Row, settings: FilterSettings) -> str | None:
    """The text begins with words to the asker: `Here is a story that …:`. Source: our own."""
    return _said(remarks.opener(row.plain))


def closer(row: Row, settings: FilterSettings) -> str | None:
    """The text ends with words to the asker: `Let me know if …`. Source: our own."""
    return _said(remarks.closer(row.plain, row.asked))


def note(row: Row, settings: FilterSettings) -> str | None:
    """A line is a note to the asker on the text: `(Note: this is a brief excerpt …)`. Source: our own."""
    return _said(remarks.note(row.plain))


def soft_refusal(row: Row, settings: FilterSettings) -> str | None:
    """The text excuses that it is shorter than what was asked for, or an outline of it.

    Source: our own; models that cannot write long say so in soft words.
    """
    return _said(remarks.soft_refusal(row.plain, row.asked))


def self_judgement(row: Row, settings: FilterSettings) -> str | None:
    """The text speaks of itself at its end: `This script provides a foundation for …`. Source: our own."""
    return _said(remarks.self_judgement(row.plain, row.asked))


def outline(row: Row, settings: FilterSettings) -> str | None:
    """An outline stands instead of the text. Source: our own."""
    return structure.outline(row.plain, row.asked) or None


def continuation(row: Row, settings: FilterSettings) -> str | None:
    """The text announces a part that is not there, or calls itself the continuation of one. Source: our
    own."""
    return structure.continuation(row.plain) or None


def after_end(row: Row, settings: FilterSettings) -> str | None:
    """The text goes on after THE END. Source: our own."""
    found = structure.text_after_end(row.plain)
    return f"goes on after {found!r}" if found else None


def numbering(row: Row, settings: FilterSettings) -> str | None:
    """A chapter's number is not above that of the chapter before it, or a heading stands twice. Source: our
    own."""
    found = structure.misnumbered(row.plain)
    return f"has {found!r} again or too late" if found else None


def fence(row: Row, settings: FilterSettings) -> str | None:
    """A code fence stands around the whole text. Source: our own."""
    return "stands in a code fence" if structure.fenced(row.response) else None


def placeholder(row: Row, settings: FilterSettings) -> str | None:
    """A blank is left to be filled: `[Your Name]`. Source: our own."""
    found = placeholder_in(row.response, row.prompt)
    return f"holds {found!r}" if found else None


def foreign_word(row: Row, settings: FilterSettings) -> str | None:
    """A Chinese word slipped into an English text, or an English one into a Chinese text. Source: our own."""
    found = languages.foreign_word(row.response, row.prompt)
    return f"holds {found!r}" if found else None


def near_copy(row: Row, settings: FilterSettings) -> str | None:
    """A paragraph says an earlier one again: the Jaccard similarity of their 3-word sequences is
    min_paragraph_similarity or more. Or sentences of 12 words and more copy earlier ones: two, and more than
    one in 2,000 words. Verse may have a refrain. Source: our own."""
    if is_verse(lines_of(row.response)):
        return None
    found = said_again(row.response, settings.min_paragraph_similarity)
    if not found:
        found = long_sentences_again(row.response)
        if len(found) <= max(1, row.words / 2000):
            return None
    return f"says again: {found[0][:80]!r}"


def stuttering(row: Row, settings: FilterSettings) -> str | None:
    """A phrase of 2 to 12 words is said 4 times or more in a row, 12 words in all at least; formulas and code
    are left out, and verse may have a refrain.

    Source: our own; the shares above don't show it in a long text.
    """
    least = scaled(12, row.response)
    if stutter(row.hashes, least) == (0, 0) or is_verse(lines_of(row.response)):
        return None
    words = tokens(without_formulas(row.response))
    start, end = stutter(hashes(words), least)
    said = " ".join(words[start:end])
    return f"says {said[:80]!r}" if any(letter.isalpha() for letter in said) else None


def prompt_copy(row: Row, settings: FilterSettings) -> str | None:
    """More than max_prompt_copy words of the prompt, in passages of half as many and more, are in the text: a
    story that was given to be continued or rewritten. Source: our own."""
    most = scaled(settings.max_prompt_copy, row.response)
    copied = shared_tokens(row.hashes, hashes(tokens(row.prompt)), most // 2)
    return f"copies {copied} words of the prompt" if copied > most else None


def low_quality(row: Row, settings: FilterSettings) -> str | None:
    """A `quality_score` below min_quality, if the row has one.

    Source: S_q of LongWriter, section 4.1.
    """
    score, least = row.record.get("quality_score"), settings.min_quality
    if least is None or not isinstance(score, int | float) or score >= least:
        return None
    return f"quality score {score:g}"


def _said(remark: remarks.Remark | None) -> str | None:
    return f"says {remark.words[:80]!r}" if remark else None


def _most(row: Row, share: float, settings: FilterSettings) -> float:
    return max(share, settings.max_verse_repetition) if is_verse(lines_of(row.response)) else share


def _without_opener(row: Row) -> tuple[str, str]:
    text = row.response
    found = remarks.opener(simplified(text))
    # An excuse stays for its own rule: what follows it is no whole text.
    if not found or remarks.soft_refusal(simplified(text[: found.end])):
        return text, ""
    return _RULE_LINE.sub("", text[found.end :], count=1), text[: found.end]


def _without_closer(row: Row) -> tuple[str, str]:
    text = row.response
    found = remarks.closer(simplified(text), simplified(row.prompt))
    return (_LAST_RULE.sub("", text[: found.start]), text[found.start :]) if found else (text, "")


def _without_fence(row: Row) -> tuple[str, str]:
    found = structure.fenced(row.response)
    return (found[1], "```") if found else (row.response, "")


_RULE_LINE = re.compile(r"\s*(?:[-*_=—]{3,}[ \t]*\n)?\s*")
_LAST_RULE = re.compile(r"\s{0,200}(?:\n[-*_=—]{3,200}[ \t]{0,20})?\s{0,200}$")
"""A ruled line between the remark and the text goes with the remark."""
STRIP = {"fence": _without_fence, "opener": _without_opener, "closer": _without_closer}
"""Rule → what is left of a response, and what was taken off."""


def check_strip(names: Sequence[str]) -> None:
    """Checks the setting `filter.strip`.

    Raises:
        SettingsError: a rule is none whose finding can be taken off.
    """
    for name in names:
        if name not in STRIP:
            raise SettingsError(
                f"filter.strip: {name!r} cannot be stripped; {', '.join(STRIP)} can"
            )


def strip(row: Row, names: Sequence[str]) -> None:
    """Takes off the row's response what the rules `names` find (`STRIP`); a row of which nothing would be
    left is not touched."""
    for name in (name for name in STRIP if name in names):
        text, off = STRIP[name](row)
        if off and text.strip():
            row.strip(name, text.strip(), off.strip())


MALFORMED = "malformed"
"""Applied when a line is read: nothing else can be asked of a line that is no row."""
CONTAMINATED = "contaminated"
"""Applied by the rule runner, which holds the benchmarks' prompts."""
BETWEEN_ROWS = ("duplicate", "near_duplicate")
"""Applied to the rows that pass all others."""

RULES: dict[str, Rule] = {
    "too_short": too_short,
    "too_long": too_long,
    "too_many_tokens": too_many_tokens,
    "length_missed": length_missed,
    "thinking": thinking,
    "control_tokens": control_tokens,
    "unsupported_language": unsupported_language,
    "refusal": refusal,
    "unfinished": unfinished,
    "residue": residue,
    "repetition": repetition,
    "copied": copied,
    "repeated_span": repeated_span,
    "low_variety": low_variety,
    "wrong_language": wrong_language,
    "mixed_script": mixed_script,
    "opener": opener,
    "closer": closer,
    "note": note,
    "soft_refusal": soft_refusal,
    "self_judgement": self_judgement,
    "outline": outline,
    "continuation": continuation,
    "after_end": after_end,
    "numbering": numbering,
    "fence": fence,
    "placeholder": placeholder,
    "foreign_word": foreign_word,
    "near_copy": near_copy,
    "stuttering": stuttering,
    "prompt_copy": prompt_copy,
    "low_quality": low_quality,
}


def chosen(names: Sequence[str], contaminated: Rule) -> dict[str, Rule]:
    """Returns the rules on single rows that `names` lists, in that order.

    Args:
        names: of the project's rules, or `package.module:function` of others.
        contaminated: the rule of that name.

    Raises:
        SettingsError: a name is unknown or listed twice, or a rule that compares rows is not last.
    """
    known = RULES | {CONTAMINATED: contaminated}
    known |= {name: _imported(name) for name in names if ":" in name}
    for name in names:
        if name not in (*known, MALFORMED, *BETWEEN_ROWS):
            every = ", ".join([MALFORMED, *known, *BETWEEN_ROWS])
            raise SettingsError(
                f"filter.rules: there is no rule {name!r}; the rules are {every}; package.module:function is one "
                "of your own"
            )
        if list(names).count(name) > 1:
            raise SettingsError(f"filter.rules: {name!r} is listed twice")
    last = [name for name in names if name in BETWEEN_ROWS]
    if list(names)[len(names) - len(last) :] != last:
        raise SettingsError(
            f"filter.rules: {' and '.join(last)} compare rows that pass all others; list them last"
        )
    if MALFORMED in names[1:]:
        raise SettingsError(
            f"filter.rules: {MALFORMED!r} is applied when a line is read; list it first"
        )
    return {name: known[name] for name in names if name in known}


def _imported(name: str) -> Rule:
    """The function that `package.module:function` names."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"filter.rules: {name}: {error}; the module must be where Python finds it (PYTHONPATH=.)"
        ) from None
    if not callable(found):
        raise SettingsError(f"filter.rules: {name} is no function")
    return cast(Rule, found)
