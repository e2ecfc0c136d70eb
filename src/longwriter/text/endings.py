"""Tells whether a text is finished or breaks off.

Source: LongWriter, section 3.2: crashed outputs are dropped. The patterns are our own.
"""

import re

from longwriter.text.chinese import simplified
from longwriter.text.control_tokens import without_last_token
from longwriter.text.markup import is_verse, lines_of, squeezed

_CONTINUED = re.compile(
    r"(?:to be continued|continued (?:in|on) (?:the )?(?:next|part)[^.\n]{0,30}|(?:the )?(?:text|story|rest) continues|"
    r"continue[ds]? in (?:my|the) next|未完待续|待续|(?:未完|下文?|下篇|下一?[段章])(?:继续|待续|再续))[\s.…。!！\])）】*_]*$",
    re.IGNORECASE,
)
_OFFERS = re.compile(
    r"(?:(?:would you like|do you want|shall|should) (?:me |I )(?:to )?(?:continue|go on|proceed|keep|write|expand)[^?\n]{0,60}\?"
    r"|(?:let me know|tell me|just ask|say (?:the word|\"continue\")) (?:if|when|whether)[^.!\n]{0,40}\b(?:continu\w+|next (?:part|chapter|"
    r"section|paragraph)|go on|more (?:chapters|parts|paragraphs)|the rest)\b[^.!\n]{0,40}[.!]*"
    r"|I(?:'ll|’ll| will| can) (?:continue|go on|write the (?:next|rest))\b[^.!\n]{0,60}\b(?:next|if you|part|response|message|upon)\b[^.!\n]{0,40}[.!]*"
    r"|(?:stay tuned|look out) for (?:the )?(?:next|more|part)\b[^.!\n]{0,40}[.!]*"
    r"|(?:如果|若|如)(?:您|你)?(?:需要|想|希望|要|愿意)[^。！？\n]{0,12}(?:继续|续写|接着写|下一[章部节段]|后续|余下)[^。！？\n]{0,20}[。！]?(?:请[^。！\n]{0,10}[。！]?)?"
    r"|(?:需要|要不要|要|是否(?:需要|要|希望)|想要?)(?:我)?(?:继续|接着|续写)[^。？\n]{0,10}[吗呢]?？"
    r"|请(?:看|听|见|阅读|期待|关注)下一?[章篇回节集部文段][^。！\n]{0,6}[。！]?|(?:下一?[章篇回部集节段]|后续|续集|后文)[^。！\n]{0,30}敬请期待[。！]?|我(?:会|将)在?(?:下一?[次条段章部]|后续)[^。！\n]{0,20}继续[^。！\n]{0,15}[。！]?"
    r")\s*[\])）】*_]*\s*$",
    re.IGNORECASE,
)
_LEFT_OUT = re.compile(
    r"[\[(（【<]\s*(?:\.{3}|…+)?\s*(?:continue[sd]?\b[^\])）】>]{0,40}|[^\])）】>]{0,40}\b(?:omitted|truncated|cut off)\b[^\])）】>]{0,40}"
    r"|(?:the )?(?:rest|remainder) of the \w+[^\])）】>]{0,40}|end of (?:part|section|paragraph|step|excerpt)\b[^\])）】>]{0,20}"
    r"|[^\])）】>]{0,20}(?:以下|后文|后面|下文|此处|其余|余下|剩余|后续)[^\])）】>]{0,8}略[^\])）】>]{0,10}|[后下从]略|(?:下接|接下)[^\])）】>]{0,6}|续)\s*(?:\.{3}|…+)?\s*[\])）】>][\s.…。*_]*$",
    re.IGNORECASE,
)

_CLOSERS = "\"'”’」』》»)）]】*_~`\u200b\ufe0f \t"
_TERMINAL = (".", "!", "?", "…", "。", "！", "？", "‽", "｡", "॥")
_EMOJI = re.compile(r"[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f\u200d♪♥★☆✨]+$")
_DANGLING = re.compile(
    r"(?:[,，、;；:：\-–(（\[【“‘「『《]|(?<!—)—|\b(?:the|a|an|of|to|and|or|but|in|on|at|with|for|from|by|as|that|which|who|"
    r"is|was|are|were|be|been|has|have|had|will|would|could|should|can|their|his|her|its|my|your|our|this|these|into|"
    r"than|because|while|when|where|if|not|very|so)|[的地得和与及或而但把被对向从在将并是因为虽然如果]|——)$",
    re.IGNORECASE,
)
_TRAILS_OFF = re.compile(r"\b(?:the|an?|of|with|from|into)(?:\.{3}|…)$")
_HEADING = re.compile(
    r"#{1,6}\s+\S|(?:chapter|part|section)\s+(?:\d+|[IVXLC]+|one|two|three|four|five|six|seven|eight|nine|ten|\w+teen|twenty)\b[^.!?]{0,60}$|"
    r"第[一二三四五六七八九十百零\d]+[章节回部卷幕][^。！？]{0,30}$|[一二三四五六七八九十]+、[^。！？]{1,20}$",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:[-*•·–+✓✔☐□]|\d{1,3}[.)、．]|[a-zA-Z][.)]|[（(]\d+[)）]|[①-⑳])\s*\S")
_EMPTY_ITEM = re.compile(r"\d{1,3}[.、]")
_CODE_END = re.compile(r"[;{}>]$|\\\]$|\$$|\\end\{\w+\}$|```$")
_FORMULA_END = re.compile(
    r"=[^=\u4e00-\u9fff]{0,60}[\d)}\]]\W{0,4}$|\\\)$|^\W*\d{1,3}[.)、:：]?\s*[A-Ha-h]\b\W{0,3}$"
)
"""The end of an equation, or an entry of an answer key (`12. B`)."""
_ADDRESS_END = re.compile(
    r"(?:https?://|www\.|doi[:.]|10\.\d{4,9}/)\S{1,200}$|\S{1,80}@\S{1,80}\.\w{2,8}$|<[^<>\s]{3,200}>$",
    re.IGNORECASE,
)
_ORNAMENT = re.compile(r"[\W_]{2,}")
_NEIGHBOURS = 8
"""How many of the preceding lines the last one is compared with."""
_CLOSING = re.compile(
    r"(?:(?:yours|sincerely|best|kind|warm|kindest|warmest|regards|respectfully|love|with (?:love|gratitude|warm|best|kind|"
    r"deep|all|appreciation|thanks|sincere)|cheers|thank you|thanks|cordially|gratefully|faithfully|many thanks|signed|"
    r"written by|by|from|author|source|p\.?s\.?|contact|phone|tel|e-?mail|address|date|cc|enclosures?)\b|[@#—–-]+\s?\S|https?://|"
    r"此致|敬礼|祝|敬上|谨上|署名|落款|作者|记者|编辑|来源|日期|时间|地点|电话|邮箱|联系|地址|报告人|申请人|致谢|签名)",
    re.IGNORECASE,
)
_END_MARK = re.compile(
    r"[\[(（【*~\-—#_ ]*(?:the end|(?:the )?end of [^.!?\n]{1,40}|end(?: scene| credits?)?|(?:end )?credits(?: roll)?|roll credits|fin|finis|fade (?:out|to [a-z]+)|cut to [a-z]+|curtain(?: falls)?|"
    r"(?:scene|episode|chapter|act|story|script) ends?(?: [^.!?\n]{0,60})?|end credits? rolls?|完|全文完|全书完|全剧终|剧终|终|正文完|本章完|谢谢(?:大家)?|敬礼|此致敬礼|"
    r"[本全该此]?(?:[章集场幕剧文书回篇]|故事|剧本|正文|演讲|影片)?(?:结束|终章|完结|落幕|谢幕)|幕落|尾声|淡出|第[一二三四五六七八九十\d]{1,3}[章幕场集]完)[\])）】*~\-—_ ]*$",
    re.IGNORECASE,
)
_ZH_SIGNED = re.compile(
    r"(?:[\d〇零一二三四五六七八九十]{1,4}年[\d〇零一二三四五六七八九十]{1,3}月(?:[\d〇零一二三四五六七八九十]{1,3}日?)?|[日部处局校班社组院中心会司厂店馆委办系]|敬上|谨上|谨启|敬启|启|"
    r"呈上|[X×xＸ某○]{2,})$"
)
_REACH = 100
"""How many characters at the end of a line are searched for emoji."""
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
"""Words that stay in lower case inside names and titles."""


def unfinished(text: str) -> str:
    """Returns how a text breaks off, such as `ends with 'and the'`; empty if it is finished.

    A text breaks off if it ends without a full stop, inside a code block, on a heading, or with a
    promise or an offer to continue. Signatures, dates, verse, lists, tables and code may end
    without a full stop.
    """
    text = without_last_token(simplified(text)).rstrip()
    if not text:
        return "is empty"
    if text.count("```") % 2:
        return "ends inside an unclosed code block"
    tail = squeezed(text[-200:]).replace("’", "'")
    if found := _CONTINUED.search(tail[-100:]) or _OFFERS.search(tail) or _LEFT_OUT.search(tail):
        return f"ends with {found.group(0).strip()!r}"
    *before, last = lines_of(text)
    while before and _ORNAMENT.fullmatch(last):
        *before, last = before
    return "" if _ends_well(last, before) else f"ends with {last[-40:]!r}"


def _ends_well(last: str, before: list[str]) -> bool:
    bare = last.rstrip(_CLOSERS)
    bare = (bare[:-_REACH] + _EMOJI.sub("", bare[-_REACH:])).rstrip(_CLOSERS)
    if _TRAILS_OFF.search(bare):
        return False
    if bare.endswith(_TERMINAL):
        return not _EMPTY_ITEM.fullmatch(bare)
    if not bare or last[-1] in '"”」』》)）]】':  # an ornament; a closed quotation or bracket
        return True
    if _CODE_END.search(last) or _FORMULA_END.search(last) or _ADDRESS_END.search(last):
        return True
    if _END_MARK.match(last) or (last[0] == last[-1] == "|"):
        return True
    if _DANGLING.search(bare) or _HEADING.match(last):
        return False
    if _among_open_lines(last, before):
        return True
    if _LISTED.match(last):
        return _as_the_items_before(before)
    return _signs(last, before) or _is_verse_end(last, before)


def _among_open_lines(last: str, before: list[str]) -> bool:
    """Returns whether most preceding lines also end without a full stop and are not much shorter.

    This is so in a table, an answer key or a character sheet.
    """
    lines = before[-_NEIGHBOURS:]
    like = [line for line in lines if _is_open(line) and len(last) <= 1.5 * len(line) + 20]
    return len(lines) >= 4 and len(like) >= 0.6 * len(lines)


def _as_the_items_before(before: list[str]) -> bool:
    """Returns whether at least half of the preceding list items also end without a full stop."""
    items = []
    for line in reversed(before):
        if not _LISTED.match(line):
            break
        items.append(line)
    return bool(items) and sum(map(_is_open, items)) * 2 >= len(items)


def _signs(last: str, before: list[str]) -> bool:
    """Returns whether a short last line is a signature, a date, an address or the like."""
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
    """Returns whether the last lines are verse, and at least half of them lack a full stop."""
    lines = [*before[-7:], last]
    return is_verse(lines) and sum(map(_is_open, lines)) * 2 >= len(lines)


def _is_open(line: str) -> bool:
    """Returns whether a line ends without a full stop or other terminal punctuation."""
    return not line.rstrip(_CLOSERS).endswith(_TERMINAL)
