"""Finds placeholders that a model left in a text: `[Your Name]`, `[insert date]`, `【姓名】`, `XX公司`.

Source: our own, from real texts of many models.
"""

import re

from longwriter.text.chinese import simplified

_BLANK = re.compile(
    r"\[\s*(?:insert|add|fill in|enter|include|specify|describe|provide|attach|replace|list|mention|briefly|e\.g\.)\b[^\[\]\n]{0,80}\]"
    r"|\[\s*(?:your|my|our|his|her|their|the|a|an|name of(?: the)?|friend(?:'s|’s)?|recipient(?:'s|’s)?|sender(?:'s|’s)?|company(?:'s|’s)?|employer(?:'s|’s)?|author(?:'s|’s)?|"
    r"student(?:'s|’s)?|teacher(?:'s|’s)?|bride(?:'s|’s)?|groom(?:'s|’s)?|client(?:'s|’s)?|customer(?:'s|’s)?|candidate(?:'s|’s)?|speaker(?:'s|’s)?|school|university|hospital|organi[sz]ation|"
    r"street|mailing|email|phone|contact|first|last|full|current|specific|relevant|job|business|product|brand|website|city|protagonist(?:'s|’s)?|character(?:'s|’s)?)?"
    r"\s*(?:\w+ ){0,3}?(?:name|names|address|date|company|organi[sz]ation|city|state|country|town|location|title|position|phone(?: number)?|number|e-?mail(?: address)?|"
    r"website|url|link|signature|university|school|department|institution|amount|topic|subject|zip(?: code)?|information|details|image|photo|here)\s*(?:[,/&] ?[\w ]{1,30}){0,3}\]"
    r"|\[\s*name of [^\[\]\n]{1,40}\]|\[\s*(?:WILL NEED TO|TO BE (?:ADDED|WRITTEN|CONTINUED|DETERMINED)|TBD|TODO|NEEDS? MORE)\b[^\[\]\n]{0,80}\]|\bX{3,}\b(?! ?(?:rated|large))|_{5,}"
    r"|[\[【（(<]\s*(?:请?(?:填写|插入|输入|填入|补充|此处)[^\]】）)>\n]{0,20}|(?:你|您|我|作者|对方|收件人|寄件人|发件人|朋友|公司|学校|学生|老师|客户|申请人|新郎|新娘|具体|本人)?的?"
    r"(?:姓名|名字|名称|公司名?|学校|日期|地点|地址|电话|联系方式|联系电话|邮箱|城市|职位|职务|单位|部门|签名|年份|国家|学院|专业)(?:[/、和][^\]】）)>\n]{1,8})?)\s*[\]】）)>]"
    r"|(?<![A-Za-z])[XxＸ×]{2,4}(?=公司|学校|大学|中学|小学|市|省|县|区|镇|村|先生|女士|同学|老师|街|路|单位|部门|集团|医院|银行|局|科技|年|月|日)|[○〇]{2,}(?=公司|学校|大学|市|先生|女士|年|月|日)",
    re.IGNORECASE,
)
_BLANK_LINE = re.compile(
    r"^[ \t*•-]{0,6}(?:[A-Z][\w ]{1,20}:[ \t*]{0,4})?Your (?:[Ff]ull )?(?:[Nn]ame|[Cc]ompany|[Ss]chool|[Uu]niversity|[Aa]ddress|[Tt]itle|[Pp]osition|[Ii]nstitution|[Ss]ignature)[ \t*,]{0,4}$",
    re.MULTILINE,
)
"""A line that is nothing but a placeholder: `- Your Name`."""
_ASKS_FOR_BLANKS = re.compile(
    r"\b(?:template|forms?|fill[- ]in|placeholders?|blanks?|contract|licen[cs]e|agreement|boilerplate|sample|example|format|mad libs|cover letter|"
    r"resume|variables?|code|regex)\b|模板|模版|表格|填空|合同|协议|范文|格式|样本|示例|占位",
    re.IGNORECASE,
)
_SIGNS = "[", "【", "(", "（", "<", "xx", "XX", "××", "ＸＸ", "____", "○○", "〇〇"


def placeholder_in(text: str, prompt: str = "") -> str:
    """Returns the first placeholder in the text; empty if there is none.

    Empty as well if the prompt asks for a form or the like, or contains placeholders itself.
    """
    found = _BLANK_LINE.search(text) if "Your " in text else None
    if not found and any(sign in text for sign in _SIGNS):
        found = _BLANK.search(simplified(text))
    if not found or _ASKS_FOR_BLANKS.search(prompt) or _BLANK.search(simplified(prompt)):
        return ""
    return found[0]
