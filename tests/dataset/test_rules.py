import json
from typing import Any

import pytest
from helpers.checkpoints import default_settings

from longwriter.core.errors import DataError, SettingsError
from longwriter.dataset.row import Row
from longwriter.dataset.rules import (
    RULES,
    chosen,
    copied,
    length_missed,
    refusal,
    repetition,
    thinking,
)
from longwriter.dataset.settings import FilterSettings
from longwriter.evaluation.contamination import PromptIndex
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.text.similarity import hashes, jaccard, longest_repeat, shingles
from longwriter.text.words import tokens


@pytest.fixture(scope="module")
def settings() -> FilterSettings:
    return default_settings().filter


def row(response: str, prompt: str = "p", **fields: Any) -> Row:
    record = {"prompt": prompt, "response": response} | fields
    return Row.read(json.dumps(record).encode(), "f:1", "s")


def words(number: int, name: str = "w") -> str:
    """So many different words."""
    return " ".join(name + chr(97 + i // 26) + chr(97 + i % 26) for i in range(number))


@pytest.mark.parametrize(
    ("response", "length", "reason"),
    [
        (words(50), 100, "50 words for 100: S_l 50"),  # 100 · (1 - (100/50 - 1) / 2)
        (words(62), 100, "62 words for 100: S_l 69"),  # 100/62 = 1.613: 69.4
        (words(191), 100, "191 words for 100: S_l 70"),  # 0.91 / 3 = 0.3033: 69.67
        (words(63), 100, None),  # 100/63 = 1.587: 70.6
        (words(189), 100, None),  # 0.89 / 3 = 0.2967: 70.3
        (words(5), None, None),  # no length was asked for
    ],
)
def test_length_missed(
    settings: FilterSettings, response: str, length: int | None, reason: str | None
) -> None:
    assert length_missed(row(response, length=length), settings) == reason


def test_the_length_of_a_chat_row_is_read_from_its_prompt(settings: FilterSettings) -> None:
    messages = [
        {"role": "user", "content": "Write 100 words."},
        {"role": "assistant", "content": words(50)},
    ]
    chat = Row.read(json.dumps({"messages": messages}).encode(), "f:1", "s")
    assert length_missed(chat, settings) == "50 words for 100: S_l 50"


@pytest.mark.parametrize(
    "response",
    [
        "I'm sorry, but I can't do this.",
        "I’m sorry, but I can’t help with that.",
        "Unfortunately I am unable to write that.",
        "No. I cannot fulfill this request.",
        "Speaking as a large language model, well.",
        "很抱歉，但我不能写这个。",
        "抱歉,我没有办法写。",
    ],
)
def test_refusal(settings: FilterSettings, response: str) -> None:
    assert (refusal(row(response), settings) or "").startswith("says ")


@pytest.mark.parametrize(
    "response",
    [
        "Dear Anna, I am sorry that your flowers came late.",
        "I can't help but smile when I think of that summer.",
        "作为人工智能的重要分支，机器学习改变了世界。",
        "“对不起，我不能陪你去了。”妈妈说。",
        "Rain, I cannot forget you.",
        "The aide said: a language model is trained on text.",
        "你不能对不起自己的梦想。",
    ],
)
def test_a_text_that_only_looks_like_a_refusal(settings: FilterSettings, response: str) -> None:
    assert refusal(row(response), settings) is None


def chat(*contents: str, system: str = "") -> Row:
    """A chat of user and assistant in turn."""
    messages = [{"role": "system", "content": system}] if system else []
    for number, content in enumerate(contents):
        messages.append({"role": "assistant" if number % 2 else "user", "content": content})
    return Row.read(json.dumps({"messages": messages}).encode(), "f:1", "s")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (row("<think>a</think>Bees fly."), "holds '<think>a</think>Bees fly.'"),
        (row("a\n</think>\n蜜蜂会飞。"), "holds '</think>\\n蜜蜂会飞。'"),
        (row("Bees `<think>` little."), None),
        (row("Bees <think> little.", prompt="Use <think> in a sentence."), None),
        (row("[THINK]a[/THINK]", prompt="What is <thought>?"), "holds '[THINK]a[/THINK]'"),
        # any of the assistant's messages, and a tag that any of the user's holds
        (chat("a", "<think>b</think>", "c", "d"), "holds '<think>b</think>'"),
        (chat("What is <think>?", "It opens.", "And then?", "<think> closes."), None),
        # the user may quote it; a system message that asks to think in tags does not excuse it
        (chat("What is <think>?", "A tag."), None),
        (
            chat("a", "<think>b</think>c", system="Think in <think> tags."),
            "holds '<think>b</think>c'",
        ),
    ],
)
def test_thinking(settings: FilterSettings, given: Row, reason: str | None) -> None:
    assert thinking(given, settings) == reason


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        # n words, then the first m again: n + m - 7 sequences of eight, m - 7 of them repeated.
        (f"{words(30)} {words(30)}", "43% of 8-grams repeated"),  # 23 of 53
        (f"{words(40)} {words(12)}", "11% of 8-grams repeated"),  # 5 of 45
        (f"{words(40)} {words(11)}", None),  # 4 of 44 are 9 %
    ],
)
def test_repetition(settings: FilterSettings, response: str, reason: str | None) -> None:
    assert repetition(row(response), settings) == reason


def test_copied_counts_sentences(settings: FilterSettings) -> None:
    text = "The sea was calm. We went out early! Nobody saw us go. The sea was calm?"
    assert copied(row(text), settings) == "25% of sentences copied"


@pytest.mark.parametrize(("first", "gap", "again"), [(20, 3, 9), (64, 1, 64), (30, 5, 30)])
def test_longest_repeat(first: int, gap: int, again: int) -> None:
    text = f"{words(first)} {words(gap, 'x')} {words(again)}"
    assert longest_repeat(hashes(tokens(text)), 5) == again
    assert longest_repeat(hashes(tokens(text)), again + 1) == 0


def test_similarity_of_one_changed_word() -> None:
    # 12 words and 2 edges on each side: 14 sequences of three; a changed word changes three of them.
    one, other = words(12), words(12).replace("waf", "other")
    sets = [shingles(hashes(tokens(text))) for text in (one, other)]
    assert jaccard(*sets) == 11 / 17


def test_an_unknown_rule_is_named(settings: FilterSettings) -> None:
    def rule(row: Row, settings: FilterSettings) -> str | None:
        return None

    with pytest.raises(SettingsError, match=r"filter\.rules: there is no rule 'to_short'"):
        chosen(["to_short"], rule)
    with pytest.raises(SettingsError, match="list them last"):
        chosen(["duplicate", "too_short"], rule)
    assert list(chosen(["too_long", "too_short"], rule)) == ["too_long", "too_short"]


def test_every_rule_is_on_by_default(settings: FilterSettings) -> None:
    others = {"malformed", "contaminated", "duplicate", "near_duplicate"}
    assert set(settings.rules) == {*RULES, *others}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"prompt": "p"}', "needs `messages`, or `prompt` and `response`; it has 'prompt'"),
        (b'{"messages": 3}', "messages: a list is needed"),
        (b'{"messages": [1]}', "message 1: an object with `role` and `content` is needed"),
        (b"a" * 10_000_001, "10.0 MB; a row has 10 MB at most"),
        (b"3", "expected a JSON object, got int"),
    ],
)
def test_a_malformed_row_says_where_it_stands(line: bytes, what: str) -> None:
    with pytest.raises(DataError) as error:
        Row.read(line, "f.jsonl:7", "s")
    assert str(error.value) == f"f.jsonl:7: {what}"


@pytest.mark.parametrize(
    "record",
    [
        {"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Ho."}]},
        {"instruction": "Hi.", "input": "", "output": "Ho."},
        {"prompt": "Hi.", "response": "Ho."},
    ],
    ids=["ShareGPT", "Alpaca", "a draft"],
)
def test_forms_of_a_row(record: dict[str, Any]) -> None:
    row = Row.read(json.dumps(record).encode(), "f.jsonl:1", "s")
    assert [(m["role"], m["content"]) for m in row.messages] == [
        ("user", "Hi."),
        ("assistant", "Ho."),
    ]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"id": 7}, ("7", "s", "")),
        ({"id": 0, "source": None, "type": 3}, ("0", "s", "3")),
        ({"id": 7.5, "type": None, "language": 5}, ("7.5", "s", "")),
    ],
)
def test_an_id_is_an_id(fields: dict[str, Any], found: tuple[str, str, str]) -> None:
    line = json.dumps({"prompt": "Hi.", "response": "Ho.", **fields}).encode()
    row = Row.read(line, "f.jsonl:1", "s")
    assert (row.id, row.source, row.type) == found
    row.training_row()


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"id": [1]}, "id: Input should be a valid string"),
        ({"length": "many"}, "length: Input should be a valid integer, unable to parse string"),
        ({"source": {"a": 1}}, "source: Input should be a valid string"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(fields: dict[str, Any], what: str) -> None:
    line = json.dumps({"prompt": "Hi.", "response": "Ho.", **fields}).encode()
    with pytest.raises(DataError) as error:
        Row.read(line, "f.jsonl:7", "s")
    assert str(error.value).startswith(f"f.jsonl:7: {what}")


@pytest.mark.parametrize(
    ("prompt", "words", "kept"),
    [
        ("Write no fewer than 20 words.", 200, True),  # far from 20, and within the bounds
        ("Write no fewer than 200 words.", 20, False),
        ("Write at most 200 words.", 30, True),
        ("Write at most 20 words.", 100, False),
        ("Write 10 chapters of 20 words each.", 200, True),
        ("Write 10 chapters of 20 words each.", 20, False),
        ("Summarise this 5000-word article in 100 words.", 100, True),
    ],
)
def test_a_length_is_the_texts_own(
    prompt: str, words: int, kept: bool, settings: FilterSettings
) -> None:
    record = {"prompt": prompt, "response": "word " * words}
    row = Row.read(json.dumps(record).encode(), "f.jsonl:1", "s")
    assert (RULES["length_missed"](row, settings) is None) == kept


def test_contamination_ignores_numbers_case_and_what_is_around() -> None:
    limits = ContaminationSettings(benchmarks=[], max_overlap=0.8, min_similarity=0.7, min_cosine=1)
    benchmarks = PromptIndex([("b", "Write a 900-word report on the tides of northern fjords.")])
    for prompt in (
        "write a 50-word report on the tides of Northern Fjords",
        "Hello. Write a 900-word report on the tides of northern fjords. Thanks!",
    ):
        assert benchmarks.find(prompt, limits) is not None
    other = "Write a 900-word report on the birds of southern lakes."
    assert benchmarks.find(other, limits) is None
