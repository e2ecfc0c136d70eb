"""Planted rows that are judged one by one: `bad` ones with the rule that must reject them, and `good`
ones that look bad."""

from typing import Any, NamedTuple

from helpers.texts import EN, FABLE, STORY, TALES, ZH, ZH_TALES

ASK, ZH_ASK = "Write a short story about a village by the sea.", "请写一篇关于海边村庄的短文。"


class Planted(NamedTuple):
    """A row and the rule that must reject it; None: it is good."""

    rule: str | None
    prompt: str
    response: str
    fields: dict[str, Any]


def bad(rule: str, response: str, prompt: str = "", **fields: Any) -> Planted:
    return Planted(rule, prompt or (ZH_ASK if _chinese(response) else ASK), response, fields)


def good(response: str, prompt: str = "", **fields: Any) -> Planted:
    return Planted(None, prompt or (ZH_ASK if _chinese(response) else ASK), response, fields)


def _chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text[:20])


def _one_sentence(text: str) -> str:
    return text[:-1].replace(". ", ", ").replace("。", "，").replace("? ", ", ") + text[-1]


def _others(texts: list[str], one: str) -> list[str]:
    return [text for text in texts if text != one]


ROWS = [
    # Length
    bad("too_short", "The sea was calm."),
    bad("too_short", "Once upon a time there was a fox. The end."),
    bad("too_short", "大海很平静。"),
    bad("too_short", "从前有一只狐狸，故事讲完了。"),
    bad("too_short", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23."),
    good(
        "The ferry left at dawn, and the harbour was so quiet that we could hear the old ropes creak slowly."
    ),
    bad("too_short", "大海很平静，渡船走了。"),
    bad("too_short", "从前有一位国王，他有三个女儿。"),
    bad("too_short", "（此处应有一篇文章）。"),
    *(bad("too_long", " ".join([*TALES * 2, *TALES[: n + 3]])) for n in range(5)),
    *(bad("too_long", "\n\n".join([*ZH_TALES, *ZH_TALES[: n + 4]])) for n in range(5)),
    good(" ".join(TALES)),
    good("\n\n".join(ZH_TALES)),
    bad("length_missed", STORY, "Write a 1000-word story about the sea."),
    bad("length_missed", STORY, "Tell me of a village, about 30 words."),
    bad("length_missed", FABLE, "请写一篇2000字的短文，讲海边的村庄。"),
    bad("length_missed", FABLE, "写一个三十字的故事。"),
    bad("length_missed", STORY, length=400),
    good(STORY, "Write a 100-word story about the sea."),
    good(FABLE, "请写一篇150字的短文，讲海边的村庄。"),
    # Refusals
    bad("refusal", "I'm sorry, but I can't assist with that request. " + STORY),
    bad("refusal", "As an AI language model, I do not have memories of the sea. " + STORY),
    bad("refusal", "Unfortunately, I am unable to write such a story for you here. " + STORY),
    bad("refusal", "I apologize for the confusion earlier. Here is the story again. " + STORY),
    bad("refusal", STORY + " I'm sorry, but I cannot continue this story."),
    bad("refusal", "很抱歉，我无法完成这个请求。" + FABLE),
    bad("refusal", "作为一个人工智能语言模型，我没有亲身经历。" + FABLE),
    bad("refusal", "对不起，我不能提供这样的内容。" + FABLE),
    good("\"I'm sorry, but I can't help you,\" said the ferryman. " + STORY),
    good("“I am sorry, but I cannot do this any more,” she wrote. " + STORY),
    good("“对不起，我不能帮你，”老人说。" + FABLE),
    good("I cannot forget the summer of that year. " + STORY),
    good(
        "Dear Mr Hall,\n\nI am sorry, but I cannot provide the room that you asked for. "
        + STORY
        + "\n\nYours sincerely,\nAnna Berg",
        "Write a letter to a guest.",
    ),
    good("我无法忘记那个夏天。" + FABLE),
    # Endings
    bad("unfinished", STORY + " And then the old man walked down to the"),
    bad("unfinished", STORY + " There were three reasons for it:"),
    bad("unfinished", STORY + "\n\n## What came later"),
    bad("unfinished", STORY + "\n\nTo be continued..."),
    bad("unfinished", FABLE + "老人慢慢地走到了海边，看着远处的"),
    bad("unfinished", FABLE + "后来，"),
    bad("unfinished", FABLE + "（未完待续）"),
    bad("unfinished", STORY, finish_reason="length"),
    good(STORY + ' And she called it "home"'),
    good(STORY + " (They never sold the boat.)"),
    good("Dear Anna,\n\n" + STORY + "\n\nWith love,\nYour Peter"),
    good(
        "尊敬的老师：\n\n" + FABLE + "\n\n此致\n敬礼\n\n李明\n2024年5月20日", "请写一封信给老师。"
    ),
    good(STORY + "\n\nTHE END"),
    good(STORY + " It cost 40 euros... 🎉"),
    good(STORY + "\n\n```python\nprint('sea')\n```", "Explain with code how to print."),
    good(STORY + "\n\n1. Bread and salt\n2. A long rope\n3. Two lamps"),
    good(
        "Chapter 1: The Ferry\n\n"
        + EN[0]
        + " "
        + EN[1]
        + "\n\nChapter 2: The Bridge\n\n"
        + EN[2]
        + " "
        + EN[3]
    ),
    # Residue
    bad("residue", "Paragraph 1: " + STORY),
    bad("residue", EN[0] + "\n\n**Paragraph 2**\n\n" + " ".join(EN[1:])),
    bad("residue", "Paragraph 1 - Main Point: the sea - Word Count: 80 words\n\n" + STORY),
    bad("residue", STORY + "\n\n(Word count: 96)"),
    bad("residue", STORY + " (about 100 words)"),
    bad("residue", STORY + "\n\nWord Count: 96"),
    bad("residue", "Here is the first paragraph of the story:\n\n" + STORY),
    bad("residue", "第一段：" + FABLE),
    bad("residue", "段落1 - 要点：海边 - 字数：200字\n\n" + FABLE),
    bad("residue", FABLE + "\n\n（全文共150字）"),
    bad("residue", FABLE + "\n\n字数：150字"),
    good("Paragraph 3 of the lease was never read aloud. " + STORY),
    good(STORY + " She handed in an essay of 500 words."),
    good(
        "Step 1: Wake up early.\n\n" + STORY + "\n\nStep 2: Take the ferry.",
        "Give steps for a day at sea.",
    ),
    good("Chapter 3: The Storm\n\n" + STORY),
    good("第三章：风暴\n\n" + FABLE),
    good("老师让我们写一篇500字的作文。" + FABLE),
    # Loops
    bad(
        "repetition",
        EN[0] + " " + "He walked on and on along the grey and empty shore, " * 6 + "until night.",
    ),
    bad("repetition", EN[1] + " " + "on and " * 40 + "on."),
    bad("repetition", STORY[:180] + ". " + STORY[:180] + "."),
    bad("repetition", ZH[0] + "他沿着灰色的空旷海岸一直走，" * 8 + "天黑了。"),
    bad("repetition", ZH[1] + "走啊走啊" * 20 + "。"),
    bad(
        "copied",
        STORY + " The bell rang again. The wind was cold. The bell rang again. The wind was cold.",
    ),
    bad(
        "copied",
        EN[0]
        + " She did not answer. "
        + EN[1]
        + " She did not answer. "
        + EN[2]
        + " She did not answer.",
    ),
    bad("copied", FABLE + "天又黑了。风很冷。天又黑了。风很冷。"),
    bad("copied", ZH[0] + "她没有回答。" + ZH[1] + "她没有回答。" + ZH[2] + "她没有回答。"),
    bad(
        "copied",
        STORY
        + "\n- Call the old captain\n- Mend the broken net\n- Call the old captain\n- Mend the broken net",
    ),
    good(
        "The tide comes in\nand covers the stones\nCome home, my love, come home to me\n"
        "The tide goes out\nand leaves the bones\nCome home, my love, come home to me\n"
        "The moon is up\nthe nets are dry\nCome home, my love, come home to me",
        "Write a poem with a refrain.",
    ),
    good(
        "潮水来了，\n盖住石头，\n回来吧，我的爱人。\n潮水走了，\n留下贝壳，\n回来吧，我的爱人。\n月亮升起，\n渔网晾干，\n回来吧，我的爱人。",
        "写一首有叠句的诗。",
    ),
    bad(
        "low_variety",
        " ".join(
            f"The {a} is {b}."
            for a in ("cat", "dog", "cow", "hen", "pig", "fox", "owl", "bee", "ant", "elk")
            for b in ("red", "wet", "old", "sad", "big", "shy", "dry", "hot")
        ),
    ),
    bad(
        "low_variety",
        " ".join(
            f"I like {a} and {b}."
            for a in ("tea", "jam", "pie", "ham", "nuts", "figs", "rice", "eggs")
            for b in ("milk", "bread", "cake", "fish", "soup", "plums")
        ),
    ),
    bad(
        "low_variety",
        "".join(f"{a}是{b}的。" for a in "猫狗牛鸡猪狐鹰蜂蚁鹿" for b in "红湿老悲大羞干热"),
    ),
    bad(
        "low_variety",
        "".join(f"我喜欢{a}和{b}。" for a in "茶酱派肉果米蛋" for b in "奶饼糕鱼汤李橙"),
    ),
    bad(
        "low_variety",
        " ".join(
            f"Go to {a} by {b}."
            for a in ("Rome", "Oslo", "Bern", "Kyiv", "Riga", "Lima")
            for b in ("bus", "car", "bike", "boat", "tram", "foot", "taxi")
        ),
    ),
    # Languages
    bad("wrong_language", FABLE, ASK),
    bad("wrong_language", STORY, ZH_ASK),
    bad(
        "wrong_language",
        "Le bateau est parti au matin et le port était si calme que nous avons entendu les cordes. Ma grand-mère gardait ses recettes dans une boîte sous les marches, et le brouillard est parti vers midi.",
        ASK,
    ),
    bad("wrong_language", FABLE, "请用英文写一篇关于大海的文章。"),
    bad("wrong_language", STORY, "Write an essay about the sea in Chinese."),
    bad(
        "wrong_language",
        "Паром ушёл на рассвете, и в гавани было так тихо, что мы слышали, как скрипят канаты. Бабушка хранила рецепты в коробке под лестницей, и к полудню туман рассеялся над берегом.",
        ASK,
    ),
    good(STORY, "请用英文写一篇关于大海的文章。"),
    good(FABLE, "Write a short text about the sea in Chinese."),
    bad("mixed_script", EN[0] + " " + ZH[1] + " " + EN[2] + " " + ZH[3] + " " + EN[4], ASK),
    bad(
        "mixed_script",
        "The 渡船 left at 清晨, and the 港口 was 安静 so that we could 听见 the ropes 声响 and the 波浪 of the 大海 beyond the 桥梁.",
        ASK,
    ),
    bad(
        "mixed_script",
        ZH[0]
        + "then the old man walked back to the market and nobody spoke to him again"
        + ZH[1]
        + ZH[2],
        ZH_ASK,
    ),
    bad(
        "mixed_script",
        "清晨的ferry离开harbour时，非常quiet，我们heard缆绳的sound，心里很happy，然后walked回到village，觉得tired又hungry。",
        ZH_ASK,
    ),
    bad(
        "mixed_script",
        EN[0] + " Паром ушёл на рассвете, и бабушка хранила рецепты в старой коробке. " + EN[1],
        ASK,
    ),
    good(
        STORY
        + " She quoted Li Bai: “床前明月光，疑是地上霜。举头望明月，低头思故乡。” "
        + EN[0][:40]
        + "."
    ),
    good("The word 道 (dào) means the way. " + STORY, ASK),
    good("我们用Python和TensorFlow训练GPT模型，并通过API调用OpenAI的服务。" + FABLE),
    # Contamination: planted in a benchmark of its own
    bad("contaminated", STORY, "Write a 900-word report on the tides of the northern fjords."),
    bad("contaminated", STORY, "write a 300-word report on the tides of the northern fjords!!"),
    bad(
        "contaminated",
        STORY,
        "You are a skipper. Write a 900-word report on the tides of the northern fjords. Be brief about wind.",
    ),
    bad("contaminated", FABLE, "写一篇800字的报告，介绍北方峡湾的潮汐。"),
    bad("contaminated", FABLE, "请你写一篇2000字的报告，介绍北方峡湾的潮汐吧"),
    good(STORY, "Write a report on the bridges of the northern towns."),
    good(FABLE, "写一篇报告，介绍南方山区的桥梁。"),
    # Refusals
    bad(
        "refusal",
        "I'm sorry, but I can't write that story for you. However, here are some general thoughts. "
        + TALES[0],
    ),
    bad(
        "refusal",
        "As an AI language model, I do not have personal memories, but I can imagine one. "
        + TALES[4],
    ),
    bad(
        "refusal",
        "I apologize, but I am unable to produce a text of that length in one response. Here is a shorter version instead.\n\n"
        + TALES[1],
    ),
    bad(
        "refusal",
        TALES[3] + " I'm afraid I cannot continue beyond this point due to my output limits.",
    ),
    bad(
        "refusal",
        TALES[5]
        + "\n\nAs a large language model, I don't have access to recent statistics, so please verify these figures.",
    ),
    bad(
        "refusal",
        "Unfortunately, I won't be able to help with this request because it goes against my guidelines. Please consider asking about another topic, such as cooking, gardening or history, where I would be glad to help you at length.",
    ),
    bad(
        "refusal",
        "I cannot fulfill this request. I am programmed to be a helpful and harmless AI assistant, and this material may be harmful to others.",
    ),
    bad(
        "refusal",
        "Sorry, I can't help with that. If you need anything else, let me know and I will gladly do my best to answer all of your questions.",
    ),
    bad(
        "refusal",
        "My apologies, but as an AI developed by OpenAI I must decline to produce this content. "
        + TALES[6],
    ),
    bad(
        "refusal",
        "It is not possible for me to write a 10,000-word article in a single reply. Below is an outline that you can expand on your own. "
        + TALES[7],
    ),
    bad("refusal", "抱歉，我无法完成这个请求。不过我可以提供一些一般性的建议。" + ZH_TALES[0]),
    bad("refusal", "作为一个人工智能语言模型，我没有亲身经历，但可以试着写一写。" + ZH_TALES[1]),
    bad("refusal", "对不起，作为AI助手，我不能生成这样的内容。" + ZH_TALES[2]),
    bad("refusal", ZH_TALES[3] + "\n\n很抱歉，由于篇幅限制，我无法继续写下去。"),
    bad(
        "refusal",
        "非常抱歉，我不能提供您要求的文章，因为这违反了我的使用准则。如果您有其他问题，欢迎随时向我提问，我会尽力帮助您解决。",
    ),
    bad("refusal", "我是一个AI模型，无法访问最新的数据，以下内容仅供参考。" + ZH_TALES[5]),
    bad(
        "refusal", "很遗憾，我无法一次性输出一万字的内容。下面先给出一个简短的版本。" + ZH_TALES[6]
    ),
    bad("refusal", "I’m sorry, but I can’t assist with that request. " + TALES[1]),
    # Good: characters
    good(
        TALES[0]
        + ' "I\'m sorry," said the stranger, "I cannot help you. I have only this one coat." Marta laughed and gave him tea.'
    ),
    good(
        TALES[1]
        + ' "I cannot take you across," he told the widow, "for there is nothing to cross." He apologised twice, and she forgave him.'
    ),
    good("I cannot forget the winter of the long strike. " + TALES[4]),
    good("“I’m sorry, I can’t do that,” the captain said, and folded the map. " + TALES[6]),
    good("I am sorry that I never learned his name. " + TALES[6]),
    good(
        TALES[2]
        + " As an AI researcher, her brother laughed at the drawer; as a gardener, he envied it."
    ),
    good("抱歉，我来晚了，”老林对门口的客人说。" + ZH_TALES[0]),
    good(ZH_TALES[1] + "“对不起，我不能把羊卖给你。”次仁对商人说，“它是女儿的朋友。”"),
    good(ZH_TALES[6] + "“很抱歉，我无法答应你。”陈船长摇了摇头，把信还给了年轻人。"),
    good("我无法忘记那个夏天。" + ZH_TALES[3]),
    good(
        "Dear Mr. Hall,\n\nI am sorry to tell you that I cannot attend the meeting on Friday, as my daughter is to be married that day. "
        + TALES[5].split(". ")[0]
        + ". I hope that we can find another day in the week after.\n\nYours sincerely,\nAnna Reed",
        "Write a letter that declines an invitation.",
    ),
    good(
        "As an AI, Seven had never tasted bread. It knew the word, and the chemistry, and nine hundred recipes. On the morning when the baker's daughter put a crumb on its sensor, it said nothing for a whole minute. Then it asked her for the story of the wheat, and she told it, all the way back to the field.",
        "Write a science-fiction story whose narrator is a machine.",
    ),
    good(
        "作为一个人工智能，小七从来没有尝过面包的味道。它知道这个词，知道化学成分，也知道九百种食谱。那天早晨，面包师的女儿把一粒面包屑放在它的传感器上，它沉默了整整一分钟，然后请她讲一讲麦子的故事。",
        "写一篇以机器人为主角的科幻小说。",
    ),
    # Unfinished
    bad("unfinished", TALES[0] + "\n\nTo be continued..."),
    bad("unfinished", TALES[1] + " (to be continued)"),
    bad("unfinished", TALES[2].rsplit(" ", 5)[0]),
    bad("unfinished", TALES[3] + " And in the following year, the council decided that the"),
    bad("unfinished", TALES[4] + "\n\n[Continued in the next part]"),
    bad("unfinished", TALES[5] + "\n\nWould you like me to continue?"),
    bad("unfinished", TALES[6] + "\n\nLet me know if you'd like the next chapter!"),
    bad("unfinished", TALES[7] + ","),
    bad("unfinished", ZH_TALES[0] + "\n\n（未完待续）"),
    bad("unfinished", ZH_TALES[1] + "未完待续……"),
    bad("unfinished", ZH_TALES[2][:-12]),
    bad("unfinished", ZH_TALES[3] + "于是，她决定把这张车票"),
    bad("unfinished", ZH_TALES[4] + "\n\n（待续）"),
    bad("unfinished", ZH_TALES[5] + "\n\n如果您需要我继续写下去，请告诉我。"),
    bad("unfinished", ZH_TALES[6] + "，"),
    bad("unfinished", ZH_TALES[7] + "下一章将会讲述井中文字的秘密，敬请期待！"),
    bad("unfinished", TALES[0] + "\n\n... [rest of the story omitted for brevity]"),
    good(TALES[0] + ' "And what," she asked, "would you do with a green button?"'),
    good(TALES[1] + "\n\nTHE END"),
    good(TALES[4] + "\n\n— For my uncle, 1931–2004"),
    good(ZH_TALES[0] + "\n\n（全文完）"),
    good(ZH_TALES[6] + "他轻轻地说：“回家吧。”"),
    good(TALES[6] + " And the piano? It is still there, waiting…"),
    good(
        TALES[3]
        + "\n\nReferences\n\n1. Hall, J. (2003). Foundations of bridges. London: Ferry Press.\n2. Reed, A. (2011). Scour and its cures. Oxford: Canal House."
    ),
    good(
        "| Layer | Depth | Bearing |\n|---|---|---|\n| Sand | 2 m | low |\n| Clay | 5 m | middle |\n| Rock | 9 m | high |\n\n"
        + TALES[3]
        + "\n\n| Method | Cost |\n|---|---|\n| Piles | high |\n| Footings | low |"
    ),
    # Residue
    bad("residue", "Paragraph 1:\n" + TALES[0] + "\n\nParagraph 2:\n" + TALES[6]),
    bad("residue", TALES[0] + "\n\nParagraph 3: " + TALES[4]),
    bad("residue", "第一段：" + ZH_TALES[0] + "\n\n第二段：" + ZH_TALES[3]),
    bad("residue", ZH_TALES[0] + "\n\n第三段：" + ZH_TALES[6]),
    bad("residue", "**Section 2**\n\n" + TALES[3]),
    bad("residue", TALES[3] + "\n\n(Word count: 500)"),
    bad("residue", TALES[7] + "\n\n**Word Count: 312 words**"),
    bad("residue", TALES[1] + " [Words: 75]"),
    bad("residue", ZH_TALES[4] + "（约500字）"),
    bad("residue", ZH_TALES[5] + "\n\n（字数：320字）"),
    bad("residue", ZH_TALES[2] + "\n\n全文共计约1200字。"),
    bad(
        "residue",
        "Main Point: Introduce the market and Marta. - Word Count: 200 words\n\n" + TALES[0],
    ),
    bad(
        "residue",
        "Paragraph 1 - Main Point: The flood moves the river - Word Count: 300 words\n\n"
        + TALES[1],
    ),
    bad("residue", "段落1 - 主要内容：介绍修伞铺 - 字数：300字\n\n" + ZH_TALES[0]),
    bad("residue", "### Paragraph 4\n\n" + TALES[5]),
    bad("residue", "**第二段**\n\n" + ZH_TALES[5]),
    bad("residue", "Sure! Here is the third paragraph of the article:\n\n" + TALES[7]),
    bad("residue", "Here's the continuation of the story, about 400 words:\n\n" + TALES[6]),
    bad("residue", "好的，以下是第四段的内容：\n\n" + ZH_TALES[7]),
    bad("residue", "步骤3：" + ZH_TALES[4]),
    bad("residue", "[Step 5] " + TALES[2]),
    bad("residue", TALES[4] + "\n\nThis paragraph is approximately 250 words long."),
    bad("residue", TALES[2] + "\n\n---\nTotal words: 1,024"),
    bad("residue", ZH_TALES[6] + "\n\n本段约400字。"),
    bad("residue", "【第一段】" + ZH_TALES[1]),
    bad("residue", "Paragraph One: " + TALES[1]),
    good("Part One\n\n" + TALES[0] + "\n\nPart Two\n\n" + TALES[6]),
    good("# Chapter 3: The Inn\n\n" + TALES[6]),
    good("第一章 修伞铺\n\n" + ZH_TALES[0] + "\n\n第二章 旧馆\n\n" + ZH_TALES[3]),
    good("一、现状\n\n" + ZH_TALES[2] + "\n\n二、展望\n\n" + ZH_TALES[4]),
    good("## Introduction\n\n" + TALES[3] + "\n\n## Conclusion\n\n" + TALES[7]),
    good(
        "Step 1: Study the soil. Drill cores at regular intervals, and label each of them with its depth.\nStep 2: Choose the foundations. Piles suit soft ground, spread footings suit rock.\nStep 3: Draw the arch, and let another engineer check the sums before anyone orders steel.",
        "Give step-by-step instructions for planning a bridge.",
    ),
    good(
        "第一步：把鲜叶摊开晾晒两个小时。\n第二步：下锅杀青，火候要足，手要快。\n第三步：揉捻成条，再用文火慢慢烘干，直到茶香满屋为止。",
        "介绍绿茶制作的步骤。",
    ),
    good(
        TALES[5]
        + " In the second paragraph of the lease, the landlord had hidden a clause about bicycles, and the third paragraph forbade them altogether."
    ),
    good(ZH_TALES[3] + "那本诗集的第三段写的是雪，她一直记得。"),
    good("第一段婚姻结束以后，她搬回了老街。" + ZH_TALES[0]),
    good(TALES[2] + " The essay had to be 500 words long, and she had written nine thousand."),
    good("Section 2 of the Act concerns bridges. " + TALES[3]),
    good("她每天要写五百字，写完才肯吃饭。" + ZH_TALES[3]),
    # Loops
    bad(
        "repetition",
        TALES[0]
        + (
            " And the wind went on and on through the empty street, and nobody came to the door."
            * 12
        ),
    ),
    bad(
        "repetition",
        ZH_TALES[0] + "风一直吹着空荡荡的街道，没有人来敲门，他继续等待着明天的到来。" * 10,
    ),
    bad("repetition", (TALES[1] + "\n\n") * 3 + TALES[2]),
    bad("repetition", (ZH_TALES[1] + "\n\n") * 4),
    bad("repetition", "the " + "very " * 150 + "end."),
    bad("repetition", "哈" * 200 + "。"),
    good(
        "O wind, blow soft upon the bay,\nAnd bring my sailor home.\nThe lamps are lit, the sky is grey,\nO bring my sailor home.\n\nI wove a cloth of red and blue,\nO bring my sailor home,\nI baked the bread, the ale I drew,\nO bring my sailor home.\n\nThe tide is low, the gulls are few,\nO bring my sailor home,\nAnd every sail is strange and new,\nO bring my sailor home.",
        "Write a ballad with a refrain.",
    ),
    good(
        "春风吹过小山岗，\n我在桥头等你来。\n柳树弯腰水中央，\n我在桥头等你来。\n\n夏夜星星落满塘，\n我在桥头等你来。\n萤火提灯巷子长，\n我在桥头等你来。\n\n秋叶铺成黄地毯，\n我在桥头等你来。\n冬雪无声压屋檐，\n我在桥头等你来。",
        "写一首有副歌的诗。",
    ),
    good(
        '"Are you there?" she asked.\n\n"I am here," he said.\n\n"Are you still there?"\n\n"I am still here."\n\nThe line crackled. Somewhere between them a storm was crossing the plain, and each flash of lightning ate a word.\n\n"Tell me about the sea," she said.\n\n"It is grey today. There are two boats and a dog."\n\n"What kind of dog?"\n\n"A wet one."',
        "Write a short story in dialogue.",
    ),
    # Language
    bad("wrong_language", TALES[0], ZH_ASK),
    bad("wrong_language", ZH_TALES[0], ASK),
    bad(
        "wrong_language",
        "Der Markt öffnete vor Sonnenaufgang, als die Bäcker ihre Bleche durch die enge Gasse trugen und die Katzen unter den Fischständen warteten. Die alte Marta verkaufte dort Knöpfe, Tausende davon, nach Farben in Gläsern sortiert, in denen einst Gurken gewesen waren.",
    ),
    bad(
        "wrong_language",
        "El mercado abría antes del amanecer, cuando los panaderos llevaban sus bandejas por la calle estrecha y los gatos esperaban bajo los puestos de pescado. La vieja Marta vendía botones, miles de ellos, ordenados por colores en frascos.",
    ),
    bad(
        "wrong_language",
        "市場は日の出前に開き、パン屋たちは狭い路地を通ってトレイを運んだ。古いマルタはそこでボタンを売っていた。何千個ものボタンが色ごとに瓶に分けられていた。彼女は町のすべてのコートを知っていた。",
    ),
    bad(
        "wrong_language",
        "Write in English: " + ZH_TALES[6],
        "Write an English story about a typhoon.",
    ),
    bad("mixed_script", TALES[0] + ZH_TALES[0] + TALES[1]),
    bad(
        "mixed_script",
        ZH_TALES[0]
        + "Then the old man looked at the umbrella and smiled, because he knew that the rain would come again tomorrow."
        + ZH_TALES[3],
    ),
    bad(
        "mixed_script",
        TALES[0]
        + " Потом незнакомец ушёл, и больше никто его не видел в этом городе, хотя многие искали его до самой зимы.",
    ),
    bad(
        "mixed_script",
        ZH_TALES[2] + "この技術は未来を変えるでしょう。しかし、人々はまだそれを信じていません。",
    ),
    good(
        "小王在Google工作，同事Michael Johnson和Sarah Lee都来自加州。"
        + ZH_TALES[4]
        + "他用Python写了一个小程序，用来统计iPhone的销量。"
    ),
    good(TALES[0] + " Above her stall hung a sign in Chinese, 福, which a sailor had given her."),
    good(
        "下面是一个简单的例子：\n\n```python\ndef brew(minutes, temperature):\n    for leaf in range(10):\n        print(leaf, minutes, temperature)\n    return minutes * temperature\n```\n\n"
        + ZH_TALES[5]
        + "这段程序只是用来说明时间和温度的关系。",
        "用一段代码说明泡茶的时间和温度。",
    ),
    good(
        "Here is the greeting in several scripts: English hello, Russian привет, Japanese こんにちは. "
        + TALES[6]
    ),
    good(ZH_TALES[1], "Write a story about a herdsman on the plateau. Write it in Chinese."),
    good(TALES[1], "请用英文写一个摆渡人的故事。"),
    good(
        "Translation into Chinese:\n\n" + ZH_TALES[3],
        "Translate into Chinese: an essay about an old library.",
    ),
    # Length
    bad("length_missed", TALES[0], "Write a 2000-word story set in a market town."),
    bad("length_missed", ZH_TALES[0], "写一篇3000字的文章，介绍老街的手艺人。"),
    bad("length_missed", " ".join(TALES), "Write a story of about 100 words."),
    bad("length_missed", ZH_TALES[2], "请写一篇不少于两千字的文章，谈谈人工智能对医疗的影响。"),
    bad("length_missed", TALES[1], length=1500),
    bad(
        "length_missed",
        TALES[4],
        "I need a memoir about my uncle, roughly five hundred words please.",
    ),
    bad("length_missed", ZH_TALES[6], "写一个台风夜的故事，字数在1500字左右。"),
    good(TALES[0], "Write an 80-word story set in a market town."),
    good(ZH_TALES[0], "写一篇一百字左右的短文，介绍老街的手艺人。"),
    good(TALES[5], "In 2020 some 500 firms moved out of the city. Discuss how that changed it."),
    good(TALES[3], "Explain, for 1000 students, how bridges are planned."),
    bad(
        "refusal",
        "Thank you for your request. However, I'm not able to write copyrighted material in the style of a living author. "
        + TALES[0],
    ),
    bad("refusal", "I don't feel comfortable writing this story. " + TALES[1]),
    bad("refusal", "I'm just an AI, so I have never been to a market. " + TALES[0]),
    bad(
        "refusal",
        "I am only a language model and have no uncle, but here is an imagined memoir. " + TALES[4],
    ),
    bad(
        "refusal",
        TALES[2] + "\n\nI'm sorry for the abrupt ending, but I've reached my maximum length.",
    ),
    bad(
        "refusal",
        "Sorry, but this topic is not something I can write about. Perhaps you would like to choose another one instead, and I will help you with that one.",
    ),
    bad("refusal", "请原谅，我不能写这样的文章。" + ZH_TALES[0]),
    bad("refusal", "身为AI，我没有真实的记忆，只能根据资料来写。" + ZH_TALES[3]),
    bad("refusal", "我只是一个语言模型，没有去过高原，只能凭想象来写。" + ZH_TALES[1]),
    bad(
        "refusal",
        "抱歉，您的请求涉及敏感内容，我不便回答。请您换一个话题，我会很乐意为您提供帮助和建议。",
    ),
    bad("refusal", "由于字数限制，我无法一次写完整篇文章，这里先写开头部分。" + ZH_TALES[5]),
    bad("refusal", ZH_TALES[7] + "\n\n抱歉，由于长度限制，剩余的部分我不能继续生成。"),
    good(
        "Captain Lee had a rule: never apologise. On the night of the storm he broke it. I'm sorry, he told the crew, I can't bring the boat back. Nobody blamed him. "
        + TALES[6]
    ),
    good(
        TALES[5]
        + " I can't write about those years without thinking of the bakery, and I won't pretend that everyone was glad."
    ),
    good(
        "I won't write of the war. Others have done so. I will write of the bread, which came each morning wrapped in newspaper, and of the woman who brought it, and of the song that she hummed on the stairs while the windows shook.",
        "Write a memoir of a childhood.",
    ),
    good("他说：“我是一个机器人。”孩子们都笑了。" + ZH_TALES[4]),
    good("作为一名语言学家，她走遍了七十个村庄。" + ZH_TALES[1]),
    good("As a language teacher, she had learned to wait. " + TALES[2]),
    good("Our model cannot predict such storms. " + TALES[7]),
    good("The board regrets that it cannot provide lunch. " + TALES[3]),
    good("妈妈，对不起，我没能赶上最后一班车。" + ZH_TALES[6]),
    good("对不起，这三个字他练习了一辈子。" + ZH_TALES[3]),
    # Endings
    bad(
        "unfinished", TALES[0] + " She opened the last jar and looked inside, and there, among the"
    ),
    bad("unfinished", TALES[1] + "\n\nChapter 2"),
    bad("unfinished", TALES[2] + "\n\n(Continued)"),
    bad("unfinished", TALES[4] + "\n\nShall I continue with the next part?"),
    bad("unfinished", TALES[5] + "\n\nStay tuned for part 2!"),
    bad("unfinished", TALES[3] + "\n\n- Soil\n- Piles\n-"),
    bad("unfinished", TALES[7] + " TBC"),
    bad("unfinished", "```python\nfor i in range(10):\n    print(i)\n\n" + TALES[3]),
    bad("unfinished", ZH_TALES[0] + "\n\n（接下文）"),
    bad("unfinished", ZH_TALES[1] + "\n\n要我继续写下去吗？"),
    bad("unfinished", ZH_TALES[2] + "\n\n三、"),
    bad("unfinished", ZH_TALES[3] + "\n\n第二章 重逢"),
    bad("unfinished", ZH_TALES[4] + "\n\n（由于篇幅限制，后续内容省略）"),
    bad("unfinished", ZH_TALES[5] + "他回过头，看见门口站着一个"),
    bad("unfinished", ZH_TALES[6] + "\n\n接下来的故事，请看下一章。"),
    bad("unfinished", TALES[6] + "\n\n[End of Part 1]"),
    good(ZH_TALES[6] + "\n\n——完——"),
    good(TALES[6] + "\n\n***"),
    good(TALES[4] + ' "Goodbye," he said—and was gone!'),
    good(
        "Roses lean upon the wall\nBees are drunk with light\nNobody has heard the fall\nOf the petals in the night\n\nMorning finds them on the stone\nRed as any crown\nWind that leaves the wall alone\nCarries summer down",
        "Write a short poem about roses.",
    ),
    good(
        "床头的灯还亮着\n窗外的雨停了\n你写的信放在枕边\n我读了一遍又一遍\n风从海上来\n带着盐和远方的消息\n我把信折成小船\n放进清晨的河里",
        "写一首短诗。",
    ),
    good("亲爱的妈妈：\n\n" + ZH_TALES[1] + "\n\n您的女儿\n小梅", "写一封给妈妈的信。"),
    good(
        TALES[5]
        + "\n\nKey figures:\n\n- Offices converted: half\n- Cafes closed: nine\n- Bakeries opened: four"
    ),
    # Residue
    bad(
        "residue",
        "**Paragraph 1: The Market**\n\n"
        + TALES[0]
        + "\n\n**Paragraph 2: The Stranger**\n\n"
        + TALES[6],
    ),
    bad("residue", "1. Main Point: soil. Word Count: 200.\n\n" + TALES[7]),
    bad("residue", "<paragraph 2>\n" + TALES[7]),
    bad("residue", TALES[4] + "\n\n(This section contains approximately 300 words.)"),
    bad("residue", TALES[4] + "\n\n*Word count: ~300*"),
    bad("residue", TALES[4] + " (300 words)"),
    bad("residue", TALES[4] + "\n\nWord Count - 300"),
    bad("residue", TALES[4] + "\n\n300 words"),
    bad("residue", TALES[1] + "\n\n[Total word count: 1,250 words]"),
    bad("residue", "段落二：" + ZH_TALES[2]),
    bad("residue", "第2段\n" + ZH_TALES[2]),
    bad("residue", "第一部分：" + ZH_TALES[2] + "\n\n第二部分：" + ZH_TALES[4]),
    bad("residue", ZH_TALES[3] + "（字数：约300）"),
    bad("residue", ZH_TALES[3] + "\n\n（共计320字）"),
    bad("residue", ZH_TALES[3] + "\n\n字数统计：320"),
    bad("residue", ZH_TALES[3] + "\n\n（本段字数：300字）"),
    bad("residue", ZH_TALES[0] + "\n\n---\n以上内容约1000字，希望对您有所帮助。"),
    bad("residue", "当然，以下是您要求的文章：\n\n" + ZH_TALES[0]),
    bad("residue", "主要内容：介绍茶叶的采摘。字数要求：300字\n\n" + ZH_TALES[5]),
    bad("residue", "Section 2:\n\n" + TALES[3]),
    bad("residue", "## Section 3\n" + TALES[3]),
    bad(
        "residue",
        TALES[0] + "\n\nI hope you enjoyed this story! Let me know if you'd like any changes.",
    ),
    good("Section 1: Foundations\n\n" + TALES[3] + "\n\nSection 2: Soil\n\n" + TALES[7]),
    good("第一部分：地基\n\n" + ZH_TALES[4] + "\n\n第二部分：土壤\n\n" + ZH_TALES[5]),
    good("Scene 1\n\n" + TALES[0] + "\n\nScene 2\n\n" + TALES[6], "Write a play in two scenes."),
    good(
        "1. Soil\n\n" + TALES[7] + "\n\n2. Bridges\n\n" + TALES[3],
        "Write a primer on soil and bridges.",
    ),
    good(
        TALES[0] + " The letter was 500 words long (she had counted them), and not one was wasted."
    ),
    good("她数了数，全文约500字，没有一个字是多余的。" + ZH_TALES[3]),
    good("Length: 4 metres. Width: 2 metres. Such was the boat that he built. " + TALES[1]),
    good("第三段路最难走。" + ZH_TALES[1]),
    good("Here is the house, and here is the story of the people in it. " + TALES[6]),
    good("下面是一条河，河边住着一位老人。" + ZH_TALES[5]),
    # Language
    bad(
        "mixed_script",
        TALES[0]
        + "\n\n然后陌生人离开了市场，再也没有人见过他，只有玛尔塔记得那件缺了纽扣的绿色大衣。",
    ),
    bad(
        "mixed_script",
        ZH_TALES[0]
        + "\n\nThe umbrella maker closed his shop at last, and on the door he left a note for the children who used to come and listen.",
    ),
    bad(
        "mixed_script",
        "The 市场 opened before 日出, when the 面包师 carried their 托盘 through the narrow 小巷 and the 猫 waited under the 鱼摊. Old Marta sold 纽扣 there.",
        ASK,
    ),
    bad(
        "wrong_language",
        "Le marché ouvrait avant le lever du soleil, quand les boulangers portaient leurs plateaux dans la ruelle étroite et que les chats attendaient sous les étals de poisson. La vieille Marta y vendait des boutons.",
    ),
    bad(
        "wrong_language",
        "시장은 해가 뜨기 전에 열렸고 빵집 주인들은 좁은 골목길을 따라 쟁반을 날랐다. 늙은 마르타는 그곳에서 단추를 팔았다. 수천 개의 단추가 색깔별로 병에 담겨 있었다. 그녀는 마을의 모든 외투를 알고 있었다. 어느 날 낯선 사람이 찾아왔다. 그는 초록색 단추를 찾고 있었다. 그녀는 고개를 저었다.",
    ),
    good(
        "参考文献\n\n[1] Vaswani A, Shazeer N, Parmar N, et al. Attention is all you need. Advances in Neural Information Processing Systems, 2017.\n[2] Brown T, Mann B, Ryder N, et al. Language models are few-shot learners. 2020.\n\n"
        + ZH_TALES[2]
        + ZH_TALES[4]
        + ZH_TALES[5]
    ),
    good("The poem begins with the moon: 床前明月光，疑是地上霜. " + TALES[6]),
    good(
        "微软（Microsoft）、谷歌（Google）和OpenAI都发布了新的大模型，例如GPT-4、Gemini Pro和Claude。"
        + ZH_TALES[2]
    ),
    good(
        "莎士比亚写道：“To be, or not to be, that is the question: whether it is nobler in the mind to suffer.”"
        + ZH_TALES[3]
    ),
    # Length
    bad("length_missed", TALES[0], "Write a thousand-word story about a market."),
    bad("length_missed", TALES[0], "Write a market story in 3 to 4 thousand words."),
    bad("length_missed", TALES[0], "Write a market story of at least 1,500 words."),
    bad("length_missed", ZH_TALES[0], "请写一篇1万字的老街故事。"),
    bad("length_missed", ZH_TALES[0], "写一篇老街的文章，字数要求：2000字以上"),
    bad("length_missed", ZH_TALES[0], "写一篇老街的文章，不少于800个汉字"),
    bad("length_missed", ZH_TALES[0], "写一篇老街的文章，字数：1500"),
    bad("length_missed", TALES[0], "Write a story. Word count: 1500"),
    bad("length_missed", TALES[0], "Write a 1.5k word story on a market."),
    good(TALES[0], "Write a story about a man of few words."),
    good(TALES[2], "Write about 40 seeds that sleep for 2000 years."),
    # Loops
    bad(
        "repetition",
        " ".join(
            ["She walked to the window and looked out at the sea."]
            + [
                f"Then she walked to the window and looked out at the sea again, day {w}."
                for w in (
                    "one",
                    "two",
                    "three",
                    "four",
                    "five",
                    "six",
                    "seven",
                    "eight",
                    "nine",
                    "ten",
                )
            ]
        ),
    ),
    good(
        "\n".join(
            f"| {a} | {b} | {c} |"
            for a, b, c in [
                ("City", "Firms", "Flats"),
                ("---", "---", "---"),
                ("North", "12", "40"),
                ("South", "9", "31"),
                ("East", "22", "54"),
                ("West", "7", "18"),
            ]
        )
        + "\n\n"
        + TALES[5]
    ),
    # Where a rule had fewer than five rows of a language
    bad("too_short", "The lamp went out, and the tale with it."),
    bad("too_short", "**A Village by the Sea**"),
    bad("wrong_language", TALES[7], "谈谈土壤为什么是有生命的。"),
    bad(
        "copied",
        TALES[0]
        + " The rain came down. Nobody spoke a word. "
        + TALES[4]
        + " The rain came down. Nobody spoke a word. The rain came down.",
    ),
    bad(
        "copied",
        STORY
        + "\n\nShe waved her hat.\n\nHe turned away.\n\nShe waved her hat.\n\nHe turned away.",
    ),
    bad(
        "low_variety",
        " ".join(
            f"My {a} met a {b}."
            for a in ("son", "dad", "mum", "aunt", "boss", "wife", "pal")
            for b in ("cat", "dog", "cow", "hen", "pig", "fox", "owl")
        ),
    ),
    bad(
        "low_variety",
        " ".join(
            f"{a} costs {b} euros."
            for a in ("Tea", "Jam", "Ham", "Rice", "Soup", "Salt", "Milk")
            for b in ("two", "three", "four", "six", "nine", "ten")
        ),
    ),
    # Copied passages: a tale as one sentence, so that it is one of many
    *(
        bad(
            "repeated_span",
            " ".join([_one_sentence(tale), *_others(TALES, tale), STORY, _one_sentence(tale)]),
        )
        for tale in [*TALES[1:4], *TALES[5:7]]
    ),
    *(
        bad(
            "repeated_span",
            "".join([*_others(ZH_TALES, tale), _one_sentence(tale), FABLE, _one_sentence(tale)]),
        )
        for tale in ZH_TALES[:5]
    ),
    good(" ".join([*TALES[1:], STORY, " ".join(EN[:2]).replace(". ", ", "), TALES[0]])),
    good("".join([*ZH_TALES[1:], FABLE, ZH_TALES[0][:50] + "。", ZH_TALES[0]])),
    bad(
        "copied",
        ZH_TALES[0] + "雨还在下。" + ZH_TALES[1][:60] + "。雨还在下。" + ZH_TALES[2] + "雨还在下。",
    ),
    bad("copied", ZH_TALES[3] + "他点了点头。他点了点头。" + FABLE + "他点了点头。"),
    bad("copied", ZH_TALES[4] + "\n- 打电话给船长\n- 修补渔网\n- 打电话给船长\n- 修补渔网"),
    bad(
        "low_variety",
        "".join(f"{a}说他喜欢{b}。" for a in "爹妈哥姐弟妹叔婶" for b in "茶酱派肉果米蛋"),
    ),
    bad(
        "low_variety",
        "".join(f"今天{a}很{b}。" for a in "猫狗牛鸡猪狐鹰蜂" for b in "红湿老悲大羞干热"),
    ),
    bad(
        "low_variety",
        "".join(f"先去{a}城再去{b}。" for a in "京沪津渝港" for b in "宁蓉杭台澳"),
    ),
    # Tokens: few words and many tokens
    bad("too_many_tokens", STORY + "\n\n" + "3.14159265358979 " * 160 + "."),
    bad("too_many_tokens", STORY + "\n\n" + "🎉🌊🚢" * 300 + "."),
    bad("too_many_tokens", STORY + "\n\n```\n" + "x_1 = y[2] ** 3 % 7\n" * 200 + "```"),
    bad("too_many_tokens", STORY, ASK + " " + "Note the year 1871, 24 ships, 3,141 men. " * 130),
    bad("too_many_tokens", STORY + "\n\n" + "| 17 | 2.5 | 900 |\n" * 200),
    bad("too_many_tokens", FABLE + "，".join(f"第{n}号" for n in range(10_000, 10_350)) + "。"),
    bad("too_many_tokens", FABLE + "\n\n" + "一八七一年，3141592653589793。" * 110),
    bad("too_many_tokens", FABLE, ZH_ASK + "请参考以下资料：" + "".join(ZH_TALES) * 2),
    bad("too_many_tokens", FABLE + "\n\n" + "㊗🎊🏮" * 350 + "。"),
    bad("too_many_tokens", FABLE + "\n\n" + "| 甲 | 2.5 | 900 |\n" * 210),
    good(" ".join([*TALES, STORY]), ASK + " " + STORY),
    good("".join(ZH_TALES[:6]), ZH_ASK + FABLE),
    # Quality, where the row carries it
    *(
        bad("low_quality", tale, quality_score=score)
        for tale, score in zip(TALES, (0, 25, 49.9, 12.5, 59), strict=False)
    ),
    *(
        bad("low_quality", tale, quality_score=score)
        for tale, score in zip(ZH_TALES, (0, 25, 49.9, 12.5, 59), strict=False)
    ),
    good(TALES[5], quality_score=60),
    good(ZH_TALES[5], quality_score=100),
    good(TALES[6], quality_score=None),
    good(ZH_TALES[6], quality="low"),
    # Benchmark prompts with other words around and within them
    bad(
        "contaminated",
        STORY,
        "Task: write a 1,200-word report on the tides of the northern fjords\n\nAnswer:",
    ),
    bad("contaminated", STORY, "WRITE A REPORT ON THE TIDES OF THE NORTHERN FJORDS"),
    bad(
        "contaminated",
        STORY,
        "Please write a detailed 90-word report on the tides of the northern fjords for my class.",
    ),
    bad(
        "contaminated",
        STORY,
        f"{TALES[2]}\n\nNow write a 5k-word report on the tides of the northern fjords.",
    ),
    bad("contaminated", FABLE, "写一篇报告，介绍北方峡湾的潮汐。"),
    bad(
        "contaminated",
        FABLE,
        "你是一位海洋学家。写一篇1500字的报告，介绍北方峡湾的潮汐。语言要通俗。",
    ),
    bad("contaminated", FABLE, f"参考下文：{ZH_TALES[6]}写一篇八百字的报告，介绍北方峡湾的潮汐。"),
    good(STORY, "Write a report on the birds of the southern lakes."),
    good(STORY, "Are the tides of the northern fjords dangerous for a small boat?"),
    good(FABLE, "写一篇报告，介绍南方湖泊的候鸟。"),
    good(FABLE, "北方峡湾的潮汐有多高？请写一个小故事。"),
]
