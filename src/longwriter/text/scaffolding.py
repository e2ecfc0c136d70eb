"""Strips or finds what a teacher model writes around a text: its scaffolding.

That is paragraph labels, lines of the plan, remarks on the word count, and words to the user.

AgentWrite strips it from each paragraph (`clean`). The filter looks for remains of it in whole
texts (`residue_in`). A label there may be intended, so these patterns are stricter.

Source: LongWriter, section 3.2: crashed outputs are dropped and labels like "Paragraph 1" stripped.
The patterns are our own.
"""

import re
from collections.abc import Callable

from longwriter.text.chinese import simplified
from longwriter.text.markup import squeezed

# Shared by both groups below. [ \t] is used where a pattern must not extend into the next line.
_NUMERAL = (
    r"(?:\d+|[IVX]+|[一二三四五六七八九十百]+|one|two|three|four|five|six|seven|eight|nine|ten)"
)
_OF = r"(?:[ \t]*(?:of|/)[ \t]*\d+)?"  # Paragraph 3 of 12
_PARAGRAPH = (
    rf"(?:paragraph[ \t]*{_NUMERAL}{_OF}|第[ \t]*{_NUMERAL}[ \t]*(?:自然)?段|段落[ \t]*{_NUMERAL})"
)
_MARK = r"[ \t#*_>\[(【（~-]*"  # what Markdown and brackets put before a label …
_CLOSE = r"[ \t\])】）*_]*"  # … and after it
_MAIN_POINT = r"(?:main[ \t]+point|要点)"
_YES = r"(?:sure|certainly|of course)"
_HERE = r"here(?:'s|’s| is| are)\b"
_ZH_HERE = r"(?:以下|下面)(?:就)?是"
_WORD_COUNT = r"(?:(?:total|final|actual|approximate|target|remaining)[ \t]+)*word[ \t-]*count"
_ABOUT = r"(?:about|approximately|approx\.?|around|roughly|exactly|total(?:ing)?|~)?[ \t]*"
_N = r"\d[\d,，]*[ \t]*"
_ZH_WHOLE = r"(?:本文|全文|本段|文章|正文)"
_ZH_ABOUT = r"(?:大约|约|共|总共|共计|合计|约为|为|大概)*[ \t]*"

# What is stripped from a paragraph
_FIRST_LABEL = re.compile(
    rf"^\s*{_MARK}(?:{_PARAGRAPH}|step[ \t]*{_NUMERAL}{_OF}|the[ \t]+plan(?=[ \t]*[:：])){_CLOSE}(?:[:：.\-–—][\s*]*|\n+|$)",
    re.IGNORECASE,
)
_FIRST_POINT = re.compile(rf"^[\s#*]*{_MAIN_POINT}[\s*]*[:：][\s*]*", re.IGNORECASE)
_OPENER = re.compile(
    rf"^(?:(?:{_YES}|okay|ok)\b[^\n]{{0,80}}?[,:!.]\s*)?"
    rf"(?:{_HERE}[^\n:]{{0,100}}\bparagraph\b[^\n:]{{0,100}}:\s*)"
    rf"|^{_YES}\b[^\n]{{0,100}}:\s*\n+"
    rf"|^(?:好的|当然)[^\n]{{0,40}}[:：]\s*\n*|^{_ZH_HERE}[^\n]{{0,40}}段[^\n]{{0,20}}[:：]\s*\n*",
    re.IGNORECASE,
)
_LAST_COUNT = re.compile(
    r"[\s*_]*[\[(（【]?\s*(?:"
    rf"{_WORD_COUNT}\s*[:：]?\s*{_ABOUT}{_N}(?:words?)?|{_ABOUT}{_N}words?\.?(?=\s*[\])*_])"
    rf"|{_ZH_WHOLE}?\s*{_ZH_ABOUT}(?:字\s*数\s*[:：]\s*{_ZH_ABOUT}{_N}字?|{_N}字(?=\s*[)）】]))"
    r")\s*[\])）】]?[\s*_.。]*$",
    re.IGNORECASE,
)
_LAST_REMARK = re.compile(
    r"[\s*_…]*[\[(（【]?\s*(?:to be continued|continued in the next (?:paragraph|part|section)|"
    r"(?:the )?story continues|未完待续|待续|下(?:一)?段(?:继续|待续))\s*[.…。!]*\s*[\])）】]?[\s*_.…。]*$",
    re.IGNORECASE,
)
_ROUNDS = 20
_ENDING = 200
"""How many characters at the end are searched for a remark.

A search of the whole text would try every position, which takes milliseconds.
"""

# What is searched for in a whole text
_LABEL = re.compile(
    # "Paragraph 3:", "Paragraph 3" alone, "Section 2" alone ("Section 2: Piles" is a heading)
    rf"^{_MARK}{_PARAGRAPH}{_CLOSE}(?:[:：]|[ \t]+[-–—][ \t]|[ \t]*$)"
    rf"|^{_MARK}section[ \t]*{_NUMERAL}{_OF}{_CLOSE}[:：]?{_CLOSE}$"
    # "Section 2:" with the text on the same line
    rf"|^{_MARK}(?:section[ \t]*{_NUMERAL}{_OF}|第[ \t]*{_NUMERAL}[ \t]*部分){_CLOSE}[:：](?=[^\n]*[.。][^\n]{{30}})"
    # "[Paragraph 3]", followed by the text
    rf"|^[*_ ]*[\[【(（<][ \t]*(?:paragraph|section|step)[ \t]*{_NUMERAL}{_OF}[ \t]*[\])）】>]"
    rf"|^[*_ ]*[\[【(（][ \t]*(?:第[ \t]*{_NUMERAL}[ \t]*(?:自然)?[段步]|(?:段落|步骤)[ \t]*{_NUMERAL})[ \t]*[\])）】]",
    re.IGNORECASE | re.MULTILINE,
)
_STEP = re.compile(
    rf"^{_MARK}(?:step[ \t]*({_NUMERAL})|步骤[ \t]*({_NUMERAL})|第[ \t]*({_NUMERAL})[ \t]*步){_CLOSE}[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_FIRST_NUMERALS = ("1", "i", "one", "一")
_PLAN = re.compile(
    rf"^{_MARK}(?:main[ \t]+point|(?:the )?text so far|已经写好的部分|(?:the )?next paragraph|下一段){_CLOSE}[:：]"
    # "The plan:" on a line of its own; followed by text, it may be part of a story
    rf"|^(?:1[.)][ \t]?)?{_MARK}the[ \t]+plan{_CLOSE}[:：]{_CLOSE}$"
    r"|\bwrite[ \t]+only[ \t]+the[ \t]+(?:first|next|last)[ \t]+paragraph\b"
    r"|main[ \t]+point[ \t*_]*[:：][^\n]{1,600}word[ \t]+count|(?:要点|主要内容|主旨)[ \t*_]*[:：][^\n]{1,600}字数[^\n:：]{0,4}[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_SPEAKS_OF_PARAGRAPH = re.compile(
    r"\s{0,9}the (?:first|opening|next) paragraph (?:is|of|provides|introduces|describes|sets|should|will|begins)\b",
    re.IGNORECASE,
)
"""Matched at the beginning of the text."""
_STOP = r"[.!?。！？…\"”’」』)）]"
_COUNT = re.compile(
    # Word count: 500 words, on a line of its own
    rf"^{_MARK}{_WORD_COUNT}{_CLOSE}[:：=–-][ \t*_]*{_ABOUT}{_N}(?:words?)?[ \t.*_\])）】]*$"
    # (500 words) alone, or after the text
    rf"|(?:^{_MARK}|{_STOP}[ \t*_]*)[\[(（【][ \t]*(?:{_WORD_COUNT}[ \t]*[:：]?[ \t]*)?{_ABOUT}{_N}words?(?: in total| total)?[ \t]*[.]?[ \t]*[\])）】][ \t.*_]*$"
    rf"|{_STOP}[ \t*_]*[\[(（【]?[ \t]*{_WORD_COUNT}[ \t]*[:：][ \t]*{_ABOUT}{_N}(?:words?)?[ \t.]*[\])）】]?[ \t.*_]*$"
    # Total words: 500, This paragraph has about 500 words., 500 words, on a line of its own
    rf"|^{_MARK}(?:(?:total|final) )?(?:words|length){_CLOSE}[:：=][ \t*_]*{_ABOUT}{_N}(?:words?)?[ \t.*_\])）】]*$"
    rf"|^{_MARK}this (?:\w+ )?(?:paragraph|section|step|text|response|piece|story|essay|article|chapter|draft) "
    rf"(?:is|has|contains|comes to|totals)[ \t]*{_ABOUT}{_N}words?\b[^\n]{{0,20}}$"
    rf"|^[ \t*_(（]*{_ABOUT}{_N}words[ \t.*_)）]*$"
    rf"|[\[(（【][ \t]*words[ \t]*[:：][ \t]*{_ABOUT}{_N}[\])）】][ \t.*_]*$"
    # 字数：500字, on a line of its own or in brackets after the text
    rf"|(?:^{_MARK}|[。！？…”』」][ \t*_]*[\[(（【])(?:{_ZH_WHOLE}|总|实际|统计)*字数(?:统计)?{_CLOSE}[:：为][ \t*_]*{_ZH_ABOUT}{_N}字?(?:左右)?[ \t。.*_\])）】]*$"
    # （全文共2000字）, （约200字）
    rf"|(?:^{_MARK}|[。！？…”』」][ \t*_]*)[\[(（【](?:{_ZH_WHOLE}|以上(?:内容|文字)?)?{_ZH_ABOUT}{_N}个?字(?:左右)?[ \t。]*[\])）】][ \t。*_]*$"
    # 全文约1500字。, on a line of its own
    rf"|^{_MARK}(?:{_ZH_WHOLE}|本章|以上(?:内容|文字)?)(?:字数)?{_ZH_ABOUT}{_N}个?字(?:左右)?(?:[，,][^\n]{{0,20}})?[ \t。.*_\])）】]*$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING_COUNT = re.compile(
    rf"^(?:[ \t#*]*\d{{1,2}}[.)][ \t]?)?[^\n.]{{1,60}}[ \t][\[(（]{_ABOUT}{_N}words?[ \t]*[\])）][ \t*_:]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""A heading of the plan: `1. Introduction (240 words)`."""
_PART = re.compile(
    rf"^{_MARK}slugline{_CLOSE}[:：]|^{_MARK}body{_CLOSE}[:：]{_CLOSE}$"
    rf"|\A\s*{_MARK}(?:answer|response){_CLOSE}[:：]",
    re.IGNORECASE | re.MULTILINE,
)
"""The name of a part as its label: `SLUGLINE: INT. PIER - DAY`, or `Answer:` at the very start."""
# Prompts that ask for such scaffolding
_ASKS_FOR_POINTS = re.compile(_MAIN_POINT, re.IGNORECASE)
_ASKS_FOR_LABELS = re.compile(
    rf"paragraph\s*{_NUMERAL}\b|第{_NUMERAL}(?:自然)?段|段落{_NUMERAL}|(?:label|number|title|head|mark)\w* (?:each|every|the) paragraph"
    r"|(?:each|every) paragraph (?:labell?ed|numbered)|(?:标注|标明|注明|逐)段|每段(?:标|编号|加标题)",
    re.IGNORECASE,
)
_ASKS_FOR_SECTIONS = re.compile(
    r"section|part|contract|agreement|statute|bylaws?|\bact\b|regulation|部分|章节|合同|协议|条例|法规",
    re.IGNORECASE,
)
_ASKS_FOR_STEPS = re.compile(
    r"\bsteps?\b|how to\b|instructions|tutorial|recipe|步骤|如何|怎么|怎样|教程|指南", re.IGNORECASE
)
_ASKS_FOR_COUNT = re.compile(
    r"(?:include|state|give|add|note|write|show|print|put|end with|report)\b[^.\n]{0,30}\bword count"
    r"|(?:写明|注明|标注|标明|附上|给出|写出|统计)[^。\n]{0,10}字数",
    re.IGNORECASE,
)


def clean(text: str, asked: list[str]) -> str:
    """Returns the paragraph without scaffolding.

    Applies all rules in turn until a round changes nothing, for at most _ROUNDS rounds.

    Args:
        asked: the parts of the teacher's prompt that it may repeat before the paragraph.
    """
    rules: list[Callable[[str], str]] = [
        without_opener,
        without_label,
        lambda text: without_echo(text, asked),
        without_count,
        without_continuation,
    ]
    for _ in range(_ROUNDS):
        before, text = text, text.strip()
        for rule in rules:
            text = rule(text)
        if text == before:
            break
    return text


def without_label(text: str) -> str:
    """Returns the text without a leading `Paragraph 3:`, `第三段：` or the like."""
    return _FIRST_LABEL.sub("", text, count=1)


def without_opener(text: str) -> str:
    """Returns the text without a leading reply to the user: `Sure, here is the next paragraph:`."""
    return _OPENER.sub("", text, count=1)


def without_echo(text: str, asked: list[str]) -> str:
    """Returns the text without leading lines that repeat the request or main point in `asked`."""
    plain = {_plain(part) for part in asked}
    lines = text.lstrip().split("\n")
    first = 0
    while first < len(lines) - 1 and (_plain(lines[first]) in plain or not lines[first].strip()):
        first += 1
    return "\n".join(lines[first:])


def _plain(text: str) -> str:
    """Returns the letters and digits of a line in lower case, without a leading `Main Point:`."""
    return re.sub(r"[\W_]+", "", _FIRST_POINT.sub("", text).lower())


def without_count(text: str) -> str:
    """Returns the text without a closing word count, such as `(200 words)` or `字数：500字`."""
    return _without_end(text, _LAST_COUNT)


def without_continuation(text: str) -> str:
    """Returns the text without a closing `To be continued…` or the like."""
    return _without_end(text, _LAST_REMARK)


def _without_end(text: str, pattern: re.Pattern[str]) -> str:
    end = squeezed(text[-_ENDING:])
    found = pattern.search(end)
    return text[:-_ENDING] + end[: found.start()] if found else text


def residue_in(text: str, prompt: str) -> str:
    """Returns the first 80 characters of the scaffolding left in a text; empty if there is none.

    That is a paragraph label, a line of the plan or a remark on the word count. Empty as well if
    the prompt asks for it. `text.remarks` finds words to the user.
    """
    text, prompt = squeezed(simplified(text)), squeezed(simplified(prompt))
    found = None
    if not _ASKS_FOR_POINTS.search(prompt):
        found = _SPEAKS_OF_PARAGRAPH.match(text)
        if not found and _SIGN_OF_PLAN.search(text):
            found = _PLAN.search(text)
    if not found and _SIGN_OF_LABEL.search(text):
        found = _label(text, prompt)
    if not found and _SIGN_OF_COUNT.search(text) and not _ASKS_FOR_COUNT.search(prompt):
        found = _COUNT.search(text) or _HEADING_COUNT.search(text)
    if not found and _SIGN_OF_PART.search(text) and not _SIGN_OF_PART.search(prompt):
        found = _PART.search(text)
    return found.group(0).strip()[:80] if found else ""


_SIGN_OF_PLAN = re.compile(
    r"main[ \t]+point|the plan\b|write only the |text so far|next paragraph|已经写好|下一段|要点|主要内容|主旨",
    re.IGNORECASE,
)
_SIGN_OF_LABEL = re.compile(
    r"paragraph[ \t]*[\divxo-t]|section[ \t]*[\divxo-t]|step[ \t]*[\divxo-t]|段|部分|步",
    re.IGNORECASE,
)
_SIGN_OF_COUNT = re.compile(
    r"\d[ \t]*words?\b|words?[ \t_*-]*(?:count[ \t_*]*)?[:：=–-]|字", re.IGNORECASE
)


_SIGN_OF_PART = re.compile(r"(?:slugline|body|answer|response)[ \t\])）】*_]*[:：]", re.IGNORECASE)


def _label(text: str, prompt: str) -> re.Match[str] | None:
    """Returns the first label that comes from the plan.

    Steps that belong to the text start at one, so a first step with another number is the plan's.
    """
    if not _ASKS_FOR_LABELS.search(prompt):
        for found in _LABEL.finditer(text):
            of_section = re.search("section|部分", found.group(0), re.IGNORECASE)
            if not (of_section and _ASKS_FOR_SECTIONS.search(prompt)):
                return found
    step = None if _ASKS_FOR_STEPS.search(prompt) else _STEP.search(text)
    return (
        step
        if step
        and not any(number and number.lower() in _FIRST_NUMERALS for number in step.groups())
        else None
    )
