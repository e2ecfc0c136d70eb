"""The rules that a row must pass: each one function, row in, reason to reject it or nothing out.

Which are asked, in which order and with which thresholds stands in conf/filter. Those on
how a text ends are in `endings`, on what a teacher left in it in `residue`, on refusals in `refusals`, on
its language in `languages`, on benchmark prompts in `contamination`; `duplicates` compares the rows that
pass all of them with each other.
"""

from collections.abc import Callable, Sequence

from longwriter.core.errors import SettingsError
from longwriter.dataset.ending_rules import unfinished
from longwriter.dataset.language_rules import mixed_script, wrong_language
from longwriter.dataset.refusal_rules import refusal
from longwriter.dataset.residue_rules import residue
from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings
from longwriter.text.lengths import length_score
from longwriter.text.markup import is_verse, lines_of
from longwriter.text.repetition import copied_sentences, repeated_ngrams
from longwriter.text.similarity import compression, hashes, longest_repeat, tokens

Rule = Callable[[Row, FilterSettings], str | None]


def too_short(row: Row, settings: FilterSettings) -> str | None:
    """Fewer words than min_words. Source: LongWriter, section 3.2."""
    return f"{row.words} words" if row.words < settings.min_words else None


def too_long(row: Row, settings: FilterSettings) -> str | None:
    """More words than max_words: the lever of the paper's experiment on what bounds the output.

    Source: LongWriter, section 2.2.
    """
    most = settings.max_words
    return f"{row.words} words" if most is not None and row.words > most else None


def too_many_tokens(row: Row, settings: FilterSettings) -> str | None:
    """More tokens than max_length, which SFT would have to cut: a text without its end teaches not to
    stop.

    Source: LongWriter's released SFT data skips rows over 32,768 tokens.
    """
    most = settings.max_length
    if most is None or row.tokens is None or row.tokens <= most:
        return None
    return f"{row.tokens} tokens, {most} at most"


def length_missed(row: Row, settings: FilterSettings) -> str | None:
    """S_l below min_length_score where the instruction states a length.

    Source: arXiv 2410.10210: 666 rows kept by S_l of at least 80 beat all 6,000 of LongWriter-6k.
    """
    if row.length is None:
        return None
    score = length_score(row.length, row.words)
    if score >= settings.min_length_score:
        return None
    return f"{row.words} words for {row.length}: S_l {score:.0f}"


def repetition(row: Row, settings: FilterSettings) -> str | None:
    """Loops: 8-word sequences that stood in the text before, above max_repetition; verse may have a
    refrain.

    Source: seq-rep-n, arXiv 1908.04319.
    """
    share = repeated_ngrams(row.response, 8)
    return (
        f"{share:.0%} of 8-grams repeated"
        if share > _most(row, settings.max_repetition, settings)
        else None
    )


def copied(row: Row, settings: FilterSettings) -> str | None:
    """Sentences that stand in the text more than once, above max_copied; verse may have a refrain.

    Source: the duplicate line fraction of Gopher (arXiv 2112.11446), table A1, on sentences.
    """
    share = copied_sentences(row.response)
    return (
        f"{share:.0%} of sentences copied"
        if share > _most(row, settings.max_copied, settings)
        else None
    )


def repeated_span(row: Row, settings: FilterSettings) -> str | None:
    """A passage of more than max_repeated_span words that stands in the text twice; verse may have a
    refrain.

    Source: our own; the copied paragraphs of long outputs are too few for the shares above to see.
    """
    if is_verse(lines_of(row.response)):
        return None
    longest = longest_repeat(hashes(tokens(row.response)), settings.max_repeated_span + 1)
    return f"{longest} words stand in it twice" if longest else None


def low_variety(row: Row, settings: FilterSettings) -> str | None:
    """Compressed to less than min_compression of its size: a template with changing words.

    Source: our own.
    """
    ratio = compression(row.response)
    return f"compresses to {ratio:.0%}" if ratio < settings.min_compression else None


def low_quality(row: Row, settings: FilterSettings) -> str | None:
    """A `quality_score` below min_quality, where the row carries one.

    Source: S_q of LongWriter, section 4.1.
    """
    score, least = row.record.get("quality_score"), settings.min_quality
    if least is None or not isinstance(score, int | float) or score >= least:
        return None
    return f"quality score {score:g}"


def _most(row: Row, share: float, settings: FilterSettings) -> float:
    return max(share, settings.max_verse_repetition) if is_verse(lines_of(row.response)) else share


MALFORMED = "malformed"
"""Asked when a line is read: a row that is none cannot be asked anything else."""


CONTAMINATED = "contaminated"
"""Made from the benchmarks (`contamination`)."""


BETWEEN_ROWS = ("duplicate", "near_duplicate")
"""Asked of the rows that pass all others (`duplicates`)."""


RULES: dict[str, Rule] = {
    "too_short": too_short,
    "too_long": too_long,
    "too_many_tokens": too_many_tokens,
    "length_missed": length_missed,
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


def chosen(names: Sequence[str], contaminated: Rule, key: str = "filter.rules") -> dict[str, Rule]:
    """The rules on single rows that `names` list, in that order.

    Raises:
        SettingsError: a name is unknown or stands twice, or a rule that compares rows is not last.
    """
    known = RULES | {CONTAMINATED: contaminated}
    for name in names:
        if name not in (*known, MALFORMED, *BETWEEN_ROWS):
            every = ", ".join([MALFORMED, *known, *BETWEEN_ROWS])
            raise SettingsError(f"{key}: there is no rule {name!r}; the rules are {every}")
        if list(names).count(name) > 1:
            raise SettingsError(f"{key}: {name!r} stands twice")
    last = [name for name in names if name in BETWEEN_ROWS]
    if list(names)[len(names) - len(last) :] != last:
        raise SettingsError(
            f"{key}: {' and '.join(last)} compare rows that pass all others; list them last"
        )
    if MALFORMED in names[1:]:
        raise SettingsError(f"{key}: {MALFORMED!r} is asked when a line is read; list it first")
    return {name: known[name] for name in names if name in known}
