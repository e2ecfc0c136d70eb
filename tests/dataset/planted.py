"""Planted rows: bad ones for every rule, and good ones that look bad, in English and Chinese.

python tests/dataset/planted.py      # precision and recall by rule
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

EN = [
    "The ferry left at dawn, and the harbour was so quiet that we could hear the ropes creak.",
    "My grandmother kept her recipes in a tin box under the stairs, each on a torn envelope.",
    "By noon the fog had lifted, and the far shore showed its orchards and three white farms.",
    "Nobody in the village remembered who had built the bridge, only that it had never failed.",
    "He counted the coins twice, wrapped them in a handkerchief and walked back to the market.",
    "Later, when the lamps were lit, the children asked for another story about the lighthouse.",
]
ZH = [
    "清晨的渡船离开码头时，港口安静得能听见缆绳的声响。",
    "外婆把菜谱放在楼梯下的铁盒里，每一张都写在旧信封上。",
    "到了中午，雾气散去，对岸的果园和三座白色农舍显露出来。",
    "村里没有人记得桥是谁修的，只知道它从来没有塌过。",
    "他把硬币数了两遍，用手帕包好，慢慢走回集市去。",
    "后来灯亮了，孩子们又要求再讲一个关于灯塔的故事。",
]
STORY, FABLE = " ".join(EN), "".join(ZH)
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
    bad("too_long", " ".join(f"{line[:-1]} {number}." for line in EN for number in "abcdefghijk")),
    bad("too_long", (STORY + " ") * 6),
    bad("too_long", FABLE * 4),
    bad("too_long", "\n\n".join(ZH * 4)),
    bad("too_long", "\n\n".join([STORY] * 5)),
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
]
"""Each response is judged alone; what compares rows has tests of its own."""

BENCHMARK = [
    {"prompt": "Write a 900-word report on the tides of the northern fjords."},
    {"prompt": "写一篇800字的报告，介绍北方峡湾的潮汐。"},
]

MALFORMED = [
    b'{"prompt": "Write.", "response": ',
    b'{"prompt": "Write.", "response": "caf\xe9"}',
    b'{"prompt": "Write."}',
    b'{"messages": []}',
    b'{"messages": [{"role": "user", "content": "Hi"}]}',
    b'{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "x"}]}',
    b'{"messages": [{"role": "human", "content": "Hi"}, {"role": "assistant", "content": "x"}]}',
    b'{"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "Hi"}]}',
    b"[1, 2]",
    '{"prompt": "写。", "response": "海面\ufffd"}'.encode(),
    b'{"prompt": "Write.", "response": "' + b"a" * 50_000_000 + b'"}',
]


def verdicts(folder: Path) -> Iterator[tuple[Planted, str | None]]:
    """Each planted row with the rule that rejects it: `too_long` at 200 words, no limit of length but
    where the row is about one."""
    from omegaconf import DictConfig, OmegaConf

    from longwriter.dataset.judge import Job, Judge
    from longwriter.settings import compose_params, validate

    config = OmegaConf.create(compose_params(Path(__file__).parents[2]))
    assert isinstance(config, DictConfig)
    settings = validate(config).filter
    settings.max_words = 400
    benchmark = folder / "own.jsonl"
    benchmark.write_text("".join(json.dumps(row) + "\n" for row in BENCHMARK))
    judge = Judge(Job(settings, settings.rules, "planted", [benchmark], None))
    for number, row in enumerate(ROWS):
        record = {"prompt": row.prompt, "response": row.response} | row.fields
        line = json.dumps(record).encode()
        reason = judge.judge(f"planted:{number}", line).reason
        yield row, reason[0] if reason else None
    for number, line in enumerate(MALFORMED):
        reason = judge.judge(f"planted:{number}", line).reason
        shown = line[:80].decode("latin-1")
        yield Planted("malformed", "", shown, {}), reason[0] if reason else None


def main() -> None:
    """Prints precision and recall of every rule."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = list(verdicts(Path(folder)))
    planted, said = Counter(row.rule for row, _ in found), Counter(rule for _, rule in found)
    right = Counter(rule for row, rule in found if row.rule == rule)
    print(f"{'rule':16} {'rows':>5} {'precision':>10} {'recall':>7}")
    for rule in planted | said:
        name, n = rule or "(kept)", planted[rule]
        print(
            f"{name:16} {n:5} {right[rule] / max(said[rule], 1):10.2f} {right[rule] / max(n, 1):7.2f}"
        )
    for row, rule in found:
        if row.rule != rule:
            print(
                f"\nwanted {row.rule}, got {rule}: {row.prompt!r} {row.response[:50]!r} … {row.response[-60:]!r}"
            )


if __name__ == "__main__":
    main()
