"""How prompts state a length in English and simplified Chinese: the patterns of `text.demands`.

All patterns take at most linear time: those with `$` or `^` are applied to a few dozen characters.
"""

import re

from longwriter.text.numbers import ANY, NUMERAL, SPELLED

_TO = r"-?\s?(?:-|–|—|~|～|to|or|至|到|或)\s?"
_UNIT_BETWEEN = r"(?:[\s-]?words?|\s?个?字|\s?pages?|页|\s?min(?:ute)?s?|分钟)?"
_LOW = rf"(?:(?P<low>{NUMERAL}){_UNIT_BETWEEN}{_TO}|(?P<low_spelled>{SPELLED}){_UNIT_BETWEEN}\s(?:to|or|-|–)\s)"
NUMBER = re.compile(
    rf"(?:\b(?:between|min(?:imum)?(?: of)?|at least|from|(?:no|not) (?:less|fewer) than)\s|介于\s?|在)(?P<from>{ANY})(?P<mid>{_UNIT_BETWEEN})\s?(?:and|but|&|to|-|–|~|～|和|与|到|至)\s?(?:(?:an? )?(?:max(?:imum)?(?: of)?|at most|no more than|not more than) )?(?P<till>{ANY})"
    rf"|(?<![\d,.]){_LOW}?(?P<high>{ANY})"
    # a bound without its unit: about 1000 words, no more than 1200
    r"|\bwords?\b[^.\d\n]{0,20}?(?:(?:and|but|with) )?(?:an? )?(?:(?:absolute )?min(?:imum)?|max(?:imum)?|at least|at most|up to|"
    r"(?:no|not) (?:more|less|fewer|longer|shorter) than|(?:(?<=\ba word )|(?<=\bone word ))over)\.?(?: of| is|:)?\s?(?P<bound>\d[\d,]*)(?![\d,]*[\s-]?(?:words?|char|page|min|%))"
    r"|字(?:左右|上下)?[，,（(]\s?(?:但|且)?(?:不少于|不低于|至少|最少|不超过|不得超过|最多|至多|不多于)(?P<zh_bound>\d{2,6})(?!\d*\s?[字个])"
    # a number without its unit: `Word count: 2500`
    r"|(?:\bword[ -]?(?:count|limit)[^\d\n:：.]{0,40}?(?:[:：]|\b(?:of|is|be|to|than|exceed|around|about)\b)|字数[^\d\n:：，。一二两三四五六七八九十]{0,10}[:：]?)"
    r"\s?(?:about |around |approximately |~|大约|约)?"
    rf"(?:(?P<count_low>\d[\d,]*){_TO})?(?P<count>\d[\d,]*|(?<=[为在约于过:：])[一二两三四五六七八九十][一二两三四五六七八九十百千万]{{1,8}})(?![\d,一二三四五六七八九十百千万]*[ \t]?(?:words?|个?字|[-–—~～至到%]))",
    re.IGNORECASE,
)
"""A number, or the two ends of a range."""

KEY = re.compile(r"word|字", re.IGNORECASE)
"""The beginning of a length without a unit: `Word count: 2500`."""
_BESIDE = (
    r"(?:[\s+-]{0,3}(?:English|written|total|original|or so|or more|or less|or fewer|plus|odd)\b)?"
)
UNIT = re.compile(
    rf"(?P<words>{_BESIDE}[\s+-]{{0,3}}words?(?![a-z])|\s?Chinese\scharacters?"
    r"|\s?[多余来把]?\s?个?(?:汉字|字(?![母典体段符节幕眼号样面迹跡根义])"
    r"|单?词(?![语汇组条性典根])))"
    r"|(?P<pages>[\s-]?(?:(?:A4|full|double-spaced|single-spaced)[\s-])?pages?(?![a-z])|\s?页(?![面码眉脚岩]))"
    r"|(?P<minutes>[\s-]?min(?:ute)?s?(?![a-z])|\s?分钟)"
    r"|(?P<characters>[\s-]?char(?:acter)?s?(?![a-z])|\s?个?字符)",
    re.IGNORECASE,
)

QUOTED = re.compile(
    r"“[^”\n]{1,60}”|\"[^\"\n]{1,60}\"|《[^》\n]{1,40}》|「[^」\n]{1,60}」|『[^』\n]{1,60}』|‘[^’\n]{1,60}’"
    r"|(?<!\w)'[^'\n]{1,60}'(?!\w)"
)
"""A title, a saying, or a word that the prompt talks about."""
ORDERS = re.compile(
    r"\b(?:write|at least|at most|no (?:more|less|fewer))\b|写|不少于|不超过|以[内上]|左右|字数",
    re.IGNORECASE,
)
"""Words that make a quotation an instruction about the text."""

SENTENCE = re.compile(r"(?<!\bmin)(?<!\bmax)(?<!\bapprox)(?<!\bca)[.](?=\s|$)|[!?。！？\n;；]")
"""The boundary between two sentences."""
CLAUSE = re.compile(r",(?!\d{3})|，")

# Bounds

_EN = r"(?:\s*(?:\b(?:of|is|be|at|in|an?|the|total|length|word count|about|around|approximately|roughly|some|only|whole|full)\b|[:：(（~≈]))*\s*$"
_ZH = r"(?:有|为|是|在|到|达到?|于|约|大[约概]|写|须|需要?|要|应|控制|保持|字数|[:：\s个])*$"
_NO = r"(?:\bno|\bnone|\bnothing|\bnot|\bnever|n't|\bcannot|\bwithout)(?: \w+){0,2}?"
_ZH_NO = r"(?:不|别|勿)(?:[得要能可应该宜会许须]|可以|应当)?"

BOUND_BEFORE = re.compile(
    rf"(?P<least>(?:{_NO} (?:less|fewer|shorter|lower|smaller|under|below)(?: than)?|at (?:the )?(?:very )?lea(?:st|se)"
    r"|at (?:an? )?minimum|\bmin(?:imum)?\.?(?: (?:length|word count|words|size|requirement|limit))?|\bmore than"
    r"|\bgreater than|\blonger than|\bover|\babove|\bbeyond|\bexceed(?:s|ing)?|\bsurpass(?:es|ing)?|\bupwards of"
    rf"|\bin excess of|\bstarting (?:at|from)|[≥>＞]=?){_EN}"
    rf"|(?:{_ZH_NO}(?:少于|低于|小于|短于|下于)|至少|最少|起码|最低|下限"
    rf"|超[过出]|多于|大于|高于|长于|满|逾){_ZH})"
    rf"|(?P<most>(?:\banything (?:over|above|longer than)|{_NO} (?:more|longer|greater|larger|over|above|beyond|exceed(?:ing|s)?)(?: than)?"
    r"|at (?:the )?(?:very )?most|at (?:an? )?maximum|\bup to|\bunder|\bbelow|\b(?:less|fewer|shorter|smaller) than"
    r"|\bmax(?:imum)?\.?(?: (?:length|word count|words|size|limit))?"
    rf"|\bcap(?:ped)?(?: (?:at|of))?|\bas many as|\bceiling of|[≤<＜]=?){_EN}"
    rf"|(?:{_ZH_NO}(?:超[过出]?|多于|大于|高于|长于|逾)|至多|最多|最高|上限|顶多"
    rf"|少于|低于|小于|短于|不足|不到|不满|未满){_ZH})"
    rf"|(?P<soft>(?:\bwithin|\b(?:word|length|hard|upper) limit(?: (?:is|of))?|\blimit (?:is|of)|\blimit(?:ed|ing)?(?: [\w']+){{0,4}} to|\brestrict(?:ed)? to|\bconfined to){_EN}"
    rf"|限(?:制|定)?{_ZH})",
    re.IGNORECASE,
)
BOUND_AFTER = re.compile(
    r"(?P<least>\s*(?:long |in length |in total )?[,(（]?\s?(?:or (?:more|longer|above|greater|over)|min(?:imum)?\b(?!\.?(?: of| is|:)?\s?\d)"
    r"|at (?:the )?(?:very )?least|and (?:above|up|over)\b|及?或?以上|起(?![初因源来])|或更多|打底))"
    r"|(?P<most>\s*(?:long |in length |in total )?[,(（]?\s?(?:or (?:less|fewer|under|below|shorter)|max(?:imum)?\b(?!\.?(?: of| is|:)?\s?\d)"
    r"|at (?:the )?(?:very )?most|tops\b|(?:word )?limit\b|cap\b|and under\b|及?或?以下|之下|封顶|为限|为上限|或更少))"
    r"|(?P<soft>\s*之?以?之?内(?![容在心部外]))",
    re.IGNORECASE,
)
BOUND_IN = re.compile(
    r"(?P<least>\+|\bplus\b|or more)|(?P<most>or less|or fewer|\blimit|max)", re.IGNORECASE
)
"""A bound within the length itself: `500+ words`, `Word limit: 800`."""
ABOUT = re.compile(
    r"(?:about|around|approximately|approx\.?|roughly|circa|~|≈|约|大概)\s*$", re.IGNORECASE
)
STRICT = re.compile(
    r"\bexactly\b|\bequal to\b|\bmust be\b|words long\b|in length\b|字数|[等须]|正好|恰好|共",
    re.IGNORECASE,
)
TOLERANCE = re.compile(
    r"\s?[,(（]?\s?(?:±|\+/-|\+-|plus or minus|give or take|上下浮动(?:不超过)?)\s?(\d{1,4})\s?(%|percent)?",
    re.IGNORECASE,
)
SHARE = re.compile(r"(?:±|\+/-|plus or minus|上下浮动)\s?(\d{1,2})\s?(%|percent)", re.IGNORECASE)

# What a length refers to

_DETERMINER = r"(?:this|that|these|the following|following|attached|above|given|provided|existing|original|th[eo]se)"
_TRANSFORM = (
    r"\b(?:summari[sz]e|rewrite|reword|rephrase|paraphrase|edit|proofread|shorten|condense|compress|cut|trim|reduce|"
    r"translate|polish|revise|review|critique|analy[sz]e|improve|fix|correct|grade|expand|extend|lengthen|turn|convert|"
    r"boil|distil+|(?<!to )read|based on|given|from|continue)\b"
)
_OTHER_WORDS = (
    r"(?: (?!(?:in|to|into|within|under|at|as|of|about|around|for|with|using|by|up|and|write|create|make|over|"
    r"between|on|than)\b)[\w'’-]+){0,5}"
)
GIVEN = re.compile(
    rf"\b{_DETERMINER} (?:[\w-]+ ){{0,2}}$|{_TRANSFORM}{_OTHER_WORDS} $"
    r"|\b(?:explain|why|discuss|about|describe)\b[\w ]{0,20} the $|\busing (?:the|this|my|an?) $"
    r"|\b(?:I have|I've (?:got|written|made)|I wrote|I received|we have|we wrote|here(?: is|'s|’s)|there(?: is|'s)|(?:attached|below|above|enclosed) is) "
    r"(?:an? |the |my |our )?(?:[\w-]+ )?$"
    r"|(?:这一?[篇段份个则]?|[该此]篇?|以下|下面|下列|下文|上述|上面|上文|原文|附上?的?|我的|给定的?|提供的|所给的?)"
    r"(?:是|有|的)?一?[篇段份个则章封]?(?:约|大[约概])?$"
    r"|(?:概括|总结|翻译|润色|改写|缩写|扩写|阅读|读|根据|基于|分析|修改|批改|续写|校对|[将把])"
    r"(?:一下)?(?:这|那|一|我|的)*[篇段份个]?(?:约|大[约概])?$"
    r"|我(?:有|写了|写好了)一?[篇份段]?(?:约)?$",
    re.IGNORECASE,
)
"""What precedes the length of a text that the prompt provides."""
NOUN = re.compile(
    r"\s(?!(?:in|to|into|or|and|on|about|for|that|which|long|max|min|at|is|are|of|with|about|limit|minimum|maximum|requirement)\b)[a-z]|的|[文报论小作材稿]",
    re.IGNORECASE,
)

NO_DEMAND_BEFORE = re.compile(
    # words to be added to a text, or removed from it
    r"\b(?:increas|extend|expand|lengthen|reduc|cut|shorten|trim|decreas)\w*(?: [\w'-]+){0,4} by (?:about |around |another )?$"
    r"|\b(?:another|additional|extra|further|add|adding|trim|cut|remove|delete|drop|shave)(?: about| another| around| roughly| some)? $"
    r"|(?:增加|减少|删[减去]|缩减|添加|多写|少写|增补|扩充|补充|删掉|砍掉|去掉|再扩写|再加|再补充?)了?(?:约|大[约概]|至少)?$"
    # the first or last words of a text, every so many words
    r"|\b(?:the|its|your|my|his|her) (?:first|last|initial|final|next|previous)\s$|\bevery\s$|[前后每]$"
    # a saying
    r"|\b(?:worth|speaks?|spoke|paints?|says?|said|tells?|told)(?: more than| over| up to| louder than)? $|(?:胜过?|值|抵得?上?)$"
    # words that are learnt, known or typed
    r"|\b(?:vocabulary of|learn(?:ed|t|ing)?|memori[sz]e[ds]?|knows?|knew|list|lists|listed|holds|spell|teach me|typ(?:e|ed|ing)(?: at)?|at a rate of"
    r"|(?:most )?common|speed (?:of|is))(?: the)?(?: about| around| over)? $"
    r"|(?:词汇量|识字|认识了?|学会了?|背诵?了?|听写|打字)[^，。]{0,4}$"
    r"|(?:一[天日]|每[天日小分][时钟]?)[^，。]{0,6}$"
    # how long an existing text is or was
    r"|\b(?:already|I've|I have|have|has) (?:written|done|got|typed|finished)(?: about| over)? $|\b(?:to|I|you|he|she|we|they) "
    r"(?:read|type|speak|say|deliver|memori[sz]e) $|^\W*how (?:long|many|much|fast|quickly)\b[^?]*$"
    r"|\b(?:translated|published|processed)(?: over| about)? $|(?:最?常[用见])的?$"
    r"|(?:上[次回]|之前|以前|先前|昨天|刚才)[^，。！？]{0,12}(?:写了?|有|是)(?:约|大约)?$"
    r"|(?:原文|原稿|附件|材料)[^，。]{0,4}$|这是我的?$|[这那该](?:本|部)[^，。]{0,2}$|(?:靠|读完|看完|翻开)[^，。]{0,4}[本部篇份]$"
    r"|\b(?:my|our|his|her|their|this|that|the attached|the following) (?:(?!limit|target|goal|requirement|assignment|task|aim|length|budget)"
    r"[\w-]+ ){1,3}?(?:is|has|was|runs to)(?: about| over| already| currently| only| now)? $|[(（](?:it's|it is|currently)\b[^)]{0,12}$"
    r"|^\W*(?:is|are|was|does|did) (?:an?|the|my|this|\d)[^?]*$"
    r"|\b(?:below|above|attached|following|enclosed)(?: \w+){0,3} ?[(（](?:about |around |approx\w* |roughly )?$"
    r"|\b(?:my|his|her|our|their|this|that) (?:[\w-]+ ){0,2}?(?:thesis|book|novel|essay|article|paper|draft|manuscript|chapter|report|"
    r"story|post|dissertation|script|speech) (?:is|has|runs to)(?: about| over| already| currently| only| now)? $"
    r"|[这那该](?:本|部|篇|份|个|首)[^，。]{0,6}(?:有|共|长达|达)(?:约|大约)?$|^\W*(?:why|how come)\b[^?]*$"
    r"|\b(?:had|contained|was|were|total?led|ran to|came to|rejected at|counted)(?: only| about| exactly| over| roughly| nearly)? $",
    re.IGNORECASE,
)
NO_DEMAND_AFTER = re.compile(
    r"\s?(?:per|an?|every|/)\s?(?:min(?:ute)?|hour|day|week|month|night|session)s?\b|\s?/\s?min"
    r"|\s(?!or\b|and\b)(?:[\w-]+\s){1,3}?(?:below|above|attached|I (?:wrote|pasted|have attached))\b"
    r"|\s(?:of (?:vocabulary|French|Spanish|German|Japanese|English)\b|a (?:minute|day|week|hour))",
    re.IGNORECASE,
)
TITLED = re.compile(r"[A-Z][a-z]+[ -].*Words?$")
SPOKEN = re.compile(
    r"speech|talk|present|script|video|podcast|host|speak|spoken|address|toast|sermon|lecture|narrat|monologue|read|pitch|defen[cs]e|report|keynote|"
    r"演[讲说]|发言|讲[话稿]|致[辞词]|朗读|时长|视频|主持|口播|播客",
    re.IGNORECASE,
)
"""Words near a number of minutes that make it the length of a text."""

TOTAL_BEFORE = re.compile(
    r"\b(?:total(?:s|ing|l?ed|ling)?|altogether|overall|entire|combined|whole|in all)\b[^,]{0,60}$"
    r"|(?:总(?:字数|长度|篇幅|共|计)|全[文篇书]|整[体篇]|一共|合计|共计|通篇|(?<![0-9一二三四五六七八九十])共)[^，。]{0,16}$",
    re.IGNORECASE,
)
TOTAL_AFTER = re.compile(
    r"\s?(?:long )?(?:in total|in all|altogether|total\b|overall\b|combined\b|for the (?:whole|entire))",
    re.IGNORECASE,
)

_PIECES_EN = (
    r"(?:chapter|section|part|paragraph|essay|article|post|blog post|story|storie|poem|scene|episode|letter|email|review|comment|"
    r"slogan|description|act|answer|entry|entrie|piece|text|summary|summarie|profile|lesson|slide|stanza|caption|tweet|version|"
    r"subsection|unit|speech|speeche|script|report|bio|product|topic|item|letter|message|monologue|vignette|installment|volume)"
)
_PIECES_ZH = r"(?:故事|场景|主题|版本|方案|问题|案例|作品|片段|章节|部分|段落|小节|[章节段篇封首则份条幕集回卷场])"
EACH_BEFORE = re.compile(
    r"\b(?:each|every)\b(?! other)[^,]{0,60}$|(?:每一?个?[^，。天日年次种位自]|各(?:自|个?(?:部分|[章节段篇]))?)[^，。]{0,14}$|各$",
    re.IGNORECASE,
)
EACH_AFTER = re.compile(
    r"\s?(?:(?:long|in length|on average)\s)?[(（]?(?:each|apiece|a piece|in each|per\s(?!cent)|for (?:each|every)|"
    r"(?:/|a|every)\s?" + _PIECES_EN + r"\b)",
    re.IGNORECASE,
)
SEVERAL = re.compile(
    rf"\s(?:(?!(?:on|with|in|of|and|for|about|to|from)\b)[a-z-]+\s){{0,2}}{_PIECES_EN}s\b",
    re.IGNORECASE,
)
"""What follows the length of each of several texts: `300-word reviews`."""
ONE = re.compile(r"\b(?:an?|one|the|this|my)(?: [a-z-]+)? $", re.IGNORECASE)
"""What precedes the length of a single text."""
_SMALL = r"(?:(?!1\b)\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty)"
_SMALL_ZH = r"(?:(?!1\D)\d{1,3}|(?!一[^一二三四五六七八九十])[一二两三四五六七八九十]{1,3})"
COUNTED = re.compile(
    rf"\b(?P<count>{_SMALL}) (?:[a-z-]+ ){{0,2}}(?!(?:hours|minutes|days|years|weeks|pages|words|points|times)\b)[a-z]{{3,}}s,? "
    r"(?:of|with|at|that are|having|containing) (?:(?:about|around|roughly|approximately|at least|at most|no more than|up to|exactly) )?$"
    rf"|(?<!第)(?<![\d一二两三四五六七八九十]){_SMALL_ZH}\s?个?{_PIECES_ZH}(?!共)[^，。！？]{{0,4}}$",
    re.IGNORECASE,
)
"""What precedes the length of each of several texts: `ten chapters of`, 三篇."""
NUMBER_OF = re.compile(rf"\b({_SMALL}) $", re.IGNORECASE)
"""The number right before the length of several texts: `five` in `five 300-word essays`."""
MANY = re.compile(
    rf"(?:写|撰|拟|创作|生成|给)[^，。！？\n]{{0,8}}?{_SMALL_ZH}\s?(?:条|则|句|封)"
    rf"|\b(?:write|create|draft|give|generate|compose)\b(?: me| us)? {_SMALL} (?:[a-z-]+ ){{0,2}}(?:review|comment|slogan|caption|tweet|tagline|headline)s",
    re.IGNORECASE,
)
"""A request for many short texts: a length then applies to each of them."""
PARTS = re.compile(
    rf"\b(?P<en>{_SMALL})[ -](?:[a-z-]+ ){{0,3}}?(?P<piece>{_PIECES_EN})s?\b"
    rf"|(?<!第)(?<![\d一二两三四五六七八九十])(?P<zh>{_SMALL_ZH})\s?个?(?P<zh_piece>{_PIECES_ZH})",
    re.IGNORECASE,
)
"""A number of parts."""
PIECE = re.compile(
    rf"(?:each|every|per)(?: of the)?(?: \w+)? ({_PIECES_EN})s?\b|每一?个?({_PIECES_ZH})",
    re.IGNORECASE,
)
"""The kind of part that a length applies to."""

_PART_EN = (
    r"(?:title|subtitle|headline|intro(?:duction)?|conclusion|abstract|preface|foreword|bio(?:graphy)?|caption|tagline|slogan|"
    r"epilogue|prologue|opening|ending|outro|quote|appendix|blurb|first paragraph|last paragraph|beginning|middle|body)"
)
_PART_ZH = (
    r"(?:标题|题目|开头|结尾|引言|前言|结语|结论|摘要|简介|导语|序言|首段|末段|中间|"
    r"开篇|第[一二三四五六七八九十\d]{1,3}[章节段部]分?)"
)
PART_BEFORE = re.compile(
    r"\b(?:an?|its|your) (?:\w+ )?(?P<short>title|subtitle|headline|slogan|tagline|caption)\b[^,]{0,40}$"
    rf"|\bthe (?:\w+ )?(?P<the>{_PART_EN}|section|chapter|paragraph)\b[^,]{{0,40}}$|(?P<zh>{_PART_ZH})[^，。成为到]{{0,8}}$",
    re.IGNORECASE,
)
BODY_BEFORE = re.compile(r"(?:正文|主体部分)[^，。]{0,4}$")
"""What precedes the length of the main text (正文).

It excludes the other parts if these have lengths of their own, else it is that of the whole text.
"""
PART_LABEL = re.compile(
    rf"^\W{{0,8}}(?:\d{{1,2}}\W{{1,3}})?(?P<label>{_PART_EN}|{_PART_ZH})s?\s?[:(（：]",
    re.IGNORECASE,
)
"""The beginning of a line about a part: `- Title: short, `."""
WITH = re.compile(
    r"\b(?:with|includ\w+|contain\w*|plus|and|has|have|having|featuring|followed by|preceded by|begin(?:ning)? with|"
    r"start(?:ing)? with|end(?:ing)? with|add) (?:an? |the |one )?(?:[\w-]+ )?$",
    re.IGNORECASE,
)
PART_AFTER = re.compile(
    rf"\s(?:[\w-]+\s)?(?P<after>{_PART_EN}|section|paragraph|chapter|summary|dialogue|note)\b",
    re.IGNORECASE,
)
PART_OF = re.compile(
    rf"\s(?:for|in|on|as) (?:the|its|your) (?:[\w-]+ ){{0,3}}(?P<of>{_PART_EN}|section|part|paragraph|chapter)\b"
    rf"|\sof (?:the )?(?:main )?(?P<made_of>{_PART_EN}|argument|background)\b",
    re.IGNORECASE,
)
WANTED = r"\b(?:write|draft|create|compose|produce|need|prepare|generate|give|make)\b(?:(?! with | includ| contain| and )[^.!?\n]){{0,60}}\b{part}\b|(?:写|撰|拟|起草|生成|创作)[^。！？，\n]{{0,30}}{part}"
"""A request for `{part}` itself, which then is the whole text and not a part of it."""
LISTED = re.compile(
    r"\s{0,8}(?:[-*•#]{1,4}|\d{1,2}[.)、．]|[一二三四五六七八九十]{1,2}[、.．])\s?[^()（）\n]{1,60}[(（][^()（）\n]{0,20}$"
)
"""The beginning of a line of an outline: `2. Body (about `."""
