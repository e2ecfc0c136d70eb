"""Finds structural faults of a text.

These are an outline in place of the text, a part that is announced or continued, text after THE
END, chapter numbers that go backwards, and a code fence around everything.

Source: our own, from real texts of many models.
"""

import re

from longwriter.text.markup import is_verse, lines_of, squeezed
from longwriter.text.numbers import value
from longwriter.text.words import tokens

_BRACKETS = "[", "(", "（", "【"
_BARE = '*_#>~`"“”()[]（）【】 \t-—–=.。!！…'
_CONTINUED = re.compile(
    r"(?:(?:and so,? )?(?:the|our|their) (?:adventure|journey|saga|quest) continues|(?:story|text|chapter|essay|script|scene|article) (?:continues|continued)|continued (?:from|in|on)\b[^\n]{0,60}"
    r"|cont(?:inue)?d? (?:from|in) (?:the )?(?:previous|next|part|last)[^\n]{0,40}|to be continued[^\n]{0,20}|continuation (?:of|from)\b[^\n]{0,60}"
    r"|here(?:['’]s| is) the (?:rest|remainder|continuation|next part) of the \w+"
    r"|(?:end|conclusion) of (?:part|excerpt|preview|section|step|response|message|sample)\b[^\n]{0,30}|part (?:\d+|one|two|three|i{1,3}) of (?:\d+|two|three|four|five)"
    r"|(?:接|续)(?:上文|前文|上一?[章节篇段]|下文)|待续|未完待续|下一?[章节篇部](?:待续|继续)|此处省略[^\n]{0,20}|(?:其余|剩余|后续|以下)[^\n]{0,14}(?:省略|略|类似))",
    re.IGNORECASE,
)
"""Must match a whole line."""
_CONTINUED_IN_BRACKETS = re.compile(
    r"(?:(?:the )?(?:continued|continuation)|continues?(?: (?:in|from|with|on)\b[^\n]{0,60})?|rest of [^\n]{0,50}|remaining (?:chapters|scenes|sections|parts)[^\n]{0,60}"
    r"|续[上前]?文?|(?:故事|正文|文章)?(?:继续|续写)|接上|下接)",
    re.IGNORECASE,
)
"""Must match a whole line in brackets."""
_GOES_ON = re.compile(
    r"(?:(?:and )?(?:so|thus),? )?(?:this|the above|that|what you(?:'ve| have) read) (?:is|was|marks) (?:just |only |merely )?(?:the )?(?:beginning|start|first (?:part|chapter|act|installment)|opening|prologue) (?:of (?:the|this|a|your|our) (?:\w+ )?"
    r"(?:story|screenplay|script|novel|essay|article|narrative|tale|series|piece))"
    r"|(?:in|stay tuned for|look out for|coming up in) (?:the )?(?:next|following|subsequent|upcoming) (?:part|chapter|section|episode|installment|act|response|message)s?\b[^\n]{0,120}(?:will|i'll|we'll|\.\.\.|\.)"
    r"|(?:the )?(?:story|screenplay|script|essay|article|narrative|tale|rest of the \w+)(?: then)? (?:continues|goes on|would continue|will continue|would then|could continue|can continue)\b"
    r"|i(?:'ll| will| can) (?:continue|go on|write the (?:next|rest)|proceed) (?:with|to write|writing|in (?:the|my) next|from|the (?:story|script|next))\b[^\n]{0,80}"
    r"|(?:the )?(?:remaining|following|next|rest of the|other) (?:chapters?|sections?|scenes?|acts?|parts?|words)\b[^\n]{0,40}\b(?:would|will|could|can|should|continue|are|follow)\b"
    r"|(?:故事|剧情|情节|文章|正文)(?:还?将|还?会|还要|还在|仍在|到此|未完)[^。\n]{0,12}(?:继续|未完|待续)|(?:下一?[章节部篇]|后续)(?:将|会|中)[^。\n]{0,30}|(?:这|以上)(?:仅|只)?是[^。\n]{0,10}(?:开始|开端|开头|第一[章部节])",
    re.IGNORECASE,
)
_CONTINUES = re.compile(
    r"\s*continuing (?:with |from )?(?:the|your|this) (?:story|tale|narrative|script|screenplay|essay)\b|\s*(?:接着|继续)(?:上文|前文|故事)",
    re.IGNORECASE,
)
"""Matched at the beginning of the text."""
_SCREENPLAY = re.compile(r"^[^\w\n]{0,20}(?:INT|EXT|I/E)\b[./ ]", re.MULTILINE)
_THE_END = re.compile(
    r"(?:the end|fin|finis|end of (?:story|screenplay|script|essay|novel)|the end of (?:the|our) story|完|全文完|全书完|全剧终|剧终|(?:故事|正文|本文)完)",
    re.IGNORECASE,
)
_AFTER_END = 12
"""Most words allowed after THE END, for credits or a signature."""

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_NUMBERED = re.compile(
    r"[\s*_#>【\[]*(?:(chapter|part)\s+(\d{1,3}|[IVXLC]{1,7}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen|twenty)\b(?![-’'])"
    r"|第\s*([一二三四五六七八九十百零〇\d]{1,5})\s*([章回卷部]))(.{0,80})$",
    re.IGNORECASE,
)
"""A chapter or part heading, numbered through the whole text.

Scenes and sections are left out, as their numbers restart within each part.
"""
_PARTS = "part", "卷", "部"
"""Units that contain chapters."""
_LONGEST_HEADING = 120
"""In characters."""
_STOPS = ".", "。", ",", "，", "!", "?"
_HEADING = re.compile(r"(#{1,6})\s+(\S[^\n]{3,100})$")

_FENCE = re.compile(
    r"\s*```[ \t]*(?:markdown|md|text|txt|plaintext|plain|story|screenplay|fountain|html)?[ \t]*\n(.*?)\n?[ \t]*```\s*",
    re.DOTALL | re.IGNORECASE,
)

_ASKS_FOR_OUTLINE = re.compile(
    r"\b(?:outlines?|plan|plot points|summar\w+|synopsis|beat sheet|bullet|list|structure|table of contents|breakdown|framework|curriculum|syllabus|"
    r"steps|questions|ideas|traits|names|pitch|storyboard|timeline|itinerary|agenda|guide)\b|大纲|提纲|概要|概述|总结|框架|梗概|列表|清单|计划|步骤|目录|要点|方案",
    re.IGNORECASE,
)
_ASKS_FOR_PROSE = re.compile(
    r"\b(?:writ\w*|continu\w+|tell|compose|draft|craft|create|rewrite)\b[^.\n]{0,80}\b(?:story|novel|narrative|essay|memoir|chapter|fanfic\w*)\b|(?:写|创作|续写|改写|编)[^。\n]{0,30}(?:故事|小说|散文|作文)",
    re.IGNORECASE,
)
_SUMMARISES = re.compile(
    r"\s{0,9}(?:(?:这|该|此)(?:段|篇|个|部)?(?:文字|文本|故事|剧本|文章|作品|小说|对话)[^。，\n]{0,12}(?:包含|提供|讲述|描述|描绘|围绕|列出|概述|总结)"
    r"|(?:this|the) (?:text|passage|story|screenplay|script|article|excerpt|document) (?:above )?(?:provides|contains|describes|tells the story|lists|follows|is about|summari[sz]es|revolves)\b)",
    re.IGNORECASE,
)
"""The beginning of a summary that takes the place of the text."""
_ASKS_FOR_SUMMARY = re.compile(
    r"\b(?:review|analy[sz]\w*|critique|summar\w+|synopsis|describe|explain|pitch|blurb)\b|评论|影评|书评|读后感|观后感|赏析|总结|概括|梗概|简介",
    re.IGNORECASE,
)
_RETELLS = re.compile(
    r"(?:^|(?<=[。！？\n]))[ \t]*(?:(?:故事|剧情|情节|影片|剧本|剧集|本剧|全剧|该剧|小说|剧幕)[^。，\n]{0,6}(?:围绕|始于|发生在|的?(?:尾声|结尾|高潮|开场)|讲述|戛然而止|落幕|一开始|进入高潮)"
    r"|随着(?:剧情|故事|情节)的?(?:发展|推进|深入|展开)|在?(?:剧终|剧末|影片的?(?:最后|结尾))|整[部个](?:剧情?|故事|影片)|这[部个](?:作品|剧本|影片)以)"
    r"|(?:^|(?<=[.!?\n]))[ \t]*(?:the (?:story|narrative|plot|screenplay|film|episode|play|script) (?:then )?(?:begins|opens|starts|follows|revolves|cent(?:er|re)s|concludes|ends|closes|culminates)\b"
    r"|as the (?:story|narrative|plot|episode|screenplay|film) (?:[“\"][^”\"\n]{1,40}[”\"] )?(?:unfolds|progresses|develops|nears|reaches)\b|in the (?:alternate|alternative) (?:ending|version)\b)",
    re.IGNORECASE,
)
_BEGINS_TO_RETELL = re.compile(
    r"[^。\n]{0,40}在《[^》\n]{1,30}》这[篇个]故事中|(?:[^\n]{0,40}\n)?\s{0,9}(?:场景|故事|剧情)设定在"
)
"""The beginning of a text that retells a story instead of telling it."""
_ASKS_FOR_STORY = re.compile(
    r"\b(?:story|screenplay|script|novel|fanfic\w*|chapter|scene|episode|(?:alternate|alternative) ending)\b|故事|小说|剧本|剧|续写|写作|写一篇",
    re.IGNORECASE,
)
_LEAST_RETOLD = 2
"""Fewest sentences about "the story" that make a text a retelling: one may be part of the story."""
_OUTLINE_TITLE = re.compile(
    r"[\s*_#>]*(?:(?:detailed|brief|rough|general|proposed|story|plot|chapter|essay|article|screenplay|expanded|the|an?) ){0,3}(?:outline|synopsis|plot summary|story summary)\b[^\n.]{0,60}$"
    r"|[\s*_#>【]*(?:[^\n。]{0,20})(?:大纲|提纲|梗概|故事概要|写作思路|写作构思|文章结构)[】*：:\s]*$",
    re.IGNORECASE,
)
_ITEM = re.compile(
    r"(?:[-*•·–+]|\d{1,3}[.)、．]|[IVX]{1,5}[.)]|[A-Za-z][.)]|[（(]\d+[)）]|[①-⑳]|[一二三四五六七八九十]{1,3}、)\s*\S|#{1,6}\s|\*\*[^*\n]{1,80}\*\*:?$"
)
_PROSE_WORDS = 30
"""Fewest words in a line of prose; the items of an outline are shorter."""
_LISTED, _MOST_PROSE = 0.6, 0.25
"""Share of an outline's words that are in list items, at least, and in lines of prose, at most."""


def outline(text: str, prompt: str) -> str:
    """Returns what shows that a text is an outline or a summary instead of what was asked for.

    For a summary, that is how the text begins, or two sentences that retell a story (`As the story
    unfolds, …`). For an outline, it is the title, or that the text is mostly list items although
    the prompt asks for prose. Empty if nothing shows it, or the prompt asks for what it shows.
    """
    if (summary := _SUMMARISES.match(text)) and not _ASKS_FOR_SUMMARY.search(prompt):
        return summary[0]
    if not _ASKS_FOR_SUMMARY.search(prompt) and _ASKS_FOR_STORY.search(prompt):
        if found := _BEGINS_TO_RETELL.match(text):
            return found[0].strip()
        retold = [found[0].strip() for found in _RETELLS.finditer(text)]
        if len(retold) >= _LEAST_RETOLD:
            return ", ".join(retold[:_LEAST_RETOLD])
    if _ASKS_FOR_OUTLINE.search(prompt) or not _ASKS_FOR_PROSE.search(prompt):
        return ""
    lines = lines_of(text)
    title = next((line for line in lines[:12] if _OUTLINE_TITLE.match(line)), None)
    if title:
        return title
    if len(lines) < 8 or is_verse(lines) or _SCREENPLAY.search(text):
        return ""
    sizes = [(len(tokens(line)), bool(_ITEM.match(line))) for line in lines]
    total = sum(size for size, _ in sizes)
    listed = sum(size for size, item in sizes if item)
    prose = sum(size for size, item in sizes if not item and size >= _PROSE_WORDS)
    if listed >= _LISTED * total and prose <= _MOST_PROSE * total:
        return f"{listed / total:.0%} of its words are in list items"
    return ""


def continuation(text: str) -> str:
    """Returns a line or closing sentence that announces a missing part or continues an earlier one.

    Examples: `(continued)`, `[Continuation]`, `This is just the beginning of the story.` Empty if
    there is none.
    """
    if found := _CONTINUES.match(text):
        return found[0].strip()
    screenplay = _SCREENPLAY.search(text) is not None
    for line in text.split("\n"):
        if not 3 <= len(line) <= 120:
            continue
        bare = squeezed(line).strip(_BARE + ":：")
        if not bare:
            continue
        found = _CONTINUED.fullmatch(bare)
        if not screenplay and line.lstrip("*_ ")[:1] in _BRACKETS:  # these are usual in screenplays
            found = found or _CONTINUED_IN_BRACKETS.fullmatch(bare)
        if found:
            return line.strip()
    last = squeezed(text[-500:]).rstrip().replace("’", "'")
    for said in re.split(r"(?<=[.!?。！？\n])\s*", last)[-4:]:
        if _GOES_ON.match(said.lstrip("*_([（【 ")):
            return said.strip()
    return ""


def text_after_end(text: str) -> str:
    """Returns the line THE END if more than a few words follow it, else an empty string."""
    lines = lines_of(text)
    for place, line in enumerate(lines):
        if len(line) > 40 or not _THE_END.fullmatch(line.strip(_BARE)):
            continue
        if sum(len(tokens(after)) for after in lines[place + 1 :]) > _AFTER_END:
            return line
    return ""


def misnumbered(text: str) -> str:
    """Returns the first heading that is out of order or repeated; empty if there is none.

    A chapter or part is out of order if its number is below that of the previous one. Chapter
    numbers may restart in a new part. A numbered line right before another one belongs to a table
    of contents and is skipped. Of the other Markdown headings, only those of the top level must not
    be repeated.
    """
    last: dict[str, tuple[float, str]] = {}
    headings: dict[str, set[str]] = {}
    lines = lines_of(text)
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if found := _numbered(line):
            if _numbered(following):
                continue
            kind, number = (found[1] or found[4]).lower(), _number(found[2] or found[3])
            before, title = last.get(kind, (0, ""))
            if number < before or (number == before and title == line):
                return line
            if kind in _PARTS:
                last = {name: each for name, each in last.items() if name in _PARTS}
            last[kind] = number, line
        elif found := _HEADING.match(line):
            known = headings.setdefault(found[1], set())
            top = len(found[1]) == min(map(len, headings))
            if top and found[2] in known and not found[2].endswith((":", "：", "?", "？")):
                return line
            known.add(found[2])
    return ""


def _numbered(line: str) -> re.Match[str] | None:
    """Returns the match of a chapter or part heading; None if the line is a sentence about one."""
    found = _NUMBERED.match(line) if len(line) <= _LONGEST_HEADING else None
    return None if found and found[5].rstrip("*_】] ").endswith(_STOPS) else found


def fenced(text: str) -> re.Match[str] | None:
    """Returns the match of a code fence around all of `text`, with the prose in group 1.

    None if there is no such fence, or another one inside it.
    """
    found = _FENCE.fullmatch(text) if text.lstrip().startswith("```") else None
    return found if found and "```" not in found[1] else None


def _number(written: str) -> float:
    if set(written.upper()) <= set(_ROMAN):
        values = [_ROMAN[letter] for letter in written.upper()]
        return sum(-v if v < max(values[place:]) else v for place, v in enumerate(values))
    return value(written)
