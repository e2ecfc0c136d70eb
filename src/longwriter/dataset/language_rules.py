"""The language of a response against that of its instruction, by script and by function words.

Source: our own. Telling Chinese, English and other scripts apart needs no model; languages in Latin
letters are told apart by the words that every text of theirs is full of.
"""

import re

from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings
from longwriter.text.markup import without_code, without_foreign_matter

_SCRIPTS = {
    "Chinese": r"[\u3400-\u4dbf\u4e00-\u9fff]",
    "Latin": r"[A-Za-z\u00c0-\u024f]+(?:['’-][A-Za-z\u00c0-\u024f]+)*",
    "Japanese": r"[\u3040-\u30ff]",
    "Korean": r"[\uac00-\ud7af\u1100-\u11ff]+",
    "Cyrillic": r"[\u0400-\u04ff]+",
    "Arabic": r"[\u0600-\u06ff]+",
    "Hebrew": r"[\u0590-\u05ff]+",
    "Greek": r"[\u0370-\u03ff]{2,}",  # a letter alone is a symbol
    "Devanagari": r"[\u0900-\u097f]+",
    "Thai": r"[\u0e00-\u0e7f]+",
}


_UNITS = {name: re.compile(pattern) for name, pattern in _SCRIPTS.items()}


_RUNS = {
    name: re.compile(rf"(?:{pattern}[ \t,.;:!?，。、；：！？]*)+")
    for name, pattern in _SCRIPTS.items()
}
"""Text of one script up to the end of the line."""


_OTHER = re.compile(r"[\u0370-\u1fff\u3040-\u30ff\uac00-\ud7af]")


_WORDS = {
    "English": "the and of to is that it was with for this his her are from not you be have they "
    "my he she we had were but what who there",
    "French": "le les des est une du et dans que qui pour pas sur avec il elle ce sont ne au",
    "Spanish": "el los las del una es por con para que se su más como pero al lo y en era",
    "German": "der die das und ist nicht ein eine mit den dem von zu sich auf für im wir sie auch",
    "Portuguese": "os uma não com para que do da em é por mais se como dos ele na ao foi mas",
    "Italian": "il di che è per una non con del della sono gli nel anche più come si lo ma era",
    "Dutch": "de het een van en niet dat is op te zijn met voor maar ook aan hij ze er naar",
}


_FUNCTION_WORDS = {name: frozenset(words.split()) for name, words in _WORDS.items()}


_FEWEST_WORDS = 25
"""Shorter texts hold too few function words to tell a language."""


_TARGETS = {
    "Latin": re.compile(
        r"\b(?:in|into|to) (?:plain |simple |British |American |fluent )?English\b|\bEnglish (?:essay|article|story|"
        r"letter|email|poem|text|version|composition|speech)\b|(?:用|以|成|为|写)(?:一[篇封个首])?(?:纯)?英[文语]|"
        r"英[文语](?:写|作文|文章|邮件|信|版|演讲|故事|回[答复])|全英",
        re.IGNORECASE,
    ),
    "Chinese": re.compile(
        r"\b(?:in|into|to) (?:simplified |traditional |Mandarin )?(?:Chinese|Mandarin)\b|\bChinese (?:essay|article|"
        r"version|text|composition|characters)\b|(?:用|以|成)(?:简体|繁体)?[中汉][文语]|中文(?:写|作文|文章|版|回[答复])",
        re.IGNORECASE,
    ),
}


_ANY = re.compile(
    r"\b(?:translat\w*|bilingual|multilingual|English|Chinese|Mandarin|Japanese|Korean|French|Spanish|German|Italian|"
    r"Russian|Portuguese|Dutch|Latin|Arabic|Hindi|vocabulary)\b|翻译|双语|中英|英[文语]|[日法德俄韩]语|[日法德俄韩]文|"
    r"西班牙语|单词|词汇|外语|对照",
    re.IGNORECASE,
)


def units(text: str) -> dict[str, int]:
    """Words of each script in the text; a Chinese or Japanese character is one."""
    simple = not _OTHER.search(text)
    return {
        name: 0 if simple and name not in ("Chinese", "Latin") else len(pattern.findall(text))
        for name, pattern in _UNITS.items()
    }


def expected_script(prompt: str) -> str | None:
    """`Latin` or `Chinese`: the script that an instruction is to be answered in, by what it says or
    by what it is written in; None where that cannot be told."""
    named = [script for script, pattern in _TARGETS.items() if pattern.search(prompt)]
    if named:
        return named[0] if len(named) == 1 else None
    if _ANY.search(prompt):
        return None
    found = units(prompt)
    total = sum(found.values())
    if not total:
        return None
    script = max(found, key=lambda name: found[name])
    clear = found[script] >= 0.7 * total
    return script if clear and script in _TARGETS else None


def wrong_language(row: Row, settings: FilterSettings) -> str | None:
    """Most of the response is not in the script that the instruction asks for, or its Latin letters
    are another language's than English. Code does not count."""
    expected = expected_script(row.prompt)
    if expected is None:
        return None
    text = without_code(row.response)
    found = units(text)
    total = sum(found.values())
    if found["Chinese"] and found["Japanese"] > 0.3 * (found["Chinese"] + found["Japanese"]):
        found["Japanese"] += found["Chinese"]  # kanji among kana
        found["Chinese"] = 0
    main = max(found, key=lambda name: found[name])
    if total and main != expected and found[expected] < 0.5 * total:
        return f"{found[main] / total:.0%} {main}, asked in {expected}"
    if expected == "Latin" and not _ANY.search(row.prompt):
        return _foreign_latin(text)
    return None


def _foreign_latin(text: str) -> str | None:
    words = [word.lower() for word in _UNITS["Latin"].findall(text)]
    if len(words) < _FEWEST_WORDS:
        return None
    shares = {
        name: sum(word in known for word in words) / len(words)
        for name, known in _FUNCTION_WORDS.items()
    }
    language = max(shares, key=lambda name: shares[name])
    foreign = shares[language] > 0.12 and shares[language] > 2 * shares["English"]
    return f"looks like {language}" if foreign else None


def mixed_script(row: Row, settings: FilterSettings) -> str | None:
    """More than max_foreign of the response is in another script than most of it, or a passage of more
    than max_foreign_run words is.

    Quotations, brackets, code and addresses do not count, nor do names and abbreviations in a Chinese
    text, nor anything where the instruction speaks of another language.
    """
    if _ANY.search(row.prompt) or expected_script(row.prompt) is None:
        return None
    text = without_foreign_matter(row.response)
    found = units(text)
    main = max(found, key=lambda name: found[name])
    if main == "Chinese":
        found["Latin"] = _plain_english(text)
    total = sum(found.values())
    other = {name: number for name, number in found.items() if name != main}
    share = sum(other.values()) / total if total else 0.0
    if share > settings.max_foreign:
        return f"{share:.0%} in another script than {main}: {max(other, key=lambda n: other[n])}"
    for name in (name for name, number in other.items() if number > settings.max_foreign_run):
        longest = max((_prose(run, name) for run in _RUNS[name].findall(text)), default=0)
        if longest > settings.max_foreign_run:
            return f"{longest} words of {name} in a text in {main}"
    return None


def _prose(run: str, script: str) -> int:
    """Words of a passage; none where it is Latin letters without the words that every English sentence
    is full of, which names and titles are."""
    words = _UNITS[script].findall(run)
    known = sum(word.lower() in _FUNCTION_WORDS["English"] for word in words)
    return len(words) if script != "Latin" or known >= 0.2 * len(words) else 0


def _plain_english(text: str) -> int:
    """Words in Latin letters that are no name and no abbreviation, or stand in a row of four or more."""
    runs = re.findall(r"[A-Za-z][A-Za-z'’\- ,]*", text)
    counted = 0
    for run in runs:
        words = re.findall(r"[A-Za-z]+", run)
        plain = sum(word.islower() and len(word) > 1 for word in words)
        counted += len(words) if len(words) >= 4 else plain
    return counted
