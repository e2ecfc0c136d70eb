"""What a teacher left in a text that is no part of it.

Source: LongWriter, section 3.2: crashed outputs are dropped and labels like "Paragraph 1" stripped. The
patterns are our own.
"""

import re

from longwriter.dataset.refusal_rules import SALUTATION
from longwriter.dataset.row import Row
from longwriter.dataset.settings import FilterSettings

_NUMERAL = (
    r"(?:\d+|[IVX]+|[一二三四五六七八九十百]+|one|two|three|four|five|six|seven|eight|nine|ten)"
)


_MARK = r"[ \t#*_>\[(【（~-]*"


_AFTER = r"[ \t\])】）*_]*"


_OF = r"(?:[ \t]*(?:of|/)[ \t]*\d+)?"


_LABEL = re.compile(
    # Paragraph 3: or Paragraph 3 alone; Section 2 alone, for "Section 2: Piles" is a heading
    rf"^{_MARK}(?:paragraph[ \t]*{_NUMERAL}{_OF}|第[ \t]*{_NUMERAL}[ \t]*(?:自然)?段"
    rf"|段落[ \t]*{_NUMERAL}){_AFTER}(?:[:：]|[ \t]+[-–—][ \t]|[ \t]*$)"
    rf"|^{_MARK}section[ \t]*{_NUMERAL}{_OF}{_AFTER}[:：]?{_AFTER}$"
    # Section 2: and the text itself on the same line
    rf"|^{_MARK}(?:section[ \t]*{_NUMERAL}{_OF}|第[ \t]*{_NUMERAL}[ \t]*部分){_AFTER}[:：](?=[^\n]*[.。][^\n]{{30}})"
    # [Paragraph 3] and the text
    rf"|^[*_ ]*[\[【(（<][ \t]*(?:paragraph|section|step)[ \t]*{_NUMERAL}{_OF}[ \t]*[\])）】>]"
    rf"|^[*_ ]*[\[【(（][ \t]*(?:第[ \t]*{_NUMERAL}[ \t]*(?:自然)?[段步]|(?:段落|步骤)[ \t]*{_NUMERAL})[ \t]*[\])）】]",
    re.IGNORECASE | re.MULTILINE,
)


_STEP = re.compile(
    rf"^{_MARK}(?:step[ \t]*({_NUMERAL})|步骤[ \t]*({_NUMERAL})|第[ \t]*({_NUMERAL})[ \t]*步){_AFTER}[:：]",
    re.IGNORECASE | re.MULTILINE,
)


_FIRST = ("1", "I", "i", "one", "一")


_PLAN = re.compile(
    rf"^{_MARK}(?:main[ \t]+point{_AFTER}[:：]|(?:the )?text so far{_AFTER}[:：]|已经写好的部分{_AFTER}[:：]|"
    rf"(?:the )?next paragraph{_AFTER}[:：]|下一段{_AFTER}[:：])"
    r"|main[ \t]+point[ \t*_]*[:：][^\n]{1,600}word[ \t]+count|(?:要点|主要内容|主旨)[ \t*_]*[:：][^\n]{1,600}字数[^\n:：]{0,4}[:：]",
    re.IGNORECASE | re.MULTILINE,
)


_ABOUT = r"(?:about|approximately|approx\.?|around|roughly|exactly|total(?:ing)?|~)?[ \t]*"


_ZH_ABOUT = r"(?:大约|约|共|总共|共计|合计|约为|为|大概)*[ \t]*"


_STOP = r"[.!?。！？…\"”’」』)）]"


_COUNT = re.compile(
    # Word count: 500 words, on a line of its own
    rf"^{_MARK}(?:total |final |actual |approximate |target |remaining )*word[ \t-]*count{_AFTER}[:：=–-][ \t*_]*{_ABOUT}\d[\d,]*[ \t]*(?:words?)?[ \t.*_\])）】]*$"
    # (500 words) alone, or behind the text
    rf"|(?:^{_MARK}|{_STOP}[ \t*_]*)[\[(（【][ \t]*(?:(?:total |final )?word[ \t-]*count[ \t]*[:：]?[ \t]*)?{_ABOUT}\d[\d,]*[ \t]*words?(?: in total| total)?[ \t]*[.]?[ \t]*[\])）】][ \t.*_]*$"
    rf"|{_STOP}[ \t*_]*[\[(（【]?[ \t]*(?:total )?word[ \t-]*count[ \t]*[:：][ \t]*{_ABOUT}\d[\d,]*[ \t]*(?:words?)?[ \t.]*[\])）】]?[ \t.*_]*$"
    # Total words: 500, This paragraph has about 500 words., 500 words, on a line of its own
    rf"|^{_MARK}(?:(?:total|final) )?(?:words|length){_AFTER}[:：=][ \t*_]*{_ABOUT}\d[\d,]*[ \t]*(?:words?)?[ \t.*_\])）】]*$"
    rf"|^{_MARK}this (?:\w+ )?(?:paragraph|section|step|text|response|piece|story|essay|article|chapter|draft) "
    rf"(?:is|has|contains|comes to|totals)[ \t]*{_ABOUT}\d[\d,]*[ \t]*words?\b[^\n]{{0,20}}$"
    rf"|^[ \t*_(（]*{_ABOUT}\d[\d,]*[ \t]*words[ \t.*_)）]*$"
    rf"|[\[(（【][ \t]*words[ \t]*[:：][ \t]*{_ABOUT}\d[\d,]*[ \t]*[\])）】][ \t.*_]*$"
    # 字数：500字, on a line of its own or in brackets behind the text
    rf"|(?:^{_MARK}|[。！？…”』」][ \t*_]*[\[(（【])(?:本文|全文|本段|文章|正文|总|实际|统计)*字数(?:统计)?{_AFTER}[:：为][ \t*_]*{_ZH_ABOUT}\d[\d,，]*[ \t]*字?(?:左右)?[ \t。.*_\])）】]*$"
    # （全文共2000字）, （约200字）
    rf"|(?:^{_MARK}|[。！？…”』」][ \t*_]*)[\[(（【](?:本文|全文|本段|文章|正文|以上(?:内容|文字)?)?{_ZH_ABOUT}\d[\d,，]*[ \t]*个?字(?:左右)?[ \t。]*[\])）】][ \t。*_]*$"
    # 全文约1500字。, on a line of its own
    rf"|^{_MARK}(?:本文|全文|本段|本章|文章|正文|以上(?:内容|文字)?)(?:字数)?{_ZH_ABOUT}\d[\d,，]*[ \t]*个?字(?:左右)?(?:[，,][^\n]{{0,20}})?[ \t。.*_\])）】]*$",
    re.IGNORECASE | re.MULTILINE,
)


_TEXT = (
    r"(?:paragraph|step|section|continuation|story|essay|article|text|draft|chapter|part|piece|version|post|"
    r"speech|letter|poem|script|report|novel|introduction|conclusion)"
)


_OPENER = re.compile(
    rf"^\s*(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^\n]{{0,40}}?[,:!.]\s*(?:here(?:'s|’s| is| are)\b[^\n:]{{0,100}}"
    rf"\b{_TEXT}\b[^\n:]{{0,100}}[:.]|I(?:'d|’d| would|'ll|’ll| will| can) (?:be (?:happy|glad|delighted) to|write|help|continue)\b)"
    r"|^\s*here(?:'s|’s| is| are)\b[^\n:]{0,100}\b(?:paragraph|step|continuation|section of the plan|next section)\b[^\n:]{0,100}:"
    rf"|^\s*here(?:'s|’s| is) (?:a|an|the|your) (?:[^\n:]{{0,40}}\b\d[\d,]*[ -]words?\b|requested\b)[^\n:]{{0,40}}\b{_TEXT}\b[^\n:]{{0,100}}:"
    r"|^\s*(?:好的|当然(?:可以)?|没问题)[，,！!。]\s*(?:以下|下面|这)(?:就)?是[^\n：:]{0,40}[:：]"
    r"|^\s*(?:以下|下面)(?:就)?是[^\n：:]{0,30}(?:第?[一二三四五六七八九十\d下]*段|续写|为您|为你|您要的|根据)[^\n：:]{0,20}[:：]",
    re.IGNORECASE,
)


_CLOSER = re.compile(
    r"(?:^|[.!?\n] ?)(?:I hope (?:this|that|you (?:find|like|enjoy)(?:ed)? (?:this|the))[^.!\n]{0,30}\b(?:helps?|helpful|useful|"
    r"meets your|what you (?:wanted|needed|were looking for)|paragraph|story|essay|article)[^.!\n]{0,40}"
    r"|(?:please )?(?:feel free to|let me know if you(?:'d| would)? (?:like|want|need)(?: me to)?)\b[^.!\n]{0,40}"
    r"\b(?:change|adjust|edit|modif\w+|revis\w+|tweak|expand|shorten|lengthen|improve)[^\n]{0,80})[.!]*\s*$"
    r"|希望(?:这|以上|本文)[^。！\n]{0,15}(?:对您|对你|满足您|符合您|您满意|您喜欢)[^。！\n]{0,10}[。！]?\s*$"
    r"|如(?:果|有)?[^。！\n]{0,15}(?:修改|调整|其他要求|补充)[^。！\n]{0,12}(?:告诉我|联系我|告知我?|提出)[。！]?\s*$",
    re.IGNORECASE,
)


_ASKED_LABEL = re.compile(
    rf"paragraph\s*{_NUMERAL}\b|第{_NUMERAL}(?:自然)?段|段落{_NUMERAL}|(?:label|number|title|head|mark)\w* (?:each|every|the) paragraph"
    r"|(?:each|every) paragraph (?:labell?ed|numbered)|(?:标注|标明|注明|逐)段|每段(?:标|编号|加标题)",
    re.IGNORECASE,
)


_SECTIONED = re.compile(
    r"section|part|contract|agreement|statute|bylaws?|\bact\b|regulation|部分|章节|合同|协议|条例|法规",
    re.IGNORECASE,
)
"""Asks for a text that has numbered sections."""


_ASKED_STEPS = re.compile(
    r"\bsteps?\b|how to\b|instructions|tutorial|recipe|步骤|如何|怎么|怎样|教程|指南", re.IGNORECASE
)


_ASKED_COUNT = re.compile(
    r"(?:include|state|give|add|note|write|show|print|put|end with|report)\b[^.\n]{0,30}\bword count"
    r"|(?:写明|注明|标注|标明|附上|给出|写出|统计)[^。\n]{0,10}字数",
    re.IGNORECASE,
)


def residue(row: Row, settings: FilterSettings) -> str | None:
    """Labels of paragraphs, lines of a plan, remarks on the number of words, the teacher's word to
    who asks; not what the instruction asks for."""
    text, prompt = row.response, row.prompt
    found = _OPENER.search(text)
    found = found or (None if re.search(r"main point|要点", prompt, re.I) else _PLAN.search(text))
    found = found or _label(text, prompt)
    found = found or (None if _ASKED_COUNT.search(prompt) else _COUNT.search(text))
    found = found or (None if SALUTATION.search(text) else _CLOSER.search(text[-200:]))
    return f"holds {found.group(0).strip()[:80]!r}" if found else None


def _label(text: str, prompt: str) -> re.Match[str] | None:
    """The first label of the plan. Steps count from one where they are the text's own: where the first
    is another, it is the plan's."""
    if not _ASKED_LABEL.search(prompt):
        for found in _LABEL.finditer(text):
            of_section = re.search("section|部分", found.group(0), re.IGNORECASE)
            if not (of_section and _SECTIONED.search(prompt)):
                return found
    step = None if _ASKED_STEPS.search(prompt) else _STEP.search(text)
    return step if step and not any(number in _FIRST for number in step.groups()) else None
