"""The filter's rules: each is a function from a row to a reason to drop it, or None.

conf/filter sets which rules apply, in which order and with which thresholds. The rules below check
one row at a time. Four more are applied elsewhere: `malformed` when a line is read (`Row.read`),
`contaminated` against the benchmarks' prompts (evaluation/contamination.py), and `duplicate` and
`near_duplicate`, which compare the rows that pass all others (duplicates.py). The patterns by which
the rules recognise a refusal, an ending or a label are in the package `longwriter.text`.
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
    """Rejects responses of fewer than min_words words.

    Source: LongWriter, section 3.2.
    """
    return f"{row.words} words" if row.words < settings.min_words else None


def too_long(row: Row, settings: FilterSettings) -> str | None:
    """Rejects responses of more than max_words words.

    max_words is the variable in the paper's experiment on what bounds the output length.

    Source: LongWriter, section 2.2.
    """
    most = settings.max_words
    return f"{row.words} words" if most is not None and row.words > most else None


def too_many_tokens(row: Row, settings: FilterSettings) -> str | None:
    """Rejects rows of more than max_length tokens, which SFT would have to truncate.

    A text without its end teaches the model not to stop.

    Source: LongWriter's released SFT data skips rows over 32,768 tokens.
    """
    most = settings.max_length
    if most is None or row.tokens is None or row.tokens <= most:
        return None
    return f"{row.tokens} tokens, {most} at most"


def length_missed(row: Row, settings: FilterSettings) -> str | None:
    """Rejects rows with S_l below min_length_score, if the instruction states a length.

    If it states bounds, a text within them passes, and for any other, S_l is computed for the
    bound that it misses.

    Source: arXiv 2410.10210: 666 rows with S_l of at least 80 beat all 6,000 of LongWriter-6k.
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
    """Rejects rows in which the thinking of the model that wrote them is left in an answer.

    Rows whose user asks about such thinking tags are exempt.

    Source: our own; a student would learn to think aloud in the text.
    """
    answers = (message["content"] for message in row.messages if message["role"] == "assistant")
    found = next(filter(None, (thinking_in(answer, row.prompt) for answer in answers)), None)
    return f"holds {found!r}" if found else None


def control_tokens(row: Row, settings: FilterSettings) -> str | None:
    """Rejects rows with a chat template's control token, or with a forged next turn in a message.

    A tokenizer that reads `<|im_end|>` as a control token ends the turn there.

    Source: our own.
    """
    found = next(filter(None, (control_token_in(m["content"]) for m in row.messages)), None)
    return f"holds {found!r}" if found else None


def unsupported_language(row: Row, settings: FilterSettings) -> str | None:
    """Rejects rows whose instruction asks for a text in neither English nor Chinese.

    The other rules cannot tell good texts from bad ones in other languages. Source: our own.
    """
    found = languages.prompt_language(row.prompt)
    return (
        None if found in ("en", "zh") else f"asks for {found}; the rules know English and Chinese"
    )


def refusal(row: Row, settings: FilterSettings) -> str | None:
    """Rejects refusals, apologies to the user, and texts whose writer speaks of itself as a model.

    Source: LongWriter, section 3.2, which drops crashed outputs.
    """
    found = refusal_in(row.response, row.prompt)
    return f"says {found!r}" if found else None


def unfinished(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that were cut off at the token limit or that stop in the middle.

    Source: LongWriter, section 3.2.
    """
    if row.record.get("finish_reason") == "length":
        return "cut off at the token limit"
    return endings.unfinished(row.response) or None


def residue(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts in which something that the teacher wrote around the text is left.

    That is a paragraph label, a line of the plan, or a remark on the number of words. Words to the
    user have rules of their own.

    Source: LongWriter, section 3.2, which strips labels like "Paragraph 1".
    """
    found = residue_in(row.response, row.prompt)
    return f"holds {found!r}" if found else None


def repetition(row: Row, settings: FilterSettings) -> str | None:
    """Rejects loops: more than max_repetition of the 8-word sequences occurred earlier in the text.

    In Chinese, a sequence is 13 characters. For verse, which may have a refrain, the limit is at
    least max_verse_repetition.

    Source: seq-rep-n, arXiv 1908.04319.
    """
    share = repeated_ngrams(row.response, scaled(8, row.response))
    most = _most(row, settings.max_repetition, settings)
    return f"{share:.0%} of 8-grams repeated" if share > most else None


def copied(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts in which more than max_copied of the sentences copy an earlier one.

    For verse, which may have a refrain, the limit is at least max_verse_repetition.

    Source: the duplicate line fraction of Gopher (arXiv 2112.11446), table A1, for sentences.
    """
    share = copied_sentences(row.response)
    most = _most(row, settings.max_copied, settings)
    return f"{share:.0%} of sentences copied" if share > most else None


def repeated_span(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts in which a passage of more than max_repeated_span words occurs twice.

    In Chinese, the limit is 1.6 times as many characters. Verse, which may have a refrain, is
    exempt.

    Source: our own; in long outputs, copied paragraphs are too few for the shares above to show.
    """
    if is_verse(lines_of(row.response)):
        return None
    longest = longest_repeat(row.hashes, scaled(settings.max_repeated_span, row.response) + 1)
    return f"{longest} words occur in it twice" if longest else None


def low_variety(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that compress to less than min_compression of their size.

    Such a text is a template with changing words. Code and formulas are left out.

    Source: our own.
    """
    ratio = compression(without_formulas(row.response))
    return f"compresses to {ratio:.0%}" if ratio < settings.min_compression else None


def wrong_language(row: Row, settings: FilterSettings) -> str | None:
    """Rejects responses that are mostly not in the language the instruction asks for.

    Source: our own.
    """
    return languages.wrong_language(row.response, row.prompt) or None


def mixed_script(row: Row, settings: FilterSettings) -> str | None:
    """Rejects responses with too much text in a script other than that of the rest.

    Too much is more than max_foreign of the response, or a passage of more than max_foreign_run
    words. Source: our own.
    """
    found = languages.mixed_script(
        row.response, row.prompt, settings.max_foreign, settings.max_foreign_run
    )
    return found or None


def opener(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that begin with words to the user: `Here is a story that …:`.

    Source: our own.
    """
    return _said(remarks.opener(row.plain))


def closer(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that end with words to the user: `Let me know if …`. Source: our own."""
    return _said(remarks.closer(row.plain, row.asked))


def note(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts with a note to the user about the text: `(Note: this is a brief excerpt …)`.

    Source: our own.
    """
    return _said(remarks.note(row.plain))


def soft_refusal(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that excuse being shorter than what was asked for, or only an outline of it.

    Source: our own; models that cannot write long texts say so indirectly.
    """
    return _said(remarks.soft_refusal(row.plain, row.asked))


def self_judgement(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that end by judging themselves: `This script provides a foundation for …`.

    Source: our own.
    """
    return _said(remarks.self_judgement(row.plain, row.asked))


def outline(row: Row, settings: FilterSettings) -> str | None:
    """Rejects outlines written in place of the text. Source: our own."""
    return structure.outline(row.plain, row.asked) or None


def continuation(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that announce a missing part, or call themselves the continuation of one.

    Source: our own.
    """
    return structure.continuation(row.plain) or None


def after_end(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that go on after THE END. Source: our own."""
    found = structure.text_after_end(row.plain)
    return f"goes on after {found!r}" if found else None


def numbering(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts in which a chapter number fails to increase, or a heading occurs twice.

    Source: our own.
    """
    found = structure.misnumbered(row.plain)
    return f"repeated or out-of-order heading {found!r}" if found else None


def fence(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that are entirely wrapped in a code fence. Source: our own."""
    return "is wrapped in a code fence" if structure.fenced(row.response) else None


def placeholder(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts with a blank left to fill in: `[Your Name]`. Source: our own."""
    found = placeholder_in(row.response, row.prompt)
    return f"holds {found!r}" if found else None


def foreign_word(row: Row, settings: FilterSettings) -> str | None:
    """Rejects English texts with a stray Chinese word, and Chinese texts with a stray English one.

    Source: our own.
    """
    found = languages.foreign_word(row.response, row.prompt)
    return f"holds {found!r}" if found else None


def near_copy(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts in which a paragraph, or several long sentences, repeat earlier ones.

    A paragraph does if the Jaccard similarity of its 3-word sequences with those of an earlier one
    is min_paragraph_similarity or more. Sentences of 12 words or more do if at least two copy
    earlier ones, and more than one per 2,000 words. Verse is exempt, as it may have a refrain.
    Source: our own.
    """
    if is_verse(lines_of(row.response)):
        return None
    found = said_again(row.response, settings.min_paragraph_similarity)
    if not found:
        found = long_sentences_again(row.response)
        if len(found) <= max(1, row.words / 2000):
            return None
    return f"says again: {found[0][:80]!r}"


def stuttering(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that say a phrase of 2 to 12 words at least 4 times in a row.

    The repeats must add up to at least 12 words. Formulas and code are left out, and verse is
    exempt, as it may have a refrain.

    Source: our own; in a long text, the shares above don't show it.
    """
    least = scaled(12, row.response)
    if stutter(row.hashes, least) == (0, 0) or is_verse(lines_of(row.response)):
        return None
    words = tokens(without_formulas(row.response))
    start, end = stutter(hashes(words), least)
    said = " ".join(words[start:end])
    return f"says {said[:80]!r}" if any(letter.isalpha() for letter in said) else None


def prompt_copy(row: Row, settings: FilterSettings) -> str | None:
    """Rejects texts that copy more than max_prompt_copy words of the prompt.

    Only passages of at least half as many words count. The usual case is a story that was given to
    be continued or rewritten. Source: our own.
    """
    most = scaled(settings.max_prompt_copy, row.response)
    copied = shared_tokens(row.hashes, hashes(tokens(row.prompt)), most // 2)
    return f"copies {copied} words of the prompt" if copied > most else None


def low_quality(row: Row, settings: FilterSettings) -> str | None:
    """Rejects rows with a `quality_score` below min_quality; rows without one pass.

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
    # Excuses are left to soft_refusal: what follows one is not the full text.
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
"""A ruled line between remark and text is stripped with the remark."""
STRIP = {"fence": _without_fence, "opener": _without_opener, "closer": _without_closer}
"""Rule → function that returns the rest of a row's response, and what it stripped."""


def check_strip(names: Sequence[str]) -> None:
    """Checks the setting `filter.strip`.

    Raises:
        SettingsError: a listed rule cannot strip what it finds.
    """
    for name in names:
        if name not in STRIP:
            raise SettingsError(
                f"filter.strip: {name!r} cannot be stripped; {', '.join(STRIP)} can"
            )


def strip(row: Row, names: Sequence[str]) -> None:
    """Strips what the rules `names` find from the row's response, as `STRIP` defines.

    A rule that would leave nothing of the response strips nothing.
    """
    for name in (name for name in STRIP if name in names):
        text, off = STRIP[name](row)
        if off and text.strip():
            row.strip(name, text.strip(), off.strip())


MALFORMED = "malformed"
"""Applied when a line is read: no other rule can check a line that is not a row."""
CONTAMINATED = "contaminated"
"""Applied by the rule runner, which has the benchmarks' prompts."""
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
    """Returns the single-row rules that `names` lists, in that order.

    Args:
        names: built-in rules by name, others as `package.module:function`.
        contaminated: the function for the rule `contaminated`.

    Raises:
        SettingsError: a name is unknown or listed twice, a rule that compares rows is not last, or
            `malformed` is not first.
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
    """Imports the function that `package.module:function` names."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"filter.rules: {name}: {error}; the module must be where Python finds it (PYTHONPATH=.)"
        ) from None
    if not callable(found):
        raise SettingsError(f"filter.rules: {name} is not a function")
    return cast(Rule, found)
