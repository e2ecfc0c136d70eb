"""How a text ends, and what a teacher left in it that is no part of it.

Source: LongWriter, section 3.2: crashed outputs are dropped and labels like "Paragraph 1" stripped. The
patterns are our own.
"""

import re

from longwriter.dataset.measures import is_verse, lines_of
from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings

_NUMERAL = (
    r"(?:\d+|[IVX]+|[一二三四五六七八九十百]+|one|two|three|four|five|six|seven|eight|nine|ten)"
)
_MARK = r"[ \t#*_>\[(【（~-]*"
_AFTER = r"[ \t\])】）*_]*"
_LABEL = re.compile(
    rf"^{_MARK}(?:paragraph[ \t]*{_NUMERAL}(?:[ \t]*(?:of|/)[ \t]*\d+)?|第[ \t]*{_NUMERAL}[ \t]*(?:自然)?段"
    rf"|段落[ \t]*{_NUMERAL}){_AFTER}(?:[:：]|[ \t]+[-–—][ \t]|[ \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)
_PLAN = re.compile(
    rf"^{_MARK}(?:main[ \t]+point{_AFTER}[:：]|(?:the )?text so far{_AFTER}[:：]|已经写好的部分{_AFTER}[:：]|"
    rf"(?:the )?next paragraph{_AFTER}[:：]|下一段{_AFTER}[:：])"
    r"|main[ \t]+point[ \t*_]*[:：][^\n]{1,600}word[ \t]+count|要点[ \t*_]*[:：][^\n]{1,600}字数[ \t*_]*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_ABOUT = r"(?:about|approximately|approx\.?|around|roughly|exactly|total(?:ing)?|~)?[ \t]*"
_ZH_ABOUT = r"(?:大约|约|共|总共|共计|合计|约为|为|大概)*[ \t]*"
_STOP = r"[.!?。！？…\"”’」』)）]"
_COUNT = re.compile(
    # Word count: 500 words, on a line of its own
    rf"^{_MARK}(?:total |final |actual |approximate |target |remaining )*word[ \t-]*count{_AFTER}[:：=][ \t*_]*{_ABOUT}\d[\d,]*[ \t]*(?:words?)?[ \t.*_\])）】]*$"
    # (500 words) alone, or behind the text
    rf"|(?:^{_MARK}|{_STOP}[ \t*_]*)[\[(（【][ \t]*(?:(?:total |final )?word[ \t-]*count[ \t]*[:：]?[ \t]*)?{_ABOUT}\d[\d,]*[ \t]*words?(?: in total| total)?[ \t]*[.]?[ \t]*[\])）】][ \t.*_]*$"
    rf"|{_STOP}[ \t*_]*[\[(（【]?[ \t]*(?:total )?word[ \t-]*count[ \t]*[:：][ \t]*{_ABOUT}\d[\d,]*[ \t]*(?:words?)?[ \t.]*[\])）】]?[ \t.*_]*$"
    # 字数：500字, on a line of its own or in brackets behind the text
    rf"|(?:^{_MARK}|[。！？…”』」][ \t*_]*[\[(（【])(?:本文|全文|本段|文章|正文|总|实际|统计)*字数(?:统计)?{_AFTER}[:：为][ \t*_]*{_ZH_ABOUT}\d[\d,，]*[ \t]*字?(?:左右)?[ \t。.*_\])）】]*$"
    # （全文共2000字）, （约200字）
    rf"|(?:^{_MARK}|[。！？…”』」][ \t*_]*)[\[(（【](?:本文|全文|本段|文章|正文|以上)?{_ZH_ABOUT}\d[\d,，]*[ \t]*个?字(?:左右)?[ \t。]*[\])）】][ \t。*_]*$"
    # 全文约1500字。, on a line of its own
    rf"|^{_MARK}(?:本文|全文|本段|文章|正文){_ZH_ABOUT}\d[\d,，]*[ \t]*个?字(?:左右)?[ \t。.*_\])）】]*$",
    re.IGNORECASE | re.MULTILINE,
)
_OPENER = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|okay|ok)\b[^\n]{0,40}?[,:!.]\s*)?"
    r"here(?:'s|’s| is| are)\b[^\n:]{0,100}\b(?:paragraph|step|section of the plan)\b[^\n:]{0,100}:"
    r"|^\s*(?:好的|当然)?[，,！!]?\s*(?:以下|下面)是[^\n：:]{0,30}第?[一二三四五六七八九十\d下]*[段][^\n：:]{0,20}[:：]",
    re.IGNORECASE,
)
_ASKED_LABEL = re.compile(
    rf"paragraph\s*{_NUMERAL}\b|第{_NUMERAL}(?:自然)?段|段落{_NUMERAL}|(?:label|number|title|head|mark)\w* (?:each|every|the) paragraph"
    r"|(?:each|every) paragraph (?:labell?ed|numbered)|(?:标注|标明|注明|逐)段|每段(?:标|编号|加标题)",
    re.IGNORECASE,
)
_ASKED_COUNT = re.compile(
    r"(?:include|state|give|add|note|write|show|print|put|end with|report)\b[^.\n]{0,30}\bword count"
    r"|(?:写明|注明|标注|标明|附上|给出|写出|统计)[^。\n]{0,10}字数",
    re.IGNORECASE,
)


def residue(row: Row, settings: FilterSettings) -> str | None:
    """Labels of paragraphs, lines of a plan, remarks on the number of words, the teacher's word to
    who asks for a paragraph; not what the instruction asks for."""
    text, prompt = row.response, row.prompt
    label = None if _ASKED_LABEL.search(prompt) else _LABEL.search(text)
    plan = None if re.search(r"main point|要点", prompt, re.IGNORECASE) else _PLAN.search(text)
    count = None if _ASKED_COUNT.search(prompt) else _COUNT.search(text)
    found = _OPENER.search(text) or plan or label or count
    return f"holds {found.group(0).strip()[:80]!r}" if found else None


_CONTINUED = re.compile(
    r"(?:to be continued|continued (?:in|on) (?:the )?(?:next|part)[^.\n]{0,30}|(?:the )?(?:text|story|rest) continues|"
    r"continue[ds]? in (?:my|the) next|未完待续|待续|(?:未完|下文?|下篇|下一?[段章])(?:继续|待续|再续))[\s.…。!！\])）】*_]*$",
    re.IGNORECASE,
)
_CLOSERS = "\"'”’」』》»)）]】*_~`\u200b\ufe0f \t"
_TERMINAL = ".!?…。！？‽｡॥"
_EMOJI = re.compile(r"[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f\u200d♪♥★☆✨]+$")
_DANGLING = re.compile(
    r"(?:[,，、;；:：\-–(（\[【“‘「『《]|(?<!—)—|\b(?:the|a|an|of|to|and|or|but|in|on|at|with|for|from|by|as|that|which|who|"
    r"is|was|are|were|be|been|has|have|had|will|would|could|should|can|their|his|her|its|my|your|our|this|these|into|"
    r"than|because|while|when|where|if|not|very|so)|[的地得和与及或而但把被对向从在将并是因为虽然如果]|——)$",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"#{1,6}\s+\S|(?:chapter|part|section)\s+(?:\d+|[IVXLC]+|one|two|three|four|five|six|seven|eight|nine|ten|\w+teen|twenty)\b[^.!?]{0,60}$|"
    r"第[一二三四五六七八九十百零\d]+[章节回部卷幕][^。！？]{0,30}$|[一二三四五六七八九十]+、[^。！？]{1,20}$",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:[-*•·–+✓✔☐□]|\d{1,3}[.)、．]|[a-zA-Z][.)]|[（(]\d+[)）]|[①-⑳])\s*\S")
_CODE_END = re.compile(r"[;{}>]$|\\\]$|\$$|\\end\{\w+\}$|```$")
_CLOSING = re.compile(
    r"(?:(?:yours|sincerely|best|kind|warm|kindest|warmest|regards|respectfully|love|with (?:love|gratitude|warm|best|kind|"
    r"deep|all|appreciation|thanks|sincere)|cheers|thank you|thanks|cordially|gratefully|faithfully|many thanks|signed|"
    r"written by|by|from|author|source|p\.?s\.?|contact|phone|tel|e-?mail|address|date|cc|enclosures?)\b|[@#—–-]+\s?\S|https?://|"
    r"此致|敬礼|祝|敬上|谨上|署名|落款|作者|记者|编辑|来源|日期|时间|地点|电话|邮箱|联系|地址|报告人|申请人|致谢|签名)",
    re.IGNORECASE,
)
_END_MARK = re.compile(
    r"[\[(（【*~\-— ]*(?:the end|end|fin|finis|完|全文完|全书完|全剧终|剧终|终|正文完|本章完|谢谢(?:大家)?|敬礼|此致敬礼)[\])）】*~\-— ]*$",
    re.IGNORECASE,
)
_ZH_SIGNED = re.compile(
    r"(?:[\d〇零一二三四五六七八九十]{1,4}年[\d〇零一二三四五六七八九十]{1,3}月(?:[\d〇零一二三四五六七八九十]{1,3}日?)?|[日部处局校班社组院中心会司厂店馆委办系]|敬上|谨上|谨启|敬启|启|"
    r"呈上|[X×xＸ某○]{2,})$"
)
_SMALL = frozenset(
    [
        "of",
        "the",
        "and",
        "de",
        "von",
        "van",
        "di",
        "la",
        "le",
        "du",
        "at",
        "in",
        "for",
        "on",
        "by",
        "to",
        "&",
        "a",
        "an",
    ]
)


def unfinished(row: Row, settings: FilterSettings) -> str | None:
    """The text stops in the middle: no full stop, an open code block, a heading without text, or a
    promise to go on. A signature, a date, verse, a list, a table or code may end without full stop."""
    if row.record.get("finish_reason") == "length":
        return "cut off at the token limit"
    text = row.response.rstrip()
    if text.count("```") % 2:
        return "ends within a code block"
    if found := _CONTINUED.search(text[-100:]):
        return f"ends with {found.group(0).strip()!r}"
    lines = lines_of(text)
    last = lines[-1]
    if _ends_well(last, lines[:-1]):
        return None
    return f"ends with {last[-40:]!r}"


def _ends_well(last: str, before: list[str]) -> bool:
    bare = _EMOJI.sub("", last.rstrip(_CLOSERS)).rstrip(_CLOSERS)
    if bare.endswith(tuple(_TERMINAL)):
        return not re.fullmatch(r"\d{1,3}[.、]", bare)  # the number of an item that is not there
    if not bare or last[-1] in '"”」』》)）]】':  # an ornament; a quotation or a remark to its end
        return True
    if _CODE_END.search(last) or _END_MARK.match(last) or (last[0] == last[-1] == "|"):
        return True
    if _HEADING.match(last) or _DANGLING.search(bare):
        return bool(re.match(r"#\w", last)) and not _DANGLING.search(bare)
    if _LISTED.match(last):
        return _as_the_items_before(before)
    return _signs(last, before) or _is_verse_end(last, before)


def _as_the_items_before(before: list[str]) -> bool:
    """Whether most items of the list end without full stop, as its last does."""
    items = []
    for line in reversed(before):
        if not _LISTED.match(line):
            break
        items.append(line)
    open_ended = sum(not item.rstrip(_CLOSERS).endswith(tuple(_TERMINAL)) for item in items)
    return bool(items) and open_ended * 2 >= len(items)


def _signs(last: str, before: list[str]) -> bool:
    """Whether a short last line is a signature, a date, an address or the like."""
    if _CLOSING.match(last) and len(last) <= 80:
        return True
    if re.search(r"[\u4e00-\u9fff]", last):
        previous = before[-1] if before else ""
        short = len(last) <= 24 and not re.search(r"[，；]", last)
        named = len(re.sub(r"\W", "", last)) <= 4 or bool(_CLOSING.match(previous))
        return short and bool(before) and (named or bool(_ZH_SIGNED.search(last)))
    words = re.findall(r"[^\W\d_][\w'’.-]*", last)
    capitals = all(word[0].isupper() or word.lower() in _SMALL for word in words)
    follows = bool(before) and bool(_CLOSING.match(before[-1]))
    return len(words) <= 8 and bool(before) and (capitals or follows)


def _is_verse_end(last: str, before: list[str]) -> bool:
    """Whether the last line is one of verse whose lines end without full stop as a rule."""
    lines = [*before[-7:], last]
    open_ended = sum(not line.rstrip(_CLOSERS).endswith(tuple(_TERMINAL)) for line in lines)
    return is_verse(lines) and open_ended * 2 >= len(lines)
