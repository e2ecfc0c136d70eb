"""The rules that a row must pass: each one function, row in, reason to reject it or nothing out.

Which are asked, in which order and with which thresholds stands in conf/filter. Those on how a text
ends and what a teacher left in it are in `residue`, on its language in `languages`, on benchmark
prompts in `contamination`; `duplicates` compares the rows that pass all of them with each other.
"""

import re
from collections.abc import Callable, Sequence

from longwriter.dataset.languages import mixed_script, wrong_language
from longwriter.dataset.measures import (
    compression,
    hashes,
    is_verse,
    lines_of,
    longest_repeat,
    tokens,
    without_quotations,
)
from longwriter.dataset.residue import residue, unfinished
from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings
from longwriter.errors import SettingsError
from longwriter.evaluation.length import length_score
from longwriter.evaluation.repetition import copied_sentences, repeated_ngrams

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


_NOT = r"(?:can't|cannot|can not|won't|(?:am|'m) (?:unable|not able) to|could not|couldn't|(?:must|have to) decline to)"
_HELP = (
    r"(?:assist|comply|fulfil+|provide|generate|create|produce|continue|complete|engage|answer|"
    r"help (?:you )?with|help you|write|do (?:this|that)|discuss|support|accommodate|proceed)"
)
_AS_MODEL = (
    r"\bas an? (?:AI|artificial intelligence|large language|language)(?: language)? ?(?:model|assistant)\b"
    r"|作为(?:一个|一名|一款)?(?:大型)?(?:人工智能|AI|语言)(?:语言)?(?:模型|助手)"
)
_SPEAKS_AS_MODEL = re.compile(
    rf"(?:{_AS_MODEL})|\bas an AI,|\bI(?:'m| am) (?:just |only )?an AI (?:language model|assistant)\b"
    r"|我(?:只)?是一个(?:AI|人工智能)(?:语言)?(?:模型|助手|程序)",
    re.IGNORECASE,
)
_BEGIN = r"(?:^|(?<=[.!?。！？\n])|(?<=[.!?] ))\s*"
_REFUSES = re.compile(
    rf"{_BEGIN}(?:(?:unfortunately|regrettably|no|sorry)[,.]? (?:but )?)?(?:I(?:'m| am) (?:very |so |really )?sorry,? ?|I apologi[sz]e,? ?|my apologies[,.] ?)"
    rf"(?:but )?(?:(?:unfortunately|as [^,.\n]{{1,40}}),? ?)?I {_NOT} {_HELP}\b"
    rf"|{_BEGIN}(?:(?:unfortunately|regrettably|sorry|but)[,.]? (?:but )?)?I(?: am|'m)? ?{_NOT} "
    r"(?:assist|comply|fulfil+|help (?:you )?with (?:this|that|your)|(?:provide|generate|create|produce|write|"
    r"complete|continue)(?: with)?(?: (?:a|an|any|the|such|this|that|your|it|content|more|explicit|sexual|violent|"
    r"harmful|stor(?:y|ies)|essays?|texts?|requests?)\b|[.!,]))"
    r"|^\s*(?:I(?:'m| am) sorry,? but (?:this|that|your) (?:request|content|topic))"
    rf"|{_BEGIN}I must (?:respectfully )?decline\b|{_BEGIN}(?:this|your) request (?:violates|goes against)\b",
    re.IGNORECASE,
)
_ZH_REFUSES = re.compile(
    r"(?:^|[。！？\n])\s*(?:(?:很|非常|实在|十分)?(?:对不起|抱歉|遗憾)[，,。]?\s*)(?:但是?|不过)?(?:作为[^，,。]{1,20}[，,])?"
    r"我(?:们)?(?:暂时|目前|并)?(?:无法|不能|没有?办法|不会)"
    r"|(?:^|[。！？\n])\s*我(?:暂时|目前)?(?:无法|不能)(?:满足|协助|提供|生成|完成|回答|继续(?:写|创作|生成)|撰写|帮助您|为您)"
    r"(?:您|你|这|该|此|任何|有关|相关|更多|$|[。，,！])"
)
_APOLOGY = re.compile(
    r"^\s*(?:I(?:'m| am) sorry|I apologi[sz]e|my apologies|sorry|apologies) for (?:the|any|my) (?:previous |earlier )?"
    r"(?:confusion|misunderstanding|mistake|error|oversight|inconvenience|delay|incomplete|short)"
    r"|^\s*(?:很|非常)?(?:对不起|抱歉)[，,]?(?:我)?(?:之前|刚才|上面|前面|理解错|误解|给您带来|造成了?(?:混淆|误解))",
    re.IGNORECASE,
)
_SALUTATION = re.compile(
    r"^\s*(?:subject:[^\n]*\n+\s*)?(?:dear|hi|hello|to)\b[^\n]{0,60}[,:：，]?\s*\n|^\s*dear\b|^\s*(?:尊敬的|亲爱的|致)|^[^\n]{1,20}[：:]\s*\n",
    re.IGNORECASE,
)
_ASKED_APOLOGY = re.compile(
    r"apolog|sorry|refus|declin|regret|道歉|致歉|抱歉|对不起|拒绝|婉拒|检讨", re.IGNORECASE
)
_ASKED_AI = re.compile(
    r"\b(?:as|from|you are|voice|perspective|point of view|role|play|monologue|narrat\w+)\b[^.\n]{0,50}\b(?:AI|robot|language model|artificial)"
    r"|(?:以|用|扮演|站在|你是)[^。，\n]{0,12}(?:人工智能|AI|机器人|语言模型)",
    re.IGNORECASE,
)
_REACH = 300
"""Characters at the beginning and at the end in which a text refuses; in between people speak."""


def refusal(row: Row, settings: FilterSettings) -> str | None:
    """A refusal or an apology to who asks, or the writer speaks of itself as a model; not what people
    in quotation marks say, nor a letter, nor what the instruction asks for.

    Source: LongWriter, section 3.2, which drops crashed outputs; the patterns are our own.
    """
    text = without_quotations(row.response.replace("’", "'")).strip()
    prompt = row.prompt
    found = None if _ASKED_AI.search(prompt) else _SPEAKS_AS_MODEL.search(text)
    if not found and not _SALUTATION.search(text) and not _ASKED_APOLOGY.search(prompt):
        ends = [text[:_REACH]] + ([text[-_REACH:]] if len(text) > _REACH else [])
        patterns = (_REFUSES, _ZH_REFUSES)
        found = next((m for end in ends for p in patterns if (m := p.search(end))), None)
        found = found or _APOLOGY.search(text[:_REACH])
    return f"says {found.group(0).strip()!r}" if found else None


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
