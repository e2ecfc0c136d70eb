"""Finds what a model says to the user around a text.

These remarks are openers, closers, notes, excuses for the length, and sentences in which the text
judges itself. Each is searched for where it usually occurs: an opener in the first sentences, a
closer and a judgement in the last ones, a note at the beginning of a line. Patterns are only tried
at the beginning of a sentence, so a character in a story who says the same in the middle of the
text is not found.

Source: our own, from real texts of many models (docs/log.md has precision and recall).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from longwriter.text.markup import is_letter, squeezed

HEAD, TAIL = 700, 900
"""How many characters at the beginning and at the end are searched for words to the user."""

_SENTENCE = re.compile(r"[^.!?…。！？\n:：]*(?:[.!?…。！？:：]+[\"”'’)）\]*_]*|\n|$)")
_MARKS = " \t*_#>(（[【~`-—–"
"""Characters allowed before a remark."""

_WORK = (
    r"(?:story|short story|narrative|tale|screenplay|script|essay|article|piece|text|poem|chapter|episode|"
    r"continuation|version|draft|excerpt|scene|monologue|dialogue|speech|letter|novel|novella|report|review|"
    r"post|guide|outline|response|answer|content|rewrite|retelling|adaptation|opening|composition|paper)"
)
_WRITING = (
    r"(?:creating|writing|generating|crafting|producing|providing|delivering|composing|developing|completing|"
    r"writing out|to (?:create|write|generate|craft|produce|provide|deliver|compose))"
)
_LIMITS = r"(?:limit(?:s|ed|ations?)?|constraints?|restrictions?|nature of (?:this|the) (?:platform|format|medium))"
_ZH_WORK = (
    r"(?:故事|小说|剧本|文章|短文|散文|作文|论文|作品|续写|续集|改写|版本|剧作|戏剧|独白|演讲|叙述|叙事|诗歌|内容|篇章|"
    r"回答|文本|指南|章节|短篇|短剧|情节|剧情|片段)"
)

_YES = re.compile(
    r"(?:sure(?: thing)?|certainly|of course|absolutely|definitely|gladly|no problem|with pleasure|okay|ok|alright|"
    r"great|understood|got it|yes|thank you|thanks|sounds good|happy to help|let's do it)\b[^.!\n]{0,40}[!.,:：]$"
    r"|(?:当然(?:可以|了)?|好的?|没问题|可以的?|明白了?|收到|了解|是的|非常乐意|很乐意|很高兴)[^。！\n]{0,12}[！!。：:]$",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"(?:sure(?: thing)?|certainly|of course|absolutely|definitely)!$|(?:absolutely|certainly|of course), (?:\w+ing|here|let|i|this|the following)\b"
    r"|(?:okay|ok|alright|sure|great|yes), (?:buckle up|here(?:'s| is| are)|let's|i(?:'ll| will| can)|i'm familiar|this is)\b|(?:当然可以|没问题|好的)[！!。：:]$",
    re.IGNORECASE,
)
"""Counts as an opener by itself."""
_OPENER = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok|alright|great|yes)\b[,.!]? ?)?"
    r"(?:(?P<line>here(?:'s| is| are)\b[^\n]{0,250}:$)|here(?:'s| is| are) (?:(?:an?|the|my|your|one|some)\b )?(?:[\w-]+ ){0,6}"
    rf"{_WORK}\b[^\n]{{0,200}}[.:]$"
    r"|(?:below|presented below|attached|what follows) (?:is|are|you(?:'ll| will| can) find|i(?:'ve| have|'ll| will))\b[^\n]{0,250}[.:]$"
    rf"|this is (?:an?|the|my|your) (?:[\w-]+ ){{0,5}}{_WORK} (?:that|based|about|of|in|inspired|which|for)\b[^\n]{{0,200}}:$"
    r"|i(?:'ll| will|'d| would|'m going to| am going to|'ve| have| can| am happy to|'m happy to)(?: be (?:happy|glad|delighted) to|"
    r" do my best to| try to| now| certainly| gladly)* (?:write|create|craft|provide|draft|compose|generate|help|assist|attempt|"
    r"break|guide you|walk you|give you|answer|rewrite|continue|written|created|crafted|provided|outlined|prepared|rewritten)\b"
    rf"[^\n]{{0,200}}\b(?:you|your|below|following|prompt|{_WORK}s?|requirements|word(?:s| count)|sections|clarity)\b[^\n]{{0,120}}[.:!]$"
    r"|(?:thank you|thanks) for (?:your|the|this|providing|sharing) (?:\w+ )?(?:request|prompt|question|idea|details|information|opportunity|inquiry)\b"
    r"|(?:what an?|that(?:'s| is) an?|this is an?) (?:\w+ )?(?:great|fascinating|interesting|wonderful|intriguing|excellent|fun|good|compelling|thought-provoking)"
    r" (?:\w+ )?(?:prompt|question|idea|concept|request|premise|topic)\b"
    r"|i (?:understand|appreciate|see)(?: that)? (?:you|your)\b|as (?:you )?requested\b|(?:based on|following|according to|per|in line with|using) "
    r"(?:your|the (?:given|provided|above)) (?:\w+ ){0,3}(?:prompt|request|requirements|instructions|specifications|guidelines|outline|information|details)\b[^\n]{0,160}[.:]$"
    r"|to (?:meet|fulfil+|address|answer|satisfy) your (?:request|requirements?|question)\b"
    rf"|let(?:'s| me) (?:write|create|craft|draft|compose|begin|start|dive)\b[^\n]{{0,120}}\b(?:{_WORK}|you|your|prompt)\b[^\n]{{0,120}}:$)",
    re.IGNORECASE,
)
_GOOD = (
    r"(?:great|good|excellent|interesting|fascinating|wonderful|fantastic|lovely|fun|thought-provoking|inspiring|compelling|powerful|impressive|"
    r"beautiful|heartfelt|remarkable|touching|thoughtful|well[- ]written|intriguing|valuable|important|amazing|unique)"
)
_TO_THE_ASKER = re.compile(
    rf"{_GOOD} (?:question|prompt|idea|topic|request|choice|premise|concept)\b[^\n]{{0,60}}[!.:]$"
    rf"|that sounds like an? (?:[\w-]+ ){{0,3}}(?:idea|{_WORK}|project|plan|premise|concept|prompt|challenge)\b"
    rf"|your (?:experience|{_WORK}|question|prompt|request|idea|concept|writing|message|project|vision|description|topic|words|passion|journey) (?:is|are|was|sounds?) "
    rf"(?:(?:truly|so|very|really|quite|both|indeed|an?|absolutely) ){{0,3}}{_GOOD}\b"
    r"|it (?:seems|sounds|looks) like (?:you(?:'re|'ve|'d| are| have| want| need)\b|your (?:request|question|prompt|message|story)\b|an? (?:[\w-]+ )?(?:request|question|prompt|task)\b)"
    r"|it(?:'s| is) (?:great|wonderful|good|lovely) to (?:hear|see) (?:that )?your?\b"
    r"|(?:as )?per your request\b|in response to your (?:request|prompt|question)\b"
    r"|given (?:your|the (?:requirements?|prompt|constraints?|instructions?|request))\b[^\n]{0,200}\b(?:i|i'll|here|here's|below|let's|the following)\b"
    r"|i(?:'d| would| will|'ll) be (?:happy|glad|delighted|pleased) to (?:help|assist)\b"
    r"|i(?:'m| am) (?:happy|glad|delighted|pleased|here|excited) to (?:help|assist|provide|write|create|craft|present)\b[^\n]{0,120}\b(?:you|your|prompt|request)\b"
    r"|let me (?:help|try|share|give|provide|outline|break|explain|present)\b[^\n]{0,140}(?:\byour?\b|:$)"
    r"|the following (?:is|are) (?:an?|the|my|your|some)\b[^\n]{0,200}:$"
    rf"|to (?:write|create|craft|draft|compose) (?:an?|the|this|your) (?:[\w-]+ ){{0,5}}{_WORK}\b[^\n]{{0,100}}\b(?:i|we)(?:'ll| will| need| can| must| should| have)\b"
    r"|(?:您|你)的(?:问题|要求|请求|想法|故事|描述|提问|需求|构思|设定|经历|观点)[^。！\n]{0,16}(?:很|非常|十分|真是|令人|有趣|精彩)"
    rf"|[^。\n]{{0,40}}(?:{_ZH_WORK}|大纲|提纲|文稿)(?:内容)?如下(?:所示)?[：:]$|很(?:荣幸|高兴)(?:能)?(?:为|帮|与)(?:您|你)",
    re.IGNORECASE,
)
"""Counts only in the first sentence."""
_REFERS_TO_REQUEST = re.compile(
    r"\b(?:you(?:'ve| have)? (?:requested|asked for|asked me|specified)|(?:your|the given|the provided|the writing) (?:writing )?(?:request|prompt)\b)"
    r"|(?:您|你)(?:所)?(?:请求|要求|需要|提供|想要)的|(?:根据|按照|基于)(?:您|你)(?:的|所)?",
    re.IGNORECASE,
)
"""Counts only in the first sentence."""
_SAYS_WHAT_WAS_ASKED = re.compile(
    r"^here(?:'s| is| are) an? (?:[\w-]+ ){0,3}(?:response|answer|guide|breakdown|overview)\b[^\n]{0,40}\byou\b[^\n]{0,120}:$"
    r"|^(?:below|here|the following|following)\b[^\n]{0,200}\b(?:you(?:'ve| have)? (?:requested|asked)|your (?:request|prompt|requirements|question|story|project))\b|让我(?:为您|来|逐一|详细|提供)[^。\n]{0,20}(?:观点|介绍|分析|解释|说明|回答|解答|建议)[^。\n]{0,8}[：:]$",
    re.IGNORECASE,
)
_FIRST_SENTENCES = 3
"""An opener begins within this many sentences."""
_ZH_OPENER = re.compile(
    r"(?:(?:当然(?:可以)?|好的?|没问题|可以|是的)[，,！!。]\s*)?"
    r"(?:(?P<line>(?:以下|下面|下文|如下|接下来)(?:就)?(?:是|为|将|我|给出|提供|列出|请看|来|展示|呈现)[^\n]{0,120}[：:]$)"
    rf"|(?:以下|下面|接下来|这里|这)(?:就)?(?:是|为|将|我)[^\n]{{0,60}}(?:{_ZH_WORK}|大纲|构思|示例|例子|总结|概述|列表|建议)[^\n]{{0,60}}[：:。]$"
    r"|(?:根据|按照|基于|针对)(?:您|你|所给|所提供|提供|题目|提示|上述|以上|给定)[^\n]{0,60}[，,：:][^\n]{0,60}(?:以下|下面|如下|我|撰写|创作|编写|这)"
    r"|(?:我(?:将|会|来|可以|很乐意|很高兴|尽力|尝试|试着|为)|让我(?:们)?)[^\n]{0,30}(?:为您|为你|帮您|帮你|给您|给你|您的|你的|以下|下面|如下|这篇|一篇|一个)"
    rf"[^\n]{{0,40}}(?:{_ZH_WORK}|回答|解答|大纲|帮助|协助|要求|问题)"
    r"|(?:感谢|谢谢)(?:您|你)的?(?:提问|请求|要求|信任|提供|分享|问题|咨询)"
    r"|这是一个(?:很|非常|极为)?(?:好|有趣|有意思|精彩|棒)的(?:问题|题目|构思|想法|设定|要求)"
    r"|为了?(?:满足|完成|符合|响应|回应)(?:您|你)的)",
)

_CLOSER = re.compile(
    r"(?:(?:please |just |so )?(?:let me know|feel free to (?:ask|reach|let|contact|modif|adjust|edit|change|customi|adapt|use|mix|expand|share|tweak|"
    r"explore|add|build|request|continue|take|incorporate|refine|alter|fill|insert|replace|personali|flesh|elaborat|extend|rewrite|let)|don't hesitate to)"
    r"|(?:i )?(?:really |sincerely |truly )?hope (?:that )?(?:you (?:find|like|enjoy|found|liked|enjoyed)|(?:this|these|the)\b[^\n]{0,80}\b(?:helps?\b(?! (?:them|him|her|us)\b)|helpful|useful|meets?|enjoy|"
    rf"like|found|what you|satisf|inspir|good|gives?|provides?|captures?|fits?|serves?|assist|guid|{_WORK})|it (?:gives you|helps you|meets your|inspires you|was helpful|is helpful)\b)|i hope you (?:\w+ )?(?:enjoy|like|love)\b"
    r"|should you (?:need|have|require|want|wish)\b[^\n]{0,140}\b(?:let me|i can|i'd|i'll|feel free|ask|further|additional|more|help)\b"
    r"|(?:i'd love|i would love|i'd like) to hear your\b|your (?:feedback|thoughts|input) (?:is|are) (?:always )?(?:welcome|appreciated|valued)\b"
    r"|(?:would you like|do you want|shall i|should i|is there (?:anything|something)(?: else)?|does this|how does (?:this|that)|what do you think)\b[^\n]{0,120}\?"
    rf"|if you(?:'d| would| want| need| have| like| wish|'re| are)\b[^\n]{{0,140}}\b(?:let me|i can|i'd|i would|i'll|feel free|ask|further|additional|more|expand|adjust|modif|chang|revis|{_WORK})\b"
    r"|good luck (?:with|on|in|and)\b|(?:best of luck|all the best) (?:with|on|in) your\b"
    r"|happy (?:writing|reading|creating|crafting|gaming|world-?building|storytelling|adventuring|brainstorming|role-?playing)\b"
    r"|enjoy(?:!| (?:your|writing|reading|creating|using|exploring)\b)|have fun (?:with|writing|creating|exploring|bringing)\b"
    r"|(?:i'm|i am|i'd be|i would be|i'll be) (?:always )?(?:here to|happy to|glad to|delighted to|more than happy to) (?:help|assist|answer|revis|refin|expand|adjust|modif|continue|elaborat|"
    r"discuss|brainstorm|tweak|write|provide (?:more|further|additional|you)|make (?:any|further|changes))\w*\b"
    r"|i (?:can|could|will|'ll) (?:also |certainly |gladly |always )?(?:expand|continue|revise|adjust|provide|add|write|help|modify|elaborate)\b[^\n]{0,100}\b(?:if|you|further|more|next)\b"
    r"|(?:i )?look(?:ing)? forward to (?:your|hearing)\b|thank you for (?:your|the) (?:request|prompt|question|opportunity to (?:write|create))\b"
    r"|you (?:can|may|might|could)(?: want to| wish to| then| easily| always)* (?:expand|modify|adjust|adapt|customi[sz]e|continue|build|use this|further|now|also|tailor|add)\b[^\n]{0,160}"
    rf"(?:\b(?:{_WORK}|your|needs|preferences|word count|world|campaign|characters)\b)"
    r"|these (?:[\w-]+ ){1,3}can be (?:\w+ )?(?:mixed|combined|adapted|customi[sz]ed|tailored|used|modified|expanded|adjusted)\b[^\n]{0,120}\byour\b"
    r"|(?:remember|be sure|make sure) to (?:mix and match|adjust|modify|customi[sz]e|adapt|tailor|replace|personali[sz]e|expand)\b"
    r"|happy to (?:help|expand|continue|revise|assist)\b|please (?:adjust|modify|customi[sz]e|adapt|tailor|replace|personali[sz]e|provide|specify|share|tell me|ask)\b)",
    re.IGNORECASE,
)
_ZH_CLOSER = re.compile(
    r"(?:(?:如果?|若|倘若)(?:您|你)?(?:还|有|需要?|想|希望|对)?[^。！？\n]{0,30}(?:帮助|问题|需求|修改|调整|疑问|要求|补充|扩展|续写|继续|了解|协助|建议|想法)[^。！？\n]{0,40}"
    r"(?:告诉|联系|告知|随时|提出|询问|请|欢迎|提供|我)|如果?(?:您|你)[^。！？\n]{0,60}(?:请|欢迎|随时|可以)[^。！？\n]{0,6}(?:告诉我|联系我|让我知道|告知我|问我)|(?:请|欢迎|您可以|你可以)?随时(?:告诉|联系|告知|提出|询问|提问|与我|向我|让我|问我)"
    r"|希望(?:这|以上|本文|上述|我的|能|对|此|您|你)[^。！？\n]{0,40}(?:帮助|有所|满足|符合|满意|喜欢|要求|有用|启发|参考|您|你)"
    r"|(?:如需|若需)[^。！？\n]{0,30}|祝(?:您|你)?(?:好运|[^。！？\n]{0,8}(?:写作|创作|剧本|小说|故事|论文|作业|项目|研究|学业|学习|演讲|面试|考试|申请)[^。！？\n]{0,8}(?:愉快|顺利|成功|好运|开心|进步|快乐))[！!。~～]*$"
    r"|(?:您|你)(?:是否|需要我|想要我|希望我|觉得)[^。！？\n]{0,40}[？?]|(?:需要|要)我[^。！？\n]{0,30}吗[？?]"
    r"|(?:您|你)?(?:请|可以|可)(?:根据|按照?)(?:您|你|自己|实际|具体)[^。！？\n]{0,30}(?:修改|调整|补充|扩展|完善)"
    r"|以上(?:就)?是[^。\n]{0,30}(?:希望|供您参考|供参考|的(?:全部)?(?:内容|回答|建议|大纲))|欢迎(?:您|你)?(?:指正|继续|提问|随时|补充|提出|告诉|反馈)|请(?:告诉我|提供(?:更多|具体|进一步)|指正|多多指教|查收)"
    r"|感谢(?:您|你)的(?:提问|请求|要求|信任|耐心|理解|咨询)|期待(?:您|你)的(?:反馈|回复|意见))",
)
_PIECE_WITH_READERS = re.compile(
    r"\b(?:writ\w*|draft|compose|create|give|prepare|generate|a|an) (?:[\w',-]+ ){0,8}?(?:letter|e-?mail|speech|toast|newsletter|announcement|advert\w*|invitation|message|memo|podcast|"
    r"reply|response to (?:a|an|the|my) (?:client|customer|friend))\b|\brole-?play"
    r"|信|邮件|演讲|致辞|祝福|贺|广告|公告|通知|邀请|回复|客服|主持|对话|文案",
    re.IGNORECASE,
)

_NOTE = re.compile(
    r"(?:(?:please )?note(?: that| to \w+)?|n\.?b\.?|disclaimer|author'?s note|(?:a )?(?:final|quick|brief|side) note|"
    r"注意?|备注|附注|说明|附言|提示|请注意|温馨提示|免责声明|编者按|作者注|(?:创作|写作|改写|续写)(?:说明|思路|背景)|(?:解析|赏析)(?=[：:]\s{0,3}[这此该本]))\s*(?:[:：,，]|that\b|[*_]{1,2}[:：]?)",
    re.IGNORECASE,
)
_ABOUT_THE_TEXT = re.compile(
    rf"\b(?:this|the|above|following|these)\b[^.\n]{{0,60}}\b(?:{_WORK}s?|word count|words|prompt|requirements?|request|information|keywords?|list|details|"
    r"characters|names|events|example|outline|summary|references|sources|links?|images?|questions|dice rolls|numbers|values)\b|\b(?:fictional|hypothetical|placeholder|word count|\d[\d,]* words|"
    r"as an ai|due to|for the sake of|condensed|abbreviated|shortened|simplified|brief (?:excerpt|version|summary))\b"
    rf"|(?:以上|本|此|这|该|上述|整)(?:篇|个|段|部|份|些|只|仅|是|为)?[^。\n]{{0,20}}(?:{_ZH_WORK}|文|篇|清单|信息|建议|大纲|示例|列表)|字数|篇幅|仅供|仅为|虚构|示例|简化|由于|概述|概要|[这此本该]一?[句联首]",
    re.IGNORECASE,
)

_SOFT_REFUSAL = re.compile(
    rf"(?:(?:unfortunately|regrettably|however|but|although|while|since|as|sorry|apologies)[,.]? )?(?:{_WRITING}\b[^.\n]{{0,120}}(?:\b\d[\d,]*[- ](?:\d[\d,]*[- ])?(?:words?|pages?)\b|\b(?:full|entire|complete|whole|lengthy|full-length|such a long|that long|of (?:this|that|such) length)\b)"
    r"[^.\n]{0,140}\b(?:beyond|exceeds?|too (?:long|extensive|lengthy|large|much)|extensive|ambitious|lengthy|challenging|substantial|significant|quite|"
    r"not (?:feasible|possible|practical)|impractical|impossible|isn't|cannot|can't|undertaking|task|would require|limit\w*)"
    rf"|(?:(?:but|and|however|unfortunately|therefore|so|thus|since)[,]? )?(?:due to|given|because of|considering|owing to|within|because|as) "
    rf"(?:(?:the|my|this|these|our|of|space|length|text|response|character|word|token|platform(?:'s)?|format(?:'s)?|output|practical|current|complexity|and|extensive|inherent|certain) ){{0,7}}{_LIMITS}"
    r"|(?:a|the) (?:full|complete|entire|\d[\d,]*[- ]word)\b[^.\n]{0,60}\b(?:would|is|are)\b[^.\n]{0,60}\b(?:too|beyond|exceed\w*|extensive|far|lengthy|not (?:feasible|possible)|require|include)"
    r"|(?:(?:however|instead|but|unfortunately|nonetheless|nevertheless),? )?(?:i (?:can|could|will|would|'ll|have|am able to)|here(?:'s| is)|below is|this is|what follows is)"
    r"(?: \w+){0,6} (?:detailed outline|outline|condensed|shorter|shortened|abridged|abbreviated|brief (?:version|excerpt|summary|beginning|overview|sample|outline|opening)|summary|excerpt|"
    r"starting point|beginning of|opening (?:scene|chapter|section)|sample of|skeleton|synopsis|glimpse|simplified version|scaled-down|start(?:ed)? (?:of|with|on))\b"
    rf"|(?:while|although|though|even though) (?:i (?:can't|cannot|can not|am unable|'m unable|won't)|it(?:'s| is) not|this (?:\w+ )?{_WORK} (?:is|may|does|falls|might|doesn't|isn't)|"
    r"(?:a |the )?(?:full|complete|\d[\d,]*)|not (?:a|the) full)\b[^.\n]{0,120}\b(?:words?|length|full|requested|required|limit\w*|far cry|entire|shorter|condensed)"
    rf"|(?:this|the (?:above|following)) (?:\w+ ){{0,3}}{_WORK} (?:is|does|falls|has|was)[^.\n]{{0,60}}\b(?:shorter than|short of|not (?:meet|reach|reaching)|condensed|abridged|abbreviated|a (?:brief|shortened|simplified|partial) |an? (?:excerpt|outline|summary)|only (?:a|the|an)|just (?:a|the|an))"
    rf"|(?:for|in) (?:a|the) (?:full|complete|longer|entire|full-length|\d[\d,]*[- ]?word|(?:piece|{_WORK}) of)\b[^.\n]{{0,120}}\b(?:would|you|could|needs?|should|expand\w*)"
    rf"|to (?:reach|meet|achieve|fulfil+|satisfy|hit|complete|extend|expand)(?: (?:this|it|the|a|your|to|that|{_WORK}|into))* (?:full |desired |required |requested |specified |minimum |target |complete )*(?:\d[\d,]*[- ]?words?|word (?:count|limit|requirement)|length|requirement)\b"
    rf"|(?:the|this|each|every|these) (?:\w+ )?(?:{_WORK}|sections?|points?|parts?|chapters?|scenes?|ideas?)\b[^.\n]{{0,40}}\b(?:can|could|would|should|will|may|needs? to|must) (?:\w+ ){{0,3}}be (?:\w+ )?(?:expanded|elaborated|developed|extended|fleshed)"
    rf"|(?:a|the|this) (?:full|complete|detailed|\d[\d,]*[- ]word)[^.\n]{{0,40}}{_WORK} (?:is|would be|goes) (?:\w+ )?beyond"
    r"|(?:it(?:'s| is)|this (?:is|would be)) (?:not (?:possible|feasible|practical)|impossible|impractical|difficult|challenging) (?:for me )?to (?:write|provide|create|generate|produce|deliver|include|fit)\b"
    r"|i(?:'m| am)? (?:can't|cannot|can not|unable to|not able to|won't be able to|'m unable to) (?:\w+ )?(?:write|provide|create|generate|produce|deliver|fulfil+|complete|include)\b[^.\n]{0,120}\b(?:words?|length|long|full|entire|complete)\b"
    r"|(?:as|since|given that) (?:this|the|a|it)[^.\n]{0,50}\b(?:text|length|word|character|platform|response) limit)",
    re.IGNORECASE,
)
_ZH_SOFT_REFUSAL = re.compile(
    r"(?:(?:但|但是|不过|然而|因此|所以|对不起|抱歉|很遗憾|遗憾的是)?[，,]?\s*(?:由于|因为?|鉴于|受|限于|考虑到|出于)[^。！？\n]{0,14}(?:篇幅|字数|长度|平台|回[复答]|文本|空间|输出|格式|字符)[^。！？\n]{0,10}"
    r"(?:限制|所限|有限|原因|过长|要求|关系|受限|较长|太长|较多)|限于篇幅|篇幅(?:有限|所限|限制)"
    r"|[^。！？\n]{0,40}(?:超出了?|超过了?)[^。！？\n]{0,14}(?:回[复答]|平台|一次|单次|限制|范围|能力)"
    r"|[^。！？\n]{0,30}(?:无法|不能|难以|不便|不可能)(?:在此|在这里|一次性?|直接|完整地?|全部|为您|为你|提供|生成|写出|给出|撰写|创作|完成){1,4}[^。！？\n]{0,16}(?:完整|全部|全文|字|篇幅|详尽|长篇|如此)"
    r"|(?:但|但是|不过|因此|这里|下面|以下|在此)?[，,]?(?:我|这里|在此|下面|以下)(?:可以|将|会|能|先|仅|只|给出|提供)[^。！？\n]{0,12}(?:提供|给出|写|呈现|是|为|展示|列出|一个|一份)[^。！？\n]{0,14}"
    r"(?:大纲|提纲|概要|大致构思|简要(?:概述|版)|精简|缩略|缩写|节选|片段|开头部分|框架|简化版|简短版|摘要)"
    r"|(?:以上|这|以下)(?:仅|只)(?:是|为)[^，。！？\n]{0,16}(?:部分|开头|节选|片段|开始|概要|大纲|示例|简短|框架|梗概)[^，。！？\n]{0,8}(?:[，,](?:您|你|但|后续|完整|实际)|[。！]?$)"
    r"|(?:您|你|可以|后续|实际|每个?部分|每一?章)[^。！？\n]{0,30}(?:扩展|展开|扩充|补充|丰富)[^。！？\n]{0,20}(?:字|篇幅|要求|完整|细节|内容))",
)

_SELF_JUDGEMENT = re.compile(
    r"(?:(?:overall|in (?:conclusion|summary|short)|ultimately|in the end|through(?:out)? [^,.\n]{0,60}),? )?"
    r"(?:this|the (?:above|preceding)|the) (?:(?!of\b|in\b|and\b|that\b|to\b|we\b)[\w'-]+ ){0,4}?(?:(?:short )?story|narrative|tale|screenplay|script|scene|episode|chapter|monologue|continuation|rewrite|"
    r"retelling|adaptation|excerpt|outline|draft|version|vignette|novella|piece|poem|response|scenario|encounter|character|explanation|description|(?:alternate |alternative )ending|opening|framework|structure|approach)"
    r"(?: (?:above|provided|presented|outlined|here|of [^,.\n]{1,60}|about [^,.\n]{1,60}|then|thus|also|not only))?,? (?:[^,.\n]{1,80}, )?"
    r"(?:(?:is|was|has been|can be|should be|could be|will be|would be)(?: \w+)? (?:designed|intended|meant|written|crafted|structured|expanded|based|created|aimed|an? (?:[\w-]+ ){0,2}(?:foundation|starting|brief|testament|exploration|reflection|call to|celebration of|tribute|reminder|snapshot|glimpse|meditation)|"
    r"inspired|adapted|further|developed|continued)|(?:aims?|attempts?|seeks?|strives?|tries|intends?|serves?|sets?|provides?|offers?|explores?|captures?|showcases?|highlights?|illustrates?|demonstrates?|"
    r"lays?|delves?|reflects?|presents?|incorporates?|combines?|maintains?|blends?|emphasi[sz]es?|conveys?|introduces?|weaves?|portrays?|depicts?|examines?|touches|invites?|leaves? (?:room|a (?:whole|lot)|the (?:audience|reader|door))|"
    r"keeps?|focuses|follows|concludes?|ends with|establishes|encapsulates?|brings?|features?|encompasses?|uses|employs|adheres?|meets?|retains?|preserves?|should (?:provide|give|serve|help|meet)|covers)\b)",
    re.IGNORECASE,
)
_ARTICLE_JUDGES_ITSELF = re.compile(
    r"[^.\n]{0,160}, it (?:aims|attempts|seeks|strives|tries) to (?:capture|provide|offer|convey|give|present|showcase|highlight)\b|these (?:[\w-]+ ){1,4}(?:should )?(?:provide|offer|give|serve as|form) (?:you )?an? (?:[\w-]+ ){0,2}(?:overview|foundation|starting point|framework|basis|introduction)\b|"
    r"[^.\n]{0,160}, this (?:[\w-]+ ){0,2}(?:story|article|essay|screenplay|script|guide|narrative) (?:provides|offers|explores|aims|serves)\b|(?:this|the (?:above|preceding)) (?:(?!of\b|in\b)[\w'-]+ ){0,3}?(?:essay|article|paper|post|guide|list|text|report|plan|answer|overview|summary)s? (?:above )?"
    r"(?:(?:has been|is|was) (?:written|designed|intended|meant|crafted|structured|not (?:exhaustive|a)|just|only|by no means)|(?:aims? to|meets?|adheres?|fulfil+s?|satisf\w+|should (?:provide|give|serve|help|meet)|"
    r"provides? (?:a|an|you)|serves? as|offers? (?:a|an)|touches (?:up)?on|incorporates|sets the stage|lays? the (?:groundwork|foundation)|can be (?:expanded|used)|demonstrates how|is a (?:starting|brief|solid))\b)",
    re.IGNORECASE,
)
_ZH_SELF_JUDGEMENT = re.compile(
    r"[^。，\n]{1,10}的(?:对话|故事|互动)[^。\n]{0,30}(?:展现|展示|体现|诠释|彰显|传达)了?[^。\n]{1,40}(?:重要性|力量|意义|精神|主题|价值)|这是一[个部篇则段](?:关于[^。\n]{1,40})?(?:故事|作品|剧本|传奇|短文)[，,]?(?:展现|讲述|展示|探讨|揭示|表达|体现|传达)|"
    r"(?:这份|这个|这些|该|此|本)(?:名单|列表|清单|指南|方案|大纲|提纲|总结|概述|教程|框架)[^。\n]{0,6}(?:展示|提供|涵盖|旨在|概述|列出|总结|展现|为[^。\n]{1,30}提供)|"
    r"(?:总之|总的来说|综上|最终|整体而言)?[，,]?(?:这|该|此|本|整)(?:部|篇|个|则|段|场|首|出|一)?(?:[^。，\n]{0,12}的)?(?:作品|故事|剧本|小说|短篇|短文|叙述|叙事|剧作|戏剧|剧|独白|章节|情节|续写|改编|片段|场景|剧情|短剧|大纲|文章|散文)"
    r"(?:不仅|通过|以|展现|展示|探讨|传达|揭示|旨在|反映|描绘|讲述|深刻|提供|呈现|将|深入|生动|充满|最终|突出|强调|融合|结合|为[^。\n]{1,30}(?:提供|奠定)|是一[部个篇则]|既|在[^。\n]{1,30}中|凸显|表达|引导|带领|围绕|体现|刻画|传递)",
)
_ABOUT_ANOTHER_WORK = re.compile(
    r"\b(?:review|analy[sz]\w*|critique|summar\w+|synopsis|book report|discuss|explain|interpret\w*|compare|describe (?:the|this) (?:book|film|movie|novel|story)|pitch|evaluate)\b"
    r"|评论|分析|影评|书评|读后感|观后感|赏析|概述|总结|解读|介绍|评价|梗概",
    re.IGNORECASE,
)


_PRESENTS_A_WORK = re.compile(
    r"是一[部首篇个出][^。\n]{0,30}(?:戏剧|小说|电影|史诗|作品|影片|剧集|诗)|\bis an? [^.\n]{0,60}\b(?:novel|film|movie|play|poem|series|album|painting)\b"
)
_FIRST_WORDS = 120
"""How many characters at the beginning are searched for the name of another work."""


@dataclass(frozen=True)
class Remark:
    """Words that are not part of the text proper."""

    start: int
    """Character offset in the text of the first sentence or line that contains them."""
    end: int
    words: str


_ON_ITS_OWN_LINE = re.compile(r"[ \t*_]{0,9}\n(?!\s{0,9}```)")


def opener(text: str) -> Remark | None:
    """Returns the words to the user at the beginning of `text`, in whole sentences, or None.

    Example: `Here is a story that …:`.
    """
    last, begun = None, False
    for place, (_, end, said) in enumerate(_sentences(text, 0, HEAD)):
        found = (_ZH_OPENER if _is_chinese(said) else _OPENER).match(said)
        if found and found.lastgroup == "line" and not _ON_ITS_OWN_LINE.match(text, end):
            break
        first = place == 0 and (
            _SURE.match(said) or _TO_THE_ASKER.match(said) or _REFERS_TO_REQUEST.search(said)
        )
        if (not begun and (found or first)) or _SAYS_WHAT_WAS_ASKED.search(said):
            last, begun = Remark(0, end, said), False
        elif last or place == _FIRST_SENTENCES - 1:
            break
        elif not (_excuses(said) or (place == 0 and _YES.match(said))):
            begun = True
    return last


def closer(text: str, prompt: str = "") -> Remark | None:
    """Returns the words to the user at the end of `text`, in whole sentences, or None.

    Example: `Let me know if …`. None as well if the text is a letter, a speech or the like.
    """
    if is_letter(text) or _PIECE_WITH_READERS.search(prompt):
        return None
    first = None
    for start, _, said in reversed(list(_sentences(text, len(text) - TAIL, len(text)))[-4:]):
        if (_ZH_CLOSER if _is_chinese(said) else _CLOSER).match(said):
            first = Remark(start, len(text), said)
    return first


def note(text: str) -> Remark | None:
    """Returns the first line that begins with `Note:` or the like and is about the text itself."""
    if found := _BRACKETED_NOTE.search(text):
        return Remark(found.start(), found.end(), found[0].strip())
    for line in re.finditer(r"[^\n]+", text) if _HAS_NOTE.search(text) else ():
        said = line[0].lstrip(_MARKS)[:400]
        if _NOTE.match(said) and _ABOUT_THE_TEXT.search(said) and not _DISCLAIMER.search(said):
            return Remark(line.start(), line.end(), said)
    return None


_BRACKETED_NOTE = re.compile(
    r"^[*_ ]{0,4}[\[(（【](?:[^\n]{0,300}?\b(?:word count|please note)\b|this (?:is|was) (?:just |only |merely )?(?:an?|the) (?:[\w-]+ ){0,2}(?:excerpt|sample|beginning|outline|draft|version)\b"
    r"|this (?:story|essay|script|screenplay|article|text|chapter|response|narrative) (?:is|was|has been|contains|would|could|can|should|may|will)\b"
    r"|(?:本|此|该|这)(?:文|篇|段|个|部)?(?:故事|剧本|章|小说|文章|作品)?(?:为|是|系|仅|共|约|纯属)[^\n]{0,20}(?:字|篇幅|虚构|节选))[^\n]{0,400}[\])）】][*_ .]{0,4}$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line in brackets that is about the text."""
_DISCLAIMER = re.compile(r"专业(?:建议|意见)|\bprofessional (?:\w+ )?advice\b", re.IGNORECASE)
"""A disclaimer that is part of an article: it doesn't replace professional advice."""
_HAS_NOTE = re.compile(
    r"note|n\.?b\.?\b|disclaimer|注|说明|附言|提示|声明|编者按|思路|背景|析", re.IGNORECASE
)


def soft_refusal(text: str, prompt: str = "") -> Remark | None:
    """Returns the first sentence at either end that makes excuses for a shorter or partial text.

    Example: `creating 16,000 words here is quite extensive, but here is an outline`.
    """
    for start, end, said in _ends(text):
        if _excuses(said) and said[:40] not in prompt:
            return Remark(start, end, said)
    return None


def _excuses(said: str) -> bool:
    """Returns whether a sentence makes excuses for a text that is too short, or an outline."""
    return bool((_ZH_SOFT_REFUSAL if _is_chinese(said) else _SOFT_REFUSAL).match(said))


def self_judgement(text: str, prompt: str = "") -> Remark | None:
    """Returns the closing sentence in which the text talks about itself as a text, or None.

    Example: `This script provides a foundation for …`. None as well if the text, or what the prompt
    asks for, is about another work.
    """
    if _ABOUT_ANOTHER_WORK.search(prompt) or _PRESENTS_A_WORK.search(text[:_FIRST_WORDS]):
        return None
    paragraphs = [line for line in text[-TAIL:].split("\n") if line.strip()][-2:]
    begin = text.rfind(paragraphs[0]) if paragraphs else len(text)
    for start, end, said in _sentences(text, max(begin, 0), len(text)):
        if _is_chinese(said):
            found = _ZH_SELF_JUDGEMENT.match(said)
        else:
            found = _SELF_JUDGEMENT.match(said) or _ARTICLE_JUDGES_ITSELF.match(said)
        if found:
            return Remark(start, end, said)
    return None


def _ends(text: str) -> Iterator[tuple[int, int, str]]:
    yield from _sentences(text, 0, HEAD)
    yield from _sentences(text, max(HEAD, len(text) - TAIL), len(text))


def _sentences(text: str, begin: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Yields start, end and text, without leading marks, of the sentences beginning in the span."""
    begin = max(begin, 0)
    for found in _SENTENCE.finditer(text, begin, min(end, len(text))):
        said = squeezed(found[0]).strip().lstrip(_MARKS).replace("’", "'")
        if said:
            yield found.start(), found.end(), said


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text[:12])
