"""Planted rows that are filtered together, as one file, and lines that are no rows."""

from helpers.texts import TALES, ZH_TALES

_EN_ASKS = [
    "Write a story set in a market town.",
    "Tell the tale of a ferryman whose river moved.",
    "Describe a scientist who works at night, above a dentist.",
    "Explain to visitors how bridges are planned.",
    "Remember a relative with an odd trade.",
    "Discuss how remote work changes cities.",
    "Make up a frame story of snowed-in travellers.",
    "Why is soil alive?",
]
_ZH_ASKS = [
    "写一篇关于老街手艺人的文章。",
    "讲一个高原牧民与羊的故事。",
    "谈谈人工智能对医疗行业的影响。",
    "描写一座旧图书馆闭馆的日子。",
    "城市的地下世界是什么样的？",
    "介绍茶叶的采摘与制作过程。",
    "台风登陆的夜里发生了什么？",
    "叙述一次沙漠里的考古发现。",
]


def _row(rule: str | None, response: str, prompt: str) -> tuple[str | None, str, str]:
    return rule, prompt, response


def _changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


COMPARED: list[tuple[str | None, str, str]] = [
    *((None, ask, text) for text, ask in zip(TALES, _EN_ASKS, strict=True)),
    *((None, ask, text) for text, ask in zip(ZH_TALES, _ZH_ASKS, strict=True)),
    # The same text
    _row("duplicate", TALES[0], "Which buttons does Marta sell?"),
    _row("duplicate", TALES[1].upper(), "What grows where the water was?"),
    _row("duplicate", TALES[2].replace(" ", "\n"), "How long can seeds sleep?"),
    _row("duplicate", f"  {TALES[3]}\n\n", "What do engineers study first?"),
    _row("duplicate", TALES[4].replace(". ", ".  "), "What smelled of oil and peppermint?"),
    _row("duplicate", ZH_TALES[0], "铺主今年多大年纪了？"),
    _row("duplicate", ZH_TALES[1].replace("。", "。\n\n"), "羊记得的是什么东西？"),
    _row("duplicate", ZH_TALES[2].replace("，", "， "), "技术能代替信任吗？"),
    _row("duplicate", f"\n{ZH_TALES[3]}\n", "车票上写着哪一天？"),
    _row("duplicate", ZH_TALES[4], "老周几点钟走进管廊？"),
    # Nearly the same text
    _row("near_duplicate", _changed(TALES[0], "green", "blue"), "What did the stranger look for?"),
    _row("near_duplicate", _changed(TALES[1], "He did not complain. ", ""), "Whom did he give soup?"),
    _row("near_duplicate", _changed(TALES[2], "Okafor", "Lindqvist"), "What wakes within an hour?"),
    _row("near_duplicate", TALES[3] + " They come in June.", "What may a river scour away?"),
    _row("near_duplicate", "The Inn\n\n" + TALES[6], "Who could play the piano?"),
    _row("near_duplicate", _changed(ZH_TALES[0], "林", "王"), "下雨的日子门口怎样？"),
    _row("near_duplicate", _changed(ZH_TALES[1], "五月", "六月"), "妻子煮好了什么？"),
    _row("near_duplicate", ZH_TALES[2] + "这需要时间。", "影像诊断系统有什么用处？"),
    _row("near_duplicate", _changed(ZH_TALES[6], "陈船长守在驾驶室里，", ""), "海鸟落在哪里？"),
    _row("near_duplicate", "修伞记\n\n" + ZH_TALES[5], "好茶入口是什么味道？"),
    # Nearly the same instruction, and another text
    _row(None, " ".join(reversed(TALES[5].split())) + ".", "tell the tale of a ferryman whose river moved!"),
    _row(None, ZH_TALES[5][::-1] + "。", "谈谈人工智能对医疗行业的影响！"),
    # Alike, but others: a shared opening, a template of an instruction, an answer to half of a text
    _row(None, TALES[0].split(". ")[0] + ". " + "Nobody came to buy bread that day, for the mill had burned down in the night, and the miller's dog sat in the ashes and would not be called away.", "A fire in the night: what came of it?"),
    _row(None, "The clock on the tower had no hands. Children learned the hour from the smell of the soup, and travellers from the length of the inn's queue, and only the mayor, who owned a watch, was ever late for dinner.", "Tell the tale of a watchmaker whose village slept."),
    _row(None, ZH_TALES[0].split("；")[0] + "。邻居们说，他年轻的时候在北方当过兵，会唱十几首没有人听过的歌，雪夜里常常一个人唱到天亮。", "修伞人年轻的时候做过什么？"),
    _row(None, "磨坊在半夜着了火，磨坊主的狗坐在灰烬里，谁也叫不走它。第二天，没有人来买面包，整个镇子安静得像一本合上的书。", "写一篇关于磨坊的文章。"),
]  # fmt: skip
"""(rule that must reject the row, or None; prompt; response): a row that is like an earlier one goes."""

BENCHMARK = [
    {"prompt": "Write a 900-word report on the tides of the northern fjords."},
    {"prompt": "写一篇800字的报告，介绍北方峡湾的潮汐。"},
]

MALFORMED: dict[str, list[bytes]] = {
    "en": [
        b'{"prompt": "Write.", "response": ',
        b'{"prompt": "Write.", "response": "caf\xe9"}',
        b'{"prompt": "Write."}',
        b'{"messages": []}',
        b'{"messages": [{"role": "user", "content": "Hi"}]}',
        b'{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "x"}]}',
        b'{"messages": [{"role": "human", "content": "Hi"}, {"role": "assistant", "content": "x"}]}',
        b'{"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "Hi"}]}',
        b"[1, 2]",
        b'{"prompt": "Write.", "response": "' + b"a" * 50_000_000 + b'"}',
    ],
    "zh": [
        '{"prompt": "写。", "response": "海面\ufffd"}'.encode(),
        '{"prompt": "写一篇文章。", "response": "海面'.encode(),
        '{"prompt": "写一篇文章。"}'.encode(),
        '{"prompt": "写一篇文章。", "response": "海"}'.encode("gbk"),
        '{"messages": [{"role": "user", "content": "写。"}, {"role": "user", "content": "海。"}]}'.encode(),
        '{"prompt": "写一篇文章。", "response": "", "id": "空"}'.encode(),
    ],
}
