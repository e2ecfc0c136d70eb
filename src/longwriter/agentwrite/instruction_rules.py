"""Rules that an instruction must pass.

A rule is a function that returns the reason not to use an instruction, or None.

Source: LongWriter (arXiv 2408.07055), section 3.2, which excludes toxic instructions and those
meant to scrape data. The patterns are our own.
"""

import re
from collections.abc import Callable, Iterable

from longwriter.agentwrite.settings import SelectSettings
from longwriter.core.rows import Instruction

Rule = Callable[[Instruction, SelectSettings], str | None]


def language(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects languages that are not in `languages`."""
    wanted = instruction.language in settings.languages
    return None if wanted else f"the language is {instruction.language}"


def too_short(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects prompts that are blank or have fewer than min_characters characters."""
    characters = len(instruction.prompt.strip())
    short = characters < (settings.min_characters or 1)
    return f"{characters} characters" if short else None


def too_long(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects prompts of more than max_characters characters."""
    characters, most = len(instruction.prompt.strip()), settings.max_characters
    return f"{characters} characters" if most is not None and characters > most else None


def toxic(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects instructions that the source flags as `toxic`."""
    return "flagged as toxic" if getattr(instruction, "toxic", False) is True else None


def redacted(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects what the source flags as `redacted`: names, addresses or numbers were blacked out."""
    return "flagged as redacted" if getattr(instruction, "redacted", False) is True else None


# A command is matched at the beginning of a sentence only, so that a story or essay about such
# commands passes. The pattern starts with the end of the previous sentence, of which most texts
# have few: that is ten times as fast as searching for every form of a command.
_BEGIN = " \n.!?:;。！？；："

_POLITE = (
    r"(?:(?:please|pls|kindly|now|ok|hi|hello|hey|can|could|would|will|you|i|want|need|like|to|me|help|"
    r"just)[\s,]{1,3}){0,8}"
)

_ZH_POLITE = (
    r"(?:请|麻烦|帮我|帮忙|给我|我想?要?让?你|你好|你|可以|能不能|能|现在|连续|[，, ]){0,8}"
)


def _order(english: Iterable[str], chinese: Iterable[str]) -> re.Pattern[str]:
    forms = rf"{_POLITE}(?:{'|'.join(english)})|{_ZH_POLITE}(?:{'|'.join(chinese)})"
    return re.compile(rf"[{_BEGIN.strip(' ')}][^\S\n]{{0,8}}(?:{forms})", re.IGNORECASE)


_WORDS = r"(?:(?!(?:about|on|of|for|with|how|to)\b)[\w-]+ )"

_SOME = r"(?:\d[\d,]*|some|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty)"

_MANY = r"(?:\d[\d,]+|fifty|hundreds of|(?:a|one|two|five) hundred|(?:a|one) thousand)"

_ZH_SOME = r"(?:\d+|[一二两三四五六七八九十百千万几]+)"

_ZH_MANY = r"(?:\d\d+|[一二两三四五六七八九]?[十百千万][一二三四五六七八九十百千万]*)"

_MAKE = r"(?:write|generate|create|make|give|provide|list|suggest|find|produce|show|send)"

_TAKE = r"(?:extract|scrape|crawl|harvest|copy|collect|fetch|download|pull)"

_PAGE = r"(?:web\s?sites?|web\s?pages?|pages?|sites?|urls?|links?|https?://)"

_ITEMS = (
    r"(?:keywords?|key phrases|prompts|hash\s?tags|tags|user\s?names|domain names|e-?mail addresses|"
    r"e-?mails|urls|links|backlinks)"
)

_PAINTER = r"(?:mid\s?journey|stable diffusion|dall[\s·-]?e)"

_ZH_MAKE = r"(?:写出?|生成|创作|列出|列举|提供|来|想出?|找出?|给出)"

_ZH_ITEMS = r"(?:关键词|关键字|长尾词|标签|提示词|网址|链接|邮箱|用户名|域名)"

_ZH_TAKE = r"(?:提取|抓取|爬取|采集|复制|拷贝|下载)"

_ZH_PAGE = r"(?:网页|网站|页面|网址|链接|https?://)"

_SCRAPING = _order(
    [
        # ten prompts for an image generator
        rf"{_MAKE}(?: me)? (?:{_SOME} {_WORDS}{{0,4}}|an? {_WORDS}?)prompts?\b[^.!?\n]{{0,40}}\b{_PAINTER}",
        rf"{_MAKE}(?: me)? (?:{_SOME}|an?) {_WORDS}{{0,2}}{_PAINTER} prompts?\b",
        # 500 keywords
        rf"{_MAKE}(?: me)? {_MANY} {_WORDS}{{0,4}}{_ITEMS}\b",
        # everything on a page
        rf"{_TAKE}(?: me)? (?:all|every|each|everything|the (?:whole|full|entire|complete)|any)\b"
        rf"[^.!?\n]{{0,80}}\b(?:from|on|in|of|at)\b[^.!?\n]{{0,40}}?\b{_PAGE}",
        rf"(?:scrape|crawl) [^.!?\n]{{0,60}}?\b{_PAGE}",
    ],
    [
        rf"{_ZH_MAKE}\s*{_ZH_SOME}\s*[个条组句段份套][^。！？\n]{{0,20}}?"
        rf"(?:{_PAINTER}[^。！？\n]{{0,10}}(?:提示词|prompts?|描述词|咒语)|绘画提示词)",
        rf"{_ZH_MAKE}\s*{_ZH_MANY}\s*[个条组句][^，,。！？\n]{{0,15}}?{_ZH_ITEMS}(?!的)",
        rf"(?:从|把|将)?[^，,。！？\n]{{0,8}}?{_ZH_PAGE}[^，,。！？\n]{{0,20}}?{_ZH_TAKE}"
        r"(?:[出下来]|所有|全部|每|$|[，,。！])",
        rf"{_ZH_TAKE}[^，,。！？\n]{{0,10}}?{_ZH_PAGE}[^，,。！？\n]{{0,10}}?(?:所有|全部|每|整个|内容|数据)",
        rf"{_ZH_TAKE}(?:所有|全部|整个)[^，,。！？\n]{{0,15}}?{_ZH_PAGE}",
    ],
)

_TEMPLATE = re.compile(
    rf"prompt (?:generator|maker|creator)\b[^.!?\n]{{0,60}}\b{_PAINTER}", re.IGNORECASE
)


def scraping(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects commands to scrape data.

    These ask for prompts for an image generator, for dozens of keywords and the like, or for
    everything on a page.
    """
    return _found(_SCRAPING, instruction) or _found(_TEMPLATE, instruction)


_SAY = r"(?:repeat|say|write|type|print|output|spell|recite|copy|paste|chant)"

_NUMBER = (
    r"(?:\d[\d,]*|two|three|four|five|six|seven|eight|nine|ten|twenty|fifty|"
    r"(?:a|one|two|five|ten)[ -](?:hundred|thousand|million)|a (?:hundred|thousand|million)|many|infinite)"
)

_TIMES = r"(?:x|times)\b(?! (?:longer|shorter|as|more|less|better|a|per|when|that|in)\b)"

_ON_AND_ON = r"(?:forever|endlessly|infinitely|over and over|as many times|verbatim|word for word)"

_WHAT = (
    r"(?:word|words|letter|phrase|sentence|text|message|line|paragraph|string|number|name|emoji)"
)

_QUOTED = r"[\"“'‘「《][^\"”'’」》\n]{1,200}[\"”'’」》]"

_ZH_SAY = r"(?:重复|复述|说|写|抄写|抄|打印|输出|念|发|复制)"

_ZH_NUMBER = rf"(?!一[遍次]){_ZH_SOME}"

_REPEAT = _order(
    [
        r"repeat (?:after me|back)\b",
        rf"repeat\s[^.!?\n]{{0,80}}?\b(?:{_NUMBER} ?{_TIMES}|{_ON_AND_ON})",
        rf"repeat (?:this|that|these|the (?:following|above|same))(?: {_WHAT})?(?: back)?(?: to me)?"
        r"\s*(?:[:\"“'‘]|[.!]?\s*$)",
        rf"repeat (?:the (?:word|letter|phrase|sentence)s?\b|{_QUOTED})",
        rf"{_SAY} (?:{_QUOTED}|(?:the|this|that|my) (?:following )?{_WHAT}\b[^.!?\n]{{0,60}}?|it|this|that)"
        rf",? ?{_NUMBER} ?{_TIMES}",
        rf"{_SAY} (?!about\b)\S+(?: \S+){{0,2}} \d[\d,]+ ?{_TIMES}",
    ],
    [
        r"(?:重复|复述)(?:一[遍下])?(?:这|以下|下面|下列|上面|以上|我的|我说)[^，,。！？\n]{0,8}?"
        r"(?:话|词|字|句子|内容|文字|文本|段落)",
        r"跟着?我(?:说|念|重复)",
        rf"(?:(?:把|将)[^。！？\n]{{1,60}}?)?{_ZH_SAY}\s*{_ZH_NUMBER}\s*[遍次]",
        rf"{_ZH_SAY}(?:{_QUOTED}|(?:(?!篇|部|关于|故事|小说|文|的)[^，,。！？\n]){{1,15}}?)"
        rf"\s*{_ZH_NUMBER}\s*[遍次](?=$|[，。！？,.!?\s：:])",
    ],
)


def repeat(instruction: Instruction, settings: SelectSettings) -> str | None:
    """Rejects commands to repeat something, or to say it many times."""
    return _found(_REPEAT, instruction)


def _found(pattern: re.Pattern[str], instruction: Instruction) -> str | None:
    found = pattern.search(f"\n{instruction.prompt.strip()}")
    return f"asks for {found.group(0).lstrip(_BEGIN)!r}" if found else None


RULES: dict[str, Rule] = {
    "language": language,
    "too_short": too_short,
    "too_long": too_long,
    "toxic": toxic,
    "redacted": redacted,
    "scraping": scraping,
    "repeat": repeat,
}
"""Name → rule, in the order in which they are checked; the first that rejects gives the reason."""
