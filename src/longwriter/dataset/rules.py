"""What decides that a row is dropped: each rule is one function, row in, reason to drop it or None out.

Which rules apply, in which order and with which thresholds, is set in conf/filter. The rules below ask
one row at a time. Three more are applied elsewhere: `malformed` when a line is read (`Row.read`),
`contaminated` against the benchmarks' prompts (evaluation/contamination.py), and `duplicate` and
`near_duplicate`, which compare the rows that pass all others (duplicates.py). What the rules recognise a
refusal, an ending or a label by is in the modules of the room `text`.
"""

from collections.abc import Callable, Sequence

from longwriter.core.errors import SettingsError
from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings
from longwriter.text import endings, languages
from longwriter.text.control_tokens import control_token_in
from longwriter.text.lengths import constraint_in, length_score
from longwriter.text.markup import is_verse, lines_of
from longwriter.text.refusals import refusal_in
from longwriter.text.repetition import copied_sentences, repeated_ngrams
from longwriter.text.scaffolding import residue_in
from longwriter.text.similarity import compression, hashes, longest_repeat
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
    """Loops: more than max_repetition of the 8-word sequences occurred earlier in the text; verse may
    have a refrain.

    Source: seq-rep-n, arXiv 1908.04319.
    """
    share = repeated_ngrams(row.response, 8)
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
    """A passage of more than max_repeated_span words occurs twice; verse may have a refrain.

    Source: our own; the copied paragraphs of long outputs are too few for the shares above to show.
    """
    if is_verse(lines_of(row.response)):
        return None
    longest = longest_repeat(hashes(tokens(row.response)), settings.max_repeated_span + 1)
    return f"{longest} words occur in it twice" if longest else None


def low_variety(row: Row, settings: FilterSettings) -> str | None:
    """Compresses to less than min_compression of its size: a template with changing words.

    Source: our own.
    """
    ratio = compression(row.response)
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


def low_quality(row: Row, settings: FilterSettings) -> str | None:
    """A `quality_score` below min_quality, if the row has one.

    Source: S_q of LongWriter, section 4.1.
    """
    score, least = row.record.get("quality_score"), settings.min_quality
    if least is None or not isinstance(score, int | float) or score >= least:
        return None
    return f"quality score {score:g}"


def _most(row: Row, share: float, settings: FilterSettings) -> float:
    return max(share, settings.max_verse_repetition) if is_verse(lines_of(row.response)) else share


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
    "low_quality": low_quality,
}


def chosen(names: Sequence[str], contaminated: Rule) -> dict[str, Rule]:
    """Returns the rules on single rows that `names` lists, in that order.

    Args:
        contaminated: the rule of that name.

    Raises:
        SettingsError: a name is unknown or listed twice, or a rule that compares rows is not last.
    """
    known = RULES | {CONTAMINATED: contaminated}
    for name in names:
        if name not in (*known, MALFORMED, *BETWEEN_ROWS):
            every = ", ".join([MALFORMED, *known, *BETWEEN_ROWS])
            raise SettingsError(f"filter.rules: there is no rule {name!r}; the rules are {every}")
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
