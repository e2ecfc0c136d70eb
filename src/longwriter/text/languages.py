"""The language a prompt asks for, and the languages and scripts that a text is written in.

Source: our own, except for `benchmark_language`. No model is needed: scripts are recognised by
their characters, languages in Latin script by their most frequent words.
"""

import re

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.chinese import simplified
from longwriter.text.markup import without_code, without_foreign_matter
from longwriter.text.words import Language, language

_ASKS_FOR: dict[Language, re.Pattern[str]] = {
    "en": re.compile(
        r"\b(?:in|into|to) (?:plain |simple |British |American |fluent )?English\b|\bEnglish (?:essay|article|story|"
        r"letter|email|poem|text|version|composition|speech)\b|(?:用|以|成|为|写)(?:一[篇封个首])?(?:纯)?英[文语]|"
        r"英[文语](?:写|作文|文章|邮件|信|版|演讲|故事|回[答复])|全英(?!国)",
        re.IGNORECASE,
    ),
    "zh": re.compile(
        r"\b(?:in|into) (?:(?:simplified|traditional|Mandarin|standard|decent|plain|simple|fluent|and) )*"
        r"(?:Chinese|Mandarin)\b(?! (?:culture|history|society|cuisine|tradition))|\bto (?:simplified |traditional )?"
        r"(?:Chinese|Mandarin)\s*(?:[.,:;!?。，：]|$)|\bwords Chinese\b|\bChinese (?:essay|article|version|text|"
        r"composition|characters)\b|(?:用|以|成)(?:简体|繁体)?[中汉][文语]|中文(?:写|作文|文章|版|回[答复])",
        re.IGNORECASE | re.MULTILINE,
    ),
}
_ASKS_FOR_ANOTHER = re.compile(
    r"\b(?:in|into) (French|Spanish|German|Portuguese|Italian|Dutch|Russian|Japanese|Korean|Arabic|Hindi)"
    r"(?=\s*(?:[.,;:!?)\n]|$)| (?:about|on|of|with|for)\b)|(?:用|以|译成|翻译成|翻译为)(日|法|德|韩|俄|西班牙)[文语]",
    re.IGNORECASE,
)
_IN_CHINESE = {
    "日": "Japanese", "法": "French", "德": "German", "韩": "Korean", "俄": "Russian", "西班牙": "Spanish",
}  # fmt: skip
_NAMES_A_LANGUAGE = re.compile(
    r"\b(?:translat\w*|bilingual|multilingual|English|Chinese|Mandarin|Japanese|Korean|French|Spanish|German|Italian|"
    r"Russian|Portuguese|Dutch|Latin|Arabic|Hindi|vocabulary)\b|翻译|双语|中英|英[文语]|[日法德俄韩]语|[日法德俄韩]文|"
    r"西班牙语|单词|词汇|外语|对照",
    re.IGNORECASE,
)

_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\d_\u4e00-\u9fff]+")
_BEYOND_LATIN = "\u0250"
_PROMPT_HEAD = 2000
"""How many characters at the beginning are examined to determine the language."""
_SCRIPTS = {
    "Chinese": r"[\u3400-\u4dbf\u4e00-\u9fff]",
    "Latin": r"[A-Za-z\u00c0-\u024f]+(?:['’-][A-Za-z\u00c0-\u024f]+)*",
    "Japanese": r"[\u3040-\u30ff]",
    "Korean": r"[\uac00-\ud7af\u1100-\u11ff]+",
    "Cyrillic": r"[\u0400-\u04ff]+",
    "Arabic": r"[\u0600-\u06ff]+",
    "Hebrew": r"[\u0590-\u05ff]+",
    "Greek": r"[\u0370-\u03ff]{2,}",  # a single letter is a symbol
    "Devanagari": r"[\u0900-\u097f]+",
    "Thai": r"[\u0e00-\u0e7f]+",
}
_UNITS = {name: re.compile(pattern) for name, pattern in _SCRIPTS.items()}
_RUNS = {
    name: re.compile(rf"(?:{pattern}[ \t,.;:!?，。、；：！？]*)+")
    for name, pattern in _SCRIPTS.items()
}
"""A run of text in one script, within a line."""
_BEYOND_BOTH = re.compile(r"[\u0370-\u1fff\u3040-\u30ff\uac00-\ud7af]")
"""A letter that is neither Chinese nor Latin."""

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
"""Shorter texts have too few function words to determine their language."""
_PROMPT_WORDS = {
    "English": "a an write about words in on please story essay make me with i",
    "French": "de la un une écris écrivez rédige rédigez mots sur texte histoire moi ans au",
    "Spanish": "de la un una escribe escriba redacta palabras sobre ensayo cuento historia sobre",
    "German": "schreibe schreib verfasse wörter wörtern über einen aufsatz geschichte zum zur",
    "Portuguese": "um uma escreva escreve palavras sobre texto redação história de",
    "Italian": "un scrivi parole su saggio storia racconto sul sulla dei",
    "Dutch": "schrijf woorden over verhaal een opstel tekst artikel",
}
"""Further words that are frequent in short requests."""
_REQUEST_WORDS = {
    name: known.union(_PROMPT_WORDS[name].split()) for name, known in _FUNCTION_WORDS.items()
}


def benchmark_language(prompt: str) -> Language:
    """Returns the half of LongBench-Write that a prompt belongs to, by language.

    It is `en` if the prompt contains no Chinese character or asks for English (用英文, 用英语), else
    `zh`. On LongBench-Write, the `en` half is exactly the 60 rows of the paper's English file.

    Source: LongWriter's evaluation/longbench_write_en.jsonl at commit ca6ccd4.
    """
    return "en" if re.search(r"用英[文语]", prompt) else language(prompt)


def wanted_language(prompt: BenchmarkPrompt) -> Language:
    """Returns the language that the answer should be in.

    This is the row's field `answer_language` if it is `en` or `zh`, else what the prompt asks for
    ("in English", 英语作文, "in decent Chinese"), else the prompt's own language.
    """
    given = prompt.model_dump().get("answer_language")
    if given in ("en", "zh"):
        return "en" if given == "en" else "zh"
    return next(iter(_asked_for(prompt.prompt)), language(prompt.prompt))


def prompt_language(prompt: str) -> str:
    """Returns the language that a prompt asks to be answered in, or else is written in.

    This is `en`, `zh`, or the name of another language or script, such as `Spanish`, `Japanese` or
    `Cyrillic`.
    """
    asked = _asked_for(prompt)
    if len(asked) == 1:
        return asked[0]
    prompt = prompt[:_PROMPT_HEAD]
    other = _ASKS_FOR_ANOTHER.search(simplified(prompt))
    if other:
        return other[1].capitalize() if other[1] else _IN_CHINESE[other[2]]
    found = _words_by_script(prompt)
    if found["Japanese"] > 0.3 * found["Chinese"]:
        found["Japanese"] += found["Chinese"]
        found["Chinese"] = 0
    total = sum(found.values())
    if found["Chinese"] >= 0.3 * total > 0:
        return "zh"
    main = max(found, key=lambda name: found[name])
    if main != "Latin" and total:
        return main
    words = [word.lower() for word in _UNITS["Latin"].findall(prompt)]
    hits = {name: sum(word in known for word in words) for name, known in _REQUEST_WORDS.items()}
    best = max(hits, key=lambda name: hits[name])
    foreign = hits[best] > max(1, 2 * hits["English"]) and hits[best] > 0.15 * len(words)
    return best if foreign else "en"


def words_elsewhere(text: str, wanted: Language) -> list[bool]:
    """Returns for each word of `text`, in order, whether it is in a language other than `wanted`.

    A word is a Chinese character, or a run of letters of other scripts. Every such run is foreign
    to `zh`. Every Chinese character, and every run that begins with a letter beyond Latin
    (Cyrillic, kana, Hangul, …), is foreign to `en`. Names and terms in Latin letters are usual in
    Chinese text, so a small share of them is no language drift.
    """
    return [
        wanted == "en" if "\u4e00" <= word <= "\u9fff" else wanted == "zh" or word >= _BEYOND_LATIN
        for word in _WORD.findall(text)
    ]


def wrong_language(text: str, prompt: str) -> str:
    """Returns what is wrong with the language of `text`; empty if nothing or the prompt is unclear.

    The language is wrong if most of the text, without code, is not in the script that the prompt
    asks for, or if text in Latin script looks like another language than English. Nothing is
    reported for prompts that are written in, or ask for, a language other than English and Chinese.
    """
    expected = _expected_script(prompt)
    if expected is None:
        return ""
    text = without_code(text)
    found = _words_by_script(text)
    total = sum(found.values())
    if found["Chinese"] and found["Japanese"] > 0.3 * (found["Chinese"] + found["Japanese"]):
        found["Japanese"] += found["Chinese"]  # kanji among kana
        found["Chinese"] = 0
    main = max(found, key=lambda name: found[name])
    fault = ""
    if total and main != expected and found[expected] < 0.5 * total:
        fault = f"{found[main] / total:.0%} {main}, but the prompt asks for {expected} script"
    elif expected == "Latin" and not _NAMES_A_LANGUAGE.search(prompt):
        fault = _foreign_latin(text)
    # a request in another language may be answered in that language
    return fault if fault and prompt_language(prompt) in ("en", "zh") else ""


def mixed_script(text: str, prompt: str, max_foreign: float, max_foreign_run: int) -> str:
    """Returns what shows that `text` mixes scripts; empty if nothing does.

    A text mixes scripts if a share of more than max_foreign, or one passage of more than
    max_foreign_run words, is in another script than most of it. Quotations, brackets, code and
    addresses don't count, nor do names and abbreviations in a Chinese text. Nothing is reported if
    the prompt names a language, or it is unclear which script it expects.
    """
    if _NAMES_A_LANGUAGE.search(prompt) or _expected_script(prompt) is None:
        return ""
    text = without_foreign_matter(text)
    found = _words_by_script(text)
    main = max(found, key=lambda name: found[name])
    if main == "Chinese":
        found["Latin"] = _plain_english(text)
    total = sum(found.values())
    other = {name: number for name, number in found.items() if name != main}
    share = sum(other.values()) / total if total else 0.0
    if share > max_foreign:
        most = max(other, key=lambda n: other[n])
        return f"{share:.0%} not in {main} script, mostly {most}"
    for name in (name for name, number in other.items() if number > max_foreign_run):
        longest = max((_prose(run, name) for run in _RUNS[name].findall(text)), default=0)
        if longest > max_foreign_run:
            return f"passage of {longest} {name} words in a {main}-script text"
    return ""


_SLIPPED_IN = {
    "Latin": re.compile(
        r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af][\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]*|(?<![\w])[\u0400-\u04ff]{2,}"
    ),
    "Chinese": re.compile(
        r"(?<=[\u4e00-\u9fff，。、]) ?([a-z]{4,}(?:[ -][a-z]{2,}){0,3}) ?(?=[\u4e00-\u9fff，。、；！？])|[\u3040-\u30ff\uac00-\ud7af\u0400-\u04ff]{2,}"
    ),
}
"""Foreign words in a text in Latin script or in Chinese.

Latin words with capitals are not included, as they are names and abbreviations.
"""
_GLUED = re.compile(r"(?<=[a-z])[\u4e00-\u9fff]{1,8}|[\u4e00-\u9fff]{1,8}(?=[a-z])")
"""Chinese characters joined to an English word, anywhere in the text."""
_EAST = re.compile(
    r"\b(?:chin\w+|japan\w*|korea\w*|taiwan\w*|mandarin|kanji|russia\w*|soviet|ukrain\w*|hanzi|anime|manga|asia\w*|hangul|cyrillic|slavic|pinyin|ideogra\w+|oracle[- ]bone)\b",
    re.IGNORECASE,
)
_MOST_SLIPS = 0.05
"""A text with a larger share of foreign words is taken to be mixed on purpose."""
_A_WORD = 20
"""Foreign characters that even the shortest text may contain without being mixed on purpose."""
_NEAR = 60
"""How many characters around a word are searched for the name of a language."""
_TERMS = frozenset(
    [
        "app",
        "apps",
        "vs",
        "email",
        "emails",
        "wifi",
        "bug",
        "logo",
        "code",
        "blog",
        "emoji",
        "python",
        "java",
        "linux",
        "shell",
        "bash",
        "http",
        "https",
        "www",
        "html",
        "css",
        "json",
        "null",
        "true",
        "false",
        "sin",
        "cos",
        "tan",
        "log",
        "lim",
        "mol",
    ]
)
_GLOSS = "（(:：《<“\"'‘[【=/"


def foreign_word(text: str, prompt: str) -> str:
    """Returns the first word of another language that slipped into `text`; empty if there is none.

    This is a Chinese word in an English text, or a lower-case English word in a Chinese one. Empty
    as well if the prompt names a language or contains the word, or if foreign words are many or
    recur, as the terms of a subject do.
    """
    head = text[:_PROMPT_HEAD]
    latin, chinese = len(_LATIN_WORD.findall(head)), len(_UNITS["Chinese"].findall(head))
    main = "Latin" if latin > chinese else "Chinese"
    if (
        not _SLIPPED_IN[main].search(text)
        or _NAMES_A_LANGUAGE.search(prompt)
        or _EAST.search(prompt)
    ):
        return ""
    if (main == "Latin") != (_expected_script(prompt) != "Chinese"):
        return ""
    if main == "Latin" and (glued := _GLUED.search(text)):
        return glued[0]
    plain = without_foreign_matter(text, "()")
    found = list(_SLIPPED_IN[main].finditer(plain))
    words = [
        (match[1] if main == "Chinese" and match.lastindex else match[0]).strip() for match in found
    ]
    if not found or len("".join(words)) > max(_MOST_SLIPS * len(plain), _A_WORD):
        return ""
    for match, word in zip(found, words, strict=True):
        around = (
            plain[max(match.start() - 2, 0) : match.start()].strip()[-1:],
            plain[match.end() : match.end() + 2].strip()[:1],
        )
        told = _NAMES_A_LANGUAGE.search(plain, max(match.start() - _NEAR, 0), match.end() + _NEAR)
        known = told or word in prompt or words.count(word) > 2 or word in _TERMS
        if (
            not known
            and not (around[0] and around[0] in _GLOSS)
            and not (around[1] and around[1] in "（(（[【")
        ):
            return word
    return ""


_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


def _asked_for(prompt: str) -> list[Language]:
    """Returns the languages that a prompt asks to be answered in, English first."""
    prompt = simplified(prompt)
    return [name for name, pattern in _ASKS_FOR.items() if pattern.search(prompt)]


def _expected_script(prompt: str) -> str | None:
    """Returns the script (`Latin` or `Chinese`) to answer a prompt in; None if it is unclear.

    This is the script that the prompt asks for, or else the one that it is written in.
    """
    asked = _asked_for(prompt)
    if asked:
        scripts = {"en": "Latin", "zh": "Chinese"}
        return scripts[asked[0]] if len(asked) == 1 else None
    if _NAMES_A_LANGUAGE.search(prompt):
        return None
    found = _words_by_script(prompt)
    script = max(found, key=lambda name: found[name])
    clear = found[script] > 0 and found[script] >= 0.7 * sum(found.values())
    return script if clear and script in ("Latin", "Chinese") else None


def _words_by_script(text: str) -> dict[str, int]:
    """Counts the words of each script; a Chinese or Japanese character counts as one."""
    names = _UNITS if _BEYOND_BOTH.search(text) else ("Chinese", "Latin")
    return {
        name: len(pattern.findall(text)) if name in names else 0 for name, pattern in _UNITS.items()
    }


def _foreign_latin(text: str) -> str:
    words = [word.lower() for word in _UNITS["Latin"].findall(text)]
    if len(words) < _FEWEST_WORDS:
        return ""
    shares = {
        name: sum(word in known for word in words) / len(words)
        for name, known in _FUNCTION_WORDS.items()
    }
    main = max(shares, key=lambda name: shares[name])
    foreign = shares[main] > 0.12 and shares[main] > 2 * shares["English"]
    return f"looks like {main}" if foreign else ""


def _prose(run: str, script: str) -> int:
    """Counts the words of a passage, or returns 0 if it looks like names or titles in Latin script.

    These lack the function words that every English sentence contains.
    """
    words = _UNITS[script].findall(run)
    known = sum(word.lower() in _FUNCTION_WORDS["English"] for word in words)
    return len(words) if script != "Latin" or known >= 0.2 * len(words) else 0


def _plain_english(text: str) -> int:
    """Counts the words in Latin script; names and abbreviations only in runs of four or more."""
    counted = 0
    for run in re.findall(r"[A-Za-z][A-Za-z'’\- ,]*", text):
        words = re.findall(r"[A-Za-z]+", run)
        plain = sum(word.islower() and len(word) > 1 for word in words)
        counted += len(words) if len(words) >= 4 else plain
    return counted
