"""Finds texts whose writer refuses, apologises to the user, or speaks of itself as a model.

Fictional characters refuse and apologise too, but in quotation marks or in the middle of a text. So
refusals count only at its beginning and end, but a writer that speaks of itself as a model counts
anywhere.

Source: LongWriter, section 3.2, which drops crashed outputs; the patterns are our own.
"""

import re

from longwriter.text.chinese import simplified
from longwriter.text.markup import is_letter, squeezed, without_quotations

_REACH = 300
"""How many characters at the beginning and at the end are searched for a refusal."""

_BEGIN = r"(?:^|(?<=[.!?。！？\n])|(?<=[.!?] ))\s*"
"""The beginning of a sentence."""
_NOT = (
    r"(?:can't|cannot|can not|won't|(?:am|'m) (?:unable|not able) to|(?:won't|will not) be able to|could not|"
    r"couldn't|(?:must|have to) decline to|(?:am|'m) not (?:in a position|allowed|permitted) to)"
)
_HELP = (
    r"(?:assist|comply|fulfil+|provide|generate|create|produce|continue|complete|engage|answer|"
    r"help (?:you )?with|help you|write|do (?:this|that)|discuss|support|accommodate|proceed)"
)
_TASK = (
    r"(?:assist|comply|fulfil+|help (?:you )?with (?:this|that|your)|(?:provide|generate|create|produce|write|"
    r"complete|continue)(?: with)?(?: (?:a|an|any|the|such|this|that|your|it|content|more|explicit|sexual|violent|"
    r"harmful|stor(?:y|ies)|essays?|texts?|requests?)\b|[.!,]))"
)
"""What only a writer with a task would say; it is a refusal even without an apology."""
_SORRY = r"(?:I(?:'m| am) (?:very |so |really |truly )?(?:sorry|afraid)|I apologi[sz]e|my apologies|I regret(?: to say)?)"
_HEDGE = r"(?:(?:unfortunately|regrettably|sadly|however|no|sorry|but)[,.]? ?(?:but )?)*"
_REASON = (
    r"(?:(?:unfortunately|as [^,.\n]{1,40}|due to [^,.\n]{1,40}|because of [^,.\n]{1,40}),? ?)?"
)

_SPEAKS_AS_MODEL = re.compile(
    r"\bas an? (?:AI|artificial intelligence|large language|language)(?: language)? ?(?:model|assistant)\b"
    r"|\bas an AI,? I\b|\bas an AI (?:developed|created|trained|built|made) by\b"
    r"|\bI(?:'m| am) (?:an AI (?:language model|model|assistant)\b|an AI,|(?:just|only|merely) an AI\b|(?:just |only |merely )?a "
    r"(?:large )?language model\b)|\bI(?:'ve| have) reached (?:my|the) (?:maximum|output|token|response|length|context)\b"
    r"|\bmy (?:training data|knowledge cut-?off)\b"
    r"|\b(?:due to|because of|given|within) (?:my|the) (?:output|token|response|context|character)(?: length)? "
    r"(?:limits?|limitations?|constraints?)\b|\b(?:against|violates?) (?:my|our|OpenAI's) (?:\w+ )?(?:guidelines|"
    r"policy|policies|programming)\b"
    r"|(?:作为|身为)(?:一个|一名|一款)?(?:大型)?(?:人工智能|AI|语言)(?:语言)?(?:(?:模型|助手|程序)|[，,]\s*我)"
    r"|我(?:只)?是(?:一个|一款|一名)?(?:大型)?(?:AI|人工智能|语言)(?:语言)?(?:模型|助手|程序)"
    r"|违反了?我的[^。，\n]{0,6}(?:准则|政策|规定|原则)|我的(?:训练数据|知识截止)",
    re.IGNORECASE,
)

_SIGNS_OF_MODEL = (
    *("an ai", "a ai", "artificial", "language", "reached", "training data", "knowledge cut"),
    *("limit", "constraint", "guideline", "polic", "programming"),
    *("作为", "身为", "我是", "我只是", "违反", "训练数据", "知识截止"),
)
"""Every match of _SPEAKS_AS_MODEL contains one of these, in lower case.

The pattern is only tried around them, which takes a tenth of the time.
"""
_AROUND = 80
"""How many characters before and after such a sign are searched."""

_REFUSES = re.compile(
    rf"{_BEGIN}{_HEDGE}{_SORRY},? ?(?:that )?(?:but )?{_REASON}I ?{_NOT} {_HELP}\b"
    rf"|{_BEGIN}{_HEDGE}{_REASON}I(?: am|'m)? ?{_NOT} {_TASK}"
    rf"|{_BEGIN}(?:unfortunately|regrettably|however|sorry),? (?:but )?{_REASON}I(?: am|'m)? ?{_NOT} {_HELP}\b"
    rf"|{_BEGIN}I(?: do not|'m not| am not| don't) (?:feel )?comfortable (?:with )?(?:writ|creat|provid|generat|discuss|produc)ing\b"
    rf"|^\s*(?:{_SORRY}|sorry),? but (?:this|that|your) (?:request|content|topic)"
    rf"|{_BEGIN}{_HEDGE}(?:it is|it's) (?:not possible|impossible) for me to {_HELP}\b"
    rf"|{_BEGIN}I must (?:respectfully )?decline\b|{_BEGIN}(?:this|your) request (?:violates|goes against)\b",
    re.IGNORECASE,
)

_SIGNS_OF_REFUSAL = (
    *(
        "can't",
        "cannot",
        "can not",
        "won't",
        "unable",
        "not able",
        "will not",
        "could not",
        "couldn't",
    ),
    *("decline", "not in a position", "not allowed", "not permitted", "comfortable", "request"),
    *("but this ", "but that ", "but your ", "impossible", "not possible"),
)
"""Every English refusal contains one of these."""
_ZH_SIGNS_OF_REFUSAL = "无法", "不能", "没办法", "没有办法", "不会", "不便", "只能"

_ZH_BEGIN = r"(?:^|[。！？\n])\s*"
_ZH_SORRY = (
    r"(?:(?:很|非常|实在|十分|真的)?(?:对不起|抱歉|遗憾|不好意思|请原谅|请见谅)[，,。！]?\s*)"
)
_ZH_REASON = r"(?:(?:作为|由于|因为|受|鉴于)[^，,。]{1,20}[，,])?"
_ZH_NOT = r"(?:暂时|目前|并|也|恐怕)?(?:无法|不能|没有?办法|不会|不便)"
_ZH_HELP = (
    r"(?:满足|协助|提供|生成|输出|完成|回答|继续(?:写|创作|生成|输出)|写下去|撰写|创作|帮助您|为您)"
)
_ZH_REFUSES = re.compile(
    rf"{_ZH_BEGIN}{_ZH_SORRY}[^。！？\n]{{0,30}}我{_ZH_NOT}(?:一次性?|直接|再|继续)?{_ZH_HELP}"
    rf"|{_ZH_BEGIN}{_ZH_SORRY}(?:但是?|不过)?{_ZH_REASON}我(?:们)?{_ZH_NOT}"
    rf"|{_ZH_BEGIN}{_ZH_REASON}我{_ZH_NOT}(?:一次性?|直接|再|继续)?{_ZH_HELP}"
    r"(?:您|你|这|该|此|任何|有关|相关|更多|出|下去|一篇|超过|$|[。，,！])"
    rf"|{_ZH_BEGIN}我(?:不会|无法|不能|不愿意?|不便)(?:创建|创作|写|编写|撰写|生成|描述|提供)(?:您|你|露骨|涉及|任何|有关|这|该|此|包含|色情|暴力|一[部个篇][^。，\n]{{0,40}}[，,]因为)[^。！？\n]{{0,60}}(?:[，,。；]|$)"
    rf"|{_ZH_BEGIN}{_ZH_REASON}(?:我)?(?:只能|无法)[^。，]{{0,8}}(?:一次性?|继续)(?:写|输出|生成|回[答复])",
)

_APOLOGISES_FIRST = re.compile(
    # "I'm sorry, but I can't": enough at the very beginning, whatever the writer cannot do
    rf"^{_SORRY},? (?:but )?I ?{_NOT}\b"
    r"|^(?:I(?:'m| am) sorry|I apologi[sz]e|my apologies|sorry|apologies) for (?:the|any|my) (?:previous |earlier )?"
    r"(?:confusion|misunderstanding|mistake|error|oversight|inconvenience|delay|incomplete|short)"
    r"|^(?:很|非常)?(?:对不起|抱歉)[，,]?(?:我)?(?:之前|刚才|上面|前面|理解错|误解|给您带来|造成了?(?:混淆|误解))",
    re.IGNORECASE,
)

_ASKS_FOR_APOLOGY = re.compile(
    r"apolog|sorry|refus|declin|regret|道歉|致歉|抱歉|对不起|拒绝|婉拒|检讨", re.IGNORECASE
)
_ASKS_FOR_AI = re.compile(
    r"\b(?:as|from|you are|voice|perspective|point of view|role|play|monologue|narrat\w+)\b[^.\n]{0,50}\b(?:AI|robot|language model|artificial)"
    r"|(?:以|用|扮演|站在|你是)[^。，\n]{0,12}(?:人工智能|AI|机器人|语言模型)",
    re.IGNORECASE,
)


def refusal_in(text: str, prompt: str = "") -> str:
    """Returns the words in which `text` refuses, apologises or calls its writer a model, or empty.

    Text in quotation marks doesn't count, nor do refusals and apologies in a letter.

    Args:
        prompt: the prompt of the text. If it asks for a refusal, an apology or an AI's monologue,
            the text may be one. Empty if unknown.
    """
    text = without_quotations(simplified(text).replace("’", "'")).strip()
    prompt = simplified(prompt)
    found = None if _ASKS_FOR_AI.search(prompt) else _speaks_as_model(text)
    if not found and not is_letter(text) and not _ASKS_FOR_APOLOGY.search(prompt):
        found = _APOLOGISES_FIRST.search(text) or _refusal_at_an_end(text)
    return found.group(0).strip() if found else ""


def _speaks_as_model(text: str) -> re.Match[str] | None:
    lower = text.lower()
    for sign in _SIGNS_OF_MODEL:
        place = lower.find(sign)
        while place >= 0:
            found = _SPEAKS_AS_MODEL.search(text, max(place - _AROUND, 0), place + _AROUND)
            if found:
                return found
            place = lower.find(sign, place + 1)
    return None


def _refusal_at_an_end(text: str) -> re.Match[str] | None:
    for end in dict.fromkeys((text[:_REACH], text[-_REACH:])):
        plain = squeezed(end)
        found = _holds(_SIGNS_OF_REFUSAL, plain) and _REFUSES.search(plain)
        found = found or (_holds(_ZH_SIGNS_OF_REFUSAL, plain) and _ZH_REFUSES.search(plain))
        if found:
            return found
    return None


def _holds(signs: tuple[str, ...], text: str) -> bool:
    text = text.lower()
    return any(sign in text for sign in signs)
